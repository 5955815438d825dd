"""Exercise "pooling": a maximum that gives everyone a share.

The output is the larger of each pair of neighbors in a row: the maximum of x_0 and x_1, that of x_2
and x_3, and so on. This backward divides each delta among the two. Which of the two changes the
output, and how much? Fix backward.
"""

import numpy as np

from minigrad import Layer


class MyPooling(Layer):
    def build(self, input_shape, rng):
        (length,) = input_shape
        return (length // 2,)

    def forward(self, x, *, training=True):
        pairs = x.reshape(len(x), -1, 2)
        if training:
            self.cache = x
        return pairs.max(axis=2)

    def backward(self, delta):
        return np.repeat(delta, 2, axis=1) / 2
