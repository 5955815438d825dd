"""The base of layers with a weight, a bias and an activation."""

from __future__ import annotations

import inspect
from types import NoneType, SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape
from minigrad.initializers import InitializerLike, check_initializer, initialize
from minigrad.regularizers import Regularizer, check_regularizer
from minigrad.util.config import as_object
from minigrad.util.fields import As, option, options
from minigrad.util.names import kind_of, snake_case
from minigrad.util.options import check_bool
from minigrad.util.random import RNG

Activated: TypeAlias = As[str | Layer | None, Layer | None]
Given: TypeAlias = As[Parameter | None, Parameter]


def as_activation(value: str | Layer, name: str, owner: object) -> Layer:
    """Return the layer, or make it from its name."""
    activation: Layer = as_object(Layer, value, name, suggested=lambda cls: cls.is_activation)
    activation.name = activation.name or snake_case(type(activation).__name__)
    return activation


def check_shared(value: Parameter, name: str, owner: object) -> Parameter:
    """Return a parameter of another layer."""
    if not isinstance(value, (Parameter, NoneType)):
        raise TypeError(
            f"{type(owner).__name__} expects a Parameter of another layer as {name}, got "
            f"{kind_of(value)}: for numbers use {name}_initializer, for none use_bias"
        )
    return value


@options
class Affine(Layer):
    """The base of `Dense` and the convolutions: the activation of a linear map of x, plus a bias.

    It checks the options that these layers share, and creates their parameters.
    """

    use_bias: bool = option(check_bool, default=True)
    """False leaves b out."""
    weight_initializer: InitializerLike = option(check_initializer, default="glorot_uniform")
    """A name, an `Initializer`, or an array of the shape."""
    bias_initializer: InitializerLike = option(check_initializer, default="zeros")
    """The same for b."""
    weight_regularizer: Regularizer | None = option(check_regularizer, default=None)
    """A term added to the loss, such as `L2(1e-4)`."""
    bias_regularizer: Regularizer | None = option(check_regularizer, default=None)
    """The same for b."""
    weight: Given = option(check_shared, default=None)
    """A `Parameter` of another layer to share. Each layer keeps the gradient of its own use;
    `model.parameters` has the sum."""
    bias: As[Parameter | None, Parameter | None] = option(check_shared, default=None)
    """The same for b."""

    if TYPE_CHECKING:  # an option of the subclasses, by position or by name

        @property
        def activation(self) -> Layer | None: ...

    @override
    def __post_init__(self) -> None:
        if self.bias is not None and not self.use_bias:
            kind = type(self).__name__
            raise ValueError(f"{kind} got a bias to share and use_bias=False: leave one out")
        # Not a dict, where parameters would be found: `build` makes them attributes.
        own = vars(self)
        self._shared = SimpleNamespace(weight=own.pop("weight"), bias=own.pop("bias"))

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
