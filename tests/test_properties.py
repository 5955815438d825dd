"""Properties of random networks, made of every registered layer, container and loss."""

import copy
from functools import cache
from math import prod
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import through_pickle
from minigrad import (
    BCELoss,
    Chain,
    Dense,
    Embedding,
    Flatten,
    KLDivLoss,
    Layer,
    LogSoftmax,
    Loss,
    Parallel,
    Parameter,
    Reshape,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
    check_gradients,
    load,
)
from minigrad.blocks import plan
from minigrad.blocks.block_gradient import BlockGradient
from minigrad.core.layer import build_once, walk
from registered_examples import FUNCTIONS, LAYERS, LOSSES, OPTIMIZERS

RUNS = pytest.mark.parametrize("examples", [20, pytest.param(250, marks=pytest.mark.slow)])
pytestmark = pytest.mark.filterwarnings("ignore:.* over 1 unit:UserWarning")  # of random widths


@cache
def fitting(shape: tuple[int, ...]) -> list[tuple[Layer, tuple[int, ...]]]:
    """Return each example layer that takes rows of this shape, and its output shape."""
    found = []
    for layer, _ in LAYERS:
        if isinstance(layer, Embedding):  # takes ids, not numbers
            continue
        built = copy.deepcopy(layer)
        try:
            found.append((layer, build_once(built, shape, np.random.default_rng(0))))
        except ValueError:
            continue
    return found


@st.composite
def pieces(draw, shape: tuple[int, ...], depth: int = 2) -> tuple[Layer, tuple[int, ...]]:
    """Draw a layer or a container for rows of this shape, and return it with its output shape."""
    kind = draw(st.sampled_from(["layer", "layer", "container", "shared"] if depth else ["layer"]))
    if kind == "layer":
        layer, output_shape = draw(st.sampled_from(fitting(shape)))
        layer = copy.deepcopy(layer)
        layer.name = ""
        return layer, output_shape
    n = shape[-1]
    if kind == "shared" and len(shape) == 1:
        weight = Parameter(np.random.default_rng(n).normal(size=(n, n)))
        layers = [Dense(n, weight=weight), Tanh(), Dense(n, weight=weight)]
        return draw(st.sampled_from([Chain, Residual, Sequential, Parallel]))(layers), shape
    branches = []
    for _ in range(draw(st.integers(1, 2))):
        layer, inner = draw(pieces(shape, depth - 1))
        if inner == shape:
            branches.append(layer)
        elif len(inner) == len(shape) == 1:
            branches.append(Chain([layer, Dense(n)]))
    branches = branches or [Tanh()]
    container = draw(st.sampled_from(["residual", "sequential", "add", "mean", "concat"]))
    if container == "residual":
        return Residual(branches), shape
    if container == "sequential":
        return Sequential(branches), shape
    output_shape = (*shape[:-1], n * len(branches)) if container == "concat" else shape
    return Parallel(branches, merge=container), output_shape


@st.composite
def cases(draw) -> tuple[Sequential, np.ndarray, np.ndarray, Loss]:
    """Draw a network, five rows of x and y, and a loss."""
    shape = first = draw(st.sampled_from([(3,), (4,), (2, 3)]))
    layers = []
    for _ in range(draw(st.integers(1, 3))):
        layer, shape = draw(pieces(shape))
        layers.append(layer)
    loss, prediction, y = copy.deepcopy(draw(st.sampled_from(LOSSES)))
    layers.append(Flatten())
    if axes := prediction.shape[1:-1]:
        layers += [Dense(2 * prod(axes)), Reshape((*axes, 2))]
    positive = isinstance(loss, BCELoss) or not getattr(loss, "log_input", True)
    last = [Sigmoid()] if positive else [LogSoftmax()] if isinstance(loss, KLDivLoss) else []
    layers += [Dense(3), *last]
    seed = draw(st.integers(0, 9))
    dtype = draw(st.sampled_from(["float64", "float64", "float32"]))
    model = Sequential(layers, input_shape=first, rng=seed, dtype=dtype)
    x = np.random.default_rng(seed).normal(size=(5, *first)).astype(dtype)
    return model, x, y, loss


