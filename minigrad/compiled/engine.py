"""The engine of `fit`: many steps in one compiled call, on the model's own arrays.

Between calls the model holds the truth: a call reads the parameters, the optimizer's state and the
buffers from it, and writes them back. So callbacks, checkpoints and Ctrl-C find what they find
after a step by NumPy. A call ends before a step that takes another branch than the recorded one,
or isn't finite; NumPy makes that step, and says what is wrong, if anything is.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import prod
from time import perf_counter
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from typing_extensions import override

from minigrad.callbacks.base import Callback
from minigrad.compiled.recorded import NotCompilableError
from minigrad.compiled.step import (
    Draw,
    GradientProgram,
    Step,
    UpdateProgram,
    buffers_of,
    loop,
)
from minigrad.core.gradient import BatchGradient
from minigrad.core.layer import Layer
from minigrad.core.trainer import Trainer
from minigrad.data.batches import Stream
from minigrad.data.by_name import Data, each, labelled, take
from minigrad.data.rows import Rows
from minigrad.util.random import RNG, rng_state, set_rng_state

_SECONDS = 0.1
"""How long a call lasts, about: Ctrl-C and the line of progress wait for it."""
_HELD_BYTES = 4 * 2**20
"""How much one call may draw and return."""
_RESIDENT_BYTES = 2**30
"""Data in memory up to this size are placed on the device once; others are fed in pieces."""
_TOLERANCE = {"float64": 1e-9, "float32": 1e-3}
"""How much the first compiled step may differ from NumPy's, relative to the largest number."""

_LOOPS: WeakKeyDictionary[Layer, dict[Any, Any]] = WeakKeyDictionary()
"""The compiled loops of each model, by what they compute."""


@contextmanager
def precisely() -> Iterator[None]:
    """Let JAX compute in float64 where NumPy does, and not round products to TF32."""
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield


class Finished(Rows):
    """A batch whose step is made, with what the trainer reports of it."""

    __slots__ = ("j", "prediction", "regularization")

    def __init__(
        self, rows: int, y: Data, weight: Data, j: float, regularization: float, prediction: Data
    ) -> None:
        self.x, self.y, self.weight, self.cast, self.rows = None, y, weight, None, rows
        self.j, self.regularization, self.prediction = j, regularization, prediction


class Feed(NamedTuple):
    """Batches of one size: arrays on the device, and the same rows for NumPy."""

    arrays: Any
    order: Any
    source: Rows
    picked: Any
    size: int
    count: int

    def batch(self, number: int) -> Rows:
        """Return a batch as NumPy's step takes it."""
        place = slice(number * self.size, (number + 1) * self.size)
        return self.source.take(place if self.picked is None else self.picked[place])

    def targets(self, number: int) -> tuple[Data, Data]:
        """Return y and the weight of a batch."""
        place: Any = slice(number * self.size, (number + 1) * self.size)
        if self.picked is not None:
            place = self.picked[place]
        return take(self.source.y, place), take(self.source.weight, place)


