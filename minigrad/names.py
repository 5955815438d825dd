"""Names as options take them, and the nearest one where there is no such name."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from minigrad.synonyms import SYNONYMS

T = TypeVar("T")
P = ParamSpec("P")


def snake_case(name: str) -> str:
    """Turn a class name into the name that an option takes.

    >>> snake_case("GlorotUniform"), snake_case("LeakyReLU"), snake_case("MSELoss")
    ('glorot_uniform', 'leaky_relu', 'mse_loss')
    """
    for word in ("ReLU", "SiLU", "RMSprop", "AdamW"):
        name = name.replace(word, word.capitalize())
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name is meant, for the end of a message.

    >>> nearest("sigmod", ["sigmoid", "tanh"])
    "did you mean 'sigmoid'? Known: 'sigmoid', 'tanh'"
    """
    known = sorted(known)
    meant = guess(name, known)
    return f"{f'{meant} Known:' if meant else 'the known ones are'} {listed(known, ', ')}"


def names_options(call: Callable[P, T]) -> Callable[P, T]:
    """Make an option that doesn't exist fail with the nearest that does; a decorator.

    The constructors of all `Configurable` classes have it.

    >>> from minigrad import SGD
    >>> SGD(momentun=0.9)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    TypeError: SGD has no option 'momentun': did you mean 'momentum'? Known: 'clip_norm', ...
    """

    @functools.wraps(call)
    def called(*args: P.args, **options: P.kwargs) -> T:
        try:
            return call(*args, **options)
        except TypeError:
            wrong = _wrong_call(call, args, options)
            if wrong is None:
                raise
        raise TypeError(wrong)

    return called


def guess(name: str, known: Iterable[str]) -> str:
    """Ask for the known names that are meant: by another library's name, or nearly this one."""
    import difflib

    lower = {other.lower(): other for other in known}
    close = [n for n in SYNONYMS.get(name.lower(), ()) if n in lower]
    close = close or difflib.get_close_matches(name.lower(), lower, n=1)
    return f"did you mean {listed([lower[n] for n in close], ' or ')}?" if close else ""


def listed(names: Iterable[str], separator: str) -> str:
    """Write names in quotes, with something between."""
    return separator.join(map(repr, names))


def _wrong_call(
    call: Callable[..., Any], args: Sequence[Any], options: Mapping[str, Any]
) -> str | None:
    """Say what is wrong with the names or the number of a call's arguments, if anything is."""
    made = type(args[0]) if args else type
    inherited = getattr(made.__init__, "__wrapped__", None) is call
    what = made.__name__ if inherited else call.__qualname__.removesuffix(".__init__")
    what = what.rpartition(".")[2]
    arguments = dict(inspect.signature(call).parameters)
    kinds = [argument.kind for argument in arguments.values()]
    named = [name for name, argument in arguments.items() if argument.kind is argument.KEYWORD_ONLY]
    arguments.pop("self", None)
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        for name in options:
            if name not in arguments:
                return f"{what} has no option '{name}': {nearest(name, arguments)}"
    positional = len(kinds) - len(named)
    if named and inspect.Parameter.VAR_POSITIONAL not in kinds and len(args) > positional:
        several = all(hasattr(argument, "get_config") for argument in args[1:])
        way = f"; several go in a list, {what}([..., ...])" if several else ""
        return f"{what} takes these by name: {', '.join(f'{name}=...' for name in named)}{way}"
    return None
