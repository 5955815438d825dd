"""What layers can output at all, and the least loss of such outputs."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite, prod

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape, with_axes
from minigrad.losses import Loss

_NUMBERS = 20_000  # enough to meet the ends of a range, in a few milliseconds
_SMALLEST, _USUAL, _LARGEST = 0.01, 1e3, 1e6  # input sizes: activations bend between the first two
_GROWTH = 0.01  # an end that moves by less than this share beyond the usual sizes is a limit
_FAR = 30.0  # stands for infinity: a sigmoid is within 1e-13 of its end there
_SHRINK = 0.82  # of a step: halved steps can't turn back where predictions share a softmax
_PRECISION = 1e-10  # of the best prediction, as a share of the range


def output_range(layers: Sequence[Layer], input_shape: Shape) -> tuple[float, float]:
    """Return the smallest and the largest number that these layers output for any input.

    The layers run on rows of sizes from 0.01 to 1e6. An end that grows above 1e3 is infinite.
    """
    rows = max(64, _NUMBERS // max(1, prod(input_shape)))
    sizes = np.geomspace(_SMALLEST, _LARGEST, rows)
    x: Array = np.random.default_rng(0).standard_normal((rows, *input_shape))
    x *= with_axes(sizes, x.ndim)
    with np.errstate(all="ignore"):
        for layer in layers:
            x = layer.forward(x, training=False)
    finite, inner = (a[np.isfinite(a)] for a in (x, x[sizes <= _USUAL]))
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
    """Return the least J of predictions from `low` to `high`, or of one for all rows.

    Predictions move against the sign of the slope in shrinking steps, which is right for a loss
    that is convex in each prediction. Raises ValueError if the loss refuses them.
    """
    far = _FAR + (3 * float(np.abs(target).max()) if target.dtype.kind == "f" else 0.0)
    ends = (low if isfinite(low) else -far, high if isfinite(high) else far)
    p = np.full(shape, np.clip(0.0, *ends))
    span = step = ends[1] - ends[0]
    with np.errstate(all="ignore"):
        while step > _PRECISION * span:
            slope = loss.terms(p, target)[1]
            if constant:
                if weight is not None:
                    slope = slope * with_axes(weight, slope.ndim)
                slope = np.broadcast_to(slope.sum(axis=0), shape)
            p = np.clip(p - step * np.sign(slope), *ends)
            step *= _SHRINK
        return loss.measure(p, target, weight, training=False)
