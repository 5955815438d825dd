"""The steps of each layer: its output, its parameters' gradients, and the delta it passes on.

Three kinds of layers have sums of their own: `Dense`, activations, and containers. Any other layer
is shown by its `equation` forward, and by its derivatives back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from math import prod
from typing import Final

import numpy as np

from minigrad.core.branches import Parallel, Residual
from minigrad.data.arrays import Array, Shape
from minigrad.explain.equations import with_names, with_numbers
from minigrad.explain.places import NamedParameter, Names, Place, word
from minigrad.explain.steps import Factor, Limit, Step, Sum, Symbol, at, factor
from minigrad.layers.activations import Activation
from minigrad.layers.dropout import Dropout

_MOST_CELLS: Final = 2_000_000
_MOST_PASSES: Final = 4096
"""Derivatives that need more numbers, or more calls of `backward`, aren't computed."""

Parts = Callable[[int, int, Limit], Sum | str]


def forward(place: Place, names: Names) -> Step:
    """Return the step of a layer's output."""
    if place.linear:
        return _dense_output(place)
    if isinstance(place.layer, (Residual, Parallel)) and place.inner:
        return Branches(place, names).output()
    return _layer_output(place)


def backward(place: Place, names: Names) -> Iterator[Step]:
    """Yield the steps of a layer's gradients and of dJ/dinput."""
    layer = place.layer
    if place.linear:
        yield from _dense_backward(place)
    elif isinstance(layer, (Residual, Parallel)) and place.inner:
        yield Branches(place, names).input_delta()
    elif isinstance(layer, Activation) and type(layer).backward is Activation.backward:
        yield from _activation_backward(place)
    else:
        for attribute in place.parameters:
            yield _layer_gradient(place, attribute)
        yield _layer_input_delta(place)


def row_gradients(place: Place, attribute: str) -> Array:
    """Return what each row adds to the gradient of a parameter, of shape (rows, ...)."""
    assert place.delta is not None
    if place.linear:
        with np.errstate(all="ignore"):
            made = place.input[:, :, None] * place.delta[:, None, :]
        return made if attribute == "weight" else place.delta.copy()
    parts = []
    for row in range(len(place.delta)):
        delta = np.zeros_like(place.delta)
        delta[row] = place.delta[row]
        parts.append(_run_backward(place, delta)[1][attribute])
    return np.stack(parts)


def _output_step(place: Place, title: str, equation: str, *, exact: bool, parts: Parts) -> Step:
    numbers, h = place.tag("output", exact=exact), place.h
    return Step(
        "forward", place.path, title, equation, numbers, h.name, h.shape, place.output, parts, h
    )


def _input_step(place: Place, title: str, right: str, numbers: str, parts: Parts) -> Step:
    """Return the step of dJ/dinput; `right` is the right side of its equation."""
    x, name = place.x, place.input_delta_name
    assert place.input_delta is not None
    equation = f"{at(name, x.shape, 'j' if place.linear else 'k')} = {right}"
    return Step(
        "backward", place.path, title, equation, numbers, name, x.shape, place.input_delta, parts, x
    )


def _dense_output(place: Place) -> Step:
    """z[k] = b[k] + Σ_j x[j] w[j,k]."""
    x, z, w, bias = place.x, place.h, place.parameters["weight"], place.parameters.get("bias")
    weight, units = w.source.value, z.shape[-1]

    def parts(row: int, unit: int, _: Limit) -> Sum:
        inputs = place.input[row]
        return Sum(
            inputs * weight[:, unit],
            lambda j: (factor(x.name, inputs, j), factor(w.name, weight, j * units + unit)),
            first=(factor(bias.name, bias.source.value, unit),) if bias else (),
        )

    equation = f"{z.name}[k] = {f'{bias.name}[k] + ' if bias else ''}Σ_j {x.name}[j] {w.name}[j,k]"
    return _output_step(place, "weighted sums of the inputs", equation, exact=True, parts=parts)


