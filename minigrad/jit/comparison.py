"""Compare the first jitted numbers with NumPy's: a layer may compute what isn't recorded."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

from minigrad.blocks.block_gradient import BlockGradient
from minigrad.data.arrays import Array
from minigrad.data.rows import Rows
from minigrad.jit.contents import Contents, is_library
from minigrad.jit.draws import draws_taken_back
from minigrad.jit.program import NotCompilableError, place
from minigrad.jit.state import TrainingState

_TOLERANCE = {"float64": 1e-9, "float32": 1e-3}
"""How much the first jitted numbers may differ from NumPy's, relative to the largest one."""


class Doubling:
    """Says at calls 1, 2, 4, 8, ... that a check is due."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self) -> bool:
        """Return whether this call is one of them."""
        self._calls += 1
        return self._calls & (self._calls - 1) == 0


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
            f"the jitted step differs from NumPy's: {what} by {error:.1e}, more than "
            f"{tolerance:.0e}: look for a layer that computes with what is neither its input nor "
            "a parameter or a buffer, or with several rows where batch_dependent is False, or fit "
            "with engine='numpy'"
        )


def step_by_numpy(state: TrainingState, gradient: BlockGradient, batch: Rows) -> tuple[float, Any]:
    """Return J and the state after NumPy's own step, and take the step back."""
    with draws_taken_back(state.network):
        before = copy.deepcopy(state.read())
        theta = state.parameters.value.copy()
        j = gradient(batch.x, batch.y, batch.weight)
        for p, held in zip(state.parameters, state.parameters.split(theta).values(), strict=True):
            if not np.array_equal(p.value, held, equal_nan=True):
                raise NotCompilableError(
                    f"forward or backward changes '{p.name}', which a compiled step wouldn't see: "
                    "change it in a callback, or fit with engine='numpy'"
                )
        state.optimizer.step(state.parameters)
        after = copy.deepcopy(state.read())
        state.write(before)
    return j, after


def unchanged(run: Callable[[], Any], *objects: Any) -> Any:
    """Return what NumPy's own code gives, which must leave all that it reads as it found it.

    It has run once before, since it may fill a table at first.
    """
    before = Contents(*objects, states=True)
    found = run()
    if path := before.difference(Contents(*objects, states=True)):
        line = _line_that_changes(path, run, *objects)
        raise NotCompilableError(
            f"{line or 'the model'} can't be compiled: its code changes {path}, which jitted code "
            "would not: keep it in self.cache, name it in buffers or slots, draw from the "
            "generator that build receives, or use engine='numpy'"
        )
    return found


_MOST_LINES = 2000
"""How many lines of users' code are followed to find one that changes a value."""


def _line_that_changes(path: str, run: Callable[[], Any], *objects: Any) -> str:
    """Run once more, and return where users' code changes a value; "" if it can't be told."""
    before = Contents(*objects, states=True).leaf(path)
    found, last, lines = list[str](), "", 0

    def look(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal last, lines
        if found or lines > _MOST_LINES or is_library(frame.f_globals.get("__name__", "")):
            return None
        if event != "call":
            lines += 1
            if last and Contents(*objects, states=True).leaf(path) != before:
                found.append(last)
            last = place(frame)
        return look

    traced = sys.gettrace()
    sys.settrace(look)
    try:
        run()
    finally:
        sys.settrace(traced)
    return found[0] if found else ""


def _beyond_rounding(gradients: list[Array], i: int) -> Any:
    """Return where a gradient is more than rounding, of which Adam would make a whole step."""
    largest = max(float(np.abs(g).max(initial=0)) for g in gradients)
    return np.abs(gradients[i]) > _TOLERANCE.get(gradients[i].dtype.name, 1e-3) * largest


def scale_of(j: float, state: dict[str, Any]) -> tuple[float, float]:
    """Return the size of J, and of the largest number in the gradient."""
    most = [float(np.abs(g).max(initial=0)) for g in state["grad"]]
    return abs(float(j)), max(most, default=0.0)


def close_later(
    found: tuple[Any, dict[str, Any]], expected: tuple[Any, dict[str, Any]], scale: tuple[Any, Any]
) -> bool:
    """Return whether a later step is NumPy's, too.

    J and the gradient are compared on the scale of the first step, as they may be rounding alone
    where training has converged; the new parameters on the scale of their change, since Adam makes
    a step of the rate out of any gradient.
    """
    (j, after), (right, by_numpy) = found, expected
    if not abs(right) <= 10 * scale[0]:  # it diverges: rounding grows, too
        return True
    theta = by_numpy["theta"]
    tolerance = _TOLERANCE.get(theta[0].dtype.name if theta else "", 1e-3)
    if not abs(j - right) <= tolerance * max(scale[0], abs(right)):
        return False
    largest = max(scale[1], scale_of(j, by_numpy)[1])
    for g, e in zip(after["grad"], by_numpy["grad"], strict=True):
        if not float(np.abs(g - e).max(initial=0)) <= tolerance * largest:
            return False
    size = max([float(np.abs(e).max(initial=0)) for e in by_numpy["theta"]], default=0.0)
    changes = zip(by_numpy["theta"], by_numpy["before"], strict=True)
    change = max([float(np.abs(e - old).max(initial=0)) for e, old in changes], default=0.0)
    for i, (p, e) in enumerate(zip(after["theta"], by_numpy["theta"], strict=True)):
        error = np.where(_beyond_rounding(by_numpy["grad"], i), np.abs(p - e), 0)
        if not float(error.max(initial=0)) <= tolerance * size + 0.02 * change:
            return False
    for b, e in zip(after["buffers"], by_numpy["buffers"], strict=True):
        if not np.allclose(b, e, rtol=1e-6, atol=1e-9):
            return False
    return True


def check_state_close(
    state: TrainingState, found: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Refuse a state after a step that differs from NumPy's by more than rounding."""
    names = [f"'{p.name}'" for p in state.parameters]
    buffers = [f"{name} of {layer.label}" for layer, name in state.buffers]
    parts = (("grad", "the gradient of ", names), ("theta", "the new ", names))
    for part, what, owners in (*parts, ("buffers", "", buffers)):
        largest = max([float(np.abs(a).max(initial=0)) for a in expected[part]], default=0.0)
        for i, (owner, ours) in enumerate(zip(owners, found[part], strict=True)):
            theirs = expected[part][i]
            if part == "theta":
                ours = np.where(_beyond_rounding(expected["grad"], i), ours, theirs)
            check_close(f"{what}{owner}", ours, theirs, largest)
