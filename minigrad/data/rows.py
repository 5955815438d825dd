"""Rows: validated inputs, targets and weights, and how they are split into batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, ClassVar, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minigrad.data.arrays import Array, Shape, as_array, as_data, as_weights, check_finite
from minigrad.data.permutation import random_permutation
from minigrad.util.options import check_not_negative
from minigrad.util.random import RNG

_CHUNK_BYTES = 16 * 2**20
"""How much of the data is gathered at a time in a random order."""
_COPY_BYTES = 64 * 2**20
"""A split copies arrays up to this size. A larger one may be a file larger than the memory."""
_LAYOUT_BYTES = 2**16, 2**22
"""The sizes of x between which a copy with contiguous features pays."""
_NARROW = 64


class Rows:
    """Inputs x, also a memory-mapped file, targets y, and a weight for each row or None.

    `take` and `batches` convert x to `dtype`, unless it is None.
    """

    __slots__ = ("dtype", "weight", "x", "y")
    reused: ClassVar[bool] = False

    def __init__(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        weight: Array | None = None,
        dtype: np.dtype[Any] | None = None,
    ) -> None:
        self.x = x
        self.y = y
        self.weight = weight
        self.dtype = dtype

    def __len__(self) -> int:
        return len(self.x)

    @property
    def total(self) -> float:
        """The number of rows, or the sum of their weights: the divisor of a mean loss."""
        return float(len(self.x) if self.weight is None else self.weight.sum())

    @property
    def chunk(self) -> int:
        """The number of rows to read from a file, or to gather, at a time."""
        x_bytes = max(self.x.dtype.itemsize, 0 if self.dtype is None else self.dtype.itemsize)
        row_bytes = prod(self.x.shape[1:]) * x_bytes
        row_bytes += prod(self.y.shape[1:]) * self.y.dtype.itemsize
        return max(1, _CHUNK_BYTES // max(1, row_bytes))

    def take(self, rows: NDArray[np.intp] | slice) -> Rows:
        """Return these rows, with x in `dtype`: views for a slice, copies for indices."""
        x = self.x[rows]
        if self.dtype is not None:
            x = x.astype(self.dtype, copy=False)
        return Rows(x, self.y[rows], None if self.weight is None else self.weight[rows])

    def for_epochs(self, batch_size: int | None, block_rows: int) -> Rows:
        """Return the rows as many epochs read them: one batch that is a block is held in memory."""
        if self.count(batch_size) > 1:
            return self
        return (self.take(slice(None)) if len(self) <= block_rows else self).features_first()

    def features_first(self) -> Rows:
        """Return the rows with each feature of a narrow x contiguous, if such a copy pays.

        A Dense layer's products then run along long rows in every epoch.
        """
        x = self.x
        if not isinstance(x, np.ndarray) or x.ndim != 2:
            return self
        if x.shape[1] >= _NARROW or not _LAYOUT_BYTES[0] <= x.nbytes <= _LAYOUT_BYTES[1]:
            return self
        return Rows(np.asfortranarray(x), self.y, self.weight, self.dtype)

    def count(self, batch_size: int | None) -> int:
        """Return the number of batches in an epoch."""
        return 1 if batch_size is None else -(-len(self) // batch_size)

    def batches(self, batch_size: int | None, rng: RNG | None) -> Iterator[Rows]:
        """Yield batches, the last one shorter; with `rng`, in a new random order of the rows.

        Shuffled rows are gathered a chunk at a time, so that memory doesn't grow with the data.
        A single batch of all rows is these rows: not shuffled, as its sum is the same in any
        order, and not converted; `take` what you need of it.
        """
        rows = len(self)
        if batch_size is None or batch_size >= rows:
            yield self
            return
        order = None if rng is None else random_permutation(rows, rng)
        chunk_rows = max(1, self.chunk // batch_size) * batch_size
        for start in range(0, rows, chunk_rows):
            place = slice(start, start + chunk_rows)
            chunk = self.take(place if order is None else order[place])
            for first in range(0, len(chunk.x), batch_size):
                yield chunk.take(slice(first, first + batch_size))

    def weighted_by_class(self, class_weight: Mapping[int, float]) -> Rows:
        """Return the rows with each row's weight multiplied by the weight of its class.

        The class is y, or the position of the one in a one-hot row.
        """
        weight = _class_weights(class_weight, self.y[:])
        if self.weight is not None:
            weight = self.weight * weight
        return Rows(self.x, self.y, weight, self.dtype)


class Picked:
    """Some rows of a large array, read from it where they are used."""

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


class Targets(Protocol):
    """Validates targets, as a loss does."""

    def match(self, target: NDArray[Any], shape: Shape) -> NDArray[Any]: ...


def as_rows(
    x: ArrayLike,
    y: ArrayLike,
    *,
    output_shape: Shape,
    loss: Targets,
    sample_weight: ArrayLike | None = None,
    dtype: np.dtype[Any] | None = None,
) -> Rows:
    """Validate a whole data set without copying it; `output_shape` is that of a row."""
    inputs, targets = as_pair(x, y)
    check_finite(inputs, "x")
    targets = loss.match(targets, (len(inputs), *output_shape))
    check_finite(targets, "y")
    weight = None if sample_weight is None else as_weights(sample_weight, len(inputs))
    if weight is not None and not weight.any():
        raise ValueError("sample_weight must not be zero for all rows")
    return Rows(inputs, targets, weight, dtype)


def as_pair(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return x and y as arrays with the same number of rows; x holds numbers."""
    inputs, targets = as_data(x, "x"), as_array(y, "y")
    if targets.ndim == 0 or len(targets) != len(inputs):
        raise ValueError(
            "x and y must have the same number of rows: "
            f"x has shape {inputs.shape}, y {targets.shape}"
        )
    return inputs, targets


