"""Keras: equal outputs, gradients and next steps, both ways."""

import os
import subprocess
import sys
from importlib.util import find_spec
from operator import attrgetter

import numpy as np
import pytest

from helpers import Scale, masked, rows_for, says, tensors, varied
from minigrad import (
    GRU,
    LSTM,
    SGD,
    Adam,
    BCELoss,
    BCEWithLogitsLoss,
    Bidirectional,
    Concatenate,
    Conv1D,
    CosineSimilarityLoss,
    Dense,
    Embedding,
    FocalWithLogitsLoss,
    GlobalAveragePooling1D,
    Input,
    LayerNorm,
    Lion,
    Model,
    MultiHeadAttention,
    Parameter,
    PoissonNLLLoss,
    Residual,
    Sequential,
    SimpleRNN,
)
from minigrad.checks.single import model_of
from minigrad.core.layer import walk

os.environ["KERAS_BACKEND"] = "torch"  # Keras reads it when it is imported
torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")
from minigrad.interop.keras import from_keras, to_keras, to_keras_training
from minigrad.interop.layouts import KERAS, split_arrays

# PyTorch's tensors don't know NumPy's copy keyword, and Keras converts them.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LACKING = {
    "Lambda(": "Lambda",
    "Slice(": "Slice",
    "PositionEmbedding": "PositionEmbedding",
    "SinusoidalPositions": "SinusoidalPositions",
    "GELU(approximate='tanh')": "approximate",
    "Pooling1D(pool_size=3, strides=2, padding=1)": "padding",
    "padding=1, dilation_rate=(1, 2)": "padding",
    "Conv1DTranspose(2, 3, strides=2, dilation_rate=2": "dilation_rate",
    "dilation_rate=(1, 2), use_bias=False": "dilation_rate",
}
"""What Keras lacks, by a part of the repr of a layer."""

MASKED = (3, 4), (5, 4), (5,)

# The PyTorch backend of Keras counts the padding if the two ends aren't equal.
WRONG_THERE = "AveragePooling2D(pool_size=(3, 2), strides=(2, 1), padding='same')"


def assert_equal(model, there, x) -> None:
    """Compare outputs in inference, and in training outputs and dJ/dx.

    Keras computes products in float32 with this backend, whatever the dtype.
    """
    given = tensors(model, x)
    fed = dict(zip(x, given, strict=True)) if isinstance(x, dict) else given[0]
    wanted = model.predict(x)
    scale = max(1, np.abs(wanted).max())
    np.testing.assert_allclose(there(fed).detach(), wanted, rtol=0, atol=2e-5 * scale)
    if any(layer.stochastic for _, layer in walk(model)):
        return
    output = there(fed, training=True)
    np.testing.assert_allclose(output.detach(), model.forward(x), rtol=0, atol=2e-5 * scale)
    delta = np.random.default_rng(1).normal(size=output.shape)
    output.backward(torch.from_numpy(delta.astype(model.dtype)))
    back = model.backward(delta.astype(model.dtype))
    for tensor, slope in zip(given, back if isinstance(back, tuple) else [back], strict=True):
        if tensor.grad is not None:
            scale = max(1, np.abs(slope).max())
            np.testing.assert_allclose(tensor.grad, slope, rtol=0, atol=1e-4 * scale)


def test_every_layer(any_layer_example) -> None:
    layer, shape = any_layer_example
    model = varied(model_of(layer, shape, "float32"))
    x = rows_for(layer, shape)
    if found := [part for name, part in LACKING.items() if name in repr(layer)]:
        with says((TypeError, ValueError), type(layer).__name__, found[0]):
            to_keras(model)
        return
    if masked(layer, shape) or getattr(layer, "dropout", 0):
        with says(ValueError, type(layer).__name__):
            to_keras(model)
        return
    there = to_keras(model)
    if repr(layer) == WRONG_THERE:
        return
    assert_equal(model, there, x)
    if shape != MASKED:  # Keras has no 1-d mask: to_keras reshapes it
        assert_equal(from_keras(there), there, x)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("cell", [SimpleRNN, GRU, LSTM], ids=lambda c: c.__name__)
def test_masks_are_those_of_keras(cell, sequences, backwards) -> None:
    options = {"return_sequences": sequences, "go_backwards": backwards}
    layer = varied(model_of(cell(2, **options), ((6, 3), (6,)), "float32")).children[0]
    rng = np.random.default_rng(0)
    x, mask = rng.normal(size=(4, 6, 3)).astype("float32"), rng.integers(2, size=(4, 6))
    there = getattr(keras.layers, cell.__name__)(2, **options)
    given = torch.from_numpy(x), torch.from_numpy(mask.astype(bool))
    there(given[0])
    for name, (array, _) in split_arrays(layer, KERAS).items():
        attrgetter(name)(there).assign(array)
    expected = there(given[0], mask=given[1]).detach()
    np.testing.assert_allclose(layer.forward(x, mask), expected, rtol=0, atol=1e-6)


