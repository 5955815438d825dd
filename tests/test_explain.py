"""Explanation: each line of a pass is compared with numbers computed in plain loops."""

from __future__ import annotations

import copy
import math
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad.explain
from helpers import rows_for
from minigrad import (
    L2,
    CrossEntropyLoss,
    Dense,
    Dropout,
    Flatten,
    Identity,
    JointLoss,
    Layer,
    LayerNorm,
    Loss,
    MSELoss,
    Parallel,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    TripletMarginLoss,
)
from minigrad.core.layer import build_once
from minigrad.explain import EQUATIONS
from minigrad.explain.steps import Limit
from minigrad.layers import Activation
from minigrad.util.config import registered
from minigrad.util.terminal import Terminal

HALF = MSELoss(reduction="sum", scale=0.5)
ALL = 10**6
ONE = np.ones((1, 2))


def phi(z):
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def below(z):
    return math.erfc(-z / math.sqrt(2)) / 2


def softplus(z):
    return math.log(1 + math.exp(z))


def logistic(z):
    return 1 / (1 + math.exp(-z))


def shares(z):
    powers = [math.exp(v) for v in z]
    return [power / sum(powers) for power in powers]


def each(function):
    return lambda z: [function(v) for v in z]


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
ACTIVATIONS = {
    "Identity": each(lambda z: z),
    "Sigmoid": each(logistic),
    "Tanh": each(math.tanh),
    "ReLU": each(lambda z: max(z, 0.0)),
    "LeakyReLU": each(lambda z: z if z > 0 else 0.01 * z),
    "ELU": each(lambda z: z if z > 0 else math.exp(z) - 1),
    "SELU": each(lambda z: SELU_SCALE * (z if z > 0 else SELU_ALPHA * (math.exp(z) - 1))),
    "Hardtanh": each(lambda z: min(max(z, -1.0), 1.0)),
    "Hardsigmoid": each(lambda z: min(max(z / 6 + 0.5, 0.0), 1.0)),
    "GELU": each(lambda z: z * below(z)),
    "SiLU": each(lambda z: z * logistic(z)),
    "Softplus": each(softplus),
    "Mish": each(lambda z: z * math.tanh(softplus(z))),
    "Softsign": each(lambda z: z / (1 + abs(z))),
    "Softmax": shares,
    "LogSoftmax": lambda z: [math.log(share) for share in shares(z)],
}
ENTRYWISE = set(ACTIVATIONS) - {"Softmax", "LogSoftmax"}
FUNCTIONS = {
    "exp": math.exp,
    "log": math.log,
    "tanh": math.tanh,
    "sqrt": math.sqrt,
    "sigmoid": logistic,
    "softplus": softplus,
    "Phi": below,
    "phi": phi,
    "sign": lambda v: (v > 0) - (v < 0),
    "max": max,
    "min": min,
    "abs": abs,
    "inf": math.inf,
    "masked": -math.inf,  # the score of a key that a query doesn't attend to
}


def lines_of(text: str) -> dict[str, tuple[str, float, str]]:
    """Read printed lines: (formula, value, tag) by name; the tag is beside a line or its step."""
    found, step_tag = {}, ""
    for row in re.sub(r"\n {6,}", " ", text).split("\n"):
        if head := re.search(r"^\d+\. .*? +(as |)Equations? ([\d, ]+)$", row):
            step_tag = head[1] + head[2]
        line = re.fullmatch(r"  (\S+) =(?: (.*) =)? ([^\s=]+)(?: +\(([\d, as]+)\))?", row)
        if (
            line
            and not re.search(r"\[.*[a-z]", line[1])
            and re.fullmatch(r"-?(?:inf|nan|[\d.e+-]+)", line[3])
        ):
            name, middle, value, tag = line.groups()
            assert name not in found
            found[name] = middle or "", float(value), tag or step_tag
    return found


