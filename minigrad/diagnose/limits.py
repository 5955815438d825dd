"""What layers can output at all, and the least loss of such outputs."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite, prod

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape, with_axes
from minigrad.losses import Loss

_NUMBERS = 20_000
# Powers of ten of the inputs; an output that doesn't grow beyond the inner ones is bounded.
_POWERS, _INNER_POWER = (-2.0, 6.0), 3.0
_GROWTH, _FAR, _ROUNDS, _SHRINK = 0.01, 30.0, 120, 0.82


def output_range(layers: Sequence[Layer], input_shape: Shape) -> tuple[float, float]:
    """Return the smallest and the largest number that these layers output for any input.

    The layers run on rows of sizes from 0.01 to 1e6. An end that grows above 1e3 is infinite.
    """
    rows = max(64, _NUMBERS // max(1, prod(input_shape)))
    powers = np.linspace(*_POWERS, rows)
    x: Array = np.random.default_rng(0).standard_normal((rows, *input_shape))
    x *= (10.0**powers).reshape(rows, *[1] * len(input_shape))
    with np.errstate(all="ignore"):
        for layer in layers:
            x = layer.forward(x, training=False)
    finite, inner = (a[np.isfinite(a)] for a in (x, x[powers <= _INNER_POWER]))
    if not inner.size:
        return -inf, inf
    low, high = float(finite.min()), float(finite.max())
    tolerance = _GROWTH * float(np.ptp(inner))
    low = low if low >= float(inner.min()) - tolerance else -inf
    return low, high if high <= float(inner.max()) + tolerance else inf


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
    """Return the least mean loss of predictions from `low` to `high`, or of one for all rows.

    Predictions move against the sign of the slope in shrinking steps, which is right for a loss
    that is convex in each prediction. Raises ValueError if the loss refuses them.
    """
    far = _FAR + (3 * float(np.abs(target).max()) if target.dtype.kind == "f" else 0.0)
    ends = (low if isfinite(low) else -far, high if isfinite(high) else far)
    p = np.full(shape, np.clip(0.0, *ends))
    step = ends[1] - ends[0]
    with np.errstate(all="ignore"):
        for _ in range(_ROUNDS):
            slope = loss.terms(p, target)[1]
            if constant:
                if weight is not None:
                    slope = slope * with_axes(weight, slope.ndim)
                slope = np.broadcast_to(slope.sum(axis=0), shape)
            p = np.clip(p - step * np.sign(slope), *ends)
            step *= _SHRINK
        return mean_loss(loss.terms(p, target)[0], weight)


def mean_loss(terms: Array, weight: Array | None) -> float:
    """Return the mean of a loss's terms, weighted by row or by term."""
    if weight is not None:
        weight = np.broadcast_to(with_axes(weight, terms.ndim), terms.shape)
    return float(np.average(terms, weights=weight))