def test_masked_means_are_those_of_keras() -> None:
    layer = model_of(GlobalAveragePooling1D(), ((6, 3), (6,)), "float32").children[0]
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    mask = np.array([[1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 1, 1]])
    there = keras.layers.GlobalAveragePooling1D()
    expected = there(torch.from_numpy(x), mask=torch.from_numpy(mask.astype(bool)))
    np.testing.assert_allclose(layer.forward(x, mask), expected, rtol=0, atol=1e-6)


def trained(**compiled):
    """Return a compiled model with most kinds of weights, trained for two epochs, and its data."""
    layers = [
        Embedding(7, 4),
        Residual([MultiHeadAttention(2), LayerNorm()]),
        Conv1D(4, 3, padding="same", activation="gelu"),
        Bidirectional(LSTM(3, return_sequences=True)),
        SimpleRNN(3),
        Dense(2),
    ]
    model = Sequential(layers, input_shape=(5,), rng=0, dtype="float32")
    model["conv1d_1"].trainable = False
    model.compile(**compiled)
    rng = np.random.default_rng(0)
    x, y = rng.integers(7, size=(8, 5)), rng.normal(size=(8, 2)).astype("float32")
    model.fit(x, y, epochs=2, batch_size=4, shuffle=False, verbose=0)
    return model, x, y


def same_parameters(model, other) -> None:
    for ours, theirs in zip(model.parameters, other.parameters, strict=True):
        np.testing.assert_allclose(theirs.value, ours.value, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "optimizer",
    [SGD(learning_rate=0.1), SGD(learning_rate=0.1, momentum=0.9, nesterov=True)],
    ids=repr,
)
def test_next_steps_are_the_same_both_ways(optimizer) -> None:
    model, x, y = trained(optimizer=optimizer, loss="mse")
    there, their_optimizer = to_keras_training(model)
    there.compile(optimizer=their_optimizer, loss="mse")
    for _ in range(3):
        there.train_on_batch(x, y)
    model.fit(x, y, epochs=3, batch_size=None, verbose=0)
    back = from_keras(there, loss="mse")
    same_parameters(model, back)
    for one in model, back:
        one.fit(x, y, epochs=2, batch_size=None, verbose=0)
    same_parameters(model, back)


def test_a_graph_with_shared_weights_goes_both_ways() -> None:
    a, b = Input((4,), name="a"), Input((4,), name="b")
    encoder, last = Dense(3, "tanh"), Dense(2)
    both = Concatenate()(encoder(a), encoder(b))
    outputs = {"one": last(both), "two": Dense(1)(both)}
    model = Model(inputs=[a, b], outputs=outputs, rng=0, dtype="float32")
    model.compile(
        optimizer=SGD(learning_rate=0.1, momentum=0.9), loss=dict.fromkeys(outputs, "mse")
    )
    x = {n: np.random.default_rng(0).normal(size=(3, 4)).astype("float32") for n in "ab"}
    y = {"one": np.ones((3, 2), "float32"), "two": np.ones((3, 1), "float32")}
    model.fit(x, y, epochs=2, batch_size=None, verbose=0)
    there, optimizer = to_keras_training(model)
    there.compile(optimizer=optimizer, loss=dict.fromkeys(outputs, "mse"))
    there.train_on_batch(x, y)
    model.fit(x, y, batch_size=None, verbose=0)
    assert len(there.weights) == len(model.parameters)
    wanted = model.predict(x)
    back = from_keras(there)
    assert len(back.parameters) == len(model.parameters)
    for found in there(x), back.predict(x):
        for name in wanted:
            given = found[name]
            given = given if isinstance(given, np.ndarray) else given.detach()
            np.testing.assert_allclose(given, wanted[name], rtol=1e-4, atol=1e-5)


