"""The examination: all checks, in the order in which one makes the next one possible."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.core.layer import Layer as Supervised
from minigrad.data.rows import Rows, as_pair
from minigrad.diagnose import data, units
from minigrad.diagnose.capacity import capacity
from minigrad.diagnose.classes import class_numbers, squared_classes
from minigrad.diagnose.findings import Diagnosis, Finding, number
from minigrad.diagnose.gradients import fading_gradients
from minigrad.diagnose.linear import linear_stack
from minigrad.diagnose.match import reachable_targets, unusable_targets
from minigrad.diagnose.patient import Patient
from minigrad.diagnose.proportion import out_of_proportion
from minigrad.diagnose.rate import learning_rate
from minigrad.diagnose.scale import standardised, unscaled_targets
from minigrad.diagnose.slopes import wrong_gradients
from minigrad.losses import Loss
from minigrad.optimizers import Optimizer

MOST_ROWS = 10_000


def diagnose(
    model: Supervised,
    x: ArrayLike,
    y: ArrayLike,
    *,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    batch_size: int | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[int, float] | None = None,
) -> Diagnosis:
    """Find what keeps a model from learning these rows; see `Sequential.diagnose`.

    Weights of rows and classes are those of `fit`: rows of weight 0 are left out, and the loss, its
    floor, its curvature and all trials are those of the weighted rows.

    Raises:
        RuntimeError: no loss is given and the model isn't compiled.
        TypeError, ValueError: x and y aren't rows that the model takes, or the weights don't fit.

    >>> from minigrad import Dense, MSELoss, Sequential
    >>> model = Sequential([Dense(1, "sigmoid")], input_shape=(1,), rng=0)
    >>> x = np.linspace(0, 1, 5).reshape(-1, 1)
    >>> diagnose(model, x, 2 * x, loss=MSELoss())
    Diagnosis(1 error: targets_out_of_range)
    >>> diagnose(model, x, 2 * x, loss=MSELoss(), sample_weight=[1, 1, 1, 0, 0])
    Diagnosis(nothing found: print it)
    """
    loss, optimizer = loss or model.loss, optimizer or model.optimizer
    if loss is None:
        raise RuntimeError(
            "diagnose needs a loss: pass loss=, or call model.compile(optimizer=..., loss=...)"
        )
    inputs, targets = as_pair(x, y)
    twin = copy.deepcopy(model)
    twin.check_input_shape(inputs)
    count = len(inputs)
    fine_x, fine_y = data.finite_rows(inputs), data.finite_rows(targets)
    findings = [
        *data.not_finite(inputs, fine_x, "x"),
        *data.not_finite(targets, fine_y, "y"),
    ]
    fine = fine_x & fine_y
    if not fine.any():
        return Diagnosis(findings, notes=["no row is left to look at the rest"])
    if not fine.all():
        inputs, targets = inputs[fine], targets[fine]
        weight = np.asarray(sample_weight)
        if weight.shape == fine.shape:  # of any other, `rows` tells what is wrong with it
            sample_weight = weight[fine]
    rows, refused = _taken(twin, inputs, targets, loss, sample_weight, class_weight)
    if refused is not None:
        findings.append(unusable_targets(refused))
    counted = np.arange(len(rows)) if rows.weight is None else np.flatnonzero(rows.weight)
    batch_rows = min(batch_size or count, count) * len(counted) / len(rows)
    rows = rows.take(np.random.default_rng(0).permutation(counted)[:MOST_ROWS])
    taking = copy.copy(loss) if refused is None else None
    patient = Patient(twin, rows, taking, optimizer, max(1, round(batch_rows)))
    findings += [*data.constant_inputs(rows.x), *data.constant_targets(rows.y)]
    notes = [_looked_at(count, rows, patient)]
    with np.errstate(all="ignore"):
        findings += _examine(patient, notes)
    return Diagnosis(findings, notes=notes)


def _taken(
    model: Supervised,
    inputs: NDArray[Any],
    targets: NDArray[Any],
    loss: Loss,
    sample_weight: ArrayLike | None,
    class_weight: Mapping[int, float] | None,
) -> tuple[Rows, Exception | None]:
    """Return the rows as the loss takes them; or as they are, and why it can't."""
    assert model.output_shape is not None
    try:
        targets = loss.match(targets, (len(inputs), *model.output_shape))
    except (TypeError, ValueError) as error:
        return Rows(inputs, targets), error
    rows = model.rows(inputs, targets, loss, sample_weight=sample_weight)
    if class_weight is not None:
        rows = rows.weighted_by_class(class_weight)
    return rows, None


def _examine(patient: Patient, notes: list[str]) -> list[Finding]:
    """Run the checks that need what the network computes."""
    if patient.ill is not None:
        notes.append("the rest can be looked at when that is mended")
        return [_not_finite(patient, *patient.ill)]
    unreachable = list(reachable_targets(patient))
    findings = [
        *data.unscaled_inputs(patient),
        *unreachable,
        *units.inactive_units(patient),
        *units.identical_units(patient),
        *fading_gradients(patient),
        *linear_stack(patient),
    ]
    if patient.loss is None or patient.refusal is not None:
        return findings
    if not any(parameter.trainable for parameter in patient.model.parameters):
        notes.append("learning was not looked at: no parameter is trainable")
        return findings
    wrong = list(wrong_gradients(patient))
    findings += wrong
    scaled = None if unreachable else standardised(patient)
    if not wrong:  # else the curvature that they make means nothing
        off_scale = list(unscaled_targets(patient, scaled))
        findings += off_scale
        tried = patient
        if off_scale and scaled:  # a rate that suits them suits no others
            tried = scaled
            if patient.optimizer is not None:
                notes.append("the learning rate was looked at with standardised targets")
        findings += list(learning_rate(tried, notes)) or list(out_of_proportion(tried))
    if not unreachable:  # else it can't learn these rows, and nobody would ask
        if not wrong:
            findings += [*class_numbers(patient), *squared_classes(patient)]
        findings += capacity(patient, scaled, notes)
    return findings


def _not_finite(patient: Patient, path: str, place: str) -> Finding:
    return Finding(
        "not_finite",
        "error",
        f"{place} is not finite",
        "It is the first place, in the order of computing, where NaN or infinity comes up: the "
        "inputs and targets are finite.",
        "If it is a parameter, begin anew with a lower learning rate; else scale the inputs, draw "
        "smaller initial weights, or look at that layer's forward and backward.",
        {"rows": len(patient.sample)},
        path or None,
    )


def _looked_at(count: int, rows: Rows, patient: Patient) -> str:
    told = f"looked at {number(len(rows))} of {number(count)} rows"
    return f"{told}, and ran the network on {number(len(patient.sample))} of them"
