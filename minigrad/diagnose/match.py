"""Targets, loss and last activation held together: can the network say what it should."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite, prod

import numpy as np

from minigrad.data.rows import Rows
from minigrad.diagnose.findings import Finding, number, percent
from minigrad.diagnose.patient import Patient
from minigrad.diagnose.reach import least
from minigrad.losses import Loss
from minigrad.trace import Step

_MOST_NUMBERS = 20_000
_LEAST_ROWS = 256
_TOLERATED = 0.01
"""A floor is a fault from this share on of the loss that the best constant prediction has."""


def unusable_targets(error: Exception) -> Finding:
    """Tell that the loss can't take the targets, by what it says of them."""
    return Finding(
        "unusable_targets",
        "error",
        "the loss can't take these targets",
        f"It says: {error}.",
        "Bring y into the form that the loss expects, or take the loss for this kind of targets.",
    )


def reachable_targets(patient: Patient) -> Iterator[Finding]:
    """Hold what the last activation can give against what the loss and the targets ask for."""
    loss, shape = patient.loss, patient.model.output_shape
    if loss is None or shape is None:
        return
    last = patient.last[0] if patient.last else None
    name = last.label if last else "the last layer"
    low, high = patient.reach
    refusal = patient.refusal or _refused(loss, patient.rows, shape, patient.reach)
    if refusal is not None:
        yield Finding(
            "loss_mismatch",
            "error",
            f"{type(loss).__name__} doesn't take all that {name} can give",
            f"The network gives numbers {_between(low, high)}. The loss says: {refusal}.",
            "End the model with an activation that keeps to that range, or take the loss that "
            "expects free numbers, such as BCEWithLogitsLoss() in the place of BCELoss().",
            {"lowest_output": low, "highest_output": high},
            last.path if last else None,
        )
    elif last is not None and (isfinite(low) or isfinite(high)):
        yield from _floor(patient, loss, last)


def _floor(patient: Patient, loss: Loss, last: Step) -> Iterator[Finding]:
    """Find the loss that is left whatever the weights are."""
    width = patient.model.output_shape or ()
    rows = patient.rows.take(slice(max(_LEAST_ROWS, _MOST_NUMBERS // prod(width))))
    shape = (len(rows), *width)
    floor = least(loss, rows.y, shape, *patient.reach, weight=rows.weight)
    try:
        free = least(loss, rows.y, shape, weight=rows.weight)
        constant = least(loss, rows.y, shape, constant=True, weight=rows.weight)
    except ValueError:
        return  # the loss takes no numbers but those that the network gives
    if floor - free <= _TOLERATED * max(constant - free, 1e-9):
        return
    low, high = patient.reach
    evidence = {
        "floor": floor,
        "loss_floor": floor * patient.terms_scale,
        "lowest_output": low,
        "highest_output": high,
    }
    can = f"Whatever its weights are, the network gives numbers {_between(low, high)}"
    so = f"the loss can't fall below {number(floor)}"
    if evidence["loss_floor"] != floor:
        so += (
            f" on average, nor J of a batch of {number(patient.batch_rows)} rows below "
            f"{number(evidence['loss_floor'])}"
        )
    outside = _share_outside(rows, shape, patient.reach)
    yield (
        _outside(rows, last, can, so, evidence | {"share_outside": outside})
        if outside
        else Finding(
            "loss_mismatch",
            "error",
            f"{last.label} and {type(loss).__name__} don't belong together",
            f"{can}. This loss wants free numbers, which bring it down to {number(free)}; "
            f"with these {so}.",
            f"Leave {last.label} out: this loss takes the numbers before it.",
            evidence | {"free_floor": free},
            last.path,
        )
    )


def _outside(rows: Rows, last: Step, can: str, so: str, evidence: dict[str, float]) -> Finding:
    low, high = float(rows.y.min()), float(rows.y.max())
    return Finding(
        "targets_out_of_range",
        "error",
        f"the targets lie outside what {last.label} can give",
        f"{can}; the targets go from {number(low)} to {number(high)}, and "
        f"{percent(evidence['share_outside'])} of them lie outside. So {so}.",
        f"Leave {last.label} out, so that the output is linear; or scale the targets into "
        f"its range.{_class_hint(rows)}",
        evidence | {"lowest_target": low, "highest_target": high},
        last.path,
    )


def _refused(
    loss: Loss, rows: Rows, shape: tuple[int, ...], ends: tuple[float, float]
) -> str | None:
    """Return what a loss says to the ends of the network's range, if it doesn't take them."""
    few = rows.take(slice(8))
    for end in ends:
        finite = float(np.clip(end, -1e3, 1e3))
        try:
            loss.terms(np.full((len(few), *shape), finite), few.y)
        except ValueError as error:
            return str(error)
    return None


def _share_outside(rows: Rows, shape: tuple[int, ...], ends: tuple[float, float]) -> float:
    """Return the share of targets outside; 0 for class indices, which are no predictions."""
    if rows.y.shape != shape:
        return 0.0
    room = 1e-6 * max(1.0, *(abs(end) for end in ends if isfinite(end)))
    return float(((rows.y < ends[0] - room) | (rows.y > ends[1] + room)).mean())


def _class_hint(rows: Rows) -> str:
    """Name the way out for class numbers that were taken for numbers."""
    values = np.unique(rows.y)
    if values.size < 3 or values.size > 100 or (values != np.round(values)).any():
        return ""
    return (
        " If they are class numbers: give the last layer a unit for each class, without an "
        "activation, and take CrossEntropyLoss()."
    )


def _between(low: float, high: float) -> str:
    if isfinite(low) and isfinite(high):
        return f"from {number(low)} to {number(high)}"
    if isfinite(low):
        return f"from {number(low)} on"
    return f"up to {number(high)}" if isfinite(high) else "of any size"
