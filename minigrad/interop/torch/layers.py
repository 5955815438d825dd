"""The module of each layer, and back: one table, read in both directions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from torch import nn

import minigrad as mg
from minigrad.core.layer import Layer
from minigrad.data.arrays import Shape
from minigrad.interop import models
from minigrad.interop.models import (
    MERGES,
    Counterpart,
    gaps_of,
    one_size,
    pads_of,
    windows_of,
)
from minigrad.interop.torch import modules
from minigrad.interop.torch.modules import Module
from minigrad.layers.convolution import ConvolutionTranspose
from minigrad.layers.masks import shapes_of
from minigrad.layers.recurrent import Recurrent
from minigrad.layers.windows import make_windows, per_axis

Maker: TypeAlias = Callable[..., Any]
"""Makes a module of a layer, or a layer of a module, with the options that both have."""


class ChainItem(NamedTuple):
    """A module in a chain, with what is beside it."""

    module: Module
    pad: Module
    """The padding of its input, or None."""
    cut: Module
    """What cuts off an end of its output, or None."""
    following: Module
    shape: Shape
    """The shape of a row of its input, channels-last."""
    label: str

    def need(self, **expected: Any) -> None:
        """Refuse a module whose options aren't these."""
        check_options(self.label, self.module, **expected)


def check_options(label: str, module: Module, **expected: Any) -> None:
    """Refuse a module whose options aren't these; one that it doesn't have is right."""
    models.check_options(label, partial(getattr, module), **expected)


# Each function `_to_...` makes the module of a layer, and `_from_...` the layer of a module.


