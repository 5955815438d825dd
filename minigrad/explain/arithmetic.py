"""How the numbers of layers are computed: a rule for each family, and one for any other layer.

- `Products`: `Dense` and convolutions, whose factors are read off `backward`.
- `family`: recurrent, attention, embedding and pooling layers.
- `derivative_rule`: the derivatives of any layer, from its `backward`, which is linear in delta.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from math import prod
from typing import Any, Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array
from minigrad.explain.formula import evaluate, known_base, right_sides, write
from minigrad.explain.places import Place
from minigrad.explain.steps import (
    Factors,
    Limit,
    Operand,
    Rule,
    Sum,
    Written,
    agrees,
    at,
    factor,
    number,
    over_rows,
    sum_of,
    sum_of_products,
)
from minigrad.layers import (
    GRU,
    LSTM,
    Embedding,
    SimpleRNN,
    pooling,
)
from minigrad.layers.affine import Affine
from minigrad.layers.convolution import Convolution, ConvolutionTranspose
from minigrad.layers.recurrent import Recurrent
from minigrad.layers.windows import Windows, per_axis

_Places: TypeAlias = NDArray[np.intp]

_MOST_USED: Final = 64  # numbers of a window that a page marks
_WIDEST = 5  # rows and columns of a window that are shown
_BESIDE = 3  # columns of a window that fit beside those of the kernel
_MOST_CELLS: Final = 2_000_000
_MOST_PASSES: Final = 4096
"""Derivatives that take more numbers, or more calls of `backward`, are not computed."""
_LSTM = "i = sigmoid(z_i); f = sigmoid(z_f); g = tanh(z_g); o = sigmoid(z_o); c = f c_0 + i g"
_GRU = "r = sigmoid(z_r); u = sigmoid(z_u); k = z_k; n = tanh(z_n + r k); h = (1 - u) n + u h_0"
GATES: Final[dict[type[Recurrent], tuple[str, str, dict[str, str]]]] = {
    LSTM: ("ifgo", "o tanh(c), c = f c + i g", right_sides(f"{_LSTM}; h = o tanh(c)")),
    GRU: ("runk", "(1 - u) n + u h", right_sides(_GRU)),
    SimpleRNN: ("h", "tanh(b + Σ x w + Σ h u)", right_sides("h = tanh(z_h)")),
}
"""The gates in the order of the cache, the equation for any unit, and those of one number."""


class Products:
    """z = b + Σ x w: the `rules` of z, and of dJ/d of the weight, the bias and the input.

    Which numbers meet in a product is read off the layer's own `backward`: with a 1 at one place
    of x, w or dJ/dz, and with numbers that count up in another, the third has the number's place.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.w, self.bias = place.parameters["weight"], place.parameters.get("bias")
        self.weight: Array = self.w.source.value
        self.turned = isinstance(place.layer, ConvolutionTranspose)
        self._pairs = cache(self._meeting_in_vectors if place.linear else self._meeting)
        self._write()

    def _meeting(self, one: str, index: int) -> tuple[_Places, _Places]:
        """Return the flat indices of the other two factors of each product with one number.

        The number is of "x", "w" or "z". The products are in the order of w, or else of x.
        """
        layer: Any = copy.copy(self.place.layer)
        w = np.zeros_like(self.weight) if one == "w" else self.weight
        arrays = {
            "x": _counting(self.place.input[:1]),
            "z": _counting(self.place.output[:1]),
            "w": w,
        }
        if one != "w":
            arrays[one][...] = 0
        arrays[one].flat[index] = 1
        vars(layer).update(weight=Parameter(w), bias=None, activation=None)
        kind = type(layer)
        with np.errstate(all="ignore"):
            kind.forward(layer, arrays["x"])
            input_delta = kind.backward(layer, arrays["z"])
        met = input_delta if one == "w" else layer.weight.grad
        found = np.flatnonzero(met)
        return found, met.flat[found].astype(np.intp) - 1

    def _meeting_in_vectors(self, one: str, index: int) -> tuple[_Places, _Places]:
        """Return the same for a `Dense`, whose products are known; a pass asks for thousands."""
        inputs, units = self.weight.shape
        if one == "w":
            j, k = divmod(index, units)
            vectors = np.arange(prod(self.place.x.shape[:-1]))
            return vectors * inputs + j, vectors * units + k
        vector, unit = divmod(index, units if one == "z" else inputs)
        if one == "z":
            return np.arange(inputs) * units + unit, vector * inputs + np.arange(inputs)
        return unit * units + np.arange(units), vector * units + np.arange(units)

    def _write(self) -> None:
        """Write the equations with letters for the positions, in the input and in the output."""
        layer, near = self.place.layer, "tuvw"[: len(self.place.x.shape) - 1]
        if not isinstance(layer, Convolution):
            self._write_sums(near, near, near)
            return
        near, far, taps = ("t", "s", "i") if layer.axes == 1 else ("uv", "mn", "ij")
        steps = (per_axis(n, layer.axes) for n in (layer.strides, layer.dilation_rate))
        moved = [
            f"{s if s > 1 else ''}{u}+{d if d > 1 else ''}{i}" + (f"-{first}" if first else "")
            for u, i, s, d, (first, _) in zip(near, taps, *steps, layer.cache[0].pads, strict=True)
        ]
        self._write_sums(near, far, moved, taps)

    def _write_sums(self, near: str, far: str, moved: Sequence[str], taps: str = "") -> None:
        """Write the rules with the letters of positions on the side that moves less, and more.

        `moved` has the positions on the far side as terms of `near` and of `taps`, those in the
        kernel. A transposed convolution moves over its output, others over their input.
        """
        turned, c, comma = self.turned, "c" if taps else "j", ""
        x_left, x, z_left, z = (near, near, far, moved) if turned else (far, moved, near, near)
        w, back = ([*taps, "k", c] if turned else [*taps, c, "k"]), [*taps, "k"]
        where = "".join(f", {m} = {under}" for m, under in zip(far, moved, strict=True))
        if not taps:
            where, comma = "", ","
        elif not turned:
            back = [*near, *back]
        x_where, z_where = ("", where) if turned else (where, "")

        def sums(over: Sequence[str]) -> str:
            return f"Σ_{comma.join(over)} " if over else ""

        def one(name: str, *index: str) -> str:
            return f"{name}[{','.join(index)}]"

        x_name, delta, weight = self.place.x.name, self.place.h.delta, one(self.w.name, *w)
        inputs, deltas = one(x_name, *x, c), one(delta, *z, "k")
        b = f"{self.bias.name}[k] + " if self.bias else ""
        made, taken = ",".join([*z_left, "k"]), ",".join([*x_left, c])
        note = self._note if taps else None
        self.rules = {
            "z": Rule(f"{b}{sums([*taps, c])}{inputs} {weight}{z_where}", self._z, made, note),
            "weight": Rule(f"{sums(near)}{deltas} {inputs}", self._weight, ",".join(w)),
            "bias": Rule(f"{sums(z_left)}{delta}[{made}]", self._bias),
            "input": Rule(f"{sums(back)}{deltas} {weight}{x_where}", self._input, taken),
        }

    def _z(self, row: int, index: int, _: Limit) -> Sum:
        (places, taken), bias = self._pairs("z", index), self.bias
        unit = index % self.place.h.shape[-1]
        return sum_of_products(
            Operand(self.place.x.name, self.place.input[row], taken),
            Operand(self.w.name, self.weight, places),
            first=(factor(bias.name, bias.source.value, unit),) if bias else (),
        )

    def _weight(self, _: int, index: int, __: Limit) -> Sum:
        taken, made = self._pairs("w", index)
        return sum_of_products(
            over_rows(self.place.h.delta, self.place.deltas[0], made),
            over_rows(self.place.x.name, self.place.input, taken),
        )

    def _bias(self, _: int, unit: int, __: Limit) -> Sum:
        made = np.arange(unit, prod(self.place.h.shape), self.place.h.shape[-1])
        return sum_of_products(over_rows(self.place.h.delta, self.place.deltas[0], made))

    def _input(self, row: int, index: int, _: Limit) -> Sum:
        places, made = self._pairs("x", index)
        return sum_of_products(
            Operand(self.place.h.delta, self.place.deltas[0][row], made),
            Operand(self.w.name, self.weight, places),
        )

    def _note(self, row: int, index: int) -> list[str]:
        """Return the window and the kernel of one number of a convolution."""
        places, taken = self._pairs("z", index)
        window = np.zeros_like(self.weight)
        window.flat[places] = self.place.input[row].flat[taken]
        axis, unit = -2 if self.turned else -1, index % self.place.h.shape[-1]
        window, kernel = window.take(unit, axis), self.weight.take(unit, axis)
        products = np.abs(window * kernel).reshape(-1, kernel.shape[-1])
        channel = int(np.argmax(products.sum(axis=0)))
        name = at(self.place.h.name, self.place.h.shape, index)
        head = f"{name}: channel {channel} of its window of {self.place.x.name}, and the kernel"
        wide = kernel.shape[-2]
        left, right = (
            ["".join(f"{v:>9.3g}" for v in numbers[:_WIDEST]) for numbers in table[:_WIDEST]]
            for table in (n[..., channel].reshape(-1, wide) for n in (window, kernel))
        )
        if wide > _BESIDE:
            return [head, *left, "  and", *right]
        return [head, *map("   |".join, zip(left, right, strict=True))]


