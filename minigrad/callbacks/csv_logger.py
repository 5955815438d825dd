"""Logging to a CSV file."""

from __future__ import annotations

import os
from typing import Any, Literal

from typing_extensions import override

from minigrad.callbacks.base import Callback
from minigrad.core.trainer import Trainer


class CSVLogger(Callback):
    """Writes the logs of each epoch as a row of a CSV file, as soon as the epoch ends.

    A model's first fit starts a new file. Later fits, also of a loaded model, append to it.

    Args:
        path: the file; its columns are "epoch" and the names in the logs.

    Raises:
        ValueError: when training begins, a file to append to that has other columns.

    >>> import pathlib, tempfile
    >>> from minigrad import Dense, Sequential
    >>> model = Sequential([Dense(1, weight_initializer="zeros")], input_shape=(1,))
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "log.csv")
    ...     history = model.fit([[1], [1]], [1, 1], callbacks=[CSVLogger(path)], verbose=0)
    ...     print(path.read_text(), end="")
    epoch,loss
    1,1.0
    """

    writes_files = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    @override
    def on_train_begin(self, trainer: Trainer) -> None:
        columns = ["epoch", *trainer.reported]
        if trainer.epoch and os.path.exists(self.path) and os.path.getsize(self.path):
            import csv

            with open(self.path, newline="", encoding="utf-8") as file:
                present = next(csv.reader(file))
            if present != columns:
                raise ValueError(
                    f"CSVLogger expects {self.path!r} to have the columns {', '.join(columns)}, "
                    f"got {', '.join(present)}: choose a new file"
                )
        else:
            self._write(columns, "w")

    @override
    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        self._write([epoch, *(logs[name] for name in trainer.reported)], "a")

    def _write(self, row: list[Any], mode: Literal["w", "a"]) -> None:
        import csv

        with open(self.path, mode, newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(row)
