"""Piecewise activations: ReLU and its variants, and the hard forms of tanh and sigmoid."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape
from minigrad.initializers.base import InitializerLike, check_initializer
from minigrad.initializers.distributions import Constant
from minigrad.layers.activations import Activation
from minigrad.layers.weighted import new_parameter
from minigrad.regularizers import Regularizer, check_regularizer
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import check_not_negative
from minigrad.util.random import RNG

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


@register
class ReLU(Activation):
    """a = max(z, 0), and g' = 1 where a > 0, else 0 (also at z = 0).

    Source: Nair and Hinton, Rectified linear units improve restricted Boltzmann machines, 2010.

    >>> ReLU().forward(np.array([[-1.0, 2.0]]))
    array([[0., 2.]])
    """

    equation = "a = max(z, 0); g' = 1 if z > 0 else 0"
    from_output = True

    @override
    def function(self, z: Array) -> Array:
        return np.maximum(z, 0.0)

    @override
    def derivative(self, cached: Array) -> Array:
        return (cached > 0.0).astype(cached.dtype)


@register
@options
class LeakyReLU(Activation):
    """a = z where z > 0, else slope * z; g' = 1 where z > 0, else slope.

    Source: Maas et al., Rectifier nonlinearities improve neural network acoustic models, 2013.

    >>> LeakyReLU(0.1).forward(np.array([[-1.0, 2.0]]))
    array([[-0.1,  2. ]])
    """

    equation = "a = z if z > 0 else slope z; g' = 1 if z > 0 else slope"

    slope: float = option(check_not_negative, default=0.01, kw_only=False)
    """The derivative for z < 0, at least 0; PyTorch's default is 0.01, Keras's 0.3."""

    @override
    def function(self, z: Array) -> Array:
        return np.where(z > 0, z, self.slope * z)

    @override
    def derivative(self, cached: Array) -> Array:
        slope = np.full_like(cached, self.slope)
        slope[cached > 0] = 1
        return slope


def check_shared_axes(value: Sequence[int], name: str, owner: object) -> tuple[int, ...]:
    """Return the axes of a row, counted from 1."""
    try:
        axes = tuple(sorted(map(operator.index, value)))
    except TypeError:
        axes = (0,)
    if len({*axes}) < len(axes) or any(axis < 1 for axis in axes):
        raise ValueError(
            f"{type(owner).__name__} expects different axes from 1 on as {name}, got {value!r}"
        )
    return axes


@register
@options
class PReLU(Activation):
    """a = z where z > 0, else slope * z, with a slope that is trained for each channel.

    g' = 1 where z > 0, else slope, and dJ/dslope = the sum of dJ/da min(z, 0) over all numbers with
    this slope, those of all rows.

    Raises:
        ValueError: axes below 1, or, when the layer is built, axes that the rows don't have.

    Source: He et al., Delving deep into rectifiers, ICCV 2015, equations 1 and 2.

    >>> layer = PReLU()
    >>> layer.build((2,), np.random.default_rng(0))
    (2,)
    >>> layer.forward(np.array([[-4.0, 2.0]])), layer.backward(np.array([[1.0, 1.0]]))
    (array([[-1.,  2.]]), array([[0.25, 1.  ]]))
    >>> layer.slope.grad
    array([-4.,  0.])
    """

    equation = "a = z if z > 0 else slope z; g' = 1 if z > 0 else slope"

    shared_axes: Sequence[int] | None = option(check_shared_axes, default=None)
    """The axes of a row, from 1 on, along which all numbers have one slope; by default all but the
    last, the channels. PyTorch's single slope is all axes, Keras's default none, ()."""
    slope_initializer: InitializerLike = option(check_initializer, default=Constant(0.25))
    """A name, an `Initializer`, or an array of the shape of a row, with 1 for the shared axes."""
    slope_regularizer: Regularizer | None = option(check_regularizer, default=None)
    """A term added to the loss. Weight decay would pull the slopes toward a `ReLU`."""

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        count = len(input_shape)
        axes = range(1, count) if self.shared_axes is None else self.shared_axes
        if any(axis > count for axis in axes):
            raise ValueError(
                f"{self.label} expects shared_axes of rows of shape {input_shape}, got {axes}"
            )
        shape = tuple(1 if axis in axes else n for axis, n in enumerate(input_shape, start=1))
        if None in shape:
            raise ValueError(
                f"{self.label} expects known lengths of axes that aren't shared, got {input_shape}"
            )
        first, regularizer = self.slope_initializer, self.slope_regularizer
        self.slope: Parameter = new_parameter(self, "slope", shape, rng, first, regularizer)
        self._shared_places = (0, *(axis for axis in axes))
        return input_shape

    @override
    def function(self, z: Array) -> Array:
        return np.where(z > 0, z, self.slope.value * z)

    @override
    def derivative(self, cached: Array) -> Array:
        return np.where(cached > 0, 1, self.slope.value)

    @override
    def backward(self, delta: Array) -> Array:
        input_delta = super().backward(delta)
        below = delta * np.minimum(self.cache, 0)
        self.slope.grad = below.sum(axis=self._shared_places, keepdims=True)[0]
        return input_delta


@register
@options
class ELU(Activation):
    """a = z where z > 0, else alpha (exp(z) - 1); g' = 1 where z > 0, else alpha exp(z).

    Source: Clevert et al., Exponential linear units, ICLR 2016, equation 15.

    >>> ELU().forward(np.array([[-1000.0, 0.0, 2.0]]))
    array([[-1.,  0.,  2.]])
    """

    equation = "a = z if z > 0 else alpha (exp(z) - 1); g' = 1 if z > 0 else alpha exp(z)"

    alpha: float = option(check_not_negative, default=1.0, kw_only=False)
    """a approaches -alpha for large negative z; at least 0."""

    @override
    def function(self, z: Array) -> Array:
        return np.where(z > 0, z, self.alpha * np.expm1(np.minimum(z, 0)))

    @override
    def derivative(self, cached: Array) -> Array:
        return np.where(cached > 0, 1, self.alpha * _exp_below_zero(cached))


@register
class SELU(Activation):
    """a = scale z where z > 0, else scale alpha (exp(z) - 1).

    g' = scale where z > 0, else scale alpha exp(z). The constants scale = 1.0507 and alpha = 1.6733
    preserve mean 0 and variance 1 from layer to layer if `LecunNormal` makes the weights.

    Source: Klambauer et al., Self-normalizing neural networks, 2017, equation 2.

    >>> SELU().forward(np.array([[-1000.0, 0.0, 1.0]]))
    array([[-1.75809934,  0.        ,  1.05070099]])
    """

    equation = (
        "a = 1.050701 (z if z > 0 else 1.673263 (exp(z) - 1)); "
        "g' = 1.050701 (1 if z > 0 else 1.673263 exp(z))"
    )

    @override
    def function(self, z: Array) -> Array:
        return SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0)))

    @override
    def derivative(self, cached: Array) -> Array:
        return SELU_SCALE * np.where(cached > 0, 1, SELU_ALPHA * _exp_below_zero(cached))


@register
class Hardtanh(Activation):
    """a = z clipped to [-1, 1]; g' = 1 where -1 < z < 1, else 0; as PyTorch's.

    >>> Hardtanh().forward(np.array([[-3.0, 0.5, 3.0]]))
    array([[-1. ,  0.5,  1. ]])
    """

    equation = "a = min(max(z, -1), 1); g' = 1 if |z| < 1 else 0"

    @override
    def function(self, z: Array) -> Array:
        return np.clip(z, -1, 1)

    @override
    def derivative(self, cached: Array) -> Array:
        return (np.abs(cached) < 1).astype(cached.dtype)


@register
class Hardsigmoid(Activation):
    """a = z / 6 + 1/2 clipped to [0, 1]; g' = 1/6 where -3 < z < 3, else 0.

    As PyTorch's, except that its float64 backward uses 1/6 rounded to float32.

    >>> Hardsigmoid().forward(np.array([[-3.0, 0.0, 1.5]]))
    array([[0.  , 0.5 , 0.75]])
    """

    equation = "a = min(max(z / 6 + 0.5, 0), 1); g' = 1 / 6 if |z| < 3 else 0"

    @override
    def function(self, z: Array) -> Array:
        return np.clip(z / 6 + 0.5, 0, 1)

    @override
    def derivative(self, cached: Array) -> Array:
        return (np.abs(cached) < 3).astype(cached.dtype) / 6


def _exp_below_zero(z: Array) -> Array:
    with np.errstate(under="ignore"):
        return np.exp(np.minimum(z, 0))
