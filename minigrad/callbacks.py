"""Callbacks: what happens beside training, at its start, after each epoch, and at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minigrad.training import Training


class Callback:
    """Does nothing at each moment; a new one overrides what it needs.

    `training` is the running `fit`: `training.model`, `training.optimizer`, `training.history`,
    and `training.stop = True` ends it after this epoch. `figures` holds the epoch's numbers.
    """

    def on_train_begin(self, training: Training) -> None:
        """Before the first epoch."""

    def on_epoch_end(self, training: Training, epoch: int, figures: dict[str, float]) -> None:
        """After each epoch; `epoch` counts from 1, on over several fits."""

    def on_train_end(self, training: Training) -> None:
        """After the last epoch, also when training was interrupted or failed."""
