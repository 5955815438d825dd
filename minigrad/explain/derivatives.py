"""The derivatives of any layer, from its own `backward`, which is linear in delta."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from math import prod
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Array
from minigrad.explain.places import Place
from minigrad.explain.steps import Factors, Limit, Operand, Rule, Sum, Written, at, sum_of
from minigrad.layers.affine import Affine

_MOST_CELLS: Final = 2_000_000
_MOST_PASSES: Final = 4096
"""Derivatives that take more numbers, or more calls of `backward`, are not computed."""


def row_gradients(place: Place, attribute: str) -> Array:
    """Return what each row adds to the gradient of a parameter, of shape (rows, ...)."""
    delta, _ = place.deltas
    if place.linear:
        x, delta = (a.reshape(len(a), -1, a.shape[-1]) for a in (place.input, delta))
        with np.errstate(all="ignore"):
            gradients: Array = delta.sum(axis=1)
            if attribute == "weight":
                gradients = np.matmul(x.swapaxes(1, 2), delta)
        return gradients
    parts = []
    for row in range(len(delta)):
        alone = np.zeros_like(delta)
        alone[row] = delta[row]
        parts.append(_run_backward(place, alone, attribute))
    return np.stack(parts)


def gradient_rule(place: Place, attribute: str) -> Rule:
    """Return the rule of a gradient: a sum over the outputs of one row, or over several rows."""
    p, h, rows = place.parameters[attribute], place.h, len(place.output)
    shape, size = p.source.shape, p.source.size
    passes = rows if rows > 1 else prod(h.shape)

    @cache
    def pieces() -> Array:
        if rows > 1:
            return row_gradients(place, attribute).reshape(rows, size)
        return np.stack([*_derivatives(place, 0, passes, attribute)]).reshape(passes, size)

    def parts(_: int, index: int, __: Limit) -> Sum | Written:
        if passes > _MOST_PASSES or passes * size > _MOST_CELLS:
            return Written()
        column = pieces()[:, index]
        if rows > 1:
            return sum_of([(f"row {row}", float(value)) for row, value in enumerate(column)])
        return _chain_rule(place, range(1), np.arange(passes), column, at(p.name, shape, index))

    right = f"Σ_m {h.delta}[m] ∂{h.name}[m]/∂{at(p.name, shape, 'i')}"
    return Rule(right, parts, "i")


def input_delta_rule(place: Place, i: int) -> Rule:
    """Return the rule of dJ/dinput i: a sum over all outputs that depend on one number of it."""
    x, h = place.xs[i], place.h
    jacobian, size = cache(lambda row: _jacobian(place, row, i)), prod(h.shape)

    def parts(row: int, unit: int, _: Limit) -> Sum | Written:
        reached, cells = jacobian(row)
        if cells is None:
            return Written()
        slopes = cells[:, unit]
        used = np.flatnonzero(slopes) if slopes.any() else np.array([unit % size])
        return _chain_rule(place, reached, used, slopes, at(x.name, x.shape, unit))

    return Rule(f"Σ_m {h.delta}[m] ∂{h.name}[m]/∂{x.name}[k]", parts)


def _chain_rule(
    place: Place, reached: range, used: NDArray[np.intp], slopes: Array, under: str
) -> Sum:
    """Return Σ_m δ[m] ∂h[m]/∂under, where m runs over the used outputs of the rows reached."""
    h, delta, several = place.h, place.deltas[0], len(reached) > 1
    back = Operand(h.delta, delta if several else delta[reached.start], used, of_rows=several)
    output = back._replace(name=h.name)

    def factors(i: int) -> Factors:
        return back.factor(i), (f"∂{output.factor(i)[0]}/∂{under}", float(slopes[used[i]]))

    return Sum(back.values.ravel()[used] * slopes[used], factors)


def _jacobian(place: Place, row: int, i: int) -> tuple[range, Array | None]:
    """Return the rows that depend on a row's input, and d outputs / d input.

    They are None if there are too many, or if they don't agree with what the layer passed back.
    """
    delta, input_delta = place.deltas[0], cast("Array", place.input_deltas[i])
    reached = range(len(delta)) if place.layer.batch_dependent else range(row, row + 1)
    passes = len(reached) * prod(delta.shape[1:])
    if passes > _MOST_PASSES or passes * input_delta[row].size > _MOST_CELLS:
        return reached, None
    cells = np.stack([one[row].ravel() for one in _derivatives(place, reached.start, passes, i)])
    with np.errstate(all="ignore"):
        terms = delta[reached.start : reached.stop].reshape(-1, 1) * cells
        missed = np.abs(terms.sum(axis=0) - input_delta[row].ravel()).max()
        scale = np.abs(terms).sum(axis=0).max()
    # The limit allows for rounding: a normalization subtracts nearly equal numbers.
    return reached, cells if missed <= np.finfo(cells.dtype).eps ** 0.5 * scale else None


def _derivatives(place: Place, row: int, count: int, by: int | str) -> Iterator[Array]:
    """Yield the derivatives of `count` outputs from `row` on, by an input or a parameter.

    `backward` is linear in delta, so a delta of 1 for one output returns its derivatives.
    """
    for item in range(count):
        one = np.zeros_like(place.output)
        one.flat[row * one[0].size + item] = 1
        yield _run_backward(place, one, by)


def _run_backward(place: Place, delta: Array, by: int | str) -> Array:
    """Return dJ/dinput for a delta, by its index, or the gradient of a parameter, by attribute."""
    layer = place.layer
    if isinstance(layer, Affine) and place.affine:  # delta is dJ/dz, before the activation
        kept, layer = layer.cache, copy.copy(layer)
        layer.cache, vars(layer)["activation"] = kept, None
    with np.errstate(all="ignore"):
        found = type(layer).backward(layer, delta)
    if isinstance(by, str):
        return dict(layer.own_parameters())[by].grad.copy()
    input_delta: Array = found[by] if isinstance(found, tuple) else found
    return input_delta