def test_a_sequential_of_keras() -> None:
    layers = keras.layers
    there = keras.Sequential(
        [
            keras.Input((8, 7, 2)),
            layers.ZeroPadding2D((1, 2)),
            layers.Conv2D(3, (3, 2), activation="leaky_relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            keras.Sequential([layers.Conv2DTranspose(2, 2, strides=2), layers.ReLU()]),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model = from_keras(there)
    assert isinstance(model, Sequential)
    x = np.random.default_rng(0).normal(size=(3, 8, 7, 2)).astype("float32")
    np.testing.assert_allclose(model.predict(x), there(x).detach(), rtol=1e-4, atol=1e-6)


def keras_model(*layers, shape=(4, 4, 2)):
    return keras.Sequential([keras.Input(shape), *layers])


@pytest.mark.parametrize(
    ("layers", "shape", "parts"),
    [
        ([keras.layers.Conv2D(2, 1, groups=2, name="c")], (4, 4, 2), ["Conv2D 'c'", "groups=1"]),
        ([keras.layers.GRU(2, reset_after=False)], (4, 2), ["reset_after=True"]),
        ([keras.layers.LSTM(2, activation="relu")], (4, 2), ["activation='tanh'", "relu"]),
        ([keras.layers.Dense(2, activation="exponential")], (2,), ["exponential"]),
        ([keras.layers.ReLU(max_value=6)], (2,), ["max_value=None"]),
        ([keras.layers.BatchNormalization(axis=1)], (4, 4, 2), ["axis=-1"]),
        ([keras.layers.Dense(2, dtype="float16")], (2,), ["float16"]),
    ],
    ids=repr,
)
def test_layers_that_minigrad_lacks(layers, shape, parts) -> None:
    with says((TypeError, ValueError), *parts):
        from_keras(keras_model(*layers, shape=shape))


def test_bad_input() -> None:
    with says(TypeError, "Model", "Dense"):
        to_keras(Dense(2))
    with says(RuntimeError, "input_shape"):
        to_keras(Sequential([Dense(2)]))
    with says(TypeError, "Scale 'scale_1'"):
        to_keras(Sequential([Scale()], input_shape=(2,)))
    with says(TypeError, "Dense"):
        from_keras(keras.layers.Dense(2))
    with says(TypeError, "Sequential"):
        from_keras(keras.Sequential([keras.layers.Dense(2)]))
    model = Sequential([Dense(2)], input_shape=(2,))
    with says(RuntimeError, "compile"):
        to_keras_training(model)
    for optimizer in Adam(), SGD(weight_decay=0.1), SGD(clip_norm=1.0):
        model.compile(optimizer=optimizer, loss="mse")
        with says(ValueError, "SGD", repr(optimizer)):
            to_keras_training(model)
    there = keras_model(keras.layers.Dense(1), shape=(2,))
    for optimizer, part in (
        (keras.optimizers.Adam(), "Adam"),
        (keras.optimizers.SGD(clipnorm=1.0), "clipnorm"),
    ):
        there.compile(optimizer=optimizer, loss="mse")
        with says(ValueError, "SGD", part):
            from_keras(there, loss="mse")


@pytest.mark.skipif(find_spec("tensorflow") is not None, reason="the backend is installed")
def test_a_missing_backend_is_named() -> None:
    code = "import minigrad.interop.keras"
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "KERAS_BACKEND" in ran.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("theirs", "options", "loss"),
    [
        ("BinaryFocalCrossentropy", {"from_logits": True}, FocalWithLogitsLoss()),
        (
            "BinaryFocalCrossentropy",
            {"from_logits": True, "gamma": 1.5, "alpha": 0.3, "apply_class_balancing": True},
            FocalWithLogitsLoss(gamma=1.5, alpha=0.3),
        ),
        (
            "BinaryCrossentropy",
            {"from_logits": True, "label_smoothing": 0.2},
            BCEWithLogitsLoss(label_smoothing=0.2),
        ),
        ("BinaryCrossentropy", {"label_smoothing": 0.2}, BCELoss(label_smoothing=0.2)),
        ("CosineSimilarity", {}, CosineSimilarityLoss()),
        ("Poisson", {}, PoissonNLLLoss(log_input=False)),
    ],
)
def test_losses_are_those_of_keras(theirs: str, options, loss) -> None:
    rng = np.random.default_rng(0)
    a, t = rng.uniform(0.05, 0.95, size=(6, 3)), rng.integers(0, 2, size=(6, 3)).astype(float)
    if loss.takes_logits:
        a = np.log(a / (1 - a))
    if theirs == "CosineSimilarity":
        t += 0.1
    j = float(getattr(keras.losses, theirs)(**options)(t.astype("f4"), a.astype("f4")))
    shift = 1.0 if theirs == "CosineSimilarity" else 0.0
    assert loss.forward(a, t) == pytest.approx(j + shift, rel=1e-5)


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1, "beta_1": 0.8, "beta_2": 0.9}])
def test_lion_is_that_of_keras(options) -> None:
    rng = np.random.default_rng(0)
    p = Parameter(rng.normal(size=(4, 3)))
    there = keras.Variable(p.value)
    ours, theirs = Lion(learning_rate=0.1, **options), keras.optimizers.Lion(0.1, **options)
    for _ in range(6):
        p.grad = rng.normal(size=(4, 3))
        ours.step([p])
        theirs.apply([keras.ops.convert_to_tensor(p.grad.astype("f4"))], [there])
        np.testing.assert_allclose(keras.ops.convert_to_numpy(there), p.value, atol=1e-6)
