"""PyTorch, eager: `nn.Sequential`, autograd and `torch.optim.SGD` in the usual loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from typing_extensions import override

from benchmarks.peers.base import Peer
from benchmarks.workloads import Array, Layers, Workload, leaves


class Residual(nn.Module):  # type: ignore[misc]
    """x plus what some modules make of it."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Sequential(*modules)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


class LastStep(nn.Module):  # type: ignore[misc]
    """The last output of a recurrent module."""

    def __init__(self, recurrent: nn.Module) -> None:
        super().__init__()
        self.recurrent = recurrent

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.recurrent(x)[0][:, -1]


class Attention(nn.Module):  # type: ignore[misc]
    """Self-attention, by the fused function."""

    def __init__(self, size: int, heads: int, causal: str = "") -> None:
        super().__init__()
        self.projection = nn.Linear(size, 3 * size)
        self.output = nn.Linear(size, size)
        self.heads, self.causal = heads, bool(causal)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        split = self.projection(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(*split, is_causal=self.causal)
        return self.output(mixed.transpose(1, 2).flatten(2))


class Positions(nn.Module):  # type: ignore[misc]
    """A row of numbers added at each position."""

    def __init__(self, positions: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(positions, size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.weight


KINDS: dict[str, Callable[..., nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "conv": lambda channels, filters, size, padding: nn.Conv2d(
        channels, filters, size, padding=padding
    ),
    "pool": nn.MaxPool2d,
    "flatten": nn.Flatten,
    "lstm": lambda inputs, units: LastStep(nn.LSTM(inputs, units, batch_first=True)),
    "gru": lambda inputs, units: LastStep(nn.GRU(inputs, units, batch_first=True)),
    "attention": Attention,
    "embedding": nn.Embedding,
    "positions": Positions,
    "norm": nn.LayerNorm,
}


def ordered(kind: str, sizes: Sequence[Any], arrays: list[Array]) -> list[Array]:
    """A layer's weights in the layout of its module's parameters."""
    if kind == "conv":
        arrays[0] = arrays[0].transpose(3, 2, 0, 1)
    elif kind == "dense" and len(sizes) > 2:  # on an image with the channels last
        image = arrays[0].reshape(*sizes[2], -1)
        arrays[0] = image.transpose(3, 2, 0, 1).reshape(sizes[1], -1)
    elif kind in ("dense", "lstm", "gru", "attention"):
        arrays = [array.T for array in arrays]
    if kind == "lstm":  # its second bias adds to the first
        arrays.append(0 * arrays[2])
    if kind == "gru":  # the second bias of the last block only is another parameter
        arrays[3] = np.concatenate([0 * arrays[2][: 2 * sizes[1]], arrays[3]])
    return arrays


class PyTorchEager(Peer):
    """Slices of a tensor are views, so a batch costs no copy. Images have their channels first."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        x, y = workload.data()
        if x.ndim == 4:
            x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)
        self.modules: list[nn.Module] = []
        self.model = self.built(workload.layers).to(getattr(torch, workload.dtype))
        for module, arrays in zip(self.modules, self.ordered(workload.arrays()), strict=True):
            for parameter, array in zip(module.parameters(), arrays, strict=True):
                parameter.data = torch.from_numpy(np.ascontiguousarray(array))
        self.criterion = nn.CrossEntropyLoss() if workload.output == "softmax" else nn.MSELoss()
        self.optimizer: Any = torch.optim.SGD(self.model.parameters(), lr=workload.learning_rate)
        self.objective: Any = self.loss

    def built(self, layers: Layers) -> nn.Sequential:
        """The layers; those without a layer inside are listed in `modules`, too."""
        built: list[nn.Module] = []
        for kind, *sizes in layers:
            if kind == "residual":
                built.append(Residual(self.built(tuple(sizes))))
                continue
            if kind == "dense":
                built.append(nn.Linear(*sizes[:2], bias=self.workload.bias))
            else:
                built.append(KINDS[kind](*sizes))
            self.modules.append(built[-1])
        return nn.Sequential(*built)

    def ordered(self, arrays: list[list[Array]]) -> list[list[Array]]:
        """Arrays like the weights, in PyTorch's layout."""
        layers = leaves(self.workload.layers)
        return [
            ordered(kind, sizes, own) for (kind, *sizes), own in zip(layers, arrays, strict=True)
        ]

    def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The mean loss of a batch."""
        output = self.model(x)
        if y.ndim > 1 and self.workload.output == "softmax":
            output, y = output.flatten(0, -2), y.flatten()
        loss: torch.Tensor = self.criterion(output, y)
        return loss

    @override
    def proof(self) -> list[float]:
        rows = self.workload.batches()[0]
        loss = self.step(self.x[rows], self.y[rows])
        directions = self.ordered(self.workload.directions())
        return [
            float(loss),
            *(
                sum(
                    float((parameter.grad * torch.from_numpy(direction.copy())).sum())
                    for parameter, direction in zip(module.parameters(), own, strict=True)
                )
                for module, own in zip(self.modules, directions, strict=True)
            ),
        ]

    @override
    def run(self, epochs: int) -> list[float]:
        batches = self.workload.batches()
        means = []
        for _ in range(epochs):
            losses = [self.step(self.x[rows], self.y[rows]) for rows in batches]
            means.append(float(torch.stack(losses).mean()))
        return means

    def step(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        """One update; returns the loss before it."""
        self.optimizer.zero_grad()
        loss = self.objective(x, y)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    @override
    def predict(self, x: Array) -> object:
        with torch.inference_mode():
            return self.model(torch.from_numpy(x)).numpy()


PEER = PyTorchEager
