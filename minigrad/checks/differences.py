"""The slope of J by one number of an array, by differences that fit the array's scale."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minigrad.data.arrays import Array

_STEPS = (1e-5, 1e-6, 1e-4, 1e-7)
"""Several, as one of them may straddle the kink of a ReLU."""
_GOOD = 1e-8
_NOISE = 1e-5
"""Slopes below this part of J are lost in the rounding of J."""
_ENOUGH = 5
"""So many wrong slopes say that the array's gradient is wrong: the others are given one step."""
_ALIKE = 1e-5
"""How near, by their largest, claimed slopes must be to a multiple of the differences."""
_ROUNDING = 2.0**-50
"""The part of J that an evaluation may be off by."""


class Missed(NamedTuple):
    """A slope that no difference agrees with: how far off it is at the smallest step.

    Both are for an array of scale 1: dJ is `off` times dp over the scale.
    """

    off: float
    step: float


class Differences:
    """J around a point, as one array's numbers move, held against the slopes that are claimed.

    Steps of about 1e-5 come first. Where none of them fits, smaller and smaller ones follow, from a
    hundredth of the array's size down to where the rounding of J is larger than the tolerance; so
    an array may be of any scale. `missed` tells of the first numbers that nothing fits.

    Args:
        objective: gives J for what the array holds.
        value: the array; each number is put back after it was moved.
        claimed: dJ/dvalue, of its shape.
        tolerance: the relative error that is looked for.

    >>> p = np.array([3.0, 1.0])
    >>> differences = Differences(lambda: (p**2).sum(), p, np.array([6.0, 1.0]))
    >>> [differences((n,))[0] < 1e-6 for n in range(2)], len(differences.missed)
    ([True, False], 1)
    """

    def __init__(
        self,
        objective: Callable[[], float],
        value: Array,
        claimed: Array,
        tolerance: float = 1e-6,
    ) -> None:
        self.objective = objective
        self.value = value
        self.claimed = claimed
        self.tolerance = tolerance
        self.scale = scale(value)
        j = abs(float(objective()))
        self.lost = _ROUNDING * j
        least = (_NOISE * j + 1e-10) / max(1.0, self.scale)
        self.least = max(least, 1e-3 * float(np.abs(claimed).max(initial=0.0)))
        self.missed: list[Missed] = []

    def __call__(self, index: tuple[int, ...]) -> tuple[float, float]:
        """Return the error, relative to the larger slope, and the difference that is nearest."""
        claimed = float(self.claimed[index])
        unit = max(1.0, abs(float(self.value[index])))
        tried: list[tuple[float, float, float]] = []
        enough = len(self.missed) == _ENOUGH
        for step in _STEPS[:1] if enough else _STEPS:
            numeric = self._difference(index, unit * step)
            tried.append((self._error(claimed, numeric), numeric, unit * step))
            if tried[-1][0] < _GOOD:
                break
        if min(tried)[0] > self.tolerance and not enough:
            tried += self._search(index, claimed)
            if min(tried)[0] > self.tolerance:
                _, numeric, h = tried[-1]
                self.missed.append(Missed(abs(claimed - numeric) * self.scale, h / self.scale))
        error, numeric, _ = min(tried)
        return error, numeric

    def factor(self) -> float:
        """Return the one number that all slopes times it are what is claimed; NaN if none is.

        >>> p = np.array([3.0, 1.0])
        >>> twice = Differences(lambda: (p**2).sum(), p, np.array([12.0, 4.0]))
        >>> round(twice.factor(), 6)
        2.0
        """
        numeric = np.empty_like(self.claimed)
        for index in np.ndindex(self.value.shape):
            unit = max(1.0, abs(float(self.value[index])))
            numeric[index] = self._difference(index, unit * _STEPS[0])
        square = float(np.vdot(numeric, numeric))
        factor = float(np.vdot(numeric, self.claimed)) / square if square else math.nan
        off = float(np.abs(self.claimed - factor * numeric).max())
        return factor if off <= _ALIKE * float(np.abs(self.claimed).max()) else math.nan

    def _search(self, index: tuple[int, ...], claimed: float) -> list[tuple[float, float, float]]:
        """Return errors, differences and steps, for all steps that rounding allows."""
        tried: list[tuple[float, float, float]] = []
        longer: list[float] = []
        for half in range(4, 41):
            h = max(1.0, self.scale) * 10.0 ** (-half / 2)
            with np.errstate(over="ignore", invalid="ignore"):  # the first steps may be huge
                row = [self._difference(index, h)]
            lost = self.lost / h
            if not lost < self.tolerance * self._size(claimed, row[0]):
                break
            # Without their errors of order h^2 and h^4, longer steps serve: rounding spoils less.
            for order, before in zip((1, 2), longer, strict=False):
                row.append(row[-1] + (row[-1] - before) / (10**order - 1))
            tried += [(self._error(claimed, n, lost), n, h) for n in reversed(row)]
            longer = row
        return tried

    def _error(self, claimed: float, numeric: float, lost: float = 0.0) -> float:
        """Return the relative error, and at least what rounding makes of it."""
        error = max(abs(claimed - numeric), lost) / self._size(claimed, numeric)
        return error if math.isfinite(error) else math.inf

    def _size(self, claimed: float, numeric: float) -> float:
        return max(abs(claimed), abs(numeric), self.least)

    def _difference(self, index: tuple[int, ...], h: float) -> float:
        return difference(self.objective, self.value, index, h)


def difference(
    objective: Callable[[], float], value: Array, index: tuple[int, ...], h: float
) -> float:
    """Return the central difference of J by one number, which is put back: dJ/dp to order h^2.

    >>> p = np.array([3.0])
    >>> difference(lambda: p[0] ** 2, p, (0,), 0.5)
    6.0
    """
    kept = float(value[index])
    value[index] = up = kept + h
    above = float(objective())
    value[index] = down = kept - h
    below = float(objective())
    value[index] = kept
    return (above - below) / (up - down or math.nan)


def scale(value: Array) -> float:
    """Return the root mean square of an array, or 1 where it is all zero.

    >>> scale(np.array([3.0, -3.0])), scale(np.zeros(2))
    (3.0, 1.0)
    """
    return float(np.sqrt(np.mean(np.square(value)))) or 1.0 if value.size else 1.0
