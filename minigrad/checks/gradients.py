"""The analytic gradients held against central differences, number by number."""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

from minigrad.checks.copies import Rewind, in_double
from minigrad.checks.differences import Differences, Missed, scale
from minigrad.core.layer import Layer
from minigrad.core.model import Sequential
from minigrad.data.arrays import Array, Shape, as_data
from minigrad.data.rows import as_rows
from minigrad.losses import Loss
from minigrad.trace import trace
from minigrad.util.config import as_object
from minigrad.util.names import apart, join

_LINES = 4
"""So many, as two kinks may cancel along one."""


@dataclass(frozen=True)
class Comparison:
    """One array's gradient: where it is, and the index that fits worst.

    `beside_kink` is true where the array doesn't fit at the point itself, and J has a kink there
    (or bends so much that differences settle nothing), as with the bias 0 of a ReLU under a row of
    zeros: it was compared at points nearby, and what fits worst is from there. `hint` says what the
    array is to its differences, if that tells a cause.

    >>> Comparison("dense_1", "weight", (0, 1), analytic=2.0, numeric=1.0, error=0.5).place
    'dense_1.weight[0, 1]'
    """

    layer: str
    parameter: str
    index: tuple[int, ...]
    analytic: float
    numeric: float
    error: float
    beside_kink: bool = False
    hint: str = ""

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
            verdict += "  beside a kink" if c.beside_kink else ""
            verdict += f"  {c.hint}" if c.hint else ""
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
    1e-3 of the largest gradient in its array, or 1e-5 of J, where both are small. The step h is
    about 1e-5; where that doesn't fit, one that does is looked for, from the size of the array's
    numbers down. The check runs in float64 on a copy, with the same random numbers at each
    evaluation; the model is left as it is. An array that is a multiple of its differences as a
    whole, such as twice, is said to be so.

    On a kink, as at a bias of 0 under a ReLU and a row of zeros, J has no derivative, and the
    gradient there is a choice. So where numbers fail, and J bends by as much on lines through the
    point along which all inputs and parameters move, their array is judged by six points nearby, on
    either side, to which all move by up to a hundredth of their size: a gradient that fails at two
    is wrong. (On the kink itself only a gradient far beyond those beside it is found.)

    Args:
        model: a `Sequential`, or any single layer.
        x: a few rows of input; each number of a parameter costs two evaluations.
        y: targets.
        loss: a loss, or a name for its defaults.
        tolerance: the relative error that still passes.

    Returns:
        A report: true if it passed, and a table when it is printed.

    Raises:
        TypeError, ValueError: data that the model can't take; a loss that isn't finite for it.

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
    objective = _Objective(subject, loss, rows.x.astype(np.float64), rows.y)
    objective.check_finite()
    comparisons = []
    for number, gradient in enumerate(objective.gradients()):
        comparison, missed = objective.compare(number, gradient, tolerance)
        if missed and all(m.off <= objective.bend(m.step) for m in missed):
            comparison = objective.compare_nearby(number, tolerance)
        comparisons.append(comparison)
    return GradientReport(tuple(comparisons), tolerance)


