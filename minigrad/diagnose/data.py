"""The data, and whether they fit the loss and the last activation."""

import copy
from collections.abc import Iterator
from math import inf, isfinite, prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Array, Shape
from minigrad.data.by_name import labelled
from minigrad.data.rows import Rows
from minigrad.diagnose.case import Case, as_columns
from minigrad.diagnose.findings import Finding, evidence, number, percent
from minigrad.diagnose.limits import least_loss
from minigrad.losses import Loss, TripletMarginLoss
from minigrad.trace import Traced

_ZEROS = 0.25  # a smaller share of inputs that are always zero is usual, as in pictures
_LARGE = 10.0  # of a typical size, or a mean in deviations: the bias's input is 1
_SMALL = 0.01  # of a typical size: weights would have to be 100 times larger
_SPREAD = 1000.0  # between inputs: one learning rate can't suit both
_FAR = 10.0  # of targets, in deviations, or in sizes of the first predictions
_RELATED_ROWS = 400  # enough for a weak relation, while all distances take a moment
_MIN_RELATED_ROWS = 100  # fewer don't show a weak relation
_MIN_OTHER_ROWS = 20  # with another target than the commonest; fewer don't show a relation
_NEIGHBORS = 5  # whose mean target is the prediction
_SHUFFLES = 100  # of the targets or the classes, which show what chance gives
_RELATED = 7.0  # standard deviations for all of these rows, which shuffled targets hardly reach
_RIDGE = 0.01  # of a linear fit of standardized inputs, so that it has one solution
_FLOOR_NUMBERS = 10_000  # of targets that a floor is computed of, in some milliseconds
_FLOOR_ROWS = 256  # of wide targets at least: the best constant of a few rows fits them
_TOLERANCE = 0.01  # a higher floor is a fault, as a share of the loss of the best constant
_MAX_CLASSES = 100  # more numbers are quantities
MIN_CLASS_ROWS = 8  # with fewer a fit says little about a class
_FIT_ROWS = 4000  # enough for a fit that takes a moment
_FIT_INPUTS = 300  # more are projected on this number, for a fit that takes a moment
_EXPLAINED = 0.1  # of the variance of numbered classes: with less the inputs say too little
_ORDERED = 1.3  # times what is explained at random: the numbers have an order
_MANY_CLASSES = 5  # have enough orders for chance to explain one of them well
_CHANCE = 0.05  # of the random orders are explained as well by chance


def not_finite(array: NDArray[Any], name: str) -> tuple[NDArray[np.bool_], list[Finding]]:
    """Find NaN and infinity in x or y; return also for each row whether it is finite."""
    numbers = np.isfinite(array) if array.dtype.kind == "f" else np.ones(array.shape, bool)
    finite = np.asarray(numbers.reshape(len(array), -1).all(axis=1))
    if finite.all():
        return finite, []
    place = tuple(map(int, np.unravel_index(np.argmin(numbers), array.shape)))
    count = len(array) - int(finite.sum())
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
        columns = x.reshape(len(x), -1)
        constant = (columns == columns[0]).all(axis=0)
        other = constant & (columns[0] != 0)
        few = not other.any() and not (constant.any() and constant.mean() >= _ZEROS)
        if few or len(columns) < 2:
            continue
        name = f" of {label}" if label != "x" else ""
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
    if isinstance(case.loss, TripletMarginLoss):  # it has no targets
        return
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


def unusual_inputs(case: Case) -> Finding | None:
    """Find inputs of unusual scale, if the first layer with weights takes x itself."""
    weighted = (
        step
        for step in case.trace.steps
        if step.input.dtype.kind == "f"  # ids only choose rows of a matrix
        and any(len(p.shape) > 1 for _, p in step.layer.own_parameters())
    )
    step, x = next(weighted, None), case.sample.x.ravel()
    if step is None or not np.array_equal(step.input.ravel(), x.astype(step.input.dtype)):
        return None
    columns = step.input.reshape(-1, step.input.shape[-1]).astype(np.float64)
    columns = columns[:, np.ptp(columns, axis=0) > 0]
    if not columns.size:
        return None
    size, most = np.sqrt(np.square(columns).mean(axis=0)), np.abs(columns).max(axis=0)
    largest, spread = size.max(), most.max() / most.min()
    offset = np.median(np.abs(columns.mean(axis=0)) / columns.std(axis=0))
    faults = {
        f"the largest has a typical size of {number(largest)}": largest > _LARGE,
        f"the largest has a typical size of only {number(largest)}": largest < _SMALL,
        f"the means are {number(offset)} times the standard deviations": offset > _LARGE,
        f"the largest is {number(spread)} times the smallest": spread > _SPREAD,
    }
    if not any(faults.values()):
        return None
    return Finding(
        "unscaled_inputs",
        "warning",
        f"the inputs of {step.label} are not scaled",
        f"Of these inputs {' and '.join(text for text, wrong in faults.items() if wrong)}.",
        "Standardize each input: std = x_train.std(axis=0); x = (x - x_train.mean(axis=0)) / "
        "np.where(std > 0, std, 1). Use the mean and std of x_train for later rows, too; or start "
        "with BatchNorm().",
        evidence(largest_size=largest, smallest_size=size.min(), offset=offset, ratio=spread),
        step.path,
    )


