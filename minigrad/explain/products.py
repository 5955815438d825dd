"""How the numbers of `Dense` and of convolutions are computed: sums of products with a weight."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Array
from minigrad.explain.places import Place
from minigrad.explain.steps import Factor, Limit, Sum, at, factor
from minigrad.layers import Conv2DTranspose
from minigrad.layers.convolution import Convolution
from minigrad.layers.windows import Windows, per_axis

Names: TypeAlias = Sequence[str]
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
    """z = b + Σ x w: what is multiplied for each number, and the equations for any unit.

    Each product joins a position of the input, `taken`, one of the output, `made`, and a place in
    the kernel, `tap`. A `Dense` keeps all positions apart, and its kernel has one place.

    Attributes:
        equations: the right sides of z, and of dJ/d of the weight, the bias and the input.
        indices: those of z, the weight and the input on the left sides.
    """

    def __init__(self, place: Place) -> None:
        self.place, layer = place, place.layer
        self.w, self.bias = place.parameters["weight"], place.parameters.get("bias")
        self.channels, self.units = place.x.shape[-1], place.h.shape[-1]
        self.turned = isinstance(layer, Conv2DTranspose)
        weight: Array = self.w.source.value
        self.weight = weight.reshape(-1, *weight.shape[-2:])
        self.weight = self.weight.swapaxes(1, 2) if self.turned else self.weight
        if isinstance(layer, Convolution):
            self._slide(layer, layer.cache[0])
            return
        self.taken = self.made = np.arange(prod(place.x.shape[:-1]))
        self.tap = np.zeros_like(self.taken)
        near = list("tuvw"[: len(place.x.shape) - 1])
        self._write("j", near, near, near, near, "j,k", ",".join(near), "k")

    def _slide(self, layer: Convolution, windows: Windows) -> None:
        """Find the products of a convolution: what lies under the kernel at each place of it."""
        under = under_kernel(windows)
        self.tap, self.made = np.nonzero(under >= 0)
        self.taken = under[self.tap, self.made]
        near, far, taps = ("t", "s", "i") if layer.axes == 1 else ("uv", "mn", "ij")
        steps = (per_axis(n, layer.axes) for n in (layer.strides, layer.dilation_rate))
        moved = [
            f"{s if s > 1 else ''}{u}+{d if d > 1 else ''}{i}" + (f"-{first}" if first else "")
            for u, i, s, d, (first, _) in zip(near, taps, *steps, windows.pads, strict=True)
        ]
        where = "".join(f", {m} = {under}" for m, under in zip(far, moved, strict=True))
        if self.turned:
            self.made, self.taken = self.taken, self.made
            self._write("c", near, near, far, moved, ",".join([*taps, "k", "c"]), far, f"{taps}k")
            self.equations["z"] += where
        else:
            index = ",".join([*taps, "c", "k"])
            self._write("c", moved, far, near, near, index, near, f"{near}{taps}k")
            self.equations["input"] += where

    def _write(
        self,
        c: str,
        taken: Names,
        taken_left: Names,
        made_left: Names,
        made: Names,
        weight: str,
        over: str,
        back: str,
    ) -> None:
        """Write the equations from the positions on both sides, and what the sums run over."""
        x, delta, z = self.place.x.name, self.place.h.delta, ",".join([*made_left, "k"])
        inputs, deltas = f"{x}[{','.join([*taken, c])}]", f"{delta}[{','.join([*made, 'k'])}]"
        w, sums = f"{self.w.name}[{weight}]", f"Σ_{over} " if over else ""
        taps = weight.replace(",", "").replace("k", "")
        self.indices = {"z": z, "weight": weight, "input": ",".join([*taken_left, c])}
        self.equations = {
            "z": (f"{self.bias.name}[k] + " if self.bias else "") + f"Σ_{taps} {inputs} {w}",
            "weight": f"{sums}{deltas} {inputs}",
            "bias": f"{sums}{delta}[{z}]",
            "input": f"Σ_{back} {deltas} {w}",
        }

    def _weight_factor(self, tap: int, channel: int, unit: int) -> Factor:
        last = (unit, channel) if self.turned else (channel, unit)
        size = self.units * self.channels
        index = tap * size + last[0] * self.w.source.shape[-1] + last[1]
        return factor(self.w.name, self.w.source.value, index)

    def output(self, row: int, index: int, _: Limit) -> Sum:
        position, unit = divmod(index, self.units)
        uses, x = np.flatnonzero(self.made == position), self.place.input[row]
        taken, tap = self.taken[uses], self.tap[uses]
        products = x.reshape(-1, self.channels)[taken] * self.weight[tap, :, unit]

        def factors(i: int) -> tuple[Factor, ...]:
            use, channel = divmod(i, self.channels)
            one = factor(self.place.x.name, x, taken[use] * self.channels + channel)
            return one, self._weight_factor(tap[use], channel, unit)

        bias = self.bias
        first = (factor(bias.name, bias.source.value, unit),) if bias else ()
        return Sum(products.ravel(), factors, first=first)

    def for_weight(self, _: int, index: int, __: Limit) -> Sum:
        tap, index = divmod(index, self.channels * self.units)
        channel, unit = divmod(index, self.units)
        if self.turned:
            unit, channel = divmod(index, self.channels)
        uses = np.flatnonzero(self.tap == tap)
        x, delta = self.place.input, self.place.deltas[0]
        taken, made = (
            self.taken[uses] * self.channels + channel,
            self.made[uses] * self.units + unit,
        )
        several = len(x) > 1

        def factors(i: int) -> tuple[Factor, ...]:
            row, use = divmod(i, len(uses))
            shown = row if several else None
            back = factor(self.place.h.delta, delta[row], made[use], shown)
            return back, factor(self.place.x.name, x[row], taken[use], shown)

        products = delta.reshape(len(x), -1)[:, made] * x.reshape(len(x), -1)[:, taken]
        return Sum(products.ravel(), factors)

    def for_bias(self, _: int, unit: int, __: Limit) -> Sum:
        delta = self.place.deltas[0]
        columns, name = delta.reshape(len(delta), -1, self.units)[:, :, unit], self.place.h.delta

        def factors(i: int) -> tuple[Factor, ...]:
            row, position = divmod(i, columns.shape[1])
            shown = row if len(delta) > 1 else None
            return (factor(name, delta[row], position * self.units + unit, shown),)

        return Sum(columns.ravel(), factors)

    def for_input(self, row: int, index: int, _: Limit) -> Sum:
        position, channel = divmod(index, self.channels)
        uses, delta = np.flatnonzero(self.taken == position), self.place.deltas[0][row]
        made, tap = self.made[uses], self.tap[uses]

        def factors(i: int) -> tuple[Factor, ...]:
            use, unit = divmod(i, self.units)
            one = factor(self.place.h.delta, delta, made[use] * self.units + unit)
            return one, self._weight_factor(tap[use], channel, unit)

        products = delta.reshape(-1, self.units)[made] * self.weight[tap, channel]
        return Sum(products.ravel(), factors)

    def note(self, row: int, index: int) -> list[str]:
        """Return the window and the kernel of one number of a convolution."""
        position, unit = divmod(index, self.units)
        uses, kernel = np.flatnonzero(self.made == position), self.w.source.shape[:-2]
        x = self.place.input[row].reshape(-1, self.channels)[self.taken[uses]]
        window = np.zeros((prod(kernel), self.channels))
        window[self.tap[uses]] = x
        weight = self.weight[:, :, unit]
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
