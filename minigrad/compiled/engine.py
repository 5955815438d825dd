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
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any
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
from minigrad.data.rows import Rows
from minigrad.metrics.running import RunningMetrics
from minigrad.util.options import check_int
from minigrad.util.random import rng_state, set_rng_state

_SECONDS = 0.5
"""How long a call lasts, about: Ctrl-C and the line of progress wait for it."""
_PACE = _SECONDS / 16
"""The seconds that a step takes, before any is measured."""
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
        repeats = not callbacks and validation is None and self.devices.single
        self._loops: dict[Any, _Loop] = {}
        self._options: Any = None
        self.by_numpy = self._steps = 0
        self.feeds = Feeds(data, self.run, self.devices, self.hosts, repeats=repeats)
        return self.feeds, validation, callbacks

    @property
    def ahead(self) -> bool:
        """Whether steps of the next epochs are made already."""
        return bool(self.feeds.ahead)

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
        self, gradient: BatchGradient, batch: Rows, number: int, running: RunningMetrics
    ) -> int:
        """Report the steps of a compiled call; the trainer makes one that the call didn't."""
        if not isinstance(batch, Finished):
            self.by_numpy += 1
            self._steps += 1
            if self.by_numpy == _OFTEN and self._steps < 2 * _OFTEN:
                self._warn()
            return self.trainer.step(gradient, batch, number, running)
        if number == 1:
            self.trainer.good.judge(batch.js[0])
        numbers = batch.js, batch.regularizations, batch.totals
        js, regularizations, totals = (array.tolist() for array in numbers)
        running.extend(js, regularizations, totals, batch, batch.prediction)
        self._steps += len(js)
        return len(js)

    def forward(self) -> Any:
        """Return the compiled forward pass, for the validation data."""
        return Forward(self.trainer.model)

    def run(self, feed: Feed) -> Iterator[Rows]:
        """Make the steps of some batches, and yield those of each call together.

        Where the next epochs have the same batches, and nobody looks at the model between them, a
        call makes several epochs.
        """
        start = 0
        while start < feed.batches:
            most = 1 if self._single else feed.batches - start
            if self.hosts is not None:  # before a step is compiled, which all make together
                most, pace = self._agree(self.hosts, feed, most)
            compiled = self._loop(feed)
            if self.hosts is not None:
                compiled.per_step = pace
            if feed.repeats and start == 0:
                left = self.trainer.epochs - self.trainer.epoch
                most *= max(1, min(left, compiled.steps // feed.batches))
            reports, count, good = compiled(feed, start, most, self.trainer.good)
            if good:
                made = min(good, feed.batches - start)
                cuts = (slice(i, i + made) for i in range(0, good, made))
                done, *ahead = (feed.finished(start, reports, cut) for cut in cuts)
                self.feeds.ahead.extend(ahead)
                yield done
            if good < count:
                yield feed.batch(start + good).take(feed.real(start + good))
                good += 1
            start += good

    def _agree(self, hosts: Hosts, feed: Feed, most: int) -> tuple[int, float]:
        """Return how many steps all may make in a call, and how long a step takes the slowest."""
        form = f"{feed.size} rows, {feed.batches, feed.order is None, _form(feed)}"
        known = self._loops.get(_key(feed))
        heard = hosts.agree(
            f"a batch of {form}", most=most, pace=known.per_step if known else _PACE
        )
        paces = [float(message["pace"]) for message in heard]
        return min(int(message["most"]) for message in heard), max(paces)

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
        key = _key(feed)
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
        return [part.reshape(-1) for part in self.parameters.split(vector).values()]

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

    @property
    def branches(self) -> list[str]:
        """The places of the branches that the recorded step took."""
        return self._compiled.step.gradient.program.branches

    @property
    def per_step(self) -> float:
        """The seconds that a step takes."""
        return self._compiled.per_step

    @per_step.setter
    def per_step(self, seconds: float) -> None:
        self._compiled.per_step = seconds

    @property
    def steps(self) -> int:
        """How many steps one call makes."""
        return max(1, min(self._compiled.capacity, int(_SECONDS / self.per_step)))

    def __call__(self, feed: Feed, start: int, most: int, good_epoch: Any) -> tuple[Any, int, int]:
        """Make up to `most` steps; return the reports, how many were tried, how many made.

        They are made without a look at each gradient, and of several epochs at once. If anything
        isn't good in the end, they are made again with care, and of one epoch only.
        """
        rates, count = self._rates(min(most, self.steps))
        if count > feed.batches:
            count -= count % feed.batches  # whole epochs
        states = [rng_state(rng) for rng in self._rngs]
        before, began = self._state.read(), perf_counter()
        state, reports, good = self._call(before, feed, start, count, rates)
        self.per_step = max(1e-7, (perf_counter() - began) / max(1, good))
        if count > feed.batches and good == count:
            good *= self._all_accepted(state, feed, rates, reports["j"][:count], good_epoch)
        if good < count:
            count = min(count, feed.batches - start)
            self._set_back(states)
            state, reports, good = self._call(before, feed, start, count, rates, careful=True)
            if good < count:  # again without the other steps, and the numbers that they drew
                self._set_back(states)
                state, reports, _ = self._call(before, feed, start, good, rates, careful=True)
        if good:
            self._state.write(state)
        return reports, count, good

    def _set_back(self, states: Any) -> None:
        for rng, before in zip(self._rngs, states, strict=True):
            set_rng_state(rng, before)

    def _all_accepted(self, state: Any, feed: Feed, rates: Any, js: Any, good_epoch: Any) -> bool:
        """Return whether the trainer will accept the first loss of each epoch, and the next one."""
        with unchanged(self._state.network):
            _, following, _ = self._call(state, feed, 0, 1, rates)
        trial = copy.copy(good_epoch)
        return all(trial.judge(j) for j in (*js[:: feed.batches], following["j"][0]))

    def compare(self, feed: Feed, expected: tuple[float, Any]) -> None:
        """Refuse a step whose numbers differ from NumPy's by more than rounding."""
        with unchanged(self._state.network):
            before, rates = self._state.read(), self._rates(1)[0]
            state, reports, good = self._call(before, feed, 0, 1, rates)
        if good:  # else NumPy will make it
            j, after = expected
            dtype = self._state.parameters.value.dtype
            check_close("the loss", reports["j"][0].astype(dtype), np.array(j, dtype))
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

    def _call(
        self, state: Any, feed: Feed, start: int, count: int, rates: Any, *, careful: bool = False
    ) -> tuple[Any, Any, int]:
        """Return the new state, the reports and the number of good steps; write nothing."""
        draws = drawn(self._compiled.step.draws, self._rngs, count, self._compiled.capacity)
        counts = np.int64(start), np.int64(count)
        given = {name: part for name, part in state.items() if name != "grad"}
        run = self._compiled.careful if careful else self._compiled.bold
        with precisely(), connected():
            found = run(given, feed.arrays, feed.order, rates, draws, *counts)
            state, reports, good = jax.tree.map(np.asarray, found)
        return state, {"prediction": None, **reports}, int(good)


@dataclass
class _Compiled:
    """A step, the compiled loops over it, and how many steps one call may make.

    `per_step` is the time that a step takes, as it was measured last.
    """

    step: Step
    bold: Any
    careful: Any
    capacity: int
    per_step: float = _PACE


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
    make = partial(compiled_loop, step, engine.devices, feed.turned)
    careful = bold = make(careful=True)
    if step.passes_on(state.read(), state.optimizer.rate):
        bold = make(careful=False)
    compiled = _Compiled(step, bold, careful, capacity)
    _Loop(state, compiled).compare(feed, expected)
    return compiled


def _key(feed: Feed) -> tuple[Any, ...]:
    """Return what a loop is compiled for."""
    return feed.size, feed.capacity, feed.turned, _form(feed)


def _form(feed: Feed) -> str:
    """Return the shapes and types of a row."""
    return repr(jax.tree.map(lambda a: (a.shape[1:], a.dtype.name), feed.arrays))
