"""Layers and units that learn nothing, and gradients that are not finite, far apart or wrong."""

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.checks.differences import Differences, Replay, difference, in_double, scale
from minigrad.core.layer import Layer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape, with_axes
from minigrad.data.by_name import of
from minigrad.diagnose.case import Case, takes_numbers
from minigrad.diagnose.findings import Finding, evidence, number, percent
from minigrad.diagnose.limits import output_range
from minigrad.losses import Loss
from minigrad.trace import Traced, trace

Flags: TypeAlias = NDArray[np.bool_]

_FLAT = 0.01  # a slope below this share of the steepest one passes almost no delta on
_ZERO = 1e-6  # a slope below this share of the steepest one is zero, as far below a GELU's bend
_SATURATED = 0.5  # the share of flat values of an activation that is saturated
_DEAD = 0.75  # the share of dead units that is a fault: in a narrow ReLU layer half die by chance
_LEARNED = 0.1  # with less of the loss remaining, saturated units are certain rather than stuck
_ROWS = 64  # enough to tell units apart, and to probe a layer
_EQUAL = 1e-9  # the relative rounding error of numbers that are equal
_RATIO = 300.0  # between deltas: one learning rate is then far too low or too high for a layer
_POINTS = 3  # where a slope is compared: one of them may be at a kink
_NEARBY = 0.01  # the distance of these points, as a share of an array's scale
_STEP = 1e-5  # of the difference in a message, as a share of an array's scale
_TOLERANCE = 1e-4  # of a slope: a custom layer may compute parts of it in float32


def inactive_units(case: Case) -> Iterator[Finding]:
    """Find activations that pass no delta on: saturated at both ends, or dead at one."""
    for step in case.trace.steps:
        if not (takes_numbers(step) and _is_elementwise(step.layer, step.input)):
            continue
        x = step.input.astype(np.float64)
        grid = with_axes(np.linspace(-4, 4, 81), x.ndim) + np.zeros(x.shape[1:])
        steepest = _slope(step.layer, grid).max()
        slope = _slope(step.layer, x).reshape(len(x), -1)
        low, high = output_range([step.layer], x.shape[1:])
        if isfinite(low) and isfinite(high):
            yield from _saturated(case, step, slope < _FLAT * steepest, middle=(low + high) / 2)
        else:
            yield from _dead(step, slope <= _ZERO * steepest)


def _saturated(case: Case, step: Traced, flat: Flags, middle: float) -> Iterator[Finding]:
    """Find an activation that is flat at most of its values."""
    counted = np.ones_like(flat)  # of the network's outputs, those that the loss moves off an end
    if case.is_output(step.output) and step.delta is not None:
        counted = ((step.output - middle) * step.delta > 0).reshape(flat.shape)
    share = flat[counted].mean() if counted.any() else 0.0
    if share >= _SATURATED and case.loss_share >= _LEARNED:
        yield Finding(
            "saturated_units",
            "warning",
            f"{step.label} is saturated",
            f"At {percent(share)} of its values the slope is below {_FLAT:.0%} of the steepest "
            "slope. It passes almost no delta on, so the layers before it hardly learn.",
            "Scale the inputs, or use smaller initial weights ('glorot_uniform'); if training led "
            "here, start again with a lower learning rate.",
            evidence(
                share=share, units=flat.shape[1], always_saturated_units=flat.all(axis=0).sum()
            ),
            step.path,
        )


def _dead(step: Traced, flat: Flags) -> Iterator[Finding]:
    """Find an activation most of whose units have slope 0 in all rows."""
    dead = flat.all(axis=0)
    share = dead.mean()
    if share >= _DEAD:
        yield Finding(
            "dead_units",
            "error" if share == 1 else "warning",
            f"{'all' if share == 1 else 'many'} units of {step.label} are dead",
            f"{number(int(dead.sum()))} of its {number(dead.size)} units ({percent(share)}) have "
            f"slope 0 in all {number(len(flat))} rows checked. The weights before them get no "
            "gradient, so they stay dead.",
            "Lower the learning rate, start biases at zero and weights with 'he_normal', or scale "
            "the inputs; or use LeakyReLU(), whose slope is never 0.",
            evidence(dead=dead.sum(), units=dead.size, share=share),
            step.path,
        )


def _is_elementwise(layer: Layer, x: Array) -> bool:
    """Return whether each output of a layer without parameters depends on its own input alone."""
    if layer.children or layer.stochastic or layer.batch_dependent or layer.own_parameters():
        return False
    rows = x[:_ROWS].astype(np.float64, order="C")
    moved = rows.copy()
    moved.reshape(len(rows), -1)[:, ::2] += 1.0
    before, after = (layer.forward(a, training=False) for a in (rows, moved))
    if before.shape != rows.shape:
        return False
    return bool((before == after).reshape(len(rows), -1)[:, 1::2].all())


