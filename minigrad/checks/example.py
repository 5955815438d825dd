"""A layer on trial: copies of it, rows for it, and all that its attributes hold."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sized
from types import SimpleNamespace

import numpy as np

from minigrad.core.layer import Layer, walk
from minigrad.core.layer import find as held
from minigrad.core.model import Sequential
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape
from minigrad.util.names import join
from minigrad.util.random import is_rng, rng_state

ROWS = 6


class Example:
    """A layer that isn't built, which is copied for each trial, and rows for it."""

    def __init__(self, layer: Layer, input_shape: Shape) -> None:
        self.layer = layer
        self.input_shape = input_shape

    def model(self, dtype: str = "float64") -> Sequential:
        """Return a model of a copy of the layer alone; always the same weights."""
        layer = copy.deepcopy(self.layer)
        return Sequential([layer], input_shape=self.input_shape, rng=0, dtype=dtype)

    def built(self, dtype: str = "float64") -> Layer:
        """Return that copy; its parameters lie in the model's vector."""
        return self.model(dtype).layers[0]

    def x(self, dtype: str = "float64", *, rows: int = ROWS, seed: int = 1) -> Array:
        """Return rows, the same for the same seed."""
        x = np.random.default_rng(seed).normal(size=(rows, *self.input_shape))
        return x.astype(dtype)

    def trained(self, layer: Layer, dtype: str = "float64") -> tuple[Array, Array]:
        """Run forward and backward once, and return what each gave."""
        output = layer.forward(self.x(dtype))
        return output, layer.backward(self.delta(output).astype(dtype))

    def delta(self, output: Array) -> Array:
        """Return one for this output."""
        return np.random.default_rng(2).normal(size=output.shape)


def locked(array: Array) -> Array:
    """Return an array after making it read-only."""
    array.flags.writeable = False
    return array


def draws(layer: Layer) -> bool:
    """Tell whether it, or a layer in it, says that it draws random numbers."""
    return any(inner.stochastic for _, inner in walk(layer))


def batch_dependent(layer: Layer) -> bool:
    """Tell whether it, or a layer in it, says that it ties rows together."""
    return any(inner.batch_dependent for _, inner in walk(layer))


def shares(layer: Layer) -> bool:
    """Tell whether it, or a layer in it, was given a parameter before it was built."""
    return any(
        any(held(holder, Parameter))
        for _, inner in walk(layer)
        for holder in (inner, *(v for v in vars(inner).values() if isinstance(v, SimpleNamespace)))
    )


def state(layer: Layer) -> Iterator[tuple[str, tuple[object, object]]]:
    """Yield, for each attribute, its place, the object there, and what can change inside it."""
    for path, inner in walk(layer, layer.name):
        for name, value in vars(inner).items():
            yield join(path, name), (value, _content(value))


def _content(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, Parameter):
        return value.value.tobytes(), value.grad.tobytes()
    if is_rng(value):
        return str(rng_state(value))
    return len(value) if isinstance(value, Sized) else None
