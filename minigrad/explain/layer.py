"""How any layer says what it does: forward by its own equation, back by its derivatives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minigrad.data.arrays import Array
from minigrad.explain.elementwise import with_names, with_numbers
from minigrad.explain.equations import tag
from minigrad.explain.jacobian import Jacobian
from minigrad.explain.lines import Factors, Limit, Line, Step, Term, at, summed
from minigrad.explain.naming import word
from minigrad.explain.places import Place
from minigrad.explain.steps import input_delta_step, output_step
from minigrad.explain.totals import gradient_step
from minigrad.layers.activations import Activation
from minigrad.layers.dropout import Dropout


def forward(place: Place) -> Step:
    """Tell h = ..., as the layer's `equation` says it; without one, only its value is known."""
    x, h = place.x, place.h
    expression = place.expression

    def tell(row: int, unit: int, limit: Limit) -> Line:
        name, value = at(h.name, h.shape, unit), float(place.output[row].ravel()[unit])
        if expression in ("z", "x"):
            held = float(place.input[row].ravel()[unit])
            return Line(name, value, (Term(((at(x.name, x.shape, unit), held),), held),))
        if isinstance(place.layer, Dropout):
            held, kept = float(place.input[row].ravel()[unit]), place.layer.cache[row].ravel()[unit]
            factors = (at(x.name, x.shape, unit), held), (at("m", h.shape, unit), float(kept))
            return Line(name, value, (Term(factors, value),))
        return Line(name, value, formula=_numbers(place, expression, row, unit, limit))

    return output_step(
        place,
        title="the activation" if place.activates else "the output",
        equation=(
            f"{at(h.name, h.shape, 'k')} = {_names(place, expression)}"
            if expression
            else f"{h.name} = {word(place.layer.name or 'layer')}({x.name})"
        ),
        tag=tag("output", hidden=place.hidden, exact=isinstance(place.layer, Activation)),
        tell=tell,
    )


def backward(place: Place) -> Iterator[Step]:
    """Tell the parameters' gradients, and dJ/dx[k] = Σ_m dJ/dh[m] dh[m]/dx[k]."""
    layer = place.layer
    if isinstance(layer, Activation) and type(layer).backward is Activation.backward:
        slopes = layer.derivative(place.output if layer.from_output else place.input)
        yield _slope(place, slopes)
        yield _through_slope(place, slopes)
        return
    jacobian = Jacobian(place)
    for attribute in place.parameters:
        yield _parameter_gradient(place, attribute, jacobian)
    yield through_jacobian(place, jacobian)


def _slope(place: Place, slopes: Array) -> Step:
    x, expression = place.x, place.sides.get("g'", "")

    def tell(row: int, unit: int, limit: Limit) -> Line:
        value = float(slopes[row].ravel()[unit])
        formula = _numbers(place, expression, row, unit, limit)
        return Line(place.slope_at(unit), value, formula=formula)

    said = f" = {_names(place, expression)}" if expression else ""
    return Step(
        phase="backward",
        path=place.path,
        title="slope of the activation",
        equation=f"{place.slope_at('k')}{said}",
        tag=tag("slope", hidden=place.hidden),
        name=f"{place.slope}({x.name})",
        symbol=x,
        shape=x.shape,
        values=lambda row: slopes[row],
        tell=tell,
    )


def _through_slope(place: Place, slopes: Array) -> Step:
    x, h, delta, input_delta = place.x, place.h, place.delta, place.input_delta
    assert delta is not None
    assert input_delta is not None

    def tell(row: int, unit: int, limit: Limit) -> Line:
        came, slope = float(delta[row].ravel()[unit]), float(slopes[row].ravel()[unit])
        passed = float(input_delta[row].ravel()[unit])
        factors = (at(h.delta, h.shape, unit), came), (place.slope_at(unit), slope)
        name = at(place.input_delta_name, x.shape, unit)
        return Line(name, passed, (Term(factors, passed),))

    return input_delta_step(
        place,
        title="delta: back through the activation",
        equation=f"{at(place.input_delta_name, x.shape, 'k')} = "
        f"{at(h.delta, h.shape, 'k')} {place.slope_at('k')}",
        tag=tag("delta", hidden=place.hidden),
        tell=tell,
    )


