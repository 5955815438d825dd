"""Training: for each epoch, for each batch, one step down the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from minigrad.core.gradient import BatchGradient, Plan, blocks
from minigrad.core.layer import Layer, walk
from minigrad.core.loss import Loss
from minigrad.core.optimizer import Optimizer
from minigrad.data.arrays import Array, finite
from minigrad.data.batches import Stream
from minigrad.data.by_name import Data
from minigrad.data.rows import Rows
from minigrad.history import History
from minigrad.metrics import Metric
from minigrad.metrics.running import RunningMetrics
from minigrad.util.progress import CtrlC, Progress
from minigrad.util.random import RNG


class Engine(Protocol):
    """Makes the steps of a fit in another way than NumPy's; see `minigrad.compiled`.

    Attributes:
        ahead: whether steps of the next epochs are made already.
    """

    @property
    def ahead(self) -> bool: ...

    def begin(
        self,
        trainer: Trainer,
        gradient: BatchGradient,
        data: Rows | Stream,
        validation: Rows | Stream | None,
        callbacks: Sequence[Any],
    ) -> tuple[Any, Rows | Stream | None, Sequence[Any]]:
        """Return the data, in batches that `step` takes, and what to validate and call."""

    def step(
        self, gradient: BatchGradient, batch: Rows, number: int, running: RunningMetrics
    ) -> int:
        """Do what `Trainer.step` does, for one batch or several."""

    def forward(self) -> Callable[..., Data]:
        """Return what computes the outputs for validation, as `Layer.forward` does."""

    def end_epoch(self) -> None:
        """Run after each epoch."""

    def end(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Run after `begin` whatever happens, with the error that ends the fit."""


class DivergedError(ArithmeticError):
    """A loss, a gradient or the parameters became infinite or NaN in training.

    The message names the epoch, the batch, and the first layer whose output or gradient isn't
    finite. The model goes back to the end of the last good epoch, or to the beginning of `fit`: the
    message says which. An epoch is good if the first loss of the next epoch is finite and at most
    ten times the lowest first loss so far. The history keeps all epochs.
    """


