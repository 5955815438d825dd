"""How the numbers of recurrent, attention, embedding and pooling layers are computed."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Final, cast

import numpy as np

from minigrad.core.layer import Layer
from minigrad.explain.formula import evaluate, known_base, right_sides, write
from minigrad.explain.places import Place
from minigrad.explain.products import under_kernel
from minigrad.explain.steps import (
    Limit,
    Operand,
    Rule,
    Sum,
    Written,
    agrees,
    at,
    factor,
    largest,
    number,
    sum_of,
    sum_of_products,
)
from minigrad.layers import GRU, LSTM, Embedding, MultiHeadAttention, SimpleRNN, pooling
from minigrad.layers.recurrent import Recurrent

_MOST_KEYS = 6
_LSTM = "i = sigmoid(z_i); f = sigmoid(z_f); g = tanh(z_g); o = sigmoid(z_o); c = f c_0 + i g"
_GRU = "r = sigmoid(z_r); u = sigmoid(z_u); k = z_k; n = tanh(z_n + r k); h = (1 - u) n + u h_0"
_GATES: Final[dict[type[Recurrent], tuple[str, str, dict[str, str]]]] = {
    LSTM: ("ifgo", "o tanh(c), c = f c + i g", right_sides(f"{_LSTM}; h = o tanh(c)")),
    GRU: ("runk", "(1 - u) n + u h", right_sides(_GRU)),
    SimpleRNN: ("h", "tanh(b + Σ x w + Σ h u)", right_sides("h = tanh(z_h)")),
}
"""The gates in the order of the cache, the equation for any unit, and those of one number."""


def family(place: Place) -> Rule | None:
    """Return how a layer's numbers are computed; None if no family knows its `forward`."""
    base = known_base(type(place.layer), FAMILIES)
    unit = ",".join([*"tuvw"[: len(place.h.shape) - 1], "k"])
    return FAMILIES[base](place)._replace(unit=unit) if base else None


def _recurrent(place: Place) -> Rule:
    """Write the gates of one unit at one step; each z is b + Σ x w + Σ h u."""
    layer = cast("Recurrent", place.layer)
    inputs, states, kept = layer.cache
    units, steps, matrix = layer.units, len(inputs) - 1, layer.matrix()
    names, right, sides = next(known for kind, known in _GATES.items() if isinstance(layer, kind))

    def unit_at(index: int) -> tuple[int, int]:
        step, unit = divmod(index, units) if layer.return_sequences else (steps - 1, index)
        backwards = layer.return_sequences and layer.restores_order
        return (steps - 1 - step if backwards else step), unit

    def gates(row: int, index: int) -> list[tuple[str, Written, float]]:
        """Return (name, formula, value) of each gate, of the state, and of h."""
        step, unit = unit_at(index)
        products = inputs[step, :, row] * matrix[:, unit::units].T
        z = [[p[-1], p[units:-1].sum(), p[:units].sum()] for p in products]
        if isinstance(layer, GRU):  # k is apart from the rest of z_n
            z.append(
                [layer.recurrent_bias.value[unit] if layer.recurrent_bias else 0.0, z[2].pop()]
            )
        written = {f"z_{name}": _added(*parts) for name, parts in zip(names, z, strict=True)}
        values = dict(zip(names, kept[0][step, :, unit, row], strict=True)) if kept else {}
        for name, state in zip(layer.states, states, strict=True):
            values[f"{name}_0"], values[name] = state[step : step + 2, unit, row]
        written |= {name: number(value) for name, value in values.items()}
        values |= {f"z_{name}": sum(parts) for name, parts in zip(names, z, strict=True)}

        def told(side: str) -> Written:
            evaluated = evaluate(side, lambda word, _: values[word])
            return Written(write(side, written.get), *evaluated) if evaluated else Written()

        return [(name, told(side), values[name]) for name, side in sides.items()]

    def note(row: int, index: int) -> list[str]:
        step, unit = unit_at(index)
        name = at(place.h.name, place.h.shape, index)
        told = [
            (gate, formula.text, value)
            for gate, formula, value in gates(row, index)
            if agrees(value, formula.value, formula.size, place.output.dtype)
        ]
        width = max((len(formula) for _, formula, _ in told), default=0)
        head = (
            f"{name} is unit {unit} of step {step}; z of a gate is b + the sums of x w and of h u"
        )
        return [head, *(f"  {gate} = {f:{width}} = {number(v)}" for gate, f, v in told)]

    return Rule(right, lambda row, index, _: gates(row, index)[-1][1], note=note)


def _attention(place: Place) -> Rule:
    """Write h = m w + b, where m is the mean of the values v by the attention weights."""
    *_, weights, mixed = place.layer.cache
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
    return Rule(f"{added}Σ_j m[t,j] {w.name}[j,k]", parts, note=note)


def _embedding(place: Place) -> Rule:
    w, x, width = place.parameters["weight"], place.x, place.h.shape[-1]

    def parts(row: int, index: int, _: Limit) -> Sum:
        position, unit = divmod(index, width)
        index = int(place.input[row].flat[position]) * width + unit
        return sum_of([factor(w.name, w.source.value, index)])

    return Rule(f"{w.name}[{at(x.name, x.shape, ','.join('tuvw'[: len(x.shape)]))},k]", parts)


def _pooling(place: Place) -> Rule:
    """Write the window of one output number; positions under the padding don't count."""
    layer, x, channels = place.layer, place.x, place.h.shape[-1]
    means = isinstance(layer, (pooling.AveragePooling, pooling.GlobalAveragePooling))
    under = np.arange(prod(x.shape[:-1])).reshape(-1, 1)  # one window: all positions
    if isinstance(layer, pooling.Pooling):
        under = under_kernel(layer.cache[0])

    def parts(row: int, index: int, limit: Limit) -> Sum | Written:
        position, channel = divmod(index, channels)
        taken = [int(i) * channels + channel for i in under[:, position] if i >= 0]
        values = place.input[row].ravel()[taken]
        if not means:
            largest_first = np.sort(values)[::-1]
            text = f"max({', '.join(map(number, largest_first[: limit.most]))})"
            return Written(text, float(largest_first[0]))
        return sum_of([factor(x.name, place.input[row], i) for i in taken], 1 / len(taken))

    return Rule(f"{'mean' if means else 'max'} of the window of {x.name}", parts)


FAMILIES: Final[dict[type[Layer], Callable[[Place], Rule]]] = {
    SimpleRNN: _recurrent,
    LSTM: _recurrent,
    GRU: _recurrent,
    MultiHeadAttention: _attention,
    Embedding: _embedding,
    pooling.MaxPooling: _pooling,
    pooling.AveragePooling: _pooling,
    pooling.GlobalMaxPooling: _pooling,
    pooling.GlobalAveragePooling: _pooling,
}


def _added(first: float, *others: float) -> str:
    """Write a sum of numbers, such as '0.5 - 0.25'."""
    signed = (f" {'-' if v < 0 else '+'} {number(abs(v))}" for v in others)
    return number(first) + "".join(signed)