def _parameter_gradient(place: Place, attribute: str, jacobian: Jacobian) -> Step:
    """Tell a sum over outputs where there is one row, and over rows where there are several."""
    h, delta = place.h, place.delta
    symbol, _, parameter = place.parameters[attribute]
    assert delta is not None
    alone = delta[0].ravel() if len(delta) == 1 else None

    def products(index: int) -> Array | None:
        parts = jacobian.of_parameter(attribute)
        if parts is None:
            return None
        return parts[:, index] if alone is None else parts[:, index] * alone

    def factors(index: int, term: int) -> Factors:
        parts = jacobian.of_parameter(attribute)
        assert parts is not None
        part = float(parts[term, index])
        if alone is None:
            return ((f"row {term}", part),)
        slope = f"∂{at(h.name, h.shape, term)}/∂{at(symbol, parameter.shape, index)}"
        return (at(h.delta, h.shape, term), float(alone[term])), (slope, part)

    return gradient_step(
        place,
        attribute,
        title=f"gradient of {attribute}",
        right=f"Σ_m {h.delta}[m] ∂{h.name}[m]/∂{at(symbol, parameter.shape, 'i')}",
        unit="i",
        tag=tag("gradient", hidden=place.hidden, exact=False),
        products=products,
        factors=factors,
    )


def through_jacobian(place: Place, jacobian: Jacobian) -> Step:
    """Tell dJ/dinput as the sum over all outputs that an input reaches."""
    x, h, delta, input_delta = place.x, place.h, place.delta, place.input_delta
    assert delta is not None
    assert input_delta is not None
    outputs = h.size

    def tell(row: int, unit: int, limit: Limit) -> Line:
        name = at(place.input_delta_name, x.shape, unit)
        passed = float(input_delta[row].ravel()[unit])
        slopes = jacobian.of_input(row, unit)
        if slopes is None:
            return Line(name, passed)
        reached = jacobian.rows_reached(row)
        deltas = delta[reached.start : reached.stop].ravel()
        used = np.flatnonzero(slopes) if slopes.any() else np.array([unit % outputs])

        def factors(i: int) -> Factors:
            other, m = divmod(int(used[i]), outputs)
            seen = reached[other] if len(reached) > 1 else None
            over, under = at(h.name, h.shape, m, seen), at(x.name, x.shape, unit)
            return (
                (at(h.delta, h.shape, m, seen), float(deltas[used[i]])),
                (f"∂{over}/∂{under}", float(slopes[used[i]])),
            )

        return summed(name, passed, deltas[used] * slopes[used], factors, limit=limit)

    return input_delta_step(
        place,
        title="back through the layer",
        equation=f"{at(place.input_delta_name, x.shape, 'k')} = "
        f"Σ_m {h.delta}[m] ∂{h.name}[m]/∂{x.name}[k]",
        tag=tag("input delta", hidden=place.hidden, exact=False),
        tell=tell,
    )


def _names(place: Place, expression: str) -> str:
    x, h = (place.x.name, place.x.shape), (place.h.name, place.h.shape)
    arrays = {"z": x, "x": x, **dict.fromkeys(place.sides, h)}
    for attribute, (symbol, _, parameter) in place.parameters.items():
        arrays[attribute] = symbol, parameter.shape if parameter.size > 1 else ()
    return with_names(expression, arrays)


def _numbers(place: Place, expression: str, row: int, unit: int, limit: Limit) -> str:
    if not expression:
        return ""
    # What an equation sums over, or takes a mean of, is the last axis, or the column.
    last = place.output.shape[-1] if place.output.ndim > 1 else 1
    start = unit - unit % last
    x, h = (array[row].ravel()[start : start + last] for array in (place.input, place.output))
    arrays = dict.fromkeys(place.sides, h)
    over = None
    if place.x.shape == place.h.shape:
        arrays |= {"z": x, "x": x}
        over = place.input.reshape(-1, last)[:, unit % last] if place.layer.batch_dependent else x
    return with_numbers(expression, arrays, unit - start, owner=place.layer, limit=limit, over=over)
