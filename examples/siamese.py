"""A siamese network tells whether two images show the same digit: 98 % of the pairs are correct.

One encoder is used at two places, with the same weights: Bromley et al., Signature verification
using a siamese time delay neural network, 1993. The distance between its two outputs decides.
"""

from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from minigrad import (
    Adam,
    BCEWithLogitsLoss,
    Conv2D,
    Dense,
    Flatten,
    Input,
    Layer,
    MaxPooling2D,
    Model,
    Sequential,
)

EPOCHS = 15
ROWS = 5000

images, labels = load_digits(return_X_y=True)
images = images.reshape(-1, 8, 8, 1) / 16
train, test = train_test_split(np.arange(len(labels)), random_state=0, stratify=labels)
rng = np.random.default_rng(0)


def pairs(rows: Any, count: int) -> tuple[dict[str, Any], Any]:
    """Return random pairs of images, and whether they show the same digit, as half of them do."""
    left = rng.choice(rows, count)
    shift = rng.integers(1, 10, count) * rng.integers(2, size=count)
    right = [rng.choice(rows[labels[rows] == d]) for d in (labels[left] + shift) % 10]
    return {"left": images[left], "right": images[right]}, shift == 0


class Distance(Layer):
    """d = |a - b|^2, with dJ/da = 2 (a - b) delta = -dJ/db."""

    def build(self, input_shape: Any, rng: Any) -> tuple[int, ...]:
        return (1,)

    def forward(self, *inputs: Any, training: bool = True) -> Any:
        a, b = inputs
        if training:
            self.cache = a - b
        return ((a - b) ** 2).sum(axis=1, keepdims=True)

    def backward(self, delta: Any) -> Any:
        slope = 2 * self.cache * delta
        return slope, -slope


encoder = Sequential(
    [
        Conv2D(16, 3, padding="same", activation="relu"),
        MaxPooling2D(),
        Conv2D(32, 3, padding="same", activation="relu"),
        MaxPooling2D(),
        Flatten(),
        Dense(16),
    ],
    name="encoder",
)
left, right = Input((8, 8, 1), name="left"), Input((8, 8, 1), name="right")
same = Dense(1)(Distance()(encoder(left), encoder(right)))
model = Model(inputs=[left, right], outputs=same, rng=0)
model.compile(optimizer=Adam(learning_rate=0.003), loss=BCEWithLogitsLoss(), metrics=["accuracy"])
model.fit(*pairs(train, ROWS), epochs=EPOCHS, verbose=0)

accuracy = model.evaluate(*pairs(test, 2000))["accuracy"]
print(f"accuracy {accuracy:.1%} on pairs of images that it never saw")
assert accuracy > 0.965
