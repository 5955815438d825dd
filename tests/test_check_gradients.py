"""check_gradients passes correct gradients, and names the place of a wrong one."""

from collections.abc import Callable

import numpy as np
import pytest

from helpers import Swish, all_slow_but, slow
from minigrad import (
    SELU,
    Activation,
    BCELoss,
    Dense,
    Hardtanh,
    HingeLoss,
    Layer,
    LayerNorm,
    LeakyReLU,
    Loss,
    MSELoss,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
    check_gradients,
)

X = np.random.default_rng(1).normal(size=(6, 3))


class WrongSigmoid(Sigmoid):
    def derivative(self, cached):
        return 1 - cached


class NoSlope(Activation):
    def function(self, z):
        return np.tanh(z)

    def derivative(self, cached):
        return np.ones_like(cached)


class TransposedWeight(Dense):
    def _parameter_gradients(self, delta):
        super()._parameter_gradients(delta)
        self.weight.grad = self.weight.grad.T.copy()
        return delta


class MeanBias(Dense):
    def _parameter_gradients(self, delta):
        super()._parameter_gradients(delta)
        self.bias.grad = delta.mean(axis=0)
        return delta


class WrongInput(Dense):
    def backward(self, delta):
        return 1.001 * super().backward(delta)


class StillInput(Dense):
    def backward(self, delta):
        return 0 * super().backward(delta)


class WrongBeta(Swish):
    def backward(self, delta):
        back = super().backward(delta)
        self.beta.grad = -self.beta.grad
        return back


class LeavesOut(Dense):
    def _parameter_gradients(self, delta):
        self.bias.grad = delta.sum(axis=0)
        return delta


class AddsUp(Swish):
    def backward(self, delta):
        before = float(self.beta.grad)
        back = super().backward(delta)
        self.beta.grad += before
        return back


class WrongLoss(MSELoss):
    def terms(self, prediction, target):
        terms, slope = super().terms(prediction, target)
        return terms, slope / 2


@pytest.mark.parametrize("units", [1, 2, 5])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_correct_gradients_pass(units: int, reduction: str, depth: int) -> None:
    kinds = [Sigmoid, Tanh, ReLU, Softmax, Swish]
    layers: list[Layer] = []
    for level in range(depth - 1):
        layers += [Dense(4 + level), kinds[level]()]
    model = Sequential([*layers, Dense(units)], input_shape=(3,), rng=depth)
    y = np.random.default_rng(0).normal(size=(6, units))
    report = check_gradients(model, X, y, MSELoss(reduction=reduction, scale=0.7))
    assert report.passed, report


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        (WrongSigmoid(name="bent"), "input"),
        (NoSlope(), "input"),
        (TransposedWeight(3, name="turned"), "turned.weight"),
        (MeanBias(2, name="averaged"), "averaged.bias"),
        (WrongInput(2), "input"),
        (WrongBeta(name="swish"), "swish.beta"),
        (AddsUp(name="adding"), "adding.beta"),
    ],
)
def test_wrong_gradient_is_named(wrong: Layer, place: str) -> None:
    y = np.zeros((6, getattr(wrong, "units", 3)))
    report = check_gradients(wrong, X, y, MSELoss())
    assert not report
    worst = f"{report.worst.layer}.{report.worst.parameter}".lstrip(".")
    assert worst == place
    assert str(report).startswith(f"FAILED: {place}[")


@pytest.mark.parametrize("start", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (WrongBeta(name="swish"), "-1x: wrong sign?"),
        (AddsUp(name="adding"), "2x: += instead of =?"),
        (MeanBias(2, name="averaged"), "1/6x: mean, not sum?"),
        (LeavesOut(2, name="lazy"), "0x: not set in backward?"),
        (TransposedWeight(3, name="turned"), ""),
    ],
)
def test_known_factor_gives_a_hint(wrong: Layer, hint: str, start: float) -> None:
    y = np.full((6, getattr(wrong, "units", 3)), start)
    report = check_gradients(wrong, X, y, MSELoss())
    (failing,) = [c for c in report.comparisons if c.error > report.tolerance]
    assert failing.hint == hint
    (row,) = (row for row in str(report).splitlines() if "  FAILED" in row)
    assert row.endswith(f"  FAILED, {hint}" if hint else "  FAILED")
    assert len(row) <= 80


def test_loss_with_half_the_gradient_gives_a_hint() -> None:
    model = Sequential([Dense(2)], input_shape=(3,), rng=0)
    report = check_gradients(model, X, np.zeros((6, 2)), WrongLoss())
    assert {c.hint for c in report.comparisons} == {"1/2x: factor 2 missing?"}


def test_wrong_gradient_deep_in_a_model_is_found() -> None:
    layers = [Dense(4), Tanh(), MeanBias(3, name="odd"), Tanh(), Dense(1)]
    model = Sequential(layers, input_shape=(3,), rng=0)
    report = check_gradients(model, X, np.zeros((6, 1)), MSELoss())
    failing = [c.place for c in report.comparisons if c.error > report.tolerance]
    assert len(failing) == 1
    assert failing[0].startswith("odd.bias[")


