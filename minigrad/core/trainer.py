"""Training: for each epoch, for each batch, one step down the gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from minigrad.core.evaluation import RunningMetrics, evaluate
from minigrad.core.gradient import BatchGradient
from minigrad.core.layer import Layer, walk
from minigrad.core.loss import Loss
from minigrad.core.optimizer import Optimizer
from minigrad.data.arrays import Array, finite
from minigrad.data.batches import Stream
from minigrad.data.rows import Rows
from minigrad.history import History
from minigrad.metrics import Metric
from minigrad.util.progress import CtrlC, Progress
from minigrad.util.random import RNG


class DivergedError(ArithmeticError):
    """A loss, a gradient or the parameters became infinite or NaN in training.

    The message names the epoch, the batch, and the first layer whose output or gradient isn't
    finite. The model goes back to the end of the last good epoch, or to the beginning of `fit`: the
    message says which. An epoch is good if the first loss of the next epoch is finite and at most
    ten times the lowest first loss so far. The history keeps all epochs.

    >>> from minigrad import SGD, Dense, Sequential
    >>> model = Sequential([Dense(1, weight_initializer="ones")], input_shape=(1,))
    >>> model.compile(optimizer=SGD(learning_rate=1e200), loss="mse")
    >>> model.fit(np.ones((2, 1)), np.zeros(2), epochs=9, verbose=0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    minigrad.core.trainer.DivergedError: training stopped at epoch 2, batch 1: ...
    >>> model.parameters.value
    array([1., 0.])
    """


class Trainer:
    """Trains a model; `Model.compile` makes one, and callbacks receive it.

    Args:
        model: the model.
        optimizer: changes the parameters.
        loss: is minimized.
        metrics: are reported beside the loss, by name.
        history: of earlier training; each new epoch is added to it.

    Attributes:
        epoch: the number of finished epochs, those of earlier fits included.
        epochs: what `epoch` will be at the end of the running `fit`; it stays larger than `epoch`
            after a `fit` that was interrupted.
        reported: the names of an epoch's logs.
        stop: set it to True to end training after this epoch.
        interrupted: whether Ctrl-C ended the last `fit`.
    """

    def __init__(
        self,
        model: Layer,
        optimizer: Optimizer,
        loss: Loss,
        metrics: Mapping[str, Metric],
        history: History | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.metrics = metrics
        self.history = History() if history is None else history
        self.epoch = self.epochs = self.history.epochs
        self.reported: tuple[str, ...] = ()
        self.stop = self.interrupted = False
        self.progress = Progress()
        self._running = False

    def fit(
        self,
        network: Layer,
        data: Rows | Stream,
        *,
        epochs: int,
        batch_size: int | None,
        rng: RNG | None,
        validation: Rows | Stream | None = None,
        callbacks: Sequence[Any] = (),
        progress: Progress | None = None,
        threads: int | None = None,
    ) -> History:
        """Train for some epochs, or until Ctrl-C, and return their logs; see `Model.fit`.

        `network` is what the model runs, `data` and `validation` are validated, `rng` shuffles the
        rows, and the callbacks are `minigrad.callbacks.Callback` objects.
        """
        if self._running:
            raise RuntimeError("fit is running already for this model: call it again afterwards")
        parameters = self.model.parameters
        self.optimizer.check_owner(parameters)
        gradient = BatchGradient(network, self.loss, parameters=parameters, threads=threads)
        if isinstance(data, Rows):
            self._check_batches(data, batch_size)
            data = data.for_epochs(batch_size, gradient.rows)
        self.epoch = self.history.epochs
        self.epochs = self.epoch + epochs
        names = ("loss", *self.metrics)
        self.reported = (*names, *(f"val_{name}" for name in names if validation is not None))
        self.stop = self.interrupted = False
        self.progress = progress or Progress()
        self._good = LastGoodEpoch(self)
        self._running = True
        history = History()
        ctrl_c = CtrlC()
        try:
            with ExitStack() as ending:
                ending.callback(self.progress.end)
                for callback in callbacks:
                    callback.on_train_begin(self)
                    ending.callback(callback.on_train_end, self)
                self.progress.begin(self.epoch, self.epochs)
                try:
                    with gradient, ctrl_c, np.errstate(all="ignore"):
                        while self.epoch < self.epochs and not self.stop:
                            logs = self._epoch(gradient, data, batch_size, rng, ctrl_c, callbacks)
                            if validation is not None:
                                logs |= self._validate(validation)
                            history.append(logs)
                            self._end_epoch(gradient, logs, callbacks)
                            if ctrl_c.presses and self.epoch < self.epochs:
                                raise KeyboardInterrupt
                except KeyboardInterrupt:
                    if ctrl_c.presses > 1:
                        raise
                    self.interrupted = True
                    self.say(
                        f"interrupted after {self.epoch} of {self.epochs} epochs: the parameters "
                        "are those of the last finished step"
                    )
        except DivergedError as error:
            raise DivergedError(
                f"{error}. The parameters are back at {self._good.restore()}: lower the learning "
                "rate, or scale the data"
            ) from None
        finally:
            self._running = False
        if not self.interrupted:
            self.epochs = self.epoch
        return history

    def _epoch(
        self,
        gradient: BatchGradient,
        data: Rows | Stream,
        batch_size: int | None,
        rng: RNG | None,
        ctrl_c: CtrlC,
        callbacks: Sequence[Any],
    ) -> dict[str, float]:
        """Make a step for each batch, and return the logs."""
        running = RunningMetrics(self.loss, self.metrics, reused=isinstance(data, Stream))
        progress, in_place = self.progress, self.progress.in_place
        batches = data.count(batch_size)
        progress.begin_epoch(batches)
        for callback in callbacks:
            callback.on_epoch_begin(self, self.epoch + 1)
        for number, batch in enumerate(data.batches(batch_size, rng), start=1):
            predictions = self._empty_predictions(batch) if self.metrics else None
            j = self._step(gradient, batch, number, predictions)
            running.add(j, batch, predictions, gradient.regularization)
            if in_place and progress.due():
                progress.batch(number, running.rows, running.logs)
            if ctrl_c.presses and number != batches:
                raise KeyboardInterrupt
        if not finite(gradient.parameters.value):
            raise DivergedError(
                f"training stopped at the end of epoch {self.epoch + 1}: a step made the "
                f"parameters infinite or NaN (learning rate {self.optimizer.rate})"
            )
        progress.end_batches(running.rows)
        return running.logs()

    def _end_epoch(
        self, gradient: BatchGradient, logs: dict[str, float], callbacks: Sequence[Any]
    ) -> None:
        self.history.append(logs)
        self.epoch += 1
        if self.epoch < self.epochs:
            self._good.take(f"the end of epoch {self.epoch}")
        self.progress.end_epoch(logs)
        if callbacks:
            self.progress.hide()
            for callback in callbacks:
                callback.on_epoch_end(self, self.epoch, logs)
            self.progress.show()
            gradient.use(self.model.parameters)  # they may have shared or regularized one

    def _step(
        self, gradient: BatchGradient, batch: Rows, number: int, predictions: Array | None
    ) -> float:
        """Compute J and its gradient for one batch, and change the parameters."""
        j = gradient(batch.x, batch.y, batch.weight, predictions)
        if number == 1:
            self._good.judge(j)
        if not (math.isfinite(j) and finite(gradient.parameters.grad)):
            raise self._diverged(batch, number, j)
        self.optimizer.step(gradient.parameters)
        return j

    def _validate(self, validation: Rows | Stream) -> dict[str, float]:
        logs = evaluate(self.model, self.loss, self.metrics, validation)
        return {f"val_{name}": value for name, value in logs.items()}

    def _check_batches(self, data: Rows, batch_size: int | None) -> None:
        if not data.total:
            raise ValueError(f"all {len(data)} training rows have weight 0")
        last = len(data) if batch_size is None else (len(data) - 1) % batch_size + 1
        for _, layer in walk(self.model):
            if last < layer.min_batch_size:
                raise ValueError(
                    f"{layer.label} expects at least {layer.min_batch_size} rows in a training "
                    f"batch, got {last} in the last one ({len(data)} rows, batch_size="
                    f"{batch_size}): choose another batch_size"
                )

    def say(self, text: str) -> None:
        """Print a line, unless training is silent."""
        self.progress.say(text)

    def _diverged(self, batch: Rows, number: int, j: float) -> DivergedError:
        from minigrad.trace import trace

        recorded = trace(self.model, batch.x, batch.y, self.loss, sample_weight=batch.weight)
        place = recorded.first_not_finite() or "the loss"
        return DivergedError(
            f"training stopped at epoch {self.epoch + 1}, batch {number}: {place} is not finite "
            f"(loss {j}, learning rate {self.optimizer.rate})"
        )

    def _empty_predictions(self, batch: Rows) -> Array:
        assert self.model.output_shape is not None
        lengths = zip(self.model.output_shape, batch.y.shape[1:], strict=False)
        known = [of_y if n is None else n for n, of_y in lengths]  # y has the lengths that vary
        shape = (len(batch), *known, *self.model.output_shape[len(known) :])
        return np.empty(shape, self.model.parameters.value.dtype)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is of the running `fit` alone."""
        state = {**self.__dict__, "progress": Progress(), "_running": False}
        state.pop("_good", None)
        return state


class LastGoodEpoch:
    """The parameters, buffers and optimizer state to which training goes back when it diverges."""

    def __init__(self, trainer: Trainer) -> None:
        self._optimizer = trainer.optimizer
        self._weights = Weights(trainer.model)
        self._lowest = math.inf
        self.take("the beginning of this fit")
        self._good = self._latest

    def take(self, when: str) -> None:
        """Copy everything as it is now; `judge` decides later whether it is good."""
        state = {name: vector.copy() for name, vector in self._optimizer.state.items()}
        self._latest = when, self._weights.copy(), self._optimizer.steps, state

    def judge(self, loss: float) -> None:
        """Accept the latest copy if the loss is finite and at most ten times the lowest."""
        limit = self._lowest + 9 * abs(self._lowest) or math.inf
        if math.isfinite(loss) and loss <= limit:
            self._lowest = min(loss, self._lowest)
            self._good = self._latest

    def restore(self) -> str:
        """Go back to the last good copy, and return when that was."""
        when, arrays, self._optimizer.steps, self._optimizer.state = self._good
        self._weights.restore(arrays)
        return when


class Weights:
    """Copies a model's parameters and buffers, and puts them back.

    Args:
        model: the model, built.
    """

    def __init__(self, model: Layer) -> None:
        self._parameters = model.parameters
        self._buffers = [(layer, name) for _, layer in walk(model) for name in layer.buffers]

    def copy(self) -> list[Array]:
        """Return new arrays."""
        buffers = [getattr(layer, name).copy() for layer, name in self._buffers]
        return [self._parameters.value.copy(), *buffers]

    def restore(self, arrays: list[Array]) -> None:
        """Put back what `copy` returned."""
        self._parameters.value = arrays[0]
        for (layer, name), array in zip(self._buffers, arrays[1:], strict=True):
            setattr(layer, name, array.copy())
