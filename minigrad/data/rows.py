"""Rows: validated inputs, targets and weights, and how they are split into batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Shape, as_array, as_data, as_weights, check_finite
from minigrad.data.by_name import (
    Data,
    check_single,
    each,
    labelled,
    of,
    row_count,
    take,
)
from minigrad.data.permutation import random_permutation
from minigrad.util.random import RNG

_CHUNK_BYTES = 16 * 2**20
"""How much of the data is gathered at a time in a random order."""
_LAYOUT_BYTES = 2**16, 2**22
"""The sizes of x between which a copy with contiguous features pays."""
_NARROW = 64


class Targets(Protocol):
    """Validates targets, as a loss does."""

    def match(self, target: Any, shape: Any) -> Any: ...


class Network(Protocol):
    """Validates and converts inputs, as a layer does."""

    def check_rows(self, x: Any, input_shape: Any) -> Any: ...

    def cast(self, x: Any, dtype: Any) -> Any: ...


class Form(NamedTuple):
    """What a built model takes: data are validated and converted by it.

    `output_shape` is that of a row, or a dict of shapes. Without a network, inputs are neither
    compared with a shape nor converted.
    """

    loss: Targets
    output_shape: Any
    network: Network | None = None
    input_shape: Shape | None = None
    dtype: np.dtype[Any] | None = None


class Rows:
    """Inputs x, also a memory-mapped file, targets y, and a weight for each row or term, or None.

    Each is an array, or several by name. `take` and `batches` convert x to the
    form's dtype.
    """

    __slots__ = ("form", "rows", "weight", "x", "y")
    reused: ClassVar[bool] = False

    def __init__(
        self, x: Data, y: Data, weight: Data | None = None, form: Form | None = None
    ) -> None:
        self.x = x
        self.y = y
        self.weight = weight
        self.form = form
        self.rows = row_count(x)

    def __len__(self) -> int:
        return self.rows

    @property
    def total(self) -> float:
        """The number of rows, or the sum of all weights: the divisor of a mean loss."""
        if self.weight is None:
            return float(self.rows)
        return float(sum(weight.sum() for _, weight in labelled(self.weight, "")))

    @property
    def chunk(self) -> int:
        """The number of rows to read from a file, or to gather, at a time."""
        arrays = [array for data in (self.x, self.y) for _, array in labelled(data, "")]
        row_bytes: int = sum(8 * prod(array.shape[1:]) for array in arrays)
        return max(1, _CHUNK_BYTES // max(1, row_bytes))

    def take(self, rows: NDArray[np.intp] | slice) -> Rows:
        """Return these rows, with x converted: views for a slice, copies for indices."""
        x = take(self.x, rows)
        if self.form is not None and self.form.network is not None:
            x = self.form.network.cast(x, self.form.dtype)
        weight = self.weight
        return Rows(x, take(self.y, rows), weight if weight is None else take(weight, rows))

    def for_epochs(self, batch_size: int | None, block_rows: int) -> Rows:
        """Return the rows as epochs read them fastest; a single block is held in memory."""
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
        return Rows(np.asfortranarray(x), self.y, self.weight, self.form)

    def count(self, batch_size: int | None) -> int:
        """Return the number of batches in an epoch."""
        return 1 if batch_size is None else -(-len(self) // batch_size)

    def batches(self, batch_size: int | None, rng: RNG | None) -> Iterator[Rows]:
        """Yield batches, the last one shorter; with `rng`, in a new random order of the rows.

        Shuffled rows are gathered a chunk at a time, so that memory doesn't grow with the data.
        A single batch of all rows is these rows: not shuffled, as its sum is the same in any
        order, and not converted; `take` what you need of it.
        """
        if batch_size is None or batch_size >= len(self):
            yield self
            return
        for chunk in self.chunks(batch_size, rng):
            for first in range(0, len(chunk), batch_size):
                yield chunk.take(slice(first, first + batch_size))

    def chunks(self, batch_size: int, rng: RNG | None) -> Iterator[Rows]:
        """Yield pieces that hold whole batches; only the last batch may be shorter."""
        order = self.order(batch_size, rng)
        chunk_rows = max(1, self.chunk // batch_size) * batch_size
        for start in range(0, len(self), chunk_rows):
            place = slice(start, start + chunk_rows)
            yield self.take(place if order is None else order[place])

    def order(self, batch_size: int | None, rng: RNG | None) -> Any:
        """Return a new random order of the rows, or None: they are taken as they lie."""
        if rng is None or batch_size is None or batch_size >= len(self):
            return None
        return random_permutation(len(self), rng)


def as_rows(inputs: Data, targets: Data, sample_weight: Data | None, form: Form) -> Rows:
    """Validate what `as_pair` returned, and weights, for a model; nothing is copied."""
    if form.network is not None:
        form.network.check_rows(inputs, form.input_shape)
    if not isinstance(form.output_shape, dict):
        check_single(targets, "y")
        check_single(sample_weight, "sample_weight")
    rows = row_count(inputs)
    for label, array in labelled(inputs, "x"):
        check_finite(array, label)
    shape = each(lambda row: (rows, *row), form.output_shape)
    targets = form.loss.match(targets, shape)
    for label, array in labelled(targets, "y"):
        check_finite(array, label)
    if sample_weight is None:
        return Rows(inputs, targets, None, form)
    given: Data = sample_weight
    if isinstance(given, Mapping):
        given = dict(_named(given, tuple(form.output_shape), "sample_weight"))
    weight: Data = (
        {name: as_weights(of(given, name), shape[name]) for name in targets}
        if isinstance(targets, dict)
        else as_weights(given, shape)
    )
    if not any(w.any() for _, w in labelled(weight, "")):
        raise ValueError(
            f"sample_weight expects a weight above zero for some row, got 0 for all {rows}"
        )
    return Rows(inputs, targets, weight, form)


def as_pair(
    x: Data, y: Data, names: tuple[str, ...] = (), outputs: tuple[str, ...] = ()
) -> tuple[Data, Data]:
    """Return x and y as arrays with the same number of rows; x holds numbers.

    `names` are those of several inputs, and `outputs` those of several outputs.
    """
    inputs = as_inputs(x, names)
    if outputs:
        y = _named(y, outputs, "y")
    targets = each(lambda target: as_array(target, "y"), dict(y) if isinstance(y, Mapping) else y)
    _check_rows(inputs, targets)
    return inputs, targets


def as_inputs(x: Data, names: tuple[str, ...]) -> Data:
    """Return x as an array of numbers; for the names of several inputs, as a dict of arrays."""
    if not names:
        check_single(x, "x")
        return as_data(x, "x")
    given = _named(x, names, "x")
    inputs = {name: as_data(given[name], f"x['{name}']") for name in names}
    _check_rows(inputs)
    return inputs


def _named(data: object, names: tuple[str, ...], what: str) -> Mapping[str, Any]:
    from minigrad.data.several import check_names

    return check_names(data, names, what)


def _check_rows(x: Data, y: Data | None = None) -> None:
    arrays = [*labelled(x, "x"), *(() if y is None else labelled(y, "y"))]
    if len({array.shape[:1] for _, array in arrays}) > 1:
        names = " and ".join(label for label, _ in arrays)
        shapes = ", ".join(f"{label} has shape {array.shape}" for label, array in arrays)
        raise ValueError(f"{names} must have the same number of rows: {shapes}")
