"""Options that are numbers: each lies in its range, or an error names it.

Their owner is an object, or the name of a call.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from numbers import Real
from typing import Any


def check_number(value: float, name: str, owner: object) -> float:
    """Return `value` as a float; raises as `positive` does."""
    return float(_checked(value, f"a finite number {name}", lambda v: -inf < v < inf, owner))


def check_positive(value: float, name: str, owner: object) -> float:
    """Return `value` as a float above zero.

    Raises:
        TypeError: it is no number.
        ValueError: it is out of its range, or not finite.

    >>> from minigrad.optimizers import SGD
    >>> SGD(learning_rate=-1)
    Traceback (most recent call last):
    ...
    ValueError: SGD expects learning_rate > 0, got -1
    """
    return float(_checked(value, f"{name} > 0", lambda v: 0 < v < inf, owner))


def check_not_negative(value: float, name: str, owner: object) -> float:
    """Return `value` as a float of zero or above; raises as `positive` does.

    >>> from minigrad import L2
    >>> L2("much")
    Traceback (most recent call last):
    ...
    TypeError: L2 expects strength >= 0, got 'much'
    """
    return float(_checked(value, f"{name} >= 0", lambda v: 0 <= v < inf, owner))


def check_fraction(value: float, name: str, owner: object) -> float:
    """Return `value` as a float from zero to below one; raises as `positive` does.

    >>> from minigrad import Dropout
    >>> Dropout(1)
    Traceback (most recent call last):
    ...
    ValueError: Dropout expects 0 <= rate < 1, got 1
    """
    return float(_checked(value, f"0 <= {name} < 1", lambda v: 0 <= v < 1, owner))


def check_int(value: int, name: str, owner: object, *, least: int = 1) -> int:
    """Return `value` as an int of at least `least`; raises as `positive` does.

    >>> from minigrad.optimizers.schedules import StepDecay
    >>> StepDecay(initial_learning_rate=0.1, decay_rate=0.5, decay_steps=2.5)
    Traceback (most recent call last):
    ...
    ValueError: StepDecay expects a whole number decay_steps >= 1, got 2.5
    """
    expected = f"a whole number {name} >= {least}"
    _checked(value, expected, lambda v: least <= v < inf and v % 1 == 0, owner)
    return int(value)


def _checked(value: Any, expected: str, holds: Callable[[Any], bool], owner: object) -> Real:
    name = owner if isinstance(owner, str) else type(owner).__name__
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} expects {expected}, got {value!r}")
    if not holds(value):
        raise ValueError(f"{name} expects {expected}, got {value!r}")
    return value
