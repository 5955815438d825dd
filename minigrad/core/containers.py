"""Layers one after another: each passes its output on, and its delta back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from inspect import signature
from typing import TypeVar, overload

from typing_extensions import Self, override

from minigrad.core.built import BuiltLayers
from minigrad.core.family import listed, name_layers
from minigrad.core.layer import Layer, connect, walk
from minigrad.core.ties import Ties
from minigrad.data.arrays import Array, Shape
from minigrad.util.config import register
from minigrad.util.names import nearest
from minigrad.util.random import RNG

R = TypeVar("R")


@register
class Chain(Layer):
    """Forward runs the layers in order, backward in the reverse order.

    `chain[0]` and `chain["dense_1"]` are layers, `chain["chain_1.dense_1"]` one further in, and
    `chain[:2]` is a chain of the first two, the same objects.

    Args:
        layers: the layers; those without a name get one, such as 'dense_1'. The list of them,
            `chain.layers`, may be changed until they are built.
        name: see `Layer`.

    Raises:
        TypeError: something isn't a `Layer`, or `layers` is changed after the build.
        ValueError: no layers, one of them twice, two of the same name, or a name with a dot.

    >>> from minigrad import Dense, Tanh
    >>> chain = Chain([Dense(3), Chain([Tanh(), Dense(1)])])
    >>> chain["chain_1.dense_1"]
    Dense(1, name='dense_1')
    >>> len(chain), len(chain[:1])
    (2, 1)
    """

    def __init__(self, layers: Sequence[Layer], *, name: str = "") -> None:
        super().__init__(name=name)
        self.layers = listed(layers, self.label)
        name_layers(self.layers, self.label)

    @property
    @override
    def children(self) -> list[Layer]:
        """The layers that it runs. Another layer that is an attribute is no part of it."""
        return list(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @overload
    def __getitem__(self, key: int | str) -> Layer: ...
    @overload
    def __getitem__(self, key: slice) -> Self: ...
    def __getitem__(self, key: int | str | slice) -> Layer:
        """Return the layer at an index or a path, or a chain of a slice's layers.

        Raises:
            IndexError: fewer layers.
            KeyError: no layer of that name.
        """
        if isinstance(key, slice):
            return self._part(self.layers[key])
        if isinstance(key, str):
            known = {path: layer for path, layer in walk(self) if path}
            if key not in known:
                raise KeyError(f"{self.label} has no layer '{key}': {nearest(key, known)}")
            return known[key]
        if not -len(self) <= key < len(self):
            raise IndexError(f"{self.label} has {len(self)} layers, got index {key}")
        return self.layers[key]

    def _part(self, layers: list[Layer]) -> Self:
        return self._made_as(Chain)(layers)

    def _made_as(self, base: type[Chain]) -> type[Self]:
        """Return the class of this object, or the first above it that takes `base`'s arguments."""
        arguments = signature(base).parameters.keys()
        classes = (
            cls for cls in type(self).__mro__ if signature(cls).parameters.keys() == arguments
        )
        return next(classes)

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        name_layers(self.layers, self.label)
        shape = input_shape
        for layer in self.layers:
            shape = connect(layer, shape, rng)
        self.layers = BuiltLayers(self.layers)
        self.tie()
        return shape

    @override
    def tie(self) -> None:
        ties = Ties(self.layers)
        self._ties = ties if ties else None

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        for layer in self.layers:
            x = layer.forward(x, training=training)
        if training:
            self.cache = x.shape
        return x

    @override
    def backward(self, delta: Array) -> Array:
        input_delta = self._down_to(self.layers[0].backward, delta)
        if input_delta is None:
            raise _no_delta(self.layers[0])
        return input_delta

    @override
    def backward_parameters(self, delta: Array) -> None:
        self._down_to(self.layers[0].backward_parameters, delta)

    def _down_to(self, first: Callable[[Array], R], delta: Array) -> R:
        """Send delta back through all layers but the first, and then through `first`."""
        self.check_delta(delta, self.cache)
        ties = self._ties
        if ties is not None:
            ties.start()
        for layer in self.layers[:0:-1]:
            delta = layer.backward(delta)
            if delta is None:
                raise _no_delta(layer)
            if ties is not None:
                ties.read(layer)
        result = first(delta)
        if ties is not None:
            ties.read(self.layers[0])
            ties.assign()
        return result


def _no_delta(layer: Layer) -> TypeError:
    return TypeError(f"backward of {layer.label} returned None: return dJ/dinput")