def far_targets(case: Case) -> Finding | None:
    """Find targets to standardize that are far from the scale of the first predictions."""
    if case.standardized is None:
        return None
    p = case.trace.prediction.reshape(len(case.sample), -1).astype(np.float64)
    mean, deviation = case.target_moments
    size = np.sqrt(np.square(p).mean(axis=0))
    away = np.sqrt(np.square(p - case.sample.y.reshape(p.shape)).mean(axis=0)) / deviation
    far = np.maximum(away, deviation / np.maximum(size, 1))  # smaller weights give smaller ones
    worst = int(np.argmax(far))
    if far[worst] <= _FAR:
        return None
    which = f"Target {worst}, the worst of {len(mean)}, has" if len(mean) > 1 else "They have"
    return Finding(
        "unscaled_targets",
        "warning",
        "the targets are far from the scale of the first predictions",
        f"{which} a mean of {number(mean[worst])} and a standard deviation of "
        f"{number(deviation[worst])}; the typical size of the first predictions is "
        f"{number(size[worst])}.",
        "Train on t = (y - y_train.mean(axis=0)) / y_train.std(axis=0), all rows with the same two "
        "numbers, and convert predictions back: p * y_train.std(axis=0) + y_train.mean(axis=0).",
        evidence(mean=mean[worst], deviation=deviation[worst], first_predictions=size[worst]),
    )


def unrelated_targets(case: Case) -> Iterator[Finding]:
    """Find targets that have nothing to do with the inputs, such as those of other rows.

    Two predictions of each row from the others, by the nearest neighbors and by ridge regression,
    are compared with those for shuffled targets.
    """
    rows = case.rows.take(slice(_RELATED_ROWS))
    y = rows.y.reshape(len(rows), -1)
    if any(x.dtype.kind != "f" for _, x in labelled(rows.x, "x")):
        case.notes.append("the relation of x and y was not checked: x has whole numbers")
        return
    if len(rows) < _MIN_RELATED_ROWS or y.dtype.kind not in "fiu":
        return
    if y.dtype.kind != "f" and y.shape[1] == 1:
        y = y == np.unique(y)
    if len(y) - np.unique(y, axis=0, return_counts=True)[1].max() < _MIN_OTHER_ROWS:
        return  # such as a rare class
    x, y = standardized(as_columns(rows.x)), standardized(y)
    square = np.square(x).sum(axis=1)
    distance = square[:, None] - 2 * x @ x.T + square
    np.fill_diagonal(distance, inf)
    near = np.argpartition(distance, _NEIGHBORS, axis=1)[:, :_NEIGHBORS]
    neighbors = np.zeros_like(distance)
    np.put_along_axis(neighbors, near, 1 / _NEIGHBORS, axis=1)
    linear = x @ _ridge(x, np.eye(len(x)))
    np.fill_diagonal(linear, 0)
    rng = np.random.default_rng(0)
    shuffles = [rng.permutation(y) for _ in range(_SHUFFLES)]
    strengths = list[float]()
    for weights in (neighbors, linear):
        by_chance = [np.vdot(shuffled, weights @ shuffled) for shuffled in shuffles]
        excess = np.vdot(y, weights @ y) - np.mean(by_chance)
        strengths.append(float(excess / (np.std(by_chance) or 1.0)))
    near_strength, linear_strength = strengths
    limit = _RELATED * sqrt(len(rows) / _RELATED_ROWS)  # with fewer rows a relation shows less
    if max(map(abs, strengths)) >= limit:
        return
    yield Finding(
        "unrelated_targets",
        "warning",
        "no relation of the targets to the inputs was found",
        f"In {number(len(rows))} rows, {_NEIGHBORS} nearest neighbors and a linear fit predict "
        f"the targets no better than shuffled targets: {near_strength:.1f} and "
        f"{linear_strength:.1f} standard deviations better, where {limit:.1f} would show a "
        "relation.",
        "Check that row i of y belongs to row i of x: whether one of them was shuffled, sorted, "
        "filtered or shifted without the other.",
        evidence(rows=len(rows), neighbors=near_strength, linear=linear_strength),
    )


