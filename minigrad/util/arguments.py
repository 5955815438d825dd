"""Calls with options that a function doesn't take."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any

from minigrad.util.lookup import nearest


def refuse_options(given: Iterable[str], *functions: Callable[..., Any]) -> None:
    """Refuse options that none of some functions has; the error names the first function."""
    options = [p for function in functions for p in signature(function).parameters.values()]
    known = {option.name for option in options if option.kind is option.KEYWORD_ONLY}
    for name in given:
        if name not in known:
            owner = functions[0].__name__
            raise TypeError(f"{owner} has no option '{name}': {nearest(name, known)}")
