"""Logging to a CSV file."""

from __future__ import annotations

import os
from math import nan

from typing_extensions import override

from minigrad.callbacks.base import Callback
from minigrad.core.trainer import Trainer
from minigrad.util.atomic import atomic_write
from minigrad.util.table import csv_text


class CSVLogger(Callback):
    """Writes the logs of each epoch as a row of a CSV file, as soon as the epoch ends.

    A model's first fit starts a new file. Later fits, also of a loaded model, continue it after
    the model's last epoch: the rows of epochs that a killed run made after its last checkpoint are
    removed.

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
        import csv

        columns, kept = ["epoch", *trainer.reported], []
        if trainer.epoch and os.path.exists(self.path) and os.path.getsize(self.path):
            with open(self.path, newline="", encoding="utf-8") as file:
                present, *rows = csv.reader(file)
            if present != columns:
                raise ValueError(
                    f"CSVLogger expects {self.path!r} to have the columns {', '.join(columns)}, "
                    f"got {', '.join(present)}: choose a new file"
                )
            known = {str(epoch) for epoch in range(1, trainer.epoch + 1)}
            kept = [row for row in rows if row and row[0] in known]
        atomic_write(self.path, [csv_text([columns, *kept]).encode()])

    @override
    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            file.write(csv_text([[epoch, *(logs.get(name, nan) for name in trainer.reported)]]))
