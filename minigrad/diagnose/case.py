"""What the checks share: a copy of a model with rows, its trace and its loss."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, isfinite, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer, walk
from minigrad.data.arrays import Array, Shape, size_of
from minigrad.data.by_name import Data, labelled, of, take
from minigrad.data.rows import Rows
from minigrad.diagnose.findings import number
from minigrad.diagnose.landscape import Landscape
from minigrad.diagnose.limits import least_loss, output_range
from minigrad.losses import Loss
from minigrad.optimizers import Adam, Optimizer
from minigrad.trace import Trace, Traced, trace

_MIN_ROWS = 320  # of the sample: ten usual batches
_UNIT_COST = 15  # an activation takes as long as this number of parameters
_GRADIENT_COST = 2_000_000  # parameters times rows of the sample: some 10 milliseconds
_DESCENT_COST = 300_000_000  # parameters times rows times steps of a trial: some seconds
_MIN_STEPS = 50  # of a trial: with fewer no optimizer gets anywhere
_MAX_STEPS = 200  # of a trial: a network that learns has shown it by then
_ROUNDING = 1e-9  # a loss below this share of the best constant's is zero


@dataclass(eq=False)
class Case:
    """A copy of a model with its loss, its optimizer and rows; checks never change it.

    The network runs on `sample`, some of the rows. A trial has `steps`.
    """

    model: Layer
    rows: Rows  # finite, in random order, with targets in the loss's form; no weight is 0
    loss: Loss | None  # None if it can't take the targets
    optimizer: Optimizer | None  # None if it isn't known; trials then use Adam
    batch_rows: int
    notes: list[str]
    patience: int = 1  # a factor of the steps
    in_inference: bool = False  # whether trials are judged by their predictions alone
    validation: Rows | None = None
    reachable: bool = True  # whether the last activation can output the targets

    def __post_init__(self) -> None:
        self.trial_optimizer = self.optimizer or Adam()
        units = sum(size_of(n.output_shape or ()) for _, n in walk(self.model) if not n.children)
        row_cost = self.model.parameters.size + _UNIT_COST * units
        self.sample = self.rows.take(slice(max(_MIN_ROWS, _GRADIENT_COST // row_cost)))
        self.trial_rows = min(max(2, self.batch_rows), len(self.sample))
        affordable = _DESCENT_COST // (self.trial_rows * row_cost)
        self.steps = self.patience * min(_MAX_STEPS, max(_MIN_STEPS, affordable))

    @property
    def trials(self) -> str:
        """The steps of a trial in words."""
        name, rows = type(self.trial_optimizer).__name__, number(self.trial_rows)
        return f"{number(self.steps)} steps of {name} with {rows} rows each"

    @cached_property
    def parts(self) -> dict[str, Case]:
        """Itself; or one for each of several outputs by name, with a network for it alone."""
        if self.is_single:
            return {"": self}
        parts = {}
        for name, y in self.rows.y.items():
            rows = Rows(self.rows.x, y, of(self.rows.weight, name))
            counted = counted_rows(rows)
            if not counted.size:  # an output of weight 0 has no part
                continue
            model: Any = copy.deepcopy(self.model)  # a model of a graph
            model.network.outputs = model.network.outputs[name]
            model.output_shape = model.network.output_shape = model.output_shape[name]
            loss = None if self.loss is None else self.loss.losses[name]
            parts[name] = replace(
                self,
                model=model,
                rows=rows.take(counted),
                loss=loss,
                batch_rows=max(1, round(self.batch_rows * len(counted) / len(rows))),
                notes=[],
            )
        return parts

    @property
    def is_single(self) -> bool:
        """Whether the network has one output."""
        return not isinstance(self.rows.y, dict)

    def is_output(self, array: Data) -> bool:
        return any(array is one for _, one in labelled(self.trace.prediction, ""))

    @cached_property
    def quantities(self) -> dict[str, Array]:
        """The inputs by name in messages, without ids, and without masks, which have no slope."""
        names, arrays = zip(*labelled(self.rows.x, "x"), strict=True)
        cast = self.model.cast(take(self.rows.x, slice(1)), np.dtype(float))
        kinds = [x.dtype.kind for _, x in labelled(cast, "")]
        deltas = self.trace[""].input_deltas or arrays  # not None without a backward pass
        return {
            name: x
            for name, x, kind, delta in zip(names, arrays, kinds, deltas, strict=True)
            if kind == "f" and x.dtype != bool and delta is not None
        }

    @cached_property
    def trace(self) -> Trace:
        """The forward pass for the sample, and the backward pass unless the loss refuses it."""
        loss, sample = None if self.refusal else self.loss, self.sample
        return trace(self.model, sample.x, sample.y, loss, sample_weight=sample.weight)

    @cached_property
    def refusal(self) -> str | None:
        """The loss's error message for the predictions, or None if it takes them."""
        if not self.is_single:
            return next(filter(None, [part.refusal for part in self.parts.values()]), None)
        if self.loss is not None:
            prediction = trace(self.model, self.sample.x).prediction
            try:
                self.loss.terms(prediction, self.sample.y)
            except ValueError as error:
                return str(error)
        return None

    @property
    def output_shape(self) -> Shape:
        """The shape of a row of predictions, also where lengths vary from batch to batch."""
        shape: Shape = self.trace.prediction.shape[1:]
        return shape

    @cached_property
    def last(self) -> list[Traced]:
        """The steps after the last layer with parameters: these alone limit the predictions."""
        array, found = self.trace.prediction, list[Traced]()
        for step in reversed(self.trace.steps):
            free = takes_numbers(step) and not any(step.layer.named_parameters())
            if step.output is array and free:
                found.insert(0, step)
                array = step.input
        return found

    @cached_property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest prediction, whatever the parameters are."""
        if not self.last or not len(self.model.parameters):
            return -inf, inf
        return output_range([step.layer for step in self.last], self.last[0].input.shape[1:])

    def batch_loss(self, rows: int) -> Loss:
        """Return the loss, scaled so that J of so many rows is J of one batch."""
        loss = copy.copy(self.loss)
        assert loss is not None
        for each in loss.losses.values() if loss.losses else [loss]:
            if each.reduction == "sum":
                each.scale *= self.batch_rows / rows
        return loss

    def j(self, prediction: Data) -> float:
        """Return J of one batch, without regularizers, for predictions for the sample."""
        loss, sample = self.batch_loss(len(self.sample)), self.sample
        return loss.measure(prediction, sample.y, sample.weight, training=False)

    @cached_property
    def least_j(self) -> tuple[float, float]:
        """J of one batch at its floor, and of the best constant prediction; NaN if unknown.

        No predictions in the range of the last activation come below the floor.
        """
        if not self.is_single:
            floors, constants = zip(*(part.least_j for part in self.parts.values()), strict=True)
            return sum(floors), sum(constants)
        if self.loss is None or self.refusal is not None:
            return nan, nan
        loss, shape = self.batch_loss(len(self.sample)), self.trace.prediction.shape
        y, weight = self.sample.y, self.sample.weight
        try:
            constant = least_loss(loss, y, shape, *self.range, constant=True, weight=weight)
            floor = least_loss(loss, y, shape, *self.range, weight=weight)
        except ValueError:
            return nan, nan
        return 0.0 if abs(floor) < _ROUNDING * constant else floor, constant

    @property
    def remaining(self) -> float:
        """The share of the loss above the floor of the best constant's, in inference, or NaN."""
        floor, constant = self.least_j
        if not 0 <= floor < constant < inf:
            return nan
        prediction = self.model.forward(self.sample.x, training=False)
        return (self.j(prediction) - floor) / (constant - floor)

    @property
    def loss_share(self) -> float:
        """The loss as a share of the best constant's, the worst output's; infinite if unknown."""
        return max(
            part.j(part.trace.prediction) / part.least_j[1] if part.least_j[1] > 0 else inf
            for part in self.parts.values()
        )

    @cached_property
    def is_regression(self) -> bool:
        """Whether the loss depends on prediction - target alone."""
        p, t = (a[:_MIN_ROWS] for a in (self.trace.prediction.astype(float), self.sample.y))
        if self.loss is None or self.refusal is not None or p.shape != t.shape:
            return False
        try:
            terms, moved = (self.loss.terms(p + by, t + by)[0] for by in (0.0, 1.7))
        except ValueError:
            return False
        return np.allclose(terms, moved, rtol=1e-6, atol=1e-6 * float(np.abs(t).max(initial=1.0)))

    @property
    def target_moments(self) -> tuple[Array, Array]:
        """The mean and the standard deviation of each target in the sample."""
        t = self.sample.y.reshape(len(self.sample), -1).astype(np.float64)
        return t.mean(axis=0), t.std(axis=0)

    @cached_property
    def standardized(self) -> Case | None:
        """The case with targets of mean 0 and deviation 1; None if they can't be standardized."""
        if not self.is_regression or all(map(isfinite, self.range)):
            return None
        rows, (mean, deviation) = self.rows, self.target_moments
        if not (deviation > 0).all():
            return None
        t = (rows.y.reshape(len(rows), -1) - mean) / deviation
        return replace(self, rows=Rows(rows.x, t.reshape(rows.y.shape), rows.weight))

    def landscape(self, rows: int | None = None) -> Landscape:
        """Return J of a batch as a function of the parameters, for so many rows at a time."""
        return Landscape(self.model, self.batch_loss(rows or len(self.sample)), self.sample)


def takes_numbers(step: Traced) -> bool:
    """Whether a layer takes one array, which holds no ids."""
    (x, *others) = step.inputs
    return not others and isinstance(x, np.ndarray) and x.dtype.kind == "f"


def counted_rows(rows: Rows) -> NDArray[np.intp]:
    """Return the rows whose weight isn't 0 for all outputs."""
    if rows.weight is None:
        return np.arange(len(rows))
    weights = [w.reshape(len(rows), -1) for _, w in labelled(rows.weight, "")]
    return np.flatnonzero(np.hstack(weights).any(axis=1))


def as_columns(x: Data) -> Array:
    """Return all numbers of each row, of all inputs, side by side."""
    return np.hstack([array.reshape(len(array), -1) for _, array in labelled(x, "")])
