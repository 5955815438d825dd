"""The rows for validation: given, or held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minigrad.data.by_name import Arrays, each, naming, take
from minigrad.data.rows import Rows
from minigrad.data.stream import Batches, Stream

_COPY_BYTES = 64 * 2**20
"""A split copies arrays up to this size. A larger one may be a file larger than the memory."""


def as_validation(
    data: Batches | Sequence[Arrays], read: Callable[..., Rows | Stream]
) -> Rows | Stream:
    """Return `validation_data` of `fit` as `read` returns x, y and weights; errors name it."""
    arrays = isinstance(data, tuple) or (
        isinstance(data, list) and all(hasattr(item, "__array__") for item in data)
    )
    given: Any = data if arrays else (data, None)
    with naming("validation_data"):
        if len(given) not in (2, 3):
            raise ValueError(f"expected (x, y) or (x, y, sample_weight), got {len(given)} items")
        return read(*given)


def split(rows: object, fraction: float, seed: int | None) -> tuple[Rows, Rows]:
    """Return training and validation rows, chosen at random from the seed; None takes the last."""
    if not isinstance(rows, Rows):
        raise ValueError("validation_split needs arrays x and y, got an iterable of batches")
    held_out = round(len(rows) * fraction)
    if not 0 < held_out < len(rows):
        raise ValueError(
            f"validation_split={fraction} of {len(rows)} rows leaves {held_out} to validate and "
            f"{len(rows) - held_out} to train: choose a fraction between 0 and 1"
        )
    if seed is None:
        first = len(rows) - held_out
        parts = _pick(rows, slice(first)), _pick(rows, slice(first, None))
    else:
        order = np.random.default_rng(seed).permutation(len(rows))
        parts = _pick(rows, np.sort(order[held_out:])), _pick(rows, np.sort(order[:held_out]))
    for part, use in zip(parts, ("train", "validate"), strict=True):
        if not part.total:
            raise ValueError(
                f"all {len(part)} rows to {use} have weight 0: choose another validation_split"
            )
    return parts


def _pick(rows: Rows, index: NDArray[np.intp] | slice) -> Rows:
    """Return rows: a view of a slice; by index a copy, or a view by index of a large array."""

    def picked(array: NDArray[Any]) -> Any:  # `Picked` has what batches and blocks use of an array
        if isinstance(index, slice) or array.nbytes <= _COPY_BYTES:
            return array[index]
        return Picked(array, index)

    return Rows(each(picked, rows.x), each(picked, rows.y), take(rows.weight, index), rows.form)


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
