"""Layers and units that learn nothing, and gradients that are not finite, far apart or wrong."""

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from math import isfinite, nan
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.checks.differences import Replay, in_double, scale
from minigrad.core.layer import Layer, walk
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape
from minigrad.data.by_name import of
from minigrad.diagnose.case import Case, takes_numbers
from minigrad.diagnose.findings import Finding, evidence, number, percent
from minigrad.diagnose.limits import output_range
from minigrad.losses import Loss
from minigrad.trace import Traced, trace

Flags: TypeAlias = NDArray[np.bool_]

_SATURATED_SLOPE, _DEAD_SLOPE = 0.01, 1e-6  # as a share of the steepest slope
_SATURATED, _DEAD = 0.5, 0.75  # in a narrow ReLU network half may die by chance
_LEARNED = 0.1  # with less of the loss remaining, saturated units are certain rather than stuck
_PROBED_ROWS, _COMPARED_ROWS, _LINEAR_ROWS, _GRADIENT_ROWS = 8, 64, 16, 64
_EQUAL = 1e-9
_SIZES = (0.1, 3.0, 100.0)
_RATIO = 300.0
_REMEDIES = {
    "vanishing": "Use ReLU() with weight_initializer='he_normal' instead of sigmoids, fewer "
    "layers, or Residual([...]) branches that delta can bypass.",
    "exploding": "Use smaller initial weights ('he_normal', 'glorot_uniform'), or put LayerNorm() "
    "between the layers.",
}
_STEPS, _TOLERANCE, _POINTS = (1e-4, 1e-5, 1e-6), 1e-4, 3
_NOISE = 1e-13  # of a sum of outputs, due to rounding


def inactive_units(case: Case) -> Iterator[Finding]:
    """Find activations that pass no delta on: saturated at both ends, or dead at one."""
    for step in case.trace.steps:
        if not (takes_numbers(step) and _is_elementwise(step.layer, step.input)):
            continue
        x = step.input.astype(np.float64)
        grid = np.linspace(-4, 4, 81).reshape(-1, *[1] * (x.ndim - 1))
        steepest = float(_slope(step.layer, np.broadcast_to(grid, (81, *x.shape[1:])).copy()).max())
        slope = _slope(step.layer, x).reshape(len(x), -1)
        low, high = output_range([step.layer], x.shape[1:])
        if isfinite(low) and isfinite(high):
            flat = slope < _SATURATED_SLOPE * steepest
            yield from _saturated(case, step, flat, middle=(low + high) / 2)
        else:
            yield from _dead(step, slope <= _DEAD_SLOPE * steepest)


def _saturated(case: Case, step: Traced, flat: Flags, middle: float) -> Iterator[Finding]:
    """Find an activation that is flat at most of its values."""
    counted = np.ones_like(flat)  # of the network's outputs, those that the loss moves off an end
    if case.is_output(step.output) and step.delta is not None:
        counted = ((step.output - middle) * step.delta > 0).reshape(flat.shape)
    if not counted.any() or case.remaining_loss(case.trace.prediction) < _LEARNED:
        return
    share, always = flat[counted].mean(), flat.all(axis=0).sum()
    if share >= _SATURATED:
        yield Finding(
            "saturated_units",
            "warning",
            f"{step.label} is saturated",
            f"At {percent(share)} of its values the slope is below {_SATURATED_SLOPE:.0%} of the "
            "steepest slope. It passes almost no delta on, so the layers before it hardly learn.",
            "Scale the inputs, or use smaller initial weights ('glorot_uniform'); if training led "
            "here, start again with a lower learning rate.",
            evidence(share=share, units=flat.shape[1], always_saturated_units=always),
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
    rows = x[:_PROBED_ROWS].astype(np.float64, order="C")
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
    units = [a.reshape(-1, a.shape[-1])[:_COMPARED_ROWS].astype(np.float64) for a in arrays]
    columns = np.concatenate([a / (np.abs(a).max() or 1.0) for a in units])
    weights = np.random.default_rng(0).standard_normal(len(columns))
    order = np.argsort(weights @ columns, kind="stable")
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
    """Return whether f(a) + f(b) = f(a + b) + f(0) in inference, for inputs of several sizes."""
    rng = np.random.default_rng(0)
    for size in _SIZES:
        a, b = size * rng.standard_normal((2, _LINEAR_ROWS, *input_shape))
        try:
            fa, fb, both, zero = (
                layer.forward(x, training=False).astype(np.float64) for x in (a, b, a + b, 0 * a)
            )
        except (ValueError, IndexError, TypeError):  # such as a layer that takes whole numbers only
            return False
        error = np.abs(fa + fb - both - zero).max(initial=0.0)
        if not error <= _EQUAL * max(np.abs(fa).max(initial=0.0), np.abs(zero).max(initial=0.0)):
            return False
    return True


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
        (size, step)
        for step in case.trace.steps
        if step.delta is not None and step.layer.own_parameters() and (size := _size(step.delta))
    ]
    for kind, extreme in (("vanishing", min), ("exploding", max)):
        if len(sizes) < 2:
            return
        place, (size, step) = extreme(enumerate(sizes), key=lambda item: item[1][0])
        ratio, apart = size / sizes[-1][0], len(sizes) - 1 - place
        if (1 / ratio if kind == "vanishing" else ratio) <= _RATIO:
            continue
        factor = ratio ** (1 / apart)
        yield Finding(
            f"{kind}_gradients",
            "warning",
            f"{kind} gradients",
            f"The delta at {step.label} is {number(ratio)} times the delta at "
            f"{sizes[-1][1].label}, {apart} layers later: a factor of {number(factor)} per layer. "
            "One learning rate can't suit both.",
            _REMEDIES[kind],
            evidence(ratio=ratio, factor_per_layer=factor, layers=apart + 1),
            step.path,
        )


