"""Which numbers of a wide layer are told: those that matter most to J, and those asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from minigrad.data.arrays import Array
from minigrad.explain.lines import Limit, Line, Step, flat, largest

if TYPE_CHECKING:
    from minigrad.explain.story import Explanation


class Choice:
    """The units and lines to tell of one row.

    A unit matters by |value × dJ/dvalue|: what J would change by, to first order, without it.
    Arrays that have the same units, as z1, a1 and their gradients, tell the same ones.

    Args:
        explanation: the pass.
        row: the row.
        limit: of the units of a layer, the lines of a gradient, and the terms of a sum.
        units: by a layer's path, units to tell in any case.
    """

    def __init__(
        self,
        explanation: Explanation,
        row: int,
        limit: Limit,
        units: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.row, self.limit = row, limit
        self._explanation = explanation
        self._asked: dict[str, list[int]] = {}
        for path, asked in (units or {}).items():
            symbol = explanation.naming.place(path).h
            indices = [flat(index, symbol.shape, path) for index in asked]
            self._asked.setdefault(symbol.units_of, []).extend(indices)
        self._units: dict[str, list[int]] = {}

    def indices(self, step: Step) -> list[int]:
        """Return the flat indices of a step to tell, in order."""
        if step.symbol is not None:
            return self.units(step.symbol.units_of)
        values = step.values(self.row)
        return largest(values, self.limit.of(values.size))

    def lines(self, step: Step) -> list[Line]:
        """Return the lines of a step to tell, each with the terms to tell."""
        return [step.line(self.row, index, self.limit) for index in self.indices(step)]

    def units(self, name: str) -> list[int]:
        """Return the units of an array to tell."""
        if name not in self._units:
            influence = np.nan_to_num(self._influence(name), nan=np.inf)
            chosen = largest(influence, self.limit.of(influence.size))
            self._units[name] = sorted({*chosen, *self._asked.get(name, [])})
        return self._units[name]

    def _influence(self, name: str) -> Array:
        """Return value × dJ/dvalue for each unit of an array, flat."""
        naming = self._explanation.naming
        values: Array = naming.array(name)[self.row].ravel()
        place = self._explanation.step_of.get(naming.symbol(name).delta)
        if place is None:
            return values
        with np.errstate(all="ignore"):
            return values * self._explanation.steps[place].values(self.row).ravel()
