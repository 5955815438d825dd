"""The tutorial's formulas: no biases, and a second exponential for the sigmoid's derivative."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from benchmarks.peers.base import Peer, RefusalError
from benchmarks.workloads import Array, Workload


def sigmoid(z: Array) -> Array:
    """The sigmoid."""
    activation: Array = 1 / (1 + np.exp(-z))
    return activation


def sigmoid_prime(z: Array) -> Array:
    """Its derivative, from z."""
    slope: Array = np.exp(-z) / ((1 + np.exp(-z)) ** 2)
    return slope


class Tutorial(Peer):
    """The tutorial's network with one hidden layer; its loss is half the sum of squares."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        if workload.bias or len(workload.widths) != 3 or workload.output != "sigmoid":
            raise RefusalError("one hidden layer without biases only")
        if workload.batch_size is not None:
            raise RefusalError("full batch only")
        self.x, self.y = workload.data()
        (self.w1, _), (self.w2, _) = workload.weights()
        # The slope of the mean of squares is 2/n times that of half their sum.
        self.rate = workload.learning_rate * 2 / workload.rows

    @override
    def run(self, epochs: int) -> list[float]:
        return [self.step() for _ in range(epochs)]

    def step(self) -> float:
        """Equations 1 to 11, then the update."""
        z1 = np.dot(self.x, self.w1)
        a1 = sigmoid(z1)
        z2 = np.dot(a1, self.w2)
        error = self.y - sigmoid(z2)
        delta2 = np.multiply(-error, sigmoid_prime(z2))
        delta1 = np.dot(delta2, self.w2.T) * sigmoid_prime(z1)
        self.w2 = self.w2 - self.rate * np.dot(a1.T, delta2)
        self.w1 = self.w1 - self.rate * np.dot(self.x.T, delta1)
        return float(np.mean(error**2))


PEER = Tutorial
