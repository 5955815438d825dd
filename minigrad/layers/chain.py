"""Layers one after another: each passes its output on, and its delta back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from typing_extensions import override

from minigrad.arrays import Array, Shape
from minigrad.layers.base import Layer, connect
from minigrad.layers.family import Ties, name_layers
from minigrad.rng import RNG

R = TypeVar("R")


class Chain(Layer):
    """Forward runs the layers in order, backward in the reverse order.

    Args:
        layers: the layers; those without a name get one, such as 'dense_1'.
        name: see `Layer`.

    Raises:
        TypeError: something isn't a `Layer`.
        ValueError: no layers, one of them twice, or two of the same name.
    """

    def __init__(self, layers: Sequence[Layer], *, name: str = "") -> None:
        super().__init__(name=name)
        self.layers = list(layers)
        name_layers(self.layers, self.label)

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        shape = input_shape
        for layer in self.layers:
            shape = connect(layer, shape, rng)
        self._ties = Ties(self.layers)
        return shape

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        for layer in self.layers:
            x = layer.forward(x, training=training)
        if training:
            self.cache = x.shape
        return x

    @override
    def backward(self, delta: Array) -> Array:
        return self._down_to(self.layers[0].backward, delta)

    @override
    def backward_parameters(self, delta: Array) -> None:
        self._down_to(self.layers[0].backward_parameters, delta)

    def _down_to(self, first: Callable[[Array], R], delta: Array) -> R:
        """Send delta back through all layers but the first, and then through `first`."""
        if delta.shape != self.cache:
            raise ValueError(
                f"{self.label} expects delta of its output's shape {self.cache}, got {delta.shape}"
            )
        ties = self._ties
        for layer in self.layers[:0:-1]:
            delta = layer.backward(delta)
            if ties:
                ties.read(layer)
        result = first(delta)
        if ties:
            ties.read(self.layers[0])
            ties.assign()
        return result
