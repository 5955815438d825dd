"""The usual mistakes, and the numbers that each of them makes of a gradient."""

from __future__ import annotations

from collections.abc import Mapping

from minigrad.arrays import Array
from minigrad.exercises.tasks import Forward
from minigrad.layers.base import Layer

_STEP = 1e-5


def of_delta(forward: Forward, layer: Layer, x: Array, delta: Array) -> Mapping[str, Array]:
    """Return what mistakes would pass down in the place of dJ/dx, by what to say of them.

    >>> import numpy as np
    >>> from minigrad import Layer
    >>> x, delta = np.array([[3.0]]), np.array([[5.0]])
    >>> wrong = of_delta(lambda _, z: z * z, Layer(), x, delta)
    >>> wrong["is g'(z) alone: multiply it by delta"].round(4)
    array([[6.]])
    """
    held = layer.own_parameters()
    if not held:

        def slope(z: Array) -> Array:
            return (forward(layer, z + _STEP) - forward(layer, z - _STEP)) / (2 * _STEP)

        a = forward(layer, x)
        return {
            "is delta itself: the derivative is missing": delta,
            "is g'(z) alone: multiply it by delta": slope(x),
            "is delta g'(-z): the derivative is taken at -z, it must be at z": delta * slope(-x),
            "is delta g'(a): the derivative is taken at a = g(z), it must be at z": (
                delta * slope(a)
            ),
            "is delta a: multiply by the derivative g'(z), not by a = g(z)": delta * a,
            "is delta z: multiply by the derivative g'(z), not by z": delta * x,
            "is delta z (1 - z): that formula is for a, a (1 - a)": delta * x * (1 - x),
            "is delta / g'(z): the chain rule multiplies": delta / slope(x),
        }
    value = held[0][1].value
    wrong = {
        "is delta itself: what was multiplied on the way forward is missing": delta,
        "is delta x: that is what the parameter gets; x gets delta times the parameter": delta * x,
    }
    if value.ndim == 2:
        return wrong | {"is delta W: W must be transposed": delta @ value}
    return wrong | {"is the parameter alone: multiply it by delta": value + 0 * delta}


def of_parameter(value: Array, x: Array, delta: Array) -> Mapping[str, Array]:
    """Return what mistakes would make of a parameter's gradient, by what to say of them."""
    if value.ndim == 2:
        return {"is x^T x: the second factor must be delta": x.T @ x}
    rows = enumerate(delta)
    return {f"holds row {i} of delta: it must be summed over the rows": row for i, row in rows} | {
        "is the sum of delta alone: multiply it by x first, then sum": delta.sum(axis=0),
        "is the sum of x alone: multiply it by delta first, then sum": x.sum(axis=0),
        "is (sum of x) (sum of delta): multiply row by row first, then sum": (
            x.sum(axis=0) * delta.sum(axis=0)
        ),
    }
