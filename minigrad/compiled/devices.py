"""The devices that share each batch: those of this process, and of all others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


@contextmanager
def precisely() -> Iterator[None]:
    """Let JAX compute in float64 where NumPy does, and not round products to TF32."""
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield


class Devices:
    """Where arrays lie: a batch is split by rows over the devices, all else is on each of them.

    The program is that of one device. XLA splits it, and adds up what the devices compute: a batch
    needn't be a multiple of their number, and BatchNorm sees all rows.

    Args:
        count: of this process's devices, and of each other's; None takes all.

    Raises:
        ValueError: a process has fewer.
    """

    def __init__(self, count: int | None = None) -> None:
        owned = [
            [device for device in jax.devices() if device.process_index == process][:count]
            for process in range(jax.process_count())
        ]
        fewest = min(map(len, owned))
        if fewest < (count or max(map(len, owned))):
            raise ValueError(
                f"JaxEngine expects at most the {fewest} devices of a process, got {count}"
            )
        self._mesh = Mesh(np.array(owned), ("processes", "devices"))
        self.processes = len(owned)
        self.single = self._mesh.size == 1

    def place(self, data: Any) -> Any:
        """Place rows, those of this process, which its devices hold."""
        with precisely():
            if self.single:
                return jax.tree.map(jax.numpy.asarray, data)
            place = partial(jax.make_array_from_process_local_data, self._sharding("processes"))
            return jax.tree.map(lambda array: place(array[None]), data)

    def place_on_all(self, array: Any) -> Any:
        """Place an array that is the same in all processes."""
        if self.single:
            return jax.numpy.asarray(array)
        return jax.make_array_from_process_local_data(self._sharding(), array)

    def compile(self, function: Callable[..., Any]) -> Any:
        """Compile a function whose results each process reads."""
        return jax.jit(function, out_shardings=None if self.single else self._sharding())

    def batch(self, cut: Callable[[Any], Any], array: Any) -> Any:
        """Return the batch that `cut` takes of each process's rows, in a compiled function."""
        if self.single:
            return cut(array)
        batch = jax.vmap(cut)(array)
        batch = batch.reshape(-1, *batch.shape[2:])
        sharding = self._sharding(("processes", "devices"))
        return jax.lax.with_sharding_constraint(batch, sharding)

    def _sharding(self, *axes: Any) -> NamedSharding:
        return NamedSharding(self._mesh, PartitionSpec(*axes))
