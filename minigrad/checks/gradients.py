"""Gradient checking: compare analytic gradients with central differences."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np
from typing_extensions import override

from minigrad.checks.differences import Differences, Replay, in_double, step_off
from minigrad.checks.single import model_of
from minigrad.core.layer import Layer, walk
from minigrad.core.loss import Loss
from minigrad.data.arrays import Array
from minigrad.data.by_name import Data, each, row_count
from minigrad.models.model import Model
from minigrad.trace import trace
from minigrad.util.markup import escape
from minigrad.util.names import join
from minigrad.util.options import check_positive
from minigrad.util.table import Table
from minigrad.util.terminal import Terminal

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
        """The array's path, such as "dense_1.weight"; "input", or "input 'a'" of several."""
        return join(self.layer, self.parameter)

    @property
    def place(self) -> str:
        """The number's place, such as "dense_1.weight[0, 2]"."""
        return f"{self.path}[{', '.join(map(str, self.index))}]"


@dataclass(frozen=True)
class GradientReport:
    """The result of `check_gradients`: one comparison for each parameter and each input."""

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

    @property
    def headline(self) -> str:
        """Whether it passed, and the worst number, in a sentence."""
        worst, count = self.worst, len(self.comparisons)
        if not self.passed:
            return (
                f"FAILED: {worst.place} is {worst.analytic:.6g}, central differences give "
                f"{worst.numeric:.6g} (relative error {worst.error:.1e} > {self.tolerance:.1e})"
            )
        agree = "1 gradient agrees" if count == 1 else f"{count} gradients agree"
        return (
            f"passed: {agree} with central differences; worst {worst.place}, relative error "
            f"{worst.error:.1e}"
        )

    def __bool__(self) -> bool:
        return self.passed

    @override
    def __str__(self) -> str:
        terminal = Terminal.of()
        return f"{terminal.verdict(self.headline)}\n{self._table().text(terminal)}"

    @override
    def __repr__(self) -> str:
        return f"GradientReport({self.headline})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.headline)}</p>{self._table().html()}"

    def _table(self) -> Table:
        rows = [["worst number", "analytic", "numeric", "error", "verdict"]]
        for c in self.comparisons:
            verdict = "FAILED" if c.error > self.tolerance else "agrees"
            notes = ["near a kink"] if c.beside_kink else []
            notes += [c.hint] if c.hint else []
            numbers = f"{c.analytic:.3e}", f"{c.numeric:.3e}", f"{c.error:.1e}"
            rows.append([c.place, *numbers, ", ".join([verdict, *notes])])
        wrong = [i for i, c in enumerate(self.comparisons, start=1) if c.error > self.tolerance]
        return Table(rows, right=(1, 2, 3), wrong=wrong)


