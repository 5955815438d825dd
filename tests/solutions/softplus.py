"""A solution of the exercise."""

import numpy as np

from minigrad import Layer


class MySoftplus(Layer):
    def forward(self, x, *, training=True):
        if training:
            self.cache = x
        return np.logaddexp(0, x)

    def backward(self, delta):
        return delta / (1 + np.exp(-self.cache))
