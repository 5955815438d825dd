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
from minigrad.util.fields import option, options
from minigrad.util.options import check_bool
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
class Subtract(Merge):
    """h = the first input minus the second one, which get delta and -delta.

    >>> layer = Subtract()
    >>> layer.forward(np.array([[5.0]]), np.array([[2.0]])), layer.backward(np.array([[7.0]]))
    (array([[3.]]), (array([[7.]]), array([[-7.]])))
    """

    exception = ", and two of them"

    @override
    def fit(self, shapes: Sequence[Shape]) -> bool:
        return len(shapes) == 2 and super().fit(shapes)

    @override
    def merged(self, inputs: Sequence[Array]) -> Array:
        a, b = inputs
        return a - b

    @override
    def parts(self, delta: Array, kept: Sequence[Any]) -> Sequence[Array]:
        return [delta, -delta]


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


class Extremum(Merge):
    """The base of the largest and the smallest input, element by element: the first gets delta."""

    choose: ClassVar[np.ufunc]

    @override
    def merged(self, inputs: Sequence[Array]) -> Array:
        return reduce(self.choose, inputs)

    @override
    def kept(self, inputs: Sequence[Array]) -> Sequence[Any]:
        """Return for each input where it is the one that was taken."""
        h, free, taken = self.merged(inputs), np.ones(inputs[0].shape, bool), []
        for x in inputs:
            taken.append((x == h) & free)
            free = free & ~taken[-1]
        return taken

    @override
    def parts(self, delta: Array, kept: Sequence[Any]) -> Sequence[Array]:
        return [delta * hit for hit in kept]


@register
class Maximum(Extremum):
    """h = the largest of the inputs, element by element; it gets delta, of equal ones the first.

    >>> layer = Maximum()
    >>> layer.forward(np.array([[1.0, 4.0]]), np.array([[3.0, 2.0]]))
    array([[3., 4.]])
    >>> layer.backward(np.array([[5.0, 6.0]]))
    (array([[0., 6.]]), array([[5., 0.]]))
    """

    choose = np.maximum


@register
class Minimum(Extremum):
    """h = the smallest of the inputs, element by element; it gets delta, of equal ones the first.

    >>> layer = Minimum()
    >>> layer.forward(np.array([[1.0, 4.0]]), np.array([[3.0, 2.0]]))
    array([[1., 2.]])
    >>> layer.backward(np.array([[5.0, 6.0]]))
    (array([[5., 0.]]), array([[0., 6.]]))
    """

    choose = np.minimum


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


def check_axes_of_two(
    value: int | Sequence[int], name: str, owner: object
) -> int | tuple[int, ...]:
    """Return an axis for both inputs, or one for each; 0 is the batch."""
    axes = value if isinstance(value, (tuple, list)) else (value,)
    if len(axes) > 2 or not all(isinstance(n, int) and not isinstance(n, bool) for n in axes):
        raise TypeError(f"{type(owner).__name__} expects {name} as an int or 2 ints, got {value!r}")
    if 0 in axes:
        raise ValueError(f"{type(owner).__name__} expects {name} of a row, got the batch, 0")
    return value if isinstance(value, int) else tuple(value)


