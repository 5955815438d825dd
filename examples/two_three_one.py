"""One training step of the 2-3-1 network by hand, with every step of backpropagation.

The network, the data and the equation numbers are those of the tutorial, the notebook "Building
Simple Neural Network Using Numpy". Run it: python examples/two_three_one.py
"""

import numpy as np

from minigrad import SGD, Dense, MSELoss, Sequential, Sigmoid, check_gradients

# The data of the tutorial: 10,000 rows of two numbers between 0 and 1, and their sums.
rng = np.random.RandomState(4)
x = rng.rand(10_000, 2)
t = x.sum(axis=1, keepdims=True)

# Two inputs, three hidden units, one output; no biases, weights from the standard normal.
hidden = Dense(3, use_bias=False, weight_initializer="normal")
output = Dense(1, use_bias=False, weight_initializer="normal")
model = Sequential([hidden, Sigmoid(), output, Sigmoid()], input_shape=(2,), rng=rng)

# Forward: each layer takes the output of the layer before, and caches what backward needs.
hidden_layer, hidden_sigmoid, output_layer, output_sigmoid = model.layers
z_j = hidden_layer.forward(x)  # z_j = sum over i of a_i w_ij        (Equation 8)
a_j = hidden_sigmoid.forward(z_j)  # a_j = g(z_j)
z_k = output_layer.forward(a_j)
a_k = output_sigmoid.forward(z_k)

# The error J = 1/2 sum (a_k - t_k)^2 (Equation 1), and its derivative a_k - t_k.
loss = MSELoss(reduction="sum", scale=0.5)
print(f"before training       J = {loss.forward(a_k, t):.8f}")
error = loss.backward()

# Backward: a Sigmoid turns dJ/da into delta = dJ/dz, and a Dense computes its gradients from it.
delta_k = output_sigmoid.backward(error)  # (a_k - t_k) g'(z_k)          (Equation 5)
weighted = output_layer.backward(delta_k)  # sum over k of delta_k w_jk   (in Equation 10)
delta_j = hidden_sigmoid.backward(weighted)  # g'(z_j) times this sum       (Equation 11)
hidden_layer.backward(delta_j)

# The layers agree with the equations.
np.testing.assert_allclose(delta_k, (a_k - t) * a_k * (1 - a_k))
np.testing.assert_allclose(output.weight.grad, a_j.T @ delta_k)  # delta_k a_j, Equation 6
np.testing.assert_allclose(delta_j, a_j * (1 - a_j) * (delta_k @ output.weight.value.T))
np.testing.assert_allclose(hidden.weight.grad, x.T @ delta_j)  # delta_j a_i, Equation 11
print(check_gradients(model, x[:5], t[:5], loss))

# One step of gradient descent gives the first loss that the tutorial prints, 955.62804742.
optimizer = SGD(learning_rate=0.01)
optimizer.step(model.parameters)
print(f"after the first step  J = {loss.forward(model.forward(x), t):.8f}")

# The model's forward and backward run the same calls.
for _ in range(99):
    loss.forward(model.forward(x), t)
    model.backward(loss.backward())
    optimizer.step(model.parameters)
print(f"after 100 steps       J = {loss.forward(model.forward(x), t):.8f}")

# A sigmoid output stays below 1, and the sums reach 2. A linear output can learn them.
linear = Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)
linear.compile(optimizer=SGD(learning_rate=0.2, momentum=0.9), loss=MSELoss())
linear.fit(x, t, epochs=30, verbose=0)
print(f"linear output, squared error per row: {linear.evaluate(x, t)['loss']:.8f}")