def _counting(like: Array) -> Array:
    """Return an array of the same shape and dtype with the numbers from 1 on."""
    return np.arange(1, like.size + 1, dtype=like.dtype).reshape(like.shape)


def family(place: Place) -> Rule | None:
    """Return how a layer's numbers are computed; None if no family knows its `forward`."""
    base = known_base(type(place.layer), FAMILIES)
    unit = ",".join([*"tuvw"[: len(place.h.shape) - 1], "k"])
    rule = FAMILIES[base](place) if base else None
    return None if rule is None else rule._replace(unit=unit)


def _recurrent(place: Place) -> Rule | None:
    """Write the gates of one unit at one step that no mask switches off.

    Each z is b + Σ x w + Σ h u.
    """
    layer = cast("Recurrent", place.layer)
    if layer.return_state:
        return None
    inputs, states, kept, factor, real = layer.cache
    units, steps, matrix = layer.units, len(inputs) - 1, layer.matrix()
    names, right, sides = next(known for kind, known in GATES.items() if isinstance(layer, kind))

    def unit_at(index: int) -> tuple[int, int]:
        step, unit = divmod(index, units) if layer.return_sequences else (steps - 1, index)
        backwards = layer.return_sequences and layer.restores_order
        return (steps - 1 - step if backwards else step), unit

    def masked(row: int, step: int) -> bool:
        return real is not None and not real.real[step, row]

    def gates(row: int, index: int) -> list[tuple[str, Written, float]]:
        """Return (name, formula, value) of each gate, of the state, and of h."""
        step, unit = unit_at(index)
        if real is not None:  # real steps are computed first, one after another
            step = max(int(real.count[step + 1, row]) - 1, 0)
        given = inputs[step, :, row] if factor is None else inputs[step, :, row] * factor[:, row]
        products = given * matrix[:, unit::units].T
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
            evaluated = evaluate(side, values.get)
            return Written(write(side, written.get), *evaluated) if evaluated else Written()

        return [(name, told(side), values[name]) for name, side in sides.items()]

    def note(row: int, index: int) -> list[str]:
        step, unit = unit_at(index)
        name = at(place.h.name, place.h.shape, index)
        if masked(row, step):
            return [f"{name} is unit {unit} of step {step}, which the mask switches off: h stays"]
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


