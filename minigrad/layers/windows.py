"""Windows: where a kernel lies on its input, which convolution and pooling share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import product
from math import ceil, prod
from typing import Any, TypeAlias

import numpy as np

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape, features
from minigrad.util.options import check_ints

Size: TypeAlias = "int | Sequence[int]"
"""One number for all axes, or one for each."""
Padding: TypeAlias = "str | int | Sequence[int]"

_BLOCK_SIZE = 2**17
"""How many numbers a block of columns may hold, so that it stays in the cache while it is used."""


class Windows:
    """The windows of an input: one for each place to which the strides move the kernel.

    Along an axis, neighboring numbers of a window are `dilation` apart:

        reach = (kernel - 1) dilation + 1
        outputs = (length + padding - reach) // stride + 1

    Arrays have the shape (batch, *lengths, channels). Computations run on the transposed array,
    (channels, *reversed lengths, batch), in which slices are long contiguous runs. Results are in
    Fortran order, so that the next layer transposes them for free.

    Args:
        label: the layer, for messages.
        lengths: of the input's axes without batch and channels; None if unknown.
        kernel, strides, dilation: an int for all axes, or one for each.
        padding: "valid" for none; "same" for what keeps the length at a stride of 1, the larger
            half at the end; "causal" for the same, all of it at the start; an int for both ends.

    Attributes:
        lengths: as above.
        outputs: the number of windows along each axis; None if unknown.
        pads: the padding of each axis, before and after.
        overlap: whether an input may lie in several windows.
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
        self._strides = per_axis(strides, axes)
        sizes = zip(per_axis(kernel, axes), per_axis(dilation, axes), strict=True)
        self._offsets = [range(0, k * d, d) for k, d in sizes]
        reach = tuple(offsets[-1] + 1 for offsets in self._offsets)
        self.overlap = any(r > s for r, s in zip(reach, self._strides, strict=True))
        paddings = [padding] * axes if isinstance(padding, str) else per_axis(padding, axes)
        self.pads = tuple(map(_pads, lengths, reach, self._strides, paddings))
        self._padded: Shape = tuple(
            None if n is None else n + sum(pads) for n, pads in zip(lengths, self.pads, strict=True)
        )
        self.outputs: Shape = tuple(
            None if n is None else (n - r) // s + 1
            for n, r, s in zip(self._padded, reach, self._strides, strict=True)
        )
        if any(n is not None and n < 1 for n in self.outputs):
            raise ValueError(
                f"{label} expects a padded input of at least {reach}, which its kernel covers, got "
                f"{self._padded}: use a smaller kernel or more padding"
            )

    def pad(self, x: Array, fill: float = 0.0) -> Array:
        """Return the transposed input with its padding; a view of x where it needs no copy."""
        inner = transposed(x)
        if not any(map(any, self.pads)):
            return inner
        padded = self._full(len(inner), len(x), fill, x.dtype)
        padded[self._inside] = inner
        return padded

    def crop(self, padded: Array) -> Array:
        """Return what `pad` was given; the argument must be new memory."""
        if any(map(any, self.pads)):
            padded = np.ascontiguousarray(padded[self._inside])
        return padded.T

    def _full(self, channels: int, rows: int, fill: float, dtype: np.dtype[Any]) -> Array:
        """Return a transposed padded input that holds one number everywhere."""
        return np.full((channels, *self._padded[::-1], rows), fill, dtype)

    @property
    def _inside(self) -> tuple[slice, ...]:
        """The index of the input in its padding, transposed."""
        ends = zip(self.pads, self.lengths, strict=True)
        return _reversed(slice(first, first + n) for (first, _), n in ends)

    def views(self, padded: Array) -> list[Array]:
        """Return a view for each place in the kernel: what lies there in all windows."""
        return [padded[place] for place in self._places]

    @cached_property
    def _places(self) -> list[tuple[slice, ...]]:
        """The index of each view in a transposed padded input."""
        return [
            _reversed(
                slice(first, first + (n - 1) * s + 1, s)
                for first, n, s in zip(place, self.outputs, self._strides, strict=True)
            )
            for place in product(*self._offsets)
        ]

    def total(self, x: Array) -> Array:
        """Return the sum of each window, channel by channel."""
        first, *others = self.views(self.pad(x))
        h: Array = first.copy()
        for view in others:
            h += view
        return h.T

    def repeat(self, h: Array) -> Array:
        """Return an input that has h at every place of its window; the adjoint of `total`.

        Where windows overlap, their numbers are added.
        """
        h = transposed(h)
        padded = self._full(len(h), h.shape[-1], 0, h.dtype)
        for view in self.views(padded):
            view += h
        return self.crop(padded)

    def correlate(self, x: Array, weight: Array) -> Array:
        """Return z, each window times a weight of shape (kernel channels, filters).

        Windows are copied to the columns of a matrix ("im2col"), so that the sums over kernel and
        channels are one matrix product.
        """
        rows = np.ascontiguousarray(weight.T)  # BLAS is faster than with a transposed factor
        z = np.empty((len(rows), *self.outputs[::-1], len(x)), np.result_type(x, weight))
        for block, columns in self._columns(x):
            part = z[:, block]
            part[...] = np.dot(rows, columns).reshape(part.shape)
        return z.T

    def weight_gradient(self, x: Array, delta: Array) -> Array:
        """Return dJ/dweight for delta = dJ/dz of `correlate`."""
        delta = transposed(delta)
        gradient: Any = 0
        for block, columns in self._columns(x):
            gradient += np.dot(columns, delta[:, block].reshape(len(delta), -1).T)
        return np.asarray(gradient)

    def spread(self, delta: Array, weight: Array) -> Array:
        """Return dJ/dx for delta = dJ/dz of `correlate`: a window's delta goes to its inputs."""
        delta = transposed(delta)
        channels = len(weight) // prod(map(len, self._offsets))
        padded = self._full(channels, delta.shape[-1], 0, np.result_type(delta, weight))
        views = self.views(padded)
        for block in _blocks(views):
            part = delta[:, block]
            columns = np.dot(weight, part.reshape(len(part), -1))
            parts = columns.reshape(len(views), channels, *part.shape[1:])
            for view, added in zip(views, parts, strict=True):
                view[:, block] += added
        return self.crop(padded)

    def _columns(self, x: Array) -> Iterator[tuple[slice, Array]]:
        """Yield blocks of windows, each with a matrix that has a window in each column."""
        views = self.views(self.pad(x))
        for block in _blocks(views):
            columns = np.concatenate([view[:, block] for view in views])
            yield block, columns.reshape(len(columns), -1)


