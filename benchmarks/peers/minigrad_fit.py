"""minigrad, through `compile` and `fit`."""

from __future__ import annotations

from typing_extensions import override

import minigrad
from benchmarks.peers.base import Peer
from benchmarks.workloads import Array, Workload
from minigrad import SGD, Dense, MSELoss, Sequential, Sigmoid


class MinigradFit(Peer):
    """The network as a user writes it."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self.data = workload.data()
        dense = [Dense(units, use_bias=workload.bias) for units in workload.widths[1:]]
        hidden = minigrad.ReLU if workload.hidden == "relu" else Sigmoid
        layers = [layer for each in dense for layer in (each, hidden())]
        if workload.output != "sigmoid":
            layers.pop()
        self.model = Sequential(
            layers, input_shape=workload.widths[:1], rng=0, dtype=workload.dtype
        )
        for layer, (weight, bias) in zip(dense, workload.weights(), strict=True):
            layer.weight.value = weight
            if layer.bias is not None:
                layer.bias.value = bias
        softmax = workload.output == "softmax"
        self.model.compile(
            optimizer=SGD(learning_rate=workload.learning_rate),
            loss=minigrad.CrossEntropyLoss() if softmax else MSELoss(),
        )

    @override
    def run(self, epochs: int) -> list[float]:
        history = self.model.fit(
            *self.data,
            epochs=epochs,
            batch_size=self.workload.batch_size,
            shuffle=False,
            verbose=0,
        )
        return list(history["loss"])

    @override
    def predict(self, x: Array) -> object:
        return self.model.predict(x)


PEER = MinigradFit
