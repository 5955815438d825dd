"""How one output number of a recurrent, attention, embedding or pooling layer is computed.

`FAMILIES` has a function for each base class. It takes a `Place`, and returns the right side of the
equation for any unit k, the parts of one number, and what else is shown of it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Final, NamedTuple

import numpy as np

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array
from minigrad.explain.affine import under_kernel
from minigrad.explain.places import Place
from minigrad.explain.steps import Factor, Limit, Parts, Sum, at, factor, largest, number
from minigrad.layers import GRU, LSTM, Embedding, MultiHeadAttention
from minigrad.layers.pooling import (
    AveragePooling,
    GlobalAveragePooling,
    GlobalMaxPooling,
    MaxPooling,
    Pooling,
)
from minigrad.layers.recurrent import Recurrent

_MOST_KEYS = 6


class Family(NamedTuple):
    """The right side of an equation, the parts of one number, and more of it for (row, index)."""

    right: str
    parts: Parts
    note: Callable[[int, int], list[str]] | None = None


def family(place: Place) -> Family | None:
    """Return how a layer's numbers are computed; None if no family knows its `forward`."""
    kind = type(place.layer)
    for base, made in FAMILIES.items():
        if issubclass(kind, base) and kind.forward is base.forward:
            return made(place)
    return None


def reaches(layer: Layer, source: int, position: int, length: int) -> bool:
    """Return whether an output position of a layer over sequences depends on an input position."""
    if isinstance(layer, Recurrent) and layer.return_sequences:
        read = length - 1 - source if layer.go_backwards else source
        return read <= (length - 1 - position if layer.restores_order else position)
    return not (isinstance(layer, MultiHeadAttention) and layer.causal) or source <= position


def _recurrent(place: Place) -> Family:
    """Write the gates of one unit at one step; each z is b + Σ x w + Σ h u."""
    layer = place.layer
    assert isinstance(layer, Recurrent)
    inputs, states, _ = layer.cache
    units, steps = layer.units, len(inputs) - 1
    matrix = layer.matrix()

    def unit_at(index: int) -> tuple[int, int]:
        if not layer.return_sequences:
            return steps - 1, index
        step, unit = divmod(index, units)
        return (steps - 1 - step if layer.restores_order else step), unit

    def sums(row: int, step: int, column: int) -> list[float]:
        """Return b, Σ x w and Σ h u of one column."""
        products = inputs[step, :, row] * matrix[:, column]
        return [float(products[-1]), float(products[units:-1].sum()), float(products[:units].sum())]

    def lines(row: int, index: int) -> list[tuple[str, str, float]]:
        """Return (name, formula, value) of each gate, of the state, and of h."""
        step, unit = unit_at(index)
        columns = [sums(row, step, gate * units + unit) for gate in range(layer.gates)]
        z = [_added(column) for column in columns]
        before, after = (float(states[0][s, unit, row]) for s in (step, step + 1))
        if isinstance(layer, LSTM):
            i, f, _, o = (_sigmoid(sum(column)) for column in columns)
            g = float(np.tanh(sum(columns[2])))
            c_before, c = (float(states[1][s, unit, row]) for s in (step, step + 1))
            return [
                ("i", f"sigmoid({z[0]})", i), ("f", f"sigmoid({z[1]})", f),
                ("g", f"tanh({z[2]})", g), ("o", f"sigmoid({z[3]})", o),
                ("c", f"{_times(f, c_before)} + {_times(i, g)}", c),
                ("h", f"{number(o)} × tanh({number(c)})", after),
            ]  # fmt: skip
        if isinstance(layer, GRU):
            r, u = (_sigmoid(sum(column)) for column in columns[:2])
            bias, from_x, from_h = columns[2]
            d = 0.0 if layer.recurrent_bias is None else float(layer.recurrent_bias.value[unit])
            k = d + from_h
            n = float(np.tanh(bias + from_x + r * k))
            return [
                ("r", f"sigmoid({z[0]})", r), ("u", f"sigmoid({z[1]})", u),
                ("k", _added([d, from_h]), k),
                ("n", f"tanh({_added([bias, from_x])} + {_times(r, k)})", n),
                ("h", f"(1 - {number(u)}) × {_enclosed(n)} + {_times(u, before)}", after),
            ]  # fmt: skip
        return [("h", f"tanh({z[0]})", after)]

    def note(row: int, index: int) -> list[str]:
        step, unit = unit_at(index)
        name, gates = at(place.h.name, place.h.shape, index), lines(row, index)
        head = (
            f"{name} is unit {unit} of step {step}; z of a gate is b + the sums of x w and of h u"
        )
        width = max(len(formula) for _, formula, _ in gates)
        return [head, *(f"  {n} = {formula:{width}} = {number(v)}" for n, formula, v in gates)]

    right = "tanh(b + Σ x w + Σ h u)"
    if isinstance(layer, (LSTM, GRU)):
        right = "o tanh(c), c = f c + i g" if isinstance(layer, LSTM) else "(1 - u) n + u h"
    return Family(right, lambda row, index, _: lines(row, index)[-1][1], note)


