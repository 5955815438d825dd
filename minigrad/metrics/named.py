"""Metrics by name, and the thresholds that they take from the loss."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, SupportsFloat, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.data.arrays import Array
from minigrad.data.by_name import Data
from minigrad.util.config import Configurable, register
from minigrad.util.names import kind_of, nearest
from minigrad.util.options import check_int, check_number

Metric: TypeAlias = Callable[[NDArray[Any], Array], float]
"""A function of (target, prediction), called once with all rows. The target has the form that the
loss takes: the predictions' shape, or class indices of shape (n,)."""

Metrics: TypeAlias = "Sequence[str | Metric] | Mapping[str, Sequence[str | Metric]] | None"
"""Names such as "mae", or functions; for several outputs a dict of such lists."""

F = TypeVar("F", bound=Callable[..., float])

METRICS: dict[str, Callable[..., float]] = {}
"""The functions by the names that `compile` takes. It takes "top_3_accuracy" and the like, too."""
_WITH_THRESHOLD: dict[str, Callable[..., float]] = {}
_TOP_K = re.compile(r"top_([1-9]\d*)_accuracy")


def metric(better: Literal["min", "max"], *, has_threshold: bool = False) -> Callable[[F], F]:
    """Declare a metric of this package: `compile` takes its name, callbacks read its `better`.

    A decorator.

    Args:
        better: "max" if more is better, else "min".
        has_threshold: whether it takes a `threshold`, by default that of the loss.
    """

    def declare(function: F) -> F:
        function.better = better  # type: ignore[attr-defined]
        METRICS[function.__name__] = function
        if has_threshold:
            _WITH_THRESHOLD[function.__name__] = function
        return function

    return declare


@register
class AtThreshold(Configurable):
    """A metric for two classes with a threshold of its own.

    Args:
        metric: "accuracy", "binary_accuracy", "precision", "recall" or "f1".
        threshold: class 1 is predicted above it; by default it is halfway between the labels, as in
            `accuracy`. For logits, 0 is a probability of 1/2.

    >>> import numpy as np
    >>> sure = AtThreshold("precision", threshold=0.9)
    >>> sure(np.array([1, 0]), np.array([0.95, 0.6]))
    1.0
    """

    def __init__(self, metric: str, *, threshold: float | None = None) -> None:
        if metric not in _WITH_THRESHOLD:
            way = nearest(str(metric), _WITH_THRESHOLD)
            raise ValueError(f"AtThreshold({metric!r}) is not known: {way}")
        self.metric = self.__name__ = metric
        self.better = better_of(_WITH_THRESHOLD[metric])
        self.threshold = None if threshold is None else check_number(threshold, "threshold", self)

    def __call__(self, target: NDArray[Any], prediction: Array) -> float:
        """Return the metric over all rows."""
        return _WITH_THRESHOLD[self.metric](target, prediction, threshold=self.threshold)


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

    def __call__(self, target: NDArray[Any], prediction: Array) -> float:
        """Return the metric over all rows."""
        return METRICS["top_k_accuracy"](target, prediction, k=self.k)


@register
class OfOutput(Configurable):
    """A metric of one output among several.

    Args:
        output: the name of the output.
        metric: a function of (target, prediction), or the name of one.

    >>> import numpy as np
    >>> OfOutput("price", "mae")({"price": np.array([1.0])}, {"price": np.array([3.0])})
    2.0
    """

    def __init__(self, output: str, metric: str | Metric) -> None:
        self.output = output
        self.metric = metric
        [(name, self._metric)] = named_metrics([metric]).items()
        self.__name__ = f"{output}_{name}"
        self.better = better_of(self._metric)

    def __call__(self, target: Data, prediction: Data) -> float:
        """Return the metric over all rows."""
        return self._metric(target[self.output], prediction[self.output])

    @override
    def get_config(self) -> dict[str, Any]:
        name = getattr(self.metric, "__name__", "")
        known = METRICS.get(name) is self.metric
        return {"output": self.output, "metric": name if known else self.metric}


