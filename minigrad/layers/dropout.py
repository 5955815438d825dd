"""Dropout: zero random activations during training."""

from __future__ import annotations

from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import check_fraction
from minigrad.util.random import RNG


@register
@options
class Dropout(Layer):
    """h = x m / (1 - rate), where each m is 0 with probability `rate`, else 1.

    Backward multiplies delta by the same factor. Every training pass draws a new m from the model's
    generator. The expected value of h is x, so inference returns a copy of x.

    Source: Srivastava et al., Dropout, JMLR 2014; scaled in training, as in PyTorch and Keras.

    >>> import numpy as np
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
        factor = (self.rng.random(x.shape) >= self.rate).astype(x.dtype)
        factor /= 1 - self.rate
        self.cache = factor
        return x * factor

    @override
    def backward(self, delta: Array) -> Array:
        factor: Array = self.cache
        self.check_delta(delta, factor.shape)
        return delta * factor
