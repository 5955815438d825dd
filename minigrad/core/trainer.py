"""The training loop: batches, steps, epochs, and what is reported of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import numpy as np

from minigrad.callbacks.base import Callback
from minigrad.core.gradient import BatchGradient
from minigrad.core.history import History
from minigrad.core.interrupts import CtrlC
from minigrad.core.layer import Layer, walk
from minigrad.core.measuring import Seen, evaluate
from minigrad.data.arrays import Array
from minigrad.data.batches import Stream
from minigrad.data.rows import Rows
from minigrad.losses import Loss
from minigrad.metrics import Metric
from minigrad.optimizers import Optimizer
from minigrad.util.progress import Progress
from minigrad.util.random import RNG


class DivergedError(ArithmeticError):
    """Training met a loss, a gradient or parameters that aren't finite.

    The last good parameters are kept, unless a step of a huge rate has overflowed them itself.

    The message names the epoch, the batch, and what first wasn't finite, a layer or the loss.

    >>> from minigrad import SGD, Dense, Sequential
    >>> model = Sequential([Dense(1, weight_initializer="ones")], input_shape=(1,))
    >>> model.compile(optimizer=SGD(learning_rate=1e200), loss="mse")
    >>> model.fit(np.ones((2, 1)), np.zeros(2), epochs=9, verbose=0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    minigrad.core.trainer.DivergedError: training stopped at epoch 2, batch 1: ...
    >>> bool(np.isfinite(model.parameters.value).all())
    True
    """


class Trainer:
    """One run of `fit`: a model, an optimizer and a loss over some epochs of data.

    Args:
        model: the network, built.
        optimizer: changes its parameters.
        loss: what is made small.
        metrics: by the name under which they are reported.
        rng: shuffles the rows; None leaves them in order.
        past: what earlier runs reported; each epoch of this one is added to it.
        progress: says how far it is; None for silence.
        threads: that work on a large batch; None for as many as pay.

    Attributes:
        history: what this run reported.
        epoch: how many epochs are done, those of earlier runs too.
        epochs: how many there will be at its end.
        reported: the names of an epoch's logs.
        stop: set it to end the run after this epoch.
        interrupted: whether Ctrl-C ended it.
    """

    def __init__(
        self,
        model: Layer,
        optimizer: Optimizer,
        loss: Loss,
        metrics: Mapping[str, Metric],
        *,
        rng: RNG | None,
        past: History | None = None,
        progress: Progress | None = None,
        threads: int | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.metrics = metrics
        self.rng = rng
        self.past = History() if past is None else past
        self.progress = progress or Progress()
        self.history = History()
        self.epoch = self.epochs = self.past.epochs
        self.reported: tuple[str, ...] = ()
        self.stop = self.interrupted = False
        self._ctrl_c = CtrlC()
        self._gradient = BatchGradient(model, loss, threads=threads)
        optimizer.check_free(self._gradient.parameters)

    def run(
        self,
        data: Rows | Stream,
        *,
        epochs: int,
        batch_size: int | None,
        validation: Rows | Stream | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> History:
        """Train for some epochs, or until Ctrl-C, and return what they reported.

        Raises:
            ValueError: rows without weight, or batches of too few rows for a layer.
            DivergedError: a loss, a gradient or a parameter isn't finite.
        """
        if isinstance(data, Rows):
            self._check(data, batch_size)
            if data.count(batch_size) == 1:
                if len(data) <= self._gradient.rows:
                    data = data.take(slice(None))  # all that isn't in memory is read
                data = data.features_first()
        self.epochs = self.epoch + epochs
        names = ("loss", *self.metrics)
        self.reported = (*names, *(f"val_{name}" for name in names if validation is not None))
        with ExitStack() as ending:
            ending.callback(self.progress.end)
            for callback in callbacks:
                callback.on_train_begin(self)
                ending.callback(callback.on_train_end, self)
            self.progress.begin(self.epoch, self.epochs)
            try:
                with self._gradient, self._ctrl_c, np.errstate(all="ignore"):
                    while self.epoch < self.epochs and not self.stop:
                        self._run_epoch(data, batch_size, validation, callbacks)
            except KeyboardInterrupt:
                if self._ctrl_c.presses > 1:
                    raise
                self.interrupted = True
                self.say(
                    f"interrupted after {self.epoch} of {self.epochs} epochs: the parameters are "
                    "those of the last finished step"
                )
        return self.history

    def _check(self, data: Rows, batch_size: int | None) -> None:
        if not data.total:
            raise ValueError(f"all {len(data)} rows to train have the weight 0")
        last = len(data) if batch_size is None else (len(data) - 1) % batch_size + 1
        for _, layer in walk(self.model):
            if last < layer.min_batch_size:
                raise ValueError(
                    f"{layer.label} needs batches of at least {layer.min_batch_size} rows in training, "
                    f"and {len(data)} rows in batches of {batch_size} leave {last}: choose another "
                    "batch_size"
                )

    def say(self, text: str) -> None:
        """Say something in a line of its own, unless the run is silent."""
        self.progress.say(text)

    def _run_epoch(
        self,
        data: Rows | Stream,
        batch_size: int | None,
        validation: Rows | Stream | None,
        callbacks: Sequence[Callback],
    ) -> None:
        batches = data.count(batch_size)
        self.progress.begin_epoch(batches)
        for callback in callbacks:
            callback.on_epoch_begin(self, self.epoch + 1)
        logs = self._train_epoch(data, batch_size, batches)
        if validation is not None:
            rows = self._gradient.rows
            seen = evaluate(self.model, self.loss, self.metrics, validation, rows=rows)
            logs.update({f"val_{name}": value for name, value in seen.items()})
        self.epoch += 1
        self.history.append(logs)
        self.past.append(logs)
        self.progress.end_epoch(logs)
        if callbacks:
            self.progress.hide()
            for callback in callbacks:
                callback.on_epoch_end(self, self.epoch, logs)
            self.progress.show()
        if self._ctrl_c.presses and self.epoch < self.epochs:
            raise KeyboardInterrupt

    def _train_epoch(
        self, data: Rows | Stream, batch_size: int | None, batches: int | None
    ) -> dict[str, float]:
        seen = Seen(self.loss, self.metrics, reused=isinstance(data, Stream))
        progress, ctrl_c = self.progress, self._ctrl_c
        in_place = progress.in_place
        for number, batch in enumerate(data.batches(batch_size, self.rng), start=1):
            predictions = self._room_for_predictions(batch) if self.metrics else None
            j = self._step(batch, number, predictions)
            seen.add(j, batch, predictions, self._gradient.penalty)
            if in_place and progress.due():
                progress.batch(number, seen.rows, seen.logs)
            if ctrl_c.presses and number != batches:
                raise KeyboardInterrupt
        if not finite(self._gradient.parameters.value):
            raise DivergedError(
                f"training stopped at the end of epoch {self.epoch + 1}: a step has made the "
                f"parameters infinite or NaN; lower the learning rate ({self.optimizer.rate})"
            )
        progress.end_batches(seen.rows)
        return seen.logs()

    def _step(self, batch: Rows, number: int, predictions: Array | None) -> float:
        """Change the parameters by one batch, unless its loss or gradient isn't finite."""
        j = self._gradient(batch.x, batch.y, batch.weight, predictions)
        parameters = self._gradient.parameters
        if not (math.isfinite(j) and finite(parameters.grad)):
            self._fail(batch, number, j)
        self.optimizer.step(parameters)
        return j

    def _fail(self, batch: Rows, number: int, j: float) -> None:
        from minigrad.core.trace import first_not_finite, trace

        recorded = trace(self.model, batch.x, batch.y, self.loss, sample_weight=batch.weight)
        place = first_not_finite(recorded) or "the loss"
        kept = (
            "the parameters of the last good step are kept"
            if finite(self._gradient.parameters.value)
            else "the step before has made the parameters infinite or NaN"
        )
        raise DivergedError(
            f"training stopped at epoch {self.epoch + 1}, batch {number}: {place} is not finite "
            f"(loss {j}); {kept}: lower the learning rate ({self.optimizer.rate}), or scale the "
            "data"
        )

    def _room_for_predictions(self, batch: Rows) -> Array:
        assert self.model.output_shape is not None
        dtype = self._gradient.parameters.value.dtype
        return np.empty((len(batch), *self.model.output_shape), dtype)


def finite(vector: Array) -> bool:
    """Tell whether all numbers are finite; one dot product, unless that overflows."""
    return math.isfinite(np.dot(vector, vector)) or bool(np.isfinite(vector).all())