def split(rows: object, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Return training and validation rows, chosen at random from the seed."""
    if not isinstance(rows, Rows):
        raise ValueError("validation_split needs arrays x and y, got an iterable of batches")
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
                f"all {len(part)} rows to {use} have weight 0: choose another validation_split"
            )
    return parts


def _pick(rows: Rows, index: NDArray[np.intp]) -> Rows:
    """Return the rows with these indices: a copy, or a view by index of a large array."""
    x, y = (
        # `Picked` has what batches and blocks use of an array.
        array[index] if array.nbytes <= _COPY_BYTES else cast("Array", Picked(array, index))
        for array in (rows.x, rows.y)
    )
    return Rows(x, y, None if rows.weight is None else rows.weight[index], rows.dtype)


def _class_weights(class_weight: Mapping[int, float], y: NDArray[Any]) -> NDArray[np.float64]:
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            "class_weight must be a dict with a weight for each class, such as {0: 1.0, 1: 5.0}, "
            f"got {class_weight!r}"
        )
    weights = {
        label: check_not_negative(weight, f"class_weight[{label!r}]", "fit")
        for label, weight in class_weight.items()
    }
    if not any(weights.values()):
        raise ValueError(f"class_weight must not be zero for all classes, got {class_weight}")
    rows = y.reshape(len(y), -1)
    classes = rows[:, 0]
    if rows.shape[1] > 1:
        if not (((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) == 1).all()):
            raise ValueError(
                f"class_weight expects one class per row, and y of shape {y.shape} isn't one-hot: "
                "pass sample_weight"
            )
        classes = rows.argmax(axis=1)
    weight = np.empty(len(y))
    for label in np.unique(classes):
        if label not in weights:
            way = "; y must hold class labels" if label % 1 else ""
            raise ValueError(
                f"class_weight has no weight for class {label}: it has {sorted(weights)}{way}"
            )
        weight[classes == label] = weights[label]
    return weight
