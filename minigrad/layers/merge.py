"""Layers that merge several inputs into one output."""

from __future__ import annotations

from functools import reduce

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape
from minigrad.util.config import register
from minigrad.util.random import RNG


class Merge(Layer):
    """The base of the layers that take two or more inputs of one shape."""

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        shapes = _several(input_shape, self.label)
        if len(set(shapes)) > 1:
            raise ValueError(f"{self.label} expects inputs of one shape, got {shapes}")
        return shapes[0]

    def check_inputs(self, inputs: tuple[Array, ...]) -> None:
        """Refuse inputs of different shapes, which NumPy would broadcast."""
        if len({x.shape for x in inputs}) > 1:
            raise ValueError(
                f"{self.label} expects inputs of one shape, got {[x.shape for x in inputs]}"
            )


@register
class Add(Merge):
    """h = the sum of the inputs; each input gets delta.

    >>> layer = Add()
    >>> layer.forward(np.array([[1.0]]), np.array([[2.0]])), layer.backward(np.array([[5.0]]))
    (array([[3.]]), (array([[5.]]), array([[5.]])))
    """

    @override
    def forward(self, *inputs: Array, training: bool = True) -> Array:
        self.check_inputs(inputs)
        h = reduce(np.add, inputs)
        if training:
            self.cache = len(inputs), h.shape
        return h

    @override
    def backward(self, delta: Array) -> tuple[Array, ...]:
        count, shape = self.cache
        self.check_delta(delta, shape)
        return tuple(delta.copy() for _ in range(count))


@register
class Average(Add):
    """h = the mean of the n inputs; each input gets delta / n.

    >>> layer = Average()
    >>> layer.forward(np.array([[1.0]]), np.array([[2.0]])), layer.backward(np.array([[5.0]]))
    (array([[1.5]]), (array([[2.5]]), array([[2.5]])))
    """

    @override
    def forward(self, *inputs: Array, training: bool = True) -> Array:
        return super().forward(*inputs, training=training) / len(inputs)

    @override
    def backward(self, delta: Array) -> tuple[Array, ...]:
        parts = super().backward(delta)
        return tuple(part / len(parts) for part in parts)


@register
class Multiply(Merge):
    """h = the product of the inputs, element by element; an input gets delta times the others.

    >>> layer = Multiply()
    >>> layer.forward(np.array([[2.0]]), np.array([[3.0]])), layer.backward(np.array([[5.0]]))
    (array([[6.]]), (array([[15.]]), array([[10.]])))
    """

    @override
    def forward(self, *inputs: Array, training: bool = True) -> Array:
        self.check_inputs(inputs)
        if training:
            self.cache = inputs
        return reduce(np.multiply, inputs)

    @override
    def backward(self, delta: Array) -> tuple[Array, ...]:
        inputs: tuple[Array, ...] = self.cache
        self.check_delta(delta, inputs[0].shape)
        return tuple(
            reduce(np.multiply, (x for j, x in enumerate(inputs) if j != i), delta)
            for i in range(len(inputs))
        )


@register
class Concatenate(Layer):
    """h = the inputs side by side along the last axis; each gets its own part of delta.

    >>> layer = Concatenate()
    >>> layer.forward(np.array([[1.0, 2.0]]), np.array([[3.0]]))
    array([[1., 2., 3.]])
    >>> layer.backward(np.array([[5.0, 6.0, 7.0]]))
    (array([[5., 6.]]), array([[7.]]))
    """

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        shapes = _several(input_shape, self.label)
        if () in shapes or len({shape[:-1] for shape in shapes}) > 1:
            raise ValueError(
                f"{self.label} expects inputs of one shape but for the last axis, got {shapes}"
            )
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    @override
    def forward(self, *inputs: Array, training: bool = True) -> Array:
        if len({x.shape[:-1] for x in inputs}) > 1:
            raise ValueError(
                f"{self.label} expects inputs of one shape but for the last axis, got "
                f"{[x.shape for x in inputs]}"
            )
        h: Array = np.concatenate(inputs, axis=-1)
        if training:
            self.cache = h.shape, np.cumsum([x.shape[-1] for x in inputs])[:-1]
        return h

    @override
    def backward(self, delta: Array) -> tuple[Array, ...]:
        shape, cuts = self.cache
        self.check_delta(delta, shape)
        return tuple(part.copy() for part in np.split(delta, cuts, axis=-1))


def _several(input_shape: Shape, owner: str) -> tuple[Shape, ...]:
    """Return the shapes of several inputs, and refuse a single one."""
    if not input_shape or not isinstance(input_shape[0], tuple):
        raise ValueError(f"{owner} expects two or more inputs, got one of shape {input_shape}")
    return input_shape
