"""A solution of the exercise."""

import numpy as np

from minigrad import Layer, Parameter


class MyBias(Layer):
    def build(self, input_shape, rng):
        self.bias = Parameter(np.zeros(input_shape))
        return input_shape

    def forward(self, x, *, training=True):
        return x + self.bias.value

    def backward(self, delta):
        self.bias.grad = delta.sum(axis=0)
        return delta.copy()
