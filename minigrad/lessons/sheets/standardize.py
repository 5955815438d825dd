"""Exercise "standardize": a normalization that forgets its mean and deviation.

a = (x - m) / s in each row, with the row's mean m and s = sqrt(variance + 1e-5). This backward
divides delta by s, as if m and s were constants. They depend on every x of the row. Fix backward.

Hint: the result is delta, minus its mean, minus a times the mean of another product, all divided
by s.
"""

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
        return delta / s
