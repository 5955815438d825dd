"""An equation in one line, told for one unit: with the names of arrays, or with their numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import numpy as np

from minigrad.core.cached import Cached
from minigrad.data.arrays import Array, Shape
from minigrad.explain.formula import put, with_sums
from minigrad.explain.lines import Limit, at, largest, number

_MEANS: Final[dict[str, Callable[[Array], float]]] = {
    "mean": lambda array: float(array.mean()),
    "var": lambda array: float(array.var()),
}


def with_names(expression: str, arrays: Mapping[str, tuple[str, Shape]]) -> str:
    """Write an equation for any unit k.

    Args:
        expression: the right side.
        arrays: what its names stand for: an array's name and the shape of its rows.

    >>> with_names("exp(z) / sum(exp(z))", {"z": ("z1", (3,))})
    'exp(z1[k]) / Σ_j exp(z1[j])'
    """

    def name(said: str, unit: str = "k") -> str | None:
        return at(*arrays[said], unit) if said in arrays else None

    for said, (whole, _) in arrays.items():
        for mean in _MEANS:
            expression = expression.replace(f"{mean}({said})", f"{mean}({whole})")

    def total(summed: str) -> str:
        return f"Σ_j {put(summed, lambda said: name(said, 'j'))}"

    return with_sums(expression, total, name)


def with_numbers(
    expression: str,
    arrays: Mapping[str, Array],
    unit: int,
    *,
    owner: Cached,
    limit: Limit,
    over: Array | None = None,
) -> str:
    """Write an equation for one unit, with numbers for all that is known by name.

    Args:
        expression: the right side.
        arrays: the row's numbers by the names that the equation has for them, flat.
        unit: the place in them; an array of one number has it everywhere.
        owner: the layer or loss: its options and parameters are known by their attributes' names.
        limit: of the terms of a sum over units.
        over: what mean(z) and var(z) go over, where that is known.

    >>> from minigrad import Softmax
    >>> row = {"z": np.array([0.5, 2.0])}
    >>> with_numbers("exp(z) / sum(exp(z))", row, 1, owner=Softmax(), limit=Limit(8))
    'exp(2) / (exp(0.5) + exp(2))'
    """
    units = max(array.size for array in arrays.values())

    def told(said: str, unit: int = unit) -> str | None:
        if said in arrays:
            held = arrays[said]
            return number(float(held[unit if held.size > 1 else 0]))
        return _constant(owner, said, unit, units)

    def total(summed: str) -> str:
        weights = _weights(summed, arrays)
        every = largest(weights, limit.of(weights.size))
        terms = [put(summed, partial(told, unit=j)) for j in every]
        omitted = units - len(every)
        return f"({' + '.join([*terms, *([f'... ({omitted} more)'] if omitted else [])])})"

    return with_sums(_with_means(expression, arrays, over), total, told)


def _weights(summed: str, arrays: Mapping[str, Array]) -> Array:
    """Return a size for each term of a sum: its arrays' product, or the power of e."""
    widest = max(array.size for array in arrays.values())
    weights = np.ones(widest)
    for said in sorted(arrays.keys() & set(re.findall(r"\w+", summed))):
        weights = weights * arrays[said]
    if "exp(" in summed:
        weights = np.exp(weights - weights.max())
    return weights


def _constant(owner: Cached, name: str, unit: int, units: int) -> str | None:
    """Write the number that an object keeps under a name: an option, or a parameter's value."""
    held = getattr(owner, name, None)
    held = getattr(held, "value", held)
    if isinstance(held, (int, float)) and not isinstance(held, bool):
        return number(held)
    if isinstance(held, np.ndarray) and held.size in (1, units):
        return number(float(held.ravel()[unit if held.size > 1 else 0]))
    return None


def _with_means(expression: str, arrays: Mapping[str, Array], over: Array | None) -> str:
    if over is None:
        return expression
    for said in arrays:
        for name, function in _MEANS.items():
            if f"{name}({said})" in expression:
                mean = number(function(over))
                shown = f"({mean})" if mean.startswith("-") else mean
                expression = expression.replace(f"{name}({said})", shown)
    return expression
