"""What training shows: nothing, unless a subclass does."""

from __future__ import annotations

from collections.abc import Callable, Mapping


class Display:
    """Shows nothing; `minigrad.util.progress.Progress` shows a line for each epoch."""

    in_place: bool = False
    """Whether there is a running line: the trainer calls `batch` when `due` is true."""

    def begin(self, epoch: int, epochs: int) -> None: ...

    def begin_epoch(self, batches: int | None) -> None: ...

    def due(self) -> bool:
        return False

    def batch(self, number: int, logs: Callable[[], Mapping[str, float]]) -> None: ...

    def end_epoch(self, logs: Mapping[str, float]) -> None: ...

    def hide(self) -> None: ...

    def show(self) -> None: ...

    def say(self, text: str) -> None: ...

    def end(self) -> None: ...
