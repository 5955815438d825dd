"""Problems to learn: rows and their targets, each made by a function of NumPy alone.

A page's code for another library contains the source of the function that it calls.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Array

Rows: TypeAlias = tuple[Array, NDArray[Any]]


def moons(*, rows: int, noise: float, seed: int) -> Rows:
    """Return two half circles that interlock, one of each class.

    >>> x, y = moons(rows=6, noise=0.0, seed=0)
    >>> x.shape, y.ravel()
    ((6, 2), array([0., 1., 0., 1., 0., 1.]))
    """
    rng = np.random.default_rng(seed)
    y, angle = np.arange(rows) % 2, rng.uniform(0, np.pi, rows)
    across, up = np.cos(angle) - 0.5 + y, np.sin(angle) * (1 - 2 * y) - 0.25 + 0.5 * y
    x = 0.6 * np.stack([across, up], axis=1)
    return x + rng.normal(0, noise, x.shape), y.astype(float).reshape(-1, 1)


def circles(*, rows: int, noise: float, seed: int) -> Rows:
    """Return a circle of class 1 within one of class 0."""
    rng = np.random.default_rng(seed)
    y, angle = np.arange(rows) % 2, rng.uniform(0, 2 * np.pi, rows)
    radius = np.where(y, 0.35, 0.85)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return x + rng.normal(0, noise, x.shape), y.astype(float).reshape(-1, 1)


def xor(*, rows: int, noise: float, seed: int) -> Rows:
    """Return points of a square; the class is whether both inputs have the same sign."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (rows, 2))
    y = x[:, 0] * x[:, 1] > 0
    return x + rng.normal(0, noise, x.shape), y.astype(float).reshape(-1, 1)


def gaussians(*, rows: int, noise: float, seed: int) -> Rows:
    """Return points of two normal distributions, one of each class."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % 2
    x = np.where(y, 0.4, -0.4).reshape(-1, 1) + rng.normal(0, 0.15, (rows, 2))
    return x + rng.normal(0, noise, x.shape), y.astype(float).reshape(-1, 1)


def spiral(*, rows: int, noise: float, seed: int) -> Rows:
    """Return two arms of a spiral, one of each class."""
    rng = np.random.default_rng(seed)
    y, along = np.arange(rows) % 2, np.sqrt(rng.uniform(0.01, 1, rows))
    angle = 3.2 * np.pi * along + np.pi * y
    x = np.stack([along * np.cos(angle), along * np.sin(angle)], axis=1)
    return x + rng.normal(0, 0.5 * noise, x.shape), y.astype(float).reshape(-1, 1)


def blobs(*, rows: int, noise: float, seed: int) -> Rows:
    """Return three groups of points, whose class is 0, 1 or 2."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % 3
    centers = 0.6 * np.array([[0.0, 1.0], [-0.87, -0.5], [0.87, -0.5]])
    x = centers[y] + rng.normal(0, 0.12, (rows, 2))
    return x + rng.normal(0, noise, x.shape), y


def wave(*, rows: int, noise: float, seed: int) -> Rows:
    """Return one input, and a wave over it to predict."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (rows, 1))
    y = 0.8 * np.sin(1.5 * np.pi * x) * np.exp(-0.4 * x)
    return x, y + rng.normal(0, noise, x.shape)


def total(*, rows: int, noise: float, seed: int) -> Rows:
    """Return two inputs from 0 to 1, and their sum to predict, as in the tutorial."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(rows, 2))
    y = x.sum(axis=1, keepdims=True)
    return x, y + rng.normal(0, noise, y.shape)


def gaussian_sum(*, rows: int, noise: float, seed: int) -> Rows:
    """Return two inputs, and a sum of six Gaussian functions of them to predict."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (rows, 2))
    y = np.zeros((rows, 1))
    for place, center in enumerate([(a, b) for a in (-0.7, 0.0, 0.7) for b in (-0.4, 0.4)]):
        sign = 1 if place % 4 in (1, 2) else -1
        y[:, 0] += sign * np.exp(-((x - center) ** 2).sum(axis=1) / 0.08)
    return x, y + rng.normal(0, noise, y.shape)


def digits(*, rows: int, noise: float, seed: int) -> Rows:
    """Return digits of 8 x 8 pixels from 0 to 1, moved by up to a pixel, with noise."""
    glyphs = """
        .###. ..#.. .###. ####. ...#. ##### .###. ##### .###. .###.
        #...# .##.. #...# ....# ..##. #.... #.... ....# #...# #...#
        #...# ..#.. ...#. .###. .#.#. ####. ####. ...#. .###. .####
        #...# ..#.. ..#.. ....# ##### ....# #...# ..#.. #...# ....#
        .###. .###. ##### ####. ...#. ####. .###. ..#.. .###. .###.
    """
    lines = [line.split() for line in glyphs.split("\n") if line.strip()]
    shapes = [[[pixel == "#" for pixel in line[k]] for line in lines] for k in range(10)]
    rng = np.random.default_rng(seed)
    y, x = np.arange(rows) % 10, np.zeros((rows, 8, 8))
    for picture, k, (down, right) in zip(x, y, rng.integers(0, [4, 4], (rows, 2)), strict=True):
        picture[down : down + 5, right : right + 5] = shapes[k]
    x *= rng.uniform(0.6, 1, (rows, 1, 1))
    return (x + rng.normal(0, noise, x.shape)).clip(0, 1).reshape(rows, 64), y


def hold_out(x: Array, y: Array, *, share: float, seed: int) -> tuple[Array, ...]:
    """Return x and y to train with, and the share of them that is held out as a test, at random.

    >>> x, y, x_test, y_test = hold_out(np.ones((10, 2)), np.ones(10), share=0.3, seed=0)
    >>> len(x), len(x_test)
    (7, 3)
    """
    order = np.random.default_rng(seed).permutation(len(x))
    count = round(len(x) * share)
    train, test = np.sort(order[count:]), np.sort(order[:count])
    return x[train], y[train], x[test], y[test]


def standardized(x: Array, x_test: Array) -> tuple[Array, Array]:
    """Return the inputs with mean 0 and deviation 1 in the rows to train with."""
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    return (x - mean) / deviation, (x_test - mean) / deviation


def with_features(x: Array, names: list[str]) -> Array:
    """Return the inputs that a network gets: functions of the two columns of x, by name.

    >>> with_features(np.array([[2.0, 3.0]]), ["x1", "x0^2", "x0*x1"])
    array([[3., 4., 6.]])
    """
    x0, x1 = x.T
    computed = {
        "x0": x0, "x1": x1, "x0^2": x0**2, "x1^2": x1**2, "x0*x1": x0 * x1,
        "sin(pi x0)": np.sin(np.pi * x0), "sin(pi x1)": np.sin(np.pi * x1),
    }  # fmt: skip
    return np.stack([computed[name] for name in names], axis=1)


PROBLEMS = {
    made.__name__: made
    for made in (
        moons, circles, xor, gaussians, spiral, blobs, wave, total, gaussian_sum, digits
    )
}  # fmt: skip
"""The problems by name."""
