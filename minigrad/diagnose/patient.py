"""Who is examined: a copy of a model, some of its rows, and what it computes for them."""

from __future__ import annotations

import copy
from functools import cached_property
from math import inf, isfinite, prod

import numpy as np

from minigrad.core.layer import Layer as Network
from minigrad.core.layer import walk
from minigrad.data.arrays import Array
from minigrad.data.rows import Rows
from minigrad.diagnose.landscape import Landscape
from minigrad.diagnose.reach import last_layers, least, mean_term, reach
from minigrad.losses import Loss
from minigrad.optimizers import Adam, Optimizer
from minigrad.trace import Step, Trace, trace
from minigrad.util.names import apart

_LEAST_ROWS = 256
_UNIT = 15
"""A unit's activation costs as much as so many parameters."""
_GRADIENT = 20_000_000
_DESCENT = 2_000_000_000
"""What a gradient may cost, and what a descent: rows times parameters, times steps."""
_FEWEST_STEPS, _MOST_STEPS = 20, 1500
_TRIAL_STEPS = 300


class Patient:
    """A copy of a model with rows to examine it by; the model itself is never touched.

    Args:
        model: a copy, built.
        rows: finite rows in a random order, with targets in the loss's own form, none of weight 0.
        loss: what it is trained with; None where it can't take the targets.
        optimizer: what it is trained by; None where nobody knows.
        batch_rows: how many of such rows a step sees.

    Attributes:
        sample: the rows that the network is run on: as many as are cheap.
    """

    def __init__(
        self,
        model: Network,
        rows: Rows,
        loss: Loss | None,
        optimizer: Optimizer | None,
        batch_rows: int,
    ) -> None:
        self.model = model
        self.rows = rows
        self.loss = loss
        self.optimizer = optimizer
        self.batch_rows = batch_rows
        self.sample = rows.take(slice(max(_LEAST_ROWS, _GRADIENT // self._row_cost)))

    @cached_property
    def trace(self) -> Trace:
        """All that it computes for the sample: back, too, unless the loss refuses it."""
        if self.refusal is not None:
            return trace(self.model, self.sample.x)
        sample = self.sample
        return trace(self.model, sample.x, sample.y, self.loss, sample_weight=sample.weight)

    @cached_property
    def refusal(self) -> str | None:
        """Why the loss doesn't take what the network predicts, if it doesn't."""
        if self.loss is None:
            return None
        prediction = trace(self.model, self.sample.x).prediction
        try:
            self.loss.terms(prediction, self.sample.y)
        except ValueError as error:
            return str(error)
        return None

    @cached_property
    def ill(self) -> tuple[str, str] | None:
        """The path of the layer where numbers stop being finite, and the place, if any does."""
        for path, parameter in self.model.named_parameters():
            if not np.isfinite(parameter.value).all():
                return apart(path)[0], f"the parameter '{path}'"
        place, j = self.trace.first_not_finite(), self.trace.j
        if j is not None and not isfinite(j) and not (place or "").startswith("the output"):
            return "", "the loss"
        if place is None:
            return None
        steps = self.trace.steps
        return next(step.path for step in steps if place.endswith(step.label)), place

    @cached_property
    def last(self) -> list[Step]:
        """What comes after the last parameters."""
        return last_layers(self.trace)

    @cached_property
    def reach(self) -> tuple[float, float]:
        """The least and the largest number that it can predict, whatever its parameters are."""
        if not self.last:
            return -inf, inf
        return reach([step.layer for step in self.last], self.last[0].input.shape[1:])

    @cached_property
    def left(self) -> float:
        """How much of the loss of the best constant prediction is left: 0 when all is learned."""
        return self.share(self.trace.prediction)

    def share(self, prediction: Array) -> float:
        """Return the loss of predictions for the sample, as a share of the best constant's."""
        if self.loss is None or not 0 < self.constant < inf:
            return inf
        terms = self.loss.terms(prediction, self.sample.y)[0]
        return mean_term(terms, self.sample.weight) / self.constant

    @cached_property
    def constant(self) -> float:
        """The mean term that the best constant prediction has; infinite where the loss has none."""
        if self.loss is None or self.refusal is not None:
            return inf
        shape, y, weight = self.trace.prediction.shape, self.sample.y, self.sample.weight
        try:
            return least(self.loss, y, shape, *self.reach, constant=True, weight=weight)
        except ValueError:
            return inf

    @cached_property
    def compares(self) -> bool:
        """Whether the loss depends on prediction - target alone, as those of regression do."""
        some = self.sample.take(slice(_LEAST_ROWS))
        p, t = self.trace.prediction[:_LEAST_ROWS].astype(np.float64), some.y
        if self.loss is None or self.refusal is not None or p.shape != t.shape:
            return False
        try:
            terms, moved = (self.loss.terms(p + by, t + by)[0] for by in (0.0, 1.7))
        except ValueError:
            return False
        return np.allclose(terms, moved, rtol=1e-6, atol=1e-6 * float(np.abs(t).max(initial=1.0)))

    @property
    def trainer(self) -> Optimizer:
        """What trials descend by: the optimizer, or Adam where nobody knows."""
        return self.optimizer or Adam()

    @property
    def terms_scale(self) -> float:
        """What J of one batch is, where the mean term is 1."""
        assert self.loss is not None
        if self.loss.reduction == "mean":
            return self.loss.scale
        terms = self.loss.terms(self.trace.prediction, self.sample.y)[0]
        mean_weight = self.sample.total / len(self.sample)
        return self.loss.scale * self.batch_rows * mean_weight * (terms.size / len(terms))

    @property
    def steps(self) -> int:
        """How many steps of descent on the sample are cheap."""
        affordable = _DESCENT // (len(self.sample) * self._row_cost)
        return min(_MOST_STEPS, max(_FEWEST_STEPS, affordable))

    @property
    def trial_steps(self) -> int:
        """How many of them a trial takes that is one of several."""
        return min(_TRIAL_STEPS, self.steps)

    def landscape(self) -> Landscape:
        """Return J of one batch as a function of the parameters, by the sample."""
        return Landscape(self.model, self.batch_loss, self.sample)

    @property
    def batch_loss(self) -> Loss:
        """The loss, scaled so that the sample's is that of one batch."""
        assert self.loss is not None
        loss = copy.copy(self.loss)
        if loss.reduction == "sum":
            loss.scale *= self.batch_rows / len(self.sample)
        return loss

    @property
    def _row_cost(self) -> int:
        units = sum(prod(n.output_shape or ()) for _, n in walk(self.model) if not n.children)
        return self.model.parameters.size + _UNIT * units