def _to_padding(layer: Any) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the padding that both ends of each axis have, and what is left over."""
    pads, lengths = pads_of(layer), layer.input_shape[:-1]
    if pads is None and max(windows_of(layer)[1]) > 1:
        raise ValueError(
            f"{layer.label} expects known lengths for padding='same' with strides in torch.nn, "
            f"got {lengths}"
        )
    if pads is None:  # without strides it is the same for any length
        pads = layer.windows(tuple(n or 2**16 for n in lengths)).pads
    both = [min(pad) for pad in pads]
    return both, [(first - n, last - n) for (first, last), n in zip(pads, both, strict=True)]


def _extra(rest: list[tuple[int, int]], value: float) -> list[Module]:
    """Return a module that pads what is left over, if anything is."""
    if not any(map(any, rest)):
        return []
    sides = [n for pair in reversed(rest) for n in pair]
    return [(nn.ConstantPad1d if len(rest) == 1 else nn.ConstantPad2d)(tuple(sides), value)]


def _in_order(*modules: Module) -> Module:
    return modules[0] if len(modules) == 1 else nn.Sequential(*modules)


def _from_padding(step: ChainItem, words: Sequence[str], **windows: Any) -> Any:
    """Return the padding of a module and of what is padded before it, as a number or a word.

    `words` are those that the layer knows; `windows` are options of `Windows`.
    """
    module, axes = step.module, len(step.shape) - 1
    if isinstance(module.padding, str):
        if step.pad is not None:
            step.need(padding="valid")
        elif module.padding == "same":
            return "same"
    pads = [(0, 0)] * axes
    if step.pad is not None:
        ends = [*step.pad.padding]
        pads = [*zip(ends[::2], ends[1::2], strict=True)][::-1]
    own = (0,) * axes if module.padding == "valid" else per_axis(module.padding, axes)
    pads = [(a + p, b + p) for (a, b), p in zip(pads, own, strict=True)]
    equal = all(a == b for a, b in pads)
    both = one_size([a for a, _ in pads])
    up = getattr(module, "ceil_mode", False)
    if equal and not up:
        return both
    lengths = tuple(n or 2**16 for n in step.shape[:-1])
    sizes = [per_axis(windows.get(name, 1), axes) for name in ("kernel", "dilation", "strides")]
    outputs = tuple(
        (n + a + b - (k - 1) * d - 1 + up * (s - 1)) // s + 1
        for n, (a, b), k, d, s in zip(lengths, pads, *sizes, strict=True)
    )
    for padding in ([both] if equal else []) + [*words]:
        found = make_windows("", lengths, padding=padding, **windows)
        if [a for a, _ in found.pads] == [a for a, _ in pads] and found.outputs == outputs:
            return padding
    raise ValueError(
        f"{step.label} expects equal padding of both ends without ceil_mode, or that "
        f"of {' or '.join(words)}, got {pads}"
    )


def _to_convolution(layer: Any, make: Maker) -> Module:
    transposed = isinstance(layer, ConvolutionTranspose)
    both, rest = _to_padding(layer)
    size, strides, dilation = windows_of(layer)
    more = {}
    if transposed and layer.padding == "same":
        more["output_padding"] = gaps_of(size, strides, dilation)
    convolution = make(
        layer.input_shape[-1],
        kernel_size=size,
        stride=strides,
        padding=tuple(both),
        dilation=dilation,
        bias=layer.use_bias,
        **more,
    )
    if transposed:
        return _in_order(convolution, *_extra([(-first, -last) for first, last in rest], 0.0))
    return _in_order(*_extra(rest, 0.0), convolution)


def _to_depthwise(layer: Any, make: Maker) -> Module:
    channels = layer.input_shape[-1]
    separable = isinstance(layer, mg.SeparableConv2D)
    options: dict[str, Any] = {
        "groups": channels,
        "out_channels": channels * layer.depth_multiplier,
    }
    if separable:
        options["bias"] = False

    def grouped(*args: Any, **given: Any) -> Module:
        return nn.Conv2d(*args, **{**given, **options})

    module = _to_convolution(layer, grouped)
    if not separable:
        return module
    pixel = nn.Conv2d(options["out_channels"], layer.filters, 1, bias=layer.use_bias)
    return nn.Sequential(OrderedDict(depthwise=module, pointwise=pixel))


def _from_depthwise(step: ChainItem, make: Maker) -> Any:
    module = step.module
    make = partial(make, depth_multiplier=module.out_channels // module.in_channels)
    return _from_convolution(step, make)


def _from_convolution(step: ChainItem, make: Maker, padding: Any = None) -> Any:
    module = step.module
    size, strides, dilation = map(one_size, (module.kernel_size, module.stride, module.dilation))
    if padding is None:
        windows = {"kernel": size, "strides": strides, "dilation": dilation}
        words = ["same", "causal"] if isinstance(module, nn.Conv1d) else ["same"]
        padding = _from_padding(step, words, **windows)
    return make(
        kernel_size=size,
        strides=strides,
        padding=padding,
        dilation_rate=dilation,
        use_bias=module.bias is not None,
    )


def _from_transposed(step: ChainItem, make: Maker) -> Any:
    module = step.module
    size, strides, dilation = module.kernel_size, module.stride, module.dilation
    reaches = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
    totals = [max(r - s, 0) for r, s in zip(reaches, strides, strict=True)]
    gaps = gaps_of(size, strides, dilation)
    odd = [n for total in reversed(totals) for n in (0, -(total % 2))]
    padding: Any = tuple(module.padding)
    cut = [0] * len(odd) if step.cut is None else [*step.cut.padding]
    same = padding == tuple(n // 2 for n in totals) and tuple(module.output_padding) == gaps
    if same and cut == odd:
        padding = "same"
    elif step.cut is not None:
        raise ValueError(
            f"{step.label} expects padding={odd} after it, as for padding='same', got {cut}"
        )
    else:
        step.need(output_padding=(0,) * len(padding))
    return _from_convolution(step, make, padding if padding == "same" else one_size(padding))


def _to_pooling(layer: Any, make: Maker) -> Module:
    both, rest = _to_padding(layer)
    size, strides, _ = windows_of(layer)
    make = partial(make, size, strides, padding=tuple(both))
    if isinstance(layer, (mg.MaxPooling1D, mg.MaxPooling2D)):
        return _in_order(*_extra(rest, -np.inf), make())
    more = any(map(any, rest))  # a last window may then reach beyond the padding
    if more and 1 in strides:
        raise ValueError(
            f"{layer.label} expects padding of equal ends in torch.nn, got {layer.padding!r}, "
            "which pads one end more: use an odd pool_size, or strides above 1"
        )
    return make(ceil_mode=more, count_include_pad=False)


def _from_pooling(step: ChainItem, make: Maker) -> Any:
    module = step.module
    size, strides = one_size(module.kernel_size), one_size(module.stride)
    padding = _from_padding(step, ["same"], kernel=size, strides=strides)
    if hasattr(module, "dilation"):
        step.need(dilation=1)
    elif padding not in (0, (0, 0)):
        step.need(count_include_pad=False)
    return make(size, strides=strides, padding=padding)


def _from_global_pooling(step: ChainItem, make: Maker) -> Any:
    module = step.module
    if set(per_axis(module.output_size, 1)) != {1}:
        raise ValueError(f"{step.label} expects output_size=1, got {module.output_size}")
    if not isinstance(step.following, nn.Flatten):
        raise ValueError(f"{step.label} expects an nn.Flatten after it")
    return make()


def _to_upsampling(layer: Any, make: Maker) -> Module:
    return make(scale_factor=tuple(map(float, per_axis(layer.size, layer.axes))))


def _from_upsampling(step: ChainItem, make: Maker) -> Any:
    module = step.module
    if module.mode != "bilinear":
        step.need(mode="nearest")
    if module.align_corners:
        step.need(align_corners=False)
    axes = len(step.shape) - 1
    factors = module.scale_factor
    factors = tuple(factors) if isinstance(factors, (tuple, list)) else (factors,) * axes
    if any(factor != int(factor) for factor in factors):
        raise ValueError(
            f"{step.label} expects whole numbers to scale by, got {module.scale_factor}"
        )
    if axes == 1:
        step.need(mode="nearest")
        return mg.UpSampling1D(int(factors[0]))
    return make(tuple(map(int, factors)))


def _to_batch_norm(layer: Any, make: Any) -> Module:
    axes = len(layer.input_shape) - 1
    if axes > 2:
        raise ValueError(f"{layer.label} expects rows of up to 3 axes, got {layer.input_shape}")
    make = partial(nn.BatchNorm2d, **make.keywords) if axes == 2 else make
    return make(layer.input_shape[-1])


def _from_norm(step: ChainItem, make: Maker) -> Any:
    step.need(normalized_shape=step.shape[-1:])
    return make()


def _from_softmax(step: ChainItem, make: Maker) -> Any:
    if step.module.dim not in (-1, len(step.shape)):
        raise ValueError(f"{step.label} expects dim=-1, got {step.module.dim}")
    return make()


def _to_prelu(layer: Any, make: Maker) -> Module:
    shape, size = layer.slope.shape, layer.slope.size
    if size not in (1, shape[-1]):
        raise ValueError(
            f"{layer.label} expects a slope for each channel, or one for all, in torch.nn, got "
            f"slopes of shape {shape}"
        )
    return make(size)


def _from_prelu(step: ChainItem, make: Maker) -> Any:
    one = step.module.num_parameters == 1
    return make(shared_axes=range(1, len(step.shape) + 1) if one else None)


def _from_ended(step: ChainItem, make: Maker) -> Any:
    ends = step.module.ends
    cropped = any(n < 0 for pair in ends for n in pair)
    kinds: Any = (mg.ZeroPadding1D, mg.ZeroPadding2D), (mg.Cropping1D, mg.Cropping2D)
    return kinds[cropped][len(ends) - 1](tuple((abs(a), abs(b)) for a, b in ends))


def _to_recurrent(layer: Any, make: Maker) -> Module:
    masked = len(shapes_of(layer.input_shape)) > 1 + layer.initial_state
    if layer.return_state and isinstance(layer, mg.LSTM) and (masked or layer.return_sequences):
        raise ValueError(
            f"{layer.label} expects return_state=False in torch.nn with a mask or return_sequences="
            "True: an nn.LSTM returns the last c only"
        )
    return modules.RecurrentRows(
        make(len(layer.weight.value), batch_first=True),
        sequences=layer.return_sequences,
        backwards=layer.go_backwards,
        restores_order=layer.restores_order,
        initial_state=layer.initial_state,
        return_state=layer.return_state,
    )


def _from_recurrent(step: ChainItem, make: Maker) -> Any:
    rows = step.module
    if not isinstance(rows, modules.RecurrentRows):
        rows = modules.RecurrentRows(rows, sequences=True, backwards=False, restores_order=False)
    layer = make(
        return_sequences=rows.sequences,
        go_backwards=rows.backwards,
        return_state=rows.return_state,
        initial_state=rows.initial_state,
    )
    layer.restores_order = rows.restores_order
    return layer


def _to_attention(layer: Any, make: Maker) -> Module:
    size = len(layer.weight.value)
    if layer.num_heads * layer.width != size:
        raise ValueError(
            f"{layer.label} expects heads of {size} features together in torch.nn, got "
            f"{layer.num_heads} of key_dim={layer.width}"
        )
    return make(nn.MultiheadAttention(size, layer.num_heads, bias=layer.use_bias, batch_first=True))


def _from_attention(step: ChainItem, make: Maker) -> Any:
    inner = step.module.inner
    check_options(step.label, inner, dropout=0.0)
    return make(inner.num_heads, use_bias=inner.in_proj_bias is not None)


def _from_unflatten(step: ChainItem, make: Maker) -> Any:
    if len(step.shape) != 1:
        raise ValueError(f"{step.label} expects an nn.Flatten before it")
    return make(tuple(step.module.unflattened_size))


_SAME: list[type[Layer]] = [
    mg.Identity, mg.Sigmoid, mg.Tanh, mg.ReLU, mg.SELU, mg.Hardtanh, mg.Hardsigmoid, mg.SiLU,
    mg.Softplus, mg.Mish, mg.Softsign,
]  # fmt: skip
"""Activations without options that have the same name in torch.nn."""

ELEMENTWISE: dict[type[Layer], Counterpart] = {
    **{kind: Counterpart(getattr(nn, kind.__name__)) for kind in _SAME},
    mg.LeakyReLU: Counterpart(nn.LeakyReLU, slope="negative_slope"),
    mg.ELU: Counterpart(nn.ELU, "alpha"),
    mg.GELU: Counterpart(nn.GELU, "approximate"),
    mg.Dropout: Counterpart(nn.Dropout, rate="p"),
    mg.GaussianNoise: Counterpart(modules.Noise, "stddev"),
    mg.Rescaling: Counterpart(modules.Scaled, "scale", "offset"),
}
"""Modules that treat each number alike, so that the order of axes doesn't matter."""

