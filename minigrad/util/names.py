"""Names of layers and types in messages, and doors to the suggestions for unknown names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NoReturn

from minigrad.util.spelling import snake_case


def is_default_name(name: str, kind: str) -> bool:
    """Tell whether a container gives such a name to a layer of this class: 'dense', 'dense_1'."""
    return re.fullmatch(rf"{re.escape(snake_case(kind))}(_\d+)?", name) is not None


def check_name(name: str, option: str, owner: object) -> str:
    """Return a name, which must be text."""
    if not isinstance(name, str):
        raise TypeError(f"{type(owner).__name__} expects {option} as text, got {name!r}")
    return name


def join(path: str, name: str) -> str:
    """Return the path of `name` inside the layer at `path`; the model's own path is empty."""
    return f"{path}.{name}" if path else name


def with_article(noun: str) -> str:
    """Put "a" or "an" before the name of a type, such as "an ndarray"."""
    return f"{'an' if noun == 'ndarray' or noun[0].upper() in 'AEIO' else 'a'} {noun}"


def kind_of(value: object) -> str:
    """Return the type of a value with its article, such as "an int"."""
    return with_article(type(value).__name__)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: a guess, and the known names."""
    from minigrad.util.lookup import nearest

    return nearest(name, known)


def missing(thing: Any, name: str) -> NoReturn:
    """Explain that an object has no such attribute: the `__getattr__` of a class."""
    from minigrad.util.lookup import hint

    way = "" if name.startswith("_") else hint(thing, name)
    kind = type(thing).__name__
    raise AttributeError(f"{kind} has no attribute '{name}'{way}", name=name, obj=thing)
