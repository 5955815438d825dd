"""The Keras layer of each layer, and back: one table, read in both directions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from keras import layers

import minigrad as mg
from minigrad.core.layer import Layer
from minigrad.interop import models
from minigrad.interop.models import MERGES, Counterpart, one_size, windows_of
from minigrad.layers.windows import per_axis

Tensor: TypeAlias = Any
Writer: TypeAlias = Any
Call: TypeAlias = Callable[..., Tensor]
"""Calls the Keras layer of a layer, which it makes with the options that both have."""
Maker: TypeAlias = Callable[..., Any]
"""Makes a layer of a Keras layer, with the options that both have."""

ACTIVATIONS: dict[type[Layer], str] = {
    mg.Identity: "linear",
    mg.Sigmoid: "sigmoid",
    mg.Tanh: "tanh",
    mg.ReLU: "relu",
    mg.SELU: "selu",
    mg.Hardtanh: "hard_tanh",
    mg.Hardsigmoid: "hard_sigmoid",
    mg.GELU: "gelu",
    mg.SiLU: "silu",
    mg.Softplus: "softplus",
    mg.Mish: "mish",
    mg.Softsign: "softsign",
    mg.Softmax: "softmax",
    mg.LogSoftmax: "log_softmax",
}


# Each function `_to_...` calls the Keras layer of a layer; `_from_...` makes the layer of a Keras
# layer and its config.


def check_options(there: Any, config: dict[str, Any], **expected: Any) -> None:
    """Refuse a Keras layer whose options aren't these; one that it doesn't have is right."""
    models.check_options(f"{type(there).__name__} '{there.name}'", config.get, **expected)


def _to_activation(to: Writer, layer: Any, call: Call, x: Tensor) -> Tensor:
    if isinstance(layer, mg.GELU) and layer.approximate != "none":
        raise ValueError(f"{layer.label} expects approximate='none' in Keras, got 'tanh'")
    return call(x, activation=ACTIVATIONS[type(layer)])


def _from_relu(there: Any, c: dict[str, Any], make: Maker) -> Any:
    check_options(there, c, negative_slope=0.0)
    return make()


def _to_convolution(to: Writer, layer: Any, call: Call, x: Tensor) -> Tensor:
    (size, strides, dilation), padding = windows_of(layer), layer.padding
    if max(strides) > 1 and max(dilation) > 1:
        raise ValueError(
            f"{layer.label} expects strides or a dilation_rate of 1 in Keras, got {strides} and "
            f"{dilation}"
        )
    if not isinstance(padding, str):
        pads = per_axis(padding, layer.axes)
        kind = layers.ZeroPadding1D if layer.axes == 1 else layers.ZeroPadding2D
        x = kind(pads[0] if layer.axes == 1 else pads, **to.options(layer, "_padding"))(x)
        padding = "valid"
    options = {"kernel_size": size, "strides": strides, "dilation_rate": dilation}
    return call(x, padding=padding, **options)


def _from_convolution(there: Any, c: dict[str, Any], make: Maker) -> Any:
    check_options(there, c, groups=1)
    padding = c["padding"]
    if "pads" in c:
        check_options(there, c, padding="valid")
        padding = one_size(c["pads"])
    sizes = {name: one_size(c[name]) for name in ("kernel_size", "strides", "dilation_rate")}
    return make(**sizes, padding=padding)


def _to_prelu(to: Writer, layer: mg.PReLU, call: Call, x: Tensor) -> Tensor:
    shape = layer.slope.shape
    rows = zip(shape, layer.input_shape or (), strict=True)
    shared = [axis for axis, (own, n) in enumerate(rows, start=1) if own == 1 != n]
    return call(x, shared_axes=shared or None)


def _from_prelu(there: Any, c: dict[str, Any], make: Maker) -> Any:
    return make(shared_axes=c["shared_axes"] or ())


def _from_ends(there: Any, c: dict[str, Any], make: Maker) -> Any:
    ends = c["padding"] if "padding" in c else c["cropping"]
    return make(ends if isinstance(ends[0], int) else tuple(map(tuple, ends)))


def _to_ends(option: str, to: Writer, layer: Any, call: Call, x: Tensor) -> Tensor:
    ends = tuple((abs(first), abs(last)) for first, last in layer.ends)
    return call(x, **{option: ends[0] if layer.axes == 1 else ends})


def _to_transposed(to: Writer, layer: Any, call: Call, x: Tensor) -> Tensor:
    (size, strides, dilation), padding = windows_of(layer), layer.padding
    longer = any(s > k for s, k in zip(strides, size, strict=True))
    if padding != "same" and (padding not in ("valid", 0) or longer):
        raise ValueError(
            f"{layer.label} expects padding='same', or 'valid' with strides up to the kernel_size, "
            f"in Keras, got {padding!r} and strides {strides}"
        )
    if max(dilation) > 1:
        raise ValueError(f"{layer.label} expects dilation_rate=1 in Keras, got {dilation}")
    return call(x, kernel_size=size, strides=strides, padding=padding or "valid")


def _from_transposed(there: Any, c: dict[str, Any], make: Maker) -> Any:
    longer = any(s > k for s, k in zip(c["strides"], c["kernel_size"], strict=True))
    if c["padding"] == "valid" and longer:
        raise ValueError(
            f"'{there.name}' expects strides up to the kernel_size, got {c['strides']}"
        )
    return _from_convolution(there, c, make)


def _to_pooling(to: Writer, layer: Any, call: Call, x: Tensor) -> Tensor:
    if layer.padding not in ("valid", "same", 0):
        raise ValueError(
            f"{layer.label} expects padding='valid' or 'same' in Keras, got {layer.padding!r}"
        )
    size, strides, _ = windows_of(layer)
    return call(x, pool_size=size, strides=strides, padding=layer.padding or "valid")


def _from_pooling(there: Any, c: dict[str, Any], make: Maker) -> Any:
    return make(one_size(c["pool_size"]), strides=one_size(c["strides"]), padding=c["padding"])


def _from_upsampling(there: Any, c: dict[str, Any], make: Maker) -> Any:
    if c["interpolation"] != "bilinear":
        check_options(there, c, interpolation="nearest")
    return make()


def _to_rms_norm(to: Writer, layer: mg.RMSNorm, call: Call, x: Tensor) -> Tensor:
    return call(x, epsilon=layer.epsilon or float(np.finfo(layer.gamma.value.dtype).eps))


def _from_cell(there: Any, c: dict[str, Any], make: Maker) -> Any:
    check_options(there, c, activation="tanh")
    del c["activation"]  # done by the layer itself
    return make()


_MERGE_MODES = {"concat": "concat", "add": "sum", "mean": "ave"}


def _to_bidirectional(to: Writer, layer: Any, call: Call, x: Tensor) -> Tensor:
    row, forward = LAYERS[type(layer.layer)], layer.layer
    cell = row.kind(**to.options(forward), **row.theirs(forward))
    return call(x, layer=cell, merge_mode=_MERGE_MODES[layer.merge])


def _from_bidirectional(there: Any, c: dict[str, Any], make: Maker) -> Any:
    inner = there.forward_layer
    merges: Any = {theirs: ours for ours, theirs in _MERGE_MODES.items()}
    if c["merge_mode"] not in merges:
        raise ValueError(
            f"'{there.name}' expects merge_mode 'concat', 'sum' or 'ave', got {c['merge_mode']!r}"
        )
    return make(layer_of(inner, inner.get_config()), merge=merges[c["merge_mode"]])


def _to_attention(
    to: Writer,
    layer: mg.MultiHeadAttention,
    call: Call,
    query: Tensor,
    value: Tensor = None,
    mask: Tensor = None,
) -> Tensor:
    value = query if value is None else value
    how: dict[str, Any] = {"use_causal_mask": True} if layer.causal else {}
    if mask is not None:
        if len(mask.shape) == 2:
            mask = layers.Reshape((1, -1), **to.options(layer, "_mask"))(mask)
        how["attention_mask"] = mask
    return call(query, value, how=how, key_dim=layer.width)


def _from_attention(there: Any, c: dict[str, Any], make: Maker) -> Any:
    check_options(there, c, value_dim=c["key_dim"])
    return make(key_dim=c["key_dim"], causal=c["causal"])


_convolution = partial(Counterpart, to=_to_convolution, back=_from_convolution)
_pooling = partial(Counterpart, to=_to_pooling, back=_from_pooling)
_transposed = partial(
    Counterpart, filters="filters", use_bias="use_bias", to=_to_transposed, back=_from_transposed
)
_padding = partial(Counterpart, to=partial(_to_ends, "padding"), back=_from_ends)
_cropping = partial(Counterpart, to=partial(_to_ends, "cropping"), back=_from_ends)
_cell = partial(Counterpart, back=_from_cell)
_CELL_OPTIONS = "units", "use_bias", "return_sequences", "go_backwards"

_SAME: list[type[Layer]] = [
    mg.Flatten, *MERGES, mg.GlobalMaxPooling1D, mg.GlobalMaxPooling2D,
    mg.GlobalAveragePooling1D, mg.GlobalAveragePooling2D,
]  # fmt: skip
"""Layers without options that have the same name in Keras."""

LAYERS: dict[type[Layer], Counterpart] = {
    **dict.fromkeys(ACTIVATIONS, Counterpart(layers.Activation, to=_to_activation)),
    mg.LeakyReLU: Counterpart(layers.LeakyReLU, slope="negative_slope"),
    mg.ELU: Counterpart(layers.ELU, "alpha"),
    mg.Dropout: Counterpart(layers.Dropout, "rate"),
    mg.Dense: Counterpart(layers.Dense, "units", "use_bias"),
    mg.Conv1D: _convolution(layers.Conv1D, "filters", "use_bias"),
    mg.Conv2D: _convolution(layers.Conv2D, "filters", "use_bias"),
    mg.Conv1DTranspose: _transposed(layers.Conv1DTranspose),
    mg.Conv2DTranspose: _transposed(layers.Conv2DTranspose),
    mg.DepthwiseConv2D: _convolution(layers.DepthwiseConv2D, "depth_multiplier", "use_bias"),
    mg.SeparableConv2D: _convolution(
        layers.SeparableConv2D, "filters", "depth_multiplier", "use_bias"
    ),
    mg.ZeroPadding1D: _padding(layers.ZeroPadding1D),
    mg.ZeroPadding2D: _padding(layers.ZeroPadding2D),
    mg.Cropping1D: _cropping(layers.Cropping1D),
    mg.Cropping2D: _cropping(layers.Cropping2D),
    mg.UpSampling1D: Counterpart(layers.UpSampling1D, "size"),
    mg.PReLU: Counterpart(layers.PReLU, to=_to_prelu, back=_from_prelu),
    mg.Permute: Counterpart(layers.Permute, "dims"),
    mg.RepeatVector: Counterpart(layers.RepeatVector, "n"),
    mg.Rescaling: Counterpart(layers.Rescaling, "scale", "offset"),
    mg.GaussianNoise: Counterpart(layers.GaussianNoise, "stddev"),
    mg.SpatialDropout1D: Counterpart(layers.SpatialDropout1D, "rate"),
    mg.SpatialDropout2D: Counterpart(layers.SpatialDropout2D, "rate"),
    mg.Dot: Counterpart(
        layers.Dot,
        "axes",
        "normalize",
        back=lambda there, c, make: mg.Dot(
            c["axes"] if isinstance(c["axes"], int) else tuple(c["axes"]), normalize=c["normalize"]
        ),
    ),
    mg.MaxPooling1D: _pooling(layers.MaxPooling1D),
    mg.MaxPooling2D: _pooling(layers.MaxPooling2D),
    mg.AveragePooling1D: _pooling(layers.AveragePooling1D),
    mg.AveragePooling2D: _pooling(layers.AveragePooling2D),
    mg.UpSampling2D: Counterpart(
        layers.UpSampling2D, "size", "interpolation", back=_from_upsampling
    ),
    mg.BatchNorm: Counterpart(
        layers.BatchNormalization,
        "epsilon",
        to=lambda to, layer, call, x: call(x, momentum=1 - layer.momentum),
        back=lambda there, c, make: make(momentum=1 - c["momentum"]),
    ),
    mg.LayerNorm: Counterpart(layers.LayerNormalization, "epsilon"),
    mg.RMSNorm: Counterpart(layers.RMSNormalization, "epsilon", to=_to_rms_norm),
    mg.GroupNorm: Counterpart(layers.GroupNormalization, "groups", "epsilon"),
    mg.Reshape: Counterpart(
        layers.Reshape,
        to=lambda to, layer, call, x: call(x, target_shape=layer.output_shape),
        back=lambda there, c, make: make(c["target_shape"]),
    ),
    mg.Embedding: Counterpart(layers.Embedding, "input_dim", "output_dim"),
    mg.SimpleRNN: _cell(layers.SimpleRNN, *_CELL_OPTIONS),
    mg.GRU: _cell(layers.GRU, *_CELL_OPTIONS),
    mg.LSTM: _cell(layers.LSTM, *_CELL_OPTIONS),
    mg.Bidirectional: Counterpart(
        layers.Bidirectional, to=_to_bidirectional, back=_from_bidirectional
    ),
    mg.MultiHeadAttention: Counterpart(
        layers.MultiHeadAttention,
        "num_heads",
        "use_bias",
        to=_to_attention,
        back=_from_attention,
    ),
    **{kind: Counterpart(getattr(layers, kind.__name__)) for kind in _SAME},
}

_FROM: dict[Any, tuple[type[Layer], Counterpart]] = {
    **{row.kind: (kind, row) for kind, row in LAYERS.items()},
    layers.Identity: (mg.Identity, Counterpart(layers.Identity)),
    layers.ReLU: (mg.ReLU, Counterpart(layers.ReLU, back=_from_relu)),
    layers.Softmax: (mg.Softmax, Counterpart(layers.Softmax)),
}

_FIXED: dict[str, Any] = {
    "data_format": "channels_last", "axis": -1, "keepdims": False, "output_padding": None,
    "center": True, "scale": True, "rms_scaling": False, "recurrent_activation": "sigmoid",
    "reset_after": True, "return_state": False, "stateful": False, "recurrent_dropout": 0.0,
    "dropout": 0.0, "output_shape": None, "use_gate": False, "max_value": None, "threshold": 0.0,
}  # fmt: skip
"""Options that our layers lack: the only values that Keras layers may have for them."""


def layer_of(there: Any, config: dict[str, Any]) -> Any:
    """Return the layer of a Keras layer, without its activation."""
    if type(there) not in _FROM:
        raise TypeError(
            f"from_keras expects layers that minigrad has, got {type(there).__name__} "
            f"'{there.name}'"
        )
    axes = config.get("axis", -1)
    axis = axes[0] if isinstance(axes, (list, tuple)) and len(axes) == 1 else axes
    config["axis"] = -1 if axis == -1 or axis == len(there.output.shape) - 1 else axis
    fixed = {k: v for k, v in _FIXED.items() if k not in _FROM[type(there)][1].options}
    check_options(there, config, **fixed)
    kind, row = _FROM[type(there)]
    make: Maker = partial(kind, **row.ours(config.__getitem__))
    return row.back(there, config, make) if row.back else make()


def cells_of(layer: Layer, there: Any) -> list[tuple[Any, Any]]:
    """Return the layers that have weights themselves, with their counterparts."""
    if isinstance(layer, mg.Bidirectional):
        return [*zip(layer.layers, (there.forward_layer, there.backward_layer), strict=True)]
    return [(layer, there)]
