"""What layers in one container owe each other: names, and gradients of what they share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from minigrad.arrays import Array
from minigrad.layers.base import Layer
from minigrad.names import snake_case
from minigrad.parameters import Parameter

T = TypeVar("T")


def name_layers(layers: Sequence[Layer], owner: str) -> None:
    """Name the layers that have no name by type and number, and refuse what can't live together.

    A layer that is built keeps its name, by which other models know it, and files.

    Raises:
        TypeError: something isn't a `Layer`.
        ValueError: no layers, one layer object twice, or one name twice.
    """
    if not layers:
        raise ValueError(f"{owner} needs at least one layer")
    for index, layer in enumerate[object](layers):
        if not isinstance(layer, Layer):
            hint = f": pass an object, {layer.__name__}(...)" if isinstance(layer, type) else ""
            raise TypeError(f"layers[{index}] of {owner} is {layer!r}, expected a Layer{hint}")
    _refuse_twice(layers, owner)
    taken: dict[str, Layer] = {}
    for layer in sorted(layers, key=lambda layer: layer.output_shape is None):
        built = layer.output_shape is not None
        if layer.name and (layer.name not in taken or built or not has_default_name(layer)):
            if layer.name in taken:
                way = (
                    ", and both are built: give one another, layer.name = '...', or nest the "
                    "models that they are from"
                    if built
                    else ": give each its own name="
                )
                raise ValueError(f"two layers of {owner} are named '{layer.name}'{way}")
            if "." in layer.name:
                raise ValueError(f"the name '{layer.name}' has a dot, which paths are made of")
            taken[layer.name] = layer
    numbers: Counter[str] = Counter()
    for layer in layers:
        if taken.get(layer.name) is layer:
            continue
        kind = snake_case(type(layer).__name__)
        while not layer.name or layer.name in taken:
            numbers[kind] += 1
            layer.name = f"{kind}_{numbers[kind]}"
        taken[layer.name] = layer


def listed(layers: Iterable[T], owner: str) -> list[T]:
    """Return what a container was given as a list.

    Raises:
        TypeError: a single layer.
    """
    if not isinstance(layers, Iterable):
        raise TypeError(f"{owner} expects a list of layers, got {layers!r}: pass a list, [...]")
    return list(layers)


def has_default_name(layer: Layer) -> bool:
    """Tell whether a layer's name is its type and a number, as `name_layers` gives it."""
    kind = re.escape(snake_case(type(layer).__name__))
    return re.fullmatch(rf"{kind}(_\d+)?", layer.name) is not None


class Ties:
    """Adds the gradients that several children of a container assign to a parameter they share.

    Each child assigns; the container reads after each, and assigns the sum.
    """

    def __init__(self, children: Sequence[Layer]) -> None:
        held = [{id(p): p for _, p in child.named_parameters()} for child in children]
        count = Counter(key for parameters in held for key in parameters)
        self._shared = [
            (child, [p for key, p in parameters.items() if count[key] > 1])
            for child, parameters in zip(children, held, strict=True)
        ]
        self._any = any(shared for _, shared in self._shared)
        self._sums: list[tuple[Parameter, Array]] = []

    def __bool__(self) -> bool:
        return self._any

    def start(self) -> None:
        """Forget what was read before, as by a backward that an error cut short."""
        self._sums.clear()

    def read(self, child: Layer) -> None:
        """Add what `child` has just assigned."""
        for holder, shared in self._shared:
            if holder is not child:
                continue
            for parameter in shared:
                self._add(parameter)

    def assign(self) -> None:
        """Give each shared parameter the sum."""
        for parameter, total in self._sums:
            parameter.grad = total

    def _add(self, parameter: Parameter) -> None:
        for held, total in self._sums:
            if held is parameter:
                total += parameter.grad
                return
        self._sums.append((parameter, parameter.grad.copy()))


def _refuse_twice(layers: Sequence[Layer], owner: str) -> None:
    seen: set[int] = set()
    for layer in layers:
        for _, inner in layer.walk(layer.name):
            if id(inner) in seen:
                raise ValueError(
                    f"{inner.label} stands twice in {owner}, and its cache can hold one pass only: "
                    "make a second layer, and share the Parameter to share the weights, as in "
                    "Dense(units, weight=first.weight)"
                )
            seen.add(id(inner))