def evaluate(expression: str) -> float:
    """Evaluate a printed formula with Python."""
    for said, python in (("×", "*"), ("^", "**")):
        expression = expression.replace(said, python)
    expression = re.sub(r"\|([^|]*)\|", r"abs(\1)", expression)
    expression = re.sub(r" \((\d+) others\)", "", expression)
    return float(eval(expression, {"__builtins__": {}}, FUNCTIONS))


def adds_up(text: str) -> int:
    """Compare the formula of each line with its value, and count the lines."""
    checked = 0
    for name, (middle, value, _) in lines_of(text).items():
        if middle and not re.search(r"\w'*\[|^l$", middle):
            numbers = [abs(float(n)) for n in re.findall(r"\d+\.?\d*(?:e[-+]\d+)?", middle)]
            # Six digits of each term leave less of a sum in which the terms cancel.
            size = max([abs(value), *numbers]) ** (2 if "×" in middle else 1)
            assert evaluate(middle) == pytest.approx(value, rel=2e-5, abs=1e-15 + 2e-5 * size), name
            checked += 1
    return checked


def pass_in_loops(model, name, x, t) -> dict[str, tuple[float, str]]:
    """Compute one row's pass index by index: the value and the equation of every number."""
    told: dict[str, tuple[float, str]] = {}
    dense = [layer for layer in model.layers if isinstance(layer, Dense)]
    function, exact = ACTIVATIONS[name], name in ENTRYWISE
    inputs, sums, a = [], [], list(map(float, x))
    for level, layer in enumerate(dense, start=1):
        w, b = layer.weight.value, layer.bias.value
        inputs.append(a)
        z = []
        for k in range(layer.units):
            total = float(b[k])
            for j in range(len(a)):
                total += a[j] * float(w[j, k])
            z.append(total)
            told[f"z{level}[{k}]"] = total, "8"
        sums.append(z)
        a = function(z)
        for k, value in enumerate(a):
            told[f"a{level}[{k}]"] = value, "8" if exact else "as 8"
    squares = [(a[k] - t[k]) ** 2 for k in range(len(a))]
    told |= {f"l[{k}]": (square, "1") for k, square in enumerate(squares)}
    told["J"] = 0.5 * sum(squares), "1"
    back = [a[k] - t[k] for k in range(len(a))]
    for level in range(len(dense), 0, -1):
        hidden = level < len(dense)
        layer, z, a = dense[level - 1], sums[level - 1], inputs[level - 1]
        w = layer.weight.value
        for k, value in enumerate(back):
            told[f"∂J/∂a{level}[{k}]"] = value, "7, 10" if hidden else "2"
        slopes = jacobian(function, z)
        delta = [sum(back[m] * slopes[m][k] for m in range(len(z))) for k in range(len(z))]
        for k in range(len(z)):
            if exact:
                told[f"g'(z{level}[{k}])"] = slopes[k][k], "9" if hidden else "3"
            tag = ("11" if hidden else "5") if exact else "as 7, 10"
            told[f"δ{level}[{k}]"] = delta[k], tag
            told[f"∂J/∂b{level}[{k}]"] = delta[k], "11" if hidden else "6"
            for j in range(len(a)):
                told[f"∂J/∂w{level}[{j},{k}]"] = delta[k] * a[j], "10, 11" if hidden else "4, 6"
        back = [sum(delta[k] * float(w[j, k]) for k in range(len(z))) for j in range(len(a))]
    told |= {f"∂J/∂x[{j}]": (value, "7, 10") for j, value in enumerate(back)}
    return told


def jacobian(function, z, h=1e-6):
    """Central differences: d a[m] / d z[k]."""
    columns = []
    for k in range(len(z)):
        above, under = ([*z[:k], z[k] + side, *z[k + 1 :]] for side in (h, -h))
        columns.append(
            [(p - q) / (2 * h) for p, q in zip(function(above), function(under), strict=True)]
        )
    return [[column[m] for column in columns] for m in range(len(z))]


def compare_with_loops(text, expected):
    printed = lines_of(text)
    assert printed.keys() == expected.keys()
    for name, (value, tag) in expected.items():
        assert printed[name][1] == pytest.approx(value, rel=1e-5, abs=1e-9), name
        assert printed[name][2] == tag, name


