"""The film of a run that is made in many short calls of `fit`."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from minigrad.core.trainer import Trainer
from minigrad.film import Film


class Recording(Film):
    """A film in which the end of a call is no frame of its own, once training goes on.

    It has up to twice as many frames as `Film`, so that a call doesn't end with choosing some.
    """

    def __init__(self, x: Any, y: Any, *, frames: int) -> None:
        super().__init__(x, y, frames=frames)
        self._provisional = False

    @override
    def on_train_begin(self, trainer: Trainer) -> None:
        if self._provisional and len(self._frames) > 1:
            self._frames.pop()
        self._provisional = False
        if not self._frames:
            super().on_train_begin(trainer)
        self._latest = self._frame(trainer, trainer.epoch)

    @override
    def on_train_end(self, trainer: Trainer) -> None:
        last = self._frames[-1]
        self._keep(self._latest)
        self._provisional = self._frames[-1] is not last
        vars(self).pop("_scenes", None)
