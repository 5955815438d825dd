"""Each finding on a network with the fault and on one without it, and no false alarms."""

import copy
import functools
import math
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import minigrad
from helpers import EXAMPLES, REDUCIBLE, all_slow_but, rows_for, run_example, slow
from minigrad import (
    GELU,
    L1,
    SGD,
    Activation,
    Adam,
    BatchNorm,
    BCELoss,
    BCEWithLogitsLoss,
    Constant,
    CrossEntropyLoss,
    Dense,
    Dropout,
    HingeLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    Layer,
    LayerNorm,
    LeakyReLU,
    LogSoftmax,
    Loss,
    Model,
    MSELoss,
    Normal,
    Optimizer,
    Parameter,
    PoissonNLLLoss,
    ReLU,
    Residual,
    RMSprop,
    Sequential,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
)
from minigrad.data.rows import Rows
from minigrad.diagnose import Diagnosis, Finding, diagnose, units
from minigrad.diagnose.case import Case
from minigrad.diagnose.findings import evidence, number, percent
from minigrad.diagnose.landscape import Landscape, largest_curvature
from minigrad.lessons import tutorial
from minigrad.optimizers.schedules import ExponentialDecay

ROOT = Path(minigrad.__file__).parent.parent
RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4))
Y = np.sin(X[:, 0]) + X[:, 1]
CLASSES = np.digitize(np.abs(X[:, 0]) + 0.3 * X[:, 1], [0.4, 1.0])
LABELS = (X[:, 0] * X[:, 1] > 0).astype(float)
ORDERED = np.digitize(X[:, 0] + 0.5 * X[:, 1], [-1.0, -0.3, 0.3, 1.0]).astype(float)
SLOW = SGD(learning_rate=0.05)


def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Return points of five clusters, and the cluster of each."""
    rng = np.random.default_rng(7)
    which = rng.integers(0, 5, size=300)
    return 2 * rng.normal(size=(5, 4))[which] + rng.normal(size=(300, 4)), which


BLOBS = blobs()


def diabetes_like(*, scaled: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return data like scikit-learn's load_diabetes: targets of mean 152 and deviation 77."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(442, 10))
    z = x[:, 2] + x[:, 8] - 0.5 * x[:, 4] + 1.5 * rng.normal(size=442)
    z = (z - z.mean()) / z.std()
    return (x, z) if scaled else (0.048 * x, 152 + 77 * z)


class WrongSign(Activation):
    """A tanh whose derivative has the wrong sign."""

    def function(self, z):
        return np.tanh(z)

    def derivative(self, z):
        return np.tanh(z) ** 2 - 1


class Squash(Layer):
    """A sigmoid from 2 to 3 that isn't an `Activation`."""

    def forward(self, x, *, training=True):
        a = 1 / (1 + np.exp(-np.clip(x, -500, 500)))
        if training:
            self.cache = a
        return 2 + a

    def backward(self, delta):
        return delta * self.cache * (1 - self.cache)


class Logarithm(Activation):
    def function(self, z):
        return np.log(z)

    def derivative(self, z):
        return 1 / z


class Linear(Activation):
    def function(self, z):
        return 3 * z

    def derivative(self, z):
        return 3 + 0 * z


class Lookup(Layer):
    """An embedding of the whole numbers from 0 to 9; other inputs are an error."""

    def build(self, input_shape, rng):
        self.table = Parameter(rng.normal(size=(10, 4)))
        return (4,)

    def forward(self, x, *, training=True):
        if x.min() < 0:
            raise ValueError("whole numbers from 0 only")
        index = x[:, 0].astype(int)
        if training:
            self.cache = index
        return self.table.value[index]

    def backward(self, delta):
        grad = np.zeros((10, 4))
        np.add.at(grad, self.cache, delta)
        self.table.grad = grad
        return np.zeros((len(delta), 1))


class Enlarge(Activation):
    """Maps numbers near 0 to numbers near 10,000."""

    def function(self, z):
        return 1e4 + 100 * z

    def derivative(self, z):
        return 100 + 0 * z


def net(*layers: Layer, width: int = 4, **options) -> Sequential:
    return Sequential(layers, input_shape=(width,), rng=0, **options)


def fine(**options) -> Sequential:
    return net(Dense(16), Tanh(), Dense(1), **options)


def relu(**options) -> Sequential:
    return net(Dense(32, "relu", weight_initializer="he_normal"), Dense(1), **options)


def poisoned() -> Sequential:
    model = fine()
    model["dense_2"].weight.value[3, 0] = np.nan
    return model