class Engine:
    """Makes the steps of one `fit`; `Trainer.fit` asks it for the data and for each step.

    Attributes:
        by_numpy: how many steps NumPy made.
    """

    def __init__(self) -> None:
        self.by_numpy = 0

    def begin(
        self,
        trainer: Trainer,
        gradient: BatchGradient,
        data: Rows | Stream,
        callbacks: Sequence[Callback],
    ) -> Ahead:
        """Return the data in batches whose steps are made when the trainer takes them."""
        self.trainer, self.gradient = trainer, gradient
        self._network = gradient.network
        self._optimizer = trainer.optimizer
        self._single = any(
            type(callback).on_update_end is not Callback.on_update_end for callback in callbacks
        )
        self._watched = bool(callbacks)
        self._predicts = bool(trainer.metrics or trainer.loss.losses)
        self._loops: dict[Any, _Loop] = {}
        self._options: Any = None
        return Ahead(self, data)

    def step(
        self, gradient: BatchGradient, batch: Rows, number: int, predictions: list[Data] | None
    ) -> float:
        """Return J of a batch; the trainer makes the step itself where the engine couldn't."""
        if not isinstance(batch, Finished):
            self.by_numpy += 1
            return self.trainer.step(gradient, batch, number, predictions)
        gradient.regularization = batch.regularization
        if predictions is not None:
            predictions.append(batch.prediction)
        if number == 1:
            self.trainer.good.judge(batch.j)
        return batch.j

    def run(self, feed: Feed) -> Iterator[Rows]:
        """Make the steps of some batches, and yield each with what is reported of it."""
        start = 0
        while start < feed.count:
            compiled = self._loop(feed)
            count = 1 if self._single else min(feed.count - start, compiled.steps())
            reports, good = compiled(feed, start, count)
            for i in range(good):
                yield self._finished(feed, start + i, reports, i)
            if good < count:
                yield feed.batch(start + good)
            start += min(good + 1, count)

    def _finished(self, feed: Feed, number: int, reports: Any, i: int) -> Finished:
        y = weight = prediction = None
        if self._predicts or feed.source.weight is not None:
            y, weight = feed.targets(number)
        if self._predicts:
            prediction = each(lambda array: array[i], reports["prediction"])
        j, regularization = reports["j"][i], reports["regularization"][i]
        return Finished(feed.size, y, weight, j, regularization, prediction)

    def _loop(self, feed: Feed) -> _Loop:
        """Return the loop for batches of this size; a callback may have changed an option."""
        if self._watched and (options := self._now()) != self._options:
            self._options = options
            self._loops = {}
        key = feed.size, len(jax.tree.leaves(feed.arrays)[0]), feed.order is None
        if key not in self._loops:
            self._loops[key] = _Loop(self, feed)
        return self._loops[key]

    def _now(self) -> Any:
        """Return what a callback may change and a recorded step has in it."""
        trainer = self.trainer
        holders = [trainer.optimizer, trainer.loss, *(layer for _, layer in _walk(self._network))]
        plain = (bool, int, float, str, tuple, type(None))
        skipped = ("steps", "_learning_rate")
        return [
            *(
                (name, value)
                for holder in holders
                for name, value in vars(holder).items()
                if isinstance(value, plain) and name not in skipped
            ),
            *((p.trainable, p.regularizer) for p in self.gradient.parameters),
        ]


