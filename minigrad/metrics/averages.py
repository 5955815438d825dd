"""Means over rows or terms, weighted by the sample weights."""

from __future__ import annotations

from math import nan
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.data.arrays import Shape, as_weights, with_axes


def spread(sample_weight: ArrayLike | None, shape: Shape) -> NDArray[np.float64]:
    """Return weights of rows or of terms as an array of this shape, of which they have some axes.

    Without weights, each counts 1.

    >>> spread([1, 2], (2, 3))
    array([[1., 1., 1.],
           [2., 2., 2.]])
    """
    if sample_weight is None:
        return np.ones(shape)
    return np.broadcast_to(with_axes(as_weights(sample_weight, shape), len(shape)), shape)


def average(values: NDArray[Any], sample_weight: ArrayLike | None) -> float:
    """Return the mean in float64, or the weighted mean; NaN if all weights are 0."""
    if sample_weight is None:
        return float(np.mean(values, dtype=np.float64))
    weight = spread(sample_weight, values.shape)
    total = weight.sum()
    # A value that isn't finite doesn't count where its weight is 0.
    return float(np.where(weight > 0, values, 0).ravel() @ weight.ravel() / total) if total else nan
