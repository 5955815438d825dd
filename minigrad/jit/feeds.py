"""The data of a fit, in pieces that one jitted call after another works through."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from math import prod
from typing import Any, NamedTuple

import jax
import numpy as np

from minigrad.core.gradient import Gradient
from minigrad.core.layer import walk
from minigrad.core.trainer import Trainer
from minigrad.data.arrays import Array
from minigrad.data.by_name import Data, concatenate, each, labelled, take
from minigrad.data.rows import Rows
from minigrad.data.stream import Stream
from minigrad.jit.contents import Contents
from minigrad.jit.devices import Devices
from minigrad.jit.hosts import Hosts
from minigrad.util.random import RNG

_RESIDENT_BYTES = 2**30
"""Data in memory up to this size are placed on the device once; others are fed in pieces."""
_PASSED_BYTES = 2**20
"""Smaller data are given to each call of several epochs as they are: placing them takes longer."""
_MOST_STEPS = 2**14
"""How many steps one call may make where it makes several epochs."""
_STREAM_BYTES = 16 * 2**20
_MOST_AHEAD = 16
"""How much of a stream, and how many batches, are read ahead and fed together."""


class Feed(NamedTuple):
    """Batches of one size: arrays on the device, and the same rows for NumPy.

    `order` and `picked` are the numbers of the rows, on the device and for NumPy; None takes the
    rows as they lie. With `transposed`, the x on the device has the rows of a batch last. A step is
    jitted for feeds of up to `capacity` batches; this one has `batches`. With several processes,
    a batch has `size` rows of each. With `repeats`, the next epochs have the same batches.
    """

    arrays: Any
    order: Any
    source: Rows
    picked: Any
    size: int
    batches: int
    capacity: int
    transposed: bool = False
    hosts: Hosts | None = None
    repeats: bool = False

    def batch(self, number: int) -> Rows:
        """Return a batch as NumPy's step takes it."""
        rows = self.source.take(self._place(number))
        return rows if self.hosts is None else self.hosts.whole(rows)

    def real(self, number: int) -> Any:
        """Return which rows of a batch count; the others fill up a smaller share."""
        if self.hosts is None:
            return slice(None)
        numbers = self._place(number)
        if isinstance(numbers, slice):
            numbers = np.arange(numbers.start, numbers.stop)
        return self.hosts.real(numbers)

    def finished(self, start: int, reports: dict[str, Any], cut: slice) -> Finished:
        """Return the batches from `start` on whose steps are made, with a cut of the reports.

        y, the weight and the prediction are None where nobody needs them.
        """
        reports = jax.tree.map(lambda array: array[cut], reports)
        count, hosts, prediction = len(reports["j"]), self.hosts, reports["prediction"]
        y: Data = None
        weight: Data = None
        if hosts is not None:
            y, weight = (jax.tree.map(_joined, reports.get(name)) for name in ("y", "weight"))
        elif prediction is not None or self.source.weight is not None:
            place = self._place(start, count)
            y, weight = take(self.source.y, place), take(self.source.weight, place)
            y = each(np.array, y)  # a metric may write into it
        totals = np.full(count, float(self.size * (hosts.count if hosts else 1)))
        if weight is not None:
            totals = sum(w.reshape(count, -1).sum(axis=1) for _, w in labelled(weight, ""))
        prediction = jax.tree.map(lambda array: np.array(_joined(array)), prediction)
        if hosts is not None and hosts.rows is not None:
            real = np.concatenate([self.real(start + i) for i in range(count)])
            y, weight, prediction = (take(data, real) for data in (y, weight, prediction))
        return Finished(y, weight, reports["j"], reports["regularization"], totals, prediction)

    def _place(self, number: int, count: int = 1) -> Any:
        place = slice(number * self.size, (number + count) * self.size)
        return place if self.picked is None else self.picked[place]


