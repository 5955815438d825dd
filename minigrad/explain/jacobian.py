"""A layer's backward, asked for one output at a time, tells all derivatives of that layer."""

from __future__ import annotations

from math import prod

import numpy as np

from minigrad.data.arrays import Array, Shape
from minigrad.explain.places import Place

_MOST_CELLS = 2_000_000
_MOST_PASSES = 4096
"""Beyond so many derivatives, or calls of `backward`, a row's derivatives aren't told."""


class Jacobian:
    """The derivatives of one layer at the batch that it has just seen.

    `backward` is linear in delta, so that delta = 1 for one output and 0 for all others returns
    that output's derivatives with respect to the input, and leaves those with respect to the
    parameters. This holds for every layer, and needs nothing of it.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._known: dict[int | str, Array | None] = {}

    def of_input(self, row: int, unit: int) -> Array | None:
        """Return d output / d input for one number of the input, of shape (rows * outputs,).

        None where there are too many, or where they don't add up to what the layer passed back.
        """
        if row not in self._known:
            self._known[row] = self._of_row(row)
        cells = self._known[row]
        return None if cells is None else cells[:, unit]

    def rows_reached(self, row: int) -> range:
        """Return the rows whose outputs depend on a row's input."""
        everywhere = range(len(self._place.output))
        return everywhere if self._place.layer.batch_dependent else range(row, row + 1)

    def of_parameter(self, attribute: str) -> Array | None:
        """Return d output / d parameter, of shape (outputs, size), where there is one row.

        For several rows, what each adds to the gradient, of shape (rows, size). None where that
        is too much.
        """
        if attribute not in self._known:
            place = self._place
            rows = len(place.output)
            passes = rows if rows > 1 else prod(place.output.shape[1:])
            size = place.gradients[attribute].size
            affordable = passes <= _MOST_PASSES and passes * size <= _MOST_CELLS
            made = self.by_row if rows > 1 else self._by_unit
            self._known[attribute] = made(attribute).reshape(passes, size) if affordable else None
        return self._known[attribute]

    def by_row(self, attribute: str) -> Array:
        """Return what each row's delta adds to a parameter's gradient, of shape (rows, ...)."""
        place = self._place
        assert place.delta is not None
        made = np.empty((len(place.output), *place.gradients[attribute].shape), place.delta.dtype)
        for row in range(len(made)):
            delta = np.zeros_like(place.output)
            delta[row] = place.delta[row]
            made[row] = self._back(delta)[1][attribute]
        return made

    def _by_unit(self, attribute: str) -> Array:
        units = self._place.output.shape[1:]
        gradient = self._place.gradients[attribute]
        made = np.empty((prod(units), *gradient.shape), gradient.dtype)
        for item in range(len(made)):
            delta = np.zeros_like(self._place.output)
            delta[0] = _one(item, units)
            made[item] = self._back(delta)[1][attribute]
        return made

    def _of_row(self, row: int) -> Array | None:
        place, reached = self._place, self.rows_reached(row)
        outputs, inputs = prod(place.output.shape[1:]), prod(place.input.shape[1:])
        passes = len(reached) * outputs
        if passes > _MOST_PASSES or passes * inputs > _MOST_CELLS:
            return None
        assert place.delta is not None
        assert place.input_delta is not None
        cells = np.empty((passes, inputs), place.input_delta.dtype)
        for item in range(passes):
            delta = np.zeros_like(place.output)
            delta[reached[item // outputs]] = _one(item % outputs, delta.shape[1:])
            cells[item] = self._back(delta)[0][row].ravel()
        with np.errstate(all="ignore"):
            terms = place.delta[reached.start : reached.stop].reshape(-1, 1) * cells
            missed = np.abs(terms.sum(axis=0) - place.input_delta[row].ravel()).max()
            scale = np.abs(terms).sum(axis=0).max()
        # Only rounding may part them: a layer that normalises takes near-equal numbers apart.
        return cells if bool(missed <= np.finfo(cells.dtype).eps ** 0.5 * scale) else None

    def _back(self, delta: Array) -> tuple[Array, dict[str, Array]]:
        layer = self._place.layer
        with np.errstate(all="ignore"):
            input_delta: Array = type(layer).backward(layer, delta)
        return input_delta, {name: p.grad.copy() for name, p in layer.own_parameters()}


def _one(place: int, shape: Shape) -> Array:
    """Return zeros with a one at a flat index."""
    made = np.zeros(shape)
    made.flat[place] = 1
    return made
