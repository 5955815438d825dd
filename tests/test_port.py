"""`python -m minigrad.port`: what a program for Keras has to change, without running it."""

from pathlib import Path

import pytest

from minigrad.port import findings
from minigrad.port.__main__ import main

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))

PROGRAM = """\
import numpy as np
import tensorflow as tf
from tensorflow import keras; from keras import regularizers
from keras.layers import Dense, BatchNormalization as Norm
from keras.utils import to_categorical

tf.random.set_seed(1)
model = keras.Sequential([
    keras.Input((4,), dtype="float32"),
    Dense(8, "swish", kernel_initializer="random_normal", kernel_regularizer=regularizers.l2(1)),
    Norm(),
    tf.keras.layers.LeakyReLU(alpha=0.1),
    Dense(8, activation=keras.activations.relu),
    Dense(3, activation="softmax"),
])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(0.1, 0.9), loss, ["acc", keras.metrics.AUC()])
model.compile("adam", loss={"a": "sparse_categorical_crossentropy"}, run_eagerly=True)
model.fit(np.ones((2, 4)), np.ones(2), initial_epoch=2, **{})
loss, accuracy = model.evaluate(np.ones((2, 4)), np.ones(2))
scores = model.train_on_batch(np.ones((2, 4)), np.ones(2))
print(scores[0], np.add(scores, scores), model.count_params(), np.random.rand().numpy)
late = keras.layers.LSTM(3)(model, initial_state=loss, other=1)
class Own(keras.layers.Layer):
    def call(self, x):
        return keras.ops.exp(x)
class Net(tf.keras.Model):
    pass
scores = model.evaluate(loss, accuracy, return_dict=True)["loss"]
both = keras.layers.concatenate([model, keras.layers.Activation("relu")(late)])
class Watch(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True
stop = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: print(epoch))
one, two = model.predict(both)
padded = keras.utils.pad_sequences(both)
scores = model.train_on_batch(one, two, return_dict=True)
plt.hist(one, weights=two)
"""

EXPECTED = [
    (2, "tensorflow", "import minigrad"),
    (3, "keras", "import minigrad"),
    (3, "tensorflow", "import minigrad"),
    (4, "BatchNormalization", "BatchNorm"),
    (4, "keras", "import minigrad"),
    (5, "keras", "import minigrad"),
    (5, "to_categorical", "class indices"),
    (7, "set_seed", "rng=0"),
    (9, "dtype", "leave it out"),
    (10, "kernel_initializer", "weight_initializer"),
    (10, "kernel_regularizer", "weight_regularizer"),
    (10, "l2", "L2"),
    (10, "random_normal", "normal"),
    (10, "random_normal", "Normal(scale=0.05)"),
    (10, "swish", "silu"),
    (11, "BatchNormalization", "1 minus"),
    (11, "BatchNormalization", "BatchNorm(momentum=0.01, epsilon=0.001)"),
    (12, "alpha", "slope"),
    (13, "relu", "'relu'"),
    (16, "SparseCategoricalCrossentropy", "CrossEntropyLoss"),
    (17, "0.9", "beta_1="),
    (17, "AUC", "'roc_auc'"),
    (17, "acc", "accuracy"),
    (18, "run_eagerly", "leave it out"),
    (18, "sparse_categorical_crossentropy", "leave out the softmax"),
    (19, "initial_epoch", "leave it out"),
    (20, "(loss, accuracy)", "result['loss']"),
    (22, "[0]", "return_dict=True"),
    (22, "count_params", "model.parameters.size"),
    (22, "scores", "return_dict=True"),
    (23, "initial_state", "initial_state=True"),
    (25, "call", "forward(x)"),
    (26, "exp", "NumPy"),
    (27, "Net", "Sequential"),
    (29, "return_dict", "leave it out"),
    (30, "Activation('relu')", "ReLU()"),
    (30, "concatenate", "Concatenate()"),
    (32, "on_epoch_end(self, epoch, logs)", "on_epoch_end(self, trainer, epoch, logs)"),
    (33, "self.model", "trainer.model"),
    (33, "stop_training", "trainer.stop"),
    (34, "on_epoch_begin(epoch, logs)", "on_epoch_begin(trainer, epoch)"),
    (35, "(one, two)", ".values()"),
    (36, "padded", "x, mask ="),
]


def test_all_that_a_program_for_keras_has_to_change() -> None:
    found = findings(PROGRAM)
    assert [finding[:2] for finding in found] == [expected[:2] for expected in EXPECTED]
    for (*_, way), (*_, part) in zip(found, EXPECTED, strict=True):
        assert part in way
    logits = next(way for _, text, way in found if text == "SparseCategoricalCrossentropy")
    assert "softmax" not in logits


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_nothing_to_change_in_a_program_for_minigrad(example: Path) -> None:
    assert findings(example.read_text()) == []


def test_the_command_names_each_change_once_with_its_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "program.py"
    program.write_text("import minigrad as mg\nmg.SGD(lr=1)\nmg.Adam(\n    lr=2)\n")
    assert main([str(program)]) == 1
    assert capsys.readouterr().out == "2, 3: lr -> learning_rate\n"
    program.write_text("import minigrad\n")
    assert main([str(program)]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("text", [b"a = = 2", b"\xff", b"\0", None])
def test_a_file_that_cannot_be_read(tmp_path: Path, text: bytes | None) -> None:
    path = tmp_path / "program.py"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(SystemExit, match=r"program\.py"):
        main([str(path)])
