"""Targets so far from what the network gives at first that the optimizer has a long way to go."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isfinite

import numpy as np

from minigrad.data.arrays import Array
from minigrad.data.rows import Rows
from minigrad.diagnose.findings import Finding, number
from minigrad.diagnose.patient import Patient

_FAR = 10.0
_LARGE = 12.0
_SMALL = 0.5
"""Smaller first predictions come of small inputs or of weights that begin at zero."""
_LEFT = 0.3
_BETTER = 3.0
_WORSE = 1.5
_NOTHING = 0.99
_SOMETHING = 0.8
"""Where nothing is learned, and what of it is left where something is."""
_HOPELESS = 2.0
"""An error so large with standardised targets, too, is the learning rate's."""


def standardised(patient: Patient) -> Patient | None:
    """Return the patient with targets of mean 0 and standard deviation 1, where that may be.

    None where the loss compares with other things than numbers, the output is bounded, or a
    target doesn't vary.
    """
    if not patient.compares or all(map(isfinite, patient.reach)):
        return None
    mean, deviation = _moments(patient)
    if not (deviation > 0).all():
        return None
    rows = patient.rows
    t = (rows.y.reshape(len(rows), -1) - mean) / deviation
    scaled = Rows(rows.x, t.reshape(rows.y.shape), rows.weight)
    return Patient(patient.model, scaled, patient.loss, patient.optimizer, patient.batch_rows)


def unscaled_targets(patient: Patient, scaled: Patient | None) -> Iterator[Finding]:
    """Find targets off scale, by training on them, and on the same ones standardised.

    Both trials are measured alike: by the typical error in standard deviations of the targets, of
    the column that fits worst, where 1 is what knowing the mean alone gives. They are at fault if
    300 steps leave much of it, and three times as much as with standardised targets; or more than
    the mean alone, and half as much again. Where nothing is learned in either trial, more steps
    tell. Nothing is said where standardised targets fail alike.
    """
    if scaled is None:
        return
    p = patient.trace.prediction.reshape(len(patient.sample), -1).astype(np.float64)
    t = patient.sample.y.reshape(p.shape)
    mean, deviation = _moments(patient)
    away = np.sqrt(np.square(p - t).mean(axis=0)) / deviation
    size = np.sqrt(np.square(p).mean(axis=0))
    larger = deviation / np.maximum(size, _SMALL)
    if away.max() <= _FAR and larger.max() <= _LARGE:
        return
    steps = patient.trial_steps
    raw, better = (_error(who, steps) for who in (patient, scaled))
    at_fault = (raw >= _LEFT and raw >= _BETTER * better) or (raw > 1 and raw >= _WORSE * better)
    if raw >= _NOTHING and not at_fault and steps < patient.steps:
        steps = patient.steps
        raw, better = (_error(who, steps) for who in (patient, scaled))
        at_fault = raw >= _NOTHING and better <= _SOMETHING * raw
    if not at_fault or better > _HOPELESS:
        return
    worst = int(np.argmax(np.maximum(away / _FAR, larger / _LARGE)))
    which = f"Target {worst}, the worst of {len(mean)}, has" if len(mean) > 1 else "They have"
    trial = (
        f"{number(steps)} steps of {type(patient.trainer).__name__} at "
        f"{number(patient.trainer.rate)}"
    )
    yield Finding(
        "unscaled_targets",
        "warning",
        "the targets are far off the scale that the network begins at",
        f"{which} a mean of {number(mean[worst])} and a standard deviation of "
        f"{number(deviation[worst])}; the predictions begin at a typical size of "
        f"{number(size[worst])}. {_tried(trial, raw, better)}; the mean alone gives 1.",
        "Train on t = (y - y_train.mean(axis=0)) / y_train.std(axis=0), with the same two numbers "
        "for all rows, and take the predictions back by p * y_train.std(axis=0) + "
        "y_train.mean(axis=0).",
        {
            "mean": float(mean[worst]),
            "deviation": float(deviation[worst]),
            "first_predictions": float(size[worst]),
            "trial_steps": steps,
            "error_after_trial": raw,
            "error_if_standardised": better,
        },
    )


def _tried(trial: str, raw: float, better: float) -> str:
    if isfinite(raw):
        return (
            f"After {trial} on a copy the typical error, in standard deviations, is "
            f"{number(raw)}, and {number(better)} with standardised targets"
        )
    return (
        f"On a copy {trial} let J grow beyond all bounds; with standardised targets the typical "
        f"error is then {number(better)}, in standard deviations"
    )


def _moments(patient: Patient) -> tuple[Array, Array]:
    """Return the mean and the standard deviation of each target in the sample."""
    t = patient.sample.y.reshape(len(patient.sample), -1).astype(np.float64)
    return t.mean(axis=0), t.std(axis=0)


def _error(patient: Patient, steps: int) -> float:
    """Return the typical error after a trial, in standard deviations."""
    landscape = patient.landscape()
    if landscape.descend(patient.trainer, steps) == inf:
        return inf
    error = (landscape.predict() - patient.sample.y).reshape(len(patient.sample), -1)
    return float((np.sqrt(np.square(error).mean(axis=0)) / _moments(patient)[1]).max())
