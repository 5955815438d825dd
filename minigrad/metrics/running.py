"""The loss and the metrics over many batches, as if they were one."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from typing import Any, SupportsFloat, TypeAlias

import numpy as np

from minigrad.data.by_name import Data, concatenate, each, of
from minigrad.data.rows import Rows
from minigrad.util.config import Configurable
from minigrad.util.names import kind_of

Metric: TypeAlias = Callable[..., float]
"""A function of (target, prediction), called once with all rows. The target has the form that the
loss takes: the predictions' shape, or class indices of shape (n,). If it has an argument
`sample_weight`, it is given the weights of the rows or terms, where there are any."""


class RunningMetrics:
    """Accumulates the loss, and the targets and predictions for the metrics.

    Args:
        loss: tells whether J is a mean or a sum; a joint one is reported for each output, too.
        metrics: computed over all rows in the end.
        reused: whether the batches' arrays may be overwritten by later batches.
    """

    def __init__(self, loss: Any, metrics: Mapping[str, Metric], *, reused: bool = False) -> None:
        self._js, self._regularizations, self._totals = array("d"), array("d"), array("d")
        self._reused = reused
        self._mean = loss.reduction == "mean"
        self._losses: Mapping[str, Any] = loss.losses
        self._metrics = metrics
        self.keeps_predictions = bool(metrics or self._losses)
        self._targets: list[Data] = []
        self._weights: list[Data | None] = []
        self._predictions: list[Data] = []

    def add(
        self, j: float, batch: Rows, predictions: Data | None, regularization: float = 0.0
    ) -> None:
        """Add the loss of some rows, and their predictions if they are kept."""
        self._js.append(j)
        self._regularizations.append(regularization)
        self._totals.append(batch.total)
        if predictions is not None:
            self._keep(batch, predictions)

    def extend(
        self,
        js: Iterable[float],
        regularizations: Iterable[float],
        totals: Iterable[float],
        batches: Rows,
        predictions: Data | None,
    ) -> None:
        """Add several batches: the loss, the regularization in it and the total weight of each."""
        self._js.extend(js)
        self._regularizations.extend(regularizations)
        self._totals.extend(totals)
        if predictions is not None:
            self._keep(batches, predictions)

    def _keep(self, batch: Rows, predictions: Data) -> None:
        def kept(data: Data) -> Data:
            return each(np.copy, data) if self._reused else data

        self._targets.append(kept(batch.y))
        self._predictions.append(predictions)
        weight = batch.weight
        self._weights.append(weight if weight is None else kept(weight))

    def logs(self) -> dict[str, float]:
        """Return the loss and the metrics over all rows so far, by name."""
        logs = {"loss": self._j()}
        if self._predictions:
            ndim = each(np.ndim, self._predictions[0])
            target = concatenate(self._targets, ndim)
            prediction = concatenate(self._predictions, ndim)
            weight = self._weight(ndim)
            if self._losses:
                logs = self._output_losses(target, prediction, weight)
            for name, metric in self._metrics.items():
                logs[name] = as_number(name, measured(metric, target, prediction, weight))
        return logs

    def _j(self) -> float:
        """Return J. A sum grows with each batch, but the regularization in each counts once."""
        if self._mean:
            return self._average(self._js)
        regularization = self._average(self._regularizations)
        return sum(self._js) - sum(self._regularizations) + regularization

    def _average(self, numbers: array[float]) -> float:
        """Return the mean over the batches, each with its total weight."""
        if len(numbers) == 1:
            return numbers[0] if self._totals[0] else 0.0
        total, first = sum(self._totals), numbers[0]
        if not total:
            return 0.0
        pairs = zip(numbers, self._totals, strict=True)
        return first + sum((number - first) * weight for number, weight in pairs) / total

    def _weight(self, ndim: Data) -> Data | None:
        """Return the weights of all rows, or of all terms; None if no batch has any."""
        if all(weight is None for weight in self._weights):
            return None
        from minigrad.metrics.averages import spread

        varies = len({repr(each(lambda a: a.shape[1:], p)) for p in self._predictions}) > 1

        def of_batch(prediction: Any, weight: Any = None) -> Any:
            weight = np.ones(len(prediction)) if weight is None else weight
            return spread(weight, prediction.shape[:-1]) if varies else weight

        pairs = zip(self._predictions, self._weights, strict=True)
        parts = [each(of_batch, p, *(() if w is None else (w,))) for p, w in pairs]
        return concatenate(parts, ndim)

    def _output_losses(
        self, target: Data, prediction: Data, weight: Data | None
    ) -> dict[str, float]:
        """Return J and each output's part: outputs may weigh the batches differently."""
        parts = {
            name: loss.measure(prediction[name], target[name], of(weight, name), training=False)
            for name, loss in self._losses.items()
        }
        j = sum(parts.values()) + self._average(self._regularizations)
        return {"loss": j, **{f"{name}_loss": value for name, value in parts.items()}}


def measured(metric: Metric, target: Data, prediction: Data, weight: Data | None) -> Any:
    """Return what a metric gives over all rows, with the weights if it takes any."""
    if weight is None or not _takes_weights(metric):
        return metric(target, prediction)
    return metric(target, prediction, sample_weight=weight)


def as_number(name: str, value: Any) -> float:
    """Return what a metric returned as a float."""
    if np.ndim(value) or not isinstance(value, SupportsFloat):
        raise TypeError(
            f"metric '{name}' must return a number, got {kind_of(value)} of shape "
            f"{np.shape(value)}: return its mean"
        )
    return float(value)


def _takes_weights(metric: Metric) -> bool:
    call = type(metric).__call__ if isinstance(metric, Configurable) else metric
    try:
        return "sample_weight" in signature(call).parameters
    except ValueError:  # of a built-in function
        return False
