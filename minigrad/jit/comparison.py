"""Compare the first jitted numbers with NumPy's: a layer may compute what isn't recorded."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from minigrad.blocks.block_gradient import BlockGradient
from minigrad.data.arrays import Array
from minigrad.data.rows import Rows
from minigrad.jit.draws import draws_taken_back
from minigrad.jit.program import NotCompilableError
from minigrad.jit.state import State

_TOLERANCE = {"float64": 1e-9, "float32": 1e-3}
"""How much the first jitted numbers may differ from NumPy's, relative to the largest one."""


def check_close(what: str, found: Array, expected: Array, largest: float = 0.0) -> None:
    """Refuse numbers of a jitted step that differ from NumPy's by more than rounding.

    The rounding is that of the largest number, here or in arrays that are computed with these.
    """
    if not np.isfinite(expected).all():
        return
    scale = max(largest, float(np.abs(expected).max(initial=0))) or 1.0
    error = float(np.abs(found - expected).max(initial=0)) / scale
    tolerance = _TOLERANCE.get(expected.dtype.name, 1e-3)
    if not error <= tolerance:
        raise NotCompilableError(
            f"the first jitted step differs from NumPy's: {what} by {error:.1e}, more than "
            f"{tolerance:.0e}: look for a layer that computes with what is neither its input nor "
            "a parameter or a buffer, or with several rows where batch_dependent is False, or fit "
            "with engine='numpy'"
        )


def step_by_numpy(state: State, gradient: BlockGradient, batch: Rows) -> tuple[float, Any]:
    """Return J and the state after NumPy's own step, and take the step back."""
    with draws_taken_back(state.network):
        before = copy.deepcopy(state.read())
        j = gradient(batch.x, batch.y, batch.weight)
        state.optimizer.step(state.parameters)
        after = copy.deepcopy(state.read())
        state.write(before)
    return j, after


def check_state_close(state: State, found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Refuse a state after a step that differs from NumPy's by more than rounding."""
    names = [f"'{p.name}'" for p in state.parameters]
    buffers = [f"{name} of {layer.label}" for layer, name in state.buffers]
    parts = (("grad", "the gradient of ", names), ("theta", "the new ", names))
    for part, what, owners in (*parts, ("buffers", "", buffers)):
        largest = max([float(np.abs(a).max(initial=0)) for a in expected[part]], default=0.0)
        for owner, ours, theirs in zip(owners, found[part], expected[part], strict=True):
            check_close(f"{what}{owner}", ours, theirs, largest)
