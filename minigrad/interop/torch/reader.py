"""A module of `torch.nn` as a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import minigrad as mg
from minigrad.core.graph import Graph
from minigrad.core.layer import Layer, build_once
from minigrad.data.arrays import Array, Shape
from minigrad.interop.layouts import TORCH, Weight, array_of, weights_of
from minigrad.interop.models import (
    CELLS,
    CONVOLUTIONS,
    GLOBAL_POOLINGS,
    MAX_POOLINGS,
    MERGES,
    POOLINGS,
)
from minigrad.interop.torch.layers import CHANNELS_FIRST, CHANNELS_LAST, ELEMENTWISE, MODULES
from minigrad.interop.torch.modules import (
    Branches,
    ChannelsFirst,
    GraphModule,
    Merge,
    Module,
    RecurrentRows,
    Tensor,
    holder,
)
from minigrad.interop.torch.optimizers import read_optimizer, read_state
from minigrad.layers.windows import make_windows, per_axis


def from_torch(
    module: Module,
    input_shape: Shape,
    *,
    optimizer: Any = None,
    loss: Any = None,
    rng: Any = None,
) -> mg.Model:
    """Return a model with the layers, the weights and the dtype of a PyTorch module.

    The module is an `nn.Sequential` of layers that minigrad has, or what `to_torch` returns. The
    model takes images and sequences channels-last, also where the module takes them
    channels-first; the weights after an `nn.Flatten` are reordered for it. What doesn't require a
    gradient is frozen.

    Args:
        module: it isn't changed, and shares no memory with the model.
        input_shape: the shape of a row for minigrad, channels-last, such as (28, 28, 1). For what
            `to_torch` made of a graph it is ignored.
        optimizer: of `torch.optim`, over the module's parameters; the model is compiled with its
            counterpart, with its state.
        loss: for `compile`, together with an optimizer.
        rng: of the model; see `Model`.

    Raises:
        TypeError: a module or an optimizer without a counterpart.
        ValueError: an option that minigrad lacks, a dtype other than float32 and float64, or layers
            that work along different axes, as an `nn.Linear` along the width of an image.

    >>> module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> from_torch(module, (2,))
    Sequential([Dense(3), ReLU(), Dense(1)], input_shape=(2,), dtype='float32')
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"from_torch expects a torch.nn.Module, got {type(module).__name__}")
    dtypes = {p.dtype for p in module.parameters()} or {torch.float32}
    if len(dtypes) > 1 or not dtypes <= {torch.float32, torch.float64}:
        found = ", ".join(sorted(map(str, dtypes)))
        raise ValueError(
            f"from_torch expects parameters of float32 or of float64, got {found}: call "
            "module.float() first"
        )
    dtype = str(dtypes.pop()).removeprefix("torch.")
    reader = _Reader(module)
    if isinstance(module, GraphModule):
        graph = reader.graph(module)
        model = mg.Model(graph, input_shape=graph.row_shapes, rng=rng, dtype=dtype)
    else:
        layers, _ = reader.read(module, tuple(input_shape))
        model = mg.Sequential(layers, input_shape=tuple(input_shape), rng=rng, dtype=dtype)
    if optimizer is not None:
        if loss is None:
            raise TypeError("from_torch expects a loss with the optimizer, such as loss='mse'")
        model.compile(optimizer=read_optimizer(optimizer), loss=loss)
        read_state(model, optimizer, reader.pairs)
    return model


_PADS = nn.ConstantPad1d, nn.ConstantPad2d, nn.ZeroPad1d, nn.ZeroPad2d

_KINDS: dict[Any, type[Layer]] = {row.kind: kind for kind, row in MODULES.items()} | {
    nn.BatchNorm2d: mg.BatchNorm
}

_ELEMENTWISE = {row.kind for row in ELEMENTWISE.values()}
_FIRST = {row.kind for row in CHANNELS_FIRST.values()} | {nn.BatchNorm2d}
_LAST = {row.kind for row in CHANNELS_LAST.values()} | {RecurrentRows, Merge, Branches, GraphModule}

