"""An object is its class's name and the arguments it was made with: its configuration, its repr."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from typing_extensions import Self, override

from minigrad.util.names import nearest, snake_case, with_article

T = TypeVar("T")
C = TypeVar("C", bound="type[Configurable]")

_REGISTERED: dict[str, type[Configurable]] = {}


class _InitSignature:
    """The signature of a class is that of its `__init__`, also beside a `__new__`."""

    def __get__(self, instance: object, cls: type) -> inspect.Signature:
        own = inspect.signature(cls.__init__)
        return own.replace(parameters=list(own.parameters.values())[1:])


class Configurable:
    """Reads its configuration from the attributes that are named as its constructor's arguments.

    >>> from minigrad import SGD
    >>> SGD(learning_rate=0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9)
    >>> SGD(learning_rate=0.1, momentum=0.9).get_config()["momentum"]
    0.9
    """

    __signature__ = _InitSignature()

    def __init__(self) -> None:
        """Take no options; a subclass that has some defines its own."""

    if not TYPE_CHECKING:  # a type checker reads the signature of __init__

        def __new__(cls, *args: Any, **options: Any) -> Self:
            """Refuse an option that the constructor doesn't have, and suggest the nearest one."""
            for name in options:
                if name not in (known := _arguments(cls)):
                    raise TypeError(
                        f"{cls.__name__} has no option '{name}': "
                        f"{nearest(name, known, option=True)}"
                    )
            return super().__new__(cls)

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
    if other is not None and not same_class(other, cls):
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


def same_class(one: type, other: type) -> bool:
    """Tell whether two classes are one, of which the second may be a later run of its code."""
    return (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)


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
    what = with_article(kind.__name__)
    raise TypeError(f"{argument} must be {what}, got {value!r}: pass an object, {way}")


def by_name(kind: type[T], name: str, argument: str, *, suggested: tuple[type, ...] = ()) -> T:
    """Make the object that an option means by a name, with its defaults.

    Args:
        kind: of which class it is.
        name: its class's in snake case; "_loss" may be left out.
        argument: what messages call the option.
        suggested: the classes whose names a message lists; by default all of this kind.

    Raises:
        ValueError: no registered class has that name.

    >>> from minigrad.core.layer import Layer
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
