"""PyTorch, eager: `nn.Sequential`, autograd and `torch.optim.SGD` in the usual loop."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from typing_extensions import override

from benchmarks.peers.base import Peer
from benchmarks.workloads import Array, Workload


class PyTorchEager(Peer):
    """Slices of a tensor are views, so a batch costs no copy."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self.x, self.y = (torch.from_numpy(array) for array in workload.data())
        modules: list[nn.Module] = []
        for weight, bias in workload.weights():
            inputs, units = weight.shape
            linear = nn.Linear(inputs, units, bias=workload.bias, dtype=self.x.dtype)
            linear.weight.data = torch.from_numpy(weight).T.contiguous()
            if workload.bias:
                linear.bias.data = torch.from_numpy(bias)
            modules += [linear, nn.ReLU() if workload.hidden == "relu" else nn.Sigmoid()]
        if workload.output != "sigmoid":
            modules.pop()
        self.model = nn.Sequential(*modules)
        self.criterion = nn.CrossEntropyLoss() if workload.output == "softmax" else nn.MSELoss()
        self.optimizer: Any = torch.optim.SGD(self.model.parameters(), lr=workload.learning_rate)
        self.objective: Any = self.loss

    def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The mean loss of a batch."""
        loss: torch.Tensor = self.criterion(self.model(x), y)
        return loss

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