_convolution = partial(
    Counterpart, to=_to_convolution, back=_from_convolution, filters="out_channels"
)
_pooling = partial(Counterpart, to=_to_pooling, back=_from_pooling)
_global_pooling = partial(
    Counterpart,
    to=lambda layer, make: nn.Sequential(make(1), nn.Flatten()),
    back=_from_global_pooling,
)

CHANNELS_FIRST: dict[type[Layer], Counterpart] = {
    mg.Conv1D: _convolution(nn.Conv1d),
    mg.Conv2D: _convolution(nn.Conv2d),
    mg.Conv1DTranspose: _convolution(nn.ConvTranspose1d, back=_from_transposed),
    mg.Conv2DTranspose: _convolution(nn.ConvTranspose2d, back=_from_transposed),
    mg.DepthwiseConv2D: Counterpart(nn.Conv2d, to=_to_depthwise, back=_from_depthwise),
    mg.SeparableConv2D: Counterpart(nn.Conv2d, to=_to_depthwise),
    mg.SpatialDropout1D: Counterpart(nn.Dropout1d, rate="p"),
    mg.SpatialDropout2D: Counterpart(nn.Dropout2d, rate="p"),
    mg.PReLU: Counterpart(nn.PReLU, to=_to_prelu, back=_from_prelu),
    mg.MaxPooling1D: _pooling(nn.MaxPool1d),
    mg.MaxPooling2D: _pooling(nn.MaxPool2d),
    mg.AveragePooling1D: _pooling(nn.AvgPool1d),
    mg.AveragePooling2D: _pooling(nn.AvgPool2d),
    mg.GlobalMaxPooling1D: _global_pooling(nn.AdaptiveMaxPool1d),
    mg.GlobalMaxPooling2D: _global_pooling(nn.AdaptiveMaxPool2d),
    mg.GlobalAveragePooling1D: _global_pooling(nn.AdaptiveAvgPool1d),
    mg.GlobalAveragePooling2D: _global_pooling(nn.AdaptiveAvgPool2d),
    mg.UpSampling1D: Counterpart(nn.Upsample, to=_to_upsampling),
    mg.UpSampling2D: Counterpart(
        nn.Upsample, to=_to_upsampling, back=_from_upsampling, interpolation="mode"
    ),
    mg.BatchNorm: Counterpart(nn.BatchNorm1d, "momentum", to=_to_batch_norm, epsilon="eps"),
    mg.GroupNorm: Counterpart(
        nn.GroupNorm,
        to=lambda layer, make: make(num_channels=layer.input_shape[-1]),
        groups="num_groups",
        epsilon="eps",
    ),
}
"""Modules that want the channels first. A `BatchNorm` of images is an `nn.BatchNorm2d`."""

