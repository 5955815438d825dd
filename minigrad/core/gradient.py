"""The gradient: J of a batch and dJ/dtheta, a block of rows at a time and on several threads."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from contextvars import copy_context
from math import ceil, prod
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Self

from minigrad.core.layer import Layer, replica, walk
from minigrad.core.loss import Loss
from minigrad.core.parameters import Parameters
from minigrad.data.arrays import Array
from minigrad.data.rows import Rows

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_BLOCK_BYTES = 4 * 2**20
"""The size of one block's activations: small enough for the cache, and large enough that threads
seldom wait for the interpreter's lock."""
_MIN_BLOCK_ROWS = 1024
"""With fewer rows a block's matrix products cost less than adding up its gradient."""
_WIDE = 64
"""From this width on matrix products dominate, and BLAS runs them on threads of its own."""
_SUMMED_NUMBERS = 4_194_304
"""How many numbers the blocks' gradients may hold before they are added up."""


class BatchGradient:
    """Computes J of a batch, and leaves dJ/dtheta in the parameters' gradients.

    A batch with more rows than a block is computed block by block, and the gradients are added up
    in the order of the blocks: the same sum, in memory that doesn't grow with the batch. Threads
    share the blocks; each has a replica of the network with the same values, and gradients and
    caches of its own. The order of the sum is fixed, so the bits don't depend on the number of
    threads. Regularizers are added once a batch.

    Args:
        network: the layer, built.
        loss: J.
        parameters: where the gradient goes; by default the network's own.
        threads: None for as many as pay.

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
        self.parameters = network.parameters if parameters is None else parameters
        self.rows = plan.rows
        self.regularization = 0.0
        self._regularized = any(p.regularizer is not None for p in self.parameters)
        self._pool = ThreadPool(1) if plan.in_order else plan.pool(threads)
        self._replicas: list[BatchGradient] = []
        self._replicated: Array | None = None
        _keep_freed_memory()

    def __call__(
        self,
        x: Array,
        y: NDArray[Any],
        sample_weight: Array | None = None,
        predictions: Array | None = None,
    ) -> float:
        """Return J; the predictions are written into `predictions`, if given."""
        if len(x) > self.rows:
            j = self._in_blocks(x, y, sample_weight, predictions)
        else:
            j = self._of_block(x, y, sample_weight, None, predictions)
        if self._regularized:
            self.regularization = self.parameters.regularization()
            j += self.regularization
            self.parameters.add_regularizer_gradients()
        return j

    def _of_block(
        self,
        x: Array,
        y: NDArray[Any],
        sample_weight: Array | None,
        total: float | None,
        predictions: Array | None,
    ) -> float:
        """Return J of some rows, of which the whole batch has `total`, and leave its gradient."""
        prediction = self.network.forward(x)
        if prediction.shape[1:] != self.network.output_shape:
            self.network.check_output(prediction, len(x))
        j = self.loss.measure(prediction, y, sample_weight, total)
        self.network.backward_parameters(self.loss.backward())
        self.parameters.add_up_shared()
        if predictions is not None:
            predictions[...] = prediction
        return j

    def _in_blocks(
        self,
        x: Array,
        y: NDArray[Any],
        sample_weight: Array | None,
        predictions: Array | None,
    ) -> float:
        threads = self._pool.threads
        workers = [self, *self._replicas_for(threads - 1)]
        dtype = self.parameters.value.dtype
        total = float(len(x) if sample_weight is None else sample_weight.sum())
        places = list(blocks(len(x), self.rows))
        summed = max(threads, min(len(places), _SUMMED_NUMBERS // max(1, self.parameters.size)))
        j, grad = 0.0, np.zeros_like(self.parameters.grad)

        for first in range(0, len(places), summed):
            now = places[first : first + summed]
            results: list[tuple[float, Array]] = [(0.0, grad)] * len(now)

            def work(thread: int, now: list[slice] = now, results: Any = results) -> None:
                worker = workers[thread]
                for number in range(thread, len(now), threads):
                    block = now[number]
                    part = worker._of_block(
                        x[block].astype(dtype, copy=False),
                        y[block],
                        None if sample_weight is None else sample_weight[block],
                        total,
                        None if predictions is None else predictions[block],
                    )
                    results[number] = part, worker.parameters.grad.copy()

            self._pool.run(work)
            for part, block_grad in results:
                j += part
                grad += block_grad
        self.parameters.grad = grad
        return j

    def _replicas_for(self, threads: int) -> list[BatchGradient]:
        """Return a gradient for each further thread, made anew when the parameters have moved."""
        if self._replicated is not self.parameters.value:
            self._replicated, self._replicas = self.parameters.value, []
        while len(self._replicas) < threads:
            other = copy.copy(self)
            other.network = replica(self.network)
            other.loss = copy.copy(self.loss)
            other.parameters = Parameters(p for _, p in other.network.named_parameters())
            self._replicas.append(other)
        return self._replicas

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the replicas, which share values."""
        return {**self.__dict__, "_replicas": [], "_replicated": None}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.close()


