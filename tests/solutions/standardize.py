"""A solution of the exercise."""

import numpy as np

from minigrad import Layer


class MyStandardize(Layer):
    def forward(self, x, *, training=True):
        s = np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
        a = (x - x.mean(axis=1, keepdims=True)) / s
        if training:
            self.cache = a, s
        return a

    def backward(self, delta):
        a, s = self.cache
        mean = delta.mean(axis=1, keepdims=True)
        return (delta - mean - a * (delta * a).mean(axis=1, keepdims=True)) / s
