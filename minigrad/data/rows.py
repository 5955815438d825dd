"""Rows: validated inputs, targets and weights, and how they are split into batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minigrad.data.arrays import Shape, as_array, as_data, as_weights, check_finite, with_axes
from minigrad.data.by_name import (
    Data,
    check_names,
    check_single,
    each,
    labelled,
    of,
    row_count,
    take,
)
from minigrad.data.permutation import random_permutation
from minigrad.util.options import check_not_negative
from minigrad.util.random import RNG

_CHUNK_BYTES = 16 * 2**20
"""How much of the data is gathered at a time in a random order."""
_COPY_BYTES = 64 * 2**20
"""A split copies arrays up to this size. A larger one may be a file larger than the memory."""
_LAYOUT_BYTES = 2**16, 2**22
"""The sizes of x between which a copy with contiguous features pays."""
_NARROW = 64


class Rows:
    """Inputs x, also a memory-mapped file, targets y, and a weight for each row or term, or None.

    Each is an array, or several by name. `take` and `batches` convert x with `cast`, if given.
    """

    __slots__ = ("cast", "rows", "weight", "x", "y")
    reused: ClassVar[bool] = False

    def __init__(
        self,
        x: Data,
        y: Data,
        weight: Data | None = None,
        cast: Callable[[Data], Data] | None = None,
    ) -> None:
        self.x = x
        self.y = y
        self.weight = weight
        self.cast = cast
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
        if self.cast is not None:
            x = self.cast(x)
        weight = self.weight
        return Rows(x, take(self.y, rows), weight if weight is None else take(weight, rows))

    def for_epochs(self, batch_size: int | None, block_rows: int) -> Rows:
        """Return the rows as many epochs read them: one batch that is a block is held in memory."""
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
        return Rows(np.asfortranarray(x), self.y, self.weight, self.cast)

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
        """Yield pieces that hold whole batches, but for the last batch."""
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

    def weighted_by_class(self, class_weight: Mapping[Any, Any], output_shape: Any) -> Rows:
        """Return the rows with each weight multiplied by the weight of its class.

        The class is y, or the position of the one in a one-hot row, which y has if it has as many
        axes as the predictions. There is one for each row, or for each step of time. For y by name,
        the class weights are, too; an output without any keeps its weight.
        """
        rows = np.ones(len(self))
        weight: Data = rows if self.weight is None else self.weight
        if isinstance(self.y, dict):
            if not isinstance(class_weight, Mapping) or not class_weight.keys() <= self.y.keys():
                known = ", ".join(map(repr, self.y))
                raise ValueError(
                    f"class_weight expects a dict with weights for outputs, of {known}, got "
                    f"{class_weight}"
                )
            factors = {
                name: _class_weights(weights, self.y[name][:], output_shape[name])
                for name, weights in class_weight.items()
            }
            weight = {n: _product(of(weight, n), factors.get(n, rows)) for n in self.y}
        else:
            weight = _product(weight, _class_weights(class_weight, self.y[:], output_shape))
        return Rows(self.x, self.y, weight, self.cast)


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


class Targets(Protocol):
    """Validates targets, as a loss does."""

    def match(self, target: Any, shape: Any) -> Any: ...


def as_rows(
    x: Data,
    y: Data,
    *,
    output_shape: Any,
    loss: Targets,
    sample_weight: Data | None = None,
    names: tuple[str, ...] = (),
    cast: Callable[[Data], Data] | None = None,
) -> Rows:
    """Validate a whole data set without copying it.

    `output_shape` is that of a row, or a dict of shapes, and `names` are those of several inputs.
    """
    inputs, targets = as_pair(x, y, names)
    if not isinstance(output_shape, dict):
        check_single(y, "y")
        check_single(sample_weight, "sample_weight")
    rows = row_count(inputs)
    for label, array in labelled(inputs, "x"):
        check_finite(array, label)
    shape = each(lambda row: (rows, *row), output_shape)
    targets = loss.match(targets, shape)
    for label, array in labelled(targets, "y"):
        check_finite(array, label)
    weight: Data = None
    if sample_weight is not None:
        given: Data = sample_weight
        if isinstance(given, Mapping):
            given = dict(check_names(given, tuple(output_shape), "sample_weight"))
        if isinstance(targets, dict):
            weight = {name: as_weights(of(given, name), shape[name]) for name in targets}
        else:
            weight = as_weights(given, shape)
        if not any(w.any() for _, w in labelled(weight, "")):
            raise ValueError(
                f"sample_weight expects a weight above zero for some row, got 0 for all {rows}"
            )
    return Rows(inputs, targets, weight, cast)


def as_pair(x: Data, y: Data, names: tuple[str, ...] = ()) -> tuple[Data, Data]:
    """Return x and y as arrays with the same number of rows; x holds numbers."""
    inputs = as_inputs(x, names)
    targets = each(lambda target: as_array(target, "y"), dict(y) if isinstance(y, Mapping) else y)
    _check_rows(inputs, targets)
    return inputs, targets


def as_inputs(x: Data, names: tuple[str, ...]) -> Data:
    """Return x as an array of numbers; for the names of several inputs, as a dict of arrays."""
    if not names:
        check_single(x, "x")
        return as_data(x, "x")
    given = check_names(x, names, "x")
    inputs = {name: as_data(given[name], f"x['{name}']") for name in names}
    _check_rows(inputs)
    return inputs


def _check_rows(x: Data, y: Data | None = None) -> None:
    arrays = [*labelled(x, "x"), *(() if y is None else labelled(y, "y"))]
    if len({array.shape[:1] for _, array in arrays}) > 1:
        names = " and ".join(label for label, _ in arrays)
        shapes = ", ".join(f"{label} has shape {array.shape}" for label, array in arrays)
        raise ValueError(f"{names} must have the same number of rows: {shapes}")


def split(rows: object, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Return training and validation rows, chosen at random from the seed."""
    if not isinstance(rows, Rows):
        raise ValueError("validation_split needs arrays x and y, got an iterable of batches")
    held_out = round(len(rows) * fraction)
    if not 0 < held_out < len(rows):
        raise ValueError(
            f"validation_split={fraction} of {len(rows)} rows leaves {held_out} to validate and "
            f"{len(rows) - held_out} to train: choose a fraction between 0 and 1"
        )
    order = np.random.default_rng(seed).permutation(len(rows))
    parts = _pick(rows, np.sort(order[held_out:])), _pick(rows, np.sort(order[:held_out]))
    for part, use in zip(parts, ("train", "validate"), strict=True):
        if not part.total:
            raise ValueError(
                f"all {len(part)} rows to {use} have weight 0: choose another validation_split"
            )
    return parts


