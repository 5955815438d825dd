"""The fully connected layer: every unit depends on every input."""

from __future__ import annotations

from types import NoneType, SimpleNamespace
from typing import Any

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer, build_once
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape, features
from minigrad.initializers import InitializerLike, check_initializer, initialize
from minigrad.layers.activations import Activation
from minigrad.layers.softmax import LogSoftmax, Softmax
from minigrad.regularizers import Regularizer, check_regularizer
from minigrad.util.config import as_object, register
from minigrad.util.names import kind_of, snake_case
from minigrad.util.options import check_bool, check_int
from minigrad.util.random import RNG

_ACTIVATIONS = (Activation, Softmax, LogSoftmax)


@register
class Dense(Layer):
    r"""z = x W + b, with `weight` W of shape (inputs, units) and `bias` b of shape (units,).

    Rows may have more axes, as in (batch, time, inputs): W multiplies each vector along the last
    axis, as in Keras and PyTorch, and the sums over rows below are over all of these vectors.

    Backward, with delta = dJ/dz of shape (batch, ..., units):

        dJ/dW = x^T delta        Equations 6 and 11: sum over rows of delta_k a_j
        dJ/db = sum over rows of delta
        dJ/dx = delta W^T        the sum over k of delta_k w_jk in Equation 10

    Args:
        units: the number of outputs, at least 1.
        activation: a layer, or its name, applied to z: `Dense(3, activation="sigmoid")` computes
            the same as `Dense(3), Sigmoid()`.
        use_bias: False leaves b out.
        weight_initializer, bias_initializer: a name, an `Initializer`, or an array of the shape.
        weight_regularizer, bias_regularizer: a term added to the loss, such as `L2(1e-4)`.
        weight, bias: a `Parameter` of another layer to share. Each layer keeps the gradient of its
            own use; `model.parameters` has the sum.
        name: see `Layer`.

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

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        units: int,
        activation: str | Layer | None = None,
        *,
        use_bias: bool = True,
        weight_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        weight_regularizer: Regularizer | None = None,
        bias_regularizer: Regularizer | None = None,
        weight: Parameter | None = None,
        bias: Parameter | None = None,
        name: str = "",
    ) -> None:
        super().__init__(name=name)
        self.units = check_int(units, "units", self)
        if activation is not None:
            activation = as_object(Layer, activation, "activation", suggested=_ACTIVATIONS)
            activation.name = activation.name or snake_case(type(activation).__name__)
        self.activation = activation
        self.use_bias = check_bool(use_bias, "use_bias", self)
        self.weight_initializer = check_initializer(weight_initializer, "weight_initializer")
        self.bias_initializer = check_initializer(bias_initializer, "bias_initializer")
        self.weight_regularizer = check_regularizer(weight_regularizer, "weight_regularizer")
        self.bias_regularizer = check_regularizer(bias_regularizer, "bias_regularizer")
        for argument, shared in ("weight", weight), ("bias", bias):
            if not isinstance(shared, (Parameter, NoneType)):
                raise TypeError(
                    f"Dense expects a Parameter of another layer as {argument}, got "
                    f"{kind_of(shared)}: for numbers use {argument}_initializer, for none use_bias"
                )
        if bias is not None and not use_bias:
            raise ValueError("Dense got a bias to share and use_bias=False: leave one out")
        # Not a dict, where parameters would be found: `build` makes them attributes.
        self._shared = SimpleNamespace(weight=weight, bias=bias)

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        shape = (*input_shape[:-1], self.units)
        self.weight = self._parameter(
            "weight", (features(input_shape, self.label), self.units), rng
        )
        self.bias = self._parameter("bias", (self.units,), rng) if self.use_bias else None
        self.input_shape, self._several = input_shape, len(input_shape) > 1
        return build_once(self.activation, shape, rng) if self.activation else shape

    def _parameter(self, name: str, shape: Shape, rng: RNG) -> Parameter:
        """Return the shared parameter, or create one."""
        shared: Parameter | None = getattr(self._shared, name)
        regularizer = getattr(self, f"{name}_regularizer")
        if shared is None:
            initializer = getattr(self, f"{name}_initializer")
            value = initialize(initializer, shape, rng, f"the {name} of {self.label}")
            return Parameter(value, regularizer=regularizer)
        if regularizer is not None:
            raise ValueError(
                f"{self.label} shares its {name} and has a {name}_regularizer: pass it to the "
                "layer that the parameter is from"
            )
        if shared.shape != shape:
            raise ValueError(
                f"{self.label} expects a shared {name} of shape {shape}, got {shared!r}"
            )
        return shared

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        weight = self.weight.value
        assert self.input_shape is not None
        self.check_input(x, self.input_shape)
        if training:
            self.cache = x
        if self._several:
            z: Array = np.dot(_vectors(x), weight).reshape(*x.shape[:-1], self.units)
            if self.bias is not None:
                z += self.bias.value
        else:
            # Computed transposed: each unit is contiguous, which is fast for the activation.
            columns: Array = np.dot(weight.T, x.T)
            if self.bias is not None:
                columns += self.bias.value[:, np.newaxis]
            z = columns.T
        return self.activation.forward(z, training=training) if self.activation else z

    @override
    def backward(self, delta: Array) -> Array:
        delta = self._parameter_gradients(delta)
        input_delta: Array
        if self._several:
            input_delta = np.dot(delta, self.weight.value.T).reshape(self.cache.shape)
        else:
            input_delta = np.dot(self.weight.value, delta.T).T
        return input_delta

    @override
    def backward_parameters(self, delta: Array) -> None:
        self._parameter_gradients(delta)

    def _parameter_gradients(self, delta: Array) -> Array:
        """Assign dJ/dW and dJ/db, and return delta = dJ/dz as a matrix."""
        x, several = self.cache, self._several
        self.check_delta(delta, (*x.shape[:-1], self.units) if several else (len(x), self.units))
        if self.activation is not None:
            delta = self.activation.backward(delta)
        if delta.dtype != x.dtype:
            raise TypeError(f"{self.label} expects delta of dtype {x.dtype}, got {delta.dtype}")
        if several:
            x, delta = _vectors(x), _vectors(delta)
        np.dot(x.T, delta, out=self.weight.grad)
        if self.bias is not None:
            if several:  # delta is C-ordered: a product is the faster sum
                np.dot(np.ones(len(delta), delta.dtype), delta, out=self.bias.grad)
            else:
                np.add.reduce(delta, axis=0, out=self.bias.grad)
        return delta

    @override
    def get_config(self) -> dict[str, Any]:
        names = (
            "units", "activation", "use_bias", "weight_initializer", "bias_initializer",
            "weight_regularizer", "bias_regularizer", "name",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}


def _vectors(array: Array) -> Array:
    """Return the vectors along the last axis as the rows of a matrix."""
    return array.reshape(-1, array.shape[-1])
