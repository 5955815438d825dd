"""Says in words what is wrong with a layer: its forward, each gradient, and what it passes down."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from minigrad.checks.differences import difference
from minigrad.core.layer import Layer, connect
from minigrad.data.arrays import Array
from minigrad.lessons.mistakes import Numbers
from minigrad.lessons.tasks import Task, UnfitError

ROWS, FEATURES = 5, 3
RATE, ROOM = 0.25, 0.05
STEP = 1e-6
METHODS = {"__init__", "build", "forward", "backward"}
HINTS = {
    "columns by one of": "is a transpose missing, or are the factors the wrong way round?",
    "not aligned": "is a transpose missing, or are the factors the wrong way round?",
    "could not be broadcast": "is a * in the place of an @, or a sum missing?",
    "name 'np' is": "import numpy as np",
    "^backward.*NameError": "forward's variables are gone by then; self.cache is there",
    "and 'Parameter'": "its numbers are in .value",
    "'Parameter' and": "its numbers are in .value",
    "no attribute 'value'": "is it still a Parameter? Its gradient is assigned to .grad",
}
"""What errors of Python and NumPy may come from, by a pattern of what is told."""
_NO_PRODUCT = "no product of matrices, by @, belongs here; sum over the rows alone, by axis=0"
SHAPES = {
    f"shape {(FEATURES, FEATURES)}, got {(ROWS, ROWS)}": (
        "that is a number for each pair of rows; transpose the first factor, not the second"
    ),
    f"shape {(FEATURES, FEATURES)}, got {(ROWS, FEATURES, FEATURES)}": (
        "sum over the rows, by axis=0"
    ),
    f"shape {(FEATURES, FEATURES)}": (
        "a product of matrices, by @, sums over the rows, and nothing else must be summed"
    ),
    f"shape {(FEATURES,)}, got {(FEATURES, FEATURES)}": _NO_PRODUCT,
    f"shape {(FEATURES,)}, got {(ROWS, ROWS)}": _NO_PRODUCT,
    "": "sum over the rows, and over them alone, by axis=0",
}
"""What to do about a gradient of the wrong shape, by the first words that are in what is told."""
_LOSS = "the loss has taken the mean already"
SUMMED = {
    1 / ROWS: f"is a mean over the rows: it must be their sum, as {_LOSS}",
    1 / ROWS**2: f"is divided by the rows twice: it must be their sum, as {_LOSS}",
    1 / FEATURES: "is a mean over the features: leave them apart",
    1 / (ROWS * FEATURES): f"is divided by the rows and the features: {_LOSS}",
    ROWS: f"is multiplied by the rows, {ROWS} here: sum once only",
    2: "is twice what it should be",
}
"""What a wrong factor comes from in a sum over the rows."""
APART = {
    1 / ROWS: "is divided by the rows: it must not be divided, as it is no sum over the rows",
    1 / FEATURES: "is divided by the features: it must not be divided",
    1 / (ROWS * FEATURES): "is divided by the rows and the features: it must not be divided",
    2: "is twice what it should be",
}
"""What a wrong factor comes from in an array that has the rows apart."""
NONE: Final[Mapping[str, Array]] = MappingProxyType({})


def grade(layer: Layer, task: Task) -> list[str]:
    """Return what is wrong, in words; nothing if the layer is right.

    >>> from minigrad import Sigmoid
    >>> from minigrad.lessons.tasks import TASKS
    >>> grade(Sigmoid(), TASKS["slope"])
    []
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, FEATURES))
    delta = rng.normal(size=(ROWS, FEATURES))
    try:
        connect(layer, (FEATURES,), np.random.default_rng(1))
        for _, parameter in layer.own_parameters():
            parameter.value += rng.normal(size=parameter.shape)
        if task.forward is None:
            return _grade_dropout(layer)
        wrong = _grade_forward(layer, x, task)
        return wrong or _grade_backward(layer, x, delta, task)
    except NotImplementedError as error:
        return [f"it isn't written yet: {error}"]
    except UnfitError as error:
        return [str(error)]
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


def _grade_backward(layer: Layer, x: Array, delta: Array, task: Task) -> list[str]:
    """Hold each gradient of J = sum of delta * output against differences."""
    forward = task.forward
    assert forward is not None

    def objective() -> float:
        return float((layer.forward(x) * delta).sum())

    values = [parameter.value.copy() for _, parameter in layer.own_parameters()]
    known = [set(vars(parameter)) for _, parameter in layer.own_parameters()]
    layer.forward(x)
    lent = delta.copy()
    layer.backward(lent)
    if not np.array_equal(lent, delta):
        return ["backward writes into the delta that it was given: make a new array"]
    held = layer.own_parameters()
    for (name, parameter), value in zip(held, values, strict=True):
        if not np.array_equal(parameter.value, value):
            return [f"backward changes the value of {name}: assign {name}.grad, and leave the rest"]
    first = [parameter.grad.copy() for _, parameter in held]
    passed_down = layer.backward(delta.copy())  # twice: gradients are assigned, not added up
    value = held[0][1].value if held else np.empty(0)
    made_of = Numbers(lambda z: forward(layer, z), x, delta, value)
    wrong = []
    for (name, parameter), once, names in zip(held, first, known, strict=True):
        got = parameter.grad.copy()
        expected = _differences(parameter.value, objective)
        if _fits(once, expected) and _fits(got, 2 * expected):
            told = "is added to what was there (+=): assign it (=)"
        elif not got.any() and (strays := vars(parameter).keys() - names):
            told = f"is zero: assign {name}.grad; {name}.{min(strays)} is read by nothing"
        else:
            told = _told(got, expected, task.gradient(made_of), summed=True)
        if told:
            wrong.append(f"the gradient of {name} {told}")
    told = _told(passed_down, _differences(x, objective), task.through(made_of))
    if told:
        wrong.append(f"what backward returns, dJ/dx, {told}")
    return wrong


