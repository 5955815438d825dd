"""Two inputs, two outputs: a handwritten quantity and printed numbers give the sum to pay.

An order form has a handwritten digit (an image), and a unit price and a discount (two numbers). The
model learns to read the digit, and to compute quantity times price times (1 - discount), which
needs both inputs. Each output has its own loss and metrics.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import minigrad
from minigrad import (
    Adam,
    Concatenate,
    Conv2D,
    CrossEntropyLoss,
    Dense,
    Flatten,
    Input,
    MaxPooling2D,
    Model,
    MSELoss,
)

EPOCHS = 40

digits = load_digits()
rng = np.random.default_rng(0)
quantity = digits.target
numbers = rng.uniform((0.1, 0.0), (1.0, 0.5), size=(len(quantity), 2))
total = quantity * numbers[:, 0] * (1 - numbers[:, 1])
train, test = train_test_split(np.arange(len(quantity)), random_state=0, stratify=quantity)


def form(rows: Any) -> tuple[Any, Any]:
    """Return the inputs and the targets by their names."""
    x = {"image": digits.images[rows, :, :, None] / 16, "numbers": numbers[rows]}
    return x, {"quantity": quantity[rows], "total": total[rows]}


image, printed = Input((8, 8, 1), name="image"), Input((2,), name="numbers")
h = MaxPooling2D()(Conv2D(16, 3, padding="same", activation="relu")(image))
h = MaxPooling2D()(Conv2D(32, 3, padding="same", activation="relu")(h))
h = Dense(64, activation="relu")(Flatten()(h))
both = Dense(64, activation="relu")(Concatenate()(h, printed))
model = Model(
    inputs=[image, printed],
    outputs={"quantity": Dense(10)(h), "total": Dense(1)(both)},
    rng=0,
    dtype="float32",
)
model.compile(
    optimizer=Adam(learning_rate=0.003),
    loss={"quantity": CrossEntropyLoss(), "total": MSELoss()},
    metrics={"quantity": ["accuracy"], "total": ["mae", "r2"]},
)
model.fit(*form(train), epochs=EPOCHS, verbose=0)

found = model.evaluate(*form(test))
print(f"quantity: accuracy {found['quantity_accuracy']:.1%}")
print(f"total: R2 {found['total_r2']:.3f}, mean absolute error {found['total_mae']:.3f}")

# The file holds the graph, the parameters and all that training needs to go on.
with TemporaryDirectory() as folder:
    path = Path(folder, "form.safetensors")
    model.save(path)
    loaded = minigrad.load(path)
assert loaded.evaluate(*form(test)) == found
assert found["quantity_accuracy"] > 0.96
assert found["total_r2"] > 0.9
