"""Metrics of predicted numbers, of whose shape targets are, or (n,) for predictions (n, 1)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.data.targets import like_prediction


def mae(target: ArrayLike, prediction: ArrayLike) -> float:
    """Mean absolute error, in the unit of the targets.

    Raises:
        ValueError: targets of another shape; no rows.

    >>> mae(np.array([1.0, 2.0]), np.array([[1.5], [2.0]]))
    0.25
    """
    return float(np.mean(np.abs(_error(target, prediction, "mae")), dtype=np.float64))


def mse(target: ArrayLike, prediction: ArrayLike) -> float:
    """Mean squared error, in the square of the targets' unit; raises as `mae` does.

    >>> mse(np.array([1.0, 2.0]), np.array([[1.5], [2.0]]))
    0.125
    """
    return float(np.mean(np.square(_error(target, prediction, "mse")), dtype=np.float64))


def rmse(target: ArrayLike, prediction: ArrayLike) -> float:
    """Root of the mean squared error, in the unit of the targets; raises as `mae` does.

    >>> rmse(np.array([1.0, 2.0]), np.array([[2.0], [3.0]]))
    1.0
    """
    return math.sqrt(np.mean(np.square(_error(target, prediction, "rmse")), dtype=np.float64))


def r2(target: ArrayLike, prediction: ArrayLike) -> float:
    """Coefficient of determination: 1 - sum (t - a)^2 / sum (t - mean t)^2.

    1 is perfect, 0 is no better than predicting the mean. With several outputs it is the mean of
    theirs. An output whose targets are all equal counts 1 if it is predicted exactly, else 0. All
    as scikit-learn's r2_score, for which a single row gives NaN instead.

    Raises:
        ValueError: as `mae`.

    >>> r2(np.array([1.0, 2.0, 3.0]), np.array([[1.0], [2.0], [2.0]]))
    0.5
    """
    error = _error(target, prediction, "r2").astype(np.float64, copy=False)
    t = np.asarray(target, dtype=np.float64).reshape(error.shape)
    unexplained = np.square(error).sum(axis=0)
    spread = np.square(t - t.mean(axis=0)).sum(axis=0)
    varies = (np.ptp(t, axis=0) > 0) & (spread > 0)  # a mean of equal numbers may be rounded
    share = np.where(varies, unexplained, unexplained > 0) / np.where(varies, spread, 1)
    return float(np.mean(1 - share))


def _error(target: ArrayLike, prediction: ArrayLike, owner: str) -> NDArray[Any]:
    a = np.asarray(prediction)
    t = like_prediction(np.asarray(target), a.shape, owner, integers=True)
    if not a.size:
        raise ValueError(f"{owner} expects at least one row, got predictions of shape {a.shape}")
    error: NDArray[Any] = np.subtract(a, t, dtype=np.result_type(a, t, np.float32))
    return error
