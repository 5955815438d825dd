"""A subclass that computes something else never gets an equation that isn't true."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import rows_for, slow
from minigrad import (
    LSTM,
    SGD,
    Adam,
    Conv2D,
    Dense,
    Embedding,
    Flatten,
    Identity,
    Layer,
    Loss,
    Model,
    MSELoss,
    Optimizer,
    Sequential,
    SimpleRNN,
    Tanh,
)
from minigrad.core.cached import Cached
from minigrad.explain.formula import computes
from registered_examples import LAYERS, LOSSES, OPTIMIZERS
from test_explain import ALL, adds_up, evaluate, lines_of

HOW_IT_IS_MADE = {"build", "get_config", "parameter", "label", "match", "cast", "matrix_shape"}


def methods_of(kind: type) -> list[str]:
    """Name the methods that a class or its bases up to Layer, Loss or Optimizer define."""
    bases = kind.__mro__[: kind.__mro__.index(Cached if issubclass(kind, Cached) else object)]
    names = {name for cls in bases for name, member in vars(cls).items() if callable(member)}
    made = {name for name in names if name.startswith(("__", "check_"))} | HOW_IT_IS_MADE
    return sorted(names - made)


def changed(result: Any, factor: float, added: float) -> Any:
    """Return other numbers in arrays of the same shape and dtype, and anything else as it is."""
    if isinstance(result, np.ndarray) and result.dtype.kind == "f":
        return (result * factor + added).astype(result.dtype)
    if isinstance(result, float):
        return result * factor + added
    if type(result) is tuple:
        return tuple(changed(part, factor, added) for part in result)
    return result


def overriding(example: Any, name: str, factor: float, added: float) -> Any:
    """Return a copy of an object whose class overrides one method."""
    base: Any = type(example)

    def method(self: Any, *args: Any, **options: Any) -> Any:
        result = getattr(super(kind, self), name)(*args, **options)
        if name == "update":
            args[0][...] = args[0] * factor + added
        if name == "forward_steps":
            args[1][0][1:] *= factor
        return changed(result, factor, added)

    kind: Any = type(f"Other{base.__name__}", (base,), {name: method})
    other = copy.deepcopy(example)
    other.__class__ = kind
    return other


def check(explanation: Any) -> None:
    explanation.to_latex()
    explanation._repr_html_()
    if not np.isfinite(explanation.j):
        return  # such as the root of a negative variance
    for text in (explanation.text(most=ALL), explanation.text(row=explanation.rows - 1)):
        adds_up(text)
        for name, middle, value in re.findall(
            r"^  (\S+\[[\d,]+\]) ← (.*) = (\S+)$", re.sub(r"\n {6,}", " ", text), re.MULTILINE
        ):
            sizes = [abs(float(n)) for n in re.findall(r"\d+\.?\d*(?:e[-+]\d+)?", middle)]
            expected = pytest.approx(float(value), rel=1e-4, abs=1e-5 * max(sizes))
            assert evaluate(middle) == expected, name


def tried(few: int, many: int) -> Any:
    """Try a test on a few examples, or with `-m slow` on many."""

    def decorate(test: Any) -> Any:
        def run(examples: int) -> None:
            settings(max_examples=examples, deadline=None)(test)()

        return pytest.mark.parametrize("examples", [few, slow(many)])(run)

    return decorate


CHANGES = {"factor": st.sampled_from([1.5, 0.25, -1.0, 1.0]), "added": st.sampled_from([0.0, 0.5])}


@tried(30, 200)
@given(example=st.sampled_from(LAYERS), data=st.data(), rows=st.integers(2, 3), **CHANGES)
def test_a_layer_that_overrides_a_method(example, data, rows, factor, added):
    layer, shape = example
    if isinstance(layer, Model):
        return
    other = overriding(layer, data.draw(st.sampled_from(methods_of(type(layer)))), factor, added)
    model = Sequential([other, Flatten(), Dense(2)], input_shape=shape, rng=0)
    x = rows_for(layer, shape, rows)
    y = np.random.default_rng(2).normal(size=(rows, 2))
    check(model.explain(x, y, loss=MSELoss()))


@tried(25, 80)
@given(example=st.sampled_from(LOSSES), data=st.data(), **CHANGES)
def test_a_loss_that_overrides_a_method(example, data, factor, added):
    loss, prediction, target = example
    other = overriding(loss, data.draw(st.sampled_from(methods_of(type(loss)))), factor, added)
    model = Sequential([Identity()], input_shape=prediction.shape[1:])
    check(model.explain(prediction, target, loss=other))


@tried(15, 60)
@given(optimizer=st.sampled_from(OPTIMIZERS), data=st.data(), **CHANGES)
def test_an_optimizer_that_overrides_a_method(optimizer, data, factor, added):
    name = data.draw(st.sampled_from(methods_of(type(optimizer))))
    other = overriding(optimizer, name, factor, added)
    model = Sequential([Dense(2, "tanh"), Dense(1)], input_shape=(2,), rng=0)
    check(model.explain(np.eye(2), np.ones((2, 1)), loss=MSELoss(), optimizer=other))


class Doubled(Tanh):
    def function(self, z):
        return 2 * np.tanh(z)


class Cubed(MSELoss):
    def terms(self, prediction, target):
        error = prediction - target
        return error**3, 3 * error**2


class Linear(SimpleRNN):
    def forward_steps(self, inputs, states, factor):
        matrix, (h,) = self.matrix().T, states
        for t in range(len(h) - 1):
            np.matmul(matrix, inputs[t], out=h[t + 1])
        return ()

    def backward_steps(self, deltas, states, kept, factor):
        (delta_h,) = deltas
        delta = np.ones_like(delta_h[1:])
        for t in reversed(range(len(delta))):
            delta[t] *= delta_h[t + 1]
            delta_h[t] += self.recurrent_weight.value @ delta[t]
        return delta


class Half(Conv2D):
    def linear(self, windows, x):
        return super().linear(windows, x) / 2


class Depthwise(Conv2D):
    """Each channel has a kernel of its own."""

    def matrix_shape(self, channels):
        return 1, channels

    def linear(self, windows, x):
        w = self.weight.value
        full = w[..., 0, :, np.newaxis] * np.eye(w.shape[-1])
        return windows.correlate(x, full)

    def weight_gradient(self, windows, x, delta):
        channels = x.shape[-1]
        full = windows.weight_gradient(x, delta).reshape(-1, channels, channels)
        return np.einsum("icc->ic", full)

    def input_delta(self, windows, delta):
        w = self.weight.value
        return windows.spread(delta, w[..., 0, :, np.newaxis] * np.eye(w.shape[-1]))


@pytest.mark.parametrize(
    ("layer", "shape", "gone"),
    [
        (Doubled(), (3,), r"tanh\("),
        (Linear(2), (3, 2), r"tanh\("),
        (Half(2, 2), (3, 3, 1), "w1|kernel"),
        (Depthwise(2, 2), (3, 3, 2), "w1|kernel"),
        (Depthwise(2, 2, activation="tanh"), (3, 3, 2), "w1|kernel"),
    ],
)
def test_a_subclass_of_another_kind_has_its_numbers_alone(layer, shape, gone):
    model = Sequential([layer, Flatten(), Dense(2)], input_shape=shape, rng=0)
    explanation = model.explain(rows_for(layer, shape, 2), np.ones((2, 2)), loss=MSELoss())
    output = str(explanation).split("\n\n")[3]
    assert not re.search(gone, output)
    check(explanation)


def test_a_loss_of_another_kind_has_its_numbers_alone():
    model = Sequential([Dense(1)], input_shape=(2,), rng=0)
    explanation = model.explain(np.ones((1, 2)), np.ones((1, 1)), loss=Cubed())
    assert lines_of(str(explanation))["l[0]"][0] == ""
    assert "2 (z1[k] - t[k])" not in str(explanation)
    check(explanation)


def test_an_equation_that_isnt_true_is_left_out():
    class Wrong(Tanh):
        equation = "a = tanh(z) + 0.001; g' = 1 - a^2"

    model = Sequential([Dense(2), Wrong()], input_shape=(2,), rng=0)
    text = str(model.explain(np.ones((1, 2)), np.ones((1, 2)), loss=MSELoss()))
    printed = lines_of(text)
    assert printed["a1[0]"][0] == ""
    assert printed["g'(z1[0])"][0] != ""
    assert "tanh" not in text.split("BACKWARD")[0].replace("tanh_1", "")


@pytest.mark.parametrize("right", ["squash(z)", "tanh(z) + rest", "sum(t z)", "tanh(z"])
def test_an_equation_that_cant_be_evaluated_has_its_numbers_alone(right):
    class Own(Tanh):
        equation = f"a = {right}; g' = 1 - a^2"

    model = Sequential([Dense(2), Own()], input_shape=(2,), rng=0)
    text = str(model.explain(np.ones((1, 2)), np.ones((1, 2)), loss=MSELoss()))
    assert "  a1[k] = " in text
    assert lines_of(text)["a1[0]"][0] == ""


@pytest.mark.parametrize("kind", [Tanh, Dense, LSTM, Conv2D, Embedding, MSELoss, SGD, Adam])
def test_a_subclass_that_only_describes_itself_keeps_the_equation(kind):
    class Named(kind):
        def get_config(self):
            return super().get_config()

    assert computes(Named, kind)
    assert issubclass(kind, (Layer, Loss, Optimizer))
