"""Targets so far from what the network gives at first that the optimizer has a long way to go."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isfinite

import numpy as np

from minigrad.arrays import Array
from minigrad.data import Rows
from minigrad.diagnose.findings import Finding, number
from minigrad.diagnose.landscape import Landscape
from minigrad.diagnose.patient import Patient

_FAR = 10.0
_LARGE = 30.0
_SMALL = 1e-3
_LEFT = 0.3
_BETTER = 3.0


def unscaled_targets(patient: Patient) -> Iterator[Finding]:
    """Find targets off scale, by training on them, and on the same ones standardised.

    Both trials are measured alike: by the typical error in standard deviations of the targets, of
    the column that fits worst, where 1 is what knowing the mean alone gives.
    """
    p, t = patient.trace.prediction, patient.sample.y
    if not patient.compares or all(map(isfinite, patient.reach)):
        return
    p, t = (a.reshape(len(a), -1).astype(np.float64) for a in (p, t))
    mean, deviation = t.mean(axis=0), t.std(axis=0)
    if not (deviation > 0).all():
        return
    away = np.sqrt(np.square(p - t).mean(axis=0)) / deviation
    size = np.sqrt(np.square(p).mean(axis=0))
    larger = deviation / np.maximum(size, _SMALL)
    if away.max() <= _FAR and larger.max() <= _LARGE:
        return
    steps = patient.trial_steps
    raw = _error(patient, np.zeros_like(mean), np.ones_like(deviation), steps)
    scaled = _error(patient, mean, deviation, steps)
    if raw < _LEFT or raw < _BETTER * scaled:
        return
    worst = int(np.argmax(np.maximum(away / _FAR, larger / _LARGE)))
    which = f"Target {worst}, the worst of {len(mean)}, has" if len(mean) > 1 else "They have"
    trainer = type(patient.trainer).__name__
    yield Finding(
        "unscaled_targets",
        "warning",
        "the targets are far off the scale that the network begins at",
        f"{which} a mean of {number(mean[worst])} and a standard deviation of "
        f"{number(deviation[worst])}; the predictions begin at a typical size of "
        f"{number(size[worst])}. Tried on copies, {number(steps)} steps of {trainer} "
        f"at {number(patient.trainer.rate)} leave a typical error of {number(raw)} deviations "
        f"(1 is what the mean alone gives), with standardised targets {number(scaled)}.",
        "Train on t = (y - y_train.mean(axis=0)) / y_train.std(axis=0), with the same two numbers "
        "for all rows, and take the predictions back by p * y_train.std(axis=0) + "
        "y_train.mean(axis=0).",
        {
            "mean": float(mean[worst]),
            "deviation": float(deviation[worst]),
            "first_predictions": float(size[worst]),
            "trial_steps": steps,
            "error_after_trial": raw,
            "error_if_standardised": scaled,
        },
    )


def _error(patient: Patient, mean: Array, deviation: Array, steps: int) -> float:
    """Return the typical error after a trial on (t - mean) / deviation, in deviations."""
    assert patient.loss is not None
    sample = patient.sample
    t = (sample.y.reshape(len(sample), -1) - mean) / deviation
    rows = Rows(sample.x, t.reshape(sample.y.shape), sample.weight)
    landscape = Landscape(patient.model, patient.batch_loss, rows)
    if landscape.descend(patient.trainer, steps) == inf:
        return inf
    error = landscape.predict().reshape(t.shape) - t
    return float((np.sqrt(np.square(error).mean(axis=0)) / t.std(axis=0)).max())
