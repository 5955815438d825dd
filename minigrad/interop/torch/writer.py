"""A model as a module of `torch.nn`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

import minigrad as mg
from minigrad.core.layer import Layer
from minigrad.interop.layouts import TORCH, Part, split_arrays, weights_of
from minigrad.interop.models import (
    CELLS,
    CONVOLUTIONS,
    GLOBAL_POOLINGS,
    MAX_POOLINGS,
    MERGES,
    POOLINGS,
    check_built,
    kind_of_layer,
)
from minigrad.interop.torch.layers import CHANNELS_FIRST, MODULES
from minigrad.interop.torch.modules import (
    Branches,
    ChannelsFirst,
    GraphModule,
    Module,
    RecurrentRows,
    Tensor,
    holder,
    keyed,
)
from minigrad.interop.torch.optimizers import check_convertible, write_optimizer
from minigrad.layers.windows import per_axis

Maker: TypeAlias = Callable[..., Module]
"""Makes a module, with the options that it has in common with its layer."""


def to_torch(model: mg.Model) -> Module:
    """Return the model as a module of `torch.nn` layers, with the same weights and dtype.

    The module takes and returns tensors of the same shapes as the model: images stay
    channels-last, and a `ChannelsFirst` module around a layer turns them for it. Its submodules
    have the names of the layers. A graph takes its inputs in order or in a dict.

    Dropout draws other numbers than here. Of the two biases of recurrent modules, the second one is
    zero and isn't trained, except for a GRU's candidate; in every step the module and the model
    then change alike.

    Raises:
        RuntimeError: the model isn't built.
        TypeError: `model` isn't a model, or a layer has no counterpart, such as one of your own.
        ValueError: an option of a layer that PyTorch lacks.

    >>> to_torch(mg.Sequential([mg.Dense(3, "relu"), mg.Dense(1)], input_shape=(2,), rng=0))
    Sequential(
      (dense_1): Linear(in_features=2, out_features=3, bias=True)
      (dense_1_relu): ReLU()
      (dense_2): Linear(in_features=3, out_features=1, bias=True)
    )
    """
    check_built(model, "to_torch")
    return _Writer(model).module


def to_torch_training(model: mg.Model) -> tuple[Module, Any]:
    """Return the module of a compiled model and its optimizer of `torch.optim`, with its state.

    The next steps of both are those that the model would make, but for rounding.

    Raises:
        RuntimeError: the model isn't compiled.
        ValueError: what `torch.optim` lacks: clipping, a regularizer, or a schedule.
        TypeError and others: see `to_torch`.
    """
    check_built(model, "to_torch_training")
    check_convertible(model, "to_torch_training")
    writer = _Writer(model)
    return writer.module, write_optimizer(model, writer.module.parameters(), writer.parts)


class _Writer:
    """Makes the module of a model, and remembers the parts of each of its tensors."""

    def __init__(self, model: mg.Model) -> None:
        self.parts: dict[int, list[Part]] = {}
        self._shared: dict[tuple[tuple[int, int], ...], Tensor] = {}
        with torch.device("meta"):  # all weights are assigned, so none is drawn
            self.module = self._write(model)

    def _write(self, layer: Layer) -> Module:
        """Return the module of a layer with its activation."""
        steps = dict(self._steps(layer))
        return _sequential(steps) if len(steps) > 1 else steps[layer.name]

    def _steps(self, layer: Layer) -> Iterator[tuple[str, Module]]:
        yield layer.name, self._module(layer)
        activation = getattr(layer, "activation", None)
        if activation is not None:
            yield f"{layer.name}_{activation.name}", self._write(activation)

    def _module(self, layer: Any) -> Module:
        kind = kind_of_layer(layer)
        if kind is mg.Model:
            return self._module(layer.network)
        if kind is mg.Chain:
            return _sequential(dict(step for n in layer.layers for step in self._steps(n)))
        if kind is mg.Graph:
            return GraphModule({n: self._write(inner) for n, inner in layer.layers.items()}, layer)
        if kind is mg.Residual:
            inner = self._write(layer.layer)
            return Branches({"shortcut": nn.Identity(), layer.layer.name: inner}, "add")
        if kind in (mg.Parallel, mg.Bidirectional):
            return Branches({n.name: self._write(n) for n in layer.layers}, layer.merge)
        if kind not in MODULES:
            raise TypeError(
                f"to_torch expects layers of minigrad, got {layer.label}: write a torch.nn.Module "
                "for it"
            )
        make: Maker = partial(MODULES[kind].kind, **MODULES[kind].theirs(layer))
        module = _WRITERS[kind](layer, make) if kind in _WRITERS else make()
        if kind in CHANNELS_FIRST and len(layer.input_shape) > 1:
            module = ChannelsFirst(module)
        self._fill(layer, module)
        return module

    def _fill(self, layer: Layer, module: Module) -> None:
        """Assign the arrays of a layer to the tensors of a module."""
        for name, (array, parts) in split_arrays(layer, weights_of(layer, TORCH)).items():
            tensor = torch.from_numpy(array.copy())
            if parts:
                tensor = self._shared_tensor(layer, parts, tensor)
                # The second bias of a sum isn't trained.
                trained = any(p.parameter.trainable and p.place == 0 for p in parts)
                tensor.requires_grad_(trained)
            inner, last = holder(module, name)
            setattr(inner, last, tensor)
        if isinstance(layer, mg.GRU) and layer.bias is not None:
            candidate = torch.arange(3 * layer.units, device="cpu") >= 2 * layer.units
            inner.bias_hh_l0.register_hook(lambda gradient: gradient * candidate.to(gradient))
        if isinstance(layer, mg.BatchNorm):
            inner.num_batches_tracked = torch.tensor(0, device="cpu")

    def _shared_tensor(self, layer: Layer, parts: list[Part], tensor: Tensor) -> Tensor:
        """Return the tensor of another layer that has the same parameters, or a new one."""
        key = tuple((id(p.parameter.source), p.place) for p in parts)
        shared = self._shared.setdefault(key, nn.Parameter(tensor))
        if shared.shape != tensor.shape or not bool((shared == tensor).all()):
            raise ValueError(
                f"{layer.label} shares its {parts[0].parameter.name} with a layer that has it in "
                "another layout in torch.nn: give each its own"
            )
        self.parts[id(shared)] = parts
        return shared


def _sequential(modules: Mapping[str, Module]) -> Module:
    return nn.Sequential(OrderedDict(keyed(modules)))


def _in_order(*modules: Module) -> Module:
    return modules[0] if len(modules) == 1 else nn.Sequential(*modules)


def _padding(layer: Any, size: Any) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the padding that both ends of each axis have, and what is left over."""
    lengths = layer.row_shape[:-1]
    if isinstance(layer, mg.Conv2DTranspose):
        lengths = tuple(n or 64 for n in lengths)
    strides = per_axis(size if layer.strides is None else layer.strides, layer.axes)
    if layer.padding == "same" and None in lengths:
        if max(strides) > 1:
            raise ValueError(
                f"{layer.label} expects known lengths for padding='same' with strides in torch.nn, "
                f"got {lengths}"
            )
        lengths = tuple(n or 2**16 for n in lengths)
    pads = layer.windows(lengths).pads
    both = [min(pad) for pad in pads]
    return both, [(first - n, last - n) for (first, last), n in zip(pads, both, strict=True)]


