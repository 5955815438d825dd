"""The devices that share each batch: those of this process, and of all others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P


@contextmanager
def precisely() -> Iterator[None]:
    """Let JAX compute in float64 where NumPy does, and not round products to TF32."""
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield


AXES = ("processes", "devices")


class Devices:
    """Where arrays lie: a batch is split by rows over the devices, all else is on each of them.

    Each device computes its part of a batch, and `add_up` adds up what they find, in one exchange
    a step. Where a part can't be computed alone (see `step_for`), the program is that of the whole
    batch: XLA splits it, and exchanges what it must. So a batch needn't be a multiple of the
    devices, and BatchNorm sees all rows.

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
        self._mesh = Mesh(np.array(owned), AXES)
        self.processes = len(owned)
        self.count = self._mesh.size
        self.single = self.count == 1
        self.on_one_cpu = self.single and owned[0][0].platform == "cpu"

    def place(self, data: Any, *, kept: bool) -> Any:
        """Place rows, those of this process, which its devices hold.

        Unless they are `kept` while the caller may change them, a CPU reads aligned arrays, such as
        a mapped file, where they lie.
        """
        with precisely():
            if self.single:
                return jax.device_put(jax.tree.map(np.array, data) if kept else data)
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

    def apart(self, function: Callable[..., Any], given: Any, found: Any) -> Any:
        """Return a function that each device calls with its part of what is given.

        `given` and `found` are the partitions of the arguments and of the results.
        """
        return jax.shard_map(
            function, mesh=self._mesh, in_specs=given, out_specs=found, check_vma=False
        )

    def batch(self, cut: Callable[[Any], Any], array: Any) -> Any:
        """Return the batch that `cut` takes of each process's rows, in a jitted function."""
        if self.single:
            return cut(array)
        batch = jax.vmap(cut)(array)
        batch = batch.reshape(-1, *batch.shape[2:])
        return jax.lax.with_sharding_constraint(batch, self._sharding(AXES))

    def part(self, array: Any, rows: int, axis: int) -> Any:
        """Return this device's rows of an array, in a function of `apart`."""
        start = jax.lax.axis_index(AXES) * rows
        return jax.lax.dynamic_slice_in_dim(array, start, rows, axis)

    def add_up(self, arrays: Any, dtype: Any) -> Any:
        """Return the sum over all devices, in a function of `apart`.

        One vector is exchanged, since Gloo takes one array after another.
        """
        flat, cut = ravel_pytree(jax.tree.map(lambda a: jax.numpy.asarray(a, dtype), arrays))
        return cut(jax.lax.psum(flat, AXES))

    def _sharding(self, *axes: Any) -> NamedSharding:
        return NamedSharding(self._mesh, P(*axes))
