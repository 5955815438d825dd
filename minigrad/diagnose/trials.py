"""Trials: the learning rate, and whether the network can overfit ten rows."""

import copy
from collections.abc import Iterator
from math import inf, isfinite, prod

import numpy as np

from minigrad.data.by_name import take
from minigrad.data.rows import Rows
from minigrad.diagnose.case import (
    AVERAGED_STEPS,
    Case,
    Landscape,
    as_columns,
    largest_curvature,
    least_loss,
)
from minigrad.diagnose.findings import Finding, ending, evidence, number
from minigrad.losses import Loss
from minigrad.optimizers import SGD, Adam

_BETWEEN = 50  # steps between two measurements of the curvature; a tenth of that if J rises
_FAR, _FEW_STEPS = 4, 100  # with fewer steps, a rate this far below the limit isn't tried
_HIGHER, _VISIBLE = 0.01, 0.001  # shares of the descent and of J by which a trial ends higher
_LOWER_FACTORS = [10.0**-k for k in range(1, 6)]
_HIGHER_FACTORS = [10.0**k for k in range(2, 16)]
_LEARNED, _NOTHING_LEARNED = 0.5, 0.9  # the share of the loss that a good and a bad rate leave
_HALVING_STEPS, _ROUNDING = 1e5, 1e-9
_ROWS, _STEPS, _PARAMETER_STEPS = 10, 500, 300_000_000
_PARAMETERS_PER_NUMBER = 2  # with fewer, 500 steps may not be enough to solve the equations
_REMAINING, _MULTIPLE = 0.2, 10
_RATES, _NARROW = (0.03, 0.003), 32  # wider layers add up more changes, so their steps are smaller


def learning_rate(case: Case) -> Iterator[Finding]:
    """Compare the learning rate with the stability limit, and then with other rates in a trial."""
    found = list(_above_limit(case))
    yield from found or _out_of_proportion(case)


def _above_limit(case: Case) -> Iterator[Finding]:
    """Compare the learning rate of SGD with 2 / lambda_max, at the start and after a descent.

    The curvature often grows during training, so it is measured again after a descent at half the
    limit. A rate above one of the two limits is a fault if a descent at that rate ends clearly
    higher. Otherwise it reached a flatter region by itself, and only a note is added.

    Source: Cohen et al., Gradient descent on neural networks typically occurs at the edge of
    stability, ICLR 2021; Lewkowycz et al., The large learning rate phase of deep learning, 2020.
    """
    optimizer, loss, notes = case.optimizer, case.loss, case.notes
    assert loss is not None
    if optimizer is None:
        notes.append("the learning rate was not checked: no optimizer was given")
        return
    rate = optimizer.rate
    told = f"the learning rate {number(rate)}"
    if not isinstance(optimizer, SGD):
        notes.append(
            f"{told} was only checked in a trial: 2 / lambda_max is no limit for "
            f"{type(optimizer).__name__}, which adapts the step of each parameter"
        )
        return
    landscape, steps = case.landscape(), case.steps
    start, here = landscape(landscape.start)[0], largest_curvature(landscape, landscape.start)
    limit = stability_limit(optimizer, here)
    if steps < _FEW_STEPS and rate < limit / _FAR:
        return
    stable, further = _stable_descent(landscape, optimizer, steps, here)
    if not all(map(isfinite, (here, stable, further))):
        notes.append(f"{told} was not compared with 2 / lambda_max: the curvature is not finite")
        return
    limit_further = stability_limit(optimizer, further)
    lowest = min(limit, limit_further)
    if rate <= lowest:
        return
    tried = landscape.descend(optimizer, steps)
    if not tried > stable + max(_HIGHER * (start - stable), _VISIBLE * abs(stable)):
        notes.append(
            f"{told} is above 2 / lambda_max, but {number(steps)} steps at this rate end at "
            f"J = {number(tried)}, and as many at a stable rate at {number(stable)}"
        )
        return
    formula = "2 / lambda_max"
    if optimizer.momentum:
        below = "((1 + 2 m) lambda_max)" if optimizer.nesterov else "lambda_max"
        formula = f"2 (1 + m) / {below} with momentum m = {number(optimizer.momentum)}"
    batches = "Smaller batches have the same curvature on average, plus noise."
    if case.sums:
        batches = (
            f"This holds for batches of {number(case.batch_rows)} rows: the loss is a sum, so "
            "half as many rows have half the curvature and twice the limit."
        )
    now = evidence(learning_rate=rate, limit=limit, lambda_max=here)
    later = evidence(limit_after_trial=limit_further, lambda_max_after_trial=further)
    trial = evidence(trial_steps=steps, loss_after_trial=stable, loss_at_this_rate=tried)
    yield Finding(
        "learning_rate",
        "error" if rate > limit else "warning",
        f"{told} is too high",
        f"Gradient descent is unstable above {formula}, where lambda_max is the largest curvature "
        f"of J: now {number(here)} (limit {number(limit)}), and {number(further)} (limit "
        f"{number(limit_further)}) after {number(steps)} steps at a stable rate, which end at "
        f"J = {number(stable)}. On a copy, as many steps at {number(rate)} {ending(tried)}. "
        f"{batches}",
        f"Lower it to {lowest / 2:.2g}, half the lower limit, or use Adam().",
        now | later | trial,
    )


