"""How `Dense` says its sums: Equation 8 forward, Equations 4, 6, 7, 10 and 11 back."""

from __future__ import annotations

from collections.abc import Iterator

from minigrad.explain.equations import tag
from minigrad.explain.lines import Factors, Limit, Line, Step, Term, at, summed
from minigrad.explain.places import Place
from minigrad.explain.steps import input_delta_step, output_step
from minigrad.explain.totals import gradient_step


def forward(place: Place) -> Step:
    """Tell z[k] = b[k] + Σ_j x[j] w[j,k]."""
    x, z = place.x, place.h
    w, _, weight = place.parameters["weight"]
    bias = place.parameters.get("bias")

    def tell(row: int, unit: int, limit: Limit) -> Line:
        inputs, column = place.input[row], weight.value[:, unit]

        def factors(j: int) -> Factors:
            name = at(w, weight.shape, j * len(z_row) + unit)
            return (at(x.name, x.shape, j), float(inputs[j])), (name, float(column[j]))

        z_row = place.output[row]
        first: tuple[Term, ...] = ()
        if bias is not None:
            held = float(bias[2].value[unit])
            first = (Term(((at(bias[0], z.shape, unit), held),), held),)
        name = at(z.name, z.shape, unit)
        return summed(name, z_row[unit], inputs * column, factors, limit=limit, first=first)

    added = f"{bias[0]}[k] + " if bias is not None else ""
    return output_step(
        place,
        title="weighted sums of the inputs",
        equation=f"{z.name}[k] = {added}Σ_j {x.name}[j] {w}[j,k]",
        tag=tag("output", hidden=place.hidden),
        tell=tell,
    )


def backward(place: Place) -> Iterator[Step]:
    """Tell dJ/dw[j,k] = δ[k] x[j], dJ/db[k] = δ[k], and dJ/dx[j] = Σ_k δ[k] w[j,k]."""
    yield _weight_gradient(place)
    if "bias" in place.parameters:
        yield _bias_gradient(place)
    yield _input_delta(place)


def _weight_gradient(place: Place) -> Step:
    x, delta, inputs = place.x, place.delta, place.input
    assert delta is not None
    units = delta.shape[1]

    def factors(index: int, row: int) -> Factors:
        j, k = divmod(index, units)
        seen = place.seen(row)
        return (
            (at(place.h.delta, place.h.shape, k, seen), float(delta[row, k])),
            (at(x.name, x.shape, j, seen), float(inputs[row, j])),
        )

    return gradient_step(
        place,
        "weight",
        title="gradient of the weights",
        right=f"{place.h.delta}[k] {x.name}[j]",
        unit="j,k",
        tag=tag("weight gradient", hidden=place.hidden),
        products=lambda index: delta[:, index % units] * inputs[:, index // units],
        factors=factors,
    )


def _bias_gradient(place: Place) -> Step:
    delta = place.delta
    assert delta is not None

    def factors(index: int, row: int) -> Factors:
        return (
            (at(place.h.delta, place.h.shape, index, place.seen(row)), float(delta[row, index])),
        )

    return gradient_step(
        place,
        "bias",
        title="gradient of the biases",
        right=f"{place.h.delta}[k]",
        unit="k",
        tag=tag("gradient", hidden=place.hidden),
        products=lambda index: delta[:, index],
        factors=factors,
    )


def _input_delta(place: Place) -> Step:
    x, delta, input_delta = place.x, place.delta, place.input_delta
    w, _, weight = place.parameters["weight"]
    assert delta is not None
    assert input_delta is not None

    def tell(row: int, j: int, limit: Limit) -> Line:
        back, weights = delta[row], weight.value[j]

        def factors(k: int) -> Factors:
            name = at(w, weight.shape, j * len(back) + k)
            return (
                (at(place.h.delta, place.h.shape, k), float(back[k])),
                (name, float(weights[k])),
            )

        name = at(place.input_delta_name, x.shape, j)
        return summed(name, input_delta[row, j], back * weights, factors, limit=limit)

    return input_delta_step(
        place,
        title="back through the weights",
        equation=f"{place.input_delta_name}[j] = Σ_k {place.h.delta}[k] {w}[j,k]",
        tag=tag("input delta", hidden=place.hidden),
        tell=tell,
    )
