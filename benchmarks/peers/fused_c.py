"""One fused loop in C over the rows of the 2-3-1 network: the limit for a full batch."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from pathlib import Path
from shutil import which

import numpy as np
from typing_extensions import override

from benchmarks.peers.base import Peer, RefusalError
from benchmarks.workloads import Array, Workload

SOURCE = Path(__file__).with_name("fused_c.c")


def pointer(array: Array) -> ctypes.c_void_p:
    """The address of an array's first element."""
    return ctypes.c_void_p(array.ctypes.data)


class FusedC(Peer):
    """The loop, compiled for this processor with vectorized exponentials, on one thread."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        shape = (workload.widths, workload.output, workload.batch_size)
        if shape != ((2, 3, 1), "sigmoid", None):
            raise RefusalError("written for the 2-3-1 network in full batch")
        compiler = which("cc")
        if compiler is None:
            raise RefusalError("no C compiler")
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder, "fused.so")
            flags = ["-O3", "-march=native", "-ffast-math", "-mprefer-vector-width=512"]
            subprocess.run(
                [compiler, *flags, "-shared", "-fPIC", SOURCE, "-o", library, "-lm"], check=True
            )
            self.library = ctypes.CDLL(str(library))
        self.x, self.y = workload.data()
        self.theta = np.concatenate([part.ravel() for pair in workload.weights() for part in pair])

    @override
    def run(self, epochs: int) -> list[float]:
        losses = np.empty(epochs)
        rate = self.workload.learning_rate
        self.library.train(
            pointer(self.x),
            pointer(self.y),
            ctypes.c_long(len(self.x)),
            pointer(self.theta),
            ctypes.c_double(rate),
            ctypes.c_double(rate * self.workload.bias),
            ctypes.c_long(epochs),
            pointer(losses),
        )
        means: list[float] = losses.tolist()
        return means


PEER = FusedC
