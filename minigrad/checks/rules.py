"""The rules for layers, and `check_layer`, which tests a layer against them."""

from __future__ import annotations

import copy
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.checks.differences import Replay
from minigrad.checks.gradients import check_gradients
from minigrad.checks.single import has_several, model_of
from minigrad.core.layer import Layer, walk
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, DType, Shape, as_input_shape, fits
from minigrad.data.by_name import labelled
from minigrad.losses import MSELoss
from minigrad.models.model import Model
from minigrad.optimizers import SGD
from minigrad.trace import trace
from minigrad.util.markup import escape
from minigrad.util.names import join
from minigrad.util.random import is_rng, rng_state
from minigrad.util.serialization import from_config, to_config
from minigrad.util.table import Table
from minigrad.util.terminal import Terminal
from minigrad.util.threads import ThreadPool

ROWS = 6
STEPS = 3  # the length of an axis that varies
DTYPES: tuple[DType, ...] = ("float64", "float32")


@dataclass(frozen=True)
class LayerReport:
    """The result of `check_layer`: the broken rules, each with what the layer does instead."""

    layer: str
    broken: dict[str, str]
    rules: int
    untried: int = 0  # the rules that weren't checked because of an error that `broken` holds

    @property
    def passed(self) -> bool:
        """Whether no rule is broken."""
        return not self.broken

    @property
    def headline(self) -> str:
        """Whether it passed, in a sentence."""
        if self.passed:
            return f"passed: {self.layer} keeps all {self.rules} rules"
        head = f"FAILED: {self.layer} breaks {len(self.broken)} of {self.rules} rules"
        if self.untried:
            cause = "this one" if len(self.broken) == 1 else "these"
            head += f"; {self.untried} rules were not checked because {cause} failed"
        return head

    def __bool__(self) -> bool:
        return self.passed

    @override
    def __str__(self) -> str:
        terminal = Terminal.of()
        lines = [terminal.verdict(self.headline)]
        for rule, found in self.broken.items():
            lines += [terminal.fill(f"{rule}:", "  "), terminal.fill(found, "    ")]
        return "\n".join(lines)

    @override
    def __repr__(self) -> str:
        return f"LayerReport({self.headline})"

    def _repr_html_(self) -> str:
        table = Table([("rule", "what the layer does instead"), *self.broken.items()])
        return f"<p>{escape(self.headline)}</p>{table.html() if self.broken else ''}"


def check_layer(layer: Layer, input_shape: Shape) -> LayerReport:
    """Test a layer against the rules that models rely on, and report which ones it breaks.

    The rules cover the declared shape, exact gradients, the dtype, fresh arrays, the cache,
    inference from many threads, rows and random numbers, large inputs, buffers, the configuration,
    copies, and freezing. The check works on copies; the layer doesn't change.

    Args:
        layer: an example of the layer, not built; a small one is fast, as each number is varied.
        input_shape: the shape of one row, such as (3,), or a tuple of shapes for several inputs.

    Returns:
        A report, which is true if the layer keeps all rules, and readable when printed.

    Raises:
        TypeError: `layer` isn't a `Layer` object, or `input_shape` isn't a tuple of integers.
        ValueError: the layer is already built, or a size in `input_shape` is below 1.

    >>> import numpy as np
    >>> from minigrad import Dense, Tanh
    >>> print(check_layer(Dense(2), (3,)))
    passed: Dense(2) keeps all 20 rules
    >>> class Wrong(Tanh):
    ...     def derivative(self, cached):
    ...         return 1 - cached
    >>> print(check_layer(Wrong(), (1,)))  # doctest: +ELLIPSIS
    FAILED: Wrong() breaks 1 of 20 rules
      backward returns the exact derivatives of forward:
        with MSELoss(), input[...] is ..., central differences give ... (relative error ...)
    """
    if not isinstance(layer, Layer):
        raise TypeError(f"check_layer expects a Layer object such as Dense(2), got {layer!r}")
    if layer.output_shape is not None:
        raise ValueError(f"check_layer expects a layer that isn't built, got {layer.label}, built")
    candidate = Candidate(layer, as_input_shape(input_shape, "check_layer"))
    broken: dict[str, str] = {}
    errors: set[str] = set()
    untried = 0
    for number, (sentence, rule) in enumerate(RULES.items()):
        try:
            rule(candidate)
        except BrokenRuleError as error:
            broken[sentence] = str(error)
        except Exception as error:  # any error of the layer is a finding
            found = f"{type(error).__name__}: {error}"
            alike = re.sub(r"\d+", "", found)  # the same error, for another number of rows
            if alike in errors:
                untried += 1
                continue
            errors.add(alike)
            broken[sentence] = found
        if broken and number == 0:  # a layer that can't be built can't be checked further
            untried = len(RULES) - 1
            break
    return LayerReport(repr(layer), broken, len(RULES), untried)


