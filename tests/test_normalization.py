"""Normalization layers: definition, running statistics, and errors."""

import numpy as np
import pytest

from helpers import says
from minigrad import (
    SGD,
    BatchNorm,
    Dense,
    DivergedError,
    Flatten,
    GroupNorm,
    LayerNorm,
    MSELoss,
    RMSNorm,
    Sequential,
    Tanh,
    check_gradients,
)

RNG = np.random.default_rng(0)
X = RNG.normal(3, 2, size=(40, 3))


def built(layer, shape=(3,), **options):
    return Sequential([layer], input_shape=shape, rng=0, **options)[0]


def test_batch_norm_in_training_and_inference() -> None:
    layer = built(BatchNorm(epsilon=0.01))
    layer.gamma.value, layer.beta.value = [1.0, 2.0, 3.0], [0.5, 0.0, -0.5]
    n = (X - X.mean(axis=0)) / np.sqrt(X.var(axis=0) + 0.01)
    expected = n * [1, 2, 3] + [0.5, 0, -0.5]
    np.testing.assert_allclose(layer.forward(X), expected, rtol=1e-12, atol=1e-14)
    mean, variance = 0.1 * X.mean(axis=0), 0.9 + 0.1 * X.var(axis=0, ddof=1)
    np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-13, strict=True)
    np.testing.assert_allclose(layer.running_variance, variance, rtol=1e-13, strict=True)
    n = (X - mean) / np.sqrt(variance + 0.01)
    expected = n * [1, 2, 3] + [0.5, 0, -0.5]
    np.testing.assert_allclose(layer.forward(X, training=False), expected, rtol=1e-12, atol=1e-14)


