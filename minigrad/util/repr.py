"""An object as the code that makes it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import numpy as np

from minigrad.util.config import Configurable, registered
from minigrad.util.names import snake_case

_WIDTH = 88
_LARGEST_ARRAY = 100
_OF_THE_OUTERMOST = ("input_shape=", "dtype=")
"""What a model inside another takes from that one."""

Node: TypeAlias = "str | tuple[str, list[tuple[str, Node]], str]"
"""Text, or what opens, what stands inside (each after a text such as 'units='), what closes."""


def code(value: Configurable) -> str:
    """Write an object, and the objects it holds, as Python; over several lines where it's long.

    Arguments that have their default values are left out, and so are the names that layers would
    get anew; an `activation` is a name where that means the same. An array of over 100 numbers is
    only described.

    >>> from minigrad import Dense, Sequential, Sigmoid
    >>> print(code(Sequential([Dense(3, activation="tanh"), Sigmoid()], input_shape=(2,))))
    Sequential([Dense(3, activation='tanh'), Sigmoid()], input_shape=(2,))
    """
    return _spread(_object(value), 0)


def _flat(node: Node) -> str:
    """Write a node on one line."""
    if isinstance(node, str):
        return node
    opening, items, closing = node
    return opening + ", ".join(before + _flat(item) for before, item in items) + closing


def _spread(node: Node, column: int, indent: int = 0) -> str:
    """Write a node that begins at `column` on one line if it fits, else an item a line."""
    flat = _flat(node)
    if isinstance(node, str) or column + len(flat) <= _WIDTH:
        return flat
    opening, items, closing = node
    inner = indent + 4
    lines = [
        f"{' ' * inner}{before}{_spread(item, inner + len(before) + 1, inner)}"
        for before, item in items
    ]
    return "\n".join([opening, ",\n".join(lines) + ",", " " * indent + closing])


def _node(value: Any, names: Collection[str] = ()) -> Node:
    """Describe a value; `names` are those that its place gives it by itself."""
    if isinstance(value, Configurable):
        return _object(value, names, nested=True)
    if isinstance(value, (list, tuple)):
        numbers: Counter[str] = Counter()
        items = [("", _node(item, _next_name(item, numbers))) for item in value]
        if isinstance(value, list):
            return "[", items, "]"
        return "(", items, ",)" if len(items) == 1 else ")"
    if isinstance(value, Mapping):
        return "{", [(f"{key!r}: ", _node(item)) for key, item in value.items()], "}"
    if isinstance(value, np.ndarray):
        if value.size > _LARGEST_ARRAY:
            return f"<array of shape {value.shape}, {value.dtype}>"
        dtype = "" if value.dtype == np.float64 else f", dtype='{value.dtype}'"
        return f"np.array({value.tolist()}{dtype})"
    return repr(value.item() if isinstance(value, np.generic) else value)


def _object(value: Configurable, names: Collection[str] = (), *, nested: bool = False) -> Node:
    items: list[tuple[str, Node]] = []
    try:
        arguments = value.repr_arguments()
    except TypeError:  # a layer of someone's own that doesn't keep its arguments
        return f"<{type(value).__name__}>"
    for before, argument in arguments:
        if (before == "name=" and argument in names) or (nested and before in _OF_THE_OUTERMOST):
            continue
        kind = snake_case(type(argument).__name__)
        node = _node(argument, (kind, f"{kind}_1"))
        if before == "activation=" and isinstance(argument, Configurable):
            node = _shorthand(argument, node)
        items.append((before, node))
    return f"{type(value).__name__}(", items, ")"


def _shorthand(activation: Configurable, node: Node) -> Node:
    """Write an activation that has no arguments as its name."""
    cls = type(activation)
    plain = _flat(node) == f"{cls.__name__}()" and registered(cls).get(cls.__name__) is cls
    return repr(snake_case(cls.__name__)) if plain else node


def _next_name(value: object, numbers: Counter[str]) -> tuple[str, ...]:
    """Return the name that a layer without one would get in its container, and count it."""
    kind = snake_case(type(value).__name__)
    name = f"{kind}_{numbers[kind] + 1}"
    numbers[kind] += getattr(value, "name", "") in ("", name)
    return (name,)
