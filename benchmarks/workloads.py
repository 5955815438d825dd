"""The workloads: networks with their data and initial weights, the same for every peer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
Weights: TypeAlias = list[tuple[Array, Array]]
Layers: TypeAlias = tuple[tuple[Any, ...], ...]
"""(kind, size, ...) of each layer; ("residual", layer, ...) adds its input to its output."""
SEED = 4

SHAPES: dict[str, Callable[..., list[Shape]]] = {
    "dense": lambda inputs, units, *_: [(inputs, units), (units,)],
    "conv": lambda channels, filters, size, *_: [(size, size, channels, filters), (filters,)],
    "lstm": lambda inputs, units: [(inputs, 4 * units), (units, 4 * units), (4 * units,)],
    "gru": lambda inputs, units: [(inputs, 3 * units), (units, 3 * units), (3 * units,), (units,)],
    "attention": lambda size, *_: [(size, 3 * size), (3 * size,), (size, size), (size,)],
    "embedding": lambda ids, size: [(ids, size)],
    "positions": lambda positions, size: [(positions, size)],
    "norm": lambda size: [(size,), (size,)],
}
"""The shapes of a layer's weights, by its kind and sizes, in the layout of minigrad and Keras."""


def leaves(layers: Layers) -> Iterator[tuple[Any, ...]]:
    """The layers with those in a residual one in its place."""
    for layer in layers:
        yield from leaves(layer[1:]) if layer[0] == "residual" else [layer]


class Data(NamedTuple):
    """Inputs (rows, ...), and targets: (rows, ...), or class indices."""

    x: Array
    y: Array


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A fully connected network of these `widths`, or any `network`, under gradient descent.

    With output "sigmoid" or "identity" the hidden layers are sigmoids and the loss is the mean
    squared error; with "softmax" they are ReLUs and the loss is the mean cross-entropy. A `network`
    has rows of shape `row`, which hold ids below `ids` or numbers, and targets of shape `target`.
    `epochs` is how many a turn trains, chosen so that a turn lasts some tenths of a second.
    """

    name: str
    widths: Shape = ()
    network: Layers = ()
    row: Shape = ()
    target: Shape = ()
    ids: int = 0
    classes: int = 0
    rows: int
    dtype: Literal["float32", "float64"]
    output: Literal["sigmoid", "identity", "softmax"]
    batch_size: int | None = None
    bias: bool = True
    learning_rate: float = 0.1
    epochs: int = 1

    @property
    def batch(self) -> int:
        """Rows a step."""
        return self.batch_size or self.rows

    @property
    def steps(self) -> int:
        """Steps an epoch; every batch is full."""
        return self.rows // self.batch

    @property
    def hidden(self) -> Literal["sigmoid", "relu"]:
        """Activation of the hidden layers."""
        return "relu" if self.output == "softmax" else "sigmoid"

    @property
    def layers(self) -> Layers:
        """The layers; of a softmax output, those up to its logits."""
        if self.network:
            return self.network
        sizes = zip(self.widths, self.widths[1:], strict=False)
        layers = tuple(layer for pair in sizes for layer in (("dense", *pair), (self.hidden,)))
        return layers if self.output == "sigmoid" else layers[:-1]

    def batches(self) -> list[slice]:
        """The rows of each step, in the order in which every peer takes them."""
        return [slice(i, i + self.batch) for i in range(0, self.rows, self.batch)]

    def data(self) -> Data:
        """The sum of two numbers (the tutorial's task), or classes that a linear map decides.

        Of a `network`, random numbers.
        """
        rng = np.random.default_rng(SEED)
        dtype = np.dtype(self.dtype)
        if self.network:
            shapes = (self.rows, *self.row), (self.rows, *self.target)
            kinds = self.ids, self.classes
            x, y = (
                rng.integers(most, size=shape) if most else rng.standard_normal(shape).astype(dtype)
                for shape, most in zip(shapes, kinds, strict=True)
            )
            return Data(x, y)
        if self.output != "softmax":
            x = rng.random((self.rows, self.widths[0]), dtype=dtype)
            return Data(x, x.sum(axis=1, keepdims=True))
        x = rng.standard_normal((self.rows, self.widths[0]), dtype=dtype)
        truth = rng.standard_normal((self.widths[0], self.widths[-1]), dtype=dtype)
        return Data(x, np.argmax(x @ truth, axis=1))

    def weights(self) -> Weights:
        """Weight (inputs, units) and bias (units,) of each layer; zero biases where none train."""
        rng = np.random.default_rng(SEED + 1)
        layers = []
        for inputs, units in zip(self.widths, self.widths[1:], strict=False):
            weight = rng.standard_normal((inputs, units)) * np.sqrt(2.0 / inputs)
            bias = 0.1 * rng.standard_normal(units) * self.bias
            layers.append((weight.astype(self.dtype), bias.astype(self.dtype)))
        return layers

    def arrays(self) -> list[list[Array]]:
        """The weights that train, of each layer without a layer inside."""
        if not self.network:
            weights = iter(self.weights())
            return [
                list(next(weights))[: 1 + self.bias] if kind == "dense" else []
                for kind, *_ in self.layers
            ]
        return [
            [array * prod(array.shape[:-1]) ** -0.5 + (kind == "norm") for array in arrays]
            for (kind, *_), arrays in zip(leaves(self.layers), self.directions(), strict=True)
        ]

    def directions(self) -> list[list[Array]]:
        """Random numbers in the shapes of a network's weights."""
        rng = np.random.default_rng(SEED + 2)
        return [
            [rng.standard_normal(s).astype(self.dtype) for s in SHAPES[kind](*sizes)]
            if kind in SHAPES
            else []
            for kind, *sizes in leaves(self.layers)
        ]


def _sum_of_two(name: str, rows: int, **options: Any) -> Workload:
    return Workload(
        name=name,
        widths=(2, 3, 1),
        rows=rows,
        dtype="float64",
        output="sigmoid",
        learning_rate=0.5,
        **options,
    )


def _classifier(
    name: str, widths: tuple[int, ...], batch_size: int, batches: int, epochs: int
) -> Workload:
    return Workload(
        name=name,
        widths=widths,
        rows=batch_size * batches,
        dtype="float32",
        output="softmax",
        batch_size=batch_size,
        learning_rate=0.01,
        epochs=epochs,
    )


WORKLOADS = {
    workload.name: workload
    for workload in (
        _sum_of_two("W1", 10_000, bias=False, epochs=500),
        _sum_of_two("W2", 10_240, batch_size=32, epochs=6),
        _sum_of_two("W3", 1_000_000, epochs=6),
        _classifier("W4", (64, 64, 10), 32, 64, epochs=40),
        _classifier("W5", (784, 128, 10), 128, 64, epochs=8),
        _classifier("W6", (784, 512, 512, 10), 128, 32, epochs=4),
        _classifier("W7", (1024, 1024, 1024, 1024, 10), 256, 8, epochs=2),
        _classifier("W8", (784, 2048, 2048, 10), 1024, 4, epochs=1),
    )
}
