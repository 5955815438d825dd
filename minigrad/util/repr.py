"""The Python code that creates an object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import numpy as np

from minigrad.util.config import Configurable, registered
from minigrad.util.spelling import snake_case

_WIDTH = 88
_LARGEST_ARRAY = 100
_OUTERMOST_ONLY = ("input_shape=", "dtype=")  # an inner model takes them from the outer one

# Text, or (opening bracket, [(prefix such as 'units=', item)], closing bracket).
Node: TypeAlias = "str | tuple[str, list[tuple[str, Node]], str]"


def pretty(value: Configurable) -> str:
    """Return the Python code that creates an object, on several lines if it is long.

    Leaves out arguments that equal their defaults, and names that a container gives by itself.
    Shows an activation without arguments as its name, and describes an array of over 100 numbers.
    """
    return _layout(_call(value), column=0, indent=0)


def _flat(node: Node) -> str:
    if isinstance(node, str):
        return node
    opening, items, closing = node
    return opening + ", ".join(prefix + _flat(item) for prefix, item in items) + closing


def _layout(node: Node, column: int, indent: int) -> str:
    """Return a node that starts at `column`: on one line if it fits, else one line per item."""
    flat = _flat(node)
    if isinstance(node, str) or column + len(flat) <= _WIDTH:
        return flat
    opening, items, closing = node
    inner = indent + 4
    lines = [f"{' ' * inner}{p}{_layout(item, inner + len(p) + 1, inner)}," for p, item in items]
    return "\n".join([opening, *lines, " " * indent + closing])


def _node(value: Any, default_names: Collection[str] = ()) -> Node:
    """Return the node of a value; `default_names` are left out as its name."""
    if isinstance(value, Configurable):
        return _call(value, default_names, nested=True)
    if isinstance(value, (list, tuple)):
        counts: Counter[str] = Counter()
        items = []
        for item in value:
            kind = snake_case(type(item).__name__)
            name = f"{kind}_{counts[kind] + 1}"  # the name that a container gives this layer
            counts[kind] += getattr(item, "name", "") in ("", name)
            items.append(("", _node(item, (name, *default_names))))
        if isinstance(value, list):
            return "[", items, "]"
        return "(", items, ",)" if len(items) == 1 else ")"
    if isinstance(value, Mapping):
        return "{", [(f"{key!r}: ", _node(item, (key,))) for key, item in value.items()], "}"
    if isinstance(value, np.ndarray):
        if value.size > _LARGEST_ARRAY:
            return f"<array of shape {value.shape}, {value.dtype}>"
        dtype = "" if value.dtype == np.float64 else f", dtype='{value.dtype}'"
        return f"np.array({value.tolist()}{dtype})"
    return repr(value.item() if isinstance(value, np.generic) else value)


def _call(value: Configurable, default_names: Collection[str] = (), nested: bool = False) -> Node:
    try:
        arguments = value.repr_arguments()
    except TypeError:  # a custom class that doesn't store its arguments
        return f"<{type(value).__name__}>"
    items: list[tuple[str, Node]] = []
    for prefix, argument in arguments:
        default_name = prefix == "name=" and argument in default_names
        if default_name or (nested and prefix in _OUTERMOST_ONLY):
            continue
        cls = type(argument)
        name = snake_case(cls.__name__)
        node = _node(argument, (name, f"{name}_1"))
        is_plain = _flat(node) == f"{cls.__name__}()"
        if prefix == "activation=" and is_plain and registered(cls).get(cls.__name__) is cls:
            node = repr(name)
        items.append((prefix, node))
    return f"{type(value).__name__}(", items, ")"
