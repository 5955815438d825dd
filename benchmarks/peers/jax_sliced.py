"""JAX, the same jitted step on batches that are cut from the data set in each step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typing_extensions import override

from benchmarks.peers.base import RefusalError
from benchmarks.peers.jax_step import JaxStep
from benchmarks.workloads import Workload


class JaxSliced(JaxStep):
    """Cutting a batch out of a device array is two more dispatches a step."""

    def __init__(self, workload: Workload) -> None:
        if workload.batch_size is None:
            raise RefusalError("nothing to slice in a full batch")
        super().__init__(workload)

    @override
    def batches(self) -> Iterator[tuple[Any, Any]]:
        return ((self.x[rows], self.y[rows]) for rows in self.workload.batches())


PEER = JaxSliced
