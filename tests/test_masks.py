"""Masks: their layer, padding, and equality with single sequences, PyTorch and Keras."""

import json
from pathlib import Path

import numpy as np
import pytest

from helpers import says, torch_script
from minigrad import (
    GRU,
    LSTM,
    Bidirectional,
    Conv1D,
    Dense,
    Embedding,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    Input,
    Mask,
    Model,
    MultiHeadAttention,
    Sequential,
    SimpleRNN,
    pad_sequences,
)
from minigrad.checks.single import model_of

KEPT = json.loads(Path(__file__).with_name("reference").joinpath("masks.json").read_text())["cases"]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 6, 3))
LENGTHS = np.array([6, 3, 1, 4])
MASK = np.arange(6) < LENGTHS[:, np.newaxis]
GAPS = RNG.integers(2, size=(4, 6)).astype(bool)
GAPS[:, 2] = True
CELLS = [SimpleRNN, GRU, LSTM]


def built(layer, *states):
    model = model_of(layer, ((None, 3), (None,), *states))
    for p in model.parameters:
        p.value = np.random.default_rng(1).normal(size=p.shape)
    return model.children[0]


@pytest.mark.parametrize("mask", [MASK, GAPS], ids=["padding", "gaps"])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.__name__)
def test_a_masked_row_is_the_sequence_of_its_real_steps(cell, backwards, mask) -> None:
    layer = built(cell(2, go_backwards=backwards))
    delta = RNG.normal(size=(4, 2))
    junk = np.where(mask[:, :, np.newaxis], X, np.nan)  # padding has no influence at all
    h = layer.forward(junk, mask)
    input_delta, none = layer.backward(delta)
    assert none is None
    gradients = [p.grad.copy() for p in layer.parameters]
    sums = [np.zeros_like(g) for g in gradients]
    for i in range(4):
        alone = layer.forward(X[[i]][:, mask[i]])
        np.testing.assert_allclose(h[i], alone[0], rtol=1e-12, atol=1e-14)
        back = layer.backward(delta[[i]])
        np.testing.assert_allclose(input_delta[i, mask[i]], back[0], rtol=1e-12, atol=1e-14)
        assert not input_delta[i, ~mask[i]].any()
        sums = [a + p.grad for a, p in zip(sums, layer.parameters, strict=True)]
    for ours, expected in zip(gradients, sums, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.__name__)
def test_padding_holds_the_state(cell) -> None:
    layer = built(cell(2, return_sequences=True))
    h = layer.forward(X, GAPS)
    before = np.concatenate([np.zeros_like(h[:, :1]), h[:, :-1]], axis=1)
    np.testing.assert_array_equal(h[~GAPS], before[~GAPS])
    assert (h[GAPS] != before[GAPS]).all()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.__name__)
def test_a_sequence_in_two_halves_is_the_whole(cell, masked) -> None:
    options = {"return_sequences": True, "return_state": True}
    whole = built(cell(2, **options))
    first, last = built(cell(2, return_state=True)), cell(2, initial_state=True, **options)
    last = built(last, (len(cell.states) * 2,))
    places = [(GAPS[:, s],) if masked else () for s in (slice(None), slice(3), slice(3, None))]
    states = whole.forward(X, *places[0])
    between = first.forward(X[:, :3], *places[1])
    np.testing.assert_allclose(between, states[:, 2], rtol=1e-13)
    halves = last.forward(X[:, 3:], *places[2], between)
    np.testing.assert_allclose(halves, states[:, 3:], rtol=1e-13)

    delta = RNG.normal(size=states.shape)
    delta[:, :3] = 0  # the state in the middle alone leads back to the first half
    back = whole.backward(delta)
    *after, of_state = last.backward(delta[:, 3:])
    before = first.backward(of_state)
    both = np.concatenate([before[0] if masked else before, after[0]], axis=1)
    np.testing.assert_allclose(both, back[0] if masked else back, rtol=1e-11, atol=1e-14)
    for p, one, other in zip(*(layer.parameters for layer in (whole, first, last)), strict=True):
        np.testing.assert_allclose(one.grad + other.grad, p.grad, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("options", "shapes", "parts"),
    [
        ({"initial_state": True}, ((3, 2),), ["initial_state", "1 input"]),
        ({"initial_state": True}, ((3, 2), (5,)), ["(8,)", "(5,)"]),
        ({}, ((3, 2), (3,), (8,)), ["3 inputs", "initial_state=True"]),
    ],
)
def test_first_states_that_do_not_fit_are_refused(options, shapes, parts) -> None:
    inputs = [Input(shape) for shape in shapes]
    with says((TypeError, ValueError), "LSTM", *parts):
        Model(inputs=inputs, outputs=LSTM(4, **options)(*inputs))


