"""What a layer holds: objects that are attributes, or lie in a list, tuple or dict that is one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def held(layer: object, kind: type[T]) -> Iterator[tuple[str, T]]:
    """Yield (name, object) for what a layer holds of a kind, in the order of its attributes."""
    for name, value in vars(layer).items():
        if isinstance(value, kind):
            yield name, value
        elif isinstance(value, (list, tuple, dict)):
            items: Iterable[tuple[Any, Any]]
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in items:
                if isinstance(item, kind):
                    yield f"{name}_{key}", item


def exchange(layer: object, old: object, new: object) -> None:
    """Put `new` wherever a layer holds `old`."""
    for name, value in list(vars(layer).items()):
        if value is old:
            setattr(layer, name, new)
        elif isinstance(value, dict):
            value.update({key: new for key, item in value.items() if item is old})
        elif isinstance(value, (list, tuple)) and any(item is old for item in value):
            items = [new if item is old else item for item in value]
            kind = type(value)
            setattr(layer, name, getattr(kind, "_make", kind)(items))  # `_make` of a NamedTuple
