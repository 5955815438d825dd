"""An LSTM learns to add two marked numbers of a sequence of 50; a simple recurrent network can't.

The adding problem: Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9, 1997.
With a file name, the delta of each time step is drawn: python examples/adding_problem.py deltas.svg
"""

import sys

import numpy as np

from minigrad import GRU, LSTM, Adam, Dense, MSELoss, Sequential, SimpleRNN
from minigrad.layers.recurrent import Recurrent
from minigrad.trace import trace

EPOCHS = 30

rng = np.random.default_rng(0)


def network(layer: Recurrent, features: int, rate: float) -> Sequential:
    """Return a recurrent layer, and a Dense that computes the sum from its last state."""
    model = Sequential([layer, Dense(1)], input_shape=(None, features), rng=0, dtype="float32")
    model.compile(optimizer=Adam(learning_rate=rate, clip_norm=1.0), loss=MSELoss(), metrics=["r2"])
    return model


# The tutorial's sum, of ten numbers instead of two.
x = rng.uniform(size=(2000, 10, 1))
model = network(LSTM(32), 1, 0.02)
model.fit(x, x.sum(axis=1), epochs=EPOCHS, verbose=0)
x = rng.uniform(size=(1000, 10, 1))
r2 = model.evaluate(x, x.sum(axis=1))["r2"]
print(f"the sum of 10 numbers: R2 {r2:.4f}")


def adding_problem(rows: int, steps: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers with marks, one mark in each half, and the sum of the marked numbers."""
    numbers, marks = rng.uniform(size=(rows, steps)), np.zeros((rows, steps))
    half = steps // 2
    marks[np.arange(rows), rng.integers(half, size=rows)] = 1
    marks[np.arange(rows), half + rng.integers(half, size=rows)] = 1
    return np.stack([numbers, marks], axis=2), (numbers * marks).sum(axis=1)


x, y = adding_problem(5000)
x_test, y_test = adding_problem(1000)
print(f"the adding problem: the variance of the sum is {y_test.var():.4f}")
for layer in (SimpleRNN(32), GRU(32), LSTM(32)):
    model = network(layer, 2, 0.01)
    for when in ("before", "after"):
        step = trace(model, x_test.astype("float32"), y_test[:, None].astype("float32"), MSELoss())[layer.name]
        d = np.linalg.norm(step.input_delta[:,:,0], axis=0)
        print(when, d[[0,10,20,30,40,49]])
        if when=="before": model.fit(x, y, epochs=EPOCHS, verbose=0)
    loss = model.evaluate(x_test, y_test)["loss"]
    print(f"{type(layer).__name__:10} squared error {loss:.4f}", [round(v,4) for v in model.history["loss"]][::3])
