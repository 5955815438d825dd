"""minigrad, through `compile` and `fit`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any, Literal

import numpy as np
from typing_extensions import override

from benchmarks.peers.base import Peer
from benchmarks.workloads import Array, Layers, Workload
from minigrad import (
    GELU,
    GRU,
    LSTM,
    SGD,
    Conv2D,
    CrossEntropyLoss,
    Dense,
    Embedding,
    Flatten,
    Layer,
    LayerNorm,
    MaxPooling2D,
    MSELoss,
    MultiHeadAttention,
    PositionEmbedding,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
)

KINDS: dict[str, Callable[..., Layer]] = {
    "sigmoid": Sigmoid,
    "relu": ReLU,
    "gelu": GELU,
    "conv": lambda _, filters, size, padding: Conv2D(filters, size, padding=padding),
    "pool": MaxPooling2D,
    "flatten": Flatten,
    "lstm": lambda _, units: LSTM(units),
    "gru": lambda _, units: GRU(units),
    "attention": lambda _, heads, *causal: MultiHeadAttention(heads, causal=bool(causal)),
    "embedding": Embedding,
    "positions": lambda *_: PositionEmbedding(),
    "norm": lambda _: LayerNorm(),
}


def built(layers: Layers, *, bias: bool) -> list[Layer]:
    """The layers as a user writes them."""

    def one(kind: str, *sizes: Any) -> Layer:
        if kind == "residual":
            return Residual(built(sizes, bias=bias))
        return Dense(sizes[1], use_bias=bias) if kind == "dense" else KINDS[kind](*sizes)

    return [one(*layer) for layer in layers]


class MinigradFit(Peer):
    """The network as a user writes it."""

    engine: Literal["numpy", "jax"] = "numpy"

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self.data = workload.data()
        self.model = Sequential(
            built(workload.layers, bias=workload.bias),
            input_shape=self.data.x.shape[1:],
            rng=0,
            dtype=workload.dtype,
        )
        arrays = chain.from_iterable(workload.arrays())
        for (_, parameter), array in zip(self.model.named_parameters(), arrays, strict=True):
            parameter.value = array
        self.model.compile(
            optimizer=SGD(learning_rate=workload.learning_rate),
            loss=CrossEntropyLoss() if workload.output == "softmax" else MSELoss(),
        )

    @override
    def proof(self) -> list[float]:
        rows, size = self.workload.batches()[0], self.workload.batch
        x, y = (array[rows] for array in self.data)
        history = self.model.fit(
            x, y, batch_size=size, shuffle=False, verbose=0, engine=self.engine
        )
        grads = (parameter.grad for _, parameter in self.model.named_parameters())
        return [
            history["loss"][0],
            *(
                sum(float(np.vdot(next(grads), direction)) for direction in directions)
                for directions in self.workload.directions()
            ),
        ]

    @override
    def run(self, epochs: int) -> list[float]:
        history = self.model.fit(
            *self.data,
            epochs=epochs,
            batch_size=self.workload.batch_size,
            shuffle=False,
            verbose=0,
            engine=self.engine,
        )
        return list(history["loss"])

    @override
    def predict(self, x: Array) -> object:
        return self.model.predict(x)


PEER = MinigradFit
