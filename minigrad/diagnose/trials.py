"""Trials: train a copy for a moment, and if it learns little, train others with one thing changed.

A change that makes a copy learn clearly more is the remedy, and what it changes is the fault.
"""

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import inf, isfinite, log10

import numpy as np

from minigrad.core.layer import Layer
from minigrad.core.parameters import Parameter
from minigrad.data.rows import Rows
from minigrad.diagnose.case import NOTHING_LEARNED, Case, Trial
from minigrad.diagnose.data import input_faults, standardized, target_faults
from minigrad.diagnose.findings import Finding, Severity, evidence, number
from minigrad.diagnose.landscape import largest_curvature
from minigrad.optimizers import SGD, Optimizer

_LOWER_FACTORS = [10.0**-k for k in range(1, 6)]
_MOST_POWERS = 16
_HALVING_STEPS = 2e4
_PATIENCE = 4


@dataclass(frozen=True)
class Remedy:
    """A change of the case, in words, and the finding if a copy then learns clearly more."""

    case: Case
    changed: str
    kind: str
    title: str
    text: str
    advice: str
    numbers: dict[str, float]
    layer: str | None = None
    severity: Severity = "warning"

    def finding(self, told: str, before: Trial, after: Trial) -> Finding:
        numbers = evidence(remaining=before.remaining, remaining_if_changed=after.remaining)
        trials = f"O{told[1:]} at {number(before.rate)} {before}; {self.changed} they {after}."
        return Finding(
            self.kind,
            self.severity,
            self.title,
            f"{self.text} {trials}",
            self.advice,
            self.numbers | numbers,
            self.layer,
        )


def learning(case: Case) -> Iterator[Finding]:
    """Train a copy, and look for changes with which it learns clearly more."""
    trial = case.trial()
    if case.optimizer is None:
        case.notes.append("the learning rate was not checked: no optimizer was given")
    case.notes.append(f"{case.told} at {number(trial.rate)} {trial}")
    for make in (_inputs, _targets, _trainable, _regularizers):
        if (trial.learns and make is not _inputs) or (make is _targets and not case.reachable):
            continue
        if (remedy := make(case)) is None:
            continue
        before, own, changed = case, trial, remedy.case
        better = changed.trial()
        if own.remaining >= NOTHING_LEARNED and not better.beats(own):  # too few steps to tell
            before, changed = (replace(each, patience=_PATIENCE) for each in (before, changed))
            own, better = before.trial(), changed.trial()
        if better.beats(own):
            yield remedy.finding(before.told, own, better)
            case, trial = changed, better
            case.notes.append(f"the learning rate was checked {remedy.changed}")
    if case.optimizer is None or trial.learns:
        return
    if not case.is_single and any(map(_off_scale, case.parts.values())):
        case.notes.append("the learning rate was not checked: scale the targets first")
    else:
        yield from _learning_rate(case, case.optimizer, trial)


def _inputs(case: Case) -> Remedy | None:
    """Standardize inputs whose scale is unusual."""
    if isinstance(case.rows.x, dict):
        case.notes.append("the scale of the inputs was not checked: there are several")
        return None
    if (found := input_faults(case)) is None:
        return None
    step, faults, numbers = found
    x = standardized(case.rows.x).astype(np.result_type(case.rows.x, np.float32))
    return Remedy(
        replace(case, rows=Rows(x, case.rows.y, case.rows.weight)),
        "with standardized inputs",
        "unscaled_inputs",
        f"the inputs of {step.label} are not scaled",
        f"Of these inputs {' and '.join(faults)}.",
        "Standardize each input: std = x_train.std(axis=0); x = (x - x_train.mean(axis=0)) / "
        "np.where(std > 0, std, 1). Use the mean and std of x_train for later rows, too; or start "
        "with BatchNorm().",
        numbers,
        step.path,
    )


def _off_scale(case: Case) -> bool:
    return case.standardized is not None and target_faults(case) is not None


def _targets(case: Case) -> Remedy | None:
    """Standardize targets that are far from the scale of the first predictions."""
    if not case.is_single:
        case.notes.append("the scale of the targets was not checked: there are several outputs")
        return None
    other = case.standardized
    if other is None or (found := target_faults(case)) is None:
        return None
    text, numbers = found
    return Remedy(
        other,
        "with standardized targets",
        "unscaled_targets",
        "the targets are far from the scale of the first predictions",
        text,
        "Train on t = (y - y_train.mean(axis=0)) / y_train.std(axis=0), all rows with the same two "
        "numbers, and convert predictions back: p * y_train.std(axis=0) + y_train.mean(axis=0).",
        numbers,
    )


def _parameters(model: Layer) -> list[tuple[str, Parameter]]:
    """Return (path, parameter), of a shared one the first use."""
    uses = reversed([*model.named_parameters()])
    return [*{id(p.source): (path, p) for path, p in uses}.values()][::-1]


