"""The GRU: gates decide how much of the state a step replaces."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape
from minigrad.layers.recurrent import Recurrent, dropped
from minigrad.layers.weighted import new_parameter
from minigrad.util.config import register
from minigrad.util.random import RNG


@register
class GRU(Recurrent):
    """h_t = (1 - u) n + u h_(t-1), with h_0 = 0.

    W, U and b have a block for each of r, u, n, in this order; d is `recurrent_bias` of shape
    (units,), which starts at zero:

        r = sigmoid(x_t W_r + h_(t-1) U_r + b_r)    the reset gate
        u = sigmoid(x_t W_u + h_(t-1) U_u + b_u)    the update gate
        k = h_(t-1) U_n + d
        n = tanh(x_t W_n + b_n + r k)               the candidate

    Backward, from the last step to the first, with delta_h = dJ/dh_t:

        delta_n = delta_h (1 - u) (1 - n^2)
        delta_k = delta_n r
        delta_r = delta_k k (1 - r)
        delta_u = delta_h (h_(t-1) - n) u (1 - u)
        dJ/dh_(t-1) = delta_h u + delta_r U_r^T + delta_u U_u^T + delta_k U_n^T
        + the delta of the output h_(t-1)

    delta_t of `Recurrent` is delta_r, delta_u, delta_n for W and b, and delta_r, delta_u, delta_k
    for U. `Recurrent` has the options, too.

    This is `torch.nn.GRU`, whose two biases of r and u add up to b, and Keras's GRU, where the
    order is u, r, n and `reset_after=True`. sigmoid(z) is computed as in `LSTM`.

    Source: Cho et al., Learning phrase representations using RNN encoder-decoder, EMNLP 2014, which
    multiplies by r before U_n, not after.

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
        self.recurrent_bias = None
        if self.use_bias:
            self.recurrent_bias = new_parameter(
                self, "recurrent_bias", (self.units,), rng, "zeros", self.bias_regularizer
            )
        return output_shape

    @override
    def assign_gradients(self, inputs: Array, delta: Array) -> None:
        units, axes = self.units, ((0, 2), (0, 2))
        gradient = np.tensordot(inputs[:, units:], delta[:, : 3 * units], axes)
        self.weight.grad = gradient[:-1]
        r_u_k = np.delete(delta, slice(2 * units, 3 * units), axis=1)
        self.recurrent_weight.grad = np.tensordot(inputs[:, :units], r_u_k, axes)
        if self.bias is not None and self.recurrent_bias is not None:
            self.bias.grad = gradient[-1]
            self.recurrent_bias.grad = delta[:, 3 * units :].sum(axis=(0, 2))

    @override
    def forward_steps(
        self, inputs: Array, states: list[Array], factor: Array | None
    ) -> tuple[Array, ...]:
        (h,), units = states, self.units
        d = 0.0 if self.recurrent_bias is None else self.recurrent_bias.value[:, np.newaxis]
        matrix = self.matrix().T
        matrix[: 2 * units] *= 0.5  # sigmoid(z) = (1 + tanh(z / 2)) / 2
        z = np.empty((len(h) - 1, 4 * units, h.shape[2]), h.dtype)
        of_h, of_x = (None, None) if factor is None else (factor[:units], factor[units:])
        np.matmul(matrix[:, units:], dropped(inputs[:-1, units:], of_x), out=z[:, : 3 * units])
        gates = z.reshape(len(z), 4, units, -1)
        for t in range(len(z)):
            product = np.matmul(matrix[:, :units], dropped(h[t], of_h)).reshape(gates[t, :3].shape)
            r_u, (r, u, n, k) = gates[t, :2], gates[t]
            r_u += product[:2]
            np.tanh(r_u, out=r_u)
            r_u *= 0.5
            r_u += 0.5
            np.add(product[2], d, out=k)
            n += r * k
            np.tanh(n, out=n)
            np.subtract(h[t], n, out=h[t + 1])  # h_t = n + u (h_(t-1) - n)
            h[t + 1] *= u
            h[t + 1] += n
        return (gates,)

    @override
    def backward_steps(
        self,
        deltas: list[Array],
        states: list[Array],
        kept: tuple[Array, ...],
        factor: Array | None,
    ) -> Array:
        (delta_h,), (h,), (gates,), units = deltas, states, kept, self.units
        r, u, n, k = gates.swapaxes(0, 1)
        delta = np.empty_like(gates)  # the factors of delta_h, by which each step multiplies
        delta_r, delta_u, delta_n, delta_k = delta.swapaxes(0, 1)
        np.multiply(1 - u, 1 - n * n, out=delta_n)
        np.multiply(delta_n, r, out=delta_k)
        np.multiply(delta_k, (1 - r) * k, out=delta_r)
        np.multiply((h[:-1] - n) * u, 1 - u, out=delta_u)
        columns = delta.reshape(len(delta), 4 * units, -1)
        weight_r_u, weight_n = np.split(self.recurrent_weight.value, [2 * units], axis=1)
        for t in reversed(range(len(delta))):
            delta[t] *= delta_h[t + 1]
            delta_h[t] += delta_h[t + 1] * u[t]
            delta_h[t] += dropped(np.dot(weight_r_u, columns[t, : 2 * units]), factor)
            delta_h[t] += dropped(np.dot(weight_n, columns[t, 3 * units :]), factor)
        return columns