def network(*widths, activation=Sigmoid, dtype="float64", rng=4):
    layers = [layer for width in widths[1:] for layer in (Dense(width), activation())]
    model = Sequential(layers, input_shape=(widths[0],), rng=rng, dtype=dtype)
    for path, parameter in model.named_parameters():
        if path.endswith("bias"):
            parameter.value = np.linspace(-0.5, 0.5, parameter.size + 1)[1:]
    return model


def test_a_2_3_1_network_agrees_with_loops():
    model = network(2, 3, 1)
    explanation = model.explain(np.array([[0.3, -0.7]]), np.array([[1.5]]), loss=HALF)
    text = str(explanation)
    compare_with_loops(text, pass_in_loops(model, "Sigmoid", [0.3, -0.7], [1.5]))
    assert adds_up(text) == 33
    tags = {n for _, _, tag in lines_of(text).values() for n in tag.split(", ")}
    assert tags == {str(n) for n in range(1, 12)}


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_five_layers_agree_with_loops_for_every_activation(name):
    model = network(3, 4, 2, 5, 3, 2, activation=registered(Layer)[name])
    x, t = [0.4, -1.1, 0.9], [0.25, -0.5]
    text = model.explain(np.array([x]), np.array([t]), loss=HALF).text(most=ALL)
    compare_with_loops(text, pass_in_loops(model, name, x, t))
    assert adds_up(text) > 100


def test_the_arrays_equal_those_of_forward_and_backward():
    model = network(2, 3, 1)
    x, y = np.array([[0.3, -0.7], [1.0, 0.5]]), np.array([[1.5], [0.0]])
    first = model.explain(x, y, loss=MSELoss())["dense_1"]
    prediction = model.forward(x)
    loss = MSELoss()
    loss.forward(prediction, y)
    model.backward(loss.backward())
    dense = model.layers[0]
    z = x @ dense.weight.value + dense.bias.value
    a = 1 / (1 + np.exp(-z))
    np.testing.assert_array_equal(first.input, x, strict=True)
    np.testing.assert_allclose(first.z, z, rtol=1e-14, strict=True)
    np.testing.assert_allclose(first.activation, a, rtol=1e-14, strict=True)
    np.testing.assert_allclose(first.delta, first.output_delta, rtol=0, strict=True)
    np.testing.assert_allclose(first.weight_gradients.sum(0), dense.weight.grad, rtol=1e-12)
    np.testing.assert_allclose(first.bias_gradients.sum(0), dense.bias.grad, rtol=1e-12)
    assert first.weight_gradients.shape == (2, 2, 3)
    np.testing.assert_array_equal(first.gradients["weight"], dense.weight.grad, strict=True)


def test_the_sums_of_every_layer_add_up(layer_of_each_class):
    layer, shape = layer_of_each_class
    if layer.gives_mask or not all(isinstance(n, int) for n in shape):
        return
    model = Sequential([layer, Flatten(), Dense(2)], input_shape=shape, rng=0)
    x = rows_for(layer, shape, 3)
    y = np.random.default_rng(2).normal(size=(3, 2))
    before = pickle.dumps(model)
    explanation = model.explain(x, y, loss=MSELoss())
    text = explanation.text(row=1, most=ALL)
    assert pickle.dumps(model) == before
    assert max(map(len, text.splitlines())) <= 80
    assert adds_up(text) > 8
    for step in explanation.steps:
        for index in range(step.size):
            line = step.line(1, index, Limit(ALL))
            assert line.value == step.row(1).ravel()[index]
            if line.terms:
                total = math.fsum([line.rest, *(term.value for term in line.terms)])
                size = math.fsum(abs(term.value) for term in line.terms)
                assert line.value == pytest.approx(total, rel=1e-9, abs=1e-12 + 1e-7 * size)
            elif step.phase == "backward" and layer.equation:
                assert line.formula or not line.value, line


