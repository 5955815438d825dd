"""A convolutional network reads handwritten digits of 8x8 pixels: 98 % of the test images.

The network is a small LeNet-5: LeCun et al., Gradient-based learning applied to document
recognition, 1998. With a file name, the filters are drawn: python examples/lenet.py filters.svg
"""

import sys

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from minigrad import Adam, Conv2D, CrossEntropyLoss, Dense, Flatten, MaxPooling2D, Sequential

EPOCHS = 20

digits = load_digits()
x_train, x_test, y_train, y_test = train_test_split(
    digits.images[..., None] / 16, digits.target, random_state=0, stratify=digits.target
)

# Each filter sees 3x3 pixels. Pooling keeps the largest of 2x2 outputs.
first = Conv2D(16, 3, padding="same", activation="relu")
layers = [
    first,
    MaxPooling2D(),
    Conv2D(32, 3, padding="same", activation="relu"),
    MaxPooling2D(),
    Flatten(),
    Dense(64, activation="relu"),
    Dense(10),
]
model = Sequential(layers, input_shape=(8, 8, 1), rng=0, dtype="float32")
model.compile(optimizer=Adam(learning_rate=0.003), loss=CrossEntropyLoss(), metrics=["accuracy"])
model.fit(x_train, y_train, epochs=EPOCHS, verbose=0)

accuracy = model.evaluate(x_test, y_test)["accuracy"]
print(f"accuracy {accuracy:.1%} on {len(y_test)} test images")

if len(sys.argv) > 1:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2))
    filters = first.weight.value[:, :, 0]  # (3, 3, filters)
    for index in range(filters.shape[-1]):
        axes = figure.add_subplot(1, filters.shape[-1], index + 1)
        axes.imshow(filters[..., index], cmap="gray")
        axes.axis("off")
    figure.savefig(sys.argv[1])
    print(f"the filters of the first layer: {sys.argv[1]}")

assert accuracy > 0.975
