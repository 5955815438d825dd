"""Activations: accuracy, no warnings for finite inputs, and the derivative at kinks."""

import math
from decimal import Context, Decimal, localcontext

import numpy as np
import pytest

from minigrad import (
    ELU,
    GELU,
    SELU,
    Activation,
    Dense,
    Hardsigmoid,
    Hardtanh,
    Identity,
    Layer,
    LeakyReLU,
    LogSoftmax,
    Mish,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
    check_gradients,
)
from minigrad.layers.smooth import normal

EXACT = Context(prec=360, Emin=-999_999, Emax=999_999)
EVERY = [
    ELU(), ELU(0.5), GELU(), GELU(approximate="tanh"), SELU(), Hardsigmoid(), Hardtanh(),
    Identity(), LeakyReLU(), LogSoftmax(), Mish(), ReLU(), SiLU(), Sigmoid(), Softmax(),
    Softplus(), Softsign(), Tanh(),
]  # fmt: skip
Z = np.concatenate([-np.logspace(-3, 2.8, 50), [0.0], np.logspace(-3, 2.8, 30)])


def sigmoid(z: Decimal) -> Decimal:
    return 1 / (1 + (-z).exp())


def softplus(z: Decimal) -> Decimal:
    return (1 + z.exp()).ln()


def tanh(z: Decimal) -> Decimal:
    return 1 - 2 / ((2 * z).exp() + 1)


def gelu_tanh(z: Decimal) -> Decimal:
    pi = Decimal("3.14159265358979323846264338327950288419716939937510582")
    u = (2 / pi).sqrt() * (z + Decimal("0.044715") * z**3)
    return z * sigmoid(2 * u) if z > -40 else z * 0


DEFINITIONS = [
    (Softplus(), softplus),
    (SiLU(), lambda z: z * sigmoid(z)),
    (Mish(), lambda z: z * tanh(softplus(z))),
    (GELU(approximate="tanh"), gelu_tanh),
    (Tanh(), tanh),
    (Softsign(), lambda z: z / (1 + abs(z))),
    (ELU(0.5), lambda z: z if z > 0 else (z.exp() - 1) / 2),
    (LeakyReLU(0.25), lambda z: z if z > 0 else z / 4),
    (Hardsigmoid(), lambda z: min(max(z / 6 + Decimal("0.5"), 0), 1)),
]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("layer", "define"), DEFINITIONS, ids=[repr(d[0]) for d in DEFINITIONS])
def test_accuracy_against_exact_arithmetic(layer: Activation, define, dtype) -> None:
    z = Z.astype(dtype)
    with localcontext(EXACT):
        expected = np.array([float(define(Decimal(float(v)))) for v in z])
    # Rounding an exponent changes the result by eps times the exponent, relatively.
    size = np.abs(z.astype(float))
    exponent = 8 * size + 0.4 * size**3 if isinstance(layer, GELU) else size
    allowed = np.finfo(dtype).eps * (8 + exponent) * np.abs(expected)
    allowed += (1 + size) * np.finfo(dtype).smallest_subnormal
    with np.errstate(all="raise", under="ignore"):
        error = np.abs(layer.forward(z).astype(float) - expected)
    worst = int(np.argmax(error - allowed))
    assert error[worst] <= allowed[worst], (z[worst], expected[worst], error[worst])


@pytest.mark.parametrize(("dtype", "low"), [(np.float64, -37.5), (np.float32, -12.9)])
def test_the_normal_distribution(dtype, low: float) -> None:
    z = np.linspace(low, 10, 2001).astype(dtype)
    below, density = normal(z)
    exact = np.array([math.erfc(-float(v) / math.sqrt(2)) / 2 for v in z])
    # z^2 is rounded, and so is the argument of math.erfc: each changes the tail by z^2 eps.
    rtol = (6 + 2 * z.astype(float) ** 2) * np.finfo(dtype).eps
    np.testing.assert_array_less(np.abs(below - exact), rtol * exact)
    exact = np.exp(-0.5 * z.astype(float) ** 2) / math.sqrt(2 * math.pi)
    np.testing.assert_array_less(np.abs(density - exact), rtol * exact)
    assert below.dtype == density.dtype == dtype


def test_gelu_is_exact_by_default() -> None:
    z = np.linspace(-5, 5, 101)
    exact = np.array([v * math.erfc(-v / math.sqrt(2)) / 2 for v in z])
    np.testing.assert_allclose(GELU().forward(z), exact, rtol=1e-14, strict=True)
    np.testing.assert_array_equal(GELU(approximate="none").forward(z), GELU().forward(z))
    away = np.abs(GELU(approximate="tanh").forward(z) - exact).max()
    assert 1e-4 < away < 1e-3


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("layer", EVERY, ids=repr)
def test_finite_inputs_give_no_warning(layer: Layer, dtype) -> None:
    largest = float(np.finfo(dtype).max) / 1.1
    least = float(np.finfo(dtype).smallest_subnormal)
    sizes = [largest, 1e30, 1e4, 750.0, 100.0, 40.0, 1.0, 1e-30, least]
    for z in ([-largest, largest], sizes, [-s for s in sizes], [0.0, -0.0]):
        x = np.array([z], dtype)
        with np.errstate(all="raise", under="ignore"):
            a = layer.forward(x)
            back = layer.backward(np.ones_like(x))
        assert not np.isnan(a).any()
        assert np.isfinite(back).all()
        assert np.isfinite(a[x != -x.max()]).all()


