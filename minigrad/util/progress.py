"""Progress of `fit`: a line redrawn on a terminal, elsewhere one line per epoch; and Ctrl-C."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from types import FrameType
from typing import Literal, TextIO, TypeAlias

from typing_extensions import Self, override

Verbose: TypeAlias = Literal["auto", 0, 1, 2]

_REDRAW_SECONDS = 0.1
_FEW_EPOCHS = 50
_KEEP_SECONDS = 1.0  # in a run of more epochs, the terminal keeps one line in this time
_DRAWING_SHARE = 20  # drawing takes at most 1/20 of the time, even on a slow terminal
_BAR = 20  # the longest bar, in columns


def progress(verbose: Verbose) -> Progress:
    """Return the progress display on standard output for `fit(verbose=...)`."""
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(f"verbose must be 'auto', 0, 1 or 2, got {verbose!r}")
    stream: TextIO | None = sys.stdout  # None in a program without a console
    if verbose == 0 or stream is None:
        return Progress()
    terminal = getattr(stream, "isatty", bool)() and os.environ.get("TERM") != "dumb"
    return Line(stream) if terminal and verbose != 2 else Progress(stream)


class Progress:
    """One plain line per epoch, for files, pipes and notebooks; nothing without a stream."""

    in_place = False  # whether the trainer calls `batch` when `due` returns True

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream
        self.epoch = self.epochs = 0
        self._batches: int | None = None
        self._began = self._flushed = 0.0

    def begin(self, epoch: int, epochs: int) -> None:
        """Begin training after `epoch` of `epochs` epochs."""
        self.epoch, self.epochs = epoch, epochs

    def begin_epoch(self, batches: int | None) -> None:
        """Begin the next epoch; `batches` is None if their number is unknown."""
        self.epoch += 1
        self._batches, self._began = batches, perf_counter()

    def due(self) -> bool:
        return False

    def batch(self, number: int, rows: int, logs: Callable[[], Mapping[str, float]]) -> None:
        """Show that `number` batches and `rows` rows of this epoch are done."""

    def end_batches(self, rows: int) -> None:
        """Count the rows of this epoch; validation follows."""

    def end_epoch(self, logs: Mapping[str, float]) -> None:
        """Show the logs of the finished epoch."""
        if self.stream is not None:
            self.say("  ".join([self.head(), *(text for text, _ in _ranked(logs))]))

    def hide(self) -> None:
        """Clear the line, so that callbacks can print."""

    def show(self) -> None:
        """Show the line again."""

    def say(self, text: str) -> None:
        self.write(f"{text}\n", flush=perf_counter() >= self._flushed + _REDRAW_SECONDS)

    def end(self) -> None:
        """End training, also after an error."""
        self.write("")

    def head(self) -> str:
        return f"epoch {self.epoch:{len(str(self.epochs))}}/{self.epochs}"

    def write(self, text: str, *, flush: bool = True) -> None:
        """Write text, with '?' for characters that the encoding lacks."""
        if self.stream is None:
            return
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        self.stream.write(text.encode(encoding, "replace").decode(encoding))
        if flush:
            self.stream.flush()
            self._flushed = perf_counter()


class Line(Progress):
    """One line on a terminal, redrawn in place at most ten times a second.

    The terminal keeps the line of every epoch, or of one epoch a second in a run of over 50.
    """

    in_place = True

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._shown = self._hidden = ""
        # The head and the logs of a finished epoch whose line isn't kept yet.
        self._finished: tuple[str, Mapping[str, float]] | None = None
        self._rows, self._seconds, self._first = 0, 0.0, 0
        self._start = self._kept = self._due = perf_counter()

    @override
    def begin(self, epoch: int, epochs: int) -> None:
        super().begin(epoch, epochs)
        self._first = epoch
        self._start = self._kept = perf_counter()
        self._due = self._start + _REDRAW_SECONDS

    @override
    def due(self) -> bool:
        return perf_counter() >= self._due

    @override
    def batch(self, number: int, rows: int, logs: Callable[[], Mapping[str, float]]) -> None:
        now, total = perf_counter(), self._batches
        share = min(1.0, number / total) if total else None
        count = f"{number:{len(str(total))}}/{total}" if total else f"batch {number}"
        rate = (self._rows + rows) / max(self._seconds + now - self._began, 1e-9)
        self._draw(now, count, logs(), share, rate)

    @override
    def end_batches(self, rows: int) -> None:
        self._seconds += perf_counter() - self._began
        self._rows += rows

    @override
    def end_epoch(self, logs: Mapping[str, float]) -> None:
        now = perf_counter()
        self._finished = self.head(), logs
        few = self.epochs - self._first <= _FEW_EPOCHS
        if few or self.epoch == self.epochs or now >= self._kept + _KEEP_SECONDS:
            self.end()
            self._kept = now
        elif now >= self._due:
            count = f"{self._batches}/{self._batches}" if self._batches else ""
            self._draw(now, count, logs, 1.0, self._rows / max(self._seconds, 1e-9))

    @override
    def hide(self) -> None:
        self._hidden = self._shown
        self._replace("")

    @override
    def show(self) -> None:
        self._replace(self._hidden)

    @override
    def say(self, text: str) -> None:
        self.end()
        super().say(text)

    @override
    def end(self) -> None:
        """Keep the line of the last finished epoch, and clear that of an unfinished one."""
        if self._finished is None:
            self._replace("")
        else:
            head, logs = self._finished
            self._replace(fit_line([(head, 0), *_ranked(logs)], self._width()))
            self.write("\n")
            self._shown, self._finished = "", None

    def _draw(
        self, now: float, count: str, logs: Mapping[str, float], share: float | None, rate: float
    ) -> None:
        """Draw the line of this epoch, of which `share` is done, at `rate` rows per second."""
        parts = [(self.head(), 0), (count, 8), *_ranked(logs), (f"{_short(rate)} rows/s", 9)]
        done = (self.epoch - 1 - self._first + (share or 0.0)) / (self.epochs - self._first)
        if done:
            parts.append((f"{_clock((now - self._start) * (1 / done - 1))} left", 3))
        self._replace(fit_line([part for part in parts if part[0]], self._width(), share))
        spent = perf_counter() - now
        self._due = now + max(_REDRAW_SECONDS, _DRAWING_SHARE * spent)

    def _replace(self, text: str) -> None:
        """Overwrite the shown line; spaces cover its rest, since some terminals can't erase."""
        if text != self._shown:
            covered = text.ljust(min(len(self._shown), self._width()))
            self.write(f"\r{covered}" if text else f"\r{covered}\r")
            self._shown = text

    def _width(self) -> int:
        """Return the usable columns: one less than the terminal's, since a full line may wrap."""
        try:
            columns = os.get_terminal_size(self.stream.fileno()).columns  # type: ignore[union-attr]
        except (OSError, ValueError, AttributeError):
            columns = 0
        return max(1, (columns or 80) - 1)


