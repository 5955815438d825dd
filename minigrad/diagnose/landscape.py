"""The loss as a function of all parameters, and its largest curvature."""

import copy
from collections.abc import Callable, Iterator
from math import inf, isfinite, nan
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.checks.differences import Replay, in_double
from minigrad.core.gradient import BatchGradient
from minigrad.core.layer import Layer
from minigrad.data.arrays import Array
from minigrad.data.rows import Rows
from minigrad.losses import Loss
from minigrad.optimizers import Optimizer
from minigrad.optimizers.schedules import Schedule

Vector: TypeAlias = NDArray[np.float64]

AVERAGED_STEPS = 10
"""The last steps of a descent, over which J is averaged."""
_MAX_PRODUCTS = 30
_SETTLED_PRODUCTS, _SETTLED = 4, 0.003
"""The iteration stops if lambda changed by at most this share over the last products."""
_OFFSET, _STEP = 1e-4, 1e-7
"""The offset from theta and the step of the difference, relative to the largest parameter."""


class Landscape:
    """theta -> (J, dJ/dtheta) on a float64 copy of a model, which replays its random numbers.

    J includes the regularizers. Frozen parameters are constants: their numbers in theta are
    ignored, and their gradient is 0. `start` is the model's theta; each call sets `parameters`.
    """

    def __init__(self, model: Layer, loss: Loss, rows: Rows) -> None:
        self._twin: Layer = in_double(model, model.input_shape or ())
        self._replay = Replay(self._twin)
        self.gradient = BatchGradient(self._twin, copy.copy(loss))
        self._rows = Rows(np.asarray(rows.x, float), rows.y, rows.weight)
        self.parameters = self.gradient.parameters
        self.start: Vector = self.parameters.value.astype(np.float64)
        trainable, sizes = zip(*[(p.trainable, p.size) for p in self.parameters], strict=True)
        self._trainable = np.repeat(trainable, sizes)

    def __call__(self, theta: Vector) -> tuple[float, Vector]:
        self._replay()
        self.parameters.value = np.where(self._trainable, theta, self.start)
        rows = self._rows
        with self.gradient, np.errstate(all="ignore"):
            j = self.gradient(rows.x, rows.y, rows.weight)
        return j, np.where(self._trainable, self.parameters.grad, 0.0)

    def path(self, optimizer: Optimizer, steps: int) -> Iterator[float]:
        """Yield J before each step from the start; stop if J or its gradient isn't finite."""
        theta = self.start
        for _ in range(steps):
            j, g = self(theta)
            if not (isfinite(j) and np.isfinite(g).all()):
                return
            yield j
            optimizer.step(self.parameters)
            theta = self.parameters.value.astype(np.float64)

    def descend(self, optimizer: Optimizer, steps: int, *, rate: float | None = None) -> float:
        """Descend from the start with a copy of an optimizer, without its state.

        Returns J, averaged over the last steps; infinity if J or its gradient isn't finite on the
        way. `rate` replaces the learning rate.
        """
        optimizer = copy.copy(optimizer)
        optimizer.state = {}
        if rate is not None:
            optimizer.learning_rate = rate
        if not isinstance(optimizer.learning_rate, Schedule):
            optimizer.steps = 0
        history = list(self.path(optimizer, steps))
        return inf if len(history) < steps else float(np.mean(history[-AVERAGED_STEPS:]))

    def predict(self) -> Array:
        """Return the predictions with the parameters of the last call or step."""
        self._replay()
        return self._twin.forward(self._rows.x)


def largest_curvature(f: Callable[[Vector], tuple[float, Vector]], theta: Vector) -> float:
    """Return lambda_max, the largest eigenvalue of the Hessian H of f: theta -> (J, dJ/dtheta).

    It is NaN if a gradient isn't finite. Lanczos's method finds the largest eigenvalue even if the
    lowest one is larger in size, and approaches it from below, usually within 1 %. A product with H
    is a difference of gradients, H v = (g(theta + h v) - g(theta)) / h.

    Source: Pearlmutter, Fast exact multiplication by the Hessian, 1994; Golub and Van Loan,
    Matrix computations, 2013, section 10.1.
    """
    theta = off_kinks(theta)
    h = _STEP * _size(theta)
    g = f(theta)[1]
    v = np.random.default_rng(1).standard_normal(theta.size)
    v /= float(np.linalg.norm(v))
    previous, beta = np.zeros_like(theta), 0.0
    diagonal, off_diagonal, estimates = list[float](), list[float](), [-inf]
    while len(diagonal) < min(_MAX_PRODUCTS, theta.size):
        w = (f(theta + h * v)[1] - g) / h - beta * previous
        if not np.isfinite(w).all():
            return nan
        diagonal.append(float(v @ w))
        w -= diagonal[-1] * v
        beta = float(np.linalg.norm(w))
        eigenvalues = np.linalg.eigvalsh(
            np.diag(diagonal) + np.diag(off_diagonal, 1) + np.diag(off_diagonal, -1)
        )
        estimates.append(float(eigenvalues[-1]))
        settled = np.ptp(estimates[-_SETTLED_PRODUCTS:]) <= _SETTLED * abs(estimates[-1])
        exhausted = beta <= 1e-7 * float(np.abs(eigenvalues).max())
        if settled or exhausted:
            break
        previous, v = v, w / beta
        off_diagonal.append(beta)
    return estimates[-1]


def off_kinks(theta: Vector) -> Vector:
    """Return parameters slightly off theta: with zero biases a ReLU may be exactly at its kink."""
    rng = np.random.default_rng(0)
    return theta + _OFFSET * _size(theta) * rng.standard_normal(theta.size)


def _size(theta: Vector) -> float:
    return float(np.abs(theta).max(initial=0.0)) or 1.0
