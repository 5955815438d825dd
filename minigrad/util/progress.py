"""What training says while it runs: a line redrawn in place on a terminal, else one an epoch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Literal, TextIO, TypeAlias

from typing_extensions import override

from minigrad.util.wording import clock, fitted, ranked, short, told

Verbose: TypeAlias = Literal["auto", 0, 1, 2]

_REDRAW_SECONDS = 0.1
_FEW_EPOCHS = 50
_STAND_SECONDS = 1.0
"""In a run of more epochs than that, lines this far apart are left standing on a terminal."""
_DRAWING_SHARE = 20
"""Drawing may take one part in so many of the time, on a slow terminal too."""


def progress(verbose: Verbose) -> Progress:
    """Return what speaks on standard output as `fit(verbose=...)` says.

    Raises:
        ValueError: another value.
    """
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(f"verbose must be 'auto', 0, 1 or 2, got {verbose!r}")
    stream: TextIO | None = sys.stdout  # None where a program has no console
    if verbose == 0 or stream is None:
        return Progress()
    terminal = getattr(stream, "isatty", bool)() and os.environ.get("TERM") != "dumb"
    return Line(stream) if terminal and verbose != 2 else Lines(stream)


class Progress:
    """Says nothing; what speaks overrides what it needs."""

    in_place = False
    """Whether `batch` is to be called, whenever `due` says so."""

    def begin(self, epoch: int, epochs: int) -> None:
        """Training begins after `epoch` epochs, and ends after `epochs`."""

    def begin_epoch(self, batches: int | None) -> None:
        """The next epoch begins; it has so many batches, if that is known."""

    def due(self) -> bool:
        """Tell whether it is time to draw."""
        return False

    def batch(self, number: int, rows: int, figures: Callable[[], Mapping[str, float]]) -> None:
        """So many batches and rows of this epoch are done; `figures` returns those of the rows."""

    def end_batches(self, rows: int) -> None:
        """All rows of this epoch are done."""

    def end_epoch(self, figures: Mapping[str, float]) -> None:
        """The epoch ended with these figures."""

    def hide(self) -> None:
        """Make room for what others may print."""

    def show(self) -> None:
        """Take the room back."""

    def say(self, text: str) -> None:
        """Say something once, in a line of its own."""

    def end(self) -> None:
        """Training ended, in whatever way."""


class Lines(Progress):
    """One plain line an epoch: for files, pipes and notebooks."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.epoch = self.epochs = 0
        self._flushed = 0.0

    @override
    def begin(self, epoch: int, epochs: int) -> None:
        self.epoch, self.epochs = epoch, epochs

    @override
    def begin_epoch(self, batches: int | None) -> None:
        self.epoch += 1

    @override
    def end_epoch(self, figures: Mapping[str, float]) -> None:
        self.say("  ".join([self.head(), *told(figures)]))

    @override
    def say(self, text: str) -> None:
        self.write(f"{text}\n")
        now = perf_counter()
        if now >= self._flushed + _REDRAW_SECONDS:
            self.stream.flush()
            self._flushed = now

    @override
    def end(self) -> None:
        self.stream.flush()

    def head(self) -> str:
        """Return which epoch it is."""
        return f"epoch {self.epoch:{len(str(self.epochs))}}/{self.epochs}"

    def write(self, text: str) -> None:
        """Write text, with '?' for what the output can't show."""
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        self.stream.write(text.encode(encoding, "replace").decode(encoding))


class Line(Lines):
    """One line on a terminal, redrawn in place at most ten times a second.

    The lines of up to 50 epochs are left standing; of more, those that end at least a second apart,
    and the last one's.
    """

    in_place = True

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._shown = ""
        self._hidden = ""
        self._unsaid: tuple[str, Mapping[str, float]] | None = None
        self._batches: int | None = None
        self._rows = self._first = 0
        self._seconds = 0.0
        self._start = self._began = self._stood = self._due = perf_counter()

    @override
    def begin(self, epoch: int, epochs: int) -> None:
        super().begin(epoch, epochs)
        self._first = epoch
        self._start = self._stood = perf_counter()
        self._due = self._start + _REDRAW_SECONDS

    @override
    def begin_epoch(self, batches: int | None) -> None:
        super().begin_epoch(batches)
        self._batches = batches
        self._began = perf_counter()

    @override
    def due(self) -> bool:
        return perf_counter() >= self._due

    @override
    def batch(self, number: int, rows: int, figures: Callable[[], Mapping[str, float]]) -> None:
        now = perf_counter()
        total = self._batches
        share = min(1.0, number / total) if total else None
        count = f"{number:{len(str(total))}}/{total}" if total else f"batch {number}"
        done = self._rows + rows, self._seconds + now - self._began
        self._draw(now, count, figures(), share, *done)

    @override
    def end_batches(self, rows: int) -> None:
        self._seconds += perf_counter() - self._began
        self._rows += rows

    @override
    def end_epoch(self, figures: Mapping[str, float]) -> None:
        now = perf_counter()
        self._unsaid = self.head(), figures
        few = self.epochs - self._first <= _FEW_EPOCHS
        if few or self.epoch == self.epochs or now >= self._stood + _STAND_SECONDS:
            self._stand()
            self._stood = now
        elif now >= self._due:
            total = self._batches
            count = f"{total}/{total}" if total else ""
            self._draw(now, count, figures, 1.0, self._rows, self._seconds)

    @override
    def hide(self) -> None:
        self._hidden = self._shown
        self._replace("")

    @override
    def show(self) -> None:
        self._replace(self._hidden)

    @override
    def say(self, text: str) -> None:
        self._stand()
        super().say(text)

    @override
    def end(self) -> None:
        self._stand()

    def _stand(self) -> None:
        """Leave the line of the last epoch standing, if it wasn't yet."""
        if self._unsaid is None:
            self._replace("")
            return
        head, figures = self._unsaid
        self._replace(fitted([(head, 0), *ranked(figures)], self._width()))
        self.write("\n")
        self.stream.flush()
        self._shown, self._unsaid = "", None

    def _draw(
        self,
        now: float,
        count: str,
        figures: Mapping[str, float],
        share: float | None,
        rows: int,
        seconds: float,
    ) -> None:
        """Draw the line, whose less important parts give way on a narrow terminal."""
        parts = [(self.head(), 0), (count, 8), *ranked(figures)]
        parts.append((f"{short(rows / max(seconds, 1e-9))} rows/s", 9))
        done = (self.epoch - 1 - self._first + (share or 0.0)) / (self.epochs - self._first)
        if done:
            parts.append((f"{clock((now - self._start) * (1 / done - 1))} left", 3))
        self._replace(fitted([part for part in parts if part[0]], self._width(), share))
        spent = perf_counter() - now
        self._due = now + max(_REDRAW_SECONDS, _DRAWING_SHARE * spent)

    def _replace(self, text: str) -> None:
        """Write over what is shown; spaces cover the rest of it, as not all terminals can erase."""
        if text == self._shown:
            return
        covered = text.ljust(min(len(self._shown), self._width()))
        self.write(f"\r{covered}" if text else f"\r{covered}\r")
        self.stream.flush()
        self._shown = text

    def _width(self) -> int:
        """Return the columns that can be used; a full line would make some terminals wrap."""
        try:
            columns = os.get_terminal_size(self.stream.fileno()).columns
        except (OSError, ValueError, AttributeError):
            columns = 0
        return max(1, (columns or 80) - 1)
