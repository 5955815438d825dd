"""Dropout and noise: random changes of activations, during training only."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape
from minigrad.layers.windows import check_axes
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import check_fraction, check_not_negative
from minigrad.util.random import RNG


@register
@options
class Dropout(Layer):
    """h = x m / (1 - rate), where each m is 0 with probability `rate`, else 1.

    Backward multiplies delta by the same factor. Every training pass draws a new m from the model's
    generator. The expected value of h is x, so inference returns a copy of x.

    Source: Srivastava et al., Dropout, JMLR 2014; scaled in training, as in PyTorch and Keras.

    >>> layer = Dropout(0.5)
    >>> layer.build((4,), np.random.default_rng(0))
    (4,)
    >>> layer.forward(np.ones((2, 4)))
    array([[2., 0., 0., 0.],
           [2., 2., 2., 2.]])
    >>> layer.forward(np.ones((1, 4)), training=False)
    array([[1., 1., 1., 1.]])
    """

    equation = "h = x m / (1 - rate)"
    stochastic = True

    rate: float = option(check_fraction, kw_only=False)
    """The fraction to drop, from 0 to below 1."""

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        self.rng = rng
        return input_shape

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        if not training:
            return x.copy()
        factor = (self.rng.random(self.drawn(x.shape)) >= self.rate).astype(x.dtype)
        factor /= 1 - self.rate
        self.cache = np.broadcast_to(factor, x.shape)
        return x * factor

    def drawn(self, shape: Shape) -> Shape:
        """Return the shape of m for x of a shape; along an axis of length 1 it is the same."""
        return shape

    @override
    def backward(self, delta: Array) -> Array:
        factor: Array = self.cache
        self.check_delta(delta, factor.shape)
        return delta * factor


class SpatialDropout(Dropout):
    """The base of dropout of whole channels: m is the same at all places of a channel."""

    axes: ClassVar[int]

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        check_axes(self, input_shape, self.axes)
        return super().build(input_shape, rng)

    @override
    def drawn(self, shape: Shape) -> Shape:
        return (shape[0], *[1] * self.axes, shape[-1])


@register
class SpatialDropout2D(SpatialDropout):
    """h = x m / (1 - rate), where m is 0 or 1 for a whole channel of an image; see `Dropout`.

    Neighbors in a feature map say nearly the same, so that single ones aren't missed.

    Source: Tompson et al., Efficient object localization using convolutional networks, CVPR 2015,
    section 3.2; `torch.nn.Dropout2d`.

    >>> layer = SpatialDropout2D(0.5)
    >>> layer.build((1, 2, 3), np.random.default_rng(0))
    (1, 2, 3)
    >>> layer.forward(np.ones((1, 1, 2, 3)))
    array([[[[2., 0., 0.],
             [2., 0., 0.]]]])
    """

    axes = 2


@register
class SpatialDropout1D(SpatialDropout):
    """h = x m / (1 - rate), where m is 0 or 1 for a whole channel of a sequence; see `Dropout`.

    Source: see `SpatialDropout2D`; `torch.nn.Dropout1d`.

    >>> layer = SpatialDropout1D(0.5)
    >>> layer.build((None, 3), np.random.default_rng(0))
    (None, 3)
    >>> layer.forward(np.ones((1, 2, 3)))
    array([[[2., 0., 0.],
            [2., 0., 0.]]])
    """

    axes = 1


@register
@options
class GaussianNoise(Layer):
    """h = x + e, where e is drawn from a normal distribution with mean 0; dJ/dx = delta.

    Every training pass draws a new e from the model's generator; inference returns a copy of x.

    Source: Bishop, Training with noise is equivalent to Tikhonov regularization, 1995.

    >>> layer = GaussianNoise(0.1)
    >>> layer.build((2,), np.random.default_rng(0))
    (2,)
    >>> layer.forward(np.ones((1, 2))).round(3)
    array([[1.013, 0.987]])
    >>> layer.forward(np.ones((1, 2)), training=False)
    array([[1., 1.]])
    """

    stochastic = True

    stddev: float = option(check_not_negative, kw_only=False)
    """The standard deviation of e, at least 0."""

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        self.rng = rng
        return input_shape

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        if not training:
            return x.copy()
        self.cache = x.shape
        return x + self.rng.normal(0.0, self.stddev, x.shape).astype(x.dtype)

    @override
    def backward(self, delta: Array) -> Array:
        self.check_delta(delta, self.cache)
        return delta.copy()