def _ridge(x: Array, y: Array) -> Array:
    """Return the weights of a linear fit of y to standardized inputs."""
    gram = x.T @ x + _RIDGE * len(x) * np.eye(x.shape[1])
    return np.asarray(np.linalg.solve(gram, x.T @ y))


def standardized(a: NDArray[Any]) -> Array:
    """Return columns of mean 0 and deviation 1 in float64; a constant one becomes 0."""
    a = a.astype(np.float64)
    deviation = a.std(axis=0)
    return np.asarray((a - a.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0))


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
    elif last is not None and low == high:
        yield Finding(
            "loss_mismatch",
            "error",
            f"{last.label} always outputs {number(low)}",
            "It gives the same for every input, such as a softmax over one unit. The network "
            "outputs a constant, and no delta passes.",
            "For two classes use Sigmoid() over one unit with BCELoss(), or two units without an "
            "activation with CrossEntropyLoss().",
            evidence(lowest_output=low, highest_output=high),
            last.path,
        )
    elif last is not None and (isfinite(low) or isfinite(high)):
        yield from _floor(case, loss, last, numbers)


def _floor(case: Case, loss: Loss, last: Traced, numbers: str) -> Iterator[Finding]:
    """Find a loss that remains whatever the weights are."""
    width = case.output_shape
    rows = case.rows.take(slice(max(_FLOOR_ROWS, _FLOOR_NUMBERS // prod(width))))
    shape, y, weight, (low, high) = (len(rows), *width), rows.y, rows.weight, case.range
    mean = copy.copy(loss)
    mean.reduction, mean.scale = "mean", 1.0
    floor = least_loss(mean, y, shape, low, high, weight=weight)
    try:
        free = least_loss(mean, y, shape, weight=weight)
        constant = least_loss(mean, y, shape, constant=True, weight=weight)
    except ValueError:
        return  # the loss only takes numbers in the range of the network
    if floor - free <= _TOLERANCE * max(constant - free, 1e-9):
        return
    batch_floor = least_loss(case.batch_loss(len(rows)), y, shape, low, high, weight=weight)
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
    rows = case.rows.take(slice(_FIT_ROWS))
    values, index, counts = np.unique(rows.y, return_inverse=True, return_counts=True)
    classes = len(values)
    if not 3 <= classes <= _MAX_CLASSES or counts.min() < MIN_CLASS_ROWS:
        return
    if values[0] not in (0, 1) or (np.diff(values) != 1).any():
        return
    given, others = _explained(as_columns(rows.x), index.ravel(), classes)
    usual, best = float(np.median(others)), float(others.max())
    by_chance = classes >= _MANY_CLASSES and (others >= given).mean() > _CHANCE
    if usual < _EXPLAINED or given > (_ORDERED + by_chance) * usual:
        return
    yield Finding(
        "class_numbers",
        "warning",
        "the targets look like class numbers, but the loss takes them for quantities",
        f"They are the whole numbers from {number(values[0])} to {number(values[-1])}, and the "
        f"inputs don't explain their order: a linear fit on half of the rows explains {given:.0%} "
        f"of the variance of the other half, and with the classes numbered at random {usual:.0%} "
        f"(median) or {best:.0%} (best of {_SHUFFLES}).",
        f"If they are classes: give the last layer {classes} units without an activation, and use "
        f"CrossEntropyLoss() with y.astype(int){' - 1' if values[0] else ''}.",
        evidence(classes=classes, explained=given, median_at_random=usual, best_at_random=best),
    )


def _explained(x: Array, index: NDArray[np.intp], classes: int) -> tuple[float, Array]:
    """Return the variance that a linear fit explains, as numbered and as numbered at random.

    Ridge regression on the inputs fits all classes' indicators to half of the rows.
    """
    rng = np.random.default_rng(0)
    if x.shape[1] > _FIT_INPUTS:
        x = x @ rng.standard_normal((x.shape[1], _FIT_INPUTS))
    x = standardized(x)
    half = len(x) // 2
    one_hot = np.eye(classes)[index]
    mean = one_hot[:half].mean(axis=0)
    fit = x[half:] @ _ridge(x[:half], one_hot[:half] - mean) + mean
    orders = [np.arange(classes), *(rng.permutation(classes) for _ in range(_SHUFFLES))]
    numbers = np.array(orders, float).T
    unexplained = np.square((one_hot[half:] - fit) @ numbers).mean(axis=0)
    explained = 1 - unexplained / (one_hot[half:] @ numbers).var(axis=0)
    return float(explained[0]), explained[1:]
