"""Batches that come from an iterable or from a function, as many and as large as it makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import length_hint
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike

from minigrad.data.rows import Rows
from minigrad.util.names import kind_of
from minigrad.util.random import RNG

Batches: TypeAlias = "Iterable[Any] | Callable[[], Iterable[Any]]"
"""(x, y) or (x, y, sample_weight) again and again: a list, a loader, a generator; or a function
without arguments that returns such."""


class Accept(Protocol):
    """Checks inputs, targets and weights, and returns them as rows."""

    def __call__(self, x: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None) -> Rows: ...


class Stream:
    """Goes through the batches once an epoch, and checks each as it comes.

    The first batch is read at once, so that what can't be used is said before training.

    Args:
        source: where the batches come from.
        accept: checks a batch's inputs, targets and weights, and returns them as rows.
        epochs: how often it will be gone through.

    Raises:
        TypeError: `source` is an array, or no source of batches at all.
        ValueError: it has no batches, or can be gone through only once.

    >>> batches = [(np.zeros((2, 3)), np.ones(2)), (np.zeros((1, 3)), np.ones(1))]
    >>> stream = Stream(batches, lambda x, y, weight: Rows(x, y, weight))
    >>> [len(batch) for batch in stream.batches(None, None)]
    [2, 1]
    """

    def __init__(self, source: Batches, accept: Accept, *, epochs: int = 1) -> None:
        if isinstance(source, (str, bytes, Mapping)) or hasattr(source, "__array__"):
            raise TypeError(
                f"y is missing: x is {kind_of(source)}; pass x and y, or as x alone an "
                "iterable of (x, y) batches or a function that returns one"
            )
        self._source = source
        self._accept = accept
        iterator = iter(_begin(source))
        if iterator is source and epochs > 1:
            raise ValueError(
                f"x is {kind_of(source)}, which can be gone through once, and epochs is "
                f"{epochs}: pass a list, or the function that returns it, without calling it"
            )
        self._count = length_hint(source) or None
        first = next(iterator, None)
        if first is None:
            raise ValueError("x is an iterable without batches: expected at least one (x, y)")
        self._begun: Iterator[Rows] | None = chain(
            [self._read(1, first)], self._rest(iterator, start=2)
        )

    def count(self, batch_size: int | None) -> int | None:
        """Return how many batches an epoch has, as far as that is known."""
        return self._count

    def batches(self, batch_size: int | None, rng: RNG | None) -> Iterator[Rows]:
        """Yield the batches as they come: neither cut nor shuffled.

        Raises:
            TypeError, ValueError: a batch that can't be used, with its number.
        """
        begun, self._begun = self._begun, None
        count = 0
        for batch in begun or self._rest(_begin(self._source)):
            count += 1
            yield batch
        if not count:
            raise ValueError(
                f"x is {kind_of(self._source)} that gave no batches when it was gone "
                "through again: pass a list, or a function that returns a new iterator each time"
            )
        self._count = count

    def _rest(self, batches: Iterable[Any], *, start: int = 1) -> Iterator[Rows]:
        for number, batch in enumerate(batches, start):
            yield self._read(number, batch)

    def _read(self, number: int, batch: Any) -> Rows:
        if (
            not isinstance(batch, (tuple, list))
            or len(batch) not in (2, 3)
            or any(item is None or not np.ndim(item) for item in batch[:2])
        ):
            raise TypeError(
                f"batch {number} of x is {_describe(batch)}; without y, x is an iterable whose "
                "batches are (x, y) or (x, y, sample_weight)"
            )
        x, y, *weight = batch
        try:
            return self._accept(x, y, weight[0] if weight else None)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"batch {number}: {error}") from error


def as_batches(
    x: ArrayLike | Batches | None,
    y: ArrayLike | None,
    accept: Accept,
    *,
    sample_weight: ArrayLike | None = None,
    epochs: int = 1,
) -> Rows | Stream:
    """Return what was passed as x and y: arrays, or, without y, an iterable of batches.

    Raises:
        TypeError, ValueError: data that can't be used, or is missing.
    """
    if x is None:
        raise TypeError(
            "x is missing: pass arrays x and y, or as x alone an iterable of (x, y) batches or a "
            "function that returns one"
        )
    if y is not None:
        return accept(cast("ArrayLike", x), y, sample_weight)
    if sample_weight is not None:
        raise TypeError("sample_weight needs x and y: batches are (x, y, sample_weight)")
    return Stream(cast("Batches", x), accept, epochs=epochs)


def as_validation(
    data: Batches | Sequence[ArrayLike], accept: Accept, *, epochs: int
) -> Rows | Stream:
    """Return what was passed as validation_data, and name it where it can't be used.

    Raises:
        TypeError, ValueError: data that can't be used.
    """
    arrays = isinstance(data, tuple) or (
        isinstance(data, list) and all(hasattr(item, "__array__") for item in data)
    )
    try:
        if not arrays:
            return Stream(cast("Batches", data), accept, epochs=epochs)
        given = cast("Sequence[ArrayLike]", data)
        if len(given) not in (2, 3):
            raise ValueError(f"expected (x, y) or (x, y, sample_weight), got {len(given)} items")
        x, y, *weight = given
        return accept(x, y, *weight)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"validation_data: {error}") from error


def _begin(source: Batches) -> Iterable[Any]:
    if hasattr(source, "__iter__"):
        return source
    if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        return (source[index] for index in range(len(source)))
    if callable(source):
        return source()
    raise TypeError(
        f"x is {kind_of(source)}: expected arrays x and y, an iterable of (x, y) batches, "
        "or a function that returns one"
    )


def _describe(batch: Any) -> str:
    if hasattr(batch, "shape"):
        return f"{kind_of(batch)} of shape {tuple(batch.shape)}"
    if isinstance(batch, (tuple, list)):
        kinds = ", ".join(type(item).__name__ for item in batch[:4])
        return f"{kind_of(batch)} of {len(batch)} ({kinds}{', ...' * (len(batch) > 4)})"
    return kind_of(batch)
