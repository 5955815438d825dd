"""Units and layers that contribute nothing: saturated, dead, identical, or linear in a row."""

import copy
from collections.abc import Iterator
from math import isfinite
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape
from minigrad.diagnose.case import Case, output_range
from minigrad.diagnose.findings import Finding, evidence, number, percent
from minigrad.trace import Step

Flags: TypeAlias = NDArray[np.bool_]

_SATURATED_SLOPE, _DEAD_SLOPE = 0.01, 1e-6
"""As a share of the steepest slope."""
_SATURATED, _DEAD = 0.5, 0.5
"""In a deep stack of narrow ReLU layers a third may be dead at the start, by chance."""
_LEARNED = 0.1
"""With less of the loss remaining, saturated units are certain rather than stuck."""
_PROBED_ROWS, _COMPARED_ROWS, _ROWS = 8, 64, 16
_EQUAL = 1e-9
_SIZES = (0.1, 3.0, 100.0)


def inactive_units(case: Case) -> Iterator[Finding]:
    """Find activations that pass no delta on: saturated at both ends, or dead at one."""
    for step in case.trace.steps:
        if not _is_elementwise(step.layer, step.input):
            continue
        x = step.input.astype(np.float64)
        grid = np.linspace(-4, 4, 81).reshape(-1, *[1] * (x.ndim - 1))
        steepest = float(_slope(step.layer, np.broadcast_to(grid, (81, *x.shape[1:])).copy()).max())
        slope = _slope(step.layer, x).reshape(len(x), -1)
        low, high = output_range([step.layer], x.shape[1:])
        if isfinite(low) and isfinite(high):
            flat = slope < _SATURATED_SLOPE * steepest
            yield from _saturated(case, step, flat, middle=(low + high) / 2)
        else:
            yield from _dead(step, slope <= _DEAD_SLOPE * steepest)


def _saturated(case: Case, step: Step, flat: Flags, middle: float) -> Iterator[Finding]:
    """Find an activation that is flat at most of its values.

    Of the network's outputs only those count that the loss moves away from their end.
    """
    counted = np.ones_like(flat)
    if step.output is case.trace.prediction and step.delta is not None:
        counted = ((step.output - middle) * step.delta > 0).reshape(flat.shape)
    if not counted.any() or case.remaining_loss(case.trace.prediction) < _LEARNED:
        return
    share, always = flat[counted].mean(), flat.all(axis=0).sum()
    if share >= _SATURATED:
        yield Finding(
            "saturated_units",
            "warning",
            f"{step.label} is saturated",
            f"At {percent(share)} of its values the slope is below {_SATURATED_SLOPE:.0%} of the "
            "steepest slope. It passes almost no delta on, so the layers before it hardly learn.",
            "Scale the inputs, or use smaller initial weights ('glorot_uniform'); if training led "
            "here, start again with a lower learning rate.",
            evidence(share=share, units=flat.shape[1], always_saturated_units=always),
            step.path,
        )


def _dead(step: Step, flat: Flags) -> Iterator[Finding]:
    """Find an activation most of whose units have slope 0 in all rows."""
    dead = flat.all(axis=0)
    share = dead.mean()
    if share >= _DEAD:
        yield Finding(
            "dead_units",
            "error" if share == 1 else "warning",
            f"{'all' if share == 1 else 'many'} units of {step.label} are dead",
            f"{number(dead.sum())} of its {number(dead.size)} units ({percent(share)}) have slope "
            f"0 in all {number(len(flat))} rows checked. The weights before them get no gradient, "
            "so they stay dead.",
            "Lower the learning rate, start biases at zero and weights with 'he_normal', or scale "
            "the inputs; or use LeakyReLU(), whose slope is never 0.",
            evidence(dead=dead.sum(), units=dead.size, share=share),
            step.path,
        )


def _is_elementwise(layer: Layer, x: Array) -> bool:
    """Return whether each output of a layer without parameters depends on its own input alone."""
    if layer.children or layer.stochastic or layer.batch_dependent or layer.own_parameters():
        return False
    rows = x[:_PROBED_ROWS].astype(np.float64)
    moved = rows.copy()
    moved.reshape(len(rows), -1)[:, ::2] += 1.0
    before, after = (layer.forward(a, training=False) for a in (rows, moved))
    if before.shape != rows.shape:
        return False
    unchanged = (moved == rows) | (before == after)
    return bool(unchanged.reshape(len(rows), -1)[:, 1::2].all())


def _slope(layer: Layer, x: Array) -> Array:
    """Return |g'(x)| of an elementwise layer of any class."""
    twin, cls = copy.copy(layer), type(layer)  # the class's methods don't report to the trace
    cls.forward(twin, x, training=True)
    return np.abs(cls.backward(twin, np.ones_like(x)))


