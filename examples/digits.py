"""Classification: handwritten digits from scikit-learn, with an accuracy of over 97 %."""

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from minigrad import Adam, BatchNorm, CrossEntropyLoss, Dense, Dropout, ReLU, Sequential

images, labels = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(
    images / 16, labels, test_size=0.25, random_state=0, stratify=labels
)

layers = [Dense(128), BatchNorm(), ReLU(), Dropout(0.3), Dense(10)]
model = Sequential(layers, input_shape=(64,), rng=1)
model.compile(optimizer=Adam(), loss=CrossEntropyLoss(), metrics=["accuracy"])
model.fit(x_train, y_train, epochs=40, verbose=0)

accuracy = model.evaluate(x_test, y_test)["accuracy"]
print(f"accuracy {accuracy:.1%} on {len(y_test)} test images")
assert accuracy > 0.97
