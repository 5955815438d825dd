"""The gradient: J of a batch and dJ/dtheta, a block of rows at a time and on several threads."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from math import ceil
from typing import Any

import numpy as np
from typing_extensions import Self

from minigrad.core.layer import Layer, replica, walk
from minigrad.core.loss import Loss
from minigrad.core.parameters import Parameters
from minigrad.data.arrays import Array, size_of
from minigrad.data.by_name import Data, concatenate, each, row_count, take
from minigrad.util.threads import ThreadPool, blas_functions, keep_freed_memory, thread_count

_BLOCK_BYTES = 2 * 2**20
"""The size of one block's activations: small enough for the cache, and large enough that threads
seldom wait for the interpreter's lock."""
_MIN_BLOCK_ROWS = 1024
"""With fewer rows a block's matrix products cost less than adding up its gradient."""
_MIN_BLOCK_SEQUENCES = 8
"""A block of sequences has at least so many, and at least half of `_MIN_BLOCK_ROWS` positions. One
of images has twice as many rows, since convolutions have the rows along the last axis."""
_STORED_PER_PARAMETER = 4
"""A block of sequences stores at least so many numbers a parameter, so that its gradient costs
little. It holds as many rows of float64 as of float32."""
_STEPWISE_POSITIONS = 4
"""A row counts as so many positions if a layer computes them one after the other."""
_FEW_ROWS = 64
"""Up to so many rows are predicted at once: a plan would take longer."""
_WIDE = 64
"""From this width on matrix products dominate, and BLAS runs them on threads of its own."""
_SUMMED_NUMBERS = 4_194_304
"""How many numbers the blocks' gradients may hold before they are added up."""
_LARGEST_FREED = 31 * 2**20
"""glibc keeps pieces below 32 MiB."""


