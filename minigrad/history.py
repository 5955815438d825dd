"""What training reported, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import override


class History(dict[str, list[float]]):
    """A dictionary of lists, one number an epoch: 'loss', each metric, and 'val_...' of both.

    >>> history = History()
    >>> history.append({"loss": 0.5})
    >>> history.append({"loss": 0.25})
    >>> history["loss"]
    [0.5, 0.25]
    >>> print(history)
    epoch     loss
        1  0.50000
        2  0.25000
    """

    def append(self, figures: Mapping[str, float]) -> None:
        """Add one epoch's figures."""
        for name, value in figures.items():
            self.setdefault(name, []).append(value)

    @property
    def epochs(self) -> int:
        """How many epochs it tells of."""
        return max(map(len, self.values()), default=0)

    @override
    def __str__(self) -> str:
        """Return a table of at most 20 rows: the first ones, and the last ones."""
        names = list(self)
        rows = [["epoch", *names]]
        shown = range(self.epochs)
        rows.extend(
            [str(epoch + 1), *(f"{self[name][epoch]:#.5g}" for name in names)]
            for epoch in (shown if len(shown) <= 20 else [*shown[:10], *shown[-10:]])
        )
        if len(shown) > 20:
            rows.insert(11, ["..."] * len(rows[0]))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        )
