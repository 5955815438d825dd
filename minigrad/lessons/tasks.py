"""What each exercise's layer must compute: its forward, in training and in inference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array
from minigrad.lessons import mistakes
from minigrad.lessons.mistakes import Mistakes

Forward = Callable[[Layer, Array], Array]


@dataclass(frozen=True)
class Task:
    """An exercise: its sheet's name, what it is about, the right forward, and usual mistakes.

    `forward` is given the layer, for its parameters, and x. None means that forward draws random
    numbers, which must be zero or scaled so that the mean is kept, and do nothing in inference.
    `through` makes the mistakes in what is passed down, `gradient` those in the parameter's.
    """

    name: str
    about: str
    forward: Forward | None
    through: Mistakes = mistakes.none
    gradient: Mistakes = mistakes.none


class UnfitError(ValueError):
    """A layer doesn't hold the parameter that its exercise asks for."""


def _parameter(layer: Layer, axes: int = 1) -> Array:
    """Return the one array of parameters, with a number for each feature along each axis."""
    held = layer.own_parameters()
    if len(held) != 1:
        raise UnfitError(
            f"it has {len(held)} Parameters, expected one: make it in build, by "
            "self.NAME = Parameter(array)"
        )
    assert layer.input_shape is not None
    (name, parameter), shape = held[0], layer.input_shape * axes
    if parameter.shape != shape:
        raise UnfitError(f"{name} has shape {parameter.shape}, expected {shape}: see input_shape")
    return parameter.value


TASKS = {
    task.name: task
    for task in (
        Task(
            "slope",
            "a sigmoid that forgets its derivative",
            lambda _, x: 1 / (1 + np.exp(-x)),
            through=mistakes.through_a_sigmoid,
        ),
        Task(
            "product",
            "a product the wrong way round",
            lambda layer, x: x @ _parameter(layer, 2),
            through=mistakes.through_a_product,
            gradient=mistakes.of_a_product,
        ),
        Task(
            "bias",
            "a gradient that isn't summed",
            lambda layer, x: x + _parameter(layer),
            gradient=mistakes.of_a_bias,
        ),
        Task("dropout", "scaling in the wrong mode", None),
        Task(
            "softplus",
            "half written: find the derivative",
            lambda _, x: np.log1p(np.exp(x)),
            through=mistakes.through_a_curve,
        ),
        Task(
            "scale",
            "a layer from nothing",
            lambda layer, x: x * _parameter(layer),
            through=mistakes.through_a_scale,
            gradient=mistakes.of_a_scale,
        ),
    )
}
