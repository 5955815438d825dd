"""Keras on its JAX backend, through `compile` and `fit`."""

from __future__ import annotations

from typing import Any

import keras
from typing_extensions import override

from benchmarks.peers.base import Peer
from benchmarks.workloads import Array, Workload


def squared_error(y: Any, prediction: Any) -> Any:
    """Squared error of each row; Keras's own loss computes its mean in float32 for any dtype."""
    return keras.ops.sum(keras.ops.square(prediction - y), axis=-1)


class KerasFit(Peer):
    """The loss that `fit` reports is the mean over the batches, as for all peers."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        keras.config.set_floatx(workload.dtype)
        self.data = workload.data()
        last = "sigmoid" if workload.output == "sigmoid" else None
        activations = [workload.hidden] * (len(workload.widths) - 2) + [last]
        dense = [
            keras.layers.Dense(units, activation=activation, use_bias=workload.bias)
            for units, activation in zip(workload.widths[1:], activations, strict=True)
        ]
        self.model = keras.Sequential([keras.Input(workload.widths[:1]), *dense])
        for layer, (weight, bias) in zip(dense, workload.weights(), strict=True):
            layer.set_weights([weight, bias] if workload.bias else [weight])
        crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(
            optimizer=keras.optimizers.SGD(learning_rate=workload.learning_rate),
            loss=crossentropy if workload.output == "softmax" else squared_error,
        )

    @override
    def run(self, epochs: int) -> list[float]:
        history = self.model.fit(
            *self.data, batch_size=self.workload.batch, epochs=epochs, shuffle=False, verbose=0
        )
        losses: list[float] = history.history["loss"]
        return losses

    @override
    def predict(self, x: Array) -> object:
        return self.model.predict(x, batch_size=len(x), verbose=0)


PEER = KerasFit
