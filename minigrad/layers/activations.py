"""Activations: a = g(z), and the derivative by which a delta is multiplied on its way back."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from typing_extensions import override

from minigrad.arrays import Array
from minigrad.config import register
from minigrad.layers.base import Layer


class Activation(Layer):
    """Element by element: a = g(z), and dJ/dz = dJ/da * g'(z).

    A new one defines `function` and `derivative`. Where the derivative is simpler in terms of the
    output, it sets `from_output`, and `derivative` is given a in the place of z.
    """

    from_output: ClassVar[bool] = False

    def function(self, z: Array) -> Array:
        """Return g(z), a new array."""
        raise NotImplementedError(f"{self.label} must define function(z)")

    def derivative(self, cached: Array) -> Array:
        """Return g'(z), a new array, from z or, with `from_output`, from g(z)."""
        raise NotImplementedError(f"{self.label} must define derivative(z)")

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        a = self.function(x)
        if training:
            self.cache = a if self.from_output else x
        return a

    @override
    def backward(self, delta: Array) -> Array:
        cached = self.cache
        if delta.shape != cached.shape:
            raise ValueError(
                f"{self.label} expects delta of shape {cached.shape}, got {delta.shape}"
            )
        slope: Array = self.derivative(cached)
        slope *= delta
        return slope


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)), to full relative accuracy for every z, without a warning.

    >>> sigmoid(np.array([-745.0, 0.0, 745.0]))
    array([5.e-324, 5.e-001, 1.e+000])
    """
    try:
        with np.errstate(over="raise", under="ignore"):
            a: Array = np.exp(-z)
    except FloatingPointError:  # below -709 exp(-z) is too large; exp(z) itself is not
        with np.errstate(under="ignore"):
            a = np.exp(-np.abs(z))
            return np.divide(np.where(z < 0, a, np.ones_like(a)), 1 + a)
    a += 1
    np.divide(1, a, out=a)
    return a


@register
class Sigmoid(Activation):
    """a = 1 / (1 + exp(-z)), and g' = a (1 - a).

    Accurate to the last places from z = -745 (where a is 5e-324) to 745; never a warning.
    Source: the logistic function, Bishop 2006, equations 4.59 and 4.88.

    >>> layer = Sigmoid()
    >>> layer.forward(np.array([[0.0]]))
    array([[0.5]])
    >>> layer.backward(np.array([[1.0]]))
    array([[0.25]])
    """

    from_output = True

    @override
    def function(self, z: Array) -> Array:
        return sigmoid(z)

    @override
    def derivative(self, cached: Array) -> Array:
        slope = 1 - cached
        slope *= cached
        return slope


@register
class Tanh(Activation):
    """a = tanh(z), and g' = 1 - a^2.

    Source: LeCun et al., Efficient BackProp, 1998, section 4.4.

    >>> Tanh().forward(np.array([[0.0, 1.0]]))
    array([[0.        , 0.76159416]])
    """

    from_output = True

    @override
    def function(self, z: Array) -> Array:
        return np.tanh(z)

    @override
    def derivative(self, cached: Array) -> Array:
        slope = cached * cached
        np.subtract(1, slope, out=slope)
        return slope


@register
class ReLU(Activation):
    """a = max(z, 0), and g' = 1 where a > 0, else 0 (also at z = 0).

    Source: Nair and Hinton, Rectified linear units improve restricted Boltzmann machines, 2010.

    >>> ReLU().forward(np.array([[-1.0, 2.0]]))
    array([[0., 2.]])
    """

    from_output = True

    @override
    def function(self, z: Array) -> Array:
        return np.maximum(z, 0)

    @override
    def derivative(self, cached: Array) -> Array:
        return np.sign(cached)


@register
class Identity(Activation):
    """a = z, and g' = 1: a linear output, said aloud.

    >>> Identity().forward(np.array([[-1.0, 2.0]]))
    array([[-1.,  2.]])
    """

    @override
    def function(self, z: Array) -> Array:
        return z.copy()

    @override
    def derivative(self, cached: Array) -> Array:
        return np.ones_like(cached)


@register
class Softmax(Layer):
    """a_k = exp(z_k) / sum over j of exp(z_j), along the last axis.

    Its units depend on one another, so delta comes back through the whole Jacobian:
    dJ/dz_k = a_k (delta_k - sum over j of delta_j a_j). The largest z is taken off first, so that
    no exponential overflows. To train a classifier, leave it out and use `CrossEntropyLoss`.
    Source: Bishop 2006, equations 4.62 and 4.106.

    >>> Softmax().forward(np.array([[0.0, 0.0], [1000.0, 0.0]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        with np.errstate(under="ignore"):
            a: Array = np.exp(x - x.max(axis=-1, keepdims=True))
            a /= a.sum(axis=-1, keepdims=True)
        if training:
            self.cache = a
        return a

    @override
    def backward(self, delta: Array) -> Array:
        a: Array = self.cache
        with np.errstate(under="ignore"):
            weighted: Array = (delta * a).sum(axis=-1, keepdims=True)
            return a * (delta - weighted)
