"""Ctrl-C that interrupts no step."""

from __future__ import annotations

from types import FrameType

from typing_extensions import Self


class CtrlC:
    """Counts Ctrl-C inside a `with` block, so that it interrupts no step; the second one raises.

    Outside the main thread, or where a program has its own handler, it changes nothing.
    """

    def __init__(self) -> None:
        self.presses = 0
        self._installed = False

    def __enter__(self) -> Self:
        import signal

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            try:
                signal.signal(signal.SIGINT, self._press)
            except ValueError:  # only the main thread receives signals
                return self
            self._installed = True
        return self

    def __exit__(self, *error: object) -> None:
        import signal

        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _press(self, number: int, frame: FrameType | None) -> None:
        self.presses += 1
        if self.presses > 1:
            raise KeyboardInterrupt
