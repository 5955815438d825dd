"""Metrics with options of their own, or with those that the loss decides."""

from __future__ import annotations

import re
from inspect import signature
from typing import Any, Literal, TypeAlias

from numpy.typing import ArrayLike, NDArray

from minigrad.data.arrays import Array
from minigrad.metrics.named import METRICS, PATTERNS, better_of
from minigrad.metrics.running import Metric
from minigrad.util.config import Configurable, register
from minigrad.util.names import nearest
from minigrad.util.options import check_bool, check_int, check_number

Labels: TypeAlias = Literal["macro", "micro", "each"] | int | None
"""How a metric treats several labels per row: "macro" is the mean over the labels, "micro" counts
all labels as one, a number is that label alone, and "each" gives an array. None is for rows that
have one class."""


class _OfLabels(Configurable):
    """Base of metrics for classes, or for several labels per row."""

    option = ""
    """The option of the function that the metric needs."""

    def __init__(self, metric: str, *, labels: Labels = None) -> None:
        known = [name for name, function in METRICS.items() if self.option in options_of(function)]
        if not isinstance(metric, str) or metric not in known:
            raise ValueError(
                f"{type(self).__name__}({metric!r}) is not known: {nearest(str(metric), known)}"
            )
        self.metric = metric
        self.labels = check_labels(labels, type(self).__name__)
        if labels == "each" or (labels is not None and "labels" not in options_of(METRICS[metric])):
            raise ValueError(
                f"{type(self).__name__}({metric!r}) reports one number, and can't have "
                f"labels={labels!r}: choose 'macro', 'micro' or a label of 'f1' and the like"
            )
        self.better = better_of(METRICS[metric])
        prefix, suffix = "micro_" * (labels == "micro"), f"_{labels}" * isinstance(labels, int)
        self.__name__ = f"{prefix}{metric}{suffix}"

    def measure(self, target: Any, prediction: Any, **options: Any) -> float:
        """Return the metric over all rows."""
        if self.labels is not None:
            options["labels"] = self.labels
        return METRICS[self.metric](target, prediction, **options)


@register
class AtThreshold(_OfLabels):
    """A metric of predicted classes or labels, with a threshold of its own.

    Args:
        metric: "accuracy", "binary_accuracy", "precision", "recall" or "f1".
        threshold: class 1 is predicted above it; by default it is halfway between the labels, as in
            `accuracy`. For logits, 0 is a probability of 1/2.
        labels: for precision, recall and f1 of several labels per row: "macro", "micro", or the
            number of a label. None is for rows that have one class.

    >>> import numpy as np
    >>> sure = AtThreshold("precision", threshold=0.9)
    >>> sure(np.array([1, 0]), np.array([0.95, 0.6]))
    1.0
    >>> third = AtThreshold("recall", labels=2)
    >>> third.__name__, third(np.array([[0, 1, 1], [0, 0, 1]]), np.array([[0, 1, 1], [0, 1, 0]]))
    ('recall_2', 0.5)
    """

    option = "threshold"

    def __init__(
        self, metric: str, *, threshold: float | None = None, labels: Labels = None
    ) -> None:
        super().__init__(metric, labels=labels)
        self.threshold = None if threshold is None else check_number(threshold, "threshold", self)

    def __call__(
        self, target: NDArray[Any], prediction: Array, *, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return the metric over all rows."""
        options = {"threshold": self.threshold, "sample_weight": sample_weight}
        return self.measure(target, prediction, **options)


@register
class OfProbabilities(_OfLabels):
    """A metric of probabilities, or of logits.

    Args:
        metric: "roc_auc", "pr_auc" or "log_loss".
        labels: see `AtThreshold`.
        from_logits: whether predictions are logits.

    >>> import numpy as np
    >>> round(OfProbabilities("log_loss", from_logits=True)(np.array([1]), np.array([[0.0]])), 4)
    0.6931
    """

    option = "from_logits"

    def __init__(self, metric: str, *, labels: Labels = None, from_logits: bool = False) -> None:
        super().__init__(metric, labels=labels)
        self.from_logits = check_bool(from_logits, "from_logits", self)

    def __call__(
        self, target: NDArray[Any], prediction: Array, *, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return the metric over all rows."""
        options = {"from_logits": self.from_logits, "sample_weight": sample_weight}
        return self.measure(target, prediction, **options)


@register
class TopK(Configurable):
    """`top_k_accuracy` with a fixed k; for k=5 its name is "top_5_accuracy".

    Args:
        k: at least 1, and at most the number of classes.

    >>> import numpy as np
    >>> TopK(k=2)(np.array([0]), np.array([[0.3, 0.4, 0.2]]))
    1.0
    """

    better = "max"

    def __init__(self, *, k: int = 5) -> None:
        self.k = check_int(k, "k", self)
        self.__name__ = f"top_{self.k}_accuracy"

    def __call__(
        self, target: NDArray[Any], prediction: Array, *, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return the metric over all rows."""
        top_k_accuracy = METRICS["top_k_accuracy"]
        return top_k_accuracy(target, prediction, k=self.k, sample_weight=sample_weight)


def options_of(metric: Metric) -> set[str]:
    """Return the names of a function's arguments."""
    return {*signature(metric).parameters}


def check_labels(labels: Any, owner: str) -> Labels:
    """Return the option `labels`, or refuse it."""
    if isinstance(labels, str):
        if labels not in ("macro", "micro", "each"):
            raise ValueError(
                f"{owner} expects labels='macro', 'micro', 'each' or a number, got {labels!r}"
            )
    elif labels is not None:
        return check_int(labels, "labels", owner, least=0)
    found: Labels = labels
    return found


def for_loss(name: str, loss: Any, labels: Labels = None) -> Metric:
    """Return a metric with the threshold, the labels and the kind of predictions of a loss."""
    options = options_of(METRICS[name])
    if labels is None and "labels" in options and getattr(loss, "several_labels", False):
        labels = "macro"
    if "from_logits" in options:
        logits = getattr(loss, "takes_logits", False)
        return OfProbabilities(name, labels=labels, from_logits=logits)
    # 0.5 is the default of a loss, and halfway only between labels 0 and 1.
    threshold = getattr(loss, "decision_threshold", 0.5)
    threshold = None if threshold == 0.5 else threshold
    return AtThreshold(name, threshold=threshold, labels=labels)


PATTERNS["top_k_accuracy"] = (
    re.compile(r"top_([1-9]\d*)_accuracy"),
    lambda found, loss: TopK(k=int(found[1])),
)
PATTERNS["micro_f1"] = (
    re.compile(r"(macro|micro)_(precision|recall|f1|roc_auc|pr_auc)"),
    lambda found, loss: for_loss(found[2], loss, check_labels(found[1], found[0])),
)
