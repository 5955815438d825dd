"""The workloads W9 to W15: networks on images and sequences, each in float32 and float64."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.workloads import Layers, Shape, Workload

BATCHES = 4
NETWORK_PEERS = ("minigrad_fit", "pytorch_eager", "jax_step")

LENET: Layers = (
    ("conv", 1, 6, 5, "same"),
    ("relu",),
    ("pool", 2),
    ("conv", 6, 16, 5, "valid"),
    ("relu",),
    ("pool", 2),
    ("flatten",),
    ("dense", 400, 120, (5, 5, 16)),
    ("relu",),
    ("dense", 120, 84),
    ("relu",),
    ("dense", 84, 10),
)
CONVOLUTIONS: Layers = (
    ("conv", 3, 32, 3, "same"),
    ("relu",),
    ("pool", 2),
    ("conv", 32, 64, 3, "same"),
    ("relu",),
    ("pool", 2),
    ("conv", 64, 64, 3, "same"),
    ("relu",),
    ("flatten",),
    ("dense", 4096, 10, (8, 8, 64)),
)
BLOCK: Layers = (
    ("residual", ("norm", 64), ("attention", 64, 4, "causal")),
    ("residual", ("norm", 64), ("dense", 64, 256), ("gelu",), ("dense", 256, 64)),
)
GPT: Layers = (
    ("embedding", 64, 64),
    ("positions", 64, 64),
    *BLOCK,
    *BLOCK,
    ("norm", 64),
    ("dense", 64, 64),
)


def _network(
    title: str,
    layers: Layers,
    row: Shape,
    batch_size: int,
    *,
    target: Shape = (),
    classes: int = 0,
    ids: int = 0,
    epochs: int = 4,
) -> Workload:
    return Workload(
        name=title,
        network=layers,
        row=row,
        target=target,
        ids=ids,
        classes=classes,
        rows=batch_size * BATCHES,
        batch_size=batch_size,
        dtype="float32",
        output="softmax" if classes else "identity",
        learning_rate=0.01,
        epochs=epochs,
    )


_SINGLE = (
    _network("W9", LENET, (28, 28, 1), 64, classes=10),
    _network("W10", CONVOLUTIONS, (32, 32, 3), 32, classes=10, epochs=1),
    _network("W11", (("lstm", 32, 64), ("dense", 64, 1)), (50, 32), 32, target=(1,)),
    _network("W12", (("gru", 32, 64), ("dense", 64, 1)), (50, 32), 32, target=(1,)),
    _network("W13", (("attention", 64, 4),), (64, 64), 16, target=(64, 64), epochs=8),
    _network(
        "W14", (("embedding", 10_000, 64), ("dense", 64, 10)), (50,), 32,
        ids=10_000, target=(50,), classes=10, epochs=16,
    ),
    _network("W15", GPT, (64,), 16, ids=64, target=(64,), classes=64, epochs=2),
)  # fmt: skip
NETWORKS = {
    name: replace(each, name=name, dtype=dtype)
    for each in _SINGLE
    for dtype in ("float32", "float64")
    for name in [f"{each.name} {dtype}"]
}
