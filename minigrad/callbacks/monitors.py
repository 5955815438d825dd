"""Callbacks that watch the loss or a metric: early stopping and checkpoints."""

from __future__ import annotations

import os
from collections.abc import Mapping
from math import inf, nan
from typing import Literal, TypeAlias, cast

from typing_extensions import override

from minigrad.callbacks.base import Callback
from minigrad.core.trainer import Trainer
from minigrad.data.arrays import Array
from minigrad.metrics.named import better_of
from minigrad.models.last_good_epoch import weights_of
from minigrad.models.model import Model
from minigrad.util.names import nearest
from minigrad.util.options import check_bool, check_int, check_not_negative

Mode: TypeAlias = Literal["auto", "min", "max"]


class Monitor(Callback):
    """Base of callbacks that watch the loss or a metric, by its name in the logs."""

    def __init__(self, *, monitor: str, mode: Mode, min_delta: float = 0.0) -> None:
        if not isinstance(monitor, str):
            raise TypeError(f"{type(self).__name__} expects a name as monitor, got {monitor!r}")
        if not isinstance(mode, str) or mode not in ("auto", "min", "max"):
            raise ValueError(
                f"{type(self).__name__} expects mode 'auto', 'min' or 'max', got {mode!r}"
            )
        self.monitor = monitor
        self.mode = mode
        self.min_delta = check_not_negative(min_delta, "min_delta", self)
        self.best: float | None = None
        self.best_epoch = 0

    @override
    def on_train_begin(self, trainer: Trainer) -> None:
        """Check before training that the logs will contain the name."""
        if self.monitor not in trainer.reported:
            validated = any(name.startswith("val_") for name in trainer.reported)
            raise ValueError(
                f"{type(self).__name__} monitors '{self.monitor}', which isn't reported: "
                + nearest(self.monitor, trainer.reported)
                + ("" if validated else "; val_... needs validation_data or validation_split")
            )
        mode: str | None = self.mode
        if mode == "auto":
            name = self.monitor.removeprefix("val_")
            metric = trainer.metrics.get(name)
            mode = "min" if metric is None else better_of(metric)  # without a metric it is a loss
            if mode is None:
                raise ValueError(
                    f"{type(self).__name__} can't tell whether a lower or a higher "
                    f"'{self.monitor}' is better: pass mode='min' or mode='max', or set "
                    f"{name}.better"
                )
        self._maximize = mode == "max"

    def improved(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """Return whether this epoch is the best so far, and remember it.

        NaN never is, nor is an epoch that doesn't report the monitored name: `validation_freq`.
        """
        value = logs.get(self.monitor, nan)
        best = (-inf if self._maximize else inf) if self.best is None else self.best
        gain = value - best if self._maximize else best - value
        if not gain > self.min_delta:
            return False
        self.best, self.best_epoch = value, epoch
        return True


class EarlyStopping(Monitor):
    """Stops training when a metric stops improving, and restores the best parameters.

    The parameters and the layers' buffers, such as running statistics, are restored however
    training ends, also by Ctrl-C. The optimizer's state, the random state and the history stay
    those of the last epoch. To continue from the best epoch, load what `ModelCheckpoint` saved.

    Args:
        monitor: the name of the loss or metric.
        patience: the number of epochs in a row without improvement before training stops.
        min_delta: only a change larger than this is an improvement.
        mode: "min", "max", or "auto", as the metric says.
        restore_best_weights: False keeps the parameters of the last epoch.

    Attributes:
        best: the best value.
        best_epoch: the epoch of the best value.
        stopped_epoch: the epoch after which it stopped training; 0 if it didn't.

    Raises:
        ValueError: when training begins, a name that isn't reported.

    Source: Prechelt, Early stopping - but when?, 1998.

    >>> from minigrad import SGD, Dense, Sequential
    >>> model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    >>> model.compile(optimizer=SGD(learning_rate=0.5), loss="mse")
    >>> stopping = EarlyStopping(monitor="loss", patience=3, min_delta=1e-6)
    >>> history = model.fit([[0], [1]], [0, 1], epochs=1000, callbacks=[stopping], verbose=0)
    >>> stopping.stopped_epoch == history.epochs < 100
    True
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 5,
        min_delta: float = 0.0,
        mode: Mode = "auto",
        restore_best_weights: bool = True,
    ) -> None:
        super().__init__(monitor=monitor, mode=mode, min_delta=min_delta)
        self.patience = check_int(patience, "patience", self, least=0)
        self.restore_best_weights = check_bool(restore_best_weights, "restore_best_weights", self)
        self.stopped_epoch = 0
        self._best_weights: list[Array] | None = None

    @override
    def on_train_begin(self, trainer: Trainer) -> None:
        super().on_train_begin(trainer)
        self.best, self.best_epoch, self.stopped_epoch = None, trainer.epoch, 0
        self._best_weights = None

    @override
    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        if self.improved(epoch, logs):
            if self.restore_best_weights:
                self._best_weights = [array.copy() for array in weights_of(trainer.model)()]
        elif self.monitor in logs and epoch - self.best_epoch >= self.patience:
            self.stopped_epoch, trainer.stop = epoch, True

    @override
    def on_train_end(self, trainer: Trainer) -> None:
        text = f"stopped after epoch {self.stopped_epoch}" if self.stopped_epoch else ""
        if self.best is not None and self.best_epoch != trainer.epoch:
            restored = "; its parameters are restored" if self._best_weights else ""
            separator = ": " if text else ""
            text += f"{separator}best {self.monitor} in epoch {self.best_epoch}{restored}"
        if text:
            trainer.say(text)
        if self._best_weights is not None:
            for array, best in zip(weights_of(trainer.model)(), self._best_weights, strict=True):
                array[...] = best
        self._best_weights = None


class ModelCheckpoint(Monitor):
    """Saves the model after each epoch, or after each epoch that is the best so far.

    The file holds all that training needs to continue, unless `save_weights_only`.

    Args:
        path: the file. "{epoch}" and names in the logs in braces are replaced by their values, as
            in "net-{epoch:03}-{val_loss:.4f}.safetensors".
        monitor: the loss or metric that decides which epoch is best.
        mode: "min", "max", or "auto", as the metric says.
        save_best_only: save only an epoch that is better than all before. If the file exists, the
            earlier epochs in the model's history count too.
        save_weights_only: write the parameters and buffers alone, as `Model.save_weights` does, for
            `Model.load_weights`.

    Raises:
        ValueError: when training begins, a name that isn't reported.
        FileNotFoundError: when training begins, a folder that doesn't exist.

    >>> import os, tempfile
    >>> from minigrad import Dense, Sequential
    >>> model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     saving = ModelCheckpoint(os.path.join(folder, "net-{epoch}.safetensors"))
    ...     history = model.fit([[0], [1]], [0, 1], epochs=2, callbacks=[saving], verbose=0)
    ...     sorted(os.listdir(folder))
    ['net-1.safetensors', 'net-2.safetensors']
    """

    writes_files = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        monitor: str = "val_loss",
        mode: Mode = "auto",
        save_best_only: bool = False,
        save_weights_only: bool = False,
    ) -> None:
        super().__init__(monitor=monitor, mode=mode)
        self.path = os.fspath(path)
        self.save_best_only = check_bool(save_best_only, "save_best_only", self)
        self.save_weights_only = check_bool(save_weights_only, "save_weights_only", self)

    @override
    def on_train_begin(self, trainer: Trainer) -> None:
        known = dict.fromkeys(trainer.reported, 1.0)
        try:
            folder = os.path.dirname(self.path.format(epoch=1, **known))
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"ModelCheckpoint can't fill in path {self.path!r} ({error}): braces hold 'epoch' "
                f"or a name in the logs; {nearest(str(error.args[0]), ['epoch', *known])}"
            ) from None
        if "{" not in os.path.dirname(self.path) and not os.path.isdir(folder or "."):
            raise FileNotFoundError(f"ModelCheckpoint: no folder {folder!r} to save in: create it")
        if self.save_best_only:
            super().on_train_begin(trainer)
            if not trainer.history.epochs:  # another model, or one that isn't trained yet
                self.best, self.best_epoch = None, 0
            if self.best is None and os.path.exists(self.path):
                for epoch, value in enumerate(trainer.history.get(self.monitor, ()), start=1):
                    self.improved(epoch, {self.monitor: value})

    @override
    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        if not self.save_best_only or self.improved(epoch, logs):
            model = cast(Model, trainer.model)
            save = model.save_weights if self.save_weights_only else model.save
            save(self.path.format(epoch=epoch, **dict.fromkeys(trainer.reported, nan) | logs))
