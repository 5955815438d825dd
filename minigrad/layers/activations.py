"""Activations, applied to each element: a = g(z), and backward multiplies delta by g'(z)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array
from minigrad.util.config import register


class Activation(Layer):
    """The base of activations: a = g(z), and dJ/dz = dJ/da * g'(z), for each element.

    A subclass defines `function` and `derivative`. Both return a new array with the shape and dtype
    of their argument. With `from_output = True`, `derivative` gets a instead of z.

    >>> class Square(Activation):
    ...     def function(self, z):
    ...         return z * z
    ...     def derivative(self, cached):
    ...         return 2 * cached
    >>> layer = Square()
    >>> layer.forward(np.array([[-1.0, 3.0]])), layer.backward(np.array([[1.0, 1.0]]))
    (array([[1., 9.]]), array([[-2.,  6.]]))
    """

    is_activation = True
    from_output: ClassVar[bool] = False

    def function(self, z: Array) -> Array:
        """Return g(z), a new array."""
        raise NotImplementedError(f"{self.label} must define function(z)")

    def derivative(self, cached: Array) -> Array:
        """Return g'(z), computed from z or, with `from_output`, from a = g(z)."""
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
        self.check_delta(delta, cached.shape)
        input_delta: Array = self.derivative(cached) * delta
        return input_delta


def sigmoid(z: Array) -> Array:
    """Return exp(z) / (1 + exp(z)) of each number, accurate for every z, without overflow.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    a: Array = np.minimum(z, 40.0)  # sigmoid(40) rounds to 1; exp(z) overflows at 710
    np.exp(a, out=a)
    a /= 1.0 + a
    return a


@register
class Sigmoid(Activation):
    """a = 1 / (1 + exp(-z)), and g' = a (1 - a).

    Accurate to a few units in the last place. Source: Bishop 2006, equations 4.59 and 4.88.

    >>> Sigmoid().forward(np.array([[-745.0, 0.0, 745.0]]))
    array([[5.e-324, 5.e-001, 1.e+000]])
    """

    gives_probabilities = True
    equation = "a = 1 / (1 + exp(-z)); g' = a (1 - a)"
    from_output = True

    @override
    def function(self, z: Array) -> Array:
        return sigmoid(z)

    @override
    def derivative(self, cached: Array) -> Array:
        slope = 1.0 - cached
        slope *= cached
        return slope


@register
class Tanh(Activation):
    """a = tanh(z), and g' = 1 - a^2.

    Source: LeCun et al., Efficient BackProp, 1998, section 4.4.

    >>> Tanh().forward(np.array([[0.0, 1.0]]))
    array([[0.        , 0.76159416]])
    """

    equation = "a = tanh(z); g' = 1 - a^2"
    from_output = True

    @override
    def function(self, z: Array) -> Array:
        return np.tanh(z)

    @override
    def derivative(self, cached: Array) -> Array:
        slope = cached * cached
        np.subtract(1.0, slope, out=slope)
        return slope


@register
class Identity(Activation):
    """a = z, and g' = 1: an explicit linear output.

    >>> Identity().forward(np.array([[-1.0, 2.0]]))
    array([[-1.,  2.]])
    """

    equation = "a = z; g' = 1"

    @override
    def function(self, z: Array) -> Array:
        return z.copy()

    @override
    def derivative(self, cached: Array) -> Array:
        return np.ones_like(cached)
