"""Metrics of probabilities: the areas under two curves, and the log loss."""

from __future__ import annotations

from math import nan
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.data.arrays import Array, as_array, as_data, check_finite
from minigrad.data.labels import check_classes, check_range
from minigrad.data.targets import like_prediction
from minigrad.metrics.averages import average, spread
from minigrad.metrics.classification import of_labels
from minigrad.metrics.named import metric
from minigrad.metrics.with_options import Labels, check_labels, for_loss
from minigrad.util.options import check_bool


@metric("max", for_loss=for_loss)
def roc_auc(
    target: ArrayLike,
    prediction: ArrayLike,
    *,
    labels: Labels = None,
    from_logits: bool = False,
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Area under the ROC curve: how often a row of class 1 has a higher score than one of class 0.

    0.5 is no better than chance. Equal scores count one half. The area is that of all rows, not the
    mean over batches. It is scikit-learn's roc_auc_score, for several classes with
    multi_class="ovr". Keras's AUC is an approximation with 200 thresholds.

    Args:
        target: as for `accuracy`. Of several classes, each is compared with the rest, and the mean
            is taken; a class or label that all rows have, or none, has no area and doesn't count.
        prediction: scores, as for `accuracy`.
        labels: for several labels per row; see `precision`.
        from_logits: whether the predictions are logits, of which several classes need the
            probabilities. A metric named in `compile` takes this, and `labels`, from the loss.
        sample_weight: see `accuracy`.

    Raises:
        TypeError, ValueError: see `accuracy`.

    >>> roc_auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    return _area(_roc, target, prediction, labels, from_logits, sample_weight, "roc_auc")


@metric("max", for_loss=for_loss)
def pr_auc(
    target: ArrayLike,
    prediction: ArrayLike,
    *,
    labels: Labels = None,
    from_logits: bool = False,
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Area under the precision-recall curve: the sum over thresholds of (R_i - R_(i-1)) P_i.

    Where class 1 is rare, it says more than `roc_auc`; the share of class 1 is no better than
    chance. This is the average precision, scikit-learn's average_precision_score. Arguments and
    errors are those of `roc_auc`.

    >>> round(pr_auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])), 4)
    0.8333
    """
    return _area(
        _precision_recall, target, prediction, labels, from_logits, sample_weight, "pr_auc"
    )


@metric("min", for_loss=for_loss)
def log_loss(
    target: ArrayLike,
    prediction: ArrayLike,
    *,
    labels: Labels = None,
    from_logits: bool = False,
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Mean of -log p of each row's class: the cross-entropy, whatever the loss is.

    For several labels per row it is the mean of -t log p - (1 - t) log(1 - p). Probabilities below
    the precision of their dtype count as that, as in scikit-learn's log_loss; logits have no limit.
    Arguments and errors are those of `roc_auc`; probabilities outside [0, 1] are refused.

    >>> round(log_loss(np.array([1, 0]), np.array([0.5, 0.2])), 4)
    0.4581
    """
    scores = as_data(prediction, "the prediction")
    if np.isnan(scores).any():
        return nan
    if not check_bool(from_logits, "from_logits", "log_loss"):
        way = "pass from_logits=True for logits"
        check_range(scores, 0, 1, "the prediction", "log_loss", way)
    if check_labels(labels, "log_loss") is None and _has_classes(scores):
        terms = -(_one_hot(target, scores, "log_loss") * _log_softmax(scores, from_logits))
        return average(terms.sum(axis=-1), sample_weight)
    t = _probability(target, scores, "log_loss")
    log_p, log_q = _log_sigmoid(scores, from_logits)
    terms = -t * log_p - (1 - t) * log_q
    if labels in (None, "macro", "micro"):
        return average(terms, sample_weight)
    weight = spread(sample_weight, terms.shape)
    last = terms.shape[-1] if terms.ndim > 1 else 1
    columns = zip(terms.reshape(-1, last).T, weight.reshape(-1, last).T, strict=True)
    return of_labels(np.array([average(*column) for column in columns]), labels, "log_loss")