def stability_limit(optimizer: SGD, curvature: float) -> float:
    """Return the learning rate above which gradient descent leaves a minimum of this curvature.

    It is 2 (1 + m) / lambda with momentum m, and 2 (1 + m) / ((1 + 2 m) lambda) with Nesterov
    momentum; weight decay d adds d to lambda. A step multiplies the distance by the larger root of
    z^2 - (s + m) z + m, or of z^2 - (1 + m) s z + m s, where s = 1 - rate * lambda.
    """
    m = optimizer.momentum
    curvature += optimizer.weight_decay
    if curvature <= 0:
        return inf
    return 2 * (1 + m) / (curvature * (1 + 2 * m if optimizer.nesterov else 1))


def _stable_descent(
    landscape: Landscape, optimizer: SGD, steps: int, curvature: float
) -> tuple[float, float]:
    """Return J and the curvature after a descent at half the limit, or at the optimizer's pace."""
    theta, measured, history = landscape.start, 0, list[float]()
    fastest = optimizer.rate / (1 - optimizer.momentum)
    for step in range(steps):
        j, g = landscape(theta)
        rises = bool(history) and j > history[-1]
        if step - measured >= (_BETWEEN // 10 if rises else _BETWEEN):
            curvature, measured = largest_curvature(landscape, theta), step
        history.append(j)
        theta = theta - (min(1 / curvature, fastest) if curvature > 0 else fastest) * g
    return float(np.mean(history[-AVERAGED_STEPS:])), largest_curvature(landscape, theta)


def _out_of_proportion(case: Case) -> Iterator[Finding]:
    """Descend at the learning rate, and if that achieves nothing at others, powers of ten apart.

    It is too high if it ends no better than the start or the best constant, and a lower one ends at
    less than half of all three. It is too low if J takes more than 1e5 steps to halve, and a rate a
    hundred times higher or more halves it in the trial.
    """
    optimizer = case.optimizer
    if optimizer is None:
        return
    landscape, steps, rate = case.landscape(), case.trial_steps, optimizer.rate
    start = landscape(landscape.start)[0]
    end = landscape.descend(optimizer, steps)
    pace = max(0.0, start - end) / steps
    constant = case.constant_j
    trial = f"On a copy, {number(steps)} steps of {type(optimizer).__name__} at {number(rate)}"
    found = evidence(learning_rate=rate, trial_steps=steps, loss_before=start)
    found["loss_at_this_rate"] = end

    def best(factors: list[float]) -> tuple[float, float]:
        """Return the lowest J that other rates lead to, and that rate."""
        rates = [factor * rate for factor in factors]
        return min((landscape.descend(optimizer, steps, rate=other), other) for other in rates)

    problem = ""
    if isfinite(constant) and end > min(_NOTHING_LEARNED * constant, start):
        better, other = best(_LOWER_FACTORS)
        if better < _LEARNED * min(constant, start, end):
            problem, remedy = "high", "Lower"
            result = (
                f"start at J = {number(start)} and {ending(end)}; the best constant prediction has "
                f"J = {number(constant)}, so nothing is learned"
            )
            found |= evidence(loss_of_a_constant=constant, lower_rate=other)
            found["loss_at_lower_rate"] = better
    if not problem and end <= (1 + _ROUNDING) * start and pace * _HALVING_STEPS < start / 2:
        better, other = best(_HIGHER_FACTORS)
        if better < _LEARNED * start:
            problem, remedy = "low", "Raise"
            halving = start / 2 / pace if pace else inf
            result = (
                f"lower J = {number(start)} by {number(start - end)}; at this pace J takes "
                f"{number(halving)} steps to halve"
            )
            found |= evidence(steps_to_halve=halving, higher_rate=other, loss_at_higher_rate=better)
    if problem:
        yield Finding(
            "learning_rate",
            "error",
            f"the learning rate {number(rate)} is too {problem}",
            f"{trial} {result}. At {number(other)} they {ending(better)}.",
            f"{remedy} it to about {number(other)}, the best of those tried.",
            found,
        )


def capacity(case: Case) -> Iterator[Finding]:
    """Train a copy on ten rows with Adam until at most a fifth of the loss remains.

    The loss above the floor of the last activation counts, as a share of that of the best constant
    prediction. If too much remains, standardized targets are tried.
    """
    rows, _, floor, constant = _task(case)
    count = len(rows)
    trainable = sum(p.size for p in case.model.parameters if p.trainable)
    numbers, reason = count * prod(case.output_shape), ""
    if trainable < _PARAMETERS_PER_NUMBER * numbers:
        parameters = f"{number(trainable)} trainable parameters"
        reason = f"the model has {parameters} for {number(numbers)} numbers"
    elif constant - floor <= 1e-6 * max(abs(constant), 1e-12):
        reason = "a constant fits them"
    if reason:
        case.notes.append(f"overfitting {count} rows was not tried: {reason}")
        return
    steps = min(_STEPS, _PARAMETER_STEPS // trainable)
    shapes = [p.shape for step in case.weighted for _, p in step.layer.own_parameters()]
    widest = max((shape[-2] for shape in shapes if len(shape) > 1), default=1)
    rates = [rate * min(1.0, _NARROW / widest) for rate in _RATES]
    results = list[tuple[float, float, float, float, str]]()
    for tried, how in ((case, ""), (case.standardized, " with standardized targets")):
        if tried is None:
            break
        rows, loss, floor, constant = _task(tried)
        lowest, goal = inf, floor + _REMAINING * (constant - floor)
        for rate in rates:
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
    some = as_columns(take(case.sample.x, slice(10 * _ROWS)))
    different = np.unique(some, axis=0, return_index=True)[1]
    rows = case.sample.take(np.sort(different)[:_ROWS])
    shape = (len(rows), *case.output_shape)
    floor, constant = (
        least_loss(loss, rows.y, shape, *case.range, constant=same, weight=rows.weight)
        for same in (False, True)
    )
    return rows, loss, 0.0 if floor < 1e-9 * constant else floor, constant


def _trained(landscape: Landscape, rate: float, steps: int, goal: float) -> float:
    """Return the lowest loss of a training run, without regularizers."""
    lowest = inf
    for j in landscape.path(Adam(learning_rate=rate), steps):
        lowest = min(lowest, j - landscape.gradient.regularization)
        if lowest <= goal:
            break
    return lowest
