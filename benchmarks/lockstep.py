"""Peers in their own processes with the same number of threads; one computes at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.peers.base import RefusalError
from benchmarks.workloads import Workload

ROOT = Path(__file__).parents[1]
HELD_BACK = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_DEBUG_CPU_TYPE",
    "ONEDNN_MAX_CPU_ISA",
    "NPY_DISABLE_CPU_FEATURES",
)
"""Variables that make a library compute as on another processor."""


def processors() -> list[int]:
    """The processors that this process may use."""
    return sorted(os.sched_getaffinity(0))


def environment(threads: int, *, float64: bool) -> dict[str, str]:
    """The variables that set the number of threads of each library.

    What holds a library to an older processor than this one is left out. Compiled files are
    written, as they are for an installed package: import time depends on it.
    """
    names = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
    return {
        **{name: value for name, value in os.environ.items() if name not in HELD_BACK},
        **{f"{name}_NUM_THREADS": str(threads) for name in names},
        "MINIGRAD_THREADS": str(threads),
        "NPROC": str(threads),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "PYTHONDONTWRITEBYTECODE": "",
        "JAX_ENABLE_X64": str(int(float64)),
    }


class Worker:
    """A peer in its own process, bound to as many processors as it has threads."""

    def __init__(self, peer: str, workload: Workload, threads: int) -> None:
        """Start the process and wait until the peer is built, or raise `RefusalError`.

        `workload` becomes the one that it really trains: see `Peer.adapted`.
        """
        self.peer = peer
        allowed = processors()[:threads]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", peer, json.dumps(asdict(workload))],
            cwd=ROOT,
            env=environment(threads, float64=workload.dtype == "float64"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, allowed),
        )
        try:
            self.workload = replace(workload, **self.answer())
        except RefusalError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def answer(self) -> Any:
        """Wait for the worker's next message."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RefusalError(f"its process ended with code {self.process.wait()}")
        message = json.loads(line)
        if "refusal" in message:
            raise RefusalError(message["refusal"])
        return message["result"]

    def call(self, call: str, count: int) -> Any:
        """Send one command, and wait for the answer."""
        assert self.process.stdin is not None
        print(json.dumps({"call": call, "count": count}), file=self.process.stdin, flush=True)
        return self.answer()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()
