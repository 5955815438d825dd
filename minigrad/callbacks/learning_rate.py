"""Callbacks that change the learning rate between epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isnan

from typing_extensions import override

from minigrad.callbacks.base import Callback, takes
from minigrad.callbacks.monitors import Mode, Monitor
from minigrad.core.trainer import Trainer
from minigrad.util.options import check_int, check_not_negative, check_positive


class LearningRateScheduler(Callback):
    """Sets the optimizer's learning rate before each epoch.

    Args:
        schedule: takes the epoch, from 1 and on over several fits, and returns its learning rate;
            or takes (epoch, rate), as in Keras, with the rate so far. Keras counts epochs from 0.

    Raises:
        TypeError: `schedule` isn't a function; when training begins, an optimizer whose learning
            rate is a `Schedule`; during training, a rate that isn't a number above zero.

    >>> from minigrad import SGD, Dense, Sequential
    >>> model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    >>> model.compile(optimizer=SGD(learning_rate=1.0), loss="mse")
    >>> halving = LearningRateScheduler(lambda epoch: 0.5**epoch)
    >>> history = model.fit([[0], [1]], [0, 1], epochs=3, callbacks=[halving], verbose=0)
    >>> model.optimizer.learning_rate
    0.125
    >>> falling = LearningRateScheduler(lambda epoch, rate: 0.5 * rate)
    >>> history = model.fit([[0], [1]], [0, 1], callbacks=[falling], verbose=0)
    >>> model.optimizer.learning_rate
    0.0625
    """

    def __init__(self, schedule: Callable[[int], float] | Callable[[int, float], float]) -> None:
        if not callable(schedule) or not (takes(schedule, 1) or takes(schedule, 2)):
            raise TypeError(
                "LearningRateScheduler expects a function of the epoch, or of (epoch, rate), got "
                f"{schedule!r}"
            )
        self.schedule: Callable[..., float] = schedule

    @override
    def on_train_begin(self, trainer: Trainer) -> None:
        _refuse_schedule(self, trainer)

    @override
    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        given = (epoch,) if takes(self.schedule, 1) else (epoch, trainer.optimizer.rate)
        trainer.optimizer.learning_rate = self.schedule(*given)


class ReduceOnPlateau(Monitor):
    """Multiplies the learning rate by `factor` after `patience` epochs without improvement.

    It prints a line then, unless verbose=0. The epochs of earlier fits count, so that training
    which is stopped and continued reduces at the same epochs. This is Keras's ReduceLROnPlateau;
    PyTorch's waits for one epoch more, and its threshold is a fraction of the best value.

    Args:
        monitor: the name of the loss or metric.
        factor: above 0 and below 1.
        patience: the number of epochs in a row, at least 1.
        min_delta: only a change larger than this is an improvement.
        mode: "min", "max", or "auto", as the metric says.
        min_learning_rate: the lower limit of the learning rate.

    Raises:
        TypeError, ValueError: when training begins, an optimizer whose learning rate is a
            `Schedule`, or a name that isn't reported.

    >>> from minigrad import SGD, Dense, Sequential
    >>> model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    >>> model.compile(optimizer=SGD(learning_rate=0.5), loss="mse")
    >>> plateau = ReduceOnPlateau(monitor="loss", factor=0.5, patience=2, min_delta=100)
    >>> history = model.fit([[1], [1]], [1, 1], epochs=5, callbacks=[plateau], verbose=0)
    >>> model.optimizer.learning_rate
    0.125
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        mode: Mode = "auto",
        min_learning_rate: float = 0.0,
    ) -> None:
        super().__init__(monitor=monitor, mode=mode, min_delta=min_delta)
        self.factor = check_positive(factor, "factor", self)
        if self.factor >= 1:
            raise ValueError(f"ReduceOnPlateau expects 0 < factor < 1, got {factor}")
        self.patience = check_int(patience, "patience", self)
        self.min_learning_rate = check_not_negative(min_learning_rate, "min_learning_rate", self)
        self._waited = 0

    @override
    def on_train_begin(self, trainer: Trainer) -> None:
        super().on_train_begin(trainer)
        _refuse_schedule(self, trainer)
        self.best, self.best_epoch, self._waited = None, 0, 0
        for epoch, value in enumerate(trainer.history.get(self.monitor, ()), start=1):
            if not isnan(value):  # an epoch that wasn't validated
                self._runs_out(epoch, {self.monitor: value})

    @override
    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        optimizer = trainer.optimizer
        reduced = max(self.factor * optimizer.rate, self.min_learning_rate)
        if self._runs_out(epoch, logs) and reduced < optimizer.rate:
            optimizer.learning_rate = reduced
            epochs = "1 epoch" if self.patience == 1 else f"{self.patience} epochs"
            trainer.say(
                f"learning rate {reduced:.4g} after epoch {epoch}: no better {self.monitor} in "
                f"{epochs}"
            )

    def _runs_out(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """Count an epoch that reports the name, and return whether patience runs out."""
        if self.monitor not in logs:
            return False
        self._waited = 0 if self.improved(epoch, logs) else self._waited % self.patience + 1
        return self._waited == self.patience


def _refuse_schedule(callback: Callback, trainer: Trainer) -> None:
    rate = trainer.optimizer.learning_rate
    if callable(rate):
        raise TypeError(
            f"{type(callback).__name__} expects a learning rate that is a number, got {rate!r}: "
            "use either the callback or the schedule"
        )