@register
@options
class Dot(Layer):
    """h = sum over an axis of a times b: the products of all vectors of a with all those of b.

    For two vectors this is their scalar product, of shape (batch, 1). For sequences of shapes
    (batch, t, d) and (batch, s, d) with axes=2 it is a matrix of shape (batch, t, s). With the axis
    last in both:

        h = a b^T;  dJ/da = delta b;  dJ/db = delta^T a

    In a graph `a @ b` is the matrix product, `Dot(axes=(-1, -2))(a, b)`.

    Raises:
        TypeError: `axes` isn't one or two integers.
        ValueError: when the layer is built, axes that the rows don't have, or of unequal lengths,
            or rows with more than two axes.

    >>> layer = Dot(axes=1)
    >>> layer.build(((2,), (2,)), np.random.default_rng(0))
    (1,)
    >>> layer.forward(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]))
    array([[11.]])
    >>> layer.backward(np.array([[10.0]]))
    (array([[30., 40.]]), array([[10., 20.]]))
    >>> layer.normalize = True
    >>> layer.forward(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])).round(4)
    array([[0.9839]])
    """

    axes: int | tuple[int, ...] = option(check_axes_of_two, kw_only=False)
    """The axis to sum over, counted with the batch as 0: for both, or for a and for b."""
    normalize: bool = option(check_bool, default=False)
    """Whether to divide the vectors by their lengths, which makes h their cosine."""

    @property
    def both_axes(self) -> tuple[int, int]:
        """The axis of a and that of b."""
        first, last = (self.axes,) * 2 if isinstance(self.axes, int) else self.axes
        return first, last

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        if len(input_shape) != 2 or not all(isinstance(shape, tuple) for shape in input_shape):
            raise ValueError(f"{self.label} expects 2 inputs, got {input_shape}")
        self.input_shape = input_shape
        (first, *others), (last, *more) = map(self._axis_first, input_shape, self.both_axes)
        if first is None or first != last:
            raise ValueError(
                f"{self.label} expects axes={self.axes} of equal, known lengths, got rows of shape "
                f"{input_shape[0]} and {input_shape[1]}"
            )
        return (*others, *more) or (1,)

    def _axis_first(self, shape: Shape, axis: int) -> list[Any]:
        """Return the length of the axis, and of the other one, of rows of this shape."""
        place = axis + len(shape) if axis < 0 else axis - 1
        if len(shape) not in (1, 2) or not 0 <= place < len(shape):
            raise ValueError(
                f"{self.label} expects rows with one or two axes that have axes={self.axes}, got "
                f"rows of shape {shape}"
            )
        return [shape[place], *shape[:place], *shape[place + 1 :]]

    @override
    def forward(self, a: Array, b: Array, *, training: bool = True) -> Array:
        u, v = (self._vectors(x, place) for place, x in enumerate((a, b)))
        lengths = (_lengths(u), _lengths(v)) if self.normalize else None
        if lengths:
            u, v = u / lengths[0], v / lengths[1]
        products = np.matmul(u, v.swapaxes(1, 2))
        ranks = zip(products.shape[1:], (a.ndim, b.ndim), strict=True)
        h: Array = products.reshape(len(a), *([n for n, rank in ranks if rank > 2] or [1]))
        if training:
            self.cache = u, v, lengths, h.shape
        return h

    @override
    def backward(self, delta: Array) -> tuple[Array, Array]:
        u, v, lengths, shape = self.cache
        self.check_delta(delta, shape)
        delta = delta.reshape(len(delta), u.shape[1], v.shape[1])
        back = np.matmul(delta, v), np.matmul(delta.swapaxes(1, 2), u)
        if lengths:
            triples = zip(back, (u, v), lengths, strict=True)
            back = tuple((d - w * (w * d).sum(axis=-1, keepdims=True)) / n for d, w, n in triples)
        return self._restored(back[0], 0), self._restored(back[1], 1)

    def _vectors(self, x: Array, place: int) -> Array:
        """Return the vectors of an input as the rows of matrices, (batch, vectors, length)."""
        assert self.input_shape is not None
        self.check_input(x, self.input_shape[place])
        return np.moveaxis(x, self.both_axes[place], -1) if x.ndim > 2 else x[:, np.newaxis]

    def _restored(self, vectors: Array, place: int) -> Array:
        """Return the array of which `_vectors` are these."""
        assert self.input_shape is not None
        one = len(self.input_shape[place]) == 1
        return vectors[:, 0] if one else np.moveaxis(vectors, -1, self.both_axes[place])


def _lengths(vectors: Array) -> Array:
    """Return the lengths of the vectors along the last axis; 1 of a zero vector."""
    lengths = np.sqrt((vectors * vectors).sum(axis=-1, keepdims=True))
    return np.where(lengths > 0, lengths, 1)


MERGES: Final[dict[str, Merge]] = {
    "add": Add(),
    "subtract": Subtract(),
    "mean": Average(),
    "multiply": Multiply(),
    "maximum": Maximum(),
    "minimum": Minimum(),
    "concat": Concatenate(),
}
"""The merges by the name that options take."""