def for_random_networks(check, examples: int) -> None:
    options = {"deadline": None, "suppress_health_check": list(HealthCheck)}
    settings(max_examples=examples, **options)(given(cases())(check))()


def in_small_blocks():
    least = {"_MIN_BLOCK_ROWS": 7, "_MIN_BLOCK_SEQUENCES": 7, "_STORED_PER_PARAMETER": 0}
    return patch.multiple(plan, BLOCK_BYTES=1, **least)


@RUNS
def test_gradients_agree_with_central_differences(examples: int) -> None:
    def check(case) -> None:
        model, x, y, loss = case
        report = check_gradients(model, x, y, loss)
        assert report, f"{report}\n{model!r}"

    for_random_networks(check, examples)


@RUNS
def test_row_blocks_equal_the_whole_batch(examples: int) -> None:
    def check(case) -> None:
        model, x, y, loss = case
        if any(getattr(layer, "rng", None) for _, layer in walk(model)):
            return
        x, y = np.concatenate([x] * 8), np.concatenate([y] * 8)
        model.parameters.grad = np.zeros(model.parameters.size)
        twin = copy.deepcopy(model)
        j = loss.forward(model.forward(x), y)
        model.backward(loss.backward())
        weight = np.ones(len(x), model.dtype)
        with in_small_blocks():
            in_blocks = BlockGradient(twin, loss, threads=1)
            for sample_weight in (None, weight):
                total = in_blocks(x, y, sample_weight) - in_blocks.regularization
                assert total == pytest.approx(j, rel=1e-4 if model.dtype == "float32" else 1e-12)
            predictions = model.predict(x)
        model.parameters.add_regularizer_gradients()
        close = {"rtol": 1e-4, "atol": 1e-5} if model.dtype == "float32" else {"rtol": 1e-9}
        size = max(1.0, np.abs(model.parameters.grad).max())
        atol = close.pop("atol", 1e-12) * size
        np.testing.assert_allclose(twin.parameters.grad, model.parameters.grad, atol=atol, **close)
        np.testing.assert_allclose(predictions, model.predict(x), atol=atol, **close)

    for_random_networks(check, examples)


@RUNS
def test_threads_do_not_change_the_bits(examples: int) -> None:
    def check(case) -> None:
        model, x, y, loss = case
        x, y = np.concatenate([x] * 8), np.concatenate([y] * 8)
        model.compile(optimizer="adam", loss=loss)
        twin = copy.deepcopy(model)
        with in_small_blocks():
            for each, threads in ((model, 1), (twin, 2)):
                each.fit(x, y, batch_size=20, epochs=2, threads=threads, verbose=0)
        np.testing.assert_array_equal(twin.parameters.value, model.parameters.value, strict=True)
        assert twin.history == model.history

    for_random_networks(check, examples)


@RUNS
def test_saved_and_copied_models_continue_in_the_same_bits(examples: int, tmp_path) -> None:
    optimizers = iter(OPTIMIZERS * examples)

    def check(case) -> None:
        model, x, y, loss = case
        model.compile(optimizer=copy.deepcopy(next(optimizers)), loss=loss)
        options = {"batch_size": 3, "verbose": 0}
        model.fit(x, y, **options)
        model.save(tmp_path / "model")
        loaded = load(tmp_path / "model", custom_objects=FUNCTIONS)
        twins = [loaded, copy.deepcopy(model), through_pickle(model)]
        for each in (model, *twins):
            each.fit(x, y, **options)
        for twin in twins:
            assert repr(twin) == repr(model)
            assert twin.history == model.history
            values = twin.parameters.value, model.parameters.value
            np.testing.assert_array_equal(*values, strict=True)

    for_random_networks(check, examples)
