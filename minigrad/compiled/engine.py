"""The engine of `fit`: many steps in one compiled call, on the model's own arrays.

Between calls the model holds the truth: a call reads the parameters, the optimizer's state and the
buffers from it, and writes them back. So callbacks, checkpoints and Ctrl-C find what they find
after a step by NumPy. A call ends before a step that takes another branch than the recorded one,
or isn't finite; NumPy makes that step, and says what is wrong, if anything is.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import jax
import numpy as np

from minigrad.callbacks.base import Callback
from minigrad.compiled.devices import Devices, precisely
from minigrad.compiled.feeds import Feed, Feeds, Finished
from minigrad.compiled.forward import CompiledGradient, Forward
from minigrad.compiled.hosts import Hosts, announce_end, connected
from minigrad.compiled.program import NotCompilableError
from minigrad.compiled.step import (
    Step,
    UpdateProgram,
    buffers_of,
    check_close,
    compiled_loop,
    drawn,
    frozen,
    step_for,
    unchanged,
)
from minigrad.core.gradient import BatchGradient
from minigrad.core.layer import Layer
from minigrad.core.trainer import Trainer
from minigrad.data.batches import Stream
from minigrad.data.by_name import Data, each
from minigrad.data.rows import Rows
from minigrad.util.options import check_int
from minigrad.util.random import rng_state, set_rng_state

_SECONDS = 0.5
"""How long a call lasts, about: Ctrl-C and the line of progress wait for it."""
_OFTEN = 50
"""After so many steps by NumPy, a fit warns, if they are more than half."""
_HELD_BYTES = 4 * 2**20
"""How much one call may draw and return."""

_COMPILED: WeakKeyDictionary[Layer, dict[Any, Any]] = WeakKeyDictionary()
"""The compiled loops of each model, by all that they were made of."""


class JaxEngine:
    """Makes the steps of one `fit`; `Trainer.fit` asks it for the data and for each step.

    Args:
        devices: of this process that share each batch, the first ones of `jax.devices()`; None
            takes all. If `jax.distributed.initialize` has started several processes, all train
            one model, and each gives its share of the rows.

    Attributes:
        by_numpy: how many steps of the last fit NumPy made.
    """

    Forward = Forward
    Gradient = CompiledGradient

    def __init__(self, *, devices: int | None = None) -> None:
        if devices is not None:
            check_int(devices, "devices", "JaxEngine")
        self._count = devices
        announce_end()

    def begin(
        self,
        trainer: Trainer,
        gradient: BatchGradient,
        data: Rows | Stream,
        validation: Rows | Stream | None,
        callbacks: Sequence[Callback],
    ) -> tuple[Feeds, Rows | Stream | None, Sequence[Callback]]:
        """Return the data in batches whose steps are made when the trainer takes them."""
        self.trainer, self.gradient = trainer, gradient
        self.devices = Devices(self._count)
        self.hosts = Hosts() if self.devices.processes > 1 else None
        if self.hosts is not None:
            try:
                data, validation, callbacks = self.hosts.begin(trainer, data, validation, callbacks)
            except BaseException as error:
                self.hosts.leave(error, interrupted=False)
                raise
        self.predicts = bool(trainer.metrics or trainer.loss.losses)
        self._single = any(
            type(callback).on_update_end is not Callback.on_update_end for callback in callbacks
        )
        self._watched = bool(callbacks)
        self._loops: dict[Any, _Loop] = {}
        self._options: Any = None
        self._last: _Loop | None = None
        self.by_numpy = self._steps = 0
        return Feeds(data, self.run, self.devices, self.hosts), validation, callbacks

    def end_epoch(self) -> None:
        """Stop if another process does."""
        if self.hosts is not None:
            trainer = self.trainer
            heard = self.hosts.agree(f"the end of epoch {trainer.epoch}", stop=trainer.stop)
            trainer.stop = any(message["stop"] for message in heard)

    def end(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Tell the other processes that this one leaves `fit`."""
        if self.hosts is not None:
            self.hosts.leave(error, interrupted=self.trainer.interrupted)

    def step(
        self, gradient: BatchGradient, batch: Rows, number: int, predictions: list[Data] | None
    ) -> float:
        """Return J of a batch; the trainer makes the step where a compiled call didn't."""
        self._steps += 1
        if not isinstance(batch, Finished):
            self.by_numpy += 1
            if self.by_numpy == _OFTEN and self._steps < 2 * _OFTEN:
                self._warn()
            return self.trainer.step(gradient, batch, number, predictions)
        gradient.regularization = batch.regularization
        if predictions is not None:
            predictions.append(batch.prediction)
        if number == 1:
            self.trainer.good.judge(batch.j)
        return batch.j

    def forward(self) -> Any:
        """Return the compiled forward pass, for the validation data."""
        return Forward(self.trainer.model)

    def run(self, feed: Feed) -> Iterator[Rows]:
        """Make the steps of some batches, and yield each with what is reported of it."""
        start = 0
        while start < feed.batches:
            most = 1 if self._single else feed.batches - start
            if self.hosts is not None:
                most = self._agree(self.hosts, feed, most)
            compiled = self._last = self._loop(feed)
            reports, count, good = compiled(feed, start, min(most, compiled.steps))
            js, parts, prediction = (
                reports[name] for name in ("j", "regularization", "prediction")
            )
            for i in range(good):
                y = weight = predicted = None
                if self.hosts is None and (self.predicts or feed.source.weight is not None):
                    y, weight = feed.targets(start + i)
                if self.predicts:
                    predicted = each(lambda array, i=i: array[i], prediction)
                done = Finished(feed.size, y, weight, js[i], parts[i], predicted)
                if self.hosts is not None:
                    y, weight = (
                        jax.tree.map(lambda array, i=i: array[i], reports.get(name))
                        for name in ("y", "weight")
                    )
                    done = feed.of_all(start + i, done, y, weight)
                yield done
            if good < count:
                yield feed.batch(start + good).take(feed.real(start + good))
                good += 1
            start += good

    def _agree(self, hosts: Hosts, feed: Feed, most: int) -> int:
        """Return how many steps a call may make, and let all take the same time for a step."""
        form = f"{feed.size} rows, {feed.batches, feed.order is None, _form(feed)}"
        heard = hosts.agree(
            f"a batch of {form}", most=most, pace=self._last.per_step if self._last else 0
        )
        if self._last:
            self._last.per_step = max(message["pace"] for message in heard)
        return min(int(message["most"]) for message in heard)

    def targets(self, feed: Feed) -> bool:
        """Return whether a call reports y and the weight, which no process has of all rows."""
        return self.hosts is not None and (self.predicts or feed.source.weight is not None)

    def _warn(self) -> None:
        places = {place for loop in self._loops.values() for place in loop.branches}
        warnings.warn(
            f"NumPy made {self.by_numpy} of {self._steps} steps, since they take another branch "
            f"than the recorded one: use np.where in {', '.join(sorted(places))}, or fit with "
            "engine='numpy'",
            stacklevel=2,
        )

    def _loop(self, feed: Feed) -> _Loop:
        """Return the loop for batches of this size; a callback may have changed an option."""
        if self._options is None or self._watched:
            trainer, network = self.trainer, self.gradient.network
            options = frozen(network, trainer.loss, trainer.optimizer)
            if options != self._options:
                self._options, self._loops = options, {}
        key = feed.size, feed.capacity, feed.turned, _form(feed)
        if key not in self._loops:
            kept = _COMPILED.setdefault(self.trainer.model, {})
            whole_key, state = (self._options, self.predicts, self._count, *key), _State(self)
            if whole_key not in kept:
                kept[whole_key] = _compiled(self, state, feed)
            self._loops[key] = _Loop(state, kept[whole_key])
        return self._loops[key]


