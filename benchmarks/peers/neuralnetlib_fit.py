"""neuralnetlib, a framework on NumPy alone, through `fit`."""

from __future__ import annotations

import numpy as np
from neuralnetlib.layers import Activation, Dense, Input
from neuralnetlib.models import Sequential
from neuralnetlib.optimizers import SGD
from typing_extensions import override

from benchmarks.peers.base import Peer
from benchmarks.workloads import SEED, Array, Workload


class NeuralnetlibFit(Peer):
    """It always shuffles, so it gets rows in an order that its shuffle turns into the right one."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        x, y = workload.data()
        softmax = workload.output == "softmax"
        if softmax:
            y = np.eye(workload.widths[-1], dtype=workload.dtype)[y]
        order = np.argsort(np.random.default_rng(SEED).permutation(workload.rows))
        self.x, self.y = x[order], y[order]
        # A threshold of zero turns off gradient clipping, which is on by default.
        self.model = Sequential(gradient_clip_threshold=0)
        self.model.add(Input(workload.widths[0]))
        for weight, bias in workload.weights():
            dense = Dense(weight.shape[1], use_bias=workload.bias)
            self.model.add(dense)
            dense.weights, dense.bias = weight, bias[None, :]
            last = len(self.model.layers) == 2 * len(workload.widths) - 2
            if not last or workload.output != "identity":
                self.model.add(Activation.from_name(workload.output if last else workload.hidden))
        # Its cross-entropy reports a mean, but its gradient is that of the sum.
        rate = workload.learning_rate / (workload.batch if softmax else 1)
        self.model.compile(
            loss_function="cce" if softmax else "mse", optimizer=SGD(learning_rate=rate)
        )

    @override
    def run(self, epochs: int) -> list[float]:
        losses: list[float] = []
        for _ in range(epochs):
            history = self.model.fit(
                self.x,
                self.y,
                epochs=1,
                batch_size=self.workload.batch_size,
                verbose=False,
                random_state=SEED,
            )
            losses += map(float, history["loss"])
        return losses

    @override
    def predict(self, x: Array) -> object:
        return self.model.predict(x)


PEER = NeuralnetlibFit
