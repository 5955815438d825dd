"""Branches: several ways from one input, whose outputs are merged, and whose deltas add up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Literal, TypeAlias

import numpy as np
from typing_extensions import override

from minigrad.core.built import BuiltLayers
from minigrad.core.containers import Chain
from minigrad.core.family import listed, name_layers
from minigrad.core.layer import Layer, connect
from minigrad.core.ties import Ties
from minigrad.data.arrays import Array, Shape
from minigrad.util.config import register
from minigrad.util.random import RNG

Branch: TypeAlias = Layer | Sequence[Layer]
Merge: TypeAlias = Literal["add", "mean", "concat"]


@register
class Residual(Layer):
    """h = x + f(x), where f is a layer; dJ/dx = delta + what f's backward gives of delta.

    Args:
        layer: f, whose output has its input's shape; a list of layers is taken as a `Chain`.
        name: see `Layer`.

    Raises:
        TypeError: `layer` is neither a layer nor a list of them.
        ValueError: f changes the shape.

    Source: He et al., Deep residual learning for image recognition, CVPR 2016, equation 1.

    >>> from minigrad import Dense, Tanh
    >>> layer = Residual([Dense(8), Tanh(), Dense(2, weight_initializer="zeros")])
    >>> layer.build((2,), np.random.default_rng(0))
    (2,)
    >>> layer.forward(np.array([[1.0, 2.0]]))
    array([[1., 2.]])
    """

    def __init__(self, layer: Branch, *, name: str = "") -> None:
        super().__init__(name=name)
        self.layer = as_layer(layer)
        name_layers([self.layer], self.label)

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        output_shape = connect(self.layer, input_shape, rng)
        if output_shape != input_shape:
            raise ValueError(
                f"{self.label} adds the output of {self.layer.label} to its input, and one has "
                f"shape {output_shape}, the other {input_shape}: make them equal, or use "
                "Parallel([...], merge='add') with a layer on each way"
            )
        return output_shape

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        f = self.layer.forward(x, training=training)
        if f.shape != x.shape:
            raise ValueError(
                f"{self.label} adds the output of {self.layer.label} to its input, and one has "
                f"shape {f.shape}, the other {x.shape}: return from forward what build declares"
            )
        h = x + f
        if training:
            self.cache = h.shape
        return h

    @override
    def backward(self, delta: Array) -> Array:
        self.check_delta(delta, self.cache)
        return delta + self.layer.backward(delta)

    @override
    def backward_parameters(self, delta: Array) -> None:
        self.check_delta(delta, self.cache)
        self.layer.backward_parameters(delta)


@register
class Parallel(Layer):
    """h = the sum, the mean, or the concatenation along the last axis, of f_1(x), f_2(x), ...

    dJ/dx is the sum of what the branches' backward gives: each of delta ("add"), of delta over
    their number ("mean"), or of its own piece of delta ("concat").

    Args:
        layers: the branches, one or more; a list among them is taken as a `Chain`.
        merge: "add", "mean" or "concat".
        name: see `Layer`.

    Raises:
        TypeError: a branch is neither a layer nor a list of them.
        ValueError: no branches, one layer twice, another `merge`, or outputs of shapes that can't
            be merged.

    >>> from minigrad import Identity, ReLU
    >>> layer = Parallel([Identity(), ReLU()], merge="concat")
    >>> layer.build((2,), np.random.default_rng(0))
    (4,)
    >>> layer.forward(np.array([[-1.0, 2.0]]))
    array([[-1.,  2.,  0.,  2.]])
    >>> layer.backward(np.array([[1.0, 1.0, 10.0, 10.0]]))
    array([[ 1., 11.]])
    """

    def __init__(self, layers: Sequence[Branch], *, merge: Merge = "add", name: str = "") -> None:
        super().__init__(name=name)
        if merge not in ("add", "mean", "concat"):
            raise ValueError(f"{self.label} expects merge='add', 'mean' or 'concat', got {merge!r}")
        self.layers = [as_layer(layer) for layer in listed(layers, self.label)]
        self.merge: Merge = merge
        name_layers(self.layers, self.label)

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        name_layers(self.layers, self.label)
        shapes = [connect(layer, input_shape, rng) for layer in self.layers]
        self.layers = BuiltLayers(self.layers)
        self.tie()
        alike = {shape[:-1] if self.merge == "concat" else shape for shape in shapes}
        if len(alike) > 1 or (self.merge == "concat" and () in shapes):
            said = ", ".join(f"{s} of {n.label}" for s, n in zip(shapes, self.layers, strict=True))
            raise ValueError(
                f"{self.label} with merge={self.merge!r} expects its branches to give equal "
                f"shapes{', but for the last axis' * (self.merge == 'concat')}, got {said}"
            )
        if self.merge != "concat":
            return shapes[0]
        widths = [shape[-1] for shape in shapes]
        self._cuts = np.cumsum(widths)[:-1].tolist()
        return (*shapes[0][:-1], sum(widths))

    @override
    def tie(self) -> None:
        self._ties = Ties(self.layers)

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        outputs = [layer.forward(x, training=training) for layer in self.layers]
        if self.merge == "concat":
            h: Array = np.concatenate(outputs, axis=-1)
        else:
            for layer, output in zip(self.layers, outputs, strict=True):
                if output.shape != outputs[0].shape:
                    raise ValueError(
                        f"{self.label} expects outputs of one shape, got {outputs[0].shape}, and "
                        f"{output.shape} of {layer.label}: return from forward what build declares"
                    )
            h = reduce(np.add, outputs)
            if self.merge == "mean":
                h = h / len(outputs)
        if training:
            self.cache = h.shape
        return h

    @override
    def backward(self, delta: Array) -> Array:
        deltas: list[Array] = []
        self._through(delta, lambda layer, part: deltas.append(layer.backward(part)))
        return reduce(np.add, deltas)

    @override
    def backward_parameters(self, delta: Array) -> None:
        self._through(delta, lambda layer, part: layer.backward_parameters(part))

    def _through(self, delta: Array, send: Callable[[Layer, Array], None]) -> None:
        """Send each branch its part of delta."""
        self.check_delta(delta, self.cache)
        if self.merge == "concat":
            parts = np.split(delta, self._cuts, axis=-1)
        else:
            part = delta / len(self.layers) if self.merge == "mean" else delta
            parts = [part] * len(self.layers)
        self._ties.start()
        for layer, part in zip(self.layers, parts, strict=True):
            send(layer, part)
            self._ties.read(layer)
        self._ties.assign()


def as_layer(branch: Branch) -> Layer:
    """Return a layer as it is, and a list or tuple of layers as a `Chain`.

    >>> from minigrad import Tanh
    >>> as_layer([Tanh(), Tanh()])
    Chain([Tanh(), Tanh()])
    """
    return Chain(branch) if isinstance(branch, Sequence) else branch