def test_wrong_loss_fails_for_every_array() -> None:
    model = Sequential([Dense(2)], input_shape=(3,), rng=0)
    report = check_gradients(model, X, np.zeros((6, 2)), WrongLoss())
    assert all(c.error > report.tolerance for c in report.comparisons)


def test_model_does_not_change() -> None:
    model = Sequential([Dense(2)], input_shape=(3,), rng=0, dtype="float32")
    before = model.parameters.value.copy()
    state = model.rng.bit_generator.state
    assert check_gradients(model, X, np.zeros((6, 2)), MSELoss())
    np.testing.assert_array_equal(model.parameters.value, before, strict=True)
    assert model.dtype == model.predict(X).dtype == np.float32
    assert model.rng.bit_generator.state == state
    with pytest.raises(RuntimeError, match="forward"):
        model.layers[0].backward(np.zeros((6, 2)))


def test_loss_does_not_change() -> None:
    loss: Loss = MSELoss()
    check_gradients(Dense(1), X, np.zeros(6), loss)
    with pytest.raises(RuntimeError, match="MSELoss"):
        loss.backward()


XOR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TRUTH = np.array([1.0, 0.0, 0.0, 1.0])


class SteepReLU(ReLU):
    def derivative(self, cached):
        return 1.001 * super().derivative(cached)


class WrongAtZero(Activation):
    """Smooth, so that no kink excuses the wrong derivative at 0."""

    def function(self, z):
        return z * z + z

    def derivative(self, cached):
        return np.where(cached == 0, 0.5, 2 * cached + 1)


@pytest.mark.parametrize("start", all_slow_but([0.0, 1e-7, -3e-6, 2e-5], 0.0, 2e-5))
@pytest.mark.parametrize("kind", [ReLU, LeakyReLU, Hardtanh])
@pytest.mark.parametrize("loss", ["mse", "l1", "huber"])
def test_kink_passes(kind: type[Layer], start: float, loss: str) -> None:
    bias = np.full(4, start) + (kind is Hardtanh)
    layers = [Dense(4, kind(), bias_initializer=bias), Residual([Dense(4, "relu")]), Dense(1)]
    model = Sequential(layers, input_shape=(2,), rng=0)
    report = check_gradients(model, XOR, TRUTH, loss)
    assert report.passed, report
    if not start:
        lines = [row for row in str(report).splitlines() if row.startswith("dense_1.bias[")]
        assert lines[-1].endswith("  agrees, near a kink")


def test_gradient_outside_of_the_one_sided_differences_passes() -> None:
    model = Sequential([Dense(1, "relu", weight_initializer="zeros")], input_shape=(1,), rng=0)
    report = check_gradients(model, np.array([[1.0], [-1.0]]), np.array([1.0, 3.0]), "mse")
    assert report.passed, report


SEEDS = [range(1), pytest.param(range(1, 20), marks=pytest.mark.slow)]


@pytest.mark.parametrize("seeds", SEEDS, ids=["fast", "slow"])
@pytest.mark.parametrize("loss", ["mse", "huber", "bce_with_logits"])
@pytest.mark.parametrize("kind", [ReLU, LeakyReLU, SELU])
def test_kinks_that_no_single_number_shows_pass(kind: type[Layer], loss: str, seeds: range) -> None:
    """If a bias of 0 moves either way, the units behind it may all move to the same side."""
    for seed in seeds:
        layers = [Dense(2, kind()), Dense(2, kind()), Dense(1)]
        model = Sequential(layers, input_shape=(2,), rng=seed)
        report = check_gradients(model, XOR, TRUTH, loss)
        assert report.passed, report


@pytest.mark.parametrize("seeds", SEEDS, ids=["fast", "slow"])
@pytest.mark.parametrize("loss", ["mse", "huber"])
@pytest.mark.parametrize(
    "layers",
    [
        lambda: [Dense(3), LayerNorm(), ReLU(), Dense(1)],
        lambda: [*(Dense(3, "selu") for _ in range(4)), Dense(1)],
    ],
)
def test_jump_of_the_curvature_passes(
    layers: Callable[[], list[Layer]], loss: str, seeds: range
) -> None:
    for seed in seeds:
        model = Sequential(layers(), input_shape=(2,), rng=seed)
        report = check_gradients(model, XOR, 1 - TRUTH, loss)
        assert report.passed, report


def test_kinks_that_cancel_pass() -> None:
    """relu(x) - relu(-x) is x, but its gradient at 0 is 0."""
    weight = np.array([[1.0, -1.0]])
    hidden = Dense(2, "relu", weight_initializer=weight)
    model = Sequential([hidden, Dense(1, weight_initializer=weight.T)], input_shape=(1,))
    report = check_gradients(model, np.array([[0.0]]), np.ones(1), "mse")
    assert report.passed, report
    assert report.comparisons[-1].beside_kink


def test_large_inputs_pass() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        layers = [Dense(4, "tanh"), Residual([Dense(4, "tanh")]), Dense(1)]
        model = Sequential(layers, input_shape=(3,), rng=seed)
        report = check_gradients(model, 1e3 * rng.normal(size=(5, 3)), rng.normal(size=5), "l1")
        assert report.passed, report


