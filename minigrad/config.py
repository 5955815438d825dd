"""An object is the arguments it was made with: they are its configuration, its repr, its copy."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
from typing_extensions import override

T = TypeVar("T")
C = TypeVar("C", bound="type[Configurable]")

_REGISTERED: dict[str, type[Configurable]] = {}


def snake_case(name: str) -> str:
    """Turn a class name into the name that an option takes.

    >>> snake_case("GlorotUniform"), snake_case("ReLU"), snake_case("MSELoss")
    ('glorot_uniform', 'relu', 'mse_loss')
    """
    name = name.replace("ReLU", "Relu").replace("SiLU", "Silu").replace("LogSoft", "Log_soft")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name is meant, for the end of a message.

    >>> nearest("sigmod", ["sigmoid", "tanh"])
    "did you mean 'sigmoid'? Known: 'sigmoid', 'tanh'"
    """
    import difflib

    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    guess = f"did you mean '{close[0]}'? " if close else ""
    return f"{guess}Known: {', '.join(map(repr, known))}"


class Configurable:
    """Reads its configuration from the attributes that are named as its constructor's arguments."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments by name; `type(self)(**config)` makes an equal object.

        Raises:
            TypeError: an argument has no attribute of its name.
        """
        config = {}
        for name in _arguments(type(self)):
            if not hasattr(self, name):
                raise TypeError(
                    f"{type(self).__name__} doesn't keep its argument '{name}': "
                    f"set self.{name} in __init__, or define get_config"
                )
            config[name] = getattr(self, name)
        return config

    @override
    def __repr__(self) -> str:
        config = self.get_config()
        shown = []
        for name, argument in _arguments(type(self)).items():
            if name not in config or _same(config[name], argument.default):
                continue
            by_name = (
                argument.kind is argument.KEYWORD_ONLY or argument.default is not argument.empty
            )
            shown.append(f"{name}={config[name]!r}" if by_name else repr(config[name]))
        return f"{type(self).__name__}({', '.join(shown)})"


def register(cls: C) -> C:
    """Make a class known by its name, so that `minigrad.load` finds it; a class decorator.

    Raises:
        ValueError: another class of that name is registered.
    """
    other = _REGISTERED.get(cls.__name__)
    if other is not None and (other.__module__, other.__qualname__) != (
        cls.__module__,
        cls.__qualname__,
    ):
        raise ValueError(
            f"a class named '{cls.__name__}' is registered already ({other.__module__}): "
            "give yours another name, or pass it to load(custom_objects=...)"
        )
    _REGISTERED[cls.__name__] = cls
    return cls


def registered(kind: type[T]) -> dict[str, type[T]]:
    """Return the registered subclasses of `kind`, by class name, in order of their names."""
    return {name: cls for name, cls in sorted(_REGISTERED.items()) if issubclass(cls, kind)}


def by_name(kind: type[T], name: str, argument: str) -> T:
    """Make the object that an option means by a name, with its defaults.

    Raises:
        ValueError: no registered class has that name.

    >>> from minigrad.layers.base import Layer
    >>> by_name(Layer, "tanh", "activation")
    Tanh()
    """
    known = {snake_case(class_name): cls for class_name, cls in registered(kind).items()}
    cls = known.get(name) or known.get(f"{name}_loss")
    if cls is None:
        raise ValueError(f"{argument}={name!r} is not known: {nearest(name, known)}")
    try:
        return cls()
    except TypeError as error:
        raise ValueError(
            f"{argument}={name!r} needs arguments: pass an object, {cls.__name__}(...)"
        ) from error


def to_config(value: Any, where: str) -> Any:
    """Turn an option into what JSON can hold.

    Raises:
        TypeError: it is nothing that a file can hold.

    >>> to_config((2, 3), "Reshape")
    [2, 3]
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, Configurable):
        name = type(value).__name__
        config = {key: to_config(v, f"{name}({key}=...)") for key, v in value.get_config().items()}
        return {"class": name, "config": config}
    if isinstance(value, (list, tuple)):
        return [to_config(item, where) for item in value]
    if isinstance(value, Mapping):
        return {"items": [[to_config(k, where), to_config(v, where)] for k, v in value.items()]}
    raise TypeError(
        f"{where} is a {type(value).__name__}, which a file can't hold: "
        "use a number, a string, an array, or an object with get_config"
    )


def from_config(config: Any, custom_objects: Mapping[str, type] | None = None) -> Any:
    """Make the object again that `to_config` described, from registered classes alone.

    Raises:
        ValueError: a class is not registered, or the description has no such form.

    >>> from_config({"class": "Tanh", "config": {}})
    Tanh()
    """
    if isinstance(config, list):
        return [from_config(item, custom_objects) for item in config]
    if not isinstance(config, dict):
        return config
    if config.keys() == {"array", "dtype"}:
        return np.array(config["array"], dtype=config["dtype"])
    if config.keys() == {"items"}:
        pairs = [(from_config(k), from_config(v, custom_objects)) for k, v in config["items"]]
        return dict(pairs)
    if config.keys() != {"class", "config"}:
        raise ValueError(f"expected a description with 'class' and 'config', got {sorted(config)}")
    name = config["class"]
    known: Mapping[str, type] = {**_REGISTERED, **(custom_objects or {})}
    if name not in known:
        raise ValueError(
            f"no class '{name}' is registered: decorate it with @minigrad.register, or pass "
            f"custom_objects={{'{name}': {name}}}; {nearest(str(name), known)}"
        )
    options = {key: from_config(v, custom_objects) for key, v in config["config"].items()}
    try:
        return known[name](**options)
    except TypeError as error:
        raise ValueError(f"{name} can't be made from {options}: {error}") from error


def _arguments(cls: type) -> dict[str, inspect.Parameter]:
    arguments = dict(inspect.signature(cls).parameters)
    for name, argument in arguments.items():
        if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            raise TypeError(
                f"{cls.__name__} takes *{name}: name its arguments, or define get_config"
            )
    return arguments


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and bool(np.all(value == default)))
