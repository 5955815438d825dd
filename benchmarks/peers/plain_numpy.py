"""Plain NumPy by hand: whole batches, in place, in arrays that are allocated once."""

from __future__ import annotations

from typing import Any

import numpy as np
from typing_extensions import override

from benchmarks.peers.base import Peer
from benchmarks.workloads import Array, Workload


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), in place."""
    np.negative(z, out=z)
    np.exp(z, out=z)
    z += 1
    return np.reciprocal(z, out=z)


def relu(z: Array) -> Array:
    """max(z, 0), in place."""
    return np.maximum(z, 0, out=z)


class PlainNumpy(Peer):
    """Arrays have the shape (units, rows). The losses are the reference for the other peers."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self.data = workload.data()
        self.weights = [weight for weight, _ in workload.weights()]
        self.biases = [bias[:, None] for _, bias in workload.weights()]
        self.slopes = [np.empty_like(weight) for weight in self.weights]
        self.activations = self.room(workload.batch)
        self.deltas = self.room(workload.batch)
        self.activation = sigmoid if workload.hidden == "sigmoid" else relu

    def room(self, rows: int) -> list[Array]:
        """An array of (units, rows) for each layer."""
        return [np.empty((weight.shape[1], rows), weight.dtype) for weight in self.weights]

    @override
    def run(self, epochs: int) -> list[float]:
        x, y = self.data
        batches = self.workload.batches()
        return [
            float(np.mean([self.step(x[rows].T, y[rows].T) for rows in batches]))
            for _ in range(epochs)
        ]

    def forward(self, x: Array, activations: list[Array]) -> Array:
        """Fill the activation of every layer; return the last one, or its logits."""
        for i, z in enumerate(activations):
            np.matmul(self.weights[i].T, x, out=z)
            if self.workload.bias:
                z += self.biases[i]
            if z is not activations[-1]:
                self.activation(z)
            elif self.workload.output == "sigmoid":
                sigmoid(z)
            x = z
        return x

    def step(self, x: Array, y: Array) -> float:
        """One update of every weight; returns the loss before it."""
        rate: Any = x.dtype.type(self.workload.learning_rate)
        loss = self.loss(self.forward(x, self.activations), y, self.deltas[-1])
        for i in reversed(range(len(self.weights))):
            below = self.activations[i - 1] if i > 0 else x
            weight, slope, delta = self.weights[i], self.slopes[i], self.deltas[i]
            np.matmul(below, delta.T, out=slope)
            if self.workload.bias:
                self.biases[i] -= rate * delta.sum(axis=1, keepdims=True)
            if i > 0:
                np.matmul(weight, delta, out=self.deltas[i - 1])
                self.through_activation(below, self.deltas[i - 1])
            slope *= rate
            weight -= slope
        return loss

    def through_activation(self, activation: Array, delta: Array) -> None:
        """Multiply delta by the derivative of the hidden activation; overwrites both."""
        if self.workload.hidden == "sigmoid":
            delta *= activation
            delta *= np.subtract(1, activation, out=activation)
        else:
            delta *= activation > 0

    def loss(self, output: Array, y: Array, delta: Array) -> float:
        """The mean loss; fills delta with its derivative by the last layer's z."""
        rows = output.shape[1]
        if self.workload.output == "softmax":
            output -= output.max(axis=0)
            picked = output[y, np.arange(rows)]
            np.exp(output, out=delta)
            total = delta.sum(axis=0)
            delta /= total
            delta[y, np.arange(rows)] -= 1
            delta /= rows
            return float(np.mean(np.log(total) - picked))
        np.subtract(output, y, out=delta)
        loss: float = np.vdot(delta, delta).item() / rows
        delta *= 2 / rows
        if self.workload.output == "sigmoid":
            delta *= output
            delta *= np.subtract(1, output, out=output)
        return loss

    @override
    def predict(self, x: Array) -> object:
        return self.forward(x.T, self.room(len(x))).T


PEER = PlainNumpy
