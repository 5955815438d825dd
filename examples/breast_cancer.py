"""Binary classification: the breast cancer data, compared with scikit-learn's own network."""

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from minigrad import Adam, BCEWithLogitsLoss, Dense, ReLU, Sequential

x, y = load_breast_cancer(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0, stratify=y)
scaler = StandardScaler().fit(x_train)
x_train, x_test = scaler.transform(x_train), scaler.transform(x_test)

reference = MLPClassifier(hidden_layer_sizes=(32,), max_iter=500, random_state=0)
reference.fit(x_train, y_train)
reference_accuracy = reference.score(x_test, y_test)

model = Sequential([Dense(32), ReLU(), Dense(1)], input_shape=(30,), rng=0)
model.compile(optimizer=Adam(), loss=BCEWithLogitsLoss(), metrics=["accuracy"])
model.fit(x_train, y_train, epochs=50, verbose=0)
accuracy = model.evaluate(x_test, y_test)["accuracy"]

print(f"accuracy: minigrad {accuracy:.1%}, scikit-learn {reference_accuracy:.1%}")
assert accuracy >= reference_accuracy
