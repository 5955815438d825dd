"""Progress of `fit`: a line redrawn on a terminal, elsewhere one line per epoch; and Ctrl-C."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Literal, TextIO, TypeAlias

from minigrad.util.display import Display
from minigrad.util.terminal import Terminal

Verbose: TypeAlias = Literal["auto", 0, 1, 2]

_REDRAW_SECONDS = 0.1
_DRAWING_SHARE = 20  # drawing takes at most 1/20 of the time, even on a slow terminal
_FEW_EPOCHS = 50  # a run of more keeps the line of some epochs only:
_KEEP_SECONDS = 1.0  # one in this time,
_KEEP_SHARE = 50  # or in 1/50 of the time so far, if that is longer
_LEAST_BAR, _BAR = 5, 20  # columns


def progress(verbose: Verbose, title: str = "fit") -> Progress:
    """Return the display on standard output for `verbose` of "fit", or of another method."""
    if not isinstance(verbose, (str, int)) or verbose not in ("auto", 0, 1, 2):
        raise ValueError(f"{title} expects verbose 'auto', 0, 1 or 2, got {verbose!r}")
    stream: TextIO | None = sys.stdout  # None in a program without a console
    if verbose == 0 or stream is None:
        return Progress()
    terminal = getattr(stream, "isatty", bool)() and os.environ.get("TERM") != "dumb"
    head = "" if title == "fit" else title
    return Progress(stream, in_place=terminal and verbose != 2, every=verbose == 2, title=head)


class Progress(Display):
    """A line for each epoch, and on a terminal the running one, redrawn ten times a second.

    In a run of over 50 epochs some epochs have no line, unless `every` is true. The running line
    has the epoch, a bar, the batch, batches per second, the logs and the time left, as far
    as they fit. Without a stream nothing is shown. A `title` stands in place of the epoch.

    Attributes:
        in_place: whether there is a running line: the trainer calls `batch` when `due` is true.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        in_place: bool = False,
        every: bool = False,
        title: str = "",
    ) -> None:
        self.stream, self.in_place, self.every, self.title = stream, in_place, every, title
        self._shown = self._hidden = ""
        # The head and the logs of a finished epoch whose line isn't kept yet.
        self._finished: tuple[str, Mapping[str, float]] | None = None

    def begin(self, epoch: int, epochs: int) -> None:
        """Begin training after `epoch` of `epochs` epochs."""
        self.epoch, self.epochs, self._first = epoch, epochs, epoch
        self._start = self._kept = perf_counter()
        self._due = self._start + _REDRAW_SECONDS
        self._batches: int | None = None
        self._number = self._steps = 0  # batches of this epoch, and of those before

    def begin_epoch(self, batches: int | None) -> None:
        """Begin the next epoch; `batches` is None if their number is unknown."""
        self.epoch += 1
        self._steps += self._batches or self._number
        self._batches, self._number = batches, 0

    def due(self) -> bool:
        return perf_counter() >= self._due

    def batch(self, number: int, logs: Callable[[], Mapping[str, float]]) -> None:
        """Show that `number` batches of this epoch are done."""
        self._number = number
        self._draw(logs(), min(1.0, number / self._batches) if self._batches else None)

    def end_epoch(self, logs: Mapping[str, float]) -> None:
        """Keep the line of the finished epoch, unless the last kept one is too near."""
        if self.stream is None:
            return
        self._finished, now = (self._head(), logs), perf_counter()
        wait = max(_KEEP_SECONDS, (now - self._start) / _KEEP_SHARE)
        every = self.every or self.epochs - self._first <= _FEW_EPOCHS
        if every or self.epoch == self.epochs or now >= self._kept + wait:
            self.end()
            self._kept = now
        elif self.in_place and now >= self._due:
            self._number = self._batches or self._number
            self._draw(logs, 1.0)

    def hide(self) -> None:
        """Clear the line, so that callbacks can print."""
        self._hidden = self._shown
        self._replace("")

    def show(self) -> None:
        """Show the line again."""
        self._replace(self._hidden)

    def say(self, text: str) -> None:
        """Write a line of text."""
        self.end()
        self._write(f"{text}\n")

    def end(self) -> None:
        """Keep the line of the last finished epoch, and clear that of an unfinished one."""
        self._replace("")
        if self._finished is not None:
            head, logs = self._finished
            self._write(wrapped([head, *(text for text, _ in _ranked(logs))], self._width()))
            self._finished = None

    def _head(self) -> str:
        return self.title or f"epoch {self.epoch:{len(str(self.epochs))}}/{self.epochs}"

    def _draw(self, logs: Mapping[str, float], share: float | None) -> None:
        """Draw the line of this epoch, of which `share` is done."""
        now, total = perf_counter(), self._batches
        count = f"{self._number:{len(str(total))}}/{total}" if total else f"batch {self._number}"
        seconds = max(now - self._start, 1e-9)
        rate = f"{_short((self._steps + self._number) / seconds)}/s"
        done = (self.epoch - 1 - self._first + (share or 0.0)) / (self.epochs - self._first)
        left = [(f"{_clock(seconds * (1 / done - 1))} left", 3)] if done else []
        parts = [(self._head(), 0), (count, 5), (rate, 6), *_ranked(logs), *left]
        self._replace(fit_line(parts, self._width(), share))
        self._due = now + max(_REDRAW_SECONDS, _DRAWING_SHARE * (perf_counter() - now))

    def _replace(self, text: str) -> None:
        """Overwrite the shown line; spaces cover its rest, since some terminals can't erase."""
        if text != self._shown:
            covered = text.ljust(min(len(self._shown), self._width()))
            self._write(f"\r{covered}" + ("" if text else "\r"))
            self._shown = text

    def _width(self) -> int:
        """Return the usable columns: one less than the terminal's, since a full line may wrap."""
        return max(1, Terminal.of(self.stream).width - 1) if self.in_place else sys.maxsize

    def _write(self, text: str) -> None:
        """Write text, with '?' for characters that the encoding lacks."""
        if self.stream is not None:
            encoding = getattr(self.stream, "encoding", None) or "utf-8"
            self.stream.write(text.encode(encoding, "replace").decode(encoding))
            self.stream.flush()


