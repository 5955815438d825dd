"""Whether each gradient is the derivative of the loss, as a custom layer's may not be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minigrad.diagnose.curvature import beside
from minigrad.diagnose.findings import Finding, number
from minigrad.diagnose.landscape import Landscape
from minigrad.diagnose.patient import Patient
from minigrad.util.names import apart

_ROWS = 64
_STEP = 1e-5
_TOLERANCE = 0.01
_NOISE = 1e-8
"""Of J: smaller derivatives can't be told from rounding."""


def wrong_gradients(patient: Patient) -> Iterator[Finding]:
    """Compare each parameter's gradient, along its own direction, with a central difference.

    With d = g / |g| of one parameter array, (J(theta + h d) - J(theta - h d)) / 2h must be |g|.
    `check_gradients` compares each number alone.
    """
    assert patient.loss is not None
    landscape = Landscape(patient.model, patient.loss, patient.sample.take(slice(_ROWS)))
    theta = beside(landscape.start)
    j, g = landscape(theta)
    first = 0
    wrong: list[tuple[str, float, float]] = []
    for parameter in landscape.parameters:
        place = slice(first, first + parameter.size)
        first += parameter.size
        direction = np.zeros_like(theta)
        size = float(np.linalg.norm(g[place]))
        direction[place] = g[place] / size if size else 1 / np.sqrt(parameter.size)
        h = _STEP * max(1.0, float(np.abs(theta[place]).max(initial=0.0)))
        slope = (landscape(theta + h * direction)[0] - landscape(theta - h * direction)[0]) / (
            2 * h
        )
        if abs(slope - size) > _TOLERANCE * max(abs(slope), size) + _NOISE * abs(j):
            wrong.append((parameter.name, size, slope))
    if wrong:
        yield _finding(wrong, len(landscape.parameters))


def _finding(wrong: list[tuple[str, float, float]], parameters: int) -> Finding:
    name, size, slope = wrong[-1]
    path = apart(name)[0]
    return Finding(
        "wrong_gradients",
        "error",
        f"the gradient of '{name}' is wrong",
        f"Along its own direction it says that J rises by {number(size)} a unit, and J rises by "
        f"{number(slope)}. It is the first of {len(wrong)} on the way back, of {parameters} "
        "parameters in all; what comes before it gets a wrong delta, too.",
        f"Look at backward of '{path}', and of the layers between it and the next one with "
        "parameters, or of the loss if it is the last: check_gradients(layer, x[:5], y[:5], loss) "
        "names the numbers that are wrong.",
        {"claimed": size, "measured": slope, "wrong": len(wrong), "parameters": parameters},
        path,
    )
