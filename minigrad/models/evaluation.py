"""The loss and the metrics over all rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from minigrad.core.gradient import blocks
from minigrad.core.layer import Layer
from minigrad.core.loss import Loss
from minigrad.core.trainer import Source
from minigrad.data.by_name import Data
from minigrad.metrics.running import Metric, RunningMetrics
from minigrad.util.display import Display


@dataclass(eq=False, repr=False)
class Evaluation:
    """Computes the loss and the metrics over all rows; no layer changes.

    Attributes:
        model, loss, metrics: what computes them.
        rows: the number of rows that are computed at once.
        forward: makes another forward pass than the model's own.
    """

    model: Layer
    loss: Loss
    metrics: Mapping[str, Metric]
    rows: int
    forward: Callable[[], Callable[..., Data]] | None = None

    def running(self, data: Source) -> RunningMetrics:
        """Return what accumulates the loss and the metrics over the batches of an epoch."""
        return RunningMetrics(self.loss, self.metrics, reused=data.reused)

    def __call__(self, data: Source, shown: Display | None = None) -> dict[str, float]:
        """Return the loss and the metrics over all rows, by name."""
        forward = self.model.forward if self.forward is None else self.forward()
        running, shown, number = self.running(data), shown or Display(), 0
        shown.begin(0, 1)
        shown.begin_epoch(data.count(self.rows))
        for batch in data.batches(None, None):
            for block in blocks(len(batch), min(self.rows, batch.chunk)):
                part = batch.take(block)
                prediction = forward(part.x, training=False)
                j = self.loss.measure(prediction, part.y, part.weight, training=False)
                running.add(j, part, prediction if running.keeps_predictions else None)
                number += 1
                if shown.in_place and shown.due():
                    shown.batch(number, running.logs)
        logs = running.logs()
        logs["loss"] += self.model.parameters.regularization()
        shown.end_epoch(logs)
        shown.end()
        return logs
