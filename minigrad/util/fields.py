"""Options: the arguments of a constructor, declared once, as fields of their class.

`option` in the body of a class declares an argument, its default, and the check that a value must
pass. The decorator `options` gives the class an `__init__` that takes its own options, then those
of its bases, and makes each checked value an attribute. At its end `__init__` calls
`__post_init__`, where a class checks options together and sets its other attributes.

>>> from minigrad.util.config import Configurable
>>> from minigrad.util.options import check_positive
>>> @options
... class Circle(Configurable):
...     radius: float = option(check_positive, kw_only=False)
...     color: str = option(default="black")
>>> Circle(2), Circle(2, color="red").color
(Circle(2.0), 'red')
>>> Circle(-1)
Traceback (most recent call last):
...
ValueError: Circle expects radius > 0, got -1
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, ParamSpec, TypeAlias, TypeVar

from typing_extensions import dataclass_transform

T = TypeVar("T")
P = ParamSpec("P")
Given = TypeVar("Given")
Kept = TypeVar("Kept")
Check: TypeAlias = Callable[[Any, str, Any], Any]

_REQUIRED: Any = inspect.Parameter.empty


class As(Generic[Given, Kept]):
    """The type of an option that is given as one type and kept as another."""

    if TYPE_CHECKING:

        def __get__(self, instance: object, cls: type) -> Kept: ...
        def __set__(self, instance: object, value: Given) -> None: ...


class Option(NamedTuple):
    """What `option` declares."""

    check: Check | None
    default: Any
    kw_only: bool
    after: str
    annotation: Any = ""

    def parameter(self, name: str) -> inspect.Parameter:
        """Return the option as a parameter of `__init__`."""
        kinds = inspect.Parameter
        kind = kinds.KEYWORD_ONLY if self.kw_only else kinds.POSITIONAL_OR_KEYWORD
        return kinds(name, kind, default=self.default, annotation=self.annotation)


def option(
    check: Check | None = None,
    *,
    default: Any = _REQUIRED,
    kw_only: bool = True,
    after: str = "",
    init: bool = True,
) -> Any:
    """Declare an option in the body of a class with `options`.

    Args:
        check: returns what is kept for (value, name, object), or raises an error. A default of None
            isn't checked.
        default: what is kept where no value is given; without it the option is required.
        kw_only: False lets the option be given by position, too.
        after: the inherited option that it follows; by default it stands before all inherited ones.
        init: False declares no option, but an attribute whose value is `default`.
    """
    return Option(check, default, kw_only, after) if init else default


@dataclass_transform(eq_default=False, kw_only_default=True, field_specifiers=(option,))
def options(cls: type[T]) -> type[T]:
    """Give a class an `__init__` that takes and checks its options; see this module."""
    own = {name: value for name, value in vars(cls).items() if isinstance(value, Option)}
    for name, declared in own.items():
        annotation = cls.__annotations__[name]
        if str(annotation).startswith("As["):  # the constructor takes the first of both types
            annotation = annotation[3:].split(", ")[0]
        own[name] = declared._replace(annotation=annotation)
        delattr(cls, name)
        if declared.default is not _REQUIRED and declared.default is not None:
            setattr(cls, name, declared.default)  # for a subclass that doesn't call `__init__`
    known: dict[str, Option] = {**own, **getattr(cls, "_options", {}), **own}
    order = list(known)
    for name, declared in own.items():
        if declared.after:
            order.remove(name)
            order.insert(order.index(declared.after) + 1, name)
    order.sort(key=lambda name: known[name].kw_only)
    places = [name for name in order if not known[name].kw_only]

    def initialize(self: Any, *args: Any, **given: Any) -> None:
        if len(args) > len(places) or not given.keys() <= known.keys():
            refuse_arguments(cls, args, given)
        for name, value in zip(places, args, strict=False):
            if name in given:
                raise TypeError(f"{type(self).__name__} got {name} twice: by position and by name")
            given[name] = value
        for name in order:
            check, default = known[name][:2]
            value = given.pop(name, default)
            if value is _REQUIRED:
                raise TypeError(f"{type(self).__name__} expects {name}: it has no default")
            if check is not None and (value is not None or default is not None):
                value = check(value, name, self)
            setattr(self, name, value)
        self.__post_init__()

    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    parameters += [known[name].parameter(name) for name in order]
    initialize.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    initialize.__name__, initialize.__qualname__ = "__init__", f"{cls.__qualname__}.__init__"
    cls.__init__, cls._options = initialize, known  # type: ignore[attr-defined, method-assign]
    return cls


def arguments(cls: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Return the arguments of a class or a method, each of which has a name."""
    found = inspect.signature(cls).parameters
    for name, argument in found.items():
        if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            raise TypeError(
                f"{cls.__name__} takes *{name}: name its arguments, or define get_config"
            )
    return found


def explained(method: Callable[P, T]) -> Callable[P, T]:
    """Name the nearest option if a call has an argument that the method doesn't take."""

    @wraps(method)
    def call(*args: P.args, **given: P.kwargs) -> T:
        try:
            return method(*args, **given)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:
                refuse_arguments(MethodType(method, args[0]), args[1:], given)  # the call failed
            raise

    return call


def refuse_arguments(
    cls: Callable[..., Any], args: Sequence[Any], given: Mapping[str, Any]
) -> None:
    """Refuse arguments that a class or a method doesn't take."""
    from minigrad.util.arguments import refuse_names, refuse_places

    known = inspect.signature(cls).parameters.values()
    places = [a.name for a in known if a.kind in (a.POSITIONAL_ONLY, a.POSITIONAL_OR_KEYWORD)]
    if len(args) > len(places) and all(a.kind is not a.VAR_POSITIONAL for a in known):
        refuse_places(cls, places, len(args))
    if given:
        refuse_names(cls.__name__, given, arguments(cls))
