"""From what a user passes as x and y to batches of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.arrays import Array, Shape, as_data, check_finite
from minigrad.losses import Loss
from minigrad.rng import RNG

_CHUNK_ROWS = 65_536


@dataclass(frozen=True)
class Rows:
    """Inputs, targets, and a weight for each row or None."""

    x: Array
    y: NDArray[Any]
    weight: Array | None = None

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: NDArray[np.intp] | slice) -> Rows:
        """Return these rows: views for a slice, copies for indices."""
        weight = None if self.weight is None else self.weight[rows]
        return Rows(self.x[rows], self.y[rows], weight)

    def batches(self, batch_size: int | None, rng: RNG | None) -> Iterator[Rows]:
        """Yield batches, the last one shorter; with `rng`, in a new random order of the rows.

        Shuffled rows are gathered a chunk at a time, so memory doesn't grow with the data. One
        batch that holds everything is not shuffled: its sum is the same in any order.
        """
        rows = len(self)
        if batch_size is None or batch_size >= rows:
            yield self
            return
        order = None if rng is None else rng.permutation(rows)
        chunk_rows = max(1, _CHUNK_ROWS // batch_size) * batch_size
        for start in range(0, rows, chunk_rows):
            place = slice(start, start + chunk_rows)
            chunk = self.take(place if order is None else order[place])
            x, y, weight = chunk.x, chunk.y, chunk.weight
            for first in range(0, len(x), batch_size):
                part = slice(first, first + batch_size)
                yield Rows(x[part], y[part], None if weight is None else weight[part])


def as_rows(
    x: ArrayLike,
    y: ArrayLike,
    *,
    output_shape: Shape,
    loss: Loss,
    sample_weight: ArrayLike | None = None,
    class_weight: Mapping[int, float] | None = None,
) -> Rows:
    """Check data as a whole, before anything is changed by it.

    Raises:
        TypeError: not floating numbers.
        ValueError: no rows, unequal numbers of rows, NaN or infinity, or a shape that the loss
            can't take.
    """
    inputs = as_data(x, "x")
    check_finite(inputs, "x")
    targets = np.asarray(y)
    if targets.ndim == 0 or len(targets) != len(inputs):
        raise ValueError(
            f"x and y need as many rows: x has shape {inputs.shape}, y {targets.shape}"
        )
    targets = loss.match(targets, (len(inputs), *output_shape))
    check_finite(targets, "y")
    weight = None if sample_weight is None else _row_weight(sample_weight, len(inputs))
    if class_weight is not None:
        by_class = _class_weight(class_weight, targets)
        weight = by_class if weight is None else weight * by_class
    return Rows(inputs, targets, weight)


def split(rows: Rows, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Return training and validation rows, chosen at random; the same ones for the same seed.

    Raises:
        ValueError: a fraction that leaves either of them without a row.
    """
    held_out = round(len(rows) * fraction)
    if not 0 < held_out < len(rows):
        raise ValueError(
            f"validation_split={fraction} of {len(rows)} rows leaves {held_out} to validate and "
            f"{len(rows) - held_out} to train: choose a fraction between 0 and 1"
        )
    order = np.random.default_rng(seed).permutation(len(rows))
    return rows.take(np.sort(order[held_out:])), rows.take(np.sort(order[:held_out]))


def _row_weight(sample_weight: ArrayLike, rows: int) -> Array:
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (rows,):
        raise ValueError(f"sample_weight needs shape ({rows},), a weight a row; got {weight.shape}")
    check_finite(weight, "sample_weight")
    if weight.min() < 0 or not weight.any():
        raise ValueError("sample_weight must not be negative, nor all zero")
    return weight


def _class_weight(class_weight: Mapping[int, float], y: NDArray[Any]) -> Array:
    """Give each row the weight of its class: an index, a 0/1 label, or the place of the one."""
    classes = y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(len(y))
    weight = np.ones(len(y))
    for label in np.unique(classes):
        if label not in class_weight:
            raise ValueError(
                f"class_weight has no weight for class {label}: it knows {sorted(class_weight)}"
            )
        weight[classes == label] = class_weight[label]
    return _row_weight(weight, len(y))
