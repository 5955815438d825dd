"""Which metric a name in `compile` means, and the threshold it takes from the loss."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from numpy.typing import NDArray

from minigrad.data.arrays import Array
from minigrad.metrics.classification import (
    accuracy,
    binary_accuracy,
    f1,
    precision,
    recall,
    top_k_accuracy,
)
from minigrad.metrics.regression import mae, mse, r2, rmse
from minigrad.util.config import Configurable, register
from minigrad.util.names import nearest
from minigrad.util.options import check_int, check_number

Metric: TypeAlias = Callable[[NDArray[Any], Array], float]
"""A function of (target, prediction). `target` comes as the loss takes it: of the predictions'
shape, or class indices of shape (n,). It is called once, with all rows; their weights don't count.
"""

_DECIDING: dict[str, Callable[..., float]] = {
    metric.__name__: metric for metric in (accuracy, binary_accuracy, precision, recall, f1)
}
METRICS: dict[str, Metric] = {
    **{metric.__name__: metric for metric in (mae, mse, rmse, r2)},
    **_DECIDING,
}
"""What the names in `compile` mean; "top_3_accuracy" and the like are known beside them."""
_TOP_K = re.compile(r"top_([1-9]\d*)_accuracy")


@register
class AtThreshold(Configurable):
    """A metric of classes, and the prediction above which class 1 is meant.

    Args:
        metric: "accuracy", "binary_accuracy", "precision", "recall" or "f1".
        threshold: between 0 and 1 for probabilities; 0 is even odds for logits. By default it is
            halfway between the labels, 0 for -1 and 1 and else 0.5.

    Raises:
        TypeError, ValueError: another name; a threshold that isn't a finite number.

    >>> import numpy as np
    >>> sure = AtThreshold("precision", threshold=0.9)
    >>> sure(np.array([1, 0]), np.array([0.95, 0.6]))
    1.0
    """

    def __init__(self, metric: str, *, threshold: float | None = None) -> None:
        if metric not in _DECIDING:
            raise ValueError(f"AtThreshold({metric!r}) is not known: {nearest(metric, _DECIDING)}")
        self.metric = self.__name__ = metric
        self.threshold = None if threshold is None else check_number(threshold, "threshold", self)

    def __call__(self, target: NDArray[Any], prediction: Array) -> float:
        """Return the metric's value over a whole set."""
        return _DECIDING[self.metric](target, prediction, threshold=self.threshold)


@register
class TopK(Configurable):
    """`top_k_accuracy` for a k; its name is "top_5_accuracy" for 5.

    Args:
        k: at least 1; when it is called, at most the number of classes.

    Raises:
        TypeError, ValueError: k isn't a whole number of at least 1.

    >>> import numpy as np
    >>> TopK(k=2)(np.array([0]), np.array([[0.3, 0.4, 0.2]]))
    1.0
    """

    def __init__(self, *, k: int = 5) -> None:
        self.k = check_int(k, "k", self)
        self.__name__ = f"top_{self.k}_accuracy"

    def __call__(self, target: NDArray[Any], prediction: Array) -> float:
        """Return the metric's value over a whole set."""
        return top_k_accuracy(target, prediction, k=self.k)


def named_metrics(metrics: Sequence[str | Metric], *, threshold: float = 0.5) -> dict[str, Metric]:
    """Return metrics by the name under which they are reported.

    Args:
        metrics: names, "top_3_accuracy" and the like among them, or functions of
            (target, prediction).
        threshold: the loss's, for the named ones, and for the functions that the names mean.

    Raises:
        TypeError: neither a name nor a function.
        ValueError: an unknown name, one name twice, or one that a history has for itself: "loss",
            "epoch", "val_...".

    >>> named_metrics(["mae", "top_3_accuracy"])["top_3_accuracy"]
    TopK(k=3)
    """
    if isinstance(metrics, str) or callable(metrics):
        given = repr(metrics) if isinstance(metrics, str) else getattr(metrics, "__name__", "...")
        raise TypeError(f"metrics must be a list, got {metrics!r}: pass a list, metrics=[{given}]")
    found: dict[str, Metric] = {}
    for metric in metrics:
        if isinstance(metric, str):
            name, function = metric, _by_name(metric, threshold)
        elif callable(metric):
            name, function = getattr(metric, "__name__", type(metric).__name__), metric
            if METRICS.get(name) is metric:
                function = _by_name(name, threshold)
        else:
            raise TypeError(
                f"metrics must be names or functions of (target, prediction), got {metric!r}"
            )
        if name in found or name in ("loss", "epoch") or name.startswith("val_"):
            raise ValueError(f"two figures are named '{name}': give each metric its own __name__")
        found[name] = function
    return found


def _by_name(name: str, threshold: float) -> Metric:
    top = _TOP_K.fullmatch(name)
    if top:
        return TopK(k=int(top[1]))
    if name in _DECIDING:
        # 0.5, which every loss has that says no other, is halfway between 0 and 1 alone.
        return AtThreshold(name, threshold=None if threshold == 0.5 else threshold)
    if name in METRICS:
        return METRICS[name]
    known = nearest(name, [*METRICS, "top_5_accuracy"])
    raise ValueError(f"metric {name!r} is not known: {known}")