class _Loop:
    """A compiled loop over steps, for one size of batches of one feed."""

    def __init__(self, engine: Engine, feed: Feed) -> None:
        self._engine = engine
        gradient, trainer = engine.gradient, engine.trainer
        self._parameters = gradient.parameters
        self._optimizer, self._network = trainer.optimizer, gradient.network
        self._buffers = buffers_of(self._network)
        if slots := self._optimizer.slots:
            self._optimizer.prepare_state(self._parameters, slots)
        batch = feed.batch(0)
        expected = self._by_numpy(batch)  # raises what NumPy raises
        step, again = (_record(engine, feed, batch) for _ in range(2))
        if place := step.gradient.program.difference(again.gradient.program):
            raise NotCompilableError(
                f"{place} can't be compiled: it computes with other numbers each time, such as "
                "those of np.random or of an attribute that changes: draw from the generator that "
                "build receives, and keep what changes in buffers"
            )
        self._draws = step.draws
        self._rngs = [draw.generator(self._network) for draw in self._draws]
        held = sum(np.asarray(draw.example).nbytes for draw in self._draws) + 24
        if engine._predicts:
            held += sum(a.nbytes for _, a in labelled(step.gradient.prediction, "")) * (
                feed.size // len(jax.tree.leaves(step.gradient.prediction)[0])
            )
        self._capacity = max(1, min(feed.count, _HELD_BYTES // held))
        kept = _LOOPS.setdefault(trainer.model, {})
        key = step.key()
        if key not in kept:
            kept[key] = jax.jit(partial(loop, step))
            self._run = kept[key]
            self._compare(feed, expected)
        self._run = kept[key]
        self._per_step = _SECONDS / 16

    def steps(self) -> int:
        """Return how many steps one call makes."""
        return max(1, min(self._capacity, int(_SECONDS / self._per_step)))

    def __call__(self, feed: Feed, start: int, count: int) -> tuple[Any, int]:
        """Make up to `count` steps; return the reports, and how many steps were made."""
        optimizer, first = self._optimizer, self._optimizer.steps
        rates = np.zeros(self._capacity)
        for i in range(count):
            optimizer.steps = first + i
            try:
                rates[i] = optimizer.rate
            except Exception:
                if not i:
                    raise
                count = i
                break
            finally:
                optimizer.steps = first
        states = [rng_state(rng) for rng in self._rngs]
        began = perf_counter()
        state, reports, good = self._call(feed, start, count, rates)
        self._per_step = max(1e-7, (perf_counter() - began) / max(1, good))
        if good < count:  # the state is that of a step too many
            for rng, before in zip(self._rngs, states, strict=True):
                set_rng_state(rng, before)
            if good:
                state, reports, _ = self._call(feed, start, good, rates)
        if good:
            self._write(state)
            optimizer.steps = first + good
        lists = {name: reports[name].tolist() for name in ("j", "regularization")}
        return {**reports, **lists}, good

    def _call(self, feed: Feed, start: int, count: int, rates: Any) -> tuple[Any, Any, int]:
        draws = [
            np.zeros((self._capacity, *np.shape(draw.example)), np.result_type(draw.example))
            for draw in self._draws
        ]
        for i in range(count):
            for array, draw, rng in zip(draws, self._draws, self._rngs, strict=True):
                array[i] = draw.draw(rng)
        with precisely():
            found = self._run(
                self._state(), feed.arrays, feed.order, rates, draws, np.int64(start),
                np.int64(count),
            )  # fmt: skip
            state, reports, good = jax.tree.map(np.asarray, found)
        return state, reports, int(good)

    def _state(self) -> dict[str, Any]:
        parameters, optimizer = self._parameters, self._optimizer
        return {
            "theta": [p.value for p in parameters],
            "grad": [p.grad for p in parameters],
            "slots": {name: self._pieces(optimizer.state[name]) for name in optimizer.slots},
            "buffers": [getattr(layer, name) for layer, name in self._buffers],
            "steps": np.int64(optimizer.steps),
        }

    def _write(self, state: dict[str, Any]) -> None:
        for p, value, grad in zip(self._parameters, state["theta"], state["grad"], strict=True):
            p.value[...] = value
            p.grad[...] = grad
        for name, pieces in state["slots"].items():
            for piece, new in zip(self._pieces(self._optimizer.state[name]), pieces, strict=True):
                piece[...] = new
        for (layer, name), value in zip(self._buffers, state["buffers"], strict=True):
            setattr(layer, name, value.copy())

    def _pieces(self, vector: Any) -> list[Any]:
        sizes = [p.size for p in self._parameters]
        return np.split(vector, np.cumsum(sizes)[:-1])

    def _by_numpy(self, batch: Rows) -> tuple[float, Any]:
        """Return J and the state after NumPy's own step, and take the step back."""
        rngs = [rng for _, layer in _walk(self._network) for rng in _generators(layer)]
        states = [rng_state(rng) for rng in rngs]
        before, steps = copy.deepcopy(self._state()), self._optimizer.steps
        gradient = self._engine.gradient
        with np.errstate(all="ignore"):
            j = gradient(batch.x, batch.y, batch.weight)
            self._optimizer.step(self._parameters)
        after = copy.deepcopy(self._state())
        self._write(before)
        self._optimizer.steps = steps
        for rng, state in zip(rngs, states, strict=True):
            set_rng_state(rng, state)
        return j, after

    def _compare(self, feed: Feed, expected: tuple[float, Any]) -> None:
        """Refuse a compiled step whose numbers differ from NumPy's by more than rounding."""
        states = [rng_state(rng) for rng in self._rngs]
        rates = np.full(self._capacity, self._optimizer.rate)
        state, reports, good = self._call(feed, 0, 1, rates)
        for rng, before in zip(self._rngs, states, strict=True):
            set_rng_state(rng, before)
        j, after = expected
        if not good:
            return  # NumPy will make the step
        tolerance = _TOLERANCE[self._parameters.value.dtype.name]
        names = [p.name for p in self._parameters]
        pairs = [("the loss", reports["j"][0], np.float64(j))]
        pairs += [
            (f"the {what} of '{name}'", *pair)
            for what, part in (("gradient", "grad"), ("value", "theta"))
            for name, *pair in zip(names, state[part], after[part], strict=True)
        ]
        pairs += [
            (f"{layer.label}.{name}", *pair)
            for (layer, name), *pair in zip(
                self._buffers, state["buffers"], after["buffers"], strict=True
            )
        ]
        for what, ours, theirs in pairs:
            scale = max(1e-30, float(np.abs(theirs).max(initial=0)))
            error = float(np.abs(ours - theirs).max(initial=0)) / scale
            if error > tolerance:
                raise NotCompilableError(
                    f"the first compiled step differs from NumPy's: {what} by {error:.1e}, more "
                    f"than {tolerance:.0e}: a layer may compute with what isn't an array of its "
                    "inputs, its parameters or its buffers; fit with engine='numpy'"
                )


def _walk(network: Layer) -> Any:
    from minigrad.core.layer import walk

    return walk(network)


def _generators(layer: Layer) -> list[RNG]:
    from minigrad.util.random import is_rng

    return [value for value in vars(layer).values() if is_rng(value)]


def _record(engine: Engine, feed: Feed, batch: Rows) -> Step:
    gradient, trainer = engine.gradient, engine.trainer
    network, loss = gradient.network, trainer.loss
    # Recorded on rows in another order than the ones it is compared on.
    x, y, weight = (
        None if data is None else each(lambda a: a[::-1], data)
        for data in (batch.x, batch.y, batch.weight)
    )
    rows, block = feed.size, feed.size
    if rows <= gradient.rows:
        whole, rest = GradientProgram(network, loss, (x, y, weight)), None
    else:
        block = -(-rows // -(-rows // gradient.rows))

        def part(place: slice) -> GradientProgram:
            total = float(rows) if weight is None else each(lambda w: float(w.sum()), weight)
            return GradientProgram(
                network, loss, tuple(take(data, place) for data in (x, y, weight)), total
            )

        whole = part(slice(0, block))
        rest = part(slice(0, rows % block)) if rows % block else None
    update = UpdateProgram(trainer.optimizer, gradient.parameters, whole.gradients)
    return Step(
        whole, update, rows=rows, block=block, rest=rest, predictions=engine._predicts
    )


class Ahead:
    """The data of a fit, in batches whose steps are made when they are taken."""

    reused = False

    def __init__(self, engine: Engine, data: Rows | Stream) -> None:
        self._engine, self._data = engine, data
        self._resident: Any = None

    def count(self, batch_size: int | None) -> int | None:
        """Return the number of batches in an epoch, None if it isn't known."""
        return self._data.count(batch_size)

    def batches(self, batch_size: int | None, rng: RNG | None) -> Iterator[Rows]:
        """Make the steps of an epoch, and yield its batches."""
        for feed in self._feeds(batch_size, rng):
            yield from self._engine.run(feed)

    def _feeds(self, batch_size: int | None, rng: RNG | None) -> Iterator[Feed]:
        data = self._data
        if isinstance(data, Stream):
            yield from _stream_feeds(data)
            return
        size = min(batch_size or len(data), len(data))
        if self._is_small(data):
            if self._resident is None:
                rows = data.take(slice(None))
                self._resident = rows, _placed(rows)
            rows, arrays = self._resident
            order = data.order(batch_size, rng)
            picked = None if order is None else order[:]
            whole, rest = divmod(len(data), size)
            on_device = None if picked is None else jnp.asarray(picked.astype(np.int32))
            yield Feed(arrays, on_device, rows, picked, size, whole)
            if rest:
                last = picked[-rest:] if picked is not None else slice(whole * size, None)
                yield _feed(rows.take(last), rest, 1)
            return
        for chunk in data.chunks(size, rng):
            whole, rest = divmod(len(chunk), size)
            if whole:
                yield _feed(chunk.take(slice(0, whole * size)), size, whole)
            if rest:
                yield _feed(chunk.take(slice(whole * size, None)), rest, 1)

    @staticmethod
    def _is_small(data: Rows) -> bool:
        arrays = [a for part in (data.x, data.y) for _, a in labelled(part, "")]
        in_memory = all(type(a) is np.ndarray and type(a.base) is not np.memmap for a in arrays)
        return in_memory and sum(8 * prod(a.shape) for a in arrays) <= _RESIDENT_BYTES


def _feed(rows: Rows, size: int, count: int) -> Feed:
    return Feed(_placed(rows), None, rows, None, size, count)


def _stream_feeds(data: Stream) -> Iterator[Feed]:
    for batch in data.batches(None, None):
        yield _feed(batch, len(batch), 1)


def _placed(rows: Rows) -> Any:
    with precisely():
        return jax.tree.map(jnp.asarray, (rows.x, rows.y, rows.weight))