class BrokenRuleError(AssertionError):
    """A layer breaks a rule; the message says what it does instead."""


Inputs: TypeAlias = "tuple[NDArray[Any], ...]"
Rule: TypeAlias = "Callable[[Candidate], None]"
RULES: dict[str, Rule] = {}  # in order; a layer that breaks the first one can't be built


def rule(sentence: str) -> Callable[[Rule], Rule]:
    """Register a method of `Candidate` as the check of a rule; a decorator."""
    return lambda function: RULES.setdefault(sentence, function)


def need(holds: bool, found: str) -> None:
    """Raise BrokenRuleError with what was found, unless a condition holds."""
    if not holds:
        raise BrokenRuleError(found)


def close(one: Array, two: Array) -> bool:
    """Return whether two arrays are equal up to rounding."""
    return np.allclose(one, two, rtol=1e-9, atol=1e-12)


def need_same(
    some: Mapping[str, Array],
    others: Mapping[str, Array],
    found: str,
    same: Callable[[Array, Array], bool] = np.array_equal,
) -> None:
    """Compare arrays by name, by default in every bit; `found` says "{} differs" of one of them."""
    for (name, one), two in zip(some.items(), others.values(), strict=True):
        need(same(one, two), found.format(name))


def part(x: Inputs, rows: slice) -> Inputs:
    """Return some rows of each input."""
    return tuple(array[rows] for array in x)


def declares(layer: Layer, attribute: str) -> bool:
    """Return whether an attribute is true for the layer or for a layer inside it."""
    return any(getattr(inner, attribute) for _, inner in walk(layer))