def _slope(layer: Layer, x: Array) -> Array:
    """Return |g'(x)| of an elementwise layer of any class."""
    twin, cls = copy.copy(layer), type(layer)  # the class's methods don't report to the trace
    cls.forward(twin, x, training=True)
    slope: Array = cls.backward(twin, np.ones_like(x))
    return np.abs(slope)


def identical_units(case: Case) -> Iterator[Finding]:
    """Find hidden units with the same output and the same delta: their weights stay the same."""
    for step in case.trace.steps:
        has_matrix = any(len(p.shape) > 1 for _, p in step.layer.own_parameters())
        hidden = has_matrix and not case.is_output(step.output)
        if hidden and (copies := _count_copies(step)):
            units = step.output.shape[-1]
            yield Finding(
                "identical_units",
                "error",
                f"units of {step.label} are copies of each other",
                f"{number(copies)} of its {number(units)} units have the same output and the same "
                "delta as another unit. Their weights get the same gradient and stay the same: "
                f"{number(units - copies)} units would compute as much.",
                "Use random initial weights: keep weight_initializer='glorot_uniform', or use "
                "'he_normal' before a ReLU.",
                evidence(copies=copies, units=units, share=copies / units),
                step.path,
            )


def _count_copies(step: Traced) -> int:
    """Return the number of units that equal another one in output and delta."""
    arrays = [step.output] if step.delta is None else [step.output, step.delta]
    units = [a.reshape(-1, a.shape[-1])[:_ROWS].astype(np.float64) for a in arrays]
    columns = np.concatenate([a / (np.abs(a).max() or 1.0) for a in units])
    order = np.argsort(np.random.default_rng(0).standard_normal(len(columns)) @ columns)
    return int((np.abs(np.diff(columns[:, order], axis=1)).max(axis=0) <= _EQUAL).sum())


def linear_stack(case: Case) -> Iterator[Finding]:
    """Find consecutive weight matrices with no activation between them: W_1 W_2 is one matrix."""
    for run in _linear_runs(case):
        dense = [(step, weight) for step in run if (weight := _matrix(step)) is not None]
        if len(dense) < 2:
            continue
        (first, weight), (last, _) = dense[0], dense[-1]
        inputs, units = weight.shape[0], last.output.shape[-1]
        if min(weight.shape[1] for _, weight in dense[:-1]) < min(inputs, units):
            continue  # a bottleneck, which one Dense can't replace
        count = sum(p.size for step, _ in dense for _, p in step.layer.own_parameters())
        one = (inputs + 1) * units
        yield Finding(
            "linear_stack",
            "warning",
            f"no activation between {first.label} and {last.label}: the {len(dense)} layers "
            "compute what one could",
            f"Together they are linear: with {number(count)} parameters they compute what one "
            f"Dense({units}) computes with {number(one)}.",
            "Add an activation, such as ReLU() or Tanh(), after each of them but the last; or use "
            f"a single Dense({units}).",
            evidence(layers=len(dense), parameters=count, parameters_of_one=one),
            first.path,
        )


def _linear_runs(case: Case) -> Iterator[list[Traced]]:
    """Yield runs of linear layers within one parent; only the next one gets what one returned."""
    chains: dict[str, list[Traced]] = {}
    for step in case.trace.steps:
        if step.path:
            chains.setdefault(step.path.rpartition(".")[0], []).append(step)
    for chain in chains.values():
        run = list[Traced]()
        takers = Counter(id(array) for step in chain for array in step.inputs)
        for step in chain:
            linear = takes_numbers(step) and _is_linear(step.layer, step.input.shape[1:])
            alone = takers[id(step.input)] == 1 and not case.is_output(step.input)
            if not linear or (run and not (step.input is run[-1].output and alone)):
                yield run
                run = []
            if linear:
                run.append(step)
        yield run


def _matrix(step: Traced) -> Parameter | None:
    """Return the weights of a layer that is trained and multiplies by a matrix."""
    shape = (step.input.shape[-1], step.output.shape[-1])
    own = step.layer.own_parameters() if step.input.ndim == 2 else []
    return next((p for _, p in own if p.shape == shape and p.trainable), None)


