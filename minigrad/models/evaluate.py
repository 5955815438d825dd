"""The loss and the metrics over all rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from minigrad.core.gradient import blocks
from minigrad.core.layer import Layer
from minigrad.core.loss import Loss
from minigrad.data.by_name import Data
from minigrad.data.rows import Rows
from minigrad.metrics.named import Metric
from minigrad.metrics.running import RunningMetrics

if TYPE_CHECKING:
    from minigrad.data.stream import Stream


def evaluate(
    model: Layer,
    loss: Loss,
    metrics: Mapping[str, Metric],
    data: Rows | Stream,
    rows: int,
    forward: Callable[..., Data] | None = None,
) -> dict[str, float]:
    """Return the loss and the metrics over all rows, in blocks of `rows`; no layer changes."""
    forward = forward or model.forward
    running = RunningMetrics(loss, metrics, reused=data.reused)
    for batch in data.batches(None, None):
        for block in blocks(len(batch), min(rows, batch.chunk)):
            part = batch.take(block)
            prediction = forward(part.x, training=False)
            j = loss.measure(prediction, part.y, part.weight, training=False)
            running.add(j, part, prediction if running.keeps_predictions else None)
    logs = running.logs()
    logs["loss"] += model.parameters.regularization()
    return logs
