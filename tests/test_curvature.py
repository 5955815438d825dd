"""Curvature, the stability limit, the range of outputs, and the least loss."""

import math

import numpy as np
import pytest

from minigrad import (
    ELU,
    L2,
    SELU,
    SGD,
    Activation,
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    Dense,
    Dropout,
    HingeLoss,
    HuberLoss,
    Identity,
    L1Loss,
    LeakyReLU,
    LogSoftmax,
    MSELoss,
    Parameter,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from minigrad.data.rows import Rows
from minigrad.diagnose.case import Case
from minigrad.diagnose.landscape import Landscape, largest_curvature
from minigrad.diagnose.limits import least_loss, output_range
from minigrad.diagnose.trials import stability_limit

INF = math.inf


def dense_hessian(landscape: Landscape, theta: np.ndarray) -> np.ndarray:
    """Return the Hessian column by column, by central differences of the gradient."""
    step = 1e-5
    columns = [
        (landscape(theta + step * e)[1] - landscape(theta - step * e)[1]) / (2 * step)
        for e in np.eye(theta.size)
    ]
    return (np.array(columns) + np.array(columns).T) / 2


def landscape_of(*layers, seed: int = 0) -> Landscape:
    rng = np.random.default_rng(seed)
    model = Sequential(layers, input_shape=(4,), rng=seed)
    rows = Rows(rng.normal(size=(100, 4)), rng.normal(size=(100, 2)))
    return Landscape(model, MSELoss(), rows)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "layers",
    [
        lambda: [Dense(2)],
        lambda: [Dense(5), Sigmoid(), Dense(2)],
        lambda: [Dense(6), Tanh(), Dense(6), Tanh(), Dense(2)],
        lambda: [Dense(8), SiLU(), Dropout(0.5), Dense(2, weight_regularizer=L2(0.5))],
        lambda: [Dense(5, weight_initializer="normal"), Tanh(), Dense(2), Sigmoid()],
    ],
)
def test_largest_curvature_matches_dense_hessian(layers, seed: int) -> None:
    landscape = landscape_of(*layers(), seed=seed)
    largest = np.linalg.eigvalsh(dense_hessian(landscape, landscape.start))[-1]
    found = largest_curvature(landscape, landscape.start)
    assert found == pytest.approx(largest, rel=0.01)


@pytest.mark.parametrize(
    ("eigenvalues", "largest"),
    [([-9.0, 1.0, 3.0], 3.0), ([-2.0, -1.0], -1.0), ([0.0, 0.0], 0.0), ([2.0] * 50, 2.0)],
)
def test_largest_curvature_with_known_eigenvalues(eigenvalues, largest) -> None:
    found = largest_curvature(
        lambda theta: (0.0, np.array(eigenvalues) * theta), np.ones_like(eigenvalues)
    )
    assert found == pytest.approx(largest, abs=1e-6)


def test_relu_at_its_kink_adds_no_curvature() -> None:
    model = Sequential([Dense(8), ReLU(), Dense(2)], input_shape=(2,), rng=0)
    x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # the first row meets zero biases
    landscape = Landscape(model, MSELoss(), Rows(x, np.ones((3, 2))))
    assert 0 < largest_curvature(landscape, landscape.start) < 50


def test_largest_curvature_is_nan_if_a_gradient_is() -> None:
    assert math.isnan(
        largest_curvature(lambda theta: (0.0, np.full_like(theta, np.nan)), np.ones(3))
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.5, "nesterov": True},
        {"momentum": 0.9, "nesterov": True},
        {"weight_decay": 3.0},
        {"momentum": 0.9, "weight_decay": 1.0},
    ],
)
def test_descent_converges_below_the_limit_and_diverges_above(options) -> None:
    curvature = 4.0
    limit = stability_limit(SGD(**options), curvature)
    ends = []
    for rate in (0.98 * limit, 1.02 * limit):
        sgd, p = SGD(learning_rate=rate, **options), Parameter(np.ones(1))
        for _ in range(2000):
            p.grad = curvature * p.value
            sgd.step([p])
        ends.append(abs(float(p.value[0])))
    assert ends[0] < 1e-3
    assert ends[1] > 1e3


def test_limit_is_infinite_without_curvature() -> None:
    assert stability_limit(SGD(), 0.0) == stability_limit(SGD(), -1.0) == INF


class Arctan(Activation):
    def function(self, z):
        return np.arctan(z)

    def derivative(self, z):
        return 1 / (1 + z * z)


class Log1p(Activation):
    def function(self, z):
        return np.sign(z) * np.log1p(np.abs(z))

    def derivative(self, z):
        return 1 / (1 + np.abs(z))


@pytest.mark.parametrize(
    ("layers", "low", "high"),
    [
        ([Sigmoid()], 0, 1),
        ([Tanh()], -1, 1),
        ([ReLU()], 0, INF),
        ([LeakyReLU()], -INF, INF),
        ([ELU(0.5)], -0.5, INF),
        ([SELU()], -1.7580993408473766, INF),
        ([SiLU()], -0.2784645, INF),
        ([Softplus()], 0, INF),
        ([Identity()], -INF, INF),
        ([Softmax()], 0, 1),
        ([LogSoftmax()], -INF, 0),
        ([Arctan()], -math.pi / 2, math.pi / 2),
        ([Log1p()], -INF, INF),
        ([Sigmoid(), LogSoftmax()], -math.log(1 + 2 * math.e), -math.log(1 + 2 / math.e)),
        ([], -INF, INF),
    ],
)
def test_output_range(layers, low: float, high: float) -> None:
    for layer in layers:
        layer.build((3,), np.random.default_rng(0))
    found = output_range(layers, (3,))
    assert found == (pytest.approx(low, abs=2e-3), pytest.approx(high, abs=2e-3))