@dataclass(eq=False, repr=False)
class Trainer:
    """Trains a model; `Model.compile` makes one, and callbacks receive it.

    Attributes:
        epoch: the number of finished epochs, those of earlier fits included.
        epochs: `epoch` at the end of the running, or interrupted, `fit`.
        reported: the names of an epoch's logs.
        stop: set it to True to end training after this epoch.
        interrupted: whether Ctrl-C ended the last `fit`.
    """

    model: Layer
    optimizer: Optimizer
    loss: Loss
    metrics: Mapping[str, Metric]
    history: History = field(default_factory=History)
    reported: tuple[str, ...] = field(default=(), init=False)
    stop: bool = field(default=False, init=False)
    interrupted: bool = field(default=False, init=False)
    _running: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.epoch = self.epochs = self.history.epochs
        self.progress = Progress()

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
        engine: Engine | None = None,
    ) -> History:
        """Train for some epochs, or until Ctrl-C, and return their logs; see `Model.fit`."""
        if self._running:
            raise RuntimeError("fit is running already for this model: call it again afterwards")
        parameters = self.model.parameters
        self.optimizer.check_owner(parameters)
        gradient = BatchGradient(network, self.loss, parameters=parameters, threads=threads)
        if isinstance(data, Rows):
            self._check_batches(data, batch_size)
            data = data if engine else data.for_epochs(batch_size, gradient.rows)
        self.epoch = self.history.epochs
        self.epochs = self.epoch + epochs
        self.stop = self.interrupted = False
        self.progress = progress or Progress()
        self._engine = engine
        if engine is not None:
            data, validation, callbacks = engine.begin(self, gradient, data, validation, callbacks)
        losses = [f"{name}_loss" for name in self.loss.losses]
        names = ("loss", *losses, *self.metrics)
        self.reported = (*names, *(f"val_{name}" for name in names if validation is not None))
        self.good = _LastGoodEpoch(self.model, self.optimizer)
        history = History()
        ctrl_c = CtrlC()
        with self._back_where_it_was_good(), ExitStack() as ending:
            if engine is not None:
                ending.push(engine.end)
            ending.callback(self.progress.end)
            for callback in callbacks:
                callback.on_train_begin(self)
                ending.callback(callback.on_train_end, self)
            self.progress.begin(self.epoch, self.epochs)
            with self._until(ctrl_c), gradient, np.errstate(all="ignore"):
                while self.epoch < self.epochs and not self.stop:
                    logs = self._epoch(gradient, data, batch_size, rng, ctrl_c, callbacks)
                    logs |= self._validate(validation)
                    history.append(logs)
                    self._end_epoch(gradient, logs, callbacks)
                    if ctrl_c.presses and self.epoch < self.epochs and not self._ahead:
                        raise KeyboardInterrupt
        if not self.interrupted:
            self.epochs = self.epoch
        return history

    @property
    def _ahead(self) -> bool:
        """Whether the parameters are those of a later epoch; see `Engine`."""
        return self._engine is not None and self._engine.ahead

    @contextmanager
    def _back_where_it_was_good(self) -> Iterator[None]:
        """Mark `fit` as running; if it diverges, go back to the last good epoch."""
        self._running = True
        try:
            yield
        except DivergedError as error:
            raise DivergedError(
                f"{error}. The parameters are back at {self.good.restore()}: lower the learning "
                "rate, or scale the data"
            ) from None
        finally:
            self._running = False

    @contextmanager
    def _until(self, ctrl_c: CtrlC) -> Iterator[None]:
        """End training at the first Ctrl-C; the second one goes on to the caller."""
        try:
            with ctrl_c:
                yield
        except KeyboardInterrupt:
            if ctrl_c.presses > 1:
                raise
            self.interrupted = True
            self.say(
                f"interrupted after {self.epoch} of {self.epochs} epochs: the parameters are those "
                "of the last finished step"
            )

    def _validate(self, data: Rows | Stream | None) -> dict[str, float]:
        """Return the logs of the validation data, if there are any."""
        if data is None:
            return {}
        forward = self._engine.forward() if self._engine else None
        logs = evaluate(self.model, self.loss, self.metrics, data, forward)
        return {f"val_{name}": value for name, value in logs.items()}

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
        running = RunningMetrics(self.loss, self.metrics, reused=data.reused)
        progress, in_place = self.progress, self.progress.in_place
        step = self.step if self._engine is None else self._engine.step
        batches = data.count(batch_size)
        progress.begin_epoch(batches)
        for callback in callbacks:
            callback.on_epoch_begin(self, self.epoch + 1)
        number = 0
        for batch in data.batches(batch_size, rng):
            number += step(gradient, batch, number + 1, running)
            for callback in callbacks:
                callback.on_update_end(self)
            if in_place and progress.due():
                progress.batch(number, running.logs)
            if ctrl_c.presses and number != batches:
                raise KeyboardInterrupt
        if not finite(gradient.parameters.value):
            raise DivergedError(
                f"training stopped at the end of epoch {self.epoch + 1}: a step made the "
                f"parameters infinite or NaN (learning rate {self.optimizer.rate})"
            )
        return running.logs()

    def _end_epoch(
        self, gradient: BatchGradient, logs: dict[str, float], callbacks: Sequence[Any]
    ) -> None:
        self.history.append(logs)
        self.epoch += 1
        if self.epoch < self.epochs and not self._ahead:
            self.good.take(f"the end of epoch {self.epoch}")
        self.progress.end_epoch(logs)
        if callbacks:
            self.progress.hide()
            for callback in callbacks:
                callback.on_epoch_end(self, self.epoch, logs)
            self.progress.show()
            gradient.use(self.model.parameters)  # they may have shared or regularized one
        if self._engine is not None:
            self._engine.end_epoch()

    def step(
        self, gradient: BatchGradient, batch: Rows, number: int, running: RunningMetrics
    ) -> int:
        """Compute J and its gradient for a batch, change the parameters, and report J.

        Returns:
            The number of steps: 1.
        """
        predictions: list[Data] | None = [] if running.keeps_predictions else None
        j = gradient(batch.x, batch.y, batch.weight, predictions)
        if number == 1:
            self.good.judge(j)
        if not (math.isfinite(j) and finite(gradient.parameters.grad)):
            raise self._diverged(batch, number, j)
        self.optimizer.step(gradient.parameters)
        running.add(j, batch, predictions[0] if predictions else None, gradient.regularization)
        return 1

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

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is of the running `fit` alone."""
        state = {**self.__dict__, "progress": Progress(), "_running": False}
        for name in ("good", "_engine"):
            state.pop(name, None)
        return state


def evaluate(
    model: Layer,
    loss: Loss,
    metrics: Mapping[str, Metric],
    data: Rows | Stream,
    forward: Callable[..., Data] | None = None,
) -> dict[str, float]:
    """Return the loss and the metrics over all rows, without writing on any layer."""
    forward = forward or model.forward
    running = RunningMetrics(loss, metrics, reused=data.reused)
    most = Plan(model).rows
    for batch in data.batches(None, None):
        for block in blocks(len(batch), min(most, batch.chunk)):
            part = batch.take(block)
            prediction = forward(part.x, training=False)
            j = loss.measure(prediction, part.y, part.weight, training=False)
            running.add(j, part, prediction if running.keeps_predictions else None)
    logs = running.logs()
    logs["loss"] += model.parameters.regularization()
    return logs


class _LastGoodEpoch:
    """The parameters, buffers and optimizer state to which training goes back when it diverges.

    There are two copies, the good one and the latest. Each new copy is written over the one that
    isn't good, since new memory of a large model costs as much as the copy.
    """

    def __init__(self, model: Layer, optimizer: Optimizer) -> None:
        self._weights, self._optimizer = weights_of(model), optimizer
        self._lowest = math.inf
        self._spare: list[Array] = []
        self.take("the beginning of this fit")
        self._good, self._spare = self._latest, []

    def take(self, when: str) -> None:
        """Copy everything as it is now; `judge` decides later whether it is good."""
        state = self._optimizer.state
        arrays = [*state.values(), *self._weights()]
        if [a.shape for a in self._spare] != [a.shape for a in arrays]:
            self._spare = [np.empty_like(a) for a in arrays]
        for copied, array in zip(self._spare, arrays, strict=True):
            copied[...] = array
        self._latest = when, self._optimizer.steps, [*state], self._spare

    def judge(self, loss: float) -> bool:
        """Accept the latest copy if the loss is finite and at most ten times the lowest."""
        limit = self._lowest + 9 * abs(self._lowest)
        if self._lowest == 0:  # any loss is more than ten times that
            limit = math.inf
        accepted = math.isfinite(loss) and loss <= limit
        if accepted:
            self._lowest = min(loss, self._lowest)
            if self._latest is not self._good:
                self._good, self._spare = self._latest, self._good[-1]
        return accepted

    def restore(self) -> str:
        """Go back to the last good copy, and return when that was."""
        when, self._optimizer.steps, names, copies = self._good
        self._optimizer.state = dict(zip(names, copies, strict=False))
        for array, copied in zip(self._weights(), copies[len(names) :], strict=True):
            array[...] = copied
        return when


def weights_of(model: Layer) -> Callable[[], list[Array]]:
    """Return a function that gives what training changes: the flat vector and the buffers."""
    parameters, layers = model.parameters, [layer for _, layer in walk(model) if layer.buffers]

    def weights() -> list[Array]:
        buffers = [getattr(layer, name) for layer in layers for name in layer.buffers]
        return [parameters.value, *buffers]

    return weights
