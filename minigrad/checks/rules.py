"""The rules for layers: each is a sentence, and a function that fails if a layer breaks it."""

from __future__ import annotations

import copy
import inspect
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.checks.differences import Replay
from minigrad.checks.gradients import check_gradients
from minigrad.checks.trial import ROWS, Trial, attributes
from minigrad.core.layer import Layer, walk
from minigrad.data.arrays import Array
from minigrad.losses import MSELoss
from minigrad.optimizers import SGD
from minigrad.saving.description import from_config, to_config
from minigrad.util.paths import join
from minigrad.util.random import is_rng

DTYPES = ("float64", "float32")


class BrokenRuleError(AssertionError):
    """A layer breaks a rule; the message says what it does instead."""


Rule: TypeAlias = Callable[[Trial], None]
RULES: dict[str, Rule] = {}
"""Later rules assume earlier ones; a layer that breaks the first one can't be built."""


def rule(sentence: str) -> Callable[[Rule], Rule]:
    """Add a function to the rules, under the sentence that it checks; a decorator."""

    def add(function: Rule) -> Rule:
        RULES[sentence] = function
        return function

    return add


def need(holds: bool, found: str) -> None:
    """Raise BrokenRuleError with what was found, unless a condition holds."""
    if not holds:
        raise BrokenRuleError(found)


def close(one: Array, two: Array) -> bool:
    """Whether two arrays are equal up to rounding."""
    return one.shape == two.shape and np.allclose(one, two, rtol=1e-9, atol=1e-12)


def declares(layer: Layer, attribute: str) -> bool:
    """Whether this attribute is true for the layer or for a layer inside it."""
    return any(getattr(inner, attribute) for _, inner in walk(layer))


@rule("build creates the parameters, connects the layers inside, and returns the output shape")
def _builds(trial: Trial) -> None:
    for path, inner in walk(trial.layer, trial.layer.label):
        try:
            inspect.signature(inner.build).bind((), None)
        except TypeError:
            got = f"build{inspect.signature(inner.build)}"
            raise BrokenRuleError(
                f"{path} expects a method build(self, input_shape, rng), got {got}: add rng, and "
                "return the output shape"
            ) from None
    layer = trial.built()
    for path, inner in walk(layer, layer.name):
        need(
            inner.output_shape is not None,
            f"{path} has no output_shape after build: build it with "
            "minigrad.core.layer.connect(layer, input_shape, rng), not with its own build",
        )


@rule("forward returns rows of the shape that build returned")
def _declares_its_shape(trial: Trial) -> None:
    layer = trial.built()
    declared = layer.output_shape
    assert declared is not None
    for rows, training in ((ROWS, True), (ROWS, False), (1, False)):
        output = layer.forward(trial.x(rows=rows), training=training)
        need(isinstance(output, np.ndarray), f"forward returned a {type(output).__name__}")
        need(
            output.shape == (rows, *declared),
            f"build returned {declared}, but forward returned an array of shape {output.shape} "
            f"for {rows} rows with training={training}",
        )


@rule("backward returns dJ/dx of the shape of x, and assigns gradients of the parameters' shapes")
def _returns_input_delta(trial: Trial) -> None:
    _, back = trial.run(trial.built())
    need(isinstance(back, np.ndarray), f"backward returned a {type(back).__name__}")
    expected = (ROWS, *trial.input_shape)
    need(back.shape == expected, f"x has shape {expected}, but backward returned {back.shape}")


@rule("backward returns the exact derivatives of forward")
def _has_exact_gradients(trial: Trial) -> None:
    shape = (ROWS, *(trial.built().output_shape or ()))
    target = np.random.default_rng(3).normal(size=shape)
    for loss in (MSELoss(), MSELoss(reduction="sum", scale=0.5)):
        report = check_gradients(trial.model(), trial.x(), target, loss)
        if not report.passed:
            found = str(report).splitlines()[0].removeprefix("FAILED: ")
            hint = f"; {report.worst.hint}" if report.worst.hint else _run_twice(trial)
            raise BrokenRuleError(f"with {loss!r}, {found}{hint}")


def _run_twice(trial: Trial) -> str:
    """Name a layer inside that `forward` runs more than once."""
    layer = trial.built()
    runs = Counter[str]()

    def counted(path: str, forward: Callable[..., Array]) -> Callable[..., Array]:
        def run(x: Array, *, training: bool = True) -> Array:
            runs[path] += 1
            return forward(x, training=training)

        return run

    for path, inner in walk(layer, layer.name):
        if inner is not layer:
            vars(inner)["forward"] = counted(path, inner.forward)
    layer.forward(trial.x())
    for path, times in runs.items():
        if times > 1:
            return (
                f": {path} runs {times} times in a pass, but its cache holds the last run only; "
                "make a layer for each run, and share its Parameter"
            )
    return ""


