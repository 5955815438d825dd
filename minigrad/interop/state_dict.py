"""The weights of layers in PyTorch's names and layouts, and reading a state dict of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from minigrad.core.layer import Layer, walk
from minigrad.data.arrays import Array
from minigrad.saving import safetensors
from minigrad.util.atomic import StrPath
from minigrad.util.names import nearest


class Weight(NamedTuple):
    """One array of a layer, and the arrays that PyTorch has in its place.

    `join` makes ours of theirs; `split` makes a tuple of theirs of ours. Both are linear, so that
    an optimizer's state is converted by them, too. A PyTorch array that several of ours are in is
    the sum of their parts.
    """

    attribute: str
    names: tuple[str, ...]
    join: Callable[..., Array]
    split: Callable[[Array], tuple[Array, ...]]


def _same(ours: str, theirs: str = "") -> Weight:
    return Weight(ours, (theirs or ours,), lambda a: a, lambda a: (a,))


def _turned(ours: str, theirs: str = "") -> Weight:
    """Return a matrix that PyTorch transposes."""
    return Weight(ours, (theirs or ours,), lambda a: a.T, lambda a: (a.T,))


def _affine(layer: Layer) -> list[Weight]:
    return [_turned("weight"), _same("bias")]


def _convolution(layer: Any) -> list[Weight]:
    """(kernel, channels, filters) here is (filters, channels, kernel) there."""
    axes = layer.axes
    to, back = (axes + 1, axes, *range(axes)), (*range(2, axes + 2), 1, 0)
    weight = Weight(
        "weight", ("weight",), lambda a: a.transpose(back), lambda a: (a.transpose(to),)
    )
    return [weight, _same("bias")]


def _recurrent(layer: Any) -> list[Weight]:
    ih, hh = "bias_ih_l0", "bias_hh_l0"
    weights = [_turned("weight", "weight_ih_l0"), _turned("recurrent_weight", "weight_hh_l0")]
    if not isinstance(layer, mg.GRU):  # the two biases add up
        return [*weights, Weight("bias", (ih, hh), np.add, lambda b: (b, np.zeros_like(b)))]
    inner = 2 * layer.units  # of the candidate, whose second bias is multiplied by r

    def join(first: Array, second: Array) -> Array:
        return first + np.where(np.arange(len(first)) < inner, second, 0)

    def padded(d: Array) -> tuple[Array]:
        return (np.concatenate([np.zeros(inner, d.dtype), d]),)

    return [
        *weights,
        Weight("bias", (ih, hh), join, lambda b: (b, np.zeros_like(b))),
        Weight("recurrent_bias", (hh,), lambda b: b[inner:], padded),
    ]


def _norm(layer: Layer) -> list[Weight]:
    return [_same("gamma", "weight"), _same("beta", "bias")]


def _batch_norm(layer: Layer) -> list[Weight]:
    return [*_norm(layer), _same("running_mean"), _same("running_variance", "running_var")]


def _attention(layer: Layer) -> list[Weight]:
    return [
        _turned("weight", "in_proj_weight"),
        _same("bias", "in_proj_bias"),
        _turned("output_weight", "out_proj.weight"),
        _same("output_bias", "out_proj.bias"),
    ]


_LAYOUTS: dict[type[Layer], Callable[[Any], list[Weight]]] = {
    mg.Dense: _affine,
    **dict.fromkeys([mg.Conv1D, mg.Conv2D, mg.Conv2DTranspose], _convolution),
    **dict.fromkeys([mg.SimpleRNN, mg.GRU, mg.LSTM], _recurrent),
    **dict.fromkeys([mg.LayerNorm, mg.RMSNorm, mg.GroupNorm], _norm),
    mg.BatchNorm: _batch_norm,
    mg.MultiHeadAttention: _attention,
    mg.Embedding: lambda layer: [_same("weight")],
    mg.PositionEmbedding: lambda layer: [_same("weight")],
}


def weights_of(layer: Layer) -> list[Weight]:
    """Return the arrays that a built layer has itself, without those of layers inside."""
    known = _LAYOUTS.get(type(layer), lambda layer: [])(layer)
    return [weight for weight in known if getattr(layer, weight.attribute) is not None]


def array_of(layer: Layer, attribute: str) -> Array:
    """Return the array of a parameter or a buffer itself."""
    held = getattr(layer, attribute)
    return held.value if isinstance(held, mg.Parameter) else held


def load_state_dict(
    model: mg.Model, state: StrPath | Mapping[str, Any], names: Mapping[str, str]
) -> None:
    """Read the weights of some layers from a state dict in the layouts of `torch.nn`.

    This is the format of the files that Hugging Face's models are stored in. PyTorch isn't needed.

    Args:
        model: a built model; the layers that `names` doesn't name keep their weights.
        state: a safetensors file, or arrays or tensors by name.
        names: the name in the state dict of each layer, by its path here, as in
            {"dense_1": "encoder.fc1"} for "encoder.fc1.weight" and "encoder.fc1.bias".

    Raises:
        RuntimeError: the model isn't built.
        KeyError: a layer that the model doesn't have, or an array that the state dict lacks.
        TypeError: a layer without weights of its own, such as a `Residual` or one of your own.
        ValueError: an array of another shape. The model stays as it was.

    >>> model = mg.Sequential([mg.Dense(1)], input_shape=(2,), rng=0)
    >>> state = {"fc.weight": np.array([[1.0, 2.0]]), "fc.bias": np.array([3.0])}
    >>> load_state_dict(model, state, {"dense_1": "fc"})
    >>> model.predict(np.ones((1, 2)))
    array([[6.]])
    """
    _ = model.parameters  # an unbuilt model raises here
    given = state if isinstance(state, Mapping) else safetensors.load(state)[0]
    layers = dict(walk(model))
    found: list[tuple[Array, Array]] = []
    for path, prefix in names.items():
        if path not in layers:
            raise KeyError(f"{model.label} has no layer '{path}': {nearest(path, layers)}")
        layer = layers[path]
        weights = weights_of(layer)
        if not weights:
            raise TypeError(
                f"load_state_dict expects layers with weights in torch.nn, got {layer.label}"
            )
        for weight in weights:
            full = [f"{prefix}.{name}" for name in weight.names]
            if missing := [name for name in full if name not in given]:
                raise KeyError(
                    f"{layer.label} expects '{missing[0]}': {nearest(missing[0], given)}"
                )
            array = np.asarray(weight.join(*(np.asarray(given[name]) for name in full)))
            own = array_of(layer, weight.attribute)
            if array.shape != own.shape:
                raise ValueError(
                    f"{layer.label} expects '{full[0]}' for a {weight.attribute} of shape "
                    f"{own.shape}, got shape {np.shape(given[full[0]])}"
                )
            found.append((own, array))
    for own, array in found:
        own[...] = array