_FIXED: dict[str, Any] = {
    "groups": 1, "padding_mode": "zeros", "return_indices": False, "divisor_override": None,
    "size": None, "affine": True, "elementwise_affine": True, "track_running_stats": True,
    "batch_first": True, "num_layers": 1, "bidirectional": False, "proj_size": 0,
    "nonlinearity": "tanh", "bias_k": None, "add_zero_attn": False, "padding_idx": None,
    "max_norm": None, "scale_grad_by_freq": False, "start_dim": 1, "end_dim": -1,
    "min_val": -1.0, "max_val": 1.0,
}  # fmt: skip
"""Options that our layers lack: the only values that modules may have for them."""


Maker: TypeAlias = Callable[..., Any]
"""Makes a layer, with the options that it has in common with its module."""


class _Step(NamedTuple):
    """A module in a chain, with what is beside it."""

    module: Module
    pad: Module
    """The padding of its input, or None."""
    cut: Module
    """What cuts off an end of its output, or None."""
    following: Module


class _Reader:
    """Makes layers of modules, in order, and keeps track of the axes of what they pass on."""

    def __init__(self, module: Module) -> None:
        self.pairs: list[tuple[Layer, Weight, list[Tensor]]] = []
        """Each array of a layer, with the tensors that it is made of."""
        self._names = {id(inner): name for name, inner in module.named_modules()}
        self._first: bool | None = None
        """Whether the module has the channels first; None if it isn't known yet."""
        self._order: NDArray[Any] | None = None
        """The place in the module's flat rows of each number of ours."""
        self._known: dict[tuple[Any, ...], mg.Parameter] = {}

    def label(self, module: Module) -> str:
        name = self._names.get(id(module), "")
        return f"{type(module).__name__} '{name}'" if name else type(module).__name__

    def need(self, module: Module, **expected: Any) -> None:
        """Refuse a module whose options aren't these."""
        for option, value in expected.items():
            if (given := getattr(module, option, value)) != value:
                raise ValueError(
                    f"{self.label(module)} expects {option}={value!r} for minigrad, got {given!r}"
                )

    def read(self, module: Module, shape: Shape) -> tuple[list[Layer], Shape]:
        """Return the layers that do what a module does, and the shape of their output."""
        layers: list[Layer] = []
        for step in _steps(module):
            if isinstance(step.module, ChannelsFirst):
                if self._first and len(shape) > 1:
                    raise self._clash(step.module)
                self._first = True
                made, shape = self.read(step.module.inner, shape)
                self._first = False
                layers += made
                continue
            self._check_axes(step.module, shape)
            layer = self._layer(step, shape)
            shape = build_once(layer, shape, np.random.default_rng(0))
            self._fill(layer, step.module)
            layers.append(layer)
            if len(shape) < 2:
                self._first = None
        if self._order is not None:
            raise ValueError(
                f"from_torch expects a layer after the Flatten of channels-first rows, and "
                f"{self.label(module)} ends there"
            )
        return layers or [mg.Identity()], shape

    def _single(self, module: Module, shape: Shape) -> tuple[Layer, Shape]:
        layers, shape = self.read(module, shape)
        return (layers[0] if len(layers) == 1 else mg.Chain(layers)), shape

    def graph(self, module: Any) -> Graph:
        shapes = dict(module.inputs)
        layers: dict[str, tuple[Any, ...]] = {}
        for (name, sources), inner in zip(
            module.sources.items(), module.layers.values(), strict=True
        ):
            given = tuple(shapes[source] for source in sources)
            self._first = None
            layer, shapes[name] = self._single(inner, given if len(given) > 1 else given[0])
            layers[name] = layer, *sources
        return Graph(module.inputs, layers, module.outputs)

    def _layer(self, step: _Step, shape: Shape) -> Any:
        """Return the layer for one module, not built."""
        module = step.module
        if isinstance(module, Branches):
            first, made = self._first, []
            for branch in module.branches.values():
                self._first = first
                made.append(self._single(branch, shape)[0])
            how: Any = module.merge.how
            return mg.Parallel(made, merge=how)
        if isinstance(module, GraphModule):
            return self.graph(module)
        inner = module.inner if isinstance(module, RecurrentRows) else module
        if type(inner) not in _KINDS:
            raise TypeError(
                f"from_torch expects modules that minigrad has a layer for, in nn.Sequential, got "
                f"{self.label(module)}"
            )
        for part in module.modules():
            self.need(part, **_FIXED)
        kind = _KINDS[type(inner)]
        if step.pad is not None:
            if kind not in _PAD_VALUES:
                raise ValueError(
                    f"from_torch expects a convolution or a MaxPool after {self.label(step.pad)}, "
                    f"got {self.label(module)}"
                )
            self.need(step.pad, value=_PAD_VALUES[kind])
        options = MODULES[kind].ours(lambda name: getattr(inner, name))
        make: Maker = partial(kind, **options)
        return _READERS[kind](self, step, shape, make) if kind in _READERS else make()

    def _fill(self, layer: Layer, module: Module) -> None:
        """Assign the arrays of a module to a layer."""
        for weight in weights_of(layer, TORCH):
            if weight.attribute == "weight" and isinstance(layer, mg.Dense):
                weight = self._reordered(weight)
            tensors = [getattr(*holder(module, name)) for name in weight.names]
            own = getattr(layer, weight.attribute)
            array, target = weight.join(*map(_array, tensors)), array_of(layer, weight.attribute)
            if array.shape != target.shape:
                raise ValueError(
                    f"{self.label(module)} has a {weight.attribute} of shape {array.shape}, and "
                    f"for rows of shape {layer.input_shape} minigrad's has {target.shape}: pass "
                    "the input_shape of the module, channels-last"
                )
            target[...] = array
            if isinstance(own, mg.Parameter):
                own.trainable = tensors[0].requires_grad
                key = (weight.attribute, *map(id, tensors))
                setattr(layer, weight.attribute, self._known.setdefault(key, own))
            self.pairs.append((layer, weight, tensors))

    def flatten(self, shape: Shape) -> None:
        """Remember the order of the module's flat rows."""
        if self._first and len(shape) > 1:
            numbers = np.arange(int(np.prod(shape))).reshape(shape[-1], *shape[:-1])
            self._order = np.moveaxis(numbers, 0, -1).ravel()

    def _reordered(self, weight: Weight) -> Weight:
        """Return the weight after a Flatten, whose numbers are in another order than ours."""
        order, self._order = self._order, None
        if order is None:
            return weight
        return weight._replace(join=lambda a: a.T[order] if len(order) == a.shape[1] else a.T)

    def _check_axes(self, module: Module, shape: Shape) -> None:
        """Refuse a module that works along another axis than its layer would."""
        kind = type(module)
        if self._order is not None and kind is not nn.Linear and kind not in _ELEMENTWISE:
            raise ValueError(
                f"from_torch expects an nn.Linear after the Flatten of channels-first rows, got "
                f"{self.label(module)}"
            )
        if kind not in _FIRST | _LAST or len(shape) < 2:
            return
        if self._first is not None and self._first != (kind in _FIRST):
            raise self._clash(module)
        self._first = kind in _FIRST

    def _clash(self, module: Module) -> ValueError:
        place = "first" if self._first else "last"
        return ValueError(
            f"{self.label(module)} gets rows with the channels {place}, and its layer in minigrad "
            "would work along another axis: put nn.Flatten or a pooling over all positions between"
        )


