"""A model of a single layer, for the checks."""

from __future__ import annotations

import copy

from minigrad.core.layer import Layer
from minigrad.data.arrays import DType, Shape
from minigrad.graphs.graph import Input
from minigrad.models.model import Model
from minigrad.models.sequential import Sequential


def model_of(layer: Layer, input_shape: Shape | None, dtype: DType = "float64") -> Model:
    """Return a model of a copy of one layer, built if the shape is known, or its several shapes.

    Its weights are always the same.
    """
    layer = copy.deepcopy(layer)
    if input_shape is None or not has_several(input_shape):
        return Sequential([layer], input_shape=input_shape, rng=0, dtype=dtype)
    inputs = [Input(shape, name=f"x{i}") for i, shape in enumerate(input_shape, start=1)]
    return Model(inputs=inputs, outputs=layer(*inputs), rng=0, dtype=dtype)


def has_several(input_shape: Shape) -> bool:
    """Return whether an input shape holds the shapes of several inputs."""
    return bool(input_shape) and isinstance(input_shape[0], tuple)
