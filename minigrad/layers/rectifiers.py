"""Piecewise activations: ReLU and its variants, and the hard forms of tanh and sigmoid."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from minigrad.data.arrays import Array
from minigrad.layers.activations import Activation
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import check_not_negative

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