def _is_linear(layer: Layer, input_shape: Shape) -> bool:
    """Return whether f(a) + f(b) = f(a + b) + f(0) in inference, for rows of several sizes.

    The parameters are random: with weights of zero every layer is linear.
    """
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, _ROWS, *input_shape))
    sizes = with_axes(np.geomspace(0.1, 100, _ROWS), a.ndim)
    own = [(p, p.value.copy()) for _, p in layer.named_parameters()]
    for p, value in own:
        p.value = rng.standard_normal(value.shape)
    try:
        fa, fb, both, zero = (
            layer.forward(x * sizes, training=False).astype(np.float64)
            for x in (a, b, a + b, 0 * a)
        )
    except (ValueError, IndexError, TypeError):  # such as a layer that takes whole numbers only
        return False
    finally:
        for p, value in own:
            p.value = value
    largest = max(np.abs(fa).max(initial=0.0), np.abs(zero).max(initial=0.0))
    return bool(np.abs(fa + fb - both - zero).max(initial=0.0) <= _EQUAL * largest)


def not_finite(case: Case) -> Iterator[Finding]:
    """Find the first NaN or infinity in the parameters, the forward and the backward pass."""
    layer: str | None = None
    for path, parameter in case.model.named_parameters():
        if not np.isfinite(parameter.value).all():
            layer, place = path.rpartition(".")[0], f"the parameter '{path}'"
            break
    else:
        place, j = case.trace.first_not_finite() or "", case.trace.j
        if j is not None and not isfinite(j) and not place.startswith("the output"):
            place = "the loss"
        elif not place:
            return
        layer = next((s.path for s in case.trace.steps if place.endswith(s.label)), None)
    yield Finding(
        "not_finite",
        "error",
        f"{place} is not finite",
        "It is the first NaN or infinity in the order of computation; the inputs and targets are "
        "finite.",
        "If it is a parameter, start again with a lower learning rate; otherwise scale the inputs, "
        "use smaller initial weights, or check that layer's forward and backward.",
        evidence(rows=len(case.sample)),
        layer or None,
    )


def fading_gradients(case: Case) -> Iterator[Finding]:
    """Compare the size of delta at each layer with parameters with that at the last one.

    A delta of zero doesn't count: a branch with zero weights has it on purpose.
    """
    sizes = [
        (step, size)
        for step in case.trace.steps
        if step.delta is not None and step.layer.own_parameters() and (size := _size(step.delta))
    ]
    if len(sizes) < 2:
        return
    last, last_size = sizes[-1]
    for kind, (extreme, remedy) in _EXTREMES.items():
        step, size = found = extreme(sizes, key=itemgetter(1))
        ratio, layers = size / last_size, len(sizes) - sizes.index(found)
        if max(ratio, 1 / ratio) <= _RATIO:
            continue
        factor = ratio ** (1 / (layers - 1))
        yield Finding(
            f"{kind}_gradients",
            "warning",
            f"{kind} gradients",
            f"The delta at {step.label} is {number(ratio)} times the delta at {last.label}, "
            f"{layers - 1} layers later: a factor of {number(factor)} per layer. One learning rate "
            "can't suit both.",
            remedy,
            evidence(ratio=ratio, factor_per_layer=factor, layers=layers),
            step.path,
        )


_EXTREMES: dict[str, tuple[Callable[..., tuple[Traced, float]], str]] = {
    "vanishing": (
        min,
        "Use ReLU() with weight_initializer='he_normal' instead of sigmoids, fewer layers, or "
        "Residual([...]) branches that delta can bypass.",
    ),
    "exploding": (
        max,
        "Use smaller initial weights ('he_normal', 'glorot_uniform'), or put LayerNorm() between "
        "the layers.",
    ),
}


def _size(delta: Array) -> float:
    """Return the root mean square over the rows of the norm of delta."""
    rows = delta.reshape(len(delta), -1).astype(np.float64)
    largest = float(np.abs(rows).max()) or 1.0
    return largest * float(np.sqrt(np.square(rows / largest).sum(axis=1).mean()))


def wrong_gradients(case: Case) -> Iterator[Finding]:
    """Check the gradients of each custom loss, and of the first custom layer where they are wrong.

    Each is checked by itself, with the inputs and the delta that it has in the network. A built-in
    one isn't checked: the test suite does that.
    """
    assert case.loss is not None
    rows = case.sample.take(slice(_ROWS))
    twin = in_double(case.model, rows.x)
    x = twin.cast(rows.x, np.dtype(np.float64))
    recorded = trace(twin, x, rows.y, case.loss, sample_weight=rows.weight)
    for name, loss in (case.loss.losses or {"": case.loss}).items():
        if is_custom(loss):
            yield from _wrong_loss(loss, of(recorded.prediction, name), of(rows.y, name))
    for step in recorded.steps:
        by_name = any(isinstance(array, dict) for array in (*step.inputs, step.delta))
        if is_custom(step.layer) and step.delta is not None and not by_name:
            try:
                found = [*_wrong_layer(step)]
            except (ValueError, IndexError, TypeError):  # it takes certain numbers, such as ids
                continue
            if found:
                yield from found
                return