def test_batch_norm_reduces_all_axes_but_the_last() -> None:
    flat, shaped = built(BatchNorm()), built(BatchNorm(), (4, 3))
    x = X.reshape(10, 4, 3)
    np.testing.assert_allclose(shaped.forward(x).reshape(40, 3), flat.forward(X), rtol=1e-12)
    back = shaped.backward(np.cos(x)).reshape(40, 3)
    np.testing.assert_allclose(back, flat.backward(np.cos(X)), rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(shaped.gamma.grad, flat.gamma.grad, rtol=1e-12)
    np.testing.assert_allclose(shaped.running_variance, flat.running_variance, rtol=1e-13)


def test_running_statistics_are_new_arrays() -> None:
    layer = built(BatchNorm())
    kept = layer.running_mean
    layer.forward(X)
    assert (kept == 0).all()
    assert layer.running_mean is not kept


def test_batch_that_is_not_finite_keeps_the_running_statistics() -> None:
    model = Sequential([BatchNorm(), Dense(1)], input_shape=(3,), rng=0)
    model.compile(optimizer=SGD(learning_rate=0.1), loss=MSELoss())
    x = X.copy()
    x[35] = 1e200
    model.fit(x, X[:, 0], batch_size=10, shuffle=False, verbose=0)
    with pytest.raises(DivergedError):
        model.fit(X, np.full(40, 1e300), batch_size=10, verbose=0)
    assert np.isfinite(model[0].running_variance).all()
    assert np.isfinite(model.predict(X)).all()


def test_a_frozen_batch_norm_uses_its_running_statistics_and_keeps_them() -> None:
    model = Sequential([Dense(3), BatchNorm(), Dense(2)], input_shape=(3,), rng=0)
    x, y = np.random.default_rng(0).normal(size=(6, 3)), np.zeros((6, 2))
    norm = model.layers[1]
    model.forward(x)
    mean, variance = norm.running_mean.copy(), norm.running_variance.copy()
    norm.trainable = False
    np.testing.assert_array_equal(model.forward(x), model.predict(x))
    for rows in (6, 1):
        report = check_gradients(model, x[:rows], y[:rows], MSELoss())
        assert report.passed, report
    np.testing.assert_array_equal(norm.running_mean, mean)
    np.testing.assert_array_equal(norm.running_variance, variance)
    assert "running_mean" in norm.equation


def test_a_constant_feature_becomes_beta() -> None:
    for layer in (built(BatchNorm()), built(LayerNorm()), built(GroupNorm(1))):
        layer.beta.value = np.full(3, 0.5)
        np.testing.assert_array_equal(layer.forward(np.full((8, 3), 7.0)), np.full((8, 3), 0.5))


@pytest.mark.parametrize("order", ["C", "F"])
def test_float32_statistics_of_many_rows_are_accurate(order: str) -> None:
    x = np.asarray(RNG.normal(5, 1, size=(300_000, 2)), dtype=np.float32, order=order)
    single, double = built(BatchNorm(), (2,), dtype="float32"), built(BatchNorm(), (2,))
    h, exact = single.forward(x), double.forward(x.astype(np.float64))
    np.testing.assert_allclose(h, exact, atol=1e-5)
    np.testing.assert_allclose(single.running_variance, double.running_variance, rtol=1e-6)
    delta = 1 + np.cos(exact)
    single.backward(delta.astype(np.float32))
    double.backward(delta)
    np.testing.assert_allclose(single.beta.grad, double.beta.grad, rtol=1e-6)


def test_layer_norm_works_row_by_row() -> None:
    layer = built(LayerNorm(epsilon=0.01))
    n = (X - X.mean(axis=1, keepdims=True)) / np.sqrt(X.var(axis=1, keepdims=True) + 0.01)
    for training in (False, True):
        h = layer.forward(X, training=training)
        np.testing.assert_allclose(h, n, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(layer.forward(X[5:6]), h[5:6], rtol=1e-14)


@pytest.mark.parametrize("layer", [LayerNorm(), RMSNorm()])
def test_rows_of_any_rank_and_memory_order(layer) -> None:
    flat, shaped, open_ = built(layer), built(type(layer)(), (4, 3)), type(layer)()
    open_.build((None, 3), np.random.default_rng(0))
    x, delta = X.reshape(10, 4, 3), np.cos(X).reshape(10, 4, 3)
    expected, back = flat.forward(X), flat.backward(np.cos(X))
    for other in (shaped, open_):
        output = other.forward(np.asfortranarray(x))
        np.testing.assert_allclose(output.reshape(40, 3), expected, rtol=1e-13, atol=1e-15)
        output = other.backward(np.asfortranarray(delta))
        np.testing.assert_allclose(output.reshape(40, 3), back, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(other.gamma.grad, flat.gamma.grad, rtol=1e-12)


def test_rms_norm_divides_by_the_root_mean_square() -> None:
    layer = built(RMSNorm(epsilon=0.01))
    assert [path for path, _ in layer.named_parameters()] == ["gamma"]
    layer.gamma.value = [1.0, 2.0, 3.0]
    n = X / np.sqrt((X**2).mean(axis=1, keepdims=True) + 0.01)
    np.testing.assert_allclose(layer.forward(X), n * [1, 2, 3], rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_default_epsilon_of_rms_norm(dtype: str) -> None:
    layer, root = built(RMSNorm(), dtype=dtype), np.finfo(dtype).eps ** 0.5
    x = np.full((1, 3), root, dtype)
    np.testing.assert_allclose(layer.forward(x), 0.5**0.5, rtol=1e-6)
    assert (layer.forward(0 * x) == 0).all()


@pytest.mark.parametrize("groups", [1, 3, 6])
def test_group_norm_works_group_by_group(groups: int) -> None:
    layer, x = built(GroupNorm(groups), (2, 5, 6)), RNG.normal(3, 2, size=(4, 2, 5, 6))
    layer.gamma.value, layer.beta.value = np.arange(1.0, 7.0), np.arange(6.0)
    split = np.stack(np.split(x, groups, axis=-1), axis=-2)
    mean = split.mean(axis=(1, 2, 4), keepdims=True)
    n = (split - mean) / np.sqrt(split.var(axis=(1, 2, 4), keepdims=True) + 1e-5)
    expected = n.reshape(x.shape) * np.arange(1, 7) + np.arange(6)
    np.testing.assert_allclose(layer.forward(x), expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(
        layer.forward(np.asfortranarray(x)), expected, rtol=1e-12, atol=1e-13
    )


def test_group_norm_of_one_group_is_layer_norm() -> None:
    one, other = built(GroupNorm(1)), built(LayerNorm())
    np.testing.assert_allclose(one.forward(X), other.forward(X), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        one.backward(np.cos(X)), other.backward(np.cos(X)), rtol=1e-10, atol=1e-13
    )


def test_group_norm_of_a_length_that_varies() -> None:
    layer = GroupNorm(2)
    layer.build((None, 4), np.random.default_rng(0))
    for places in (3, 1):
        x = RNG.normal(size=(2, places, 4))
        output = layer.forward(x)
        np.testing.assert_allclose(output.reshape(2, -1, 2, 2).mean(axis=(1, 3)), 0, atol=1e-14)
        assert layer.backward(output).shape == x.shape


def test_groups_that_do_not_divide_the_features() -> None:
    with says(ValueError, "GroupNorm 'group_norm_1'", "2 groups", "got 3"):
        built(GroupNorm(2))
    with says(ValueError, "GroupNorm", "groups", "0"):
        GroupNorm(0)


def test_batch_norm_refuses_a_batch_of_one_row() -> None:
    layer = built(BatchNorm())
    with pytest.raises(ValueError, match=r"BatchNorm 'batch_norm_1' expects .* at least 2 rows"):
        layer.forward(X[:1])
    assert layer.forward(X[:1], training=False).shape == (1, 3)
    built(BatchNorm(), (4, 3)).forward(X[:4].reshape(1, 4, 3))


@pytest.mark.parametrize("layer", [BatchNorm(), LayerNorm(), RMSNorm(), GroupNorm(3)])
def test_rows_of_another_shape(layer) -> None:
    layer = built(layer)
    for wrong in (X[:, :1], X[:, :2], X[:, 0], X[:, :, None]):
        with pytest.raises(ValueError, match=r"norm_1' expects input of shape \(batch, 3\), got"):
            layer.forward(wrong)
    with pytest.raises(ValueError, match="rows are single numbers"):
        built(type(layer)(**layer.get_config()), ())


@pytest.mark.parametrize("options", [{"momentum": 1}, {"momentum": -0.1}, {"epsilon": 0}])
def test_options_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="BatchNorm expects"):
        BatchNorm(**options)


@pytest.mark.parametrize("rows", [5_000, 100_000])
def test_batch_dependent_model_runs_whole_batches(rows: int) -> None:
    x = np.random.default_rng(0).normal(size=(rows, 2))
    y = x[:, 0]
    fitted, by_hand = (
        Sequential([Dense(3), BatchNorm(), Tanh(), Dense(1)], input_shape=(2,), rng=0)
        for _ in range(2)
    )
    fitted.compile(optimizer=SGD(learning_rate=0.5), loss=MSELoss())
    history = fitted.fit(x, y, epochs=2, batch_size=None, verbose=0)
    loss, optimizer = MSELoss(), SGD(learning_rate=0.5)
    for j in history["loss"]:
        assert j == pytest.approx(loss.forward(by_hand.forward(x), y), rel=1e-12)
        by_hand.backward(loss.backward())
        optimizer.step(by_hand.parameters)
    np.testing.assert_allclose(
        fitted.parameters.value, by_hand.parameters.value, rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(fitted[1].running_mean, by_hand[1].running_mean, rtol=1e-9)


@pytest.mark.parametrize(
    ("rows", "batch_size", "left"), [(33, 32, 1), (5, 1, 1), (1, None, 1), (7, 3, 1)]
)
def test_single_row_left_over_raises_before_training(rows, batch_size, left) -> None:
    model = Sequential([BatchNorm(), Dense(1)], input_shape=(2,), rng=0)
    model.compile(optimizer="sgd", loss="mse")
    before = model.parameters.value.copy()
    message = rf"expects at least 2 rows in a training batch, got {left} .*{rows} rows"
    with pytest.raises(ValueError, match=f"BatchNorm 'batch_norm_1' {message}"):
        model.fit(np.ones((rows, 2)), np.ones(rows), batch_size=batch_size, verbose=0)
    np.testing.assert_array_equal(model.parameters.value, before, strict=True)
    assert (model[0].running_mean == 0).all()


def test_single_row_with_several_positions_has_a_variance() -> None:
    model = Sequential([BatchNorm(), Flatten(), Dense(1)], input_shape=(3, 2), rng=0)
    model.compile(optimizer="sgd", loss="mse")
    x = np.random.default_rng(0).normal(size=(1, 3, 2))
    model.fit(x, [1], verbose=0)
    np.testing.assert_allclose(
        model[0].running_variance, 0.9 + 0.1 * x[0].var(axis=0, ddof=1), rtol=1e-12
    )
