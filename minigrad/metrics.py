"""Metrics: what is reported beside the loss, computed over a whole set at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.arrays import Array
from minigrad.config import nearest

Metric: TypeAlias = Callable[[NDArray[Any], Array], float]


def mae(target: NDArray[Any], prediction: Array) -> float:
    """Mean absolute error.

    >>> mae(np.array([[1.0], [2.0]]), np.array([[1.5], [2.0]]))
    0.25
    """
    return float(np.mean(np.abs(prediction - target)))


def mse(target: NDArray[Any], prediction: Array) -> float:
    """Mean squared error.

    >>> mse(np.array([[1.0], [2.0]]), np.array([[1.5], [2.0]]))
    0.125
    """
    return float(np.mean((prediction - target) ** 2))


def rmse(target: NDArray[Any], prediction: Array) -> float:
    """Root of the mean squared error.

    >>> rmse(np.array([[1.0], [2.0]]), np.array([[2.0], [3.0]]))
    1.0
    """
    return math.sqrt(mse(target, prediction))


METRICS: dict[str, Metric] = {"mae": mae, "mse": mse, "rmse": rmse}


def named_metrics(metrics: Sequence[str | Metric]) -> dict[str, Metric]:
    """Return metrics by the name under which they are reported.

    Raises:
        ValueError: an unknown name, or one name twice.
    """
    found: dict[str, Metric] = {}
    for metric in metrics:
        if isinstance(metric, str):
            if metric not in METRICS:
                raise ValueError(f"metric {metric!r} is not known: {nearest(metric, METRICS)}")
            name, function = metric, METRICS[metric]
        else:
            name, function = getattr(metric, "__name__", type(metric).__name__), metric
        if name in found or name == "loss":
            raise ValueError(f"two figures are named '{name}': give each metric its own __name__")
        found[name] = function
    return found