def _steps(module: Module) -> Iterator[_Step]:
    """Yield the modules in nested `nn.Sequential`s in order, with the padding beside them."""
    waiting = _flat(module)
    while waiting:
        inner, pad, cut = waiting.pop(0), None, None
        if type(inner) in _PADS:
            if not waiting:
                raise ValueError(
                    f"from_torch expects a layer after padding, got {inner} at the end"
                )
            inner, pad = waiting.pop(0), inner
        following: Any = waiting[0] if waiting else None
        cuts = type(inner) is nn.ConvTranspose2d and type(following) in _PADS
        if cuts and min(following.padding) < 0:
            cut = waiting.pop(0)
        yield _Step(inner, pad, cut, following)


def _flat(module: Module) -> list[Module]:
    if type(module) is not nn.Sequential:
        return [module]
    return [inner for child in module for inner in _flat(child)]


def _array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().numpy()  # type: ignore[no-any-return]


def _one(size: Any) -> Any:
    """Return a size for all axes as minigrad takes it."""
    sizes = tuple(size) if isinstance(size, (tuple, list)) else (size,)
    return sizes if len(sizes) > 1 else sizes[0]


def _padding(
    reader: _Reader, step: _Step, shape: Shape, words: Sequence[str], **windows: Any
) -> Any:
    """Return the padding of a module, and what is padded before it, as our layers name it.

    Args:
        reader: for messages.
        step: a convolution or a pooling.
        shape: of a row of the input.
        words: the names that the layer's padding can have.
        windows: the kernel, strides and dilation of the windows, see `Windows`.
    """
    module, axes = step.module, len(shape) - 1
    if isinstance(module.padding, str):
        if step.pad is not None:
            reader.need(module, padding="valid")
        elif module.padding == "same":
            return "same"
    pads = [(0, 0)] * axes
    if step.pad is not None:
        ends = [*step.pad.padding]
        pads = [*zip(ends[::2], ends[1::2], strict=True)][::-1]
    own = (0,) * axes if module.padding == "valid" else per_axis(module.padding, axes)
    pads = [(a + p, b + p) for (a, b), p in zip(pads, own, strict=True)]
    equal = all(a == b for a, b in pads)
    both = _one([a for a, _ in pads])
    up = getattr(module, "ceil_mode", False)
    if equal and not up:
        return both
    lengths = tuple(n or 2**16 for n in shape[:-1])
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
        f"{reader.label(module)} expects equal padding of both ends without ceil_mode, or that "
        f"of {' or '.join(words)}, got {pads}"
    )


