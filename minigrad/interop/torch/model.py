"""A model as a module of `torch.nn`, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import minigrad as mg
from minigrad.core.layer import Layer, build_once
from minigrad.data.arrays import Array, Shape
from minigrad.graphs.graph import Graph
from minigrad.interop.layouts import TORCH, Part, Weight, array_of, split_arrays, weights_of
from minigrad.interop.models import check_built, kind_of_layer
from minigrad.interop.torch import modules
from minigrad.interop.torch.layers import (
    CHANNELS_FIRST,
    CHANNELS_LAST,
    ELEMENTWISE,
    PAD_VALUES,
    ChainItem,
    check_options,
    layer_of,
    module_of,
)
from minigrad.interop.torch.modules import Module, Tensor
from minigrad.interop.torch.optimizers import (
    check_convertible,
    read_optimizer,
    read_state,
    write_optimizer,
)


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
        return modules.sequential(steps) if len(steps) > 1 else steps[layer.name]

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
            return modules.sequential(dict(step for n in layer.layers for step in self._steps(n)))
        if kind is mg.Graph:
            return modules.GraphModule(
                {n: self._write(inner) for n, inner in layer.layers.items()}, layer
            )
        if kind is mg.Residual:
            inner = self._write(layer.layer)
            return modules.Branches({"shortcut": nn.Identity(), layer.layer.name: inner}, "add")
        if kind in (mg.Parallel, mg.Bidirectional):
            return modules.Branches({n.name: self._write(n) for n in layer.layers}, layer.merge)
        module = module_of(layer)
        self._fill(layer, module)
        return module

    def _fill(self, layer: Layer, module: Module) -> None:
        """Assign the arrays of a layer to the tensors of a module."""
        for name, (array, parts) in split_arrays(layer, TORCH).items():
            tensor = torch.from_numpy(array.copy())
            if parts:
                tensor = self._shared_tensor(layer, parts, tensor)
                # The second bias of a sum isn't trained.
                trained = any(p.parameter.trainable and p.place == 0 for p in parts)
                tensor.requires_grad_(trained)
            inner, last = modules.holder(module, name)
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
        model = mg.Model(graph, input_shape=graph.input_shapes, rng=rng, dtype=dtype)
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
            cuts = (
                type(inner) in (nn.ConvTranspose1d, nn.ConvTranspose2d) and type(following) in _PADS
            )
            cut = waiting.pop(0) if cuts and min(following.padding) < 0 else None
            layer = self._layer(ChainItem(inner, pad, cut, following, shape, self._label(inner)))
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

    def _layer(self, step: ChainItem) -> Any:
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
        return layer_of(step)

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
