"""The engine of a `fit`: it gives the trainer batches, and makes their steps in jitted calls."""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Iterator, Sequence
from functools import partial
from os import PathLike, fspath
from typing import Any
from weakref import WeakKeyDictionary

import jax
import numpy as np

from minigrad.blocks.block_gradient import BlockGradient
from minigrad.callbacks.base import Callback
from minigrad.core.layer import Layer
from minigrad.core.trainer import Trainer
from minigrad.data.rows import Rows
from minigrad.data.stream import Stream
from minigrad.jit.calls import PACE, Agreed, Calls, compile_step
from minigrad.jit.contents import Contents, Same
from minigrad.jit.devices import Devices
from minigrad.jit.feeds import Feed, Feeds, Finished
from minigrad.jit.forward import Forward, JittedGradient
from minigrad.jit.hosts import Hosts, announce_end
from minigrad.jit.program import NotCompilableError
from minigrad.jit.run import JaxRun
from minigrad.jit.state import TrainingState
from minigrad.jit.step import RecordedStep, step_for
from minigrad.jit.update_program import UpdateProgram
from minigrad.metrics.running import RunningMetrics
from minigrad.util.options import check_int

_OFTEN = 50
"""After so many steps by NumPy, a fit warns, if they are more than half."""

_JITTED: WeakKeyDictionary[Layer, dict[Any, Any]] = WeakKeyDictionary()
"""The jitted steps of each model, by all that they were made of."""


