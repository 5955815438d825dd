"""A solution of the exercise."""

import numpy as np

from minigrad import Layer


class MySigmoid(Layer):
    def forward(self, x, *, training=True):
        a = 1 / (1 + np.exp(-x))
        if training:
            self.cache = a
        return a

    def backward(self, delta):
        a = self.cache
        return delta * a * (1 - a)
