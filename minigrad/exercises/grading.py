"""Says in words what is wrong with a layer: its forward, each gradient, and what it passes down."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigrad.arrays import Array
from minigrad.exercises.tasks import Task
from minigrad.layers.base import Layer, connect

ROWS, FEATURES = 5, 3


def grade(layer: Layer, task: Task) -> list[str]:
    """Return what is wrong, in words; nothing if the layer is right.

    >>> from minigrad import Sigmoid
    >>> from minigrad.exercises.tasks import TASKS
    >>> grade(Sigmoid(), TASKS["slope"])
    []
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, FEATURES))
    weights = rng.normal(size=(ROWS, FEATURES))
    try:
        connect(layer, (FEATURES,), np.random.default_rng(1))
        for _, parameter in layer.own_parameters():
            parameter.value += rng.normal(size=parameter.shape)
        if task.forward is None:
            return _grade_dropout(layer)
        wrong = _grade_forward(layer, x, task)
        return wrong or _grade_backward(layer, x, weights)
    except NotImplementedError as error:
        return [f"it isn't written yet: {error}"]
    except Exception as error:
        return [_explain(error)]


def _grade_forward(layer: Layer, x: Array, task: Task) -> list[str]:
    assert task.forward is not None
    expected = task.forward(layer, x)
    for training in (True, False):
        got = layer.forward(x, training=training)
        mode = "training" if training else "inference"
        if np.shape(got) != expected.shape:
            return [f"forward returns shape {np.shape(got)}, expected {expected.shape}"]
        if not np.allclose(got, expected):
            return [f"forward in {mode} is wrong: {compare(np.asarray(got), expected)}"]
    return []


def _grade_backward(layer: Layer, x: Array, weights: Array) -> list[str]:
    """Hold each gradient of J = sum of weights * output against differences."""

    def objective() -> float:
        return float((layer.forward(x) * weights).sum())

    layer.forward(x)
    layer.backward(weights)
    passed_down = layer.backward(weights)  # twice: gradients are assigned, not added up
    gradients = {
        f"the gradient of {name}": (parameter.grad.copy(), _differences(parameter.value, objective))
        for name, parameter in layer.own_parameters()
    }
    gradients["what backward returns, dJ/dx,"] = (passed_down, _differences(x, objective))
    wrong = []
    for name, (got, expected) in gradients.items():
        if np.shape(got) != expected.shape:
            wrong.append(f"{name} has shape {np.shape(got)}, expected {expected.shape}")
        elif not np.allclose(got, expected, rtol=1e-5, atol=1e-7):
            wrong.append(f"{name} {compare(got, expected, weights)}")
    return wrong


def _grade_dropout(layer: Layer) -> list[str]:
    ones = np.ones((2000, FEATURES))
    quiet = layer.forward(ones, training=False)
    loud = layer.forward(ones)
    wrong = []
    if not np.array_equal(quiet, ones):
        wrong.append(
            "in inference it must change nothing, but ones come out as "
            f"{float(np.mean(quiet)):.2f}: scale in training, not here"
        )
    if abs(float(np.mean(loud)) - 1) > 0.1:
        wrong.append(
            f"in training the mean of ones becomes {float(np.mean(loud)):.2f}: divide what is kept "
            "by the probability of keeping it, so that the mean stays 1"
        )
    back = layer.backward(np.ones_like(ones))
    if not np.allclose(back, loud):
        wrong.append("backward must multiply delta by the same scaled mask that forward used")
    return wrong


def compare(got: Array, expected: Array, delta: Array | None = None) -> str:
    """Say how an array differs from what it should be, by the likeliest mistake.

    >>> compare(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 3.0], [2.0, 4.0]]))
    'is the transpose of what it should be'
    """
    if not np.isfinite(got).all():
        return "is not finite"
    if not got.any():
        return "is zero: was it assigned?"
    if delta is not None and got.shape == delta.shape and np.allclose(got, delta):
        return "is delta itself: the derivative is missing"
    if got.ndim == 2 and got.shape == got.T.shape and np.allclose(got.T, expected, rtol=1e-5):
        return "is the transpose of what it should be"
    nonzero = np.abs(expected) > 1e-9
    ratios = got[nonzero] / expected[nonzero]
    if ratios.size and np.allclose(ratios, ratios.flat[0], rtol=1e-4):
        return _factor(float(ratios.flat[0]))
    if delta is not None and got.shape == delta.shape[1:]:
        for row in delta:
            if np.allclose(got, row):
                return "holds the delta of one row: it must be summed over the rows"
    index = np.unravel_index(int(np.argmax(np.abs(got - expected))), got.shape)
    return f"is {got[index]:.4g} at index {tuple(map(int, index))}, expected {expected[index]:.4g}"


def _factor(ratio: float) -> str:
    if np.isclose(ratio, -1):
        return "has the wrong sign"
    if np.isclose(ratio, 1 / ROWS):
        return "is a mean over the rows: it must be their sum"
    if np.isclose(ratio, 2):
        return "is twice what it should be, or added to what was there: assign it"
    return f"is {ratio:.4g} times what it should be"


def _explain(error: Exception) -> str:
    message = str(error)
    if isinstance(error, ValueError) and "the gradient of Parameter" in message:
        return f"{message}: is it summed over the rows?"
    return f"it raises {type(error).__name__}: {message}"


def _differences(value: Array, objective: Callable[[], float]) -> Array:
    slopes = np.zeros_like(value)
    for index in np.ndindex(value.shape):
        kept, step = value[index], 1e-6
        value[index] = kept + step
        above = objective()
        value[index] = kept - step
        slopes[index] = (above - objective()) / (2 * step)
        value[index] = kept
    return slopes
