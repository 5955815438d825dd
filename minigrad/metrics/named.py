"""Metrics by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from typing_extensions import override

from minigrad.data.by_name import Data, of
from minigrad.metrics.running import Metric, measured
from minigrad.util.config import Configurable, register
from minigrad.util.names import nearest

Metrics: TypeAlias = "Sequence[str | Metric] | Mapping[str, Sequence[str | Metric]] | None"
"""Names such as "mae", or functions; for several outputs a dict of such lists."""

F = TypeVar("F", bound=Callable[..., float])

METRICS: dict[str, Callable[..., float]] = {}
"""The functions by the names that `compile` takes. It takes "top_3_accuracy" and the like, too."""
_FOR_LOSS: dict[str, Callable[[str, Any], Metric]] = {}
PATTERNS: dict[str, tuple[re.Pattern[str], Callable[[re.Match[str], Any], Metric]]] = {}
"""Names with parts of their own, and what makes the metric of one, for a loss."""


def metric(
    better: Literal["min", "max"], *, for_loss: Callable[[str, Any], Metric] | None = None
) -> Callable[[F], F]:
    """Declare a metric of this package: `compile` takes its name, callbacks read its `better`.

    A decorator.

    Args:
        better: "max" if more is better, else "min".
        for_loss: makes the metric that `compile` takes for (name, loss); None takes the function.
    """

    def declare(function: F) -> F:
        function.better = better  # type: ignore[attr-defined]
        METRICS[function.__name__] = function
        if for_loss is not None:
            _FOR_LOSS[function.__name__] = for_loss
        return function

    return declare


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

    def __call__(self, target: Data, prediction: Data, *, sample_weight: Data = None) -> float:
        """Return the metric over all rows."""
        weight = of(sample_weight, self.output)
        value: float = measured(self._metric, target[self.output], prediction[self.output], weight)
        return value

    @override
    def get_config(self) -> dict[str, Any]:
        name = getattr(self.metric, "__name__", "")
        known = METRICS.get(name) is self.metric
        return {"output": self.output, "metric": name if known else self.metric}


def named_metrics(metrics: Metrics, loss: Any = None) -> dict[str, Metric]:
    """Return metrics by the names that the history uses.

    Args:
        metrics: names such as "mae" or "top_3_accuracy", or functions of (target, prediction); for
            several outputs a dict of such lists, or a list with one or several for each output.
        loss: metrics of this package take its threshold, and whether it takes logits and several
            labels per row; or a dict with the loss of each output.

    Raises:
        TypeError: something other than a list of names and functions.
        ValueError: an unknown name, one used twice, or "loss", "epoch" or "val_...".
    """
    if metrics is None or (isinstance(metrics, Sequence) and not metrics):
        return {}
    of_outputs = isinstance(metrics, Sequence) and all(isinstance(m, OfOutput) for m in metrics)
    if isinstance(loss, Mapping) and not of_outputs:
        if isinstance(metrics, (list, tuple)) and len(metrics) == len(loss):
            metrics = dict(zip(loss, map(_as_list, metrics), strict=True))
        if not isinstance(metrics, Mapping):
            way = f"metrics={{'{next(iter(loss))}': [...]}}"
            raise TypeError(
                f"metrics expects a dict with lists for outputs, got {metrics!r}: pass {way}"
            )
        if unknown := [output for output in metrics if output not in loss]:
            raise ValueError(f"metrics has no output {unknown[0]!r}: {nearest(unknown[0], loss)}")
        return {
            f"{output}_{name}": OfOutput(output, metric)
            for output, own in metrics.items()
            for name, metric in named_metrics(own, loss[output]).items()
        }
    listed = isinstance(metrics, Iterable) and not isinstance(metrics, (str, Mapping))
    if not listed or callable(metrics) or getattr(metrics, "shape", None) == ():
        given = getattr(metrics, "__name__", repr(metrics))
        way = given if isinstance(metrics, str) or callable(metrics) else "'mae'"
        raise TypeError(f"metrics expects a list, got {given}: pass metrics=[{way}]")
    found: dict[str, Metric] = {}
    for metric in metrics:
        name = metric if isinstance(metric, str) else getattr(metric, "__name__", "")
        if isinstance(metric, str) or METRICS.get(name) is metric:
            metric = _by_name(name, loss)
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


def _by_name(name: str, loss: Any) -> Metric:
    for pattern, make in PATTERNS.values():
        if found := pattern.fullmatch(name):
            return make(found, loss)
    if name in METRICS:
        return _FOR_LOSS[name](name, loss) if loss and name in _FOR_LOSS else METRICS[name]
    way = nearest(name, {*METRICS, "top_5_accuracy", "micro_f1"} - {"top_k_accuracy"})
    raise ValueError(f"metric {name!r} is not known: {way}")
