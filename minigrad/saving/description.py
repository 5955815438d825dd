"""An object becomes what JSON can hold, its class's name and its options, and an object again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.util.config import Configurable, registered, same_class
from minigrad.util.names import guess, kind_of


def to_config(value: Any, where: str, arrays: dict[str, NDArray[Any]] | None = None) -> Any:
    """Turn an option into what JSON can hold.

    Args:
        value: a number, a string, an object with `get_config`, a function, or a list, tuple or
            dict of these; of a function only the name is kept.
        where: what messages call it.
        arrays: takes the arrays, for a file that holds them beside the JSON; without it they
            are refused.

    Raises:
        TypeError: it is nothing that a file can hold, or nothing that `from_config` could make
            again: its arguments aren't those of `get_config`, or its class is not the one that
            is registered under its name.

    >>> to_config((2, 3), "Reshape")
    [2, 3]
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and arrays is not None:
        name = f"array.{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, Configurable):
        name = type(value).__name__
        options = _checked_config(value)
        config = {key: to_config(v, f"{name}({key}=...)", arrays) for key, v in options.items()}
        return {"class": name, "config": config}
    if isinstance(value, (list, tuple)):
        return [to_config(item, where, arrays) for item in value]
    if isinstance(value, Mapping):
        pairs = value.items()
        return {
            "items": [[to_config(k, where, arrays), to_config(v, where, arrays)] for k, v in pairs]
        }
    if inspect.isroutine(value):
        return {"function": value.__name__}
    raise TypeError(
        f"{where} is {kind_of(value)}, which a file can't hold: "
        "use a number, a string, an array, a function, or an object with get_config"
    )


def make(cls: type[Configurable], options: Mapping[str, Any]) -> Configurable:
    """Make an object of a class from its configuration."""
    return cls(**options)


def from_config(
    config: Any,
    custom_objects: Mapping[str, Callable[..., Any]] | None = None,
    arrays: dict[str, NDArray[Any]] | None = None,
    *,
    make: Callable[[type[Configurable], Mapping[str, Any]], Configurable] = make,
) -> Any:
    """Make the object again that `to_config` described, from registered classes alone.

    Args:
        config: the description; nothing in it is imported or run.
        custom_objects: classes that aren't registered, and functions, by their names. Of the
            classes, only those that are `Configurable` are made; a function is handed on, and
            never called.
        arrays: the arrays that `to_config` set aside; those that are used are taken out.
        make: makes each object, from its class and configuration.

    Raises:
        ValueError: a class or function is not known, a class isn't `Configurable`, or the
            description has no such form.

    >>> from minigrad import Tanh
    >>> from_config({"class": "Tanh", "config": {}})
    Tanh()
    """

    def inner(config: Any) -> Any:
        return from_config(config, custom_objects, arrays, make=make)

    if isinstance(config, list):
        return [inner(item) for item in config]
    if not isinstance(config, dict):
        return config
    custom = custom_objects or {}
    if config.keys() == {"array"}:
        if arrays is None or config["array"] not in arrays:
            raise ValueError(f"the array {config['array']!r} is missing, or used twice")
        return arrays.pop(config["array"])
    if config.keys() == {"items"}:
        return dict(inner(config["items"]))
    if config.keys() == {"function"}:
        return _known(config["function"], custom, "function")
    if config.keys() != {"class", "config"}:
        raise ValueError(f"expected a description with 'class' and 'config', got {sorted(config)}")
    name = config["class"]
    cls = _known(name, {**registered(Configurable), **custom}, "class")
    # A file chooses the name and the arguments: of a function they could do anything.
    if not (isinstance(cls, type) and issubclass(cls, Configurable)):
        raise ValueError(
            f"custom_objects['{name}'] can't be made from a description: expected a subclass of "
            f"Layer, Loss, Optimizer or another Configurable, got {cls!r}"
        )
    options = {key: inner(v) for key, v in config["config"].items()}
    try:
        return make(cls, options)
    except TypeError as error:
        raise ValueError(f"{name} can't be made from {options}: {error}") from error


def _checked_config(value: Configurable) -> dict[str, Any]:
    """Return an object's config, of which an equal object can be made again by its class's name."""
    cls = type(value)
    config = value.get_config()
    try:
        inspect.signature(cls).bind(**config)
    except TypeError as error:
        raise TypeError(
            f"{cls.__name__} can't be made again from its get_config(): {error}; "
            "let __init__ take these arguments, or define get_config"
        ) from None
    known = registered(Configurable).get(cls.__name__, cls)
    if not same_class(known, cls):
        raise TypeError(
            f"another class named '{cls.__name__}' is registered ({known.__module__}), and a file "
            "can't tell it from yours: give yours another name"
        )
    return config


def _known(name: Any, known: Mapping[str, Callable[..., Any]], kind: str) -> Callable[..., Any]:
    if not isinstance(name, str) or name not in known:
        way = "decorate it with @minigrad.register, or pass" if kind == "class" else "pass"
        meant = guess(str(name), known)
        raise ValueError(
            f"no {kind} '{name}' is known: {way} custom_objects={{'{name}': {name}}}"
            + (f"; {meant}" if meant else "")
        )
    return known[name]