@pytest.mark.parametrize(
    ("kind", "side"),
    [(ReLU, 1), slow(LeakyReLU, 1), (LeakyReLU, -1), slow(SELU, 1), slow(SELU, -1)],
)
@pytest.mark.parametrize("where", [np.s_[:, 1], np.s_[0]], ids=["unit", "row"])
@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(1, 5), marks=pytest.mark.slow)])
def test_partly_wrong_gradient_near_a_kink_is_found(kind, where, side: int, seeds: range) -> None:
    """Row 0 lies on the kinks. One unit, or that row, is wrong on one side of the kink."""

    class Partly(kind):
        def function(self, z):
            self.wrong = np.ones_like(z)
            self.wrong[where] += 1e-3 * (np.sign(z[where]) == side)
            return super().function(z)

        def derivative(self, cached):
            return self.wrong * super().derivative(cached)

    for seed in seeds:
        model = Sequential(
            [Dense(4), Partly(), Dense(4, kind()), Dense(1)], input_shape=(2,), rng=seed
        )
        report = check_gradients(model, XOR, TRUTH, "bce_with_logits")
        failing = [c.path for c in report.comparisons if c.error > report.tolerance]
        assert failing
        assert set(failing) <= {"dense_1.weight", "dense_1.bias", "input"}, report


@pytest.mark.parametrize(
    ("layers", "place"),
    [
        ([MeanBias(1), ReLU()], "mean_bias_1.bias[0]"),
        ([MeanBias(4), ReLU(), Dense(1)], "mean_bias_1.bias["),
        ([Dense(4), SteepReLU(), Dense(1)], "dense_1.bias["),
        ([ReLU(), WrongInput(1)], "input["),
        ([Dense(4), ReLU(), TransposedWeight(4), ReLU(), Dense(1)], "transposed_weight_1.weight["),
        ([Dense(4), ReLU(), NoSlope(), Dense(1)], "dense_1.bias["),
        ([WrongAtZero(), Dense(1)], "input["),
    ],
)
def test_wrong_gradient_near_a_kink_is_found(layers: list[Layer], place: str) -> None:
    report = check_gradients(Sequential(layers, input_shape=(2,), rng=0), XOR, TRUTH, "mse")
    assert not report
    assert place in [c.place[: len(place)] for c in report.comparisons if c.error > 1e-6], report


@pytest.mark.parametrize("scale", all_slow_but([1e-12, 1e-6, 1e-3, 1e3, 1e6, 1e12], 1e-12, 1e12))
def test_arrays_may_have_any_scale(scale: float) -> None:
    weight = np.random.default_rng(0).normal(size=(3, 4)) / scale
    y = np.random.default_rng(1).normal(size=(6, 1))

    def check(kind: type[Dense]):
        first = kind(4, weight_initializer=weight)
        return check_gradients(Sequential([first, Tanh(), Dense(1)], rng=0), scale * X, y, "mse")

    report = check(Dense)
    assert report.passed, report
    assert not any(c.beside_kink for c in report.comparisons)
    for wrong, place in ((WrongInput, "input"), (MeanBias, "bias"), (StillInput, "input")):
        report = check(wrong)
        failing = [c.parameter for c in report.comparisons if c.error > report.tolerance]
        assert failing == [place], report


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("loss", [HingeLoss(), MSELoss()])
def test_loss_that_is_not_finite_is_refused(number: float, loss: Loss) -> None:
    model = Sequential([Dense(1)], input_shape=(3,), rng=0)
    model["dense_1"].weight.value[...] = number
    with pytest.raises(ValueError, match="the output of Dense 'dense_1'"):
        check_gradients(model, X, np.ones(6), loss)


def test_wrong_array_takes_few_evaluations() -> None:
    calls = 0

    class Wrong(Dense):
        def forward(self, x, *, training=True):
            nonlocal calls
            calls += 1
            return super().forward(x, training=training)

        def backward(self, delta):
            back = super().backward(delta)
            self.weight.grad *= 0.5
            return back

    model = Sequential([Wrong(8), Dense(2)], input_shape=(20,), rng=0)
    x, y = np.random.default_rng(0).normal(size=(3, 20)), np.zeros((3, 2))
    assert not check_gradients(model, x, y, "mse")
    assert calls < 8 * (8 * 20 + 8 + 18 + 60)


@pytest.mark.parametrize("logit", [28.0, 32.0, 36.0, 38.0])
def test_saturated_sigmoid_before_bce_is_not_accused(logit: float) -> None:
    model = Sequential([Dense(3), Tanh(), Dense(1), Sigmoid()], input_shape=(2,), rng=0)
    model["dense_2"].bias.value = np.array([logit])
    x = np.random.default_rng(0).normal(size=(5, 2))
    assert check_gradients(model, x, np.array([0.0, 1.0, 0.0, 1.0, 0.0]), BCELoss())


def test_report_counts_one_gradient() -> None:
    x = np.random.default_rng(0).normal(size=(5, 2))
    report = check_gradients(Sequential([Tanh()], input_shape=(2,)), x, x, MSELoss())
    assert "1 gradient agrees" in str(report)