class JaxEngine:
    """Makes the steps of one `fit`; `Trainer.fit` asks it for the data and for each step.

    Args:
        devices: of this process that share each batch, the first ones of `jax.devices()`; None
            takes all. If `jax.distributed.initialize` has started several processes, all train
            one model, and each gives its share of the rows.
        cache: a folder in which JAX keeps what it compiles, for later processes. The setting is
            JAX's own (`jax_compilation_cache_dir`), and holds for the whole process.

    Attributes:
        by_numpy: how many steps of the last fit NumPy made.
    """

    Forward = Forward
    Gradient = JittedGradient

    def __init__(
        self, *, devices: int | None = None, cache: str | PathLike[str] | None = None
    ) -> None:
        if devices is not None:
            check_int(devices, "devices", "JaxEngine")
        if cache is not None:
            jax.config.update("jax_compilation_cache_dir", fspath(cache))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        self._count = devices
        announce_end()

    def make_run(self, **parts: Any) -> JaxRun:
        """Return the run of a `fit` with these parts; see `Run`."""
        return JaxRun(self, **parts)

    def begin(
        self,
        trainer: Trainer,
        gradient: BlockGradient,
        data: Rows | Stream,
        validation: Rows | Stream | None,
        callbacks: Sequence[Callback],
    ) -> tuple[Feeds, Rows | Stream | None, Sequence[Callback]]:
        """Return the data in batches whose steps are made when the trainer takes them."""
        assert trainer.run is not None
        self.trainer, self.gradient, self.good = trainer, gradient, trainer.run.good
        self.devices = Devices(self._count)
        self.hosts = Hosts() if self.devices.processes > 1 else None
        if self.hosts is not None:
            try:
                data, validation, callbacks = self.hosts.begin(trainer, data, validation, callbacks)
            except BaseException as error:
                self.hosts.leave(error, interrupted=False)
                raise
        self.predicts = bool(trainer.metrics or trainer.loss.losses)
        self._stepwise = any(  # these look at the model after each step
            getattr(callback.on_update_end, "__func__", None) is not Callback.on_update_end
            for callback in callbacks
        )
        self._watched = bool(callbacks) or isinstance(data, Stream)  # these may change options
        alone = not callbacks and validation is None
        self._calls: dict[Any, Calls] = {}
        self._options: Any = None
        self._agreed: Agreed | None = None
        self.by_numpy = self._steps = self._made = 0
        self._ends: list[int] = []
        self.feeds = Feeds(data, self.run, self.devices, self.hosts, trainer, gradient, alone=alone)
        return self.feeds, validation, callbacks

    @property
    def ahead(self) -> bool:
        """Whether steps of the next epochs are made already."""
        return bool(self.feeds.ahead)

    def end_epoch(self) -> None:
        """Stop if another process does."""
        self._ends.append(self._made - sum(len(epoch.js) for epoch in self.feeds.ahead))
        if self.hosts is not None:
            trainer = self.trainer
            heard = self.hosts.agree(f"the end of epoch {trainer.epoch}", stop=trainer.stop)
            trainer.stop = any(message["stop"] for message in heard)

    def end(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Check the last steps, or tell the other processes that this one leaves `fit`."""
        if self.hosts is not None:
            self.hosts.leave(error, interrupted=self.trainer.interrupted)
        elif error is None and self._calls:
            self._check_last()

    def _check_last(self) -> None:
        """Check the steps since the last check, unless a callback has changed options or data."""
        if self._options != self._contents() or not self.feeds.unchanged:
            return
        with self.gradient, np.errstate(all="ignore"):
            for call in self._calls.values():
                if not call.check_now(self.gradient, self._made):
                    raise self._difference(call)

    def step(self, batch: Rows, number: int, running: RunningMetrics) -> int:
        """Report the steps of a jitted call, and return their number; 0 leaves one to NumPy."""
        if not isinstance(batch, Finished):
            self.by_numpy += 1
            self._steps += 1
            if self.by_numpy == _OFTEN and self._steps < 2 * _OFTEN:
                self._warn()
            return 0
        if number == 1:
            self.good.judge(batch.js[0])
        numbers = batch.js, batch.regularizations, batch.totals
        js, regularizations, totals = (array("d", a.tobytes()) for a in numbers)
        running.extend(js, regularizations, totals, batch, batch.prediction)
        self._steps += len(js)
        return len(js)

    def run(self, feed: Feed) -> Iterator[Rows]:
        """Make the steps of some batches, and yield those of each call together.

        Where the next epochs have the same batches, and nobody looks at the model between them, a
        call makes several epochs.
        """
        start = 0
        while start < feed.batches:
            epochs = self.trainer.epochs - self.trainer.epoch if feed.repeats and not start else 1
            most = 1 if self._stepwise else epochs * feed.batches - start
            if self.hosts is not None:  # before a step is jitted, which all make together
                most, pace = self._agree(self.hosts, feed, most)
            call = self._calls_for(feed)
            if self.hosts is not None:
                call.jitted.per_step = pace
            reports, count, good = call(feed, start, most, self.good)
            if good:
                self._made += good
                if not call.check(feed, start, good, self.gradient, self._made):
                    raise self._difference(call)
                made = min(good, feed.batches - start)
                cuts = (slice(i, i + made) for i in range(0, good, made))
                done, *ahead = (feed.finished(start, reports, cut) for cut in cuts)
                self.feeds.ahead.extend(ahead)
                yield done
            if good < count:
                self._made += 1
                yield feed.batch(start + good).take(feed.real(start + good))
                good += 1
            start += good

    def _difference(self, call: Calls) -> NotCompilableError:
        """Go back to the last step that agreed, and return the error that says what differs.

        The history keeps the epochs before that step.
        """
        trainer = self.trainer
        state, arrays, made = self._last_agreed()
        state.write(arrays)
        epochs = trainer.history.epochs - sum(end > made for end in self._ends)
        for numbers in trainer.history.values():
            del numbers[epochs:]
        trainer.epoch = epochs
        assert call.unchecked is not None
        try:
            place = call.jitted.step.difference(self._record(call.state, call.unchecked[0]))
            place = f"{place}: " if place else ""
        except NotCompilableError as error:
            place = f"{error}. So "
        return NotCompilableError(
            f"{place}the jitted step differs from NumPy's by now; the parameters are back at step "
            f"{state.optimizer.steps}, and the history at epoch {epochs}: look for a layer that "
            "computes with what changes from step to step, or fit with engine='numpy'"
        )

    def _last_agreed(self) -> Agreed:
        """Return the state up to which all steps were checked, and the number of these."""
        found = [call.agreed for call in self._calls.values()]
        return min([*found, self._agreed or found[0]], key=lambda agreed: agreed.made)

    def _record(self, state: TrainingState, feed: Feed) -> RecordedStep:
        """Record the step for the batches of a feed.

        The rows come in another order, since the comparison must notice if one of their numbers
        became a constant.
        """
        batch, gradient = feed.batch(0), self.gradient
        other = jax.tree.map(lambda a: a[::-1], (batch.x, batch.y, batch.weight))
        return step_for(
            gradient.network,
            gradient.loss,
            other,
            gradient.rows,
            partial(UpdateProgram, state.optimizer, gradient.parameters),
            predicts=self.predicts,
            targets=self._targets(feed),
            devices=self.devices,
        )

    def _agree(self, hosts: Hosts, feed: Feed, most: int) -> tuple[int, float]:
        """Return how many steps all may make in a call, and how long a step takes the slowest."""
        form = f"{feed.size} rows, {feed.batches, feed.order is None, _form(feed)}"
        known = self._calls.get(_key(feed))
        pace = known.jitted.per_step if known else PACE
        heard = hosts.agree(f"a batch of {form}", most=most, pace=pace)
        paces = [float(message["pace"]) for message in heard]
        return min(int(message["most"]) for message in heard), max(paces)

    def _targets(self, feed: Feed) -> bool:
        """Return whether a call reports y and the weight, which no process has of all rows."""
        return self.hosts is not None and (self.predicts or feed.source.weight is not None)

    def _warn(self) -> None:
        places = {place for calls in self._calls.values() for place in calls.branches}
        if not places:  # a full batch, which NumPy makes
            return
        warnings.warn(
            f"NumPy made {self.by_numpy} of {self._steps} steps, since they take another branch "
            f"than the recorded one: use np.where in {', '.join(sorted(places))}, or fit with "
            "engine='numpy'",
            stacklevel=2,
        )

    def _calls_for(self, feed: Feed) -> Calls:
        """Return the calls for such batches; a callback may have changed an option."""
        if self._options is None or self._watched:
            options = self._contents()
            if options != self._options:
                if any(call.unchecked for call in self._calls.values()):  # nor can they be later
                    self._agreed = self._last_agreed()
                self._options, self._calls = options, {}
        if self._watched and self._calls:
            next(iter(self._calls.values())).prepare()
        key = _key(feed)
        if key not in self._calls:
            kept = _JITTED.setdefault(self.trainer.model, {})
            gradient, trainer = self.gradient, self.trainer
            whole_key = self._options[0], self.predicts, self._count, gradient.rows, *key
            state = TrainingState(gradient.network, gradient.parameters, trainer.optimizer)
            if whole_key not in kept:
                trainer.say(f"JAX compiles a step for batches of {feed.size} rows")
                known = [c for other, c in kept.items() if other[1:] == whole_key[1:]]
                record = partial(self._record, state, feed)
                kept[whole_key] = compile_step(state, gradient, feed, self.devices, record, known)
            self._calls[key] = Calls(state, kept[whole_key], self._made)
        return self._calls[key]

    def _contents(self) -> tuple[Contents, Same]:
        """Return what a program depends on besides its inputs, and the optimizer."""
        optimizer = self.trainer.optimizer
        return Contents(self.gradient.network, self.gradient.loss, optimizer), Same(optimizer)


def _key(feed: Feed) -> tuple[Any, ...]:
    """Return the form of batches for which a step is jitted."""
    return feed.size, feed.capacity, feed.transposed, _form(feed)


def _form(feed: Feed) -> str:
    """Return the shapes and types of a row."""
    return repr(jax.tree.map(lambda a: (a.shape[1:], a.dtype.name), feed.arrays))
