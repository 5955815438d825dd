"""Exercise "slope": a sigmoid that forgets its derivative.

forward is right: a = 1 / (1 + exp(-z)). backward is given delta = dJ/da and must return dJ/dz.
What stands here returns what it was given. Mend it.
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
