"""The steps of each layer: its output, the gradients of its parameters, and dJ/dinput."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

import numpy as np

from minigrad.data.arrays import Array
from minigrad.explain.derivatives import gradient_rule, input_delta_rule
from minigrad.explain.equations import BACK, BIASES, DELTA, FORWARD, SLOPE, WEIGHTS
from minigrad.explain.families import family
from minigrad.explain.formula import Formula
from minigrad.explain.places import Names, Place, word
from minigrad.explain.products import Products
from minigrad.explain.steps import Rule, Step, product
from minigrad.explain.sums import AS_BACK, MERGES, Branches, merges, regularized
from minigrad.layers import GELU, Activation, Dropout

_BY_SLOPE: Final = (Activation.backward, GELU.backward)
"""The methods that multiply delta by the slope."""


def forward(place: Place, names: Names) -> Step:
    """Return the step of a layer's output."""
    if place.affine:
        return _affine_output(place)
    return Branches(place, names).output() if merges(place) else _layer_output(place)


def backward(place: Place, names: Names) -> Iterator[Step]:
    """Yield the steps of a layer's gradients and of dJ/dinput; first, of a container's deltas."""
    layer = place.layer
    if (place.inner and not place.enters) or type(layer) in MERGES:
        yield from Branches(place, names).deltas()
    elif place.affine:
        yield from _affine_backward(place)
    elif merges(place):
        yield Branches(place, names).input_delta()
    elif isinstance(layer, Activation) and type(layer).backward in _BY_SLOPE:
        yield from _activation_backward(place, layer)
    else:
        for attribute in place.parameters:
            title, tag = f"gradient of {attribute}", f"as {place.tag(*BIASES)}"
            yield _gradient(place, attribute, title, tag, gradient_rule(place, attribute))
        for i, delta in enumerate(place.input_deltas):
            if delta is not None:
                rule = input_delta_rule(place, i)
                yield place.input_delta_step("back through the layer", AS_BACK, rule, i)


def _affine_output(place: Place) -> Step:
    """z[k] = b[k] + Σ_j x[j] w[j,k], for each vector along the last axis, or each window."""
    title = f"weighted sums of the {'inputs' if place.linear else 'windows'}"
    return place.output_step(title, f"{_as(place)}{FORWARD}", Products(place).rules["z"])


def _affine_backward(place: Place) -> Iterator[Step]:
    """dJ/dw[j,k] = δ[k] x[j], dJ/db[k] = δ[k], and dJ/dx[j] = Σ_k δ[k] w[j,k]."""
    rules, lead = Products(place).rules, _as(place)
    title, tag = "gradient of the weights", lead + place.tag(*WEIGHTS)
    yield _gradient(place, "weight", title, tag, rules["weight"])
    if "bias" in place.parameters:
        title, tag = "gradient of the biases", lead + place.tag(*BIASES)
        yield _gradient(place, "bias", title, tag, rules["bias"])
    yield place.input_delta_step("back through the weights", lead + BACK, rules["input"])


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
    tag = FORWARD if isinstance(layer, Activation) else f"as {FORWARD}"
    return place.output_step(title, tag, rule)


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
