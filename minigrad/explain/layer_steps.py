"""The steps of each layer: its output, the gradients of its parameters, and dJ/dinput."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import reduce
from math import prod
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape
from minigrad.explain.arithmetic import Products, derivative_rule, family
from minigrad.explain.attention_steps import Attention
from minigrad.explain.equations import (
    BACK,
    BIASES,
    DELTA,
    FORWARD,
    SLOPE,
    SUM_OVER_UNITS,
    WEIGHTS,
)
from minigrad.explain.formula import Formula, known_base
from minigrad.explain.places import Mechanism, NamedParameter, Names, Place, word
from minigrad.explain.recurrent_steps import Unrolled
from minigrad.explain.steps import (
    Grid,
    Limit,
    Quantity,
    Rule,
    Step,
    Sum,
    Written,
    at,
    factor,
    product,
    sum_of,
)
from minigrad.layers import (
    GELU,
    GRU,
    LSTM,
    Activation,
    Add,
    Average,
    Concatenate,
    Dropout,
    MultiHeadAttention,
    Multiply,
    Parallel,
    Residual,
    SimpleRNN,
)
from minigrad.layers.pooling import GlobalPooling, Pooling

MERGES: Final[dict[type[Layer], str]] = {
    Add: "add",
    Average: "mean",
    Multiply: "multiply",
    Concatenate: "concat",
}
AS_BACK: Final = f"as {BACK}"
_ELEMENTWISE: Final = (Activation.forward, GELU.forward)
_BY_SLOPE: Final = (Activation.backward, GELU.backward)
"""The methods that compute each output from one input, and that multiply delta by the slope."""


MECHANISMS: Final[dict[type[Layer], Callable[[Place, Names], Mechanism]]] = {
    MultiHeadAttention: Attention,
    SimpleRNN: Unrolled,
    LSTM: Unrolled,
    GRU: Unrolled,
}
"""Layers that show more arrays than their output."""


def forward(place: Place, names: Names) -> Iterator[Step]:
    """Yield the steps of the arrays inside a layer, and last that of its output."""
    if base := known_base(type(place.layer), MECHANISMS):
        place.mechanism = MECHANISMS[base](place, names)
        steps = list(place.mechanism.forward())
        yield from steps
        if steps[-1].name != place.h.name:
            yield _layer_output(place)
    elif place.affine:
        yield _affine_output(place)
    else:
        yield Merging(place, names).output() if merges(place) else _layer_output(place)


def backward(place: Place, names: Names) -> Iterator[Step]:
    """Yield the steps of a layer's gradients and of dJ/dinput; first, of a container's deltas."""
    layer = place.layer
    if (place.inner and not place.enters) or type(layer) in MERGES:
        yield from Merging(place, names).deltas()
    elif place.affine:
        yield from _affine_backward(place)
    elif merges(place):
        yield Merging(place, names).input_delta()
    elif isinstance(layer, Activation) and type(layer).backward in _BY_SLOPE:
        yield from _activation_backward(place, layer)
    else:
        inside = place.mechanism
        if inside:
            yield from inside.backward()
        for attribute in place.parameters:
            title, tag = f"gradient of {attribute}", f"as {place.tag(*BIASES)}"
            rule = inside.gradient(attribute) if inside else derivative_rule(place, attribute)
            yield _gradient(place, attribute, title, tag, rule)
        for i, delta in enumerate(place.input_deltas):
            if delta is not None:
                rule = inside.input_delta(i) if inside else derivative_rule(place, i)
                yield place.input_delta_step("back through the layer", AS_BACK, rule, i)


def _affine_output(place: Place) -> Step:
    """z[k] = b[k] + Σ_j x[j] w[j,k], for each vector along the last axis, or each window."""
    title = f"weighted sums of the {'inputs' if place.linear else 'windows'}"
    step = place.output_step(title, f"{_as(place)}{FORWARD}", Products(place).rules["z"])
    if place.linear:
        return step
    return step.drawn(_image(place.x), _kernel(place), own=_image(place.h))


def _affine_backward(place: Place) -> Iterator[Step]:
    """dJ/dw[j,k] = δ[k] x[j], dJ/db[k] = δ[k], and dJ/dx[j] = Σ_k δ[k] w[j,k]."""
    rules, lead = Products(place).rules, _as(place)
    title, tag = "gradient of the weights", lead + place.tag(*WEIGHTS)
    weights = _gradient(place, "weight", title, tag, rules["weight"])
    delta = Grid(place.h.delta, place.deltas[0], axes=_axes(place.h.shape))
    if place.linear:
        yield weights
    else:
        yield weights.drawn(_image(place.x), delta, own=_kernel(place, weights))
    if "bias" in place.parameters:
        title, tag = "gradient of the biases", lead + place.tag(*BIASES)
        yield _gradient(place, "bias", title, tag, rules["bias"])
    step = place.input_delta_step("back through the weights", lead + BACK, rules["input"])
    if not place.linear:
        own = Grid(step.name, step.values, axes=_axes(place.x.shape))
        step = step.drawn(delta, _kernel(place), own=own)
    yield step


def _axes(shape: Shape) -> tuple[int, int]:
    """The axes of an image's rows and columns; of a sequence, its channels and the time."""
    return (0, 1) if len(shape) > 2 else (1, 0)


