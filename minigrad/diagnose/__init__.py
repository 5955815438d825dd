"""Find what keeps a network from learning, with the evidence in numbers.

| kind | what is wrong |
|---|---|
| not_finite | NaN or infinity, and where it starts |
| constant_inputs, constant_targets | the data doesn't vary |
| unscaled_inputs, unscaled_targets | the scale of the data slows training down |
| unusable_targets | the loss can't take the targets |
| targets_out_of_range, loss_mismatch | the last activation can't output what the loss needs |
| class_numbers, squared_classes | classes learned with a regression loss |
| saturated_units, dead_units, identical_units | units that don't learn, or learn the same |
| linear_stack | Dense layers with no activation between them |
| vanishing_gradients, exploding_gradients | deltas of very different size in different layers |
| wrong_gradients | a `backward` that isn't the derivative |
| learning_rate | above the stability limit, or far too high or too low in a trial |
| capacity | the network can't overfit ten rows |

Each check is a function of a `Case` that yields findings; `diagnose` calls them in order. For
several outputs, a check of targets runs for each of them on the network with this output alone.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from minigrad.core.layer import Layer
from minigrad.core.loss import Loss, as_loss
from minigrad.data.by_name import Arrays, check_names, each, labelled, row_count, take
from minigrad.data.rows import Rows, as_pair, as_rows
from minigrad.diagnose import data, trials, units
from minigrad.diagnose.case import Case, counted_rows
from minigrad.diagnose.findings import Diagnosis, Finding, number
from minigrad.optimizers import Optimizer
from minigrad.util.config import as_object
from minigrad.util.options import check_int

__all__ = ["Diagnosis", "Finding", "diagnose"]

_MAX_ROWS = 10_000


def diagnose(
    model: Layer,
    x: Arrays,
    y: Arrays,
    *,
    loss: Loss | str | None = None,
    optimizer: Optimizer | str | None = None,
    batch_size: int | None = None,
    sample_weight: Arrays | None = None,
    class_weight: Mapping[int, float] | None = None,
) -> Diagnosis:
    """Find what keeps a model from learning these rows; see `Model.diagnose`.

    The model isn't changed: all checks run on copies. Rows of weight 0 are left out; the loss, its
    floor, its curvature and all trials are those of the weighted rows.

    Raises:
        RuntimeError: no loss is given and the model isn't compiled.
        TypeError, ValueError: x, y or the weights don't fit the model or each other.

    >>> from minigrad import Dense, MSELoss, Sequential
    >>> model = Sequential([Dense(1, "sigmoid")], input_shape=(1,), rng=0)
    >>> x = np.linspace(0, 1, 5).reshape(-1, 1)
    >>> diagnose(model, x, 2 * x, loss=MSELoss())
    Diagnosis(1 error: targets_out_of_range)
    >>> diagnose(model, x, 2 * x, loss=MSELoss(), sample_weight=[1, 1, 1, 0, 0])
    Diagnosis(no findings)
    """
    given_loss: Loss | str | None = getattr(model, "loss", None) if loss is None else loss
    if given_loss is None:
        raise RuntimeError("diagnose expects a loss, got None: pass loss=..., or compile the model")
    own_loss = as_loss(given_loss)
    own_optimizer: Optimizer | None = getattr(model, "optimizer", None)
    if optimizer is not None:
        own_optimizer = as_object(Optimizer, optimizer, "optimizer")
    if batch_size is not None:
        batch_size = check_int(batch_size, "batch_size", "diagnose")
    inputs, targets = as_pair(x, y, getattr(model, "input_names", ()))
    for label, target in labelled(targets, "y"):
        if not target.size:
            raise ValueError(
                f"diagnose expects {label} with at least one number in each row, got shape "
                f"{target.shape}: check how y was made"
            )
    count = row_count(inputs)
    arrays = [*labelled(inputs, "x"), *labelled(targets, "y")]
    rows_of, found = zip(*[data.not_finite(array, label) for label, array in arrays], strict=True)
    finite, findings = np.logical_and.reduce(rows_of), [one for several in found for one in several]
    if not finite.any():
        return Diagnosis(findings, notes=["no finite row remains for the other checks"])
    if not finite.all():
        inputs, targets = take(inputs, finite), take(targets, finite)

        def kept(weight: Any) -> Any:  # `as_rows` refuses any other shape
            fits = np.shape(weight)[:1] == finite.shape
            return np.asarray(weight)[finite] if fits else weight

        sample_weight = each(kept, sample_weight)
    twin = copy.deepcopy(model)
    with np.errstate(all="ignore"):
        # This builds it, or refuses the shape of x.
        prediction = twin.forward(take(inputs, slice(1)), training=False)
    shape = each(lambda array: array.shape[1:], prediction)
    if isinstance(shape, dict):
        check_names(own_loss.losses or own_loss, tuple(shape), "loss")
    taken: Loss | None = copy.copy(own_loss)
    try:
        own_loss.match(targets, each(lambda row: (row_count(inputs), *row), shape))
    except (TypeError, ValueError) as error:
        title, why = "the loss can't take these targets", f"Its error message: {error}."
        remedy = "Convert y to the form that the loss expects, or use the loss for such targets."
        findings.append(Finding("unusable_targets", "error", title, why, remedy))
        rows, taken = Rows(inputs, targets), None
    else:
        rows = as_rows(
            inputs,
            targets,
            output_shape=shape,
            loss=own_loss,
            sample_weight=sample_weight,
            names=getattr(model, "input_names", ()),
        )
        if class_weight is not None:
            rows = rows.weighted_by_class(class_weight, shape)
    numbers = each(lambda t: t.astype(np.int64) if t.dtype == bool else t, rows.y)
    rows = Rows(rows.x, numbers, rows.weight)
    counted = counted_rows(rows)
    batch_rows = min(batch_size or count, count) * len(counted) / len(rows)
    rows = rows.take(np.random.default_rng(0).permutation(counted)[:_MAX_ROWS])
    case = Case(twin, rows, taken, own_optimizer, max(1, round(batch_rows)), notes=[])
    case.notes.append(
        f"checked {number(len(rows))} of {number(count)} rows, and ran the network on "
        f"{number(len(case.sample))} of them"
    )
    with np.errstate(all="ignore"):
        findings += _check(case)
    return Diagnosis(findings, notes=case.notes)


def _check(case: Case) -> Iterator[Finding]:
    """Run the checks in order; a fault that makes later checks meaningless skips them."""
    yield from data.constant_inputs(case)
    yield from _each(case, data.constant_targets)
    broken = list(units.not_finite(case))
    yield from broken
    if broken:
        case.notes.append("fix this first: the remaining checks were skipped")
        return
    unreachable = list(_each(case, data.unreachable_targets))
    yield from data.unscaled_inputs(case)
    yield from unreachable
    yield from units.inactive_units(case)
    yield from units.identical_units(case)
    yield from _each(case, units.fading_gradients)
    yield from units.linear_stack(case)
    if case.loss is None or case.refusal is not None:
        return
    if not any(parameter.trainable for parameter in case.model.parameters):
        case.notes.append("learning was not checked: no parameter is trainable")
        return
    wrong = list(units.wrong_gradients(case))
    yield from wrong
    if not wrong:  # otherwise the trials mean nothing
        off_scale = [] if unreachable else list(_each(case, data.unscaled_targets))
        yield from off_scale
        scaled = case.standardized if off_scale and case.is_single else None
        if scaled and case.optimizer is not None:  # a learning rate for them suits no other scale
            case.notes.append("the learning rate was checked with standardized targets")
        if off_scale and not case.is_single:
            case.notes.append("the learning rate was not checked: scale the targets first")
        else:
            yield from trials.learning_rate(scaled or case)
        if not unreachable:  # the model can't learn unreachable targets anyway
            yield from _each(case, data.class_numbers)
            yield from _each(case, data.squared_classes)
    if not unreachable:
        yield from _each(case, trials.capacity)


def _each(case: Case, check: Callable[[Case], Iterator[Finding]]) -> Iterator[Finding]:
    """Run a check for each output; of several, findings and notes have the name."""
    for name, part in case.parts.items():
        of_output = f" (output '{name}')" if name else ""
        for finding in check(part):
            yield replace(finding, title=finding.title + of_output)
        if name:
            case.notes += [note + of_output for note in part.notes]
            part.notes.clear()
