"""The explanation of a pass: its text, LaTeX document and page, and the arrays of each layer."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.core.loss import Loss
from minigrad.core.optimizer import Optimizer
from minigrad.data.arrays import Array
from minigrad.data.by_name import Data
from minigrad.explain.arithmetic import row_gradients
from minigrad.explain.latex import latex
from minigrad.explain.page import page
from minigrad.explain.passes import Pass, Selection, Units
from minigrad.explain.places import Place
from minigrad.explain.steps import Limit, Step, at, flat_index, number
from minigrad.explain.text import tagged, text
from minigrad.util.atomic import StrPath, atomic_write
from minigrad.util.terminal import Terminal
from minigrad.util.webpage import framed

Index = int | tuple[int, ...]

_PAGE_ROWS = 8
_NARROWEST = 40
"""Text of fewer columns would break most formulas."""


class LayerPass:
    """The arrays of one layer in a pass; the first axis of each counts the rows.

    Attributes:
        path: the path of the layer, such as 'residual_1.dense_1'.
        layer: a replica of the layer.
        input: its input, or the first of its `inputs`.
        output: its output.
        z: the input of the activation that follows it, or that it is; else the output.
        activation: the output of that activation; else the output.
        delta: dJ/dz; None if the layer receives no delta.
        output_delta: dJ/doutput, likewise.
        input_delta: dJ/dinput, likewise, or the first of its `input_deltas`.
        gradients: the gradient of the loss by each parameter, over all rows, by attribute.
    """

    def __init__(self, place: Place, activation: Place | None) -> None:
        self._place = place
        self.path, self.layer, self.gradients = place.path, place.layer, place.gradients or {}
        self.input, self.output = place.input, place.output
        self.output_delta, self.input_delta = place.delta, place.input_delta
        self.inputs, self.input_deltas = place.inputs, place.input_deltas
        self.z, self.activation, self.delta = self.output, self.output, place.delta
        if activation is not None:
            self.z, self.activation = activation.input, activation.output
            self.delta = activation.input_delta

    def row_gradients(self, attribute: str) -> Array:
        """Return what each row adds to a parameter's gradient, of shape (rows, ...).

        Raises:
            ValueError: the layer has no such gradient.
        """
        if attribute not in self.gradients or self.output_delta is None:
            label, known = self.layer.label, sorted(self.gradients) or "none"
            raise ValueError(f"{label} has no gradient of '{attribute}'; its gradients: {known}")
        return row_gradients(self._place, attribute)

    @property
    def weight_gradients(self) -> Array:
        """What each row adds to the gradient of `weight`, of shape (rows, inputs, units)."""
        return self.row_gradients("weight")

    @property
    def bias_gradients(self) -> Array:
        """What each row adds to the gradient of `bias`, of shape (rows, units)."""
        return self.row_gradients("bias")

    @override
    def __repr__(self) -> str:
        return f"LayerPass({self.layer.label}, rows={len(self.input)})"


class Explanation:
    """A forward and backward pass over some rows, with every number.

    Printed, it is text for the first row, in the width and the colors of the terminal;
    `NO_COLOR` turns them off. `explanation["dense_1"]` holds a layer's arrays. A copy
    and a pickle hold the model, the rows and the loss, and compute the pass again.

    Args:
        model: a built network.
        x: rows, in the model's dtype; of several inputs, a dict.
        y: targets that the loss accepts; of several outputs, a dict.
        loss: the loss.
        optimizer: what makes a step after the pass, on a copy; None for no update.

    Attributes:
        rows: how many rows it has.
        prediction: the model's output; several are a dict by name, and so are their targets.
        target: the targets, in the shape and dtype that the loss computes with.
        j: the loss over all rows, with the regularizers.
        steps: the computation in order: forward, loss, backward, update.

    >>> import numpy as np
    >>> from minigrad import Dense, MSELoss, Sequential
    >>> weight = np.array([[0.5], [-1.0]])
    >>> model = Sequential([Dense(1, weight_initializer=weight)], input_shape=(2,), rng=0)
    >>> explanation = Explanation(model, np.array([[3.0, 1.0]]), np.array([[1.0]]), MSELoss())
    >>> explanation["dense_1"].z, explanation["dense_1"].delta
    (array([[0.5]]), array([[-1.]]))
    >>> print(explanation.weight("dense_1", (0, 0)))
      w1[0,0] = 0.5
      ∂J/∂w1[0,0] = -1 × 3 = -3                                           (4, 6)
    """

    def __init__(
        self, model: Layer, x: Data, y: Data, loss: Loss, optimizer: Optimizer | None = None
    ) -> None:
        self._arguments = copy.deepcopy((model, x, y, loss, optimizer))
        self._pass = made = Pass(*self._arguments)
        self.x, self.rows, self.loss, self.j = made.x, made.rows, made.loss, made.j
        self.prediction, self.target = made.prediction, made.target
        self.steps: list[Step] = made.steps

    @property
    def layers(self) -> list[LayerPass]:
        """All layers in forward order; a container comes after its layers."""
        return [self._layer(place) for place in self._pass.names.places if not place.enters]

    def __getitem__(self, path: str) -> LayerPass:
        """Return the arrays of the layer at a path; KeyError if there is none."""
        return self._layer(self._pass.names.place(path))

    def text(self, *, row: int = 0, most: int = 12, width: int = 80) -> str:
        """Return the pass of one row as plain text; printed, it fits the terminal.

        Args:
            row: the row; ValueError if there is no such row.
            most: how many units of a layer, numbers of a gradient, or terms of a sum are shown; if
                there are more, the four with the largest effect.
            width: the longest line, in columns.
        """
        return text(self._shown(row, most), Terminal(width))

    def to_latex(self, *, row: int = 0, most: int = 12) -> str:
        """Return the pass as a LaTeX document, which needs only amsmath; see `text`."""
        return latex(self._shown(row, most))

    def unit(self, path: str, index: Index, *, row: int = 0, most: int = 12) -> str:
        """Return the lines of one unit: its value, its delta, and the sums behind them.

        Raises:
            KeyError, ValueError: there is no such layer, unit or row.
        """
        symbol = self._pass.names.place(path).h
        unit, row, limit = flat_index(index, symbol.shape, path), self._row(row), Limit(most)
        steps = [s for s in self.steps if s.symbol and s.symbol.units_of == symbol.units_of]
        lines = [tagged(step.line(row, unit, limit), step.tag, Terminal()) for step in steps]
        return "\n".join(row for rows in lines for row in rows)

    def weight(self, path: str, index: Index, *, parameter: str = "weight", most: int = 12) -> str:
        """Return the lines of one number of a parameter: its value, its gradient and its update.

        Raises:
            KeyError, ValueError: there is no such layer, parameter or index.
        """
        held = self._pass.names.place(path).parameters
        if parameter not in held:
            known = sorted(held) or "none"
            raise ValueError(f"'{path}' has no parameter '{parameter}'; its parameters: {known}")
        p = held[parameter]
        place = flat_index(index, p.source.shape, f"{path}.{parameter}")
        value = number(float(p.source.value.flat[place]))
        updated = self._pass.names.parameters[p.name][0].path
        lines = [f"  {at(p.name, p.source.shape, place)} = {value}"]
        for step in self.steps:
            if step.name in (p.gradient, p.total) or step.path == updated:
                lines += tagged(step.line(0, place, Limit(most)), step.tag, Terminal())
        return "\n".join(lines)

    def to_html(
        self,
        path: StrPath,
        *,
        rows: Sequence[int] | None = None,
        units: Units | None = None,
        select: tuple[str, str, Index] | None = None,
    ) -> None:
        """Write a page on which a reader goes through the pass; it needs no network connection.

        Args:
            path: the file to create or replace.
            rows: the rows on the page; by default the first eight.
            units: units of wide layers that are shown beside those with the largest effect on J,
                such as {"dense_1": [17]}.
            select: what the page opens: ("dense_1", "unit", 17), or a number of a parameter, as in
                ("dense_1", "weight", (0, 17)).

        Raises:
            KeyError, ValueError: there is no such layer, row, unit or parameter.
            OSError: the file can't be written.
        """
        chosen = range(min(self.rows, _PAGE_ROWS)) if rows is None else rows
        if not len(chosen):
            raise ValueError("to_html expects at least one row, got rows=[]")
        shown, opened = {**(units or {})}, ""
        if select is not None:
            layer, part, index = select
            opened, unit = self._name_of(layer, part, index)
            shown[layer] = [*shown.get(layer, ()), unit]
        written = page(self._pass, [self._row(row) for row in chosen], shown, opened)
        atomic_write(path, [written.encode()])

    def _repr_html_(self) -> str:
        title = f"A training step in equations, J = {number(self.j)}"
        return framed(page(self._pass, range(min(self.rows, _PAGE_ROWS))), title, 1000)

    def _name_of(self, path: str, part: str, index: Index) -> tuple[str, int]:
        """Return the name of a unit or of a number of a parameter, and the unit that it is of."""
        place = self._pass.names.place(path)
        if part != "unit" and part not in place.parameters:
            known = sorted(place.parameters) or "none"
            raise ValueError(f"'{path}' has no parameter '{part}'; its parameters: {known}")
        named = place.parameters.get(part)
        name, shape = (named.name, named.source.shape) if named else (place.h.name, place.h.shape)
        flat = flat_index(index, shape, path)
        return at(name, shape, flat), flat % shape[-1]

    def _shown(self, row: int, most: int) -> Selection:
        return Selection(self._pass, self._row(row), Limit(most))

    def _row(self, row: int) -> int:
        if not 0 <= row < self.rows:
            raise ValueError(f"Explanation expects a row from 0 to {self.rows - 1}, got {row}")
        return row

    def _layer(self, place: Place) -> LayerPass:
        users = [p for p in self._pass.names.places if place.h in p.xs and not p.enters]
        follows = place.affine and len(users) == 1 and users[0].activates
        return LayerPass(place, place if place.activates else users[0] if follows else None)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._arguments

    @override
    def __str__(self) -> str:
        terminal = Terminal.of()
        width = max(_NARROWEST, min(terminal.width, 100))
        return text(self._shown(0, 12), terminal._replace(width=width))

    @override
    def __repr__(self) -> str:
        counts = f"rows={self.rows}, layers={len(self.layers)}, steps={len(self.steps)}"
        return f"Explanation({counts}, J={number(self.j)}): print it"
