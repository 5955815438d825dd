"""The grader: it names what is wrong with a layer's forward, its gradients, and its dJ/dx."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping

import numpy as np

from minigrad.checks.differences import difference
from minigrad.core.layer import Layer, build_once
from minigrad.data.arrays import Array
from minigrad.lessons.exercises import FEATURES, ROWS, Exercise, Numbers, WrongParametersError

_RATE = 0.25  # of dropout; at 1/2 dropped and kept numbers would look the same
_MARGIN = 0.05  # how far the share of dropped numbers, and the mean, may be off by chance
_STEP = 1e-6
_METHODS = {"__init__", "build", "forward", "backward"}
_TRANSPOSE = "is a transpose missing, or are the factors in the wrong order?"
_ERROR_HINTS = {  # the likely causes of errors of Python and NumPy, by a pattern of the message
    "columns by one of": _TRANSPOSE,
    "not aligned": _TRANSPOSE,
    "could not be broadcast": "is it a * instead of an @, or is a sum missing?",
    "name 'np' is": "import numpy as np",
    "^backward.*NameError": "backward can't see the variables of forward; store them in self.cache",
    "and 'Parameter'": "its array is in .value",
    "'Parameter' and": "its array is in .value",
    "no attribute 'value'": "is it still a Parameter? Assign its gradient to .grad",
}
_SUMMED = {  # the likely causes of a wrong factor in a parameter's gradient
    1 / ROWS: "is a mean over the rows: use the sum, because the loss already takes the mean",
    1 / ROWS**2: "is divided by the rows twice: use the sum, because the loss takes the mean",
    1 / FEATURES: "is a mean over the features: keep them separate",
    1 / (ROWS * FEATURES): "is divided by rows and features: the loss already takes the mean",
    ROWS: f"is multiplied by the number of rows, {ROWS}: sum only once",
    2: "is twice the right one",
}
_SEPARATE = {  # the likely causes of a wrong factor in dJ/dx, which keeps the rows separate
    1 / ROWS: "is divided by the number of rows: it isn't a sum over the rows, so don't divide it",
    1 / FEATURES: "is divided by the number of features: don't divide it",
    1 / (ROWS * FEATURES): "is divided by rows and features: don't divide it",
    2: "is twice the right one",
}


def grade(layer: Layer, exercise: Exercise) -> list[str]:
    """Return what is wrong with a layer, in a sentence each; an empty list if it is correct.

    >>> from minigrad import Sigmoid
    >>> from minigrad.lessons.exercises import EXERCISES
    >>> grade(Sigmoid(), EXERCISES["slope"])
    []
    """
    rng = np.random.default_rng(0)
    x, delta = rng.normal(size=(2, ROWS, FEATURES))
    try:
        build_once(layer, (FEATURES,), np.random.default_rng(1))
        for _, parameter in layer.own_parameters():
            parameter.value += rng.normal(size=parameter.shape)
        if exercise.forward is None:
            return _grade_dropout(layer)
        expected = exercise.forward(layer, x)
        for training, mode in ((True, "training"), (False, "inference")):
            if found := compare(layer.forward(x, training=training), expected):
                return [f"the result of forward in {mode} {found}"]
        return _grade_backward(layer, x, delta, exercise)
    except NotImplementedError as error:
        return [f"it isn't written yet: {error}"]
    except WrongParametersError as error:
        return [str(error)]
    except Exception as error:
        return [_explain(error)]


def _grade_backward(layer: Layer, x: Array, delta: Array, exercise: Exercise) -> list[str]:
    """Compare each gradient of J = sum(delta * output) with central differences."""
    own, forward = layer.own_parameters(), exercise.forward
    assert forward is not None

    def objective() -> float:
        return float((layer.forward(x) * delta).sum())

    def differences(array: Array) -> Array:
        slopes = [difference(objective, array, i, _STEP) for i in np.ndindex(array.shape)]
        return np.reshape(slopes, array.shape)

    values = [parameter.value.copy() for _, parameter in own]
    known = [set(vars(parameter)) for _, parameter in own]
    layer.forward(x)
    given = delta.copy()
    layer.backward(given)
    if not np.array_equal(given, delta):
        return ["backward writes to its argument delta: create a new array"]
    own = layer.own_parameters()
    for (name, parameter), value in zip(own, values, strict=True):
        if not np.array_equal(parameter.value, value):
            return [f"backward changes the value of {name}: assign only {name}.grad"]
    first = [parameter.grad.copy() for _, parameter in own]
    input_delta = layer.backward(delta.copy())  # a second call shows added gradients
    numbers = Numbers(lambda z: forward(layer, z), x, delta, values[0] if own else np.empty(0))
    wrong = []
    for (name, parameter), once, names in zip(own, first, known, strict=True):
        got, expected = parameter.grad.copy(), differences(parameter.value)
        if _agree(once, expected) and _agree(got, 2 * expected):
            found = "is added to the old one (+=): assign it (=)"
        elif not got.any() and (unknown := vars(parameter).keys() - names):
            found = f"is zero: assign {name}.grad; nothing reads {name}.{min(unknown)}"
        else:
            found = compare(got, expected, _SUMMED, exercise.gradient_mistakes(numbers))
        if found:
            wrong.append(f"the gradient of {name} {found}")
    found = compare(input_delta, differences(x), mistakes=exercise.delta_mistakes(numbers))
    return [*wrong, f"the result of backward, dJ/dx, {found}"] if found else wrong


def _grade_dropout(layer: Layer) -> list[str]:
    layer = type(layer)(rate=_RATE)  # type: ignore[call-arg]
    build_once(layer, (FEATURES,), np.random.default_rng(1))
    ones = np.ones((2000, FEATURES))
    inferred, output = layer.forward(ones, training=False), layer.forward(ones)
    wrong = []
    if not np.array_equal(inferred, ones):
        wrong.append(
            "forward in inference must return its input, but ones become "
            f"{float(np.mean(inferred)):.2f}: scale in training instead"
        )
    dropped, mean = float(np.mean(output == 0)), float(np.mean(output))
    if abs(dropped - _RATE) > _MARGIN:
        wrong.append(f"forward in training drops {dropped:.0%}, expected the rate {_RATE:.0%}")
    elif abs(mean - 1) > _MARGIN:
        wrong.append(
            f"forward in training changes the mean of ones to {mean:.2f} at a rate of {_RATE}: "
            f"divide what is kept by the probability of keeping it, {1 - _RATE}"
        )
    if not np.allclose(layer.backward(np.ones_like(ones)), output):
        wrong.append("backward must multiply delta by the same scaled mask as forward")
    return wrong


def compare(
    got: object,
    expected: Array,
    causes: Mapping[float, str] = _SEPARATE,
    mistakes: Mapping[str, Array] | None = None,
) -> str:
    """Return how a result differs from the right array, by the likeliest mistake; "" if equal.

    `causes` names wrong factors, and `mistakes` holds the arrays that usual mistakes give.
    """
    if not isinstance(got, np.ndarray):
        return f"is a {type(got).__name__}: is a return missing?"
    if got.shape != expected.shape:
        return f"has shape {got.shape}, expected {expected.shape}"
    if _agree(got, expected):
        return ""
    if not np.isfinite(got).all():
        return "is not finite"
    if not got.any():
        return "is zero: is it assigned?"
    nonzero = np.abs(expected) > 1e-9
    ratios = got[nonzero] / expected[nonzero]
    if ratios.size and np.allclose(ratios, ratios.flat[0], rtol=1e-4):
        ratio = float(ratios.flat[0])
        size = f"is {abs(ratio):.4g} times the right one"
        size = next((c for f, c in causes.items() if np.isclose(abs(ratio), f, rtol=1e-4)), size)
        size = "" if np.isclose(ratio, -1) else size
        return size if ratio > 0 else "has the wrong sign" + (size and f", and {size}")
    for words, wrong in {
        "is the transpose of the right one": expected.T,
        **(mistakes or {}),
    }.items():
        for sign, also in ((1, ""), (-1, "; its sign is wrong too")):
            if wrong.shape == got.shape and np.allclose(got, sign * wrong, rtol=1e-4, atol=1e-7):
                return words + also
    index = np.unravel_index(int(np.argmax(np.abs(got - expected))), got.shape)
    return f"is {got[index]:.4g} at index {tuple(map(int, index))}, expected {expected[index]:.4g}"


def _agree(got: Array, expected: Array) -> bool:
    return np.allclose(got, expected, rtol=1e-5, atol=1e-7)


def _explain(error: Exception) -> str:
    """Return an error with its method, its line, and its likely cause."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.name in _METHODS]
    message = f"raises {type(error).__name__}: {error}".rstrip()
    shapes = re.findall(r"\(\d+,[\d, ]*\)", message)
    if "gradient" in message and len(shapes) == 2:
        expected, got = shapes
        return f"the gradient has shape {got}, expected {expected}: {_shape_hint(expected, got)}"
    sizes = re.search(r"matmul: .*size (\d+) is different from (\d+)", message)
    if sizes:
        message = f"multiplies a matrix of {sizes[2]} columns by one of {sizes[1]} rows"
    found = f"{frames[-1].name}, line {frames[-1].lineno}, {message}" if frames else f"it {message}"
    hints = [hint for pattern, hint in _ERROR_HINTS.items() if re.search(pattern, found)]
    return f"{found}: {hints[0]}" if hints else found


def _shape_hint(expected: str, got: str) -> str:
    matrix, row_pairs = str((FEATURES, FEATURES)), str((ROWS, ROWS))
    if expected == matrix and got == row_pairs:
        return "that is a number for each pair of rows; transpose the first factor"
    if expected == matrix and got != str((ROWS, FEATURES, FEATURES)):
        return "use a matrix product (@), which sums over the rows, and no other sum"
    if expected != matrix and got in (matrix, row_pairs):
        return "use no matrix product (@); sum over the rows with axis=0"
    return "sum over the rows only, with axis=0"
