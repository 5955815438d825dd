"""Exercise "scale": a layer written from scratch.

z = x * f, with a trainable factor f for each feature. The factors start at one. Write build,
forward and backward. What is the gradient of f, and what does backward return?
"""

from minigrad import Layer


class MyScale(Layer):
    def build(self, input_shape, rng):
        raise NotImplementedError(
            "create self.factor = Parameter(...), and return the output shape"
        )

    def forward(self, x, *, training=True):
        raise NotImplementedError("write forward")

    def backward(self, delta):
        raise NotImplementedError("write backward")