def _size(delta: Array) -> float:
    """Return the root mean square over the rows of the norm of delta."""
    rows = delta.reshape(len(delta), -1).astype(np.float64)
    largest = float(np.abs(rows).max()) or 1.0
    return largest * float(np.sqrt(np.square(rows / largest).sum(axis=1).mean()))


def wrong_gradients(case: Case) -> Iterator[Finding]:
    """Compare what `backward` of each custom layer returns with central differences.

    Each layer is checked by itself, with the inputs and the delta that it has in the network, at
    three points nearby. A gradient is wrong if no step matches it at any of them; at a kink,
    J bends by as much as the miss. A built-in layer isn't checked: the test suite does that.
    """
    assert case.loss is not None
    rows = case.sample.take(slice(_GRADIENT_ROWS))
    twin = in_double(case.model, rows.x)
    x = twin.cast(rows.x, np.dtype(np.float64))
    prediction = twin.forward(x)
    for name, loss in (case.loss.losses or {"": case.loss}).items():
        p, t = of(prediction, name), of(rows.y, name)
        if is_custom(loss) and (found := _wrong_loss(loss, p, t)):
            yield found
    recorded = trace(twin, x, rows.y, case.loss, sample_weight=rows.weight)
    layers = dict(walk(twin))
    for step in recorded.steps:
        by_name = any(isinstance(array, dict) for array in (*step.inputs, step.delta))
        if is_custom(step.layer) and step.delta is not None and not by_name:
            try:
                wrong = _wrong_array(layers[step.path], step)
            except (ValueError, IndexError, TypeError):  # it takes certain numbers, such as ids
                continue
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
                return


def is_custom(part: object) -> bool:
    """Return whether the class of a layer or loss isn't minigrad's own."""
    return not type(part).__module__.startswith("minigrad.")


def _wrong_array(layer: Layer, step: Traced) -> tuple[str, float, float] | None:
    """Return the first array of a layer with a wrong gradient, with the two slopes."""
    delta: Array = np.asarray(step.delta)
    inputs = [np.array(a) for a in step.inputs]
    replay = Replay(layer)

    def output() -> float:
        replay()
        return float((layer.forward(*inputs) * delta).sum())

    def gradients() -> list[Array | None]:
        output()
        back = layer.backward(delta)
        own = [p.grad.copy() for _, p in layer.own_parameters() if p.trainable]
        return [*own, *(back if isinstance(back, tuple) else (back,))]

    parameters = [(f"'{name}'", p.value) for name, p in layer.own_parameters() if p.trainable]
    arrays = [*parameters, *(("the input", a) for a in inputs)]
    suspects = [place for place, (_, a) in enumerate(arrays) if a.dtype.kind == "f"]
    slopes = dict[int, tuple[float, float]]()
    for seed in range(_POINTS):
        rng = np.random.default_rng(seed)
        starts = [(arrays[place][1], arrays[place][1].copy()) for place in suspects]
        for array, start in starts:
            array += 0.01 * seed * scale(start) * rng.standard_normal(array.shape)
        claimed = gradients()
        suspects = [
            place
            for place in suspects
            if (g := claimed[place]) is not None
            and (wrong := _miss(output, arrays[place][1], g, rng))
            and slopes.setdefault(place, wrong)
        ]
        for array, start in starts:
            array[...] = start
    if not suspects:
        return None
    return (arrays[suspects[0]][0], *slopes[suspects[0]])


def _miss(
    f: Callable[[], float], array: Array, gradient: Array, rng: np.random.Generator
) -> tuple[float, float] | None:
    """Return the claimed and the measured slope of f in a random direction, if they differ."""
    direction = rng.standard_normal(array.shape)
    claimed, start, middle = float(np.vdot(gradient, direction)), array.copy(), f()
    measured = nan
    for step in _STEPS:
        h = step * scale(start)
        sides = list[float]()
        for sign in (1, -1):
            array[...] = start + sign * h * direction
            sides.append(f())
        array[...] = start
        up, down = sides
        measured = (up - down) / (2 * h)
        size = max(abs(claimed), abs(measured), float(np.linalg.norm(gradient)))
        bend, rounding = abs(up - 2 * middle + down) / h, _NOISE * max(abs(up), abs(down)) / h
        if abs(claimed - measured) <= _TOLERANCE * size + 2 * bend + rounding:
            return None
    return claimed, measured


def _wrong_loss(loss: Loss, prediction: Array, target: NDArray[Any]) -> Finding | None:
    """Compare the derivative of a loss's terms with central differences."""
    rng = np.random.default_rng(0)
    p = np.array(prediction)
    slope = loss.terms(p, target)[1]
    wrong = _miss(lambda: float(loss.terms(p, target)[0].sum()), p, slope, rng)
    if wrong is None:
        return None
    claimed, measured = wrong
    return Finding(
        "wrong_gradients",
        "error",
        f"the derivative of {type(loss).__name__} is wrong",
        f"In a random direction the slope of the sum of its terms is {number(measured)}, but its "
        f"derivative gives {number(claimed)}.",
        f"Check the second array that terms of {type(loss).__name__} returns.",
        evidence(claimed=claimed, measured=measured),
    )
