"""Losses for vectors that should be near each other, or far apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.core.loss import Loss
from minigrad.data.arrays import Array, Shape, as_numbers, fits
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import check_positive

_LEAST_SQUARE = 1e-12  # added to squared lengths, so that a vector of zeros has a derivative


@register
class CosineSimilarityLoss(Loss):
    """One minus the cosine of the angle between a and t: a row's term is 1 - a . t / (|a| |t|).

    dterm/da = ((a . t) a / |a|^2 - t) / (|a| |t|). The vectors lie along the last axis; only their
    directions count. The squares of both lengths are 1e-12 larger. This is PyTorch's
    CosineEmbeddingLoss for the label 1. Keras's CosineSimilarity is less by 1.

    Raises:
        ValueError: predictions that aren't vectors.

    >>> loss = CosineSimilarityLoss()
    >>> round(loss.forward(np.array([[3.0, 4.0]]), np.array([[2.0, 0.0]])), 9), loss.backward()
    (0.4, array([[-0.128,  0.096]]))
    """

    equation = (
        "l = 1 - sum(a t) / sqrt((sum(a a) + 1e-12) (sum(t t) + 1e-12)); "
        "l' = (sum(a t) a / (sum(a a) + 1e-12) - t) / "
        "sqrt((sum(a a) + 1e-12) (sum(t t) + 1e-12))"
    )

    @override
    def match(self, target: NDArray[Any], shape: Shape) -> NDArray[Any]:
        if len(shape) < 2:
            raise ValueError(
                f"{self.label} expects predictions of shape (batch, ..., features), got {shape}"
            )
        return super().match(target, shape)

    @override
    def terms(self, prediction: Array, target: NDArray[Any]) -> tuple[Array, Array]:
        a, t = prediction, target
        product = np.add.reduce(a * t, axis=-1, keepdims=True)
        square = np.add.reduce(a * a, axis=-1, keepdims=True) + _LEAST_SQUARE
        lengths = np.sqrt(square * (np.add.reduce(t * t, axis=-1, keepdims=True) + _LEAST_SQUARE))
        slope = (product * a / square - t) / lengths
        return 1 - (product / lengths)[..., 0], slope


@register
@options
class TripletMarginLoss(Loss):
    """Triplet loss: an anchor should be nearer to a positive than to a negative, by a margin m.

    The term of a row is max(0, |a - p| - |a - n| + m). The prediction is the three vectors side by
    side, as `Concatenate` gives them of one encoder used three times; there is no target, so y is
    zeros of shape (n,). dterm/dp = -(a - p) / |a - p| and dterm/dn = (a - n) / |a - n| where the
    term is above 0; dterm/da is the negative of their sum. As in PyTorch with p=2, whose 1e-6 is
    added to each difference, too.
    Source: Schroff et al., FaceNet, 2015, equation 1, with distances in place of their squares.

    Raises:
        ValueError: predictions whose last axis isn't three vectors long; a target other than 0.

    >>> loss = TripletMarginLoss(margin=1.0)
    >>> anchor, positive, negative = [0.0, 0.0], [3.0, 4.0], [0.0, 2.0]
    >>> round(loss.forward(np.array([anchor + positive + negative]), [0]), 4)
    4.0
    >>> loss.backward().round(4)
    array([[-0.6,  0.2,  0.6,  0.8,  0. , -1. ]])
    """

    margin: float = option(check_positive, default=1.0)
    """m, above 0."""

    @override
    def match(self, target: NDArray[Any], shape: Shape) -> NDArray[Any]:
        if shape[-1] % 3 or len(shape) < 2:
            raise ValueError(
                f"{self.label} expects predictions of shape (batch, ..., 3 * features), got "
                f"{shape}: join an anchor, a positive and a negative by Concatenate()"
            )
        target = as_numbers(target, "y")
        if not fits(target.shape, shape[:-1]) or target.any():
            raise ValueError(
                f"{self.label} has no target, and expects zeros of shape {shape[:-1]} as y, got "
                f"{target.dtype} of shape {target.shape}: pass np.zeros({shape[:-1]})"
            )
        return target

    @override
    def terms(self, prediction: Array, target: NDArray[Any]) -> tuple[Array, Array]:
        anchor, positive, negative = np.split(prediction, 3, axis=-1)
        to_positive, near = _direction(anchor - positive + 1e-6)
        to_negative, far = _direction(anchor - negative + 1e-6)
        terms = np.maximum(near - far + self.margin, 0)
        slopes = [to_positive - to_negative, -to_positive, to_negative]
        slope = np.concatenate(slopes, axis=-1) * (terms > 0)[..., np.newaxis]
        return terms, slope


def _direction(difference: Array) -> tuple[Array, Array]:
    """Return vectors of length 1, or 0 for one of zeros, and their lengths before."""
    length = np.sqrt(np.add.reduce(difference * difference, axis=-1))
    return difference / np.where(length > 0, length, 1)[..., np.newaxis], length