make_windows = lru_cache(256)(Windows)
"""Returns `Windows`, the same ones for the same arguments: each batch asks for them."""


def _blocks(views: list[Array]) -> Iterator[slice]:
    """Cut the windows along axis 1 into blocks whose columns fit into the cache."""
    count = views[0].shape[1]
    step = max(1, _BLOCK_SIZE * count // (len(views) * views[0].size))
    for first in range(0, count, step):
        yield slice(first, min(first + step, count))


def _reversed(slices: Iterable[slice]) -> tuple[slice, ...]:
    """Return the index of a transposed array, without its first and last axis."""
    return (slice(None), *[*slices][::-1])


def transposed(x: Array) -> Array:
    """Return a batch with its axes reversed, contiguous; a view where x is in Fortran order."""
    return np.asarray(x, order="F").T


def per_axis(size: Size, axes: int) -> tuple[int, ...]:
    """Return one number for each axis."""
    return (size,) * axes if isinstance(size, int) else tuple(size)


def _pads(length: int | None, reach: int, stride: int, padding: str | int) -> tuple[int, int]:
    """Return the padding of one axis, before and after."""
    if isinstance(padding, int):
        return padding, padding
    if padding == "causal":
        return reach - 1, 0
    if padding == "valid" or length is None:
        return 0, 0
    total = max((ceil(length / stride) - 1) * stride + reach - length, 0)
    return total // 2, total - total // 2


def check_padding(padding: Padding, owner: Layer, *, axes: int, named: Sequence[str]) -> Padding:
    """Return one of the named paddings, an int, or a tuple of ints."""
    if not isinstance(padding, str):
        return check_ints(padding, "padding", owner, count=axes, least=0)
    if padding not in named:
        names = ", ".join(map(repr, named))
        raise ValueError(
            f"{type(owner).__name__} expects padding {names}, an int or {axes} ints, got "
            f"{padding!r}"
        )
    return padding


def check_axes(layer: Layer, input_shape: Shape, axes: int) -> tuple[Shape, int]:
    """Return the lengths and the channels of rows with this number of axes before the channels."""
    if len(input_shape) != axes + 1:
        expected = "steps" if axes == 1 else "height, width"
        raise ValueError(
            f"{layer.label} expects input of shape (batch, {expected}, channels), got rows of "
            f"shape {input_shape}: put Reshape(...) before this layer"
        )
    return input_shape[:-1], features(input_shape, layer.label)
