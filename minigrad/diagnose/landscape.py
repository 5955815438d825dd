"""The loss as a function of the parameters, and its curvature."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from itertools import islice
from math import inf, isfinite, nan
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.blocks.block_gradient import BlockGradient
from minigrad.checks.differences import Replay, in_double
from minigrad.core.layer import Layer
from minigrad.data.by_name import Data
from minigrad.data.rows import Rows
from minigrad.losses import Loss
from minigrad.optimizers import Optimizer

Vector: TypeAlias = NDArray[np.float64]

_PRODUCTS = 30  # H v of Lanczos's method, which usually settles within 10
_OFFSET, _STEP = 1e-4, 1e-7  # of theta and of the difference, relative to the largest parameter
_NO_DIRECTION = 1e-7  # a remaining direction of this size, relative to lambda_max, is rounding


class Landscape:
    """theta -> (J, dJ/dtheta) on a float64 copy of a model, which replays its random numbers.

    J includes the regularizers. Frozen parameters are constants: their numbers in theta are
    ignored, and their gradient is 0. `start` is the model's theta; each call sets `parameters`.
    """

    def __init__(self, model: Layer, loss: Loss, rows: Rows) -> None:
        twin: Layer = in_double(model, rows.x)
        self._replay = Replay(twin)
        self._gradient = BlockGradient(twin, copy.copy(loss))
        x = twin.cast(rows.x, np.dtype(np.float64))
        self._rows = Rows(x, rows.y, rows.weight)
        self.parameters = self._gradient.parameters
        self.start: Vector = self.parameters.value.astype(np.float64)
        trainable, sizes = zip(*[(p.trainable, p.size) for p in self.parameters], strict=True)
        self._trainable = np.repeat(trainable, sizes)

    def __call__(self, theta: Vector, rows: Rows | None = None) -> tuple[float, Vector]:
        self._replay()
        self.parameters.value = np.where(self._trainable, theta, self.start)
        rows = rows or self._rows
        with self._gradient, np.errstate(all="ignore"):
            j = self._gradient(rows.x, rows.y, rows.weight)
        return j, np.where(self._trainable, self.parameters.grad, 0.0)

    def loss(self, theta: Vector) -> float:
        """Return J without the regularizers."""
        return self(theta)[0] - self._gradient.regularization

    def predict(self) -> Data:
        """Return the predictions in inference, where `parameters` and buffers are now."""
        with np.errstate(all="ignore"):
            return self._gradient.network.forward(self._rows.x, training=False)

    def descend(
        self, optimizer: Optimizer, steps: int, batch_rows: int, order: int = 0
    ) -> list[float]:
        """Return J of each batch without regularizers; infinity ends it if J isn't finite.

        `parameters` keep where the descent ends. Descents of the same order see the same batches.
        """
        theta, history = self.start, list[float]()
        for rows in islice(self._batches(batch_rows, order), steps):
            j, g = self(theta, rows)
            if not (isfinite(j) and np.isfinite(g).all()):
                return [*history, inf]
            history.append(j - self._gradient.regularization)
            optimizer.step(self.parameters)
            theta = self.parameters.value.astype(np.float64)
        return history

    def _batches(self, batch_rows: int, order: int) -> Iterator[Rows]:
        count, rng = len(self._rows), np.random.default_rng(order)
        while True:
            shuffled = rng.permutation(count)
            for first in range(0, count - batch_rows + 1, batch_rows):
                few = batch_rows < count
                yield self._rows.take(shuffled[first : first + batch_rows]) if few else self._rows


def largest_curvature(f: Callable[[Vector], tuple[float, Vector]], theta: Vector) -> float:
    """Return lambda_max, the largest eigenvalue of the Hessian H of f: theta -> (J, dJ/dtheta).

    Lanczos's method approaches it from below, usually within 1 %; a product H v is a difference of
    gradients, (g(theta + h v) - g(theta)) / h. It is NaN if a gradient isn't finite.

    Source: Pearlmutter, Fast exact multiplication by the Hessian, 1994; Golub and Van Loan,
    Matrix computations, 2013, section 10.1.
    """
    size = float(np.abs(theta).max(initial=0.0)) or 1.0
    # With zero biases a ReLU may be exactly at its kink.
    theta = theta + _OFFSET * size * np.random.default_rng(0).standard_normal(theta.size)
    h, g = _STEP * size, f(theta)[1]
    v = np.random.default_rng(1).standard_normal(theta.size)
    v /= float(np.linalg.norm(v))
    previous, beta = np.zeros_like(theta), 0.0
    diagonal, off_diagonal = list[float](), list[float]()
    for _ in range(min(_PRODUCTS, theta.size)):
        w = (f(theta + h * v)[1] - g) / h - beta * previous
        if not np.isfinite(w).all():
            return nan
        diagonal.append(float(v @ w))
        w -= diagonal[-1] * v
        beta = float(np.linalg.norm(w))
        off_diagonal.append(beta)
        if beta <= _NO_DIRECTION * max(map(abs, diagonal + off_diagonal[:-1])):
            break
        previous, v = v, w / beta
    beside = np.diag(off_diagonal[:-1], 1)
    return float(np.linalg.eigvalsh(np.diag(diagonal) + beside + beside.T)[-1])