def test_the_gradients_equal_those_of_training(layer_of_each_class):
    layer, shape = layer_of_each_class
    if layer.gives_mask or not all(isinstance(n, int) for n in shape):
        return
    model = Sequential([layer, Flatten(), Dense(2)], input_shape=shape, rng=0)
    x = rows_for(layer, shape, 3)
    y = np.random.default_rng(2).normal(size=(3, 2))
    explanation = model.explain(x, y, loss=MSELoss())
    loss = MSELoss()
    twin = pickle.loads(pickle.dumps(model))
    j = loss.forward(twin.forward(x), y)
    twin.backward(loss.backward())
    twin.parameters.add_regularizer_gradients()
    assert explanation.j == pytest.approx(j + twin.parameters.regularization(), rel=1e-12)
    told = {step.name: step.row(0) for step in explanation.steps}
    for place in explanation._pass.names.places:
        for p in place.parameters.values():
            recorded = dict(twin.named_parameters())[p.path].grad
            np.testing.assert_allclose(told[p.gradient], recorded, rtol=1e-12, atol=1e-15)


def test_every_loss_is_filled_in_with_numbers(loss_example):
    loss, prediction, target = loss_example
    if isinstance(loss, TripletMarginLoss):
        return
    model = Sequential([Identity()], input_shape=prediction.shape[1:])
    explanation = model.explain(prediction, target, loss=loss)
    for row in range(len(prediction)):
        text = explanation.text(row=row, most=ALL)
        assert adds_up(text) >= 5
        told = {name: middle for name, (middle, _, _) in lines_of(text).items()}
        assert all(told[name] for name in told if name[0] == "l" or name.startswith("∂J/∂a"))


@pytest.mark.parametrize("size", [1.0, 1000.0])
def test_the_sum_over_the_classes_is_written_once(size):
    z, t = size * np.linspace(-1, 1, 10), np.eye(10)[3]
    explanation = Sequential([Identity()], input_shape=(10,)).explain(
        z[None], np.array([3]), loss=CrossEntropyLoss()
    )
    printed = lines_of(str(explanation))
    s = printed["s"][1]
    assert s == pytest.approx(size + math.log(np.exp(z - size).sum()), rel=1e-5)
    assert printed["s"][0].count("exp(") == 10
    assert printed["l"][1] == pytest.approx(s - z[3], rel=1e-5)
    for k in range(10):
        formula, p, _ = printed[f"p[{k}]"]
        assert formula == f"exp({z[k]:.6g} - {s:.6g})"
        assert evaluate(formula) == pytest.approx(p, abs=1e-3)
        formula, slope, _ = printed[f"∂J/∂a0[{k}]"]
        assert formula == f"{p:.6g} - {t[k]:.6g}"
        assert evaluate(formula) == pytest.approx(slope, abs=1e-5)


@pytest.mark.parametrize("cls", [*registered(Activation).values(), *registered(Loss).values()])
def test_every_activation_and_loss_has_an_equation(cls):
    several = cls in (JointLoss, TripletMarginLoss)  # an equation has no vectors within a row
    assert several or cls().equation, f"{cls.__name__} needs a line: equation = ..."


class Swish(Layer):
    def build(self, input_shape, rng):
        self.beta = Parameter(np.array([1.5]))
        return input_shape

    def forward(self, x, *, training=True):
        s = 1 / (1 + np.exp(-self.beta.value * x))
        if training:
            self.cache = x, s
        return x * s

    def backward(self, delta):
        x, s = self.cache
        slope = s * (1 - s)
        self.beta.grad = np.array([(delta * x * x * slope).sum()])
        return delta * (s + self.beta.value * x * slope)


class EquationSwish(Swish):
    equation = "a = z * sigmoid(beta z)"


class Gate(Layer):
    """A container that is no chain: its output is a product."""

    def __init__(self):
        super().__init__()
        self.inner = Dense(2)

    def build(self, input_shape, rng):
        return self.inner.build(input_shape, rng)

    def forward(self, x, *, training=True):
        inner = self.inner.forward(x, training=training)
        if training:
            self.cache = x, inner
        return x * inner

    def backward(self, delta):
        x, inner = self.cache
        return delta * inner + self.inner.backward(delta * x)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("custom", [Swish, EquationSwish, Gate])
