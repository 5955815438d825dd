"""Training: for each epoch, for each batch, one step down the gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
    from minigrad.data.rows import Rows
    from minigrad.metrics import Metric
    from minigrad.metrics.running import RunningMetrics


class DivergedError(ArithmeticError):
    """A loss, a gradient or the parameters became infinite or NaN in training.

    The message names the epoch, the batch, and the first layer whose output or gradient isn't
    finite. The model goes back to the end of the last good epoch, or to the beginning of `fit`. An
    epoch is good if the first loss of the next one is finite and at most ten times the lowest first
    loss so far. The history keeps all epochs.
    """


class Source(Protocol):
    """What training reads: `Rows` of arrays, or a `Stream`."""

    @property
    def reused(self) -> bool:
        """Whether the arrays of a batch may be overwritten by the next one."""

    def count(self, batch_size: int | None) -> int | None:
        """Return the number of batches in an epoch, None if it isn't known."""

    def batches(self, batch_size: int | None, rng: RNG | None) -> Iterator[Rows]:
        """Yield the batches of an epoch, in a random order of the rows if there is an rng."""


class Evaluator(Protocol):
    """What reports the loss and the metrics; see `Evaluation`."""

    def running(self, data: Source) -> RunningMetrics: ...
    def __call__(self, data: Source) -> dict[str, float]: ...


class GoodEpoch(Protocol):
    """Where training goes back to when it diverges; see `LastGoodEpoch`."""

    def take(self, when: str) -> None: ...
    def judge(self, loss: float) -> bool: ...
    def restore(self) -> str: ...


