"""Exercise "dropout": it scales in the wrong mode.

Dropout sets each number to zero with probability `rate` while training. What is left must be scaled
up, then and there, so that the mean stays what it was; in inference nothing happens at all.
Here training doesn't scale, and inference does. Mend forward, and backward with it.
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