@pytest.mark.parametrize(
    ("layer", "z", "slope"),
    [
        (ReLU(), 0.0, 0.0),
        (LeakyReLU(0.3), 0.0, 0.3),
        (ELU(0.5), 0.0, 0.5),
        (Hardtanh(), 1.0, 0.0),
        (Hardtanh(), -1.0, 0.0),
        (Hardsigmoid(), 3.0, 0.0),
        (Hardsigmoid(), -3.0, 0.0),
        (SELU(), 0.0, 1.0507009873554805 * 1.6732632423543772),
    ],
)
def test_the_derivative_at_a_kink(layer: Layer, z: float, slope: float) -> None:
    layer.forward(np.array([z]))
    np.testing.assert_array_equal(layer.backward(np.ones(1)), [slope])


def test_selu_keeps_mean_and_variance() -> None:
    z = np.random.default_rng(0).normal(size=1_000_000)
    a = SELU().forward(z)
    assert abs(a.mean()) < 0.005
    assert abs(a.var() - 1) < 0.005


def test_log_softmax_near_zero_and_near_one() -> None:
    z = np.array([[0.0, -50.0, -800.0], [3.0, 3.0, 3.0]])
    expected = [[-math.exp(-50), -50 - math.exp(-50), -800.0], [-math.log(3)] * 3]
    np.testing.assert_allclose(LogSoftmax().forward(z), expected, rtol=1e-15)


@pytest.mark.parametrize("name", ["leaky_relu", "elu", "selu", "gelu", "silu", "log_softmax"])
def test_activation_by_name_equals_a_separate_layer(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(5, 2))
    short = Sequential([Dense(3, name)], input_shape=(2,), rng=0)
    layer = type(short[0].activation)()
    apart = Sequential([Dense(3), layer], input_shape=(2,), rng=0)
    for a, b in zip(run(short, x), run(apart, x), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def run(model: Sequential, x: np.ndarray) -> list[np.ndarray]:
    output = model.forward(x)
    return [output, model.backward(np.cos(output)), model.parameters.grad.copy()]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LeakyReLU(-0.1), "LeakyReLU expects slope >= 0, got -0.1"),
        (lambda: ELU(-1), "ELU expects alpha >= 0, got -1"),
        (lambda: GELU(approximate="erf"), "GELU expects approximate='none' or 'tanh', got 'erf'"),
        (lambda: Sequential([Softmax()], input_shape=()), "rows are single numbers"),
    ],
)
def test_options_out_of_range(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_numpy_number_as_option_keeps_float32() -> None:
    layer = LeakyReLU(np.float64(0.1))
    assert layer.forward(np.ones((1, 1), np.float32)).dtype == np.float32
    assert repr(layer) == "LeakyReLU(slope=0.1)"


class HalfSquare(Activation):
    """a = z^2 / 2, whose derivative is z itself."""

    def function(self, z):
        return z * z / 2

    def derivative(self, cached):
        return cached


class Step(HalfSquare):
    """ReLU with a derivative of booleans."""

    def function(self, z):
        return np.maximum(z, 0)

    def derivative(self, cached):
        return cached > 0


@pytest.mark.parametrize("activation", [HalfSquare, Step])
def test_the_array_that_derivative_returns_is_not_written_to(activation) -> None:
    x = np.random.default_rng(0).normal(size=(6, 3))
    kept = x.copy()
    model = Sequential([activation(), Dense(1)], input_shape=(3,), rng=0)
    model.compile(optimizer="sgd", loss="mse")
    model.fit(x, np.zeros(6), batch_size=None, epochs=2, verbose=0)
    np.testing.assert_array_equal(x, kept, strict=True)
    assert check_gradients(model, x, np.zeros(6), "mse").passed


def test_derivative_of_another_dtype_raises() -> None:
    class Wide(HalfSquare):
        def derivative(self, cached):
            return cached * np.array([1.0])

    model = Sequential([Dense(2), Wide(), Dense(1)], input_shape=(3,), dtype="float32", rng=0)
    model.compile(optimizer="sgd", loss="mse")
    with pytest.raises(TypeError, match="Dense 'dense_1' expects delta of dtype float32, got floa"):
        model.fit(np.ones((4, 3)), np.zeros(4), verbose=0)
