"""The arrays of layers in the names and layouts of PyTorch and of Keras, in both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

import minigrad as mg
from minigrad.core.layer import Layer
from minigrad.data.arrays import Array


class Weight(NamedTuple):
    """One array of a layer, and the arrays that the other library has in its place.

    `join` makes ours of theirs; `split` makes a tuple of theirs of ours. Both are linear, so that
    an optimizer's state is converted by them, too. An array of theirs that several of ours are in
    is the sum of their parts.
    """

    attribute: str
    names: tuple[str, ...]
    join: Callable[..., Array]
    split: Callable[[Array], tuple[Array, ...]]


Layouts: TypeAlias = Mapping[type[Layer], Callable[[Any], list[Weight]]]
"""For each class a function of a built layer that returns its weights."""


def weights_of(layer: Layer, layouts: Layouts) -> list[Weight]:
    """Return the arrays that a built layer has itself, without those of layers inside."""
    known = layouts.get(type(layer), lambda layer: [])(layer)
    return [weight for weight in known if getattr(layer, weight.attribute) is not None]


def array_of(layer: Layer, attribute: str) -> Array:
    """Return the array of a parameter or a buffer itself."""
    held = getattr(layer, attribute)
    return held.value if isinstance(held, mg.Parameter) else held


class Part(NamedTuple):
    """What an array of the other library has of a parameter."""

    parameter: mg.Parameter
    split: Callable[[Array], tuple[Array, ...]]
    place: int


def split_arrays(layer: Layer, layouts: Layouts) -> dict[str, tuple[Array, list[Part]]]:
    """Return the other library's arrays of a layer by name, each with its parts.

    An array of a buffer, such as a running mean, has no parts.
    """
    found: dict[str, tuple[Array, list[Part]]] = {}
    for weight in weights_of(layer, layouts):
        own = getattr(layer, weight.attribute)
        arrays = weight.split(array_of(layer, weight.attribute))
        for i, (name, array) in enumerate(zip(weight.names, arrays, strict=True)):
            parts = [Part(own, weight.split, i)] if isinstance(own, mg.Parameter) else []
            if name in found:
                array, parts = found[name][0] + array, found[name][1] + parts
            found[name] = array, parts
    return found


def split_state(model: mg.Model, state: Array, parts: Iterable[Part]) -> Array:
    """Return the part of an optimizer's state for an array of the other library."""
    views = model.parameters.split(state)
    return sum(p.split(views[p.parameter.source])[p.place] for p in parts)  # type: ignore[return-value]


def join_state(
    model: mg.Model,
    slot: str,
    pairs: Iterable[tuple[Layer, Weight, list[Any]]],
    state_of: Callable[[Any], Array],
) -> None:
    """Fill a slot of a model's optimizer, such as "velocity", with the other library's state.

    Each of `pairs` is (layer, weight, arrays of the other library); `state_of` takes such an array.
    """
    optimizer: Any = model.optimizer
    optimizer.state[slot] = np.zeros(model.parameters.size, model.dtype)
    views = model.parameters.split(optimizer.state[slot])
    for layer, weight, theirs in pairs:
        own = getattr(layer, weight.attribute)
        if isinstance(own, mg.Parameter):
            views[own.source][...] = weight.join(*map(state_of, theirs))


def _same(ours: str, theirs: str = "") -> Weight:
    return Weight(ours, (theirs or ours,), lambda a: a, lambda a: (a,))


# PyTorch: a matrix is transposed, and channels come first.


def _turned(ours: str, theirs: str = "") -> Weight:
    return Weight(ours, (theirs or ours,), lambda a: a.T, lambda a: (a.T,))


def _torch_convolution(layer: Any) -> list[Weight]:
    """(kernel, channels, filters) here is (filters, channels, kernel) there."""
    axes = layer.axes
    to, back = (axes + 1, axes, *range(axes)), (*range(2, axes + 2), 1, 0)
    weight = Weight(
        "weight", ("weight",), lambda a: a.transpose(back), lambda a: (a.transpose(to),)
    )
    return [weight, _same("bias")]


def _torch_depthwise(layer: Any, name: str) -> Weight:
    """(kernel, channels, multiplier) here is (channels multiplier, 1, kernel) there."""
    height, width, channels, count = layer.weight.shape
    return Weight(
        "weight",
        (name,),
        lambda a: a.reshape(channels, count, height, width).transpose(2, 3, 0, 1),
        lambda a: (a.transpose(2, 3, 0, 1).reshape(-1, 1, height, width),),
    )


def _torch_recurrent(layer: Any) -> list[Weight]:
    """The two biases add up, but for a GRU's candidate, whose second bias is multiplied by r."""
    ih, hh = "bias_ih_l0", "bias_hh_l0"
    gates = 2 * layer.units if isinstance(layer, mg.GRU) else None

    def join(first: Array, second: Array) -> Array:
        total = first.copy()
        total[:gates] += second[:gates]
        return total

    weights = [
        _turned("weight", "weight_ih_l0"),
        _turned("recurrent_weight", "weight_hh_l0"),
        Weight("bias", (ih, hh), join, lambda b: (b, np.zeros_like(b))),
    ]
    if gates is None:
        return weights
    padded = Weight(
        "recurrent_bias",
        (hh,),
        lambda b: b[gates:],
        lambda d: (np.concatenate([np.zeros(gates, d.dtype), d]),),
    )
    return [*weights, padded]


def _torch_norm(layer: Layer) -> list[Weight]:
    return [_same("gamma", "weight"), _same("beta", "bias")]


