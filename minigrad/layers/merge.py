"""Layers that merge several inputs into one output."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, ClassVar, Final

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape
from minigrad.util.config import register
from minigrad.util.random import RNG


class Merge(Layer):
    """The base of the layers that take two or more inputs; they must have one shape."""

    exception: ClassVar[str] = ""
    """Where the shapes may differ, for messages."""

    def fit(self, shapes: Sequence[Shape]) -> bool:
        """Tell whether inputs of these shapes can be merged; NumPy would broadcast others."""
        return len(set(shapes)) == 1

    def merged_shape(self, shapes: Sequence[Shape]) -> Shape:
        """Return the shape of h for inputs of these shapes."""
        return shapes[0]

    def merged(self, inputs: Sequence[Array]) -> Array:
        """Return h, a new array."""
        raise NotImplementedError(f"{self.label} must define merged(inputs)")

    def kept(self, inputs: Sequence[Array]) -> Sequence[Any]:
        """Return what `parts` needs of the inputs."""
        return [x.shape for x in inputs]

    def parts(self, delta: Array, kept: Sequence[Any]) -> Sequence[Array]:
        """Return the delta of each input, which may be delta itself or a view of it."""
        raise NotImplementedError(f"{self.label} must define parts(delta, kept)")

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        if not input_shape or not isinstance(input_shape[0], tuple):
            raise ValueError(
                f"{self.label} expects two or more inputs, got one of shape {input_shape}"
            )
        self._check_shapes(input_shape)
        return self.merged_shape(input_shape)

    @override
    def forward(self, *inputs: Array, training: bool = True) -> Array:
        self._check_shapes([x.shape for x in inputs])
        h = self.merged(inputs)
        if training:
            self.cache = self.kept(inputs), h.shape
        return h

    @override
    def backward(self, delta: Array) -> tuple[Array, ...]:
        kept, shape = self.cache
        self.check_delta(delta, shape)
        return tuple(part.copy() for part in self.parts(delta, kept))

    def _check_shapes(self, shapes: Sequence[Shape]) -> None:
        if not self.fit(shapes):
            raise ValueError(
                f"{self.label} expects inputs of one shape{self.exception}, got {shapes}"
            )


@register
class Add(Merge):
    """h = the sum of the inputs; each input gets delta.

    >>> layer = Add()
    >>> layer.forward(np.array([[1.0]]), np.array([[2.0]])), layer.backward(np.array([[5.0]]))
    (array([[3.]]), (array([[5.]]), array([[5.]])))
    """

    @override
    def merged(self, inputs: Sequence[Array]) -> Array:
        return reduce(np.add, inputs)

    @override
    def parts(self, delta: Array, kept: Sequence[Any]) -> Sequence[Array]:
        return [delta] * len(kept)


@register
class Average(Merge):
    """h = the mean of the n inputs; each input gets delta / n.

    >>> layer = Average()
    >>> layer.forward(np.array([[1.0]]), np.array([[2.0]])), layer.backward(np.array([[5.0]]))
    (array([[1.5]]), (array([[2.5]]), array([[2.5]])))
    """

    @override
    def merged(self, inputs: Sequence[Array]) -> Array:
        return reduce(np.add, inputs) / len(inputs)

    @override
    def parts(self, delta: Array, kept: Sequence[Any]) -> Sequence[Array]:
        return [delta / len(kept)] * len(kept)


@register
class Multiply(Merge):
    """h = the product of the inputs, element by element; an input gets delta times the others.

    >>> layer = Multiply()
    >>> layer.forward(np.array([[2.0]]), np.array([[3.0]])), layer.backward(np.array([[5.0]]))
    (array([[6.]]), (array([[15.]]), array([[10.]])))
    """

    @override
    def merged(self, inputs: Sequence[Array]) -> Array:
        return reduce(np.multiply, inputs)

    @override
    def kept(self, inputs: Sequence[Array]) -> Sequence[Array]:
        return inputs

    @override
    def parts(self, delta: Array, kept: Sequence[Any]) -> Sequence[Array]:
        others = ([x for j, x in enumerate(kept) if j != i] for i in range(len(kept)))
        return [reduce(np.multiply, inputs, delta) for inputs in others]


@register
class Concatenate(Merge):
    """h = the inputs side by side along the last axis; each gets its own part of delta.

    >>> layer = Concatenate()
    >>> layer.forward(np.array([[1.0, 2.0]]), np.array([[3.0]]))
    array([[1., 2., 3.]])
    >>> layer.backward(np.array([[5.0, 6.0, 7.0]]))
    (array([[5., 6.]]), array([[7.]]))
    """

    exception = ", except for the last axis"

    @override
    def fit(self, shapes: Sequence[Shape]) -> bool:
        return () not in shapes and len({shape[:-1] for shape in shapes}) == 1

    @override
    def merged_shape(self, shapes: Sequence[Shape]) -> Shape:
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    @override
    def merged(self, inputs: Sequence[Array]) -> Array:
        h: Array = np.concatenate(inputs, axis=-1)
        return h

    @override
    def parts(self, delta: Array, kept: Sequence[Any]) -> Sequence[Array]:
        widths = [shape[-1] for shape in kept]
        return np.split(delta, np.cumsum(widths)[:-1], axis=-1)


MERGES: Final[dict[str, Merge]] = {
    "add": Add(),
    "mean": Average(),
    "multiply": Multiply(),
    "concat": Concatenate(),
}
"""The merges by the name that options take."""
