"""The plan: how many rows are computed at once, and on how many threads."""

from __future__ import annotations

import numpy as np

from minigrad.core.layer import Layer, walk
from minigrad.data.arrays import size_of
from minigrad.util.threads import ThreadPool, blas_functions, thread_count

BLOCK_BYTES = 2 * 2**20
"""The size of one block's activations: small enough for the cache, and large enough that threads
seldom wait for the interpreter's lock."""
_MIN_BLOCK_ROWS = 1024
"""With fewer rows a block's matrix products cost less than adding up its gradient."""
_MIN_BLOCK_SEQUENCES = 8
"""The fewest sequences in a block, which also has at least half of `_MIN_BLOCK_ROWS` positions. A
block of images has twice as many rows, since convolutions lay the rows along the last axis."""
_STORED_PER_PARAMETER = 4
"""A block of sequences stores at least this many numbers for each parameter, so that adding up its
gradient costs little. The number of rows is the same in float64 and float32."""
_STEPWISE_POSITIONS = 4
"""The positions that a row counts as if a layer computes them in sequence."""
_WIDE = 64
"""From this width on matrix products dominate, and BLAS runs them on threads of its own."""


class Plan:
    """The number of rows in a block of this network, and the threads that pay.

    Attributes:
        rows: in a block, by what the layers store.
        several: whether rows have several positions: images or sequences.
        stepwise: whether a layer computes the positions of a row in sequence.
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
            numbers = max(BLOCK_BYTES // 4, _STORED_PER_PARAMETER * sum(p.value.size for p in own))
            least = max(_MIN_BLOCK_SEQUENCES, _MIN_BLOCK_ROWS // (2 * positions))
            self.rows = axes * max(least, numbers // sum(widths))
        else:
            self.rows = max(_MIN_BLOCK_ROWS, BLOCK_BYTES // max(1, sum(widths) * itemsize))
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
