"""Dense layers with nothing between them that bends: together they are one Dense."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from minigrad.core.layer import Layer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Shape
from minigrad.diagnose.findings import Finding, number
from minigrad.diagnose.patient import Patient
from minigrad.trace import Step
from minigrad.util.names import apart

_SIZES = (0.1, 3.0, 100.0)
_ROWS = 16
_STRAIGHT = 1e-9


def linear_stack(patient: Patient) -> Iterator[Finding]:
    """Find weight matrices in a row whose product is one: W_1 W_2, and W_2' b_1 + b_2.

    A layer between that is narrower than what comes in and what goes out is left alone: it is a
    bottleneck, and one Dense can't be that.
    """
    for run in _runs(patient.trace.steps):
        dense = [(step, weight) for step in run if (weight := _matrix(step)) is not None]
        if len(dense) < 2:
            continue
        inputs, units = dense[0][1].shape[0], dense[-1][1].shape[1]
        between = [weight.shape[1] for _, weight in dense[:-1]]
        if min(between) < min(inputs, units):
            continue
        (first, _), (last, _) = dense[0], dense[-1]
        many = sum(p.size for step, _ in dense for _, p in step.layer.own_parameters())
        one = (inputs + 1) * units
        yield Finding(
            "linear_stack",
            "warning",
            f"{len(dense)} layers from {first.label} to {last.label} do the work of one",
            f"No activation lies between them. A linear function of a linear function is linear, "
            f"so with their {number(many)} parameters they compute what one Dense({units}) does "
            f"with {number(one)}, and what bends they can't learn.",
            "Put an activation, such as ReLU() or Tanh(), after each of them but the last; or "
            f"leave a single Dense({units}).",
            {"layers": len(dense), "parameters": many, "parameters_of_one": one},
            first.path,
        )


def _runs(steps: list[Step]) -> Iterator[list[Step]]:
    """Yield pieces of a chain that are linear: each layer is given what the one before returned.

    Layers of one parent only, as what enters a branch goes past it, too.
    """
    chains: dict[str, list[Step]] = {}
    for step in steps:
        if step.path:
            chains.setdefault(apart(step.path)[0], []).append(step)
    for chain in chains.values():
        straight = [_is_linear(step.layer, step.input.shape[1:]) for step in chain]
        run = chain[:1] if straight[0] else []
        for (before, step), fits in zip(pairwise(chain), straight[1:], strict=True):
            if not fits or step.input is not before.output:
                yield run
                run = []
            if fits:
                run.append(step)
        yield run


def _matrix(step: Step) -> Parameter | None:
    """Return the weights of a layer that is trained and multiplies by a matrix."""
    shape = (step.input.shape[-1], step.output.shape[-1])
    for _, parameter in step.layer.own_parameters():
        if step.input.ndim == 2 and parameter.shape == shape and parameter.trainable:
            return parameter
    return None


def _is_linear(layer: Layer, input_shape: Shape) -> bool:
    """Tell whether f(a) + f(b) = f(a + b) + f(0) in inference, for numbers of several sizes."""
    rng = np.random.default_rng(0)
    for size in _SIZES:
        a, b = size * rng.standard_normal((2, _ROWS, *input_shape))
        try:
            fa, fb, both, zero = (
                layer.forward(x, training=False).astype(np.float64) for x in (a, b, a + b, 0 * a)
            )
        except (ValueError, IndexError):  # it takes no such numbers, as an embedding doesn't
            return False
        off = np.abs(fa + fb - both - zero).max(initial=0.0)
        if not off <= _STRAIGHT * max(np.abs(fa).max(initial=0.0), np.abs(zero).max(initial=0.0)):
            return False
    return True
