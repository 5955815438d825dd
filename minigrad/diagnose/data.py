"""The data, and whether they fit the loss and the last activation."""

from collections.abc import Iterator
from math import inf, isfinite, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.data.arrays import Array, Shape
from minigrad.data.rows import Rows
from minigrad.diagnose.case import Case, Landscape, as_columns, least_loss
from minigrad.diagnose.findings import Finding, evidence, number, percent
from minigrad.losses import Loss
from minigrad.metrics.classification import accuracy
from minigrad.trace import Step

_ZEROS = 0.25  # a smaller share of inputs that are always zero is usual, as in pictures
_LARGE, _SMALL, _OFFSET, _RATIO = 30.0, 0.01, 10.0, 1000.0
_FAR, _LARGE_TARGETS = 10.0, 12.0
_MIN_SIZE = 0.5  # smaller first predictions are due to small inputs or weights
_REMAINING, _BETTER, _WORSE = 0.3, 3.0, 1.5
_NOTHING_LEARNED, _SOMETHING_LEARNED = 0.99, 0.8
_HOPELESS = 2.0  # an error this large even with standardized targets is the learning rate's fault
_NUMBERS, _MIN_ROWS = 20_000, 256
_TOLERANCE = 0.01  # a higher floor is a fault, as a share of the loss of the best constant
_MAX_CLASSES, _MIN_CLASS_ROWS = 100, 8
_MAX_ROWS, _MAX_INPUTS, _PERMUTATIONS = 4000, 300, 200
_ORDERED, _EXPLAINED, _RIDGE = 1.3, 0.1, 0.01
_CLASSES_REMAINING, _CLASSES_BETTER = 0.2, 2.0


def not_finite(array: NDArray[Any], name: str) -> tuple[NDArray[np.bool_], list[Finding]]:
    """Find NaN and infinity in x or y; return also for each row whether it is finite."""
    numbers = np.isfinite(array) if array.dtype.kind == "f" else np.ones(array.shape, bool)
    finite = np.asarray(numbers.reshape(len(array), -1).all(axis=1))
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
    for label, x in case.quantities.items():
        yield from _constant_inputs(x.reshape(len(x), -1), label.removeprefix("x"))


