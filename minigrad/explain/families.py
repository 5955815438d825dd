"""How one output number of a recurrent, attention, embedding or pooling layer is computed.

`FAMILIES` has a function for each base class. It takes a `Place`, and returns the right side of the
equation for any unit k, the parts of one number, and what else is shown of it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Final, NamedTuple, cast

import numpy as np

from minigrad.core.layer import Layer
from minigrad.explain.places import Place
from minigrad.explain.products import under_kernel
from minigrad.explain.steps import (
    Limit,
    Note,
    Operand,
    Parts,
    Sum,
    at,
    factor,
    largest,
    number,
    sum_of,
    sum_of_products,
)
from minigrad.layers import GRU, LSTM, Embedding, MultiHeadAttention, pooling
from minigrad.layers.recurrent import Recurrent

_MOST_KEYS = 6


class Family(NamedTuple):
    """The right side of an equation, the parts of one number, and more of it for (row, index)."""

    right: str
    parts: Parts
    note: Note | None = None


def family(place: Place) -> Family | None:
    """Return how a layer's numbers are computed; None if no family knows its `forward`."""
    kind = type(place.layer)
    known = [base for base in FAMILIES if issubclass(kind, base) and kind.forward is base.forward]
    return FAMILIES[known[0]](place) if known else None


def _recurrent(place: Place) -> Family:
    """Write the gates of one unit at one step; each z is b + Σ x w + Σ h u."""
    layer = cast("Recurrent", place.layer)
    inputs, states, _ = layer.cache
    units, steps, matrix = layer.units, len(inputs) - 1, layer.matrix()

    def unit_at(index: int) -> tuple[int, int]:
        step, unit = divmod(index, units) if layer.return_sequences else (steps - 1, index)
        backwards = layer.return_sequences and layer.restores_order
        return (steps - 1 - step if backwards else step), unit

    def gates(row: int, index: int) -> list[tuple[str, str, float]]:
        """Return (name, formula, value) of each gate, of the state, and of h."""
        step, unit = unit_at(index)
        products = inputs[step, :, row] * matrix[:, unit::units].T
        z = [[p[-1], p[units:-1].sum(), p[:units].sum()] for p in products]
        (before, h), *cell = [state[step : step + 2, unit, row] for state in states]
        if isinstance(layer, LSTM):
            i, f, o = (_sigmoid(sum(z[gate])) for gate in (0, 1, 3))
            g, (c_before, c) = float(np.tanh(sum(z[2]))), cell[0]
            return [
                ("i", f"sigmoid({_added(*z[0])})", i),
                ("f", f"sigmoid({_added(*z[1])})", f),
                ("g", f"tanh({_added(*z[2])})", g),
                ("o", f"sigmoid({_added(*z[3])})", o),
                ("c", f"{_times(f, c_before)} + {_times(i, g)}", c),
                ("h", f"{number(o)} × tanh({number(c)})", h),
            ]
        if isinstance(layer, GRU):
            d = layer.recurrent_bias.value[unit] if layer.recurrent_bias else 0.0
            (r, u), k = (_sigmoid(sum(z[gate])) for gate in (0, 1)), d + z[2][2]
            n = float(np.tanh(z[2][0] + z[2][1] + r * k))
            return [
                ("r", f"sigmoid({_added(*z[0])})", r),
                ("u", f"sigmoid({_added(*z[1])})", u),
                ("k", _added(d, z[2][2]), k),
                ("n", f"tanh({_added(*z[2][:2])} + {_times(r, k)})", n),
                ("h", f"(1 - {number(u)}) × {_enclosed(n)} + {_times(u, before)}", h),
            ]
        return [("h", f"tanh({_added(*z[0])})", h)]

    def note(row: int, index: int) -> list[str]:
        step, unit = unit_at(index)
        name, told = at(place.h.name, place.h.shape, index), gates(row, index)
        width = max(len(formula) for _, formula, _ in told)
        head = (
            f"{name} is unit {unit} of step {step}; z of a gate is b + the sums of x w and of h u"
        )
        return [head, *(f"  {gate} = {f:{width}} = {number(v)}" for gate, f, v in told)]

    kinds = {LSTM: "o tanh(c), c = f c + i g", GRU: "(1 - u) n + u h"}
    right = kinds.get(type(layer), "tanh(b + Σ x w + Σ h u)")
    return Family(right, lambda row, index, _: gates(row, index)[-1][1], note)