@rule("backward_parameters assigns the same gradients as backward")
def _has_equal_backward_parameters(trial: Trial) -> None:
    layer, other = trial.built(), trial.built()
    trial.run(layer)
    other.backward_parameters(trial.delta(other.forward(trial.x())))
    pairs = zip(layer.named_parameters(), other.named_parameters(), strict=True)
    for (path, one), (_, two) in pairs:
        need(np.allclose(one.grad, two.grad, rtol=1e-12), f"the gradient of '{path}' differs")


@rule("all arrays have the dtype of x and the parameters")
def _keeps_the_dtype(trial: Trial) -> None:
    for dtype in DTYPES:
        layer = trial.built(dtype)
        hint = _unknown_arrays(layer, dtype)
        output, back = trial.run(layer, dtype)
        inferred = layer.forward(trial.x(dtype), training=False)
        named = {"forward": output, "forward in inference": inferred, "backward": back}
        for path, inner in walk(layer, layer.name):
            named |= {f"the buffer {join(path, b)}": getattr(inner, b) for b in inner.buffers}
        for what, array in named.items():
            need(array.dtype == dtype, f"in {dtype}, {what} gives {array.dtype}{hint}")


def _unknown_arrays(layer: Layer, dtype: str) -> str:
    """Name the arrays of a built layer that its model doesn't know and therefore doesn't cast."""
    paths = [
        join(path, name)
        for path, inner in walk(layer, layer.name)
        for name, value in vars(inner).items()
        if isinstance(value, np.ndarray) and name not in inner.buffers
        if value.dtype.kind == "f" and value.dtype != dtype
    ]
    if not paths:
        return ""
    return (
        f": a model doesn't cast, train or save {' and '.join(paths)}; make a Parameter of what "
        "is trained, and name other arrays in buffers"
    )


@rule("forward and backward return new arrays, and don't write to their arguments")
def _returns_new_arrays(trial: Trial) -> None:
    layer = trial.built()
    x = trial.x()
    x.flags.writeable = False
    for training in (False, True):
        output = layer.forward(x, training=training)
        need(not np.shares_memory(output, x), f"forward(training={training}) returns x's memory")
    delta = trial.delta(output)
    delta.flags.writeable = False
    back = layer.backward(delta)
    need(not np.shares_memory(back, delta), "backward returns delta's memory")
    for path, parameter in layer.named_parameters():
        for array in (output, back):
            need(not np.shares_memory(array, parameter.value), f"it returns memory of '{path}'")


@rule("backward before forward raises a RuntimeError that names the layer")
def _refuses_backward_first(trial: Trial) -> None:
    layer = trial.built()
    shape = (ROWS, *(layer.output_shape or ()))
    layer.forward(trial.x(), training=False)
    for call in (layer.backward, layer.backward_parameters):
        try:
            call(np.ones(shape))
        except RuntimeError as error:
            way = "; read self.cache before a layer inside runs" if layer.children else ""
            named = layer.label in str(error) or layer.name in str(error)
            need(named, f"the error is: {error}{way}")
        else:
            raise BrokenRuleError("it raised nothing: keep what backward needs in self.cache")


@rule("backward assigns gradients and adds to none, so a second call gives the same")
def _repeats_backward(trial: Trial) -> None:
    model = trial.model()
    delta = trial.delta(model.forward(trial.x()))
    model.parameters.grad = np.ones(model.parameters.size)
    first, gradients = model.layers[0].backward(delta).copy(), model.parameters.grad.copy()
    second = model.layers[0].backward(delta)
    need(bool((first == second).all()), "dJ/dx differs the second time")
    same = bool((gradients == model.parameters.grad).all())
    need(same, "a parameter's gradient differs the second time")


@rule("forward(training=False) changes nothing on the layer, and draws no random numbers")
def _infers_without_a_trace(trial: Trial) -> None:
    layer = trial.built()
    before = dict(attributes(layer))
    layer.forward(trial.x(), training=False)
    for path, (value, contents) in attributes(layer):
        need(path in before, f"it created {path}")
        same = before[path][0] is value and before[path][1] == contents
        need(same, f"it changed {path}")


@rule("inference between forward and backward changes no result")
def _infers_in_between(trial: Trial) -> None:
    plain, disturbed = trial.model(), trial.model()
    delta = np.ones(plain.forward(trial.x()).shape)
    expected = plain.layers[0].backward(delta)
    disturbed.forward(trial.x())
    disturbed.layers[0].forward(trial.x(seed=9), training=False)
    back = disturbed.layers[0].backward(delta)
    same = (back == expected).all() and (plain.parameters.grad == disturbed.parameters.grad).all()
    need(bool(same), "backward returns or assigns other numbers after it")


@rule("inference in eight threads at once gives the same bits as in one")
def _infers_in_threads(trial: Trial) -> None:
    layer = trial.built()
    batches = [trial.x(rows=1000 + seed, seed=seed) for seed in range(32)]
    alone = [layer.forward(x, training=False) for x in batches]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda x: layer.forward(x, training=False), batches))
    same = all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    need(same, "the outputs differ")