def _dense_backward(place: Place) -> Iterator[Step]:
    """dJ/dw[j,k] = δ[k] x[j], dJ/db[k] = δ[k], and dJ/dx[j] = Σ_k δ[k] w[j,k]."""
    x, z, w, inputs, delta = place.x, place.h, place.parameters["weight"], place.input, place.delta
    assert delta is not None
    weight, units = w.source.value, z.shape[-1]

    def back(row: int, k: int) -> Factor:
        return factor(z.delta, delta[row], k, place.seen(row))

    def for_weight(_: int, index: int, __: Limit) -> Sum:
        j, k = divmod(index, units)
        return Sum(
            delta[:, k] * inputs[:, j],
            lambda row: (back(row, k), factor(x.name, inputs[row], j, place.seen(row))),
        )

    def for_bias(_: int, k: int, __: Limit) -> Sum:
        return Sum(delta[:, k], lambda row: (back(row, k),))

    def for_input(row: int, j: int, _: Limit) -> Sum:
        return Sum(
            delta[row] * weight[j],
            lambda k: (factor(z.delta, delta[row], k), factor(w.name, weight, j * units + k)),
        )

    right, numbers = f"{z.delta}[k] {x.name}[j]", place.tag("weight gradient")
    yield _gradient(place, "weight", "gradient of the weights", "j,k", right, numbers, for_weight)
    if "bias" in place.parameters:
        title, numbers = "gradient of the biases", place.tag("gradient")
        yield _gradient(place, "bias", title, "k", f"{z.delta}[k]", numbers, for_bias)
    right, numbers = f"Σ_k {z.delta}[k] {w.name}[j,k]", place.tag("input delta")
    yield _input_step(place, "back through the weights", right, numbers, for_input)


def _activation_backward(place: Place) -> Iterator[Step]:
    """g'(z[k]), and δ[k] = dJ/da[k] g'(z[k])."""
    layer, x, h, delta, input_delta = (
        place.layer, place.x, place.h, place.delta, place.input_delta
    )  # fmt: skip
    assert isinstance(layer, Activation)
    assert delta is not None
    assert input_delta is not None
    slopes = layer.derivative(place.output if layer.from_output else place.input)
    expression, name = place.sides.get("g'", ""), at(place.slope, x.shape, "k")

    def parts(row: int, unit: int, _: Limit) -> Sum:
        return Sum(
            input_delta[row].ravel()[unit : unit + 1],
            lambda _: (factor(h.delta, delta[row], unit), factor(place.slope, slopes[row], unit)),
        )

    yield Step(
        phase="backward",
        path=place.path,
        title="slope of the activation",
        equation=name + (f" = {_in_names(place, expression)}" if expression else ""),
        tag=place.tag("slope"),
        name=place.slope,
        shape=x.shape,
        values=slopes,
        parts=lambda row, unit, limit: _in_numbers(place, expression, row, unit, limit),
        symbol=x,
    )
    title = "delta: back through the activation"
    yield _input_step(
        place, title, f"{at(h.delta, h.shape, 'k')} {name}", place.tag("delta"), parts
    )


def _layer_output(place: Place) -> Step:
    """h = ..., as the layer's `equation` says; without one, only the values are known."""
    x, h, layer = place.x, place.h, place.layer
    sides = ((left, right) for left, right in place.sides.items() if not left.endswith("'"))
    expression = next((right for _, right in sides), "")

    def parts(row: int, unit: int, limit: Limit) -> Sum | str:
        if expression in ("z", "x"):
            came = factor(x.name, place.input[row], unit)
            return Sum(np.array([came[1]]), lambda _: (came,))
        if isinstance(layer, Dropout):
            factors = (
                factor(x.name, place.input[row], unit),
                factor("m", layer.cache[row], unit),
            )
            return Sum(place.output[row].ravel()[unit : unit + 1], lambda _: factors)
        return _in_numbers(place, expression, row, unit, limit)

    written = f"{at(h.name, h.shape, 'k')} = {_in_names(place, expression)}"
    opaque = f"{h.name} = {word(layer.name or 'layer')}({x.name})"
    return _output_step(
        place,
        "the activation" if place.activates else "the output",
        written if expression else opaque,
        exact=isinstance(layer, Activation),
        parts=parts,
    )