class BatchGradient:
    """Computes J of a batch, and leaves dJ/dtheta in the parameters' gradients.

    A batch with more rows than a block is computed block by block, and the gradients are added up
    in the order of the blocks: the same sum, in memory that doesn't grow with the batch. Threads
    share the blocks, each with a replica of the network that has gradients and caches of its own.
    Since the order of the sum is fixed, the bits don't depend on the number of threads.

    Args:
        network: the layer, built.
        loss: J.
        parameters: where the gradient goes; by default the network's own.
        threads: None for one a core, or a single one where more are no faster.

    Attributes:
        rows: the number of rows in a block.
        regularization: the regularizers' part of the last J.
    """

    def __init__(
        self,
        network: Layer,
        loss: Loss,
        *,
        parameters: Parameters | None = None,
        threads: int | None = None,
    ) -> None:
        plan = Plan(network)
        self.network = network
        self.loss = loss
        self.use(network.parameters if parameters is None else parameters)
        self.rows = plan.rows
        self.regularization = 0.0
        pool = plan.pool(threads)
        self._pool = ThreadPool(1) if plan.in_order else pool
        self._stepwise = plan.stepwise
        self._replicas: list[BatchGradient] = []
        self._replicated: Array | None = None
        keep_freed_memory(_LARGEST_FREED if plan.several else 4 * _BLOCK_BYTES)

    def use(self, parameters: Parameters) -> None:
        """Leave gradients in these from now on, and add their regularizers."""
        self.parameters = parameters
        self._regularized = any(p.regularizer is not None for p in parameters)

    def __call__(
        self,
        x: Data,
        y: Data,
        sample_weight: Data | None = None,
        predictions: list[Data] | None = None,
        *,
        total: Data | None = None,
    ) -> float:
        """Return J, append the prediction where asked; `total` is the whole batch's divisor."""
        rows = row_count(x)
        if rows > self.rows:
            j = self._in_blocks(x, y, sample_weight, predictions)
        else:
            prediction = self.network.forward(x)
            self.network.check_output(prediction, rows)
            j = self.loss.measure(prediction, y, sample_weight, total)
            self.network.backward_parameters(self.loss.backward())
            self.parameters.add_up_shared()
            if predictions is not None:
                predictions.append(each(partial(np.array, order="C"), prediction))
        if self._regularized:
            self.regularization = self.parameters.regularization()
            j += self.regularization
            self.parameters.add_regularizer_gradients()
        return j

    def _in_blocks(
        self, x: Data, y: Data, sample_weight: Data | None, predictions: list[Data] | None
    ) -> float:
        threads = self._pool.threads
        workers = self._workers(threads)
        dtype = self.parameters.value.dtype
        rows = row_count(x)
        total = float(rows) if sample_weight is None else each(np.sum, sample_weight)
        places = list(blocks(rows, self.rows))
        summed = max(threads, min(len(places), _SUMMED_NUMBERS // max(1, self.parameters.size)))

        def part(thread: int, block: slice) -> tuple[float, Array, list[Data]]:
            found: list[Data] = []
            j = workers[thread](
                self.network.cast(take(x, block), dtype),
                take(y, block),
                take(sample_weight, block),
                None if predictions is None else found,
                total=total,
            )
            return j, workers[thread].parameters.grad.copy(), found

        j, grad, parts = 0.0, np.zeros_like(self.parameters.grad), list[Data]()
        for first in range(0, len(places), summed):
            for block_j, block_grad, found in self._pool.map(part, places[first : first + summed]):
                j += block_j
                grad += block_grad
                parts += found
        self.parameters.grad = grad
        if predictions is not None:
            predictions.append(concatenate(parts))
        return j

    def _workers(self, threads: int) -> list[BatchGradient]:
        """Return what each thread computes a block with; the first works on the network itself."""
        if self._replicated is not self.parameters.value:  # they have moved to another vector
            self._replicated = self.parameters.value
            self._replicas = [copy.copy(self)]
            self._replicas[0]._regularized = False
        while len(self._replicas) < threads:
            other = copy.copy(self._replicas[0])
            other.network = replica(self.network)
            other.loss = copy.copy(self.loss)
            other.parameters = Parameters(p for _, p in other.network.named_parameters())
            self._replicas.append(other)
        return self._replicas

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the replicas, which share values."""
        return {**self.__dict__, "_replicas": [], "_replicated": None}

    def __enter__(self) -> Self:
        self._pool.__enter__()
        if self._stepwise:  # its small products gain little from threads, and wait on busy cores
            self._pool.hold_blas()
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.close()


def predict(
    network: Layer,
    x: Data,
    dtype: np.dtype[Any],
    *,
    threads: int | None = None,
    forward: Callable[..., Data] | None = None,
) -> Data:
    """Return the outputs for all rows, block by block, without writing on any layer."""
    if threads is not None:
        thread_count(threads)
    forward = forward or network.forward

    def output_of(_: int, block: slice) -> Data:
        rows = network.cast(take(x, block), dtype)
        output = forward(rows, training=False)
        network.check_output(output, row_count(rows))
        return output

    count = row_count(x)
    if count <= _FEW_ROWS or count <= (plan := Plan(network)).rows:
        return output_of(0, slice(None))
    with plan.pool(threads) as pool:
        return concatenate(pool.map(output_of, list(blocks(count, plan.rows))))


def blocks(rows: int, most: int) -> Iterator[slice]:
    """Cut rows into the fewest slices of at most `most`, all of nearly the same length."""
    size = ceil(rows / ceil(rows / most))
    for first in range(0, rows, size):
        yield slice(first, min(first + size, rows))


class Plan:
    """The number of rows in a block of this network, and the threads that pay.

    Attributes:
        rows: in a block, by what the layers store.
        several: whether rows have several positions: images or sequences.
        stepwise: whether a layer computes the positions of a row one after the other.
        in_order: whether training must run the blocks in order, since a layer draws random
            numbers or updates its buffers.
    """

    def __init__(self, network: Layer) -> None:
        layers = [layer for _, layer in walk(network)]
        leaves = [layer for layer in layers if not layer.children]
        widths = [size_of(network.input_shape or ()), *(layer.stored for layer in leaves)]
        own = [p for layer in layers for _, p in layer.own_parameters()]
        itemsize = max((p.value.itemsize for p in own), default=8)
        shapes = [layer.output_shape or () for layer in leaves]
        positions = max((size_of(shape[:-1]) for shape in shapes), default=1)
        self.stepwise = any(layer.stepwise for layer in layers)
        if self.stepwise:
            positions = _STEPWISE_POSITIONS
        self.several = positions > 1
        if self.several:
            axes = max(1, max(map(len, shapes)) - 1)
            numbers = max(_BLOCK_BYTES // 4, _STORED_PER_PARAMETER * sum(p.value.size for p in own))
            least = max(_MIN_BLOCK_SEQUENCES, _MIN_BLOCK_ROWS // (2 * positions))
            self.rows = axes * max(least, numbers // sum(widths))
        else:
            self.rows = max(_MIN_BLOCK_ROWS, _BLOCK_BYTES // max(1, sum(widths) * itemsize))
        if any(layer.batch_dependent for layer in layers):
            self.rows = np.iinfo(np.int64).max
        self.in_order = any(layer.stochastic or layer.buffers for layer in layers)
        self._wide = max(widths) >= _WIDE

    def pool(self, threads: int | None) -> ThreadPool:
        """Return the threads that share the blocks: one where several wouldn't pay."""
        count = thread_count(threads)
        blas_has_one = self.several and blas_functions() is not None
        if threads is None and self._wide and not blas_has_one:
            count = 1
        return ThreadPool(count, one_blas_thread=blas_has_one)
