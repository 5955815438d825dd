"""Validate targets that have the predictions' shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Shape, as_numbers, describe, fits


def like_prediction(target: NDArray[Any], shape: Shape, owner: str) -> NDArray[Any]:
    """Return targets in the predictions' shape: (n,) is taken for (n, 1), and for nothing else.

    For predictions of shape (n, time, 1), targets of shape (n, time) are taken in the same way.
    """
    target = as_numbers(target, "y")
    if fits(target.shape, shape):
        return target
    if fits((*target.shape, 1), shape):
        return target[..., np.newaxis]
    way = other_rows(target, shape) or flatten(target, shape)
    columns = target.shape if target.ndim == len(shape) else (*target.shape, 1)
    if not way and len(shape) > 1 and fits(columns[:-1], shape[:-1]):
        units = f"{columns[-1]} unit{'s' * (columns[-1] > 1)}"
        way = f": give the last layer {units}, or y of shape {describe(shape[1:])}"
        if target.ndim == 1 and target.dtype.kind in "iu":
            way += ", or use CrossEntropyLoss() for class indices"
    raise ValueError(
        f"{owner} expects targets of the predictions' shape {shape}, got {target.shape}{way}"
    )


def other_rows(target: NDArray[Any], shape: Shape) -> str:
    """Return the end of a message if x and y have different numbers of rows, else ""."""
    wrong = target.ndim and len(target) != shape[0]
    return f": x has {shape[0]} rows and y has {len(target)}" if wrong else ""


def flatten(target: NDArray[Any], shape: Shape) -> str:
    """Return the way out if each row has one target, and the predictions kept other axes."""
    forgotten = len(shape) > 2 and (target.ndim == 1 or target.shape == (shape[0], shape[-1]))
    way = ": for one target per row put Flatten() or a pooling layer before the last Dense"
    return way if forgotten else ""
