"""Central differences of a loss J, steps off a kink, and the copies of a model for both."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from minigrad.core.layer import Layer, walk
from minigrad.core.model import BaseModel
from minigrad.data.arrays import Array
from minigrad.data.by_name import Data
from minigrad.util.random import is_rng, rng_state, set_rng_state

M = TypeVar("M", bound=Layer)

_STEPS = (1e-5, 1e-6, 1e-4, 1e-7)  # several, because one of them may cross the kink of a ReLU
_GOOD = 1e-8  # a smaller relative error ends the search for a step
_NOISE = 1e-5  # derivatives below this share of J are lost in the rounding of J
_ENOUGH = 5  # misses that prove the gradient wrong; the other numbers get one step each
_ALIKE = 1e-5  # the relative error up to which a gradient is a multiple of the differences
_ROUNDING = 2.0**-50  # the relative rounding error of one evaluation of J


def in_double(model: M, x: Data) -> M:
    """Return a copy of a model in float64, built for x."""
    twin = copy.deepcopy(model)
    assert isinstance(twin, BaseModel)
    if twin.output_shape is None:  # layers that are built don't fit into another dtype
        with np.errstate(all="ignore"):
            twin.forward(x, training=False)
    return twin.astype("float64")


class Replay:
    """Replay the same random numbers on every call, so that each pass has the same dropout."""

    def __init__(self, model: Layer) -> None:
        values = [value for _, layer in walk(model) for value in vars(layer).values()]
        self._states = [(rng, rng_state(rng)) for rng in values if is_rng(rng)]

    def __call__(self) -> None:
        for rng, state in self._states:
            set_rng_state(rng, state)


class Differences:
    """Compare an array's analytic gradient with central differences of J.

    The first steps are about 1e-5. If none matches, smaller and smaller steps follow, from a
    hundredth of the array's scale down to where the rounding of J exceeds the tolerance. The array
    may therefore have any scale. `missed` holds (error, step) for the first numbers that no step
    matches: the absolute error at the smallest step, as if the array were scaled to 1.
    """

    def __init__(
        self, objective: Callable[[], float], value: Array, analytic: Array, tolerance: float = 1e-6
    ) -> None:
        self.objective = objective
        self.value = value
        self.analytic = analytic
        self.tolerance = tolerance
        self.scale = scale(value)
        j = abs(float(objective()))
        self._rounding = _ROUNDING * j
        smallest = (_NOISE * j + 1e-10) / max(1.0, self.scale)
        self._smallest = max(smallest, 1e-3 * float(np.abs(analytic).max(initial=0.0)))
        self.missed: list[tuple[float, float]] = []

    def __call__(self, index: tuple[int, ...]) -> tuple[float, float]:
        """Return the relative error, and the difference that is nearest to the gradient."""
        analytic = float(self.analytic[index])
        unit = max(1.0, abs(float(self.value[index])))
        tried: list[tuple[float, float, float]] = []
        enough = len(self.missed) == _ENOUGH
        for step in _STEPS[:1] if enough else _STEPS:
            numeric = difference(self.objective, self.value, index, unit * step)
            tried.append((self._error(analytic, numeric), numeric, unit * step))
            if tried[-1][0] < _GOOD:
                break
        if min(tried)[0] > self.tolerance and not enough:
            tried += self._search(index, analytic)
            if min(tried)[0] > self.tolerance:
                _, numeric, h = tried[-1]
                self.missed.append((abs(analytic - numeric) * self.scale, h / self.scale))
        error, numeric, _ = min(tried)
        return error, numeric

    def factor(self) -> float:
        """Return c where the gradient is c times the differences; NaN if there is no such c."""
        numeric = np.empty_like(self.analytic)
        for index in np.ndindex(self.value.shape):
            unit = max(1.0, abs(float(self.value[index])))
            numeric[index] = difference(self.objective, self.value, index, unit * _STEPS[0])
        square = float(np.vdot(numeric, numeric))
        factor = float(np.vdot(numeric, self.analytic)) / square if square else math.nan
        error = float(np.abs(self.analytic - factor * numeric).max())
        return factor if error <= _ALIKE * float(np.abs(self.analytic).max()) else math.nan

    def _search(self, index: tuple[int, ...], analytic: float) -> list[tuple[float, float, float]]:
        """Return (error, difference, step) for all steps that rounding allows."""
        tried: list[tuple[float, float, float]] = []
        longer: list[float] = []
        for half in range(4, 41):
            h = max(1.0, self.scale) * 10.0 ** (-half / 2)
            with np.errstate(over="ignore", invalid="ignore"):  # the first steps may be huge
                row = [difference(self.objective, self.value, index, h)]
            rounding = self._rounding / h
            if not rounding < self.tolerance * self._size(analytic, row[0]):
                break
            # Richardson extrapolation removes the errors of order h^2 and h^4. Longer steps then
            # match, and they lose less to rounding.
            for order, before in zip((1, 2), longer, strict=False):
                row.append(row[-1] + (row[-1] - before) / (10**order - 1))
            tried += [(self._error(analytic, n, rounding), n, h) for n in reversed(row)]
            longer = row
        return tried

    def _error(self, analytic: float, numeric: float, rounding: float = 0.0) -> float:
        error = max(abs(analytic - numeric), rounding) / self._size(analytic, numeric)
        return error if math.isfinite(error) else math.inf

    def _size(self, analytic: float, numeric: float) -> float:
        return max(abs(analytic), abs(numeric), self._smallest)


def difference(
    objective: Callable[[], float], value: Array, index: tuple[int, ...], h: float
) -> float:
    """Return the central difference of J for one number, which is then restored."""
    kept = float(value[index])
    value[index] = up = kept + h
    above = float(objective())
    value[index] = down = kept - h
    below = float(objective())
    value[index] = kept
    return (above - below) / (up - down or math.nan)


def step_off(starts: Sequence[Array], values: Sequence[Array], distance: float, seed: int) -> None:
    """Move each number from its start by 0.5 to 1 % of its array's scale, times `distance`."""
    rng = np.random.default_rng(seed)
    for start, value in zip(starts, values, strict=True):
        step = rng.uniform(0.005, 0.01, value.shape) * rng.choice([-1, 1], value.shape)
        value[...] = start + distance * scale(start) * step


def scale(value: Array) -> float:
    """Return the root mean square of an array, or 1 if all of it is zero."""
    return float(np.sqrt(np.mean(np.square(value)))) or 1.0 if value.size else 1.0