def fit_line(parts: Sequence[tuple[str, int]], width: int, share: float | None = None) -> str:
    """Join (text, rank) parts into a line; drop those of the highest rank until it fits.

    With `share`, the fraction that is done, a bar follows the first part; the words "epoch" and
    "left" make room for it.
    """
    texts, ranks = [text for text, _ in parts], [rank for _, rank in parts]

    def room() -> int:
        return width - len("  ".join(texts))

    bar = _LEAST_BAR + len("  []")
    if share is not None and room() < bar:
        texts = [text.removeprefix("epoch ").removesuffix(" left") for text in texts]
    while len(texts) > 1 and room() < 0:
        least = max(range(len(texts)), key=lambda index: (ranks[index], index))
        del texts[least], ranks[least]
    if share is not None and room() >= bar:
        columns = min(_BAR, room() - len("  []"))
        drawn = ("=" * round(share * columns) + ">")[:columns]
        texts.insert(1, f"[{drawn.ljust(columns, '.')}]")
    return "  ".join(texts)[:width]


def wrapped(texts: Sequence[str], width: int) -> str:
    """Join texts into lines, those after the first indented; a line ends before the width."""
    lines = [texts[0]]
    for text in texts[1:]:
        if len(lines[-1]) + 2 + len(text) > width:
            lines.append("")
        lines[-1] += f"  {text}"
    return "".join(f"{line}\n" for line in lines)


def _ranked(logs: Mapping[str, float]) -> list[tuple[str, int]]:
    """Return each number of the logs with four digits, and its rank: losses come first."""
    ranks = {"loss": 1, "val_loss": 2}
    return [(f"{name} {value:#.4g}", ranks.get(name, 4)) for name, value in logs.items()]


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
