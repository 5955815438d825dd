"""Shared parameters: several layers hold one value, each with the gradient of its own use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array
from minigrad.regularizers import Regularizer


class Shared(Parameter):
    """One use of a parameter that several layers hold: the value of `source`, and its own gradient.

    A model puts one into each of these layers, and adds up their gradients in that of the source.
    """

    def __init__(self, source: Parameter) -> None:
        self._source = source
        self._grad = source.grad.copy()
        self.name = source.name

    @property
    @override
    def source(self) -> Parameter:
        return self._source

    @property
    def _value(self) -> Array:  # type: ignore[override]
        return self._source.value

    @property
    def regularizer(self) -> Regularizer | None:
        """The regularizer of the source."""
        return self._source.regularizer

    @regularizer.setter
    def regularizer(self, new: Regularizer | None) -> None:
        self._source.regularizer = new

    @override
    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__


def replace(layer: object, old: object, new: object) -> None:
    """Put `new` wherever `find` sees `old`."""
    for name, value in list(vars(layer).items()):
        if value is old:
            setattr(layer, name, new)
        elif isinstance(value, dict):
            value.update({key: new for key, item in value.items() if item is old})
        elif isinstance(value, (list, tuple)) and any(item is old for item in value):
            items = [new if item is old else item for item in value]
            kind = type(value)
            setattr(layer, name, getattr(kind, "_make", kind)(items))  # `_make` of a NamedTuple


def first_paths(model: Layer) -> dict[str, str]:
    """Return the first path of each shared parameter, by its other paths."""
    first: dict[int, str] = {}
    paths = {path: first.setdefault(id(p.source), path) for path, p in model.named_parameters()}
    return {path: earlier for path, earlier in paths.items() if path != earlier}


def separate_uses(layers: Iterable[Layer]) -> None:
    """Replace a parameter by a `Shared` in each of several layers that hold it."""
    holders: dict[Parameter, list[tuple[Layer, Parameter]]] = {}
    for layer in layers:
        for p in dict.fromkeys(p for _, p in layer.own_parameters()):
            holders.setdefault(p.source, []).append((layer, p))
    for source, uses in holders.items():
        taken = {source}
        for layer, p in uses if len(uses) > 1 else ():
            if p in taken:  # the source itself, or the use of an earlier layer
                replace(layer, p, p := Shared(source))
                if all(own is not p for _, own in layer.own_parameters()):
                    raise ValueError(
                        f"{layer.label} shares a parameter that isn't one of its attributes: "
                        "store it as an attribute, or in a list or dict that is one"
                    )
            taken.add(p)
