"""Callbacks: what happens beside training, at its start, around each epoch, and at its end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from typing_extensions import override

from minigrad.util.config import Configurable
from minigrad.util.names import kind_of, nearest

if TYPE_CHECKING:
    from minigrad.core.trainer import Trainer

EpochFunction: TypeAlias = Callable[[int, dict[str, float]], Any]


class Callback(Configurable):
    """Does nothing at each moment; a new one overrides what it needs.

    A method `on_...` of another name is refused where the class is made.

    `training` is the running `fit`: `trainer.model`, `trainer.optimizer`, `trainer.history`,
    and `trainer.stop = True` ends it after this epoch. `logs` holds the epoch's numbers.
    Epochs count from 1, on over several fits.

    >>> import numpy as np
    >>> from minigrad import Dense, Sequential
    >>> class GoodEnough(Callback):
    ...     def on_epoch_end(self, trainer, epoch, logs):
    ...         trainer.stop = logs["loss"] < 0.01
    >>> model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> x = np.array([[0.0], [1.0]])
    >>> history = model.fit(x, x, epochs=1000, callbacks=[GoodEnough()], verbose=0)
    >>> history["loss"][-1] < 0.01, history.epochs < 1000
    (True, True)
    """

    @override
    def __repr__(self) -> str:
        try:
            return super().__repr__()
        except TypeError:  # nothing makes a callback of one's own keep its arguments
            return f"{type(self).__name__}(...)"

    def __init_subclass__(cls) -> None:
        """Refuse a method named as a moment that there isn't.

        Raises:
            TypeError: such a method.
        """
        super().__init_subclass__()
        moments = [name for name in vars(Callback) if name.startswith("on_")]
        for name in dir(cls):
            if name.startswith("on_") and name not in moments and callable(getattr(cls, name)):
                raise TypeError(
                    f"{cls.__name__} has a method '{name}', which training never calls: "
                    f"{nearest(name, moments)}"
                )

    def on_train_begin(self, trainer: Trainer) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Before each epoch."""

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        """After each epoch; the history and a saved model hold it already."""

    def on_train_end(self, trainer: Trainer) -> None:
        """After the last epoch, also when training was interrupted or failed."""


class EachEpoch(Callback):
    """Calls a function after each epoch; `fit` makes it of a function among its callbacks.

    Args:
        function: takes the epoch and its logs, a dict of numbers by name.

    >>> EachEpoch(print).on_epoch_end(None, 3, {"loss": 0.25})
    3 {'loss': 0.25}
    """

    def __init__(self, function: EpochFunction) -> None:
        self.function = function

    @override
    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        self.function(epoch, logs)


def as_callbacks(callbacks: Iterable[Callback | EpochFunction]) -> list[Callback]:
    """Return callbacks, with those made of functions that stand for one.

    Raises:
        TypeError: something else, or one alone that isn't in a list.

    >>> as_callbacks([CSVLogger])
    Traceback (most recent call last):
    ...
    TypeError: callbacks[0] is a class: pass an object, CSVLogger(...)
    """
    if isinstance(callbacks, Callback) or not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks must be a list, got {type(callbacks).__name__}: pass [it]")
    found: list[Callback] = []
    for index, callback in enumerate[Any](callbacks):
        if isinstance(callback, type):
            raise TypeError(
                f"callbacks[{index}] is a class: pass an object, {callback.__name__}(...)"
            )
        if not isinstance(callback, Callback) and not callable(callback):
            raise TypeError(
                f"callbacks[{index}] is {kind_of(callback)}: expected a Callback, or a "
                "function of (epoch, logs)"
            )
        found.append(callback if isinstance(callback, Callback) else EachEpoch(callback))
    return found


class LearningRateScheduler(Callback):
    """Sets the optimizer's learning rate before each epoch.

    Args:
        schedule: takes the epoch, from 1 and on over several fits, and returns its learning rate.

    Raises:
        TypeError: `schedule` isn't a function; while training, a rate that isn't a number.
        ValueError: while training, a rate that isn't above zero.

    >>> import numpy as np
    >>> from minigrad import SGD, Dense, Sequential
    >>> model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    >>> model.compile(optimizer=SGD(learning_rate=1.0), loss="mse")
    >>> x = np.array([[0.0], [1.0]])
    >>> halving = LearningRateScheduler(lambda epoch: 0.5**epoch)
    >>> history = model.fit(x, x, epochs=3, callbacks=[halving], verbose=0)
    >>> model.optimizer.learning_rate
    0.125
    """

    def __init__(self, schedule: Callable[[int], float]) -> None:
        if not callable(schedule):
            raise TypeError(
                f"LearningRateScheduler expects a function of the epoch, got {schedule!r}"
            )
        self.schedule = schedule

    @override
    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        trainer.optimizer.learning_rate = self.schedule(epoch)


class CSVLogger(Callback):
    """Writes each epoch's logs as a row of a CSV file, on the disk when the epoch ends.

    A model's first fit begins the file anew; later ones, also of a model that was loaded, go on
    in it.

    Args:
        path: the file; its columns are "epoch" and the logs.

    Raises:
        ValueError: when training begins, a file to go on in that has other columns.

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from minigrad import Dense, Sequential
    >>> model = Sequential([Dense(1, weight_initializer="zeros")], input_shape=(1,))
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> x = np.array([[1.0], [1.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "log.csv")
    ...     history = model.fit(x, x, callbacks=[CSVLogger(path)], verbose=0)
    ...     print(path.read_text(), end="")
    epoch,loss
    1,1.0
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    @override
    def on_train_begin(self, trainer: Trainer) -> None:
        columns = ["epoch", *trainer.reported]
        if trainer.epoch and os.path.exists(self.path) and os.path.getsize(self.path):
            import csv

            with open(self.path, newline="", encoding="utf-8") as file:
                there = next(csv.reader(file))
            if there != columns:
                raise ValueError(
                    f"CSVLogger can't go on in {self.path!r}, whose columns are "
                    f"{', '.join(there)}: this fit reports {', '.join(columns)}; choose a new file"
                )
        else:
            self._write(columns, "w")

    @override
    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        self._write([epoch, *(logs[name] for name in trainer.reported)], "a")

    def _write(self, row: list[Any], how: Literal["w", "a"]) -> None:
        import csv

        with open(self.path, how, newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(row)