def _trainable(case: Case) -> Remedy | None:
    """Train the frozen parameters too."""
    model = copy.deepcopy(case.model)
    frozen = [path for path, p in _parameters(model) if not p.trainable]
    if not frozen:
        return None
    for _, parameter in model.named_parameters():
        parameter.trainable = True
    layer, count, total = frozen[0].rpartition(".")[0], len(frozen), len(model.parameters)
    return Remedy(
        replace(case, model=model),
        "if all parameters are trained",
        "frozen_layers",
        f"{count} of {total} parameters are frozen",
        f"'{frozen[0]}' is the first one.",
        f"Set trainable = True for the layer '{layer}' and the others.",
        evidence(frozen=count, parameters=total),
        layer,
        "error" if count == total else "warning",
    )


def _regularizers(case: Case) -> Remedy | None:
    """Leave the regularizers out."""
    model = copy.deepcopy(case.model)
    regularized = [(path, p) for path, p in _parameters(model) if p.regularizer is not None]
    if not regularized:
        return None
    path, first = regularized[0]
    text = f"{len(regularized)} parameters have one, such as '{path}': {first.regularizer}."
    for _, parameter in regularized:
        parameter.regularizer = None
    return Remedy(
        replace(case, model=model),
        "without the regularizers",
        "strong_regularizers",
        "the regularizers are too strong",
        text,
        "Make them weaker, for example by a factor of 100.",
        evidence(regularized=len(regularized)),
    )


def _learning_rate(case: Case, optimizer: Optimizer, own: Trial) -> Iterator[Finding]:
    """Try lower rates, and also higher ones if J takes more than 2e4 steps to halve.

    A finding for SGD also compares the rate with 2 / lambda_max.
    """
    better, problem, text = _best(case, _LOWER_FACTORS, own), "high", ""
    numbers = dict[str, float]()
    if better is not None:
        found = evidence(lower_rate=better.rate, loss_at_lower_rate=better.end)
        if isinstance(optimizer, SGD):
            text, numbers = _limits(case, optimizer, better)
    elif abs(own.pace) * _HALVING_STEPS < own.start / 2:
        halving = own.start / 2 / own.pace if own.pace > 0 else inf
        first = max(2, int(log10(halving / case.steps)) - 1) if isfinite(halving) else 2
        factors = (10.0**k for k in range(first, _MOST_POWERS))
        better, problem = _best(case, factors, own), "low"
        if better is None:
            return
        text = f"At this pace J takes {number(halving)} steps to halve."
        found = evidence(higher_rate=better.rate, loss_at_higher_rate=better.end)
        numbers = evidence(steps_to_halve=halving)
    else:
        return
    noisy = case.trial_rows < len(case.sample)  # so that the order of the batches matters
    certain = min(own.remaining, case.trial(order=1).remaining if noisy else inf)
    trial = evidence(learning_rate=own.rate, trial_steps=case.steps, loss_before=own.start)
    trial |= evidence(loss_at_this_rate=own.end, remaining=own.remaining)
    yield Finding(
        "learning_rate",
        "error" if certain >= NOTHING_LEARNED else "warning",
        f"the learning rate {number(own.rate)} is too {problem}",
        f"O{case.told[1:]} at {number(own.rate)} start at J = {number(own.start)}; they "
        f"{own.course}. At {number(better.rate)} they {better.course}. {text}".rstrip(),
        f"{'Lower' if problem == 'high' else 'Raise'} it to about {number(better.rate)}, the best "
        "of those tried.",
        trial | found | numbers,
    )


def _best(case: Case, factors: Iterable[float], own: Trial) -> Trial | None:
    """Return the best trial at other rates, away from this one, if it learns clearly more."""
    best: Trial | None = None
    for factor in factors:
        trial = case.trial(own.rate * factor)
        if best is None or trial.remaining < best.remaining:
            best = trial
        elif best.beats(own):
            break
        if own.remaining < min(NOTHING_LEARNED, trial.remaining) and own.steady:
            break  # another rate only learns more slowly
    return best if best is not None and best.beats(own) else None


def _limits(case: Case, optimizer: SGD, better: Trial) -> tuple[str, dict[str, float]]:
    """Return the stability limit of SGD at the start and after the better trial, in words too.

    Source: Cohen et al., Gradient descent on neural networks typically occurs at the edge of
    stability, ICLR 2021.
    """
    landscape = case.landscape()
    here, further = (largest_curvature(landscape, t) for t in (landscape.start, better.theta))
    if not (isfinite(here) and isfinite(further)):
        return "", {}
    limit, limit_further = stability_limit(optimizer, here), stability_limit(optimizer, further)
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
    text = (
        f"Gradient descent is unstable above {formula}, where lambda_max is the largest curvature "
        f"of J: {number(here)} at the start (limit {number(limit)}), and {number(further)} (limit "
        f"{number(limit_further)}) where the better trial ends. {batches}"
    )
    return text, evidence(
        limit=limit,
        lambda_max=here,
        limit_after_trial=limit_further,
        lambda_max_after_trial=further,
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