def test_a_custom_layer_needs_no_extra_code(custom, rows):
    model = Sequential([Dense(2), custom(), Dense(1)], input_shape=(2,), rng=4)
    x = np.random.default_rng(0).normal(size=(rows, 2))
    explanation = model.explain(x, x[:, :1], loss=MSELoss())
    text = str(explanation)
    assert adds_up(text) > 10
    told = {line: middle for line, (middle, _, _) in lines_of(text).items()}
    if custom is EquationSwish:
        z = explanation["dense_1"].z[0, 0]
        enclosed = f"({z:.6g})" if z < 0 else f"{z:.6g}"
        assert told["a1[0]"] == f"{z:.6g} × sigmoid(1.5 × {enclosed})"
    elif custom is Swish:
        assert told["h1[0]"] == ""
        assert told["∂J/∂beta1[0]"].count("×") == (2 if rows == 1 else 0)
    assert told["δ1[0]"]


def test_a_layer_with_a_wrong_backward_has_no_sum():
    class Wrong(Layer):
        def forward(self, x, *, training=True):
            return x + 1

        def backward(self, delta):
            return delta**2

    model = Sequential([Dense(2), Wrong(), Dense(1)], input_shape=(2,), rng=4)
    text = str(model.explain(np.ones((1, 2)), np.ones((1, 1)), loss=MSELoss()))
    assert lines_of(text)["δ1[0]"][0] == ""


def test_a_loss_with_its_own_forward_shows_only_values():
    class Own(Loss):
        def forward(self, prediction, target, **options):
            self.cache = np.ones_like(prediction)
            return float(prediction.sum())

        def backward(self):
            return self.cache

    explanation = network(2, 1).explain(np.ones((1, 2)), np.ones((1, 1)), loss=Own())
    printed = lines_of(str(explanation))
    assert printed["J"][1] == pytest.approx(explanation.prediction[0, 0], rel=1e-5)
    assert printed["∂J/∂a1[0]"] == ("", 1.0, "as 2")


def test_infinity_and_nan_give_no_warning(tmp_path):
    model = Sequential([Dense(3), ReLU(), Dense(1)], input_shape=(2,), rng=0)
    model.layers[0].weight.value = [[np.inf, np.nan, 1.0], [0.0, 1.0, -np.inf]]
    explanation = model.explain(np.array([[0.0, 1.0]]), np.ones((1, 1)), loss=MSELoss())
    printed = lines_of(str(explanation))
    assert printed["z1[0]"][0] == "0 + 0 × inf + 1 × 0"
    assert math.isnan(printed["z1[0]"][1])
    assert printed["z1[2]"][1] == -math.inf
    explanation.to_latex()
    explanation.to_html(tmp_path / "page.html")
    assert explanation["dense_1"].weight_gradients.shape == (1, 2, 3)


def test_branches_shared_parameters_and_regularizers_add_up():
    first = Dense(3, weight_regularizer=L2(0.1))
    Sequential([first], input_shape=(3,), rng=1)
    shared = Dense(3, weight=first.weight)
    model = Sequential([first, shared, Parallel([Dense(1), Dense(1)])], input_shape=(3,), rng=1)
    explanation = model.explain(np.eye(3)[:2], np.ones((2, 1)), loss=MSELoss())
    text = explanation.text(most=ALL)
    printed = lines_of(text)
    assert adds_up(text) > 20
    total = printed["∂J/∂w1[0,0]"][1]
    parts = printed["∂J/∂w1|dense_1[0,0]"][1] + printed["∂J/∂w1|dense_2[0,0]"][1]
    assert total == pytest.approx(parts + 0.2 * first.weight.value[0, 0], rel=1e-4)
    assert printed["δ2[0]"][0].count("+") + printed["δ2[0]"][0].count(" - ") == 1


