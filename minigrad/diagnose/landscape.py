"""The loss over some rows as one function of the parameters, in double precision."""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import NDArray

from minigrad.copies import Rewind, in_double
from minigrad.data import Rows
from minigrad.losses import Loss
from minigrad.objective import Objective
from minigrad.optimizers import Optimizer
from minigrad.sequential import Sequential

Vector = NDArray[np.float64]


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

    def __init__(self, model: Sequential, loss: Loss, rows: Rows) -> None:
        assert model.input_shape is not None
        twin = in_double(model, model.input_shape)
        self.parameters = twin.parameters
        self.start: Vector = self.parameters.value.astype(np.float64)
        rows = Rows(np.asarray(rows.x, float), rows.y, rows.weight)
        self._objective = Objective(twin, copy.copy(loss), rows)
        self._rewind = Rewind(twin)

    def __call__(self, theta: Vector) -> tuple[float, Vector]:
        self._rewind()
        return self._objective(theta)

    def step(self, optimizer: Optimizer) -> Vector:
        """Return where an optimizer's step leads from the theta of the last call."""
        optimizer.step(self.parameters)
        return self.parameters.value.astype(np.float64)
