"""Validate labels: classes, signs and probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Shape, as_numbers, fits
from minigrad.data.targets import flatten, other_rows

_SUM_TOLERANCE = 1e-3
"""How far the sum of a row of probabilities may be from 1; float16 needs that much."""


def check_classes(target: NDArray[Any], shape: Shape, owner: str) -> None:
    """Refuse what is neither class indices of shape (n, ...) nor one-hot rows (n, ..., classes).

    Rows of probabilities count as one-hot. Predictions need two classes or more.
    """
    if len(shape) < 2 or shape[-1] < 2:
        raise ValueError(
            f"{owner} expects predictions of shape (batch, ..., classes), got {shape}: give the "
            "last layer a unit for each class, or use a single unit and BCEWithLogitsLoss()"
        )
    if fits(target.shape, shape[:-1]):
        _check_class_indices(target, shape[-1], owner)
    elif fits(target.shape, shape):
        _check_probabilities(as_numbers(target, "y"), owner)
    else:
        way = other_rows(target, shape) or flatten(target, shape)
        if fits(target.shape, (*shape[:-1], 1)):
            axes = ":, " * (target.ndim - 1)
            way = f": pass y[{axes}0]" + (".astype(int)" if _are_whole(target) else "")
        raise ValueError(
            f"{owner} expects class indices of shape {shape[:-1]} or one-hot rows of shape "
            f"{shape}, got {target.shape}{way}"
        )


def check_range(
    array: NDArray[Any], least: float, most: float, name: str, owner: str, way_out: str
) -> None:
    """Refuse a number outside [least, most], naming the first; NaN is left to `check_finite`."""
    if array.size and (array.min() < least or array.max() > most):
        index, value = _first(array, (array < least) | (array > most))
        raise ValueError(
            f"{name} holds {value} at index {index}; {owner} expects {least} to {most}: {way_out}"
        )


def check_signs(target: NDArray[Any], owner: str) -> None:
    """Refuse a label that is neither -1 nor +1, naming the first; NaN is left to `check_finite`."""
    wrong = (target != 1) & (target != -1) & ~np.isnan(target)
    if wrong.any():
        index, value = _first(target, wrong)
        raise ValueError(
            f"y holds {value} at index {index}; {owner} expects -1 or 1: "
            "for labels 0 and 1 pass 2.0 * y - 1"
        )


def _are_whole(target: NDArray[Any]) -> bool:
    return target.dtype.kind == "f" and bool((target == np.rint(target)).all())


def _check_class_indices(target: NDArray[Any], classes: int, owner: str) -> None:
    kind = target.dtype.kind
    if kind not in "iub":
        held, way = f"y is {target.dtype}", "np.unique(y, return_inverse=True)[1]"
        if _are_whole(target):
            held, way = f"y holds floats (dtype {target.dtype})", "y.astype(int)"
        elif kind == "f":
            index, value = _first(target, target != np.rint(target))
            held, way = f"y holds {value} at index {index}", f"{way}, or use MSELoss() for numbers"
        raise TypeError(f"{held}; {owner} expects class indices, integers from 0: pass {way}")
    if target.size and (target.min() < 0 or target.max() >= classes):
        index, value = _first(target, (target < 0) | (target >= classes))
        from_one = target.min() == 1 and target.max() == classes
        way = "pass y - 1" if from_one else "give it a unit for each class"
        raise ValueError(
            f"y holds class {value} at index {index}; {owner} expects 0 to {classes - 1}, "
            f"as the last layer has {classes} units: {way}"
        )


def _check_probabilities(rows: NDArray[Any], owner: str) -> None:
    if rows.size and rows.min() < 0:
        index, value = _first(rows, rows < 0)
        raise ValueError(
            f"y holds {value} at index {index}; {owner} expects one-hot rows or probabilities: "
            "pass numbers from 0 to 1"
        )
    sums = rows @ np.ones(rows.shape[-1], np.result_type(rows, np.float32))
    wrong = np.abs(sums - 1) > _SUM_TOLERANCE
    if wrong.any():
        index, value = _first(sums, wrong)
        raise ValueError(
            f"y's row {index} adds up to {value:g}; {owner} expects one-hot rows or probabilities "
            "that add up to 1: for several labels per row use BCEWithLogitsLoss() and "
            "'binary_accuracy'"
        )


def _first(array: NDArray[Any], wrong: NDArray[np.bool_]) -> tuple[int | tuple[int, ...], Any]:
    """Return the index of the first wrong number, and the number."""
    index = tuple(map(int, np.unravel_index(int(np.argmax(wrong)), wrong.shape)))
    return index[0] if len(index) == 1 else index, array[index]