class Finished(Rows):
    """Batches whose steps are made, with what the trainer reports of them.

    `js`, `regularizations` and `totals` have a number for each batch: J, the regularization in it,
    and the sum of the weights.
    """

    __slots__ = ("js", "prediction", "regularizations", "totals")

    def __init__(
        self, y: Data, weight: Data, js: Array, regularizations: Array, totals: Array,
        prediction: Data,
    ) -> None:  # fmt: skip
        self.x = self.form = None
        self.y, self.weight, self.prediction = y, weight, prediction
        self.js, self.regularizations, self.totals = js, regularizations, totals


class Feeds:
    """The data of a fit, in batches whose steps are made when they are taken.

    Args:
        data: rows, or a stream.
        run: makes the steps of a feed, and yields its batches.
        devices: hold the arrays.
        hosts: the processes, if there are several.
        trainer, gradient: of the fit.
        alone: whether no other code runs between the steps, such as a callback. Then the data stay
            as they are, and epochs with the same batches may be made in one call.

    Attributes:
        ahead: epochs whose steps are made already.
    """

    reused = False

    def __init__(
        self,
        data: Rows | Stream,
        run: Callable[[Feed], Iterator[Rows]],
        devices: Devices,
        hosts: Hosts | None,
        trainer: Trainer,
        gradient: Gradient,
        *,
        alone: bool,
    ) -> None:
        self._trainer, self._gradient = trainer, gradient
        self._data, self._run, self._alone = data, run, alone
        self.ahead: deque[Finished] = deque()
        self._devices, self._hosts = devices, hosts
        self._kept: Rows | None = None
        self._resident: tuple[Rows, Any, bool] | None = None

    def count(self, batch_size: int | None) -> int | None:
        """Return the number of batches in an epoch, None if it isn't known."""
        return self._data.count(batch_size)

    def batches(self, batch_size: int | None, rng: RNG | None) -> Iterator[Rows]:
        """Make the steps of an epoch, and yield its batches."""
        if self.ahead:
            yield self.ahead.popleft()
            return
        data = self._data
        if isinstance(data, Stream):
            feeds = _of_stream(data, 1 if self._reads_model(data) else _MOST_AHEAD)
        else:
            size = min(batch_size or len(data), len(data))
            if size == len(data) > self._gradient.rows and self._devices.on_one_cpu:
                self._data = data.for_epochs(batch_size, self._gradient.rows)
                yield from self._data.batches(batch_size, rng)  # NumPy is as fast in row blocks
                return
            small = _is_small(data)
            if not small and self._hosts is not None and self._hosts.rows:
                raise ValueError(
                    "fit expects as many rows of a file, or of more than 1 GiB, in each process, "
                    f"got {self._hosts.rows}"
                )
            feeds = (self._of_memory if small else _of_file)(data, size, rng)
        for feed in feeds:
            if feed.arrays is None:
                rows = feed.source.take(slice(None) if feed.picked is None else feed.picked)
                arrays = self._devices.place((rows.x, rows.y, rows.weight), kept=False)
                feed = feed._replace(arrays=arrays)
            yield from self._run(feed._replace(hosts=self._hosts))

    @property
    def unchanged(self) -> bool:
        """Whether no callback has changed data in memory since the epoch began."""
        data = self._data
        return self._kept is None or not isinstance(data, Rows) or _same(data, self._kept)

    def _reads_model(self, data: Stream) -> bool:
        """Return whether a stream's code may read the model, and so mustn't run ahead."""
        found = Contents(data._source, data._iterator, hashed=False)
        layers = [layer for _, layer in walk(self._trainer.model)]
        return found.holds([self._trainer, *layers, *self._gradient.parameters])

    def _of_memory(self, data: Rows, size: int, rng: RNG | None) -> Iterator[Feed]:
        """Yield all whole batches at once, then the rest."""
        order = data.order(size, rng)
        picked = None if order is None else order[:]
        on_device = None if picked is None else self._devices.place_on_all(picked.astype(np.int32))
        whole, rest = divmod(len(data), size)
        repeats = self._alone and self._devices.single and picked is None and not rest
        if self._kept is not None and not _same(data, self._kept):
            self._resident = None  # a callback has changed the data
        if self._resident is None:
            self._kept = None if self._alone else _copied(data.take(slice(None)))
            rows = data.take(slice(None))
            full = size == len(rows) and self._devices.single
            transposed = full and rows.features_first() is not rows
            arrays = rows.x.T if transposed else rows.x, rows.y, rows.weight
            if not (repeats and _bytes(rows) <= _PASSED_BYTES):
                arrays = self._devices.place(arrays, kept=not self._alone)
            self._resident = rows, arrays, transposed
        rows, arrays, transposed = self._resident
        most = max(whole, _MOST_STEPS) if repeats else whole
        yield Feed(arrays, on_device, rows, picked, size, whole, most, transposed, repeats=repeats)
        if rest:
            last = np.arange(len(rows)) if picked is None else picked
            yield Feed(None, None, rows, last[whole * size :], rest, 1, 1)


