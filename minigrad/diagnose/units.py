"""Faults of units: activations that are saturated or dead, and units that are copies of another."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array
from minigrad.diagnose.findings import Finding, number, percent
from minigrad.diagnose.patient import Patient
from minigrad.diagnose.reach import reach
from minigrad.trace import Step

_SATURATED = 0.01
"""Below this share of the steepest slope a sigmoid hardly passes delta on."""
_MOST_SATURATED = 0.5
_DEAD = 1e-6
_MOST_DEAD = 0.5
"""In a deep stack of narrow ReLU layers a third may be dead from the start, by chance."""
_LEARNED = 0.1
"""With so little of the loss left, saturated units are how the network says yes and no."""
_PROBED = 8
_ALIKE = 1e-9
_MOST_NUMBERS = 64


def inactive_units(patient: Patient) -> Iterator[Finding]:
    """Find activations that let no delta through: saturated at both ends, or dead at one."""
    for step in patient.trace.steps:
        layer = step.layer
        if not _is_elementwise(layer, step.input):
            continue
        x = step.input.astype(np.float64)
        grid = np.broadcast_to(
            np.linspace(-4, 4, 81).reshape(-1, *[1] * (x.ndim - 1)), (81, *x.shape[1:])
        )
        steepest = float(_slope(layer, grid.copy()).max())
        slope = _slope(layer, x).reshape(len(x), -1)
        low, high = reach([layer], x.shape[1:])
        if isfinite(low) and isfinite(high):
            middle = (low + high) / 2
            yield from _saturated(patient, step, slope < _SATURATED * steepest, middle)
        else:
            yield from _dead(step, slope <= _DEAD * steepest)


def identical_units(patient: Patient) -> Iterator[Finding]:
    """Find hidden units that compute the same and get the same delta: they never part."""
    for step in patient.trace.steps:
        matrices = [p for _, p in step.layer.own_parameters() if len(p.shape) > 1]
        if not matrices or step.output is patient.trace.prediction:
            continue
        copies = _copies(step)
        if copies:
            units = step.output.shape[-1]
            yield Finding(
                "identical_units",
                "error",
                f"units of {step.label} are copies of one another",
                f"{number(copies)} of its {number(units)} units give what another one gives, and "
                "get the same delta. So their weights get the same gradient, and stay the same: "
                f"{number(units - copies)} of them would do as well.",
                "Draw the initial weights at random: leave weight_initializer at "
                "'glorot_uniform', or take 'he_normal' before a ReLU.",
                {"copies": copies, "units": units, "share": copies / units},
                step.path,
            )


def _saturated(
    patient: Patient, step: Step, flat: NDArray[np.bool_], middle: float
) -> Iterator[Finding]:
    """Find an activation most of whose values can't move.

    Of the network's outputs those count that the loss wants to move away from their end.
    """
    counted = np.ones_like(flat)
    if step.output is patient.trace.prediction and step.delta is not None:
        counted = ((step.output - middle) * step.delta > 0).reshape(flat.shape)
    if not counted.any() or patient.left < _LEARNED:
        return
    share = float(flat[counted].mean())
    if share < _MOST_SATURATED:
        return
    yield Finding(
        "saturated_units",
        "warning",
        f"{step.label} is saturated",
        f"In {percent(share)} of its values the slope is below {_SATURATED:.0%} of its "
        "steepest: there delta hardly passes, and what is before it hardly learns.",
        "Scale the inputs, or draw smaller initial weights ('glorot_uniform'); if training came "
        "here, begin anew with a lower learning rate.",
        {
            "share": share,
            "units": flat.shape[1],
            "always_saturated_units": int(flat.all(axis=0).sum()),
        },
        step.path,
    )


def _dead(step: Step, flat: NDArray[np.bool_]) -> Iterator[Finding]:
    dead = flat.all(axis=0)
    share = float(dead.mean())
    if share < _MOST_DEAD:
        return
    yield Finding(
        "dead_units",
        "error" if share == 1 else "warning",
        f"{'all' if share == 1 else 'many'} units of {step.label} are dead",
        f"{number(int(dead.sum()))} of its {number(dead.size)} units ({percent(share)}) are off in "
        f"all {number(len(flat))} rows looked at. Their slope is 0 there, so what is before them "
        "gets no gradient, and they stay off.",
        "Lower the learning rate, start biases at zero and weights by 'he_normal', scale the "
        "inputs; or take LeakyReLU(), whose slope is never 0.",
        {"dead": int(dead.sum()), "units": dead.size, "share": share},
        step.path,
    )


def _is_elementwise(layer: Layer, x: Array) -> bool:
    """Tell whether each output of a layer without parameters depends on its own input alone."""
    if layer.children or layer.stochastic or layer.batch_dependent or layer.own_parameters():
        return False
    rows = x[:_PROBED].astype(np.float64)
    moved = rows.copy()
    moved.reshape(len(rows), -1)[:, ::2] += 1.0
    before, after = (layer.forward(a, training=False) for a in (rows, moved))
    if before.shape != rows.shape:
        return False
    still = (moved == rows) | (before == after)
    return bool(still.reshape(len(rows), -1)[:, 1::2].all())


def _slope(layer: Layer, x: Array) -> Array:
    """Return |g'(x)| of an elementwise layer, whatever class it has."""
    twin, kind = copy.copy(layer), type(layer)  # whose own methods don't report to the trace
    kind.forward(twin, x, training=True)
    return np.abs(kind.backward(twin, np.ones_like(x)))


def _copies(step: Step) -> int:
    """Return how many units are equal to another one, in output and delta."""
    arrays = [step.output] if step.delta is None else [step.output, step.delta]
    units = [a.reshape(-1, a.shape[-1])[:_MOST_NUMBERS].astype(np.float64) for a in arrays]
    scaled = [a / (np.abs(a).max() or 1.0) for a in units]
    columns = np.concatenate(scaled)
    weights = np.random.default_rng(0).standard_normal(len(columns))
    order = np.argsort(weights @ columns, kind="stable")
    beside = np.abs(np.diff(columns[:, order], axis=1)).max(axis=0)
    return int((beside <= _ALIKE).sum())
