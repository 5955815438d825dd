"""The steps of each layer: its output, the gradients of its parameters, and dJ/dinput."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from minigrad.explain.derivatives import gradient_parts, input_delta_parts
from minigrad.explain.equations import BACK, BIASES, DELTA, FORWARD, SLOPE, WEIGHTS
from minigrad.explain.families import family
from minigrad.explain.formula import Formula
from minigrad.explain.places import Names, Place, word
from minigrad.explain.products import Products
from minigrad.explain.steps import Parts, Step, at, product
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
    layer, h = place.layer, place.h
    if (place.inner and not place.enters) or type(layer) in MERGES:
        yield from Branches(place, names).deltas()
    elif place.affine:
        yield from _affine_backward(place)
    elif merges(place):
        yield Branches(place, names).input_delta()
    elif isinstance(layer, Activation) and type(layer).backward in _BY_SLOPE:
        yield from _activation_backward(place, layer)
    else:
        for attribute, p in place.parameters.items():
            title, tag = f"gradient of {attribute}", f"as {place.tag(*BIASES)}"
            right = f"Σ_m {h.delta}[m] ∂{h.name}[m]/∂{at(p.name, p.source.shape, 'i')}"
            parts = gradient_parts(place, attribute)
            yield _gradient(place, attribute, title, tag, right, parts, "i")
        for i, x in enumerate(place.xs):
            if place.input_deltas[i] is not None:
                right = f"Σ_m {h.delta}[m] ∂{h.name}[m]/∂{x.name}[k]"
                parts = input_delta_parts(place, i)
                yield place.input_delta_step("back through the layer", AS_BACK, right, parts, i=i)


def _affine_output(place: Place) -> Step:
    """z[k] = b[k] + Σ_j x[j] w[j,k], for each vector along the last axis, or each window."""
    products, tag = Products(place), f"{_as(place)}{FORWARD}"
    title, note = "weighted sums of the inputs", None
    if not place.linear:
        title, note = "weighted sums of the windows", products.note
    right, unit = products.equations["z"], products.indices["z"]
    return place.output_step(title, tag, right, products.output, unit, note)


def _affine_backward(place: Place) -> Iterator[Step]:
    """dJ/dw[j,k] = δ[k] x[j], dJ/db[k] = δ[k], and dJ/dx[j] = Σ_k δ[k] w[j,k]."""
    products, lead = Products(place), _as(place)
    right, index = products.equations, products.indices
    title, tag, unit = "gradient of the weights", lead + place.tag(*WEIGHTS), index["weight"]
    yield _gradient(place, "weight", title, tag, right["weight"], products.for_weight, unit)
    if products.bias:
        title, tag = "gradient of the biases", lead + place.tag(*BIASES)
        yield _gradient(place, "bias", title, tag, right["bias"], products.for_bias)
    title, tag, unit = "back through the weights", lead + BACK, index["input"]
    yield place.input_delta_step(title, tag, right["input"], products.for_input, unit)


def _as(place: Place) -> str:
    """Return what stands before the numbers of equations that are those of a `Dense`."""
    return "" if place.linear else "as "


def _activation_backward(place: Place, layer: Activation) -> Iterator[Step]:
    """g'(z[k]), and δ[k] = dJ/da[k] g'(z[k])."""
    x, h, (delta, _) = place.x, place.h, place.deltas
    name = f"g'{place.input_delta_names[0].removeprefix(x.delta)}({x.name})"
    slopes = layer.derivative(place.output if layer.from_output else place.input)
    formula = _formula(place, place.sides.get("g'", ""))
    yield Step(
        phase="backward", path=place.path, title="slope of the activation", tag=place.tag(*SLOPE),
        name=name, right=formula.names(), values=slopes, parts=formula.numbers, symbol=x,
    )  # fmt: skip
    right = f"{at(h.delta, h.shape, 'k')} {at(name, x.shape, 'k')}"
    parts = product((h.delta, delta), (name, slopes))
    yield place.input_delta_step("back through the activation", place.tag(*DELTA), right, parts)


def _layer_output(place: Place) -> Step:
    """The sum or formula of its family, or the layer's `equation`; else only the values."""
    x, h, layer, known = place.x, place.h, place.layer, family(place)
    rights = [right for left, right in place.sides.items() if not left.endswith("'")]
    formula = _formula(place, rights[0] if rights else "")
    parts: Parts = formula.numbers
    unit, right, note = "k", formula.names(), None
    if isinstance(layer, Dropout):
        parts = product((x.name, place.input), ("m", layer.cache))
    elif formula.text in ("z", "x"):
        parts = product((x.name, place.input))
    if known is not None:
        (right, parts, note), unit = known, ",".join([*"tuvw"[: len(h.shape) - 1], "k"])
    elif not right:
        called = word(layer.name or "layer")
        unit, right = "", f"{called}({', '.join(x.name for x in place.xs)})"
    title = "the activation" if place.activates else "the output"
    tag = FORWARD if isinstance(layer, Activation) else f"as {FORWARD}"
    return place.output_step(title, tag, right, parts, unit, note)


def _formula(place: Place, text: str) -> Formula:
    """Return the right side of a layer's equation, with the names and arrays of a pass."""
    x, h = (place.x.name, place.input), (place.h.name, place.output)
    held = place.parameters.items()
    parameters = {key: (p.name, p.source.shape if p.source.size > 1 else ()) for key, p in held}
    arrays = dict.fromkeys(place.sides, h) | {"z": x, "x": x}
    return Formula(text, arrays, place.layer, parameters)


def _gradient(
    place: Place, attribute: str, title: str, tag: str, right: str, parts: Parts, unit: str = "k"
) -> Step:
    """Return the step of a parameter's gradient, over all rows."""
    p, several = place.parameters[attribute], len(place.output) > 1
    step = Step(
        phase="backward", path=place.path, title=f"{title}, over all rows" if several else title,
        tag=tag, name=p.gradient, right=f"Σ_rows {right}" if several else right, unit=unit,
        values=(place.gradients or {})[attribute][None], parts=parts,
    )  # fmt: skip
    return regularized(step, p)
