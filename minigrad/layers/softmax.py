"""Softmax and log-softmax: turn the numbers of a row into probabilities."""

from __future__ import annotations

import warnings

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape, features
from minigrad.util.config import register
from minigrad.util.random import RNG


@register
class Softmax(Layer):
    """a_k = exp(z_k) / sum over j of exp(z_j), along the last axis.

    Each output depends on each input of the row, so backward uses the whole Jacobian:
    dJ/dz_k = a_k (delta_k - sum over j of delta_j a_j). Forward subtracts the largest z first, so
    no exponential overflows. To train a classifier, leave this layer out and use
    `CrossEntropyLoss`, which includes it.

    Source: Bishop 2006, equations 4.62 and 4.106.

    Raises:
        ValueError: rows that are single numbers.

    >>> Softmax().forward(np.array([[0.0, 0.0], [1000.0, 0.0]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """

    is_activation = True
    gives_probabilities = True
    equation = "a = exp(z) / sum(exp(z))"

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        _warn_of_one_unit(features(input_shape, self.label), self.label)
        return input_shape

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        a = softmax(x)
        if training:
            self.cache = a
        return a

    @override
    def backward(self, delta: Array) -> Array:
        a: Array = self.cache
        self.check_delta(delta, a.shape)
        with np.errstate(under="ignore"):
            weighted: Array = (delta * a).sum(axis=-1, keepdims=True)
            return a * (delta - weighted)


@register
class LogSoftmax(Layer):
    """a_k = z_k - log(sum over j of exp(z_j)), along the last axis.

    dJ/dz_k = delta_k - softmax(z)_k * sum over j of delta_j.

    Source: Bishop 2006, equation 4.62.

    Raises:
        ValueError: rows that are single numbers.

    >>> LogSoftmax().forward(np.array([[0.0, 0.0], [0.0, 1000.0]]))
    array([[-6.93147181e-01, -6.93147181e-01],
           [-1.00000000e+03,  0.00000000e+00]])
    """

    is_activation = True
    equation = "a = z - log(sum(exp(z)))"

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        _warn_of_one_unit(features(input_shape, self.label), self.label)
        return input_shape

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        if training:
            self.cache = x
        return log_softmax(x)

    @override
    def backward(self, delta: Array) -> Array:
        x: Array = self.cache
        self.check_delta(delta, x.shape)
        total: Array = delta.sum(axis=-1, keepdims=True)
        return delta - softmax(x) * total


def _warn_of_one_unit(units: int, label: str) -> None:
    if units == 1:
        warnings.warn(
            f"{label} over 1 unit gives the same for every row: use Sigmoid for one unit",
            stacklevel=3,
        )


def softmax(z: Array) -> Array:
    """Return exp(z) / sum(exp(z)) along the last axis, without overflow.

    >>> softmax(np.array([-1e308, 1e308]))
    array([0., 1.])
    """
    with np.errstate(over="ignore", under="ignore"):
        a: Array = np.exp(z - z.max(axis=-1, keepdims=True))
        a /= a.sum(axis=-1, keepdims=True)
    return a


def log_softmax(z: Array) -> Array:
    """Return log(softmax(z)), accurate for probabilities near 0 and near 1."""
    with np.errstate(over="ignore", under="ignore"):
        below: Array = z - z.max(axis=-1, keepdims=True)
        others = np.exp(below)
        np.put_along_axis(others, below.argmax(axis=-1, keepdims=True), 0, axis=-1)
        below -= np.log1p(others.sum(axis=-1, keepdims=True))
    return below
