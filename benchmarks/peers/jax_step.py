"""JAX, a jitted step called from Python on batches that are already cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from typing_extensions import override

from benchmarks.peers.base import Peer
from benchmarks.workloads import Array, Layers, Workload


def convolution(parameters: Any, x: Any, *sizes: Any) -> Any:
    """z = W * x + b."""
    weight, bias = parameters
    axes = ("NHWC", "HWIO", "NHWC")
    z = jax.lax.conv_general_dilated(x, weight, (1, 1), sizes[3].upper(), dimension_numbers=axes)
    return z + bias


def max_pooling(_: Any, x: Any, size: int) -> Any:
    """The largest number of each window."""
    window = (1, size, size, 1)
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")


def lstm(parameters: Any, x: Any, *_: int) -> Any:
    """The last output of an LSTM; the input's products are computed for all steps at once."""
    weight, recurrent_weight, bias = parameters

    def step(state: Any, z: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(z + h @ recurrent_weight, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    start = jnp.zeros((len(x), len(recurrent_weight)), x.dtype)
    (h, _), _ = jax.lax.scan(step, (start, start), (x @ weight + bias).swapaxes(0, 1))
    return h


def gru(parameters: Any, x: Any, *_: int) -> Any:
    """The last output of a GRU."""
    weight, recurrent_weight, bias, recurrent_bias = parameters

    def step(h: Any, z: Any) -> Any:
        z_r, z_u, z_n = jnp.split(z, 3, axis=1)
        h_r, h_u, h_n = jnp.split(h @ recurrent_weight, 3, axis=1)
        r, u = jax.nn.sigmoid(z_r + h_r), jax.nn.sigmoid(z_u + h_u)
        n = jnp.tanh(z_n + r * (h_n + recurrent_bias))
        return n + u * (h - n), None

    start = jnp.zeros((len(x), len(recurrent_weight)), x.dtype)
    return jax.lax.scan(step, start, (x @ weight + bias).swapaxes(0, 1))[0]


def attention(parameters: Any, x: Any, size: int, heads: int, *causal: str) -> Any:
    """Self-attention."""
    weight, bias, output_weight, output_bias = parameters
    split = (x @ weight + bias).reshape(*x.shape[:2], 3, heads, size // heads)
    q, k, v = jnp.moveaxis(split, (2, 3), (0, 2))
    scores = q @ k.swapaxes(-1, -2) * (size // heads) ** -0.5
    if causal:
        scores = jnp.where(jnp.tri(x.shape[1], dtype=bool), scores, -jnp.inf)
    mixed = (jax.nn.softmax(scores) @ v).swapaxes(1, 2)
    return mixed.reshape(x.shape) @ output_weight + output_bias


def norm(parameters: Any, x: Any, *_: int) -> Any:
    """Layer normalization."""
    gamma, beta = parameters
    deviation = x - x.mean(axis=-1, keepdims=True)
    variance = jnp.square(deviation).mean(axis=-1, keepdims=True)
    return deviation * jax.lax.rsqrt(variance + 1e-5) * gamma + beta


def dense(parameters: Any, x: Any, *_: Any) -> Any:
    """z = x W + b."""
    z = x @ parameters[0]
    return z + parameters[1] if len(parameters) > 1 else z


KINDS: dict[str, Callable[..., Any]] = {
    "dense": dense,
    "sigmoid": lambda _, x: jax.nn.sigmoid(x),
    "relu": lambda _, x: jax.nn.relu(x),
    "gelu": lambda _, x: jax.nn.gelu(x, approximate=False),
    "conv": convolution,
    "pool": max_pooling,
    "flatten": lambda _, x: x.reshape(len(x), -1),
    "lstm": lstm,
    "gru": gru,
    "attention": attention,
    "embedding": lambda parameters, x, *_: parameters[0][x],
    "positions": lambda parameters, x, *_: x + parameters[0],
    "norm": norm,
}


def through(layers: Layers, parameters: Iterator[Any], x: Any) -> Any:
    """The output of some layers; takes their parameters from the iterator."""
    for kind, *sizes in layers:
        if kind == "residual":
            x = x + through(tuple(sizes), parameters, x)
        else:
            x = KINDS[kind](next(parameters), x, *sizes)
    return x


def outputs(workload: Workload, parameters: Any, x: Any) -> Any:
    """Activation of the last layer; of a softmax output, its logits."""
    return through(workload.layers, iter(parameters), x)


def mean_loss(workload: Workload, parameters: Any, x: Any, y: Any) -> Any:
    """The mean loss of a batch."""
    output = outputs(workload, parameters, x)
    if workload.output == "softmax":
        picked = jnp.take_along_axis(jax.nn.log_softmax(output), y[..., None], axis=-1)
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
        self.parameters: Any = jax.tree.map(jnp.asarray, workload.arrays())
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

    @override
    def proof(self) -> list[float]:
        loss, slopes = jax.value_and_grad(
            lambda theta: mean_loss(self.workload, theta, *self.cut[0])
        )(self.parameters)
        return [
            float(loss),
            *(
                sum(float(jnp.vdot(*pair)) for pair in zip(*own, strict=True))
                for own in zip(slopes, self.workload.directions(), strict=True)
            ),
        ]

    def wait(self) -> None:
        """Wait until the last update is finished, since steps are dispatched asynchronously."""
        for value in jax.tree.leaves(self.parameters):
            value.block_until_ready()

    @override
    def predict(self, x: Array) -> object:
        return np.asarray(self.outputs(self.parameters, x))


PEER = JaxStep
