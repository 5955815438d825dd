"""The largest curvature of the loss, and the learning rate above which descent is unstable."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan

import numpy as np

from minigrad.diagnose.landscape import Vector
from minigrad.optimizers import SGD

_MOST_PRODUCTS = 30
_SETTLED = 4
_GROWTH = 0.003
"""Done where lambda grew by no more than this share of it in the last products."""
_BESIDE = 1e-4
_STEP = 1e-7
"""Both in units of the largest parameter: how far beside theta, and how far apart there."""


def largest_curvature(gradient: Callable[[Vector], Vector], theta: Vector) -> float:
    """Return lambda_max, the largest eigenvalue of the Hessian H = d^2 J / dtheta^2.

    A power iteration multiplies a vector by H again and again; Lanczos's method takes the best
    estimate that all of its vectors give together, of which it keeps three. It finds the largest
    eigenvalue where one below zero is larger in size, too, and comes near from below, within 1 %
    as a rule. A product is a difference of gradients, H v = (g(theta + h v) - g(theta)) / h. The
    start vector is always the same. Measured a hair beside theta, where no rectifier stands
    exactly on its kink.

    Args:
        gradient: g(theta), a new array.
        theta: where.

    Returns:
        lambda_max, or NaN where a gradient isn't finite.

    Source: Pearlmutter, Fast exact multiplication by the Hessian, 1994; Golub and Van Loan,
    Matrix computations, 2013, section 10.1.

    >>> hessian = np.diag([-5.0, 1.0, 3.0])
    >>> round(largest_curvature(lambda theta: hessian @ theta, np.ones(3)), 4)
    3.0
    """
    theta = beside(theta)
    h = _STEP * _size(theta)
    g = gradient(theta)
    v = np.random.default_rng(1).standard_normal(theta.size)
    v /= float(np.linalg.norm(v))
    before, beta = np.zeros_like(theta), 0.0
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    estimates = [-inf]
    while len(diagonal) < min(_MOST_PRODUCTS, theta.size):
        w = (gradient(theta + h * v) - g) / h - beta * before
        if not np.isfinite(w).all():
            return nan
        diagonal.append(float(v @ w))
        w -= diagonal[-1] * v
        beta = float(np.linalg.norm(w))
        eigenvalues = np.linalg.eigvalsh(
            np.diag(diagonal) + np.diag(off_diagonal, 1) + np.diag(off_diagonal, -1)
        )
        estimates.append(float(eigenvalues[-1]))
        settled = np.ptp(estimates[-_SETTLED:]) <= _GROWTH * abs(estimates[-1])
        exhausted = beta <= 1e-7 * float(np.abs(eigenvalues).max())
        if settled or exhausted:
            break
        before, v = v, w / beta
        off_diagonal.append(beta)
    return estimates[-1]


def stability_limit(optimizer: SGD, curvature: float) -> float:
    """Return the learning rate above which gradient descent leaves a bowl of this curvature.

    It is 2 / lambda, with momentum m 2 (1 + m) / lambda, with Nesterov's look ahead
    2 (1 + m) / ((1 + 2 m) lambda); weight decay d adds d to lambda. Infinite where lambda isn't
    above zero. Each step multiplies the distance along that direction by 1 - rate * lambda, whose
    size is above 1 beyond the limit; with momentum it is the larger root of z^2 -
    (1 + m - rate * lambda) z + m, or for Nesterov of z^2 - (1 + m) s z + m s with
    s = 1 - rate * lambda.

    >>> stability_limit(SGD(learning_rate=0.1), 4.0)
    0.5
    >>> stability_limit(SGD(learning_rate=0.1, momentum=0.5), 4.0)
    0.75
    """
    m = optimizer.momentum
    curvature += optimizer.weight_decay
    if curvature <= 0:
        return inf
    return 2 * (1 + m) / (curvature * (1 + 2 * m if optimizer.nesterov else 1))


def beside(theta: Vector) -> Vector:
    """Return parameters a hair beside these, where no rectifier stands exactly on its kink.

    It would with a bias of 0 and a row of zeros, and the gradient jumps there.
    """
    rng = np.random.default_rng(0)
    return theta + _BESIDE * _size(theta) * rng.standard_normal(theta.size)


def _size(theta: Vector) -> float:
    return float(np.abs(theta).max(initial=0.0)) or 1.0
