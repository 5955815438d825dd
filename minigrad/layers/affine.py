"""The base of layers with a weight, a bias and an activation."""

from __future__ import annotations

import inspect
from types import NoneType, SimpleNamespace
from typing import Any

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape
from minigrad.initializers import InitializerLike, check_initializer, initialize
from minigrad.layers.activations import Activation
from minigrad.layers.softmax import LogSoftmax, Softmax
from minigrad.regularizers import Regularizer, check_regularizer
from minigrad.util.config import as_object
from minigrad.util.names import kind_of, snake_case
from minigrad.util.options import check_bool
from minigrad.util.random import RNG

_ACTIVATIONS = (Activation, Softmax, LogSoftmax)


class Affine(Layer):
    """The base of `Dense` and the convolutions: the activation of a linear map of x, plus a bias.

    It checks the options that these layers share, and creates their parameters.
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        activation: str | Layer | None,
        *,
        use_bias: bool,
        weight_initializer: InitializerLike,
        bias_initializer: InitializerLike,
        weight_regularizer: Regularizer | None,
        bias_regularizer: Regularizer | None,
        weight: Parameter | None,
        bias: Parameter | None,
        name: str,
    ) -> None:
        super().__init__(name=name)
        if activation is not None:
            activation = as_object(Layer, activation, "activation", suggested=_ACTIVATIONS)
            activation.name = activation.name or snake_case(type(activation).__name__)
        self.activation = activation
        self.use_bias = check_bool(use_bias, "use_bias", self)
        self.weight_initializer = check_initializer(weight_initializer, "weight_initializer")
        self.bias_initializer = check_initializer(bias_initializer, "bias_initializer")
        self.weight_regularizer = check_regularizer(weight_regularizer, "weight_regularizer")
        self.bias_regularizer = check_regularizer(bias_regularizer, "bias_regularizer")
        kind = type(self).__name__
        for argument, shared in ("weight", weight), ("bias", bias):
            if not isinstance(shared, (Parameter, NoneType)):
                raise TypeError(
                    f"{kind} expects a Parameter of another layer as {argument}, got "
                    f"{kind_of(shared)}: for numbers use {argument}_initializer, for none use_bias"
                )
        if bias is not None and not use_bias:
            raise ValueError(f"{kind} got a bias to share and use_bias=False: leave one out")
        # Not a dict, where parameters would be found: `build` makes them attributes.
        self._shared = SimpleNamespace(weight=weight, bias=bias)

    def parameter(self, name: str, shape: Shape, rng: RNG) -> Parameter:
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

    def delta_z(self, delta: Array, shape: Shape, dtype: np.dtype[Any]) -> Array:
        """Return dJ/dz, back through the activation, for delta of this shape."""
        self.check_delta(delta, shape)
        if self.activation is not None:
            delta = self.activation.backward(delta)
        if delta.dtype != dtype:
            raise TypeError(f"{self.label} expects delta of dtype {dtype}, got {delta.dtype}")
        return delta

    @override
    def get_config(self) -> dict[str, Any]:
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names if name not in ("weight", "bias")}