class Apart(Layer):
    """A container of its own kind, whose layers pass deltas on to one another."""

    def __init__(self, first, second, *, name=""):
        super().__init__(name=name)
        self.first = first
        self.second = second

    def build(self, input_shape, rng):
        return build_once(self.second, build_once(self.first, input_shape, rng), rng)

    def forward(self, x, *, training=True):
        return x + self.second.forward(self.first.forward(x, training=training), training=training)

    def backward(self, delta):
        return delta + self.first.backward(self.second.backward(delta))


def test_a_delta_has_one_step_before_it_is_used():
    layers = [Apart(Dense(3, "tanh"), Dense(2)), Dense(1)]
    model = Sequential(layers, input_shape=(2,), rng=1)
    explanation = model.explain(np.array([[1.0, 2.0]]), np.ones((1, 1)), loss=MSELoss())
    names = [step.name for step in explanation.steps]
    assert len(set(names)) == len(names)
    assert names.index("δ2") < names.index("∂J/∂a1") < names.index("δ1") < names.index("∂J/∂w1")
    printed = lines_of(str(explanation))
    assert printed["δ2[0]"][0] == "∂J/∂h2[0]"
    assert "×" in printed["∂J/∂a1[0]"][0]
    assert "×" in printed["δ1[0]"][0]


def test_a_long_title_is_wrapped():
    weight = Parameter(np.ones((2, 2)))
    names = [f"{'a long name ' * 9}{place}" for place in range(2)]
    tied = [Dense(2, weight=weight, use_bias=False, name=name) for name in names]
    model = Sequential([Parallel(tied)], input_shape=(2,), rng=1)
    text = str(model.explain(np.ones((1, 2)), np.ones((1, 2)), loss=MSELoss()))
    assert "..." not in text
    assert max(map(len, text.splitlines())) <= 80
    assert "gradient of a parameter that 2 layers share as Equation 7" in " ".join(text.split())


def test_the_text_ends_with_the_equations_it_uses():
    model = network(2, 1)
    text = str(model.explain(np.ones((1, 2)), np.ones((1, 1)), loss=HALF))
    _, end = text.split("\nEQUATIONS\n")
    used = {n for _, _, tag in lines_of(text).values() for n in re.findall(r"\d+", tag)}
    assert set(re.findall(r"^  \((\d+)\)", end, re.M)) == used
    assert f"  (5)  {EQUATIONS[5]}\n" in end


def test_float32_stays_float32_and_dropout_shows_its_mask():
    model = Sequential([Dense(8), Dropout(0.5), Dense(1)], input_shape=(2,), rng=1, dtype="float32")
    x = np.ones((2, 2), np.float32)
    explanation = model.explain(x, np.ones((2, 1)), loss=MSELoss())
    story = explanation["dropout_1"]
    assert {story.input.dtype, story.output.dtype, story.delta.dtype} == {np.dtype(np.float32)}
    assert explanation["dense_1"].weight_gradients.dtype == np.float32
    printed = lines_of(str(explanation))
    kept = [printed[f"h1[{k}]"][0].rpartition(" × ")[2] for k in range(8)]
    assert set(kept) == {"0", "2"}
    assert adds_up(str(explanation)) > 10


def test_two_explanations_are_equal():
    model = Sequential([Dense(4), Dropout(0.5), Dense(1)], input_shape=(2,), rng=1)
    told = [str(model.explain(np.ones((2, 2)), np.ones((2, 1)), loss=HALF)) for _ in range(2)]
    assert told[0] == told[1]


@pytest.fixture(scope="module")
def wide():
    model = Sequential(
        [Flatten(), Dense(512, "relu"), Swish(), Dense(10)], input_shape=(28, 28), rng=0
    )
    x = np.random.default_rng(0).random((4, 28, 28))
    return model.explain(x, np.arange(4), loss=CrossEntropyLoss())


def test_wide_layers_stay_small(wide):
    text = wide.text(row=3)
    assert len(text.splitlines()) < 300
    assert max(map(len, text.splitlines())) <= 80
    assert adds_up(text) > 40
    assert "... and 508 others" in text
    assert len(wide.to_latex()) < 100_000
    assert len(wide._repr_html_()) < 3_000_000