def _pick(rows: Rows, index: NDArray[np.intp]) -> Rows:
    """Return the rows with these indices: a copy, or a view by index of a large array."""

    def picked(array: NDArray[Any]) -> Any:  # `Picked` has what batches and blocks use of an array
        return array[index] if array.nbytes <= _COPY_BYTES else Picked(array, index)

    return Rows(each(picked, rows.x), each(picked, rows.y), take(rows.weight, index), rows.cast)


def _product(weight: NDArray[Any], factor: NDArray[Any]) -> NDArray[Any]:
    """Multiply weights of rows or of terms."""
    ndim = max(weight.ndim, factor.ndim)
    return with_axes(weight, ndim) * with_axes(factor, ndim)


def _class_weights(
    class_weight: Mapping[int, float], y: NDArray[Any], output_shape: Shape
) -> NDArray[np.float64]:
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            "class_weight expects a dict with a weight for each class, such as {0: 1.0, 1: 5.0}, "
            f"got {class_weight!r}"
        )
    weights = {
        label: check_not_negative(weight, f"class_weight[{label!r}]", "fit")
        for label, weight in class_weight.items()
    }
    if not any(weights.values()):
        raise ValueError(
            f"class_weight expects a positive weight for some class, got {class_weight}"
        )
    classes = y[..., 0] if y.ndim == 1 + len(output_shape) > 1 else y
    if y.size > classes.size:
        if not (((y == 0) | (y == 1)).all() and (y.sum(axis=-1) == 1).all()):
            raise ValueError(
                f"class_weight expects one class per row, and y of shape {y.shape} isn't one-hot: "
                "pass sample_weight"
            )
        classes = y.argmax(axis=-1)
    weight = np.empty(classes.shape)
    for label in np.unique(classes):
        if label not in weights:
            way = "; y must hold class labels" if label % 1 else ""
            raise ValueError(
                f"class_weight has no weight for class {label}: it has {sorted(weights)}{way}"
            )
        weight[classes == label] = weights[label]
    return weight
