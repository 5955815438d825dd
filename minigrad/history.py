"""What training reported, epoch by epoch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from math import nan
from typing import TYPE_CHECKING

from typing_extensions import Self, override

from minigrad.util.names import missing, nearest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from minigrad.util.table import Table


class History(dict[str, list[float]]):
    """Lists of one number an epoch by name: 'loss', each metric, and 'val_...' of both.

    All lists have the same length: NaN stands for what an epoch didn't report.

    >>> history = History()
    >>> history.append({"loss": 0.5})
    >>> history.append({"loss": 0.25})
    >>> history["loss"]
    [0.5, 0.25]
    >>> history
    History(epochs=2, loss=0.25)
    >>> print(history)
    epoch     loss
        1  0.50000
        2  0.25000
    """

    if not TYPE_CHECKING:
        __getattr__ = missing

    def __missing__(self, name: str) -> list[float]:
        raise KeyError(f"the history has no {name!r}: {nearest(str(name), self)}")

    @property
    def history(self) -> Self:
        """The history itself, for `history.history["loss"]` as in Keras."""
        return self

    def append(self, logs: Mapping[str, float]) -> None:
        """Add the numbers of one epoch."""
        epochs = self.epochs
        for name in dict.fromkeys([*self, *logs]):
            if name not in self:
                self[name] = [nan] * epochs
            self[name].append(logs.get(name, nan))

    @property
    def epochs(self) -> int:
        """The number of epochs."""
        return max(map(len, self.values()), default=0)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a CSV file with a row for each epoch: "epoch", then each name.

        Numbers have enough digits to read back the same ones. An old file is replaced in one step.

        Raises:
            OSError: the file can't be written.

        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "history.csv")
        ...     History(loss=[0.5, 0.25]).to_csv(path)
        ...     print(path.read_text(), end="")
        epoch,loss
        1,0.5
        2,0.25
        """
        from minigrad.util.atomic import atomic_write
        from minigrad.util.table import csv_text

        atomic_write(path, [csv_text([["epoch", *self], *self._rows()]).encode()])

    def plot(self, *, names: str | Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
        """Draw the losses, or what `names` says, over the epochs; see `minigrad.plots.history`."""
        from minigrad.plots import history

        return history(self, names=names, ax=ax)

    @override
    def __repr__(self) -> str:
        last = [f"{name}={values[-1]:.4g}" for name, values in self.items() if values]
        return f"History({', '.join([f'epochs={self.epochs}', *last])})"

    @override
    def __str__(self) -> str:
        """Return a table of at most 20 rows, the first and the last epochs."""
        return self._table().text()

    def _repr_html_(self) -> str:
        return self._table().html()

    def _table(self) -> Table:
        from minigrad.util.table import Table

        head = ["epoch", *self]
        rows = [[str(epoch), *(f"{v:#.5g}" for v in values)] for epoch, *values in self._rows()]
        if len(rows) > 20:
            rows[10:-10] = [["..."] * len(head)]
        return Table([head, *rows], right=range(len(head)))

    def _rows(self) -> Iterator[tuple[float, ...]]:
        """Yield (epoch, number of each name, ...); NaN where a list is shorter."""
        for epoch, values in enumerate(zip_longest(*self.values(), fillvalue=nan), start=1):
            yield epoch, *values
