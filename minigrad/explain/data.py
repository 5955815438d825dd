"""The explanation of a row as plain data: columns of units, edges between them, steps, lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from minigrad.explain.choice import Choice
from minigrad.explain.lines import Line, Symbol, at, flat_index, number
from minigrad.explain.text import named

if TYPE_CHECKING:
    from minigrad.explain.story import Explanation


def row_data(explanation: Explanation, choice: Choice) -> dict[str, Any]:
    """Return all that the page tells of one row, as what JSON can hold."""
    return _Row(explanation, choice).plain()


class _Row:
    """Gathers what is told; a line is added once, wherever it is needed."""

    def __init__(self, explanation: Explanation, choice: Choice) -> None:
        self.explanation, self.choice = explanation, choice
        self._lines: dict[str, Line] = {}
        self._step_of: dict[str, int] = {}
        self._made_of = {p.h.name: p.x for p in explanation.naming.places if p.x.size == p.h.size}
        self._weights: dict[str, dict[str, Any]] = {}
        self._unit_of: dict[str, str] = {}

    def plain(self) -> dict[str, Any]:
        columns = list(self._columns())
        steps = [self._step(place) for place in range(len(self.explanation.steps))]
        for line in list(self._lines.values()):
            for term in line.terms:
                for name, value in term.factors:
                    self._add_weight(name, value)
        return {
            "row": self.choice.row,
            "columns": columns,
            "steps": steps,
            "edges": list(self._edges()),
            "weights": self._weights,
            "lines": {name: self._line(line) for name, line in self._lines.items()},
        }

    def _step(self, place: int) -> dict[str, Any]:
        step = self.explanation.steps[place]
        told = [self._add(place, index) for index in self.choice.indices(step)]
        return {
            "phase": step.phase,
            "path": step.path,
            "title": step.title,
            "equation": step.equation,
            "named": named(step.tag),
            "lines": told,
            "more": step.size - len(told),
        }

    def _add(self, place: int, index: int) -> str:
        step = self.explanation.steps[place]
        line = step.line(self.choice.row, index, self.choice.limit)
        self._lines[line.name], self._step_of[line.name] = line, place
        return line.name

    def _line(self, line: Line) -> dict[str, Any]:
        made: dict[str, Any] = {"value": number(line.value)}
        if line.name in self._step_of:
            made["step"] = self._step_of[line.name]
        if line.formula:
            made["formula"] = line.formula
        if line.terms:
            made["terms"] = [
                {
                    "factors": [[name, number(value)] for name, value in term.factors],
                    "value": number(term.value),
                }
                for term in line.terms
            ]
        if line.omitted:
            made["omitted"], made["rest"] = line.omitted, number(line.rest)
        return made

    def _columns(self) -> Iterator[dict[str, Any]]:
        """Yield the columns of the diagram; an activation stands in its layer's column."""
        places = [place for place in self.explanation.naming.places if not place.enters]
        groups: list[tuple[list[Symbol], list[str]]] = [([places[0].x], ["input"])]
        for place in places:
            symbols, paths = groups[-1]
            follows = place.activates and place.x == symbols[-1] and len(groups) > 1
            if follows and place.h.units_of == symbols[0].units_of:
                symbols.append(place.h)
                paths.append(place.path)
            else:
                groups.append(([place.h], [place.path]))
        for symbols, paths in groups:
            yield self._column(symbols, paths)
        loss = type(self.explanation.loss).__name__
        self._unit_of["J"] = "J"
        yield {"title": [loss], "size": 1, "units": [{"values": ["J"], "deltas": []}]}

    def _column(self, symbols: Sequence[Symbol], paths: Sequence[str]) -> dict[str, Any]:
        units = []
        for index in self.choice.units(symbols[0].units_of):
            values = [at(symbol.name, symbol.shape, index) for symbol in symbols]
            deltas = [at(symbol.delta, symbol.shape, index) for symbol in reversed(symbols)]
            for symbol, name in zip(symbols, values, strict=True):
                self._unit_of[name] = values[0]
                held = self.explanation.naming.array(symbol.name)[self.choice.row].ravel()[index]
                self._lines[name] = Line(name, float(held))
            units.append({"values": values, "deltas": deltas})
        return {"title": list(paths), "size": symbols[0].size, "units": units}

    def _add_weight(self, name: str, value: float) -> None:
        """Add a parameter's number that stands in a sum, and the sum of its gradient."""
        array, _, _ = name.rpartition("[")
        held = self.explanation.naming.parameter(array or name)
        if held is None or name in self._weights:
            return
        path, shape, gradients = held
        index = flat_index(name, shape)
        places = self.explanation.step_of
        told = [self._add(places[name], index) for name in gradients if name in places]
        self._weights[name] = {"value": number(value), "of": path, "gradients": told}

    def _edges(self) -> Iterator[list[str]]:
        """Yield (from, to, weight): what each unit is computed of."""
        seen = set()
        for name, unit in self._unit_of.items():
            for source, weight in self._sources(self._lines[name]):
                edge = (self._unit_of.get(source, unit), unit, weight)
                if edge[0] != unit and edge not in seen:
                    seen.add(edge)
                    yield list(edge)

    def _sources(self, line: Line) -> Iterator[tuple[str, str]]:
        if line.name == "J":
            symbol = self.explanation.naming.of(self.explanation.prediction)
            assert symbol is not None
            for index in self.choice.units(symbol.units_of):
                yield at(symbol.name, symbol.shape, index), ""
            return
        for term in line.terms:
            names = [name for name, _ in term.factors]
            weight = next((name for name in names if name in self._weights), "")
            yield from ((name, weight) for name in names if name in self._unit_of)
        array = line.name.partition("[")[0]
        if not line.terms and array in self._made_of:
            h, x = self.explanation.naming.symbol(array), self._made_of[array]
            yield at(x.name, x.shape, flat_index(line.name, h.shape)), ""