class Objective:
    """theta -> (J, g), with J the loss over all rows, regularizers included, and g = dJ/dtheta.

    theta and g are laid out as `model.parameters.value`. Frozen parameters are constants: their
    elements of theta are ignored, and their gradient is 0. With a stochastic layer such as
    Dropout J differs from call to call, which line searches can't follow: leave such layers out.

    Args:
        model: the network, built.
        loss: J.
        rows: the data, validated.

    Raises:
        ValueError: theta has another shape.

    >>> from minigrad import Dense, MSELoss, Sequential
    >>> model = Sequential([Dense(1, use_bias=False)], input_shape=(1,), rng=0)
    >>> f = model.objective(np.array([[1.0], [2.0]]), np.array([3.0, 6.0]), loss=MSELoss())
    >>> f([2.0])
    (2.5, array([-5.]))
    >>> model.parameters.value
    array([2.])
    """

    def __init__(self, model: Layer, loss: Loss, rows: Rows) -> None:
        self._rows = rows
        self._gradient = BatchGradient(model, loss)

    def __call__(self, theta: ArrayLike) -> tuple[float, NDArray[np.float64]]:
        """Set the model's parameters to theta, and return J and g as float64.

        Both may be infinite or NaN where theta is very large.
        """
        parameters, rows = self._gradient.parameters, self._rows
        theta = np.asarray(theta)
        if theta.shape != (parameters.size,):
            raise ValueError(
                f"the objective expects theta of shape ({parameters.size},), got {theta.shape}"
            )
        for start, value, _ in parameters.trainable_runs():
            value[...] = theta[start : start + value.size]
        with self._gradient, np.errstate(all="ignore"):
            j = self._gradient(rows.x, rows.y, rows.weight)
        g = np.zeros(parameters.size)
        for start, _, grad in parameters.trainable_runs():
            g[start : start + grad.size] = grad
        return j, g


def predict(network: Layer, x: Array, dtype: np.dtype[Any], *, threads: int | None = None) -> Array:
    """Return the outputs for all rows, block by block, without writing on any layer."""
    if threads is not None:
        thread_count(threads)

    def output_of(rows: Array) -> Array:
        output = network.forward(rows.astype(dtype, copy=False), training=False)
        network.check_output(output, len(rows))
        return output

    if len(x) <= _MIN_BLOCK_ROWS or len(x) <= (plan := Plan(network)).rows:
        return output_of(x)
    places = list(blocks(len(x), plan.rows))
    first = output_of(x[places[0]])
    outputs = np.empty((len(x), *first.shape[1:]), first.dtype)
    outputs[places[0]] = first
    with plan.pool(threads) as pool:

        def work(thread: int) -> None:
            for block in places[1 + thread :: pool.threads]:
                outputs[block] = output_of(x[block])

        pool.run(work)
    return outputs


def blocks(rows: int, most: int) -> Iterator[slice]:
    """Cut rows into the fewest slices of at most `most`, all of nearly the same length.

    >>> list(blocks(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = ceil(rows / ceil(rows / most))
    for first in range(0, rows, size):
        yield slice(first, min(first + size, rows))


class Plan:
    """The number of rows in a block of this network, and the threads that pay.

    Args:
        network: the layer, built.

    Attributes:
        rows: in a block, by the layers' widths and their dtype.
        in_order: whether training must run the blocks in order, since a layer draws random
            numbers or updates its buffers.

    >>> from minigrad import BatchNorm, Dense, Sequential
    >>> Plan(Sequential([Dense(1000)], input_shape=(24,))).rows
    1024
    >>> Plan(Sequential([BatchNorm()], input_shape=(24,))).rows == np.iinfo(np.int64).max
    True
    """

    def __init__(self, network: Layer) -> None:
        layers = [layer for _, layer in walk(network)]
        shapes = [layer.output_shape for layer in layers if not layer.children]
        widths = [prod(shape or ()) for shape in (network.input_shape, *shapes)]
        itemsize = max((p.value.itemsize for x in layers for _, p in x.own_parameters()), default=8)
        self.rows: int = np.iinfo(np.int64).max
        if not any(layer.batch_dependent for layer in layers):
            self.rows = max(_MIN_BLOCK_ROWS, _BLOCK_BYTES // max(1, sum(widths) * itemsize))
        self.in_order = any(layer.stochastic or layer.buffers for layer in layers)
        self._wide = max(widths) >= _WIDE

    def pool(self, threads: int | None) -> ThreadPool:
        """Return the threads that share the blocks: one where several wouldn't pay."""
        count = thread_count(threads)
        return ThreadPool(1 if threads is None and self._wide else count)


class ThreadPool:
    """Runs a job on each of several threads, the calling thread included."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._executor: ThreadPoolExecutor | None = None

    def run(self, job: Callable[[int], None]) -> None:
        """Call job(0), job(1), ... at the same time, one a thread, and return when all have ended.

        The caller's NumPy error settings hold in each thread.
        """
        if self.threads > 1 and self._executor is None:
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(self.threads - 1, "minigrad")
        others = [
            self._executor.submit(copy_context().run, job, thread)
            for thread in range(1, self.threads)
            if self._executor is not None
        ]
        try:
            job(0)
        finally:
            for other in others:
                other.result()

    def close(self) -> None:
        """End the threads."""
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def thread_count(threads: int | None = None) -> int:
    """Return the number of threads: as given, or MINIGRAD_THREADS, or one for each core.

    Raises:
        ValueError: not an integer of at least 1.

    >>> thread_count(2)
    2
    """
    source, count = "threads", threads
    if threads is None:
        source = "MINIGRAD_THREADS"
        given = os.environ.get(source) or _cores()
        count = int(given) if isinstance(given, int) or given.isdecimal() else None
        if count is None:
            raise ValueError(f"{source} must be an integer of at least 1, got {given!r}")
    if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
        raise ValueError(f"{source} must be an integer of at least 1, got {count!r}")
    return int(count)


def _cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _keep_freed_memory() -> None:
    """Have the C library keep the memory of freed arrays for the next ones.

    glibc returns it to the system, which clears it again for each new array, until a larger piece
    has been freed once. This one is never touched, so it costs nothing.
    """
    np.empty(2 * _BLOCK_BYTES, np.uint8)
