"""The data: numbers that aren't finite, don't vary, or have very different scales."""

from collections.abc import Iterator
from math import inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.diagnose.case import Case
from minigrad.diagnose.findings import Finding, evidence, number

_ZEROS = 0.25
"""The share of always-zero inputs from which they count; fewer are usual, as in pictures."""
_LARGE, _SMALL, _OFFSET, _RATIO = 30.0, 0.01, 10.0, 1000.0
_FAR, _LARGE_TARGETS = 10.0, 12.0
_MIN_SIZE = 0.5
"""Smaller first predictions are due to small inputs or to weights that start at zero."""
_REMAINING, _BETTER, _WORSE = 0.3, 3.0, 1.5
_NOTHING_LEARNED, _SOMETHING_LEARNED = 0.99, 0.8
_HOPELESS = 2.0
"""An error this large even with standardized targets is due to the learning rate."""


def not_finite(array: NDArray[Any], name: str) -> tuple[NDArray[np.bool_], list[Finding]]:
    """Find NaN and infinity in x or y; return also for each row whether it is finite."""
    if array.dtype.kind != "f":
        return np.ones(len(array), bool), []
    numbers = np.isfinite(array)
    finite = numbers.reshape(len(array), -1).all(axis=1)
    if finite.all():
        return finite, []
    place = tuple(map(int, np.unravel_index(np.argmin(numbers), array.shape)))
    count = len(array) - finite.sum()
    found = Finding(
        "not_finite",
        "error",
        f"{name} contains NaN or infinity",
        f"The first one is {array[place]} at {name}[{', '.join(map(str, place))}]. {number(count)} "
        f"of {number(len(array))} rows contain such numbers; the other checks ran without them.",
        "Drop these rows, or fill the gaps, for example with the mean of the column.",
        evidence(rows=count, share=count / len(array), first_row=place[0]),
    )
    return finite, [found]


def constant_inputs(case: Case) -> Iterator[Finding]:
    """Find inputs that are the same in all rows."""
    columns = case.rows.x.reshape(len(case.rows), -1)
    constant = (columns == columns[0]).all(axis=0)
    other = constant & (columns[0] != 0)
    if len(columns) < 2 or not (other.any() or (constant.any() and constant.mean() >= _ZEROS)):
        return
    first = int(np.argmax(other if other.any() else constant))
    count, inputs, value = constant.sum(), constant.size, columns[0, first]
    yield Finding(
        "constant_inputs",
        "error" if constant.all() else "warning",
        f"{'all' if constant.all() else 'some'} inputs are constant",
        f"{number(count)} of {number(inputs)} inputs are the same in all {number(len(columns))} "
        f"rows; input {first} is always {number(value)}. They carry no information.",
        "Drop these inputs, or check how x was made.",
        evidence(constant=count, inputs=inputs, first=first, value=value),
    )


def constant_targets(case: Case) -> Iterator[Finding]:
    """Find targets that are the same in all rows."""
    y = case.rows.y
    if y.dtype.kind in "fiub" and len(y) > 1 and (y == y[0]).all():
        value = float(y[0].ravel()[0])
        yield Finding(
            "constant_targets",
            "error",
            "the targets are constant",
            f"All {number(len(y))} rows have the same target, which starts with {number(value)}: "
            "there is nothing to learn.",
            "Check how y was made: a wrong column, a filter, or rounding to integers.",
            evidence(rows=len(y), value=value),
        )


