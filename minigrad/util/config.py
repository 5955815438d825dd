"""Configuration: a class name and the arguments of the constructor describe an object."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from typing_extensions import Self, override

from minigrad.util.fields import arguments, refuse_arguments
from minigrad.util.names import nearest, with_article
from minigrad.util.spelling import snake_case

T = TypeVar("T")
C = TypeVar("C", bound="type[Configurable]")

_REGISTERED: dict[str, type[Configurable]] = {}


class _InitSignature:
    """The signature of `__init__`, which `__new__` would hide."""

    def __get__(self, instance: object, cls: type) -> inspect.Signature:
        return _signature(cls.__init__)  # type: ignore[misc]


@lru_cache(1024)
def _signature(init: Callable[..., None]) -> inspect.Signature:
    return inspect.signature(MethodType(init, object()))


class Configurable:
    """An object whose constructor's arguments are attributes of the same names.

    >>> from minigrad import SGD
    >>> SGD(learning_rate=0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9)
    >>> SGD(lr=0.1)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    TypeError: SGD has no option 'lr': did you mean 'learning_rate'? Known: 'clip_norm', ...
    """

    __signature__ = _InitSignature()

    def __init__(self) -> None:
        """Take no options; a subclass with options defines its own."""

    if not TYPE_CHECKING:  # type checkers read the signature of __init__

        def __new__(cls, *args: Any, **options: Any) -> Self:
            """Refuse an unknown option; an `__init__` that `options` made does it itself."""
            if (args or options) and "_options" not in vars(cls):
                refuse_arguments(cls, args, options)
            return super().__new__(cls)

    def __post_init__(self) -> None:
        """Check the options together, and set other attributes; see `minigrad.util.fields`."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; `type(self)(**config)` makes an equal object.

        Raises:
            TypeError: an argument isn't stored as an attribute.
        """
        config = {}
        for name in arguments(type(self)):
            if not hasattr(self, name):
                raise TypeError(
                    f"{type(self).__name__} doesn't store its argument '{name}': "
                    f"set self.{name} in __init__, or define get_config"
                )
            config[name] = getattr(self, name)
        return config

    def repr_arguments(self) -> list[tuple[str, Any]]:
        """Return ("name=", value) for each argument that isn't its default; "" if positional."""
        config = self.get_config()
        shown = []
        for name, argument in arguments(type(self)).items():
            if name in config and not _same(config[name], default := argument.default):
                named = argument.kind is argument.KEYWORD_ONLY or default is not argument.empty
                shown.append((f"{name}=" if named else "", config[name]))
        return shown

    @override
    def __repr__(self) -> str:
        shown = ", ".join(f"{prefix}{value!r}" for prefix, value in self.repr_arguments())
        return f"{type(self).__name__}({shown})"


def register(cls: C) -> C:
    """Register a class for this process, so that options and `minigrad.load` know its name.

    A class decorator. Options take the name in snake case.

    Raises:
        ValueError: another class has the same name.

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
    if other is not None and not same_class(other, cls):
        raise ValueError(
            f"a class named '{cls.__name__}' is already registered ({other.__module__}): "
            "rename yours, or pass it to load(custom_objects=...)"
        )
    _REGISTERED[cls.__name__] = cls
    return cls


def registered(kind: type[T]) -> dict[str, type[T]]:
    """Return the registered subclasses of `kind` by class name, sorted."""
    return {name: cls for name, cls in sorted(_REGISTERED.items()) if issubclass(cls, kind)}


def same_class(one: type, other: type) -> bool:
    """Return whether two classes come from the same code, such as a notebook cell run twice."""
    return (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)


def as_object(
    kind: type[T],
    value: T | str,
    argument: str,
    *,
    suggested: Callable[[Any], bool] = lambda cls: True,
) -> T:
    """Return the object, or create it from its registered name with default arguments.

    A name is the class name in snake case; "_loss" may be left out. `argument` is the option in
    messages, which list the names of the classes that are `suggested`.

    >>> from minigrad import Loss
    >>> as_object(Loss, "mse", "loss")
    MSELoss()
    """
    if isinstance(value, kind):
        return value
    if not isinstance(value, str):
        from minigrad.util.lookup import instead

        what = with_article(kind.__name__)
        way = instead(argument, value, registered(kind).values()) or "pass an object, or a name"
        raise TypeError(f"{argument} expects {what}, got {value!r}: {way}")
    known = {snake_case(name): cls for name, cls in registered(kind).items()}
    cls = known.get(value) or known.get(f"{value}_loss")
    if cls is None:
        names = [n.removesuffix("_loss") for n, c in known.items() if suggested(c)]
        raise ValueError(f"{argument}={value!r} is not known: {nearest(value, names)}")
    try:
        return cls()
    except TypeError as error:
        way = f"needs arguments: pass an object, {cls.__name__}(...)"
        raise ValueError(f"{argument}={value!r} {way}") from error


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and bool(np.all(value == default)))