def test_any_unit_and_weight_of_a_wide_layer_is_available(wide):
    z = wide["dense_1"].z[3, 500]
    assert lines_of(wide.unit("dense_1", 500, row=3))["z1[500]"][1] == pytest.approx(z, rel=1e-5)
    gradient = wide["dense_1"].gradients["weight"][700, 500]
    told = lines_of(wide.weight("dense_1", (700, 500)))["∂J/∂w1[700,500]"][1]
    assert told == pytest.approx(gradient, rel=1e-5)
    told = lines_of(wide.unit("flatten_1", 29, row=1))
    assert told["h0[29]"][0] == "x[1,1]"


def test_what_is_left_out_is_added_up():
    layers = [Dense(64, "relu"), Dense(20)]
    model = Sequential(layers, input_shape=(64,), rng=0)
    x = np.random.default_rng(0).normal(size=(1, 64))
    explanation = model.explain(x, np.array([3]), loss=CrossEntropyLoss())
    text = str(explanation)
    assert adds_up(text) > 40  # with the sums of the others
    assert "others)" in lines_of(text)["l"][0]
    told = re.findall(r"others, with ([\d.]+) % of (.*)$", text, re.MULTILINE)
    shares = {of: float(share) for share, of in told}
    gradient = np.abs(explanation["dense_1"].gradients["weight"])
    rest = 1 - np.sort(gradient.ravel())[-4:].sum() / gradient.sum()
    assert shares["Σ |∂J/∂w1|"] == pytest.approx(100 * rest, rel=1e-2)
    effects = np.abs(explanation["dense_1"].z * explanation["dense_1"].delta)[0]
    rest = 100 * (1 - np.sort(effects)[-4:].sum() / effects.sum())
    assert f"... and 60 others, with {rest:.3g} % of the effect on J" in text


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_text_fits_the_terminal(monkeypatch, columns):
    residual = Residual([Dense(3, name="a_layer_with_a_long_name_" * 2), LayerNorm()])
    model = Sequential([residual, Dense(30, "gelu"), Dense(1)], input_shape=(3,), rng=0)
    explanation = model.explain(np.ones((2, 3)), np.ones((2, 1)), loss=HALF, optimizer="adam")
    rows = explanation.text(width=columns).split("\n")
    assert max(map(len, rows)) <= columns
    assert not any(row != row.rstrip() for row in rows)
    plain = " ".join(" ".join(rows).split())
    monkeypatch.setattr(Terminal, "of", lambda: Terminal(columns, color=True))
    colored = str(explanation)
    assert "\x1b[" in colored
    shown = re.sub(r"\x1b\[[\d;]*m", "", colored)
    assert max(map(len, shown.split("\n"))) <= min(columns, 100)
    assert columns > 100 or " ".join(shown.split()) == plain
    monkeypatch.setattr(Terminal, "of", lambda: Terminal(columns))
    assert str(explanation) == shown


NASTY = "</script><script>alert(1)</script>&\"'\\{%_^~#$ 日本ß"


def test_names_are_escaped_everywhere(tmp_path):
    model = Sequential([Dense(2, name=NASTY), Sigmoid()], input_shape=(2,), rng=0)
    explanation = model.explain(np.ones((1, 2)), np.ones((1, 2)), loss=MSELoss())
    explanation.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert page.count("<script") == 2
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert "<script>alert" not in explanation._repr_html_()
    assert max(map(len, str(explanation).splitlines())) <= 80
    assert all(ord(c) < 128 for c in explanation.to_latex())


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
def test_latex_compiles(tmp_path, wide):
    branches = Parallel([Dense(2), [LayerNorm(), Swish(), Dense(2)]], merge="concat")
    model = Sequential(
        [Dense(3, "gelu", name=NASTY), Residual([Dense(3), EquationSwish()]), branches, ReLU()],
        input_shape=(2,),
        rng=0,
    )
    x = np.random.default_rng(0).normal(size=(2, 2)) * 1e-7
    explanations = [
        network(2, 3, 1).explain(np.ones((1, 2)), np.ones((1, 1)), loss=HALF),
        model.explain(x, np.array([0, 3]), loss=CrossEntropyLoss()),
        wide,
    ]
    for explanation in explanations:
        (tmp_path / "e.tex").write_text(explanation.to_latex(), encoding="utf-8")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "e.tex"]
        made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stdout[-2000:]
        assert "Overfull" not in made.stdout


