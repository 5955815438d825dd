"""Losses for regression: the squared, the absolute and the Huber error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.core.loss import Loss
from minigrad.data.arrays import Array
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import check_positive


@register
class MSELoss(Loss):
    """Squared error: the terms are (a_k - t_k)^2, so dterm/da_k = 2 (a_k - t_k).

    "mean" divides by rows times outputs, as in PyTorch and Keras. `reduction="sum", scale=0.5`
    gives J = 1/2 sum (a_k - t_k)^2, Equation 1, whose derivative is (a_k - t_k).

    >>> loss = MSELoss(reduction="sum", scale=0.5)
    >>> loss.forward(np.array([[1.0, 3.0]]), np.array([[0.0, 1.0]])), loss.backward()
    (2.5, array([[1., 2.]]))
    """

    equation = "l = (a - t)^2; l' = 2 (a - t)"

    @override
    def terms(self, prediction: Array, target: NDArray[Any]) -> tuple[Array, Array]:
        error = prediction - target
        return error * error, 2.0 * error


@register
class L1Loss(Loss):
    """Absolute error: the terms are |a_k - t_k|, so dterm/da_k = sign(a_k - t_k), 0 at 0.

    The median minimizes it, so outliers have little influence. Its name is "l1" or "mae".

    >>> loss = L1Loss()
    >>> loss.forward(np.array([[1.0, -3.0]]), np.array([[0.0, 1.0]])), loss.backward()
    (2.5, array([[ 0.5, -0.5]]))
    """

    equation = "l = |a - t|; l' = sign(a - t)"

    @override
    def terms(self, prediction: Array, target: NDArray[Any]) -> tuple[Array, Array]:
        error = prediction - target
        return np.abs(error), np.sign(error)


@register
@options
class HuberLoss(Loss):
    """Huber loss of e = a_k - t_k: e^2 / 2 up to |e| = delta, delta (|e| - delta / 2) beyond.

    Both terms are c (e - c / 2) with c = e clipped to [-delta, delta], and dterm/da_k = c.
    `HuberLoss(delta=b, scale=1 / b)` is PyTorch's SmoothL1Loss(beta=b).
    Source: Huber, Robust estimation of a location parameter, 1964, equation 2.2.

    >>> loss = HuberLoss(delta=1.0, reduction="sum")
    >>> loss.forward(np.array([[0.5, 3.0]]), np.array([[0.0, 0.0]])), loss.backward()
    (2.625, array([[0.5, 1. ]]))
    """

    equation = (
        "l = (a - t)^2 / 2 if |a - t| <= delta else delta (|a - t| - delta / 2); "
        "l' = a - t if |a - t| <= delta else delta sign(a - t)"
    )

    delta: float = option(check_positive, default=1.0)
    """The error where squared changes to absolute, in the unit of the targets; above 0."""

    @override
    def terms(self, prediction: Array, target: NDArray[Any]) -> tuple[Array, Array]:
        error = prediction - target
        c = np.clip(error, -self.delta, self.delta)
        return c * (error - c / 2), c
