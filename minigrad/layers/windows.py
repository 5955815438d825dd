"""Windows: where a kernel lies on its input, which convolution and pooling share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from math import ceil, prod
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape, features
from minigrad.util.options import check_ints

Size: TypeAlias = "int | Sequence[int]"
"""One number for all axes, or one for each."""
Padding: TypeAlias = "str | int | Sequence[int]"

_BLOCK_SIZE = 2**19
"""How many numbers of windows may be copied at a time, so that they stay in the cache."""


class Windows:
    """The windows of an input: one for each place to which the strides move the kernel.

    Along an axis, neighboring numbers of a window are `dilation` apart:

        reach = (kernel - 1) dilation + 1
        outputs = (length + padding - reach) // stride + 1

    Arrays have the shape (batch, height, width, channels), or (batch, steps, channels), where steps
    are the height and the width is 1. Computations run on the array with its axes in the order
    (width, channels, height, batch), in which slices are long contiguous runs, and the columns
    under a kernel are one matrix. Results lie in memory in this order, so that the next layer
    transposes them for free.

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
        one = (1,) * (2 - axes)
        self.lengths = lengths
        self._kernel = (*per_axis(kernel, axes), *one)
        self._strides = (*per_axis(strides, axes), *one)
        self._dilation = (*per_axis(dilation, axes), *one)
        sizes = zip(self._kernel, self._dilation, strict=True)
        self._reach = tuple((k - 1) * d + 1 for k, d in sizes)
        self.overlap = any(r > s for r, s in zip(self._reach, self._strides, strict=True))
        self._lengths: tuple[Any, ...] = (*lengths, *one)
        paddings = [padding] * 2 if isinstance(padding, str) else [*per_axis(padding, axes), 0]
        self._pads = tuple(map(_pads, self._lengths, self._reach, self._strides, paddings))
        self._padded: tuple[Any, ...] = tuple(
            None if n is None else n + sum(pads)
            for n, pads in zip(self._lengths, self._pads, strict=True)
        )
        self._outputs: tuple[Any, ...] = tuple(
            None if n is None else (n - r) // s + 1
            for n, r, s in zip(self._padded, self._reach, self._strides, strict=True)
        )
        self.pads, self.outputs = self._pads[:axes], self._outputs[:axes]
        if any(n is not None and n < 1 for n in self.outputs):
            raise ValueError(
                f"{label} expects a padded input of at least {self._reach[:axes]}, which its "
                f"kernel covers, got {self._padded[:axes]}: use a smaller kernel or more padding"
            )

    def transposed(self, x: Array) -> Array:
        """Return an input or an output in the order of computation; a view where it lies so."""
        image = x if x.ndim == 4 else x[:, :, np.newaxis]
        return np.ascontiguousarray(image.transpose(2, 3, 1, 0))

    def restored(self, h: Array) -> Array:
        """Return the array of which h is the transposed one."""
        return h.transpose(3, 2, 0, 1) if len(self.lengths) == 2 else h[0].T

    def pad(self, x: Array, fill: float = 0.0) -> Array:
        """Return the transposed input with its padding; a view of x where it needs no copy."""
        inner = self.transposed(x)
        return pad(inner, self._transposed_pads, fill) if any(map(any, self.pads)) else inner

    def crop(self, padded: Array) -> Array:
        """Return the part of a padded input that `pad` was given, as a view."""
        return self.restored(crop(padded, self._transposed_pads))

    @property
    def _transposed_pads(self) -> list[tuple[int, int]]:
        """The padding of (width, channels, height, batch)."""
        height, width = self._pads
        return [width, (0, 0), height, (0, 0)]

    def views(self, padded: Array) -> list[Array]:
        """Return a view for each place in the kernel: what lies there in all windows."""
        return [view for rows in self.heights(padded) for view in self.widths(rows)]

    def heights(self, padded: Array) -> list[Array]:
        """Return a view for each height of the kernel: the rows that lie there."""
        return [padded[:, :, place] for place in self._places[0]]

    def widths(self, padded: Array) -> list[Array]:
        """Return a view for each width of the kernel: the columns that lie there."""
        return [padded[place] for place in self._places[1]]

    @cached_property
    def _places(self) -> list[list[slice]]:
        """The indices of a padded input's heights, and of its widths, for each in the kernel."""
        sizes = zip(self._kernel, self._dilation, self._outputs, self._strides, strict=True)
        return [
            [slice(i * d, i * d + (n - 1) * s + 1, s) for i in range(k)] for k, d, n, s in sizes
        ]

    def total(self, x: Array) -> Array:
        """Return the sum of each window, channel by channel."""
        first, *others = self.views(self.pad(x))
        h: Array = first.copy()
        for view in others:
            h += view
        return self.restored(h)

    def repeat(self, h: Array) -> Array:
        """Return an input that has h at every place of its window; the adjoint of `total`.

        Where windows overlap, their numbers are added.
        """
        h = self.transposed(h)
        height, width = self._padded
        padded = np.zeros((width, h.shape[1], height, h.shape[-1]), h.dtype)
        for view in self.views(padded):
            view += h
        return self.crop(padded)

    def correlate(self, x: Array, weight: Array) -> Array:
        """Return z, each window times a weight of shape (*kernel, channels, filters)."""
        height, width = self._outputs
        matrix = self._split(weight).transpose(3, 1, 0, 2).reshape(weight.shape[-1], -1)
        z = np.empty((width, len(matrix), height, len(x)), np.result_type(x, weight))
        for block, columns in self._columns(x):
            np.matmul(matrix, columns, out=_flat(z[:, :, block]))
        return self.restored(z)

    def weight_gradient(self, x: Array, delta: Array) -> Array:
        """Return dJ/dweight for delta = dJ/dz of `correlate`."""
        delta = self.transposed(delta)
        height, width = self._kernel
        gradient: Any = 0
        for block, columns in self._columns(x):
            parts = _flat(delta[:, :, block]).swapaxes(1, 2)
            gradient += np.matmul(columns, parts).sum(axis=0)
        by_width = np.asarray(gradient).reshape(width, height, -1, delta.shape[1])
        return by_width.swapaxes(0, 1)

    def spread(self, delta: Array, weight: Array) -> Array:
        """Return dJ/dx for delta = dJ/dz of `correlate`: a window's delta goes to its inputs.

        Along the width this is a correlation, too: the kernel flipped, and the delta with zeros
        around it and between the strides. Along the height the products are added in place.
        """
        delta = self.transposed(delta)
        before = self._reach[1] - 1
        spaced = np.zeros((self._padded[1] + before, *delta.shape[1:]), delta.dtype)
        spaced[before:][self._places[1][0]] = delta
        first = self._pads[1][0]
        spaced = spaced[first : first + self._lengths[1] + before]
        height, channels, rows = self._kernel[0], weight.shape[-2], delta.shape[-1]
        matrix = self._split(weight)[:, ::-1].transpose(0, 2, 1, 3).reshape(height * channels, -1)
        shape = self._lengths[1], channels, self._padded[0], rows
        padded = np.zeros(shape, np.result_type(delta, weight))
        for block in self._blocks(padded):
            products = np.matmul(matrix, self._slide(spaced[:, :, block], 1))
            products = products.reshape(len(padded), height, channels, -1, rows)
            for i, view in enumerate(self.heights(padded)):
                view[:, :, block] += products[:, i]
        return self.restored(crop(padded, [(0, 0), (0, 0), self._pads[0], (0, 0)]))

    def _columns(self, x: Array) -> Iterator[tuple[slice, Array]]:
        """Yield blocks of output rows, each with a matrix for each output column.

        The matrix has a window in each of its columns ("im2col").
        """
        padded = self.pad(x)
        for block in self._blocks(padded):
            rows = [rows[:, :, block] for rows in self.heights(padded)]
            yield block, self._slide(np.concatenate(rows, axis=1), self._strides[1])

    def _slide(self, rows: Array, stride: int) -> Array:
        """Return a matrix for each place of the kernel along the width: the columns under it.

        The matrices are views that overlap, unless the kernel is dilated.
        """
        kernel, dilation = self._kernel[1], self._dilation[1]
        count = (len(rows) - self._reach[1]) // stride + 1
        if type(rows) is np.ndarray:
            step, *steps = rows.strides
            shape = count, kernel, *rows.shape[1:]
            windows = as_strided(rows, shape, (stride * step, dilation * step, *steps))
        else:  # recorded for a compiled step, which knows no views that overlap
            last = (count - 1) * stride + 1
            firsts = range(0, kernel * dilation, dilation)
            windows = np.stack([rows[i : i + last : stride] for i in firsts], axis=1)
        return windows.reshape(count, -1, prod(rows.shape[2:]))

    def _split(self, weight: Array) -> Array:
        """Return the weight with both axes of the kernel."""
        return weight.reshape(*self._kernel, *weight.shape[-2:])

    def _blocks(self, padded: Array) -> Iterator[slice]:
        """Cut the output's rows into blocks whose columns fit into the cache."""
        width, channels, _, batch = padded.shape
        copied = self._kernel[0] if self._dilation[1] == 1 else prod(self._kernel)
        step = max(1, _BLOCK_SIZE // (copied * width * channels * batch))
        for first in range(0, self._outputs[0], step):
            yield slice(first, min(first + step, self._outputs[0]))


make_windows = lru_cache(256)(Windows)
"""Returns `Windows`, the same ones for the same arguments: each batch asks for them."""


def pad(x: Array, pads: Sequence[tuple[int, int]], fill: float = 0.0) -> Array:
    """Return a new array with zeros, or another number, around x.

    `pads` has for each axis the length before x and after it. `Windows.pads` has those of a kernel,
    for the axes between the batch and the channels.

    >>> windows = Windows("this layer", (3,), 2, padding="causal")
    >>> pad(np.array([[[1.0], [2.0], [3.0]]]), [(0, 0), *windows.pads, (0, 0)]).ravel()
    array([0., 1., 2., 3.])
    """
    lengths = (n + before + after for n, (before, after) in zip(x.shape, pads, strict=True))
    padded = np.full(tuple(lengths), fill, x.dtype)
    padded[_inside(padded.shape, pads)] = x
    return padded


def crop(padded: Array, pads: Sequence[tuple[int, int]]) -> Array:
    """Return the part of a padded array that `pad` was given, as a view."""
    return padded[_inside(padded.shape, pads)]


def _inside(shape: Shape, pads: Sequence[tuple[int, int]]) -> tuple[slice, ...]:
    ends = zip(shape, pads, strict=True)
    return tuple(slice(before, n - after) for n, (before, after) in ends)


def _flat(part: Array) -> Array:
    """Return a view with height and batch in one axis."""
    return part.reshape(*part.shape[:2], -1)


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


def check_sizes(value: Size, name: str, owner: Any) -> int | tuple[int, ...]:
    """Return an int for all axes of a layer, or one for each."""
    return check_ints(value, name, owner, count=owner.axes)


def check_padding(value: Padding, name: str, owner: Any) -> Padding:
    """Return one of a layer's `paddings`, an int, or one for each axis."""
    if not isinstance(value, str):
        return check_ints(value, name, owner, count=owner.axes, least=0)
    if value not in owner.paddings:
        names = ", ".join(map(repr, owner.paddings))
        raise ValueError(
            f"{type(owner).__name__} expects {name} {names}, an int or {owner.axes} ints, got "
            f"{value!r}"
        )
    return value


def check_axes(layer: Layer, input_shape: Shape, axes: int) -> tuple[Shape, int]:
    """Return the lengths and the channels of rows with this number of axes before the channels."""
    if len(input_shape) != axes + 1:
        expected = "steps" if axes == 1 else "height, width"
        raise ValueError(
            f"{layer.label} expects input of shape (batch, {expected}, channels), got rows of "
            f"shape {input_shape}: put Reshape(...) before this layer"
        )
    return input_shape[:-1], features(input_shape, layer.label)