def _joined(array: Any) -> Any:
    """Return the rows of all batches, for an array of batches."""
    return array.reshape(-1, *array.shape[2:])


def _of_file(data: Rows, size: int, rng: RNG | None) -> Iterator[Feed]:
    """Yield a chunk of a large file at a time."""
    capacity = 0
    for chunk in data.chunks(size, rng):
        whole, rest = divmod(len(chunk), size)
        capacity = capacity or whole
        if whole:
            cuts = [slice(i * size, (i + 1) * size) for i in range(whole)]
            yield _feed([chunk.take(cut) for cut in cuts], capacity)
        if rest:
            yield _feed([chunk.take(slice(whole * size, None))])


def _of_stream(data: Stream, ahead: int) -> Iterator[Feed]:
    """Yield some batches of one shape at a time."""
    waiting: list[Rows] = []
    form: Any = None
    most = 1
    for batch in data.batches(None, None):
        new = jax.tree.map(lambda a: (a.shape, a.dtype), (batch.x, batch.y, batch.weight))
        if waiting and new != form:
            yield _feed(waiting, most)
            waiting = []
        if new != form:
            form, most = new, max(1, min(ahead, _STREAM_BYTES // _bytes(batch)))
        waiting.append(_copied(batch))
        if len(waiting) == most:
            yield _feed(waiting, most)
            waiting = []
    if waiting:
        yield _feed(waiting, most)


def _feed(batches: list[Rows], capacity: int = 1) -> Feed:
    """Return batches of one shape as a feed; the last is repeated where some are missing."""
    count, size = len(batches), len(batches[0])
    full = [*batches, *batches[-1:] * (capacity - count)]
    parts = [[getattr(batch, name) for batch in full] for name in ("x", "y", "weight")]
    rows = Rows(*(None if part[0] is None else concatenate(part) for part in parts))
    return Feed(None, None, rows, None, size, count, capacity)


def _copied(batch: Rows) -> Rows:
    """Return a copy, since a stream may write the next batch into the same arrays."""
    return Rows(*jax.tree.map(np.array, (batch.x, batch.y, batch.weight)))


def _same(one: Rows, two: Rows) -> bool:
    pairs = zip(
        *(
            [a for part in (r.x, r.y, r.weight) if part is not None for _, a in labelled(part, "")]
            for r in (one, two)
        ),
        strict=True,
    )
    return all(np.array_equal(a, b) for a, b in pairs)


def _is_small(data: Rows) -> bool:
    arrays = [a for part in (data.x, data.y) for _, a in labelled(part, "")]
    mapped = any(type(a) is not np.ndarray or isinstance(a.base, np.memmap) for a in arrays)
    return not mapped and _bytes(data) <= _RESIDENT_BYTES


def _bytes(data: Rows) -> int:
    arrays = [a for part in (data.x, data.y) for _, a in labelled(part, "")]
    return sum(8 * prod(a.shape) for a in arrays)
