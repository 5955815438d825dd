"""Likely causes: what a layer that breaks a rule shows of how it came to that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from minigrad.checks.example import Example
from minigrad.core.layer import Layer, walk
from minigrad.data.arrays import Array
from minigrad.util.names import join


def not_cast(layer: Layer, dtype: str) -> str:
    """Name the arrays of a built layer that its model couldn't cast, as it doesn't know them."""
    plain = [
        join(path, name)
        for path, inner in walk(layer, layer.name)
        for name, value in vars(inner).items()
        if isinstance(value, np.ndarray)
        and value.dtype.kind == "f"
        and value.dtype != dtype
        and name not in inner.buffers
    ]
    if not plain:
        return ""
    return (
        f": {' and '.join(plain)} {'is an array' if len(plain) == 1 else 'are arrays'} that no "
        "model casts, trains or saves: make a Parameter of what is trained, and name the rest in "
        "buffers"
    )


def run_twice(example: Example) -> str:
    """Name a layer inside that `forward` runs more than once."""
    layer = example.built()
    runs = Counter[str]()

    def counted(path: str, forward: Callable[..., Array]) -> Callable[..., Array]:
        def run(x: Array, *, training: bool = True) -> Array:
            runs[path] += 1
            return forward(x, training=training)

        return run

    for path, inner in walk(layer, layer.name):
        if inner is not layer:
            vars(inner)["forward"] = counted(path, inner.forward)
    layer.forward(example.x())
    for path, times in runs.items():
        if times > 1:
            return (
                f": {path} runs {times} times a pass, and its cache holds the last alone; make a "
                "layer for each run, and share its Parameter"
            )
    return ""


def not_connected(layer: Layer) -> list[str]:
    """Return the paths of layers inside that `connect` didn't build."""
    return [path for path, inner in walk(layer, layer.name) if inner.output_shape is None]