def _embedding(place: Place) -> Rule:
    w, x, width = place.parameters["weight"], place.x, place.h.shape[-1]

    def parts(row: int, index: int, _: Limit) -> Sum:
        position, unit = divmod(index, width)
        index = int(place.input[row].flat[position]) * width + unit
        return sum_of([factor(w.name, w.source.value, index)])

    return Rule(f"{w.name}[{at(x.name, x.shape, ','.join('tuvw'[: len(x.shape)]))},k]", parts)


def _under_kernel(windows: Windows) -> NDArray[np.intp]:
    """Return the input position under each place of the kernel in each window; -1 is padding."""
    numbered = np.arange(1.0, prod(windows.lengths) + 1).reshape(1, *windows.lengths, 1)
    under = np.stack(
        [windows.restored(view).ravel() for view in windows.views(windows.pad(numbered))]
    )
    return under.astype(np.intp) - 1


def _pooling(place: Place) -> Rule:
    """Write the window of one output number; positions under the padding don't count."""
    layer, x, channels = place.layer, place.x, place.h.shape[-1]
    means = isinstance(layer, (pooling.AveragePooling, pooling.GlobalAveragePooling))
    under = np.arange(prod(x.shape[:-1])).reshape(-1, 1)  # one window: all positions
    mask = place.inputs[1] if len(place.inputs) > 1 else None
    if isinstance(layer, pooling.Pooling):
        under = _under_kernel(layer.cache[0])

    def parts(row: int, index: int, limit: Limit) -> Sum | Written:
        position, channel = divmod(index, channels)
        counted = under[under[:, position] >= 0, position]
        if mask is not None:
            counted = counted[np.asarray(mask[row], bool)[counted]]
        taken = [int(i) * channels + channel for i in counted]
        if not taken:
            return Written("0", 0.0)
        values = place.input[row].ravel()[taken]
        if not means:
            largest_first = np.sort(values)[::-1]
            text = f"max({', '.join(map(number, largest_first[: limit.most]))})"
            uses = tuple(at(x.name, x.shape, i) for i in taken[:_MOST_USED])
            return Written(text, float(largest_first[0]), uses=uses)
        return sum_of([factor(x.name, place.input[row], i) for i in taken], 1 / len(taken))

    return Rule(f"{'mean' if means else 'max'} of the window of {x.name}", parts)


