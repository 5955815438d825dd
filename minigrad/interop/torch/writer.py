"""A model as a module of `torch.nn`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

import minigrad as mg
from minigrad.core.layer import Layer
from minigrad.interop.layouts import TORCH, Part, split_arrays, weights_of
from minigrad.interop.models import check_built, kind_of_layer
from minigrad.interop.torch import modules
from minigrad.interop.torch.layers import CHANNELS_FIRST, MODULES
from minigrad.interop.torch.modules import Module, Tensor
from minigrad.interop.torch.optimizers import check_convertible, write_optimizer


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
        if kind not in MODULES:
            raise TypeError(
                f"to_torch expects layers of minigrad, got {layer.label}: write a torch.nn.Module "
                "for it"
            )
        row = MODULES[kind]
        make = partial(row.kind, **row.theirs(layer))
        module = row.to(layer, make) if row.to else make()
        if kind in CHANNELS_FIRST and len(layer.input_shape) > 1:
            module = modules.ChannelsFirst(module)
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
