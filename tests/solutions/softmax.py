"""A solution of the exercise."""

import numpy as np

from minigrad import Layer


class MySoftmax(Layer):
    def forward(self, x, *, training=True):
        powers = np.exp(x - x.max(axis=1, keepdims=True))
        a = powers / powers.sum(axis=1, keepdims=True)
        if training:
            self.cache = a
        return a

    def backward(self, delta):
        a = self.cache
        return a * (delta - (delta * a).sum(axis=1, keepdims=True))
