"""A solution of the exercise."""

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
            return x.copy()
        keep = (self.rng.random(x.shape) >= self.rate).astype(x.dtype) / (1 - self.rate)
        self.cache = keep
        return x * keep

    def backward(self, delta):
        return delta * self.cache
