"""Jitted calls on the model's own arrays: a call makes many steps.

Between calls the model holds the truth: a call reads the parameters, the optimizer's state and the
buffers from it, and writes them back. So callbacks, checkpoints and Ctrl-C find what they find
after a step by NumPy. A call ends before a step that takes another branch than the recorded one,
or isn't finite; NumPy makes that step, and says what is wrong, if anything is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from time import perf_counter
from typing import Any, NamedTuple

import jax
import numpy as np

from minigrad.blocks.block_gradient import BlockGradient
from minigrad.checks.differences import Replay
from minigrad.data.arrays import finite
from minigrad.jit.comparison import (
    check_close,
    check_state_close,
    close_later,
    scale_of,
    step_by_numpy,
    unchanged,
)
from minigrad.jit.devices import Devices, precisely
from minigrad.jit.draws import drawn, draws_taken_back
from minigrad.jit.feeds import Feed
from minigrad.jit.hosts import connected
from minigrad.jit.loop import jitted_loop
from minigrad.jit.program import NotCompilableError
from minigrad.jit.state import TrainingState
from minigrad.jit.step import RecordedStep

_SECONDS = 0.5
"""How long a call lasts, about: Ctrl-C and the line of progress wait for it."""
PACE = _SECONDS / 16
"""The seconds that a step takes, before any is measured."""
_HELD_BYTES = 4 * 2**20
"""How much one call may draw and return."""
_CHECKS_SHARE = 0.005
"""How much of the time checks may take, once they come by the time."""


@dataclass
class JittedStep:
    """A step and the jitted loops over it, which any fit of the model can call.

    `careful` looks in each step whether the gradient is finite; `fast` looks at the end of a call
    whether the parameters are, and is the same loop where that could miss a step. Both make up to
    `capacity` steps. `per_step` is the time of a step in seconds, as it was measured last. `scale`
    is the size of J and of the gradient when they were first compared. `made` steps are made. The
    next check comes at the step `due`, or at the time `again`.
    """

    step: RecordedStep
    fast: Any
    careful: Any
    capacity: int
    per_step: float = PACE
    scale: tuple[float, float] = (0.0, 0.0)
    made: int = 0
    due: int = 2
    again: float = 0.0


class Agreed(NamedTuple):
    """The state after `made` steps of a fit, when a step was NumPy's."""

    state: TrainingState
    arrays: dict[str, Any]
    made: int


