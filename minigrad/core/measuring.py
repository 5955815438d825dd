"""The loss and the metrics over many batches, as if they were one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from minigrad.core.gradient import Plan, blocks
from minigrad.core.layer import Layer
from minigrad.data.arrays import Array
from minigrad.data.batches import Stream
from minigrad.data.rows import Rows
from minigrad.losses import Loss
from minigrad.metrics import Metric
from minigrad.util.names import kind_of


class Seen:
    """What batches, or blocks of rows, add up to.

    Args:
        loss: says whether the figures are means or sums.
        metrics: measured on all rows in the end.
        reused: whether the batches' arrays may be written over by the next ones.
    """

    def __init__(self, loss: Loss, metrics: Mapping[str, Metric], *, reused: bool = False) -> None:
        self.rows = 0
        self._j = self._penalty = self._weight = 0.0
        self._reused = reused
        self._mean = loss.reduction == "mean"
        self._metrics = metrics
        self._targets: list[NDArray[Any]] = []
        self._predictions: list[Array] = []

    def add(self, j: float, part: Rows, predictions: Array | None, penalty: float = 0.0) -> None:
        """Add the loss of some rows, and their predictions where there are metrics.

        A sum grows by each batch's, but the penalty that is in each is counted once: its mean.
        """
        self.rows += len(part.x)
        if weight := part.total:
            self._weight += weight
            share = weight / self._weight
            if self._mean:
                self._j += (j - self._j) * share
            else:
                self._j += j - penalty
                self._penalty += (penalty - self._penalty) * share
        if predictions is not None:
            self._targets.append(part.y.copy() if self._reused else part.y)
            self._predictions.append(predictions)

    def logs(self) -> dict[str, float]:
        """Return the loss and the metrics over all that was added."""
        figures = {"loss": self._j + self._penalty}
        if self._predictions:
            target, prediction = joined(self._targets), joined(self._predictions)
            figures.update(measure(self._metrics, target, prediction))
        return figures


def evaluate(
    model: Layer,
    loss: Loss,
    metrics: Mapping[str, Metric],
    data: Rows | Stream,
    *,
    rows: int | None = None,
) -> dict[str, float]:
    """Return the loss and the metrics over all rows, with nothing remembered or drawn.

    `rows` says how many to take at a time; by default it is found out.
    """
    seen = Seen(loss, metrics, reused=isinstance(data, Stream))
    most = rows or Plan(model).rows
    for batch in data.batches(None, None):
        for block in blocks(len(batch), min(most, batch.chunk)):
            part = batch.take(block)
            prediction = model.forward(part.x, training=False)
            j = loss.measure(prediction, part.y, part.weight, training=False)
            seen.add(j, part, prediction if metrics else None)
    figures = seen.logs()
    figures["loss"] += model.parameters.penalty()
    return figures


def joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return arrays as one, without a copy if it is one already."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def measure(metrics: Mapping[str, Metric], target: Array, prediction: Array) -> dict[str, float]:
    """Return each metric's value over a whole set."""
    figures = {name: metric(target, prediction) for name, metric in metrics.items()}
    for name, figure in figures.items():
        if np.ndim(figure) or not isinstance(figure, SupportsFloat):
            raise TypeError(
                f"the metric '{name}' must return a number, got {kind_of(figure)} of shape "
                f"{np.shape(figure)}: return its mean"
            )
    return {name: float(figure) for name, figure in figures.items()}