def _told(
    got: object, expected: Array, mistakes: Mapping[str, Array], *, summed: bool = False
) -> str:
    """Say what is wrong with an array that backward made; nothing if it is right."""
    if not isinstance(got, np.ndarray):
        return f"is a {type(got).__name__}: is a return missing?"
    if got.shape != expected.shape:
        return f"has shape {got.shape}, expected {expected.shape}"
    return "" if _fits(got, expected) else compare(got, expected, mistakes, summed=summed)


def _fits(got: Array, expected: Array) -> bool:
    return np.allclose(got, expected, rtol=1e-5, atol=1e-7)


def _grade_dropout(layer: Layer) -> list[str]:
    """Try it at a rate that isn't 1/2, where dropped and kept would look the same."""
    layer = type(layer)(rate=RATE)  # type: ignore[call-arg]
    connect(layer, (FEATURES,), np.random.default_rng(1))
    ones = np.ones((2000, FEATURES))
    quiet = layer.forward(ones, training=False)
    loud = layer.forward(ones)
    wrong = []
    if not np.array_equal(quiet, ones):
        wrong.append(
            "in inference it must change nothing, but ones come out as "
            f"{float(np.mean(quiet)):.2f}: scale in training, not here"
        )
    dropped = float(np.mean(loud == 0))
    if abs(dropped - RATE) > ROOM:
        wrong.append(f"in training it drops {dropped:.0%} of the numbers, and rate is {RATE:.0%}")
    elif abs(float(np.mean(loud)) - 1) > ROOM:
        wrong.append(
            f"in training the mean of ones becomes {float(np.mean(loud)):.2f} at a rate of {RATE}: "
            f"divide what is kept by the probability of keeping it, {1 - RATE}, so that the mean "
            "stays 1"
        )
    back = layer.backward(np.ones_like(ones))
    if not np.allclose(back, loud):
        wrong.append("backward must multiply delta by the same scaled mask that forward used")
    return wrong


def compare(
    got: Array, expected: Array, mistakes: Mapping[str, Array] = NONE, *, summed: bool = False
) -> str:
    """Say how an array differs from what it should be, by the likeliest mistake.

    Args:
        got: what was computed.
        expected: what is right, of the same shape.
        mistakes: what usual mistakes make of it, by what to say of them.
        summed: whether it is a sum over the rows, as a parameter's gradient is.

    >>> compare(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 3.0], [2.0, 4.0]]))
    'is the transpose of what it should be'
    """
    if not np.isfinite(got).all():
        return "is not finite"
    if not got.any():
        return "is zero: was it assigned?"
    nonzero = np.abs(expected) > 1e-9
    ratios = got[nonzero] / expected[nonzero]
    if ratios.size and np.allclose(ratios, ratios.flat[0], rtol=1e-4):
        return _factor(float(ratios.flat[0]), summed=summed)
    if got.ndim == 2 and got.shape == got.T.shape:
        mistakes = {"is the transpose of what it should be": expected.T, **mistakes}
    for said, wrong in mistakes.items():
        for sign, also in ((1, ""), (-1, "; and its sign is wrong")):
            if wrong.shape == got.shape and np.allclose(got, sign * wrong, rtol=1e-4, atol=1e-7):
                return said + also
    index = np.unravel_index(int(np.argmax(np.abs(got - expected))), got.shape)
    return f"is {got[index]:.4g} at index {tuple(map(int, index))}, expected {expected[index]:.4g}"


def _factor(ratio: float, *, summed: bool) -> str:
    """Say what a wrong factor comes from, with its sign first."""
    size = _size(abs(ratio), SUMMED if summed else APART)
    if ratio > 0:
        return size
    return "has the wrong sign" + (f", and {size}" if not np.isclose(ratio, -1) else "")


def _size(ratio: float, named: Mapping[float, str]) -> str:
    for factor, said in named.items():
        if np.isclose(ratio, factor, rtol=1e-4):
            return said
    return f"is {ratio:.4g} times what it should be"


def _explain(error: Exception) -> str:
    """Say what was raised, in which method and line, and what it may come from."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.name in METHODS]
    place = f"{frames[-1].name}, line {frames[-1].lineno}, " if frames else "it "
    message = f"raises {type(error).__name__}: {error}".rstrip()
    if "the gradient of Parameter" in message:
        told = str(error).partition(": sum")[0]
        return f"{told}: {next(hint for shapes, hint in SHAPES.items() if shapes in told)}"
    inner = re.search(r"matmul: .*size (\d+) is different from (\d+)", message)
    if inner:
        message = f"multiplies a matrix of {inner[2]} columns by one of {inner[1]} rows"
    told = f"{place}{message}"
    hints = [hint for sign, hint in HINTS.items() if re.search(sign, told)]
    return f"{told}: {hints[0]}" if hints else told


def _differences(value: Array, objective: Callable[[], float]) -> Array:
    slopes = np.empty_like(value)
    for index in np.ndindex(value.shape):
        slopes[index] = difference(objective, value, index, STEP)
    return slopes