def _constant_inputs(columns: Array, of: str) -> Iterator[Finding]:
    constant = (columns == columns[0]).all(axis=0)
    other = constant & (columns[0] != 0)
    if len(columns) < 2 or not (other.any() or (constant.any() and constant.mean() >= _ZEROS)):
        return
    name = f" of x{of}" if of else ""
    first = int(np.argmax(other if other.any() else constant))
    count, inputs, value = constant.sum(), constant.size, columns[0, first]
    yield Finding(
        "constant_inputs",
        "error" if constant.all() else "warning",
        f"{'all' if constant.all() else 'some'} inputs{name} are constant",
        f"{number(count)} of {number(inputs)} inputs{name} are the same in all "
        f"{number(len(columns))} rows; input {first} is always {number(value)}. They carry no "
        "information.",
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
    """Find inputs of the first weight matrix that are too large, too small, or too different."""
    seen = set[int]()  # arrays that come from the inputs without a weight, by id
    made = {id(step.output) for step in case.trace.steps}
    for step in case.trace.steps:
        ids = {*map(id, step.inputs)}
        if not ids <= seen | (ids - made):
            continue
        if step in case.weighted:
            yield from _unscaled_inputs(step)
            made |= ids  # once
        elif not (step.layer.children or step.layer.own_parameters()):
            seen.add(id(step.output))


def _unscaled_inputs(step: Step) -> Iterator[Finding]:
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

    The scale is at fault if the error stays large and is three times that with standardized
    targets, or if it is above 1 and half as much again. If neither trial learns, more steps decide.
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


def unreachable_targets(case: Case) -> Iterator[Finding]:
    """Compare the range of the last activation with what the loss and the targets need."""
    loss, shape = case.loss, case.output_shape
    if loss is None:
        return
    last = case.last[0] if case.last else None
    low, high = case.range
    numbers = f"numbers from {number(low)} to {number(high)}"
    refusal = case.refusal or _refusal(loss, case.rows, shape, case.range)
    if refusal is not None:
        yield Finding(
            "loss_mismatch",
            "error",
            f"{type(loss).__name__} can't take all outputs of "
            f"{last.label if last else 'the last layer'}",
            f"The network outputs {numbers}. The loss's error message: {refusal}.",
            "End the model with an activation of that range, or use a loss for unbounded numbers, "
            "such as BCEWithLogitsLoss() instead of BCELoss().",
            evidence(lowest_output=low, highest_output=high),
            last.path if last else None,
        )
    elif last is not None and (isfinite(low) or isfinite(high)):
        yield from _floor(case, loss, last, numbers)


def _floor(case: Case, loss: Loss, last: Step, numbers: str) -> Iterator[Finding]:
    """Find a loss that remains whatever the weights are."""
    width = case.output_shape
    rows = case.rows.take(slice(max(_MIN_ROWS, _NUMBERS // prod(width))))
    shape = (len(rows), *width)
    floor = least_loss(loss, rows.y, shape, *case.range, weight=rows.weight)
    try:
        free = least_loss(loss, rows.y, shape, weight=rows.weight)
        constant = least_loss(loss, rows.y, shape, constant=True, weight=rows.weight)
    except ValueError:
        return  # the loss only takes numbers in the range of the network
    if floor - free <= _TOLERANCE * max(constant - free, 1e-9):
        return
    (low, high), batch_floor = case.range, floor * case.batch_scale
    network = f"Whatever its weights are, the network outputs {numbers}"
    result = f"the loss can't fall below {number(floor)}"
    if batch_floor != floor:
        batch = f"J of a batch of {number(case.batch_rows)} rows"
        result += f" on average, and {batch} can't fall below {number(batch_floor)}"
    found = evidence(floor=floor, loss_floor=batch_floor, lowest_output=low, highest_output=high)
    outside = 0.0
    if rows.y.shape == shape:  # class indices are not comparable with predictions
        room = 1e-6 * max(1.0, *(abs(end) for end in (low, high) if isfinite(end)))
        outside = float(((rows.y < low - room) | (rows.y > high + room)).mean())
    if not outside:
        yield Finding(
            "loss_mismatch",
            "error",
            f"{last.label} and {type(loss).__name__} don't fit together",
            f"{network}. This loss expects unbounded numbers, with which it can fall to "
            f"{number(free)}; with these {result}.",
            f"Remove {last.label}: this loss takes the numbers before it.",
            found | evidence(free_floor=free),
            last.path,
        )
        return
    values, hint = np.unique(rows.y), ""
    lowest, highest = values[0], values[-1]
    if 3 <= values.size <= _MAX_CLASSES and (values == np.round(values)).all():
        hint = " If they are class numbers: use CrossEntropyLoss() with one linear unit per class."
    yield Finding(
        "targets_out_of_range",
        "error",
        f"the targets are outside the range of {last.label}",
        f"{network}; the targets go from {number(lowest)} to {number(highest)}, and "
        f"{percent(outside)} of them are outside this range. So {result}.",
        f"Remove {last.label}, so that the output is linear; or scale the targets to its range."
        f"{hint}",
        found | evidence(share_outside=outside, lowest_target=lowest, highest_target=highest),
        last.path,
    )


def _refusal(loss: Loss, rows: Rows, shape: Shape, ends: tuple[float, float]) -> str | None:
    """Return the loss's error message for an end of the network's range, or None."""
    few = rows.take(slice(8))
    try:
        for end in np.clip(ends, -1e3, 1e3):
            loss.terms(np.full((len(few), *shape), end), few.y)
    except ValueError as error:
        return str(error)
    return None


def class_numbers(case: Case) -> Iterator[Finding]:
    """Find class numbers 0, 1, ..., k - 1 that a regression loss takes for quantities.

    The inputs explain the order of counts and grades: a linear fit of them does better than one of
    the same classes numbered at random.
    """
    if not case.is_regression or prod(case.output_shape) != 1:
        return
    rows = case.rows.take(slice(_MAX_ROWS))
    values, index, counts = np.unique(rows.y, return_inverse=True, return_counts=True)
    classes = len(values)
    if not 3 <= classes <= _MAX_CLASSES or counts.min() < _MIN_CLASS_ROWS:
        return
    if values[0] not in (0, 1) or (np.diff(values) != 1).any():
        return
    given, others = _explained(as_columns(rows.x), index.ravel(), classes)
    usual, best = float(np.median(others)), float(others.max())
    if usual < _EXPLAINED or given > _ORDERED * usual:
        return
    yield Finding(
        "class_numbers",
        "warning",
        "the targets look like class numbers, but the loss takes them for quantities",
        f"They are the whole numbers from {number(values[0])} to {number(values[-1])}, and the "
        f"inputs don't explain their order: a linear fit on half of the rows explains {given:.0%} "
        f"of the variance of the other half, and with the classes numbered at random {usual:.0%} "
        f"(median) or {best:.0%} (best of {_PERMUTATIONS}).",
        f"If they are classes: give the last layer {classes} units without an activation, and use "
        f"CrossEntropyLoss() with y.astype(int){' - 1' if values[0] else ''}.",
        evidence(classes=classes, explained=given, median_at_random=usual, best_at_random=best),
    )


def _explained(x: Array, index: NDArray[np.intp], classes: int) -> tuple[float, Array]:
    """Return the variance that a linear fit explains, as numbered and as numbered at random.

    Ridge regression on the inputs fits all classes' indicators to half of the rows.
    """
    rng = np.random.default_rng(0)
    x = x.astype(np.float64)
    if x.shape[1] > _MAX_INPUTS:
        x = x @ rng.standard_normal((x.shape[1], _MAX_INPUTS))
    deviation = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    half = len(x) // 2
    one_hot = np.eye(classes)[index]
    mean = one_hot[:half].mean(axis=0)
    gram = x[:half].T @ x[:half] + _RIDGE * half * np.eye(x.shape[1])
    fit = x[half:] @ np.linalg.solve(gram, x[:half].T @ (one_hot[:half] - mean)) + mean
    orders = [np.arange(classes), *(rng.permutation(classes) for _ in range(_PERMUTATIONS))]
    numbers = np.array(orders, float).T
    unexplained = np.square((one_hot[half:] - fit) @ numbers).mean(axis=0)
    explained = 1 - unexplained / (one_hot[half:] @ numbers).var(axis=0)
    return float(explained[0]), explained[1:]


def squared_classes(case: Case) -> Iterator[Finding]:
    """Find a softmax that learns one-hot rows with a regression loss, if cross-entropy does better.

    Both losses are tried with the same steps, and measured by the model's loss.
    """
    p, t = case.trace.prediction, case.sample.y
    bounded = all(map(isfinite, case.range))
    if not (case.is_regression and bounded and t.ndim == 2 and t.shape[1] > 1):
        return
    one_hot = ((t == 0) | (t == 1)).all() and (t.sum(axis=1) == 1).all()
    if not (one_hot and (p >= 0).all() and np.allclose(p.sum(axis=1), 1)):
        return
    optimizer, steps, loss = case.trial_optimizer, case.trial_steps, case.batch_loss
    results = list[tuple[float, float]]()
    for tried in (loss, _LogLoss(reduction=loss.reduction, scale=loss.scale)):
        landscape = Landscape(case.model, tried, case.sample)
        landscape.descend(optimizer, steps)
        prediction = landscape.predict()
        results.append((case.remaining_loss(prediction), accuracy(t, prediction)))
    (own, own_accuracy), (cross, cross_accuracy) = results
    if not (own >= _CLASSES_REMAINING and own >= _CLASSES_BETTER * cross):  # or one is NaN
        return
    name = type(case.loss).__name__
    found = evidence(trial_steps=steps, remaining=own, accuracy=own_accuracy)
    found |= evidence(cross_entropy_remaining=cross, cross_entropy_accuracy=cross_accuracy)
    yield Finding(
        "squared_classes",
        "warning",
        f"{name} after a softmax learns slowly",
        f"On a copy, {number(steps)} steps of {type(optimizer).__name__} at "
        f"{number(optimizer.rate)} leave {own:.0%} of the {name} of a constant prediction, with an "
        f"accuracy of {own_accuracy:.0%}; with cross-entropy they leave {cross:.0%} of the {name}, "
        f"with an accuracy of {cross_accuracy:.0%}. If a softmax is certain and wrong, its slope "
        "is near 0; cross-entropy compensates for that.",
        "Remove the softmax and use CrossEntropyLoss(), which contains it.",
        found,
    )


class _LogLoss(Loss):
    """-log p of the right class, for probabilities: cross-entropy without its softmax."""

    @override
    def terms(self, prediction: Array, target: NDArray[np.float64]) -> tuple[Array, Array]:
        p = np.maximum(prediction, 1e-12)
        return -(target * np.log(p)).sum(axis=1), -target / p
