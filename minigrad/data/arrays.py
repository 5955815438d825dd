"""Validate the arrays that users pass, without copying them."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, prod
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.util.names import kind_of, with_article
from minigrad.util.options import check_int

Array: TypeAlias = NDArray[np.floating[Any]]
Shape: TypeAlias = tuple[Any, ...]
"""The lengths of the axes; in the shape of a row, None is a length that varies from batch to batch,
such as the number of time steps."""
DType: TypeAlias = "str | type[np.floating[Any]] | np.dtype[np.floating[Any]]"

_BLOCK_BYTES = 2**20
_MOST_AXES = 63  # NumPy's arrays have up to 64, with the batch axis
_LARGEST_INTEGER = 2**53  # float64 holds every integer up to this one exactly
_CONVERSIONS = {
    "filled": "filled(...), or drop the masked rows",
    "toarray": "toarray()",
    "collect": "collect()",
}
"""Methods that only masked and sparse arrays and lazy frames have, and how to get a plain array."""


def describe(shape: Shape) -> str:
    """Return the shape of a batch of rows of this shape, such as "(batch, 64)"."""
    return f"(batch, {', '.join(map(str, shape))})" if shape else "(batch,)"


def fits(shape: Shape, expected: Shape) -> bool:
    """Tell whether a shape is the expected one, in which None stands for any length."""
    return shape == expected or (
        len(shape) == len(expected)
        and all(want is None or n == want for n, want in zip(shape, expected, strict=True))
    )


def size_of(shape: Shape) -> int:
    """Return the number of elements of a row, with 64 for a length that varies."""
    if shape and isinstance(shape[0], tuple):  # of several inputs
        return sum(map(size_of, shape))
    return prod(64 if n is None else n for n in shape)


def features(input_shape: Shape, owner: str) -> int:
    """Return the length of the last axis, for a layer that works along it."""
    if not input_shape:
        raise ValueError(
            f"{owner} works along the last axis of each row, and the rows are single numbers: "
            "reshape x to (batch, 1)"
        )
    if not isinstance(input_shape[-1], int):
        raise ValueError(f"{owner} needs the length of the last axis, got {input_shape}")
    return int(input_shape[-1])


def as_array(value: ArrayLike, name: str) -> NDArray[Any]:
    """Return an array, a list, a frame, a column or a tensor as an array.

    It takes what has `__array__` or `__dlpack__`, and copies nothing if NumPy can share the memory.
    It refuses masked and sparse arrays, lists of unequal length, and tensors that require gradients
    or aren't on the CPU.
    """
    if type(value) is np.ndarray and value.dtype != object:
        return value
    items = value if isinstance(value, (list, tuple)) else ()
    for kind in {type(value), *map(type, items)}:
        for method, way in _CONVERSIONS.items():
            if hasattr(kind, method):
                what = with_article(kind.__name__)
                raise TypeError(f"{name} is {what}, not a plain array: pass {name}.{way}")
    try:
        if not hasattr(value, "__array__") and hasattr(value, "__dlpack__"):
            return np.from_dlpack(value)  # type: ignore[arg-type]
        array = np.asarray(value)
        if array.dtype.kind == "O" and isinstance(next(iter(array.flat), 0), (list, np.ndarray)):
            array = np.array(array.tolist())  # a column of lists
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        ragged, reason = isinstance(error, ValueError), str(error)
        if ragged:
            reason = "are its rows of unequal length? minigrad.pad_sequences fills them up"
        way = f": pass {name}.float()" if "ScalarType" in reason else ""
        raise (ValueError if ragged else TypeError)(
            f"{name} is {kind_of(value)} that NumPy can't convert to an array: {reason}{way}"
        ) from error
    if array.dtype.kind == "O" and array.ndim == 2 and hasattr(value, "items"):
        # A frame with columns of several dtypes.
        columns = [as_numbers(column, f"{name}[{label!r}]") for label, column in value.items()]
        return np.column_stack(columns)
    return array


def as_numbers(value: ArrayLike, name: str) -> NDArray[Any]:
    """Return `value` as an array of floats, integers or booleans."""
    array = as_array(value, name)
    if array.dtype.kind not in "fiub":
        way = _way_out(array, name)
        raise TypeError(f"{name} has dtype {array.dtype}; expected real numbers{way}")
    return array


def as_data(value: ArrayLike, name: str) -> NDArray[Any]:
    """Return `value` as an array of numbers with at least one row."""
    array = as_numbers(value, name)
    if array.ndim == 0:
        raise ValueError(f"{name} is a single number; expected an array with the batch axis first")
    if array.size == 0:
        raise ValueError(f"{name} is empty: its shape is {array.shape}; expected at least one row")
    return array


def as_weights(value: ArrayLike, shape: Shape) -> NDArray[np.float64]:
    """Return sample weights as float64: finite and not negative.

    There is a weight for each row of the predictions of this shape, or for each term, in which case
    they have the first axes of the predictions.
    """
    weight = as_numbers(value, "sample_weight")
    if not weight.ndim or not fits(weight.shape, shape[: weight.ndim]):
        terms = f", or the first axes of {shape}, a weight for each term" if len(shape) > 2 else ""
        raise ValueError(
            f"sample_weight expects shape {shape[:1]}, a weight for each row{terms}, got "
            f"{weight.shape}"
        )
    check_finite(weight, "sample_weight")
    if weight.size and weight.min() < 0:
        raise ValueError(f"sample_weight expects weights >= 0, got {weight.min()}")
    return weight.astype(np.float64, copy=False)


def with_axes(array: Array, ndim: int) -> Array:
    """Return the array with `ndim` axes: new ones come last and have length 1.

    >>> with_axes(np.ones((4, 3)), 4).shape
    (4, 3, 1, 1)
    """
    return array.reshape(*array.shape, *[1] * (ndim - array.ndim))


def weighted(terms: Array, weight: Array, owner: Any) -> Array:
    """Multiply each row or term by its weight, in the dtype of the terms."""
    if terms.shape[: weight.ndim] != weight.shape:
        raise ValueError(
            f"{owner.label} expects sample_weight for its terms, of shape {terms.shape} or the "
            f"first of these axes, got {weight.shape}"
        )
    product: Array = terms * with_axes(weight.astype(terms.dtype, copy=False), terms.ndim)
    return product


def check_finite(array: NDArray[Any], name: str) -> None:
    """Refuse NaN, infinity, and integers beyond 2^53, naming the first one.

    It reads a block of rows at a time, so that a memory-mapped file isn't loaded.
    """
    floats = array.dtype.kind == "f"
    if not floats and array.dtype.itemsize < 8:
        return
    step = len(array) or 1
    if array.nbytes > _BLOCK_BYTES:
        step = max(1, _BLOCK_BYTES * step // array.nbytes)
    for start in range(0, len(array), step):
        rows = array[start : start + step]
        if floats:
            good = np.isfinite(rows)
        else:
            good = (rows >= -_LARGEST_INTEGER) & (rows <= _LARGEST_INTEGER)
        if not good.all():
            first = np.unravel_index(int(np.argmin(good)), good.shape)
            index = (start + int(first[0]), *map(int, first[1:]))
            way = "finite numbers: drop or fill such rows" if floats else "integers up to 2**53"
            raise ValueError(f"{name} holds {array[index]} at index {index}; expected {way}")


def _way_out(array: NDArray[Any], name: str) -> str:
    """Return the end of the message about an array that doesn't hold real numbers."""
    if array.dtype.kind == "V" and array.dtype.fields is None:  # bfloat16 and smaller floats
        return f": pass {name}.astype('float32')"
    if array.dtype.kind != "O":
        return ""
    for item in array.flat:
        if isinstance(item, (Sequence, np.ndarray)) and not isinstance(item, str):
            return ": are its rows of unequal length?"
        if not isinstance(item, Real):
            return f": it holds {item!r}"
    return f": pass {name}.astype(float)"


