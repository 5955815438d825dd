"""An object is the arguments it was made with: they are its configuration, its repr, its copy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.names import guess, names_options, nearest, snake_case

T = TypeVar("T")
C = TypeVar("C", bound="type[Configurable]")

_REGISTERED: dict[str, type[Configurable]] = {}


class Configurable:
    """Reads its configuration from the attributes that are named as its constructor's arguments.

    >>> from minigrad import SGD
    >>> SGD(learning_rate=0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9)
    >>> SGD(learning_rate=0.1, momentum=0.9).get_config()["momentum"]
    0.9
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__init__" in vars(cls):
            cls.__init__ = names_options(cls.__init__)  # type: ignore[method-assign]

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

    def repr_arguments(self) -> list[tuple[str, Any]]:
        """Return the arguments that a repr shows: what is written before each, and its value."""
        config = self.get_config()
        shown = []
        for name, argument in _arguments(type(self)).items():
            if name not in config or _same(config[name], argument.default):
                continue
            by_name = (
                argument.kind is argument.KEYWORD_ONLY or argument.default is not argument.empty
            )
            shown.append((f"{name}=" if by_name else "", config[name]))
        return shown

    @override
    def __repr__(self) -> str:
        shown = ", ".join(f"{before}{value!r}" for before, value in self.repr_arguments())
        return f"{type(self).__name__}({shown})"


def register(cls: C) -> C:
    """Make a class known by its name, so that `minigrad.load` finds it; a class decorator.

    Options then take its name too, in snake case. It is known to this process only.

    Raises:
        ValueError: another class of that name is registered.

    >>> from minigrad import Activation, Dense
    >>> @register
    ... class Square(Activation):
    ...     def function(self, z):
    ...         return z * z
    ...     def derivative(self, cached):
    ...         return 2 * cached
    >>> Dense(3, activation="square").activation
    Square(name='square')
    """
    other = _REGISTERED.get(cls.__name__)
    if other is not None and _identity(other) != _identity(cls):
        raise ValueError(
            f"a class named '{cls.__name__}' is registered already ({other.__module__}): "
            "give yours another name, or pass it to load(custom_objects=...)"
        )
    _REGISTERED[cls.__name__] = cls
    return cls


def registered(kind: type[T]) -> dict[str, type[T]]:
    """Return the registered subclasses of `kind`, by class name, in order of their names.

    >>> from minigrad import Optimizer
    >>> list(registered(Optimizer))[:2]
    ['Adagrad', 'Adam']
    """
    return {name: cls for name, cls in sorted(_REGISTERED.items()) if issubclass(cls, kind)}


def as_object(
    kind: type[T], value: T | str, argument: str, *, suggested: tuple[type, ...] = ()
) -> T:
    """Return the object that an option means: itself, or by its name.

    Raises:
        TypeError: neither a name nor an object of this kind.
        ValueError: as `by_name`.

    >>> from minigrad import Loss
    >>> as_object(Loss, "mse", "loss")
    MSELoss()
    """
    if isinstance(value, kind):
        return value
    if isinstance(value, str):
        return by_name(kind, value, argument, suggested=suggested)
    way = f"{value.__name__}()" if isinstance(value, type) else "or a name"
    raise TypeError(f"{argument} must be a {kind.__name__}, got {value!r}: pass an object, {way}")


def by_name(kind: type[T], name: str, argument: str, *, suggested: tuple[type, ...] = ()) -> T:
    """Make the object that an option means by a name, with its defaults.

    Args:
        kind: of which class it is.
        name: its class's in snake case; "_loss" may be left out.
        argument: what messages call the option.
        suggested: the classes whose names a message lists; by default all of this kind.

    Raises:
        ValueError: no registered class has that name.

    >>> from minigrad.layers.base import Layer
    >>> by_name(Layer, "tanh", "activation")
    Tanh()
    """
    known = {snake_case(class_name): cls for class_name, cls in registered(kind).items()}
    cls = known.get(name) or known.get(f"{name}_loss")
    if cls is None:
        some = suggested or kind
        listed = [n.removesuffix("_loss") for n, c in known.items() if issubclass(c, some)]
        raise ValueError(f"{argument}={name!r} is not known: {nearest(name, listed)}")
    try:
        return cls()
    except TypeError as error:
        raise ValueError(
            f"{argument}={name!r} needs arguments: pass an object, {cls.__name__}(...)"
        ) from error


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
        f"{where} is a {type(value).__name__}, which a file can't hold: "
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
    cls = _known(name, {**_REGISTERED, **custom}, "class")
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
    known = _REGISTERED.get(cls.__name__, cls)
    if _identity(known) != _identity(cls):
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


def _identity(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__


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
