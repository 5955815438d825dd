"""TensorBoard: the logs of training as event files."""

from __future__ import annotations

import os

from typing_extensions import override

from minigrad.callbacks.base import Callback
from minigrad.core.trainer import Trainer
from minigrad.util.optional import optional
from minigrad.util.options import check_bool

optional(
    "tensorboardX", "minigrad.interop.tensorboard", packages="tensorboard tensorboardX", least="2.6"
)

from tensorboardX import SummaryWriter


class TensorBoard(Callback):
    """Writes the logs of each epoch, and the learning rate, for TensorBoard.

    The folder gets two runs, "train" and "validation". "val_loss" is the "loss" of the second, so
    that one chart has both curves. `tensorboard --logdir FOLDER` shows them, also during training.
    Later fits continue the curves.

    Args:
        folder: of the event files; give each training run its own.
        histograms: also write the values of each parameter after each epoch.

    >>> import pathlib, tempfile
    >>> from minigrad import Dense, Sequential
    >>> model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     history = model.fit([[1]], [1], callbacks=[TensorBoard(folder)], verbose=0)
    ...     [path.name for path in pathlib.Path(folder).iterdir()]
    ['train']
    """

    def __init__(self, folder: str | os.PathLike[str], *, histograms: bool = False) -> None:
        self.folder = os.fspath(folder)
        self.histograms = check_bool(histograms, "histograms", self)
        self._writers: dict[str, SummaryWriter] = {}

    @override
    def on_train_begin(self, trainer: Trainer) -> None:
        validated = any(name.startswith("val_") for name in trainer.reported)
        for run in ("train", "validation") if validated else ("train",):
            self._writers[run] = SummaryWriter(
                os.path.join(self.folder, run),
                flush_secs=5,
                filename_suffix=f".{trainer.epoch}",  # a file of the same second is overwritten
            )

    @override
    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        for name, value in logs.items():
            run = "validation" if name.startswith("val_") else "train"
            self._writers[run].add_scalar(name.removeprefix("val_"), value, epoch)
        train = self._writers["train"]
        train.add_scalar("learning_rate", trainer.optimizer.rate, epoch)
        if self.histograms:
            for path, p in trainer.model.named_parameters():
                train.add_histogram(path.replace(".", "/"), p.value, epoch)

    @override
    def on_train_end(self, trainer: Trainer) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