def test_output_range_of_softmax_over_one_unit() -> None:
    assert output_range([Softmax()], (1,)) == (1, 1)


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        ([Dense(2), Sigmoid()], ["sigmoid_1"]),
        ([Dense(2), Sigmoid(), Reshape((2, 1))], ["sigmoid_1", "reshape_1"]),
        ([Dense(2, "tanh")], ["dense_1.tanh"]),
        ([Sequential([Dense(2), Sigmoid()], name="inner")], ["inner.sigmoid_1"]),
        ([Sigmoid(), Dense(2)], []),
    ],
)
def test_last_layers_come_after_all_parameters(layers, names: list[str]) -> None:
    model = Sequential(layers, input_shape=(3,), rng=0)
    rows = Rows(np.random.default_rng(0).normal(size=(5, 3)), np.zeros((5, 2)))
    case = Case(model, rows, loss=None, optimizer=None, batch_rows=5, notes=[])
    assert [step.path for step in case.last] == names


RNG = np.random.default_rng(0)
TARGET = RNG.normal(size=(300, 2)) * 3
CUT = np.clip(TARGET, -1, 1)
CLASSES = RNG.integers(0, 4, size=300)
LABELS = RNG.integers(0, 2, size=(300, 1))
SHARES = RNG.dirichlet(np.ones(4), size=300)
FREQUENCY = np.bincount(CLASSES) / 300


@pytest.mark.parametrize(
    ("loss", "target", "shape", "ends", "expected"),
    [
        (MSELoss(), TARGET, (300, 2), (-1, 1), np.square(CUT - TARGET).mean()),
        (L1Loss(), TARGET, (300, 2), (-1, 1), np.abs(CUT - TARGET).mean()),
        (HuberLoss(delta=50.0), TARGET, (300, 2), (-1, 1), np.square(CUT - TARGET).mean() / 2),
        (MSELoss(), TARGET, (300, 2), (-INF, INF), 0),
        (MSELoss(), TARGET, (300, 2), (0, INF), np.square(np.minimum(TARGET, 0)).mean()),
        (BCELoss(), LABELS, (300, 1), (0, 1), 0),
        (BCEWithLogitsLoss(), LABELS, (300, 1), (-INF, INF), 0),
        (
            BCEWithLogitsLoss(),
            LABELS,
            (300, 1),
            (0, 1),
            np.where(LABELS, np.log1p(np.exp(-1.0)), np.log(2)).mean(),
        ),
        (CrossEntropyLoss(), CLASSES, (300, 4), (0, 1), math.log(math.e + 3) - 1),
        (CrossEntropyLoss(), SHARES, (300, 4), (-INF, 0), -(SHARES * np.log(SHARES)).sum(1).mean()),
        (
            CrossEntropyLoss(label_smoothing=0.2),
            CLASSES,
            (300, 4),
            (-INF, INF),
            -(0.85 * math.log(0.85) + 0.15 * math.log(0.05)),
        ),
        (HingeLoss(), 2 * LABELS - 1, (300, 1), (-1, 1), 0),
        (HingeLoss(), 2 * LABELS - 1, (300, 1), (0, 1), (LABELS == 0).mean()),
    ],
)
def test_least_loss_within_a_range(loss, target, shape, ends, expected: float) -> None:
    assert least_loss(loss, target, shape, *ends) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("loss", "target", "shape", "expected"),
    [
        (MSELoss(), TARGET, (300, 2), TARGET.var(axis=0).mean()),
        (L1Loss(), TARGET, (300, 2), np.abs(TARGET - np.median(TARGET, axis=0)).mean()),
        (CrossEntropyLoss(), CLASSES, (300, 4), -(FREQUENCY * np.log(FREQUENCY)).sum()),
    ],
)
def test_least_loss_of_a_constant(loss, target, shape, expected: float) -> None:
    assert least_loss(loss, target, shape, constant=True) == pytest.approx(expected, rel=1e-6)


def test_least_loss_of_a_constant_is_weighted() -> None:
    target, weight = np.array([[0.5], [3.0]]), np.array([1.0, 3.0])
    found = least_loss(MSELoss(), target, (2, 1), constant=True, weight=weight)
    assert found == pytest.approx(1.171875, abs=1e-6)


def test_frozen_parameters_are_constants() -> None:
    model = Sequential([Dense(3), Tanh(), Dense(2)], input_shape=(4,), rng=0)
    model["dense_1"].trainable = False
    rows = Rows(RNG.normal(size=(20, 4)), RNG.normal(size=(20, 2)))
    landscape = Landscape(model, MSELoss(), rows)
    moved = landscape.start.copy()
    moved[:15] += 1.0
    assert landscape(moved)[0] == landscape(landscape.start)[0]
    g = landscape(landscape.start)[1]
    assert (g[:15] == 0).all()
    assert (g[15:] != 0).all()
