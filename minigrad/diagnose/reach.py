"""What predictions a network can give, and the least loss that any such predictions have."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite, prod

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape
from minigrad.losses import Loss
from minigrad.trace import Step, Trace

_SAMPLED = 20_000
_SCALES = (-2.0, 6.0)
_INNER = 3.0
"""Powers of ten of the sampled inputs; what doesn't grow beyond the inner ones is bounded."""
_GROWTH = 0.01
_BEYOND = 30.0
_ROUNDS = 120
_SHRINK = 0.82


def last_layers(recorded: Trace) -> list[Step]:
    """Return what comes after the last parameters of a network, in forward order.

    What a network can give depends on these layers alone, as all before them can be trained to
    give anything. Empty where the last layer has parameters.
    """
    array, found = recorded.prediction, list[Step]()
    for step in reversed(recorded.steps):
        if step.output is array and not any(step.layer.named_parameters()):
            found.insert(0, step)
            array = step.input
    return found


def reach(layers: Sequence[Layer], input_shape: Shape) -> tuple[float, float]:
    """Return the least and the largest number that layers give for any input.

    Found by trying: rows of random numbers of all sizes from 0.01 to 1e6. An end that still grows
    beyond inputs of 1e3 is infinite. Works for every layer, and needs nothing of it.

    >>> from minigrad import ReLU, Sigmoid
    >>> reach([Sigmoid()], (3,)), reach([ReLU()], (3,)), reach([], (3,))
    ((0.0, 1.0), (0.0, inf), (-inf, inf))
    """
    rows = max(64, _SAMPLED // max(1, prod(input_shape)))
    powers = np.linspace(*_SCALES, rows)
    rng = np.random.default_rng(0)
    x: Array = rng.standard_normal((rows, *input_shape))
    x *= (10.0**powers).reshape(rows, *[1] * len(input_shape))
    with np.errstate(all="ignore"):
        for layer in layers:
            x = layer.forward(x, training=False)
    every, inner = x[np.isfinite(x)], x[powers <= _INNER]
    inner = inner[np.isfinite(inner)]
    if not inner.size:
        return -inf, inf
    low, high = float(every.min()), float(every.max())
    room = _GROWTH * float(np.ptp(inner))
    return (
        low if low >= float(inner.min()) - room else -inf,
        high if high <= float(inner.max()) + room else inf,
    )


def least(
    loss: Loss,
    target: NDArray[np.generic],
    shape: Shape,
    low: float = -inf,
    high: float = inf,
    *,
    constant: bool = False,
    weight: Array | None = None,
) -> float:
    """Return the least mean term of a loss that any predictions from `low` to `high` have.

    Predictions move against the sign of the slope, in steps that shrink: right for each loss that
    is convex in each prediction.

    Args:
        loss: the loss.
        target: in the loss's own form.
        shape: of the predictions, with the batch axis.
        low: the least prediction; -inf for none.
        high: the largest prediction.
        constant: whether all rows have the same prediction.
        weight: of each row, for a weighted mean.

    Raises:
        ValueError: the loss takes no such predictions.

    >>> from minigrad import MSELoss
    >>> target = np.array([[0.5], [3.0]])
    >>> round(least(MSELoss(), target, (2, 1), 0.0, 1.0), 6)
    2.0
    >>> round(least(MSELoss(), target, (2, 1), constant=True), 6)
    1.5625
    >>> round(least(MSELoss(), target, (2, 1), constant=True, weight=np.array([1.0, 3.0])), 6)
    1.171875
    """
    ends = _finite_ends(target, low, high)
    p = np.full(shape, np.clip(0.0, *ends))
    step = ends[1] - ends[0]
    with np.errstate(all="ignore"):
        for _ in range(_ROUNDS):
            slope = loss.terms(p, target)[1]
            if constant:
                slope = np.broadcast_to(np.average(slope, axis=0, weights=weight), shape)
            p = np.clip(p - step * np.sign(slope), *ends)
            step *= _SHRINK
        return mean_term(loss.terms(p, target)[0], weight)


def mean_term(terms: Array, weight: Array | None) -> float:
    """Return the mean of a loss's terms, weighted by row."""
    return float(np.average(terms.reshape(len(terms), -1).mean(axis=1), weights=weight))


def _finite_ends(target: NDArray[np.generic], low: float, high: float) -> tuple[float, float]:
    """Put a number far enough away in the place of an infinite end."""
    far = _BEYOND
    if target.dtype.kind == "f":
        far += 3 * float(np.abs(target).max())
    return (low if isfinite(low) else -far, high if isfinite(high) else far)
