"""Train here, export to ONNX, and serve with onnxruntime alone.

The second half of the script is a program of its own, which imports neither minigrad nor training
code: it reads the file, classifies test images in batches of any size, and says how many are right.
"""

import subprocess
import sys

import numpy as np
import onnxruntime
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from minigrad import (
    Adam,
    BatchNorm,
    Conv2D,
    CrossEntropyLoss,
    Dense,
    Dropout,
    Flatten,
    MaxPooling2D,
    ReLU,
    Sequential,
    Softmax,
)
from minigrad.interop.onnx import export

EPOCHS = 15

digits = load_digits()
x_train, x_test, y_train, y_test = train_test_split(
    digits.images[..., None] / 16, digits.target, random_state=0, stratify=digits.target
)
layers = [Conv2D(16, 3, padding="same"), BatchNorm(), ReLU(), MaxPooling2D(), Flatten()]
model = Sequential([*layers, Dropout(0.3), Dense(10)], input_shape=(8, 8, 1), rng=0)
model.compile(optimizer=Adam(learning_rate=0.003), loss=CrossEntropyLoss(), metrics=["accuracy"])
model.fit(x_train, y_train, epochs=EPOCHS, verbose=0)

# The file gives probabilities, for which the network gets a Softmax.
served = Sequential([model, Softmax()], input_shape=(8, 8, 1))
export(served, "digits.onnx")
np.savez("test.npz", x=x_test.astype(np.float32), y=y_test)

SERVER = """
import sys
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("digits.onnx")
test = np.load("test.npz")
right = 0
for start in range(0, len(test["x"]), 100):
    rows = slice(start, start + 100)
    (probabilities,) = session.run(None, {"input": test["x"][rows]})
    right += (probabilities.argmax(axis=1) == test["y"][rows]).sum()
assert "minigrad" not in sys.modules
print(right)
"""
right = int(subprocess.check_output([sys.executable, "-c", SERVER], text=True))
accuracy = model.evaluate(x_test, y_test)["accuracy"]
print(f"minigrad {accuracy:.1%}, onnxruntime {right / len(y_test):.1%} of {len(y_test)} images")

session = onnxruntime.InferenceSession("digits.onnx")
(probabilities,) = session.run(None, {"input": x_test.astype(np.float32)})
difference = np.abs(probabilities - served.predict(x_test)).max()
print(f"largest difference of a probability: {difference:.1e}")
assert difference < 1e-5
assert accuracy > 0.97
