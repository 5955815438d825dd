"""An LSTM learns to add two marked numbers of a sequence of 50; a simple recurrent network can't.

The adding problem: Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9, 1997.
With a file name, the delta of each time step is drawn: python examples/adding_problem.py deltas.svg
"""

import sys

import numpy as np

from minigrad import GRU, LSTM, Adam, CosineDecay, Dense, Layer, MSELoss, Sequential, SimpleRNN

EPOCHS = 12
ROWS = 5000  # for training; 1000 more are for the test

rng = np.random.default_rng(0)


def network(layer: Layer, features: int, rate: float) -> Sequential:
    """Return a recurrent layer, and a Dense that computes a sum from its last state."""
    model = Sequential([layer, Dense(1)], input_shape=(None, features), rng=0, dtype="float32")
    decay = CosineDecay(initial_learning_rate=rate, decay_steps=EPOCHS * ROWS // 32)
    adam = Adam(learning_rate=decay, clip_norm=1.0)
    model.compile(optimizer=adam, loss=MSELoss(), metrics=["r2"])
    return model


# The tutorial's sum, of ten numbers in place of two.
count = ROWS + 1000
x = rng.uniform(size=(count, 10, 1))
y = x.sum(axis=(1, 2))
model = network(LSTM(32), 1, 0.02)
model.fit(x[:ROWS], y[:ROWS], epochs=EPOCHS, verbose=0)
r2 = model.evaluate(x[ROWS:], y[ROWS:])["r2"]
print(f"the sum of 10 numbers: R2 {r2:.4f}")

# The adding problem: one number of each half is marked, and the target is the sum of these two.
numbers, marks, rows = rng.uniform(size=(count, 50)), np.zeros((count, 50)), np.arange(count)
marks[rows, rng.integers(25, size=count)] = 1
marks[rows, rng.integers(25, 50, size=count)] = 1
x, y = np.stack([numbers, marks], axis=2), (numbers * marks).sum(axis=1)
print(f"the adding problem: the variance of the sum is {y.var():.4f}")

errors, deltas = {}, {}
for layer in (SimpleRNN(32), GRU(32), LSTM(32)):
    name = type(layer).__name__
    model = network(layer, 2, 0.01)
    model.fit(x[:ROWS], y[:ROWS], epochs=EPOCHS, verbose=0)
    errors[name] = model.evaluate(x[ROWS:], y[ROWS:])["loss"]

    # Why: dJ/dx_t = delta_t W^T is how much step t counts. Going back in time, it vanishes.
    loss = MSELoss()
    loss.forward(model.forward(x[ROWS:]), y[ROWS:])
    deltas[name] = np.linalg.norm(model.backward(loss.backward()), axis=(0, 2))
    print(
        f"{name:9} squared error {errors[name]:.4f}; "
        f"|dJ/dx_t| {deltas[name][-1]:.0e} at the last step, {deltas[name][0]:.0e} at the first"
    )

if len(sys.argv) > 1:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, norms in deltas.items():
        axes.semilogy(range(1, 51), norms.clip(1e-20), label=name)
    axes.set(xlabel="time step t", ylabel="|dJ/dx_t| after training")
    axes.legend()
    figure.savefig(sys.argv[1])
    print(f"the deltas over time: {sys.argv[1]}")

assert r2 > 0.999
assert max(errors["GRU"], errors["LSTM"]) < 0.002 < 0.1 < errors["SimpleRNN"]