_norm = partial(
    Counterpart,
    to=lambda layer, make: make(layer.input_shape[-1]),
    back=_from_norm,
    epsilon="eps",
)
_softmax = partial(Counterpart, to=lambda layer, make: make(dim=-1), back=_from_softmax)
_recurrent = partial(
    Counterpart, to=_to_recurrent, back=_from_recurrent, units="hidden_size", use_bias="bias"
)

_ended = Counterpart(modules.Ended, to=lambda layer, make: make(layer.ends), back=_from_ended)

CHANNELS_LAST: dict[type[Layer], Counterpart] = {
    mg.Dense: Counterpart(
        nn.Linear,
        to=lambda layer, make: make(layer.input_shape[-1], bias=layer.use_bias),
        back=lambda step, make: make(use_bias=step.module.bias is not None),
        units="out_features",
    ),
    mg.LayerNorm: _norm(nn.LayerNorm),
    mg.RMSNorm: _norm(nn.RMSNorm),
    mg.Softmax: _softmax(nn.Softmax),
    mg.LogSoftmax: _softmax(nn.LogSoftmax),
    mg.Embedding: Counterpart(nn.Embedding, input_dim="num_embeddings", output_dim="embedding_dim"),
    mg.PositionEmbedding: Counterpart(
        modules.Positions, to=lambda layer, make: make(*layer.weight.shape)
    ),
    mg.SinusoidalPositions: Counterpart(modules.Sinusoids),
    mg.MultiHeadAttention: Counterpart(
        modules.Attention, "causal", to=_to_attention, back=_from_attention
    ),
    mg.SimpleRNN: _recurrent(nn.RNN),
    mg.GRU: _recurrent(nn.GRU),
    mg.LSTM: _recurrent(nn.LSTM),
    **dict.fromkeys([mg.ZeroPadding1D, mg.ZeroPadding2D, mg.Cropping1D, mg.Cropping2D], _ended),
    mg.Mask: Counterpart(modules.RealSteps, "mask_value"),
    mg.Permute: Counterpart(modules.Permuted, "dims"),
    mg.RepeatVector: Counterpart(modules.Repeated, "n"),
    mg.Slice: Counterpart(modules.Sliced, "index"),
    mg.Dot: Counterpart(modules.Dot, "axes", "normalize"),
    mg.Reshape: Counterpart(
        nn.Unflatten,
        to=lambda layer, make: nn.Sequential(nn.Flatten(), make(1, layer.output_shape)),
        back=_from_unflatten,
    ),
}
"""Modules that work along the last axis, or that depend on the order of the axes."""

