"""A container's layers: a list of them, each once, each with a name of its own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from minigrad.core.layer import Layer, walk
from minigrad.util.names import snake_case

T = TypeVar("T")


def name_layers(layers: Sequence[Layer], owner: str) -> None:
    """Name the layers that have no name by type and number, and refuse what can't live together.

    A layer of another model keeps its name, by which that one knows it, and files.

    Raises:
        TypeError: something isn't a `Layer`.
        ValueError: no layers, one layer object twice, one name twice, or a name with a dot.
    """
    if not layers:
        raise ValueError(f"{owner} needs at least one layer")
    for index, layer in enumerate[object](layers):
        if not isinstance(layer, Layer):
            hint = f": pass an object, {layer.__name__}(...)" if isinstance(layer, type) else ""
            raise TypeError(f"layers[{index}] of {owner} is {layer!r}, expected a Layer{hint}")
    _refuse_twice(layers, owner)
    taken: dict[str, Layer] = {}
    for layer in sorted(layers, key=lambda layer: not _is_settled(layer)):
        built = _is_settled(layer)
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


def _is_settled(layer: Layer) -> bool:
    """Tell whether a layer is built, and not a copy that no model holds."""
    built = layer.output_shape is not None
    return built and all(parameter.held for _, parameter in layer.named_parameters())


def _refuse_twice(layers: Sequence[Layer], owner: str) -> None:
    seen: set[int] = set()
    for layer in layers:
        for _, inner in walk(layer, layer.name):
            if id(inner) in seen:
                raise ValueError(
                    f"{inner.label} stands twice in {owner}, and its cache can hold one pass only: "
                    "make a second layer, and share the Parameter to share the weights, as in "
                    "Dense(units, weight=first.weight)"
                )
            seen.add(id(inner))
