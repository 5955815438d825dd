"""Where training goes back to when it diverges."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from minigrad.core.layer import Layer, walk
from minigrad.core.optimizer import Optimizer
from minigrad.data.arrays import Array


class LastGoodEpoch:
    """The parameters, buffers and optimizer state to which training goes back when it diverges.

    There are two copies, the good one and the latest. Each new copy is written over the one that
    isn't good, since new memory of a large model costs as much as the copy.
    """

    def __init__(self, model: Layer, optimizer: Optimizer) -> None:
        self._weights, self._optimizer = weights_of(model), optimizer
        self._lowest = math.inf
        self._spare: list[Array] = []
        self.take("the beginning of this fit")
        self._good, self._spare = self._latest, []

    def take(self, when: str) -> None:
        """Copy everything as it is now; `judge` decides later whether it is good."""
        state = self._optimizer.state
        arrays = [*state.values(), *self._weights()]
        if [a.shape for a in self._spare] != [a.shape for a in arrays]:
            self._spare = [np.empty_like(a) for a in arrays]
        for copied, array in zip(self._spare, arrays, strict=True):
            copied[...] = array
        self._latest = when, self._optimizer.steps, [*state], self._spare

    def judge(self, loss: float) -> bool:
        """Accept the latest copy if the loss is finite and at most ten times the lowest."""
        limit = self._lowest + 9 * abs(self._lowest)
        if self._lowest == 0:  # any loss is more than ten times that
            limit = math.inf
        accepted = math.isfinite(loss) and loss <= limit
        if accepted:
            self._lowest = min(loss, self._lowest)
            if self._latest is not self._good:
                self._good, self._spare = self._latest, self._good[-1]
        return accepted

    def restore(self) -> str:
        """Go back to the last good copy, and return when that was."""
        when, self._optimizer.steps, names, copies = self._good
        self._optimizer.state = dict(zip(names, copies, strict=False))
        for array, copied in zip(self._weights(), copies[len(names) :], strict=True):
            array[...] = copied
        return when


def weights_of(model: Layer) -> Callable[[], list[Array]]:
    """Return a function that gives what training changes: the flat vector and the buffers."""
    parameters, layers = model.parameters, [layer for _, layer in walk(model) if layer.buffers]

    def weights() -> list[Array]:
        buffers = [getattr(layer, name) for layer in layers for name in layer.buffers]
        return [parameters.value, *buffers]

    return weights