@rule("a row's output depends on that row only, unless batch_dependent is True")
def _separates_rows(trial: Trial) -> None:
    layer = trial.built()
    if declares(layer, "batch_dependent"):
        return
    x, others = trial.x(), trial.x(seed=9)
    others[2:4] = x[2:4]
    for training in (False, True):
        differ = f"with training={training}, the output of rows 2 and 3 differs"
        replay = Replay(layer)
        whole = layer.forward(x, training=training)[2:4]
        if not (training and declares(layer, "stochastic")):  # fewer rows draw other numbers
            part = layer.forward(x[2:4], training=training)
            need(close(whole, part), f"{differ} without the other rows")
        replay()
        among_others = layer.forward(others, training=training)[2:4]
        need(close(whole, among_others), f"{differ} next to other rows")


@rule("buffers end the same for row blocks and a whole batch, unless batch_dependent is True")
def _updates_buffers_by_rows(trial: Trial) -> None:
    whole, blocks = trial.built(), trial.built()
    if declares(whole, "batch_dependent"):
        return
    x = trial.x()
    whole.forward(x)
    for block in (x[:2], x[2:]):
        blocks.forward(block)
    for (path, one), (_, two) in zip(walk(whole, whole.name), walk(blocks), strict=True):
        for name in one.buffers:
            same = close(getattr(one, name), getattr(two, name))
            need(same, f"{join(path, name)} differs: set batch_dependent = True")


@rule("random numbers come from the rng given to build, and stochastic is True if there are any")
def _draws_as_declared(trial: Trial) -> None:
    one, two = trial.built(), trial.built()
    global_state = str(np.random.get_state())  # noqa: NPY002
    first = one.forward(trial.x())
    need(np.array_equal(first, two.forward(trial.x())), "the same seed gives two outputs")
    same = np.array_equal(first, one.forward(trial.x()))
    need(
        same or declares(one, "stochastic"),
        "the same rows give two outputs, and stochastic is False",
    )
    need(global_state == str(np.random.get_state()), "it draws from NumPy's global state")  # noqa: NPY002


@rule("x of -10,000 and 10,000 gives finite numbers without a warning")
def _survives_large_numbers(trial: Trial) -> None:
    for dtype in DTYPES:
        layer = trial.built(dtype)
        x = 1e4 * np.sign(trial.x(dtype))
        with np.errstate(all="raise", under="ignore"):
            inferred = layer.forward(x, training=False)
            output = layer.forward(x)
            back = layer.backward(np.ones_like(output))
        for what, array in (("inference", inferred), ("forward", output), ("backward", back)):
            need(bool(np.isfinite(array).all()), f"in {dtype}, {what} isn't finite")


@rule("buffers names floating-point arrays that build creates")
def _has_its_buffers(trial: Trial) -> None:
    built = trial.built()
    for path, layer in walk(built, built.name):
        for name in layer.buffers:
            array = getattr(layer, name, None)
            kind = type(array).__name__
            need(isinstance(array, np.ndarray), f"{join(path, name)} is a {kind}, not an array")


@rule("the layer's configuration creates an equal layer")
def _is_created_from_its_config(trial: Trial) -> None:
    layer, arrays = copy.deepcopy(trial.layer), dict[str, NDArray[Any]]()
    known = {type(inner).__name__: type(inner) for _, inner in walk(layer)}
    text = json.dumps(to_config(layer, layer.label, arrays))
    again = from_config(json.loads(text), known, arrays)
    need(repr(again) == repr(layer), f"{layer!r} became {again!r}")
    for name in inspect.signature(type(layer)).parameters:
        kept, made = getattr(layer, name, None), getattr(again, name, None)
        need(is_rng(kept) or repr(kept) == repr(made), f"{name}={kept!r} became {made!r}")
    if trial.is_given_parameters():  # a configuration doesn't hold them
        return
    twin = Trial(again, trial.input_shape).built()
    same = np.array_equal(trial.run(trial.built())[0], trial.run(twin)[0])
    need(same, "built from the same seed, the new layer gives another output")


@rule("a deep copy computes the same, and has its own arrays")
def _can_be_copied(trial: Trial) -> None:
    model = trial.model()
    model.forward(trial.x())
    twin = copy.deepcopy(model)
    for one, two in zip(trial.run(model), trial.run(twin), strict=True):
        need(np.array_equal(one, two), "the copy's output differs")
    kept = model.parameters.value.copy()
    twin.parameters.value = twin.parameters.value + 1
    need(np.array_equal(kept, model.parameters.value), "a change of the copy changes the layer")


@rule("trainable = False stops the update, and changes nothing else")
def _freezes(trial: Trial) -> None:
    free, frozen = trial.model(), trial.model()
    frozen.layers[0].trainable = False
    for one, two in zip(trial.run(free), trial.run(frozen), strict=True):
        need(np.array_equal(one, two), "the frozen layer gives other numbers")
    need(np.array_equal(free.parameters.grad, frozen.parameters.grad), "the gradients differ")
    kept = frozen.parameters.value.copy()
    SGD(learning_rate=0.5).step(frozen.parameters)
    need(np.array_equal(kept, frozen.parameters.value), "the frozen layer was updated")
