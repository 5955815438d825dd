"""Layers that arrange, repeat or select the numbers of each row, and compute none."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from math import prod
from types import EllipsisType
from typing import Any, TypeAlias

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape
from minigrad.util.config import register
from minigrad.util.fields import As, option, options
from minigrad.util.options import check_int
from minigrad.util.random import RNG

Index: TypeAlias = int | slice | EllipsisType


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


@register
@options
class Permute(Layer):
    """Rows with their axes in another order; backward, delta's axes go back.

    Raises:
        TypeError: `dims` isn't a tuple of integers.
        ValueError: `dims` isn't an order of 1, 2, ...; when the layer is built, rows with another
            number of axes.

    >>> layer = Permute((2, 1))
    >>> layer.build((1, 3), np.random.default_rng(0))
    (3, 1)
    >>> layer.forward(np.array([[[1.0, 2.0, 3.0]]])).shape
    (1, 3, 1)
    """

    equation = "h = x"

    dims: As[Sequence[int], tuple[int, ...]] = option(kw_only=False)
    """The axes of a row in their new order, counted from 1, as the batch is axis 0."""

    @override
    def __post_init__(self) -> None:
        try:
            self.dims = tuple(map(operator.index, self.dims))
        except TypeError:
            raise TypeError(
                f"{self.label} expects a tuple of int as dims, got {self.dims!r}"
            ) from None
        if not self.dims or sorted(self.dims) != [*range(1, len(self.dims) + 1)]:
            raise ValueError(
                f"{self.label} expects the axes 1, 2, ... in some order as dims, got {self.dims}"
            )

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        if len(input_shape) != len(self.dims):
            raise ValueError(
                f"{self.label} expects rows with {len(self.dims)} axes for dims={self.dims}, got "
                f"rows of shape {input_shape}"
            )
        self.input_shape = input_shape
        return tuple(input_shape[axis - 1] for axis in self.dims)

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        self.check_input(x)
        h = x.transpose(0, *self.dims).copy()
        if training:
            self.cache = h.shape
        return h

    @override
    def backward(self, delta: Array) -> Array:
        self.check_delta(delta, self.cache)
        back = sorted(range(delta.ndim), key=(0, *self.dims).__getitem__)
        return delta.transpose(back).copy()


@register
@options
class RepeatVector(Layer):
    """The same vector n times, as the steps of a sequence; dJ/dx = the sum of delta over the steps.

    Input has the shape (batch, features), and output (batch, n, features).

    Raises:
        TypeError, ValueError: `n` isn't a whole number of at least 1; when the layer is built, rows
            with several axes.

    >>> layer = RepeatVector(2)
    >>> layer.build((1,), np.random.default_rng(0))
    (2, 1)
    >>> layer.forward(np.array([[3.0]])), layer.backward(np.array([[[1.0], [5.0]]]))
    (array([[[3.],
            [3.]]]), array([[6.]]))
    """

    n: int = option(check_int, kw_only=False)
    """How often."""

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        if len(input_shape) != 1:
            raise ValueError(
                f"{self.label} expects input of shape (batch, features), got rows of shape "
                f"{input_shape}: put Flatten() before this layer"
            )
        self.input_shape = input_shape
        return (self.n, *input_shape)

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        self.check_input(x)
        if training:
            self.cache = len(x), self.n, x.shape[1]
        return np.repeat(x[:, np.newaxis], self.n, axis=1)

    @override
    def backward(self, delta: Array) -> Array:
        self.check_delta(delta, self.cache)
        total: Array = delta.sum(axis=1)
        return total


def check_index(value: str | Index | Sequence[Index], name: str, owner: object) -> str:
    """Return an index of a row as text, such as "0, :2": integers, slices, and one "..."."""
    items = value if isinstance(value, (tuple, list)) else (value,)
    try:
        text = value if isinstance(value, str) else ", ".join(map(_index_text, items))
        _parse(text)
    except (TypeError, ValueError):
        raise ValueError(
            f"{type(owner).__name__} expects integers and slices as {name}, such as ':2, 0', got "
            f"{value!r}: other selections need a layer of your own"
        ) from None
    return text


def _index_text(item: Index) -> str:
    if item is Ellipsis:
        return "..."
    if not isinstance(item, slice):
        return str(operator.index(item))
    start, stop, step = (
        "" if n is None else str(operator.index(n)) for n in (item.start, item.stop, item.step)
    )
    return f"{start}:{stop}" + (f":{step}" if step else "")


def _parse(text: str) -> tuple[Index, ...]:
    """Return the index that a text such as "..., 1, :2" has."""
    found: list[Index] = []
    for item in (part.strip() for part in text.split(",")):
        if item == "...":
            found.append(Ellipsis)
        elif ":" in item:
            bounds = [int(n) if n.strip() else None for n in item.split(":")]
            found.append(slice(*bounds))
        else:
            found.append(int(item))
    if found.count(Ellipsis) > 1:
        raise ValueError
    return tuple(found)


@register
@options
class Slice(Layer):
    """Part of each row, h = x[:, index]; backward, delta goes there, and 0 elsewhere.

    In a graph `symbol[:, :2]` makes one, with the batch as the first index.

    Raises:
        ValueError: `index` holds other things than integers, slices and one "..."; when the layer
            is built, an index that the rows don't have, or that leaves nothing.

    >>> layer = Slice("-1, :2")
    >>> layer.build((3, 4), np.random.default_rng(0))
    (2,)
    >>> layer.forward(np.arange(12.0).reshape(1, 3, 4))
    array([[8., 9.]])
    """

    equation = "h = x"

    index: As[str | Index | Sequence[Index], str] = option(check_index, kw_only=False)
    """What to take of a row, as Python writes it between brackets, such as ":2" or "..., 0"; or
    an integer, a slice, or a tuple of them. An integer drops its axis."""

    @property
    def places(self) -> tuple[Index, ...]:
        """The index for an array with the batch axis."""
        return (slice(None), *_parse(self.index))

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        self.input_shape = input_shape
        shape = self._output_shape(input_shape)
        if 0 in shape:
            raise ValueError(f"{self.label} leaves nothing of rows of shape {input_shape}")
        return shape

    def _output_shape(self, input_shape: Shape) -> Shape:
        """Return the output shape, in which a length that varies stays so."""
        taken = [*self.places[1:]]
        rest = len(input_shape) - len(taken)
        if Ellipsis in taken:
            place = taken.index(Ellipsis)
            taken[place : place + 1] = [slice(None)] * (rest + 1)
        if len(taken) > len(input_shape):
            raise ValueError(
                f"{self.label} expects rows with {len(taken)} axes, got rows of shape {input_shape}"
            )
        shape: list[Any] = []
        for n, item in zip(input_shape, [*taken, *[slice(None)] * rest], strict=False):
            if isinstance(item, slice):
                shape.append(n if n is None else len(range(*item.indices(n))))
            elif n is not None and isinstance(item, int) and not -n <= item < n:
                raise ValueError(f"{self.label} expects an index below {n}, got {item}")
        return tuple(shape)

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        self.check_input(x)
        h: Array = x[self.places].copy()
        if training:
            self.cache = x.shape, h.shape
        return h

    @override
    def backward(self, delta: Array) -> Array:
        shape, taken = self.cache
        self.check_delta(delta, taken)
        input_delta = np.zeros(shape, delta.dtype)
        input_delta[self.places] = delta
        return input_delta
