"""Exercise "product": a matrix product with its factors in the wrong order.

z = x W. For one row, dJ/dw_ij = delta_j a_i (Equation 11). For a batch, sum this over the rows.
The gradient below has the right shape only because the layer has as many units as inputs. Fix it.
"""

from minigrad import Layer, Parameter


class MyDense(Layer):
    def build(self, input_shape, rng):
        (inputs,) = input_shape
        self.weight = Parameter(rng.standard_normal((inputs, inputs)))
        return input_shape

    def forward(self, x, *, training=True):
        if training:
            self.cache = x
        return x @ self.weight.value

    def backward(self, delta):
        x = self.cache
        self.weight.grad = delta.T @ x
        return delta @ self.weight.value.T
