"""Branches: layers around a shortcut or side by side, whose deltas add up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Literal, TypeAlias

import numpy as np
from typing_extensions import override

from minigrad.core.chain import Chain, as_list, name_layers
from minigrad.core.layer import Layer, build_once
from minigrad.data.arrays import Array, Shape, fits
from minigrad.util.config import register
from minigrad.util.frozen import FrozenList
from minigrad.util.random import RNG

Branch: TypeAlias = Layer | Sequence[Layer]
Merge: TypeAlias = Literal["add", "mean", "concat"]


@register
class Residual(Layer):
    """h = x + f(x), where f is a layer; dJ/dx = delta + f.backward(delta).

    Args:
        layer: f, whose output has the shape of its input; a list of layers becomes a `Chain`.
        name: see `Layer`.

    Raises:
        TypeError: `layer` is neither a layer nor a list of layers.
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
        output_shape = build_once(self.layer, input_shape, rng)
        if output_shape != input_shape:
            raise ValueError(
                f"{self.label} expects {self.layer.label} to keep the shape {input_shape}, got "
                f"{output_shape}: use Parallel([...]) with a layer in each branch"
            )
        return output_shape

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        f = self.layer.forward(x, training=training)
        if f.shape != x.shape:
            self.layer.check_output(f, len(x))
        h = x + f
        if training:
            self.cache = h.shape
        return h

    @override
    def backward(self, delta: Array) -> Array:
        self.check_delta(delta, self.cache)
        return delta + _input_delta(self.layer, delta)

    @override
    def backward_parameters(self, delta: Array) -> None:
        self.check_delta(delta, self.cache)
        self.layer.backward_parameters(delta)


@register
class Parallel(Layer):
    """h = the sum, the mean, or the concatenation along the last axis, of f_1(x), f_2(x), ...

    dJ/dx is the sum of the branches' deltas. Each branch gets delta ("add"), delta divided by
    their number ("mean"), or its own part of delta ("concat").

    Args:
        layers: the branches, one or more; a list of layers becomes a `Chain`.
        merge: "add", "mean" or "concat".
        name: see `Layer`.

    Raises:
        TypeError: a branch is neither a layer nor a list of layers.
        ValueError: no branches, the same layer twice, or outputs whose shapes can't be merged.

    >>> from minigrad import Identity, ReLU
    >>> layer = Parallel([Identity(), ReLU()], merge="concat")
    >>> layer.build((2,), np.random.default_rng(0))
    (4,)
    >>> layer.forward(np.array([[-1.0, 2.0]]))
    array([[-1.,  2.,  0.,  2.]])
    >>> layer.backward(np.array([[1.0, 1.0, 10.0, 10.0]]))
    array([[ 1., 11.]])
    """

    def __init__(self, layers: Iterable[Branch], *, merge: Merge = "add", name: str = "") -> None:
        super().__init__(name=name)
        if merge not in ("add", "mean", "concat"):
            raise ValueError(f"{self.label} expects merge='add', 'mean' or 'concat', got {merge!r}")
        self.layers = [as_layer(layer) for layer in as_list(layers, self.label)]
        self.merge: Merge = merge
        name_layers(self.layers, self.label)

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        name_layers(self.layers, self.label)
        shapes = [build_once(layer, input_shape, rng) for layer in self.layers]
        self.layers = FrozenList(self.layers)
        concat = self.merge == "concat"
        if len({shape[:-1] if concat else shape for shape in shapes}) > 1 or (
            concat and () in shapes
        ):
            got = ", ".join(f"{s} of {n.label}" for s, n in zip(shapes, self.layers, strict=True))
            raise ValueError(
                f"{self.label} with merge={self.merge!r} expects branches with equal output "
                f"shapes{', except for the last axis' * concat}, got {got}"
            )
        if not concat:
            return shapes[0]
        widths = [shape[-1] for shape in shapes]
        self._cuts = np.cumsum(widths)[:-1].tolist()
        return (*shapes[0][:-1], sum(widths))

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        outputs = [layer.forward(x, training=training) for layer in self.layers]
        if self.merge == "concat":
            h: Array = np.concatenate(outputs, axis=-1)
        else:
            for layer, output in zip(self.layers, outputs, strict=True):
                if output.shape != outputs[0].shape:
                    layer.check_output(output, len(x))
            h = reduce(np.add, outputs)
            if self.merge == "mean":
                h = h / len(outputs)
        if training:
            self.cache = h.shape
        return h

    @override
    def backward(self, delta: Array) -> Array:
        pairs = zip(self.layers, self._parts(delta), strict=True)
        return reduce(np.add, [_input_delta(layer, part) for layer, part in pairs])

    @override
    def backward_parameters(self, delta: Array) -> None:
        for layer, part in zip(self.layers, self._parts(delta), strict=True):
            layer.backward_parameters(part)

    def _parts(self, delta: Array) -> Sequence[Array]:
        """Return the delta of each branch."""
        self.check_delta(delta, self.cache)
        if self.merge == "concat":
            return np.split(delta, self._cuts, axis=-1)
        part = delta / len(self.layers) if self.merge == "mean" else delta
        return [part] * len(self.layers)


def as_layer(branch: Branch) -> Layer:
    """Return a layer as it is, and a list or tuple of layers as a `Chain`."""
    return Chain(branch) if isinstance(branch, Sequence) else branch


def _input_delta(layer: Layer, delta: Array) -> Array:
    """Send delta back through a branch, and refuse a result that would be broadcast."""
    result: Array = layer.backward(delta)
    expected = (len(delta), *(layer.input_shape or ()))
    if not fits(np.shape(result), expected):
        raise ValueError(
            f"backward of {layer.label} must return dJ/dinput of shape {expected}, got "
            f"{np.shape(result)}"
        )
    return result
