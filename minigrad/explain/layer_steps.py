"""The steps of each layer: its output, the gradients of its parameters, and dJ/dinput."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, reduce
from math import prod
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Array
from minigrad.explain.equations import BACK, BIASES, DELTA, FORWARD, SLOPE, SUM_OVER_UNITS, WEIGHTS
from minigrad.explain.families import family
from minigrad.explain.places import NamedParameter, Names, Place, word
from minigrad.explain.products import Products
from minigrad.explain.steps import Factor, Formula, Limit, Parts, Step, Sum, at, factor
from minigrad.layers import (
    GELU,
    Activation,
    Add,
    Average,
    Concatenate,
    Dropout,
    Multiply,
    Parallel,
    Residual,
)
from minigrad.layers.affine import Affine

_MOST_CELLS: Final = 2_000_000
_MOST_PASSES: Final = 4096
"""Derivatives that take more numbers, or more calls of `backward`, are not computed."""
_MERGES: Final = {Add: "add", Average: "mean", Multiply: "multiply", Concatenate: "concat"}
_AS_BACK: Final = f"as {BACK}"
_BY_SLOPE: Final = (Activation.backward, GELU.backward)
"""The methods that multiply delta by the slope."""


def forward(place: Place, names: Names) -> Step:
    """Return the step of a layer's output."""
    if place.affine:
        return _affine_output(place)
    return Branches(place, names).output() if _merges(place) else _layer_output(place)


def backward(place: Place, names: Names) -> Iterator[Step]:
    """Yield the steps of a layer's gradients and of dJ/dinput; first, of a container's deltas."""
    layer = place.layer
    if (place.inner and not place.enters) or type(layer) in _MERGES:
        yield from Branches(place, names).deltas()
    elif place.affine:
        yield from _affine_backward(place)
    elif _merges(place):
        yield Branches(place, names).input_delta()
    elif isinstance(layer, Activation) and type(layer).backward in _BY_SLOPE:
        yield from _activation_backward(place, layer)
    else:
        yield from (_layer_gradient(place, attribute) for attribute in place.parameters)
        yield from (
            _layer_input_delta(place, i)
            for i, delta in enumerate(place.input_deltas)
            if delta is not None
        )


def _merges(place: Place) -> bool:
    """Whether the output merges branches, or several inputs."""
    container = isinstance(place.layer, (Residual, Parallel)) and bool(place.inner)
    return container or type(place.layer) in _MERGES


def row_gradients(place: Place, attribute: str) -> Array:
    """Return what each row adds to the gradient of a parameter, of shape (rows, ...)."""
    delta, _ = place.deltas
    if place.linear:
        x, delta = (a.reshape(len(a), -1, a.shape[-1]) for a in (place.input, delta))
        with np.errstate(all="ignore"):
            gradients: Array = delta.sum(axis=1)
            if attribute == "weight":
                gradients = np.matmul(x.swapaxes(1, 2), delta)
        return gradients
    parts = []
    for row in range(len(delta)):
        alone = np.zeros_like(delta)
        alone[row] = delta[row]
        parts.append(_run_backward(place, alone, attribute))
    return np.stack(parts)


def _input_delta(
    place: Place, title: str, right: str, tag: str, parts: Parts, *, i: int = 0, unit: str = "k"
) -> Step:
    """Return the step of dJ/dinput, whose equation has this right side."""
    x, name = place.xs[i], place.input_delta_names[i]
    delta = cast("Array", place.input_deltas[i])
    equation = f"{at(name, x.shape, unit)} = {right}"
    return Step("backward", place.path, title, equation, tag, name, delta, parts, x)


def _affine_output(place: Place) -> Step:
    """z[k] = b[k] + Σ_j x[j] w[j,k], for each vector along the last axis, or each window."""
    z, products = place.h, Products(place)
    equation, lead = f"{z.name}[{products.indices['z']}] = {products.equations['z']}", _as(place)
    title, values, note = "weighted sums of the inputs", place.output, None
    if not place.linear:
        title, note = "weighted sums of the windows", products.note
    tag, parts = f"{lead}{FORWARD}", products.output
    return Step("forward", place.path, title, equation, tag, z.name, values, parts, z, note)


