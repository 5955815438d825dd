"""Modules for what torch.nn has no module for."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Mapping
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

import minigrad as mg
from minigrad.data.by_name import each
from minigrad.graphs.graph import Graph

Tensor: TypeAlias = Any
Module: TypeAlias = Any


class ChannelsFirst(nn.Module):  # type: ignore[misc]
    """Runs a module that wants the channels first on rows that have them last."""

    def __init__(self, inner: Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.movedim(-1, 1)).movedim(1, -1)


class RecurrentRows(nn.Module):  # type: ignore[misc]
    """The outputs of an `nn.RNN`, `nn.GRU` or `nn.LSTM`, of all steps or of the last.

    As in our layers, a mask may come after x, and with `initial_state` a first state comes last;
    the state of an LSTM is [h, c].
    """

    def __init__(
        self,
        inner: Module,
        *,
        sequences: bool,
        backwards: bool,
        restores_order: bool,
        initial_state: bool = False,
        return_state: bool = False,
    ) -> None:
        super().__init__()
        self.inner = inner
        self.sequences, self.backwards, self.restores_order = sequences, backwards, restores_order
        self.initial_state, self.return_state = initial_state, return_state

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        start = others[-1] if self.initial_state else None
        mask = others[0] if len(others) > self.initial_state else None
        if self.backwards:
            x, mask = x.flip(1), None if mask is None else mask.flip(1)
        if mask is None:
            h, state = self.inner(x, self._state(start))
            if self.return_state and isinstance(state, tuple):
                return torch.cat(state, dim=-1)[0]
        else:
            h = self._masked(x, mask != 0, start)
        if not self.sequences:
            return h[:, -1]
        return h.flip(1) if self.restores_order else h

    def _state(self, start: Tensor) -> Any:
        """Return a first state as PyTorch takes it."""
        if start is None:
            return None
        if isinstance(self.inner, nn.LSTM):
            return tuple(part[None].contiguous() for part in start.chunk(2, dim=-1))
        return start[None].contiguous()

    def _masked(self, x: Tensor, real: Tensor, start: Tensor) -> Tensor:
        """Return h of all steps, where a step that isn't real keeps the state before it."""
        first = (~real).byte().argsort(stable=True, dim=1)  # the real steps come first
        h, _ = self.inner(x.take_along_dim(first[..., None], 1), self._state(start))
        before = h.new_zeros(h[:, :1].shape) if start is None else start[:, None, : h.shape[-1]]
        return torch.cat([before, h], 1).take_along_dim(real.cumsum(1)[..., None], 1)


class RealSteps(nn.Module):  # type: ignore[misc]
    """1 where a step isn't padding, 0 elsewhere; see `minigrad.Mask`."""

    def __init__(self, mask_value: float) -> None:
        super().__init__()
        self.mask_value = mask_value

    def forward(self, x: Tensor) -> Tensor:
        real = x != self.mask_value
        return (real if x.ndim == 2 else real.any(-1)).to(torch.get_default_dtype())


class Attention(nn.Module):  # type: ignore[misc]
    """The output of an `nn.MultiheadAttention` for query, value and a mask of 1 and 0.

    PyTorch's result is NaN for a query that attends to nothing.
    """

    def __init__(self, inner: Module, *, causal: bool) -> None:
        super().__init__()
        self.inner, self.causal = inner, causal

    def forward(self, query: Tensor, value: Tensor = None, mask: Tensor = None) -> Tensor:
        if value is not None and value.ndim == 2:
            value, mask = None, value
        value = query if value is None else value
        queries, keys = query.shape[1], value.shape[1]
        blocked = None
        if self.causal:
            blocked = ~torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril()
        if mask is not None:
            away = mask == 0
            away = away[:, None] if away.ndim == 2 else away
            away = away | blocked if blocked is not None else away.expand(-1, queries, -1)
            blocked = away.repeat_interleave(self.inner.num_heads, dim=0)
        return self.inner(query, value, value, attn_mask=blocked, need_weights=False)[0]