def _image(symbol: Quantity) -> Grid:
    return Grid(symbol.name, symbol.values, axes=_axes(symbol.shape))


def _kernel(place: Place, gradient: Step | None = None) -> Grid:
    """Return the matrices of a convolution's weight, or of its gradient."""
    p, rank = place.parameters["weight"], len(place.x.shape) + 1
    axes = (0, 1) if rank > 3 else (1, 0)
    if gradient is not None:
        return Grid(gradient.name, gradient.values, axes=axes)
    return Grid(p.name, p.source.value[np.newaxis], axes=axes, kernel=True)


def _as(place: Place) -> str:
    """Return what stands before the numbers of equations that are those of a `Dense`."""
    return "" if place.linear else "as "


def _activation_backward(place: Place, layer: Activation) -> Iterator[Step]:
    """g'(z[k]), and δ[k] = dJ/da[k] g'(z[k])."""
    x, h = place.x, place.h
    name = f"g'{place.input_delta_names[0].removeprefix(x.delta)}({x.name})"
    slopes = layer.derivative(place.output if layer.from_output else place.input)
    yield Step(
        phase="backward", path=place.path, title="slope of the activation", tag=place.tag(*SLOPE),
        name=name, rule=_formula(place, place.sides.get("g'", "")).rule(), values=slopes, symbol=x,
    )  # fmt: skip
    rule = product((h.delta, place.deltas[0]), (name, slopes))
    yield place.input_delta_step("back through the activation", place.tag(*DELTA), rule)


def _layer_output(place: Place) -> Step:
    """The rule of its family, or the layer's `equation`; else only the values."""
    x, layer = (place.x.name, place.input), place.layer
    rights = [right for left, right in place.sides.items() if not left.endswith("'")]
    rule = _formula(place, rights[0] if rights else "").rule()
    if rights and isinstance(layer, Dropout):
        rule = rule._replace(parts=product(x, ("m", layer.cache)).parts)
    elif rights and rights[0] in ("z", "x"):
        rule = rule._replace(parts=product(x).parts)
    elif known := family(place):
        rule = known
    elif not rule.right:
        called = word(layer.name or "layer")
        rule = rule._replace(right=f"{called}({', '.join(x.name for x in place.xs)})", unit="")
    title = "the activation" if place.activates else "the output"
    tag = FORWARD if type(layer).forward in _ELEMENTWISE else f"as {FORWARD}"
    step = place.output_step(title, tag, rule)
    pools = isinstance(layer, (Pooling, GlobalPooling)) and len(place.x.shape) > 1
    if pools or len(place.x.shape) == len(place.h.shape) == 3:
        own = _image(place.h) if len(place.h.shape) > 1 else None
        return step.drawn(_image(place.x), own=own)
    return step


