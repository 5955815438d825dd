"""Train a network with L-BFGS from SciPy instead of gradient descent.

Run it with SciPy installed: python examples/lbfgs.py
"""

import numpy as np
from scipy.optimize import check_grad, minimize

from minigrad import SGD, Dense, MSELoss, Sequential, Tanh

# A network of ten hidden units learns one period of a sine.
x = np.linspace(-1, 1, 200).reshape(-1, 1)
y = np.sin(np.pi * x)


def network() -> Sequential:
    model = Sequential([Dense(10), Tanh(), Dense(1)], input_shape=(1,), rng=0)
    model.compile(optimizer=SGD(learning_rate=0.1, momentum=0.9), loss=MSELoss())
    return model


# All weights and biases are one vector theta. The loss over all rows is a function J(theta).
# The objective returns J and its gradient g, which backpropagation computes.
model = network()
theta = model.parameters.value.copy()
objective = model.objective(x, y)
j, g = objective(theta)
print(f"J(theta) = {j:.6f} with {theta.size} variables, |g| = {np.linalg.norm(g):.6f}")

# SciPy's finite differences agree with backpropagation.
error = check_grad(lambda t: objective(t)[0], lambda t: objective(t)[1], theta)
print(f"the gradient differs from finite differences by {error:.1e}")

# Gradient descent makes steps along -g, with the same learning rate in all directions.
descent = network()
history = descent.fit(x, y, epochs=500, batch_size=None, verbose=0)
print(f"gradient descent, 500 gradients: J = {history['loss'][-1]:.8f}")

# L-BFGS estimates the curvature from the last gradients, and adapts its steps to it.
result = minimize(objective, theta, jac=True, method="L-BFGS-B", options={"maxfun": 500})
print(f"L-BFGS, {result.nfev} gradients: J = {result.fun:.8f}")

# Each call of the objective changes the parameters of the model. Assign the best ones at the end.
model.parameters.value = result.x
print(f"largest error of the network: {np.abs(model.predict(x) - y).max():.6f}")
