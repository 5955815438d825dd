"""A pass as one page without a network: a reader goes through its steps and selects units."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from minigrad.explain.equations import EQUATIONS
from minigrad.explain.loss_steps import target_shares
from minigrad.explain.passes import Pass, Selection, Units
from minigrad.explain.places import Place, by_label, word
from minigrad.explain.steps import Grid, Limit, Line, Quantity, Step, at, factor, flat_index, number
from minigrad.explain.text import opening
from minigrad.layers import MultiHeadAttention, Residual, Softmax
from minigrad.layers.recurrent import Recurrent
from minigrad.util.webpage import as_json, write_page

_MOST_CHARACTERS: Final = 1_500_000
"""The size of a page's data; beyond it, the page has fewer rows, then fewer units."""
_LIMITS: Final = (Limit(12, 6), Limit(8, 4), Limit(4, 2))
_CELLS: Final = 4000
"""The most terms in the sums of the numbers in matrices, of one row; a number counts as three."""
_SIDE, _PANELS = 32, 8  # the most rows or columns of a matrix, and matrices of an array
_TERMS: Final = Limit(64, 6)
"""Which terms the sum of a number in a matrix has."""
_FILES: Final = (
    "page.css", "page.html",
    "typeset.js", "graph.js", "lines.js", "network.js", "grids.js", "pick.js", "predict.js",
    "page.js",
)  # fmt: skip


def page(
    made: Pass,
    rows: Sequence[int],
    units: Units | None = None,
    opened: str = "",
    *,
    cells: bool = True,
) -> str:
    """Write the page of some rows; `units` are shown in any case, by a layer's path.

    `opened` is the name of the unit or the weight that it opens, such as "w1[0,2]". Without `cells`
    the page has the sums of the listed numbers only, and is smaller.
    """
    passes = "forward, backward, update" if made.updates else "forward and backward pass"
    title = f"J = {number(made.j)}: {passes}"
    return write_page(
        "explain", _FILES, title=title, data=_data(made, rows, units, opened, cells=cells)
    )


def _data(made: Pass, rows: Sequence[int], units: Units | None, opened: str, *, cells: bool) -> str:
    """Return the data of as many rows as a page holds, and of fewer units if one is too large."""
    # Beside matrices, which have all numbers, fewer units are enough.
    drawn = any(step.grids for step in made.steps)
    for limit in _LIMITS[1:] if drawn else _LIMITS:
        written: list[str] = []
        for row in rows:
            written.append(as_json(_Row(Selection(made, row, limit, units), cells=cells).data()))
            if sum(map(len, written)) + len(written[-1]) > _MOST_CHARACTERS:
                break
        if len(written[0]) <= _MOST_CHARACTERS:
            break
    summary = f"Loss: {made.loss_names}"
    if len(written) < made.rows:
        summary += f" over {made.rows} rows; this page shows {len(written)} of them"
    _, *notes = opening(Selection(made, rows[0], limit))
    equations = {str(place): equation for place, equation in EQUATIONS.items()}
    head = {"summary": f"{summary}.", "notes": notes, "equations": equations, "opened": opened}
    return f'{as_json(head)[:-1]},"rows":[{",".join(written)}]}}'