def _formula(place: Place, text: str) -> Formula:
    """Return the right side of a layer's equation, with the names and arrays of a pass."""
    x, h = (place.x.name, place.input), (place.h.name, place.output)
    held = place.parameters.items()
    parameters = {key: (p.name, p.source.shape if p.source.size > 1 else ()) for key, p in held}
    arrays = dict.fromkeys(place.sides, h) | {"z": x, "x": x}
    return Formula(text, arrays, place.layer, parameters)


def _gradient(place: Place, attribute: str, title: str, tag: str, rule: Rule) -> Step:
    """Return the step of a parameter's gradient, over all rows."""
    p = place.parameters[attribute]
    if len(place.output) > 1:
        title, rule = f"{title}, over all rows", rule._replace(right=f"Σ_rows {rule.right}")
    step = Step(
        phase="backward", path=place.path, title=title, tag=tag, name=p.gradient, rule=rule,
        values=cast("Array", p.grad)[np.newaxis],
    )  # fmt: skip
    return regularized(step, p)


def merges(place: Place) -> bool:
    """Whether the output merges branches, or several inputs."""
    container = bool(place.inner) and known_base(type(place.layer), (Residual, Parallel))
    return bool(container) or type(place.layer) in MERGES


def delta_sums(names: Names) -> dict[str, Step]:
    """Return the step of each delta that is a sum over what takes the value, by its name."""
    steps = {}
    for symbol in names.symbols.values():
        if takers := names.takers.get(symbol.delta):
            steps[symbol.name] = Step(
                phase="backward",
                title=f"delta({symbol.name}) = {' + '.join(f'via {one.by}' for one in takers)}",
                tag=AS_BACK, name=symbol.delta,
                rule=_added([(one.name, one.delta) for one in takers]),
                values=reduce(np.add, [one.delta for one in takers]), symbol=symbol,
            )  # fmt: skip
    return steps


def shared_gradients(names: Names) -> Iterator[Step]:
    """Yield the gradient of each parameter that several layers share: the sum of its parts."""
    for uses in names.parameters.values():
        gradients = [(p.gradient, p.grad[None]) for p in uses if p.grad is not None]
        if len(uses) > 1 and gradients:
            right = " + ".join(name for name, _ in gradients)
            step = Step(
                phase="backward", path=uses[0].path.rpartition(".")[0],
                title=f"gradient of a parameter that {len(gradients)} layers share",
                tag=f"as {SUM_OVER_UNITS}", name=uses[0].total,
                rule=_added(gradients)._replace(right=right, unit=""),
                values=np.stack([array for _, array in gradients]).sum(axis=0),
            )  # fmt: skip
            yield regularized(step, uses[0])


def regularized(step: Step, p: NamedParameter) -> Step:
    """Add the regularizer to the step of a parameter's whole gradient."""
    regularizer, name = p.source.regularizer, f"∂regularizer/∂{p.name}"
    if regularizer is None or step.name != p.total:
        return step
    added = regularizer.derivative(p.source.value)

    def parts(row: int, index: int, limit: Limit) -> Sum | Written:
        made, last = step.rule.parts(row, index, limit), factor(name, added, index)
        return made._replace(last=(last,)) if isinstance(made, Sum) else made

    rule = step.rule._replace(right=f"{step.rule.right} + {name}", parts=parts)
    return replace(step, rule=rule, values=step.values + added)


