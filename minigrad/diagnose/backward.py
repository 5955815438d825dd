"""Gradients: not finite, vanishing or exploding through the layers, or wrong."""

from collections.abc import Iterator
from math import isfinite

import numpy as np

from minigrad.data.arrays import Array
from minigrad.diagnose.case import Case
from minigrad.diagnose.findings import Finding, evidence, number
from minigrad.diagnose.landscape import Landscape, off_kinks

_RATIO = 1e3
_REMEDIES = {
    "vanishing": "Use ReLU() with weight_initializer='he_normal' instead of sigmoids, fewer "
    "layers, or Residual([...]) branches that delta can bypass.",
    "exploding": "Use smaller initial weights ('he_normal', 'glorot_uniform'), or put LayerNorm() "
    "between the layers.",
}
_ROWS, _STEP, _TOLERANCE = 64, 1e-5, 0.01
_NOISE = 1e-8
"""Derivatives below this share of J are lost in rounding."""


def not_finite(case: Case) -> Iterator[Finding]:
    """Find the first NaN or infinity in the parameters, the forward and the backward pass."""
    layer: str | None = None
    for path, parameter in case.model.named_parameters():
        if not np.isfinite(parameter.value).all():
            layer, place = path.rpartition(".")[0], f"the parameter '{path}'"
            break
    else:
        found, j = case.trace.first_not_finite(), case.trace.j
        if j is not None and not isfinite(j) and not (found or "").startswith("the output"):
            place = "the loss"
        elif found is None:
            return
        else:
            place = found
            layer = next(step.path for step in case.trace.steps if place.endswith(step.label))
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

    A delta of exactly zero doesn't count: a branch that starts with zero weights has it on
    purpose, and dead units are a finding of their own.
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
        if max(ratio, 1 / ratio) <= _RATIO or (ratio < 1) != (kind == "vanishing"):
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
    """Compare each parameter's gradient, along its own direction, with a central difference.

    With d = g / |g| for one parameter, (J(theta + h d) - J(theta - h d)) / 2h must be |g|.
    `check_gradients` compares each number separately.
    """
    assert case.loss is not None
    landscape = Landscape(case.model, case.loss, case.sample.take(slice(_ROWS)))
    theta = off_kinks(landscape.start)
    j, g = landscape(theta)
    first, wrong = 0, list[tuple[str, float, float]]()
    for parameter in landscape.parameters:
        place = slice(first, first + parameter.size)
        first += parameter.size
        direction = np.zeros_like(theta)
        size = float(np.linalg.norm(g[place]))
        direction[place] = g[place] / size if size else 1 / np.sqrt(parameter.size)
        h = _STEP * max(1.0, float(np.abs(theta[place]).max(initial=0.0)))
        up, down = (landscape(theta + sign * h * direction)[0] for sign in (1, -1))
        slope = (up - down) / (2 * h)
        if abs(slope - size) > _TOLERANCE * max(abs(slope), size) + _NOISE * abs(j):
            wrong.append((parameter.name, size, slope))
    if not wrong:
        return
    name, size, slope = wrong[-1]
    path, count = name.rpartition(".")[0], len(landscape.parameters)
    yield Finding(
        "wrong_gradients",
        "error",
        f"the gradient of '{name}' is wrong",
        f"The slope of J along this gradient is {number(slope)}, but backward gives "
        f"{number(size)}. {len(wrong)} of {count} parameters have a wrong gradient; this one comes "
        "first in the backward pass, and the layers before it get a wrong delta too.",
        f"Check backward of '{path}' and of the layers between it and the next layer with "
        "parameters, or of the loss if it is the last one: check_gradients(layer, x[:5], y[:5], "
        "loss) names the wrong numbers.",
        evidence(claimed=size, measured=slope, wrong=len(wrong), parameters=count),
        path,
    )