def _extra(rest: list[tuple[int, int]], value: float) -> list[Module]:
    """Return a module that pads what is left over, if anything is."""
    if not any(map(any, rest)):
        return []
    sides = [n for pair in reversed(rest) for n in pair]
    return [(nn.ConstantPad1d if len(rest) == 1 else nn.ConstantPad2d)(tuple(sides), value)]


def _convolution(layer: Any, make: Maker) -> Module:
    transposed = isinstance(layer, mg.Conv2DTranspose)
    both, rest = _padding(layer, layer.kernel_size)
    size, strides, dilation = (
        per_axis(n, layer.axes) for n in (layer.kernel_size, layer.strides, layer.dilation_rate)
    )
    gaps = [max(s - (k - 1) * d - 1, 0) for k, s, d in zip(size, strides, dilation, strict=True)]
    convolution = make(
        layer.row_shape[-1],
        kernel_size=size,
        stride=strides,
        padding=tuple(both),
        dilation=dilation,
        bias=layer.use_bias,
        **({"output_padding": tuple(gaps)} if transposed and layer.padding == "same" else {}),
    )
    if transposed:
        return _in_order(convolution, *_extra([(-first, -last) for first, last in rest], 0.0))
    return _in_order(*_extra(rest, 0.0), convolution)


def _pooling(layer: Any, make: Maker) -> Module:
    both, rest = _padding(layer, layer.pool_size)
    strides = layer.pool_size if layer.strides is None else layer.strides
    make = partial(make, layer.pool_size, strides, padding=tuple(both))
    if isinstance(layer, MAX_POOLINGS):
        return _in_order(*_extra(rest, -np.inf), make())
    more = any(map(any, rest))  # a last window may then reach beyond the padding
    if more and 1 in per_axis(strides, layer.axes):
        raise ValueError(
            f"{layer.label} expects padding of equal ends in torch.nn, got {layer.padding!r}, "
            "which pads one end more: use an odd pool_size, or strides above 1"
        )
    return make(ceil_mode=more, count_include_pad=False)