_merge = Counterpart(
    modules.Merge,
    to=lambda layer, make: make(MERGES[type(layer)]),
    back=lambda step, make: {how: kind for kind, how in MERGES.items()}[step.module.how](),
)

MODULES: dict[type[Layer], Counterpart] = {
    **ELEMENTWISE,
    **CHANNELS_FIRST,
    **CHANNELS_LAST,
    **dict.fromkeys(MERGES, _merge),
    mg.Flatten: Counterpart(nn.Flatten),
}

_KINDS: dict[Any, type[Layer]] = {row.kind: kind for kind, row in MODULES.items()} | {
    nn.BatchNorm2d: mg.BatchNorm,
    nn.Conv2d: mg.Conv2D,
    nn.Upsample: mg.UpSampling2D,
}

PAD_VALUES: dict[Any, float] = {
    nn.Conv1d: 0,
    nn.Conv2d: 0,
    nn.MaxPool1d: -np.inf,
    nn.MaxPool2d: -np.inf,
}
"""What the padding before a module must hold, to become that of its layer."""

_FIXED: dict[str, Any] = {
    "groups": 1, "padding_mode": "zeros", "return_indices": False, "divisor_override": None,
    "size": None, "affine": True, "elementwise_affine": True, "track_running_stats": True,
    "batch_first": True, "num_layers": 1, "bidirectional": False, "proj_size": 0,
    "nonlinearity": "tanh", "bias_k": None, "add_zero_attn": False, "padding_idx": None,
    "max_norm": None, "scale_grad_by_freq": False, "start_dim": 1, "end_dim": -1,
    "min_val": -1.0, "max_val": 1.0,
}  # fmt: skip
"""Options that our layers lack: the only values that modules may have for them."""


