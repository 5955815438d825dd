"""Attention, embeddings and norms against PyTorch; attention's masks, lengths and errors."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import minigrad
from helpers import says, torch_script
from minigrad import Layer, MultiHeadAttention, Parameters, Sequential
from minigrad.core.layer import build_once

REFERENCE = Path(__file__).with_name("reference")
KEPT = json.loads((REFERENCE / "attention.json").read_text())["cases"]
RNG = np.random.default_rng(0)
QUERY, VALUE = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 5, 4))
MASK = np.array([[1, 0, 1, 0, 1], [0, 1, 1, 1, 0]])


def make(code: str) -> Layer:
    layer = eval(re.sub(r"\), .*", ")", code), vars(minigrad))
    assert isinstance(layer, Layer)
    return layer


def built(layer: Layer, *inputs: np.ndarray, dtype: str = "float64") -> Layer:
    shapes = tuple(x.shape[1:] for x in inputs)
    build_once(layer, shapes if len(shapes) > 1 else shapes[0], np.random.default_rng(0))
    if layer.named_parameters():
        Parameters((p for _, p in layer.named_parameters()), dtype=dtype)
    return layer


def compare(code: str, case: dict, dtype: str) -> None:
    """Run our layer through a case, with its parameters."""
    rtol, atol = (1e-12, 1e-13) if dtype == "float64" else (1e-5, 2e-6)

    def close(ours: np.ndarray | None, theirs: list | None) -> None:
        if theirs is None:  # a mask or ids
            assert ours is None or not ours.any()
            return
        assert ours is not None
        assert ours.dtype == dtype
        size = max(1.0, np.abs(theirs).max(initial=0))
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol * size)

    inputs = [np.array(x) for x in case["inputs"]]
    inputs = [x.astype(dtype) if x.dtype.kind == "f" else x for x in inputs]
    layer = built(make(code), *inputs, dtype=dtype)
    parameters = [p for _, p in layer.named_parameters()]
    for parameter, value in zip(parameters, case["parameters"], strict=True):
        parameter.value = np.array(value)
    close(layer.forward(*inputs, training=False), case["output"])
    close(layer.forward(*inputs), case["output"])
    delta = np.array(case["delta"], dtype)
    back = layer.backward(delta)
    for ours, theirs in zip(
        back if isinstance(back, tuple) else (back,), case["input_deltas"], strict=True
    ):
        close(ours, theirs)
    for backward in (layer.backward, layer.backward_parameters):
        for parameter, gradient in zip(parameters, case["gradients"], strict=True):
            close(parameter.grad, gradient)
            parameter.grad = np.ones(parameter.shape)
        backward(delta)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("code", KEPT)
def test_recorded_numbers(code: str, dtype: str) -> None:
    compare(code, KEPT[code], dtype)


@pytest.fixture(scope="module")
def live():
    script = torch_script("attention")
    return {dtype: script.cases(dtype) for dtype in ("float64", "float32")}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("code", KEPT)
def test_live_numbers(code: str, dtype: str, live) -> None:
    compare(code, live[dtype][code], dtype)


def test_a_query_that_may_look_nowhere_returns_the_output_bias() -> None:
    mask = np.stack([MASK, 1 - MASK, np.zeros((2, 5))], axis=1)  # the third query sees nothing
    layer = built(MultiHeadAttention(2), QUERY, VALUE, mask)
    layer.output_bias.value = np.arange(4.0)
    with np.errstate(all="raise", under="ignore"):
        output = layer.forward(QUERY, VALUE, mask)
        query_delta, value_delta, none = layer.backward(np.ones_like(output))
    assert none is None
    np.testing.assert_array_equal(output[:, 2], np.tile(np.arange(4.0), (2, 1)))
    np.testing.assert_array_equal(query_delta[:, 2], 0)
    assert np.isfinite(value_delta).all()
    assert (layer.attention_weights(QUERY, VALUE, mask)[:, :, 2] == 0).all()

    nothing = np.zeros((2, 5))
    layer.forward(QUERY, VALUE, nothing)
    back = layer.backward(np.ones_like(output))
    assert not np.any(back[0])
    assert not np.any(back[1])
    assert not layer.weight.grad.any()


def test_masked_places_have_no_influence() -> None:
    layer = built(MultiHeadAttention(2), QUERY, VALUE, MASK)
    other = np.where(MASK[:, :, None] == 1, VALUE, 1e3)
    for mask in (MASK, MASK.astype(bool), MASK.astype(np.float32)):
        output = layer.forward(QUERY, VALUE, mask)
        np.testing.assert_array_equal(layer.forward(QUERY, other, mask), output)
    _, value_delta, _ = layer.backward(np.ones_like(output))
    assert (value_delta[MASK == 0] == 0).all()
    assert (value_delta[MASK == 1] != 0).any(axis=1).all()


def test_self_attention_is_attention_with_the_query_as_the_value() -> None:
    alone = built(MultiHeadAttention(2, causal=True), QUERY)
    two = built(MultiHeadAttention(2, causal=True), QUERY, QUERY)
    delta = np.cos(QUERY)
    np.testing.assert_allclose(alone.forward(QUERY), two.forward(QUERY, QUERY), rtol=1e-13)
    np.testing.assert_allclose(alone.backward(delta), sum(two.backward(delta)), rtol=1e-11)
    np.testing.assert_allclose(alone.weight.grad, two.weight.grad, rtol=1e-11, atol=1e-14)


def test_a_causal_output_depends_on_no_later_place() -> None:
    layer = built(MultiHeadAttention(2, causal=True), VALUE)
    later = VALUE.copy()
    later[:, 3:] = 100
    output = layer.forward(VALUE)
    np.testing.assert_allclose(layer.forward(later)[:, :3], output[:, :3], rtol=1e-13)


def test_any_length_where_the_shape_says_none() -> None:
    fixed = Sequential([MultiHeadAttention(2, causal=True)], input_shape=(5, 4), rng=0)[0]
    layer = MultiHeadAttention(2, causal=True)
    assert build_once(layer, (None, 4), np.random.default_rng(0)) == (None, 4)
    for (_, one), (_, two) in zip(layer.named_parameters(), fixed.named_parameters(), strict=True):
        one.value = two.value
    for places in (5, 2, 1):
        np.testing.assert_allclose(
            layer.forward(VALUE[:, :places]), fixed.forward(VALUE)[:, :places], rtol=1e-12
        )
        layer.backward(VALUE[:, :places])
    several = MultiHeadAttention(2)
    build_once(several, ((None, 4), (None, 4), (None,)), np.random.default_rng(0))
    assert several.forward(QUERY, VALUE, MASK).shape == QUERY.shape


def test_attention_weights_sum_to_one() -> None:
    layer = built(MultiHeadAttention(2), QUERY, VALUE, MASK)
    weights = layer.attention_weights(QUERY, VALUE, MASK)
    assert weights.shape == (2, 2, 3, 5)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-14)
    assert ((weights > 0) == (MASK == 1)[:, None, None]).all()


def test_stored_counts_scores_and_projections() -> None:
    layer = built(MultiHeadAttention(2), QUERY, VALUE)
    assert layer.stored == 3 * 4 * 3 + 2 * 4 * 5 + 2 * 3 * 5
    unknown = MultiHeadAttention(1)
    build_once(unknown, (None, 4), np.random.default_rng(0))
    assert unknown.stored == 5 * 4 * 64 + 64 * 64


@pytest.mark.parametrize(
    ("shapes", "parts"),
    [
        ((4,), ("query", "(4,)")),
        ((), ("query", "()")),
        ((2, 3, 4), ("query", "(2, 3, 4)")),
        ((3, 5), ("2 heads", "got 5")),
        ((3, None), ("last axis", "(3, None)")),
        (((3, 4), (5,)), ("mask", "(3,)", "got (5,)")),
        (((3, 4), (5, 2, 4)), ("value", "(5, 2, 4)")),
        (((3, 4), (5, 6)), ("4 features", "got 6", "Dense(4)")),
        (((3, 4), (5, 4), (3,)), ("mask", "(5,)", "(3, 5)", "got (3,)")),
        (((3, 4), (5, 4), (5, 3)), ("mask", "(3, 5)", "got (5, 3)")),
        (((3, 4), (5, 4), (5,), (5,)), ("query, value and mask", "4 inputs")),
    ],
)
def test_shapes_that_do_not_fit(shapes, parts) -> None:
    with says(ValueError, "MultiHeadAttention 'look'", *parts):
        build_once(MultiHeadAttention(2, name="look"), shapes, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("inputs", "parts"),
    [
        ((QUERY,), ("query, value, mask", "got query")),
        ((QUERY, None, MASK), ("query, value, mask", "got query, mask")),
        ((QUERY[0], VALUE, MASK), ("(batch, 3, 4)", "(3, 4)")),
        ((QUERY, VALUE[:, :2], MASK), ("(batch, 5, 4)", "(2, 2, 4)")),
        ((QUERY, VALUE[:1], MASK), ("value", "2 rows", "got 1")),
        ((QUERY, VALUE, MASK[:1]), ("mask", "2 rows", "got 1")),
        ((QUERY, VALUE, MASK[:, :2]), ("mask", "(5,)", "got (2,)")),
        ((QUERY, VALUE, MASK[:, 0]), ("mask", "(5,)", "got ()")),
        ((QUERY, VALUE, np.where(MASK, 0.0, -np.inf)), ("mask", "0 and 1")),
    ],
)
def test_inputs_that_do_not_fit(inputs, parts) -> None:
    layer = built(MultiHeadAttention(2, name="look"), QUERY, VALUE, MASK)
    with says(ValueError, "MultiHeadAttention 'look'", *parts):
        layer.forward(*inputs)


@pytest.mark.parametrize("heads", [0, 1.5, "2"])
def test_number_of_heads(heads) -> None:
    with says((TypeError, ValueError), "MultiHeadAttention", "num_heads", repr(heads)):
        MultiHeadAttention(heads)
