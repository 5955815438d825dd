"""Regression: the diabetes data, compared with scikit-learn's own network."""

from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor

from minigrad import Adam, Dense, MSELoss, ReLU, Sequential

x, y = load_diabetes(return_X_y=True)
x, y = x / x.std(axis=0), (y - y.mean()) / y.std()
x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0)

reference = MLPRegressor(hidden_layer_sizes=(16,), max_iter=2000, random_state=0)
reference.fit(x_train, y_train)
reference_r2 = reference.score(x_test, y_test)

model = Sequential([Dense(16), ReLU(), Dense(1)], input_shape=(10,), rng=0)
model.compile(optimizer=Adam(weight_decay=0.01), loss=MSELoss(), metrics=["r2"])
model.fit(x_train, y_train, epochs=30, verbose=0)
r2 = model.evaluate(x_test, y_test)["r2"]

print(f"R2: minigrad {r2:.3f}, scikit-learn {reference_r2:.3f}")
assert r2 >= reference_r2
