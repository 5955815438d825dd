"""The learning rate: above the stability limit, or far too high or too low in a trial."""

from collections.abc import Iterator
from math import inf, isfinite

import numpy as np

from minigrad.diagnose.case import Case
from minigrad.diagnose.findings import Finding, ending, evidence, number
from minigrad.diagnose.landscape import AVERAGED_STEPS, Landscape, largest_curvature
from minigrad.optimizers import SGD

_BETWEEN = 50
"""Steps between two measurements of the curvature; a tenth of that if J rises."""
_FAR, _FEW_STEPS = 4, 100
"""With fewer steps, a rate this far below the limit isn't tried."""
_HIGHER, _VISIBLE = 0.01, 0.001
"""A trial ends higher than the stable one by these shares of the descent and of J."""
_LOWER_FACTORS = [10.0**-k for k in range(1, 6)]
_HIGHER_FACTORS = [10.0**k for k in range(2, 16)]
_LEARNED, _NOTHING_LEARNED = 0.5, 0.9
"""The remaining share of the loss at a good rate, and at a rate that achieves nothing."""
_HALVING_STEPS, _ROUNDING = 1e5, 1e-9


def learning_rate(case: Case) -> Iterator[Finding]:
    """Compare the learning rate with the stability limit, and then with other rates in a trial."""
    found = list(_above_limit(case))
    yield from found or _out_of_proportion(case)


def _above_limit(case: Case) -> Iterator[Finding]:
    """Compare the learning rate of SGD with 2 / lambda_max, at the start and after a descent.

    The curvature often grows during training, so it is measured again after a descent at a stable
    rate (half the limit). A rate above one of the two limits is a fault if a descent at that rate
    ends clearly higher than the stable one. Otherwise it reached a flatter region by itself, as
    often happens a little above the limit, and only a note is added.

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
    if loss.reduction == "sum":
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

    It is 2 / lambda, with momentum m 2 (1 + m) / lambda, with Nesterov momentum
    2 (1 + m) / ((1 + 2 m) lambda); weight decay d adds d to lambda. Beyond it each step multiplies
    the distance by a factor of size above 1: s = 1 - rate * lambda; with momentum the larger root
    of z^2 - (s + m) z + m, with Nesterov momentum that of z^2 - (1 + m) s z + m s.
    """
    m = optimizer.momentum
    curvature += optimizer.weight_decay
    if curvature <= 0:
        return inf
    return 2 * (1 + m) / (curvature * (1 + 2 * m if optimizer.nesterov else 1))


def _stable_descent(
    landscape: Landscape, optimizer: SGD, steps: int, curvature: float
) -> tuple[float, float]:
    """Descend at half the limit of plain descent, but no faster than the optimizer would.

    Returns J, averaged over the last steps, and the curvature at the end.
    """
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

    It is too high if it ends no better than it started, or than the best constant prediction, and
    a lower one ends at less than half of all three. It is too low if J would take more than 1e5
    steps to halve, and a rate at least a hundred times higher halves it in the trial.
    """
    optimizer = case.optimizer
    if optimizer is None:
        return
    landscape, steps, rate = case.landscape(), case.trial_steps, optimizer.rate
    start = landscape(landscape.start)[0]
    end = landscape.descend(optimizer, steps)
    pace = max(0.0, start - end) / steps
    constant = case.constant_loss * case.batch_scale
    trial = f"On a copy, {number(steps)} steps of {type(optimizer).__name__} at {number(rate)}"
    found = evidence(
        learning_rate=rate, trial_steps=steps, loss_before=start, loss_at_this_rate=end
    )

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
            found |= evidence(
                loss_of_a_constant=constant, lower_rate=other, loss_at_lower_rate=better
            )
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
