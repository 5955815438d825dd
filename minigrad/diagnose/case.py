"""What the checks share: a copy of the model, some rows, and what the model computes for them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, isfinite, prod

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer, walk
from minigrad.data.arrays import Array, Shape
from minigrad.data.rows import Rows
from minigrad.diagnose.landscape import Landscape
from minigrad.losses import Loss
from minigrad.optimizers import Adam, Optimizer
from minigrad.trace import Step, Trace, trace

_MIN_ROWS = 256
_UNIT_COST = 15
"""An activation costs as much as this number of parameters."""
_GRADIENT_COST, _DESCENT_COST = 20_000_000, 2_000_000_000
"""The budget of a gradient (rows times parameters) and of a descent (times steps)."""
_MIN_STEPS, _TRIAL_STEPS, _MAX_STEPS = 20, 300, 1500
_NUMBERS = 20_000
_POWERS, _INNER_POWER = (-2.0, 6.0), 3.0
"""Powers of ten of the inputs; an output that doesn't grow beyond the inner ones is bounded."""
_GROWTH, _FAR, _ROUNDS, _SHRINK = 0.01, 30.0, 120, 0.82


@dataclass(eq=False)
class Case:
    """A copy of a model with its loss, its optimizer and rows; checks never change it.

    Args:
        model: a built copy.
        rows: finite rows in random order, with targets in the loss's form; no weight is 0.
        loss: None if it can't take the targets.
        optimizer: None if it isn't known; trials then use Adam.
        batch_rows: the rows of one batch in training.
        notes: what checks note beside their findings.

    The network is run on `sample`, some of the rows. The longest descent has `steps`; each descent
    has `trial_steps` if a check makes several.
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


def output_range(layers: Sequence[Layer], input_shape: Shape) -> tuple[float, float]:
    """Return the smallest and the largest number that these layers output for any input.

    The layers are run on random rows of sizes from 0.01 to 1e6. An end of the range that still
    grows for inputs above 1e3 is infinite.
    """
    rows = max(64, _NUMBERS // max(1, prod(input_shape)))
    powers = np.linspace(*_POWERS, rows)
    x: Array = np.random.default_rng(0).standard_normal((rows, *input_shape))
    x *= (10.0**powers).reshape(rows, *[1] * len(input_shape))
    with np.errstate(all="ignore"):
        for layer in layers:
            x = layer.forward(x, training=False)
    finite, inner = x[np.isfinite(x)], x[powers <= _INNER_POWER]
    inner = inner[np.isfinite(inner)]
    if not inner.size:
        return -inf, inf
    low, high = float(finite.min()), float(finite.max())
    tolerance = _GROWTH * float(np.ptp(inner))
    return (
        low if low >= float(inner.min()) - tolerance else -inf,
        high if high <= float(inner.max()) + tolerance else inf,
    )


def least_loss(
    loss: Loss,
    target: NDArray[np.generic],
    shape: Shape,
    low: float = -inf,
    high: float = inf,
    *,
    constant: bool = False,
    weight: Array | None = None,
) -> float:
    """Return the least mean loss of predictions of this shape from `low` to `high`.

    With `constant`, all rows have the same prediction. Predictions move against the sign of the
    slope in shrinking steps, which is right for a loss that is convex in each prediction. Raises
    ValueError if the loss refuses such predictions.
    """
    far = _FAR + (3 * float(np.abs(target).max()) if target.dtype.kind == "f" else 0.0)
    ends = (low if isfinite(low) else -far, high if isfinite(high) else far)
    p = np.full(shape, np.clip(0.0, *ends))
    step = ends[1] - ends[0]
    with np.errstate(all="ignore"):
        for _ in range(_ROUNDS):
            slope = loss.terms(p, target)[1]
            if constant:
                slope = np.broadcast_to(np.average(slope, axis=0, weights=weight), shape)
            p = np.clip(p - step * np.sign(slope), *ends)
            step *= _SHRINK
        return mean_loss(loss.terms(p, target)[0], weight)


def mean_loss(terms: Array, weight: Array | None) -> float:
    """Return the mean of a loss's terms, weighted by row."""
    return float(np.average(terms.reshape(len(terms), -1).mean(axis=1), weights=weight))
