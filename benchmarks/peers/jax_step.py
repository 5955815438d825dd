"""JAX, a jitted step called from Python on batches that are already cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from typing_extensions import override

from benchmarks.peers.base import Peer
from benchmarks.workloads import Array, Workload


def outputs(workload: Workload, parameters: Any, x: Any) -> Any:
    """Activation of the last layer; of a softmax output, its logits."""
    hidden = jax.nn.relu if workload.hidden == "relu" else jax.nn.sigmoid
    for weight, bias in parameters[:-1]:
        x = hidden(x @ weight + bias if workload.bias else x @ weight)
    weight, bias = parameters[-1]
    x = x @ weight + bias if workload.bias else x @ weight
    return jax.nn.sigmoid(x) if workload.output == "sigmoid" else x


def mean_loss(workload: Workload, parameters: Any, x: Any, y: Any) -> Any:
    """The mean loss of a batch."""
    output = outputs(workload, parameters, x)
    if workload.output == "softmax":
        picked = jnp.take_along_axis(jax.nn.log_softmax(output), y[:, None], axis=1)
        return -jnp.mean(picked)
    return jnp.mean((output - y) ** 2)


def train_step(workload: Workload, parameters: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Parameters after one update, and the loss before it."""
    loss, slopes = jax.value_and_grad(lambda theta: mean_loss(workload, theta, x, y))(parameters)
    rate = workload.learning_rate
    return jax.tree.map(lambda value, slope: value - rate * slope, parameters, slopes), loss


class JaxStep(Peer):
    """The parameters are donated, so that an update may write in place."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self.x, self.y = (jnp.asarray(array) for array in workload.data())
        self.parameters: Any = [
            (jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in workload.weights()
        ]
        self.step = jax.jit(lambda *args: train_step(workload, *args), donate_argnums=0)
        self.outputs = jax.jit(lambda *args: outputs(workload, *args))
        self.cut = [(self.x[rows], self.y[rows]) for rows in workload.batches()]

    def batches(self) -> Iterator[tuple[Any, Any]]:
        """The batches of an epoch, already cut."""
        return iter(self.cut)

    @override
    def run(self, epochs: int) -> list[float]:
        losses = []
        for _ in range(epochs):
            for x, y in self.batches():
                self.parameters, loss = self.step(self.parameters, x, y)
                losses.append(loss)
        self.wait()
        # One transfer per loss would cost more than a small step; stacked, they take one per run.
        means: list[float] = np.mean(np.reshape(losses, (epochs, -1)), axis=1).tolist()
        return means

    def wait(self) -> None:
        """Wait until the last update is finished, since steps are dispatched asynchronously."""
        for value in jax.tree.leaves(self.parameters):
            value.block_until_ready()

    @override
    def predict(self, x: Array) -> object:
        return np.asarray(self.outputs(self.parameters, x))


PEER = JaxStep
