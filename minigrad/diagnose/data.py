"""Faults of the data: what isn't finite, what doesn't vary, and what has no common scale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.core.gradient import blocks
from minigrad.data.arrays import Array
from minigrad.diagnose.findings import Finding, number
from minigrad.diagnose.patient import Patient

_BLOCK = 10_000
_ZEROS = 0.25
"""More inputs than this that are always zero are a fault; some are usual, as in pictures."""
_LARGE = 30.0
_SMALL = 0.01
_OFFSET = 10.0
_SPREAD = 1000.0
_STANDARDIZE = (
    "Standardise each input: x = (x - x_train.mean(axis=0)) / x_train.std(axis=0), with the same "
    "two numbers for the training rows and for all later ones; or begin with BatchNorm()."
)


def finite_rows(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell for each row whether all of its numbers are finite."""
    if array.dtype.kind != "f":
        return np.ones(len(array), bool)
    finite = np.empty(len(array), bool)
    for block in blocks(len(array), _BLOCK):
        rows = np.isfinite(array[block])
        finite[block] = rows.reshape(len(rows), -1).all(axis=1)
    return finite


def not_finite(array: NDArray[Any], finite: NDArray[np.bool_], name: str) -> Iterator[Finding]:
    """Find NaN and infinity in x or y, and say where the first is."""
    if finite.all():
        return
    row = int(np.argmin(finite))
    place = np.unravel_index(int(np.argmin(np.isfinite(array[row]))), array[row].shape)
    index = ", ".join(map(str, [row, *map(int, place)]))
    count = int((~finite).sum())
    yield Finding(
        "not_finite",
        "error",
        f"{name} holds numbers that aren't finite",
        f"The first is {array[row][place]} at {name}[{index}]; {number(count)} of "
        f"{number(len(array))} rows have such numbers. All else was looked at without them.",
        "Drop these rows, or fill the gaps, such as with the column's mean.",
        {"rows": count, "share": count / len(array), "first_row": row},
    )


def constant_targets(target: NDArray[Any]) -> Iterator[Finding]:
    """Find targets that are the same in all rows."""
    numbers = target.dtype.kind in "fiub"
    if numbers and len(target) > 1 and (target == target[0]).all():
        value = target[0].ravel()[0]
        yield Finding(
            "constant_targets",
            "error",
            "the targets don't vary",
            f"They are the same in all {number(len(target))} rows, {number(float(value))} to "
            "begin with: there is nothing to learn but that.",
            "Look at how y was made: a wrong column, a filter, or rounding to integers.",
            {"rows": len(target), "value": float(value)},
        )


def constant_inputs(x: Array) -> Iterator[Finding]:
    """Find inputs that are the same in all rows."""
    columns = x.reshape(len(x), -1)
    constant = (columns == columns[0]).all(axis=0)
    zeros = constant & (columns[0] == 0)
    if len(x) < 2 or not constant.any():
        return
    if constant.sum() == zeros.sum() and zeros.mean() < _ZEROS:
        return
    first = int(np.argmax(constant & ~zeros if (constant & ~zeros).any() else constant))
    nothing = bool(constant.all())
    yield Finding(
        "constant_inputs",
        "error" if nothing else "warning",
        "no input varies" if nothing else "some inputs don't vary",
        f"{number(int(constant.sum()))} of {number(constant.size)} inputs are the same in all "
        f"{number(len(x))} rows; input {first} is always {number(float(columns[0, first]))}. "
        "They tell nothing apart, and what weights they get is chance.",
        "Leave them out, or look at how x was made.",
        {
            "constant": int(constant.sum()),
            "inputs": constant.size,
            "first": first,
            "value": float(columns[0, first]),
        },
    )


def unscaled_inputs(patient: Patient) -> Iterator[Finding]:
    """Find numbers that are too large, too small, or too unlike, for the first weight matrix.

    The curvature along a weight grows with the square of its input, and one learning rate has to
    suit all.
    """
    steps = [
        step
        for step in patient.trace.steps
        if any(len(p.shape) > 1 for _, p in step.layer.own_parameters())
    ]
    if not steps:
        return
    columns = steps[0].input.reshape(-1, steps[0].input.shape[-1]).astype(np.float64)
    columns = columns[:, np.ptp(columns, axis=0) > 0]
    if not columns.size:
        return
    size = np.sqrt(np.square(columns).mean(axis=0))
    mean, deviation = columns.mean(axis=0), columns.std(axis=0)
    most = np.abs(columns).max(axis=0)
    offset = float(np.median(np.abs(mean) / deviation))
    spread = float(most.max() / most.min())
    faults = {
        f"the largest has a typical size of {number(float(size.max()))}": size.max() > _LARGE,
        f"the largest has a typical size of {number(float(size.max()))} only": size.max() < _SMALL,
        f"their means are {number(offset)} times their deviations": offset > _OFFSET,
        f"the largest is {number(spread)} times the smallest": spread > _SPREAD,
    }
    told = [said for said, wrong in faults.items() if wrong]
    if told:
        yield Finding(
            "unscaled_inputs",
            "warning",
            f"the inputs of {steps[0].label} are not scaled",
            f"Of these inputs {' and '.join(told)}. One learning rate can't suit them all, and "
            "what follows the weights may saturate.",
            _STANDARDIZE,
            {
                "largest_size": float(size.max()),
                "smallest_size": float(size.min()),
                "offset": offset,
                "spread": spread,
            },
            steps[0].path,
        )
