"""Callbacks that follow one figure: they stop training, or save the model, when it is best."""

from __future__ import annotations

import os
from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from typing_extensions import override

from minigrad.callbacks.base import Callback
from minigrad.core.trainer import Weights
from minigrad.util.names import nearest
from minigrad.util.options import check_int, check_not_negative

if TYPE_CHECKING:
    from minigrad.core.trainer import Trainer

Mode: TypeAlias = Literal["auto", "min", "max"]

_FALL = ("loss", "error", "mae", "mse", "rmse")
_RISE = ("accuracy", "precision", "recall", "f1", "r2", "auc")


class Monitor(Callback):
    """Base of callbacks that follow one figure: which one, and whether it should fall or rise.

    Args:
        monitor: the figure's name, such as "val_loss".
        mode: "min" or "max"; "auto" knows losses, errors and scores by their names.
        min_delta: a change of no more than this doesn't count as better.

    Attributes:
        best: the best value so far; None before the first.
        best_epoch: the epoch that had it.

    Raises:
        TypeError, ValueError: another mode; a `min_delta` that isn't a number of zero or above.

    >>> class Cheer(Monitor):
    ...     def on_epoch_end(self, trainer, epoch, logs):
    ...         if self.improved(epoch, logs):
    ...             trainer.say(f"epoch {epoch} is the best so far")
    >>> Cheer(monitor="accuracy", mode="max").min_delta
    0.0
    """

    def __init__(self, *, monitor: str, mode: Mode, min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode must be 'auto', 'min' or 'max', got {mode!r}")
        self.monitor = monitor
        self.mode = mode
        self.min_delta = check_not_negative(min_delta, "min_delta", self)
        self.best: float | None = None
        self.best_epoch = 0

    @override
    def on_train_begin(self, trainer: Trainer) -> None:
        """Check the name before any training is done.

        Raises:
            ValueError: this fit reports no such figure, or it can't be told which way is better.
        """
        owner = type(self).__name__
        if self.monitor not in trainer.reported:
            known = nearest(self.monitor, trainer.reported)
            validated = any(name.startswith("val_") for name in trainer.reported)
            way = "" if validated else "; val_... needs validation_data or validation_split"
            raise ValueError(f"{owner} monitors '{self.monitor}', not reported: {known}{way}")
        self._rises = self._should_rise()

    def _should_rise(self) -> bool:
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.lower()
        rises = any(word in name for word in _RISE)
        if rises == any(word in name for word in _FALL):
            raise ValueError(
                f"{type(self).__name__} can't tell whether '{self.monitor}' should fall or rise: "
                "pass mode='min' or mode='max'"
            )
        return rises

    def improved(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """Tell whether this epoch is the best so far, and remember it; NaN never is."""
        value = logs[self.monitor]
        best = (-inf if self._rises else inf) if self.best is None else self.best
        better = value - best if self._rises else best - value
        if not better > self.min_delta:
            return False
        self.best, self.best_epoch = value, epoch
        return True


class EarlyStopping(Monitor):
    """Stops training when a figure gets no better, and puts the best parameters back.

    They are put back however training ends, also by Ctrl-C, and with them the layers' buffers, such
    as running statistics. The optimizer's state and learning rate, the random state and the history
    stay those of the last epoch; to go on from the best one as if nothing had come after it, load
    what `ModelCheckpoint(path, save_best_only=True)` saved.

    Args:
        monitor: the figure that is followed.
        patience: stop after so many epochs in a row without a better value.
        min_delta: a change of no more than this doesn't count as better.
        mode: "min", "max", or "auto", by the figure's name.
        restore_best_weights: False keeps the parameters of the last epoch.

    Raises:
        ValueError: a value out of its range; when training begins, a figure that isn't reported.

    Attributes:
        best: the best value.
        best_epoch: the epoch that had it.
        stopped_epoch: the epoch after which it stopped training; 0 if it didn't.

    Source: Prechelt, Early stopping - but when?, 1998.

    >>> import numpy as np
    >>> from minigrad import SGD, Dense, Sequential
    >>> model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    >>> model.compile(optimizer=SGD(learning_rate=0.5), loss="mse")
    >>> stopping = EarlyStopping(monitor="loss", patience=3, min_delta=1e-6)
    >>> x = np.array([[0.0], [1.0]])
    >>> history = model.fit(x, x, epochs=1000, batch_size=None, callbacks=[stopping], verbose=0)
    >>> stopping.stopped_epoch == history.epochs < 100
    True
    """

    def __init__(
        self,
        *,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        mode: Mode = "auto",
        restore_best_weights: bool = True,
    ) -> None:
        super().__init__(monitor=monitor, mode=mode, min_delta=min_delta)
        self.patience = check_int(patience, "patience", self, least=0)
        self.restore_best_weights = restore_best_weights
        self.stopped_epoch = 0
        self._weights: Weights | None = None

    @override
    def on_train_begin(self, trainer: Trainer) -> None:
        super().on_train_begin(trainer)
        self.best, self.best_epoch, self.stopped_epoch = None, trainer.epoch, 0
        self._weights = None

    @override
    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        if self.improved(epoch, logs):
            if self.restore_best_weights:
                self._weights = Weights(trainer.model)
        elif epoch - self.best_epoch >= self.patience:
            self.stopped_epoch, trainer.stop = epoch, True

    @override
    def on_train_end(self, trainer: Trainer) -> None:
        said = f"stopped after epoch {self.stopped_epoch}" if self.stopped_epoch else ""
        if self.best is not None and self.best_epoch != trainer.epoch:
            back = ", whose parameters are back" if self._weights else ""
            said += f"{': ' * bool(said)}{self.monitor} was best in epoch {self.best_epoch}{back}"
        if said:
            trainer.say(said)
        if self._weights is not None:
            self._weights.restore()
        self._weights = None


class ModelCheckpoint(Monitor):
    """Saves the model after each epoch, or after each that is the best so far.

    What is saved holds all that training needs to go on from there.

    Args:
        path: the file; "{epoch}" and the logs' names in braces stand for their values, as in
            "net-{epoch:03}-{val_loss:.4f}.safetensors". Without them each save replaces the last.
        monitor: the figure that says which is best.
        mode: "min", "max", or "auto", by the figure's name.
        save_best_only: save only epochs that are better than all before; those of a file that is
            there already and belongs to the model's history count. It begins anew with a model that
            wasn't trained yet.

    Raises:
        ValueError: when training begins, a figure that isn't reported.
        FileNotFoundError: likewise, a folder that doesn't exist.

    >>> import os, tempfile
    >>> import numpy as np
    >>> from minigrad import Dense, Sequential
    >>> model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> x = np.array([[0.0], [1.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     saving = ModelCheckpoint(os.path.join(folder, "net-{epoch}.safetensors"))
    ...     history = model.fit(x, x, epochs=2, callbacks=[saving], verbose=0)
    ...     sorted(os.listdir(folder))
    ['net-1.safetensors', 'net-2.safetensors']
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        monitor: str = "val_loss",
        mode: Mode = "auto",
        save_best_only: bool = False,
    ) -> None:
        super().__init__(monitor=monitor, mode=mode)
        self.path = os.fspath(path)
        self.save_best_only = save_best_only

    @override
    def on_train_begin(self, trainer: Trainer) -> None:
        known = dict.fromkeys(trainer.reported, 1.0)
        try:
            folder = os.path.dirname(self.path.format(epoch=1, **known))
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"ModelCheckpoint can't fill in path {self.path!r} ({error}): braces hold 'epoch' "
                f"or a figure; {nearest(str(error.args[0]), ['epoch', *known])}"
            ) from None
        if "{" not in os.path.dirname(self.path) and not os.path.isdir(folder or "."):
            raise FileNotFoundError(f"ModelCheckpoint: no folder {folder!r} to save in: make it")
        if self.save_best_only:
            super().on_train_begin(trainer)
            if not trainer.history.epochs:  # another model, or one that begins anew
                self.best, self.best_epoch = None, 0
            if self.best is None and os.path.exists(self.path):
                for epoch, value in enumerate(trainer.history.get(self.monitor, ()), start=1):
                    self.improved(epoch, {self.monitor: value})

    @override
    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        if not self.save_best_only or self.improved(epoch, logs):
            model: Any = trainer.model
            model.save(self.path.format(epoch=epoch, **logs))
