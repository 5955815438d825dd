"""From what a user passes as x and y to batches of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minigrad.data.arrays import Array, Shape, as_array, as_data, check_finite
from minigrad.data.permutation import random_order
from minigrad.losses import Loss
from minigrad.util.random import RNG

_CHUNK_BYTES = 16 * 2**20
"""How much of the data is gathered at a time in a random order."""
_COPY_BYTES = 64 * 2**20
"""Larger arrays are not copied to be split, since a file may be larger than the memory."""
_LAYOUT_BYTES = 2**16, 2**22
"""How large an x is worth copying to lie better, and how large is too large."""
_NARROW = 64


class Rows:
    """Inputs, targets, and a weight for each row or None."""

    __slots__ = ("weight", "x", "y")

    def __init__(self, x: Array, y: NDArray[Any], weight: Array | None = None) -> None:
        self.x = x
        self.y = y
        self.weight = weight

    def __len__(self) -> int:
        return len(self.x)

    @property
    def total(self) -> float:
        """How many rows, or the sum of their weights: what a mean loss divides by."""
        return float(len(self.x) if self.weight is None else self.weight.sum())

    @property
    def chunk(self) -> int:
        """How many rows to read from a file, or to gather, at a time."""
        row_bytes = sum(prod(a.shape[1:]) * a.dtype.itemsize for a in (self.x, self.y))
        return max(1, _CHUNK_BYTES // max(1, row_bytes))

    def take(self, rows: NDArray[np.intp] | slice) -> Rows:
        """Return these rows: views for a slice, copies for indices."""
        weight = None if self.weight is None else self.weight[rows]
        return Rows(self.x[rows], self.y[rows], weight)

    def weighted_by_class(self, class_weight: Mapping[int, float] | None) -> Rows:
        """Return the rows with each weight multiplied by that of its class."""
        assert class_weight is not None
        weight = _class_weight(class_weight, self.y)
        return Rows(self.x, self.y, weight if self.weight is None else self.weight * weight)

    def features_first(self) -> Rows:
        """Return the rows with each feature of a narrow x in one piece, if such a copy pays.

        A Dense layer's products then run along long rows, in every epoch.
        """
        x = self.x
        if not isinstance(x, np.ndarray) or x.ndim != 2:
            return self
        if x.shape[1] >= _NARROW or not _LAYOUT_BYTES[0] <= x.nbytes <= _LAYOUT_BYTES[1]:
            return self
        return Rows(np.asfortranarray(x), self.y, self.weight)

    def count(self, batch_size: int | None) -> int:
        """Return how many batches `batches` yields."""
        return 1 if batch_size is None else -(-len(self) // batch_size)

    def batches(self, batch_size: int | None, rng: RNG | None) -> Iterator[Rows]:
        """Yield batches, the last one shorter; with `rng`, in a new random order of the rows.

        Shuffled rows are gathered a chunk at a time, so memory doesn't grow with the data. One
        batch that holds everything is not shuffled: its sum is the same in any order.
        """
        rows = len(self)
        if batch_size is None or batch_size >= rows:
            yield self
            return
        order = None if rng is None else random_order(rows, rng)
        chunk_rows = max(1, self.chunk // batch_size) * batch_size
        for start in range(0, rows, chunk_rows):
            place = slice(start, start + chunk_rows)
            chunk = self.take(place if order is None else order[place])
            x, y, weight = chunk.x, chunk.y, chunk.weight
            for first in range(0, len(x), batch_size):
                part = slice(first, first + batch_size)
                yield Rows(x[part], y[part], None if weight is None else weight[part])


class Picked:
    """Some rows of a large array, in some order, read from it whenever they are asked for.

    >>> picked = Picked(np.arange(10.0), np.array([1, 3, 5]))
    >>> len(picked), picked[1:]
    (3, array([3., 5.]))
    """

    def __init__(self, array: NDArray[Any], index: NDArray[np.intp]) -> None:
        self.array = array
        self.index = index
        self.shape = (len(index), *array.shape[1:])
        self.dtype = array.dtype

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: NDArray[np.intp] | slice) -> NDArray[Any]:
        picked: NDArray[Any] = self.array[self.index[rows]]
        return picked

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype)

    def astype(self, dtype: DTypeLike, *, copy: bool = True) -> NDArray[Any]:
        """Return all of the rows in another type."""
        return self[:].astype(dtype, copy=False)


def as_rows(
    x: ArrayLike,
    y: ArrayLike,
    *,
    output_shape: Shape,
    loss: Loss,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[int, float] | None = None,
) -> Rows:
    """Check data as a whole, before anything is changed by it; nothing is copied.

    Args:
        x: the inputs: an array, or anything with `__array__`.
        y: the targets, likewise.
        output_shape: the shape of a prediction's rows.
        loss: says which targets fit.
        sample_weight: a weight for each row.
        class_weight: a weight for each class.

    Raises:
        TypeError: not floating numbers, or targets of a kind that the loss can't take.
        ValueError: no rows, unequal numbers of rows, NaN or infinity, or a shape that the loss
            can't take; weights that are negative, all zero, of another shape, or not for a class.
    """
    inputs, targets = as_pair(x, y)
    check_finite(inputs, "x")
    targets = loss.match(targets, (len(inputs), *output_shape))
    check_finite(targets, "y")
    weight = None if sample_weight is None else _row_weight(sample_weight, len(inputs))
    if class_weight is not None:
        by_class = _class_weight(class_weight, targets)
        weight = by_class if weight is None else weight * by_class
    return Rows(inputs, targets, weight)


def as_pair(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return x and y as arrays of as many rows.

    Raises:
        TypeError: something else than arrays, or inputs that aren't floating numbers.
        ValueError: no rows, or unequal numbers of rows.
    """
    inputs, targets = as_data(x, "x"), as_array(y, "y")
    if targets.ndim == 0 or len(targets) != len(inputs):
        raise ValueError(
            f"x and y need as many rows: x has shape {inputs.shape}, y {targets.shape}"
        )
    return inputs, targets


