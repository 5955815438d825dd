"""Pooling: the largest or the mean number of each window, channel by channel."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape
from minigrad.layers.masks import check_mask_shape, real_steps, shapes_of
from minigrad.layers.windows import (
    Padding,
    Size,
    Windows,
    check_axes,
    check_padding,
    check_sizes,
    make_windows,
    per_axis,
)
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.random import RNG


@options
class Pooling(Layer):
    """The base of pooling: options and shapes."""

    axes: ClassVar[int]
    """The number of axes that the window moves along."""
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")
    pool_size: Size = option(check_sizes, default=2, kw_only=False)
    """The window's height and width: an int for both, or two ints."""
    strides: Size | None = option(check_sizes, default=None)
    """How far the window moves; by default pool_size, so that windows don't overlap."""
    padding: Padding = option(check_padding, default="valid")
    """"valid" drops what a last, incomplete window would cover; "same" keeps it, as Keras; an int
    of at most half the window pads every end, as PyTorch. Padding is never the largest."""

    @override
    def __post_init__(self) -> None:
        if not isinstance(self.padding, str):
            sizes = per_axis(self.padding, self.axes), per_axis(self.pool_size, self.axes)
            if any(2 * p > size for p, size in zip(*sizes, strict=True)):
                raise ValueError(
                    f"{self.label} expects padding of at most half of pool_size="
                    f"{self.pool_size}, got {self.padding}: a window must not be all padding"
                )

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        lengths, channels = check_axes(self, input_shape, self.axes)
        self.input_shape = input_shape
        return (*self.windows(lengths).outputs, channels)

    def windows(self, lengths: Shape) -> Windows:
        """Return the windows of an input with these lengths."""
        strides = self.pool_size if self.strides is None else self.strides
        return make_windows(
            self.label, lengths, self.pool_size, strides=strides, padding=self.padding
        )


class MaxPooling(Pooling):
    """The base of max-pooling: h = max over the window of x.

    Backward, each delta goes to the largest input of its window; to the first of several.
    """

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        self.check_input(x)
        windows = self.windows(x.shape[1:-1])
        padded = windows.pad(x, -np.inf)
        first, *others = windows.views(padded)
        h: Array = first.copy()
        for view in others:
            np.maximum(h, view, out=h)
        if training:
            self.cache = windows, padded, h
        return windows.restored(h)

    @override
    def backward(self, delta: Array) -> Array:
        windows: Windows
        windows, padded, h = self.cache
        self.check_delta(delta, windows.restored(h).shape)
        delta = windows.transposed(delta)
        input_delta = np.zeros(padded.shape, delta.dtype)
        free = np.ones(h.shape, bool)  # whether the largest input of a window is still to come
        views = zip(windows.views(padded), windows.views(input_delta), strict=True)
        for view, view_delta in views:
            hit = view == h
            hit &= free
            free ^= hit
            if windows.overlap:
                view_delta += delta * hit
            else:
                np.multiply(delta, hit, out=view_delta)
        return windows.crop(input_delta)


@register
class MaxPooling2D(MaxPooling):
    """h = max over each window of height and width, channel by channel.

    Backward, each delta goes to the largest input of its window; to the first of several.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: an argument out of range; when the layer is built, an input of another rank or
            smaller than the window.

    Source: Goodfellow et al., Deep Learning, 2016, section 9.3.

    >>> layer = MaxPooling2D((1, 2))
    >>> layer.build((1, 4, 1), np.random.default_rng(0))
    (1, 2, 1)
    >>> layer.forward(np.array([1.0, 3.0, 5.0, 2.0]).reshape(1, 1, 4, 1)).ravel()
    array([3., 5.])
    >>> layer.backward(np.array([7.0, 8.0]).reshape(1, 1, 2, 1)).ravel()
    array([0., 7., 8., 0.])
    """

    axes = 2


@register
class MaxPooling1D(MaxPooling):
    """h = max over each window of steps; x has the shape (batch, steps, channels).

    The number of steps may vary (None). See `MaxPooling2D` for the options.

    >>> layer = MaxPooling1D(2)
    >>> layer.build((None, 1), np.random.default_rng(0))
    (None, 1)
    >>> layer.forward(np.array([[[1.0], [3.0], [5.0], [2.0]]])).ravel()
    array([3., 5.])
    """

    axes = 1


