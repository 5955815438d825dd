"""Gradient checking: compare analytic gradients with central differences."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

from minigrad.checks.differences import Differences, Replay, in_double, step_off
from minigrad.core.layer import Layer, walk
from minigrad.core.loss import Loss, as_loss
from minigrad.data.arrays import Array, as_data
from minigrad.data.rows import as_rows
from minigrad.trace import trace
from minigrad.util.names import join

_ROUNDINGS = 8
_LINES = 4  # `bend` looks for kinks along several lines, because two may cancel along one


@dataclass(frozen=True)
class Comparison:
    """The number of one array whose gradient has the largest error.

    The error is 0 if J is too inexact to tell, as where a sigmoid's output is within rounding of 1.
    `beside_kink` is true if J has a kink at the point itself, as at the bias 0 of a ReLU under a
    row of zeros; the values are then those of a point nearby. `hint` says so of inexact numbers,
    and names the likely cause if the whole gradient is off by a known factor.
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
        """The array's path, such as "dense_1.weight"; "input" for the input."""
        return join(self.layer, self.parameter)

    @property
    def place(self) -> str:
        """The number's place, such as "dense_1.weight[0, 2]"."""
        return f"{self.path}[{', '.join(map(str, self.index))}]"


@dataclass(frozen=True)
class GradientReport:
    """The result of `check_gradients`: one comparison for each parameter, and one for the input."""

    comparisons: tuple[Comparison, ...]
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether every gradient agrees."""
        return self.worst.error <= self.tolerance

    @property
    def worst(self) -> Comparison:
        """The comparison with the largest relative error."""
        return max(self.comparisons, key=attrgetter("error"))

    def __bool__(self) -> bool:
        return self.passed

    @override
    def __str__(self) -> str:
        worst, count = self.worst, len(self.comparisons)
        agree = "1 gradient agrees" if count == 1 else f"{count} gradients agree"
        head = f"passed: {agree} with central differences; worst"
        head += f" {worst.place}, relative error {worst.error:.1e}"
        if not self.passed:
            head = f"FAILED: {worst.place} is {worst.analytic:.6g}, central differences give "
            head += f"{worst.numeric:.6g} (relative error {worst.error:.1e} > {self.tolerance:.1e})"
        wide = max(16, *(len(c.path) for c in self.comparisons))
        titles = f"{'worst index':12} {'analytic':>11}  {'numeric':>11}    error"
        lines = [head, f"  {'gradient':{wide}}  {titles}"]
        for c in self.comparisons:
            verdict = "" if c.error <= self.tolerance else "  FAILED"
            verdict += "  near a kink" if c.beside_kink else ""
            verdict += f"  {c.hint}" if c.hint else ""
            numbers = f"{c.index!s:12} {c.analytic:11.3e}  {c.numeric:11.3e}  {c.error:.1e}"
            lines.append(f"  {c.path:{wide}}  {numbers}{verdict}")
        return "\n".join(lines)


def check_gradients(
    model: Layer, x: ArrayLike, y: ArrayLike, loss: Loss | str, *, tolerance: float = 1e-6
) -> GradientReport:
    """Compare analytic gradients with central differences, for each parameter and the input.

    For each number p, the check compares the gradient that `backward` computes with
    (J(p + h) - J(p - h)) / 2h. The error is |analytic - numeric|, divided by the largest of: the
    two, 1e-3 of the largest gradient in the array, and 1e-5 of J. The step h is about 1e-5; if it
    doesn't match, other steps follow. The check runs in float64 on a copy, and replays the same
    random numbers. If a whole array is off by a known factor, the report names the likely cause.
    An input of ids has no gradient and is left out.

    At a kink, such as a bias of 0 under a ReLU and a row of zeros, J has no derivative, and the
    gradient is a convention. So if numbers don't match, and J bends by as much along lines on which
    all arrays move, the check compares that array at six points nearby instead, up to 1 % away. A
    gradient that fails at two of them is wrong.

    Args:
        model: a model, or any single layer.
        x: a few rows of input; each number of a parameter costs at least two evaluations.
        y: targets.
        loss: a loss, or its name for the defaults.
        tolerance: the relative error that still passes.

    Returns:
        A report, which is true if the check passed, and prints as a table.

    Raises:
        TypeError, ValueError: the model can't take the data, or the loss isn't finite for it.

    Source: Bishop 2006, equation 5.69.

    >>> from minigrad import Dense, MSELoss, Sequential, Sigmoid
    >>> model = Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)
    >>> x = np.random.default_rng(0).uniform(size=(5, 2))
    >>> report = check_gradients(model, x, x.sum(axis=1), MSELoss())
    >>> report.passed
    True
    """
    loss = as_loss(loss)
    twin = in_double(model, as_data(x, "x").shape[1:])
    rows = as_rows(x, y, output_shape=twin.output_shape, loss=loss)
    inputs = twin.cast(rows.x, np.dtype(np.float64)).copy()
    objective = _Objective(twin, loss, inputs, rows.y)
    objective.check_finite()
    comparisons = []
    for number, gradient in enumerate(objective.gradients()):
        comparison, missed = objective.compare(number, gradient, tolerance)
        noise = objective.rounding() if missed else 0.0
        if missed and all(error <= noise / step for error, step in missed):
            comparison = replace(comparison, error=0.0, hint="lost in the rounding of J")
        elif missed and all(error <= objective.bend(step) for error, step in missed):
            comparison = objective.compare_nearby(number, tolerance)
        comparisons.append(comparison)
    return GradientReport(tuple(comparisons), tolerance)


class _Objective:
    """J as a function of the parameters and the input; random numbers are replayed."""

    def __init__(self, model: Any, loss: Loss, x: Array, target: NDArray[Any]) -> None:
        self.model = model
        self.parameters = model.parameters
        self.loss = copy.copy(loss)
        self.x = x
        self.target = target
        self.replay = Replay(model)
        paths = {id(p.source): path for path, p in model.named_parameters()}
        self.paths = [*(paths[id(p)] for p in self.parameters), "input"]
        self.values = [p.value for p in self.parameters]
        if x.dtype.kind == "f":  # ids have no slope
            self.values.append(x)
        self.starts = [value.copy() for value in self.values]

    def __call__(self) -> float:
        self.replay()
        j = self.loss.measure(self.model.forward(self.x), self.target)
        return float(j + self.parameters.regularization())

    def check_finite(self) -> None:
        with np.errstate(all="ignore"):
            j = self()
        if not math.isfinite(j):
            recorded = trace(self.model, self.x, self.target, self.loss)
            raise ValueError(
                f"check_gradients expects a finite loss, got {j}: "
                f"{recorded.first_not_finite() or 'the loss'} is not finite; start from finite "
                "parameters, such as those of a new model"
            )

    def gradients(self) -> list[Array]:
        self()
        self.model.backward(self.loss.backward())
        back = self.model.backward(self.loss.backward())  # a second call shows added gradients
        self.parameters.add_regularizer_gradients()
        gradients = [*(p.grad.copy() for p in self.parameters), back]
        return gradients[: len(self.values)]

    def compare(
        self, number: int, gradient: Array, tolerance: float
    ) -> tuple[Comparison, list[tuple[float, float]]]:
        """Compare the gradient of one array, and return its worst number and the misses."""
        differences = Differences(self, self.values[number], gradient, tolerance)
        layer, _, parameter = self.paths[number].rpartition(".")
        found = [(*differences(index), index) for index in np.ndindex(gradient.shape)]
        error, numeric, index = max(found, key=itemgetter(0), default=(-1.0, 0.0, ()))
        analytic = float(gradient[index]) if found else 0.0
        worst = Comparison(layer, parameter, index, analytic, numeric, error)
        if differences.missed:
            worst = replace(worst, hint=_hint(differences.factor(), len(self.x)))
        return worst, differences.missed

    def compare_nearby(self, number: int, tolerance: float) -> Comparison:
        """Return the second worst comparison of six nearby; one of them may be at a kink too."""
        found: list[Comparison] = []
        for seed, way in itertools.product(range(3), (1, -1)):
            if sum(c.error > tolerance for c in found) < 2:  # two failures settle it
                step_off(self.starts, self.values, way, seed)
                comparison, _ = self.compare(number, self.gradients()[number], tolerance)
                found.append(replace(comparison, beside_kink=True))
        step_off(self.starts, self.values, 0, 0)
        return sorted(found, key=attrgetter("error"))[-2]

    def rounding(self) -> float:
        """Return how much J may change if the outputs of all layers are rounded another way.

        It is large if J depends on 1 - a, where a sigmoid's a is within rounding of 1.
        """
        rng = np.random.default_rng(0)
        leaves = [layer for _, layer in walk(self.model) if not layer.children]

        def rounded(forward: Callable[..., Array]) -> Callable[..., Array]:
            def forward_rounded(*inputs: Array, training: bool = True) -> Array:
                output = forward(*inputs, training=training)
                smaller: Array = output * (1 - 2.0**-52 * rng.integers(2, size=output.shape))
                return smaller

            return forward_rounded

        for leaf in leaves:
            vars(leaf)["forward"] = rounded(leaf.forward)
        js = [self() for _ in range(_ROUNDINGS)]
        for leaf in leaves:
            del vars(leaf)["forward"]
        return 2 * float(np.ptp(js))

    def bend(self, step: float) -> float:
        """Return how much the derivatives of J may differ within ten steps of this point.

        All arrays move along a line at once, which also shows kinks that cancel for one number.
        """
        bends = []
        for seed in range(_LINES):
            js = []
            for way in (1, 0, -1):
                step_off(self.starts, self.values, 1e3 * step * way, seed)
                js.append(self())
            bends.append(abs(js[0] - 2 * js[1] + js[2]) / step)
        step_off(self.starts, self.values, 0, 0)
        return max(bends)


def _hint(factor: float, rows: int) -> str:
    """Return the likely cause of a gradient that is the right one times this factor."""
    known = {
        float(rows): f"{rows}x: sum, not mean?",
        1 / rows: f"1/{rows}x: mean, not sum?",
        2.0: "2x: += instead of =?",
        0.5: "1/2x: factor 2 missing?",
        -1.0: "-1x: wrong sign?",
    }
    return next((hint for f, hint in known.items() if math.isclose(factor, f, rel_tol=1e-4)), "")
