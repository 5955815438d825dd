"""Hugging Face datasets as batches for `fit`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from minigrad.util.names import kind_of, nearest
from minigrad.util.options import check_bool, check_int
from minigrad.util.random import RNGLike, as_rng

Columns: TypeAlias = "str | Sequence[str] | Mapping[str, Columns]"
"""A column, several columns side by side, or columns for each of several inputs or outputs."""


class DatasetBatches:
    """The batches of a Hugging Face `Dataset` or `IterableDataset`, for `fit` and `evaluate`.

    Numbers come as they are stored. `dataset.with_format("numpy")` is faster for rows of many
    numbers, and rounds float64 to float32.

    Args:
        dataset: the data set, or a part such as `dataset["train"]`.
        x, y: the column of the inputs, and of the targets: a name; a list of names, whose columns
            become the features of a row; or for several inputs or outputs a dict of them.
        sample_weight: the column of the weights, if there are any.
        batch_size: rows in a batch.
        shuffle: draw a new order of the rows each epoch; an `IterableDataset` shuffles within its
            buffer.
        rng: for the order, as for a model.

    Raises:
        TypeError: `dataset` has no batches, such as a `DatasetDict`.
        ValueError: a column that the data set doesn't have.

    >>> from datasets import Dataset
    >>> from minigrad import Dense, Sequential
    >>> data = Dataset.from_dict({"a": [0, 1, 2], "b": [1, 1, 0], "price": [0.5, 1.0, 1.0]})
    >>> model = Sequential([Dense(1)], input_shape=(2,), rng=0)
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> history = model.fit(DatasetBatches(data, ["a", "b"], "price", batch_size=2), verbose=0)
    """

    def __init__(
        self,
        dataset: Any,
        x: Columns,
        y: Columns,
        *,
        sample_weight: Columns | None = None,
        batch_size: int = 32,
        shuffle: bool = True,
        rng: RNGLike = None,
    ) -> None:
        if not hasattr(dataset, "iter"):
            raise TypeError(
                f"DatasetBatches expects a Dataset or IterableDataset, got {kind_of(dataset)}: "
                "choose a part of a DatasetDict, such as dataset['train']"
            )
        self.dataset = dataset
        self.columns = (x, y) if sample_weight is None else (x, y, sample_weight)
        self.batch_size = check_int(batch_size, "batch_size", self)
        self.shuffle = check_bool(shuffle, "shuffle", self)
        self.rng, _ = as_rng(rng)
        known = dataset.column_names  # None if a stream's aren't known yet
        for name in _names(self.columns) if known else ():
            if name not in known:
                raise ValueError(
                    f"DatasetBatches expects columns of the data set, got {name!r}: "
                    f"{nearest(name, known)}"
                )

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        dataset = self.dataset
        if self.shuffle:
            dataset = dataset.shuffle(seed=int.from_bytes(self.rng.bytes(4), "little"))
        for batch in dataset.iter(batch_size=self.batch_size):
            yield tuple(_pick(batch, columns) for columns in self.columns)


def _names(columns: Columns | tuple[Columns, ...]) -> Iterator[str]:
    if isinstance(columns, str):
        yield columns
    else:
        for part in columns.values() if isinstance(columns, Mapping) else columns:
            yield from _names(part)


def _pick(batch: Any, columns: Columns) -> Any:
    if isinstance(columns, str):
        return batch[columns]
    if isinstance(columns, Mapping):
        return {name: _pick(batch, part) for name, part in columns.items()}
    return np.column_stack([batch[name] for name in columns])
