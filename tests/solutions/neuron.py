"""A solution of the exercise."""

import numpy as np

from minigrad import Layer, Parameter


class MyNeuron(Layer):
    def build(self, input_shape, rng):
        (inputs,) = input_shape
        self.weight = Parameter(rng.standard_normal((inputs, 1)))
        self.bias = Parameter(np.zeros(1))
        return (1,)

    def forward(self, x, *, training=True):
        a = 1 / (1 + np.exp(-(x @ self.weight.value + self.bias.value)))
        if training:
            self.cache = x, a
        return a

    def backward(self, delta):
        x, a = self.cache
        delta = delta * a * (1 - a)
        self.weight.grad = x.T @ delta
        self.bias.grad = delta.sum(axis=0)
        return delta @ self.weight.value.T
