"""Ctrl-C asks training to end after the step that is running; the second Ctrl-C ends it at once."""

from __future__ import annotations

from types import FrameType, TracebackType

from typing_extensions import Self


class CtrlC:
    """Counts how often Ctrl-C is pressed while it is entered; from the second time on, raises.

    An interrupt in the midst of a step could leave half of the parameters changed. Where another
    handler than Python's own is set, or in another thread than the main one, it changes nothing.

    >>> with CtrlC() as ctrl_c:
    ...     ctrl_c.presses
    0
    """

    def __init__(self) -> None:
        self.presses = 0
        self._set = False

    def __enter__(self) -> Self:
        import signal

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            try:
                signal.signal(signal.SIGINT, self._press)
            except ValueError:  # not in the main thread, which alone receives signals
                return self
            self._set = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        import signal

        if self._set:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _press(self, number: int, frame: FrameType | None) -> None:
        self.presses += 1
        if self.presses > 1:
            raise KeyboardInterrupt
