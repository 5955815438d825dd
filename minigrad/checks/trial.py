"""A layer under test: fresh copies of it, input for them, and what their attributes hold."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sized
from typing import Any

import numpy as np

from minigrad.checks.differences import model_of
from minigrad.core.layer import Layer, walk
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape
from minigrad.util.paths import join
from minigrad.util.random import is_rng, rng_state

ROWS = 6


class Trial:
    """A layer that isn't built, and copies of it to try; each has the same weights."""

    def __init__(self, layer: Layer, input_shape: Shape) -> None:
        self.layer = layer
        self.input_shape = input_shape

    def model(self) -> Any:
        """Return a model of a fresh copy."""
        return model_of(self.layer, self.input_shape)

    def built(self, dtype: str = "float64") -> Layer:
        """Return a fresh copy, built; a model holds its parameters."""
        layer: Layer = model_of(self.layer, self.input_shape, dtype).layers[0]
        return layer

    def x(self, dtype: str = "float64", *, rows: int = ROWS, seed: int = 1) -> Array:
        """Return input rows; the same seed gives the same rows."""
        x = np.random.default_rng(seed).normal(size=(rows, *self.input_shape))
        return x.astype(dtype)

    def delta(self, output: Array) -> Array:
        """Return a dJ/doutput."""
        return np.random.default_rng(2).normal(size=output.shape)

    def run(self, layer: Layer, dtype: str = "float64") -> tuple[Array, Array]:
        """Run forward and backward once, and return both results."""
        output = layer.forward(self.x(dtype))
        return output, layer.backward(self.delta(output).astype(dtype))

    def is_given_parameters(self) -> bool:
        """Whether the layer, or one inside it, holds a parameter before it is built."""
        copied: dict[int, object] = {}
        copy.deepcopy(self.layer, copied)
        return any(isinstance(value, Parameter) for value in copied.values())


def attributes(layer: Layer) -> Iterator[tuple[str, tuple[object, object]]]:
    """Yield (path, (object, contents)) for each attribute of a layer and of the layers in it."""
    for path, inner in walk(layer, layer.name):
        for name, value in vars(inner).items():
            contents: object = len(value) if isinstance(value, Sized) else None
            if isinstance(value, np.ndarray):
                contents = value.tobytes()
            elif isinstance(value, Parameter):
                contents = value.value.tobytes(), value.grad.tobytes()
            elif is_rng(value):
                contents = str(rng_state(value))
            yield join(path, name), (value, contents)
