"""The width and the colors of the terminal that text is printed on."""

from __future__ import annotations

import os
import sys
import textwrap
from typing import Any, Final, Literal, NamedTuple, TypeAlias

Style: TypeAlias = Literal["bold", "dim", "red", "green", "yellow", "blue", "magenta", "cyan"]

_CODES: Final[dict[Style, int]] = {
    "bold": 1, "dim": 2,
    "red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36,
}  # fmt: skip


class Terminal(NamedTuple):
    r"""Where text is printed: its columns, and whether it shows color.

    Lay text out first and `paint` it last, since the codes of colors count as characters.

    >>> Terminal(width=60, color=True).paint("J = 0.17", "bold", "green")
    '\x1b[1;32mJ = 0.17\x1b[0m'
    >>> Terminal().paint("J = 0.17", "bold", "green")
    'J = 0.17'
    """

    width: int = 80
    color: bool = False

    @classmethod
    def of(cls, stream: Any = None) -> Terminal:
        """Return the terminal of a stream, by default of standard output.

        A file, a pipe and a notebook have 80 columns without color, and so has a stream of None. A
        terminal has color unless it is dumb, or `NO_COLOR` is set (https://no-color.org).
        """
        stream = sys.stdout if stream is None else stream
        if not getattr(stream, "isatty", bool)():
            return cls()
        try:
            columns = os.get_terminal_size(stream.fileno()).columns
        except (OSError, ValueError, AttributeError):
            columns = 0
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        old = os.name == "nt" and "WT_SESSION" not in os.environ  # it may print the codes
        return cls(columns or cls().width, not plain and not old)

    def fill(self, text: str, indent: str = "") -> str:
        """Wrap text to lines of at most 100 columns; those after the first are indented."""
        width, rest = min(self.width, 100), indent or "  "
        return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=rest)

    def paint(self, text: str, *styles: Style) -> str:
        """Return text in these styles, or as it is without color."""
        if not (self.color and text and styles):
            return text
        return f"\x1b[{';'.join(str(_CODES[style]) for style in styles)}m{text}\x1b[0m"

    def verdict(self, text: str) -> str:
        """Wrap a sentence that begins with "passed" or "FAILED", that word in color."""
        word, colon, rest = self.fill(text).partition(":")
        return self.paint(word, "bold", "red" if word.isupper() else "green") + colon + rest
