"""Dropout: the dropped fraction, the scale, and the source of random numbers."""

import copy

import numpy as np
import pytest

from minigrad import Dense, Dropout, MSELoss, Sequential, Tanh, check_gradients

X = np.random.default_rng(0).normal(size=(50, 4))


def make(rng: object = 0, **options) -> Sequential:
    layers = [Dense(8), Tanh(), Dropout(0.3), Dense(1)]
    return Sequential(layers, input_shape=(4,), rng=rng, **options)


@pytest.mark.parametrize("rate", [0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_fraction_and_the_scale(rate: float, dtype: str) -> None:
    layer = Dropout(rate)
    layer.build((1000,), np.random.default_rng(0))
    a = layer.forward(np.full((1000, 1000), 3.0, dtype))
    assert a.dtype == dtype
    assert np.mean(a == 0) == pytest.approx(rate, abs=0.002)
    assert set(np.unique(a)) <= {0, np.array(3, dtype) * (np.array(1, dtype) / (1 - rate))}
    assert a.mean() == pytest.approx(3, rel=0.01)
    np.testing.assert_array_equal(layer.backward(np.full_like(a, 3)), a, strict=True)


def test_each_forward_uses_another_mask() -> None:
    layer = Dropout(0.5)
    layer.build((100,), np.random.default_rng(0))
    x = np.ones((1, 100))
    assert (layer.forward(x) != layer.forward(x)).any()


def test_numbers_are_dropped_independently() -> None:
    layer = Dropout(0.5)
    layer.build((4,), np.random.default_rng(0))
    kept = layer.forward(np.ones((10_000, 4))) > 0
    together = np.corrcoef(kept.T) - np.eye(4)
    assert np.abs(together).max() < 0.05
    assert np.abs(np.corrcoef(kept[1:, 0], kept[:-1, 0])[0, 1]) < 0.05


def test_inference_returns_a_copy_of_x() -> None:
    layer = Dropout(0.5)
    a = layer.forward(X, training=False)
    np.testing.assert_array_equal(a, X, strict=True)
    assert not np.shares_memory(a, X)


@pytest.mark.parametrize("source", [lambda: 7, lambda: np.random.RandomState(7)])
def test_a_seed_repeats_the_run(source) -> None:
    models = [make(source()), make(source())]
    for model in models:
        model.compile(optimizer="sgd", loss="mse")
        model.fit(X, X.sum(axis=1), epochs=3, verbose=0)
    np.testing.assert_array_equal(models[0].parameters.value, models[1].parameters.value)


def test_float32_uses_the_mask_of_float64() -> None:
    single, double = make(dtype="float32"), make()
    for model in (single, double):
        model.forward(X)
    np.testing.assert_array_equal(single[2].cache == 0, double[2].cache == 0, strict=True)


def test_a_copy_has_its_own_generator_in_the_same_state() -> None:
    model = make()
    model.forward(X)
    twin = copy.deepcopy(model)
    assert twin[2].rng is twin.rng is not model.rng
    np.testing.assert_array_equal(twin.forward(X), model.forward(X), strict=True)


def test_gradients_are_exact() -> None:
    assert check_gradients(make(), X[:5], np.ones(5), MSELoss())


@pytest.mark.parametrize("rate", [1, 1.5, -0.1, float("nan")])
def test_rate_out_of_range(rate: float) -> None:
    with pytest.raises(ValueError, match="Dropout expects 0 <= rate < 1, got"):
        Dropout(rate)
