"""What the checks share: a model with rows, its trace and its loss, and trials of training."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer, walk
from minigrad.data.arrays import Array, Shape, size_of
from minigrad.data.by_name import Data, labelled, of, take
from minigrad.data.rows import Rows
from minigrad.diagnose.findings import number
from minigrad.diagnose.landscape import Landscape, Vector
from minigrad.diagnose.limits import least_loss, mean_loss, output_range
from minigrad.graphs.joint_loss import JointLoss
from minigrad.losses import Loss
from minigrad.optimizers import Adam, Optimizer
from minigrad.optimizers.schedules import Schedule
from minigrad.trace import Trace, Traced, trace

_AVERAGED_STEPS = 10  # at the end of a trial
_MIN_ROWS = 320
_UNIT_COST = 15  # an activation costs as much as this number of parameters
# The budget of a gradient (rows times parameters) and of a descent (times steps).
_GRADIENT_COST, _DESCENT_COST = 2_000_000, 300_000_000
_MIN_STEPS, _MAX_STEPS = 50, 200
# Shares of the loss that remain.
_WORSE, NOTHING_LEARNED, _ANYTHING_LEARNED, _SOMETHING_LEARNED = 1.5, 0.95, 0.9, 0.75
_CLEARLY, _LEARNED = 0.5, 0.25
_PEAK = 20.0  # J of a trial that rises to this multiple is unstable


@dataclass(frozen=True)
class Trial:
    """What some steps on a copy come to.

    `remaining` is the share of the loss that remains: 0 at the least possible loss, and 1 at that
    of the best constant prediction.
    """

    rate: float
    start: float  # J before and after
    end: float
    highest: float
    peak: float  # the highest J, as a multiple of the first or of a constant's
    pace: float  # by which a step lowers J of the sample
    remaining: float
    remaining_before: float
    theta: Vector

    @property
    def learns(self) -> bool:
        """Whether little of the loss remains, and J never rose far above its start."""
        return self.remaining < _LEARNED and self.steady

    @property
    def steady(self) -> bool:
        return self.peak < _PEAK

    @property
    def course(self) -> str:
        """How J goes on, in words."""
        rises = f"rise to J = {number(self.highest)} and " if not self.steady else ""
        return f"{rises}end at J = {number(self.end)}" if isfinite(self.end) else "diverge"

    def beats(self, other: Trial) -> bool:
        """Return whether this trial learns clearly more than the other."""
        something = _ANYTHING_LEARNED if other.remaining >= _WORSE else _SOMETHING_LEARNED
        if self.remaining > max(_LEARNED, something * self.remaining_before):
            return False
        if other.remaining >= NOTHING_LEARNED or (self.steady and not other.steady):
            return self.remaining <= something
        return self.remaining <= _CLEARLY * other.remaining

    def __str__(self) -> str:
        if not isfinite(self.end):
            return "diverge"
        many = f"{number(round(self.remaining))} times"
        share = many if self.remaining >= 10 else f"{self.remaining:.0%} of"
        return f"leave {share} the loss of a constant prediction"


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
    reachable: bool = True  # whether the last activation can output the targets

    def __post_init__(self) -> None:
        self.trial_optimizer = self.optimizer or Adam()
        units = sum(size_of(n.output_shape or ()) for _, n in walk(self.model) if not n.children)
        row_cost = self.model.parameters.size + _UNIT_COST * units
        self.sample = self.rows.take(slice(max(_MIN_ROWS, _GRADIENT_COST // row_cost)))
        self.trial_rows = min(max(2, self.batch_rows), len(self.sample))
        affordable = _DESCENT_COST // (self.trial_rows * row_cost)
        self.steps = self.patience * min(_MAX_STEPS, max(_MIN_STEPS, affordable))

    def trial(self, rate: float | None = None, *, order: int = 0) -> Trial:
        """Train a copy for some steps with a new copy of the optimizer, at its rate or another.

        Trials of the same order see the same batches.
        """
        optimizer = copy.copy(self.trial_optimizer)
        optimizer.state = {}
        if rate is not None:
            optimizer.learning_rate = rate
        if not isinstance(optimizer.learning_rate, Schedule):
            optimizer.steps = 0
        rate = optimizer.rate
        landscape, batches = self.landscape(), self.landscape(self.trial_rows)
        history = batches.descend(optimizer, self.steps, self.trial_rows, order)
        noisy = self.trial_rows < len(self.sample)
        end = float(np.mean(history[-(self.steps // 4 if noisy else _AVERAGED_STEPS) :]))
        end = max(end, self.batch_j(batches.predict())) if isfinite(end) else end
        theta = batches.parameters.value.astype(np.float64)
        start, after = (landscape.loss(each) for each in (landscape.start, theta))
        floor, constant = self.floor_j, self.constant_j
        if not 0 <= floor < constant < inf:
            floor, constant = 0.0, abs(start) or 1.0
        remaining, before = ((j - floor) / (constant - floor) for j in (end, start))
        pace, peak = (start - after) / self.steps, max(history)
        return Trial(
            rate, start, end, peak, peak / max(start, constant), pace, remaining, before, theta
        )

    @property
    def told(self) -> str:
        """The steps of a trial in words."""
        name, rows = type(self.trial_optimizer).__name__, number(self.trial_rows)
        return f"on a copy, {number(self.steps)} steps of {name} with {rows} rows each"

    @cached_property
    def parts(self) -> dict[str, Case]:
        """Itself; or one for each of several outputs by name, with a network for it alone."""
        if self.is_single:
            return {"": self}
        parts = {}
        for name, y in self.rows.y.items():
            model: Any = copy.deepcopy(self.model)
            model.network.outputs = model.network.outputs[name]
            model.output_shape = model.network.output_shape = model.output_shape[name]
            rows = Rows(self.rows.x, y, of(self.rows.weight, name))
            loss = None if self.loss is None else self.loss.losses[name]
            counted = counted_rows(rows)
            if counted.size:  # an output of weight 0 has no part
                rows = rows.take(counted)
                parts[name] = replace(self, model=model, rows=rows, loss=loss, notes=[])
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

    @property
    def weighted(self) -> list[Traced]:
        """The steps that multiply numbers by a matrix or kernel; ids only choose its rows."""
        return [
            step
            for step in self.trace.steps
            if any(len(p.shape) > 1 for _, p in step.layer.own_parameters())
            and step.input.dtype.kind == "f"
        ]

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
        if not self.last:
            return -inf, inf
        return output_range([step.layer for step in self.last], self.last[0].input.shape[1:])

    @cached_property
    def constant_loss(self) -> float:
        """The mean loss of the best constant prediction; infinite if the loss has none."""
        if self.loss is None or self.refusal is not None:
            return inf
        shape, y, weight = self.trace.prediction.shape, self.sample.y, self.sample.weight
        try:
            return least_loss(self.loss, y, shape, *self.range, constant=True, weight=weight)
        except ValueError:
            return inf

    @cached_property
    def floor(self) -> float:
        """The least mean loss of predictions in the range of the last activation."""
        if self.loss is None or self.refusal is not None:
            return -inf
        shape, y, weight = self.trace.prediction.shape, self.sample.y, self.sample.weight
        try:
            floor = least_loss(self.loss, y, shape, *self.range, weight=weight)
        except ValueError:
            return -inf
        return 0.0 if abs(floor) < 1e-9 * self.constant_loss else floor

    @property
    def constant_j(self) -> float:
        """J of one batch for the best constant predictions."""
        return sum(part.constant_loss * part.batch_scale for part in self.parts.values())

    @property
    def floor_j(self) -> float:
        """The least J of one batch."""
        return sum(part.floor * part.batch_scale for part in self.parts.values())

    def batch_j(self, prediction: Data) -> float:
        """Return J of one batch, without regularizers, for predictions for the sample."""
        j, sample = 0.0, self.sample
        for name, part in self.parts.items():
            assert part.loss is not None
            terms = part.loss.terms(of(prediction, name), of(sample.y, name))[0]
            j += part.batch_scale * mean_loss(terms, of(sample.weight, name))
        return j

    def remaining_loss(self, prediction: Data) -> float:
        """Return the loss of predictions as a share of the best constant's; the worst output's."""
        if not self.is_single:
            return max(part.remaining_loss(part.trace.prediction) for part in self.parts.values())
        if self.loss is None or not 0 < self.constant_loss < inf:
            return inf
        terms = self.loss.terms(prediction, self.sample.y)[0]
        return mean_loss(terms, self.sample.weight) / self.constant_loss

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

    @property
    def sums(self) -> bool:
        """Whether J grows with the rows of a batch."""
        losses = [part.loss for part in self.parts.values()]
        return any(loss is not None and loss.reduction == "sum" for loss in losses)

    @property
    def batch_scale(self) -> float:
        """J of one batch for a mean loss of 1."""
        assert self.loss is not None
        if self.loss.reduction == "mean":
            return self.loss.scale
        terms = self.loss.terms(self.trace.prediction, self.sample.y)[0]
        weight = self.sample.weight
        mean_weight = 1.0 if weight is None else float(weight.mean())
        return self.loss.scale * self.batch_rows * mean_weight * (terms.size / len(terms))

    def batch_loss(self, rows: int) -> Loss:
        """Return the loss, scaled so that J of so many rows is J of one batch."""
        loss = copy.copy(self.loss)
        assert loss is not None
        for each in loss.losses.values() if isinstance(loss, JointLoss) else [loss]:
            if each.reduction == "sum":
                each.scale *= self.batch_rows / rows
        return loss

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
