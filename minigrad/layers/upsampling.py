"""Upsampling: images and sequences in a larger size."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, DType, Shape
from minigrad.layers.windows import Size, Windows, check_axes, check_sizes, make_windows, per_axis
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import one_of
from minigrad.util.random import RNG


@options
class UpSampling(Layer):
    """The base of upsampling: each number is repeated to a block, whose deltas are added."""

    axes: ClassVar[int]
    size: Size = option(check_sizes, default=2, kw_only=False)
    """The factors of height and width: an int for both, or two ints."""

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        lengths, channels = check_axes(self, input_shape, self.axes)
        self.input_shape = input_shape
        return (*self.windows(lengths).lengths, channels)

    def windows(self, lengths: Shape) -> Windows:
        """Return the blocks of the output for an input with these lengths."""
        sizes = zip(lengths, per_axis(self.size, self.axes), strict=True)
        outputs = tuple(None if n is None else n * size for n, size in sizes)
        return make_windows(self.label, outputs, self.size, strides=self.size)

    def enlarged(self, windows: Windows, x: Array) -> Array:
        """Return h."""
        return windows.repeat(x)

    def input_delta(self, windows: Windows, delta: Array) -> Array:
        """Return dJ/dx."""
        return windows.total(delta)

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        self.check_input(x)
        h = self.enlarged(self.windows(x.shape[1:-1]), x)
        if training:
            self.cache = x.shape[1:-1], h.shape
        return h

    @override
    def backward(self, delta: Array) -> Array:
        lengths, shape = self.cache
        self.check_delta(delta, shape)
        return self.input_delta(self.windows(lengths), delta)


@register
@options
class UpSampling2D(UpSampling):
    """h = x in a larger size, as weighted means; backward, deltas are added with the same weights.

    With "nearest", each number is repeated to a block. With "bilinear", h is interpolated between
    the numbers, which lie at the centers of their blocks; beyond the outer centers it is constant.
    Both are Keras's, and those of `torch.nn.Upsample` with align_corners=False.

    Raises:
        TypeError: `size` isn't a number.
        ValueError: `size` below 1, or another interpolation; when the layer is built, an input of
            another rank.

    >>> layer = UpSampling2D((1, 2))
    >>> layer.build((1, 2, 1), np.random.default_rng(0))
    (1, 4, 1)
    >>> layer.forward(np.array([3.0, 5.0]).reshape(1, 1, 2, 1)).ravel()
    array([3., 3., 5., 5.])
    >>> layer.backward(np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 4, 1)).ravel()
    array([3., 7.])
    >>> layer.interpolation = "bilinear"
    >>> layer.forward(np.array([3.0, 5.0]).reshape(1, 1, 2, 1)).ravel()
    array([3. , 3.5, 4.5, 5. ])
    """

    axes = 2
    interpolation: Literal["nearest", "bilinear"] = option(
        one_of("nearest", "bilinear"), default="nearest"
    )
    """"nearest" or "bilinear"."""

    def _weights(self, windows: Windows, dtype: DType) -> list[Array]:
        """Return for each axis how much of each input (columns) is in each output (rows)."""
        found = []
        for length, size in zip(windows.lengths, per_axis(self.size, 2), strict=True):
            places = (np.arange(length) + 0.5) / size - 0.5
            inputs = np.arange(length // size)
            distances = places.clip(0, inputs[-1])[:, np.newaxis] - inputs
            found.append(np.maximum(0, 1 - np.abs(distances)).astype(dtype))
        return found

    @override
    def enlarged(self, windows: Windows, x: Array) -> Array:
        if self.interpolation == "nearest":
            return super().enlarged(windows, x)
        return _weighted(windows, x, *self._weights(windows, x.dtype))

    @override
    def input_delta(self, windows: Windows, delta: Array) -> Array:
        if self.interpolation == "nearest":
            return super().input_delta(windows, delta)
        return _weighted(windows, delta, *(w.T for w in self._weights(windows, delta.dtype)))


@register
class UpSampling1D(UpSampling):
    """h = each step of x several times; backward, the deltas of its copies are added.

    The number of steps may vary (None).

    >>> layer = UpSampling1D(2)
    >>> layer.build((None, 1), np.random.default_rng(0))
    (None, 1)
    >>> layer.forward(np.array([[[3.0], [5.0]]])).ravel()
    array([3., 3., 5., 5.])
    """

    axes = 1


def _weighted(windows: Windows, x: Array, rows: Array, columns: Array) -> Array:
    """Return the sums over height and width with these weights."""
    h: Array = np.matmul(rows, windows.transposed(x))  # width, channels, height, batch
    sums = np.dot(columns, h.reshape(len(h), -1))
    return windows.restored(sums.reshape(len(columns), *h.shape[1:]))
