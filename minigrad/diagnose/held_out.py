"""What validation rows tell: copies of training rows, another distribution, and overfitting."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Array
from minigrad.data.by_name import labelled, of, take
from minigrad.data.rows import Rows
from minigrad.diagnose.case import Case, as_columns
from minigrad.diagnose.data import MIN_CLASS_ROWS
from minigrad.diagnose.findings import Finding, evidence, number, percent

_MIN_ROWS = 20  # of each set; the mean of fewer can be far off by chance
_NATURAL = 4  # times the copies that the rows of each set suggest are no chance
_SURE = 7.0  # standard errors between two means
_ROUNDING = 1e-9  # the relative rounding error of equal means
_MAX_CLASSES = 100  # that are compared
_LEARNED = 0.25  # of the loss remains on the training rows: the network learned them
_GENERALIZED = 0.5  # of the loss remains on other rows: with more it learned little for them


def leaked_rows(training: Rows, validation: Rows) -> Iterator[Finding]:
    """Find validation rows whose inputs are those of a training row.

    Inputs of few values repeat by chance: as often within a set as between both.
    """
    seen, held = Counter(_keys(training)), Counter(_keys(validation))
    copies = sum(count for key, count in held.items() if key in seen)
    repeated = sum(count for keys in (seen, held) for count in keys.values() if count > 1)
    by_chance = len(validation) * repeated / (len(training) + len(validation))
    if copies < MIN_CLASS_ROWS + _NATURAL * by_chance:
        return
    share = copies / len(validation)
    yield Finding(
        "leaked_rows",
        "warning",
        "validation rows are among the training rows",
        f"The inputs of {number(copies)} of {number(len(validation))} validation rows "
        f"({percent(share)}) are those of a training row; about {number(round(by_chance))} would "
        "be by chance. For them the validation loss shows what was memorized.",
        "Split the rows once, before any of them is repeated or augmented, and train on one part.",
        evidence(copies=copies, share=share, by_chance=by_chance),
    )


def _keys(rows: Rows) -> Iterator[int]:
    """Yield a number for the inputs of each row, equal for equal rows."""
    for first in range(0, len(rows), rows.chunk):
        columns = as_columns(take(rows.x, slice(first, first + rows.chunk)))
        yield from (hash(row.tobytes()) for row in columns.astype(np.float64) + 0.0)  # no -0.0


def held_out(case: Case) -> Iterator[Finding]:
    """Compare the distributions of both sets; only if they are alike, look for overfitting."""
    assert case.validation is not None
    held = case.validation
    if min(len(case.rows), len(held)) < _MIN_ROWS:
        case.notes.append(f"the validation rows were not checked: there are under {_MIN_ROWS}")
        return
    found = [*_shift(case, held)]
    yield from found or _overfitting(case, held)


def _shift(case: Case, held: Rows) -> Iterator[Finding]:
    """Find inputs and targets whose mean or spread differs from that in the training rows."""
    inputs = dict(labelled(held.x, "x"))
    arrays = {label: (x, inputs[label]) for label, x in case.quantities.items()}
    for name, part in case.parts.items():
        label = f"y['{name}']" if name else "y"
        arrays[label] = _as_numbers(part.rows.y, of(held.y, name))
    for label, pair in arrays.items():
        a, b = (_by_row(array) for array in pair)
        center = a.mean(axis=0)
        found = _far_mean(a, b, "The value") or _far_mean(
            abs(a - center), abs(b - center), "The distance from the training mean"
        )
        if found:
            why, numbers = found
            yield Finding(
                "shifted_validation",
                "warning",
                f"{label} of the validation rows has another distribution",
                why,
                "Prepare both sets alike, with the mean and the std of x_train; and draw the "
                "validation rows at random, as validation_split does.",
                numbers,
            )


def _far_mean(a: Array, b: Array, what: str) -> tuple[str, dict[str, float]] | None:
    """Return the column of b whose mean is farthest from that of a, if it is far, in words."""
    means, deviation = (a.mean(axis=0), b.mean(axis=0)), a.std(axis=0)
    away = abs(means[1] - means[0])
    error = np.sqrt(a.var(axis=0) / len(a) + b.var(axis=0) / len(b))
    far = away > np.maximum(deviation, _SURE * error) + _ROUNDING * abs(means[0])
    if not far.any():
        return None
    i = int(np.argmax(np.where(far, away / np.maximum(deviation, error), 0)))
    numbers = evidence(
        column=i, validation=means[1][i], training=means[0][i], deviation=deviation[i]
    )
    return (
        f"{what} of column {i} is {number(means[1][i])} on average in the validation rows, and "
        f"{number(means[0][i])} in the training rows, with a standard deviation of "
        f"{number(deviation[i])}. {number(int(far.sum()))} of {number(far.size)} columns differ "
        "so much; classes count as columns of 0 and 1."
    ), numbers


def _as_numbers(y: NDArray[np.generic], other: NDArray[np.generic]) -> tuple[Array, Array]:
    """Return targets; of class numbers the indicators of the first classes."""
    if y.dtype.kind == "f" or y.shape[1:]:
        return y.astype(np.float64), other.astype(np.float64)
    classes = np.arange(min(_MAX_CLASSES, max(y.max(), other.max()) + 1))
    return (y[:, None] == classes).astype(float), (other[:, None] == classes).astype(float)


def _by_row(array: NDArray[np.generic]) -> Array:
    """Return a column for each feature, its mean over the places and times of a row."""
    features = array.shape[-1] if array.ndim > 1 else 1
    mean: Array = array.reshape(len(array), -1, features).astype(np.float64).mean(axis=1)
    return mean


def _overfitting(case: Case, held: Rows) -> Iterator[Finding]:
    """Find a network that learned the training rows, and little for the validation rows."""
    others = replace(case, rows=held).parts
    for name, part in case.parts.items():
        if name not in others:
            continue
        here, there = part.remaining, others[name].remaining
        if here >= _LEARNED:
            case.notes.append(
                "overfitting was not checked: the network hasn't learned the training rows"
            )
        elif there > _GENERALIZED:
            output = f" (output '{name}')" if name else ""
            yield Finding(
                "overfitting",
                "warning",
                f"the network overfits{output}",
                f"Of a constant prediction's loss above the least possible, {here:.0%} remains on "
                f"the training rows, and {there:.0%} on the validation rows.",
                "Train on more rows, stop earlier, as EarlyStopping does, or use fewer units, "
                "weight_regularizer=L2(1e-3), or Dropout(0.2).",
                evidence(remaining=here, validation_remaining=there),
            )