def _layer_gradient(place: Place, attribute: str) -> Step:
    """A sum over the outputs if there is one row, and over the rows if there are several."""
    h, p, delta = place.h, place.parameters[attribute], place.delta
    assert delta is not None
    rows, shape = len(delta), p.source.shape
    passes, size = rows if rows > 1 else prod(h.shape), prod(shape)

    @cache
    def pieces() -> Array | None:
        """Return what each row adds, or the derivatives of each output."""
        if passes > _MOST_PASSES or passes * size > _MOST_CELLS:
            return None
        if rows > 1:
            return row_gradients(place, attribute).reshape(rows, size)
        every = [_run_backward(place, one)[1][attribute] for one in _ones(delta, 0, passes)]
        return np.stack(every).reshape(passes, size)

    def parts(_: int, index: int, __: Limit) -> Sum | str:
        found = pieces()
        if found is None:
            return ""
        column = found[:, index]
        if rows > 1:
            return Sum(column, lambda row: ((f"row {row}", float(column[row])),))
        slope = f"/∂{at(p.name, shape, index)}"
        return Sum(
            column * delta[0].ravel(),
            lambda m: (
                factor(h.delta, delta[0], m),
                (f"∂{at(h.name, h.shape, m)}{slope}", float(column[m])),
            ),
        )

    right = f"Σ_m {h.delta}[m] ∂{h.name}[m]/∂{at(p.name, shape, 'i')}"
    numbers = place.tag("gradient", exact=False)
    return _gradient(place, attribute, f"gradient of {attribute}", "i", right, numbers, parts)


def _layer_input_delta(place: Place) -> Step:
    """dJ/dx[k] = Σ_m dJ/dh[m] dh[m]/dx[k], over all outputs that depend on x[k]."""
    x, h, delta = place.x, place.h, place.delta
    assert delta is not None
    jacobian = cache(lambda row: _jacobian(place, row))

    def parts(row: int, unit: int, _: Limit) -> Sum | str:
        cells = jacobian(row)
        if cells is None:
            return ""
        slopes, reached = cells[:, unit], _rows_reached(place, row)
        deltas = delta[reached.start : reached.stop].ravel()
        size = prod(h.shape)
        used = np.flatnonzero(slopes) if slopes.any() else np.array([unit % size])

        def factors(i: int) -> tuple[Factor, ...]:
            other, m = divmod(int(used[i]), size)
            seen = reached[other] if len(reached) > 1 else None
            slope = f"∂{at(h.name, h.shape, m, seen)}/∂{at(x.name, x.shape, unit)}"
            came = factor(h.delta, delta[reached[other]], m, seen)
            return came, (slope, float(slopes[used[i]]))

        return Sum(deltas[used] * slopes[used], factors)

    right = f"Σ_m {h.delta}[m] ∂{h.name}[m]/∂{x.name}[k]"
    numbers = place.tag("input delta", exact=False)
    return _input_step(place, "back through the layer", right, numbers, parts)


def _rows_reached(place: Place, row: int) -> range:
    """Return the rows whose outputs depend on a row's input."""
    return range(len(place.output)) if place.layer.batch_dependent else range(row, row + 1)


def _jacobian(place: Place, row: int) -> Array | None:
    """Return d output / d input of one row, of shape (rows reached * outputs, inputs).

    `backward` is linear in delta: a delta of 1 for one output and 0 for all others returns the
    derivatives of that output, for any layer. None if there are too many, or if they don't agree
    with what the layer passed back.
    """
    reached, (_, *units) = _rows_reached(place, row), place.output.shape
    passes, inputs = len(reached) * prod(units), prod(place.input.shape[1:])
    if passes > _MOST_PASSES or passes * inputs > _MOST_CELLS:
        return None
    assert place.delta is not None
    assert place.input_delta is not None
    cells = np.empty((passes, inputs), place.input_delta.dtype)
    for item, delta in enumerate(_ones(place.delta, reached.start, passes)):
        cells[item] = _run_backward(place, delta)[0][row].ravel()
    with np.errstate(all="ignore"):
        terms = place.delta[reached.start : reached.stop].reshape(-1, 1) * cells
        missed = np.abs(terms.sum(axis=0) - place.input_delta[row].ravel()).max()
        scale = np.abs(terms).sum(axis=0).max()
    # The limit allows for rounding: a normalisation subtracts nearly equal numbers.
    return cells if bool(missed <= np.finfo(cells.dtype).eps ** 0.5 * scale) else None


def _ones(like: Array, row: int, count: int) -> Iterator[Array]:
    """Yield `count` arrays of zeros with a one at the numbers from `row` on, in order."""
    for item in range(count):
        made = np.zeros_like(like)
        made.flat[row * prod(like.shape[1:]) + item] = 1
        yield made


def _run_backward(place: Place, delta: Array) -> tuple[Array, dict[str, Array]]:
    layer = place.layer
    with np.errstate(all="ignore"):
        input_delta: Array = type(layer).backward(layer, delta)
    return input_delta, {name: p.grad.copy() for name, p in layer.own_parameters()}


