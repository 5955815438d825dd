"""Whether the network can overfit ten rows, which any working network can."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from math import inf, isfinite, prod
from typing import NamedTuple

import numpy as np

from minigrad.data.rows import Rows
from minigrad.diagnose.bounds import least_loss
from minigrad.diagnose.case import Case
from minigrad.diagnose.findings import Finding, evidence, number
from minigrad.diagnose.landscape import Landscape
from minigrad.losses import Loss
from minigrad.optimizers import Adam

_ROWS = 10
_PARAMETERS_PER_NUMBER = 2
"""With fewer, 500 steps may not be enough to solve the equations."""
_REMAINING, _MULTIPLE = 0.2, 10
_STEPS, _PARAMETER_STEPS = 500, 300_000_000
_RATES = (0.03, 0.003)
_NARROW = 32
"""Wider layers add up more changes, so their steps are smaller."""


class _Task(NamedTuple):
    """Ten rows, the least mean loss that any weights can have there, and a constant's."""

    rows: Rows
    loss: Loss
    floor: float
    constant: float

    def goal(self) -> float:
        """Return the mean loss at which the rows are overfitted."""
        return self.floor + _REMAINING * (self.constant - self.floor)

    def remaining(self, loss: float) -> float:
        """Return a loss above the floor, as a share of the best constant's."""
        return (loss - self.floor) / (self.constant - self.floor)


def capacity(case: Case) -> Iterator[Finding]:
    """Train a copy on ten rows with Adam until at most a fifth of the loss remains.

    What counts is the loss above the floor that the last activation sets, as a share of what the
    best constant prediction leaves. If too much remains, standardized targets are tried, as the
    scale is not the network's fault. The check is skipped if there are fewer than two parameters
    per number to learn, or if a constant fits the rows.
    """
    task = _task(case)
    count = len(task.rows)
    trainable = sum(p.size for p in case.model.parameters if p.trainable)
    numbers = count * prod(case.model.output_shape or ())
    reason = ""
    if trainable < _PARAMETERS_PER_NUMBER * numbers:
        reason = f"{number(trainable)} trainable parameters for {number(numbers)} numbers"
        reason = f"the model has {reason}"
    elif task.constant - task.floor <= 1e-6 * max(abs(task.constant), 1e-12):
        reason = "a constant fits them"
    if reason:
        case.notes.append(f"overfitting {count} rows was not tried: {reason}")
        return
    steps = min(_STEPS, _PARAMETER_STEPS // trainable)
    results = list[tuple[float, _Task, float, str]]()
    for tried, how in ((case, ""), (case.standardized, " with standardized targets")):
        if tried is None:
            break
        task, lowest = _task(tried), inf
        for rate in _RATES:
            lowest = min(lowest, _trained(case, task, rate, steps))
            if lowest <= task.goal():
                return
        results.append((task.remaining(lowest), task, lowest, how))
    if steps < _STEPS:
        case.notes.append(f"{count} rows were not overfitted in {steps} steps")
        return
    remaining, task, lowest, how = min(results, key=lambda result: round(result[0], 2))
    many = f"{number(round(remaining))} times"
    yield Finding(
        "capacity",
        "warning",
        f"the network can't overfit {count} rows",
        f"{_STEPS} steps of Adam on a copy, on {count} rows{how} with {number(trainable)} "
        f"trainable parameters, leave {f'{remaining:.0%} of' if remaining < _MULTIPLE else many} "
        f"the loss of a constant prediction: {number(lowest)} of {number(task.constant)}, where "
        f"the least possible is {number(task.floor)}.",
        "Fix the other findings first. If there are none, check whether a layer is frozen or too "
        "narrow, or a regularizer too strong.",
        evidence(
            rows=count,
            parameters=trainable,
            steps=_STEPS,
            loss=lowest,
            loss_of_a_constant=task.constant,
            floor=task.floor,
            remaining=remaining,
        ),
    )


def _task(case: Case) -> _Task:
    """Take the first ten rows with different inputs."""
    loss = copy.copy(case.loss)
    assert loss is not None
    loss.reduction, loss.scale = "mean", 1.0
    some = case.sample.x[: 10 * _ROWS]
    different = np.unique(some.reshape(len(some), -1), axis=0, return_index=True)[1]
    rows = case.sample.take(np.sort(different)[:_ROWS])
    shape = (len(rows), *(case.model.output_shape or ()))
    floor, constant = (
        least_loss(loss, rows.y, shape, *case.range, constant=same, weight=rows.weight)
        for same in (False, True)
    )
    return _Task(rows, loss, 0.0 if floor < 1e-9 * constant else floor, constant)


def _trained(case: Case, task: _Task, rate: float, steps: int) -> float:
    """Return the lowest mean loss of a training run, without regularizers."""
    landscape = Landscape(case.model, task.loss, task.rows)
    widest = max((p.shape[0] for p in landscape.parameters if len(p.shape) > 1), default=1)
    adam = Adam(learning_rate=rate * min(1.0, _NARROW / widest))
    theta, lowest = landscape.start, inf
    for _ in range(steps):
        j, g = landscape(theta)
        if not (isfinite(j) and np.isfinite(g).all()):
            break
        lowest = min(lowest, j - landscape.gradient.penalty)
        if lowest <= task.goal():
            break
        theta = landscape.step(adam)
    return lowest