def _affine_backward(place: Place) -> Iterator[Step]:
    """dJ/dw[j,k] = δ[k] x[j], dJ/db[k] = δ[k], and dJ/dx[j] = Σ_k δ[k] w[j,k]."""
    products, lead = Products(place), _as(place)
    rights, index = products.equations, products.indices["weight"]
    tag, title = lead + place.tag(*WEIGHTS), "gradient of the weights"
    yield _gradient(place, "weight", title, index, rights["weight"], tag, products.for_weight)
    if products.bias:
        tag, title = lead + place.tag(*BIASES), "gradient of the biases"
        yield _gradient(place, "bias", title, "k", rights["bias"], tag, products.for_bias)
    title, tag, index = "back through the weights", f"{lead}{BACK}", products.indices["input"]
    yield _input_delta(place, title, rights["input"], tag, products.for_input, unit=index)


def _as(place: Place) -> str:
    """Return what stands before the numbers of equations that are those of a `Dense`."""
    return "" if place.linear else "as "


def _activation_backward(place: Place, layer: Activation) -> Iterator[Step]:
    """g'(z[k]), and δ[k] = dJ/da[k] g'(z[k])."""
    x, h, (delta, input_delta) = place.x, place.h, place.deltas
    slope = f"g'{place.input_delta_names[0].removeprefix(x.delta)}({x.name})"
    slopes = layer.derivative(place.output if layer.from_output else place.input)
    formula, name = _formula(place, place.sides.get("g'", "")), at(slope, x.shape, "k")

    def product(row: int, k: int, _: Limit) -> Sum:
        factors = factor(h.delta, delta[row], k), factor(slope, slopes[row], k)
        return Sum(input_delta[row].ravel()[k : k + 1], lambda _: factors)

    equation = f"{name} = {formula.names()}" if formula.text else name
    title, tag, parts = "slope of the activation", place.tag(*SLOPE), formula.numbers
    yield Step("backward", place.path, title, equation, tag, slope, slopes, parts, x)
    right, tag = f"{at(h.delta, h.shape, 'k')} {name}", place.tag(*DELTA)
    yield _input_delta(place, "back through the activation", right, tag, product)


def _layer_output(place: Place) -> Step:
    """The sum or formula of its family, or the layer's `equation`; else only the values."""
    x, h, layer = place.x, place.h, place.layer
    rights = [right for left, right in place.sides.items() if not left.endswith("'")]
    formula = _formula(place, rights[0] if rights else "")

    def parts(row: int, unit: int, limit: Limit) -> Sum | str:
        if not isinstance(layer, Dropout) and formula.text not in ("z", "x"):
            return formula.numbers(row, unit, limit)
        factors: tuple[Factor, ...] = (factor(x.name, place.input[row], unit),)
        if isinstance(layer, Dropout):
            factors += (factor("m", layer.cache[row], unit),)
        return Sum(place.output[row].ravel()[unit : unit + 1], lambda _: factors)

    known = family(place)
    equation = f"{h.name} = {word(layer.name or 'layer')}({', '.join(x.name for x in place.xs)})"
    if known is not None:
        unit = ",".join([*"tuvw"[: len(h.shape) - 1], "k"])
        equation = f"{at(h.name, h.shape, unit)} = {known.right}"
    if formula.text:
        equation = f"{at(h.name, h.shape, 'k')} = {formula.names()}"
    title = "the activation" if place.activates else "the output"
    tag = FORWARD if isinstance(layer, Activation) else f"as {FORWARD}"
    shown, note = (parts, None) if known is None else (known.parts, known.note)
    return Step("forward", place.path, title, equation, tag, h.name, place.output, shown, h, note)


def _layer_gradient(place: Place, attribute: str) -> Step:
    """A sum over the outputs if there is one row, and over the rows if there are several."""
    h, p, (delta, _) = place.h, place.parameters[attribute], place.deltas
    rows, shape = len(delta), p.source.shape
    passes, size = rows if rows > 1 else prod(h.shape), prod(shape)

    @cache
    def pieces() -> Array:
        if rows > 1:
            return row_gradients(place, attribute).reshape(rows, size)
        return np.stack([*_derivatives(place, 0, passes, attribute)]).reshape(passes, size)

    def parts(_: int, index: int, __: Limit) -> Sum | str:
        if passes > _MOST_PASSES or passes * size > _MOST_CELLS:
            return ""
        column, under = pieces()[:, index], at(p.name, shape, index)
        if rows > 1:
            return Sum(column, lambda row: ((f"row {row}", float(column[row])),))

        def factors(m: int) -> tuple[Factor, ...]:
            slope = f"∂{at(h.name, h.shape, m)}/∂{under}"
            return factor(h.delta, delta[0], m), (slope, float(column[m]))

        return Sum(column * delta[0].ravel(), factors)

    right = f"Σ_m {h.delta}[m] ∂{h.name}[m]/∂{at(p.name, shape, 'i')}"
    tag = f"as {place.tag(*BIASES)}"
    return _gradient(place, attribute, f"gradient of {attribute}", "i", right, tag, parts)


