"""Callbacks: what happens beside training, at its start, around each epoch, and at its end."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal

from typing_extensions import override

from minigrad.callbacks.base import Callback
from minigrad.core.trainer import Trainer


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
