"""Classes that are learned by the squared error: as numbers in an order, or behind a softmax."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite, prod

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.data.arrays import Array
from minigrad.diagnose.findings import Finding, number
from minigrad.diagnose.landscape import Landscape
from minigrad.diagnose.patient import Patient
from minigrad.losses import Loss
from minigrad.metrics.classification import accuracy

_MOST_CLASSES = 100
_LEAST_OF_A_CLASS = 8
_MOST_ROWS = 4000
_MOST_INPUTS = 300
_ORDERS = 200
_IN_ORDER = 1.3
_EXPLAINED = 0.1
_RIDGE = 0.01
_LEFT = 0.2
_BETTER = 2.0


def class_numbers(patient: Patient) -> Iterator[Finding]:
    """Find targets 0, 1, ..., k - 1 whose order means nothing, where the loss makes it mean much.

    Counts and grades look the same, but their order shows in the inputs. So the inputs are asked:
    in a linear fit, do the numbers as they stand do better than the same classes numbered at
    random?
    """
    if not patient.compares or prod(patient.model.output_shape or ()) != 1:
        return
    rows = patient.rows.take(slice(_MOST_ROWS))
    values, index, counts = np.unique(rows.y, return_inverse=True, return_counts=True)
    if not 3 <= len(values) <= _MOST_CLASSES or counts.min() < _LEAST_OF_A_CLASS:
        return
    if values[0] not in (0, 1) or (np.diff(values) != 1).any():
        return
    given, others = _explained(rows.x.reshape(len(rows), -1), index.ravel(), len(values))
    usual, best = float(np.median(others)), float(others.max())
    if usual < _EXPLAINED or given > _IN_ORDER * usual:
        return
    yield Finding(
        "class_numbers",
        "warning",
        "the targets look like class numbers, learned as if they were amounts",
        f"They are the whole numbers from {number(values[0])} to {number(values[-1])}, and one "
        f"output with {type(patient.loss).__name__} takes neighbours for alike. But their order "
        f"doesn't show in the inputs: a linear fit on half of the rows explains {given:.0%} of the "
        f"others' variance, and with the classes numbered at random {usual:.0%} as a rule, "
        f"and {best:.0%} at the best of {_ORDERS} tries.",
        f"If they are classes: give the last layer {len(values)} units without an activation, and "
        "take CrossEntropyLoss() with whole numbers from 0, y.astype(int)"
        f"{' - 1' if values[0] else ''}.",
        {
            "classes": len(values),
            "explained": given,
            "explained_at_random": usual,
            "explained_at_best": best,
        },
    )


def squared_classes(patient: Patient) -> Iterator[Finding]:
    """Find a softmax that learns one-hot rows by differences, where cross-entropy is far ahead.

    The softmax passes hardly any delta on where it is sure and wrong; cross-entropy makes up for
    that. Both are tried, with the same steps, and measured by the loss that was asked for.
    """
    if not patient.compares or not _is_distribution(patient):
        return
    steps, rate = patient.trial_steps, patient.trainer.rate
    loss = patient.batch_loss
    other = _LogLoss(reduction=loss.reduction, scale=loss.scale)
    own, cross = (_trained(patient, tried, steps) for tried in (loss, other))
    if not (own[0] >= _LEFT and own[0] >= _BETTER * cross[0]):  # nor where one of them is NaN
        return
    name = type(patient.loss).__name__
    yield Finding(
        "squared_classes",
        "warning",
        f"{name} behind a softmax learns slowly",
        f"Tried on copies, {number(steps)} steps of {type(patient.trainer).__name__} at "
        f"{number(rate)} leave {own[0]:.0%} of the {name} that a constant prediction has, and "
        f"{own[1]:.0%} of the rows right; the same steps with cross-entropy leave {cross[0]:.0%} "
        f"of that same loss, and {cross[1]:.0%} right. Where a softmax is sure and wrong its slope "
        "is near 0, which cross-entropy makes up for.",
        "Leave the softmax out and take CrossEntropyLoss(), which has it built in.",
        {
            "trial_steps": steps,
            "left": own[0],
            "left_by_cross_entropy": cross[0],
            "accuracy": own[1],
            "accuracy_by_cross_entropy": cross[1],
        },
    )


class _LogLoss(Loss):
    """-log p of the right class, for probabilities: cross-entropy that leaves the softmax alone."""

    @override
    def terms(self, prediction: Array, target: NDArray[np.float64]) -> tuple[Array, Array]:
        p = np.maximum(prediction, 1e-12)
        return -(target * np.log(p)).sum(axis=1), -target / p


def _is_distribution(patient: Patient) -> bool:
    """Tell whether targets are one-hot rows, and predictions probabilities, whatever happens."""
    p, t = patient.trace.prediction, patient.sample.y
    return (
        t.ndim == 2
        and t.shape[1] > 1
        and all(map(isfinite, patient.reach))
        and bool(((t == 0) | (t == 1)).all() and (t.sum(axis=1) == 1).all())
        and bool((p >= 0).all() and np.allclose(p.sum(axis=1), 1))
    )


def _trained(patient: Patient, loss: Loss, steps: int) -> tuple[float, float]:
    """Return the share of the patient's loss after a trial with this one, and the accuracy."""
    landscape = Landscape(patient.model, loss, patient.sample)
    landscape.descend(patient.trainer, steps)
    prediction, target = landscape.predict(), patient.sample.y
    return patient.share(prediction), accuracy(target, prediction)


def _explained(x: Array, index: NDArray[np.intp], classes: int) -> tuple[float, Array]:
    """Return the variance that a linear fit explains, as numbered and as numbered at random.

    Ridge regression on the inputs, or on some mixtures of very many: of all classes' indicators at
    once, as a fit is linear in what it fits. Half of the rows are fitted, the others explained.
    """
    rng = np.random.default_rng(0)
    x = x.astype(np.float64)
    if x.shape[1] > _MOST_INPUTS:
        x = x @ rng.standard_normal((x.shape[1], _MOST_INPUTS))
    deviation = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    half = len(x) // 2
    one_hot = np.eye(classes)[index]
    mean = one_hot[:half].mean(axis=0)
    gram = x[:half].T @ x[:half] + _RIDGE * half * np.eye(x.shape[1])
    fit = x[half:] @ np.linalg.solve(gram, x[:half].T @ (one_hot[:half] - mean)) + mean
    orders = [np.arange(classes), *(rng.permutation(classes) for _ in range(_ORDERS))]
    numbers = np.array(orders, float).T
    left = np.square((one_hot[half:] - fit) @ numbers).mean(axis=0)
    explained = 1 - left / (one_hot[half:] @ numbers).var(axis=0)
    return float(explained[0]), explained[1:]
