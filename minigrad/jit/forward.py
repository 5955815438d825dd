"""The forward pass, and J with its gradient, jitted: for `predict`, `evaluate`, `objective`."""

from __future__ import annotations

from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from typing_extensions import override

from minigrad.blocks.block_gradient import BlockGradient
from minigrad.core.layer import Layer, replica, walk
from minigrad.core.parameters import Parameters
from minigrad.data.by_name import Data, each, labelled, row_count
from minigrad.jit.comparison import Doubling, check_close, unchanged
from minigrad.jit.contents import Contents
from minigrad.jit.devices import precisely
from minigrad.jit.draws import drawn, draws_taken_back
from minigrad.jit.recording import Recording
from minigrad.jit.state import buffers_of
from minigrad.jit.step import RecordedStep, step_for
from minigrad.jit.update_program import UpdateProgram

_JITTED: WeakKeyDictionary[Layer, dict[Any, Any]] = WeakKeyDictionary()
"""The jitted passes of each network, by all that they were made of."""


class Forward:
    """Computes a network's outputs in inference.

    Rows are padded to a power of two, so that few shapes are jitted; not where a layer computes
    with all rows of a batch. Rows that take another branch than the recorded one go to NumPy.
    """

    def __init__(self, network: Layer) -> None:
        self._network = network
        self._kept = _JITTED.setdefault(network, {})
        self._options = Contents(network)
        self._exact = any(layer.batch_dependent for _, layer in walk(network))

    def __call__(self, x: Data, *, training: bool = False) -> Data:
        """Return the outputs for some rows, as `network.forward(x, training=False)` does."""
        rows = row_count(x)
        most = rows if self._exact else 1 << (rows - 1).bit_length()
        index = np.minimum(np.arange(most), rows - 1)
        padded = x if most == rows else each(lambda a: a[index], x)
        key = self._options, repr(each(lambda a: (a.shape, a.dtype), padded))
        run_by_numpy = partial(self._network.forward, padded, training=False)
        if key not in self._kept:
            run_by_numpy()
            unchanged(run_by_numpy, self._network)
            self._kept[key] = jax.jit(self._record(padded).run), Doubling()
        run, due = self._kept[key]
        found, ok = self._call(run, padded)
        if not ok:
            return self._network.forward(x, training=False)
        if due():
            each(partial(check_close, "the output"), found, run_by_numpy())
            if rows > 1 and not self._exact:  # rows of other batches, and the padding
                few = each(lambda a: a[: (rows + 1) // 2], x)
                alone = self._network.forward(few, training=False)
                each(lambda a, b: check_close("the output", a[: len(b)], b), found, alone)
        return each(lambda a: a[:rows], found)

    def _record(self, x: Data) -> Any:
        network = replica(self._network)
        home = Parameters(p for _, p in network.named_parameters())
        with Recording([layer for _, layer in walk(network)]) as recording:
            for p in home:
                p._value = recording.given(p.value)
            for layer, name in buffers_of(network):
                setattr(layer, name, recording.given(getattr(layer, name)))
            given = jax.tree.map(recording.given, x)
            with np.errstate(all="ignore"):
                output = network.forward(given, training=False)
            return recording.finish({"output": output})

    def _call(self, run: Any, x: Data) -> tuple[Data, bool]:
        theta = [p.value for p in Parameters(p for _, p in self._network.named_parameters())]
        buffers = [getattr(layer, name) for layer, name in buffers_of(self._network)]
        with precisely():
            found = jax.tree.map(np.array, run((theta, buffers, x)))
        return found["output"], bool(found["ok"])


class JittedGradient(BlockGradient):
    """Computes J of a batch and leaves dJ/dtheta in the parameters' gradients, as its base does."""

    _jitted: Any = None
    _placed: Any = None

    @override
    def __call__(
        self,
        x: Data,
        y: Data,
        sample_weight: Data | None = None,
        predictions: list[Data] | None = None,
        *,
        total: Data | None = None,
    ) -> float:
        if predictions is not None or total is not None:
            return super().__call__(x, y, sample_weight, predictions, total=total)
        batch = x, y, sample_weight
        if self._placed is None or any(
            a.shape != b.shape or not np.array_equal(a, b)
            for a, b in zip(_arrays(batch), self._placed[0], strict=True)
        ):
            with precisely():
                cast = self.network.cast(x, self.parameters.value.dtype), y, sample_weight
                held = [a.copy() for a in _arrays(batch)]
                self._placed = held, cast, jax.tree.map(lambda a: jnp.asarray(a.copy()), cast)
        _, cast, arrays = self._placed
        key = Contents(self.network, self.loss)
        if self._jitted is None or self._jitted[0] != key:
            self._jitted = key, *self._compile(cast), Doubling()
        _, step, run, due = self._jitted
        if due():
            self._check(step, run, cast, arrays)
        j, ok = self._run(step, run, arrays)
        return j if ok else super().__call__(*cast)

    def _by_numpy(self, batch: Any) -> float:
        with draws_taken_back(self.network):
            return super().__call__(*batch)

    def _compile(self, batch: Any) -> tuple[RecordedStep, Any]:
        """Record and compile J and the gradient."""
        self._by_numpy(batch)
        unchanged(partial(self._by_numpy, batch), self.network, self.loss)
        update = partial(UpdateProgram, None, self.parameters)
        step = step_for(self.network, self.loss, batch, self.rows, update, predicts=False)
        return step, jax.jit(step.gradients)

    def _check(self, step: RecordedStep, run: Any, batch: Any, arrays: Any) -> None:
        """Compare J and the gradient with NumPy's."""
        expected = np.asarray(self._by_numpy(batch)), self.parameters.grad.copy()
        with draws_taken_back(self.network):
            j, ok = self._run(step, run, arrays)
        if ok:
            dtype = self.parameters.value.dtype
            check_close("the loss", np.array(j, dtype), expected[0].astype(dtype))
            check_close("the gradient", self.parameters.grad, expected[1])

    def _run(self, step: RecordedStep, run: Any, arrays: Any) -> tuple[float, bool]:
        theta = [p.value for p in self.parameters]
        buffers = [getattr(layer, name) for layer, name in buffers_of(self.network)]
        rngs = [draw.generator(self.network) for draw in step.draws]
        draws = [array[0] for array in drawn(step.draws, rngs, 1)]
        with precisely():
            found = jax.tree.map(
                np.asarray, run({"theta": theta, "buffers": buffers}, arrays, draws)
            )
        for p, grad in zip(self.parameters, found["grad"], strict=True):
            p.grad[...] = grad
        return float(found["j"]), bool(found["ok"])


def _arrays(batch: Any) -> list[Any]:
    return [array for data in batch if data is not None for _, array in labelled(data, "")]