def _batch_norm(layer: Any, make: Maker) -> Module:
    axes = len(layer.input_shape) - 1
    if axes > 2:
        raise ValueError(f"{layer.label} expects rows of up to 3 axes, got {layer.input_shape}")
    options = MODULES[mg.BatchNorm].theirs(layer)
    kind = nn.BatchNorm2d if axes == 2 else nn.BatchNorm1d
    return kind(layer.input_shape[-1], **options)


def _recurrent(layer: Any, make: Maker) -> Module:
    return RecurrentRows(
        make(len(layer.weight.value), batch_first=True),
        sequences=layer.return_sequences,
        backwards=layer.go_backwards,
        restores_order=layer.restores_order,
    )


def _attention(layer: Any, make: Maker) -> Module:
    size = len(layer.weight.value)
    return make(nn.MultiheadAttention(size, layer.num_heads, bias=layer.use_bias, batch_first=True))


_WRITERS: dict[type[Layer], Callable[[Any, Maker], Module]] = {
    mg.Dense: lambda layer, make: make(layer.input_shape[-1], bias=layer.use_bias),
    **dict.fromkeys(CONVOLUTIONS, _convolution),
    **dict.fromkeys(POOLINGS, _pooling),
    **dict.fromkeys(GLOBAL_POOLINGS, lambda layer, make: nn.Sequential(make(1), nn.Flatten())),
    mg.UpSampling2D: lambda layer, make: make(
        scale_factor=tuple(map(float, per_axis(layer.size, 2)))
    ),
    mg.BatchNorm: _batch_norm,
    mg.GroupNorm: lambda layer, make: make(num_channels=layer.input_shape[-1]),
    mg.LayerNorm: lambda layer, make: make(layer.input_shape[-1]),
    mg.RMSNorm: lambda layer, make: make(layer.input_shape[-1]),
    mg.Softmax: lambda layer, make: make(dim=-1),
    mg.LogSoftmax: lambda layer, make: make(dim=-1),
    mg.Reshape: lambda layer, make: nn.Sequential(nn.Flatten(), make(1, layer.output_shape)),
    mg.PositionEmbedding: lambda layer, make: make(*layer.weight.shape),
    mg.MultiHeadAttention: _attention,
    **dict.fromkeys(CELLS, _recurrent),
    **dict.fromkeys(MERGES, lambda layer, make: make(MERGES[type(layer)])),
}
"""A function of (layer, make) for layers with more than the options in common."""
