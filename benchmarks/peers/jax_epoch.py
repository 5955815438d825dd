"""JAX, all batches of an epoch in one compiled `lax.scan`: no Python between steps."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from typing_extensions import override

from benchmarks.peers.base import RefusalError
from benchmarks.peers.jax_step import JaxStep, train_step
from benchmarks.workloads import Workload


class JaxEpoch(JaxStep):
    """Python can't observe or stop the training inside a call."""

    def __init__(self, workload: Workload) -> None:
        if workload.batch_size is None:
            raise RefusalError("an epoch is one step")
        super().__init__(workload)
        shape = (workload.steps, workload.batch)
        self.stacked = [array.reshape(*shape, *array.shape[1:]) for array in (self.x, self.y)]

        def epoch(parameters: Any, x: Any, y: Any) -> Any:
            return jax.lax.scan(
                lambda theta, batch: train_step(workload, theta, *batch), parameters, (x, y)
            )

        self.epoch = jax.jit(epoch, donate_argnums=0)

    @override
    def run(self, epochs: int) -> list[float]:
        losses = []
        for _ in range(epochs):
            self.parameters, loss = self.epoch(self.parameters, *self.stacked)
            losses.append(loss)
        self.wait()
        return [float(np.mean(loss)) for loss in losses]


PEER = JaxEpoch
