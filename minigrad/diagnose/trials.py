"""Trials: train a copy for a moment, and if it learns little, train others with one thing changed.

A change that makes a copy learn clearly more is the remedy, and what it changes is the fault.
"""

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import inf, isfinite, log10
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer, walk
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, with_axes
from minigrad.data.by_name import Data, of
from minigrad.data.rows import Rows
from minigrad.diagnose.case import Case
from minigrad.diagnose.data import MIN_CLASS_ROWS, far_targets, standardized, unusual_inputs
from minigrad.diagnose.findings import Finding, evidence, number
from minigrad.diagnose.landscape import Vector, largest_curvature
from minigrad.diagnose.units import is_custom
from minigrad.losses import CrossEntropyLoss, Loss
from minigrad.optimizers import SGD, Optimizer
from minigrad.optimizers.schedules import Schedule

_NOTHING = 0.95  # of the loss remains: the trial learned nothing
_SOMETHING = 0.75  # of the loss remains: the trial learned something
_WORSE = 1.5  # of the loss remains: the trial made it worse
_ANYTHING = 0.9  # of the loss remains: enough to beat a trial that made it worse
_LEARNED = 0.25  # of the loss remains: the trial learned the task
_CLEARLY = 0.5  # of what remains in another trial: this one learns clearly more
_PEAK = 20.0  # J of a trial that rises to this multiple of its start is unstable
_AVERAGED_STEPS = 10  # at the end of a trial, where J still falls
_PATIENCE = 4  # times the steps, if a trial and its remedy are too short to tell
_LOWER_RATES = [10.0**-k for k in range(1, 6)]  # times the own rate
_MOST_POWERS = 16  # of ten, by which a rate may be too low: beyond it rounds to no step
_RARE = 0.1  # of an equal share of the rows: a class that accuracy hardly counts
_USUAL_DROPOUT = 0.5  # a higher rate is unusual
_WEAK_DROPOUT = 0.2  # with which a network learns nearly as fast as without
_DROPOUT_OPTIONS = ("rate", "dropout", "recurrent_dropout")
_HALVING_STEPS = 20_000  # a rate at which J takes longer to halve may be too low


@dataclass(frozen=True)
class TrialResult:
    """What some steps on a copy come to.

    A share of the loss is 0 at the least possible loss, and 1 at that of the best constant.
    """

    rate: float
    start: float  # J before and after
    end: float
    highest: float
    pace: float  # by which a step lowers J of the sample
    floor: float  # the least possible J
    constant: float  # J of the best constant prediction
    whole: str  # the difference of both in words
    theta: Vector
    prediction: Data  # for the sample, after

    def share(self, j: float) -> float:
        """Return the share of the loss that J is."""
        return (j - self.floor) / (self.constant - self.floor)

    @property
    def remaining(self) -> float:
        """The share of the loss that remains."""
        return self.share(self.end)

    @property
    def steady(self) -> bool:
        """Whether J never rose far above its start."""
        return self.highest < _PEAK * max(self.start, self.constant)

    @property
    def learns(self) -> bool:
        """Whether little of the loss remains, in a steady course."""
        return self.remaining < _LEARNED and self.steady

    @property
    def unlearns(self) -> bool:
        """Whether clearly more of the loss remains than at the start."""
        return self.share(self.start) <= _CLEARLY * self.remaining

    @property
    def course(self) -> str:
        """How J goes on, in words."""
        rises = "" if self.steady else f"rise to J = {number(self.highest)} and "
        return f"{rises}end at J = {number(self.end)}" if isfinite(self.end) else "diverge"

    def beats(self, other: "TrialResult") -> bool:
        """Return whether this trial learns clearly more than the other."""
        enough = _ANYTHING if other.remaining >= _WORSE else _SOMETHING
        if self.remaining > max(_LEARNED, enough * self.share(self.start)):
            return False
        if other.remaining >= _NOTHING or (self.steady and not other.steady):
            return self.remaining <= enough
        return self.remaining <= _CLEARLY * other.remaining

    def leaves(self, whole: str) -> str:
        """Return how much remains of the whole, in words."""
        if not isfinite(self.end):
            return "diverge"
        many = f"{number(round(self.remaining))} times"
        share = many if self.remaining >= 10 else f"{self.remaining:.0%} of"
        return f"leave {share} {whole}"

    def __str__(self) -> str:
        return self.leaves(self.whole)