def check_gradients(
    model: Layer,
    x: Data,
    y: Data,
    loss: Loss | str | Mapping[str, Loss | str],
    *,
    sample_weight: Data | None = None,
    tolerance: float = 1e-6,
) -> GradientReport:
    """Compare analytic gradients with central differences, for each parameter and each input.

    For each number p, the check compares the gradient that `backward` computes with
    (J(p + h) - J(p - h)) / 2h. The error is |analytic - numeric|, divided by the largest of: the
    two, 1e-3 of the largest gradient in the array, and 1e-5 of J. The step h is about 1e-5; if it
    doesn't match, other steps follow. The check runs in float64 on a copy, and replays the same
    random numbers. If a whole array is off by a known factor, the report names the likely cause.
    An input without a slope isn't varied: ids, and what `backward` returns None for.

    At a kink, such as a bias of 0 under a ReLU and a row of zeros, J has no derivative, and the
    gradient is a convention. So if numbers don't match, and J bends by as much along lines on which
    all arrays move, the check compares that array at six points nearby instead, up to 1 % away. A
    gradient that fails at two of them is wrong.

    Args:
        model: a model, or any single layer.
        x: a few rows of input, for several inputs a dict; each number of a parameter costs at least
            two evaluations.
        y: targets, for several outputs a dict.
        loss: a loss, or its name for the defaults; a dict of them for several outputs.
        sample_weight: see `Model.fit`.
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
    tolerance = check_positive(tolerance, "tolerance", "check_gradients")
    whole = model if isinstance(model, Model) else model_of(model, None)
    objective = _VariedObjective(in_double(whole, x), x, y, loss, sample_weight)
    comparisons = []
    for path, gradient in objective.at_start.items():
        comparison, missed = objective.compare(path, gradient, tolerance)
        noise = objective.rounding() if missed else 0.0
        if missed and all(error <= noise / step for error, step in missed):
            comparison = replace(comparison, error=0.0, hint="lost in the rounding of J")
        elif missed and all(error <= objective.bend(step) for error, step in missed):
            comparison = objective.compare_nearby(path, tolerance)
        comparisons.append(comparison)
    return GradientReport(tuple(comparisons), tolerance)


class _VariedObjective:
    """J as a function of the parameters and the inputs; random numbers are replayed."""

    def __init__(self, model: Model, x: Data, y: Data, loss: Any, sample_weight: Data) -> None:
        objective = model.objective(x, y, loss=loss, sample_weight=sample_weight)
        self.model = model
        self.parameters = model.parameters
        self.loss = copy.copy(objective.loss)
        self.rows = objective.rows.take(slice(None))
        self.x = each(np.array, self.rows.x)  # copies, whose numbers are varied
        self.replay = Replay(model)
        arrays = {p.name: p.value for p in self.parameters}
        for name, value in self.x.items() if isinstance(self.x, dict) else [("", self.x)]:
            arrays[f"input '{name}'" if name else "input"] = value
        self.paths = [*arrays]
        self.values = {path: value for path, value in arrays.items() if value.dtype.kind == "f"}
        self.check_finite()
        self.at_start = self.gradients()
        self.values = {path: self.values[path] for path in self.at_start}
        self.starts = [value.copy() for value in self.values.values()]

    def __call__(self) -> float:
        self.replay()
        j = self.loss.measure(self.model.forward(self.x), self.rows.y, self.rows.weight)
        return float(j + self.parameters.regularization())

    def check_finite(self) -> None:
        with np.errstate(all="ignore"):
            j = self()
        if not math.isfinite(j):
            y, weight = self.rows.y, self.rows.weight
            recorded = trace(self.model, self.x, y, self.loss, sample_weight=weight)
            raise ValueError(
                f"check_gradients expects a finite loss, got {j}: "
                f"{recorded.first_not_finite() or 'the loss'} is not finite; start from finite "
                "parameters, such as those of a new model"
            )

    def gradients(self) -> dict[str, Array]:
        """Return the gradient of each array that has one."""
        self()
        self.model.backward(self.loss.backward())
        back = self.model.backward(self.loss.backward())  # a second call shows added gradients
        self.parameters.add_regularizer_gradients()
        inputs = back if isinstance(back, tuple) else (back,)
        found = [*(p.grad.copy() for p in self.parameters), *inputs]
        return {
            path: gradient
            for path, gradient in zip(self.paths, found, strict=True)
            if gradient is not None and path in self.values
        }

    def compare(
        self, path: str, gradient: Array, tolerance: float
    ) -> tuple[Comparison, list[tuple[float, float]]]:
        """Compare the gradient of one array, and return its worst number and the misses."""
        differences = Differences(self, self.values[path], gradient, tolerance)
        layer, _, parameter = path.rpartition(".")
        found = [(*differences(index), index) for index in np.ndindex(gradient.shape)]
        error, numeric, index = max(found, key=itemgetter(0), default=(-1.0, 0.0, ()))
        analytic = float(gradient[index]) if found else 0.0
        worst = Comparison(layer, parameter, index, analytic, numeric, error)
        if differences.missed:
            worst = replace(worst, hint=_hint(differences.factor(), row_count(self.x)))
        return worst, differences.missed

    def compare_nearby(self, path: str, tolerance: float) -> Comparison:
        """Return the second worst comparison of six nearby; one of them may be at a kink too."""
        found: list[Comparison] = []
        for seed, way in itertools.product(range(3), (1, -1)):
            if sum(c.error > tolerance for c in found) < 2:  # two failures settle it
                self.step_off(way, seed)
                comparison, _ = self.compare(path, self.gradients()[path], tolerance)
                found.append(replace(comparison, beside_kink=True))
        self.step_off(0, 0)
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
                self.step_off(1e3 * step * way, seed)
                js.append(self())
            bends.append(abs(js[0] - 2 * js[1] + js[2]) / step)
        self.step_off(0, 0)
        return max(bends)

    def step_off(self, distance: float, seed: int) -> None:
        """Move all arrays from where they were at first."""
        step_off(self.starts, [*self.values.values()], distance, seed)


def _hint(factor: float, rows: int) -> str:
    """Return the likely cause of a gradient that is the right one times this factor."""
    known = {
        float(rows): f"{rows}x: sum, not mean?",
        1 / rows: f"1/{rows}x: mean, not sum?",
        2.0: "2x: += instead of =?",
        0.5: "1/2x: factor 2 missing?",
        -1.0: "-1x: wrong sign?",
        0.0: "0x: not set in backward?",
    }
    return next((hint for f, hint in known.items() if math.isclose(factor, f, rel_tol=1e-4)), "")
