"""Whether the learning rate is above what gradient descent can stand on this loss."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

import numpy as np

from minigrad.diagnose.curvature import largest_curvature, stability_limit
from minigrad.diagnose.findings import Finding, ending, number
from minigrad.diagnose.landscape import LAST, Landscape, Vector
from minigrad.diagnose.patient import Patient
from minigrad.optimizers import SGD

_BETWEEN = 50
"""Steps after which the curvature is measured anew; a tenth of that where J rises."""
_FAR = 4
_CHEAP = 100
"""With fewer steps to spend, a rate this far below the limit isn't tried."""
_HIGHER = 0.01
"""Of the way down: a trial that ends by no more than this above the stable one ends as low."""
_SEEN = 0.001
"""And of J, which is told in four digits."""


def learning_rate(patient: Patient, notes: list[str]) -> Iterator[Finding]:
    """Hold the learning rate against 2 / lambda_max, here and further down.

    The curvature changes on the way, and often grows: so it is measured at the parameters as they
    are, and again where some steps of descent at a stable rate (half the limit, measured anew
    again and again) lead. A rate above one of the two limits is a fault if descent at that rate,
    tried from the same start, ends clearly higher than the stable one did. If it doesn't, it has
    found flatter ground by itself, as descent often does a little above the limit, and only a note
    is made. All of this is done on copies, with one batch of the sample's rows.

    Source of the growth, and of what happens above the limit: Cohen et al., Gradient descent on
    neural networks typically occurs at the edge of stability, ICLR 2021; Lewkowycz et al., The
    large learning rate phase of deep learning: the catapult mechanism, 2020.
    """
    optimizer = patient.optimizer
    if not isinstance(optimizer, SGD):
        said = "the learning rate was not looked at: no optimizer was given"
        if optimizer is not None:
            said = f"the learning rate {number(optimizer.rate)} was held against a trial alone: "
            said += f"2 / lambda_max is no limit for {type(optimizer).__name__}, which gives each "
            said += "parameter a step of its own"
        notes.append(said)
        return
    landscape, steps, rate = patient.landscape(), patient.steps, optimizer.rate
    start, here = landscape(landscape.start)[0], _curvature(landscape, landscape.start)
    if steps < _CHEAP and rate < stability_limit(optimizer, here) / _FAR:
        return
    stable, further = _stable_descent(landscape, optimizer, steps, here)
    if not all(map(isfinite, (here, stable, further))):
        notes.append(
            f"the learning rate {number(rate)} was not held against 2 / lambda_max: the curvature "
            "is not finite"
        )
        return
    if rate <= min(stability_limit(optimizer, c) for c in (here, further)):
        return
    tried = landscape.descend(optimizer, steps)
    finding = _finding(patient, optimizer, (here, further), steps, (stable, tried))
    if tried > stable + max(_HIGHER * (start - stable), _SEEN * abs(stable)):
        yield finding
    else:
        notes.append(
            f"the learning rate {number(rate)} is above 2 / lambda_max, yet {number(steps)} steps "
            f"at it bring J to {number(tried)}, and as many at a stable rate to {number(stable)}"
        )


def _finding(
    patient: Patient,
    optimizer: SGD,
    curvatures: tuple[float, float],
    steps: int,
    ends: tuple[float, float],
) -> Finding:
    (here, further), (stable, tried) = curvatures, ends
    limit, limit_further = (stability_limit(optimizer, c) for c in curvatures)
    rate, most = optimizer.rate, min(limit, limit_further)
    return Finding(
        "learning_rate",
        "error" if rate > limit else "warning",
        f"the learning rate {number(rate)} is too high",
        f"{_formula(optimizer)}. At the parameters as they are lambda_max is "
        f"{number(here)}{_limit(limit)}; after {number(steps)} trial steps at a stable rate it is "
        f"{number(further)}{_limit(limit_further)}. Tried on a copy, {number(steps)} steps at "
        f"{number(rate)} {ending(tried)}, the stable ones end at {number(stable)}. "
        f"{_batches(patient)}",
        f"Lower it to {most / 2:.2g}, half the lower limit, or take Adam().",
        {
            "learning_rate": rate,
            "limit": limit,
            "lambda_max": here,
            "limit_after_trial": limit_further,
            "lambda_max_after_trial": further,
            "trial_steps": steps,
            "loss_after_trial": stable,
            "loss_at_this_rate": tried,
        },
    )


def _stable_descent(
    landscape: Landscape, optimizer: SGD, steps: int, curvature: float
) -> tuple[float, float]:
    """Descend at half the limit of plain descent, but no faster than the optimizer would.

    Returns:
        J, averaged over the last steps, and the curvature at the end.
    """
    theta, measured, seen = landscape.start, 0, list[float]()
    fastest = optimizer.rate / (1 - optimizer.momentum)
    for step in range(steps):
        j, g = landscape(theta)
        rises = bool(seen) and j > seen[-1]
        if step - measured >= (_BETWEEN // 10 if rises else _BETWEEN):
            curvature, measured = _curvature(landscape, theta), step
        seen.append(j)
        theta = theta - (min(1 / curvature, fastest) if curvature > 0 else fastest) * g
    return float(np.mean(seen[-LAST:])), _curvature(landscape, theta)


def _curvature(landscape: Landscape, theta: Vector) -> float:
    return largest_curvature(lambda at: landscape(at)[1], theta)


def _limit(limit: float) -> str:
    return f", the limit {number(limit)}" if isfinite(limit) else ", and sets no limit"


def _formula(optimizer: SGD) -> str:
    """Say what the limit is for this kind of gradient descent."""
    if not optimizer.momentum:
        return "Gradient descent is unstable above 2 / lambda_max, the largest curvature of J"
    below = "((1 + 2 m) lambda_max)" if optimizer.nesterov else "lambda_max"
    kind = "Nesterov momentum" if optimizer.nesterov else "momentum"
    return (
        f"Gradient descent with {kind} m = {number(optimizer.momentum)} is unstable above "
        f"2 (1 + m) / {below}, where lambda_max is the largest curvature of J"
    )


def _batches(patient: Patient) -> str:
    """Say what this means for batches of other sizes."""
    assert patient.loss is not None
    if patient.loss.reduction == "mean":
        return "Smaller batches have this curvature on average, and noise on top."
    return (
        f"This is for batches of {number(patient.batch_rows)} rows: the loss is a sum, so half as "
        "many rows have half the curvature, and twice the limit."
    )
