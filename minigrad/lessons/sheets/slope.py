"""Exercise "slope": a sigmoid without its derivative.

forward is right: a = 1 / (1 + exp(-z)). backward gets delta = dJ/da and must return dJ/dz.
This backward returns its argument. Fix it.
"""

import numpy as np

from minigrad import Layer


class MySigmoid(Layer):
    def forward(self, x, *, training=True):
        a = 1 / (1 + np.exp(-x))
        if training:
            self.cache = a
        return a

    def backward(self, delta):
        return delta
