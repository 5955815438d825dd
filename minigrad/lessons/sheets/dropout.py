"""Exercise "dropout": dropout that scales in the wrong mode.

In training, dropout sets each number to zero with probability `rate`, and scales up the others so
that the mean stays the same. In inference, it returns its input. This layer doesn't scale in
training, and scales in inference. Fix forward and backward.
"""

from minigrad import Layer


class MyDropout(Layer):
    stochastic = True

    def __init__(self, rate=0.5):
        self.rate = rate

    def build(self, input_shape, rng):
        self.rng = rng
        return input_shape

    def forward(self, x, *, training=True):
        if not training:
            return x * (1 - self.rate)
        keep = (self.rng.random(x.shape) >= self.rate).astype(x.dtype)
        self.cache = keep
        return x * keep

    def backward(self, delta):
        return delta * self.cache