def train(case: Case, rate: float | None = None, *, order: int = 0) -> TrialResult:
    """Train a copy for some steps with a new copy of the optimizer, at its rate or another.

    Trials of the same order see the same batches.
    """
    optimizer = copy.copy(case.trial_optimizer)
    optimizer.state = {}
    if rate is not None:
        optimizer.learning_rate = rate
    if not isinstance(optimizer.learning_rate, Schedule):
        optimizer.steps = 0
    rate = optimizer.rate
    landscape, batches = case.landscape(), case.landscape(case.trial_rows)
    history = batches.descend(optimizer, case.steps, case.trial_rows, order)
    noisy = case.trial_rows < len(case.sample)
    end = float(np.mean(history[-(case.steps // 4 if noisy else _AVERAGED_STEPS) :]))
    prediction = batches.predict()
    if isfinite(end):
        predicted = case.j(prediction)
        end = predicted if case.in_inference else max(end, predicted)
    theta = batches.parameters.value.astype(np.float64)
    start, after = landscape.loss(landscape.start), landscape.loss(theta)
    floor, constant = case.least_j
    whole = "a constant prediction's loss above the least possible"
    if not 0 <= floor < constant < inf:
        floor, constant, whole = 0.0, abs(start) or 1.0, "the loss at the start"
    pace = (start - after) / case.steps
    course = rate, start, end, max(history), pace
    return TrialResult(*course, floor, constant, whole, theta, prediction)


@dataclass(frozen=True)
class Remedy:
    """A change of the case, in words, and the finding if a copy then learns clearly more."""

    case: Case
    changed: str
    finding: Finding


def learning(case: Case) -> Iterator[Finding]:
    """Train a copy, and look for changes with which it learns clearly more."""
    own = train(case)
    if case.optimizer is None:
        case.notes.append("the learning rate was not checked: no optimizer was given")
    case.notes.append(f"on a copy, {case.trials} at {number(own.rate)} {own}")
    if isfinite(own.end):
        yield from _missed_classes(case, own)
    for make in (_scaled_inputs, _scaled_targets, _unfrozen, _unregularized, _less_dropout):
        if own.learns and make is not _scaled_inputs:
            continue
        if (remedy := make(case)) is None:
            continue
        if remedy.case.in_inference:
            case = replace(case, in_inference=True)
            own = train(case)
            if own.learns:
                continue
        before, changed, better = case, remedy.case, train(remedy.case)
        if own.remaining >= _NOTHING and not better.beats(own):  # too few steps to tell
            before, changed = (replace(each, patience=_PATIENCE) for each in (before, changed))
            own, better = train(before), train(changed)
        if better.beats(own):
            yield replace(
                remedy.finding,
                why=f"{remedy.finding.why} On a copy, {before.trials} at {number(own.rate)} {own}; "
                f"{remedy.changed} they "
                f"{better.leaves('it')}.",
                evidence={
                    **remedy.finding.evidence,
                    "remaining": own.remaining,
                    "remaining_if_changed": better.remaining,
                },
            )
            case, own = changed, better
            case.notes.append(f"the learning rate was checked {remedy.changed}")
    rises = _rises_above_limit(case, own)
    if case.optimizer is None or (own.learns and not rises):
        return
    if not case.is_single and any(map(far_targets, case.parts.values())):
        case.notes.append("the learning rate was not checked: scale the targets first")
    else:
        yield from _learning_rate(case, case.optimizer, own, rises)


def _scaled_inputs(case: Case) -> Remedy | None:
    """Standardize inputs whose scale is unusual."""
    if isinstance(case.rows.x, dict):
        case.notes.append("the scale of the inputs was not checked: there are several")
        return None
    if (finding := unusual_inputs(case)) is None:
        return None
    x = standardized(case.rows.x).astype(np.result_type(case.rows.x, np.float32))
    other = replace(case, rows=Rows(x, case.rows.y, case.rows.weight))
    return Remedy(other, "with standardized inputs", finding)


def _scaled_targets(case: Case) -> Remedy | None:
    """Standardize targets that are far from the scale of the first predictions."""
    if not case.reachable:
        return None
    if not case.is_single:
        case.notes.append("the scale of the targets was not checked: there are several outputs")
        return None
    if (other := case.standardized) is None or (finding := far_targets(case)) is None:
        return None
    return Remedy(other, "with standardized targets", finding)


def _unfrozen(case: Case) -> Remedy | None:
    """Train the frozen parameters too."""
    model = copy.deepcopy(case.model)
    frozen = [path for path, p in _parameters(model).items() if not p.trainable]
    if not frozen:
        return None
    for _, parameter in model.named_parameters():
        parameter.trainable = True
    layer, count, total = frozen[0].rpartition(".")[0], len(frozen), len(model.parameters)
    finding = Finding(
        "frozen_layers",
        "error" if count == total else "warning",
        f"{count} of {total} parameters are frozen",
        f"'{frozen[0]}' is the first one.",
        f"Set trainable = True for the layer '{layer}' and the others.",
        evidence(frozen=count, parameters=total),
        layer,
    )
    return Remedy(replace(case, model=model), "if all parameters are trained", finding)


def _unregularized(case: Case) -> Remedy | None:
    """Leave the regularizers out."""
    model = copy.deepcopy(case.model)
    regularized = {path: p for path, p in _parameters(model).items() if p.regularizer is not None}
    if not regularized:
        return None
    path, first = next(iter(regularized.items()))
    finding = Finding(
        "strong_regularizers",
        "warning",
        "the regularizers are too strong",
        f"{len(regularized)} parameters have one, such as '{path}': {first.regularizer}.",
        "Make them weaker, for example by a factor of 100.",
        evidence(regularized=len(regularized)),
    )
    for parameter in regularized.values():
        parameter.regularizer = None
    return Remedy(replace(case, model=model), "without the regularizers", finding)


def _less_dropout(case: Case) -> Remedy | None:
    """Lower rates of dropout above 0.5 to 0.2; trials are judged in inference, without its noise.

    Source of 0.5 for hidden units, 0.2 for inputs: Srivastava et al., Dropout, JMLR 2014.
    """
    model, found = copy.deepcopy(case.model), list[tuple[str, Layer, float]]()
    for path, layer in walk(model):
        for name in _DROPOUT_OPTIONS:
            rate = vars(layer).get(name, 0.0)
            if layer.stochastic and not is_custom(layer) and rate > _USUAL_DROPOUT:
                found.append((path, layer, rate))
                setattr(layer, name, _WEAK_DROPOUT)
    if not found:
        return None
    path, layer, rate = max(found, key=itemgetter(2))
    finding = Finding(
        "strong_dropout",
        "warning",
        f"the dropout of {type(layer).__name__} '{path}' is too strong",
        f"In training it drops {rate:.0%} of its numbers, and multiplies the others by "
        f"{number(1 / (1 - rate))}.",
        f"Lower the rate to {_USUAL_DROPOUT} or less.",
        evidence(rate=rate),
        path,
    )
    other = replace(case, model=model, in_inference=True)
    return Remedy(other, f"with {_WEAK_DROPOUT:.0%} dropped", finding)


def _missed_classes(case: Case, own: TrialResult) -> Iterator[Finding]:
    """Find rare classes that a trained copy predicts for none of their rows."""
    sample = case.sample
    for output, part in case.parts.items():
        of_output = f" (output '{output}')" if output else ""
        data = (of(each, output) for each in (own.prediction, sample.y, sample.weight))
        for name, true, predicted, classes in _decisions(part.loss, *data):
            counts, hits = (
                np.bincount(true[chosen], minlength=classes)
                for chosen in (true >= 0, (true >= 0) & (true == predicted))
            )
            rare = (counts >= MIN_CLASS_ROWS) & (counts < _RARE * counts.sum() / classes)
            for missed in np.flatnonzero(rare & (hits == 0)):
                count, total = int(counts[missed]), int(counts.sum())
                yield Finding(
                    "rare_class",
                    "warning",
                    f"class {missed}{name} is rare and never predicted{of_output}",
                    f"{number(count)} of {number(total)} targets ({count / total:.1%}) are of this "
                    f"class. On a copy, {case.trials} predict it for none of them, which accuracy "
                    "hardly shows.",
                    "Pass class_weight='balanced' to fit, or predict the class above a lower "
                    "threshold; and look at recall and precision instead of accuracy.",
                    evidence(count=count, share=count / total, recall=0.0),
                )


def _decisions(
    loss: Loss | None, prediction: Array, target: NDArray[Any], weight: Array | None
) -> Iterator[tuple[str, NDArray[np.intp], NDArray[np.intp], int]]:
    """Yield a label in words, its true and predicted classes, and their number; -1 has weight 0."""
    if isinstance(loss, CrossEntropyLoss):
        classes = prediction.shape[-1]
        true = target.argmax(axis=-1) if target.ndim == prediction.ndim else target
        predicted = prediction.argmax(axis=-1)
    elif loss is not None and loss.several_labels:
        classes, true = 2, target > 0.5
        predicted = prediction > loss.decision_threshold
    else:
        return
    true, predicted = true.astype(np.intp), predicted.astype(np.intp)
    if weight is not None:
        true[np.broadcast_to(with_axes(weight, true.ndim), true.shape) == 0] = -1
    if isinstance(loss, CrossEntropyLoss) or true.shape[-1] == 1:
        yield "", true.ravel(), predicted.ravel(), classes
    else:
        for i in range(true.shape[-1]):
            yield f" of label {i}", true[..., i].ravel(), predicted[..., i].ravel(), classes


def _parameters(model: Layer) -> dict[str, Parameter]:
    """Return the parameters by path, a shared one by that of its first use."""
    found: dict[int, tuple[str, Parameter]] = {}
    for path, parameter in model.named_parameters():
        found.setdefault(id(parameter.source), (path, parameter))
    return dict(found.values())


def _learning_rate(
    case: Case, optimizer: Optimizer, own: TrialResult, rises: bool
) -> Iterator[Finding]:
    """Try lower rates, and also higher ones if J takes more than 2e4 steps to halve.

    Where J rises above the limit, a rate at which it falls is enough. A finding for SGD also
    compares the rate with 2 / lambda_max.
    """
    better, high, text, numbers = _best(case, _LOWER_RATES, own), True, "", dict[str, float]()
    if better is None and rises:
        lower = (train(case, own.rate * factor) for factor in _LOWER_RATES)
        better = next((trial for trial in lower if trial.end < trial.start), None)
    if better is not None:
        numbers = evidence(lower_rate=better.rate, loss_at_lower_rate=better.end)
        if isinstance(optimizer, SGD):
            text, limits = _limits(case, optimizer, better)
            numbers |= limits
    elif abs(own.pace) * _HALVING_STEPS < own.start / 2:
        halving = own.start / 2 / own.pace if own.pace > 0 else inf
        first = max(2, int(log10(halving / case.steps)) - 1) if isfinite(halving) else 2
        better, high = _best(case, (10.0**k for k in range(first, _MOST_POWERS)), own), False
        text = f" At this pace J takes {number(halving)} steps to halve."
        if better is not None:
            numbers = evidence(higher_rate=better.rate, loss_at_higher_rate=better.end)
            numbers |= evidence(steps_to_halve=halving)
    if better is None:
        return
    noisy = case.trial_rows < len(case.sample)  # so that the order of the batches matters
    certain = min(own.remaining, train(case, order=1).remaining if noisy else inf)
    yield Finding(
        "learning_rate",
        "error" if certain >= _NOTHING else "warning",
        f"the learning rate {number(own.rate)} is too {'high' if high else 'low'}",
        f"On a copy, {case.trials} at {number(own.rate)} start at J = {number(own.start)}; they "
        f"{own.course}. At {number(better.rate)} they {better.course}.{text}",
        f"{'Lower' if high else 'Raise'} it to about {number(better.rate)}, the best of those "
        "tried.",
        evidence(
            learning_rate=own.rate,
            trial_steps=case.steps,
            loss_before=own.start,
            loss_at_this_rate=own.end,
            remaining=own.remaining,
        )
        | numbers,
    )


def _best(case: Case, factors: Iterable[float], own: TrialResult) -> TrialResult | None:
    """Return the best trial at other rates, away from this one, if it learns clearly more."""
    best: TrialResult | None = None
    for factor in factors:
        other = train(case, own.rate * factor)
        if best is None or other.remaining < best.remaining:
            best = other
        elif best.beats(own):
            break
        if own.remaining < min(_NOTHING, other.remaining) and own.steady:
            break  # another rate only learns more slowly
    return best if best is not None and best.beats(own) else None


def _rises_above_limit(case: Case, own: TrialResult) -> bool:
    """Return whether J rises, and SGD is above its stability limit at the start."""
    sgd = case.optimizer
    if not (own.unlearns and isinstance(sgd, SGD)):
        return False
    landscape = case.landscape()
    return own.rate > stability_limit(sgd, largest_curvature(landscape, landscape.start))


def _limits(case: Case, optimizer: SGD, better: TrialResult) -> tuple[str, dict[str, float]]:
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
    if any(part.loss and part.loss.reduction == "sum" for part in case.parts.values()):
        batches = (
            f"This holds for batches of {number(case.batch_rows)} rows: the loss is a sum, so "
            "half as many rows have half the curvature and twice the limit."
        )
    text = (
        f" Gradient descent is unstable above {formula}, where lambda_max is the largest curvature "
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