TORCH: Layouts = {
    mg.Dense: lambda layer: [_turned("weight"), _same("bias")],
    **dict.fromkeys(
        [mg.Conv1D, mg.Conv1DTranspose, mg.Conv2D, mg.Conv2DTranspose], _torch_convolution
    ),
    mg.DepthwiseConv2D: lambda layer: [_torch_depthwise(layer, "weight"), _same("bias")],
    mg.SeparableConv2D: lambda layer: [
        _torch_depthwise(layer, "depthwise.weight"),
        Weight(
            "pointwise_weight",
            ("pointwise.weight",),
            lambda a: a[..., 0, 0].T,
            lambda a: (a.T[..., np.newaxis, np.newaxis],),
        ),
        _same("bias", "pointwise.bias"),
    ],
    mg.PReLU: lambda layer: [
        Weight(
            "slope",
            ("weight",),
            lambda a: a.reshape(layer.slope.shape),
            lambda a: (a.reshape(-1),),
        )
    ],
    **dict.fromkeys([mg.SimpleRNN, mg.GRU, mg.LSTM], _torch_recurrent),
    **dict.fromkeys([mg.LayerNorm, mg.RMSNorm, mg.GroupNorm], _torch_norm),
    mg.BatchNorm: lambda layer: [
        *_torch_norm(layer),
        _same("running_mean"),
        _same("running_variance", "running_var"),
    ],
    mg.MultiHeadAttention: lambda layer: [
        _turned("weight", "in_proj_weight"),
        _same("bias", "in_proj_bias"),
        _turned("output_weight", "out_proj.weight"),
        _same("output_bias", "out_proj.bias"),
    ],
    **dict.fromkeys([mg.Embedding, mg.PositionEmbedding], lambda layer: [_same("weight")]),
}


# Keras: a kernel is the same, but heads and a GRU's gates lie in another order.


def _keras_affine(layer: Layer) -> list[Weight]:
    return [_same("weight", "kernel"), _same("bias")]


def _keras_cell(layer: Layer) -> list[Weight]:
    return [
        _same("weight", "cell.kernel"),
        _same("recurrent_weight", "cell.recurrent_kernel"),
        _same("bias", "cell.bias"),
    ]


def _keras_gru(layer: mg.GRU) -> list[Weight]:
    """Keras exchanges the reset and the update gate; both biases of PyTorch are rows of one."""
    _, _, bias, second = _torch_recurrent(layer)

    def swapped(a: Array) -> Array:
        r, u, n = np.split(a, 3, axis=-1)
        return np.concatenate([u, r, n], axis=-1)

    def matrix(ours: str, theirs: str) -> Weight:
        return Weight(ours, (theirs,), swapped, lambda a: (swapped(a),))

    def second_row(d: Array) -> tuple[Array]:
        (row,) = second.split(d)
        return (np.stack([np.zeros_like(row), row]),)

    return [
        matrix("weight", "cell.kernel"),
        matrix("recurrent_weight", "cell.recurrent_kernel"),
        Weight(
            "bias",
            ("cell.bias",),
            lambda both: bias.join(*swapped(both)),
            lambda b: (swapped(np.stack(bias.split(b))),),
        ),
        Weight("recurrent_bias", ("cell.bias",), lambda both: second.join(both[1]), second_row),
    ]


def _keras_attention(layer: Any) -> list[Weight]:
    """Keras keeps query, key and value apart, with an axis of the heads."""
    heads, size, features = layer.num_heads, layer.num_heads * layer.width, len(layer.weight.value)
    projections = "_query_dense", "_key_dense", "_value_dense"

    def join(*parts: Array) -> Array:
        flat = [a.reshape(*a.shape[:-2], size) for a in parts]
        return np.concatenate(flat, axis=-1)

    def split(a: Array) -> tuple[Array, ...]:
        blocks = np.split(a, 3, axis=-1)
        return tuple(b.reshape(*b.shape[:-1], heads, size // heads) for b in blocks)

    return [
        Weight("weight", tuple(f"{name}.kernel" for name in projections), join, split),
        Weight("bias", tuple(f"{name}.bias" for name in projections), join, split),
        Weight(
            "output_weight",
            ("_output_dense.kernel",),
            lambda a: a.reshape(size, features),
            lambda a: (a.reshape(heads, size // heads, features),),
        ),
        _same("output_bias", "_output_dense.bias"),
    ]


def _keras_norm(layer: Layer) -> list[Weight]:
    return [_same("gamma"), _same("beta")]


KERAS: Layouts = {
    **dict.fromkeys(
        [mg.Dense, mg.Conv1D, mg.Conv1DTranspose, mg.Conv2D, mg.Conv2DTranspose], _keras_affine
    ),
    mg.DepthwiseConv2D: _keras_affine,
    mg.SeparableConv2D: lambda layer: [
        _same("weight", "depthwise_kernel"),
        Weight(
            "pointwise_weight",
            ("pointwise_kernel",),
            lambda a: a[0, 0],
            lambda a: (a[np.newaxis, np.newaxis],),
        ),
        _same("bias"),
    ],
    mg.PReLU: lambda layer: [_same("slope", "alpha")],
    mg.SimpleRNN: _keras_cell,
    mg.GRU: _keras_gru,
    mg.LSTM: _keras_cell,
    **dict.fromkeys([mg.LayerNorm, mg.GroupNorm], _keras_norm),
    mg.RMSNorm: lambda layer: [_same("gamma", "scale")],
    mg.BatchNorm: lambda layer: [
        *_keras_norm(layer),
        _same("running_mean", "moving_mean"),
        _same("running_variance", "moving_variance"),
    ],
    mg.MultiHeadAttention: _keras_attention,
    mg.Embedding: lambda layer: [_same("weight", "embeddings")],
}
