"""A chain: layers one after another, each with a name and a place of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.core.layer import Layer, build_once, walk
from minigrad.data.arrays import Array, Shape
from minigrad.util.config import register, registered
from minigrad.util.frozen import FrozenList
from minigrad.util.names import is_default_name, nearest
from minigrad.util.random import RNG
from minigrad.util.spelling import snake_case


@register
class Chain(Layer):
    """Layers one after another: forward in order, backward in reverse order.

    `chain[0]` and `chain["dense_1"]` are layers, `chain["chain_1.dense_1"]` is one further in, and
    `chain[:2]` is a chain of the first two, the same objects.

    Args:
        layers: the layers; those without a name get one, such as 'dense_1'. The list
            `chain.layers` may be changed until the chain is built.
        name: see `Layer`.

    >>> from minigrad import Dense, Tanh
    >>> chain = Chain([Dense(3), Chain([Tanh(), Dense(1)])])
    >>> chain["chain_1.dense_1"]
    Dense(1, name='dense_1')
    >>> len(chain), len(chain[:1])
    (2, 1)
    """

    transparent = True

    def __init__(self, layers: Iterable[Layer], *, name: str = "") -> None:
        super().__init__(name=name)
        self.layers: list[Layer] = as_list(layers, self.label)
        name_layers(self.layers, self.label)

    @property
    @override
    def children(self) -> list[Layer]:
        """The layers of the chain. A layer that is another attribute isn't part of it."""
        return list(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __getitem__(self, key: int | str | slice) -> Any:
        """Return the layer at an index or a path, or a chain of a slice's layers."""
        return Chain(self.layers[key]) if isinstance(key, slice) else layer_at(self, key)

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        name_layers(self.layers, self.label)
        shape = input_shape
        for layer in self.layers:
            shape = build_once(layer, shape, rng)
            if layer.gives_mask and layer is not self.layers[-1]:
                raise ValueError(
                    f"a chain such as Sequential has no masks, got {layer.label}: call the layers "
                    "on an Input, as in LSTM(8)(h, mask), and make a Model"
                )
        self.layers = FrozenList(self.layers)
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
        self.check_delta(delta, self.cache)
        return self._backward_through(self.layers[::-1], delta)

    @override
    def backward_parameters(self, delta: Array) -> None:
        self.check_delta(delta, self.cache)
        delta = self._backward_through(self.layers[:0:-1], delta)
        self.layers[0].backward_parameters(delta)

    @override
    def cast(self, x: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        return self.layers[0].cast(x, dtype)

    @override
    def check_rows(self, x: Any, input_shape: Shape | None) -> Shape:
        return self.layers[0].check_rows(x, input_shape)

    @override
    def check_output(self, output: Array, rows: int) -> None:
        self.layers[-1].check_output(output, rows)

    def _backward_through(self, layers: Sequence[Layer], delta: Array) -> Array:
        for layer in layers:
            delta = layer.backward(delta)
            if delta is None:
                raise TypeError(f"backward of {layer.label} returned None: return dJ/dinput")
        return delta


def as_list(layers: Iterable[Any], owner: str) -> list[Any]:
    """Return the layers given to a container as a list, and refuse a single one."""
    if not isinstance(layers, Iterable) or getattr(layers, "shape", None) == ():
        raise TypeError(f"{owner} expects a list of layers, got {layers!r}: pass a list, [...]")
    return list(layers)


def layer_at(layer: Layer, key: int | str) -> Layer:
    """Return the sublayer at an index or a path."""
    if isinstance(key, str):
        known = {path: inner for path, inner in walk(layer) if path}
        if key not in known:
            raise KeyError(f"{layer.label} has no layer '{key}': {nearest(key, known)}")
        return known[key]
    layers = layer.children
    if not -len(layers) <= key < len(layers):
        raise IndexError(f"{layer.label} has {len(layers)} layers, got index {key}")
    return layers[key]


def name_layers(layers: Sequence[Layer], owner: str) -> None:
    """Name the layers that have no name by type and number, and check that all fit together.

    A layer that is built keeps its name, since paths and files refer to it.

    Raises:
        TypeError: an item that isn't a `Layer`.
        ValueError: no layers, the same layer twice, the same name twice, or a name with a dot.
    """
    if not layers:
        raise ValueError(f"{owner} needs at least one layer: pass a list of layers")
    for index, layer in enumerate[object](layers):
        if not isinstance(layer, Layer):
            from minigrad.util.lookup import instead

            way = instead("layers", layer, registered(Layer).values()) or "pass an object"
            raise TypeError(f"{owner} expects a Layer as layers[{index}], got {layer!r}: {way}")
    _refuse_repeated(layers, owner)
    taken: dict[str, Layer] = {}
    for layer in sorted(layers, key=lambda layer: not _is_settled(layer)):
        settled = _is_settled(layer)
        default = is_default_name(layer.name, type(layer).__name__)
        if "." in layer.name:
            raise ValueError(f"the name '{layer.name}' has a dot, which separates names in paths")
        first = taken.setdefault(layer.name, layer) if layer.name else layer
        if first is not layer and (settled or not default):
            way = "both are built, rename one" if settled else "give each its own name="
            raise ValueError(f"two layers of {owner} are named '{layer.name}': {way}")
    numbers: Counter[str] = Counter()
    for layer in layers:
        kind = snake_case(type(layer).__name__)
        while not layer.name or taken.setdefault(layer.name, layer) is not layer:
            numbers[kind] += 1
            layer.name = f"{kind}_{numbers[kind]}"


def _refuse_repeated(layers: Sequence[Layer], owner: str) -> None:
    seen: set[int] = set()
    for layer in layers:
        for _, inner in walk(layer, layer.name):
            if id(inner) in seen:
                raise ValueError(
                    f"{inner.label} is twice in {owner}, and its cache holds one pass only: "
                    "make a second layer that shares the Parameter, as in "
                    "Dense(units, weight=first.weight)"
                )
            seen.add(id(inner))


def _is_settled(layer: Layer) -> bool:
    """Whether a layer is built, and all its parameters lie in a vector."""
    return layer.output_shape is not None and all(
        p.source.vectors is not None for _, p in layer.named_parameters()
    )