@dataclass(frozen=True)
class Candidate:
    """A layer under test, which isn't built, and built copies of it with the same weights."""

    layer: Layer
    input_shape: Shape

    def model(self) -> Model:
        return model_of(self.layer, self.input_shape)

    def built(self, dtype: DType = "float64") -> Layer:
        return model_of(self.layer, self.input_shape, dtype).children[0]

    def x(self, dtype: DType = "float64", *, rows: int = ROWS, seed: int = 1) -> Inputs:
        """Return rows of each input; the same seed gives the same rows."""
        rng = np.random.default_rng(seed)
        sizes = [(rows, *shape) for shape in self.input_shapes]
        return tuple(
            rng.normal(size=size).astype(dtype)
            if kind == "numbers"
            else rng.integers(2, size=size).astype(int if kind == "ids" else dtype)
            for size, kind in zip(sizes, self.kinds, strict=True)
        )

    @property
    def input_shapes(self) -> list[Any]:
        shapes = self.input_shape if has_several(self.input_shape) else (self.input_shape,)
        return [tuple(STEPS if n is None else n for n in shape) for shape in shapes]

    @cached_property
    def kinds(self) -> list[str]:
        """What each input is: "numbers", "ids" that `cast` keeps as integers, or a "mask".

        A mask is one of several inputs that has no slope. The checks use ids and masks of 0 and 1.
        """
        model = self.model()
        ones = tuple(np.ones((1, *shape)) for shape in self.input_shapes)
        x = [a for _, a in labelled(model.cast(by_name(model, ones), model.dtype), "x")]
        kinds = ["ids" if array.dtype.kind in "iu" else "numbers" for array in x]
        if len(x) > 1:
            layer = model.children[0]
            back = layer.backward(np.ones_like(layer.forward(*x)))
            if isinstance(back, tuple) and len(back) == len(x):
                kinds = ["mask" if d is None else k for d, k in zip(back, kinds, strict=True)]
        return kinds

    def delta(self, output: Array) -> Array:
        return np.random.default_rng(2).normal(size=output.shape)

    def run(self, layer: Layer, *, between: Callable[[], object] = tuple) -> dict[str, Array]:
        """Return what a pass of a layer computes, by name; `between` runs before `backward`."""
        output = layer.forward(*self.x())
        between()
        return {"the output": output, **self.run_back(layer, output)}

    def run_back(self, layer: Layer, output: Array) -> dict[str, Array]:
        """Return dJ/dx for each input that has a slope, and each parameter's gradient, by name."""
        deltas = deltas_of(layer.backward(self.delta(output)))
        return {f"dJ/dx{i or ''}": delta.copy() for i, delta in enumerate(deltas)} | gradients(
            layer
        )

    @rule("build creates the parameters, connects the layers inside, and returns the output shape")
    def builds(self) -> None:
        layer = self.built()
        for path, inner in walk(layer, layer.name):
            way = "build it with minigrad.core.layer.build_once(layer, input_shape, rng)"
            need(inner.output_shape is not None, f"{path} has no output_shape after build: {way}")

    @rule("forward returns rows of the shape that build returned")
    def declares_its_shape(self) -> None:
        layer = self.built()
        declared = layer.output_shape or ()
        for rows, training in ((ROWS, True), (ROWS, False), (1, False)):
            output = layer.forward(*self.x(rows=rows), training=training)
            need(isinstance(output, np.ndarray), f"forward returned a {type(output).__name__}")
            found = f"forward(training={training}) returned {output.shape} for {rows} rows"
            need(fits(output.shape, (rows, *declared)), f"build returned {declared}, but {found}")

    @rule("backward returns dJ/dx of x's shape, and assigns gradients of the parameters' shapes")
    def returns_input_delta(self) -> None:
        layer, x = self.built(), self.x()
        back = layer.backward(self.delta(layer.forward(*x)))
        if len(x) == 1:
            need(isinstance(back, np.ndarray), f"backward returned a {type(back).__name__}")
            back = (back,)
        found = f"forward takes {len(x)} inputs, but backward returned no tuple of {len(x)}"
        need(isinstance(back, tuple) and len(back) == len(x), found)
        for array, delta in zip(x, back, strict=True):
            found = f"x has shape {array.shape}, but backward returned {np.shape(delta)}"
            need(delta is None or np.shape(delta) == array.shape, found)

    @rule("backward returns the exact derivatives of forward")
    def has_exact_gradients(self) -> None:
        shape = self.built().forward(*self.x(), training=False).shape
        target = np.random.default_rng(3).normal(size=shape)
        moved, rng = self.model(), np.random.default_rng(4)
        for p in moved.parameters:  # at 0 or 1 a factor that is missing doesn't show
            p.value = p.value * rng.uniform(0.7, 1.3, p.shape) + rng.uniform(0.05, 0.15, p.shape)
        half = MSELoss(reduction="sum", scale=0.5)
        for model, loss in ((self.model(), MSELoss()), (self.model(), half), (moved, MSELoss())):
            report = check_gradients(model, by_name(model, self.x()), target, loss)
            if not report.passed:
                found = report.headline.removeprefix("FAILED: ")
                hint = f"; {report.worst.hint}" if report.worst.hint else self.hint_of_runs()
                raise BrokenRuleError(f"with {loss!r}, {found}{hint}")

    def hint_of_runs(self) -> str:
        """Return a hint if `forward` runs a layer inside more than once."""
        model = self.model()
        for step in reversed(trace(model, by_name(model, self.x())).steps):  # the outer ones first
            if step.runs > 1:
                found = (
                    f"{step.path} runs {step.runs} times in a pass, but caches the last run only"
                )
                return f": {found}; create a layer for each run, and share its Parameter"
        return ""

    @rule("backward_parameters assigns the same gradients as backward")
    def has_equal_backward_parameters(self) -> None:
        layer, other = self.built(), self.built()
        self.run(layer)
        other.backward_parameters(self.delta(other.forward(*self.x())))
        need_same(gradients(layer), gradients(other), "{} differs", close)

    @rule("all arrays have the dtype of x and the parameters")
    def keeps_the_dtype(self) -> None:
        for dtype in DTYPES:
            layer, x = self.built(dtype), self.x(dtype)
            hint = _unknown_arrays(layer, dtype)
            output = layer.forward(*x)
            deltas = deltas_of(layer.backward(self.delta(output).astype(dtype)))
            named = {"forward": output, "forward in inference": layer.forward(*x, training=False)}
            named |= {f"backward{i or ''}": delta for i, delta in enumerate(deltas)}
            named |= {f"the buffer {path}": array for path, array in buffers(layer).items()}
            for what, array in named.items():
                need(array.dtype == dtype, f"in {dtype}, {what} gives {array.dtype}{hint}")

    @rule("forward and backward return new arrays, and don't write to their arguments")
    def returns_new_arrays(self) -> None:
        layer, x = self.built(), self.x()
        for array in x:
            array.flags.writeable = False
        for training in (False, True):
            output = layer.forward(*x, training=training)
            found = f"forward(training={training}) returns x's memory"
            need(not any(np.shares_memory(output, array) for array in x), found)
        delta = self.delta(output)
        delta.flags.writeable = False
        for array in (back := deltas_of(layer.backward(delta))):
            need(not np.shares_memory(array, delta), "backward returns delta's memory")
        for path, parameter in layer.named_parameters():
            for array in (output, *back):
                need(not np.shares_memory(array, parameter.value), f"it returns memory of '{path}'")

    @rule("backward before forward raises a RuntimeError that names the layer")
    def refuses_backward_first(self) -> None:
        layer = self.built()
        shape = layer.forward(*self.x(), training=False).shape
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
    def repeats_backward(self) -> None:
        layer = self.built()
        output = layer.forward(*self.x())
        for _, parameter in layer.named_parameters():
            parameter.grad = np.ones(parameter.shape)
        first = self.run_back(layer, output)
        need_same(first, self.run_back(layer, output), "{} differs the second time")

    @rule("forward(training=False) changes nothing on the layer, and draws no random numbers")
    def infers_without_a_trace(self) -> None:
        layer = self.built()
        before = dict(attributes(layer))
        layer.forward(*self.x(), training=False)
        for path, (value, contents) in attributes(layer):
            need(path in before, f"it created {path}")
            need(before[path][0] is value and before[path][1] == contents, f"it changed {path}")

    @rule("inference between forward and backward changes no result")
    def infers_in_between(self) -> None:
        layer, others = self.built(), self.x(seed=9)
        disturbed = self.run(layer, between=lambda: layer.forward(*others, training=False))
        need_same(self.run(self.built()), disturbed, "{} differs after it")

    @rule("inference in eight threads at once gives the same bits as in one")
    def infers_in_threads(self) -> None:
        layer = self.built()
        batches = [self.x(rows=300 + seed, seed=seed) for seed in range(16)]
        alone = [layer.forward(*x, training=False) for x in batches]
        with ThreadPool(8) as threads:
            together = threads.map(lambda _, x: layer.forward(*x, training=False), batches)
        need(all(map(np.array_equal, alone, together)), "the outputs differ")

    @rule("a row's output depends on that row only, unless batch_dependent is True")
    def separates_rows(self) -> None:
        layer = self.built()
        if declares(layer, "batch_dependent"):
            return
        x, others = self.x(), self.x(seed=9)
        for other, array in zip(others, x, strict=True):
            other[2:4] = array[2:4]
        for training in (False, True):
            differ = f"with training={training}, the output of rows 2 and 3 differs"
            replay = Replay(layer)
            whole = layer.forward(*x, training=training)[2:4]
            if not (training and declares(layer, "stochastic")):  # fewer rows draw other numbers
                fewer = layer.forward(*part(x, slice(2, 4)), training=training)
                need(close(whole, fewer), f"{differ} without the other rows")
            replay()
            beside = layer.forward(*others, training=training)[2:4]
            need(close(whole, beside), f"{differ} next to other rows")

    @rule("buffers end the same for row blocks and a whole batch, unless batch_dependent is True")
    def updates_buffers_by_rows(self) -> None:
        whole, blocks = self.built(), self.built()
        if declares(whole, "batch_dependent"):
            return
        whole.forward(*self.x())
        for rows in (slice(2), slice(2, None)):
            blocks.forward(*part(self.x(), rows))
        found = "{} differs: set batch_dependent = True"
        need_same(buffers(whole), buffers(blocks), found, close)

    @rule("random numbers come from the rng given to build, and stochastic is True with any")
    def draws_as_declared(self) -> None:
        one, two = self.built(), self.built()
        global_state = str(np.random.get_state())  # noqa: NPY002
        first = one.forward(*self.x())
        need(np.array_equal(first, two.forward(*self.x())), "the same seed gives two outputs")
        same = np.array_equal(first, one.forward(*self.x())) or declares(one, "stochastic")
        need(same, "the same rows give two outputs, and stochastic is False")
        need(global_state == str(np.random.get_state()), "it draws from NumPy's global state")  # noqa: NPY002

    @rule("x of -10,000 and 10,000 gives finite numbers without a warning")
    def survives_large_numbers(self) -> None:
        for dtype in DTYPES:
            layer = self.built(dtype)
            pairs = zip(self.x(dtype), self.kinds, strict=True)
            x = [1e4 * np.sign(a) if kind == "numbers" else a for a, kind in pairs]
            with np.errstate(all="raise", under="ignore"):
                named = {"inference": [layer.forward(*x, training=False)]}
                named["forward"] = [output := layer.forward(*x)]
                named["backward"] = deltas_of(layer.backward(np.ones_like(output)))
            for what, arrays in named.items():
                finite = all(np.isfinite(array).all() for array in arrays)
                need(finite, f"in {dtype}, {what} isn't finite")

    @rule("buffers names floating-point arrays that build creates")
    def has_its_buffers(self) -> None:
        for path, array in buffers(self.built()).items():
            found = f"{path} is a {type(array).__name__}, not an array"
            need(isinstance(array, np.ndarray), found)

    @rule("the layer's configuration creates an equal layer")
    def is_created_from_its_config(self) -> None:
        copied, arrays = dict[int, Any](), dict[str, NDArray[Any]]()
        layer = copy.deepcopy(self.layer, copied)
        known: dict[str, Any] = {type(inner).__name__: type(inner) for _, inner in walk(layer)}
        known |= {f.__name__: f for f in vars(layer).values() if inspect.isroutine(f)}
        text = json.dumps(to_config(layer, layer.label, arrays))
        again = from_config(json.loads(text), known, arrays)
        need(repr(again) == repr(layer), f"{layer!r} became {again!r}")
        for name in inspect.signature(type(layer)).parameters:
            kept, made = getattr(layer, name, None), getattr(again, name, None)
            need(is_rng(kept) or repr(kept) == repr(made), f"{name}={kept!r} became {made!r}")
        if not any(isinstance(value, Parameter) for value in copied.values()):
            # A configuration doesn't hold parameters that were given to the constructor.
            twin = Candidate(again, self.input_shape).built()
            found = "built from the same seed, the new layer gives other numbers: {} differs"
            need_same(self.run(self.built()), self.run(twin), found)

    @rule("a deep copy computes the same, and has its own arrays")
    def can_be_copied(self) -> None:
        model = self.model()
        model.forward(*self.x())
        twin = copy.deepcopy(model)
        need_same(self.run(model), self.run(twin), "{} of the copy differs")
        kept = model.parameters.value.copy()
        twin.parameters.value = twin.parameters.value + 1
        need(np.array_equal(kept, model.parameters.value), "a change of the copy changes the layer")

    @rule("trainable = False stops the update, and changes no number if there are no buffers")
    def freezes(self) -> None:
        free, frozen = self.model(), self.model()
        frozen.children[0].trainable = False
        if not buffers(frozen):  # a frozen layer may use its running statistics
            found = "the frozen layer gives other numbers: {} differs"
            need_same(self.run(free), self.run(frozen), found)
        kept = frozen.parameters.value.copy()
        SGD(learning_rate=0.5).step(frozen.parameters)
        need(np.array_equal(kept, frozen.parameters.value), "the frozen layer was updated")