def identical_units(case: Case) -> Iterator[Finding]:
    """Find hidden units with the same output and the same delta: their weights stay the same."""
    for step in case.trace.steps:
        has_matrix = any(len(p.shape) > 1 for _, p in step.layer.own_parameters())
        hidden = has_matrix and step.output is not case.trace.prediction
        if hidden and (copies := _count_copies(step)):
            units = step.output.shape[-1]
            yield Finding(
                "identical_units",
                "error",
                f"units of {step.label} are copies of each other",
                f"{number(copies)} of its {number(units)} units have the same output and the same "
                "delta as another unit. Their weights get the same gradient and stay the same: "
                f"{number(units - copies)} units would compute as much.",
                "Use random initial weights: keep weight_initializer='glorot_uniform', or use "
                "'he_normal' before a ReLU.",
                evidence(copies=copies, units=units, share=copies / units),
                step.path,
            )


def _count_copies(step: Step) -> int:
    """Return the number of units that equal another one in output and delta."""
    arrays = [step.output] if step.delta is None else [step.output, step.delta]
    units = [a.reshape(-1, a.shape[-1])[:_COMPARED_ROWS].astype(np.float64) for a in arrays]
    columns = np.concatenate([a / (np.abs(a).max() or 1.0) for a in units])
    weights = np.random.default_rng(0).standard_normal(len(columns))
    order = np.argsort(weights @ columns, kind="stable")
    return int((np.abs(np.diff(columns[:, order], axis=1)).max(axis=0) <= _EQUAL).sum())


def linear_stack(case: Case) -> Iterator[Finding]:
    """Find consecutive weight matrices with no activation between them: W_1 W_2 is one matrix.

    A hidden layer that is narrower than both the input and the output is a bottleneck, which one
    Dense can't replace, so it is no fault.
    """
    for run in _linear_runs(case.trace.steps):
        dense = [(step, weight) for step in run if (weight := _matrix(step)) is not None]
        if len(dense) < 2:
            continue
        (first, weight), (last, _) = dense[0], dense[-1]
        inputs, units = weight.shape[0], last.output.shape[-1]
        if min(weight.shape[1] for _, weight in dense[:-1]) < min(inputs, units):
            continue
        count = sum(p.size for step, _ in dense for _, p in step.layer.own_parameters())
        one = (inputs + 1) * units
        yield Finding(
            "linear_stack",
            "warning",
            f"{len(dense)} layers from {first.label} to {last.label} compute what one could",
            "There is no activation between them, so together they are linear: with "
            f"{number(count)} parameters they compute what one Dense({units}) computes with "
            f"{number(one)}.",
            "Add an activation, such as ReLU() or Tanh(), after each of them but the last; or use "
            f"a single Dense({units}).",
            evidence(layers=len(dense), parameters=count, parameters_of_one=one),
            first.path,
        )


def _linear_runs(steps: list[Step]) -> Iterator[list[Step]]:
    """Yield runs of linear layers, each of which gets what the one before it returned.

    A run stays within one parent, because the input of a branch also bypasses it.
    """
    chains: dict[str, list[Step]] = {}
    for step in steps:
        if step.path:
            chains.setdefault(step.path.rpartition(".")[0], []).append(step)
    for chain in chains.values():
        run = list[Step]()
        for step in chain:
            linear = _is_linear(step.layer, step.input.shape[1:])
            if not linear or (run and step.input is not run[-1].output):
                yield run
                run = []
            if linear:
                run.append(step)
        yield run


def _matrix(step: Step) -> Parameter | None:
    """Return the weights of a layer that is trained and multiplies by a matrix."""
    shape = (step.input.shape[-1], step.output.shape[-1])
    own = step.layer.own_parameters() if step.input.ndim == 2 else []
    return next((p for _, p in own if p.shape == shape and p.trainable), None)


def _is_linear(layer: Layer, input_shape: Shape) -> bool:
    """Return whether f(a) + f(b) = f(a + b) + f(0) in inference, for inputs of several sizes."""
    rng = np.random.default_rng(0)
    for size in _SIZES:
        a, b = size * rng.standard_normal((2, _ROWS, *input_shape))
        try:
            fa, fb, both, zero = (
                layer.forward(x, training=False).astype(np.float64) for x in (a, b, a + b, 0 * a)
            )
        except (ValueError, IndexError):  # such as a layer that takes whole numbers only
            return False
        error = np.abs(fa + fb - both - zero).max(initial=0.0)
        if not error <= _EQUAL * max(np.abs(fa).max(initial=0.0), np.abs(zero).max(initial=0.0)):
            return False
    return True