def _attention(place: Place) -> Family:
    """Write h = m w + b, where m is the mean of the values v by the attention weights."""
    layer, h = place.layer, place.h
    assert isinstance(layer, MultiHeadAttention)
    _, _, weights, mixed = layer.cache
    w, bias = place.parameters["output_weight"], place.parameters.get("output_bias")
    features = h.shape[-1]

    def parts(row: int, index: int, _: Limit) -> Sum:
        position, unit = divmod(index, features)
        m = mixed[row].reshape(-1, features)
        return Sum(
            m[position] * w.source.value[:, unit],
            lambda j: (
                factor("m", m, position * features + j),
                factor(w.name, w.source.value, j * features + unit),
            ),
            first=(factor(bias.name, bias.source.value, unit),) if bias else (),
        )

    def note(row: int, index: int) -> list[str]:
        position = index // features
        written = [f"position {position} of the query attends to the keys, by number: weight"]
        for head, by_key in enumerate(weights[row, :, :, position]):
            keys = largest(by_key, _MOST_KEYS)
            shown = "  ".join(f"{key}: {by_key[key]:.3f}" for key in keys)
            more = f"  ({by_key.size - len(keys)} more)" if len(keys) < by_key.size else ""
            written.append(f"  head {head}: {shown}{more}")
        return written

    added = f"{bias.name}[k] + " if bias else ""
    return Family(f"{added}Σ_j m[t,j] {w.name}[j,k]", parts, note)


def _embedding(place: Place) -> Family:
    w, x = place.parameters["weight"], place.x
    width = place.h.shape[-1]

    def parts(row: int, index: int, _: Limit) -> Sum:
        position, unit = divmod(index, width)
        number_of_id = int(place.input[row].flat[position])
        one = factor(w.name, w.source.value, number_of_id * width + unit)
        return Sum(np.array([one[1]]), lambda _: (one,))

    index = ",".join([*"tuvw"[: len(x.shape)]])
    return Family(f"{w.name}[{x.name}[{index}],k]" if index else f"{w.name}[{x.name},k]", parts)


def _pooling(place: Place) -> Family:
    """Write the window of one output number; positions under the padding don't count."""
    layer, channels = place.layer, place.h.shape[-1]
    averages = isinstance(layer, (AveragePooling, GlobalAveragePooling))
    taken = np.arange(prod(place.x.shape[:-1])).reshape(-1, 1)  # one window: all positions
    if isinstance(layer, Pooling):
        taken = under_kernel(layer.cache[0])

    def window(row: int, index: int) -> tuple[Array, list[int]]:
        position, channel = divmod(index, channels)
        x = place.input[row]
        return x, [int(i) * channels + channel for i in taken[:, position] if i >= 0]

    def parts(row: int, index: int, limit: Limit) -> Sum | str:
        x, places = window(row, index)
        if averages:
            share: Factor = ("factor", 1 / len(places))
            values = x.ravel()[places]
            return Sum(values / len(places), lambda i: (share, factor(place.x.name, x, places[i])))
        shown = largest(x.ravel()[places], limit.of(len(places)))
        return f"max({', '.join(number(float(x.flat[places[i]])) for i in shown)})"

    kind = "mean" if averages else "max"
    return Family(f"{kind} of the window of {place.x.name}", parts)


FAMILIES: Final[dict[type[Layer], Callable[[Place], Family]]] = {
    Recurrent: _recurrent,
    MultiHeadAttention: _attention,
    Embedding: _embedding,
    MaxPooling: _pooling,
    AveragePooling: _pooling,
    GlobalMaxPooling: _pooling,
    GlobalAveragePooling: _pooling,
}


def _sigmoid(z: float) -> float:
    return float((1 + np.tanh(z / 2)) / 2)


def _enclosed(value: float) -> str:
    return f"({number(value)})" if value < 0 else number(value)


def _times(left: float, right: float) -> str:
    return f"{number(left)} × {_enclosed(right)}"


def _added(values: list[float]) -> str:
    """Write a sum of numbers, such as '0.5 - 0.25'."""
    first, *others = values
    return number(first) + "".join(
        f" - {number(-v)}" if v < 0 else f" + {number(v)}" for v in others
    )
