"""One array, or several by name: what a graph with several inputs or outputs takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Arrays: TypeAlias = ArrayLike | Mapping[str, ArrayLike]
"""What users pass as `Data`: what NumPy makes an array of, or a dict of that."""
Data: TypeAlias = Any
"""An array, or a dict of arrays by the names of a graph's inputs or outputs."""


def each(function: Callable[..., Any], data: Data, *others: Data) -> Any:
    """Apply a function to an array, or to each of several by name.

    >>> each(len, [1, 2]), each(len, {"a": [1], "b": []}), each(min, {"a": 1}, {"a": 2})
    (2, {'a': 1, 'b': 0}, {'a': 1})
    """
    if not isinstance(data, dict):
        return function(data, *others)
    return {n: function(item, *(other[n] for other in others)) for n, item in data.items()}


def of(data: Any, name: str) -> Any:
    """Return what belongs to one name; what isn't by name belongs to all."""
    return data[name] if isinstance(data, dict) else data


def names_of(data: Any) -> tuple[str, ...]:
    """Return the names of several; none of a single one."""
    return tuple(data) if isinstance(data, dict) else ()


def take(data: Data | None, rows: NDArray[np.intp] | slice) -> Any:
    """Return some rows; nothing of nothing."""
    if isinstance(data, dict):
        return {name: array[rows] for name, array in data.items()}
    return None if data is None else data[rows]


def concatenate(parts: Sequence[Data], ndim: Any = 1) -> Data:
    """Return the rows of several parts as one.

    If a length varies, all vectors along the last of `ndim` axes of predictions become rows.
    """
    if isinstance(parts[0], dict):
        return {name: concatenate([p[name] for p in parts], of(ndim, name)) for name in parts[0]}
    if len({part.shape[1:] for part in parts}) > 1:
        parts = [part.reshape(-1, *part.shape[ndim - 1 :]) for part in parts]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def row_count(data: Data) -> int:
    """Return the number of rows of an array, or of several by name."""
    return len(next(iter(data.values()))) if isinstance(data, dict) else len(data)


def labelled(data: Data, what: str) -> Iterator[tuple[str, Any]]:
    """Yield (name in messages, array): "x" or "x['meta']"."""
    if isinstance(data, dict):
        yield from ((f"{what}['{name}']", array) for name, array in data.items())
    else:
        yield what, data


def check_single(data: object, what: str) -> None:
    """Refuse a dict for a model with one input, or one output."""
    if isinstance(data, Mapping):
        one = f"{what}[{next(iter(data))!r}]" if data else "an array"
        raise TypeError(f"{what} expects one array, got a dict with {sorted(data)}: pass {one}")


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Put a place before the message of an error."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{place}: {error}") from error
