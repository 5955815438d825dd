"""What training reported, epoch by epoch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from math import nan
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from minigrad.saving.atomic import atomic_write
from minigrad.util.names import nearest

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class History(dict[str, list[float]]):
    """A dictionary of lists, one number an epoch: 'loss', each metric, and 'val_...' of both.

    All lists are equally long: NaN stands where an epoch didn't report a figure that others did.

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

    def __missing__(self, name: str) -> list[float]:
        raise KeyError(self._unknown(name))

    if not TYPE_CHECKING:  # a type checker knows what there is

        def __getattr__(self, name: str) -> Any:
            """Say what is missing: it is asked only then."""
            from minigrad.util.synonyms import ATTRIBUTES

            way = f": {ATTRIBUTES[name]}" if name in ATTRIBUTES else ""
            raise AttributeError(f"History has no attribute '{name}'{way}", name=name, obj=self)

    def append(self, figures: Mapping[str, float]) -> None:
        """Add one epoch's figures."""
        if self.keys() == figures.keys():
            for name, value in figures.items():
                self[name].append(value)
            return
        epochs = self.epochs
        for name in [*self, *(name for name in figures if name not in self)]:
            self.setdefault(name, [nan] * epochs).append(figures.get(name, nan))

    @property
    def epochs(self) -> int:
        """How many epochs it tells of."""
        return max(map(len, self.values()), default=0)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a CSV file of one row an epoch: "epoch", and a column a figure.

        Numbers have all the digits it takes to read the same ones back. An old file is replaced in
        one step.

        Raises:
            OSError: it can't be written.

        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "history.csv")
        ...     History(loss=[0.5, 0.25]).to_csv(path)
        ...     print(path.read_text(), end="")
        epoch,loss
        1,0.5
        2,0.25
        """
        import csv
        import io

        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["epoch", *self])
        rows.writerows([epoch, *values] for epoch, values in self._rows())
        atomic_write(path, [text.getvalue().encode()])

    def plot(self, *, names: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
        """Draw losses or metrics over the epochs with Matplotlib; see `minigrad.plots.history`."""
        from minigrad.plots import history

        return history(self, names=names, ax=ax)

    @override
    def __str__(self) -> str:
        """Return a table of at most 20 rows: the first ones, and the last ones."""
        epochs = self.epochs
        rows = [["epoch", *self]]
        rows.extend(
            [str(epoch), *(f"{value:#.5g}" for value in values)]
            for epoch, values in self._rows()
            if epochs <= 20 or not 10 < epoch <= epochs - 10
        )
        if epochs > 20:
            rows.insert(11, ["..."] * len(rows[0]))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        )

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        import html

        return f"<pre>{html.escape(str(self))}</pre>"

    def _rows(self) -> Iterator[tuple[int, list[float]]]:
        for index in range(self.epochs):
            values = [column[index] if index < len(column) else nan for column in self.values()]
            yield index + 1, values

    def _unknown(self, name: str) -> str:
        return f"the history has no figure {name!r}: {nearest(str(name), self)}"