class _State:
    """What a step changes: it is read from the model, and written back."""

    def __init__(self, engine: JaxEngine) -> None:
        self.parameters = engine.gradient.parameters
        self.optimizer = engine.trainer.optimizer
        self.network = engine.gradient.network
        self._buffers = buffers_of(self.network)
        if slots := self.optimizer.slots:
            self.optimizer.prepare_state(self.parameters, slots)

    def read(self) -> dict[str, Any]:
        """Return it as arrays, some of which are the model's own."""
        parameters, optimizer = self.parameters, self.optimizer
        return {
            "theta": [p.value for p in parameters],
            "grad": [p.grad for p in parameters],
            "slots": {name: self._pieces(optimizer.state[name]) for name in optimizer.slots},
            "buffers": [getattr(layer, name) for layer, name in self._buffers],
            "steps": np.int64(optimizer.steps),
        }

    def write(self, state: dict[str, Any]) -> None:
        for p, value, grad in zip(self.parameters, state["theta"], state["grad"], strict=True):
            p.value[...] = value
            p.grad[...] = grad
        for name, pieces in state["slots"].items():
            for piece, new in zip(self._pieces(self.optimizer.state[name]), pieces, strict=True):
                piece[...] = new
        for (layer, name), value in zip(self._buffers, state["buffers"], strict=True):
            setattr(layer, name, value.copy())
        self.optimizer.steps = int(state["steps"])

    def _pieces(self, vector: Any) -> list[Any]:
        ends = np.cumsum([p.size for p in self.parameters])
        return [vector[end - p.size : end] for p, end in zip(self.parameters, ends, strict=True)]

    def by_numpy(self, gradient: BatchGradient, batch: Rows) -> tuple[float, Any]:
        """Return J and the state after NumPy's own step, and take the step back."""
        with unchanged(self.network):
            before = copy.deepcopy(self.read())
            j = gradient(batch.x, batch.y, batch.weight)
            self.optimizer.step(self.parameters)
            after = copy.deepcopy(self.read())
            self.write(before)
        return j, after

    def check_close(self, found: dict[str, Any], expected: dict[str, Any]) -> None:
        """Refuse a state that differs from NumPy's by more than rounding."""
        names = [f"'{p.name}'" for p in self.parameters]
        buffers = [f"{name} of {layer.label}" for layer, name in self._buffers]
        parts = (("grad", "the gradient of ", names), ("theta", "the new ", names))
        for part, what, owners in (*parts, ("buffers", "", buffers)):
            largest = max([float(np.abs(a).max(initial=0)) for a in expected[part]], default=0.0)
            for owner, ours, theirs in zip(owners, found[part], expected[part], strict=True):
                check_close(f"{what}{owner}", ours, theirs, largest)


