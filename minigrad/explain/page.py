"""A pass as one page without a network: a reader goes through its steps and selects units."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from math import prod
from typing import Any, Final

from minigrad.explain.passes import Pass, Selection, Units
from minigrad.explain.steps import EQUATIONS, Limit, Line, Symbol, at, factor, flat_index, number
from minigrad.explain.text import opening

_MOST_CHARACTERS: Final = 1_500_000
"""The size of a page's data; beyond it, the page has fewer rows, then fewer units."""
_LIMITS: Final = (Limit(12, 6), Limit(8, 4), Limit(4, 2))
_FILES: Final = ("page.css", "page.html", "typeset.js", "network.js", "pick.js", "page.js")


def page(made: Pass, rows: Sequence[int], units: Units | None = None) -> str:
    """Write the page of some rows; `units` are shown in any case, by a layer's path."""
    style, frame, *scripts = (
        files("minigrad.explain").joinpath(name).read_text(encoding="utf-8") for name in _FILES
    )
    title = html.escape(f"J = {number(made.j)}: forward and backward pass")
    parts = {"title": title, "style": style, "script": "\n".join(scripts)}
    parts["data"] = _data(made, rows, units)
    return re.sub(r"{{(\w+)}}", lambda match: parts[match[1]], frame)


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
    summary = f"Loss: {made.loss_names}"
    if len(written) < made.rows:
        summary += f" over {made.rows} rows; this page shows {len(written)} of them"
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
        columns, steps = self._columns(), list[dict[str, Any]]()
        for place, step in enumerate(self.made.steps):
            names = [self._add(place, index) for index in self.shown.indices(step)]
            made = {key: getattr(step, key) for key in ("phase", "path", "title", "equation")}
            made |= {"named": step.references, "lines": names, "more": step.size - len(names)}
            steps.append(made)
        terms = [term for line in self._lines.values() for term in line.terms]
        for name, value in [named for term in terms for named in term.factors]:
            self._add_weight(name, value)
        data = {"row": self.shown.row, "columns": columns, "steps": steps, "inputs": self._inputs}
        lines = {name: self._line(line) for name, line in self._lines.items()}
        return data | {"weights": self._weights, "lines": lines}

    def _add(self, place: int, index: int) -> str:
        line = self.made.steps[place].line(self.shown.row, index, self.shown.limit)
        self._lines[line.name], self._step_of[line.name] = line, place
        return line.name

    def _line(self, line: Line) -> dict[str, Any]:
        terms = [
            {"factors": [[n, number(v)] for n, v in t.factors], "value": number(t.value)}
            for t in line.terms
        ]
        value, step = number(line.value), self._step_of.get(line.name, "")
        made = {"value": value, "step": step, "formula": line.formula, "terms": terms}
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
            x, h = place.x, place.h
            if prod(x.shape) == prod(h.shape):
                for index in self.shown.units(h.units_of):
                    self._inputs[at(h.name, h.shape, index)] = at(x.name, x.shape, index)
        j = {"values": ["J"], "deltas": []}
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
        uses = self.made.names.parameters[array]
        parameters = [one.parameters[key] for one, key in uses]
        path, p = f"{uses[0][0].path}.{uses[0][1]}".lstrip("."), parameters[0]
        shape = p.source.shape
        index = flat_index(tuple(map(int, place.split(","))), shape, path) if shape else 0
        gradients = dict.fromkeys([*(one.gradient for one in parameters), p.total])
        steps = [self.made.step_of[name] for name in gradients if name in self.made.step_of]
        lines = [self._add(step, index) for step in steps]
        self._weights[name] = {"value": number(value), "of": path, "gradients": lines}
