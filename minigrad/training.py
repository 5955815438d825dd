"""The training loop: batches, steps, epochs, and what is reported of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from minigrad.arrays import Array
from minigrad.callbacks import Callback
from minigrad.data import Rows
from minigrad.engine import BatchGradient, block_rows, blocks
from minigrad.history import History
from minigrad.layers.base import Layer
from minigrad.losses import Loss
from minigrad.metrics import Metric
from minigrad.optimizers import Optimizer
from minigrad.rng import RNG
from minigrad.trace import first_not_finite, trace


class DivergedError(ArithmeticError):
    """Training met a loss or a gradient that isn't finite; the last good parameters are kept."""


class Training:
    """One run of `fit`: a model, an optimizer and a loss over some epochs of data.

    Args:
        model: the network, built.
        optimizer: changes its parameters.
        loss: what is made small.
        metrics: by the name under which they are reported.
        rng: shuffles the rows; None leaves them in order.
        epoch: how many epochs came before.
    """

    def __init__(
        self,
        model: Layer,
        optimizer: Optimizer,
        loss: Loss,
        metrics: Mapping[str, Metric],
        *,
        rng: RNG | None,
        epoch: int = 0,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.metrics = metrics
        self.rng = rng
        self.epoch = epoch
        self.history = History()
        self.stop = False
        self._gradient = BatchGradient(model, loss)

    def run(
        self,
        rows: Rows,
        *,
        epochs: int,
        batch_size: int | None,
        validation: Rows | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> History:
        """Train for some epochs, and return what they reported."""
        for callback in callbacks:
            callback.on_train_begin(self)
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
                for _ in range(epochs):
                    figures = self._train_epoch(rows, batch_size)
                    self.epoch += 1
                    if validation is not None:
                        seen = evaluate(self.model, self.loss, self.metrics, validation)
                        figures.update({f"val_{name}": value for name, value in seen.items()})
                    self.history.append(figures)
                    for callback in callbacks:
                        callback.on_epoch_end(self, self.epoch, figures)
                    if self.stop:
                        break
        finally:
            for callback in callbacks:
                callback.on_train_end(self)
        return self.history

    def _train_epoch(self, rows: Rows, batch_size: int | None) -> dict[str, float]:
        total = weights = 0.0
        kept: list[tuple[Rows, Array]] = []
        for number, batch in enumerate(rows.batches(batch_size, self.rng), start=1):
            predictions = self._room_for_predictions(batch) if self.metrics else None
            j = self._step(batch, number, predictions)
            if self.loss.reduction == "mean":
                weight = float(len(batch) if batch.weight is None else batch.weight.sum())
                j, weights = j * weight, weights + weight
            total += j
            if predictions is not None:
                kept.append((batch, predictions))
        figures = {"loss": total / weights if self.loss.reduction == "mean" else total}
        if kept:
            target = np.concatenate([batch.y for batch, _ in kept])
            prediction = np.concatenate([made for _, made in kept])
            figures.update(measure(self.metrics, target, prediction))
        return figures

    def _step(self, batch: Rows, number: int, predictions: Array | None) -> float:
        """Change the parameters by one batch, unless its loss or gradient isn't finite."""
        j = self._gradient(batch.x, batch.y, batch.weight, predictions)
        parameters = self._gradient.parameters
        if not (math.isfinite(j) and finite(parameters.grad)):
            self._fail(batch, number, j)
        self.optimizer.step(parameters)
        return j

    def _fail(self, batch: Rows, number: int, j: float) -> None:
        recorded = trace(self.model, batch.x, batch.y, self.loss, sample_weight=batch.weight)
        place = first_not_finite(recorded) or "the loss"
        raise DivergedError(
            f"training stopped at epoch {self.epoch + 1}, batch {number}: {place} is not finite "
            f"(loss {j}); the parameters of the last good step are kept: lower the learning rate "
            f"({self.optimizer.learning_rate}), or scale the data"
        )

    def _room_for_predictions(self, batch: Rows) -> Array:
        assert self.model.output_shape is not None
        dtype = self._gradient.parameters.value.dtype
        return np.empty((len(batch), *self.model.output_shape), dtype)


def evaluate(
    model: Layer, loss: Loss, metrics: Mapping[str, Metric], rows: Rows
) -> dict[str, float]:
    """Return the loss and the metrics over all rows, with nothing remembered or drawn."""
    total = float(len(rows) if rows.weight is None else rows.weight.sum())
    j = 0.0
    predictions = []
    for block in blocks(len(rows), block_rows(model)):
        part = rows.take(block)
        prediction = model.forward(part.x, training=False)
        j += loss.forward(
            prediction, part.y, sample_weight=part.weight, total=total, training=False
        )
        if metrics:
            predictions.append(prediction)
    figures = {"loss": j + model.parameters.penalty()}
    if metrics:
        figures.update(measure(metrics, rows.y, np.concatenate(predictions)))
    return figures


def measure(metrics: Mapping[str, Metric], target: Array, prediction: Array) -> dict[str, float]:
    """Return each metric's value over a whole set."""
    return {name: float(metric(target, prediction)) for name, metric in metrics.items()}


def finite(vector: Array) -> bool:
    """Tell whether all numbers are finite; one dot product, unless that overflows."""
    return math.isfinite(np.dot(vector, vector)) or bool(np.isfinite(vector).all())
