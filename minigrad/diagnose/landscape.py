"""The loss over some rows as one function of the parameters, in double precision."""

from __future__ import annotations

import copy
from math import inf, isfinite

import numpy as np
from numpy.typing import NDArray

from minigrad.checks.differences import Replay, in_double
from minigrad.core.gradient import Objective
from minigrad.core.layer import Layer as Network
from minigrad.data.arrays import Array
from minigrad.data.rows import Rows
from minigrad.losses import Loss
from minigrad.optimizers import Optimizer
from minigrad.optimizers.schedules import Schedule

Vector = NDArray[np.float64]

LAST = 10
"""Steps that the J at the end of a descent is averaged over."""


class Landscape:
    """theta -> (J, dJ/dtheta) of a copy of the model, with the same random numbers each time.

    Args:
        model: a built model, which is copied.
        loss: what J is; penalties come on top.
        rows: the rows.

    Attributes:
        start: the model's parameters.
        parameters: the copy's, which each call sets.
    """

    def __init__(self, model: Network, loss: Loss, rows: Rows) -> None:
        assert model.input_shape is not None
        twin: Network = in_double(model, model.input_shape)
        self.parameters = twin.parameters
        self.start: Vector = self.parameters.value.astype(np.float64)
        self._twin = twin
        self._rows = Rows(np.asarray(rows.x, float), rows.y, rows.weight)
        self._objective = Objective(twin, copy.copy(loss), self._rows)
        self._replay = Replay(twin)

    def __call__(self, theta: Vector) -> tuple[float, Vector]:
        self._replay()
        return self._objective(theta)

    def step(self, optimizer: Optimizer) -> Vector:
        """Return where an optimizer's step leads from the theta of the last call."""
        optimizer.step(self.parameters)
        return self.parameters.value.astype(np.float64)

    def descend(self, optimizer: Optimizer, steps: int, *, rate: float | None = None) -> float:
        """Descend from the start as the optimizer does, and return J, averaged over the last steps.

        Infinite where J or its gradient isn't finite on the way.

        Args:
            optimizer: copied, and nothing that it remembers.
            steps: how many.
            rate: a learning rate in the place of its own.
        """
        mover = copy.copy(optimizer)
        mover.state = {}
        if rate is not None:
            mover.learning_rate = rate
        if not isinstance(mover.learning_rate, Schedule):
            mover.steps = 0
        theta, seen = self.start, list[float]()
        for _ in range(steps):
            j, g = self(theta)
            if not (isfinite(j) and np.isfinite(g).all()):
                return inf
            seen.append(j)
            theta = self.step(mover)
        return float(np.mean(seen[-LAST:]))

    def predict(self) -> Array:
        """Return what is predicted with the parameters as the last call or step left them."""
        self._replay()
        return self._twin.forward(self._rows.x)