def _area(
    curve: Any,
    target: ArrayLike,
    prediction: ArrayLike,
    labels: Labels,
    from_logits: bool,
    sample_weight: ArrayLike | None,
    owner: str,
) -> Any:
    """Return the area under a curve, of each column of scores and then as `labels` says."""
    scores = as_data(prediction, "the prediction")
    shape = scores.shape
    if check_labels(labels, owner) is None and _has_classes(scores):
        true = _one_hot(target, scores, owner) > 0.5
        shape = shape[:-1]
        if from_logits:
            scores = np.exp(_log_softmax(scores, from_logits))
    else:
        true = _probability(target, scores, owner) > 0.5
    columns = scores.shape[-1] if scores.ndim > 1 and labels != "micro" else 1
    weight = spread(sample_weight, shape)
    if shape != scores.shape:  # a row has a weight, and a score for each class
        weight = np.broadcast_to(weight[..., np.newaxis], scores.shape)
    if np.isnan(scores).any():
        return of_labels(np.full(columns, nan), labels, owner)
    cut = (a.reshape(-1, columns).T for a in (true, scores, weight))
    areas = np.array([curve(*column) for column in zip(*cut, strict=True)])
    return of_labels(areas, labels, owner)


def _above(
    true: NDArray[np.bool_], score: Array, weight: Array
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weight of the rows of class 1 and of class 0 down to each different score."""
    order = np.argsort(score, kind="stable")[::-1]
    score, weight, true = score[order], weight[order], true[order]
    last = np.append(score[1:] != score[:-1], True)
    return np.cumsum(weight * true)[last], np.cumsum(weight * ~true)[last]


def _roc(true: NDArray[np.bool_], score: Array, weight: Array) -> float:
    right, wrong = (np.append(0.0, count) for count in _above(true, score, weight))
    whole = right[-1] * wrong[-1]
    return float(np.trapezoid(right, wrong) / whole) if whole else nan


def _precision_recall(true: NDArray[np.bool_], score: Array, weight: Array) -> float:
    right, wrong = _above(true, score, weight)
    if not right[-1]:
        return nan
    claimed = right + wrong
    precision = right / np.where(claimed > 0, claimed, 1)
    return float(np.diff(right, prepend=0.0) @ precision / right[-1])


def _has_classes(scores: NDArray[Any]) -> bool:
    """Return whether the last axis has a score for each class."""
    return scores.ndim > 1 and scores.shape[-1] > 1


def _one_hot(target: ArrayLike, scores: NDArray[Any], owner: str) -> NDArray[Any]:
    true = as_array(target, "y")
    check_classes(true, scores.shape, owner)
    check_finite(true, "y")
    return true if true.ndim == scores.ndim else np.eye(scores.shape[-1])[true.astype(np.intp)]


def _probability(target: ArrayLike, scores: NDArray[Any], owner: str) -> NDArray[Any]:
    """Return targets from 0 to 1; labels -1 and 1 become 0 and 1."""
    true = like_prediction(as_array(target, "y"), scores.shape, owner)
    check_finite(true, "y")
    check_range(true, -1, 1, "y", owner, "labels are 0 and 1, or -1 and 1")
    true = true.astype(np.float64)
    return (true + 1) / 2 if true.min() < 0 else true


def _log_sigmoid(scores: NDArray[Any], from_logits: bool) -> tuple[Array, Array]:
    """Return log p and log(1 - p), of logits or of probabilities."""
    if from_logits:
        return -np.logaddexp(0, -scores), -np.logaddexp(0, scores)
    least = _least(scores)
    return np.log(np.maximum(scores, least)), np.log(np.maximum(1 - scores, least))


def _log_softmax(scores: NDArray[Any], from_logits: bool) -> Array:
    """Return the logarithms of the classes' probabilities."""
    if from_logits:
        log_sum: Array = np.logaddexp.reduce(scores, axis=-1, keepdims=True)
        return scores - log_sum
    logarithm: Array = np.log(np.maximum(scores, _least(scores)))
    return logarithm


def _least(scores: NDArray[Any]) -> float:
    kind = scores.dtype if scores.dtype.kind == "f" else np.dtype(np.float64)
    return float(np.finfo(kind).eps)
