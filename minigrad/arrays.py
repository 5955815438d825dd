"""What may enter as data: floating, finite, not empty, of the shape that is expected."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[np.floating[Any]]
Shape: TypeAlias = tuple[int, ...]

_ROWS_AT_A_TIME = 65_536


def describe(shape: Shape) -> str:
    """Write the shape of a batch whose rows have this shape.

    >>> describe((64,)), describe(())
    ('(batch, 64)', '(batch,)')
    """
    return f"(batch, {', '.join(map(str, shape))})" if shape else "(batch,)"


def as_data(value: ArrayLike, name: str) -> NDArray[Any]:
    """Return `value` as an array with at least one row of floating numbers, without a copy.

    Args:
        value: an array, or anything that NumPy turns into one.
        name: what the message calls it.

    Raises:
        TypeError: integers, booleans, strings, objects and complex numbers.
        ValueError: an empty array, or a single number.

    >>> as_data([[0, 1]], "x")
    Traceback (most recent call last):
    ...
    TypeError: x holds integers (dtype int64); expected floating numbers: pass x.astype(float)
    """
    array = np.asarray(value)
    kind = array.dtype.kind
    if kind != "f":
        if kind in "iub":
            held = "booleans" if kind == "b" else "integers"
            raise TypeError(
                f"{name} holds {held} (dtype {array.dtype}); expected floating numbers: "
                f"pass {name}.astype(float)"
            )
        raise TypeError(
            f"{name} has dtype {array.dtype}; expected an array of floating numbers"
            + (": are its rows of unequal length?" if kind == "O" else "")
        )
    if array.ndim == 0:
        raise ValueError(f"{name} is a single number; expected an array with the batch axis first")
    if array.size == 0:
        raise ValueError(f"{name} is empty: its shape is {array.shape}; expected at least one row")
    return array


def check_finite(array: NDArray[Any], name: str) -> None:
    """Refuse NaN and infinity, naming the first; a block of rows at a time, so a file stays one.

    >>> check_finite(np.array([[0.0], [np.nan]]), "x")
    Traceback (most recent call last):
    ...
    ValueError: x holds nan at index (1, 0); expected finite numbers: drop or fill such rows
    """
    for start in range(0, len(array), _ROWS_AT_A_TIME):
        rows = array[start : start + _ROWS_AT_A_TIME]
        finite = np.isfinite(rows)
        if not finite.all():
            first = np.unravel_index(int(np.argmin(finite)), finite.shape)
            index = (start + int(first[0]), *map(int, first[1:]))
            raise ValueError(
                f"{name} holds {array[index]} at index {index}; "
                "expected finite numbers: drop or fill such rows"
            )
