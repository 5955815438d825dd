"""The engine of a `fit`: it gives the trainer batches, and makes their steps in jitted calls."""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Iterator, Sequence
from os import PathLike, fspath
from typing import Any
from weakref import WeakKeyDictionary

import jax

from minigrad.blocks.block_gradient import BlockGradient
from minigrad.callbacks.base import Callback
from minigrad.core.layer import Layer
from minigrad.core.trainer import Trainer
from minigrad.data.rows import Rows
from minigrad.data.stream import Stream
from minigrad.jit.calls import PACE, Calls, compile_step
from minigrad.jit.contents import Contents
from minigrad.jit.devices import Devices
from minigrad.jit.feeds import Feed, Feeds, Finished
from minigrad.jit.forward import Forward, JittedGradient
from minigrad.jit.hosts import Hosts, announce_end
from minigrad.jit.run import JaxRun
from minigrad.jit.state import State
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
        self._optimizer: Any = None
        self.by_numpy = self._steps = 0
        self.feeds = Feeds(data, self.run, self.devices, self.hosts, trainer, gradient, alone=alone)
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

    def forward(self) -> Any:
        """Return the jitted forward pass, for the validation data."""
        return Forward(self.trainer.model)

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
                call.check(feed, start, good, self.gradient)
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
            trainer, network = self.trainer, self.gradient.network
            options = Contents(network, trainer.loss, trainer.optimizer)
            if options != self._options or trainer.optimizer is not self._optimizer:
                self._options, self._calls = options, {}
                self._optimizer = trainer.optimizer
        if self._watched and self._calls:
            next(iter(self._calls.values())).prepare()
        key = _key(feed)
        if key not in self._calls:
            kept = _JITTED.setdefault(self.trainer.model, {})
            gradient, trainer = self.gradient, self.trainer
            whole_key = self._options, self.predicts, self._count, gradient.rows, *key
            state = State(gradient.network, gradient.parameters, trainer.optimizer)
            if whole_key not in kept:
                trainer.say(f"JAX compiles a step for batches of {feed.size} rows")
                kept[whole_key] = compile_step(
                    state,
                    gradient,
                    trainer.loss,
                    feed,
                    self.devices,
                    predicts=self.predicts,
                    targets=self._targets(feed),
                    known=[c for other, c in kept.items() if other[1:] == whole_key[1:]],
                )
            self._calls[key] = Calls(state, kept[whole_key])
        return self._calls[key]


def _key(feed: Feed) -> tuple[Any, ...]:
    """Return the form of batches for which a step is jitted."""
    return feed.size, feed.capacity, feed.transposed, _form(feed)


def _form(feed: Feed) -> str:
    """Return the shapes and types of a row."""
    return repr(jax.tree.map(lambda a: (a.shape[1:], a.dtype.name), feed.arrays))
