"""The first layers of a network that PyTorch has trained, inside a minigrad model.

PyTorch learns the digits 0 to 4. Its convolutions, frozen, then read the digits 5 to 9 for a new
last layer, which sees only three images of each digit. It is compared with the same network from
random weights.
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from minigrad import Adam, CrossEntropyLoss, Dense, Flatten, Sequential
from minigrad.interop.torch import from_torch

EPOCHS = 60

digits = load_digits()
images = (digits.images[..., None] / 16).astype(np.float32)
known, new = digits.target < 5, digits.target >= 5

torch.manual_seed(0)
network = nn.Sequential(
    nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
    nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
    nn.Flatten(),
    nn.Linear(128, 5),
)
optimizer = torch.optim.Adam(network.parameters(), lr=0.003)
x = torch.from_numpy(images[known]).movedim(-1, 1)  # PyTorch has the channels first
y = torch.from_numpy(digits.target[known])
for _ in range(EPOCHS):
    optimizer.zero_grad()
    nn.functional.cross_entropy(network(x), y).backward()
    optimizer.step()

# Three images of each new digit to train with, all others to test.
x_new, y_new = images[new], digits.target[new] - 5
few = np.concatenate([np.flatnonzero(y_new == k)[:3] for k in range(5)])
others = np.setdiff1d(np.arange(len(y_new)), few)


def accuracy(first: Sequential) -> float:
    """Train a new last layer, and return the share of the test images that it recognizes."""
    model = Sequential([first, Flatten(), Dense(5)], input_shape=(8, 8, 1), rng=0, dtype="float32")
    model.compile(optimizer=Adam(learning_rate=0.01), loss=CrossEntropyLoss(), metrics=["accuracy"])
    model.fit(x_new[few], y_new[few], epochs=2 * EPOCHS, batch_size=None, verbose=0)
    return model.evaluate(x_new[others], y_new[others])["accuracy"]


pretrained = from_torch(network[:2], (8, 8, 1))
pretrained.trainable = False
features = network[:2](torch.from_numpy(x_new).movedim(-1, 1)).movedim(1, -1).detach().numpy()
assert np.allclose(pretrained.predict(x_new), features, atol=1e-5)

scratch = from_torch(network[:2], (8, 8, 1))
rng = np.random.default_rng(0)
for parameter in scratch.parameters:
    parameter.value = rng.normal(scale=0.1, size=parameter.shape)

with_pretrained, with_random = accuracy(pretrained), accuracy(scratch)
print(f"15 images: {with_pretrained:.1%} with PyTorch's layers, {with_random:.1%} without")
assert with_pretrained > with_random
