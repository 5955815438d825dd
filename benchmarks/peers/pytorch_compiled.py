"""PyTorch with `torch.compile` around the forward pass, its gradient and the update."""

from __future__ import annotations

import torch

from benchmarks.peers.pytorch_eager import PyTorchEager
from benchmarks.workloads import Workload


class PyTorchCompiled(PyTorchEager):
    """The eager peer's loop with its two functions compiled; needs a C++ compiler."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self.objective = torch.compile(self.loss)
        self.optimizer.step = torch.compile(self.optimizer.step)


PEER = PyTorchCompiled
