"""Padding and cropping: each axis with zeros at its ends, or without its ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape
from minigrad.layers.windows import check_axes, crop, pad
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import check_ints
from minigrad.util.random import RNG

Ends: TypeAlias = "int | Sequence[int] | Sequence[Sequence[int]]"
"""How much there is at the ends: a number for all ends; for one axis two numbers, before and after;
for two axes a number for each, or two numbers for each."""


def check_ends(value: Any, name: str, owner: Any) -> Any:
    """Return how much there is at the ends of a layer's axes, in one of the forms of `Ends`."""
    pairs = isinstance(value, (tuple, list)) and any(isinstance(n, (tuple, list)) for n in value)
    if not pairs or len(value) != owner.axes:
        return check_ints(value, name, owner, count=2, least=0)
    return tuple(check_ints(pair, name, owner, count=2, least=0) for pair in value)


def ends_of(value: Any, axes: int) -> tuple[tuple[int, int], ...]:
    """Return the numbers before and after each axis."""
    if isinstance(value, int):
        return ((value, value),) * axes
    if axes == 1 and not isinstance(value[0], tuple):
        return (tuple(value),)
    return tuple((n, n) if isinstance(n, int) else n for n in value)


class Ended(Layer):
    """The base of padding and cropping, for x of shape (batch, height, width, channels).

    Or (batch, steps, channels), where the number of steps may vary (None).
    """

    axes: ClassVar[int]
    """The number of axes before the channels."""

    @property
    def ends(self) -> tuple[tuple[int, int], ...]:
        """The numbers before and after each axis; of a cropped axis they are negative."""
        raise NotImplementedError(f"{self.label} must define ends")

    @property
    def _pads(self) -> list[tuple[int, int]]:
        """The numbers of each axis of an array, as `pad` and `crop` take them."""
        return [(0, 0), *((abs(first), abs(last)) for first, last in self.ends), (0, 0)]

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        lengths, channels = check_axes(self, input_shape, self.axes)
        self.input_shape = input_shape
        return (*self.output_lengths(lengths), channels)

    def output_lengths(self, lengths: Shape) -> Shape:
        """Return the lengths of the output's axes without batch and channels."""
        pairs = zip(lengths, self.ends, strict=True)
        outputs = tuple(None if n is None else n + sum(ends) for n, ends in pairs)
        if any(n is not None and n < 1 for n in outputs):
            raise ValueError(
                f"{self.label} expects an input of more than {[-sum(e) for e in self.ends]} along "
                f"its axes, got {lengths}: crop less"
            )
        return outputs


@options
class ZeroPadding(Ended):
    """The base of layers that put zeros around x; backward, delta without its ends."""

    padding: Ends = option(check_ends, default=1, kw_only=False)
    """How many zeros: an int for all ends, two ints for height and width, or
    ((top, bottom), (left, right)); for steps an int or (before, after)."""

    @property
    @override
    def ends(self) -> tuple[tuple[int, int], ...]:
        return ends_of(self.padding, self.axes)

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        self.check_input(x)
        h = pad(x, self._pads)
        if training:
            self.cache = h.shape
        return h

    @override
    def backward(self, delta: Array) -> Array:
        self.check_delta(delta, self.cache)
        return crop(delta, self._pads).copy()


@register
class ZeroPadding2D(ZeroPadding):
    """h = x with zeros around height and width; backward, delta without these ends.

    `Conv2D(padding=...)` pads as well; this layer can pad each end differently.

    Raises:
        TypeError, ValueError: `padding` isn't made of numbers of at least 0; when the layer is
            built, an input of another rank.

    >>> import numpy as np
    >>> layer = ZeroPadding2D(((0, 0), (1, 2)))
    >>> layer.build((1, 1, 1), np.random.default_rng(0))
    (1, 4, 1)
    >>> layer.forward(np.full((1, 1, 1, 1), 7.0)).ravel()
    array([0., 7., 0., 0.])
    """

    axes = 2


@register
class ZeroPadding1D(ZeroPadding):
    """h = x with zeros before and after its steps; backward, delta without them.

    >>> import numpy as np
    >>> layer = ZeroPadding1D((2, 0))
    >>> layer.build((None, 1), np.random.default_rng(0))
    (None, 1)
    >>> layer.forward(np.array([[[7.0], [8.0]]])).ravel()
    array([0., 0., 7., 8.])
    """

    axes = 1


@options
class Cropping(Ended):
    """The base of layers that cut off the ends of x; backward, zeros are put around delta."""

    cropping: Ends = option(check_ends, kw_only=False)
    """How much: an int for all ends, two ints for height and width, or
    ((top, bottom), (left, right)); for steps an int or (before, after)."""

    @property
    @override
    def ends(self) -> tuple[tuple[int, int], ...]:
        return tuple((-first, -last) for first, last in ends_of(self.cropping, self.axes))

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        self.check_input(x)
        self.output_lengths(x.shape[1:-1])  # of a length that varies, enough must be left
        h = crop(x, self._pads).copy()
        if training:
            self.cache = h.shape
        return h

    @override
    def backward(self, delta: Array) -> Array:
        self.check_delta(delta, self.cache)
        return pad(delta, self._pads)


@register
class Cropping2D(Cropping):
    """h = x without the ends of height and width; backward, delta with zeros around it.

    Raises:
        TypeError, ValueError: `cropping` isn't made of numbers of at least 0; when the layer is
            built, an input of another rank, or of which nothing is left.

    >>> import numpy as np
    >>> layer = Cropping2D(((0, 0), (1, 2)))
    >>> layer.build((1, 4, 1), np.random.default_rng(0))
    (1, 1, 1)
    >>> layer.forward(np.array([0.0, 7.0, 8.0, 9.0]).reshape(1, 1, 4, 1)).ravel()
    array([7.])
    """

    axes = 2


@register
class Cropping1D(Cropping):
    """h = x without its first and last steps; backward, delta with zeros before and after it.

    >>> import numpy as np
    >>> layer = Cropping1D((0, 1))
    >>> layer.build((None, 1), np.random.default_rng(0))
    (None, 1)
    >>> layer.forward(np.array([[[7.0], [8.0]]])).ravel()
    array([7.])
    """

    axes = 1