def named_metrics(
    metrics: Metrics, threshold: float | Mapping[str, float] = 0.5
) -> dict[str, Metric]:
    """Return metrics by the names that the history uses.

    Args:
        metrics: names such as "mae" or "top_3_accuracy", or functions of (target, prediction); for
            several outputs a dict of such lists, or a list with one or several for each output.
        threshold: the threshold of the loss, which metrics of this package take; or of each output.

    Raises:
        TypeError: something other than a list of names and functions.
        ValueError: an unknown name, one used twice, or "loss", "epoch" or "val_...".
    """
    if not metrics and (metrics is None or isinstance(metrics, Sequence)):
        return {}
    of_outputs = isinstance(metrics, Sequence) and all(isinstance(m, OfOutput) for m in metrics)
    if of_outputs:
        threshold = 0.5
    if isinstance(threshold, Mapping):
        if isinstance(metrics, (list, tuple)) and len(metrics) == len(threshold):
            metrics = dict(zip(threshold, map(_as_list, metrics), strict=True))
        if not isinstance(metrics, Mapping):
            way = f"metrics={{'{next(iter(threshold))}': [...]}}"
            raise TypeError(
                f"metrics expects a dict with lists for outputs, got {metrics!r}: pass {way}"
            )
        if unknown := [output for output in metrics if output not in threshold]:
            raise ValueError(
                f"metrics has no output {unknown[0]!r}: {nearest(unknown[0], threshold)}"
            )
        return {
            f"{output}_{name}": OfOutput(output, metric)
            for output, own in metrics.items()
            for name, metric in named_metrics(own, threshold[output]).items()
        }
    listed = isinstance(metrics, Iterable) and not isinstance(metrics, (str, Mapping))
    if not listed or callable(metrics):
        given = getattr(metrics, "__name__", repr(metrics))
        way = given if isinstance(metrics, str) or callable(metrics) else "'mae'"
        raise TypeError(f"metrics expects a list, got {given}: pass metrics=[{way}]")
    found: dict[str, Metric] = {}
    for metric in metrics:
        name = metric if isinstance(metric, str) else getattr(metric, "__name__", "")
        if isinstance(metric, str) or METRICS.get(name) is metric:
            metric = _by_name(name, threshold)
        elif not callable(metric) or hasattr(metric, "backward"):
            raise TypeError(
                f"metrics expects names or functions of (target, prediction), got {metric!r}"
            )
        name = name or type(metric).__name__
        if name in found or name in ("loss", "epoch") or name.startswith("val_"):
            raise ValueError(f"the metric name '{name}' is taken: set another __name__")
        found[name] = metric
    return found


def _as_list(metrics: Any) -> Any:
    return metrics if isinstance(metrics, (list, tuple)) else [metrics]


def better_of(metric: Metric) -> str | None:
    """Return "min" or "max", the better direction of a metric; None if it doesn't say.

    A function of one's own says it by an attribute, as in `mape.better = "min"`, or is named like
    a metric of this package.
    """
    name = re.sub(r"^top_\d+", "top_k", getattr(metric, "__name__", ""))
    better: str | None = getattr(metric, "better", getattr(METRICS.get(name), "better", None))
    return better


def as_number(name: str, value: Any) -> float:
    """Return what a metric returned as a float."""
    if np.ndim(value) or not isinstance(value, SupportsFloat):
        raise TypeError(
            f"metric '{name}' must return a number, got {kind_of(value)} of shape "
            f"{np.shape(value)}: return its mean"
        )
    return float(value)


def _by_name(name: str, threshold: float) -> Metric:
    if top := _TOP_K.fullmatch(name):
        return TopK(k=int(top[1]))
    if name in _WITH_THRESHOLD:
        # 0.5 is the default of a loss, and halfway only between labels 0 and 1.
        return AtThreshold(name, threshold=None if threshold == 0.5 else threshold)
    if name in METRICS:
        return METRICS[name]
    way = nearest(name, {*METRICS, "top_5_accuracy"} - {"top_k_accuracy"})
    raise ValueError(f"metric {name!r} is not known: {way}")
