"""Comparison of a result with the right array: the words that name the likeliest mistake."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from minigrad.data.arrays import Array, Shape

ROWS = 5


def summed_causes(features: int) -> dict[float, str]:
    """Return the likely causes of a wrong factor in a parameter's gradient, by the factor."""
    return {
        1 / ROWS: "is a mean over the rows: use the sum, because the loss already takes the mean",
        1 / ROWS**2: "is divided by the rows twice: use the sum, because the loss takes the mean",
        1 / features: "is a mean over the features: keep them separate",
        1 / (ROWS * features): "is divided by rows and features: the loss already takes the mean",
        ROWS: f"is multiplied by the number of rows, {ROWS}: sum only once",
        2: "is twice the right one",
    }


def separate_causes(features: int) -> dict[float, str]:
    """Return the likely causes of a wrong factor in dJ/dx, which keeps the rows separate."""
    rows = "is divided by the number of rows: it isn't a sum over the rows, so don't divide it"
    return {
        1 / ROWS: rows,
        1 / features: "is divided by the number of features: don't divide it",
        1 / (ROWS * features): "is divided by rows and features: don't divide it",
        2: "is twice the right one",
    }


def compare(
    got: object,
    expected: Array,
    causes: Mapping[float, str] | None = None,
    mistakes: Mapping[str, Array] | None = None,
) -> str:
    """Return how a result differs from the right array, by the likeliest mistake; "" if equal.

    Args:
        got: the result.
        expected: the right array.
        causes: the words for wrong factors, by the factor; by default those of dJ/dx.
        mistakes: the arrays that usual mistakes give, by the words that name the mistakes.

    >>> compare(np.array([2.0, 4.0]), np.array([1.0, 2.0]))
    'is twice the right one'
    >>> compare(np.array([3.0, 4.0]), np.array([1.0, 2.0]), mistakes={"is x": np.array([3.0, 4.0])})
    'is x'
    """
    if not isinstance(got, np.ndarray):
        return f"is a {type(got).__name__}: is a return missing?"
    if got.shape != expected.shape:
        return f"has shape {got.shape}, expected {expected.shape}"
    if agree(got, expected):
        return ""
    if not np.isfinite(got).all():
        return "is not finite"
    if not got.any():
        return "is zero: is it assigned?"
    if causes is None:
        causes = separate_causes(math.prod(expected.shape[1:]))
    nonzero = np.abs(expected) > 1e-9
    ratios = got[nonzero] / expected[nonzero]
    if ratios.size > 1 and np.allclose(got, ratios.flat[0] * expected, rtol=1e-4, atol=1e-7):
        ratio = float(ratios.flat[0])
        size = f"is {abs(ratio):.4g} times the right one"
        size = next((c for f, c in causes.items() if np.isclose(abs(ratio), f, rtol=1e-4)), size)
        size = "" if np.isclose(ratio, -1) else size
        return size if ratio > 0 else "has the wrong sign" + (size and f", and {size}")
    for words, wrong in {
        "is the transpose of the right one": expected.T,
        "has the wrong sign": -expected,
        **(mistakes or {}),
    }.items():
        for sign, also in ((1, ""), (-1, "; its sign is wrong too")):
            if wrong.shape == got.shape and np.allclose(got, sign * wrong, rtol=1e-4, atol=1e-7):
                return words + also
    index = np.unravel_index(int(np.argmax(np.abs(got - expected))), got.shape)
    return f"is {got[index]:.4g} at index {tuple(map(int, index))}, expected {expected[index]:.4g}"


def agree(got: Array, expected: Array) -> bool:
    """Tell whether two arrays of one shape are equal up to the error of central differences."""
    return np.allclose(got, expected, rtol=1e-5, atol=1e-7)


def shape_hint(expected: Shape, got: Shape) -> str:
    """Return the likely cause of a gradient's wrong shape."""
    matrix = len(expected) == 2
    if matrix and got == (ROWS, ROWS):
        return "that is a number for each pair of rows; transpose the first factor"
    if matrix and got != (ROWS, *expected):
        return "use a matrix product (@), which sums over the rows, and no other sum"
    if not matrix and got in ((*expected, *expected), (ROWS, ROWS)):
        return "use no matrix product (@); sum over the rows with axis=0"
    return "sum over the rows only, with axis=0"
