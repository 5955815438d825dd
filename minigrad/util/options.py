"""Checks of options. Each returns the value, or raises an error that names the option.

A value of the wrong type raises TypeError, a value out of range ValueError. `owner` is the object
that has the option, or the name of a function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from numbers import Real
from typing import Any

import numpy as np


def check_number(value: float, name: str, owner: object) -> float:
    """Return a finite number as a float."""
    return float(_check(value, f"a finite number {name}", owner, lambda v: -inf < v < inf))


def check_positive(value: float, name: str, owner: object) -> float:
    """Return a finite number above zero as a float."""
    return float(_check(value, f"{name} > 0", owner, lambda v: 0 < v < inf))


def check_not_negative(value: float, name: str, owner: object) -> float:
    """Return a finite number of at least zero as a float."""
    return float(_check(value, f"{name} >= 0", owner, lambda v: 0 <= v < inf))


def check_fraction(value: float, name: str, owner: object) -> float:
    """Return a number from 0 to below 1 as a float."""
    return float(_check(value, f"0 <= {name} < 1", owner, lambda v: 0 <= v < 1))


def check_int(value: int, name: str, owner: object, *, least: int = 1) -> int:
    """Return a whole number of at least `least` as an int; 2.0 is a whole number.

    >>> check_int(2.5, "epochs", "fit")
    Traceback (most recent call last):
    ...
    ValueError: fit expects a whole number epochs >= 1, got 2.5
    """
    expected = f"a whole number {name} >= {least}"
    if isinstance(value, int) and value >= 2**63:
        expected += " and below 2**63"
    return int(_check(value, expected, owner, lambda v: least <= v < 2**63 and v % 1 == 0))


def check_ints(
    value: int | Sequence[int], name: str, owner: object, *, count: int, least: int = 1
) -> int | tuple[int, ...]:
    """Return a whole number, or a tuple of `count` whole numbers, each of at least `least`.

    >>> check_ints([3, 5], "strides", "Conv2D", count=2)
    (3, 5)
    """
    if not isinstance(value, (tuple, list)):
        return check_int(value, name, owner, least=least)  # type: ignore[arg-type]
    if len(value) != count:
        raise ValueError(f"{_name(owner)} expects {name} as an int or {count} ints, got {value!r}")
    return tuple(check_int(n, name, owner, least=least) for n in value)


def check_bool(value: bool, name: str, owner: object) -> bool:
    """Return True or False; strings and numbers are refused."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{_name(owner)} expects {name} True or False, got {value!r}")
    return bool(value)


def one_of(*choices: str) -> Callable[[Any, str, object], Any]:
    """Return a check for one of some strings.

    >>> one_of("mean", "sum")("max", "reduction", "MSELoss")
    Traceback (most recent call last):
    ...
    ValueError: MSELoss expects reduction='mean' or 'sum', got 'max'
    """

    def check(value: Any, name: str, owner: object) -> Any:
        if not isinstance(value, str) or value not in choices:
            *others, last = map(repr, choices)
            expected = f"{', '.join(others)} or {last}"
            raise ValueError(f"{_name(owner)} expects {name}={expected}, got {value!r}")
        return value

    return check


def _check(value: Any, expected: str, owner: object, holds: Callable[[Any], bool]) -> Any:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{_name(owner)} expects {expected}, got {value!r}")
    if not holds(value):
        raise ValueError(f"{_name(owner)} expects {expected}, got {value!r}")
    return value


def _name(owner: object) -> str:
    return owner if isinstance(owner, str) else type(owner).__name__