def by_name(model: Model, x: Inputs) -> Any:
    """Return the data as `check_gradients` takes it: an array, or several by name."""
    return dict(zip(model.input_names, x, strict=False)) or x[0]


def deltas_of(back: Any) -> list[Array]:
    """Return dJ/dinput for each input that has a slope."""
    return [a for a in (back if isinstance(back, tuple) else (back,)) if a is not None]


def gradients(layer: Layer) -> dict[str, Array]:
    """Return copies of the parameters' gradients by name."""
    return {f"the '{path}' gradient": p.grad.copy() for path, p in layer.named_parameters()}


def buffers(layer: Layer) -> dict[str, Any]:
    """Return the buffers of a layer and of the layers in it by path; None of a missing one."""
    return {
        join(path, name): getattr(inner, name, None)
        for path, inner in walk(layer, layer.name)
        for name in inner.buffers
    }


def attributes(layer: Layer) -> Iterator[tuple[str, tuple[object, object]]]:
    """Yield (path, (object, contents)) for each attribute of a layer and of the layers in it."""
    for path, inner in walk(layer, layer.name):
        for name, value in vars(inner).items():
            contents: object = len(value) if isinstance(value, Sized) else None
            if isinstance(value, np.ndarray):
                contents = value.tobytes()
            elif isinstance(value, Parameter):
                contents = value.value.tobytes(), value.grad.tobytes()
            elif is_rng(value):
                contents = str(rng_state(value))
            yield join(path, name), (value, contents)


def _unknown_arrays(layer: Layer, dtype: DType) -> str:
    """Name the arrays of a built layer that its model doesn't know and therefore doesn't cast."""
    paths = [
        join(path, name)
        for path, inner in walk(layer, layer.name)
        for name, value in vars(inner).items()
        if isinstance(value, np.ndarray) and name not in inner.buffers
        if value.dtype.kind == "f" and value.dtype != dtype
    ]
    way = "make a Parameter of what is trained, and name other arrays in buffers"
    return f": no model casts, trains or saves {' and '.join(paths)}; {way}" if paths else ""
