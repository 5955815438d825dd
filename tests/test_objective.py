"""The objective returns J and its exact derivative in float64."""

import numpy as np
import pytest
from typing_extensions import override

from minigrad import SGD, Dense, MSELoss, Sequential, Sigmoid, Tanh
from minigrad.regularizers import Regularizer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 2))
Y = X[:, 0] * X[:, 1]


class Square(Regularizer):
    """strength * |weight|^2."""

    @override
    def value(self, weight):
        return self.strength * float((weight**2).sum())

    @override
    def derivative(self, weight):
        return 2 * self.strength * weight


def make(**options) -> Sequential:
    model = Sequential(
        [Dense(3), Tanh(), Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=1, **options
    )
    model.compile(optimizer=SGD(learning_rate=0.5), loss=MSELoss())
    return model


def assert_derivative(f, theta: np.ndarray, free: np.ndarray) -> None:
    """Compare g with central differences; it is 0 for frozen parameters."""
    _, g = f(theta)
    expected = np.zeros_like(theta)
    for k in np.flatnonzero(free):
        step = np.zeros_like(theta)
        step[k] = 1e-6
        expected[k] = (f(theta + step)[0] - f(theta - step)[0]) / 2e-6
    np.testing.assert_allclose(g, expected, rtol=1e-6, atol=1e-8, strict=True)


@pytest.mark.parametrize("regularized", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_g_is_the_derivative_of_j(regularized: bool, frozen: bool, weighted: bool) -> None:
    model = make()
    if regularized:
        for dense in model.layers[::2]:
            dense.weight.regularizer = Square(0.5)
    model.layers[2].trainable = not frozen
    f = model.objective(X, Y, sample_weight=np.arange(20.0) if weighted else None)
    theta = np.random.default_rng(2).normal(size=model.parameters.size)
    free = np.repeat([p.trainable for p in model.parameters], [p.size for p in model.parameters])
    assert free.all() != frozen
    assert_derivative(f, theta, free)


@pytest.mark.parametrize("weight", [None, np.arange(20.0)])
def test_j_is_what_evaluate_reports(weight) -> None:
    model = make()
    model.layers[0].weight.regularizer = Square(0.5)
    theta = np.linspace(-1, 1, model.parameters.size)
    j, _ = model.objective(X, Y, sample_weight=weight)(theta)
    assert type(j) is float
    reported = model.evaluate(X, Y, sample_weight=weight)["loss"]
    assert j == pytest.approx(reported, rel=1e-14)
    np.testing.assert_array_equal(model.parameters.value, theta, strict=True)


def test_one_gradient_step_equals_one_epoch_of_fit() -> None:
    model, twin = make(), make()
    theta = model.parameters.value.copy()
    _, g = model.objective(X, Y)(theta)
    twin.fit(X, Y, batch_size=None, verbose=0)
    np.testing.assert_allclose(twin.parameters.value, theta - 0.5 * g, rtol=1e-14, strict=True)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_g_is_new_and_float64(dtype: str) -> None:
    model = make(dtype=dtype)
    f = model.objective(X, Y)
    theta = np.zeros(model.parameters.size)
    theta.flags.writeable = False
    _, g = f(theta)
    kept = g.copy()
    _, other = f(theta + 1)
    assert g.dtype == other.dtype == np.float64
    assert g.shape == (model.parameters.size,)
    assert not np.shares_memory(g, other)
    assert not np.shares_memory(g, model.parameters.grad)
    assert not np.shares_memory(theta, model.parameters.value)
    np.testing.assert_array_equal(g, kept, strict=True)
    np.testing.assert_array_equal(theta, 0)
    assert model.parameters.value.dtype == dtype


def test_same_theta_gives_the_same_bits() -> None:
    model = make()
    f = model.objective(X, Y)
    theta = model.parameters.value.copy()
    first = f(theta)
    f(theta + 1)
    model.forward(X[:3])
    again = f(theta)
    assert again[0] == first[0]
    np.testing.assert_array_equal(again[1], first[1], strict=True)


def test_frozen_parameters_do_not_follow_theta() -> None:
    model = make()
    kept = model.layers[0].weight.value.copy()
    model.layers[0].trainable = False
    _, g = model.objective(X, Y)(np.full(model.parameters.size, 0.5))
    np.testing.assert_array_equal(model.layers[0].weight.value, kept, strict=True)
    assert (model.layers[2].weight.value == 0.5).all()
    assert (g[:9] == 0).all()
    assert (g[9:] != 0).all()


def test_repeated_rows_give_the_same_function() -> None:
    model = make()
    x, y = np.tile(X, (3000, 1)), np.tile(Y, 3000)
    theta = model.parameters.value.copy()
    few, many = model.objective(X, Y)(theta), model.objective(x, y)(theta)
    assert many[0] == pytest.approx(few[0], rel=1e-12)
    np.testing.assert_allclose(many[1], few[1], rtol=1e-10, atol=1e-13, strict=True)


def test_huge_theta_does_not_warn() -> None:
    model = make()
    j, g = model.objective(X, Y)(np.full(model.parameters.size, 1e200))
    assert j == np.inf
    assert g.shape == (model.parameters.size,)


def test_loss_may_be_a_name() -> None:
    theta = np.zeros(25)
    assert make().objective(X, Y, loss="mse")(theta)[0] == make().objective(X, Y)(theta)[0]
    with pytest.raises(ValueError, match=r"'mes'.*'mse'"):
        make().objective(X, Y, loss="mes")


def test_loss_of_an_uncompiled_model() -> None:
    model = Sequential([Dense(1)], input_shape=(2,), rng=0)
    with pytest.raises(RuntimeError, match=r"loss=MSELoss"):
        model.objective(X, Y)
    f = model.objective(X, Y, loss=MSELoss(reduction="sum"))
    j, _ = f(np.zeros(3))
    assert j == pytest.approx((Y**2).sum(), rel=1e-14)


@pytest.mark.parametrize("theta", [np.zeros(24), np.zeros((25, 1)), 0.0])
def test_theta_of_another_shape_is_refused(theta) -> None:
    f = make().objective(X, Y)
    with pytest.raises(ValueError, match=r"the objective expects theta of shape \(25,\), got \("):
        f(theta)


def test_unsuitable_data_is_refused() -> None:
    with pytest.raises(ValueError, match="x holds nan"):
        make().objective(np.full((20, 2), np.nan), Y)
    with pytest.raises(ValueError, match=r"x has shape \(20, 2\), y has shape \(19,\)"):
        make().objective(X, Y[:19])


@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "CG"])
def test_scipy_minimizes_it(method: str) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    model = make()
    model.layers[0].trainable = False
    frozen = model.layers[0].weight.value.copy()
    f = model.objective(X, Y)
    start = model.parameters.value.copy()
    result = optimize.minimize(f, start, jac=True, method=method, options={"maxiter": 60})
    assert result.fun < 0.2 * f(start)[0]
    np.testing.assert_array_equal(result.x[:9], start[:9], strict=True)
    np.testing.assert_array_equal(model.layers[0].weight.value, frozen, strict=True)
