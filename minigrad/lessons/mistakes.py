"""The usual mistakes in each exercise, and the numbers that each of them makes of a gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from minigrad.data.arrays import Array

_STEP = 1e-5


@dataclass(frozen=True)
class Numbers:
    """What mistakes are made of: the right forward g, its input, dJ/da and the parameter.

    >>> import numpy as np
    >>> of = Numbers(lambda z: z * z, np.array([[3.0]]), np.array([[5.0]]), np.empty(0))
    >>> of.slope(of.x).round(4)
    array([[6.]])
    """

    g: Callable[[Array], Array]
    x: Array
    delta: Array
    value: Array
    """Empty where the layer has none."""

    def slope(self, z: Array) -> Array:
        """Return g'(z), for a g of each number by itself."""
        return (self.g(z + _STEP) - self.g(z - _STEP)) / (2 * _STEP)


Mistakes = Callable[[Numbers], Mapping[str, Array]]
"""What mistakes would make of an array, by what to say of them."""


def none(of: Numbers) -> Mapping[str, Array]:
    """Return no mistakes."""
    return {}


def through_a_curve(of: Numbers) -> Mapping[str, Array]:
    """Return what may be passed down in the place of delta g'(z)."""
    x, delta, a, slope = of.x, of.delta, of.g(of.x), of.slope(of.x)
    return {
        "is delta itself: the derivative is missing": delta,
        "is g'(z) alone: multiply it by delta": slope,
        "is delta g'(-z): the derivative is taken at -z, it must be at z": delta * of.slope(-x),
        "is delta g'(a): the derivative is taken at a = g(z), it must be at z": delta * of.slope(a),
        "is delta a: multiply by the derivative g'(z), not by a = g(z)": delta * a,
        "is delta z: multiply by the derivative g'(z), not by z": delta * x,
        "is delta z (1 - z): that formula is for a, a (1 - a)": delta * x * (1 - x),
        "is delta (1 - a^2): that is the derivative of tanh": delta * (1 - a**2),
        "is delta / g'(z): the chain rule multiplies": delta / slope,
        "is delta + g'(z): the chain rule multiplies": delta + slope,
    }


def through_a_sigmoid(of: Numbers) -> Mapping[str, Array]:
    """Return the mistakes of any curve, and of the sigmoid's own formula."""
    return {
        **through_a_curve(of),
        "is delta (1 - a): of the derivative, a (1 - a), the a is missing": (
            of.delta * (1 - of.g(of.x))
        ),
    }


def _through_a_factor(of: Numbers) -> Mapping[str, Array]:
    return {
        "is delta itself: what was multiplied on the way forward is missing": of.delta,
        "is delta x: that is what the parameter gets; x gets delta times the parameter": (
            of.delta * of.x
        ),
    }


def through_a_product(of: Numbers) -> Mapping[str, Array]:
    """Return what may be passed down in the place of delta W^T."""
    wrong = {"is delta W: W must be transposed": of.delta @ of.value}
    return {**_through_a_factor(of), **wrong}


def through_a_scale(of: Numbers) -> Mapping[str, Array]:
    """Return what may be passed down in the place of delta f."""
    wrong = {"is the parameter alone: multiply it by delta": of.value + 0 * of.delta}
    return {**_through_a_factor(of), **wrong}


def of_a_product(of: Numbers) -> Mapping[str, Array]:
    """Return what may be the gradient of W in the place of x^T delta."""
    wrong = {"is x^T x: the second factor must be delta": of.x.T @ of.x}
    return {**_of_one_row(of.x[:, :, None] * of.delta[:, None, :]), **wrong}


def of_a_bias(of: Numbers) -> Mapping[str, Array]:
    """Return what may be the gradient of b in the place of the sum of delta."""
    return _of_one_row(of.delta)


def of_a_scale(of: Numbers) -> Mapping[str, Array]:
    """Return what may be the gradient of f in the place of the sum of delta x."""
    x, delta = of.x, of.delta
    return {
        **_of_one_row(delta * x),
        "is the sum of delta alone: multiply it by x first, then sum": delta.sum(axis=0),
        "is the sum of x alone: multiply it by delta first, then sum": x.sum(axis=0),
        "is (sum of x) (sum of delta): multiply row by row first, then sum": (
            x.sum(axis=0) * delta.sum(axis=0)
        ),
    }


def _of_one_row(terms: Array) -> Mapping[str, Array]:
    """Return what each row of a batch adds to a gradient."""
    return {f"is row {i}'s alone: the rows must be summed": term for i, term in enumerate(terms)}
