"""J and its gradient over a batch of any size, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.arrays import Array
from minigrad.layers.base import Layer
from minigrad.losses import Loss

_BLOCK_BYTES = 640 * 1024
"""What one block's activations may fill, so that they stay in a core's cache."""
_LEAST_ROWS = 1024
"""Below this a block's matrix products are too small to pay for adding its gradient."""


class BatchGradient:
    """Computes J of a batch, and leaves dJ/dtheta in the model's parameters.

    A batch of more rows than a block holds is worked through block by block, and the blocks'
    gradients are added up in order: the same sum, in memory that doesn't grow with the batch.
    Penalties on parameters are added once a batch.
    """

    def __init__(self, model: Layer, loss: Loss) -> None:
        self.model = model
        self.loss = loss
        self.parameters = model.parameters
        self.rows = block_rows(model)
        self._penalized = any(p.penalty is not None for p in self.parameters)

    def __call__(
        self,
        x: Array,
        y: NDArray[Any],
        sample_weight: Array | None = None,
        predictions: Array | None = None,
    ) -> float:
        """Return J; the predictions on the way are written into `predictions`, if it is given."""
        rows = len(x)
        if rows <= self.rows:
            j = self._block(x, y, sample_weight, None, predictions)
        else:
            j = self._blocks(x, y, sample_weight, predictions)
        if self._penalized:
            j += self.parameters.penalty()
            self.parameters.add_penalty_gradients()
        return j

    def _blocks(
        self,
        x: Array,
        y: NDArray[Any],
        sample_weight: Array | None,
        predictions: Array | None,
    ) -> float:
        rows = len(x)
        total = float(rows if sample_weight is None else sample_weight.sum())
        grad = np.zeros_like(self.parameters.grad)
        j = 0.0
        for block in blocks(rows, self.rows):
            weight = None if sample_weight is None else sample_weight[block]
            into = None if predictions is None else predictions[block]
            j += self._block(x[block], y[block], weight, total, into)
            grad += self.parameters.grad
        self.parameters.grad = grad
        return j

    def _block(
        self,
        x: Array,
        y: NDArray[Any],
        sample_weight: Array | None,
        total: float | None,
        predictions: Array | None,
    ) -> float:
        prediction = self.model.forward(x)
        j = self.loss.forward(prediction, y, sample_weight=sample_weight, total=total)
        self.model.backward_parameters(self.loss.backward())
        if predictions is not None:
            predictions[...] = prediction
        return j


def predict(model: Layer, x: Array) -> Array:
    """Return the outputs for all rows, block by block; nothing is remembered."""
    rows = block_rows(model)
    if len(x) <= rows:
        return model.forward(x, training=False)
    assert model.output_shape is not None
    first = model.forward(x[:rows], training=False)
    outputs = np.empty((len(x), *first.shape[1:]), first.dtype)
    outputs[:rows] = first
    for block in blocks(len(x), rows, start=rows):
        outputs[block] = model.forward(x[block], training=False)
    return outputs


def blocks(rows: int, size: int, *, start: int = 0) -> Iterator[slice]:
    """Cut rows into slices of `size`, the last one shorter.

    >>> list(blocks(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    for first in range(start, rows, size):
        yield slice(first, min(first + size, rows))


def block_rows(model: Layer) -> int:
    """Return how many rows a block holds, from the widths of the model's layers and their dtype."""
    layers = [layer for _, layer in model.walk()]
    if any(layer.ties_rows for layer in layers):
        return np.iinfo(np.int64).max
    widths = sum(prod(layer.output_shape or ()) for layer in layers if not layer.children)
    itemsize = max((p.value.itemsize for _, p in model.named_parameters()), default=8)
    return max(_LEAST_ROWS, _BLOCK_BYTES // max(1, widths * itemsize))
