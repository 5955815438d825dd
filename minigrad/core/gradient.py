"""The gradient: J of a batch and dJ/dtheta."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import ceil

import numpy as np
from typing_extensions import Self

from minigrad.core.layer import Layer
from minigrad.core.loss import Loss
from minigrad.core.parameters import Parameters
from minigrad.data.by_name import Data, each, row_count


class Gradient:
    """Computes J of a batch, and leaves dJ/dtheta in the parameters' gradients.

    `minigrad.blocks.BlockGradient` computes the same a block of rows at a time, for batches that
    are larger than the cache.

    Args:
        network: the layer, built.
        loss: J.
        parameters: the network's, by default its own; shared gradients are summed in them.

    Attributes:
        rows: the number of rows that are computed at once.
        regularization: the regularizers' part of the last J.
    """

    rows = 2**63 - 1

    def __init__(self, network: Layer, loss: Loss, *, parameters: Parameters | None = None) -> None:
        self.network = network
        self.loss = loss
        self.regularization = 0.0
        self.use(network.parameters if parameters is None else parameters)

    def use(self, parameters: Parameters) -> None:
        """Sum shared gradients and add regularizers in these from now on; layers write the rest."""
        self.parameters = parameters
        self._regularized = any(p.regularizer is not None for p in parameters)

    def __call__(
        self,
        x: Data,
        y: Data,
        sample_weight: Data | None = None,
        predictions: list[Data] | None = None,
        *,
        total: Data | None = None,
    ) -> float:
        """Return J, append the prediction where asked; `total` is the whole batch's divisor."""
        rows = row_count(x)
        if rows > self.rows:
            j = self.in_blocks(x, y, sample_weight, predictions)
        else:
            prediction = self.network.forward(x)
            self.network.check_output(prediction, rows)
            j = self.loss.measure(prediction, y, sample_weight, total)
            self.network.backward_parameters(self.loss.backward())
            self.parameters.add_up_shared()
            if predictions is not None:
                predictions.append(each(partial(np.array, order="C"), prediction))
        if self._regularized:
            self.regularization = self.parameters.regularization()
            j += self.regularization
            self.parameters.add_regularizer_gradients()
        return j

    def in_blocks(
        self, x: Data, y: Data, sample_weight: Data | None, predictions: list[Data] | None
    ) -> float:
        """Return J without the regularizers for more than `rows`; see `BlockGradient`."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Release what the computation holds: nothing."""


def blocks(rows: int, most: int) -> Iterator[slice]:
    """Cut rows into the fewest slices of at most `most`, all of nearly the same length."""
    size = ceil(rows / ceil(rows / most))
    for first in range(0, rows, size):
        yield slice(first, min(first + size, rows))