class _Row:
    """One row as plain data: columns of units, steps, lines and weights."""

    def __init__(self, shown: Selection, *, cells: bool) -> None:
        self.shown, self.made = shown, shown.made
        self._most = _CELLS if cells and shown.limit.most > _LIMITS[-1].most else 0
        self._lines: dict[str, Line] = {}
        self._step_of: dict[str, int] = {}
        self._weights: dict[str, dict[str, Any]] = {}
        self._inputs: dict[str, str | list[str]] = {}
        self._grids: dict[str, dict[str, Any]] = {}

    def data(self) -> dict[str, Any]:
        columns, steps = self._columns(), list[dict[str, Any]]()
        for place, step in enumerate(self.made.steps):
            names = [self._add(place, line) for line in self.shown.lines(step)]
            made = {key: getattr(step, key) for key in ("phase", "path", "title")}
            made["equation"] = self.shown.equation(step)
            made |= {"named": step.references, "lines": names, "more": self.shown.rest(step)}
            if note := self.shown.note(step):
                made["note"] = "\n".join(note)
            if step.grids:
                made["grids"] = [self._grid(one) for one in step.grids]
            steps.append(made)
        terms = [term for line in self._lines.values() for term in line.terms]
        for name, value in [named for term in terms for named in term.factors]:
            self._add_weight(name, value)
        self._add_cells()
        data = {"row": self.shown.row, "columns": columns, "steps": steps, "inputs": self._inputs}
        lines = {name: self._line(line) for name, line in self._lines.items()}
        return data | {"weights": self._weights, "lines": lines, "grids": self._grids}

    def _add(self, place: int, line: Line) -> str:
        self._lines[line.name], self._step_of[line.name] = line, place
        return line.name

    def _grid(self, grid: Grid) -> str:
        """Add the numbers of a matrix, and return its key; of a large one, those at the start."""
        key = f"{grid.name}{list(grid.origin) or ''}"
        if key not in self._grids:
            whole = grid.values[min(self.shown.row, len(grid.values) - 1)]
            axes = grid.axes or tuple(range(whole.ndim))[-2:]
            most = [_SIDE if axis in axes else _PANELS for axis in range(whole.ndim)]
            part = whole[tuple(map(slice, most))]
            self._grids[key] = {
                "name": grid.name, "shape": part.shape, "of": whole.shape, "axes": axes,
                "origin": grid.origin or [0] * whole.ndim, "kernel": grid.kernel,
                "values": [f"{value + 0.0:.4g}" for value in part.ravel().tolist()],
            }  # fmt: skip
            if len(grid.blocks) > 1:
                self._grids[key]["blocks"] = [*grid.blocks]
        return key

    def _add_cells(self) -> None:
        """Add the lines of the numbers in the matrices of steps, evenly if there are too many."""
        drawn = [(place, step) for place, step in enumerate(self.made.steps) if step.grids]
        for place, step in drawn if self._most else ():
            shown = self.shown.indices(step)
            made = [step.line(self.shown.row, index, _TERMS) for index in shown]
            terms = max((len(line.terms) for line in made), default=0)
            most = self._most // len(drawn) // (terms + 3)
            chosen = np.linspace(0, step.size - 1, min(step.size, most)).round().astype(int)
            rest = {*chosen.tolist()}.difference(shown)
            made += [step.line(self.shown.row, index, _TERMS) for index in sorted(rest)]
            for line in made:
                self._add(place, line)

    def _line(self, line: Line) -> dict[str, Any]:
        terms = [
            {"factors": [[n, number(v)] for n, v in t.factors], "value": number(t.value)}
            for t in line.terms
        ]
        value, step = number(line.value), self._step_of.get(line.name, "")
        made: dict[str, Any] = {
            "value": value,
            "step": step,
            "formula": line.formula,
            "terms": terms,
        }
        made |= {"omitted": line.omitted, "rest": number(line.rest)} if line.omitted else {}
        made |= {"uses": list(line.uses)} if line.uses else {}
        made |= {"sign": line.sign} if line.sign != "=" else {}
        return {key: value for key, value in made.items() if value not in ("", [])}

    def _columns(self) -> list[dict[str, Any]]:
        """Return the columns of the diagram; an activation joins the column of its layer.

        The depth of each is that of the longest path to it.
        """
        names, losses = self.made.names, self.made.losses
        places = [place for place in names.places if not place.enters]
        inputs = [s for s in names.symbols.values() if not any(s == p.h for p in places)]
        groups = [(0, [s], ["input" if s.name == "x" else s.name]) for s in inputs]
        depths = {s.name: 0 for s in inputs}
        for place in places:
            inner = [names.of(child.output) for child in place.inner]
            before = [depths[s.name] for s in (*place.xs, *inner) if s is not None and s != place.h]
            joins = place.activates and place.h.units_of == place.x.units_of
            layers = groups[len(inputs) :]
            if joined := [group for group in layers if joins and place.x == group[1][-1]]:
                depth, symbols, paths = joined[0]
                symbols.append(place.h)
                paths.append(place.path)
            else:
                depth = 1 + max(before, default=0)
                groups.append((depth, [place.h], [place.path]))
            depths[place.h.name] = depth
            self._link(place)
        shares = {s.symbol: s for s in self.made.steps if s.phase == "loss" and s.symbol}
        columns = [
            self._column(symbols, paths, shares.get(symbols[-1])) | {"depth": depth}
            for depth, symbols, paths in groups
        ]
        last, ends = 1 + max(depths.values()), list[str]()
        for label, loss in losses.items():
            ends.append(f"J|{word(label)}" if len(losses) > 1 else "J")
            columns.append(_loss_column(ends[-1], type(loss).__name__, last))
            self._inputs[ends[-1]] = self._shown(names.outputs[label].symbol)
        if len(losses) > 1:
            columns.append(_loss_column("J", "sum", last + 1))
            self._inputs["J"] = ends
        return columns

    def _link(self, place: Place) -> None:
        """Note what each unit is computed from if it is one number; an id has several features."""
        x, h = place.x, place.h
        each = h.shape[-1] if h.shape[:-1] == x.shape else 1
        if isinstance(place.layer, (Recurrent, MultiHeadAttention)):
            sources = [name for x in place.xs for name in self._shown(x)]
            self._inputs |= dict.fromkeys(self._shown(h), sources)
        mixes = isinstance(place.layer, (Recurrent, MultiHeadAttention)) or len(place.xs) > 1
        if not mixes and prod(x.shape) * each == prod(h.shape):
            for index in self.shown.units(h.units_of):
                self._inputs[at(h.name, h.shape, index)] = at(x.name, x.shape, index // each)

    def _shown(self, symbol: Quantity) -> list[str]:
        """Return the names of an array's units that are shown."""
        return [at(symbol.name, symbol.shape, i) for i in self.shown.units(symbol.units_of)]

    def _column(
        self, symbols: list[Quantity], paths: list[str], shares: Step | None
    ) -> dict[str, Any]:
        """Return a column; `shares` are the probabilities that a loss makes of its units.

        "shares" counts which of a unit's values are probabilities, from the last.
        """
        units, targets = [], self._targets(symbols[-1])
        for index in self.shown.units(symbols[0].units_of):
            values = [factor(s.name, s.values[self.shown.row], index) for s in symbols]
            self._lines |= {name: Line(name, value) for name, value in values}
            deltas = [at(symbol.delta, symbol.shape, index) for symbol in reversed(symbols)]
            units.append({"values": [name for name, _ in values], "deltas": deltas})
            if shares is not None:
                share = at(shares.name, shares.shape, index)
                self._inputs[share] = values[-1][0]
                units[-1]["values"].append(share)
            if targets is not None:
                name, target = factor(targets[0], targets[1], index)
                units[-1]["target"] = [name, number(target)]
        column = {"title": paths, "size": prod(symbols[0].shape), "units": units}
        made = [p.layer for p in self.made.names.places if p.h == symbols[-1] and not p.enters]
        probabilities = bool(made) and isinstance(made[0], Softmax)
        column |= {"shares": count} if (count := probabilities + (shares is not None)) else {}
        column |= {"residual": True} if made and isinstance(made[0], Residual) else {}
        return column

    def _targets(self, symbol: Quantity) -> tuple[str, NDArray[Any]] | None:
        """Return the name and the target of a prediction, if it has one number for each unit."""
        for label, target in by_label(self.made.target).items():
            output = self.made.names.outputs[label]
            shares = target_shares(self.made.losses[label], output, target)
            if output.symbol is symbol and shares.shape == symbol.values.shape:
                return f"t|{word(label)}" if label else "t", shares[self.shown.row]
        return None

    def _add_weight(self, name: str, value: float) -> None:
        """Add a number of a parameter in a sum, and the lines of its gradient and its update."""
        array, _, place = name.rstrip("]").partition("[")
        if array not in self.made.names.parameters or name in self._weights:
            return
        uses = self.made.names.parameters[array]
        path, shape = uses[0].path, uses[0].source.shape
        index = flat_index(tuple(map(int, place.split(","))), shape, path) if shape else 0
        gradients = {uses[0].total, *(use.gradient for use in uses)}
        lines = [
            self._add(place, step.line(self.shown.row, index, self.shown.limit))
            for place, step in enumerate(self.made.steps)
            if step.name in gradients or (step.phase == "update" and step.path == path)
        ]
        self._weights[name] = {"value": number(value), "of": path, "lines": lines}


def _loss_column(name: str, title: str, depth: int) -> dict[str, Any]:
    units = [{"values": [name], "deltas": []}]
    return {"title": [title], "size": 1, "units": units, "depth": depth}
