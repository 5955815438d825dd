"""The rules that every layer keeps: each a sentence, and a function that fails if one doesn't."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.checks.copies import Rewind
from minigrad.checks.example import ROWS, Example, batch_dependent, draws, locked, shares, state
from minigrad.checks.gradients import check_gradients
from minigrad.checks.hints import not_cast, not_connected, run_twice
from minigrad.core.layer import walk
from minigrad.data.arrays import Array
from minigrad.losses import MSELoss
from minigrad.optimizers import SGD
from minigrad.saving.description import from_config, to_config
from minigrad.util.names import join
from minigrad.util.random import is_rng

DTYPES = ("float64", "float32")


class BrokenRuleError(AssertionError):
    """A layer breaks a rule; the message says what was found."""


Rule: TypeAlias = Callable[[Example], None]
RULES: dict[str, Rule] = {}
"""In the order in which they build on one another; without the first, none can be tried."""


def rule(sentence: str) -> Callable[[Rule], Rule]:
    """Add a function to the rules, under the sentence that it checks; a decorator."""

    def add(function: Rule) -> Rule:
        RULES[sentence] = function
        return function

    return add


def need(holds: bool, found: str) -> None:
    """Fail with what was found, unless a condition holds."""
    if not holds:
        raise BrokenRuleError(found)


def close(one: Array, two: Array) -> bool:
    """Tell whether two arrays hold the same numbers, but for rounding."""
    return one.shape == two.shape and np.allclose(one, two, rtol=1e-9, atol=1e-12)


@rule("build makes the parameters, connects layers inside, and returns the shape of an output row")
def _builds(example: Example) -> None:
    for path in not_connected(example.built()):
        raise BrokenRuleError(
            f"{path} has no output_shape then: build it by minigrad.core.layer.connect(layer, "
            "input_shape, rng), and not by its own build"
        )


@rule("forward gives rows of the shape that build returned")
def _declares_its_shape(example: Example) -> None:
    layer = example.built()
    declared = layer.output_shape
    assert declared is not None
    for rows, training in ((ROWS, True), (ROWS, False), (1, False)):
        output = layer.forward(example.x(rows=rows), training=training)
        need(isinstance(output, np.ndarray), f"forward returned a {type(output).__name__}")
        need(
            output.shape == (rows, *declared),
            f"build returned {declared}; for {rows} rows with training={training} forward gave "
            f"an array of shape {output.shape}",
        )


@rule("backward returns dJ/dx, of the shape of x, and assigns gradients of the parameters' shapes")
def _returns_an_input_delta(example: Example) -> None:
    _, back = example.trained(example.built())
    need(isinstance(back, np.ndarray), f"backward returned a {type(back).__name__}")
    expected = (ROWS, *example.input_shape)
    need(back.shape == expected, f"x has shape {expected}, and backward gave {back.shape}")


@rule("backward gives the exact derivatives of what forward gives")
def _has_exact_gradients(example: Example) -> None:
    layer = example.built()
    assert layer.output_shape is not None
    target = np.random.default_rng(3).normal(size=(ROWS, *layer.output_shape))
    for loss in (MSELoss(), MSELoss(reduction="sum", scale=0.5)):
        report = check_gradients(example.model(), example.x(), target, loss)
        said = str(report).splitlines()[0].removeprefix("FAILED: ")
        if not report.passed:
            hint = f"; {report.worst.hint}" if report.worst.hint else run_twice(example)
            raise BrokenRuleError(f"with {loss!r}, {said}{hint}")


@rule("backward_parameters assigns the gradients that backward assigns")
def _has_equal_backward_parameters(example: Example) -> None:
    layer, other = example.built(), example.built()
    example.trained(layer)
    other.backward_parameters(example.delta(other.forward(example.x())))
    for (path, one), (_, two) in zip(
        layer.named_parameters(), other.named_parameters(), strict=True
    ):
        need(np.allclose(one.grad, two.grad, rtol=1e-12), f"the gradient of '{path}' is another")


@rule("all numbers have the dtype of x and the parameters")
def _keeps_the_dtype(example: Example) -> None:
    for dtype in DTYPES:
        layer = example.built(dtype)
        why = not_cast(layer, dtype)
        output, back = example.trained(layer, dtype)
        inferred = layer.forward(example.x(dtype), training=False)
        named = {"forward": output, "forward in inference": inferred, "backward": back}
        for path, inner in walk(layer, layer.name):
            named |= {f"the buffer {join(path, b)}": getattr(inner, b) for b in inner.buffers}
        for what, array in named.items():
            need(array.dtype == dtype, f"in {dtype}, {what} gives {array.dtype}{why}")


@rule("what forward and backward return is new, and what they are given stays as it was")
def _shares_no_array(example: Example) -> None:
    layer = example.built()
    x = locked(example.x())
    for training in (False, True):
        output = layer.forward(x, training=training)
        need(not np.shares_memory(output, x), f"forward(training={training}) returns x's memory")
    delta = locked(example.delta(output))
    back = layer.backward(delta)
    need(not np.shares_memory(back, delta), "backward returns delta's memory")
    for path, parameter in layer.named_parameters():
        for array in (output, back):
            need(not np.shares_memory(array, parameter.value), f"memory of '{path}' is handed out")


@rule("backward before forward raises a RuntimeError that names the layer")
def _refuses_backward_first(example: Example) -> None:
    layer = example.built()
    shape = (ROWS, *(layer.output_shape or ()))
    layer.forward(example.x(), training=False)
    for call in (layer.backward, layer.backward_parameters):
        try:
            call(np.ones(shape))
        except RuntimeError as error:
            way = "; read self.cache before a layer inside runs" if layer.children else ""
            need(layer.label in str(error) or layer.name in str(error), f"it says: {error}{way}")
        else:
            raise BrokenRuleError("nothing was raised: keep what backward needs in self.cache")


@rule("backward assigns gradients and adds to none: a second one gives the same")
def _repeats_backward(example: Example) -> None:
    model = example.model()
    delta = example.delta(model.forward(example.x()))
    model.parameters.grad = np.ones(model.parameters.size)
    first, gradients = model.layers[0].backward(delta).copy(), model.parameters.grad.copy()
    second = model.layers[0].backward(delta)
    need(bool((first == second).all()), "dJ/dx is another the second time")
    same = bool((gradients == model.parameters.grad).all())
    need(same, "a parameter's gradient is another the second time")


@rule("forward(training=False) writes nothing on the layer, and draws no random number")
def _infers_without_a_trace(example: Example) -> None:
    layer = example.built()
    before = dict(state(layer))
    layer.forward(example.x(), training=False)
    for place, (value, content) in state(layer):
        need(place in before, f"it made {place}")
        same = before[place][0] is value and before[place][1] == content
        need(same, f"it changed {place}")


@rule("inference between forward and backward changes nothing")
def _infers_in_between(example: Example) -> None:
    plain, disturbed = example.model(), example.model()
    for model in (plain, disturbed):
        output = model.forward(example.x())
        if model is disturbed:
            model.layers[0].forward(example.x(seed=9), training=False)
        back = model.layers[0].backward(np.ones(output.shape))
        if model is plain:
            expected = back.copy()
    same = (back == expected).all() and (plain.parameters.grad == disturbed.parameters.grad).all()
    need(bool(same), "backward gives other numbers after it")


@rule("eight threads at once infer the bits that one infers")
def _infers_in_threads(example: Example) -> None:
    from concurrent.futures import ThreadPoolExecutor

    layer = example.built()
    batches = [example.x(rows=1000 + seed, seed=seed) for seed in range(32)]
    alone = [layer.forward(x, training=False) for x in batches]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda x: layer.forward(x, training=False), batches))
    same = all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    need(same, "the outputs differ")


@rule("a row's output depends on that row alone, unless batch_dependent is True")
def _ties_no_rows(example: Example) -> None:
    layer = example.built()
    if batch_dependent(layer):
        return
    x, others = example.x(), example.x(seed=9)
    others[2:4] = x[2:4]
    for training in (False, True):
        alone = f"with training={training}, rows 2 and 3 give other numbers"
        rewind = Rewind(layer)
        whole = layer.forward(x, training=training)[2:4]
        if not (training and draws(layer)):  # fewer rows would draw other numbers
            part = layer.forward(x[2:4], training=training)
            need(close(whole, part), f"{alone} without the others")
        rewind()
        among_others = layer.forward(others, training=training)[2:4]
        need(close(whole, among_others), f"{alone} among others")


@rule(
    "training moves buffers by blocks of rows as by the whole batch, unless batch_dependent is True"
)
def _moves_buffers_by_rows(example: Example) -> None:
    whole, parts = example.built(), example.built()
    if batch_dependent(whole):
        return
    x = example.x()
    whole.forward(x)
    for block in (x[:2], x[2:]):
        parts.forward(block)
    for (path, one), (_, two) in zip(walk(whole, whole.name), walk(parts), strict=True):
        for name in one.buffers:
            same = close(getattr(one, name), getattr(two, name))
            need(same, f"{join(path, name)} ends with other numbers: set batch_dependent = True")


@rule("random numbers come from the rng given to build, and draws is True where there are any")
def _draws_as_it_says(example: Example) -> None:
    one, two = example.built(), example.built()
    global_state = str(np.random.get_state())  # noqa: NPY002
    first = one.forward(example.x())
    need(np.array_equal(first, two.forward(example.x())), "one seed gives two outputs")
    again = one.forward(example.x())
    need(draws(one) or np.array_equal(first, again), "the same rows give two outputs, undeclared")
    need(global_state == str(np.random.get_state()), "it draws from NumPy's global state")  # noqa: NPY002


@rule("x of -10,000 and 10,000 gives finite numbers without a warning")
def _survives_large_numbers(example: Example) -> None:
    for dtype in DTYPES:
        layer = example.built(dtype)
        x = 1e4 * np.sign(example.x(dtype))
        with np.errstate(all="raise", under="ignore"):
            inferred = layer.forward(x, training=False)
            output = layer.forward(x)
            back = layer.backward(np.ones_like(output))
        for what, array in (("inference", inferred), ("forward", output), ("backward", back)):
            need(bool(np.isfinite(array).all()), f"in {dtype}, {what} isn't finite")


@rule("buffers names arrays of floating numbers, which build makes")
def _has_its_buffers(example: Example) -> None:
    built = example.built()
    for path, layer in walk(built, built.name):
        for name in layer.buffers:
            array = getattr(layer, name, None)
            found = type(array).__name__
            need(isinstance(array, np.ndarray), f"{join(path, name)} is a {found}")


@rule("its configuration makes an equal layer")
def _is_made_from_its_config(example: Example) -> None:
    import json

    layer, arrays = copy.deepcopy(example.layer), dict[str, NDArray[Any]]()
    known = {type(inner).__name__: type(inner) for _, inner in walk(layer)}
    text = json.dumps(to_config(layer, layer.label, arrays))
    again = from_config(json.loads(text), known, arrays)
    need(repr(again) == repr(layer), f"{layer!r} became {again!r}")
    for name in inspect.signature(type(layer)).parameters:
        kept, made = getattr(layer, name, None), getattr(again, name, None)
        need(is_rng(kept) or repr(kept) == repr(made), f"{name}={kept!r} became {made!r}")
    if shares(layer):  # what is shared is no part of a configuration
        return
    twin = Example(again, example.input_shape).built()
    same = np.array_equal(example.trained(example.built())[0], example.trained(twin)[0])
    need(same, "built from the same seed, it gives another output")


@rule("a deep copy computes the same, and has arrays of its own")
def _is_copied(example: Example) -> None:
    model = example.model()
    model.forward(example.x())
    twin = copy.deepcopy(model)
    for one, two in zip(example.trained(model), example.trained(twin), strict=True):
        need(np.array_equal(one, two), "its output is another")
    kept = model.parameters.value.copy()
    twin.parameters.value = twin.parameters.value + 1
    need(np.array_equal(kept, model.parameters.value), "to change the copy changes the layer")


@rule("trainable = False stops the update, and nothing else")
def _freezes(example: Example) -> None:
    free, frozen = example.model(), example.model()
    frozen.layers[0].trainable = False
    for one, two in zip(example.trained(free), example.trained(frozen), strict=True):
        need(np.array_equal(one, two), "frozen, it gives other numbers")
    need(np.array_equal(free.parameters.grad, frozen.parameters.grad), "other gradients")
    kept = frozen.parameters.value.copy()
    SGD(learning_rate=0.5).step(frozen.parameters)
    need(np.array_equal(kept, frozen.parameters.value), "frozen, it was updated")