def is_custom(part: object) -> bool:
    """Return whether the class of a layer or loss isn't minigrad's own."""
    return not type(part).__module__.startswith("minigrad.")


def _wrong_loss(loss: Loss, prediction: Array, target: NDArray[Any]) -> Iterator[Finding]:
    """Compare the derivative of a loss's terms with central differences."""
    p = np.array(prediction)
    wrong = _wrong_slope(
        {"": p},
        lambda: float(loss.terms(p, target)[0].sum()),
        lambda: {"": loss.terms(p, target)[1]},
    )
    if wrong is not None:
        _, claimed, measured = wrong
        yield Finding(
            "wrong_gradients",
            "error",
            f"the derivative of {type(loss).__name__} is wrong",
            f"In a random direction the slope of the sum of its terms is {number(measured)}, but "
            f"its derivative gives {number(claimed)}.",
            f"Check the second array that terms of {type(loss).__name__} returns.",
            evidence(claimed=claimed, measured=measured),
        )


def _wrong_layer(step: Traced) -> Iterator[Finding]:
    """Compare what a layer's `backward` gives with central differences."""
    layer, delta, replay = step.layer, np.asarray(step.delta), Replay(step.layer)
    inputs = [np.array(a) for a in step.inputs]
    own = [(name, p) for name, p in layer.own_parameters() if p.trainable]

    def output() -> float:
        replay()
        return float((layer.forward(*inputs) * delta).sum())

    def gradients() -> dict[str, Array | None]:
        back = layer.backward(delta)
        found = [*(p.grad for _, p in own), *(back if isinstance(back, tuple) else (back,))]
        return dict(zip(arrays, found, strict=True))

    arrays = {f"'{name}'": p.value for name, p in own}
    arrays |= {"the input" if i == 0 else f"input {i + 1}": a for i, a in enumerate(inputs)}
    wrong = _wrong_slope(arrays, output, gradients)
    if wrong is not None:
        name, claimed, measured = wrong
        yield Finding(
            "wrong_gradients",
            "error",
            f"the gradient of {name} of {step.label} is wrong",
            f"In a random direction the slope is {number(measured)}, but backward gives "
            f"{number(claimed)}.",
            "Check its backward: check_layer(layer, input_shape) and "
            "check_gradients(layer, x[:5], y[:5], loss) name the wrong numbers.",
            evidence(claimed=claimed, measured=measured),
            step.path,
        )


def _wrong_slope(
    arrays: Mapping[str, Array],
    function: Callable[[], float],
    gradients: Callable[[], dict[str, Array | None]],
) -> tuple[str, float, float] | None:
    """Return the first array with a wrong slope in a random direction, and both slopes.

    `gradients` returns those claimed for the last call of `function`. A slope is wrong if it
    doesn't match at any of three points nearby; a single one may be at a kink.
    """
    rng = np.random.default_rng(0)
    function()
    places = [n for n, g in gradients().items() if g is not None and arrays[n].dtype.kind == "f"]
    starts = [arrays[place].copy() for place in places]
    directions = [scale(start) * rng.standard_normal(start.shape) for start in starts]
    distances = np.zeros(len(places))

    def moved() -> float:
        for place, start, way, by in zip(places, starts, directions, distances, strict=True):
            arrays[place][...] = start + by * way
        return function()

    wrong: dict[str, tuple[float, float]] = {}
    for nearby in range(_POINTS):
        distances[:] = _NEARBY * nearby * rng.standard_normal(len(places))
        moved()
        claimed: dict[str, Any] = gradients()
        pairs = zip(places, directions, strict=True)
        slopes = np.array([np.vdot(claimed[place], way) for place, way in pairs])
        differences = Differences(moved, distances, slopes, _TOLERANCE)
        for i, place in enumerate(places):
            error, _ = differences((i,))
            if error <= _TOLERANCE:
                wrong.pop(place, None)
            elif not nearby:
                measured = difference(moved, distances, (i,), _STEP)
                wrong[place] = float(slopes[i]), measured
    distances[:] = 0
    moved()
    return next(((place, *slopes) for place, slopes in wrong.items()), None)
