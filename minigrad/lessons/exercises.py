"""The exercises: the correct forward pass of each layer, and the usual mistakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array

ROWS, FEATURES = 5, 3
_STEP = 1e-5


@dataclass(frozen=True)
class Numbers:
    """The arrays of one pass: x, a = forward(x), delta = dJ/da, and the parameter's value."""

    forward: Callable[[Array], Array]
    x: Array
    delta: Array
    value: Array

    def slope(self, z: Array) -> Array:
        """Return the derivative of an elementwise forward at z."""
        return (self.forward(z + _STEP) - self.forward(z - _STEP)) / (2 * _STEP)


# Returns the arrays that usual mistakes give, by the words that name the mistakes.
Mistakes: TypeAlias = Callable[[Numbers], dict[str, Array]]


@dataclass(frozen=True)
class Exercise:
    """An exercise, with the usual mistakes in dJ/dx and in the parameter's gradient.

    `forward` takes the layer, for its parameter, and x. It is None for dropout, which is random.
    """

    name: str
    about: str
    forward: Callable[[Layer, Array], Array] | None
    delta_mistakes: Mistakes = lambda _: {}
    gradient_mistakes: Mistakes = lambda _: {}


class WrongParametersError(ValueError):
    """A layer doesn't hold the parameter that its exercise asks for."""


def _parameter(layer: Layer, axes: int = 1) -> Array:
    """Return the value of the layer's only parameter, with all features along each axis."""
    own = layer.own_parameters()
    if len(own) != 1:
        way = "create it in build, as self.NAME = Parameter(array)"
        raise WrongParametersError(f"the layer expects one Parameter, got {len(own)}: {way}")
    name, parameter = own[0]
    if parameter.shape != (FEATURES,) * axes:
        raise WrongParametersError(
            f"{name} expects shape {(FEATURES,) * axes}, got {parameter.shape}: use input_shape"
        )
    return parameter.value


def _one_row(terms: Array) -> dict[str, Array]:
    """Return the mistakes of taking one row of a gradient instead of the sum over the rows."""
    return {f"is the term of row {i} only: sum over the rows": term for i, term in enumerate(terms)}


def _curve(n: Numbers) -> dict[str, Array]:
    """Return the mistakes in the dJ/dx of an elementwise function."""
    x, delta, a, slope = n.x, n.delta, n.forward(n.x), n.slope(n.x)
    return {
        "is delta: the derivative is missing": delta,
        "is g'(z): multiply it by delta": slope,
        "is delta g'(-z): take the derivative at z, not at -z": delta * n.slope(-x),
        "is delta g'(a): take the derivative at z, not at a = g(z)": delta * n.slope(a),
        "is delta a: multiply by the derivative g'(z), not by a = g(z)": delta * a,
        "is delta z: multiply by the derivative g'(z), not by z": delta * x,
        "is delta z (1 - z): the formula is a (1 - a), with a": delta * x * (1 - x),
        "is delta (1 - a^2): that is the derivative of tanh": delta * (1 - a**2),
        "is delta / g'(z): the chain rule multiplies": delta / slope,
        "is delta + g'(z): the chain rule multiplies": delta + slope,
    }


def _sigmoid(n: Numbers) -> dict[str, Array]:
    missing = "is delta (1 - a): the derivative is a (1 - a), so a factor a is missing"
    return {**_curve(n), missing: n.delta * (1 - n.forward(n.x))}


def _factor(n: Numbers) -> dict[str, Array]:
    """Return the mistakes in the dJ/dx of a multiplication by the parameter."""
    return {
        "is delta: multiply it by the parameter": n.delta,
        "is delta x: that is for the parameter; dJ/dx is delta times the parameter": n.delta * n.x,
    }


def _product_gradient(n: Numbers) -> dict[str, Array]:
    squared = {"is x^T x: the second factor must be delta": n.x.T @ n.x}
    return {**_one_row(n.x[:, :, None] * n.delta[:, None, :]), **squared}


def _scale_gradient(n: Numbers) -> dict[str, Array]:
    x, delta = n.x.sum(axis=0), n.delta.sum(axis=0)
    return {
        **_one_row(n.delta * n.x),
        "is the sum of delta: multiply it by x first, then sum": delta,
        "is the sum of x: multiply it by delta first, then sum": x,
        "is (sum of x) (sum of delta): multiply row by row first, then sum": x * delta,
    }


_EXERCISES = (
    Exercise("slope", "a sigmoid without derivative", lambda _, x: 1 / (1 + np.exp(-x)), _sigmoid),
    Exercise(
        "product",
        "a matrix product with its factors in the wrong order",
        lambda layer, x: x @ _parameter(layer, 2),
        lambda n: {**_factor(n), "is delta W: transpose W": n.delta @ n.value},
        _product_gradient,
    ),
    Exercise(
        "bias",
        "a gradient that isn't summed over the rows",
        lambda layer, x: x + _parameter(layer),
        gradient_mistakes=lambda n: _one_row(n.delta),
    ),
    Exercise("dropout", "dropout that scales in the wrong mode", None),
    Exercise("softplus", "a half-written layer", lambda _, x: np.log1p(np.exp(x)), _curve),
    Exercise(
        "scale",
        "a layer written from scratch",
        lambda layer, x: x * _parameter(layer),
        lambda n: {**_factor(n), "is the parameter: multiply it by delta": n.value + 0 * n.delta},
        _scale_gradient,
    ),
)
EXERCISES = {exercise.name: exercise for exercise in _EXERCISES}
