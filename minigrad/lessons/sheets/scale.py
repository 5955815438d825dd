"""Exercise "scale": write a layer from nothing.

z = x * f, with a trainable factor f for each feature, which starts at one. Write build, forward and
backward. What does f's gradient look like, and what is passed down?
"""

from minigrad import Layer


class MyScale(Layer):
    def build(self, input_shape, rng):
        raise NotImplementedError("make self.factor = Parameter(...), and return the output shape")

    def forward(self, x, *, training=True):
        raise NotImplementedError("write forward")

    def backward(self, delta):
        raise NotImplementedError("write backward")