def compare(cell, case) -> None:
    """Run our layer through a case of PyTorch's packed sequences, with its parameters."""

    def close(ours, theirs) -> None:
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)

    both = built(Bidirectional(cell(2, return_sequences=True)))
    for p, value in zip(both.parameters, case["parameters"], strict=True):
        p.value = value
    mask = np.arange(5) < np.array(case["lengths"])[:, np.newaxis]
    output = both.forward(np.array(case["input"]), mask)
    close(output[mask], np.array(case["output"])[mask])
    input_delta, _ = both.backward(np.array(case["delta"]))
    close(input_delta, case["input_delta"])
    for p, gradient in zip(both.parameters, case["gradients"], strict=True):
        close(p.grad, gradient)


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.__name__)
def test_recorded_packed_sequences_of_pytorch(cell) -> None:
    compare(cell, KEPT[cell.__name__])


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.__name__)
def test_live_packed_sequences_of_pytorch(cell) -> None:
    compare(cell, torch_script("masks").cases("float64")[cell.__name__])


def test_pooling_counts_real_steps_alone() -> None:
    for kind, function in ((GlobalAveragePooling1D, np.mean), (GlobalMaxPooling1D, np.max)):
        layer = built(kind())
        junk = np.where(GAPS[:, :, np.newaxis], X, 1e300)
        h = layer.forward(junk, GAPS)
        expected = [function(x[real], axis=0) for x, real in zip(X, GAPS, strict=True)]
        np.testing.assert_allclose(h, expected, rtol=1e-14)
        nothing = np.zeros_like(GAPS)
        assert not layer.forward(X, nothing).any()
        assert not layer.backward(np.ones((4, 3)))[0].any()


def test_a_key_mask_beside_the_query_is_that_of_self_attention() -> None:
    one = model_of(MultiHeadAttention(1), ((6, 3), (6,))).children[0]
    two = model_of(MultiHeadAttention(1), ((6, 3), (6, 3), (6,))).children[0]
    for p, q in zip(one.parameters, two.parameters, strict=True):
        q.value = p.value
    np.testing.assert_allclose(one.forward(X, MASK), two.forward(X, X, MASK), rtol=1e-12)
    query, value, _ = two.backward(X)
    np.testing.assert_allclose(one.backward(X)[0], query + value, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_graph_with_masks_ignores_padding(dtype) -> None:
    ids = Input((None,), name="ids")
    mask, h = Mask(0)(ids), Embedding(9, 4)(ids)
    last = Dense(1)(Bidirectional(LSTM(3))(h, mask))
    model = Model(inputs=ids, outputs=last, rng=0, dtype=dtype)
    x, _ = pad_sequences([[3, 1, 2], [5], [4, 4]])
    whole = model.predict(x)
    assert whole.dtype == dtype
    for row, sequence in zip(whole, ([[3, 1, 2]], [[5]], [[4, 4]]), strict=True):
        np.testing.assert_allclose(row, model.predict(sequence)[0], rtol=1e-5)


def test_masks_are_never_ignored() -> None:
    with says(ValueError, "Sequential", "Mask", "Model"):
        Sequential([Embedding(9, 4), Mask(0), LSTM(3)], input_shape=(4,))
    ids = Input((4,), name="ids")
    mask, h = Mask(0)(ids), Embedding(9, 4)(ids)
    for layer in (Dense(2), Conv1D(2, 3)):
        with says(TypeError, type(layer).__name__, "no mask", "'mask_1'"):
            Model(inputs=ids, outputs=layer(h, mask))
    layer = built(LSTM(2))
    with says(ValueError, "LSTM", "(4, 6)", "(4, 5)"):
        layer.forward(X, MASK[:, :5])
    with says(ValueError, "LSTM", "0 and 1"):
        layer.forward(X, 0.5 * MASK)


def test_pad_sequences() -> None:
    x, mask = pad_sequences([np.ones((2, 3)), np.ones((1, 3))], value=-1, length=3)
    assert x.shape == (2, 3, 3)
    assert (x[~mask] == -1).all()
    np.testing.assert_array_equal(mask.sum(axis=1), [2, 1])
    for bad, options, parts in (
        ([], {}, ("at least 1",)),
        ([[1, 2]], {"length": 1}, ("length=1", "2 steps")),
        ([[1], [[2]]], {}, ("sequences[1]", "(1, 1)")),
        ([[1]], {"value": 0.5}, ("int", "0.5")),
    ):
        with says(ValueError, "pad_sequences", *parts):
            pad_sequences(bad, **options)
