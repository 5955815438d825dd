"""How a container says how its layers' outputs meet, and how delta goes back through it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minigrad.data.arrays import Array
from minigrad.explain import layer
from minigrad.explain.equations import tag
from minigrad.explain.lines import Factors, Limit, Line, Step, Symbol, at, summed
from minigrad.explain.naming import Naming
from minigrad.explain.places import Place
from minigrad.explain.steps import input_delta_step, output_step
from minigrad.layers.branches import Parallel, Residual


class Branches:
    """The ways through a container, from its input to where they meet.

    Args:
        place: where the container ends.
        naming: of all arrays.
    """

    def __init__(self, place: Place, naming: Naming) -> None:
        self.place = place
        self.ways: list[tuple[Symbol, Array, Array | None]] = []
        self.back: list[tuple[str, Array]] = []
        kind = place.layer
        self.known = isinstance(kind, (Residual, Parallel))
        self.concat = isinstance(kind, Parallel) and kind.merge == "concat"
        mean = isinstance(kind, Parallel) and kind.merge == "mean"
        if isinstance(kind, Residual):
            self.ways.append((place.x, place.input, None))
            if place.delta is not None:
                self.back.append((place.h.delta, place.delta))
        for child in place.inner:
            symbol = naming.of(child.output)
            if symbol is not None:
                self.ways.append((symbol, child.output, child.delta))
            if child.input_delta is not None and id(child.input_delta) in naming.deltas:
                self.back.append((naming.deltas[id(child.input_delta)], child.input_delta))
        self._passed = naming.deltas
        self.factor = 1 / len(self.ways) if mean else 1.0
        self._widths = [symbol.shape[-1] if symbol.shape else 1 for symbol, _, _ in self.ways]

    def forward(self) -> Step:
        """Tell the output: a sum, a mean, or one number of one branch."""
        if not self.known:
            return layer.forward(self.place)
        h, output = self.place.h, self.place.output

        def tell(row: int, unit: int, limit: Limit) -> Line:
            name, value = at(h.name, h.shape, unit), float(output[row].ravel()[unit])
            used = [(way, unit) for way in range(len(self.ways))]
            if self.concat:
                used = [self._source(unit)]
            held = np.array([self.ways[way][1][row].ravel()[place] for way, place in used])

            def factors(i: int) -> Factors:
                way, place = used[i]
                symbol = self.ways[way][0]
                return (*self._scale(), (at(symbol.name, symbol.shape, place), float(held[i])))

            return summed(name, value, self.factor * held, factors, limit=limit)

        names = [symbol.name for symbol, _, _ in self.ways]
        indexed = [at(symbol.name, symbol.shape, "k") for symbol, _, _ in self.ways]
        scale = "" if self.factor == 1 else f"1/{len(names)} "
        joined = f"{at(h.name, h.shape, 'k')} = {' + '.join(scale + way for way in indexed)}"
        return output_step(
            self.place,
            title="the branches meet",
            equation=f"{h.name} = concat({', '.join(names)})" if self.concat else joined,
            tag=tag("output", hidden=self.place.hidden, exact=False),
            tell=tell,
        )

    def split(self) -> dict[str, Step]:
        """Tell the delta that each branch is given, by its output's name.

        What another layer inside passed back is told there.
        """
        return {
            symbol.name: self._given(way, symbol, delta)
            for way, (symbol, _, delta) in enumerate(self.ways)
            if delta is not None and symbol != self.place.h
            if self._passed.get(id(delta)) != symbol.delta
        }

    def gather(self) -> Iterator[Step]:
        """Tell dJ/dinput, when delta has come through all branches."""
        place = self.place
        if not self.known or place.input_delta is None:
            yield from layer.backward(place)
            return
        x, input_delta, back = place.x, place.input_delta, self.back

        def tell(row: int, unit: int, limit: Limit) -> Line:
            parts = np.array([part[row].ravel()[unit] for _, part in back])
            return summed(
                at(place.input_delta_name, x.shape, unit),
                float(input_delta[row].ravel()[unit]),
                parts,
                lambda i: ((at(back[i][0], x.shape, unit), float(parts[i])),),
                limit=limit,
            )

        names = " + ".join(at(name, x.shape, "k") for name, _ in back)
        yield input_delta_step(
            place,
            title="the branches' deltas add up",
            equation=f"{at(place.input_delta_name, x.shape, 'k')} = {names}",
            tag=tag("input delta", hidden=place.hidden, exact=False),
            tell=tell,
        )

    def _given(self, way: int, symbol: Symbol, delta: Array) -> Step:
        place, name, shape = self.place, symbol.delta, symbol.shape
        follows = self.known or delta is place.delta

        def tell(row: int, unit: int, limit: Limit) -> Line:
            line, value = at(name, shape, unit), float(delta[row].ravel()[unit])
            if not follows or place.delta is None:
                return Line(line, value)
            there = self._target(way, unit) if self.concat else unit
            came = float(place.delta[row].ravel()[there])
            factors = (*self._scale(), (at(place.h.delta, place.h.shape, there), came))
            return summed(line, value, np.array([value]), lambda _: factors, limit=limit)

        scale = "" if self.factor == 1 else f"1/{len(self.ways)} "
        offset = sum(self._widths[:way]) if self.concat else 0
        right = f" = {scale}{place.h.delta}[{f'{offset} + ' if offset else ''}k]"
        return Step(
            phase="backward",
            path=place.path,
            title=f"the delta of {symbol.name}",
            equation=at(name, shape, "k") + (right if follows else ""),
            tag=tag("input delta", hidden=place.hidden, exact=False),
            name=name,
            symbol=symbol,
            shape=shape,
            values=lambda row: delta[row],
            tell=tell,
        )

    def _scale(self) -> Factors:
        return () if self.factor == 1 else (("factor", self.factor),)

    def _source(self, unit: int) -> tuple[int, int]:
        """Return the branch that a number of a concatenation comes from, and its place there."""
        outer, last = divmod(unit, sum(self._widths))
        way = 0
        while last >= self._widths[way]:
            last -= self._widths[way]
            way += 1
        return way, outer * self._widths[way] + last

    def _target(self, way: int, unit: int) -> int:
        """Return where a number of a branch stands in the concatenation."""
        outer, last = divmod(unit, self._widths[way])
        return outer * sum(self._widths) + sum(self._widths[:way]) + last