class _Objective:
    """J as a function of what arrays hold, with the same random numbers each time."""

    def __init__(self, model: Sequential, loss: Loss, x: Array, target: NDArray[Any]) -> None:
        self.model = model
        self.parameters = model.parameters
        self.loss = copy.copy(loss)
        self.x = x
        self.target = target
        self.rewind = Rewind(model)
        arrays = {id(p): (path, p.value) for path, p in model.named_parameters()}
        self.arrays = [*arrays.values(), ("input", x)]
        self.starts = [value.copy() for _, value in self.arrays]

    def __call__(self) -> float:
        self.rewind()
        j = self.loss.measure(self.model.forward(self.x), self.target)
        return j + self.parameters.regularization()

    def check_finite(self) -> None:
        """Refuse to compare what no difference can be taken of."""
        with np.errstate(all="ignore"):
            j = self()
        if not math.isfinite(j):
            recorded = trace(self.model, self.x, self.target, self.loss)
            raise ValueError(
                f"the loss is {j} for these rows, as {recorded.first_not_finite() or 'the loss'} is "
                "not finite: check finite parameters, such as those of a new model"
            )

    def compare(
        self, number: int, gradient: Array, tolerance: float
    ) -> tuple[Comparison, list[Missed]]:
        """Hold this gradient of the array of this number against differences."""
        place, value = self.arrays[number]
        differences = Differences(self, value, gradient, tolerance)
        return _compare(place, differences, len(self.x)), differences.missed

    def compare_nearby(self, number: int, tolerance: float) -> Comparison:
        """Do so at points nearby; the worst but one, as one may lie beside a kink itself."""
        found: list[Comparison] = []
        for seed, way in itertools.product(range(3), (1, -1)):
            if sum(c.error > tolerance for c in found) < 2:  # two say it
                self.move(way, seed)
                comparison, _ = self.compare(number, self.gradients()[number], tolerance)
                found.append(replace(comparison, beside_kink=True))
        self.move(0, 0)
        return sorted(found, key=_error)[-2]

    def bend(self, step: float) -> float:
        """Return how far apart, within ten steps to either side of here, J's slopes may be.

        That is along lines on which all arrays move, by so large a part of their scale. There even
        kinks show that cancel as one number moves alone.
        """
        apart = []
        for seed in range(_LINES):
            js = []
            for way in (1, 0, -1):
                self.move(1e3 * step * way, seed)
                js.append(self())
            apart.append(abs(js[0] - 2 * js[1] + js[2]) / step)
        self.move(0, 0)
        return max(apart)

    def move(self, way: float, seed: int) -> None:
        """Put all numbers at random beside where they were, by up to a hundredth of their scale."""
        rng = np.random.default_rng(seed)
        for start, (_, value) in zip(self.starts, self.arrays, strict=True):
            away = rng.uniform(0.005, 0.01, value.shape) * rng.choice([-1, 1], value.shape)
            value[...] = start + way * scale(start) * away

    def gradients(self) -> list[Array]:
        self()
        self.model.backward(self.loss.backward())
        back = self.model.backward(self.loss.backward())  # twice: assigned, not added up
        self.parameters.add_regularizer_gradients()
        gradients = {id(p): p.grad.copy() for _, p in self.model.named_parameters()}
        return [*gradients.values(), back]


def _double(model: Layer, input_shape: Shape) -> Sequential:
    """Return a copy of the model in float64; a single layer becomes a model of one."""
    if not isinstance(model, Sequential):
        return Sequential([copy.deepcopy(model)], input_shape=input_shape, rng=0)
    return in_double(model, input_shape)


def _compare(place: str, differences: Differences, rows: int) -> Comparison:
    """Return the worst number of one array, for so many rows of input."""
    layer, parameter = apart(place)
    worst = Comparison(layer, parameter, (), 0.0, 0.0, -1.0)
    for index in np.ndindex(differences.value.shape):
        error, numeric = differences(index)
        claimed = float(differences.claimed[index])
        worst = max(worst, Comparison(layer, parameter, index, claimed, numeric, error), key=_error)
    if differences.missed:
        worst = replace(worst, hint=_hint(differences.factor(), rows))
    return worst


def _hint(factor: float, rows: int) -> str:
    """Say what it may come from that a gradient is the right one times this factor.

    >>> _hint(-1.0, 6), _hint(3.0, 6)
    ('minus: a sign?', '')
    """
    known = {
        float(rows): f"{rows} times: a sum for a mean?",
        1 / rows: f"1/{rows}: a mean for a sum?",
        2.0: "twice: added up (+=)?",
        0.5: "half: a 2 left out?",
        -1.0: "minus: a sign?",
    }
    return next((said for f, said in known.items() if math.isclose(factor, f, rel_tol=1e-4)), "")


def _error(comparison: Comparison) -> float:
    return comparison.error
