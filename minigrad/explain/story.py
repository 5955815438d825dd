"""The explanation of a pass: all steps in order, and the arrays of every layer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array
from minigrad.explain import dense, html, latex, layer, text
from minigrad.explain.branches import Branches
from minigrad.explain.choice import Choice
from minigrad.explain.layer_story import LayerStory
from minigrad.explain.lines import Limit, Step, at, flat, number
from minigrad.explain.naming import Naming
from minigrad.explain.objective import Objective
from minigrad.explain.places import Place, places
from minigrad.explain.totals import shared_steps
from minigrad.losses import Loss
from minigrad.trace import trace
from minigrad.util.atomic import atomic_write
from minigrad.util.paths import join

_PAGE_ROWS = 8


class Explanation:
    """A pass over some rows, forward, loss and back, with every number open.

    It prints as text, for the first row. `explanation["dense_1"]` holds a layer's arrays, `steps`
    is the computation in order; `step_of` gives the place in it by name, such as "z1".

    Args:
        model: a built network.
        x: rows, in the model's dtype.
        y: targets that the loss takes.
        loss: the loss.

    >>> import numpy as np
    >>> from minigrad import Dense, MSELoss, Sequential
    >>> weight = np.array([[0.5], [-1.0]])
    >>> model = Sequential([Dense(1, weight_initializer=weight)], input_shape=(2,), rng=0)
    >>> explanation = Explanation(model, np.array([[3.0, 1.0]]), np.array([[1.0]]), MSELoss())
    >>> explanation["dense_1"].z, explanation["dense_1"].delta
    (array([[0.5]]), array([[-1.]]))
    >>> print(explanation.weight("dense_1", (0, 0)))
      w1[0,0] = 0.5
      ∂J/∂w1[0,0] = -1 × 3 = -3                                                               (4, 6)
    """

    def __init__(self, model: Layer, x: Array, y: NDArray[Any], loss: Loss) -> None:
        recorded = trace(model, x, y, loss)
        self.x, self.prediction, self.loss = x, recorded.prediction, loss
        self.naming = Naming(places(recorded), x)
        with np.errstate(all="ignore"):
            self._objective = Objective(loss, recorded, y, self.naming)
            steps = [*self._forward(), *self._objective.forward(), *self._backward()]
        self.target = self._objective.target
        self.j = self._objective.j
        self.steps: list[Step] = steps
        self.step_of = {step.name: place for place, step in enumerate(self.steps)}

    @property
    def rows(self) -> int:
        """How many rows it is about."""
        return len(self.x)

    @property
    def layers(self) -> list[LayerStory]:
        """All layers in forward order; containers after what they contain."""
        return [self._story(place) for place in self.naming.places if not place.enters]

    def __getitem__(self, path: str) -> LayerStory:
        """Return the arrays of the layer at a path, such as 'residual_1.dense_1'.

        Raises:
            KeyError: no layer ran there.
        """
        return self._story(self.naming.place(path))

    def text(self, *, row: int = 0, most: int = 12) -> str:
        """Tell the pass as text of at most 100 columns.

        Args:
            row: which row.
            most: up to so many units of a layer, numbers of a gradient, or terms of a sum are told;
                of more than that, the four that matter most.

        Raises:
            ValueError: there is no such row.
        """
        return text.text(self, Choice(self, self._row(row), Limit(most)))

    def unit(self, path: str, index: int | tuple[int, ...], *, row: int = 0, most: int = 12) -> str:
        """Tell all about one unit of a layer: its value, its delta, and the sums that made them.

        Raises:
            KeyError: there is no such layer.
            ValueError: there is no such unit, or row.
        """
        symbol = self.naming.place(path).h
        unit, limit = flat(index, symbol.shape, path), Limit(most)
        lines: list[str] = []
        for step in self.steps:
            if step.symbol is not None and step.symbol.units_of == symbol.units_of:
                lines += text.told(step.line(self._row(row), unit, limit), step.tag)
        return "\n".join(lines)

    def weight(
        self,
        path: str,
        index: int | tuple[int, ...],
        *,
        parameter: str = "weight",
        most: int = 12,
    ) -> str:
        """Tell one number of a parameter: its value, its gradient, and the sum that made it.

        Raises:
            KeyError: there is no such layer.
            ValueError: there is no such parameter, or index.
        """
        held = self.naming.place(path).parameters
        if parameter not in held:
            known = sorted(held) or "none"
            raise ValueError(f"'{path}' has no parameter '{parameter}', it has {known}")
        symbol, gradient, array = held[parameter]
        place = flat(index, array.value.shape, join(path, parameter))
        value = number(float(array.value.ravel()[place]))
        lines = [f"  {at(symbol, array.shape, place)} = {value}"]
        for name in dict.fromkeys((gradient, f"∂J/∂{symbol}")):
            if name in self.step_of:
                step = self.steps[self.step_of[name]]
                lines += text.told(step.line(0, place, Limit(most)), step.tag)
        return "\n".join(lines)

    def to_latex(self, *, row: int = 0, most: int = 12) -> str:
        """Tell the pass as a LaTeX document, which needs amsmath and nothing else.

        The arguments are those of `text`.
        """
        return latex.latex(self, Choice(self, self._row(row), Limit(most)))

    def to_html(
        self,
        path: str | os.PathLike[str],
        *,
        rows: Sequence[int] | None = None,
        units: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        """Write one page, which needs no network, in which a reader steps through the pass.

        Args:
            path: the file to make or replace.
            rows: which rows the page holds; by default the first eight.
            units: by a layer's path, units that a wide layer shows in any case, such as
                {"dense_1": [17]}; the others are those that matter most to J.

        Raises:
            KeyError: there is no such layer.
            ValueError: there is no such row or unit.
            OSError: the file can't be written.
        """
        atomic_write(path, [html.page(self, self._rows(rows), units).encode()])

    def _repr_html_(self) -> str:
        return html.frame(html.page(self, self._rows(None)), repr(self))

    def _rows(self, rows: Sequence[int] | None) -> list[int]:
        if rows is None:
            return list(range(min(self.rows, _PAGE_ROWS)))
        if not len(rows):
            raise ValueError("rows is empty: name at least one row")
        return [self._row(row) for row in rows]

    def _row(self, row: int) -> int:
        if not 0 <= row < self.rows:
            raise ValueError(f"row must be from 0 to {self.rows - 1}, got {row}")
        return row

    @override
    def __str__(self) -> str:
        return self.text()

    @override
    def __repr__(self) -> str:
        return (
            f"Explanation(rows={self.rows}, layers={len(self.layers)}, steps={len(self.steps)}, "
            f"J={number(self.j)}): print it"
        )

    def _story(self, place: Place) -> LayerStory:
        if place.activates:
            return LayerStory(place, place)
        users = [p for p in self.naming.places if p.x == place.h and not p.enters]
        follows = place.linear and len(users) == 1 and users[0].activates
        return LayerStory(place, users[0] if follows else None)

    def _forward(self) -> Iterator[Step]:
        for place in self.naming.places:
            if place.linear:
                yield dense.forward(place)
            elif not place.inner:
                yield layer.forward(place)
            elif not place.enters:
                yield Branches(place, self.naming).forward()

    def _backward(self) -> Iterator[Step]:
        yield self._objective.backward()
        given: dict[str, Step] = {}
        """By its output, the delta that a container gives a layer inside."""
        for place in reversed(self.naming.places):
            if place.delta is None or place.input_delta is None:
                continue
            if place.h.name in given:
                yield given.pop(place.h.name)
            if place.linear:
                yield from dense.backward(place)
            elif not place.inner:
                yield from layer.backward(place)
            elif place.enters:
                yield from Branches(place, self.naming).gather()
            else:
                given |= Branches(place, self.naming).split()
        yield from shared_steps(self.naming.places)
