"""Train here, go on in PyTorch: the next steps are the same, momentum and all.

The network, its weights and what Adam remembers go to PyTorch after some epochs. Both then make the
same steps. In float64 they differ by rounding only. What PyTorch has trained comes back at the end.
"""

import numpy as np
import torch
from sklearn.datasets import load_diabetes

from minigrad import Adam, Dense, LayerNorm, MSELoss, Sequential, Tanh
from minigrad.interop.torch import from_torch, to_torch_training

EPOCHS = 30

x, y = load_diabetes(return_X_y=True)
x, y = x / x.std(axis=0), ((y - y.mean()) / y.std())[:, np.newaxis]

layers = [Dense(16), LayerNorm(), Tanh(), Dense(1)]
model = Sequential(layers, input_shape=(10,), rng=0)
model.compile(optimizer=Adam(learning_rate=0.003), loss=MSELoss())
model.fit(x, y, epochs=EPOCHS, verbose=0)

module, optimizer = to_torch_training(model)
print(module)

# The same steps here and there, on the whole data set.
inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
there = []
for _ in range(EPOCHS):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(module(inputs), targets)
    loss.backward()
    optimizer.step()
    there.append(loss.item())
here = model.fit(x, y, epochs=EPOCHS, batch_size=None, verbose=0)["loss"][-EPOCHS:]

print("step   minigrad    PyTorch")
for step in (0, EPOCHS // 2, EPOCHS - 1):
    print(f"{step + 1:4}   {here[step]:.6f}   {there[step]:.6f}")
assert np.allclose(here, there, rtol=1e-9)

# And back: the model is compiled with PyTorch's optimizer and its state.
back = from_torch(module, (10,), optimizer=optimizer, loss=MSELoss())
difference = np.abs(back.predict(x) - model.predict(x)).max()
print(f"largest difference of a prediction after {EPOCHS} steps: {difference:.1e}")
assert difference < 1e-9
for one in model, back:
    one.fit(x, y, epochs=1, batch_size=None, verbose=0)
assert np.allclose(back.parameters.value, model.parameters.value, atol=1e-9)
