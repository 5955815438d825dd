"""The explanation of a pass: its text, LaTeX document and page, and the arrays of each layer."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from typing_extensions import override

from minigrad.core.layer import Layer, replica
from minigrad.core.loss import Loss
from minigrad.data.arrays import Array
from minigrad.explain import page
from minigrad.explain.latex import latex
from minigrad.explain.layers import row_gradients
from minigrad.explain.passes import Pass, Selection
from minigrad.explain.places import Place
from minigrad.explain.steps import Limit, Step, at, flat_index, number
from minigrad.explain.text import tagged, text
from minigrad.saving.atomic import atomic_write

_PAGE_ROWS = 8


@dataclass(frozen=True, repr=False, eq=False)
class LayerPass:
    """The arrays of one layer in a pass; the first axis of each counts the rows.

    Attributes:
        path: the path of the layer, such as 'residual_1.dense_1'.
        layer: a replica of the layer.
        input: its input.
        output: its output.
        z: the input of the activation that follows it, or that it is; else the output.
        activation: the output of that activation; else the output.
        delta: dJ/dz; None if the layer receives no delta.
        output_delta: dJ/doutput.
        input_delta: dJ/dinput.
        gradients: the gradient of the loss by each parameter, over all rows, by attribute.
    """

    path: str
    layer: Layer
    input: Array
    output: Array
    z: Array
    activation: Array
    delta: Array | None
    output_delta: Array | None
    input_delta: Array | None
    gradients: dict[str, Array]
    _row_gradients: Callable[[str], Array]

    def row_gradients(self, attribute: str) -> Array:
        """Return what each row adds to the gradient of a parameter, of shape (rows, ...).

        Raises:
            ValueError: the layer has no such parameter, or received no delta.
        """
        if attribute not in self.gradients or self.output_delta is None:
            known = sorted(self.gradients) or "none"
            raise ValueError(
                f"{self.layer.label} has no gradient of '{attribute}'; its gradients: {known}"
            )
        return self._row_gradients(attribute)

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

    Printed, it is text for the first row. `explanation["dense_1"]` holds a layer's arrays. A copy
    and a pickle hold the model, the rows and the loss, and compute the pass again.

    Args:
        model: a built network.
        x: rows, in the model's dtype.
        y: targets that the loss accepts.
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
        self._made_from = replica(model), x.copy(), y.copy(), loss
        self._pass = Pass(*self._made_from)
        self.x, self.target, self.prediction = x, self._pass.target, self._pass.prediction
        self.loss, self.j = loss, self._pass.j

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return len(self.x)

    @property
    def steps(self) -> list[Step]:
        """The computation in order: forward, loss, backward."""
        return self._pass.steps

    @property
    def layers(self) -> list[LayerPass]:
        """All layers in forward order; a container comes after its layers."""
        return [self._layer(place) for place in self._pass.names.places if not place.enters]

    def __getitem__(self, path: str) -> LayerPass:
        """Return the arrays of the layer at a path, such as 'residual_1.dense_1'.

        Raises:
            KeyError: no layer ran there.
        """
        return self._layer(self._pass.names.place(path))

    def text(self, *, row: int = 0, most: int = 12) -> str:
        """Return the pass of one row as text of at most 100 columns.

        Args:
            row: the row.
            most: how many units of a layer, numbers of a gradient, or terms of a sum are shown; if
                there are more, the four with the largest effect.

        Raises:
            ValueError: there is no such row.
        """
        return text(self._pass, self._selection(row, most))

    def unit(self, path: str, index: int | tuple[int, ...], *, row: int = 0, most: int = 12) -> str:
        """Return the lines of one unit: its value, its delta, and the sums behind them.

        Raises:
            KeyError: there is no such layer.
            ValueError: there is no such unit or row.
        """
        symbol = self._pass.names.place(path).h
        unit, limit = flat_index(index, symbol.shape, path), Limit(most)
        lines: list[str] = []
        for step in self.steps:
            if step.symbol is not None and step.symbol.units_of == symbol.units_of:
                lines += tagged(step.line(self._row(row), unit, limit), step.tag)
        return "\n".join(lines)

    def weight(
        self,
        path: str,
        index: int | tuple[int, ...],
        *,
        parameter: str = "weight",
        most: int = 12,
    ) -> str:
        """Return the lines of one number of a parameter: its value and its gradient.

        Raises:
            KeyError: there is no such layer.
            ValueError: there is no such parameter or index.
        """
        held = self._pass.names.place(path).parameters
        if parameter not in held:
            known = sorted(held) or "none"
            raise ValueError(f"'{path}' has no parameter '{parameter}'; its parameters: {known}")
        p, step_of = held[parameter], self._pass.step_of
        place = flat_index(index, p.source.shape, f"{path}.{parameter}")
        value = number(float(p.source.value.flat[place]))
        lines = [f"  {at(p.name, p.source.shape, place)} = {value}"]
        for name in dict.fromkeys((p.gradient, p.total)):
            if name in step_of:
                step = self.steps[step_of[name]]
                lines += tagged(step.line(0, place, Limit(most)), step.tag)
        return "\n".join(lines)

    def to_latex(self, *, row: int = 0, most: int = 12) -> str:
        """Return the pass as a LaTeX document, which needs only amsmath; see `text`."""
        return latex(self._pass, self._selection(row, most))

    def to_html(
        self,
        path: str | os.PathLike[str],
        *,
        rows: Sequence[int] | None = None,
        units: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        """Write a page on which a reader goes through the pass; it needs no network connection.

        Args:
            path: the file to create or replace.
            rows: the rows on the page; by default the first eight.
            units: for a layer's path, units of a wide layer that are shown in any case, such as
                {"dense_1": [17]}, beside those with the largest effect on J.

        Raises:
            KeyError: there is no such layer.
            ValueError: there is no such row or unit.
            OSError: the file can't be written.
        """
        if rows is not None and not len(rows):
            raise ValueError("to_html expects at least one row, got rows=[]")
        chosen = self._page_rows() if rows is None else [self._row(row) for row in rows]
        atomic_write(path, [page.page(self._pass, chosen, units).encode()])

    def _repr_html_(self) -> str:
        return page.frame(page.page(self._pass, self._page_rows()), repr(self))

    def _page_rows(self) -> list[int]:
        return list(range(min(self.rows, _PAGE_ROWS)))

    def _row(self, row: int) -> int:
        if not 0 <= row < self.rows:
            raise ValueError(f"the explanation expects a row from 0 to {self.rows - 1}, got {row}")
        return row

    def _selection(self, row: int, most: int) -> Selection:
        return Selection(self._pass, self._row(row), Limit(most))

    def _layer(self, place: Place) -> LayerPass:
        follows = [p for p in self._pass.names.places if p.x == place.h and not p.enters]
        activation = place if place.activates else None
        if place.linear and len(follows) == 1 and follows[0].activates:
            activation = follows[0]
        return LayerPass(
            place.path,
            place.layer,
            place.input,
            place.output,
            activation.input if activation else place.output,
            activation.output if activation else place.output,
            activation.input_delta if activation else place.delta,
            place.delta,
            place.input_delta,
            place.gradients or {},
            lambda attribute: row_gradients(place, attribute),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._made_from

    @override
    def __str__(self) -> str:
        return self.text()

    @override
    def __repr__(self) -> str:
        return (
            f"Explanation(rows={self.rows}, layers={len(self.layers)}, steps={len(self.steps)}, "
            f"J={number(self.j)}): print it"
        )
