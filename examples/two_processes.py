"""Train one network in two processes, compare it with one process, and measure what they exchange.

Run it with JAX installed: python examples/two_processes.py

It starts both processes on this machine. On a cluster, a launcher starts them: see
docs/how-to/hosts.md.
"""

import json
import os
import socket
import subprocess
import sys
from time import perf_counter
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from minigrad import Adam, Dense, History, MSELoss, ReLU, Sequential

Array: TypeAlias = np.ndarray[Any, Any]

EPOCHS, ROWS, BATCH, UNITS = 4, 4096, 256, 256


def network() -> Sequential:
    # The same seed gives the same network in each process.
    layers = [Dense(UNITS), ReLU(), Dense(UNITS), ReLU(), Dense(1)]
    model = Sequential(layers, input_shape=(20,), rng=0)
    model.compile(optimizer=Adam(learning_rate=0.001), loss=MSELoss())
    return model


def train(x: Array, y: Array, batch_size: int) -> tuple[list[float], float]:
    """Return the losses, and the milliseconds of a step once it is compiled."""
    model = network()

    def fit(epochs: int) -> History:
        return model.fit(
            x, y, epochs=epochs, batch_size=batch_size, shuffle=False, verbose=0, engine="jax"
        )

    losses = [*fit(EPOCHS)["loss"]]
    times = []
    for _ in range(5):
        start = perf_counter()
        fit(2)
        times.append((perf_counter() - start) / (2 * len(x) / batch_size))
    return losses, 1000 * min(times)


def exchange(numbers: int) -> float:
    """Return the milliseconds of adding up vectors, one of each process."""
    mesh = Mesh(jax.devices(), "processes")
    everywhere = NamedSharding(mesh, PartitionSpec())
    add = jax.jit(lambda parts: parts.sum(axis=0), out_shardings=everywhere)
    own = NamedSharding(mesh, PartitionSpec("processes"))
    with jax.enable_x64(True):
        parts = jax.make_array_from_process_local_data(own, np.ones((1, numbers)))
        jax.block_until_ready(add(parts))
        times = []
        for _ in range(5):
            start = perf_counter()
            for _ in range(2 * ROWS // BATCH):
                jax.block_until_ready(add(parts))
            times.append((perf_counter() - start) / (2 * ROWS / BATCH))
    return 1000 * min(times)


def one_of_two(process: int, address: str) -> None:
    """Train on this process's share of the rows; the first process prints what came of it."""
    jax.distributed.initialize(
        address,
        num_processes=2,
        process_id=process,
        heartbeat_timeout_seconds=5,
        shutdown_timeout_seconds=30,
    )
    half = slice(process * ROWS // 2, (process + 1) * ROWS // 2)
    losses, step = train(x[half], y[half], BATCH // 2)
    exchanged = exchange(network().parameters.size)
    if process == 0:
        print(json.dumps([losses, step, exchanged]))


def start_two() -> tuple[list[float], float, float]:
    """Return the losses, the time of a step and that of the exchange in two processes."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"
    processes = []
    for i in range(2):
        environment = {**os.environ, "PROCESS": str(i), "ADDRESS": address}
        command = [sys.executable, os.path.abspath(__file__)]
        processes.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        )
    printed = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    losses, step, exchanged = json.loads(printed[0].splitlines()[-1])
    return losses, step, exchanged


rng = np.random.default_rng(0)
x = rng.normal(size=(ROWS, 20))
y = np.sin(x).sum(axis=1)

if "PROCESS" in os.environ:
    one_of_two(int(os.environ["PROCESS"]), os.environ["ADDRESS"])
else:
    losses, step, exchanged = start_two()
    # Two processes take half of each batch from their halves of the rows. One takes them together.
    halves = np.arange(ROWS).reshape(2, -1, BATCH // 2).swapaxes(0, 1).ravel()
    expected, alone = train(x[halves], y[halves], BATCH)
    _, half = train(x[: ROWS // 2], y[: ROWS // 2], BATCH // 2)
    print(f"one process, batches of {BATCH}:      {alone:5.1f} ms a step, loss {expected[-1]:.6f}")
    print(f"one process, batches of {BATCH // 2}:      {half:5.1f} ms a step")
    print(f"two processes, {BATCH // 2} rows of each: {step:5.1f} ms a step, loss {losses[-1]:.6f}")
    print(f"adding up {network().parameters.size:,} gradients alone: {exchanged:.1f} ms")
    assert np.allclose(losses, expected, rtol=1e-12, atol=0)
