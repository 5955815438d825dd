"""The analytic gradients held against central differences, number by number."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

from minigrad.arrays import Array, Shape, as_data
from minigrad.config import as_object
from minigrad.copies import Rewind, in_double
from minigrad.data import as_rows
from minigrad.layers.base import Layer
from minigrad.losses import Loss
from minigrad.paths import join
from minigrad.sequential import Sequential

_STEPS = (1e-5, 1e-6, 1e-4, 1e-7)
"""Several, as one of them may straddle the kink of a ReLU."""
_GOOD = 1e-8
_NOISE = 1e-5
"""Gradients below this part of J are lost in the rounding of J."""


@dataclass(frozen=True)
class Comparison:
    """One array's gradient: where it is, and the index that fits worst.

    >>> Comparison("dense_1", "weight", (0, 1), analytic=2.0, numeric=1.0, error=0.5).place
    'dense_1.weight[0, 1]'
    """

    layer: str
    parameter: str
    index: tuple[int, ...]
    analytic: float
    numeric: float
    error: float

    @property
    def path(self) -> str:
        """Such as "dense_1.weight"; "input" for the input."""
        return join(self.layer, self.parameter)

    @property
    def place(self) -> str:
        """Such as "dense_1.weight[0, 2]"."""
        return f"{self.path}[{', '.join(map(str, self.index))}]"


@dataclass(frozen=True)
class GradientReport:
    """What `check_gradients` found: one comparison a parameter, and one for the input.

    >>> print(GradientReport((Comparison("dense_1", "weight", (0, 1), 2.0, 1.0, 0.5),), 1e-6))
    FAILED: dense_1.weight[0, 1] is 2, central differences give 1 (relative error 5.0e-01 > 1.0e-06)
      gradient          worst index     analytic      numeric    error
      dense_1.weight    (0, 1)         2.000e+00    1.000e+00  5.0e-01  FAILED
    """

    comparisons: tuple[Comparison, ...]
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether every gradient agrees."""
        return self.worst.error <= self.tolerance

    @property
    def worst(self) -> Comparison:
        """The comparison with the largest relative error."""
        return max(self.comparisons, key=lambda c: c.error)

    def __bool__(self) -> bool:
        return self.passed

    @override
    def __str__(self) -> str:
        worst = self.worst
        if self.passed:
            head = (
                f"passed: {len(self.comparisons)} gradients agree with central differences; worst "
            )
            head += f"{worst.place}, relative error {worst.error:.1e}"
        else:
            head = f"FAILED: {worst.place} is {worst.analytic:.6g}, central differences give "
            head += f"{worst.numeric:.6g} "
            head += f"(relative error {worst.error:.1e} > {self.tolerance:.1e})"
        wide = max(16, *(len(c.path) for c in self.comparisons))
        rows = [
            f"  {'gradient':{wide}}  {'worst index':12} {'analytic':>11}  {'numeric':>11}    error"
        ]
        for c in self.comparisons:
            verdict = "" if c.error <= self.tolerance else "  FAILED"
            rows.append(
                f"  {c.path:{wide}}  {c.index!s:12} {c.analytic:11.3e}  {c.numeric:11.3e}  "
                f"{c.error:.1e}{verdict}"
            )
        return "\n".join([head, *rows])


def check_gradients(
    model: Layer, x: ArrayLike, y: ArrayLike, loss: Loss | str, *, tolerance: float = 1e-6
) -> GradientReport:
    """Compare every analytic gradient, of the parameters and of the input, with a difference.

    For each number p of them, (J(p + h) - J(p - h)) / 2h is held against the gradient that
    `backward` computed. The error is |analytic - numeric| over the larger of the two, or over
    1e-3 of the largest gradient in its array, or 1e-5 of J, where both are small. The check runs
    in float64 on a copy, with the same random numbers at each evaluation; the model is left as it
    is.

    Args:
        model: a `Sequential`, or any single layer.
        x: a few rows of input; each number of a parameter costs two evaluations.
        y: targets.
        loss: a loss, or a name for its defaults.
        tolerance: the relative error that still passes.

    Returns:
        A report: true if it passed, and a table when it is printed.

    Raises:
        TypeError, ValueError: data that the model can't take.

    Source: Bishop 2006, equation 5.69.

    >>> from minigrad import Dense, MSELoss, Sequential, Sigmoid
    >>> model = Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)
    >>> x = np.random.default_rng(0).uniform(size=(5, 2))
    >>> report = check_gradients(model, x, x.sum(axis=1), MSELoss())
    >>> report.passed
    True
    """
    loss = as_object(Loss, loss, "loss")
    subject = _double(model, as_data(x, "x").shape[1:])
    assert subject.output_shape is not None
    rows = as_rows(x, y, output_shape=subject.output_shape, loss=loss)
    inputs = rows.x.astype(np.float64)
    objective = _Objective(subject, loss, rows.y)
    least = _NOISE * abs(objective(inputs)) + 1e-10
    subject.backward(objective.loss.backward())
    input_gradient = subject.backward(objective.loss.backward())  # twice: assigned, not added up
    objective.parameters.add_penalty_gradients()
    arrays = {id(p): (path, p.value, p.grad.copy()) for path, p in subject.named_parameters()}
    comparisons = [
        _compare(*array, lambda: objective(inputs), least)
        for array in [*arrays.values(), ("input", inputs, input_gradient)]
    ]
    return GradientReport(tuple(comparisons), tolerance)


class _Objective:
    """J as a function of whatever arrays hold, with the same random numbers each time."""

    def __init__(self, model: Sequential, loss: Loss, target: NDArray[Any]) -> None:
        self.model = model
        self.parameters = model.parameters
        self.loss = copy.copy(loss)
        self.target = target
        self.rewind = Rewind(model)

    def __call__(self, x: Array) -> float:
        self.rewind()
        j = self.loss.measure(self.model.forward(x), self.target)
        return j + self.parameters.penalty()


def _double(model: Layer, input_shape: Shape) -> Sequential:
    """Return a copy of the model in float64; a single layer becomes a model of one."""
    if not isinstance(model, Sequential):
        return Sequential([copy.deepcopy(model)], input_shape=input_shape, rng=0)
    return in_double(model, input_shape)


def _compare(
    place: str, value: Array, analytic: Array, objective: Callable[[], float], least: float
) -> Comparison:
    """Return the worst number of one array."""
    layer, _, parameter = place.rpartition(".")
    least = max(least, 1e-3 * float(np.abs(analytic).max(initial=0.0)))
    worst = Comparison(layer, parameter, (), 0.0, 0.0, -1.0)
    for index in np.ndindex(value.shape):
        claimed = float(analytic[index])
        tried = []
        for step in _STEPS:
            numeric = _difference(value, index, step, objective)
            error = abs(claimed - numeric) / max(abs(claimed), abs(numeric), least)
            tried.append((error if math.isfinite(error) else math.inf, numeric))
            if error < _GOOD:
                break
        error, numeric = min(tried)
        if error > worst.error:
            worst = Comparison(layer, parameter, index, claimed, numeric, error)
    return worst


def _difference(
    value: Array, index: tuple[int, ...], step: float, objective: Callable[[], float]
) -> float:
    kept = value[index]
    h = step * max(1.0, abs(float(kept)))
    value[index] = kept + h
    above = objective()
    value[index] = kept - h
    below = objective()
    value[index] = kept
    return (above - below) / (2 * h)
