"""What may enter as data: floating, finite, not empty, of the shape that is expected."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.util.names import kind_of

Array: TypeAlias = NDArray[np.floating[Any]]
Shape: TypeAlias = tuple[int, ...]

_BYTES_AT_A_TIME = 2**20
_NOT_PLAIN = {
    "filled": "filled(...), or drop the masked rows",
    "toarray": "toarray()",
}
"""A method by which masked and sparse arrays are known, and how it makes plain ones."""


def describe(shape: Shape) -> str:
    """Write the shape of a batch whose rows have this shape.

    >>> describe((64,)), describe(())
    ('(batch, 64)', '(batch,)')
    """
    return f"(batch, {', '.join(map(str, shape))})" if shape else "(batch,)"


def as_array(value: ArrayLike, name: str) -> NDArray[Any]:
    """Return an array, a list, a frame, a series or a tensor as an array, uncopied if possible.

    Raises:
        TypeError: a masked or a sparse array; a tensor that gradients are recorded for, or that
            isn't in this memory.
        ValueError: lists of unequal length.
    """
    for method, way in _NOT_PLAIN.items():
        if hasattr(value, method):
            raise TypeError(f"{name} is {kind_of(value)}, not a plain array: pass {name}.{way}")
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(
            f"{name} is {kind_of(value)} that NumPy can't read as an array: {error}"
        ) from error


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
    array = as_array(value, name)
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
            + (_object_way_out(value, array, name) if kind == "O" else "")
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
    step = len(array)
    if array.nbytes > _BYTES_AT_A_TIME:
        step = max(1, _BYTES_AT_A_TIME * step // array.nbytes)
    for start in range(0, len(array), step):
        rows = array[start : start + step]
        finite = np.isfinite(rows)
        if not finite.all():
            first = np.unravel_index(int(np.argmin(finite)), finite.shape)
            index = (start + int(first[0]), *map(int, first[1:]))
            raise ValueError(
                f"{name} holds {array[index]} at index {index}; "
                "expected finite numbers: drop or fill such rows"
            )


def _object_way_out(value: object, array: NDArray[Any], name: str) -> str:
    if hasattr(value, "dtypes"):
        return f": pick the columns that are numbers, and pass {name}.astype(float)"
    for item in array.flat:
        if isinstance(item, (Sequence, np.ndarray)) and not isinstance(item, str):
            return ": are its rows of unequal length?"
        if not isinstance(item, Real):
            return f": it holds {item!r}"
    return f": pass {name}.astype(float)"
