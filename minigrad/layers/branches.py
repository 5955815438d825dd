"""Branches: layers around a shortcut or side by side, whose deltas add up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import ClassVar, Literal, TypeAlias

import numpy as np
from typing_extensions import override

from minigrad.core.chain import Chain, as_list, name_layers
from minigrad.core.layer import Layer, build_once
from minigrad.data.arrays import Array, Shape, fits
from minigrad.layers.merge import MERGES
from minigrad.util.config import register
from minigrad.util.fields import As, option, options
from minigrad.util.frozen import FrozenList
from minigrad.util.options import one_of
from minigrad.util.random import RNG

Branch: TypeAlias = Layer | Sequence[Layer]
MergeName: TypeAlias = Literal["add", "mean", "concat"]


class Branching(Layer):
    """The base of layers with branches: h merges what they return for x; their deltas add up."""

    merge: MergeName = option(init=False, default="add")
    shortcut: ClassVar[bool] = False
    """Whether x itself is merged with the outputs of the branches."""

    @property
    def branches(self) -> Sequence[Layer]:
        """The layers that get x."""
        raise NotImplementedError(f"{self.label} must define branches")

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        return self.run(x, training=training)

    def run(self, x: Array, *others: Array, training: bool) -> Array:
        """Return the merged outputs of the branches, each of which gets all inputs."""
        outputs = [layer.forward(x, *others, training=training) for layer in self.branches]
        merge, merged = MERGES[self.merge], [x, *outputs] if self.shortcut else outputs
        if not merge.fit(shapes := [array.shape for array in merged]):
            for layer, output in zip(self.branches, outputs, strict=True):
                layer.check_output(output, len(x))
            raise ValueError(f"{self.label} can't merge arrays of the shapes {shapes}")
        h = merge.merged(merged)
        if training:
            self.cache = merge.kept(merged), h.shape
        return h

    @override
    def backward(self, delta: Array) -> Array:
        parts = self._parts(delta)
        deltas = parts[: -len(self.branches)]  # that of a shortcut
        pairs = zip(self.branches, parts[len(deltas) :], strict=True)
        return reduce(np.add, [*deltas, *(_input_delta(layer, part) for layer, part in pairs)])

    @override
    def backward_parameters(self, delta: Array) -> None:
        parts = self._parts(delta)[-len(self.branches) :]
        for layer, part in zip(self.branches, parts, strict=True):
            layer.backward_parameters(part)

    def _parts(self, delta: Array) -> Sequence[Array]:
        """Return the delta of each array that was merged."""
        kept, shape = self.cache
        self.check_delta(delta, shape)
        return MERGES[self.merge].parts(delta, kept)


@register
@options
class Residual(Branching):
    """h = x + f(x), where f is a layer; dJ/dx = delta + f.backward(delta).

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

    layer: As[Branch, Layer] = option(kw_only=False)
    """f, whose output has the shape of its input; a list of layers becomes a `Chain`."""
    shortcut = True

    @property
    @override
    def branches(self) -> Sequence[Layer]:
        return [self.layer]

    @override
    def __post_init__(self) -> None:
        self.layer = as_layer(self.layer)
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


@register
@options
class Parallel(Branching):
    """h = the sum, the mean, or the concatenation along the last axis, of f_1(x), f_2(x), ...

    dJ/dx is the sum of the branches' deltas. Each branch gets delta ("add"), delta divided by
    their number ("mean"), or its own part of delta ("concat").

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

    layers: As[Iterable[Branch], list[Layer]] = option(kw_only=False)
    """The branches, one or more; a list of layers becomes a `Chain`."""
    merge: MergeName = option(one_of("add", "mean", "concat"), default="add")
    """"add", "mean" or "concat"."""

    @property
    @override
    def branches(self) -> Sequence[Layer]:
        return self.layers

    @override
    def __post_init__(self) -> None:
        self.layers = [as_layer(layer) for layer in as_list(self.layers, self.label)]
        name_layers(self.layers, self.label)

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        name_layers(self.layers, self.label)
        shapes = [build_once(layer, input_shape, rng) for layer in self.layers]
        self.layers = FrozenList(self.layers)
        merge = MERGES[self.merge]
        if not merge.fit(shapes):
            got = ", ".join(f"{s} of {n.label}" for s, n in zip(shapes, self.layers, strict=True))
            raise ValueError(
                f"{self.label} with merge={self.merge!r} expects branches with equal output "
                f"shapes{merge.exception}, got {got}"
            )
        return merge.merged_shape(shapes)


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
