"""Metrics of predicted classes and labels, computed from the confusion matrix or from ranks."""

from __future__ import annotations

from math import nan
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.data.arrays import as_array, as_data, check_finite
from minigrad.data.labels import check_classes, check_range
from minigrad.data.targets import like_prediction
from minigrad.metrics.averages import average, spread
from minigrad.metrics.named import metric
from minigrad.metrics.with_options import Labels, check_labels, for_loss
from minigrad.util.options import check_int, check_number
from minigrad.util.table import Table


@metric("max", for_loss=for_loss)
def accuracy(
    target: ArrayLike,
    prediction: ArrayLike,
    *,
    threshold: float | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Share of the rows whose class is predicted correctly.

    All metrics for classification take what the losses take, and return NaN if a prediction is NaN.

    Predictions may have more axes, as in (n, time, classes): each step of time counts as a row.
    For several labels per row take `binary_accuracy`, `precision`, `recall` or `f1`.

    Args:
        target: for several classes, indices of shape (n,) or one-hot rows; for two classes, labels
            0 and 1 or -1 and 1, or probabilities of class 1, of the predictions' shape or (n,).
        prediction: scores of shape (n, classes), where the largest is the predicted class; for two
            classes of shape (n, 1) or (n,).
        threshold: for two classes, class 1 is predicted above it. By default it is halfway between
            the labels: 0 if a target is negative, else 0.5. For logits pass 0. A metric named in
            `compile` takes the threshold of the loss.
        sample_weight: how much each row counts, of shape (n,), or each step of time, (n, time): 0
            for none. A metric named in `compile` takes the weights of `fit` and `evaluate`.

    Raises:
        TypeError: class indices that are floats; something other than real numbers.
        ValueError: other shapes, targets that aren't classes, or no rows.

    >>> accuracy(np.array([2, 0]), np.array([[0.1, 0.2, 0.7], [0.3, 0.4, 0.3]]))
    0.5
    >>> accuracy(np.array([1, 0, 1]), np.array([[0.2], [-3.0], [0.4]]), threshold=0)
    1.0
    """
    scores = as_data(prediction, "the prediction")
    true, predicted, _ = _classes(target, scores, threshold, "accuracy")
    return _or_nan(scores, average(true == predicted, sample_weight))


@metric("max", for_loss=for_loss)
def binary_accuracy(
    target: ArrayLike,
    prediction: ArrayLike,
    *,
    threshold: float | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Share of the labels, one or several per row, that are predicted correctly.

    Targets are labels 0 and 1, or -1 and 1, of the predictions' shape, or (n,) for (n, 1).

    >>> binary_accuracy(np.array([[1, 0], [1, 0]]), np.array([[0.9, 0.2], [0.3, 0.4]]))
    0.75
    """
    scores = as_data(prediction, "the prediction")
    true, predicted = _labels(target, scores, threshold, "binary_accuracy")
    return _or_nan(scores, average(true == predicted, sample_weight))


@metric("max")
def top_k_accuracy(
    target: ArrayLike,
    prediction: ArrayLike,
    *,
    k: int = 5,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Share of the rows whose class is among the k largest scores.

    Of equal scores the first counts as larger, as in `accuracy`, which is k = 1. In `compile` the
    name contains k: "top_3_accuracy".

    >>> top_k_accuracy(np.array([2, 0]), np.array([[0.1, 0.2, 0.7], [0.3, 0.4, 0.3]]), k=2)
    1.0
    """
    scores = as_data(prediction, "the prediction")
    true = _indices(target, scores, "top_k_accuracy")[..., None]
    classes = scores.shape[-1]
    if check_int(k, "k", "top_k_accuracy") > classes:
        raise ValueError(f"top_k_accuracy expects k from 1 to {classes} classes, got {k}")
    own = np.take_along_axis(scores, true, axis=-1)
    ahead = (scores > own) | ((scores == own) & (np.arange(classes) < true))
    return _or_nan(scores, average(ahead.sum(axis=-1) < k, sample_weight))


@metric("max", for_loss=for_loss)
def precision(
    target: ArrayLike,
    prediction: ArrayLike,
    *,
    threshold: float | None = None,
    labels: Labels = None,
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Share of the rows predicted as a class that are of this class: TP / (TP + FP).

    For two classes it is that of class 1. For several it is the mean over the classes that occur
    in the targets or the predictions; one that is never predicted counts 0. This is scikit-learn's
    average="macro" with zero_division=0. Arguments and errors are those of `accuracy`.

    For several labels per row, targets and predictions of shape (n, labels), pass `labels`: "macro"
    is the mean over the labels, "micro" counts all labels as one, "each" gives an array with a
    number for each label, and a number is that label alone. A metric named in `compile` with
    `BCELoss`, `BCEWithLogitsLoss`, `FocalWithLogitsLoss` or `HingeLoss` takes "macro"; "micro_f1"
    and the like take "micro".

    >>> precision(np.array([0, 1, 1]), np.array([0.9, 0.8, 0.1]))
    0.5
    >>> y, p = np.array([[1, 0], [0, 1], [1, 1]]), np.array([[0.9, 0.8], [0.7, 0.9], [0.1, 0.6]])
    >>> precision(y, p, labels="each").round(2), precision(y, p, labels="micro")
    (array([0.5 , 0.67]), 0.6)
    """
    return _shares(target, prediction, threshold, "precision", labels, sample_weight)


@metric("max", for_loss=for_loss)
def recall(
    target: ArrayLike,
    prediction: ArrayLike,
    *,
    threshold: float | None = None,
    labels: Labels = None,
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Share of the rows of a class that are predicted as this class: TP / (TP + FN).

    Classes are treated as in `precision`. A class without a target counts 0.

    >>> recall(np.array([0, 1, 1]), np.array([0.9, 0.8, 0.1]))
    0.5
    """
    return _shares(target, prediction, threshold, "recall", labels, sample_weight)


@metric("max", for_loss=for_loss)
def f1(
    target: ArrayLike,
    prediction: ArrayLike,
    *,
    threshold: float | None = None,
    labels: Labels = None,
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN).

    Classes are treated as in `precision`: it is the mean of the classes' F1, not the F1 of the
    means. If class 1 of two occurs in neither the targets nor the predictions, it is 0.

    >>> f1(np.array([0, 1, 1]), np.array([0.9, 0.8, 0.1]))
    0.5
    """
    return _shares(target, prediction, threshold, "f1", labels, sample_weight)


class ConfusionMatrix(np.ndarray[Any, np.dtype[Any]]):
    """An array that a notebook shows as a table, with the classes beside it."""

    def _repr_html_(self) -> str | None:
        if self.ndim != 2 or self.shape[0] != self.shape[1]:  # a part of one
            return None
        head = ["true \\ predicted", *map(str, range(len(self)))]
        rows = [
            [str(i), *(f"{n:,}" if isinstance(n, int) else f"{n:.3g}" for n in row)]
            for i, row in enumerate(self.tolist())
        ]
        return Table([head, *rows], right=range(len(head))).html()


def confusion_matrix(
    target: ArrayLike,
    prediction: ArrayLike,
    *,
    threshold: float | None = None,
    sample_weight: ArrayLike | None = None,
) -> ConfusionMatrix:
    """Return the number of rows of class i that are predicted as class j, in row i and column j.

    With weights it is the sum of the rows' weights. Arguments and errors are those of `accuracy`;
    for two classes it is 2 by 2. Predictions that look like logits, outside 0 to 1 for labels 0 and
    1, need threshold=0. NaN is refused.

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0.9, 0.8, 0.1]))
    ConfusionMatrix([[0, 1],
                     [1, 1]])
    """
    scores = as_data(prediction, "the prediction")
    counted = _count(target, scores, threshold, "confusion_matrix", sample_weight)
    check_finite(scores, "the prediction")
    labels = np.asarray(target)
    if threshold is None and (scores.ndim == 1 or scores.shape[-1] == 1) and labels.min() >= 0:
        way = "pass threshold=0 for logits, else the score above which class 1 is predicted"
        check_range(scores, 0, 1, "the prediction", "confusion_matrix", way)
    return counted.view(ConfusionMatrix)


def _shares(
    target: ArrayLike,
    prediction: ArrayLike,
    threshold: float | None,
    owner: str,
    labels: Labels,
    sample_weight: ArrayLike | None,
) -> Any:
    """Return precision, recall or F1 of classes, or of labels; 0 / 0 counts 0."""
    scores = as_data(prediction, "the prediction")
    if check_labels(labels, owner) is None:
        counted = _count(target, scores, threshold, owner, sample_weight)
        hits, actual, predicted = counted.diagonal(), counted.sum(axis=1), counted.sum(axis=0)
        if scores.ndim == 1 or scores.shape[-1] == 1:
            hits, actual, predicted = hits[1:], actual[1:], predicted[1:]
    else:
        hits, actual, predicted = _label_counts(target, scores, threshold, owner, sample_weight)
    if labels == "micro":
        hits, actual, predicted = (
            counts.sum(keepdims=True) for counts in (hits, actual, predicted)
        )
    whole = {"precision": predicted, "recall": actual, "f1": actual + predicted}[owner]
    shares = (2 if owner == "f1" else 1) * hits / np.where(whole > 0, whole, 1)
    if labels is None:
        return _or_nan(scores, shares.sum() / max(1, np.count_nonzero(actual + predicted)))
    return of_labels(np.where(np.isnan(scores).any(), nan, shares), labels, owner)


def _label_counts(
    target: ArrayLike,
    scores: NDArray[Any],
    threshold: float | None,
    owner: str,
    sample_weight: ArrayLike | None,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return for each label how often it is right, how often it holds, and is predicted."""
    true, predicted = _labels(target, scores, threshold, owner)
    weight = spread(sample_weight, scores.shape)
    last = scores.shape[-1] if scores.ndim > 1 else 1
    hits, actual, claimed = (
        (weight * found).reshape(-1, last).sum(axis=0)
        for found in (true & predicted, true, predicted)
    )
    return hits, actual, claimed


def of_labels(values: NDArray[Any], labels: Labels, owner: str) -> Any:
    """Return the numbers of the labels as the option `labels` says; NaN doesn't count in a mean."""
    if labels == "each":
        return values
    if isinstance(labels, int) and labels >= len(values):
        raise ValueError(f"{owner} expects a label from 0 to {len(values) - 1}, got {labels}")
    chosen = values[[labels]] if isinstance(labels, int) else values[~np.isnan(values)]
    return float(chosen.mean()) if chosen.size else nan


def _count(
    target: ArrayLike,
    scores: NDArray[Any],
    threshold: float | None,
    owner: str,
    sample_weight: ArrayLike | None,
) -> NDArray[Any]:
    true, predicted, classes = _classes(target, scores, threshold, owner)
    weight = None if sample_weight is None else spread(sample_weight, true.shape).ravel()
    pairs = np.bincount((true * classes + predicted).ravel(), weight, minlength=classes**2)
    return pairs.reshape(classes, classes)


def _or_nan(scores: NDArray[Any], value: float) -> float:
    return nan if np.isnan(scores).any() else float(value)


def _classes(
    target: ArrayLike, scores: NDArray[Any], threshold: float | None, owner: str
) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
    """Return the class and the predicted class of each row, and the number of classes."""
    if scores.ndim > 1 and scores.shape[-1] > 1:
        return _indices(target, scores, owner), scores.argmax(axis=-1), scores.shape[-1]
    true, predicted = _labels(target, scores, threshold, owner)
    return true.astype(np.intp), predicted.astype(np.intp), 2


def _indices(target: ArrayLike, scores: NDArray[Any], owner: str) -> NDArray[np.intp]:
    """Return the class of each row, from class indices or one-hot rows."""
    true = as_array(target, "y")
    if true.shape == scores.shape and true.dtype.kind in "fiub":
        counts = true.sum(axis=-1)
        if (counts != 1).any() and ((true == 0) | (true == 1)).all():
            row = int(np.argmax(counts != 1))
            way = "pass labels='macro' or 'micro'"
            if "accuracy" in owner:
                way = "take 'binary_accuracy', the share of the labels, or 'f1'"
            raise ValueError(
                f"{owner} expects one class per row, and y has {counts.ravel()[row]:g} labels in "
                f"row {row}: {way}"
            )
    check_classes(true, scores.shape, owner)
    check_finite(true, "y")
    return true.astype(np.intp) if true.ndim < scores.ndim else true.argmax(axis=-1)


def _labels(
    target: ArrayLike, scores: NDArray[Any], threshold: float | None, owner: str
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return for each label whether it is class 1, and whether class 1 is predicted."""
    true = like_prediction(as_array(target, "y"), scores.shape, owner)
    check_finite(true, "y")
    way = "labels are 0 and 1, or -1 and 1; 'mae' and 'r2' are for regression"
    check_range(true, -1, 1, "y", owner, way)
    if threshold is None:
        threshold = 0.0 if true.min() < 0 else 0.5
    return true > 0.5, scores > check_number(threshold, "threshold", owner)
