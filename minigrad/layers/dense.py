"""The fully connected layer: every unit sees every input."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer, connect
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape
from minigrad.initializers import InitializerLike, check_initializer, initialize
from minigrad.layers.activations import Activation
from minigrad.layers.softmax import LogSoftmax, Softmax
from minigrad.regularizers import Regularizer, check_regularizer
from minigrad.util.config import as_object, register
from minigrad.util.names import snake_case
from minigrad.util.options import check_int
from minigrad.util.random import RNG

_ACTIVATIONS = (Activation, Softmax, LogSoftmax)


@register
class Dense(Layer):
    r"""z = x W + b, with `weight` W of shape (inputs, units) and `bias` b of shape (units,).

    Backward, with delta = dJ/dz of shape (batch, units):

        dJ/dW = x^T delta        Equations 6 and 11: sum over rows of delta_k a_j
        dJ/db = sum over rows of delta
        dJ/dx = delta W^T        the sum over k of delta_k w_jk in Equation 10

    Args:
        units: how many outputs.
        activation: a layer, or its name, that follows: `Dense(3, activation="sigmoid")` computes
            what `Dense(3), Sigmoid()` does.
        use_bias: False leaves b out.
        weight_initializer: a name, an `Initializer`, or an array of shape (inputs, units).
        bias_initializer: the same for shape (units,).
        weight_regularizer: what training adds to the loss for the weight, such as `L2(1e-4)`.
        bias_regularizer: the same for the bias.
        weight: a `Parameter` of another layer, to share it; the gradients add.
        bias: likewise.
        name: see `Layer`.

    Raises:
        TypeError: `units` is no number, `activation` neither a layer nor a name, `weight` or
            `bias` no `Parameter`.
        ValueError: `units` below 1 or not whole, an unknown initializer, a bias to share and
            `use_bias=False`; when it is built, a parameter to share that has another shape, or a
            regularizer too; input with another feature count.

    Source: Bishop, Pattern Recognition and Machine Learning, 2006, section 5.3.

    >>> dense = Dense(2, weight_initializer=np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> dense.build((2,), np.random.default_rng(0))
    (2,)
    >>> dense.forward(np.array([[1.0, 1.0]]))
    array([[4., 6.]])
    >>> dense.backward(np.array([[1.0, 0.0]]))
    array([[1., 3.]])
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
        check_initializer(weight_initializer, "weight_initializer")
        check_initializer(bias_initializer, "bias_initializer")
        _check_no_inputs(units, activation)
        if activation is not None:
            activation = as_object(Layer, activation, "activation", suggested=_ACTIVATIONS)
            activation.name = activation.name or snake_case(type(activation).__name__)
        self.activation = activation
        self.use_bias = use_bias
        self.weight_initializer = weight_initializer
        self.bias_initializer = bias_initializer
        self.weight_regularizer = check_regularizer(weight_regularizer, "weight_regularizer")
        self.bias_regularizer = check_regularizer(bias_regularizer, "bias_regularizer")
        _check_shared(weight, "weight")
        _check_shared(bias, "bias")
        if bias is not None and not use_bias:
            raise ValueError("Dense was given a bias to share and use_bias=False: leave one out")
        # No dict, which would be looked into for parameters: `build` makes them attributes.
        self._shared = SimpleNamespace(weight=weight, bias=bias)

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        if len(input_shape) != 1:
            way = "put Flatten() before it" if input_shape else "reshape x to (-1, 1)"
            raise ValueError(
                f"{self.label} takes input of shape (batch, features), got rows of shape "
                f"{input_shape}: {way}"
            )
        shape = (*input_shape, self.units)
        self.weight = self._parameter(
            "weight", shape, self.weight_initializer, self.weight_regularizer, rng
        )
        bias_shape = (self.units,)
        self.bias = (
            self._parameter("bias", bias_shape, self.bias_initializer, self.bias_regularizer, rng)
            if self.use_bias
            else None
        )
        return connect(self.activation, bias_shape, rng) if self.activation else bias_shape

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        weight = self.weight.value
        self.check_input(x, weight.shape[:1])
        if training:
            self.cache = x
        # Transposed, so that each feature lies in one piece: element-wise work runs over long rows.
        columns: Array = np.dot(weight.T, x.T)
        if self.bias is not None:
            columns += self.bias.value[:, np.newaxis]
        z = columns.T
        return self.activation.forward(z, training=training) if self.activation else z

    @override
    def backward(self, delta: Array) -> Array:
        input_delta: Array = np.dot(self.weight.value, self._parameter_gradients(delta).T).T
        return input_delta

    @override
    def backward_parameters(self, delta: Array) -> None:
        self._parameter_gradients(delta)

    def _parameter_gradients(self, delta: Array) -> Array:
        """Assign dJ/dW and dJ/db, and return dJ/dz."""
        x = self.cache
        self.check_delta(delta, (len(x), self.units))
        if self.activation is not None:
            delta = self.activation.backward(delta)
        if delta.dtype != x.dtype:
            raise TypeError(f"{self.label} expects delta of dtype {x.dtype}, got {delta.dtype}")
        np.dot(x.T, delta, out=self.weight.grad)
        if self.bias is not None:
            np.add.reduce(delta, axis=0, out=self.bias.grad)
        return delta

    @override
    def get_config(self) -> dict[str, Any]:
        return {
            "units": self.units,
            "activation": self.activation,
            "use_bias": self.use_bias,
            "weight_initializer": self.weight_initializer,
            "bias_initializer": self.bias_initializer,
            "weight_regularizer": self.weight_regularizer,
            "bias_regularizer": self.bias_regularizer,
            "name": self.name,
        }

    def _parameter(
        self,
        name: str,
        shape: Shape,
        initializer: InitializerLike,
        regularizer: Regularizer | None,
        rng: RNG,
    ) -> Parameter:
        shared: Parameter | None = getattr(self._shared, name)
        if shared is None:
            return Parameter(
                initialize(initializer, shape, rng, f"the {name} of {self.label}"),
                regularizer=regularizer,
            )
        if regularizer is not None:
            raise ValueError(
                f"{self.label} shares its {name}, and a regularizer counts once: give {name}_regularizer "
                "to the layer that the parameter is from"
            )
        if shared.shape != shape:
            raise ValueError(
                f"{self.label} needs a {name} of shape {shape}, got {shared!r} to share"
            )
        return shared


def _check_no_inputs(units: int, activation: object) -> None:
    if isinstance(activation, (int, np.integer)) and not isinstance(activation, bool):
        raise TypeError(
            f"Dense takes the number of its outputs alone, got ({units}, {activation}): pass "
            f"Dense({activation}), whose inputs are counted when it is built"
        )


def _check_shared(parameter: object, argument: str) -> None:
    if parameter is not None and not isinstance(parameter, Parameter):
        way = f"to start from numbers, pass {argument}_initializer="
        if argument == "bias" and isinstance(parameter, bool):
            way = "to have one or none, pass use_bias="
        raise TypeError(
            f"{argument} of Dense must be a Parameter of another layer, to share it, got "
            f"{type(parameter).__name__}: {way}"
        )
