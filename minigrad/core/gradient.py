"""J and its gradient over a batch of any size, a block of rows at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from math import ceil, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from minigrad.core.crew import Crew, thread_count
from minigrad.core.layer import Layer, replica, walk
from minigrad.core.parameters import Parameters
from minigrad.data.arrays import Array
from minigrad.losses import Loss

_BLOCK_BYTES = 4 * 2**20
"""What one block's activations may fill: they stay in the cache, and are long enough that threads
seldom meet at the interpreter's lock."""
_LEAST_ROWS = 1024
"""Below this a block's matrix products are too small to pay for adding its gradient."""
_WIDE = 64
"""From this width on the matrix products dominate, and BLAS has its own threads for them."""
_WAVE_NUMBERS = 4_194_304
"""How many numbers the blocks' gradients may hold before they are added up."""


class BatchGradient:
    """Computes J of a batch, and leaves dJ/dtheta in the model's parameters.

    A batch of more rows than a block holds is worked through block by block, and the blocks'
    gradients are added up in the order of the blocks: the same sum, in memory that doesn't grow
    with the batch. Threads share the blocks, each with a replica of the model that has the same
    values, and gradients and caches of its own; since the order of the sum is fixed, the result
    is the same bits for any number of them. Penalties are added once a batch.

    Args:
        model: the network, built.
        loss: what is differentiated.
        threads: None for as many as pay.

    Attributes:
        parameters: the model's.
        rows: how many a block holds.
        penalty: the penalties that the last J contains.
    """

    def __init__(self, model: Layer, loss: Loss, *, threads: int | None = None) -> None:
        plan = Plan(model)
        self.parameters = model.parameters
        self.rows = plan.rows
        _keep_freed_memory()
        self._members = [_Member(model, loss, self.parameters)]
        self._home: object = self.parameters.home
        self._crew = Crew(1) if plan.in_order else plan.crew(threads)
        self._penalized = any(p.regularizer is not None for p in self.parameters)
        self.penalty = 0.0

    def __call__(
        self,
        x: Array,
        y: NDArray[Any],
        sample_weight: Array | None = None,
        predictions: Array | None = None,
    ) -> float:
        """Return J; the predictions on the way are written into `predictions`, if it is given."""
        if len(x) <= self.rows:
            j = self._members[0].part(x, y, sample_weight, None, predictions)
        else:
            j = self._in_blocks(x, y, sample_weight, predictions)
        if self._penalized:
            self.penalty = self.parameters.penalty()
            j += self.penalty
            self.parameters.add_penalty_gradients()
        return j

    def _in_blocks(
        self,
        x: Array,
        y: NDArray[Any],
        sample_weight: Array | None,
        predictions: Array | None,
    ) -> float:
        threads = self._crew.threads
        if self._home is not self.parameters.home:
            self._home = self.parameters.home
            del self._members[1:]
        while len(self._members) < threads:
            self._members.append(self._members[0].replica())
        total = float(len(x) if sample_weight is None else sample_weight.sum())
        places = list(blocks(len(x), self.rows))
        wave = max(threads, min(len(places), _WAVE_NUMBERS // max(1, self.parameters.size)))
        j, grad = 0.0, np.zeros_like(self.parameters.grad)

        for first in range(0, len(places), wave):
            now = places[first : first + wave]
            results: list[tuple[float, Array]] = [(0.0, grad)] * len(now)

            def work(thread: int, now: list[slice] = now, results: Any = results) -> None:
                member = self._members[thread]
                for number in range(thread, len(now), threads):
                    block = now[number]
                    weight = None if sample_weight is None else sample_weight[block]
                    into = None if predictions is None else predictions[block]
                    part = member.part(x[block], y[block], weight, total, into)
                    results[number] = part, member.parameters.grad.copy()

            self._crew.run(work)
            for part, block_grad in results:
                j += part
                grad += block_grad
        self.parameters.grad = grad
        return j

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what shares values: a copy makes its own."""
        return {**self.__dict__, "_members": self._members[:1], "_home": None}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._crew.close()


class _Member:
    """What one thread works with: a model, a loss, and where their gradient is."""

    def __init__(self, model: Layer, loss: Loss, parameters: Parameters) -> None:
        self.model = model
        self.loss = loss
        self.parameters = parameters

    def replica(self) -> _Member:
        """Return one for another thread, of the same values."""
        model = replica(self.model)
        twins = dict(zip(self.model.parameters, model.parameters, strict=True))
        parameters = Parameters(twins[parameter] for parameter in self.parameters)
        return _Member(model, copy.copy(self.loss), parameters)

    def part(
        self,
        x: Array,
        y: NDArray[Any],
        sample_weight: Array | None,
        total: float | None,
        predictions: Array | None,
    ) -> float:
        """Return J of some rows, and leave its gradient."""
        prediction = self.model.forward(x)
        j = self.loss.measure(prediction, y, sample_weight, total)
        self.model.backward_parameters(self.loss.backward())
        if predictions is not None:
            predictions[...] = prediction
        return j


def predict(model: Layer, x: Array, *, threads: int | None = None) -> Array:
    """Return the outputs for all rows, block by block; nothing is remembered."""
    if threads is not None:
        thread_count(threads)
    if len(x) <= _LEAST_ROWS or len(x) <= (plan := Plan(model)).rows:
        return model.forward(x, training=False)
    places = list(blocks(len(x), plan.rows))
    first = model.forward(x[places[0]], training=False)
    outputs = np.empty((len(x), *first.shape[1:]), first.dtype)
    outputs[places[0]] = first
    with plan.crew(threads) as crew:

        def work(member: int) -> None:
            for block in places[1 + member :: crew.threads]:
                outputs[block] = model.forward(x[block], training=False)

        crew.run(work)
    return outputs


def blocks(rows: int, most: int) -> Iterator[slice]:
    """Cut rows into as few slices of at most `most` as it takes, all of nearly the same length.

    >>> list(blocks(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = ceil(rows / ceil(rows / most))
    for first in range(0, rows, size):
        yield slice(first, min(first + size, rows))


class Plan:
    """How a model's rows are best worked through.

    Args:
        model: the network, built.

    Attributes:
        rows: how many a block holds, by the widths of the layers and their dtype.
        in_order: whether blocks must come one after the other in training: what a layer draws, or
            counts in its buffers, depends on that.

    >>> from minigrad import BatchNorm, Dense, Sequential
    >>> Plan(Sequential([Dense(1000)], input_shape=(24,))).rows
    1024
    >>> Plan(Sequential([BatchNorm()], input_shape=(24,))).rows == np.iinfo(np.int64).max
    True
    """

    def __init__(self, model: Layer) -> None:
        layers = [layer for _, layer in walk(model)]
        shapes = [layer.output_shape for layer in layers if not layer.children]
        widths = [prod(shape or ()) for shape in (model.input_shape, *shapes)]
        itemsize = max((p.value.itemsize for x in layers for _, p in x.own_parameters()), default=8)
        self.rows: int = np.iinfo(np.int64).max
        if not any(layer.batch_dependent for layer in layers):
            self.rows = max(_LEAST_ROWS, _BLOCK_BYTES // max(1, sum(widths) * itemsize))
        self.in_order = any(layer.stochastic or layer.buffers for layer in layers)
        self._wide = max(widths) >= _WIDE

    def crew(self, threads: int | None) -> Crew:
        """Return the threads that work on the blocks: one where several wouldn't pay."""
        count = thread_count(threads)
        return Crew(1 if threads is None and self._wide else count)


def _keep_freed_memory() -> None:
    """Have the C library keep the memory of large arrays for the next ones.

    glibc gives it back to the system, which must then clear it anew for each array, until it has
    seen a larger piece freed. This one is never touched, so it costs nothing.
    """
    np.empty(2 * _BLOCK_BYTES, np.uint8)
