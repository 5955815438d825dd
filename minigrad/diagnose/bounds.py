"""The range of a network's predictions, and the least loss within it."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite, prod

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape
from minigrad.losses import Loss

_NUMBERS = 20_000
_POWERS, _INNER_POWER = (-2.0, 6.0), 3.0
"""Powers of ten of the inputs; an output that doesn't grow beyond the inner ones is bounded."""
_GROWTH = 0.01
_FAR = 30.0
_ROUNDS, _SHRINK = 120, 0.82


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
