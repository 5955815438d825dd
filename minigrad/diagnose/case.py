"""What the checks share: a copy of the model, some rows, and what the model computes for them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, isfinite, prod

import numpy as np

from minigrad.core.layer import Layer, walk
from minigrad.core.trace import Step, Trace, trace
from minigrad.data.arrays import Array
from minigrad.data.rows import Rows
from minigrad.diagnose.bounds import least_loss, mean_loss, output_range
from minigrad.diagnose.landscape import Landscape
from minigrad.losses import Loss
from minigrad.optimizers import Adam, Optimizer

_MIN_ROWS = 256
_UNIT_COST = 15
"""An activation costs as much as this number of parameters."""
_GRADIENT_COST, _DESCENT_COST = 20_000_000, 2_000_000_000
"""The budget of a gradient (rows times parameters) and of a descent (times steps)."""
_MIN_STEPS, _TRIAL_STEPS, _MAX_STEPS = 20, 300, 1500


@dataclass(eq=False)
class Case:
    """A copy of a model with its loss, its optimizer and rows; checks never change it.

    Args:
        model: a built copy.
        rows: finite rows in random order, with targets in the loss's form; no weight is 0.
        loss: None if it can't take the targets.
        optimizer: None if it isn't known.
        batch_rows: the rows of one batch in training.
        notes: what checks note beside their findings.

    Attributes:
        sample: the rows that the network is run on.
        steps: of the longest descent; `trial_steps` of each descent if a check makes several.
        trial_optimizer: Adam if the optimizer isn't known.
    """

    model: Layer
    rows: Rows
    loss: Loss | None
    optimizer: Optimizer | None
    batch_rows: int
    notes: list[str]

    def __post_init__(self) -> None:
        self.trial_optimizer = self.optimizer or Adam()
        units = sum(prod(n.output_shape or ()) for _, n in walk(self.model) if not n.children)
        row_cost = self.model.parameters.size + _UNIT_COST * units
        self.sample = self.rows.take(slice(max(_MIN_ROWS, _GRADIENT_COST // row_cost)))
        affordable = _DESCENT_COST // (len(self.sample) * row_cost)
        self.steps = min(_MAX_STEPS, max(_MIN_STEPS, affordable))
        self.trial_steps = min(_TRIAL_STEPS, self.steps)

    @cached_property
    def trace(self) -> Trace:
        """The forward pass for the sample, and the backward pass unless the loss refuses it."""
        sample = self.sample
        if self.refusal is not None:
            return trace(self.model, sample.x)
        return trace(self.model, sample.x, sample.y, self.loss, sample_weight=sample.weight)

    @cached_property
    def refusal(self) -> str | None:
        """The loss's error message for the predictions, or None if it takes them."""
        if self.loss is not None:
            prediction = trace(self.model, self.sample.x).prediction
            try:
                self.loss.terms(prediction, self.sample.y)
            except ValueError as error:
                return str(error)
        return None

    @cached_property
    def last(self) -> list[Step]:
        """The steps after the last layer with parameters, in forward order.

        These layers alone limit the predictions, because all layers before them can be trained to
        output anything. The list is empty if the last layer has parameters.
        """
        array, found = self.trace.prediction, list[Step]()
        for step in reversed(self.trace.steps):
            if step.output is array and not any(step.layer.named_parameters()):
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
        shape, y, weight = self.trace.prediction.shape, self.sample.y, self.sample.weight
        if self.loss is not None and self.refusal is None:
            try:
                return least_loss(self.loss, y, shape, *self.range, constant=True, weight=weight)
            except ValueError:
                pass
        return inf

    def remaining_loss(self, prediction: Array) -> float:
        """Return the loss of predictions for the sample as a share of the best constant's."""
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
        """The case with targets of mean 0 and standard deviation 1.

        None if the loss isn't one of regression, the output is bounded, or a target is constant.
        """
        if not self.is_regression or all(map(isfinite, self.range)):
            return None
        mean, deviation = self.target_moments
        if not (deviation > 0).all():
            return None
        rows = self.rows
        t = (rows.y.reshape(len(rows), -1) - mean) / deviation
        return replace(self, rows=Rows(rows.x, t.reshape(rows.y.shape), rows.weight))

    @property
    def batch_scale(self) -> float:
        """J of one batch for a mean loss of 1."""
        assert self.loss is not None
        if self.loss.reduction == "mean":
            return self.loss.scale
        terms = self.loss.terms(self.trace.prediction, self.sample.y)[0]
        mean_weight = self.sample.total / len(self.sample)
        return self.loss.scale * self.batch_rows * mean_weight * (terms.size / len(terms))

    @property
    def batch_loss(self) -> Loss:
        """The loss, scaled so that J of the sample is J of one batch."""
        loss = copy.copy(self.loss)
        assert loss is not None
        if loss.reduction == "sum":
            loss.scale *= self.batch_rows / len(self.sample)
        return loss

    def landscape(self) -> Landscape:
        """Return J of one batch as a function of the parameters, on the sample."""
        return Landscape(self.model, self.batch_loss, self.sample)