@dataclass(eq=False, repr=False)
class Run:
    """What belongs to one running `fit`; an engine overrides its methods.

    Attributes:
        gradient: computes J and dJ/dtheta of a batch.
        data: the rows to train with, in batches of `batch_size`.
        rng: draws the order of the rows; None takes them as they lie.
        evaluation: reports the loss and the metrics, of an epoch and of the validation rows.
        validation: the rows to evaluate after every `validation_freq`-th epoch.
        callbacks: see `Callback`.
    """

    gradient: Gradient
    data: Source
    batch_size: int | None
    rng: RNG | None
    good: GoodEpoch
    evaluation: Evaluator
    validation: Source | None = None
    validation_freq: int = 1
    callbacks: Sequence[Any] = ()
    progress: Display = field(default_factory=Display)
    ctrl_c: CtrlC = field(default_factory=CtrlC, init=False)
    place: ClassVar[str] = "epoch {}, batch {}"

    @property
    def ahead(self) -> bool:
        """Whether the parameters are those of a later epoch already."""
        return False

    def begin(self, trainer: Trainer) -> None:
        """Prepare for the first epoch."""

    def step(self, trainer: Trainer, batch: Rows, number: int, running: RunningMetrics) -> int:
        """Compute J and its gradient for a batch, change the parameters, and report J.

        Returns:
            The number of steps made: 1.
        """
        predictions: list[Any] | None = [] if running.keeps_predictions else None
        j = self.gradient(batch.x, batch.y, batch.weight, predictions)
        if number == 1:
            self.good.judge(j)
        if not (math.isfinite(j) and finite(self.gradient.parameters.grad)):
            raise trainer.diverged(batch, self.place.format(trainer.epoch + 1, number), j)
        trainer.optimizer.step(self.gradient.parameters)
        prediction = predictions[0] if predictions else None
        running.add(j, batch, prediction, self.gradient.regularization)
        return 1

    def go_back(self, error: DivergedError) -> DivergedError:
        """Go back to the last good epoch, and return the error that says so."""
        return DivergedError(
            f"{error}. The parameters are back at {self.good.restore()}: lower the learning rate, "
            "or scale the data"
        )

    def end_epoch(self, trainer: Trainer) -> None:
        """Finish an epoch, after its callbacks."""

    def end(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Finish the fit, whatever ended it."""


@dataclass(eq=False, repr=False)
class Trainer:
    """Trains a model; `Model.compile` makes one, and callbacks receive it.

    Attributes:
        epoch: the number of finished epochs, those of earlier fits included.
        epochs: `epoch` at the end of the running, or interrupted, `fit`.
        reported: the names of an epoch's logs.
        stop: set it to True to end training after this epoch.
        interrupted: whether Ctrl-C ended the last `fit`.
        run: what belongs to the running `fit`; None between two.
        by_batch: the run of `train_on_batch`, kept from call to call; None before the first.
    """

    model: Layer
    optimizer: Optimizer
    loss: Loss
    metrics: Mapping[str, Metric]
    history: History = field(default_factory=History)
    reported: tuple[str, ...] = field(default=(), init=False)
    stop: bool = field(default=False, init=False)
    interrupted: bool = field(default=False, init=False)
    run: Run | None = field(default=None, init=False)
    by_batch: Run | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.epoch = self.epochs = self.history.epochs

    def fit(self, run: Run, epochs: int) -> History:
        """Train for some epochs, or until Ctrl-C, and return their logs; see `Model.fit`."""
        if self.run is not None:
            raise RuntimeError("fit is running already for this model: call it again afterwards")
        self.optimizer.check_owner(run.gradient.parameters)
        self.epoch = self.history.epochs
        self.epochs = self.epoch + epochs
        self.stop = self.interrupted = False
        history = History()
        with self._begun(run):
            while self.epoch < self.epochs and not self.stop:
                logs = self._epoch(run)
                if run.validation is not None and (self.epoch + 1) % run.validation_freq == 0:
                    validated = run.evaluation(run.validation)
                    logs |= {f"val_{name}": value for name, value in validated.items()}
                history.append(logs)
                self._end_epoch(run, logs)
        if not self.interrupted:
            self.epochs = self.epoch
        return history

    @contextmanager
    def _begun(self, run: Run) -> Iterator[None]:
        """Begin a run, and end it: normally, by Ctrl-C, or at the last good epoch."""
        self.run = run
        try:
            with ExitStack() as ending:
                run.begin(self)
                ending.push(run.end)
                ending.callback(run.progress.end)
                names = ("loss", *(f"{name}_loss" for name in self.loss.losses), *self.metrics)
                validated = names if run.validation is not None else ()
                self.reported = (*names, *(f"val_{name}" for name in validated))
                for callback in run.callbacks:
                    callback.on_train_begin(self)
                    ending.callback(callback.on_train_end, self)
                run.progress.begin(self.epoch, self.epochs)
                try:
                    with run.ctrl_c, run.gradient, np.errstate(all="ignore"):
                        yield
                except KeyboardInterrupt:
                    if run.ctrl_c.presses > 1:
                        raise
                    self.interrupted = True
                    self.say(
                        f"interrupted after {self.epoch} of {self.epochs} epochs: the parameters "
                        "are those of the last finished step"
                    )
        except DivergedError as error:
            raise run.go_back(error) from None
        finally:
            self.run = None

    def _epoch(self, run: Run) -> dict[str, float]:
        """Make a step for each batch, and return the logs."""
        running, batches = run.evaluation.running(run.data), run.data.count(run.batch_size)
        step, progress, callbacks = run.step, run.progress, run.callbacks
        progress.begin_epoch(batches)
        for callback in callbacks:
            callback.on_epoch_begin(self, self.epoch + 1)
        number = 0
        for batch in run.data.batches(run.batch_size, run.rng):
            number += step(self, batch, number + 1, running)
            for callback in callbacks:
                callback.on_update_end(self)
            if progress.in_place and progress.due():
                progress.batch(number, running.logs)
            if run.ctrl_c.presses and number != batches:
                raise KeyboardInterrupt
        self.check_parameters(run, f"the end of epoch {self.epoch + 1}")
        return running.logs()

    def _end_epoch(self, run: Run, logs: dict[str, float]) -> None:
        self.history.append(logs)
        self.epoch += 1
        last = self.epoch >= self.epochs
        if not last and not run.ahead:
            run.good.take(f"the end of epoch {self.epoch}")
        run.progress.end_epoch(logs)
        if run.callbacks:
            run.progress.hide()
            for callback in run.callbacks:
                callback.on_epoch_end(self, self.epoch, logs)
            run.progress.show()
            run.gradient.use(self.model.parameters)  # a callback may have shared or regularized one
        run.end_epoch(self)
        if run.ctrl_c.presses and not last and not run.ahead:
            raise KeyboardInterrupt

    def check_parameters(self, run: Run, place: str) -> None:
        """Refuse parameters that a step made infinite or NaN."""
        if not finite(run.gradient.parameters.value):
            raise DivergedError(
                f"training stopped at {place}: a step made the parameters infinite or NaN "
                f"(learning rate {self.optimizer.rate})"
            )

    def say(self, text: str) -> None:
        """Print a line, unless training is silent."""
        if self.run is not None:
            self.run.progress.say(text)

    def diverged(self, batch: Rows, place: str, j: float) -> DivergedError:
        """Return the error for a J or a gradient that isn't finite; it names the first layer."""
        from minigrad.trace import trace

        recorded = trace(self.model, batch.x, batch.y, self.loss, sample_weight=batch.weight)
        first = recorded.first_not_finite() or "the loss"
        return DivergedError(
            f"training stopped at {place}: {first} is not finite (loss {j}, learning rate "
            f"{self.optimizer.rate})"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the runs, which belong to this model."""
        return {**self.__dict__, "run": None, "by_batch": None}
