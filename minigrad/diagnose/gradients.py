"""Gradients that vanish or explode on their way back through the layers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minigrad.data.arrays import Array
from minigrad.diagnose.findings import Finding, number
from minigrad.diagnose.patient import Patient

_MOST_RATIO = 1e3
_REMEDIES = {
    "vanishing": "Take ReLU() with weight_initializer='he_normal' in the place of sigmoids, fewer "
    "layers, or let delta pass by Residual([...]) branches.",
    "exploding": "Draw smaller initial weights ('he_normal', 'glorot_uniform'), or put LayerNorm() "
    "between the layers.",
}


def fading_gradients(patient: Patient) -> Iterator[Finding]:
    """Compare the size of delta at the layers with parameters to that at the last of them.

    A delta that is exactly zero is left to other findings: a branch that starts from zero weights
    has it on purpose, dead units have it by their fault.
    """
    sizes = [
        (step, _size(step.delta))
        for step in patient.trace.steps
        if step.delta is not None and step.layer.own_parameters()
    ]
    sizes = [(step, size) for step, size in sizes if size > 0]
    if len(sizes) < 2:
        return
    last, reference = sizes[-1]
    for kind, extreme in (("vanishing", min), ("exploding", max)):
        place, (step, size) = extreme(enumerate(sizes), key=lambda item: item[1][1])
        ratio = size / reference
        if max(ratio, 1 / ratio) <= _MOST_RATIO or (ratio < 1) != (kind == "vanishing"):
            continue
        apart = len(sizes) - 1 - place
        yield Finding(
            f"{kind}_gradients",
            "warning",
            f"{kind} gradients",
            f"The delta that {step.label} gets is {number(ratio)} times that of "
            f"{last.label}, {apart} layers further on: a factor of "
            f"{number(ratio ** (1 / apart))} a layer. One learning rate can't suit both.",
            _REMEDIES[kind],
            {"ratio": ratio, "factor_a_layer": ratio ** (1 / apart), "layers": apart + 1},
            step.path,
        )


def _size(delta: Array) -> float:
    """Return the root of the mean square of a row's delta, over all of the row."""
    rows = delta.reshape(len(delta), -1).astype(np.float64)
    largest = float(np.abs(rows).max()) or 1.0
    return largest * float(np.sqrt(np.square(rows / largest).sum(axis=1).mean()))
