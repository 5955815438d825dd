"""Tables: as text that fits a terminal, as HTML for a notebook, and as CSV."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from minigrad.util.markup import element, escape
from minigrad.util.terminal import Terminal

_UNBROKEN: Final = 24
"""A cell of at most this many characters stays on one line of the HTML table."""


@dataclass(frozen=True)
class Table:
    """Cells of text in rows, the first of which is the head.

    Attributes:
        rows: the cells; two spaces at the start of a cell indent it.
        right: the columns that are aligned at the right.
        wrong: the rows that are red.

    >>> table = Table([("layer", "size"), ("dense_1", "9"), ("  relu", "0")], right=[1])
    >>> print(table.text())
    layer    size
    dense_1     9
      relu      0
    """

    rows: Sequence[Sequence[str]]
    right: Collection[int] = ()
    wrong: Collection[int] = ()

    def text(self, terminal: Terminal | None = None) -> str:
        """Return aligned lines. Columns that don't fit follow below, beside the first one again."""
        terminal = terminal or Terminal.of()
        first, *columns = ([*column] for column in zip(*self.rows, strict=True))
        most = max(terminal.width // 2, 12)
        first = [cell if len(cell) <= most else f"...{cell[3 - most :]}" for cell in first]
        blocks, width = [[self._aligned(first, 0)]], 0
        for j, column in enumerate(columns, start=1):
            cells = self._aligned(column, j)
            width += 2 + len(cells[0])
            if len(blocks[-1]) > 1 and len(blocks[0][0][0]) + width > terminal.width:
                blocks.append(blocks[0][:1])
                width = 2 + len(cells[0])
            blocks[-1].append(cells)
        lines: list[str] = []
        for block in blocks:
            lines += [""] if lines else []
            for i, row in enumerate(zip(*block, strict=True)):
                line = "  ".join(row).rstrip()
                if i == 0 or i in self.wrong:
                    line = terminal.paint(line, "red" if i else "bold")
                lines.append(line)
        return "\n".join(lines)

    def _aligned(self, column: Sequence[str], j: int) -> list[str]:
        width = max(map(len, column))
        return [cell.rjust(width) if j in self.right else cell.ljust(width) for cell in column]

    def html(self) -> str:
        """Return a table element."""
        lines = []
        for i, row in enumerate(self.rows):
            cells = []
            for j, cell in enumerate(row):
                look = f"text-align:{'right' if j in self.right else 'left'}"
                if indent := len(cell) - len(cell.lstrip()):
                    look += f";padding-left:{0.5 + indent / 2}em"
                if len(cell) <= _UNBROKEN:
                    look += ";white-space:nowrap"
                if i in self.wrong:
                    look += ";color:#cf4a3c"
                cells.append(element("td" if i else "th", escape(cell.strip()), style=look))
            lines.append(element("tr", "".join(cells)))
        return f"<table><thead>{lines[0]}</thead><tbody>{''.join(lines[1:])}</tbody></table>"


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Return rows as lines of a CSV file; numbers have enough digits to read back the same ones."""
    import csv
    import io

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