def split(rows: Rows, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Return training and validation rows, chosen at random; the same ones for the same seed.

    Raises:
        ValueError: a fraction that leaves either of them without a row, or without a weight.
    """
    held_out = round(len(rows) * fraction)
    if not 0 < held_out < len(rows):
        raise ValueError(
            f"validation_split={fraction} of {len(rows)} rows leaves {held_out} to validate and "
            f"{len(rows) - held_out} to train: choose a fraction between 0 and 1"
        )
    order = np.random.default_rng(seed).permutation(len(rows))
    parts = _pick(rows, np.sort(order[held_out:])), _pick(rows, np.sort(order[:held_out]))
    for part, use in zip(parts, ("train", "validate"), strict=True):
        if not part.total:
            raise ValueError(
                f"all {len(part)} rows to {use} have the weight 0: choose another validation_split"
            )
    return parts


def _pick(rows: Rows, index: NDArray[np.intp]) -> Rows:
    """Return the rows with these indices: copied, or of a large array by index."""

    def pick(array: Array) -> Array:
        if array.nbytes <= _COPY_BYTES:
            return array[index]
        return cast("Array", Picked(array, index))  # all that batches and blocks ask of an array

    return Rows(pick(rows.x), pick(rows.y), None if rows.weight is None else rows.weight[index])


def _row_weight(sample_weight: ArrayLike, rows: int) -> Array:
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (rows,):
        raise ValueError(f"sample_weight needs shape ({rows},), a weight a row; got {weight.shape}")
    check_finite(weight, "sample_weight")
    if weight.min() < 0 or not weight.any():
        raise ValueError("sample_weight must not be negative, nor all zero")
    return weight


def _class_weight(class_weight: Mapping[int, float], y: NDArray[Any]) -> Array:
    """Give each row the weight of its class: an index, a label, or the place of a row's one."""
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            "class_weight must be a dict of a weight for each class, such as {0: 1.0, 1: 5.0}, "
            f"got {class_weight!r}"
        )
    given = [float(weight) for weight in class_weight.values()]
    if not (np.isfinite(given).all() and min(given, default=0) >= 0 and any(given)):
        raise ValueError(
            f"class_weight must be finite, not negative, and not all zero, got {class_weight}"
        )
    rows = y.reshape(len(y), -1)
    classes = rows[:, 0]
    if rows.shape[1] > 1:
        if not (((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) == 1).all()):
            raise ValueError(
                f"class_weight needs a single class a row, and y of shape {y.shape} isn't one-hot: "
                "pass sample_weight"
            )
        classes = rows.argmax(axis=1)
    weight = np.empty(len(y))
    for label in np.unique(classes):
        if label not in class_weight:
            if label % 1:
                raise ValueError(
                    f"class_weight needs class labels, and y holds {label}: pass sample_weight"
                )
            raise ValueError(
                f"class_weight has no weight for class {label}: it knows {sorted(class_weight)}"
            )
        weight[classes == label] = class_weight[label]
    return weight
