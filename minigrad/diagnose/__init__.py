"""Find what keeps a network from learning, with the evidence in numbers.

The guide "Diagnose a model" lists the kinds of finding. Each check is a function of a `Case` that
yields findings; `diagnose` calls them in order. For several outputs, a check of targets runs for
each of them on the network with this output alone.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from minigrad.core.layer import Layer
from minigrad.core.loss import Loss
from minigrad.data.by_name import Arrays, Data, each, labelled, names_of, row_count, take
from minigrad.data.class_weight import ClassWeight, weighted_by_class
from minigrad.data.rows import Form, Rows, as_pair, as_rows
from minigrad.data.several import check_names
from minigrad.data.validation import as_validation
from minigrad.diagnose import data, trials, units
from minigrad.diagnose.case import Case, counted_rows
from minigrad.diagnose.findings import Diagnosis, Finding, number
from minigrad.diagnose.held_out import held_out, leaked_rows
from minigrad.graphs.joint_loss import as_losses
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
    class_weight: ClassWeight | None = None,
    validation_data: Sequence[Arrays] | None = None,
) -> Diagnosis:
    """Find what keeps a model from learning these rows; see `Model.diagnose`.

    The model isn't changed: all checks run on copies. Rows of weight 0 are left out; the loss, its
    floor, its curvature and all trials are those of the weighted rows. With `validation_data`,
    (x, y) or (x, y, sample_weight), copies of training rows, another distribution and, of a
    trained model, overfitting are found.

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
    own_loss = as_losses(given_loss)
    own_optimizer: Optimizer | None = getattr(model, "optimizer", None)
    if optimizer is not None:
        own_optimizer = as_object(Optimizer, optimizer, "optimizer")
    if batch_size is not None:
        batch_size = check_int(batch_size, "batch_size", "diagnose")
    names = model.input_names, names_of(getattr(model, "output_layers", None))
    inputs, targets = as_pair(x, y, *names)
    for label, target in labelled(targets, "y"):
        if not target.size:
            raise ValueError(
                f"diagnose expects {label} with at least one number in each row, got shape "
                f"{target.shape}: check how y was made"
            )
    count = row_count(inputs)
    inputs, targets, sample_weight, findings = _finite(inputs, targets, sample_weight)
    if not row_count(inputs):
        return Diagnosis(findings, notes=["no finite row remains for the other checks"])
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
        rows = as_rows(inputs, targets, sample_weight, Form(own_loss, shape))
        if class_weight is not None:
            rows = weighted_by_class(rows, class_weight, shape)
    held: Rows | None = None
    if validation_data is not None and taken is not None:

        def read(x: Arrays, y: Arrays, weight: Arrays | None = None) -> Rows:
            pair = as_pair(x, y, *names)
            inputs, targets, weight, found = _finite(*pair, weight, "validation ")
            findings.extend(found)
            twin.forward(take(inputs, slice(1)), training=False)  # refuses another shape
            return as_rows(inputs, targets, weight, Form(own_loss, shape))

        held = _with_integers(as_validation(validation_data, read))
        findings += leaked_rows(rows, held)
        held = held.take(np.random.default_rng(0).permutation(counted_rows(held))[:_MAX_ROWS])
    rows = _with_integers(rows)
    counted = counted_rows(rows)
    batch_rows = min(batch_size or count, count) * len(counted) / len(rows)
    rows = rows.take(np.random.default_rng(0).permutation(counted)[:_MAX_ROWS])
    case = Case(
        twin, rows, taken, own_optimizer, max(1, round(batch_rows)), notes=[], validation=held
    )
    case.notes.append(
        f"checked {number(len(rows))} of {number(count)} rows, and ran the network on "
        f"{number(len(case.sample))} of them"
    )
    with np.errstate(all="ignore"):
        findings += _check(case)
    return Diagnosis(findings, notes=case.notes)


def _finite(
    inputs: Data, targets: Data, weight: Data | None, prefix: str = ""
) -> tuple[Data, Data, Data | None, list[Finding]]:
    """Return the finite rows and their weights, and findings of the others."""
    arrays = [*labelled(inputs, f"{prefix}x"), *labelled(targets, f"{prefix}y")]
    rows_of, found = zip(*[data.not_finite(array, label) for label, array in arrays], strict=True)
    finite, findings = np.logical_and.reduce(rows_of), [one for several in found for one in several]
    if finite.all():
        return inputs, targets, weight, findings

    def kept(weight: Any) -> Any:  # `as_rows` refuses any other shape
        fits = np.shape(weight)[:1] == finite.shape
        return np.asarray(weight)[finite] if fits else weight

    index = np.flatnonzero(finite)
    return take(inputs, index), take(targets, index), each(kept, weight), findings


def _with_integers(rows: Any) -> Rows:
    """Return rows whose targets aren't booleans."""
    numbers = each(lambda t: t.astype(np.int64) if t.dtype == bool else t, rows.y)
    return Rows(rows.x, numbers, rows.weight)


class _Check(NamedTuple):
    """A check, by what it looks at."""

    name: str
    find: Callable[[Case], Iterator[Finding]]
    by_output: bool = False
    needs_loss: bool = False


_CHECKS = (
    _Check("constant inputs", data.constant_inputs),
    _Check("constant targets", data.constant_targets, by_output=True),
    _Check("finite numbers", units.not_finite),
    _Check("the range of the outputs", data.unreachable_targets, by_output=True),
    _Check("activations", units.inactive_units),
    _Check("equal units", units.identical_units),
    _Check("deltas", units.fading_gradients, by_output=True),
    _Check("linear layers", units.linear_stack),
    _Check("the relation of x and y", data.unrelated_targets, by_output=True, needs_loss=True),
    _Check("class numbers", data.class_numbers, by_output=True, needs_loss=True),
    _Check("the gradients of custom layers", units.wrong_gradients, needs_loss=True),
    _Check("the validation rows", held_out, needs_loss=True),
    _Check("the training of a copy", trials.learning, needs_loss=True),
)


def _check(case: Case) -> list[Finding]:
    """Run the checks in order; a fault that makes later checks meaningless skips them."""
    found, looked = list[Finding](), list[str]()
    for check in _CHECKS:
        kinds = [finding.kind for finding in found]
        if "not_finite" in kinds:
            case.notes.append("fix this first: the remaining checks were skipped")
            break
        nothing_varies = kinds.count("constant_targets") == len(case.parts)
        unlearnable = case.loss is None or case.refusal is not None or nothing_varies
        if check.needs_loss and unlearnable:
            continue
        if check.find is held_out and case.validation is None:
            continue
        if check.find is trials.learning:
            if not len(case.model.parameters):
                case.notes.append("learning was not checked: the model has no parameters")
                continue
            if "wrong_gradients" in kinds:
                continue
        case.reachable = not {"targets_out_of_range", "loss_mismatch"} & {*kinds}
        found += _each(case, check.find) if check.by_output else check.find(case)
        looked.append(check.name)
    case.notes.append(f"looked at {', '.join(looked)}")
    return found


def _each(case: Case, check: Callable[[Case], Iterator[Finding]]) -> Iterator[Finding]:
    """Run a check for each output; of several, findings and notes have the name."""
    for name, part in case.parts.items():
        of_output = f" (output '{name}')" if name else ""
        for finding in check(part):
            yield replace(finding, title=finding.title + of_output)
        if name:
            case.notes += [note + of_output for note in part.notes]
            part.notes.clear()
