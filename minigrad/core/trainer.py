"""Training: for each epoch, for each batch, one step down the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from minigrad.core.gradient import Gradient
from minigrad.core.layer import Layer
from minigrad.core.loss import Loss
from minigrad.core.optimizer import Optimizer
from minigrad.data.arrays import finite
from minigrad.history import History
from minigrad.util.ctrl_c import CtrlC
from minigrad.util.display import Display
from minigrad.util.random import RNG

if TYPE_CHECKING:
    from minigrad.data.by_name import Data
    from minigrad.metrics import Metric


class Batch(Protocol):
    """Some rows: inputs, targets and weights."""

    x: Any
    y: Any
    weight: Any


class Source(Protocol):
    """What training reads: `Rows` of arrays, or a `Stream`."""

    reused: ClassVar[bool]
    """Whether the arrays of a batch may be overwritten by the next one."""

    def count(self, batch_size: int | None) -> int | None:
        """Return the number of batches in an epoch, None if it isn't known."""

    def batches(self, batch_size: int | None, rng: RNG | None) -> Iterator[Any]:
        """Yield the batches of an epoch, in a random order of the rows if there is an rng."""


class Running(Protocol):
    """The loss and the metrics of an epoch; see `RunningMetrics`."""

    keeps_predictions: bool

    def add(
        self, j: float, batch: Any, predictions: Data | None, regularization: float = 0.0
    ) -> None: ...

    def logs(self) -> dict[str, float]: ...


class GoodEpoch(Protocol):
    """Where training goes back to when it diverges; see `LastGoodEpoch`."""

    def take(self, when: str) -> None: ...

    def judge(self, loss: float) -> bool: ...

    def restore(self) -> str: ...


class Engine(Protocol):
    """Makes the steps of a fit in another way than NumPy's; see `minigrad.jit`.

    Attributes:
        ahead: whether steps of the next epochs are made already.
    """

    @property
    def ahead(self) -> bool: ...

    def begin(
        self,
        trainer: Trainer,
        gradient: Any,
        data: Any,
        validation: Any,
        callbacks: Sequence[Any],
    ) -> tuple[Any, Source | None, Sequence[Any]]:
        """Return the data, in batches that `step` takes, and what to validate and call."""

    def step(self, gradient: Any, batch: Any, number: int, running: Any) -> int:
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
        self.progress = Display()

    def fit(
        self,
        gradient: Gradient,
        data: Source,
        *,
        epochs: int,
        batch_size: int | None,
        rng: RNG | None,
        good: GoodEpoch,
        running: Callable[[bool], Running],
        validation: Source | None = None,
        validate: Callable[[Source], dict[str, float]] | None = None,
        callbacks: Sequence[Any] = (),
        progress: Display | None = None,
        engine: Engine | None = None,
    ) -> History:
        """Train for some epochs, or until Ctrl-C, and return their logs; see `Model.fit`."""
        if self._running:
            raise RuntimeError("fit is running already for this model: call it again afterwards")
        self.optimizer.check_owner(gradient.parameters)
        self.epoch = self.history.epochs
        self.epochs = self.epoch + epochs
        self.stop = self.interrupted = False
        self.progress = progress or Display()
        self._engine = engine
        if engine is not None:
            data, validation, callbacks = engine.begin(self, gradient, data, validation, callbacks)
        losses = [f"{name}_loss" for name in self.loss.losses]
        names = ("loss", *losses, *self.metrics)
        self.reported = (*names, *(f"val_{name}" for name in names if validation is not None))
        self.good = good
        self._running_metrics = running
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
                    if validation is not None and validate is not None:
                        logs |= {
                            f"val_{name}": value for name, value in validate(validation).items()
                        }
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

    def _epoch(
        self,
        gradient: Gradient,
        data: Source,
        batch_size: int | None,
        rng: RNG | None,
        ctrl_c: CtrlC,
        callbacks: Sequence[Any],
    ) -> dict[str, float]:
        """Make a step for each batch, and return the logs."""
        running = self._running_metrics(data.reused)
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
        self, gradient: Gradient, logs: dict[str, float], callbacks: Sequence[Any]
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

    def step(self, gradient: Gradient, batch: Batch, number: int, running: Running) -> int:
        """Compute J and its gradient for a batch, change the parameters, and report J.

        Returns:
            The number of steps: 1.
        """
        predictions: list[Any] | None = [] if running.keeps_predictions else None
        j = gradient(batch.x, batch.y, batch.weight, predictions)
        if number == 1:
            self.good.judge(j)
        if not (math.isfinite(j) and finite(gradient.parameters.grad)):
            raise self._diverged(batch, number, j)
        self.optimizer.step(gradient.parameters)
        running.add(j, batch, predictions[0] if predictions else None, gradient.regularization)
        return 1

    def say(self, text: str) -> None:
        """Print a line, unless training is silent."""
        self.progress.say(text)

    def _diverged(self, batch: Batch, number: int, j: float) -> DivergedError:
        from minigrad.trace import trace

        recorded = trace(self.model, batch.x, batch.y, self.loss, sample_weight=batch.weight)
        place = recorded.first_not_finite() or "the loss"
        return DivergedError(
            f"training stopped at epoch {self.epoch + 1}, batch {number}: {place} is not finite "
            f"(loss {j}, learning rate {self.optimizer.rate})"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is of the running `fit` alone."""
        state = {**self.__dict__, "progress": Display(), "_running": False}
        for name in ("good", "_engine", "_running_metrics"):
            state.pop(name, None)
        return state
