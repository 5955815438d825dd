"""Transfer learning: a trained base with a frozen BatchNorm under a new output.

The base learns to tell two kinds of points apart. Frozen, it serves another question about points
of another scale: its weights and its running statistics stay as they are.
"""

import numpy as np

from minigrad import Adam, BatchNorm, Dense, ReLU, Sequential

EPOCHS = 40
ROWS = 600

rng = np.random.default_rng(0)
x = rng.normal(size=(ROWS, 2))
inside = np.hypot(*x.T) < 1.2
base = Sequential([Dense(32), BatchNorm(), ReLU(), Dense(16), BatchNorm(), ReLU()])
first = Sequential([base, Dense(1)], input_shape=(2,), rng=0)
first.compile(optimizer=Adam(learning_rate=0.01), loss="bce_with_logits", metrics=["accuracy"])
first.fit(x, inside, epochs=EPOCHS, verbose=0)
print(f"the first question:  accuracy {first.evaluate(x, inside)['accuracy']:.1%}")

base.trainable = False
before = [layer.running_mean.copy() for layer in base if isinstance(layer, BatchNorm)]
other = 1.5 * x + 0.5
right = np.hypot(*other.T) < 1.5
second = Sequential([base, Dense(1)], input_shape=(2,), rng=1)
second.compile(optimizer=Adam(learning_rate=0.05), loss="bce_with_logits", metrics=["accuracy"])
second.fit(other, right, epochs=EPOCHS, verbose=0)
accuracy = second.evaluate(other, right)["accuracy"]
print(f"the second question: accuracy {accuracy:.1%} by {second[1].parameters.size} new weights")

after = [layer.running_mean for layer in base if isinstance(layer, BatchNorm)]
drift = max(np.abs(a - b).max() for a, b in zip(after, before, strict=True))
print(f"change of the base's running means: {drift}")
assert drift == 0
assert accuracy > 0.9