def _gradient(
    place: Place,
    attribute: str,
    title: str,
    unit: str,
    right: str,
    numbers: str,
    parts: Parts,
) -> Step:
    """Return the step of a parameter's gradient in one layer."""
    p, several = place.parameters[attribute], len(place.output) > 1
    return _regularized(
        p,
        p.gradient,
        place.path,
        title + (", over all rows" if several else ""),
        f"{at(p.gradient, p.source.shape, unit)} = {'Σ_rows ' if several else ''}{right}",
        numbers,
        place.gradients[attribute],
        parts,
    )


def shared_gradients(places: Sequence[Place]) -> Iterator[Step]:
    """Yield the gradient of each parameter that several layers share: the sum of its parts."""
    uses: dict[str, list[tuple[Place, str]]] = {}
    for place in places:
        for attribute, p in place.parameters.items():
            if p.gradient != p.total and place.delta is not None:
                uses.setdefault(p.name, []).append((place, attribute))
    for held in uses.values():
        yield _shared_gradient(held)


def _shared_gradient(uses: list[tuple[Place, str]]) -> Step:
    names = [place.parameters[attribute].gradient for place, attribute in uses]
    gradients = [place.gradients[attribute] for place, attribute in uses]

    def parts(_: int, index: int, __: Limit) -> Sum:
        factors = [factor(name, array, index) for name, array in zip(names, gradients, strict=True)]
        return Sum(np.array([value for _, value in factors]), lambda use: (factors[use],))

    p = uses[0][0].parameters[uses[0][1]]
    return _regularized(
        p,
        p.total,
        uses[0][0].path,
        f"gradient of a parameter that {len(uses)} layers share",
        f"{p.total} = {' + '.join(names)}",
        "as 7",
        np.stack(gradients).sum(axis=0),
        parts,
    )


def _regularized(
    p: NamedParameter,
    name: str,
    path: str,
    title: str,
    equation: str,
    numbers: str,
    values: Array,
    parts: Parts,
) -> Step:
    """Return a gradient's step; a regularizer is added to the whole gradient, not to a part."""
    regularizer, shape = p.source.regularizer, p.source.shape
    if regularizer is None or name != p.total:
        return Step("backward", path, title, equation, numbers, name, shape, values, parts)
    added, plain = regularizer.derivative(p.source.value), f"∂regularizer/∂{p.name}"

    def with_regularizer(row: int, index: int, limit: Limit) -> Sum | str:
        made = parts(row, index, limit)
        if isinstance(made, str):
            return made
        return Sum(made.products, made.factors, last=(factor(plain, added, index),))

    equation, values = f"{equation} + {plain}", values + added
    return Step("backward", path, title, equation, numbers, name, shape, values, with_regularizer)


def _in_names(place: Place, expression: str) -> str:
    x, h = (place.x.name, place.x.shape), (place.h.name, place.h.shape)
    arrays = {"z": x, "x": x, **dict.fromkeys(place.sides, h)}
    for attribute, p in place.parameters.items():
        arrays[attribute] = p.name, p.source.shape if p.source.size > 1 else ()
    return with_names(expression, arrays)


def _in_numbers(place: Place, expression: str, row: int, unit: int, limit: Limit) -> str:
    if not expression:
        return ""
    # Sums and means run over the last axis; means of a batch run over the rows.
    last = place.output.shape[-1] if place.output.ndim > 1 else 1
    start = unit - unit % last
    x, h = (array[row].ravel()[start : start + last] for array in (place.input, place.output))
    arrays, over = dict.fromkeys(place.sides, h), None
    if place.x.shape == place.h.shape:
        arrays |= {"z": x, "x": x}
        over = place.input.reshape(-1, last)[:, unit % last] if place.layer.batch_dependent else x
    return with_numbers(expression, arrays, unit - start, owner=place.layer, limit=limit, over=over)