FAMILIES: Final[dict[type[Layer], Callable[[Place], Rule | None]]] = {
    SimpleRNN: _recurrent,
    LSTM: _recurrent,
    GRU: _recurrent,
    Embedding: _embedding,
    pooling.MaxPooling: _pooling,
    pooling.AveragePooling: _pooling,
    pooling.GlobalMaxPooling: _pooling,
    pooling.GlobalMaxPooling1D: _pooling,
    pooling.GlobalAveragePooling: _pooling,
    pooling.GlobalAveragePooling1D: _pooling,
}


def _added(first: float, *others: float) -> str:
    """Write a sum of numbers, such as '0.5 - 0.25'."""
    signed = (f" {'-' if v < 0 else '+'} {number(abs(v))}" for v in others)
    return number(first) + "".join(signed)


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


def derivative_rule(place: Place, by: int | str) -> Rule:
    """Return the rule of dJ/dinput by its index, or of a parameter's gradient by attribute.

    It is a sum over all outputs that depend on a number. The gradient over several rows is the sum
    of what each row adds.
    """
    h, delta, rows = place.h, place.deltas[0], len(place.output)
    if isinstance(by, str):
        p = place.parameters[by]
        name, shape, unit = p.name, p.source.shape, "i"
    else:
        name, shape, unit = place.xs[by].name, place.xs[by].shape, "k"
    size, outputs, by_rows = prod(shape), prod(h.shape), isinstance(by, str) and rows > 1

    @cache
    def cells(row: int, reached: range) -> Array | None:
        """Return the gradient of each row, or the derivatives of the outputs of the rows reached.

        They are None if there are too many.
        """
        passes = rows if by_rows else len(reached) * outputs
        if passes > _MOST_PASSES or passes * size > _MOST_CELLS:
            return None
        if isinstance(by, str) and rows > 1:
            return row_gradients(place, by).reshape(rows, size)
        made = _derivatives(place, reached.start, passes, by)
        return np.stack([one.ravel() if isinstance(by, str) else one[row].ravel() for one in made])

    def parts(row: int, index: int, _: Limit) -> Sum | Written:
        reached = range(rows) if place.layer.batch_dependent else range(row, row + 1)
        found = cells(row, reached)
        if found is None:
            return Written()
        slopes = found[:, index]
        if by_rows:
            return sum_of([(f"row {row}", float(value)) for row, value in enumerate(slopes)])
        used = np.arange(len(slopes))
        if isinstance(by, int):
            used = np.flatnonzero(slopes) if slopes.any() else np.array([index % outputs])
        several, under = len(reached) > 1, at(name, shape, index)
        back = Operand(h.delta, delta if several else delta[reached.start], used, several)
        output = back._replace(name=h.name)

        def factors(i: int) -> Factors:
            return back.factor(i), (f"∂{output.factor(i)[0]}/∂{under}", float(slopes[used[i]]))

        return Sum(back.values.ravel()[used] * slopes[used], factors)

    return Rule(f"Σ_m {h.delta}[m] ∂{h.name}[m]/∂{name}[{unit}]", parts, unit)


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