def fit_line(parts: Sequence[tuple[str, int]], width: int, share: float | None = None) -> str:
    """Join (text, rank) parts into a line; drop those of the highest rank until it fits.

    With `share`, the fraction that is done, a bar fills the remaining space after the first part.
    """
    parts = list(parts)
    while len(parts) > 1 and len("  ".join(text for text, _ in parts)) > width:
        del parts[max(range(len(parts)), key=lambda index: (parts[index][1], index))]
    texts = [text for text, _ in parts]
    room = min(_BAR, width - len("  ".join(texts)) - 4)
    if share is not None and room >= 5:
        bar = ("=" * round(share * room) + ">")[:room]
        texts.insert(1, f"[{bar.ljust(room, '.')}]")
    return "  ".join(texts)[:width]


def _ranked(logs: Mapping[str, float]) -> list[tuple[str, int]]:
    """Return each number of the logs with five digits, and its rank: losses come first."""
    ranks = {"loss": 1, "val_loss": 2}
    return [(f"{name} {value:#.5g}", ranks.get(name, 4)) for name, value in logs.items()]


def _short(number: float) -> str:
    """Return a number with two or three digits, such as 84, 1.2k or 2.5M."""
    unit, units = "", iter("kMGT")
    while number >= 999.5:
        number, unit = number / 1000, next(units)
    return f"{number:.1f}{unit}" if unit and number < 9.95 else f"{number:.0f}{unit}"


def _clock(seconds: float) -> str:
    """Return a time as 1:23 or 3:01:02."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


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