def with_nan(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[7, 2], x[9, 0] = np.nan, np.inf
    return x


def deep(kind: type[Layer], depth: int, **options) -> Sequential:
    pairs = [layer for _ in range(depth) for layer in (Dense(24, **options), kind())]
    return net(*pairs, Dense(1))


def classifier(*last: Layer) -> Sequential:
    return net(Dense(16), Tanh(), Dense(3), *last)


def yes_or_no(*last: Layer) -> Sequential:
    return net(Dense(16), Tanh(), Dense(1), *last)


LARGE = Normal(scale=20.0)
FAULTS = {
    "x not finite": (fine, with_nan(X), Y, MSELoss(), "not_finite", None),
    "y not finite": (fine, X, with_nan(X)[:, 2], MSELoss(), "not_finite", None),
    "parameter not finite": (poisoned, X, Y, MSELoss(), "not_finite", "dense_2"),
    "output not finite": (
        lambda: net(Dense(8), Logarithm(name="log"), Dense(1)),
        X, Y, MSELoss(), "not_finite", "log",
    ),
    "loss not finite": (
        lambda: net(Dense(1, weight_initializer=Constant(1e200))), X, Y, MSELoss(),
        "not_finite", None,
    ),
    "constant input": (
        fine, X * [1, 1, 0, 1] + [0, 0, 2, 0], Y, MSELoss(), "constant_inputs", None,
    ),
    "half of it zero": (fine, X * [1, 1, 0, 0], Y, MSELoss(), "constant_inputs", None),
    "large inputs": (fine, X * 100, Y, MSELoss(), "unscaled_inputs", "dense_1"),
    "tiny inputs": (fine, X / 1000, Y, MSELoss(), "unscaled_inputs", "dense_1"),
    "offset inputs": (fine, X + 20, Y, MSELoss(), "unscaled_inputs", "dense_1"),
    "unlike inputs": (fine, X * [5, 1e-3, 1, 1], Y, MSELoss(), "unscaled_inputs", "dense_1"),
    "constant targets": (fine, X, np.full(300, 2.0), MSELoss(), "constant_targets", None),
    "one class": (classifier, X, np.full(300, 2), CrossEntropyLoss(), "constant_targets", None),
    "class 3 of 3": (classifier, X, CLASSES + 1, CrossEntropyLoss(), "unusable_targets", None),
    "sigmoid and class indices": (
        lambda: yes_or_no(Sigmoid()), X, CLASSES, BCELoss(), "unusable_targets", None,
    ),
    "sigmoid and class numbers": (
        lambda: yes_or_no(Sigmoid()),
        X, CLASSES.astype(float), MSELoss(), "targets_out_of_range", "sigmoid_1",
    ),
    "relu and signed targets": (
        lambda: yes_or_no(ReLU()), X, Y, L1Loss(), "targets_out_of_range", "relu_1",
    ),
    "custom range": (
        lambda: yes_or_no(Squash()), X, Y, MSELoss(), "targets_out_of_range", "squash_1",
    ),
    "softmax before logits loss": (
        lambda: classifier(Softmax()),
        X, CLASSES, CrossEntropyLoss(), "loss_mismatch", "softmax_1",
    ),
    "sigmoid before logits loss": (
        lambda: net(Dense(16), Tanh(), Dense(1, "sigmoid")),
        X, LABELS, BCEWithLogitsLoss(), "loss_mismatch", "dense_2.sigmoid",
    ),
    "relu before logits loss": (
        lambda: yes_or_no(ReLU()), X, LABELS, BCEWithLogitsLoss(), "loss_mismatch", "relu_1",
    ),
    "logits before probability loss": (
        yes_or_no, X, LABELS, BCELoss(), "loss_mismatch", None,
    ),
    "saturated": (
        lambda: net(Dense(16, weight_initializer=LARGE), Sigmoid(), Dense(1)),
        X, Y, MSELoss(), "saturated_units", "sigmoid_1",
    ),
    "saturated custom layer": (
        lambda: net(Dense(16, weight_initializer=LARGE), Squash(), Dense(1)),
        X, Y, MSELoss(), "saturated_units", "squash_1",
    ),
    "output saturated at the wrong end": (
        lambda: yes_or_no_saturated(9.0), X, LABELS, MSELoss(), "saturated_units", "sigmoid_1",
    ),
    "dead": (
        lambda: net(Dense(16, bias_initializer=Constant(-50.0)), ReLU(), Dense(1)),
        X, Y, MSELoss(), "dead_units", "relu_1",
    ),
    "symmetric": (
        lambda: net(*(Dense(n, "tanh", weight_initializer="ones") for n in (16, 1)), Dense(1)),
        X, Y, MSELoss(), "identical_units", "dense_1",
    ),
    "all zero": (
        lambda: net(*(Dense(n, "tanh", weight_initializer="zeros") for n in (4, 1)), Dense(1)),
        X, Y, MSELoss(), "identical_units", "dense_1",
    ),
    "deep sigmoids": (lambda: deep(Sigmoid, 8), X, Y, MSELoss(), "vanishing_gradients", "dense_1"),
    "large weights": (
        lambda: deep(LeakyReLU, 8, weight_initializer="normal"),
        X, Y, MSELoss(), "exploding_gradients", "dense_1",
    ),
    "wrong sign": (
        lambda: net(Dense(8), WrongSign(), Dense(8), WrongSign(), Dense(1)),
        X, Y, MSELoss(), "wrong_gradients", "wrong_sign_1",
    ),
    "frozen": (lambda: frozen(), X, Y, MSELoss(), "frozen_layers", "dense_1"),
    "regularized": (
        lambda: net(Dense(16, weight_regularizer=L1(3.0)), Tanh(), Dense(1)),
        X, Y, MSELoss(), "strong_regularizers", None,
    ),
    "shuffled": (
        fine, X, np.random.default_rng(1).permutation(Y), MSELoss(), "unrelated_targets", None,
    ),
    "targets of 10,000": (relu, X, 100 * Y + 1e4, MSELoss(), "unscaled_targets", None),
    "targets of 10,000 among others": (
        lambda: net(Dense(16), Tanh(), Dense(2)),
        X, np.column_stack([Y, Y + 1e4]), L1Loss(), "unscaled_targets", None,
    ),
    "targets as in load_diabetes": (
        lambda: net(Dense(32), ReLU(), Dense(16), ReLU(), Dense(1), width=10),
        *diabetes_like(scaled=False), MSELoss(), "unscaled_targets", None,
    ),
    "targets that spread": (fine, X, 1e4 * (Y - Y.mean()), L1Loss(), "unscaled_targets", None),
    "targets of 0.00001": (relu, X, 1e-5 * Y, L1Loss(), "unscaled_targets", None),
    "class numbers": (
        fine, BLOBS[0], BLOBS[1].astype(float), MSELoss(), "class_numbers", None,
    ),
    "class numbers from 1": (
        fine, BLOBS[0], BLOBS[1] + 1.0, L1Loss(), "class_numbers", None,
    ),
    "no activation": (
        lambda: net(Dense(16), Dense(8), Dense(1)), X, Y, MSELoss(), "linear_stack", "dense_1",
    ),
    "no activation, in float32": (
        lambda: net(Dense(16), Dense(1), dtype="float32"),
        X, Y, MSELoss(), "linear_stack", "dense_1",
    ),
    "no activation at one place": (
        lambda: net(
            Dense(16), Tanh(), Dense(16), Linear(), Dropout(0.1), Dense(8), Tanh(), Dense(1)
        ),
        X, Y, MSELoss(), "linear_stack", "dense_2",
    ),
    "no activation in a branch": (
        lambda: net(Dense(16), Tanh(), Residual([Dense(32), Dense(16)]), Tanh(), Dense(1)),
        X, Y, MSELoss(), "linear_stack", "residual_1.chain_1.dense_1",
    ),
}  # fmt: skip


SLOWEST = {"deep sigmoids", "large weights"}
ONE_OF_EACH_KIND = {case[4]: name for name, case in reversed(FAULTS.items())}


def yes_or_no_saturated(bias: float) -> Sequential:
    return net(Dense(4), Tanh(), Dense(1, bias_initializer=Constant(bias)), Sigmoid())


def frozen() -> Sequential:
    model = fine()
    for layer in model.layers:
        layer.trainable = False
    return model


@pytest.mark.parametrize("name", all_slow_but(FAULTS, *{*ONE_OF_EACH_KIND.values()} - SLOWEST))
def test_fault_is_found(name: str) -> None:
    make, x, y, loss, kind, layer = FAULTS[name]
    diagnosis = make().diagnose(x, y, loss=loss, optimizer=SLOW)
    assert kind in diagnosis.kinds
    finding = diagnosis[kind]
    assert finding.layer == layer
    assert all(isinstance(value, (int, float)) for value in finding.evidence.values())
    assert max(map(len, str(diagnosis).splitlines())) <= 100
    if kind != "not_finite":
        assert not re.search(r"\b(inf|nan)\b", str(diagnosis))


HEALTHY = {
    "tanh": (fine, X, Y, MSELoss(), SGD(learning_rate=0.1, momentum=0.9)),
    "float32": (lambda: fine(dtype="float32"), X, Y, MSELoss(), SLOW),
    "some zeros": (lambda: net(Dense(16), Tanh(), Dense(1), width=8),
                   np.column_stack([X, X, ])* [1, 1, 1, 1, 1, 1, 1, 0], Y, MSELoss(), SLOW),
    "sigmoid, 0 and 1": (lambda: yes_or_no(Sigmoid()), X, LABELS, MSELoss(), SLOW),
    "sigmoid, probability loss": (lambda: yes_or_no(Sigmoid()), X, LABELS, BCELoss(), SLOW),
    "logits": (yes_or_no, X, LABELS, BCEWithLogitsLoss(), SLOW),
    "integer labels": (yes_or_no, X, LABELS.astype(int), BCEWithLogitsLoss(), SLOW),
    "hinge": (yes_or_no, X, 2 * LABELS - 1, HingeLoss(), SLOW),
    "classes": (classifier, X, CLASSES, CrossEntropyLoss(), SLOW),
    "smoothed classes": (classifier, X, CLASSES, CrossEntropyLoss(label_smoothing=0.1), Adam()),
    "one-hot and softmax": (
        lambda: classifier(Softmax()), X, np.eye(3)[CLASSES], MSELoss(), Adam()
    ),
    "relu, positive targets": (lambda: yes_or_no(ReLU()), X, Y**2, MSELoss(), SLOW),
    "normalised large inputs": (
        lambda: net(BatchNorm(), Dense(16), Tanh(), Dense(1)), X * 1000 + 500, Y, MSELoss(), SLOW
    ),
    "regularised": (
        lambda: net(Dense(32), ReLU(), Dropout(0.2), Dense(16), LayerNorm(), Tanh(), Dense(1)),
        X, Y, MSELoss(), SLOW,
    ),
    "branch from zero": (
        lambda: net(
            Residual([Dense(16), ReLU(), Dense(4, weight_initializer="zeros")]), Dense(1)
        ),
        X, Y, MSELoss(), SLOW,
    ),
    "deep relu": (
        lambda: deep(ReLU, 8, weight_initializer="he_normal"), X, Y, MSELoss(), Adam(),
    ),
    "ordered numbers": (fine, X, ORDERED, MSELoss(), Adam()),
    "three ordered numbers": (fine, X, np.minimum(ORDERED, 2), MSELoss(), Adam()),
    "numbers in no order that shows": (fine, X, CLASSES.astype(float), MSELoss(), Adam()),
    "numbers of a bent order": (fine, X, np.minimum(np.abs(X[:, 0]) // 0.5, 3), MSELoss(), Adam()),
    "class numbers that a softmax tells apart": (
        lambda: net(Dense(16), Tanh(), Dense(5)), *BLOBS, CrossEntropyLoss(), Adam()
    ),
    "zero weights of a built-in network": (
        lambda: net(Dense(1, weight_initializer="zeros")), X, Y, MSELoss(), SLOW,
    ),
    "softmax and squared error": (
        lambda: net(Dense(32), Tanh(), Dense(5), Softmax()),
        BLOBS[0], np.eye(5)[BLOBS[1]], MSELoss(), Adam(learning_rate=0.01),
    ),
    "scaled, as load_diabetes should be": (
        lambda: net(Dense(32), ReLU(), Dense(16), ReLU(), Dense(1), width=10),
        *diabetes_like(scaled=True), MSELoss(), Adam(),
    ),
    "a last layer that begins at zero": (
        lambda: net(Dense(32, "relu"), Dense(1, weight_initializer="zeros")),
        X, Y + 3, MSELoss(), Adam(),
    ),
    "scale within reason": (fine, X, 4 * Y + 20, MSELoss(), Adam()),
    "targets of 10,000, and an output for them": (
        lambda: net(Dense(16), Tanh(), Dense(1), Enlarge()), X, 100 * Y + 1e4, L1Loss(), Adam(),
    ),
    "one of class 1": (
        yes_or_no, X, (X[:, 0] == X[:, 0].max()).astype(float), BCEWithLogitsLoss(), Adam(),
    ),
    "far, but soon there": (
        lambda: net(Dense(1)), X, X[:, 0] + 30, MSELoss(), SGD(learning_rate=0.1)
    ),
    "bottleneck": (lambda: net(Dense(2), Dense(4)), X, X, MSELoss(), Adam()),
    "linear": (lambda: net(Dense(1)), X, X[:, 0] - X[:, 1], MSELoss(), Adam()),
    "projection that stays": (lambda: projected(), X, Y, MSELoss(), Adam(learning_rate=0.01)),
    "entering a branch": (
        lambda: net(Dense(16), Residual([Dense(16), ReLU(), Dense(16)]), Dense(1)),
        X, Y, MSELoss(), Adam(),
    ),
    "embedding": (
        lambda: net(Lookup(), Dense(1), width=1),
        np.arange(300.0).reshape(-1, 1) % 10, np.cos(np.arange(300) % 10), MSELoss(), Adam(),
    ),
    "hardly bent": (
        lambda: net(Dense(16), LeakyReLU(0.9), Dense(1)), X, Y, MSELoss(), Adam(),
    ),
    "sequences": (lambda: sequences(), np.repeat(X[:, :, None], 2, axis=2), X, MSELoss(), SLOW),
}  # fmt: skip


def projected() -> Sequential:
    model = net(Dense(64), Dense(1))
    model["dense_1"].trainable = False
    return model


def sequences() -> Sequential:
    class Mean(Layer):
        def build(self, input_shape, rng):
            self.weight = Parameter(rng.normal(size=input_shape))
            return input_shape[:1]

        def forward(self, x, *, training=True):
            if training:
                self.cache = x
            return (x * self.weight.value).sum(axis=2)

        def backward(self, delta):
            self.weight.grad = (self.cache * delta[:, :, None]).sum(axis=0)
            return self.weight.value * delta[:, :, None]

    return Sequential([Tanh(), Mean(), Dense(4)], input_shape=(4, 2), rng=0)


@pytest.mark.parametrize("name", all_slow_but(HEALTHY, "tanh", "float32", "logits", "linear"))
def test_healthy_model_has_no_findings(name: str) -> None:
    make, x, y, loss, optimizer = HEALTHY[name]
    diagnosis = make().diagnose(x, y, loss=loss, optimizer=optimizer)
    assert not diagnosis, str(diagnosis)


def test_saturation_towards_unreachable_targets_is_no_finding() -> None:
    diagnosis = yes_or_no_saturated(9.0).diagnose(X, LABELS + 1.5, loss=MSELoss())
    assert diagnosis.kinds == ["targets_out_of_range"]


@pytest.mark.parametrize(
    ("name", "evidence"),
    [
        ("x not finite", {"rows": 2, "share": 2 / 300, "first_row": 7}),
        ("constant input", {"constant": 1, "inputs": 4, "first": 2, "value": 2.0}),
        slow("constant targets", {"rows": 300, "value": 2.0}),
        slow("dead", {"dead": 16, "units": 16, "share": 1.0}),
        slow("symmetric", {"copies": 15, "units": 16, "share": 15 / 16}),
        slow("relu and signed targets", {"floor": np.abs(np.minimum(Y, 0)).mean()}),
        slow("custom range", {"lowest_output": 2.0, "highest_output": 3.0}),
        slow("softmax before logits loss", {"floor": math.log(math.e + 2) - 1, "free_floor": 0.0}),
        ("no activation", {"layers": 3, "parameters": 225, "parameters_of_one": 5}),
        slow(
            "no activation in a branch", {"layers": 2, "parameters": 1072, "parameters_of_one": 272}
        ),
        slow("targets of 10,000", {"mean": (100 * Y + 1e4).mean(), "deviation": 100 * Y.std()}),
        ("class numbers", {"classes": 5}),
        slow("large inputs", {"largest_size": 100 * np.sqrt(np.square(X).mean(axis=0)).max()}),
    ],
)
def test_evidence_values(name: str, evidence: dict[str, float]) -> None:
    make, x, y, loss, kind, _ = FAULTS[name]
    found = make().diagnose(x, y, loss=loss, optimizer=SLOW)[kind].evidence
    assert {key: found[key] for key in evidence} == pytest.approx(evidence, rel=1e-6, abs=1e-9)


def test_advice_for_unscaled_inputs_works_with_constant_columns() -> None:
    x = np.column_stack([100 * X, np.full(len(X), 7.0)])
    found = net(Dense(16), Tanh(), Dense(1), width=5).diagnose(x, Y, loss=MSELoss(), optimizer=SLOW)
    (code,) = re.findall(r"std = .* 1\)", found["unscaled_inputs"].remedy)
    names = {"x": x, "x_train": x, "np": np}
    exec(code, names)
    np.testing.assert_allclose(names["x"].std(axis=0), [1, 1, 1, 1, 0], atol=1e-12)


def test_location_of_nan_is_named() -> None:
    assert "x[7, 2]" in str(fine().diagnose(with_nan(X), Y, loss=MSELoss()))
    assert "'dense_2.weight'" in str(poisoned().diagnose(X, Y, loss=MSELoss()))


def test_zero_weights_are_equal_and_no_gradient_is_accused() -> None:
    zeros = {"weight_initializer": "zeros"}
    found = net(Dense(16, **zeros), ReLU(), Dense(1, **zeros)).diagnose(X, Y, loss=MSELoss())
    assert "identical_units" in found.kinds
    assert "wrong_gradients" not in found.kinds


def test_high_rate_of_adam_is_found_on_digits() -> None:
    x, y = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    model = net(Dense(64), ReLU(), Dense(64), ReLU(), Dense(10), width=64)
    started = time.process_time()
    found = model.diagnose(
        x / 16, y, loss=CrossEntropyLoss(), optimizer=Adam(learning_rate=1.0), batch_size=32
    )
    assert time.process_time() - started < 2 * 3  # this machine may be busy
    assert found.kinds == ["learning_rate"]
    assert "1 is too high" in found[0].title
    assert "1,797 of 1,797 rows" in str(found)
    assert not model.diagnose(x / 16, y, loss=CrossEntropyLoss(), optimizer=Adam(), batch_size=32)


@pytest.mark.filterwarnings("ignore:Softmax 'softmax_1' over 1 unit")
@pytest.mark.parametrize("loss", [BCELoss(), MSELoss()], ids=str)
def test_softmax_over_one_unit_is_a_constant(loss: Loss) -> None:
    found = yes_or_no(Softmax()).diagnose(X, LABELS, loss=loss, optimizer=Adam())
    assert found.kinds == ["loss_mismatch"]
    assert found[0].layer == "softmax_1"
    assert "always outputs 1" in found[0].title


@pytest.mark.parametrize("weight_initializer", ["zeros", Normal(scale=1e-8)], ids=str)
def test_activation_near_zero_is_no_linear_layer(weight_initializer) -> None:
    model = net(Dense(8, "tanh", weight_initializer=weight_initializer), Dense(1))
    before = model.parameters.value.copy()
    assert not model.diagnose(X, Y, loss=MSELoss(), optimizer=Adam(learning_rate=0.01))
    np.testing.assert_array_equal(model.parameters.value, before)


RARE = (X[:, 0] > np.sort(X[:, 0])[-9]).astype(int)  # 8 of 300


@pytest.mark.parametrize(
    ("model", "y", "loss", "title"),
    [
        (yes_or_no, RARE, BCEWithLogitsLoss(), "class 1 is"),
        (lambda: yes_or_no(Sigmoid()), 1 - RARE, BCELoss(), "class 0 is"),
        (classifier, 2 * RARE + (1 - RARE) * (X[:, 1] > 0), CrossEntropyLoss(), "class 2 is"),
        (
            lambda: net(Dense(2)),
            np.column_stack([LABELS, RARE]), BCEWithLogitsLoss(), "class 1 of label 1 is",
        ),
    ],
)  # fmt: skip
def test_rare_class_that_is_never_predicted_is_found(model, y, loss, title) -> None:
    sgd = SGD(learning_rate=0.01)
    found = model().diagnose(X, y, loss=loss, optimizer=sgd)["rare_class"]
    assert title in found.title
    assert found.evidence == {"count": 8, "share": 8 / 300, "recall": 0}


@pytest.mark.parametrize("options", [{"class_weight": "balanced"}, {"class_weight": {0: 1, 1: 40}}])
def test_rare_class_with_a_weight_is_no_finding(options) -> None:
    found = yes_or_no().diagnose(X, RARE, loss=BCEWithLogitsLoss(), optimizer=SLOW, **options)
    assert not found, str(found)


def test_terms_of_weight_0_have_no_class() -> None:
    weight = np.ones((300, 2))
    weight[:, 1] = 1 - RARE
    y = np.column_stack([LABELS, RARE])
    found = diagnose(
        net(Dense(2)), X, y, loss=BCEWithLogitsLoss(), optimizer=SLOW, sample_weight=weight
    )
    assert "rare_class" not in found.kinds


def dropping(rate: float) -> Sequential:
    return net(Dense(32, "relu"), Dropout(rate), Dense(1))


@pytest.mark.parametrize(("rate", "kinds"), [(0.99, ["strong_dropout"]), (0.5, [])])
def test_dropout_that_prevents_learning_is_found(rate: float, kinds: list[str]) -> None:
    found = dropping(rate).diagnose(X, Y, loss=MSELoss(), optimizer=Adam())
    assert found.kinds == kinds
    for finding in found:
        assert finding.layer == "dropout_1"
        assert finding.evidence["rate"] == rate
        assert finding.evidence["remaining"] > 0.5 > finding.evidence["remaining_if_changed"]


TRAINING, HELD = (X[:200], Y[:200]), (X[200:], Y[200:])
GATE = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])[RNG.integers(0, 4, 300)]


def trained(model: Sequential, x, y, epochs: int = 100, loss: Loss | None = None) -> Sequential:
    model.compile(optimizer=Adam(learning_rate=0.01), loss=loss or MSELoss())
    model.fit(x, y, epochs=epochs, verbose=0)
    return model


def wide() -> Sequential:
    return net(Dense(64), Tanh(), Dense(64), Tanh(), Dense(1))


@pytest.mark.parametrize(
    ("training", "held", "kind", "numbers"),
    [
        ((X[:250], Y[:250]), HELD, "leaked_rows", {"copies": 50, "share": 0.5}),
        (TRAINING, (X[200:] * [1, 1, 20, 1], Y[200:]), "shifted_validation", {"column": 2}),
        (TRAINING, (X[200:] + np.eye(4)[1] * 5, Y[200:]), "shifted_validation", {"column": 1}),
        (TRAINING, (X[200:], 10 * Y[200:]), "shifted_validation", {"column": 0}),
        (
            TRAINING, (with_nan(X)[:100], Y[200:]), "not_finite", {"rows": 2, "first_row": 7},
        ),
    ],
)  # fmt: skip
def test_validation_rows_are_compared(training, held, kind, numbers) -> None:
    found = diagnose(fine(), *training, loss=MSELoss(), validation_data=held)
    assert {key: found[kind].evidence[key] for key in numbers} == numbers


def test_sorted_classes_are_a_shift() -> None:
    order = np.argsort(CLASSES, kind="stable")
    x, y = X[order], CLASSES[order]
    model = classifier()
    held = x[220:], y[220:]
    found = diagnose(model, x[:220], y[:220], loss=CrossEntropyLoss(), validation_data=held)
    assert any(f.kind == "shifted_validation" and f.title.startswith("y of") for f in found)


@pytest.mark.parametrize("rows", [(X, Y), (GATE, GATE.sum(axis=1) % 2)], ids=["numbers", "gate"])
@pytest.mark.parametrize("epochs", [1, 100])
def test_validation_rows_like_the_others_are_no_finding(rows, epochs: int) -> None:
    x, y = rows
    model = trained(net(Dense(16), Tanh(), Dense(1), width=x.shape[1]), x[:200], y[:200], epochs)
    found = model.diagnose(x[:200], y[:200], validation_data=(x[200:], y[200:]))
    assert not found, str(found)


def test_overfitting_is_found_in_a_trained_network() -> None:
    y = Y + 2 * np.random.default_rng(1).normal(size=300)
    x, few = X[:60], y[:60]
    found = trained(wide(), x, few, 400).diagnose(x, few, validation_data=(X[60:], y[60:]))
    assert "overfitting" in found.kinds
    numbers = found["overfitting"].evidence
    assert numbers["remaining"] < 0.25 < 0.5 < numbers["validation_remaining"]
    untrained = diagnose(wide(), x, few, loss=MSELoss(), validation_data=(X[60:], y[60:]))
    assert "overfitting" not in untrained.kinds
    assert any("overfitting was not checked" in note for note in untrained.notes)


def test_invalid_validation_data_are_refused() -> None:
    with pytest.raises(ValueError, match=r"validation_data.*\(x, y\)"):
        diagnose(fine(), X, Y, loss=MSELoss(), validation_data=(X,))
    with pytest.raises(ValueError, match=r"validation_data"):
        diagnose(fine(), X, Y, loss=MSELoss(), validation_data=(X, Y[:7]))
    with pytest.raises(ValueError, match=r"validation_data"):
        diagnose(fine(), X, Y, loss=MSELoss(), validation_data=(X[:, :2], Y))


def test_share_of_the_loss_is_that_above_the_floor() -> None:
    _, diagnosis, _ = diagnose_tutorial()
    assert "above the least possible" in diagnosis.notes[1]


def test_vanishing_ratio_is_that_of_delta_norms() -> None:
    model = deep(Sigmoid, 8)
    loss = MSELoss()
    loss.forward(model.forward(X), Y)
    delta, sizes = loss.backward(), []
    for layer in reversed(model.layers):
        sizes.append(np.linalg.norm(delta))
        delta = layer.backward(delta)
    found = model.diagnose(X, Y, loss=loss)["vanishing_gradients"].evidence
    assert found["ratio"] == pytest.approx(sizes[-1] / sizes[0])
    assert found["factor_per_layer"] == pytest.approx((sizes[-1] / sizes[0]) ** (1 / 8))


def diagnose_tutorial(learning_rate: float = 0.01, **options) -> tuple[Sequential, Diagnosis, Rows]:
    rng = np.random.RandomState(4)
    x, t = tutorial.sum_of_two(rng)
    model = tutorial.network(rng)
    sgd = SGD(learning_rate=learning_rate)
    return (
        model,
        model.diagnose(x, t, loss=tutorial.half_squared_error(), optimizer=sgd, **options),
        Rows(x, t),
    )


def largest_eigenvalue(model: Sequential, rows: Rows) -> float:
    """Return that of the dense Hessian of the tutorial's loss, by differences of gradients."""
    landscape = Landscape(model, tutorial.half_squared_error(), rows)
    step, theta = 1e-5, landscape.start
    columns = [
        (landscape(theta + step * e)[1] - landscape(theta - step * e)[1]) / (2 * step)
        for e in np.eye(theta.size)
    ]
    return float(np.linalg.eigvalsh((np.array(columns) + np.array(columns).T) / 2)[-1])


def test_tutorial_has_exactly_two_findings() -> None:
    started = time.perf_counter()
    model, diagnosis, rows = diagnose_tutorial()
    assert time.perf_counter() - started < 30
    assert sorted(diagnosis.kinds) == ["learning_rate", "targets_out_of_range"]
    assert [finding.severity for finding in diagnosis] == ["error", "error"]

    reach = diagnosis["targets_out_of_range"]
    floor = np.square(np.maximum(rows.y - 1, 0)).mean()
    assert reach.layer == "sigmoid_2"
    assert reach.evidence["floor"] == pytest.approx(floor, rel=1e-9)
    assert reach.evidence["floor"] == pytest.approx(1 / 12, rel=0.01)
    assert reach.evidence["loss_floor"] == pytest.approx(5000 * floor, rel=1e-9)
    assert (reach.evidence["lowest_output"], reach.evidence["highest_output"]) == (0, 1)

    rate = diagnosis["learning_rate"].evidence
    assert rate["limit"] == pytest.approx(2 / largest_eigenvalue(model, rows), rel=0.01)
    assert rate["limit"] < 0.01
    assert rate["limit_after_trial"] < 0.01
    assert rate["loss_at_lower_rate"] < rate["loss_at_this_rate"]


@pytest.mark.slow
def test_curvature_at_tutorial_solution_matches_dense_hessian() -> None:
    model, _, rows = diagnose_tutorial()
    tutorial.train(model, rows.x, rows.y, learning_rate=0.001, epochs=3000)
    landscape = Landscape(model, tutorial.half_squared_error(), rows)
    found = largest_curvature(landscape, landscape.start)
    assert found == pytest.approx(largest_eigenvalue(model, rows), rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("learning_rate", [0.001, 0.003, 0.01])
def test_rate_at_which_a_trained_network_leaves_its_minimum_is_found(learning_rate) -> None:
    rng = np.random.RandomState(4)
    x, t = tutorial.sum_of_two(rng)
    model, loss = tutorial.network(rng), tutorial.half_squared_error()
    tutorial.train(model, x, t, learning_rate=0.001, epochs=2000)
    found = model.diagnose(x, t, loss=loss, optimizer=SGD(learning_rate=learning_rate))
    limit = 2 / largest_eigenvalue(model, Rows(x, t))
    assert ("learning_rate" in found.kinds) == (learning_rate > limit)
    if learning_rate > limit:
        numbers = found["learning_rate"].evidence
        assert numbers["limit"] == pytest.approx(limit, rel=0.01)
        assert numbers["loss_at_lower_rate"] < numbers["loss_before"]
        assert numbers["loss_before"] < numbers["loss_at_this_rate"]


@pytest.mark.slow
@pytest.mark.parametrize(("learning_rate", "options"), [(0.001, {}), (0.01, {"batch_size": 100})])
def test_tutorial_at_a_stable_rate_has_one_finding(learning_rate, options) -> None:
    assert diagnose_tutorial(learning_rate, **options)[1].kinds == ["targets_out_of_range"]


@pytest.mark.parametrize(
    "options", all_slow_but([{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}], {})
)
def test_learning_rate_is_compared_with_the_limit(options) -> None:
    x = RNG.normal(size=(200, 3)) * [3, 1, 1]
    y = x @ [1.0, -1.0, 0.5]
    model = net(Dense(1), width=3)
    design = np.column_stack([x, np.ones(200)])
    curvature = 2 * np.linalg.eigvalsh(design.T @ design / 200)[-1]
    m = options.get("momentum", 0.0)
    limit = 2 * (1 + m) / curvature / (1 + 2 * m if "nesterov" in options else 1)
    high = model.diagnose(x, y, loss=MSELoss(), optimizer=SGD(learning_rate=1.1 * limit, **options))
    assert high.kinds == ["learning_rate"]
    assert high[0].evidence["limit"] == pytest.approx(limit, rel=1e-3)
    assert not model.diagnose(
        x, y, loss=MSELoss(), optimizer=SGD(learning_rate=0.9 * limit, **options)
    )


def test_sample_weights_change_the_limit() -> None:
    x = np.random.default_rng(1).normal(size=(200, 3))
    y, weight = x @ [1.0, -1.0, 0.5], np.repeat([0.0, 1.0, 7.0, 1.0], 50)
    design = np.column_stack([x, np.ones(200)])
    curvature = 2 * np.linalg.eigvalsh(design.T @ (weight[:, None] * design) / weight.sum())[-1]
    model, sgd = net(Dense(1), width=3), SGD(learning_rate=2.2 / curvature)
    found = diagnose(model, x, y, loss=MSELoss(), optimizer=sgd, sample_weight=weight)
    assert found["learning_rate"].evidence["limit"] == pytest.approx(2 / curvature, rel=1e-3)
    sgd = SGD(learning_rate=1.8 / curvature)
    assert not diagnose(model, x, y, loss=MSELoss(), optimizer=sgd, sample_weight=weight)


def case(model: Sequential, rows: Rows, loss: Loss) -> Case:
    return Case(model, rows, loss, optimizer=None, batch_rows=300, notes=[])


@pytest.mark.parametrize(
    ("loss", "is_regression"),
    [
        (MSELoss(), True),
        (L1Loss(reduction="sum"), True),
        (HuberLoss(), True),
        (BCEWithLogitsLoss(), False),
        (HingeLoss(), False),
    ],
    ids=str,
)
def test_regression_losses_are_recognized(loss: Loss, is_regression: bool) -> None:
    target = np.where(LABELS == 1, 1.0, -1.0 if isinstance(loss, HingeLoss) else 0.0)
    assert case(fine(), Rows(X, target[:, None]), loss).is_regression == is_regression
    assert not case(classifier(), Rows(X, CLASSES), CrossEntropyLoss()).is_regression


def test_trace_uses_sample_weights() -> None:
    weight, loss = np.linspace(0.1, 3, 300), MSELoss()
    weighted = case(fine(), Rows(X, Y.reshape(-1, 1), weight), loss)
    j = loss.forward(fine().predict(X), Y, sample_weight=weight)
    assert weighted.trace.j == pytest.approx(j)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weight_three_repeats_a_row_and_weight_zero_drops_it(reduction: str) -> None:
    loss, model = L1Loss(reduction=reduction), yes_or_no(ReLU())
    times = np.repeat([0, 1, 3], 100)
    found = diagnose(model, X, Y, loss=loss, sample_weight=times)["targets_out_of_range"].evidence
    same = diagnose(model, np.repeat(X, times, axis=0), np.repeat(Y, times), loss=loss)
    expected = same["targets_out_of_range"].evidence
    for name in ("floor", "loss_floor"):
        assert found[name] == pytest.approx(expected[name], rel=1e-9)
    labels = CLASSES.astype(float)
    only = diagnose(yes_or_no(), X, labels, loss=MSELoss(), class_weight={0: 0, 1: 2, 2: 0})
    assert only["constant_targets"].evidence == {"rows": (CLASSES == 1).sum(), "value": 1.0}
    assert f"{(CLASSES == 1).sum()} of 300 rows" in only.notes[0]


def test_invalid_weights_are_refused() -> None:
    for x in (X, with_nan(X)):
        with pytest.raises(ValueError, match=r"sample_weight.*\(7,\)"):
            diagnose(fine(), x, Y, loss=MSELoss(), sample_weight=np.ones(7))
    with pytest.raises(ValueError, match=r"class_weight.* 2"):
        diagnose(classifier(), X, CLASSES, loss=CrossEntropyLoss(), class_weight={0: 1, 1: 1})
    weighted = diagnose(fine(), with_nan(X), Y, loss=MSELoss(), sample_weight=np.ones(300))
    assert weighted.kinds == ["not_finite"]


@pytest.mark.slow
def test_rate_above_the_limit_that_learns_is_no_finding() -> None:
    from_zero = Residual([Dense(16), ReLU(), Dense(16, weight_initializer="zeros")])
    model = net(
        Dense(16), from_zero, Residual([LayerNorm(), Dense(16), GELU(), Dense(16)]), Dense(1)
    )
    sgd = SGD(learning_rate=0.03, momentum=0.9)
    assert not model.diagnose(X, X[:, 0] * X[:, 1], loss=MSELoss(), optimizer=sgd)


def test_divergence_is_described_in_words() -> None:
    found = fine().diagnose(X, Y, loss=MSELoss(), optimizer=SGD(learning_rate=10.0))
    assert found.kinds == ["learning_rate"]
    assert found[0].evidence["loss_at_this_rate"] == math.inf
    for text in (" ".join(str(found).split()), found._repr_html_()):
        assert "at 10 diverge" in text
        assert not re.search(r"\b(inf|nan)\b", text)


@pytest.mark.slow
def test_floor_is_stated_once_for_a_mean_loss() -> None:
    y = np.linspace(0.9, 100, 300)
    for reduction, stated in (("mean", False), ("sum", True)):
        loss = MSELoss(reduction=reduction)
        found = yes_or_no(Sigmoid()).diagnose(X, y, loss=loss, optimizer=SLOW)
        assert "over 99%" in found["targets_out_of_range"].why
        assert ("J of a batch of 300 rows" in found["targets_out_of_range"].why) == stated


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [(32,), (32, 16)], ids=str)
@pytest.mark.parametrize("optimizer", [Adam(), SGD(), None], ids=str)
def test_diabetes_targets_are_only_unscaled(hidden, optimizer) -> None:
    x, y = pytest.importorskip("sklearn.datasets").load_diabetes(return_X_y=True)

    def examined(x, y) -> Diagnosis:
        model = net(*(Dense(n, "relu") for n in hidden), Dense(1), width=10)
        return model.diagnose(x, y, loss=MSELoss(), optimizer=optimizer)

    found = examined(x, y)
    if isinstance(optimizer, SGD) and found.kinds == ["learning_rate"]:
        return  # with standardized targets SGD learns too slowly for a trial to tell
    assert found.kinds == ["unscaled_targets"]
    evidence = found[0].evidence
    assert evidence["remaining"] > 0.95
    assert evidence["remaining_if_changed"] < 0.75
    scaled = (y - y.mean()) / y.std()
    assert not examined(x, scaled)
    assert not examined(x / x.std(axis=0), scaled)


PERCENT = np.clip(48 + 20 * X[:, 0] + 10 * np.sin(X[:, 1]), 0, 100)


@pytest.mark.parametrize(
    ("optimizer", "kinds"),
    [
        (Adam(), ["unscaled_targets"]),
        (Adam(learning_rate=1.0), []),
        (SGD(learning_rate=10.0), ["learning_rate"]),
    ],
    ids=str,
)
def test_scale_and_rate_are_told_apart(optimizer, kinds: list[str]) -> None:
    model = net(Dense(8), Tanh(), Dense(1))
    assert model.diagnose(X, PERCENT, loss=MSELoss(), optimizer=optimizer).kinds == kinds


def test_rate_is_not_blamed_if_it_suits_standardized_targets() -> None:
    found = relu().diagnose(X, 1000 * Y, loss=MSELoss(), optimizer=SGD(learning_rate=0.05))
    assert found.kinds == ["unscaled_targets"]
    assert found[0].evidence["remaining"] == math.inf
    assert "diverge" in found[0].why
    assert any("learning rate" in note and "standardized" in note for note in found.notes)


DECAYING = ExponentialDecay(initial_learning_rate=1e-9, decay_rate=0.99)


@pytest.mark.parametrize(
    ("optimizer", "title"),
    [
        slow(Adam(learning_rate=10.0), "10 is too high"),
        (RMSprop(learning_rate=1.0), "1 is too high"),
        slow(Adam(learning_rate=1e-9), "1e-09 is too low"),
        slow(SGD(learning_rate=1e-9), "1e-09 is too low"),
        slow(SGD(learning_rate=1e-17), "1e-17 is too low"),
        slow(SGD(learning_rate=DECAYING), "1e-09 is too low"),
    ],
    ids=str,
)
def test_far_too_high_or_low_rate_is_found(optimizer: Optimizer, title: str) -> None:
    found = relu().diagnose(X, Y, loss=MSELoss(), optimizer=optimizer)
    assert found.kinds == ["learning_rate"]
    assert title in found[0].title
    evidence = found[0].evidence
    other = evidence.get("lower_rate", evidence.get("higher_rate"))
    better = evidence.get("loss_at_lower_rate", evidence.get("loss_at_higher_rate"))
    corrected = copy.copy(optimizer)
    corrected.learning_rate = other
    assert not relu().diagnose(X, Y, loss=MSELoss(), optimizer=corrected)
    model = relu()
    model.compile(optimizer=corrected, loss=MSELoss())
    steps = int(evidence["trial_steps"])
    j = model.fit(X, Y, epochs=steps, batch_size=None, verbose=0)["loss"]
    assert np.mean(j[-10:]) == pytest.approx(better, rel=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [Adam(), Adam(learning_rate=1e-5), Adam(learning_rate=0.3), SGD(learning_rate=1e-4), "adagrad"],
    ids=str,
)
def test_suboptimal_rate_is_no_finding(optimizer: Optimizer) -> None:
    assert not relu().diagnose(X, Y, loss=MSELoss(), optimizer=optimizer)


@pytest.mark.slow
def test_rate_is_no_finding_if_no_other_does_better() -> None:
    noise = np.random.default_rng(5).normal(size=300)
    found = net(Dense(1)).diagnose(X, noise, loss=MSELoss(), optimizer=Adam())
    assert found.kinds == ["unrelated_targets"]
    model = net(Dense(1))
    model["dense_1"].weight.value = np.linalg.lstsq(X, noise)[0].reshape(-1, 1)
    found = model.diagnose(X, noise, loss=MSELoss(), optimizer=Adam(learning_rate=1e-9))
    assert found.kinds == ["unrelated_targets"]


def test_unchecked_learning_rate_is_noted() -> None:
    assert "no optimizer" in str(fine().diagnose(X, Y, loss=MSELoss()))


def test_model_is_not_changed() -> None:
    model = net(Dense(8), BatchNorm(), Tanh(), Dropout(0.3), Dense(1))
    model.compile(optimizer=SGD(learning_rate=0.1, momentum=0.9), loss=MSELoss())
    x, y = X.copy(), Y.copy()
    x.setflags(write=False)
    y.setflags(write=False)
    model.fit(x, y, epochs=2, verbose=0)
    model.forward(x)
    delta = np.ones((300, 1))
    gradient = model.backward(delta)
    before = pickle.dumps(model)
    diagnosis = model.diagnose(x, y)
    assert pickle.dumps(model) == before
    np.testing.assert_array_equal(model.backward(delta), gradient, strict=True)
    assert str(model.diagnose(x, y)) == str(diagnosis)


def test_unbuilt_model_stays_unbuilt() -> None:
    rng = np.random.default_rng(0)
    model = Sequential([Dense(8), Tanh(), Dense(1)], rng=rng)
    state = rng.bit_generator.state
    built = Sequential([Dense(8), Tanh(), Dense(1)], input_shape=(4,), rng=0)
    assert str(model.diagnose(X, Y, loss=MSELoss())) == str(built.diagnose(X, Y, loss=MSELoss()))
    assert model.output_shape is None
    assert rng.bit_generator.state == state


@pytest.mark.slow
def test_no_layer_has_wrong_gradients(layer_example, monkeypatch) -> None:
    monkeypatch.setattr(units, "is_custom", lambda part: True)
    layer, shape = layer_example
    model = Sequential([layer], input_shape=shape, rng=0)
    x = rows_for(layer, shape, 40)
    y = model.predict(rows_for(layer, shape, 40, seed=2))
    case = Case(model, Rows(x, y), MSELoss(), optimizer=None, batch_rows=40, notes=[])
    assert not list(units.wrong_gradients(case))
    diagnosis = model.diagnose(x, y, loss=MSELoss(), optimizer=SLOW)
    assert not {"not_finite", "loss_mismatch", "targets_out_of_range"} & set(diagnosis.kinds)


def test_network_of_zeros_and_custom_relu_is_not_accused() -> None:
    class Rectifier(Activation):
        def function(self, z):
            return np.maximum(z, 0)

        def derivative(self, z):
            return (z > 0).astype(z.dtype)

    zeros = {"weight_initializer": "zeros"}
    found = net(Dense(16, **zeros), Rectifier(), Dense(1, **zeros)).diagnose(X, Y, loss=MSELoss())
    assert "wrong_gradients" not in found.kinds


def test_wrong_loss_is_named() -> None:
    class Halved(MSELoss):
        def terms(self, prediction, target):
            terms, slope = super().terms(prediction, target)
            return terms, slope / 2

    found = fine().diagnose(X, Y, loss=Halved())
    assert found.kinds == ["wrong_gradients"]
    assert "Halved" in found[0].title
    assert found[0].evidence["measured"] == pytest.approx(2 * found[0].evidence["claimed"])


@pytest.mark.slow
def test_no_loss_conflicts_with_a_linear_output(loss_example) -> None:
    loss, prediction, target = loss_example
    if prediction.ndim > 2:
        pytest.skip("a Dense has outputs of shape (batch, units) here")
    last: list[Any] = [Sigmoid()] if isinstance(loss, BCELoss) else []
    if isinstance(loss, KLDivLoss):
        last = [LogSoftmax()]
    if isinstance(loss, PoissonNLLLoss) and not loss.log_input:
        last = [Softplus()]
    x = np.random.default_rng(1).normal(size=(5, 4))
    model = net(Dense(8), Tanh(), Dense(prediction.shape[1]), *last)
    assert not model.diagnose(x, target, loss=loss, optimizer=SLOW)


@pytest.mark.slow
def test_many_rows_are_sampled() -> None:
    x = np.random.default_rng(0).normal(size=(50_000, 200))
    x[-1, 3] = np.nan
    diagnosis = net(Dense(128), Tanh(), Dense(1), width=200).diagnose(
        x, x[:, 1], loss=MSELoss(), optimizer=SLOW
    )
    assert diagnosis["not_finite"].evidence["first_row"] == 49_999
    assert [*map(int, re.findall(r"\d+", diagnosis.notes[0].replace(",", "")))] == [
        10_000,
        50_000,
        320,
    ]


@pytest.mark.parametrize(
    ("x", "y", "loss", "error", "words"),
    [
        (X, Y, None, RuntimeError, "loss="),
        (X, Y[:7], MSELoss(), ValueError, r"\(300, 4\).*\(7,\)"),
        (X[:, :3], Y, MSELoss(), ValueError, r"Dense 'dense_1'.*\(batch, 4\).*, 3\)"),
        (X[:2], np.zeros((2, 0)), MSELoss(), ValueError, r"y .*\(2, 0\)"),
        (X, Y, "mses", ValueError, "'mses'.*'mse"),
        (X, Y, MSELoss, TypeError, r"loss.*MSELoss\(\)"),
    ],
)
def test_invalid_arguments_are_refused(x, y, loss, error, words: str) -> None:
    with pytest.raises(error, match=words):
        diagnose(fine(), x, y, loss=loss)


def test_names_and_compiled_objects_are_accepted() -> None:
    model = fine()
    named = str(model.diagnose(X, Y, loss="mse", optimizer="sgd"))
    model.compile(optimizer=SGD(), loss=MSELoss())
    assert str(model.diagnose(X, Y)) == named


NASTY = Finding(
    "dead_units",
    "warning",
    "<script>&'\"",
    "why <b>",
    "do </style>",
    {"<i>": 1.5e-9, "n": 1e4},
    "a.b",
)
WORSE = Finding("capacity", "error", "worse", "", "", {}, None)


def test_diagnosis_is_a_sequence_sorted_by_severity() -> None:
    diagnosis = Diagnosis([NASTY, WORSE], notes=["checked 5 rows"])
    assert list(diagnosis) == [WORSE, NASTY]
    assert (diagnosis[0], diagnosis[-1:], diagnosis["dead_units"]) == (WORSE, [NASTY], NASTY)
    assert repr(diagnosis) == "Diagnosis(1 error, 1 warning: capacity, dead_units)"
    assert str(diagnosis).splitlines() == [
        "1 error, 1 warning",
        "",
        "ERROR: worse",
        "",
        "WARNING: <script>&'\"",
        "  why <b>",
        "  evidence: <i> 1.5e-09, n 10,000",
        "  to do: do </style>",
        "",
        "(checked 5 rows)",
    ]
    with pytest.raises(KeyError, match="learning_rate"):
        diagnosis["learning_rate"]
    assert (str(Diagnosis([])), repr(Diagnosis([]))) == ("no findings", "Diagnosis(no findings)")


def test_numbers_are_formatted() -> None:
    assert [number(x) for x in (0.0831723, 10000, 1.5e-9, -math.inf)] == [
        "0.08317",
        "10,000",
        "1.5e-09",
        "-infinity",
    ]
    assert [percent(x) for x in (0.256, 0.9967, 1.0, 0.003)] == [
        "26%",
        "over 99%",
        "100%",
        "under 1%",
    ]
    assert [type(x) for x in evidence(a=np.float64(1.5), b=np.int64(2)).values()] == [float, int]


def test_html_is_well_formed_and_escaped() -> None:
    page = Diagnosis([NASTY, WORSE], notes=["<u>"])._repr_html_()
    root = ElementTree.fromstring(page)
    tags = {element.tag for element in root.iter()}
    assert not tags & {"script", "b", "i", "u"}
    assert [e.get("class") for e in root.iter("article")] == ["error", "warning"]
    assert not re.search(r"background|[;\"]color:", page)  # so that it suits light and dark pages
    assert "".join(root.itertext()).count("<script>&'\"") == 1


def test_import_minigrad_does_not_import_diagnose() -> None:
    code = "import sys, minigrad; print([n for n in sys.modules if 'diagnose' in n])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.fixture
def diagnosed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Return the kinds found on each model just before it is trained."""
    fit, found = Model.fit, []

    @functools.wraps(fit)
    def diagnose_and_fit(self, x=None, y=None, **options):
        if y is not None:
            batch_size = options.get("batch_size", 32)
            found.append((*self.diagnose(x, y, batch_size=batch_size).kinds,))
        return fit(self, x, y, **options)

    monkeypatch.setattr(Model, "fit", diagnose_and_fit)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("path", [p for p in EXAMPLES if p not in REDUCIBLE], ids=lambda p: p.stem)
def test_no_false_alarm_on_an_example(path: Path, tmp_path, monkeypatch, diagnosed) -> None:
    monkeypatch.chdir(tmp_path)
    run_example(path, monkeypatch)
    assert diagnosed
    assert not any(diagnosed)


@pytest.mark.parametrize(
    "page",
    all_slow_but(
        ["README.md", "docs/tutorial/any-depth.md", "docs/how-to/layer.md"], "docs/how-to/layer.md"
    ),
)
def test_no_false_alarm_on_a_page(page: str, tmp_path, monkeypatch, diagnosed) -> None:
    monkeypatch.chdir(tmp_path)
    block = r"```(?:python|{code-cell})\n(?:---.*?---\n|:.*?\n)*(.*?)```"
    blocks = re.findall(block, (ROOT / page).read_text(), re.S)
    exec(compile("\n".join(blocks), page, "exec"), {})
    assert diagnosed
    assert not any(diagnosed)


@pytest.mark.slow
def test_no_false_alarm_on_the_corrected_tutorial(monkeypatch, diagnosed) -> None:
    fit = Sequential.fit
    monkeypatch.setattr(
        Sequential, "fit", lambda *args, **options: fit(*args, **options | {"epochs": 1})
    )
    tutorial.corrected(*tutorial.sum_of_two(np.random.RandomState(4)))
    assert diagnosed == [("targets_out_of_range",), (), ()]  # the first keeps the sigmoid
    assert tutorial.or_gate().shape == (4, 1)
    assert diagnosed[3:] == [()]
