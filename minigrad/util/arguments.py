"""Calls with arguments that a function doesn't take."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from inspect import signature
from typing import Any, NoReturn

from minigrad.util.lookup import guess, nearest, of_program
from minigrad.util.synonyms import HINTS


def refuse_places(called: Callable[..., Any], places: Sequence[str], count: int) -> NoReturn:
    """Refuse more arguments by position than those that have a place."""
    known = signature(called).parameters.values()
    named = ", ".join(repr(a.name) for a in known if a.kind is a.KEYWORD_ONLY)
    expected = f"only {', '.join(map(repr, places))}" if places else "no argument"
    way = HINTS.get(called.__name__) or f"pass options by name: {named}"
    raise TypeError(f"{called.__name__} expects {expected} by position, got {count}: {way}")


def refuse_options(given: Iterable[str], *functions: Callable[..., Any]) -> None:
    """Refuse options that none of some functions has; the error names the first function."""
    options = [p for function in functions for p in signature(function).parameters.values()]
    known = {option.name for option in options if option.kind is option.KEYWORD_ONLY}
    refuse_names(functions[0].__name__, given, known)


def refuse_names(owner: str, given: Iterable[str], known: Collection[str]) -> None:
    """Refuse options that aren't known: all of a call in one message.

    >>> refuse_names("SGD", ["lr", "y"], ["learning_rate"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    TypeError: SGD has no options 'lr' (did you mean 'learning_rate'?), 'y'. Known: ...
    """
    unknown = [name for name in given if name not in known]
    end = max(map(of_program, unknown), default="")
    if len(unknown) == 1:
        raise TypeError(f"{owner} has no option {unknown[0]!r}: {nearest(unknown[0], known)}{end}")
    if unknown:
        ways = [f"{name!r} ({guess(name, known)})".removesuffix(" ()") for name in unknown]
        names = ", ".join(map(repr, sorted(known)))
        raise TypeError(f"{owner} has no options {', '.join(ways)}. Known: {names}{end}")
