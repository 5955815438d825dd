"""The machine: processor, threads, and the versions of the packages."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.lockstep import HELD_BACK

PACKAGES = ("numpy", "torch", "jax", "keras", "scikit-learn", "neuralnetlib")


def processor() -> str:
    """The processor's name, if the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """The version of each package that is installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def describe(threads: int) -> str:
    """One sentence for the head of a report."""
    packages = ", ".join(f"{package} {number}" for package, number in versions().items())
    load = os.getloadavg()[0]
    held_back = [f"{name}={os.environ[name]}" for name in HELD_BACK if name in os.environ]
    left_out = (
        f" Set here, and left out for every peer: {', '.join(held_back)}." if held_back else ""
    )
    return (
        f"{processor()}, {os.cpu_count()} processors, {threads} threads for every peer, "
        f"load {load:.1f} at the start; {platform.system()}, "
        f"Python {platform.python_version()}, {packages}.{left_out}"
    )