class AveragePooling(Pooling):
    """The base of average pooling: h = mean over the window of x, where padding doesn't count.

    Backward, each input gets its share of the deltas of its windows: delta / count.
    """

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        self.check_input(x)
        windows = self.windows(x.shape[1:-1])
        h = windows.total(x)
        count = windows.total(np.ones((1, *x.shape[1:-1], 1), x.dtype))
        h /= count
        if training:
            self.cache = windows, count, h.shape
        return h

    @override
    def backward(self, delta: Array) -> Array:
        windows: Windows
        windows, count, shape = self.cache
        self.check_delta(delta, shape)
        return windows.repeat(delta / count)


@register
class AveragePooling2D(AveragePooling):
    """h = mean over each window of height and width, channel by channel.

    Padding doesn't count, as in Keras and in PyTorch with `count_include_pad=False`. See
    `MaxPooling2D` for the options.

    Source: LeCun et al., Gradient-based learning applied to document recognition, 1998.

    >>> layer = AveragePooling2D((1, 2))
    >>> layer.build((1, 4, 1), np.random.default_rng(0))
    (1, 2, 1)
    >>> layer.forward(np.array([1.0, 3.0, 5.0, 2.0]).reshape(1, 1, 4, 1)).ravel()
    array([2. , 3.5])
    """

    axes = 2


@register
class AveragePooling1D(AveragePooling):
    """h = mean over each window of steps; x has the shape (batch, steps, channels).

    The number of steps may vary (None). See `AveragePooling2D`.

    >>> layer = AveragePooling1D(2)
    >>> layer.build((None, 1), np.random.default_rng(0))
    (None, 1)
    >>> layer.forward(np.array([[[1.0], [3.0], [5.0], [2.0]]])).ravel()
    array([2. , 3.5])
    """

    axes = 1


class GlobalPooling(Layer):
    """The base of global pooling: one number for each channel."""

    axes: ClassVar[int]

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        shape, *masks = shapes_of(input_shape)
        lengths, channels = check_axes(self, shape, self.axes)
        for mask in masks:
            check_mask_shape(mask, lengths[0], self.label)
        self.input_shape = input_shape
        return (channels,)

    @override
    def check_input(self, x: Array, input_shape: Shape | None = None) -> None:
        super().check_input(x, input_shape or shapes_of(self.input_shape)[0] or None)


class GlobalMaxPooling(GlobalPooling):
    """The base of global max-pooling: h = max of a channel."""

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        self.check_input(x)
        if training:
            self.cache = x
        h: Array = x.max(axis=tuple(range(1, x.ndim - 1)))
        return h

    @override
    def backward(self, delta: Array) -> Array:
        return self.spread(self.cache, delta)

    def spread(self, x: Array, delta: Array) -> Array:
        """Return dJ/dx: each delta goes to the first largest number of its channel."""
        self.check_delta(delta, (len(x), x.shape[-1]))
        values = x.reshape(len(x), -1, x.shape[-1])
        input_delta = np.zeros(values.shape, delta.dtype)
        largest = values.argmax(axis=1, keepdims=True)
        np.put_along_axis(input_delta, largest, delta[:, np.newaxis], axis=1)
        return input_delta.reshape(x.shape)


@register
class GlobalMaxPooling2D(GlobalMaxPooling):
    """h = max of each channel over height and width; the first largest number gets its delta.

    >>> layer = GlobalMaxPooling2D()
    >>> layer.build((1, 3, 1), np.random.default_rng(0))
    (1,)
    >>> layer.forward(np.array([1.0, 3.0, 2.0]).reshape(1, 1, 3, 1))
    array([[3.]])
    """

    axes = 2