def module_of(layer: Any) -> Module:
    """Return the module of a layer without its activation; the weights aren't assigned."""
    kind = type(layer)
    if not isinstance(layer, (Recurrent, mg.Mask, mg.MultiHeadAttention)):
        models.check_masks(layer, "to_torch")
    models.check_inner_dropout(layer, "to_torch")
    if kind not in MODULES:
        raise TypeError(
            f"to_torch expects layers of minigrad, got {layer.label}: write a torch.nn.Module"
        )
    row = MODULES[kind]
    make = partial(row.kind, **row.theirs(layer))
    module = row.to(layer, make) if row.to else make()
    first = kind in CHANNELS_FIRST and len(layer.input_shape) > 1
    return modules.ChannelsFirst(module) if first else module


def layer_of(step: ChainItem) -> Any:
    """Return the layer of a module, not built."""
    module = step.module
    inner = module.inner if isinstance(module, modules.RecurrentRows) else module
    if type(inner) not in _KINDS:
        raise TypeError(
            f"from_torch expects modules that minigrad has a layer for, in nn.Sequential, got "
            f"{step.label}"
        )
    kind, fixed = _KINDS[type(inner)], _FIXED
    if isinstance(inner, nn.Conv2d) and 1 < inner.groups == inner.in_channels:
        kind, fixed = mg.DepthwiseConv2D, {**_FIXED, "groups": inner.groups}
    for part in module.modules():
        check_options(step.label, part, **fixed)
    make = partial(kind, **MODULES[kind].ours(partial(getattr, inner)))
    back = MODULES[kind].back
    return back(step, make) if back else make()
