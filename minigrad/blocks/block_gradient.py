"""The gradient and the prediction of many rows: a block at a time, and on several threads."""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from typing_extensions import Self, override

from minigrad.blocks.plan import BLOCK_BYTES, Plan
from minigrad.core.gradient import Gradient, blocks
from minigrad.core.layer import Layer, replica
from minigrad.core.loss import Loss
from minigrad.core.parameters import Parameters
from minigrad.data.arrays import Array
from minigrad.data.by_name import Data, concatenate, each, row_count, take
from minigrad.data.rows import Rows
from minigrad.util.display import Display
from minigrad.util.threads import ThreadPool, keep_freed_memory, thread_count

_FEW_ROWS = 64
"""A prediction of at most this many rows is made at once: a plan would take longer."""
_SUMMED_NUMBERS = 4_194_304
"""The most numbers that gradients of blocks hold before they are added up."""
_INSIDE = {"minigrad", "contextlib"}
"""The packages whose frames a warning skips."""
_LARGEST_FREED = 31 * 2**20
"""glibc keeps pieces below 32 MiB."""


class BlockGradient(Gradient):
    """Computes J and its gradient block by block.

    The gradients are added up in the order of the blocks: the same sum, in memory that doesn't grow
    with the batch. Threads share the blocks, each with a replica of the network that has gradients
    and caches of its own. Since the order of the sum is fixed, the bits don't depend on the number
    of threads.

    Args:
        network, loss, parameters: see `Gradient`.
        threads: None for one a core, or a single one where more are no faster.
    """

    def __init__(
        self,
        network: Layer,
        loss: Loss,
        *,
        parameters: Parameters | None = None,
        threads: int | None = None,
    ) -> None:
        super().__init__(network, loss, parameters=parameters)
        self._trains = parameters is not None  # an `Objective` has those of its network
        plan = Plan(network)
        self.rows = plan.rows
        pool = plan.pool(threads)
        self._pool = ThreadPool(1) if plan.in_order else pool
        self._stepwise = plan.stepwise
        self._replicas: list[Gradient] = []
        self._replicated: Array | None = None
        keep_freed_memory(_LARGEST_FREED if plan.several else 4 * BLOCK_BYTES)

    def accumulate(self, count: int, batch_size: int | None, data: object) -> int:
        """Return the rows of a step for which the gradients of so many batches are added up.

        The batches become blocks, so that layers that tie rows together see a batch at a time.
        """
        if batch_size is None or not isinstance(data, Rows):
            got = "batch_size=None" if isinstance(data, Rows) else "an iterable of batches"
            raise ValueError(
                f"fit(accumulate={count}) needs arrays x and y and a batch_size, got {got}: a "
                "large batch is computed in blocks already"
            )
        self.rows = min(self.rows, batch_size)
        return count * batch_size

    @override
    def in_blocks(
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

    def _workers(self, threads: int) -> list[Gradient]:
        """Return what each thread computes a block with; the first works on the network itself."""
        if self._replicated is not self.parameters.value:  # they have moved to another vector
            self._replicated = self.parameters.value
            self._replicas = [self._plain(self.network, self.loss, self.parameters)]
        while len(self._replicas) < threads:
            network = replica(self.network)
            parameters = Parameters(p for _, p in network.named_parameters())
            self._replicas.append(self._plain(network, copy.copy(self.loss), parameters))
        return self._replicas

    @staticmethod
    def _plain(network: Layer, loss: Loss, parameters: Parameters) -> Gradient:
        """Return what computes a block, without the regularizers."""
        plain = Gradient(network, loss, parameters=parameters)
        plain._regularized = False
        return plain

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the replicas, which share values."""
        return {**self.__dict__, "_replicas": [], "_replicated": None}

    @override
    def __enter__(self) -> Self:
        if self._trains:
            _warn_of_frozen(self.parameters)
        self._pool.__enter__()
        if self._stepwise:  # its small products gain little from threads, and wait on busy cores
            self._pool.hold_blas()
        return self

    @override
    def __exit__(self, *error: object) -> None:
        self._pool.close()


def _warn_of_frozen(parameters: Parameters) -> None:
    """Warn, where the caller is, of a training in which no parameter changes."""
    if not len(parameters) or any(p.trainable for p in parameters):
        return
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals["__name__"].partition(".")[0] in _INSIDE:
        level, frame = level + 1, frame.f_back
    warnings.warn(
        "all parameters are frozen, so the training changes none: set model.trainable = True first",
        stacklevel=level,
    )


def predict(
    network: Layer,
    x: Data,
    dtype: np.dtype[Any],
    most: int | None = None,
    *,
    threads: int | None = None,
    forward: Callable[..., Data] | None = None,
    shown: Display | None = None,
) -> Data:
    """Return the outputs for all rows, block by block, without writing on any layer.

    A block has `most` rows; with None, as many as the plan says.
    """
    if threads is not None:
        thread_count(threads)
    forward, shown = forward or network.forward, shown or Display()
    done: list[slice] = []

    def output_of(thread: int, block: slice) -> Data:
        rows = network.cast(take(x, block), dtype)
        output = forward(rows, training=False)
        network.check_output(output, row_count(rows))
        done.append(block)
        if thread == 0 and shown.in_place and shown.due():
            shown.batch(len(done), dict)
        return output

    count = row_count(x)
    if count <= min(most or count, _FEW_ROWS):
        return output_of(0, slice(None))
    plan = Plan(network)
    places = list(blocks(count, most or plan.rows))
    shown.begin(0, 1)
    shown.begin_epoch(len(places))
    if len(places) == 1:
        outputs = [output_of(0, slice(None))]
    else:
        with plan.pool(threads) as pool:
            outputs = pool.map(output_of, places)
    shown.end_epoch({})
    shown.end()
    return concatenate(outputs)