def unscaled_inputs(case: Case) -> Iterator[Finding]:
    """Find inputs of the first weight matrix that are too large, too small, or too different.

    The curvature along a weight grows with the square of its input, and one learning rate has to
    suit all of them.
    """
    steps = case.trace.steps
    weighted = (s for s in steps if any(len(p.shape) > 1 for _, p in s.layer.own_parameters()))
    if (step := next(weighted, None)) is None:
        return
    columns = step.input.reshape(-1, step.input.shape[-1]).astype(np.float64)
    columns = columns[:, np.ptp(columns, axis=0) > 0]
    if not columns.size:
        return
    size = np.sqrt(np.square(columns).mean(axis=0))
    largest, most = size.max(), np.abs(columns).max(axis=0)
    offset = np.median(np.abs(columns.mean(axis=0)) / columns.std(axis=0))
    ratio = most.max() / most.min()
    faults = {
        f"the largest has a typical size of {number(largest)}": largest > _LARGE,
        f"the largest has a typical size of only {number(largest)}": largest < _SMALL,
        f"their means are {number(offset)} times their standard deviations": offset > _OFFSET,
        f"the largest is {number(ratio)} times the smallest": ratio > _RATIO,
    }
    if any(faults.values()):
        yield Finding(
            "unscaled_inputs",
            "warning",
            f"the inputs of {step.label} are not scaled",
            f"Of these inputs {' and '.join(text for text, wrong in faults.items() if wrong)}. "
            "One learning rate can't suit all of them, and the next activation may saturate.",
            "Standardize each input, x = (x - x_train.mean(axis=0)) / x_train.std(axis=0), later "
            "rows with the same two numbers; or start with BatchNorm().",
            evidence(largest_size=largest, smallest_size=size.min(), offset=offset, spread=ratio),
            step.path,
        )


def unscaled_targets(case: Case) -> Iterator[Finding]:
    """Find targets that are off scale: train on them, and on the same targets standardized.

    Errors are those of the worst column in its standard deviations; the mean alone gives 1. The
    scale is at fault if the error stays large and is three times that with standardized targets, or
    if it is above 1 and half as much again. If neither trial learns anything, more steps decide.
    """
    scaled = case.standardized
    if scaled is None:
        return
    p = case.trace.prediction.reshape(len(case.sample), -1).astype(np.float64)
    mean, deviation = case.target_moments
    away = np.sqrt(np.square(p - case.sample.y.reshape(p.shape)).mean(axis=0)) / deviation
    size = np.sqrt(np.square(p).mean(axis=0))
    larger = deviation / np.maximum(size, _MIN_SIZE)
    if away.max() <= _FAR and larger.max() <= _LARGE_TARGETS:
        return
    steps = case.trial_steps
    raw, better = _error(case, steps), _error(scaled, steps)
    at_fault = raw >= _REMAINING and raw >= _BETTER * better
    at_fault = at_fault or (raw > 1 and raw >= _WORSE * better)
    if raw >= _NOTHING_LEARNED and not at_fault and steps < case.steps:
        steps = case.steps
        raw, better = _error(case, steps), _error(scaled, steps)
        at_fault = raw >= _NOTHING_LEARNED and better <= _SOMETHING_LEARNED * raw
    if not at_fault or better > _HOPELESS:
        return
    worst = int(np.argmax(np.maximum(away / _FAR, larger / _LARGE_TARGETS)))
    which = f"Target {worst}, the worst of {len(mean)}, has" if len(mean) > 1 else "They have"
    optimizer = case.trial_optimizer
    trial = f"{number(steps)} steps of {type(optimizer).__name__} at {number(optimizer.rate)}"
    result = f"leave an error of {number(raw)}" if isfinite(raw) else "diverge"
    start = evidence(mean=mean[worst], deviation=deviation[worst], first_predictions=size[worst])
    yield Finding(
        "unscaled_targets",
        "warning",
        "the targets are far from the scale of the first predictions",
        f"{which} a mean of {number(mean[worst])} and a standard deviation of "
        f"{number(deviation[worst])}; the typical size of the first predictions is "
        f"{number(size[worst])}. On a copy, {trial} {result}, and with standardized targets they "
        f"leave {number(better)}. (Errors in standard deviations; the mean alone gives 1.)",
        "Train on t = (y - y_train.mean(axis=0)) / y_train.std(axis=0), all rows with the same two "
        "numbers, and convert predictions back: p * y_train.std(axis=0) + y_train.mean(axis=0).",
        start | evidence(trial_steps=steps, error_after_trial=raw, error_if_standardized=better),
    )


def _error(case: Case, steps: int) -> float:
    """Return the typical error after a trial, in standard deviations of the targets."""
    landscape = case.landscape()
    if landscape.descend(case.trial_optimizer, steps) == inf:
        return inf
    error = (landscape.predict() - case.sample.y).reshape(len(case.sample), -1)
    return float((np.sqrt(np.square(error).mean(axis=0)) / case.target_moments[1]).max())
