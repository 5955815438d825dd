"""Whether the network can learn ten rows by heart, which any that works can."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isfinite, prod

import numpy as np

from minigrad.data.rows import Rows
from minigrad.diagnose.findings import Finding, number
from minigrad.diagnose.landscape import Landscape
from minigrad.diagnose.patient import Patient
from minigrad.diagnose.reach import least
from minigrad.losses import Loss
from minigrad.optimizers import Adam

_ROWS = 10
_ENOUGH = 2
"""With fewer parameters for each number, one system of equations may be too much for 500 steps."""
_LEFT = 0.2
"""What may be left of the loss that the best constant prediction has."""
_MANY = 10
_STEPS = 500
_PARAMETER_STEPS = 300_000_000
_RATES = (0.03, 0.003)
_NARROW = 32
"""Wider layers add up more changes, so their steps are smaller."""


@dataclass(frozen=True)
class _Task:
    """Ten rows, the least mean term that any weights can have there, and a constant's."""

    rows: Rows
    loss: Loss
    floor: float
    constant: float

    def left(self, reached: float) -> float:
        """Return the share of what a constant leaves above the floor."""
        return (reached - self.floor) / (self.constant - self.floor)

    @property
    def goal(self) -> float:
        """The mean term at which they count as learned."""
        return self.floor + _LEFT * (self.constant - self.floor)


def capacity(patient: Patient, scaled: Patient | None, notes: list[str]) -> Iterator[Finding]:
    """Train a copy on ten rows by Adam, until a fifth of the loss is left or the steps are used up.

    What counts is the loss above the floor that the last activation sets, as a share of what the
    best constant prediction leaves. If they aren't learned, they are tried again with standardised
    targets, as the scale of the targets is no fault of the network. Fewer parameters than twice the
    numbers to learn, or rows that a constant fits, say nothing.
    """
    task = _task(patient)
    trainable = sum(p.size for p in patient.model.parameters if p.trainable)
    numbers = len(task.rows) * prod(patient.model.output_shape or ())
    untried = f"whether it can learn {len(task.rows)} rows by heart was not tried"
    if trainable < _ENOUGH * numbers:
        parameters = f"{number(trainable)} trainable parameters"
        notes.append(f"{untried}: it has {parameters} for {number(numbers)} numbers")
        return
    if task.constant - task.floor <= 1e-6 * max(abs(task.constant), 1e-12):
        notes.append(f"{untried}: a constant fits them")
        return
    steps = min(_STEPS, _PARAMETER_STEPS // trainable)
    results = list[tuple[_Task, float]]()
    for tried in [task] if scaled is None else [task, _task(scaled)]:
        reached = inf
        for rate in _RATES:
            reached = min(reached, _trained(patient, tried, rate, steps))
            if reached <= tried.goal:
                return
        results.append((tried, reached))
    if steps < _STEPS:
        notes.append(f"{len(task.rows)} rows weren't learned by heart in {steps} steps")
        return
    best, reached = min(results, key=lambda result: round(result[0].left(result[1]), 2))
    yield _finding(
        best, trainable, reached, "" if best is task else ", their targets standardised,"
    )


def _finding(task: _Task, trainable: int, reached: float, how: str) -> Finding:
    left = task.left(reached)
    rows = len(task.rows)
    much = f"{left:.0%} of" if left < _MANY else f"{number(round(left))} times"
    return Finding(
        "capacity",
        "warning",
        f"the network can't learn {rows} rows by heart",
        f"{_STEPS} steps of Adam on a copy, with {rows} rows{how} and {number(trainable)} "
        f"trainable parameters, leave {much} the loss that a constant prediction has: "
        f"{number(reached)} of {number(task.constant)}, with {number(task.floor)} the least "
        "possible.",
        "Look at the other findings first. If there are none: is a layer frozen, or too narrow, "
        "or a penalty too strong?",
        {
            "rows": rows,
            "parameters": trainable,
            "steps": _STEPS,
            "loss": reached,
            "loss_of_a_constant": task.constant,
            "floor": task.floor,
            "left": left,
        },
    )


def _task(patient: Patient) -> _Task:
    """Choose the first ten rows that have different inputs."""
    assert patient.loss is not None
    some = patient.sample.x[: 10 * _ROWS]
    different = np.unique(some.reshape(len(some), -1), axis=0, return_index=True)[1]
    rows = patient.sample.take(np.sort(different)[:_ROWS])
    loss = copy.copy(patient.loss)
    loss.reduction, loss.scale = "mean", 1.0
    shape = (len(rows), *(patient.model.output_shape or ()))
    floor, constant = (
        least(loss, rows.y, shape, *patient.reach, constant=same, weight=rows.weight)
        for same in (False, True)
    )
    return _Task(rows, loss, 0.0 if floor < 1e-9 * constant else floor, constant)


def _trained(patient: Patient, task: _Task, rate: float, steps: int) -> float:
    """Return the least mean term on the way."""
    landscape = Landscape(patient.model, task.loss, task.rows)
    widest = max((p.shape[0] for p in landscape.parameters if len(p.shape) > 1), default=1)
    adam = Adam(learning_rate=rate * min(1.0, _NARROW / widest))
    theta, lowest = landscape.start, inf
    for _ in range(steps):
        j, g = landscape(theta)
        if not (isfinite(j) and np.isfinite(g).all()):
            break
        lowest = min(lowest, j - landscape.parameters.regularization())
        if lowest <= task.goal:
            break
        theta = landscape.step(adam)
    return lowest
