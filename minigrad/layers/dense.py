"""The fully connected layer: every unit depends on every input."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer, build_once
from minigrad.data.arrays import Array, Shape, features
from minigrad.layers.affine import Affine, as_activation, product, sum_vectors, vectors
from minigrad.util.config import register
from minigrad.util.fields import As, option, options
from minigrad.util.options import check_int
from minigrad.util.random import RNG


@register
@options
class Dense(Affine):
    r"""z = x W + b, with `weight` W of shape (inputs, units) and `bias` b of shape (units,).

    Rows may have more axes, as in (batch, time, inputs): W multiplies each vector along the last
    axis, as in Keras and PyTorch, and the sums over rows below are over all of these vectors.

    Backward takes dJ/da of the output a, z or the activation of z. With delta = dJ/dz of shape
    (batch, ..., units), which is dJ/da times the activation's derivative:

        dJ/dW = x^T delta        sum over rows of delta_k a_j (Equation 6), or delta_j a_i (11)
        dJ/db = sum over rows of delta
        dJ/dx = delta W^T        the sum over k of delta_k w_jk in Equation 10

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: an unknown name; `bias` with `use_bias=False`; when the layer is built, a shared
            parameter of another shape or with a regularizer.

    Source: Bishop, Pattern Recognition and Machine Learning, 2006, section 5.3.

    >>> dense = Dense(2, weight_initializer=np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> dense.build((2,), np.random.default_rng(0))
    (2,)
    >>> dense.forward(np.array([[1.0, 1.0]])), dense.backward(np.array([[1.0, 0.0]]))
    (array([[4., 6.]]), array([[1., 3.]]))
    >>> dense.weight.grad
    array([[1., 0.],
           [1., 0.]])
    """

    units: int = option(check_int, kw_only=False)
    """The number of outputs, at least 1."""
    activation: As[str | Layer | None, Layer | None] = option(
        as_activation, default=None, kw_only=False
    )
    """A layer, or its name, applied to z: `Dense(3, activation="sigmoid")` computes the same as
    `Dense(3), Sigmoid()`."""

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        inputs = features(input_shape, self.label)
        self.weight = self.parameter("weight", (inputs, self.units), rng)
        self.bias = self.parameter("bias", (self.units,), rng) if self.use_bias else None
        self.input_shape = input_shape
        shape = (*input_shape[:-1], self.units)
        return build_once(self.activation, shape, rng) if self.activation else shape

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        weight = self.weight.value
        self.check_input(x)
        if training:
            self.cache = x
        z = product(x, weight)
        if self.bias is not None:
            z += self.bias.value
        return self.activation.forward(z, training=training) if self.activation else z

    @override
    def backward(self, delta: Array) -> Array:
        delta = self._parameter_gradients(delta)
        return product(delta, self.weight.value.T).reshape(self.cache.shape)

    @override
    def backward_parameters(self, delta: Array) -> None:
        self._parameter_gradients(delta)

    def _parameter_gradients(self, delta: Array) -> Array:
        """Assign dJ/dW and dJ/db, and return delta = dJ/dz as a matrix."""
        x = self.cache
        delta = self.delta_z(delta, (*x.shape[:-1], self.units), x.dtype)
        if self.bias is not None:
            sum_vectors(delta, out=self.bias.grad)
        x, delta = vectors(x), vectors(delta)
        np.dot(x.T, delta, out=self.weight.grad)
        return delta
