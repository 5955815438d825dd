"""Train a layer of one's own, in plain NumPy, with a jitted loop.

Run it with JAX installed: python examples/jitted_layer.py
"""

from time import perf_counter
from typing import Any, Literal

import numpy as np

from minigrad import Adam, Dense, Layer, MSELoss, Parameter, Sequential, check_gradients

EPOCHS = 60
ROWS = 2000


class RadialBasis(Layer):
    """h_k = exp(-w_k |x - c_k|^2), with a center c_k and a width w_k for each of the units."""

    def __init__(self, units: int, *, name: str = "") -> None:
        super().__init__(name=name)
        self.units = units

    def build(self, input_shape: Any, rng: Any) -> Any:
        self.centers = Parameter(rng.uniform(-2, 2, size=(self.units, *input_shape)))
        self.widths = Parameter(np.ones(self.units))
        return (self.units,)

    def forward(self, x: Any, *, training: bool = True) -> Any:
        away = x[:, np.newaxis] - self.centers.value
        squares = (away * away).sum(axis=2)
        h = np.exp(-self.widths.value * squares)
        if training:
            self.cache = away, squares, h
        return h

    def backward(self, delta: Any) -> Any:
        away, squares, h = self.cache
        inner = delta * h
        self.widths.grad = -(inner * squares).sum(axis=0)
        along = (-2 * self.widths.value * inner)[:, :, np.newaxis] * away
        self.centers.grad = -along.sum(axis=0)
        return along.sum(axis=1)


rng = np.random.default_rng(0)
x = rng.uniform(-2, 2, size=(ROWS, 2))
y = np.sin(3 * x[:, 0]) * np.cos(2 * x[:, 1])
assert check_gradients(RadialBasis(3), x[:4], np.zeros((4, 3)), MSELoss()).passed


def trained(engine: Literal["numpy", "jax"]) -> tuple[Sequential, float]:
    """Return a trained network, and the seconds that it took."""
    model = Sequential([RadialBasis(30), Dense(1)], input_shape=(2,), rng=0)
    model.compile(optimizer=Adam(learning_rate=0.01), loss=MSELoss())
    start = perf_counter()
    model.fit(x, y, epochs=EPOCHS, batch_size=32, verbose=0, engine=engine)
    return model, perf_counter() - start


# The same class runs by NumPy and jitted. Nothing in it knows which.
by_numpy, seconds = trained("numpy")
jitted, compiled_seconds = trained("jax")
losses = by_numpy.history["loss"], jitted.history["loss"]
print(f"NumPy:    loss {losses[0][-1]:.6f} after {EPOCHS} epochs, {seconds:.1f} s")
print(f"jitted: loss {losses[1][-1]:.6f}, {compiled_seconds:.1f} s with the time to compile")
print(f"the first losses differ by {abs(losses[0][0] / losses[1][0] - 1):.0e}")
assert np.allclose(losses[0][:5], losses[1][:5], rtol=1e-9)
assert jitted.evaluate(x, y, engine="jax")["loss"] < 0.02