class Positions(nn.Module):  # type: ignore[misc]
    """Adds a row of `weight` at each position."""

    def __init__(self, positions: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(positions, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight


class Sinusoids(nn.Module):  # type: ignore[misc]
    """Adds sines and cosines of each position; see `minigrad.SinusoidalPositions`."""

    def forward(self, x: Tensor) -> Tensor:
        layer = mg.SinusoidalPositions()
        layer.input_shape = tuple(x.shape[1:])
        p = layer.forward(np.zeros((1, *x.shape[1:])), training=False)
        return x + torch.as_tensor(p, dtype=x.dtype, device=x.device)


class Merge(nn.Module):  # type: ignore[misc]
    """The sum, the mean, the product or the concatenation of values."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, *values: Tensor) -> Tensor:
        if self.how == "concat":
            return torch.cat(values, dim=-1)
        h = reduce(_MERGES[self.how], values)
        return h / len(values) if self.how == "mean" else h


_MERGES: dict[str, Any] = {
    "add": operator.add, "subtract": operator.sub, "mean": operator.add,
    "multiply": operator.mul, "maximum": torch.maximum, "minimum": torch.minimum,
}  # fmt: skip


class Dot(nn.Module):  # type: ignore[misc]
    """The products of all vectors of two inputs; see `minigrad.Dot`."""

    def __init__(self, axes: Any, *, normalize: bool) -> None:
        super().__init__()
        self.axes, self.normalize = axes, normalize

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        axes = (self.axes,) * 2 if isinstance(self.axes, int) else self.axes
        u, v = (x.movedim(axis, -1) for x, axis in zip((a, b), axes, strict=True))
        if self.normalize:
            u, v = nn.functional.normalize(u, dim=-1), nn.functional.normalize(v, dim=-1)
        if u.ndim == v.ndim == 2:
            return (u * v).sum(-1, keepdim=True)
        if u.ndim == 2 or v.ndim == 2:
            matrix, vector = (u, v) if v.ndim == 2 else (v, u)
            return (matrix @ vector[..., None])[..., 0]
        return u @ v.transpose(1, 2)


class Ended(nn.Module):  # type: ignore[misc]
    """Pads with zeros, or crops where numbers are negative, the axes before the channels."""

    def __init__(self, ends: tuple[tuple[int, int], ...]) -> None:
        super().__init__()
        self.ends = ends

    def forward(self, x: Tensor) -> Tensor:
        pads = [n for pair in reversed(self.ends) for n in pair]
        return nn.functional.pad(x, [0, 0, *pads])


class Permuted(nn.Module):  # type: ignore[misc]
    """Puts the axes of rows into another order, counted from 1."""

    def __init__(self, dims: tuple[int, ...]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, *self.dims)


class Repeated(nn.Module):  # type: ignore[misc]
    """Repeats a vector n times."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: Tensor) -> Tensor:
        return x[:, None].repeat(1, self.n, 1)


class Sliced(nn.Module):  # type: ignore[misc]
    """Takes part of each row; see `minigrad.Slice`."""

    def __init__(self, index: str) -> None:
        super().__init__()
        self.index = index

    def forward(self, x: Tensor) -> Tensor:
        for axis, item in self._by_axis(x.ndim):  # from the last axis, as an integer drops its own
            if isinstance(item, int):
                x = x.select(axis, item)
            else:
                places = range(*item.indices(x.shape[axis]))
                x = x.index_select(axis, torch.tensor([*places], device=x.device))
        return x

    def _by_axis(self, rank: int) -> list[tuple[int, Any]]:
        items: list[Any] = [*mg.Slice(self.index).places]
        if Ellipsis in items:
            place = items.index(Ellipsis)
            items[place : place + 1] = [slice(None)] * (rank + 1 - len(items))
        return [*enumerate(items)][:0:-1]


class Scaled(nn.Module):  # type: ignore[misc]
    """Multiplies by a constant, and adds one."""

    def __init__(self, scale: float, offset: float) -> None:
        super().__init__()
        self.scale, self.offset = scale, offset

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x + self.offset


class Noise(nn.Module):  # type: ignore[misc]
    """Adds normally distributed noise in training."""

    def __init__(self, stddev: float) -> None:
        super().__init__()
        self.stddev = stddev

    def forward(self, x: Tensor) -> Tensor:
        return x + self.stddev * torch.randn_like(x) if self.training else x


class Branches(nn.Module):  # type: ignore[misc]
    """Merges the outputs of modules for the same inputs."""

    def __init__(self, branches: Mapping[str, Module], how: str) -> None:
        super().__init__()
        self.branches, self.merge = nn.ModuleDict(_keyed(branches)), Merge(how)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.merge(*(branch(*inputs) for branch in self.branches.values()))


class GraphModule(nn.Module):  # type: ignore[misc]
    """Modules in any order without a cycle; takes the inputs in order, or a dict of them."""

    def __init__(self, layers: Mapping[str, Module], graph: Graph) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(_keyed(layers))
        self.inputs, self.sources, self.outputs = graph.inputs, graph.sources, graph.outputs

    def forward(self, *inputs: Tensor) -> Any:
        values = dict(zip(self.inputs, inputs, strict=len(inputs) > 1))
        if isinstance(inputs[0], dict):
            values = dict(inputs[0])
        for (name, sources), module in zip(self.sources.items(), self.layers.values(), strict=True):
            values[name] = module(*(values[source] for source in sources))
        return each(values.__getitem__, self.outputs)


def _keyed(modules: Mapping[str, Module]) -> dict[str, Module]:
    """Return the modules with an underscore after a name that a module's attribute has."""
    return {f"{n}_" if hasattr(nn.ModuleDict, n) else n: m for n, m in modules.items()}


def sequential(modules: Mapping[str, Module]) -> Module:
    """Return modules in order as one."""
    return nn.Sequential(OrderedDict(_keyed(modules)))


def holder(module: Module, name: str) -> tuple[Module, str]:
    """Return the module, or the one inside, that has a weight of this name, and its own name."""
    path, _, last = name.rpartition(".")
    outer = next(m for m in module.modules() if hasattr(m, name.partition(".")[0]))
    return outer.get_submodule(path), last
