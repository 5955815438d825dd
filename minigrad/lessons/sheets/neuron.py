"""Exercise "neuron": a neuron whose delta is computed too late.

z = x w + b and a = g(z), with the sigmoid g. backward gets dJ/da. delta = dJ/dz is dJ/da g'(z), and
everything else is computed from delta. Fix backward.
"""

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
        self.weight.grad = x.T @ delta
        self.bias.grad = delta.sum(axis=0)
        delta = delta * a * (1 - a)
        return delta @ self.weight.value.T