def as_dtype(dtype: DType) -> np.dtype[np.floating[Any]]:
    """Return float32 or float64, and refuse any other dtype."""
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except (TypeError, ValueError):
        found = np.dtype(object)
    if found not in (np.float32, np.float64):
        raise ValueError(f"dtype expects 'float64' or 'float32', got {dtype!r}")
    return found


def as_input_shape(input_shape: Shape, owner: str) -> Shape:
    """Return the shape of one row, or those of several inputs, as tuples of int and None."""
    if not isinstance(input_shape, (tuple, list)):
        raise TypeError(
            f"{owner} expects input_shape as a tuple, got {input_shape!r}: "
            f"pass input_shape=({input_shape},)"
        )
    if any(isinstance(n, (tuple, list)) for n in input_shape):  # of several inputs
        return tuple(as_input_shape(shape, owner) for shape in input_shape)
    if len(input_shape) > _MOST_AXES:
        raise ValueError(f"{owner} expects at most {_MOST_AXES} axes, got {len(input_shape)}")
    return tuple(n if n is None else check_int(n, "input_shape", owner) for n in input_shape)


def finite(vector: Array) -> bool:
    """Tell whether all numbers are finite; one dot product, unless that overflows."""
    return isfinite(np.dot(vector, vector)) or bool(np.isfinite(vector).all())


def column_sums(matrix: Array) -> Array:
    """Return the sum over the rows, by a product: several times faster than `sum` on short rows."""
    sums: Array = np.ones(len(matrix), matrix.dtype) @ matrix
    return sums


def norm(pieces: Sequence[Array]) -> float:
    """Return the root of the sum of squares, also where a square overflows."""
    with np.errstate(over="ignore"):
        square: float = sum(np.dot(g, g).item() for g in pieces)
    if np.isfinite(square):
        root: float = np.sqrt(square).item()
        return root
    largest = max(float(np.abs(g).max()) for g in pieces)
    return largest * norm([g / largest for g in pieces]) if isfinite(largest) else largest
