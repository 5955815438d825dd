"""A solution of the exercise."""

import numpy as np

from minigrad import Layer, Parameter


class MyScale(Layer):
    def build(self, input_shape, rng):
        self.factor = Parameter(np.ones(input_shape))
        return input_shape

    def forward(self, x, *, training=True):
        if training:
            self.cache = x
        return x * self.factor.value

    def backward(self, delta):
        self.factor.grad = (delta * self.cache).sum(axis=0)
        return delta * self.factor.value
