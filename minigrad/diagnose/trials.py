"""Trials: train a copy for a moment, and if it learns little, train others with one thing changed.

A change that makes a copy learn clearly more is the remedy, and what it changes is the fault.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from math import inf, isfinite
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.data.arrays import Array
from minigrad.data.rows import Rows
from minigrad.diagnose.case import Case, Trial, largest_curvature
from minigrad.diagnose.data import input_faults, target_faults
from minigrad.diagnose.findings import Finding, ending, evidence, number
from minigrad.losses import Loss
from minigrad.optimizers import SGD

Remedy: TypeAlias = Callable[[Case, Trial], tuple[Finding, Case, Trial] | None]

_LEARNED = 0.25  # with less of the loss remaining, nothing else is tried
_LOWER_FACTORS = [10.0**-k for k in range(1, 6)]
_HIGHER_FACTORS = [10.0**k for k in range(2, 16)]
_HALVING_STEPS = 1e5


def learning(case: Case, *, reachable: bool) -> Iterator[Finding]:
    """Train a copy, and look for changes with which it learns clearly more."""
    trial, told = case.trial(), case.told
    case.notes.append(f"{told} at {number(trial.rate)} {trial}")
    remedies = (_inputs, _targets, _lower, _higher, _trainable, _regularizers, _cross_entropy)
    for remedy in remedies:
        if trial.remaining < _LEARNED:
            return
        if (remedy is _targets and not reachable) or (found := remedy(case, trial)) is None:
            continue
        finding, case, trial = found
        yield finding


def _compare(case: Case, own: Trial, other: Case, what: str) -> tuple[Trial, str] | None:
    """Return the trial of another case and what both trials show, if it learns clearly more."""
    better = other.trial()
    if not better.beats(own):
        return None
    return better, f"O{case.told[1:]} at {number(own.rate)} {own}; {what} they {better}."


def _shares(case: Case, own: Trial, better: Trial) -> dict[str, float]:
    return evidence(
        trial_steps=case.steps, remaining=own.remaining, remaining_if_changed=better.remaining
    )


def _inputs(case: Case, own: Trial) -> tuple[Finding, Case, Trial] | None:
    """Standardize inputs whose scale is unusual."""
    found = input_faults(case)
    if found is None:
        return None
    step, faults, numbers = found
    x = case.rows.x.astype(np.float64)
    deviation = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    other = replace(case, rows=Rows(x.astype(case.rows.x.dtype), case.rows.y, case.rows.weight))
    if (compared := _compare(case, own, other, "with standardized inputs")) is None:
        return None
    better, why = compared
    finding = Finding(
        "unscaled_inputs",
        "warning",
        f"the inputs of {step.label} are not scaled",
        f"Of these inputs {' and '.join(faults)}. {why}",
        "Standardize each input, x = (x - x_train.mean(axis=0)) / x_train.std(axis=0), later rows "
        "with the same two numbers; or start with BatchNorm().",
        numbers | _shares(case, own, better),
        step.path,
    )
    return finding, other, better


def _targets(case: Case, own: Trial) -> tuple[Finding, Case, Trial] | None:
    """Standardize targets that are far from the scale of the first predictions."""
    other = case.standardized
    if other is None or (found := target_faults(case)) is None:
        return None
    if (compared := _compare(case, own, other, "with standardized targets")) is None:
        return None
    text, numbers = found
    better, why = compared
    finding = Finding(
        "unscaled_targets",
        "warning",
        "the targets are far from the scale of the first predictions",
        f"{text} {why}",
        "Train on t = (y - y_train.mean(axis=0)) / y_train.std(axis=0), all rows with the same two "
        "numbers, and convert predictions back: p * y_train.std(axis=0) + y_train.mean(axis=0).",
        numbers | _shares(case, own, better),
    )
    return finding, other, better


def _best(case: Case, factors: Iterable[float], rate: float) -> Trial:
    """Return the best trial at rates that move away from this one, until they get worse again."""
    best: Trial | None = None
    for factor in factors:
        trial = case.trial(rate * factor)
        if best is None or trial.remaining < best.remaining:
            best = trial
        elif best.remaining < _LEARNED or trial.remaining > best.remaining:
            break
    assert best is not None
    return best


def _lower(case: Case, own: Trial) -> tuple[Finding, Case, Trial] | None:
    """Lower the learning rate; for SGD, compare it with 2 / lambda_max too."""
    if case.optimizer is None:
        return None
    better = _best(case, _LOWER_FACTORS, own.rate)
    if not better.beats(own):
        return None
    text, numbers = "", dict[str, float]()
    if isinstance(case.optimizer, SGD):
        text, numbers = _limits(case, case.optimizer, better)
    numbers |= evidence(lower_rate=better.rate, loss_at_lower_rate=better.end)
    return (
        _rate_finding(case, own, better, "high", f" {text}", numbers),
        replace(case, optimizer=_at(case, better.rate)),
        better,
    )


def _higher(case: Case, own: Trial) -> tuple[Finding, Case, Trial] | None:
    """Raise a learning rate at which J takes more than 1e5 steps to halve."""
    pace = (own.start - own.end) / case.steps
    if case.optimizer is None or not abs(pace) * _HALVING_STEPS < own.start / 2:
        return None
    better = _best(case, _HIGHER_FACTORS, own.rate)
    if not better.beats(own):
        return None
    halving = own.start / 2 / pace if pace > 0 else inf
    text = f" At this pace J takes {number(halving)} steps to halve."
    numbers = evidence(
        steps_to_halve=halving, higher_rate=better.rate, loss_at_higher_rate=better.end
    )
    return (
        _rate_finding(case, own, better, "low", text, numbers),
        replace(case, optimizer=_at(case, better.rate)),
        better,
    )


def _at(case: Case, rate: float) -> object:
    optimizer = copy.copy(case.trial_optimizer)
    optimizer.learning_rate = rate
    return optimizer


def _rate_finding(
    case: Case, own: Trial, better: Trial, problem: str, text: str, numbers: dict[str, float]
) -> Finding:
    found = evidence(learning_rate=own.rate, trial_steps=case.steps, loss_before=own.start)
    return Finding(
        "learning_rate",
        "error" if own.remaining >= _NOTHING_LEARNED else "warning",
        f"the learning rate {number(own.rate)} is too {problem}",
        f"O{case.told[1:]} at {number(own.rate)} start at J = {number(own.start)} and "
        f"{ending(own.end)}; at {number(better.rate)} they {ending(better.end)}.{text}",
        f"{'Lower' if problem == 'high' else 'Raise'} it to about {number(better.rate)}, the best "
        "of those tried.",
        found | evidence(loss_at_this_rate=own.end, remaining=own.remaining) | numbers,
    )


_NOTHING_LEARNED = 0.95


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
    assert case.loss is not None
    if case.loss.reduction == "sum":
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


def _trainable(case: Case, own: Trial) -> tuple[Finding, Case, Trial] | None:
    """Train the frozen parameters too."""
    frozen = [path for path, p in case.model.named_parameters() if not p.trainable]
    if not frozen:
        return None
    model = copy.deepcopy(case.model)
    for _, parameter in model.named_parameters():
        parameter.trainable = True
    other = replace(case, model=model)
    if (compared := _compare(case, own, other, "if all parameters are trained")) is None:
        return None
    better, why = compared
    total = len(case.model.parameters)
    finding = Finding(
        "frozen_layers",
        "error" if len(frozen) == total else "warning",
        f"{len(frozen)} of {total} parameters are frozen",
        f"'{frozen[0]}' is the first one. {why}",
        f"Set trainable = True for the layer '{frozen[0].rpartition('.')[0]}' and the others.",
        evidence(frozen=len(frozen), parameters=total) | _shares(case, own, better),
        frozen[0].rpartition(".")[0],
    )
    return finding, other, better


def _regularizers(case: Case, own: Trial) -> tuple[Finding, Case, Trial] | None:
    """Leave the regularizers out."""
    regularized = [p for p in case.model.parameters if p.regularizer is not None]
    if not regularized:
        return None
    model = copy.deepcopy(case.model)
    for _, parameter in model.named_parameters():
        parameter.regularizer = None
    other = replace(case, model=model)
    if (compared := _compare(case, own, other, "without the regularizers")) is None:
        return None
    better, why = compared
    first = regularized[0]
    finding = Finding(
        "strong_regularizers",
        "warning",
        "the regularizers are too strong",
        f"{len(regularized)} parameters have one, such as {first.regularizer} for '{first.name}'. "
        f"{why}",
        "Make them weaker, for example by a factor of 100.",
        evidence(regularized=len(regularized)) | _shares(case, own, better),
    )
    return finding, other, better


def _cross_entropy(case: Case, own: Trial) -> tuple[Finding, Case, Trial] | None:
    """Learn the one-hot rows of a softmax with cross-entropy in place of a regression loss."""
    p, t = case.trace.prediction, case.sample.y
    bounded = all(map(isfinite, case.range))
    if not (case.is_regression and bounded and t.ndim == 2 and t.shape[1] > 1):
        return None
    one_hot = ((t == 0) | (t == 1)).all() and (t.sum(axis=1) == 1).all()
    if not (one_hot and (p >= 0).all() and np.allclose(p.sum(axis=1), 1)):
        return None
    assert case.loss is not None
    other = replace(case, loss=_LogLoss(reduction=case.loss.reduction))
    share = t.mean(axis=0)
    other.constant_loss = float(-(share * np.log(np.maximum(share, 1e-12))).sum())
    if (compared := _compare(case, own, other, "with cross-entropy")) is None:
        return None
    better, why = compared
    finding = Finding(
        "squared_classes",
        "warning",
        f"{type(case.loss).__name__} after a softmax learns slowly",
        f"{why} If a softmax is certain and wrong, its slope is near 0; cross-entropy compensates "
        "for that.",
        "Remove the softmax and use CrossEntropyLoss(), which contains it.",
        _shares(case, own, better),
    )
    return finding, other, better


class _LogLoss(Loss):
    """-log p of the right class, for probabilities: cross-entropy without its softmax."""

    @override
    def terms(self, prediction: Array, target: NDArray[np.float64]) -> tuple[Array, Array]:
        p = np.maximum(prediction, 1e-12)
        return -(target * np.log(p)).sum(axis=1), -target / p
