"""Metrics of predicted classes, all of them read off the confusion matrix or the ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.data.targets import check_classes, check_range, like_prediction

Classes = NDArray[np.intp]


def accuracy(target: ArrayLike, prediction: ArrayLike, *, threshold: float | None = None) -> float:
    """Share of the rows whose class is predicted; the shapes say how classes are told.

    All metrics of classes take what the losses take.

    Args:
        target: for several classes, indices of shape (n,) or one-hot rows; for two classes, of
            the predictions' shape or (n,), the labels 0 and 1, or -1 and 1, or probabilities of
            class 1.
        prediction: of shape (n, classes), the largest number being the class meant; for two
            classes of shape (n, 1) or (n,).
        threshold: for two classes, the prediction above which class 1 is meant. By default it is
            halfway between the labels, 0 where targets hold -1 and else 0.5, as for probabilities;
            for logits it is 0. Named in `compile`, a metric takes the loss's.

    Raises:
        TypeError: class indices that are floats.
        ValueError: other shapes, targets that are no classes, or no rows. Several labels a row,
            not one: that is `binary_accuracy`.

    >>> accuracy(np.array([2, 0]), np.array([[0.1, 0.2, 0.7], [0.3, 0.4, 0.3]]))
    0.5
    >>> logits = np.array([[0.2], [-3.0], [0.4]])
    >>> accuracy(np.array([1, 0, 1]), logits, threshold=0)
    1.0
    """
    true, predicted, _ = _classes(target, prediction, threshold, "accuracy")
    return float(np.mean(true == predicted))


def binary_accuracy(
    target: ArrayLike, prediction: ArrayLike, *, threshold: float | None = None
) -> float:
    """Share of the labels, of one or several a row, that are predicted.

    Args:
        target: of the predictions' shape, or (n,) for (n, 1): labels 0 and 1, or -1 and 1.
        prediction: a number for each label.
        threshold: see `accuracy`.

    Raises:
        ValueError: targets of another shape, or that are no labels; no rows.

    >>> binary_accuracy(np.array([[1, 0], [1, 0]]), np.array([[0.9, 0.2], [0.3, 0.4]]))
    0.75
    """
    true, predicted = _labels(target, np.asarray(prediction), threshold, "binary_accuracy")
    return float(np.mean(true == predicted))


def top_k_accuracy(target: ArrayLike, prediction: ArrayLike, *, k: int = 5) -> float:
    """Share of the rows whose class is among the k largest numbers predicted.

    Of equal numbers the first ones count as larger, as in `accuracy`, which is k = 1. A name says
    k: "top_3_accuracy".

    Raises:
        ValueError: as `accuracy`; or k isn't from 1 to the number of classes.

    >>> top_k_accuracy(np.array([2, 0]), np.array([[0.1, 0.2, 0.7], [0.3, 0.4, 0.3]]), k=2)
    1.0
    """
    scores = np.asarray(prediction)
    true = _several(np.asarray(target), scores, "top_k_accuracy")
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"top_k_accuracy expects k from 1 to {scores.shape[1]} classes, got {k}")
    largest = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float(np.mean((largest == true[:, None]).any(axis=1)))


def precision(target: ArrayLike, prediction: ArrayLike, *, threshold: float | None = None) -> float:
    """Of what is predicted as a class, the share that is of it: TP / (TP + FP).

    For two classes it is that of class 1. For several it is the mean over the classes that occur
    among the targets or the predictions ("macro"). A class that is never predicted counts 0. As
    scikit-learn's precision_score with average="macro" and zero_division=0. Arguments and errors
    are those of `accuracy`.

    >>> precision(np.array([0, 1, 1]), np.array([0.9, 0.8, 0.1]))
    0.5
    """
    hits, actual, predicted = _counts(target, prediction, threshold, "precision")
    return _mean_share(hits, predicted, actual + predicted)


def recall(target: ArrayLike, prediction: ArrayLike, *, threshold: float | None = None) -> float:
    """Of what is of a class, the share that is predicted as it: TP / (TP + FN).

    Two and several classes as in `precision`. A class without a target counts 0.

    >>> recall(np.array([0, 1, 1]), np.array([0.9, 0.8, 0.1]))
    0.5
    """
    hits, actual, predicted = _counts(target, prediction, threshold, "recall")
    return _mean_share(hits, actual, actual + predicted)


def f1(target: ArrayLike, prediction: ArrayLike, *, threshold: float | None = None) -> float:
    """Harmonic mean of a class's precision and recall: 2 TP / (2 TP + FP + FN).

    Two and several classes as in `precision`: the mean of the classes' F1, not the F1 of the means.
    Where class 1 is neither a target nor predicted, it is 0.

    >>> f1(np.array([0, 1, 1]), np.array([0.9, 0.8, 0.1]))
    0.5
    """
    hits, actual, predicted = _counts(target, prediction, threshold, "f1")
    return _mean_share(2 * hits, actual + predicted, actual + predicted)


def confusion_matrix(
    target: ArrayLike, prediction: ArrayLike, *, threshold: float | None = None
) -> NDArray[np.intp]:
    """Count the rows of class i that are predicted as class j, in row i and column j.

    Arguments and errors are those of `accuracy`; for two classes it is 2 by 2. Predictions that
    look like logits, beyond 0 to 1 for labels 0 and 1, need a threshold: 0.

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0.9, 0.8, 0.1]))
    array([[0, 1],
           [1, 1]])
    """
    counted = _confusion(target, prediction, threshold, "confusion_matrix")
    scores = np.asarray(prediction)
    if threshold is None and scores.shape[1:] in ((), (1,)) and np.min(target) >= 0:
        way = "pass threshold=0 for logits, and else the number above which class 1 is meant"
        check_range(scores, 0, 1, "the prediction", "confusion_matrix", way)
    return counted


def _confusion(
    target: ArrayLike, prediction: ArrayLike, threshold: float | None, owner: str
) -> NDArray[np.intp]:
    true, predicted, classes = _classes(target, prediction, threshold, owner)
    pairs = np.bincount(true * classes + predicted, minlength=classes**2)
    return pairs.reshape(classes, classes)


def _counts(
    target: ArrayLike, prediction: ArrayLike, threshold: float | None, owner: str
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return for each class, or for class 1 of two, the hits, the targets and the predictions."""
    counted = _confusion(target, prediction, threshold, owner)
    counts = counted.diagonal(), counted.sum(axis=1), counted.sum(axis=0)
    if np.ndim(prediction) == 2 and np.shape(prediction)[1] > 1:
        return counts
    hits, actual, predicted = counts
    return hits[1:], actual[1:], predicted[1:]