def _attention(place: Place) -> Family:
    """Write h = m w + b, where m is the mean of the values v by the attention weights."""
    _, _, weights, mixed = place.layer.cache
    w, bias = place.parameters["output_weight"], place.parameters.get("output_bias")
    features = place.h.shape[-1]

    def parts(row: int, index: int, _: Limit) -> Sum:
        position, unit = divmod(index, features)
        m, values, each = mixed[row].reshape(-1, features), w.source.value, np.arange(features)
        return sum_of_products(
            Operand("m", m, position * features + each),
            Operand(w.name, values, each * features + unit),
            first=(factor(bias.name, bias.source.value, unit),) if bias else (),
        )

    def note(row: int, index: int) -> list[str]:
        position = index // features
        written = [f"position {position} of the query attends to the keys, by number: weight"]
        for head, by_key in enumerate(weights[row, :, :, position]):
            keys = largest(by_key, _MOST_KEYS)
            more = f"  ({by_key.size - len(keys)} more)" if len(keys) < by_key.size else ""
            told = "  ".join(f"{key}: {by_key[key]:.3f}" for key in keys)
            written.append(f"  head {head}: {told}{more}")
        return written

    added = f"{bias.name}[k] + " if bias else ""
    return Family(f"{added}Σ_j m[t,j] {w.name}[j,k]", parts, note)


def _embedding(place: Place) -> Family:
    w, x, width = place.parameters["weight"], place.x, place.h.shape[-1]

    def parts(row: int, index: int, _: Limit) -> Sum:
        position, unit = divmod(index, width)
        index = int(place.input[row].flat[position]) * width + unit
        return sum_of([factor(w.name, w.source.value, index)])

    return Family(f"{w.name}[{at(x.name, x.shape, ','.join('tuvw'[: len(x.shape)]))},k]", parts)


def _pooling(place: Place) -> Family:
    """Write the window of one output number; positions under the padding don't count."""
    layer, x, channels = place.layer, place.x, place.h.shape[-1]
    means = isinstance(layer, (pooling.AveragePooling, pooling.GlobalAveragePooling))
    under = np.arange(prod(x.shape[:-1])).reshape(-1, 1)  # one window: all positions
    if isinstance(layer, pooling.Pooling):
        under = under_kernel(layer.cache[0])

    def parts(row: int, index: int, limit: Limit) -> Sum | str:
        position, channel = divmod(index, channels)
        taken = [int(i) * channels + channel for i in under[:, position] if i >= 0]
        values = place.input[row].ravel()[taken]
        if not means:
            return f"max({', '.join(map(number, np.sort(values)[::-1][: limit.most]))})"
        return sum_of([factor(x.name, place.input[row], i) for i in taken], 1 / len(taken))

    return Family(f"{'mean' if means else 'max'} of the window of {x.name}", parts)


FAMILIES: Final[dict[type[Layer], Callable[[Place], Family]]] = {
    Recurrent: _recurrent,
    MultiHeadAttention: _attention,
    Embedding: _embedding,
    pooling.MaxPooling: _pooling,
    pooling.AveragePooling: _pooling,
    pooling.GlobalMaxPooling: _pooling,
    pooling.GlobalAveragePooling: _pooling,
}


def _sigmoid(z: float) -> float:
    return float((1 + np.tanh(z / 2)) / 2)


def _enclosed(value: float) -> str:
    return f"({number(value)})" if value < 0 else number(value)


def _times(left: float, right: float) -> str:
    return f"{number(left)} × {_enclosed(right)}"


def _added(first: float, *others: float) -> str:
    """Write a sum of numbers, such as '0.5 - 0.25'."""
    signed = (f" {'-' if v < 0 else '+'} {number(abs(v))}" for v in others)
    return number(first) + "".join(signed)
