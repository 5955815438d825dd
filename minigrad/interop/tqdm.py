"""A tqdm bar for training."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from minigrad.callbacks.base import Callback
from minigrad.core.trainer import Trainer
from minigrad.util.optional import optional
from minigrad.util.options import check_bool

optional("tqdm", "minigrad.interop.tqdm", least="4.66")

from tqdm.auto import tqdm


class TqdmBar(Callback):
    """Shows the epochs and the latest logs in a tqdm bar; pass `verbose=0` to `fit`.

    In a notebook with ipywidgets the bar is a widget.

    Args:
        leave: whether the bar stays after training.

    >>> from minigrad import Dense, Sequential
    >>> model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> history = model.fit([[1]], [1], epochs=9, callbacks=[TqdmBar()], verbose=0)
    """

    def __init__(self, *, leave: bool = True) -> None:
        self.leave = check_bool(leave, "leave", self)
        self._bar: Any = None

    @override
    def on_train_begin(self, trainer: Trainer) -> None:
        self._bar = tqdm(
            total=trainer.epochs, initial=trainer.epoch, unit="epoch", leave=self.leave
        )

    @override
    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        self._bar.set_postfix(logs, refresh=False)
        self._bar.update()

    @override
    def on_train_end(self, trainer: Trainer) -> None:
        self._bar.close()
        self._bar = None
