"""Whether the network can overfit ten rows, which any working network can."""

import copy
from collections.abc import Iterator
from math import inf, prod

import numpy as np

from minigrad.data.rows import Rows
from minigrad.diagnose.case import Case, least_loss
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


def capacity(case: Case) -> Iterator[Finding]:
    """Train a copy on ten rows with Adam until at most a fifth of the loss remains.

    The loss counts above the floor that the last activation sets, as a share of what the best
    constant prediction leaves. If too much remains, standardized targets are tried, as the scale is
    not the network's fault.
    """
    rows, _, floor, constant = _task(case)
    count = len(rows)
    trainable = sum(p.size for p in case.model.parameters if p.trainable)
    numbers = count * prod(case.model.output_shape or ())
    skipped = f"overfitting {count} rows was not tried"
    if trainable < _PARAMETERS_PER_NUMBER * numbers:
        parameters = f"{number(trainable)} trainable parameters for {number(numbers)} numbers"
        case.notes.append(f"{skipped}: the model has {parameters}")
        return
    if constant - floor <= 1e-6 * max(abs(constant), 1e-12):
        case.notes.append(f"{skipped}: a constant fits them")
        return
    steps = min(_STEPS, _PARAMETER_STEPS // trainable)
    results = list[tuple[float, float, float, float, str]]()
    for tried, how in ((case, ""), (case.standardized, " with standardized targets")):
        if tried is None:
            break
        rows, loss, floor, constant = _task(tried)
        lowest, goal = inf, floor + _REMAINING * (constant - floor)
        for rate in _RATES:
            lowest = min(lowest, _trained(Landscape(case.model, loss, rows), rate, steps, goal))
            if lowest <= goal:
                return
        results.append(((lowest - floor) / (constant - floor), lowest, floor, constant, how))
    if steps < _STEPS:
        case.notes.append(f"{count} rows were not overfitted in {steps} steps")
        return
    remaining, lowest, floor, constant, how = min(results, key=lambda each: round(each[0], 2))
    many = f"{number(round(remaining))} times"
    trial = evidence(rows=count, parameters=trainable, steps=_STEPS)
    losses = evidence(loss=lowest, loss_of_a_constant=constant, floor=floor, remaining=remaining)
    yield Finding(
        "capacity",
        "warning",
        f"the network can't overfit {count} rows",
        f"{_STEPS} steps of Adam on a copy, on {count} rows{how} with {number(trainable)} "
        f"trainable parameters, leave {f'{remaining:.0%} of' if remaining < _MULTIPLE else many} "
        f"the loss of a constant prediction: {number(lowest)} of {number(constant)}, where the "
        f"least possible is {number(floor)}.",
        "Fix the other findings first. If there are none, check whether a layer is frozen or too "
        "narrow, or a regularizer too strong.",
        trial | losses,
    )


def _task(case: Case) -> tuple[Rows, Loss, float, float]:
    """Return ten rows with different inputs, the mean loss, its least value and a constant's."""
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
    return rows, loss, 0.0 if floor < 1e-9 * constant else floor, constant


def _trained(landscape: Landscape, rate: float, steps: int, goal: float) -> float:
    """Return the lowest loss of a training run, without regularizers."""
    widest = max((p.shape[0] for p in landscape.parameters if len(p.shape) > 1), default=1)
    adam = Adam(learning_rate=rate * min(1.0, _NARROW / widest))
    lowest = inf
    for j in landscape.path(adam, steps):
        lowest = min(lowest, j - landscape.gradient.regularization)
        if lowest <= goal:
            break
    return lowest
