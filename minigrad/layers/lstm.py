"""The LSTM: gates decide what a cell state takes in, keeps and shows."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from minigrad.data.arrays import Array, Shape
from minigrad.layers.recurrent import Recurrent, dropped
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import check_bool
from minigrad.util.random import RNG


@register
@options
class LSTM(Recurrent):
    """c_t = f c_(t-1) + i g and h_t = o tanh(c_t), with h_0 = c_0 = 0.

    z_t = x_t W + h_(t-1) U + b has a block for each of i, f, g, o, in this order:

        i = sigmoid(z_i)    the input gate
        f = sigmoid(z_f)    the forget gate
        g = tanh(z_g)       the candidate
        o = sigmoid(z_o)    the output gate

    Backward, from the last step to the first, with delta_h = dJ/dh_t and delta_c = dJ/dc_t:

        delta_c += delta_h o (1 - tanh(c_t)^2)
        delta_i = delta_c g i (1 - i)
        delta_f = delta_c c_(t-1) f (1 - f)
        delta_g = delta_c i (1 - g^2)
        delta_o = delta_h tanh(c_t) o (1 - o)
        dJ/dc_(t-1) = delta_c f

    `Recurrent` has the other options, dJ/dh_(t-1), dJ/dx, and the parameters' gradients. This is
    `torch.nn.LSTM`, whose two biases add up to b, and Keras's LSTM.

    sigmoid(z) is computed as (1 + tanh(z / 2)) / 2, so that one tanh serves all gates. Its absolute
    error is that of rounding, its relative error is not: below z = -38 (float32: -20) a gate is 0.

    Source: Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9, 1997; the
    forget gate: Gers, Schmidhuber and Cummins, Learning to forget, Neural Computation 12, 2000.

    >>> layer = LSTM(4, return_sequences=True)
    >>> layer.build((None, 3), np.random.default_rng(0))
    (None, 4)
    >>> layer.forward(np.zeros((2, 5, 3))).shape
    (2, 5, 4)
    """

    gates = 4
    states = ("h", "c")
    kept = 7

    unit_forget_bias: bool = option(check_bool, default=True, after="use_bias")
    """True adds 1 to the initial bias of the forget gate, as in Keras, so that the cell remembers
    from the start."""

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        output_shape = super().build(input_shape, rng)
        if self.bias is not None and self.unit_forget_bias:
            self.bias.value[self.units : 2 * self.units] += 1
        return output_shape

    @override
    def forward_steps(
        self, inputs: Array, states: list[Array], factor: Array | None
    ) -> tuple[Array, ...]:
        h, c = states
        tanh_c = np.empty_like(c[1:])
        z = np.empty((len(tanh_c), 4 * self.units, h.shape[2]), h.dtype)
        gates = z.reshape(len(z), 4, self.units, -1)
        scale = np.repeat(np.array([0.5, 0.5, 1, 0.5], h.dtype), gates[0, 0].size)
        scale = scale.reshape(z[0].shape)  # sigmoid(z) = (1 + tanh(z / 2)) / 2
        shift = 1 - scale
        matrix = self.matrix().T * scale[:, :1]
        for t in range(len(z)):
            np.matmul(matrix, dropped(inputs[t], factor), out=z[t])
            np.tanh(z[t], out=z[t])
            z[t] *= scale
            z[t] += shift
            i, f, g, o = gates[t]
            np.multiply(f, c[t], out=c[t + 1])
            c[t + 1] += i * g
            np.tanh(c[t + 1], out=tanh_c[t])
            np.multiply(o, tanh_c[t], out=h[t + 1])
        return gates, tanh_c

    @override
    def backward_steps(
        self,
        deltas: list[Array],
        states: list[Array],
        kept: tuple[Array, ...],
        factor: Array | None,
    ) -> Array:
        (delta_h, delta_c), (_, c), (gates, tanh_c) = deltas, states, kept
        weight = self.recurrent_weight.value
        i, f, g, o = gates.swapaxes(0, 1)
        delta = 1 - gates  # the factors of delta_c and delta_h, by which each step multiplies
        delta *= gates
        delta_i, delta_f, delta_g, delta_o = delta.swapaxes(0, 1)
        delta_i *= g
        delta_f *= c[:-1]
        delta_g[...] = (1 - g * g) * i
        delta_o *= tanh_c
        columns = delta.reshape(len(delta), 4 * self.units, -1)
        through_h = o * (1 - tanh_c * tanh_c)
        for t in reversed(range(len(delta))):
            delta_c[t + 1] += delta_h[t + 1] * through_h[t]
            delta[t, :3] *= delta_c[t + 1]
            delta[t, 3] *= delta_h[t + 1]
            delta_c[t] += delta_c[t + 1] * f[t]
            delta_h[t] += dropped(np.dot(weight, columns[t]), factor)
        return columns
