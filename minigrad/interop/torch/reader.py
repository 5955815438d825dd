"""A module of `torch.nn` as a model."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import minigrad as mg
from minigrad.core.graph import Graph
from minigrad.core.layer import Layer, build_once
from minigrad.data.arrays import Array, Shape
from minigrad.interop.layouts import TORCH, Weight, array_of, weights_of
from minigrad.interop.torch import modules
from minigrad.interop.torch.layers import (
    CHANNELS_FIRST,
    CHANNELS_LAST,
    ELEMENTWISE,
    FIXED,
    MODULES,
    PAD_VALUES,
    Step,
    check_options,
)
from minigrad.interop.torch.modules import Module, Tensor
from minigrad.interop.torch.optimizers import read_optimizer, read_state


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
    if isinstance(module, modules.GraphModule):
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
_LAST = {row.kind for row in CHANNELS_LAST.values()} | {
    modules.RecurrentRows,
    modules.Merge,
    modules.Branches,
    modules.GraphModule,
}


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

    def _label(self, module: Module) -> str:
        name = self._names.get(id(module), "")
        return f"{type(module).__name__} '{name}'" if name else type(module).__name__

    def read(self, module: Module, shape: Shape) -> tuple[list[Layer], Shape]:
        """Return the layers that do what a module does, and the shape of their output."""
        layers: list[Layer] = []
        waiting = _flat(module)
        while waiting:
            pad = waiting.pop(0) if type(waiting[0]) in _PADS else None
            inner = waiting.pop(0) if waiting else None
            if pad is not None:
                self._check_pad(pad, inner)
            if isinstance(inner, modules.ChannelsFirst):
                if self._first and len(shape) > 1:
                    raise self._clash(inner)
                self._first = True
                made, shape = self.read(inner.inner, shape)
                self._first = False
                layers += made
                continue
            self._check_axes(inner, shape)
            following: Any = waiting[0] if waiting else None
            cuts = type(inner) is nn.ConvTranspose2d and type(following) in _PADS
            cut = waiting.pop(0) if cuts and min(following.padding) < 0 else None
            layer = self._layer(Step(inner, pad, cut, following, shape, self._label(inner)))
            shape = build_once(layer, shape, np.random.default_rng(0))
            self._fill(layer, inner)
            layers.append(layer)
            if len(shape) < 2:
                self._first = None
        if self._order is not None:
            raise ValueError(
                f"from_torch expects a layer after the Flatten of channels-first rows, and "
                f"{self._label(module)} ends there"
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

    def _layer(self, step: Step) -> Any:
        """Return the layer for one module, not built."""
        module = step.module
        if isinstance(module, modules.Branches):
            first, made = self._first, []
            for branch in module.branches.values():
                self._first = first
                made.append(self._single(branch, step.shape)[0])
            how: Any = module.merge.how
            return mg.Parallel(made, merge=how)
        if isinstance(module, modules.GraphModule):
            return self.graph(module)
        if isinstance(module, nn.Flatten):
            self._flatten(step.shape)
        inner = module.inner if isinstance(module, modules.RecurrentRows) else module
        if type(inner) not in _KINDS:
            raise TypeError(
                f"from_torch expects modules that minigrad has a layer for, in nn.Sequential, got "
                f"{step.label}"
            )
        for part in module.modules():
            check_options(self._label(part), part, **FIXED)
        kind = _KINDS[type(inner)]
        row = MODULES[kind]
        make = partial(kind, **row.ours(partial(getattr, inner)))
        return row.back(step, make) if row.back else make()

    def _fill(self, layer: Layer, module: Module) -> None:
        """Assign the arrays of a module to a layer."""
        for weight in weights_of(layer, TORCH):
            if weight.attribute == "weight" and isinstance(layer, mg.Dense):
                weight = self._reordered(weight)
            tensors = [getattr(*modules.holder(module, name)) for name in weight.names]
            own = getattr(layer, weight.attribute)
            array, target = weight.join(*map(_array, tensors)), array_of(layer, weight.attribute)
            if array.shape != target.shape:
                raise ValueError(
                    f"{self._label(module)} has a {weight.attribute} of shape {array.shape}, and "
                    f"for rows of shape {layer.input_shape} minigrad's has {target.shape}: pass "
                    "the input_shape of the module, channels-last"
                )
            target[...] = array
            if isinstance(own, mg.Parameter):
                own.trainable = tensors[0].requires_grad
                key = (weight.attribute, *map(id, tensors))
                setattr(layer, weight.attribute, self._known.setdefault(key, own))
            self.pairs.append((layer, weight, tensors))

    def _flatten(self, shape: Shape) -> None:
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

    def _check_pad(self, pad: Module, module: Module) -> None:
        """Refuse padding that isn't that of the layer after it."""
        if type(module) not in PAD_VALUES:
            raise ValueError(
                f"from_torch expects a convolution or a MaxPool after {self._label(pad)}, got "
                f"{'nothing' if module is None else self._label(module)}"
            )
        check_options(self._label(pad), pad, value=PAD_VALUES[type(module)])

    def _check_axes(self, module: Module, shape: Shape) -> None:
        """Refuse a module that works along another axis than its layer would."""
        kind = type(module)
        if self._order is not None and kind is not nn.Linear and kind not in _ELEMENTWISE:
            raise ValueError(
                f"from_torch expects an nn.Linear after the Flatten of channels-first rows, got "
                f"{self._label(module)}"
            )
        if kind not in _FIRST | _LAST or len(shape) < 2:
            return
        if self._first is not None and self._first != (kind in _FIRST):
            raise self._clash(module)
        self._first = kind in _FIRST

    def _clash(self, module: Module) -> ValueError:
        place = "first" if self._first else "last"
        return ValueError(
            f"{self._label(module)} gets rows with the channels {place}, and its layer in minigrad "
            "would work along another axis: put nn.Flatten or a pooling over all positions between"
        )


def _flat(module: Module) -> list[Module]:
    if type(module) is not nn.Sequential:
        return [module]
    return [inner for child in module for inner in _flat(child)]


def _array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().numpy()  # type: ignore[no-any-return]