def _layer_input_delta(place: Place, i: int) -> Step:
    """dJ/dx[k] = Σ_m dJ/dh[m] dh[m]/dx[k], over all outputs that depend on x[k]."""
    x, h, (delta, _) = place.xs[i], place.h, place.deltas
    jacobian, size = cache(lambda row: _jacobian(place, row, i)), prod(h.shape)

    def parts(row: int, unit: int, _: Limit) -> Sum | str:
        reached, cells = jacobian(row)
        if cells is None:
            return ""
        slopes = cells[:, unit]
        used = np.flatnonzero(slopes) if slopes.any() else np.array([unit % size])

        def factors(i: int) -> tuple[Factor, ...]:
            other, m = reached[used[i] // size], int(used[i] % size)
            seen = other if len(reached) > 1 else None
            slope = f"∂{at(h.name, h.shape, m, seen)}/∂{at(x.name, x.shape, unit)}"
            return factor(h.delta, delta[other], m, seen), (slope, float(slopes[used[i]]))

        return Sum(delta[reached.start : reached.stop].ravel()[used] * slopes[used], factors)

    right = f"Σ_m {h.delta}[m] ∂{h.name}[m]/∂{x.name}[k]"
    return _input_delta(place, "back through the layer", right, _AS_BACK, parts, i=i)


def _jacobian(place: Place, row: int, i: int) -> tuple[range, Array | None]:
    """Return the rows that depend on a row's input, and d outputs / d input.

    They are None if there are too many, or if they don't agree with what the layer passed back.
    """
    delta, input_delta = place.deltas[0], cast("Array", place.input_deltas[i])
    reached = range(len(delta)) if place.layer.batch_dependent else range(row, row + 1)
    passes = len(reached) * prod(delta.shape[1:])
    if passes > _MOST_PASSES or passes * input_delta[row].size > _MOST_CELLS:
        return reached, None
    cells = np.stack([one[row].ravel() for one in _derivatives(place, reached.start, passes, i)])
    with np.errstate(all="ignore"):
        terms = delta[reached.start : reached.stop].reshape(-1, 1) * cells
        missed = np.abs(terms.sum(axis=0) - input_delta[row].ravel()).max()
        scale = np.abs(terms).sum(axis=0).max()
    # The limit allows for rounding: a normalization subtracts nearly equal numbers.
    return reached, cells if missed <= np.finfo(cells.dtype).eps ** 0.5 * scale else None


def _derivatives(place: Place, row: int, count: int, by: int | str) -> Iterator[Array]:
    """Yield the derivatives of `count` outputs from `row` on, by an input or a parameter.

    `backward` is linear in delta, so a delta of 1 for one output returns its derivatives.
    """
    for item in range(count):
        one = np.zeros_like(place.output)
        one.flat[row * one[0].size + item] = 1
        yield _run_backward(place, one, by)


def _run_backward(place: Place, delta: Array, by: int | str) -> Array:
    """Return dJ/dinput for a delta, by its index, or the gradient of a parameter, by attribute."""
    layer = place.layer
    if isinstance(layer, Affine) and place.affine:  # delta is dJ/dz, before the activation
        cache, layer = layer.cache, copy.copy(layer)
        layer.cache, layer.activation = cache, None
    with np.errstate(all="ignore"):
        found = type(layer).backward(layer, delta)
    if isinstance(by, str):
        return dict(layer.own_parameters())[by].grad.copy()
    input_delta: Array = found[by] if isinstance(found, tuple) else found
    return input_delta


def delta_sums(names: Names) -> dict[str, Step]:
    """Return the step of each delta that is a sum over what takes the value, by its name."""
    steps = {}
    for symbol in names.symbols.values():
        takers = names.takers.get(symbol.delta, ())
        if takers:
            values: Array = reduce(np.add, [taker.delta for taker in takers])
            arrays = [(taker.name, taker.delta) for taker in takers]
            parts = _added(arrays, [np.arange(prod(symbol.shape))] * len(takers))
            added = " + ".join(at(taker.name, symbol.shape, "k") for taker in takers)
            via = " + ".join(f"via {taker.by}" for taker in takers)
            title, name = f"delta({symbol.name}) = {via}", symbol.delta
            equation = f"{at(name, symbol.shape, 'k')} = {added}"
            steps[symbol.name] = Step(
                "backward", "", title, equation, _AS_BACK, name, values, parts, symbol
            )
    return steps


def _gradient(
    place: Place, attribute: str, title: str, unit: str, right: str, tag: str, parts: Parts
) -> Step:
    p, values = place.parameters[attribute], (place.gradients or {})[attribute]
    sums, over = ("Σ_rows ", ", over all rows") if len(place.output) > 1 else ("", "")
    equation, title = f"{at(p.gradient, values.shape, unit)} = {sums}{right}", f"{title}{over}"
    step = Step("backward", place.path, title, equation, tag, p.gradient, values[None], parts)
    return _regularized(step, p)


def shared_gradients(names: Names) -> Iterator[Step]:
    """Yield the gradient of each parameter that several layers share: the sum of its parts."""
    for uses in names.parameters.values():
        held = [(p.parameters[name], p.gradients[name]) for p, name in uses if p.gradients]
        if len(uses) < 2 or not held:
            continue
        p, path = held[0][0], uses[0][0].path
        title = f"gradient of a parameter that {len(held)} layers share"
        equation = f"{p.total} = {' + '.join(part.gradient for part, _ in held)}"
        values = np.stack([gradient for _, gradient in held]).sum(axis=0)[None]
        arrays = [(part.gradient, gradient[None]) for part, gradient in held]
        parts = _added(arrays, [np.arange(values.size)] * len(held))
        step = Step(
            "backward", path, title, equation, f"as {SUM_OVER_UNITS}", p.total, values, parts
        )
        yield _regularized(step, p)


def _regularized(step: Step, p: NamedParameter) -> Step:
    """Add the regularizer to the step of a parameter's whole gradient."""
    regularizer, name = p.source.regularizer, f"∂regularizer/∂{p.name}"
    if regularizer is None or step.name != p.total:
        return step
    added = regularizer.derivative(p.source.value)

    def parts(row: int, index: int, limit: Limit) -> Sum | str:
        made, last = step.parts(row, index, limit), factor(name, added, index)
        return made._replace(last=(last,)) if isinstance(made, Sum) else made

    equation = f"{step.equation} + {name}"
    return replace(step, equation=equation, values=step.values + added, parts=parts)


def _formula(place: Place, text: str) -> Formula:
    """Return the right side of a layer's equation, with the names and arrays of a pass."""
    x, h = (place.x.name, place.input), (place.h.name, place.output)
    held = place.parameters.items()
    parameters = {key: (p.name, p.source.shape if p.source.size > 1 else ()) for key, p in held}
    arrays = dict.fromkeys(place.sides, h) | {"z": x, "x": x}
    return Formula(text, arrays, place.layer, parameters)


class Branches:
    """The branches of a container, or the inputs of a merging layer, and the deltas they return."""

    def __init__(self, place: Place, names: Names) -> None:
        self.place, self.names, kind = place, names, place.layer
        merge = kind.merge if isinstance(kind, Parallel) else _MERGES.get(type(kind), "add")
        self.title = "the merged branches" if place.inner else "the merged inputs"
        symbols = [(names.of(child.output), child) for child in place.inner]
        self.outputs = [
            (symbol, c.output, c.delta, symbol.delta) for symbol, c in symbols if symbol is not None
        ]
        if type(kind) in _MERGES:
            named = place.xs, place.inputs, place.input_deltas, place.input_delta_names
            self.outputs = list(zip(*named, strict=True))
        deltas = [child.input_delta for child in place.inner if child.input_delta is not None]
        self.back = [(names.deltas[id(d)], d) for d in deltas if id(d) in names.deltas]
        if isinstance(kind, Residual):
            self.outputs.insert(0, (place.x, place.input, None, ""))
            self.back[:0] = [] if place.delta is None else [(place.h.delta, place.delta)]
        shapes, count = [output[0].shape for output in self.outputs], len(self.outputs)
        self.merge = merge
        # The flat indices of the output that each branch's numbers go to.
        self.where = [np.arange(prod(shape)) for shape in shapes]
        if merge == "concat":
            numbered = [np.full(shape, branch) for branch, shape in enumerate(shapes)]
            branch_of = np.concatenate(numbered, axis=-1).ravel()
            self.where = [np.flatnonzero(branch_of == branch) for branch in range(count)]
        self.scale: tuple[Factor, ...] = (("factor", 1 / count),) if merge == "mean" else ()
        self.written = f"1/{count} " if merge == "mean" else ""

    def output(self) -> Step:
        place, h = self.place, self.place.h
        arrays = [(symbol.name, output) for symbol, output, _, _ in self.outputs]
        parts, sign = _added(arrays, self.where, self.scale), " + "
        if self.merge == "multiply":
            parts, sign = _product(arrays, place.output), " "
        merged = sign.join(self.written + at(name, h.shape, "k") for name, _ in arrays)
        equation = f"{at(h.name, h.shape, 'k')} = {merged}"
        if self.merge == "concat":
            equation = f"{h.name} = concat({', '.join(name for name, _ in arrays)})"
        name, values = h.name, place.output
        return Step(
            "forward", place.path, self.title, equation, f"as {FORWARD}", name, values, parts, h
        )

    def deltas(self) -> Iterator[Step]:
        """Yield the deltas of the branches; a delta from a layer inside is a step of that layer."""
        place, h, (came, _) = self.place, self.place.h, self.place.deltas
        for i, (symbol, _, delta, name) in enumerate(self.outputs):
            where, path, inside = self.where[i], place.path, bool(place.inner)
            if (
                delta is None
                or symbol == h
                or (inside and self.names.deltas.get(id(delta)) == name)
            ):
                continue
            title, equation = f"the delta of {symbol.name}", at(name, symbol.shape, "k")
            parts = _added([], [])  # of another container's deltas only the values are known
            if self.merge == "multiply":
                others = [(s.name, o) for j, (s, o, _, _) in enumerate(self.outputs) if j != i]
                parts = _product([(h.delta, came), *others], delta)
                right = (at(other, h.shape, "k") for other in (h.delta, *dict(others)))
                equation += f" = {' '.join(right)}"
            elif _merges(place) or delta is came:
                index_of = np.full(prod(h.shape), -1)
                index_of[where] = np.arange(where.size)
                parts = _added([(h.delta, came)], [index_of], self.scale)
                offset = f"{where[0]} + " if where[0] else ""
                equation += f" = {self.written}{h.delta}[{offset}k]"
            yield Step("backward", path, title, equation, _AS_BACK, name, delta, parts, symbol)

    def input_delta(self) -> Step:
        x = self.place.x
        parts = _added(self.back, [np.arange(prod(x.shape))] * len(self.back))
        right = " + ".join(at(name, x.shape, "k") for name, _ in self.back)
        title = "the sum of the branches' deltas"
        return _input_delta(self.place, title, right, _AS_BACK, parts)


def _added(
    arrays: list[tuple[str, Array]], where: list[NDArray[np.intp]], scale: tuple[Factor, ...] = ()
) -> Parts:
    """Return the parts of a sum of arrays, whose numbers go to the flat indices in `where`."""

    def parts(row: int, unit: int, _: Limit) -> Sum:
        factors = [
            factor(name, array[min(row, len(array) - 1)], index)
            for (name, array), places in zip(arrays, where, strict=True)
            for index in np.flatnonzero(places == unit).tolist()
        ]
        products = np.array([value for _, value in factors]) * (scale[0][1] if scale else 1.0)
        return Sum(products, lambda i: (*scale, factors[i]))

    return parts


def _product(arrays: list[tuple[str, Array]], values: Array) -> Parts:
    """Return the parts of a product of arrays, element by element."""

    def parts(row: int, unit: int, _: Limit) -> Sum:
        factors = tuple(factor(name, array[row], unit) for name, array in arrays)
        return Sum(values[row].ravel()[unit : unit + 1], lambda _: factors)

    return parts