class Calls:
    """Calls of a jitted step in a fit, many steps in one call."""

    def __init__(self, state: TrainingState, jitted: JittedStep, made: int = 0) -> None:
        self.state, self.jitted = state, jitted
        self.unchecked: tuple[Feed, int] | None
        self._keep(made)
        self._rngs = [draw.generator(state.network) for draw in jitted.step.draws]

    def prepare(self) -> None:
        """Make slots that a callback has removed."""
        state = self.state
        if slots := state.optimizer.slots:
            state.optimizer.prepare_state(state.parameters, slots)

    @property
    def branches(self) -> list[str]:
        """The places of the branches that the recorded step took."""
        return self.jitted.step.gradient.program.branches

    def _share(self, steps: int) -> int:
        """Return how many of some steps one call makes; the calls make about as many each."""
        calls = max(1, round(steps * self.jitted.per_step / _SECONDS))
        return min(self.jitted.capacity, ceil(steps / calls))

    def __call__(self, feed: Feed, start: int, most: int, last_good: Any) -> tuple[Any, int, int]:
        """Make up to `most` steps; return the reports, how many were tried, how many made.

        More steps than the feed has batches are those of all epochs that are left. They are made by
        the fast loop, several epochs at once. If anything isn't good in the end, they are made
        again by the careful loop, one epoch only. `last_good` is the trainer's: it judges the first
        loss of each epoch.
        """
        count = self._share(most)
        if count < feed.batches < most:
            count = self._share(feed.batches)
        rates, count = self._rates(count)
        if count > feed.batches:
            count -= count % feed.batches  # whole epochs
        set_back = Replay(self.state.network)
        before, began = self.state.read(), perf_counter()
        state, reports, good = self._call(before, feed, start, count, rates)
        self.jitted.per_step = max(1e-7, (perf_counter() - began) / max(1, good))
        if count > feed.batches and good == count:
            js = reports["j"][: count : feed.batches]
            ends = count == most
            good *= self._all_accepted(state, feed, rates, js, last_good, ends=ends)
        if good < count:
            count = min(count, feed.batches - start)
            set_back()
            state, reports, good = self._call(before, feed, start, count, rates, careful=True)
            if good < count:  # again without the other steps, and the numbers that they drew
                set_back()
                state, reports, _ = self._call(before, feed, start, good, rates, careful=True)
        if good:
            self.state.write(state)
        return reports, count, good

    def _all_accepted(
        self, state: Any, feed: Feed, rates: Any, js: Any, last_good: Any, *, ends: bool
    ) -> bool:
        """Return whether the trainer will accept some epochs, by the first loss of each.

        The last one must also leave a state with which the fit can go on, or end.
        """
        if ends:
            if not all(finite(p.reshape(-1)) for p in state["theta"]):
                return False
        else:
            with draws_taken_back(self.state.network):
                _, following, _ = self._call(state, feed, 0, 1, rates)
            js = [*js, following["j"][0]]
        trial = copy.copy(last_good)
        return all(trial.judge(j) for j in js)

    def check(self, feed: Feed, start: int, good: int, gradient: BlockGradient, made: int) -> bool:
        """Compare a step with NumPy's again, if it is due, and return False if they differ.

        It is due after twice as many steps each time, and in a long fit whenever the checks have
        taken less than half a percent of the time: at steps that no code can foresee.

        `made` is the number of steps in the fit so far, and `good` that of this call.
        """
        jitted, began = self.jitted, perf_counter()
        jitted.made += good
        self.unchecked = feed, start
        # Several processes check together, and so by the number of steps alone.
        if jitted.made < jitted.due and (feed.hosts is not None or began < jitted.again):
            return True
        agrees = self.check_now(gradient, made)
        ended = perf_counter()
        jitted.again = ended + (ended - began) / _CHECKS_SHARE
        return agrees

    def check_now(self, gradient: BlockGradient, made: int) -> bool:
        """Compare a step with NumPy's, if steps were made since; return False if they differ.

        One step may differ by a tie, such as a ReLU at 0, so a second batch decides.
        """
        if self.unchecked is None:
            return True
        (feed, start), jitted = self.unchecked, self.jitted
        jitted.due = 2 * jitted.made
        first = hash((jitted.made, start)) % feed.batches
        tries = first, (first + 1) % feed.batches
        if not any(self._alike(feed, number, gradient) for number in tries):
            return False
        self._keep(made)
        return True

    def _keep(self, made: int) -> None:
        """Remember a state that agrees with NumPy's, and the number of steps in the fit."""
        self.agreed = Agreed(self.state, copy.deepcopy(self.state.read()), made)
        self.unchecked = None

    def _alike(self, feed: Feed, number: int, gradient: BlockGradient) -> bool:
        state = self.state
        theta = [p.value.copy() for p in state.parameters]
        try:
            j, after = step_by_numpy(state, gradient, feed.batch(number))
        except NotCompilableError:
            return False
        with draws_taken_back(state.network):
            before, rates = state.read(), self._rates(1)[0]
            found, reports, good = self._call(before, feed, number, 1, rates)
        if not good:
            return True
        after["before"] = theta
        if not any(self.jitted.scale):  # NumPy made the first step
            self.jitted.scale = scale_of(j, after)
        return close_later((reports["j"][0], found), (j, after), self.jitted.scale)

    def compare(self, feed: Feed, expected: tuple[float, Any]) -> None:
        """Refuse a step whose numbers differ from NumPy's by more than rounding."""
        with draws_taken_back(self.state.network):
            before, rates = self.state.read(), self._rates(1)[0]
            state, reports, good = self._call(before, feed, 0, 1, rates)
        if good:  # else NumPy will make it
            j, after = expected
            self.jitted.scale = scale_of(j, after)
            dtype = self.state.parameters.value.dtype
            check_close("the loss", reports["j"][0].astype(dtype), np.array(j, dtype))
            check_state_close(self.state, state, after)

    def _rates(self, count: int) -> tuple[Any, int]:
        """Return the learning rates, and the number of steps before a schedule fails."""
        optimizer = self.state.optimizer
        first, rates = optimizer.steps, np.full(self.jitted.capacity, optimizer.rate)
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
        draws = drawn(self.jitted.step.draws, self._rngs, count, self.jitted.capacity)
        counts = np.int64(start), np.int64(count)
        given = {name: part for name, part in state.items() if name != "grad"}
        run = self.jitted.careful if careful else self.jitted.fast
        with precisely(), connected():
            found = run(given, feed.arrays, feed.order, rates, draws, *counts)
            state, reports, good = jax.tree.map(np.asarray, found)
        return state, {"prediction": None, **reports}, int(good)


def compile_step(
    state: TrainingState,
    gradient: BlockGradient,
    feed: Feed,
    devices: Devices,
    record: Callable[[], RecordedStep],
    known: Sequence[JittedStep],
) -> JittedStep:
    """Record and compile the step for some batches, and compare it with NumPy's own.

    One of the `known` steps serves if it is the same.
    """
    batch = feed.batch(0)
    step_by_numpy(state, gradient, batch)  # raises the errors that NumPy's step has
    step = record()
    if place := step.difference(record()):
        raise NotCompilableError(
            f"{place} can't be compiled: it computes with other numbers each time, such as those "
            "of np.random or of an attribute that changes: draw from the generator that build "
            "receives, and keep what changes in buffers"
        )
    regularizers = [p.regularizer for p in state.parameters if p.regularizer]
    objects = gradient.network, gradient.loss, state.optimizer, *regularizers
    expected = unchanged(partial(step_by_numpy, state, gradient, batch), *objects)
    for jitted in known:  # what has changed isn't part of the program
        if jitted.step.difference(step) is None:
            jitted.due = 0  # a check follows
            return jitted
    capacity = max(1, min(feed.capacity, _HELD_BYTES // step.held))
    make = partial(jitted_loop, step, devices, feed.transposed)
    careful = fast = make(careful=True)
    if step.passes_on(state.read(), state.optimizer.rate):
        fast = make(careful=False)
    jitted = JittedStep(step, fast, careful, capacity)
    Calls(state, jitted).compare(feed, expected)
    return jitted
