"""Rescaling: numbers times a constant, plus a constant."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import check_number


@register
@options
class Rescaling(Layer):
    """h = scale x + offset, with constants; dJ/dx = scale delta.

    `Rescaling(1 / 255)` maps the bytes of an image to [0, 1]. In a graph, `1 - h` makes one.

    Raises:
        TypeError, ValueError: `scale` or `offset` isn't a finite number.

    >>> layer = Rescaling(-1.0, offset=1.0)
    >>> layer.forward(np.array([[0.25]])), layer.backward(np.array([[2.0]]))
    (array([[0.75]]), array([[-2.]]))
    """

    equation = "h = scale x + offset"

    scale: float = option(check_number, kw_only=False)
    """The factor."""
    offset: float = option(check_number, default=0.0)
    """What is added."""

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        if training:
            self.cache = x.shape
        h: Array = x * self.scale
        h += self.offset
        return h

    @override
    def backward(self, delta: Array) -> Array:
        self.check_delta(delta, self.cache)
        return np.multiply(delta, self.scale)
