"""How the numbers of `Dense` and of convolutions are computed: sums of products with a weight."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Array
from minigrad.explain.places import Place
from minigrad.explain.steps import Limit, Operand, Rule, Sum, at, factor, sum_of_products
from minigrad.layers import Conv2DTranspose
from minigrad.layers.convolution import Convolution
from minigrad.layers.windows import Windows, per_axis

_WIDEST = 5  # rows and columns of a window that are shown
_BESIDE = 3  # columns of a window that fit beside those of the kernel


def under_kernel(windows: Windows) -> NDArray[np.intp]:
    """Return the input position under each place of the kernel in each window; -1 is padding."""
    numbered = np.arange(1.0, prod(windows.lengths) + 1).reshape(1, *windows.lengths, 1)
    under = np.stack(
        [windows.restored(view).ravel() for view in windows.views(windows.pad(numbered))]
    )
    return under.astype(np.intp) - 1


class Products:
    """z = b + Σ x w: the `rules` of z, and of dJ/d of the weight, the bias and the input.

    Each product joins a position of the input, `taken`, one of the output, `made`, and a place in
    the kernel, `tap`. A `Dense` keeps all positions apart, and its kernel has one place.
    """

    def __init__(self, place: Place) -> None:
        self.place, layer = place, place.layer
        self.w, self.bias = place.parameters["weight"], place.parameters.get("bias")
        self.channels, self.units = place.x.shape[-1], place.h.shape[-1]
        self.weight: Array = self.w.source.value
        # Flat indices: of the input and the output by position, and of the weight by its place in
        # the kernel, the channel and the unit.
        self.of_x, self.of_z = _numbered(place.input[0], 1), _numbered(place.output[0], 1)
        self.of_weight = _numbered(self.weight, 2)
        self.taken = self.made = np.arange(len(self.of_x))
        self.tap = np.zeros_like(self.taken)
        near = "tuvw"[: len(place.x.shape) - 1]
        if not isinstance(layer, Convolution):
            self._write(near, near, near)
            return
        under = under_kernel(layer.cache[0])
        self.tap, self.made = np.nonzero(under >= 0)
        self.taken = under[self.tap, self.made]
        near, far, taps = ("t", "s", "i") if layer.axes == 1 else ("uv", "mn", "ij")
        steps = (per_axis(n, layer.axes) for n in (layer.strides, layer.dilation_rate))
        moved = [
            f"{s if s > 1 else ''}{u}+{d if d > 1 else ''}{i}" + (f"-{first}" if first else "")
            for u, i, s, d, (first, _) in zip(near, taps, *steps, layer.cache[0].pads, strict=True)
        ]
        if isinstance(layer, Conv2DTranspose):
            self.of_weight = self.of_weight.swapaxes(1, 2)
            self.made, self.taken = self.taken, self.made
        self._write(near, far, moved, taps)

    def _write(self, near: str, far: str, moved: Sequence[str], taps: str = "") -> None:
        """Write the rules with the letters of positions on the side that moves less, and more.

        `moved` has the positions on the far side as terms of `near` and of `taps`, those in the
        kernel. A transposed convolution moves over its output, others over their input.
        """
        turned, c, comma = isinstance(self.place.layer, Conv2DTranspose), "c" if taps else "j", ""
        x_left, x, z_left, z = (near, near, far, moved) if turned else (far, moved, near, near)
        w, back = ([*taps, "k", c] if turned else [*taps, c, "k"]), [*taps, "k"]
        where = "".join(f", {m} = {under}" for m, under in zip(far, moved, strict=True))
        if not taps:
            where, comma = "", ","
        elif not turned:
            back = [*near, *back]
        x_where, z_where = ("", where) if turned else (where, "")

        def sums(over: Sequence[str]) -> str:
            return f"Σ_{comma.join(over)} " if over else ""

        def one(name: str, *index: str) -> str:
            return f"{name}[{','.join(index)}]"

        x_name, delta, weight = self.place.x.name, self.place.h.delta, one(self.w.name, *w)
        inputs, deltas = one(x_name, *x, c), one(delta, *z, "k")
        b = f"{self.bias.name}[k] + " if self.bias else ""
        made, taken = ",".join([*z_left, "k"]), ",".join([*x_left, c])
        note = self._note if taps else None
        self.rules = {
            "z": Rule(f"{b}{sums([*taps, c])}{inputs} {weight}{z_where}", self._z, made, note),
            "weight": Rule(f"{sums(near)}{deltas} {inputs}", self._weight, ",".join(w)),
            "bias": Rule(f"{sums(z_left)}{delta}[{made}]", self._bias),
            "input": Rule(f"{sums(back)}{deltas} {weight}{x_where}", self._input, taken),
        }

    def _z(self, row: int, index: int, _: Limit) -> Sum:
        position, unit = divmod(index, self.units)
        uses, bias = np.flatnonzero(self.made == position), self.bias
        return sum_of_products(
            Operand(self.place.x.name, self.place.input[row], self.of_x[self.taken[uses]].ravel()),
            Operand(self.w.name, self.weight, self.of_weight[self.tap[uses], :, unit].ravel()),
            first=(factor(bias.name, bias.source.value, unit),) if bias else (),
        )

    def _weight(self, _: int, index: int, __: Limit) -> Sum:
        ((tap, channel, unit),) = np.argwhere(self.of_weight == index)
        uses = np.flatnonzero(self.tap == tap)
        return sum_of_products(
            _over_rows(self.place.h.delta, self.place.deltas[0], self.of_z[self.made[uses], unit]),
            _over_rows(self.place.x.name, self.place.input, self.of_x[self.taken[uses], channel]),
        )

    def _bias(self, _: int, unit: int, __: Limit) -> Sum:
        delta, name = self.place.deltas[0], self.place.h.delta
        return sum_of_products(_over_rows(name, delta, self.of_z[:, unit]))

    def _input(self, row: int, index: int, _: Limit) -> Sum:
        position, channel = divmod(index, self.channels)
        uses, delta = np.flatnonzero(self.taken == position), self.place.deltas[0][row]
        return sum_of_products(
            Operand(self.place.h.delta, delta, self.of_z[self.made[uses]].ravel()),
            Operand(self.w.name, self.weight, self.of_weight[self.tap[uses], channel].ravel()),
        )

    def _note(self, row: int, index: int) -> list[str]:
        """Return the window and the kernel of one number of a convolution."""
        position, unit = divmod(index, self.units)
        uses, kernel = np.flatnonzero(self.made == position), self.w.source.shape[:-2]
        x = self.place.input[row].reshape(-1, self.channels)[self.taken[uses]]
        window = np.zeros((prod(kernel), self.channels))
        window[self.tap[uses]] = x
        weight = self.weight.ravel()[self.of_weight[:, :, unit]]
        channel = int(np.argmax(np.abs(window * weight).sum(axis=0)))
        name = at(self.place.h.name, self.place.h.shape, index)
        head = f"{name}: channel {channel} of its window of {self.place.x.name}, and the kernel"
        left, right = (
            ["".join(f"{v:>9.3g}" for v in numbers[:_WIDEST]) for numbers in table[:_WIDEST]]
            for table in (n[:, channel].reshape(-1, kernel[-1]) for n in (window, weight))
        )
        if kernel[-1] > _BESIDE:
            return [head, *left, "  and", *right]
        return [head, *map("   |".join, zip(left, right, strict=True))]


def _numbered(array: Array, last: int) -> NDArray[np.intp]:
    """Return the flat indices of an array, in one axis and its last ones."""
    return np.arange(array.size).reshape(-1, *array.shape[-last:])


def _over_rows(name: str, values: Array, places: NDArray[np.intp]) -> Operand:
    """Return the operand of these numbers of all rows; of one row, without its number."""
    if len(values) == 1:
        return Operand(name, values[0], places)
    starts = np.arange(len(values))[:, np.newaxis] * values[0].size
    return Operand(name, values, (starts + places).ravel(), of_rows=True)
