"""The update of an explanation, compared with the optimizer's own step in training."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

from minigrad import (
    L2,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    BatchNorm,
    Dense,
    Dropout,
    MSELoss,
    Optimizer,
    RMSprop,
    Sequential,
)
from minigrad.optimizers.schedules import ExponentialDecay
from test_explain import evaluate

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 2))


class Halving(SGD):
    """Changes the step of SGD, whose equation no longer holds."""

    def update(self, value, grad, state):
        value *= 0.5


class Lion(Optimizer):
    """The equation has the parameter before the slot."""

    equation = "w - eta sign(0.9 m + 0.1 g); m = 0.5 m + 0.5 g"
    slots = ("mean",)

    def update(self, value, grad, state):
        mean = state["mean"]
        value -= self.rate * np.sign(0.9 * mean + 0.1 * grad)
        mean *= 0.5
        mean += 0.5 * grad


DECAY = ExponentialDecay(initial_learning_rate=0.1, decay_rate=0.5)
OPTIMIZERS = [
    SGD(learning_rate=DECAY),
    SGD(momentum=0.9, weight_decay=0.1),
    SGD(momentum=0.9, nesterov=True, clip_norm=0.01),
    Adagrad(clip_value=0.05),
    RMSprop(weight_decay=0.1, clip_norm=1e6),
    RMSprop(momentum=0.5),
    Adam(weight_decay=0.1, clip_norm=0.01),
    AdamW(),
    Halving(),
    Lion(learning_rate=0.1),
]


def network():
    layers = [Dense(3, "tanh", weight_regularizer=L2(0.1)), BatchNorm(), Dropout(0.5), Dense(2)]
    return Sequential(layers, input_shape=(3,), rng=1)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_the_update_equals_a_step_of_training(optimizer):
    model = network()
    model["batch_norm_1"].gamma.trainable = False
    model.compile(optimizer=copy.deepcopy(optimizer), loss=MSELoss())
    for _ in range(2):  # the optimizer has a state and made steps
        model.fit(X, Y, epochs=1, batch_size=None, verbose=0)
        before = pickle.dumps(model)
        explanation = model.explain(X, Y)
        assert pickle.dumps(model) == before
    twin = pickle.loads(before)
    twin.fit(X, Y, epochs=1, batch_size=None, verbose=0)
    updates = {step.name: step for step in explanation.steps if step.phase == "update"}
    expected = {f"{path}": p.value for path, p in twin.named_parameters() if p.trainable}
    new = updates.pop("J_new").values[0]
    told = {s.path: s.values[0] for s in updates.values() if not s.name[1:].startswith("_")}
    assert told.keys() == expected.keys()
    for path, value in expected.items():
        np.testing.assert_allclose(told[path], value, rtol=1e-12, err_msg=path)
    masked = pickle.loads(before)  # the new loss has the same dropout mask
    masked.parameters.value = twin.parameters.value
    assert new == pytest.approx(masked.explain(X, Y).j, rel=1e-12)
    assert f"J {explanation.j:.6g} → {new:.6g}" in str(explanation)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_the_numbers_of_an_update_add_up(optimizer):
    text = network().explain(X, Y, loss=MSELoss(), optimizer=optimizer).text(row=3)
    whole = re.sub(r"\n {6,}", " ", text.split("UPDATE")[1])
    lines = re.findall(r"^  (\S+\[[\d,]+\]|J_new) [=←] (.*) = (\S+)$", whole, re.MULTILINE)
    assert len(lines) > 20
    for name, middle, value in lines:
        numbers = [abs(float(n)) for n in re.findall(r"\d+\.?\d*(?:e[-+]\d+)?", middle)]
        expected = pytest.approx(float(value), rel=1e-4, abs=1e-5 * max(numbers))
        assert evaluate(middle) == expected, name


def test_the_update_of_a_weight_has_all_its_lines():
    model = network()
    explanation = model.explain(X, Y, loss=MSELoss(), optimizer="adam")
    names = re.findall(r"^  (\S+)\s+[=←]", explanation.weight("dense_1", (2, 1)), re.MULTILINE)
    assert names == ["w1[2,1]", "∂J/∂w1[2,1]", "m_w1[2,1]", "s_w1[2,1]", "w1[2,1]"]
    assert "w1[2,1] = " in model.explain(X, Y, loss=MSELoss()).weight("dense_1", (2, 1))


def test_a_subclass_with_a_step_of_its_own_shows_the_change():
    text = str(network().explain(X, Y, loss=MSELoss(), optimizer=Halving()))
    assert "w1[j,k] ← w1[j,k] + change" in text
    assert "η" not in text


def test_the_update_is_in_latex_and_shows_the_weights_with_the_largest_gradients():
    model = Sequential([Dense(40), Dense(1)], input_shape=(3,), rng=0)
    explanation = model.explain(X, Y[:, :1], loss=MSELoss(), optimizer="sgd")
    text, latex = str(explanation), explanation.to_latex()
    assert r"\section*{Update}" in latex
    assert r"\leftarrow" in latex
    gradient = re.findall(r"^  ∂J/∂w1(\[\d+,\d+\]) =", text, re.MULTILINE)
    assert re.findall(r"^  w1(\[\d+,\d+\]) ←", text, re.MULTILINE) == gradient
    assert len(gradient) == 4


def test_an_equation_of_an_unknown_slot_names_the_slots():
    class Wrong(Lion):
        equation = "q = g; w - eta q"

        def update(self, value, grad, state):
            value -= self.rate * grad

    with pytest.raises(ValueError, match=r"Wrong expects.*g, m, w.*got q"):
        network().explain(X, Y, loss=MSELoss(), optimizer=Wrong(learning_rate=0.1))


def test_shared_parameters_have_one_update():
    first = Dense(3)
    Sequential([first], input_shape=(3,), rng=1)
    model = Sequential([first, Dense(3, weight=first.weight)], input_shape=(3,), rng=1)
    explanation = model.explain(X, X, loss=MSELoss(), optimizer=SGD(learning_rate=0.5))
    (update,) = (step for step in explanation.steps if step.name == "w1")
    twin = copy.deepcopy(model)
    loss = MSELoss()
    loss.forward(twin.forward(X), X)
    twin.backward(loss.backward())
    expected = first.weight.value - 0.5 * twin.parameters[0].grad
    np.testing.assert_allclose(update.values[0], expected, rtol=1e-12)


def test_without_an_optimizer_there_is_no_update():
    explanation = network().explain(X, Y, loss=MSELoss())
    assert "UPDATE" not in str(explanation)
    assert explanation.steps[-1].phase == "backward"