def _mean_share(part: NDArray[np.intp], whole: NDArray[np.intp], occurs: NDArray[np.intp]) -> float:
    """Return the mean of part / whole over the classes that occur, 0 / 0 being 0."""
    shares = part / np.maximum(whole, 1)
    return float(shares.sum() / max(1, np.count_nonzero(occurs)))


def _classes(
    target: ArrayLike, prediction: ArrayLike, threshold: float | None, owner: str
) -> tuple[Classes, Classes, int]:
    """Return each row's class, the class predicted for it, and the number of classes."""
    scores, given = np.asarray(prediction), np.asarray(target)
    if scores.ndim == 2 and scores.shape[1] > 1:
        return _several(given, scores, owner), scores.argmax(axis=1), scores.shape[1]
    if scores.ndim not in (1, 2):
        raise ValueError(
            f"{owner} expects predictions of shape (batch, classes) or (batch, 1), got "
            f"{scores.shape}"
        )
    true, predicted = _labels(given, scores, threshold, owner)
    return true.ravel().astype(np.intp), predicted.ravel().astype(np.intp), 2


def _several(target: NDArray[Any], scores: NDArray[Any], owner: str) -> Classes:
    """Return the class of each row, from its index or its one-hot row."""
    check_classes(target, scores.shape, owner)
    _check_rows(scores, owner)
    return target.astype(np.intp) if target.ndim == 1 else target.argmax(axis=1)


def _labels(
    target: ArrayLike, prediction: NDArray[Any], threshold: float | None, owner: str
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return for each label whether it is class 1, and whether that is predicted."""
    true = like_prediction(np.asarray(target), prediction.shape, owner, integers=True)
    _check_rows(prediction, owner)
    way = (
        "labels are 0 and 1, or -1 and 1; more classes need a unit each, and numbers 'mae' or 'r2'"
    )
    check_range(true, -1, 1, "y", owner, way)
    if threshold is None:
        threshold = 0.0 if true.min() < 0 else 0.5
    return true > 0.5, prediction > threshold


def _check_rows(prediction: NDArray[Any], owner: str) -> None:
    if not prediction.size:
        raise ValueError(
            f"{owner} expects at least one row, got predictions of shape {prediction.shape}"
        )
