"""Sequences of different lengths in one array."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.data.arrays import as_numbers
from minigrad.util.fields import explained
from minigrad.util.options import check_int, check_number


@explained
def pad_sequences(
    sequences: Iterable[ArrayLike], *, value: float = 0.0, length: int | None = None
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return sequences as one array with padding at their ends, and the mask of the real steps.

    Args:
        sequences: arrays of shape (time,), such as ids, or of one shape (time, ...) but for the
            time, such as (time, features). Integers stay integers.
        value: the padding.
        length: of the padded sequences; by default that of the longest one.

    Returns:
        The array of shape (n, length, ...), and the mask of shape (n, length), which is True where
        a step is real. Pass the mask as an input of the model, or as `sample_weight` of a loss
        with a term for each step.

    Raises:
        TypeError: sequences that aren't numbers.
        ValueError: no sequence, one longer than `length`, or shapes that differ in more than the
            time; a padding that isn't whole for integers.

    >>> x, mask = pad_sequences([[3, 1, 2], [5]])
    >>> x
    array([[3, 1, 2],
           [5, 0, 0]])
    >>> mask
    array([[ True,  True,  True],
           [ True, False, False]])
    """
    if not isinstance(sequences, Iterable) or getattr(sequences, "shape", None) == ():
        raise TypeError(f"pad_sequences expects a list of sequences, got {sequences!r}")
    arrays = [as_numbers(one, f"sequences[{i}]") for i, one in enumerate(sequences)]
    if not arrays:
        raise ValueError("pad_sequences expects at least 1 sequence, got none")
    shapes = [array.shape for array in arrays]
    for i, shape in enumerate(shapes):
        if not shape or shape[1:] != shapes[0][1:]:
            raise ValueError(
                f"pad_sequences expects sequences of shapes that differ in the time alone, got "
                f"{shapes[0]} for sequences[0] and {shape} for sequences[{i}]"
            )
    lengths = np.array([len(array) for array in arrays])
    longest = int(lengths.max())
    size = longest if length is None else check_int(length, "length", "pad_sequences")
    if longest > size:
        raise ValueError(
            f"pad_sequences expects sequences of at most length={size}, got {longest} steps in "
            f"sequences[{int(lengths.argmax())}]: cut it first, as in sequence[:{size}]"
        )
    dtype = np.result_type(*(array.dtype for array in arrays))
    value = check_number(value, "value", "pad_sequences")
    if dtype.kind in "iu" and value != np.array(value).astype(dtype):
        raise ValueError(f"pad_sequences expects value as {dtype}, got {value}")
    x = np.full((len(arrays), size, *shapes[0][1:]), value, dtype)
    for row, array in zip(x, arrays, strict=True):
        row[: len(array)] = array
    return x, np.arange(size) < lengths[:, np.newaxis]
