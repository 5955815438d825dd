"""A solution of the exercise."""

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
        pairs = self.cache.reshape(len(self.cache), -1, 2)
        larger = pairs == pairs.max(axis=2, keepdims=True)
        return (larger * delta[:, :, None]).reshape(self.cache.shape)
