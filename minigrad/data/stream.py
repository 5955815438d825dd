"""Batches from an iterable or a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import length_hint
from typing import Any, ClassVar, TypeAlias

import numpy as np

from minigrad.data.by_name import Data, naming
from minigrad.data.class_weight import ClassWeight, weighted_by_class
from minigrad.data.rows import Form, Rows, as_pair, as_rows
from minigrad.util.names import kind_of
from minigrad.util.options import check_int
from minigrad.util.random import RNG

Batches: TypeAlias = "Iterable[Any] | Callable[[], Iterable[Any]]"
"""An iterable of (x, y) or (x, y, sample_weight), such as a list, a loader or a generator; or a
function without arguments that returns one."""

_EXPECTED = "arrays x and y, or an iterable of (x, y) batches, or a function that returns one"
_END = object()


class Stream:
    """An iterable of batches, iterated once per epoch; each batch is validated as it comes.

    The first batch is read at once, so that wrong data fails before training: a model is built
    for `first_inputs`, then `of` validates the rest. Without `steps`, an epoch lasts until the
    iterable ends. With it, an epoch has that number of batches, and the next one continues with
    the same iterator; an iterator that ends is started again.

    Args:
        source: the iterable, or a function that returns one.
        names: those of several inputs, and those of several outputs.
        epochs, steps: as in `fit`.
    """

    reused: ClassVar[bool] = True
    """Whether the arrays of a batch may be overwritten by the next one."""

    def __init__(
        self,
        source: Batches,
        names: tuple[tuple[str, ...], tuple[str, ...]] = ((), ()),
        *,
        epochs: int = 1,
        steps: int | None = None,
    ) -> None:
        if source is None:
            raise TypeError(f"x is missing: pass {_EXPECTED}")
        if isinstance(source, (str, bytes, Mapping)) or hasattr(source, "__array__"):
            raise TypeError(f"y is missing: x is {kind_of(source)}; pass {_EXPECTED}")
        self.steps = None if steps is None else check_int(steps, "steps_per_epoch", "fit")
        self._source, self._names = source, names
        self._class_weight: ClassWeight | None = None
        iterator = iter(_start(source))
        if iterator is source and epochs > 1 and steps is None:
            raise ValueError(
                f"x is {kind_of(source)}, which is exhausted after one epoch, and epochs is "
                f"{epochs}: pass a list, the function that returns it, or steps_per_epoch"
            )
        self._count = length_hint(source) or None
        first = next(iterator, _END)
        if first is _END:
            raise ValueError("x is an iterable without batches: expected at least one (x, y)")
        self._pair = self._arrays(1, first)
        self._iterator: Iterator[Any] | None = iterator

    @property
    def first_inputs(self) -> Data:
        """The inputs of the first batch, before `of`."""
        return self._pair[0]

    def of(self, form: Form) -> Stream:
        """Validate each batch for a model, from the first one on; return this stream."""
        self._form = form
        self._first: Rows | None = self._rows(1, *self._pair)
        del self._pair
        return self

    def weighted_by_class(self, class_weight: ClassWeight) -> Stream:
        """Weight the rows of each batch by their classes; return this stream."""
        given = class_weight.values() if isinstance(class_weight, Mapping) else [class_weight]
        if "balanced" in [weight for weight in given if isinstance(weight, str)]:
            raise ValueError(
                "class_weight='balanced' needs arrays x and y, got an iterable of batches: pass a "
                "dict with a weight for each class"
            )
        self._class_weight = class_weight
        assert self._first is not None
        with naming("batch 1"):
            self._first = self._weighted(self._first)
        return self

    def count(self, batch_size: int | None) -> int | None:
        """Return the number of batches in an epoch, None if it isn't known."""
        return self.steps or self._count

    def batches(self, batch_size: int | None, rng: RNG | None) -> Iterator[Rows]:
        """Yield the batches of an epoch as they come: neither cut nor shuffled."""
        number, started = 0, False
        if self._first is not None:
            rows, self._first, number = self._first, None, 1
            yield rows
        while number != self.steps:
            if self._iterator is None:
                self._iterator, started = iter(_start(self._source)), True
            batch = next(self._iterator, _END)
            if batch is not _END:
                number, started = number + 1, False
                yield self._rows(number, *self._arrays(number, batch))
            elif started:
                raise ValueError(
                    f"x is {kind_of(self._source)} that is exhausted after {number} batches of "
                    "this epoch: pass a list, or a function that returns a new iterator each time"
                )
            else:
                self._iterator = None
                if self.steps is None:
                    self._count = number
                    return

    def _arrays(self, number: int, batch: Any) -> tuple[Data, Data, Any]:
        """Return x and y of a batch as arrays, and the sample weight or None."""
        x, y, weight = _parts(number, batch)
        with naming(f"batch {number}"):
            return *as_pair(x, y, *self._names), weight

    def _rows(self, number: int, x: Data, y: Data, weight: Any) -> Rows:
        """Return the rows of a batch, validated for the model."""
        with naming(f"batch {number}"):
            return self._weighted(as_rows(x, y, weight, self._form).take(slice(None)))

    def _weighted(self, rows: Rows) -> Rows:
        if self._class_weight is not None:
            rows = weighted_by_class(rows, self._class_weight, self._form.output_shape)
        return rows


def _parts(number: int, batch: Any) -> tuple[Any, Any, Any]:
    """Return x, y and the sample weight, or None, of a batch."""
    if (
        not isinstance(batch, (tuple, list))
        or len(batch) not in (2, 3)
        or any(item is None or np.isscalar(item) for item in batch[:2])
    ):
        raise TypeError(
            f"batch {number} of x is {_describe(batch)}; without y, x is an iterable whose "
            "batches are (x, y) or (x, y, sample_weight)"
        )
    x, y, weight = (*batch, None)[:3]
    return x, y, weight


def _start(source: Batches) -> Iterable[Any]:
    if hasattr(source, "__iter__"):
        return source
    if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        return (source[index] for index in range(len(source)))
    if callable(source):
        return source()
    raise TypeError(f"x is {kind_of(source)}; expected {_EXPECTED}")


def _describe(batch: Any) -> str:
    what = kind_of(batch)
    if hasattr(batch, "shape"):
        what += f" of shape {tuple(batch.shape)}"
    elif isinstance(batch, (tuple, list)):
        what += f" of {len(batch)} ({', '.join(type(item).__name__ for item in batch[:4])})"
    return what
