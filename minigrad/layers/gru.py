"""The GRU: gates decide how much of the state a step replaces."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape
from minigrad.layers.recurrent import Recurrent
from minigrad.util.config import register
from minigrad.util.random import RNG


@register
class GRU(Recurrent):
    """h_t = (1 - u) n + u h_(t-1), with two gates r, u and a candidate n, and h_0 = 0.

    W, U and b have a block for each of r, u, n; d is `recurrent_bias`, of shape (units,):

        r = sigmoid(x_t W_r + h_(t-1) U_r + b_r)    the reset gate
        u = sigmoid(x_t W_u + h_(t-1) U_u + b_u)    the update gate
        k = h_(t-1) U_n + d
        n = tanh(x_t W_n + b_n + r k)               the candidate

    Backward, from the last step to the first, with delta_h = dJ/dh_t:

        delta_n = delta_h (1 - u) (1 - n^2)
        delta_k = delta_n r
        delta_r = delta_n k r (1 - r)
        delta_u = delta_h (h_(t-1) - n) u (1 - u)
        dJ/dh_(t-1) = delta_h u + delta_r U_r^T + delta_u U_u^T + delta_k U_n^T + its output's delta

    sigmoid(z) is computed as in `LSTM`. This is PyTorch's definition, and Keras's with its default
    `reset_after=True`; Keras's order of the blocks is u, r, n. PyTorch has second biases for r and
    u: b holds the sums. For the options, and the gradients of W, U and b, see `Recurrent`.

    Source: Cho et al., Learning phrase representations using RNN encoder-decoder, EMNLP 2014; it
    resets h before the product with U_n.

    >>> layer = GRU(4)
    >>> layer.build((None, 3), np.random.default_rng(0))
    (4,)
    >>> layer.forward(np.zeros((2, 5, 3))).shape
    (2, 4)
    """

    gates = 3
    kept = 5
    recurrent_bias: Parameter | None

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        output_shape = super().build(input_shape, rng)
        shape = (self.units,)
        self.recurrent_bias = (
            self._parameter("recurrent_bias", shape, rng) if self.use_bias else None
        )
        return output_shape

    @override
    def matrix(self) -> Array:
        """Return [W; U; b] with a block of columns for each of r, u, n without r k, and k."""
        features, gates = len(self.weight.value), 2 * self.units
        matrix = super().matrix()
        k = matrix[:, gates:].copy()
        k[:features] = 0
        k[-1] = 0 if self.recurrent_bias is None else self.recurrent_bias.value
        matrix[features:-1, gates:] = 0
        return np.concatenate([matrix, k], axis=1)

    @override
    def assign_gradients(self, gradient: Array) -> None:
        features, gates = len(self.weight.value), 2 * self.units
        k = gradient[:, -self.units :]
        gradient[features:-1, gates : -self.units] = k[features:-1]
        super().assign_gradients(gradient[:, : -self.units])
        if self.recurrent_bias is not None:
            self.recurrent_bias.grad = k[-1]

    @override
    def forward_steps(self, inputs: Array, states: list[Array]) -> tuple[Array, ...]:
        (h,) = states
        steps, units, rows = len(h) - 1, self.units, h.shape[2]
        gates = np.empty((steps, 4, units, rows), h.dtype)
        matrix = self.matrix().T
        matrix[: 2 * units] *= 0.5
        for t in range(steps):
            np.matmul(matrix, inputs[t], out=gates[t].reshape(4 * units, rows))
            sigmoids = gates[t, :2]
            np.tanh(sigmoids, out=sigmoids)
            sigmoids *= 0.5
            sigmoids += 0.5
            r, u, n, k = gates[t]
            n += r * k
            np.tanh(n, out=n)
            np.subtract(h[t], n, out=h[t + 1])
            h[t + 1] *= u
            h[t + 1] += n
        return (gates,)

    @override
    def backward_steps(self, delta_h: Array, states: list[Array], kept: tuple[Array, ...]) -> Array:
        (h,), (gates,) = states, kept
        r, u, n, k = gates.swapaxes(0, 1)
        delta = np.empty_like(gates)  # first the factors of delta_h
        to_n = (1 - u) * (1 - n * n)
        factors = [to_n * k * r * (1 - r), (h[:-1] - n) * u * (1 - u), to_n, to_n * r]
        np.stack(factors, axis=1, out=delta)
        weight = self.matrix()[len(self.weight.value) : -1]
        columns = delta.reshape(len(delta), -1, delta.shape[3])
        for t in reversed(range(len(delta))):
            delta[t] *= delta_h[t + 1]
            delta_h[t] += delta_h[t + 1] * u[t]
            delta_h[t] += np.dot(weight, columns[t])
        return columns
