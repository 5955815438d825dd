"""Unknown names: what was meant, and what to do instead."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any

from minigrad.util.spelling import snake_case
from minigrad.util.synonyms import HINTS, INSTEAD, SYNONYMS

_SIMILAR = 0.65
"""The similarity to a known name from which on it is suggested: "sdg" means "sgd"."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: a guess, and the known names."""
    known = sorted(known)
    names = ", ".join(map(repr, known))
    if not (meant := guess(name, known)):
        return f"the known ones are {names}"
    return f"{meant} Known: {names}" if meant.endswith("?") else meant


def guess(name: str, known: Iterable[str]) -> str:
    """Suggest what to do about an unknown name, "" for nothing.

    That is the known name that another library spells like this, the hint about a name that has no
    counterpart, or the most similar known name.

    >>> guess("LayerNormalization", ["LayerNorm", "Normal"])
    "did you mean 'LayerNorm'?"
    >>> guess("no_grad", ["Normal"])
    'leave it out: predict and forward(..., training=False) keep nothing for backward'
    """
    known = list(known)
    found = counterparts(name, known)
    other_library = {name, snake_case(name), _short(name)} & SYNONYMS.keys() or name in HINTS
    if not found and not other_library:
        import difflib

        here = {snake_case(n): n for n in known}
        close = difflib.get_close_matches(snake_case(name), here, n=1, cutoff=_SIMILAR)
        found = [here[n] for n in close]
    asked = " or ".join(map(repr, found))
    return f"did you mean {asked}?" if asked else HINTS.get(name, "")


def counterparts(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that another library spells like this, Keras's default first.

    >>> counterparts("BinaryCrossentropy", ["BCELoss", "BCEWithLogitsLoss", "MSELoss"])
    ['BCELoss', 'BCEWithLogitsLoss']
    """
    here = {snake_case(other): other for other in known}
    full, short = snake_case(name), _short(name)
    if short in here or f"{short}_loss" in here:
        meant = [short]
    else:
        spellings = [n for n in (name, full, short) if n in SYNONYMS]
        meant = SYNONYMS[spellings[0]].split() if spellings else []
    found = [here.get(f"{n}_loss") or here.get(n) for n in meant]
    return [n for n in found if n]


def of_program(name: str) -> str:
    """Return the end of a message about a name of another library."""
    known = {name, snake_case(name), _short(name)} & {*SYNONYMS, *HINTS}
    return " (for a whole program: python -m minigrad.port FILE)" * bool(known)


def _short(name: str) -> str:
    return snake_case(name).removesuffix("_loss")


def hint(thing: object, name: str) -> str:
    """Return ": " and what replaces an attribute of another library, "" for nothing.

    Python itself suggests a similar name.
    """
    if hasattr(vars(thing).get("_value"), name):  # of a parameter
        return f": use value.{name}"
    meant = guess(name, [n for n in SYNONYMS.get(name, "").split() if hasattr(thing, n)])
    return ": " * bool(meant) + meant


def instead(argument: str, value: Any, known: Iterable[type]) -> str:
    """Return what to pass in place of a value of another type, "" if there is no hint.

    An object of one of the `known` classes was expected.

    >>> from minigrad import ReLU
    >>> instead("activation", "relu", [ReLU])
    'pass an object, ReLU()'
    """
    name = value if isinstance(value, str) else getattr(value, "__name__", "")
    for cls in (value, *known):
        if isinstance(cls, type) and (cls is value or snake_case(cls.__name__) == name):
            try:
                given = any(a.default is a.empty for a in signature(cls).parameters.values())
            except ValueError:  # a class of C code
                given = True
            return f"pass an object, {cls.__name__}({'...' * given})"
    kind = "function" if callable(value) else type(value).__name__
    return INSTEAD.get(f"{argument}={kind}", "")


def unknown_in(module: str, known: Iterable[str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module: finds names of minigrad, and suggests one for others.

    >>> unknown_in("minigrad.layers", ["Conv2D"])("Conv2d")
    Traceback (most recent call last):
    ...
    AttributeError: module 'minigrad.layers' has no attribute 'Conv2d': did you mean 'Conv2D'?
    """

    def find(name: str) -> Any:
        root = sys.modules.get("minigrad")
        if module != "minigrad" and name in getattr(root, "__all__", ()):
            return getattr(root, name)  # as in `from minigrad.layers import Input`
        way = "" if name.startswith("_") else guess(name, known)
        end = ": " * bool(way) + way + of_program(name)
        message = f"module '{module}' has no attribute '{name}'{end}"
        if way and _is_from_import(module, name):
            raise ImportError(message, name=module)  # `from` hides an AttributeError's message
        if way:
            raise AttributeError(message, name=name, obj=None)  # Python adds no guess of its own
        raise AttributeError(message)

    return find


def _is_from_import(module: str, name: str) -> bool:
    """Tell whether `from module import name` runs, and there is no module of this name inside."""
    from importlib.util import find_spec

    caller = sys._getframe(2)  # of `__getattr__`, which may call `find`
    callers = [caller, caller.f_back]  # the last is None where a script calls at its top level
    if all(frame is None or frame.f_code.co_name != "_handle_fromlist" for frame in callers):
        return False
    return find_spec(f"{module}.{name}") is None
