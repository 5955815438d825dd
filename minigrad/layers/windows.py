"""Windows: where a kernel lies on its input, which convolution and pooling share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from math import prod
from typing import Any, TypeAlias

import numpy as np

from minigrad.core.layer import Layer, features
from minigrad.data.arrays import Array, Shape
from minigrad.util.options import check_ints

Size: TypeAlias = "int | Sequence[int]"
"""One number for all axes, or one for each."""
Padding: TypeAlias = "str | int | Sequence[int]"

_BLOCK_SIZE = 2**17
"""The most numbers in a block of columns: it stays in the cache while it is used."""


class Windows:
    """The windows of an input: one for each place to which strides move the kernel.

    Along an axis, the numbers under a kernel are `dilation` apart, and their reach is

        reach = (kernel - 1) dilation + 1
        windows = (length + padding - reach) // stride + 1    (rounded down)

    Methods take arrays of shape (batch, *lengths, channels). They work on the transposed array,
    (channels, *reversed lengths, batch), where slices are long and contiguous runs: a row's numbers
    are `batch` apart. What they return is the transpose of such an array, in Fortran order.

    Args:
        label: the layer, for messages.
        lengths: of the input's axes without batch and channels; None if it isn't known.
        kernel, strides, dilation: an int for all axes, or one for each.
        padding: "valid" for none; "same" for the number of windows that strides of 1 would make
            equal to the length, the larger part at the end, as Keras; "causal" for all of it at the
            start; an int for so many zeros at both ends, as PyTorch, or one for each axis.

    Attributes:
        kernel, lengths: as above, one for each axis.
        outputs: the number of windows along each axis; None if it isn't known.
    """

    def __init__(
        self,
        label: str,
        lengths: Shape,
        kernel: Size,
        *,
        strides: Size = 1,
        dilation: Size = 1,
        padding: Padding = "valid",
    ) -> None:
        axes = len(lengths)
        self.lengths = lengths
        self.kernel, self.strides, self.dilation = (
            per_axis(size, axes) for size in (kernel, strides, dilation)
        )
        self.reach = tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))
        amounts = [padding] * axes if isinstance(padding, str) else per_axis(padding, axes)
        self.pads = tuple(map(_pads, lengths, self.reach, self.strides, amounts))
        self.padded: Shape = tuple(
            None if n is None else n + sum(pads) for n, pads in zip(lengths, self.pads, strict=True)
        )
        self.outputs: Shape = tuple(
            None if n is None else (n - r) // s + 1
            for n, r, s in zip(self.padded, self.reach, self.strides, strict=True)
        )
        if any(n is not None and n < 1 for n in self.outputs):
            raise ValueError(
                f"{label} expects a padded input of at least {self.reach}, which is the reach of "
                f"its kernel, got {self.padded}: use a smaller kernel or more padding"
            )

    def pad(self, x: Array, fill: float = 0.0) -> Array:
        """Return the transposed input with its padding; a view of x if it has none."""
        inner = transposed(x)
        if not any(map(any, self.pads)):
            return inner
        shape = inner.shape[0], *self.padded[::-1], inner.shape[-1]
        padded = np.full(shape, fill, x.dtype)
        padded[self._inside] = inner
        return padded

    def crop(self, padded: Array) -> Array:
        """Return what `pad` was given."""
        if any(map(any, self.pads)):
            padded = np.ascontiguousarray(padded[self._inside])
        return padded.T

    def zeros(self, outputs: Array, channels: int | None = None) -> Array:
        """Return zeros for the padded input of transposed outputs; by default as many channels."""
        channels = channels or len(outputs)
        return np.zeros((channels, *self.padded[::-1], outputs.shape[-1]), outputs.dtype)

    @property
    def _inside(self) -> tuple[slice, ...]:
        """The place of the input in its padding."""
        ends = zip(self.pads, self.lengths, strict=True)
        return _reversed(slice(first, first + n) for (first, _), n in ends)

    def views(self, padded: Array) -> list[Array]:
        """Return, for each number of the kernel, a view of what lies under it in all windows."""
        offsets = [range(0, r, d) for r, d in zip(self.reach, self.dilation, strict=True)]
        return [
            padded[
                _reversed(
                    slice(first, first + (n - 1) * s + 1, s)
                    for first, n, s in zip(place, self.outputs, self.strides, strict=True)
                )
            ]
            for place in product(*offsets)
        ]

    def count(self) -> Array:
        """Return how many numbers of each window aren't padding, transposed."""
        return sum(self.views(self.pad(np.ones((1, *self.lengths, 1)))), np.zeros(()))

    def correlate(self, x: Array, weight: Array) -> Array:
        """Return z, the products of all windows with a weight of shape (kernel channels, units).

        A block of windows is copied to the columns of a matrix ("im2col"), so that the sum over the
        kernel and the channels is one matrix product.
        """
        z = np.empty((weight.shape[1], *self.outputs[::-1], len(x)), x.dtype)
        for block, columns in self._columns(x):
            part = z[:, block]
            part[...] = np.dot(weight.T, columns).reshape(part.shape)
        return z.T

    def weight_gradient(self, x: Array, delta: Array) -> Array:
        """Return dJ/dweight for delta = dJ/dz of `correlate`."""
        delta = transposed(delta)
        gradient: Any = 0
        for block, columns in self._columns(x):
            gradient += np.dot(columns, delta[:, block].reshape(len(delta), -1).T)
        return np.asarray(gradient)

    def spread(self, delta: Array, weight: Array) -> Array:
        """Return dJ/dx for delta = dJ/dz of `correlate`: each window's delta goes to its inputs."""
        delta = transposed(delta)
        channels = len(weight) // prod(self.kernel)
        padded = self.zeros(delta, channels)
        views = self.views(padded)
        for block in self._blocks(views):
            part = delta[:, block]
            columns = np.dot(weight, part.reshape(len(part), -1))
            parts = columns.reshape(len(views), channels, *part.shape[1:])
            for view, add in zip(views, parts, strict=True):
                view[:, block] += add
        return self.crop(padded)

    def _columns(self, x: Array) -> Iterator[tuple[slice, Array]]:
        """Yield blocks of windows, and a matrix with one window in each column."""
        views = self.views(self.pad(x))
        for block in self._blocks(views):
            columns = np.concatenate([view[:, block] for view in views])
            yield block, columns.reshape(len(columns), -1)

    def _blocks(self, views: list[Array]) -> Iterator[slice]:
        """Cut the windows along the last axis."""
        count = views[0].shape[1]
        step = max(1, _BLOCK_SIZE * count // (len(views) * views[0].size))
        for first in range(0, count, step):
            yield slice(first, min(first + step, count))


def _reversed(slices: Iterable[slice]) -> tuple[slice, ...]:
    """Return the index into a transposed array."""
    return (slice(None), *[*slices][::-1])


def transposed(x: Array) -> Array:
    """Return a batch with its axes reversed, contiguous; a view where x is in Fortran order."""
    return np.asarray(x, order="F").T


def per_axis(size: Size, axes: int) -> tuple[int, ...]:
    """Return one number for each axis."""
    return (size,) * axes if isinstance(size, int) else tuple(size)


def _pads(length: int | None, reach: int, stride: int, padding: Any) -> tuple[int, int]:
    """Return the padding of one axis, before and after."""
    if padding == "valid":
        return 0, 0
    if padding == "causal":
        return reach - 1, 0
    if padding == "same":
        if length is None:
            return 0, reach - 1
        total = max((-(-length // stride) - 1) * stride + reach - length, 0)
        return total // 2, total - total // 2
    return padding, padding


def check_padding(padding: Padding, owner: Layer, *, axes: int, named: Sequence[str]) -> Padding:
    """Return one of the named paddings, an int, or a tuple of ints."""
    if isinstance(padding, str) and padding not in named:
        names = ", ".join(map(repr, named))
        raise ValueError(
            f"{type(owner).__name__} expects padding {names}, an int or {axes} ints, got "
            f"{padding!r}"
        )
    if isinstance(padding, str):
        return padding
    return check_ints(padding, "padding", owner, count=axes, least=0)


def check_axes(layer: Layer, input_shape: Shape, axes: int) -> tuple[Shape, int]:
    """Return the lengths and the channels of rows with this number of axes before the channels."""
    if len(input_shape) != axes + 1:
        expected = "steps" if axes == 1 else "height, width"
        raise ValueError(
            f"{layer.label} expects input of shape (batch, {expected}, channels), got rows of "
            f"shape {input_shape}: put Reshape(...) before this layer"
        )
    return input_shape[:-1], features(layer, input_shape)