@register
class GlobalMaxPooling1D(GlobalMaxPooling):
    """h = max of each channel over the steps; the first largest number gets its delta.

    The number of steps may vary (None). A mask as the second input, with rows of shape (steps,), is
    1 for the steps that count and 0 elsewhere. A row without such a step has h = 0. With a mask,
    `backward` returns (dJ/dx, None).

    >>> layer = GlobalMaxPooling1D()
    >>> layer.build((None, 1), np.random.default_rng(0))
    (1,)
    >>> x = np.array([[[1.0], [3.0], [2.0]]])
    >>> layer.forward(x), layer.forward(x, np.array([[1, 0, 1]]))
    (array([[3.]]), array([[2.]]))
    """

    axes = 1

    @override
    def forward(self, x: Array, mask: Array | None = None, *, training: bool = True) -> Array:
        if mask is None:
            return super().forward(x, training=training)
        self.check_input(x)
        real = real_steps(mask, x, self.label)[:, :, np.newaxis]
        x = np.where(real, x, x.dtype.type(-np.inf))
        h = np.where(real.any(axis=1), x.max(axis=1), x.dtype.type(0))
        if training:
            self.cache = x, real
        return h

    @override
    def backward(self, delta: Array) -> Any:
        if not isinstance(self.cache, tuple):
            return super().backward(delta)
        x, real = self.cache
        return np.where(real, self.spread(x, delta), delta.dtype.type(0)), None


class GlobalAveragePooling(GlobalPooling):
    """The base of global average pooling: h = mean of a channel, and dJ/dx = delta / count."""

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        self.check_input(x)
        if training:
            self.cache = x.shape
        h: Array = x.mean(axis=tuple(range(1, x.ndim - 1)))
        return h

    @override
    def backward(self, delta: Array) -> Array:
        rows, *lengths, channels = self.cache
        self.check_delta(delta, (rows, channels))
        share = (delta / prod(lengths)).reshape(rows, *[1] * self.axes, channels)
        return np.array(np.broadcast_to(share, (rows, *lengths, channels)), order="F")


@register
class GlobalAveragePooling2D(GlobalAveragePooling):
    """h = mean of each channel over height and width; backward, dJ/dx = delta / (height width).

    Source: Lin et al., Network in network, 2014, section 3.2.

    >>> layer = GlobalAveragePooling2D()
    >>> layer.build((1, 3, 1), np.random.default_rng(0))
    (1,)
    >>> layer.forward(np.array([1.0, 3.0, 2.0]).reshape(1, 1, 3, 1))
    array([[2.]])
    """

    axes = 2


@register
class GlobalAveragePooling1D(GlobalAveragePooling):
    """h = mean of each channel over the steps; backward, dJ/dx = delta / steps.

    The number of steps may vary (None). A mask m as the second input, with rows of shape (steps,),
    is 1 for the steps that count and 0 elsewhere:

        h = (sum over t of m_t x_t) / (sum over t of m_t)
        dJ/dx_t = m_t delta / (sum over t of m_t)

    A row without a step that counts has h = 0. With a mask, `backward` returns (dJ/dx, None).

    >>> layer = GlobalAveragePooling1D()
    >>> layer.build((None, 1), np.random.default_rng(0))
    (1,)
    >>> x = np.array([[[1.0], [3.0], [2.0]]])
    >>> layer.forward(x), layer.forward(x, np.array([[0, 1, 1]]))
    (array([[2.]]), array([[2.5]]))
    """

    axes = 1

    @override
    def forward(self, x: Array, mask: Array | None = None, *, training: bool = True) -> Array:
        if mask is None:
            return super().forward(x, training=training)
        self.check_input(x)
        real = real_steps(mask, x, self.label)[:, :, np.newaxis]
        count = np.maximum(real.sum(axis=1), 1).astype(x.dtype)
        if training:
            self.cache = real, count
        h: Array = np.where(real, x, x.dtype.type(0)).sum(axis=1)
        h /= count
        return h

    @override
    def backward(self, delta: Array) -> Any:
        if len(self.cache) != 2:  # without a mask, the shape of x
            return super().backward(delta)
        real, count = self.cache
        self.check_delta(delta, (len(real), shapes_of(self.input_shape)[0][-1]))
        return np.where(real, (delta / count)[:, np.newaxis], delta.dtype.type(0)), None