class Branches:
    """The branches of a container, between its input and its output.

    Args:
        place: of the container.
        names: of all arrays.
    """

    def __init__(self, place: Place, names: Names) -> None:
        self.place, kind = place, place.layer
        self.known = isinstance(kind, (Residual, Parallel))
        merge = kind.merge if isinstance(kind, Parallel) else "add"
        self.concat = merge == "concat"
        self.outputs: list[tuple[Symbol, Array, Array | None]] = []
        """The symbol, the output and the delta of each branch."""
        self.back: list[tuple[str, Array]] = []
        """The name and the values of what comes back from each branch."""
        self._passed = names.deltas
        if isinstance(kind, Residual):
            self.outputs.append((place.x, place.input, None))
            if place.delta is not None:
                self.back.append((place.h.delta, place.delta))
        for child in place.inner:
            symbol = names.of(child.output)
            if symbol is not None:
                self.outputs.append((symbol, child.output, child.delta))
            if child.input_delta is not None and id(child.input_delta) in names.deltas:
                self.back.append((names.deltas[id(child.input_delta)], child.input_delta))
        self.shapes: list[Shape] = [symbol.shape for symbol, _, _ in self.outputs]
        count = len(self.outputs)
        self.scale: tuple[Factor, ...] = (("factor", 1 / count),) if merge == "mean" else ()
        self.written = f"1/{count} " if merge == "mean" else ""
        if self.concat:  # the branch that each number of the output is from, and its index there
            counted = [np.arange(prod(shape)).reshape(shape) for shape in self.shapes]
            branches = [np.full(shape, branch) for branch, shape in enumerate(self.shapes)]
            self.branch_of = np.concatenate(branches, axis=-1).ravel()
            self.index_of = np.concatenate(counted, axis=-1).ravel()

    def output(self) -> Step:
        """Return the step of the output: a sum, a mean, or a concatenation."""
        h = self.place.h

        def parts(row: int, unit: int, _: Limit) -> Sum:
            used = [(branch, unit) for branch in range(len(self.outputs))]
            if self.concat:
                used = [(int(self.branch_of[unit]), int(self.index_of[unit]))]
            factors = []
            for branch, index in used:
                symbol, output, _ = self.outputs[branch]
                factors.append(factor(symbol.name, output[row], index))
            products = np.array([value for _, value in factors])
            if self.scale:
                products = products * self.scale[0][1]
            return Sum(products, lambda i: (*self.scale, factors[i]))

        names = [symbol.name for symbol, _, _ in self.outputs]
        units = [self.written + at(name, h.shape, "k") for name in names]
        added = f"{at(h.name, h.shape, 'k')} = {' + '.join(units)}"
        equation = f"{h.name} = concat({', '.join(names)})" if self.concat else added
        return _output_step(self.place, "the merged branches", equation, exact=False, parts=parts)

    def deltas(self) -> dict[str, Step]:
        """Return the step of the delta that each branch receives, by the name of its output.

        A delta that another layer inside passes back is a step of that layer.
        """
        return {
            symbol.name: self._delta(branch, symbol, delta)
            for branch, (symbol, _, delta) in enumerate(self.outputs)
            if delta is not None and symbol != self.place.h
            if self._passed.get(id(delta)) != symbol.delta
        }

    def input_delta(self) -> Step:
        """Return the step of dJ/dinput: the sum of what comes back from the branches."""
        x, back = self.place.x, self.back

        def parts(row: int, unit: int, _: Limit) -> Sum:
            factors = [factor(name, part[row], unit) for name, part in back]
            return Sum(np.array([value for _, value in factors]), lambda i: (factors[i],))

        right = " + ".join(at(name, x.shape, "k") for name, _ in back)
        numbers = self.place.tag("input delta", exact=False)
        return _input_step(self.place, "the sum of the branches' deltas", right, numbers, parts)

    def _delta(self, branch: int, symbol: Symbol, delta: Array) -> Step:
        place, came = self.place, self.place.delta
        follows = came is not None and (self.known or delta is came)

        def parts(row: int, unit: int, _: Limit) -> Sum | str:
            if not follows or came is None:
                return ""
            index = np.flatnonzero(self.branch_of == branch)[unit] if self.concat else unit
            factors = (*self.scale, factor(place.h.delta, came[row], index))
            return Sum(delta[row].ravel()[unit : unit + 1], lambda _: factors)

        offset = sum(shape[-1] for shape in self.shapes[:branch]) if self.concat else 0
        right = f" = {self.written}{place.h.delta}[{f'{offset} + ' if offset else ''}k]"
        return Step(
            phase="backward",
            path=place.path,
            title=f"the delta of {symbol.name}",
            equation=at(symbol.delta, symbol.shape, "k") + (right if follows else ""),
            tag=place.tag("input delta", exact=False),
            name=symbol.delta,
            shape=symbol.shape,
            values=delta,
            parts=parts,
            symbol=symbol,
        )
