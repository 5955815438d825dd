"""A pass as one page without a network: a reader goes through its steps and selects units."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from math import prod
from typing import Any, Final

from minigrad.explain.passes import Pass, Selection
from minigrad.explain.steps import EQUATIONS, Limit, Line, Symbol, at, factor, flat_index, number
from minigrad.explain.text import opening

_MOST_CHARACTERS: Final = 1_500_000
"""The size of a page's data; beyond it, the page has fewer rows, then fewer units."""
_LIMITS: Final = (Limit(12, 6), Limit(8, 4), Limit(4, 2))
_SCRIPTS: Final = ("typeset.js", "network.js", "pick.js", "page.js")

Units = Mapping[str, Sequence[int]]


def page(made: Pass, rows: Sequence[int], units: Units | None = None) -> str:
    """Write the page of some rows; `units` are shown in any case, by a layer's path."""
    assets = files("minigrad.explain")
    parts = {
        "title": html.escape(f"J = {number(made.j)}: forward and backward pass"),
        "style": assets.joinpath("page.css").read_text(encoding="utf-8"),
        "script": "\n".join(assets.joinpath(name).read_text(encoding="utf-8") for name in _SCRIPTS),
        "data": _data(made, rows, units),
    }
    first, *pieces = assets.joinpath("page.html").read_text(encoding="utf-8").split("{{")
    filled = (piece.partition("}}") for piece in pieces)
    return first + "".join(parts[name] + rest for name, _, rest in filled)


def _as_json(value: Any) -> str:
    """Write JSON that can stand in a page: nothing in it can end a script."""
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    return written


def _data(made: Pass, rows: Sequence[int], units: Units | None) -> str:
    """Return the data of as many rows as a page holds, and of fewer units if one is too large."""
    for limit in _LIMITS:
        written: list[str] = []
        for row in rows:
            written.append(_as_json(_Row(Selection(made, row, limit, units)).data()))
            if sum(map(len, written)) + len(written[-1]) > _MOST_CHARACTERS:
                break
        if len(written[0]) <= _MOST_CHARACTERS:
            break
    summary = f"Loss: {type(made.loss).__name__}"
    if len(written) < len(made.x):
        summary += f" over {len(made.x)} rows; this page shows {len(written)} of them"
    _, *notes = opening(made, Selection(made, rows[0], limit))
    equations = {str(place): equation for place, equation in EQUATIONS.items()}
    head = {"summary": f"{summary}.", "notes": notes, "equations": equations}
    return f'{_as_json(head)[:-1]},"rows":[{",".join(written)}]}}'


class _Row:
    """One row as plain data: columns of units, steps, lines and weights."""

    def __init__(self, shown: Selection) -> None:
        self.shown, self.made = shown, shown.made
        self._lines: dict[str, Line] = {}
        self._step_of: dict[str, int] = {}
        self._weights: dict[str, dict[str, Any]] = {}
        self._inputs: dict[str, str] = {}

    def data(self) -> dict[str, Any]:
        columns = self._columns()
        steps = [self._step(place) for place in range(len(self.made.steps))]
        terms = [term for line in self._lines.values() for term in line.terms]
        for name, value in [factor for term in terms for factor in term.factors]:
            self._add_weight(name, value)
        return {
            "row": self.shown.row,
            "columns": columns,
            "steps": steps,
            "inputs": self._inputs,
            "weights": self._weights,
            "lines": {name: self._line(line) for name, line in self._lines.items()},
        }

    def _step(self, place: int) -> dict[str, Any]:
        step = self.made.steps[place]
        names = [self._add(place, index) for index in self.shown.indices(step)]
        made = {key: getattr(step, key) for key in ("phase", "path", "title", "equation")}
        return made | {"named": step.references, "lines": names, "more": step.size - len(names)}

    def _add(self, place: int, index: int) -> str:
        line = self.made.steps[place].line(self.shown.row, index, self.shown.limit)
        self._lines[line.name], self._step_of[line.name] = line, place
        return line.name

    def _line(self, line: Line) -> dict[str, Any]:
        terms = [
            {"factors": [[n, number(v)] for n, v in t.factors], "value": number(t.value)}
            for t in line.terms
        ]
        made = {"value": number(line.value), "step": self._step_of.get(line.name, "")}
        made |= {"formula": line.formula, "terms": terms}
        made |= {"omitted": line.omitted, "rest": number(line.rest)} if line.omitted else {}
        return {key: value for key, value in made.items() if value not in ("", [])}

    def _columns(self) -> list[dict[str, Any]]:
        """Return the columns of the diagram; an activation joins the column of its layer."""
        places = [place for place in self.made.names.places if not place.enters]
        groups = [([places[0].x], ["input"])]
        for place in places:
            symbols, paths = groups[-1]
            follows = place.activates and place.x == symbols[-1] and len(groups) > 1
            if follows and place.h.units_of == symbols[0].units_of:
                symbols.append(place.h)
                paths.append(place.path)
            else:
                groups.append(([place.h], [place.path]))
        for place in places:
            if place.input[0].size == place.output[0].size:
                for index in self.shown.units(place.h.units_of):
                    name = at(place.h.name, place.h.shape, index)
                    self._inputs[name] = at(place.x.name, place.x.shape, index)
        j: dict[str, list[str]] = {"values": ["J"], "deltas": []}
        loss = {"title": [type(self.made.loss).__name__], "size": 1, "units": [j]}
        return [*(self._column(symbols, paths) for symbols, paths in groups), loss]

    def _column(self, symbols: list[Symbol], paths: list[str]) -> dict[str, Any]:
        units = []
        for index in self.shown.units(symbols[0].units_of):
            values = [factor(s.name, s.values[self.shown.row], index) for s in symbols]
            self._lines |= {name: Line(name, value) for name, value in values}
            deltas = [at(symbol.delta, symbol.shape, index) for symbol in reversed(symbols)]
            units.append({"values": [name for name, _ in values], "deltas": deltas})
        return {"title": paths, "size": prod(symbols[0].shape), "units": units}

    def _add_weight(self, name: str, value: float) -> None:
        """Add a parameter's number that stands in a sum, and the lines of its gradient."""
        array, _, place = name.rstrip("]").partition("[")
        if array not in self.made.names.parameters or name in self._weights:
            return
        uses = [
            (one.path, key, one.parameters[key]) for one, key in self.made.names.parameters[array]
        ]
        (path, attribute, p), shape = uses[0], uses[0][2].source.shape
        index = flat_index(tuple(map(int, place.split(","))), shape, path) if shape else 0
        gradients = dict.fromkeys([*(one.gradient for _, _, one in uses), p.total])
        steps = [self.made.step_of[name] for name in gradients if name in self.made.step_of]
        lines, of = [self._add(step, index) for step in steps], f"{path}.{attribute}".lstrip(".")
        self._weights[name] = {"value": number(value), "of": of, "gradients": lines}
