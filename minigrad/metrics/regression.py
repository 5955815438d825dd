"""Metrics for regression. Targets have the predictions' shape, or (n,) for predictions (n, 1)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.data.arrays import as_array, as_data
from minigrad.data.targets import like_prediction
from minigrad.metrics.averages import average, spread
from minigrad.metrics.named import METRICS, metric
from minigrad.util.options import check_positive


@metric("min")
def mae(
    target: ArrayLike, prediction: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Mean absolute error: the mean of |a - t|, in the unit of the targets.

    All metrics for regression return NaN if a target or a prediction is NaN. `sample_weight` has a
    weight for each row, or for each term, as in the losses; the mean is the weighted mean then.

    Raises:
        TypeError: something other than real numbers.
        ValueError: targets of another shape; no rows.

    >>> mae(np.array([1.0, 2.0]), np.array([[1.5], [2.0]]))
    0.25
    """
    return average(np.abs(_error(target, prediction, "mae")), sample_weight)


@metric("min")
def mse(
    target: ArrayLike, prediction: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Mean squared error: the mean of (a - t)^2.

    Raises as `mae` does.

    >>> mse(np.array([1.0, 2.0]), np.array([[1.5], [2.0]]))
    0.125
    """
    return average(np.square(_error(target, prediction, "mse")), sample_weight)


@metric("min")
def rmse(
    target: ArrayLike, prediction: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Root mean squared error: the root of the mean of (a - t)^2, in the unit of the targets.

    Raises as `mae` does.

    >>> rmse(np.array([1.0, 2.0]), np.array([[2.0], [3.0]]))
    1.0
    """
    return math.sqrt(average(np.square(_error(target, prediction, "rmse")), sample_weight))


@metric("min")
def huber(
    target: ArrayLike,
    prediction: ArrayLike,
    *,
    delta: float = 1.0,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Mean Huber error: the mean of the terms of `HuberLoss`.

    Raises as `mae` does.

    >>> huber(np.array([0.0, 0.0]), np.array([[0.5], [3.0]]))
    1.3125
    """
    delta = check_positive(delta, "delta", "huber")
    error = _error(target, prediction, "huber")
    clipped = np.clip(error, -delta, delta)
    return average(clipped * (error - clipped / 2), sample_weight)


@metric("max")
def r2(
    target: ArrayLike, prediction: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Coefficient of determination: 1 - sum (t - a)^2 / sum (t - mean t)^2.

    1 is perfect, 0 is no better than predicting the mean. Several outputs are averaged. An output
    whose targets are all equal counts 1 if the predictions are exact, else 0. All this is
    scikit-learn's r2_score, except that a single row gives NaN there. Raises as `mae` does.

    >>> r2(np.array([1.0, 2.0, 3.0]), np.array([[1.0], [2.0], [2.0]]))
    0.5
    """
    error = _error(target, prediction, "r2").astype(np.float64, copy=False)
    if not np.isfinite(error).all():
        return math.nan
    t = np.asarray(target, dtype=np.float64).reshape(error.shape)
    weight = spread(sample_weight, error.shape)
    total = weight.sum(axis=0)
    if not np.all(total):
        return math.nan
    unexplained = (weight * np.square(error)).sum(axis=0)
    variation = (weight * np.square(t - (weight * t).sum(axis=0) / total)).sum(axis=0)
    counted = np.where(weight > 0, t, np.nan)
    # The mean of equal numbers may be rounded.
    varies = (np.nanmax(counted, axis=0) > np.nanmin(counted, axis=0)) & (variation > 0)
    share = np.where(varies, unexplained, unexplained > 0) / np.where(varies, variation, 1)
    return float(np.mean(1 - share))


METRICS["l1"] = mae  # the name of the loss


def _error(target: ArrayLike, prediction: ArrayLike, owner: str) -> NDArray[Any]:
    a = as_data(prediction, "the prediction")
    t = like_prediction(as_array(target, "y"), a.shape, owner)
    with np.errstate(invalid="ignore"):  # inf - inf is NaN
        error: NDArray[Any] = np.subtract(a, t, dtype=np.result_type(a, t, np.float32))
    return error
