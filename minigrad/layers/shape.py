"""Layers that change the shape of each row, and no numbers."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from math import prod

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape
from minigrad.util.config import register
from minigrad.util.fields import As, option, options
from minigrad.util.random import RNG


@register
@options
class Reshape(Layer):
    """Rows of another shape, with the same numbers in C order.

    Raises:
        ValueError: a length below 1, two lengths of -1, or a shape that doesn't fit the input.

    >>> layer = Reshape((2, -1))
    >>> layer.build((6,), np.random.default_rng(0))
    (2, 3)
    >>> layer.forward(np.arange(6.0).reshape(1, 6))
    array([[[0., 1., 2.],
            [3., 4., 5.]]])
    """

    equation = "h = x"

    shape: As[Sequence[int], tuple[int, ...]] = option(kw_only=False)
    """The new shape of a row, without the batch axis. One length may be -1: it follows from the
    others."""

    @override
    def __post_init__(self) -> None:
        try:
            self.shape = tuple(map(operator.index, self.shape))
        except TypeError:
            raise TypeError(
                f"{self.label} expects a tuple of int as shape, got {self.shape!r}"
            ) from None
        if self.shape.count(-1) > 1 or not all(n == -1 or n > 0 for n in self.shape):
            raise ValueError(
                f"{self.label} expects lengths of at least 1, and at most one -1, got {self.shape}"
            )

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        if None in input_shape:
            raise ValueError(
                f"{self.label} expects rows of known lengths, got {input_shape}: give input_shape "
                "a number in place of None, or pool over that axis first"
            )
        size = prod(input_shape)
        missing = size // abs(prod(self.shape))
        self._shapes = input_shape, tuple(missing if n == -1 else n for n in self.shape)
        if prod(self._shapes[1]) != size:
            raise ValueError(
                f"{self.label} can't reshape rows of {size} numbers, {input_shape}, to {self.shape}"
            )
        return self._shapes[1]

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        before, after = self._shapes
        self.check_input(x, before)
        if training:
            self.cache = len(x)
        return _reshaped(x, after)

    @override
    def backward(self, delta: Array) -> Array:
        rows: int = self.cache
        before, after = self._shapes
        self.check_delta(delta, (rows, *after))
        return _reshaped(delta, before)


def _reshaped(x: Array, shape: Shape) -> Array:
    """Return a copy with rows of another shape, which keeps the memory order of x."""
    if x.flags.c_contiguous:
        return x.flatten().reshape(len(x), *shape)
    rows_last = np.moveaxis(x, 0, -1).reshape(*shape, len(x))
    return np.array(np.moveaxis(rows_last, -1, 0), order="F")


@register
class Flatten(Reshape):
    """Rows of one axis: all numbers of a row in one vector.

    >>> layer = Flatten()
    >>> layer.build((2, 3), np.random.default_rng(0))
    (6,)
    >>> layer.forward(np.arange(6.0).reshape(1, 2, 3))
    array([[0., 1., 2., 3., 4., 5.]])
    """

    def __init__(self, *, name: str = "") -> None:
        super().__init__((-1,), name=name)
