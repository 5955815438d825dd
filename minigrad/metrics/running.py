"""The loss and the metrics over many batches, as if they were one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Array
from minigrad.data.rows import Rows
from minigrad.metrics.named import Metric, as_number


class RunningMetrics:
    """Accumulates the loss, and the targets and predictions for the metrics.

    Args:
        metrics: computed over all rows in the end.
        mean: whether J is a mean over the rows, or else a sum.
        reused: whether the batches' arrays may be overwritten by later batches.
    """

    def __init__(self, metrics: Mapping[str, Metric], *, mean: bool, reused: bool = False) -> None:
        self.rows = 0
        self._j = self._regularization = self._weight = 0.0
        self._reused = reused
        self._mean = mean
        self._metrics = metrics
        self._targets: list[NDArray[Any]] = []
        self._predictions: list[Array] = []

    def add(
        self, j: float, batch: Rows, predictions: Array | None, regularization: float = 0.0
    ) -> None:
        """Add the loss of some rows, and their predictions if there are metrics.

        A sum grows with each batch, but the regularization, which each batch's J contains, counts
        once: as its mean.
        """
        self.rows += len(batch.x)
        if weight := batch.total:
            self._weight += weight
            share = weight / self._weight
            if self._mean:
                self._j += (j - self._j) * share
            else:
                self._j += j - regularization
                self._regularization += (regularization - self._regularization) * share
        if predictions is not None:
            self._targets.append(batch.y.copy() if self._reused else batch.y)
            self._predictions.append(predictions)

    def logs(self) -> dict[str, float]:
        """Return the loss and the metrics over all rows so far, by name."""
        logs = {"loss": self._j + self._regularization}
        if self._predictions:
            target, prediction = _joined(self._targets), _joined(self._predictions)
            for name, metric in self._metrics.items():
                logs[name] = as_number(name, metric(target, prediction))
        return logs


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