def _linear(reader: _Reader, step: _Step, shape: Shape, make: Maker) -> Any:
    return make(use_bias=step.module.bias is not None)


def _convolution(reader: _Reader, step: _Step, shape: Shape, make: Maker) -> Any:
    module = step.module
    size, strides, dilation = map(_one, (module.kernel_size, module.stride, module.dilation))
    windows = {"kernel": size, "strides": strides, "dilation": dilation}
    words = ["same", "causal"] if isinstance(module, nn.Conv1d) else ["same"]
    return make(
        kernel_size=size,
        strides=strides,
        padding=_padding(reader, step, shape, words, **windows),
        dilation_rate=dilation,
        use_bias=module.bias is not None,
    )


def _transposed(reader: _Reader, step: _Step, shape: Shape, make: Maker) -> Any:
    module = step.module
    size, strides, dilation = module.kernel_size, module.stride, module.dilation
    reaches = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
    totals = [max(r - s, 0) for r, s in zip(reaches, strides, strict=True)]
    gaps = [max(s - r, 0) for r, s in zip(reaches, strides, strict=True)]
    odd = [0, -(totals[1] % 2), 0, -(totals[0] % 2)]
    padding: Any = tuple(module.padding)
    cut = [0] * 4 if step.cut is None else [*step.cut.padding]
    same = padding == tuple(n // 2 for n in totals) and [*module.output_padding] == gaps
    if same and cut == odd:
        padding = "same"
    elif step.cut is not None:
        raise ValueError(f"{reader.label(step.cut)} expects padding={odd} of 'same', got {cut}")
    else:
        reader.need(module, output_padding=(0, 0))
    return make(
        kernel_size=size,
        strides=strides,
        padding=padding,
        dilation_rate=dilation,
        use_bias=module.bias is not None,
    )


def _pooling(reader: _Reader, step: _Step, shape: Shape, make: Maker) -> Any:
    module = step.module
    size, strides = _one(module.kernel_size), _one(module.stride)
    padding = _padding(reader, step, shape, ["same"], kernel=size, strides=strides)
    if hasattr(module, "dilation"):
        reader.need(module, dilation=1)
    elif padding not in (0, (0, 0)):
        reader.need(module, count_include_pad=False)
    return make(size, strides=strides, padding=padding)


def _global_pooling(reader: _Reader, step: _Step, shape: Shape, make: Maker) -> Any:
    module = step.module
    if set(per_axis(module.output_size, 1)) != {1}:
        raise ValueError(f"{reader.label(module)} expects output_size=1, got {module.output_size}")
    if not isinstance(step.following, nn.Flatten):
        raise ValueError(f"{reader.label(module)} expects an nn.Flatten after it")
    return make()


def _norm(reader: _Reader, step: _Step, shape: Shape, make: Maker) -> Any:
    reader.need(step.module, normalized_shape=shape[-1:])
    return make()


def _softmax(reader: _Reader, step: _Step, shape: Shape, make: Maker) -> Any:
    if step.module.dim not in (-1, len(shape)):
        raise ValueError(f"{reader.label(step.module)} expects dim=-1, got {step.module.dim}")
    return make()


def _recurrent(reader: _Reader, step: _Step, shape: Shape, make: Maker) -> Any:
    rows = step.module
    if not isinstance(rows, RecurrentRows):
        rows = RecurrentRows(rows, sequences=True, backwards=False, restores_order=False)
    layer = make(return_sequences=rows.sequences, go_backwards=rows.backwards)
    layer.restores_order = rows.restores_order
    return layer


def _attention(reader: _Reader, step: _Step, shape: Shape, make: Maker) -> Any:
    inner = step.module.inner
    reader.need(inner, dropout=0.0)
    return make(inner.num_heads, use_bias=inner.in_proj_bias is not None)


def _flatten(reader: _Reader, step: _Step, shape: Shape, make: Maker) -> Any:
    reader.flatten(shape)
    return make()


def _reshape(reader: _Reader, step: _Step, shape: Shape, make: Maker) -> Any:
    if len(shape) != 1:
        raise ValueError(f"{reader.label(step.module)} expects an nn.Flatten before it")
    return make(tuple(step.module.unflattened_size))


def _upsampling(reader: _Reader, step: _Step, shape: Shape, make: Maker) -> Any:
    module = step.module
    if module.mode != "bilinear":
        reader.need(module, mode="nearest")
    if module.align_corners:
        reader.need(module, align_corners=False)
    factors = per_axis(module.scale_factor, 2)
    if any(factor != int(factor) for factor in factors):
        raise ValueError(
            f"{reader.label(module)} expects whole numbers to scale by, got {module.scale_factor}"
        )
    return make(tuple(map(int, factors)))


def _merge(reader: _Reader, step: _Step, shape: Shape, make: Maker) -> Any:
    return {how: kind for kind, how in MERGES.items()}[step.module.how]()


_PAD_VALUES: dict[Any, float] = {
    mg.Conv1D: 0,
    mg.Conv2D: 0,
    **dict.fromkeys(MAX_POOLINGS, -np.inf),
}
"""What padding before a layer must hold, as it becomes that of the layer."""

_READERS: dict[type[Layer], Callable[[_Reader, _Step, Shape, Maker], Any]] = {
    mg.Dense: _linear,
    **dict.fromkeys(CONVOLUTIONS, _convolution),
    mg.Conv2DTranspose: _transposed,
    **dict.fromkeys(POOLINGS, _pooling),
    **dict.fromkeys(GLOBAL_POOLINGS, _global_pooling),
    mg.UpSampling2D: _upsampling,
    mg.LayerNorm: _norm,
    mg.RMSNorm: _norm,
    mg.Softmax: _softmax,
    mg.LogSoftmax: _softmax,
    mg.Flatten: _flatten,
    mg.Reshape: _reshape,
    mg.MultiHeadAttention: _attention,
    **dict.fromkeys(CELLS, _recurrent),
    **dict.fromkeys(MERGES, _merge),
}
"""A function of (reader, step, shape, make) for layers with more than the options in common."""