@pytest.mark.parametrize(
    ("call", "error", "names"),
    [
        (lambda m, e: m.explain(ONE, ONE[:, :1]), RuntimeError, "loss"),
        (
            lambda m, e: m.explain(np.ones((1, 3)), ONE[:, :1], loss=HALF),
            ValueError,
            r"\(batch, 2\)",
        ),
        (lambda m, e: m.explain(ONE, ONE[:, :1], loss="msa"), ValueError, "msa"),
        (lambda m, e: e.text(row=1), ValueError, "from 0 to 0, got 1"),
        (lambda m, e: e["dense_7"], KeyError, "'dense_7'.*'dense_1', 'sigmoid_1', 'dense_2'"),
        (lambda m, e: e.unit("dense_1", 3), ValueError, r"'dense_1'.*\(3,\), got 3"),
        (lambda m, e: e.weight("dense_1", (2, 0)), ValueError, r"'dense_1.weight'.*\(2, 3\), got"),
        (lambda m, e: e.weight("sigmoid_1", 0), ValueError, "'sigmoid_1'.*'weight'.*none"),
        (lambda m, e: e["sigmoid_1"].weight_gradients, ValueError, "'sigmoid_1'.*'weight'.*none"),
        (lambda m, e: e.to_html("x.html", rows=[]), ValueError, r"at least one row.*\[\]"),
    ],
)
def test_errors_name_what_is_wrong(call: Any, error, names):
    model = network(2, 3, 1)
    explanation = model.explain(ONE, ONE[:, :1], loss=HALF)
    with pytest.raises(error, match=names):
        call(model, explanation)


@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), copy.deepcopy])
def test_an_explanation_can_be_pickled_and_copied(copied):
    layers = [Dense(4, "tanh"), Dropout(0.5), Residual([Dense(4)]), EquationSwish(), Dense(1)]
    model = Sequential(layers, input_shape=(2,), rng=1)
    x = np.random.default_rng(0).normal(size=(3, 2))
    explanation = model.explain(x, x[:, :1], loss=HALF)
    expected = explanation.text(row=2), explanation.to_latex(), explanation._repr_html_()
    model.layers[0].weight.value[:] = 0
    twin = copied(explanation)
    assert (twin.text(row=2), twin.to_latex(), twin._repr_html_()) == expected
    np.testing.assert_array_equal(
        twin["dense_1"].weight_gradients, explanation["dense_1"].weight_gradients, strict=True
    )


def test_the_compiled_loss_is_the_default():
    model = network(2, 3, 1)
    model.compile(optimizer="sgd", loss=HALF)
    x, y = np.ones((1, 2)), np.ones((1, 1))
    assert str(model.explain(x, y)) == str(model.explain(x, y, loss=HALF))


def test_import_minigrad_does_not_import_explain():
    code = "import sys, minigrad; print([m for m in sys.modules if 'explain' in m])"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout == "[]\n"


def test_explain_has_no_import_circle_and_does_not_import_the_model():
    folder = Path(minigrad.explain.__file__).parent
    imports = {
        path.stem: set(re.findall(r"from minigrad\.(\S+) import (\w+)", path.read_text("utf-8")))
        for path in folder.glob("*.py")
    }
    assert not any(module == "core.model" for found in imports.values() for module, _ in found)
    waiting = {
        name: {
            part
            for module, first in found
            for part in (*module.split("."), first)
            if module.startswith("explain") and part in imports
        }
        for name, found in imports.items()
    }
    while waiting:
        ready = {name for name, needs in waiting.items() if not needs & waiting.keys()}
        assert ready, f"these modules import one another in a circle: {sorted(waiting)}"
        waiting = {name: needs for name, needs in waiting.items() if name not in ready}
