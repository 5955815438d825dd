"""The first layers of a network that PyTorch has trained, inside a minigrad model.

PyTorch learns to tell ten digits apart. Its layers but the last, frozen, then serve another
question, whether a digit is even, of which minigrad trains a new last layer of 33 weights.
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from minigrad import Adam, BCEWithLogitsLoss, Dense, Sequential
from minigrad.interop.torch import from_torch

EPOCHS = 80

digits = load_digits()
order = np.random.default_rng(0).permutation(len(digits.images))
images = (digits.images[order, :, :, None] / 16).astype(np.float32)
labels = digits.target[order]
half = len(images) // 2  # the first half is for PyTorch

torch.manual_seed(0)
network = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(256, 32),
    nn.ReLU(),
    nn.Linear(32, 10),
)
optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
x = torch.from_numpy(images[:half]).movedim(-1, 1)  # PyTorch has the channels first
y = torch.from_numpy(labels[:half])
for _ in range(EPOCHS):
    optimizer.zero_grad()
    nn.functional.cross_entropy(network(x), y).backward()
    optimizer.step()

first = from_torch(network[:-1], (8, 8, 1))
first.trainable = False
theirs = network[:-1](x).detach().numpy()
assert np.allclose(first.predict(images[:half]), theirs, atol=1e-4)

# The second half is new to PyTorch's layers; half of it trains the last layer, half is the test.
even = (labels % 2 == 0).astype(np.float32)
train, test = slice(half, half + half // 2), slice(half + half // 2, None)
model = Sequential([first, Dense(1)], input_shape=(8, 8, 1), rng=0, dtype="float32")
model.compile(optimizer=Adam(learning_rate=0.03), loss=BCEWithLogitsLoss(), metrics=["accuracy"])
model.fit(images[train], even[train], epochs=EPOCHS, verbose=0)

trained = sum(p.size for p in model.parameters if p.trainable)
accuracy = model.evaluate(images[test], even[test])["accuracy"]
print(f"{trained} of {model.parameters.size} weights trained: accuracy {accuracy:.1%}")
assert np.allclose(first.predict(images[:half]), theirs, atol=1e-4)
assert accuracy > 0.85