class _Loop:
    """A compiled loop over steps at work in a fit."""

    def __init__(self, state: _State, compiled: _Compiled) -> None:
        self._state, self._compiled = state, compiled
        self._rngs = [draw.generator(state.network) for draw in compiled.step.draws]
        self.per_step = _SECONDS / 16

    @property
    def branches(self) -> list[str]:
        """The places of the branches that the recorded step took."""
        return self._compiled.step.gradient.program.branches

    @property
    def steps(self) -> int:
        """How many steps one call makes."""
        return max(1, min(self._compiled.capacity, int(_SECONDS / self.per_step)))

    def __call__(self, feed: Feed, start: int, count: int) -> tuple[Any, int, int]:
        """Make up to `count` steps; return the reports, how many were tried, how many made."""
        rates, count = self._rates(count)
        states = [rng_state(rng) for rng in self._rngs]
        began = perf_counter()
        state, reports, good = self._call(feed, start, count, rates)
        self.per_step = max(1e-7, (perf_counter() - began) / max(1, good))
        if good < count:  # make the good ones again, without the numbers that the others drew
            for rng, before in zip(self._rngs, states, strict=True):
                set_rng_state(rng, before)
            if good:
                state, reports, _ = self._call(feed, start, good, rates)
        if good:
            self._state.write(state)
        return reports, count, good

    def compare(self, feed: Feed, expected: tuple[float, Any]) -> None:
        """Refuse a step whose numbers differ from NumPy's by more than rounding."""
        with unchanged(self._state.network):
            state, reports, good = self._call(feed, 0, 1, self._rates(1)[0])
        if good:  # else NumPy will make it
            j, after = expected
            dtype = self._state.parameters.value.dtype
            check_close("the loss", np.array(reports["j"][0], dtype), np.array(j, dtype))
            self._state.check_close(state, after)

    def _rates(self, count: int) -> tuple[Any, int]:
        """Return the learning rates, and the number of steps before a schedule fails."""
        optimizer = self._state.optimizer
        first, rates = optimizer.steps, np.full(self._compiled.capacity, optimizer.rate)
        if callable(optimizer.learning_rate):
            try:
                for i in range(1, count):
                    optimizer.steps = first + i
                    rates[i] = optimizer.rate
            except Exception:
                count = i  # that step is the first of the next call, where it fails as by NumPy
            finally:
                optimizer.steps = first
        return rates, count

    def _call(self, feed: Feed, start: int, count: int, rates: Any) -> tuple[Any, Any, int]:
        """Return the new state, the reports and the number of good steps; write nothing."""
        draws = drawn(self._compiled.step.draws, self._rngs, count, self._compiled.capacity)
        counts = np.int64(start), np.int64(count)
        given = {name: part for name, part in self._state.read().items() if name != "grad"}
        with precisely(), connected():
            found = self._compiled.run(given, feed.arrays, feed.order, rates, draws, *counts)
            state, reports, good = jax.tree.map(np.asarray, found)
        lists = {name: reports[name].tolist() for name in ("j", "regularization")}
        return state, {"prediction": None, **reports, **lists}, int(good)


class _Compiled(NamedTuple):
    """A step, the compiled loop over it, and how many steps one call may make."""

    step: Step
    run: Any
    capacity: int


def _compiled(engine: JaxEngine, state: _State, feed: Feed) -> _Compiled:
    """Record the step for some batches, and compare the compiled one with NumPy's own."""
    gradient, loss = engine.gradient, engine.trainer.loss
    batch = feed.batch(0)
    expected = state.by_numpy(gradient, batch)  # raises the errors that NumPy's step has
    update = partial(UpdateProgram, state.optimizer, gradient.parameters)

    def record() -> Step:
        # The rows are in another order than those of the comparison.
        turned = jax.tree.map(lambda a: a[::-1], (batch.x, batch.y, batch.weight))
        return step_for(
            gradient.network,
            loss,
            turned,
            gradient.rows,
            update,
            predicts=engine.predicts,
            targets=engine.targets(feed),
            devices=engine.devices,
        )

    step = record()
    if place := step.difference(record()):
        raise NotCompilableError(
            f"{place} can't be compiled: it computes with other numbers each time, such as those "
            "of np.random or of an attribute that changes: draw from the generator that build "
            "receives, and keep what changes in buffers"
        )
    capacity = max(1, min(feed.capacity, _HELD_BYTES // step.held))
    run = compiled_loop(step, engine.devices, feed.turned)
    compiled = _Compiled(step, run, capacity)
    _Loop(state, compiled).compare(feed, expected)
    return compiled


def _form(feed: Feed) -> str:
    """Return the shapes and types of a row."""
    return repr(jax.tree.map(lambda a: (a.shape[1:], a.dtype.name), feed.arrays))