class Merging:
    """The branches of a container, or the inputs of a merging layer, and the deltas they return."""

    def __init__(self, place: Place, names: Names) -> None:
        self.place, self.names, layer = place, names, place.layer
        self.merge = layer.merge if isinstance(layer, Parallel) else MERGES.get(type(layer), "add")
        outputs = [(names.of(child.output), child.delta) for child in place.inner]
        # Each branch: the symbol of its output, the delta of this, and the name of the delta.
        self.branches: list[tuple[Quantity, Array | None, str]] = [
            (symbol, delta, symbol.delta) for symbol, delta in outputs if symbol is not None
        ]
        if type(layer) in MERGES:
            inputs = place.xs, place.input_deltas, place.input_delta_names
            self.branches = list(zip(*inputs, strict=True))
        deltas = [child.input_delta for child in place.inner if child.input_delta is not None]
        self.back = [(names.deltas[id(d)], d) for d in deltas if id(d) in names.deltas]
        if isinstance(layer, Residual):
            self.branches.insert(0, (place.x, None, ""))
            self.back[:0] = [] if place.delta is None else [(place.h.delta, place.delta)]
        shapes, count = [symbol.shape for symbol, _, _ in self.branches], len(self.branches)
        # The flat indices of the output that each branch's numbers go to.
        self.where = [np.arange(prod(shape)) for shape in shapes]
        if self.merge == "concat":
            numbered = [np.full(shape, branch) for branch, shape in enumerate(shapes)]
            branch_of = np.concatenate(numbered, axis=-1).ravel()
            self.where = [np.flatnonzero(branch_of == branch) for branch in range(count)]
        self.share = count if self.merge == "mean" else None

    def output(self) -> Step:
        """Return the step of the merged output."""
        arrays = [(symbol.name, symbol.values) for symbol, _, _ in self.branches]
        rule = product(*arrays) if self.merge == "multiply" else _added(arrays, self.share)
        if self.merge == "concat":
            rule = Rule(f"concat({', '.join(name for name, _ in arrays)})", self._joined, "")
        title = f"the merged {'branches' if self.place.inner else 'inputs'}"
        return self.place.output_step(title, f"as {FORWARD}", rule)

    def _joined(self, row: int, unit: int, limit: Limit) -> Sum:
        """Return the number of the branch that a number of the joined output is."""
        places = [np.flatnonzero(where == unit).tolist() for where in self.where]
        ((branch, index),) = [(i, index) for i, found in enumerate(places) for index in found]
        symbol, _, _ = self.branches[branch]
        return sum_of([factor(symbol.name, symbol.values[row], index)])

    def deltas(self) -> Iterator[Step]:
        """Yield the deltas of the branches; a delta from a layer inside is a step of that layer."""
        place, h, (came, _) = self.place, self.place.h, self.place.deltas
        for i, (symbol, delta, name) in enumerate(self.branches):
            others = [*self.branches[:i], *self.branches[i + 1 :]]
            own = bool(place.inner) and self.names.deltas.get(id(delta)) == name
            if delta is None or symbol == h or own:
                continue
            rule = _added([])  # of another container's deltas only the values are known
            if self.merge == "multiply":
                rule = product((h.delta, came), *((o.name, o.values) for o, _, _ in others))
            elif merges(place) or delta is came:
                rule = _added([(h.delta, came)], self.share, self.where[i])
            yield Step(
                phase="backward", path=place.path, title=f"the delta of {symbol.name}", tag=AS_BACK,
                name=name, rule=rule, values=delta, symbol=symbol,
            )  # fmt: skip

    def input_delta(self) -> Step:
        """Return the step of dJ/dinput of a container, which adds up its branches' deltas."""
        title = "the sum of the branches' deltas"
        return self.place.input_delta_step(title, AS_BACK, _added(self.back))


def _added(
    arrays: list[tuple[str, Array]],
    share: int | None = None,
    where: NDArray[np.intp] | None = None,
) -> Rule:
    """Return the rule of a sum of arrays of shape (rows, ...) or (1, ...), or of a mean.

    `where` has the flat indices of the numbers, if they aren't those of the units.
    """
    scale, written = (1 / share, f"1/{share} ") if share else (None, "")
    unit = f"{where[0]} + k" if where is not None and where[0] else "k"

    def parts(row: int, index: int, _: Limit) -> Sum:
        index = index if where is None else int(where[index])
        named = [(name, array[min(row, len(array) - 1)]) for name, array in arrays]
        return sum_of([factor(name, array, index) for name, array in named], scale)

    right = " + ".join(written + at(name, array.shape[1:], unit) for name, array in arrays)
    return Rule(right, parts)
