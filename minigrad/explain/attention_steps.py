"""Attention as the matrices that it is: queries, keys, values, scores, weights and their means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Array, Shape
from minigrad.explain.equations import BACK, DELTA, FORWARD
from minigrad.explain.formula import Formula, scaled
from minigrad.explain.places import Names, Place
from minigrad.explain.steps import (
    Grid,
    Limit,
    Operand,
    Parts,
    Quantity,
    Rule,
    Step,
    Sum,
    Written,
    at,
    factor,
    joined,
    largest,
    over_rows,
    sum_of_products,
    times,
)
from minigrad.layers import MultiHeadAttention

_MOST_KEYS: Final = 6
_TITLES: Final = {"Q": "the queries", "K": "the keys", "V": "the values"}


class Attention:
    """The steps of a `MultiHeadAttention`; its arrays have the shapes ([heads,] positions, ...).

    Q, K and V are the projections, S has the scores, A the attention weights, and M the means of
    the values. Of a single head, the arrays have no axis for it.
    """

    def __init__(self, place: Place, names: Names) -> None:
        self.place, layer = place, cast("MultiHeadAttention", place.layer)
        _, _, (q, k, v), (a, drop), mixed = layer.cache
        self.heads, self.width, self.inner = layer.num_heads, layer.width, v.shape[1] * v.shape[3]
        self.scale = self.width**-0.5
        self.several = "n," if self.heads > 1 else ""
        weights, parameters = a.swapaxes(-1, -2), place.parameters
        self.weight, self.bias = parameters["weight"], parameters.get("bias")
        self.out, self.out_bias = parameters["output_weight"], parameters.get("output_bias")
        _, attends = layer.attended(*place.inputs)
        seen = True if attends is None else np.swapaxes(attends, -1, -2)
        self.seen = np.broadcast_to(seen, weights.shape)
        self.drop = None if drop is None else self._alone(drop.swapaxes(-1, -2))
        scores = np.where(self.seen, q @ k.swapaxes(-1, -2), -np.inf)
        level, rows = self.out.name.removeprefix("Wo"), len(q)
        arrays = {"Q": q / self.scale, "K": k, "V": v, "S": scores, "A": weights}
        held = {letter: self._alone(array) for letter, array in arrays.items()}
        held["M"] = mixed.reshape(rows, -1, self.inner)
        self.seen = self._alone(self.seen)
        self.of = {letter: names.add(f"{letter}{level}", array) for letter, array in held.items()}
        weights_of = self.of["A"].name  # a masked score has no size of its own
        self.of["S"] = replace(self.of["S"], units_of=weights_of)
        self.of["H"] = place.h
        self.x = {"Q": 0, "K": len(layer.cache[0]) - 1, "V": len(layer.cache[0]) - 1}
        self.deltas: dict[str, Array] = {}

    def _alone(self, array: Array) -> Array:
        """Leave out the axis of a single head."""
        return array if self.heads > 1 else array[:, 0]

    def _index(self, letter: str, index: int) -> tuple[int, int, int]:
        """Return the head, and the position in the two last axes, of a number."""
        *head, i, j = (int(n) for n in np.unravel_index(index, self.of[letter].shape))
        return (head[0] if head else 0), i, j

    def _operand(
        self, letter: str, row: int, n: int, *index: int | NDArray[np.intp], delta: bool = False
    ) -> Operand:
        symbol = self.of[letter]
        places = self._places(symbol.shape, n, *index)
        values = self.deltas[letter] if delta else symbol.values
        return Operand(symbol.delta if delta else symbol.name, values[row], places)

    def _places(
        self, shape: Shape, n: int | NDArray[np.intp], *index: int | NDArray[np.intp]
    ) -> NDArray[np.intp]:
        whole = np.broadcast_arrays(*((n, *index)[-len(shape) :]))
        return np.atleast_1d(np.ravel_multi_index([np.asarray(one) for one in whole], shape))

    def _column(self, letter: str, n: int | None = None, d: int | None = None) -> str | int:
        """Return the column of the weight that a number of Q, K or V has, or write it."""
        start = "QKV".index(letter) * self.inner
        if n is not None and d is not None:
            column: int = start + n * self.width + d
            return column
        head = f"{self.width if self.width > 1 else ''}n" if self.several else ""
        return "+".join(filter(None, (str(start or ""), head, "d")))

    # Forward

    def forward(self) -> Iterator[Step]:
        """Yield the steps before that of the output, and this."""
        for letter in "QKV":
            x, columns = self.place.xs[self.x[letter]], self._columns(letter)
            w = Grid(self.weight.name, self.weight.source.value[None, :, columns],
                     (0, columns.start))  # fmt: skip
            yield self._step(letter, _TITLES[letter], self._projection(letter), grid(x), w)
        of, several = self.of, self.several
        score = f"Σ_d {of['Q'].name}[{several}i,d] {of['K'].name}[{several}j,d]"
        rule = Rule(scaled(self.scale, score), self._score, f"{several}i,j")
        yield self._step("S", "the scores of the keys", rule, grid(of["Q"]), grid(of["K"]))
        e = f"exp({of['S'].name}[{several}i,"
        rule = Rule(f"{e}j]) / Σ_l {e}l])", self._softmax, f"{several}i,j", self._note)
        yield self._step("A", "softmax, the attention weights", rule, grid(of["S"]))
        a, v = f"{of['A'].name}[{several}i,j]", f"{of['V'].name}[{several}j,d]"
        dropped = f"r[{several}i,j] " if self.drop is not None else ""
        unit = f"i,{self._column('Q')}"
        rule = Rule(f"Σ_j {a} {dropped}{v}", self._mean, unit)
        yield self._step("M", "the weighted sums of the values", rule, grid(of["A"]), grid(of["V"]))
        added = f"{self.out_bias.name}[k] + " if self.out_bias else ""
        right = f"{added}Σ_c {of['M'].name}[i,c] {self.out.name}[c,k]"
        step = self.place.output_step(
            "the output", f"as {FORWARD}", Rule(right, self._output, "i,k")
        )
        yield step.drawn(grid(of["M"]), Grid(self.out.name, self.out.source.value[None]))

    def _step(self, letter: str, title: str, rule: Rule, *grids: Grid) -> Step:
        symbol = self.of[letter]
        return Step(
            phase="forward", path=self.place.path, title=title, tag=f"as {FORWARD}",
            name=symbol.name, rule=rule, values=symbol.values, symbol=symbol,
        ).drawn(*grids)  # fmt: skip

    def _columns(self, letter: str) -> slice:
        start = "QKV".index(letter) * self.inner
        return slice(start, start + self.inner)

    def _projection(self, letter: str) -> Rule:
        x, column = self.place.xs[self.x[letter]], self._column(letter)
        size = x.shape[-1]

        def parts(row: int, index: int, _: Limit) -> Sum:
            n, i, d = self._index(letter, index)
            c, f = cast("int", self._column(letter, n, d)), np.arange(size)
            w, bias = self.weight.source.value, self.bias
            return sum_of_products(
                Operand(x.name, x.values[row], i * size + f),
                Operand(self.weight.name, w, f * w.shape[1] + c),
                first=(factor(bias.name, bias.source.value, c),) if bias else (),
            )

        added = f"{self.bias.name}[{column}] + " if self.bias else ""
        right = f"{added}Σ_f {x.name}[i,f] {self.weight.name}[f,{column}]"
        return Rule(right, parts, f"{self.several}i,d")

    def _score(self, row: int, index: int, _: Limit) -> Sum | Written:
        if not self.seen[row].flat[index]:
            return Written("masked", -np.inf)
        n, i, j = self._index("S", index)
        d = np.arange(self.width)
        one, other = self._operand("Q", row, n, i, d), self._operand("K", row, n, j, d)
        return times(self.scale, sum_of_products(one, other))

    def _softmax(self, row: int, index: int, limit: Limit) -> Written:
        n, i, _ = self._index("A", index)
        scores = self.of["S"]
        if not self.seen[row].reshape(self.heads, *scores.shape[-2:])[n, i].any():
            return Written("0", 0.0)
        arrays = {"z": (scores.name, scores.values)}
        made = Formula("exp(z) / sum(exp(z))", arrays, None, {}).numbers(row, index, limit)
        keys = scores.shape[-1]
        used = range(index - index % keys, index - index % keys + keys)
        return made._replace(uses=tuple(at(scores.name, scores.shape, i) for i in used))

    def _mean(self, row: int, index: int, _: Limit) -> Sum:
        i, c = divmod(index, self.inner)
        n, d = divmod(c, self.width)
        j = np.arange(self.of["V"].shape[-2])
        one, other = self._operand("A", row, n, i, j), self._operand("V", row, n, j, d)
        return sum_of_products(one, *self._dropped(row, one), other)

    def _dropped(self, row: int, one: Operand) -> list[Operand]:
        """Return the factors of dropout beside the attention weights, or nothing."""
        return [] if self.drop is None else [Operand("r", self.drop[row], one.places)]

    def _output(self, row: int, index: int, _: Limit) -> Sum:
        features, bias, c = self.place.h.shape[-1], self.out_bias, np.arange(self.inner)
        i, k = divmod(index, features)
        return sum_of_products(
            self._operand("M", row, 0, i, c),
            Operand(self.out.name, self.out.source.value, c * features + k),
            first=(factor(bias.name, bias.source.value, k),) if bias else (),
        )

    def _note(self, row: int, index: int) -> list[str]:
        """Return the weights of the query of one number, in each head."""
        _, position, _ = self._index("A", index)
        written = [f"position {position} of the query attends to the keys, by number: weight"]
        weights = self.of["A"].values[row]
        for head, table in enumerate(weights.reshape(self.heads, *weights.shape[-2:])):
            by_key = table[position]
            keys = largest(by_key, _MOST_KEYS)
            more = f"  ({by_key.size - len(keys)} more)" if len(keys) < by_key.size else ""
            told = "  ".join(f"{key}: {by_key[key]:.3f}" for key in keys)
            written.append(f"  head {head}: {told}{more}")
        return written

    # Backward

    def backward(self) -> Iterator[Step]:
        """Yield the steps of the deltas of all arrays, from M to Q."""
        values = {letter: symbol.values for letter, symbol in self.of.items()}
        delta = cast("Array", self.place.delta)
        made = self.deltas
        made["H"], made["M"] = delta, delta @ self.out.source.value.T
        m = made["M"].reshape(*delta.shape[:2], self.heads, self.width).swapaxes(1, 2)
        m = self._alone(m)
        drop = 1.0 if self.drop is None else self.drop
        made["V"] = (values["A"] * drop).swapaxes(-1, -2) @ m
        made["A"] = m @ values["V"].swapaxes(-1, -2) * drop
        along = (values["A"] * made["A"]).sum(axis=-1, keepdims=True)
        made["S"] = values["A"] * (made["A"] - along)
        made["Q"] = self.scale * made["S"] @ values["K"]
        made["K"] = self.scale * made["S"].swapaxes(-1, -2) @ values["Q"]
        yield from self._delta_steps()

    def _delta_steps(self) -> Iterator[Step]:
        of, n = self.of, self.several
        h, m, a, s, q, k, v = (of[letter] for letter in "HMASQKV")
        c, r = self._column("Q"), f"r[{n}i,j] " if self.drop is not None else ""
        mean = f"{m.delta}[i,{c}]"
        out = Grid(self.out.name, self.out.source.value[None])
        yield self._delta_step(
            "M", "back through the output", f"Σ_k {h.delta}[i,k] {self.out.name}[c,k]", "i,c",
            self._mean_delta, Grid(h.delta, self.deltas["H"]), out,
        )  # fmt: skip
        yield self._delta_step(
            "V", "the delta of the values", f"Σ_i {a.name}[{n}i,j] {r}{mean}", f"{n}j,d",
            self._value_delta, grid(a), Grid(m.delta, self.deltas["M"]),
        )  # fmt: skip
        yield self._delta_step(
            "A", "the delta of the attention weights", f"Σ_d {mean} {r}{v.name}[{n}j,d]",
            f"{n}i,j", self._weight_delta, Grid(m.delta, self.deltas["M"]), grid(v),
        )  # fmt: skip
        one = f"{a.name}[{n}i,j]"
        along = f"Σ_l {a.name}[{n}i,l] {a.delta}[{n}i,l]"
        yield self._delta_step(
            "S", "back through the softmax", f"{one} ({a.delta}[{n}i,j] - {along})", f"{n}i,j",
            self._score_delta, grid(a), Grid(a.delta, self.deltas["A"]),
        )  # fmt: skip
        for letter, other, where in (("Q", k, "j"), ("K", q, "i")):
            right = f"Σ_{where} {s.delta}[{n}i,j] {other.name}[{n}{where},d]"
            unit = f"{n}i,d" if letter == "Q" else f"{n}j,d"
            yield self._delta_step(
                letter, f"the delta of {_TITLES[letter]}", scaled(self.scale, right), unit,
                self._projected_delta(letter), Grid(s.delta, self.deltas["S"]), grid(other),
            )  # fmt: skip

    def _delta_step(
        self, letter: str, title: str, right: str, unit: str, parts: Parts, *grids: Grid
    ) -> Step:
        symbol = self.of[letter]
        rule = Rule(right, parts, unit)
        tag = f"as {self.place.tag(*DELTA)}" if letter == "S" else f"as {BACK}"
        return Step(
            phase="backward", path=self.place.path, title=title, tag=tag, name=symbol.delta,
            rule=rule, values=self.deltas[letter], symbol=symbol,
        ).drawn(*grids)  # fmt: skip

    def _mean_delta(self, row: int, index: int, _: Limit) -> Sum:
        i, c = divmod(index, self.inner)
        k = np.arange(self.place.h.shape[-1])
        back = self._operand("H", row, 0, i, k, delta=True)
        return sum_of_products(back, Operand(self.out.name, self.out.source.value, c * k.size + k))

    def _value_delta(self, row: int, index: int, _: Limit) -> Sum:
        n, j, d = self._index("V", index)
        i = np.arange(self.of["Q"].shape[-2])
        one = self._operand("A", row, n, i, j)
        back = self._operand("M", row, 0, i, n * self.width + d, delta=True)
        return sum_of_products(one, *self._dropped(row, one), back)

    def _weight_delta(self, row: int, index: int, _: Limit) -> Sum:
        n, i, j = self._index("A", index)
        d = np.arange(self.width)
        back = self._operand("M", row, 0, i, n * self.width + d, delta=True)
        found = [back, self._operand("V", row, n, j, d)]
        if self.drop is not None:
            found.insert(1, Operand("r", self.drop[row], np.full(d.shape, index)))
        return sum_of_products(*found)

    def _score_delta(self, row: int, index: int, _: Limit) -> Sum:
        n, i, j = self._index("S", index)
        keys = np.arange(self.of["V"].shape[-2])
        one, every = self._operand("A", row, n, i, j), self._operand("A", row, n, i, keys)
        own = self._operand("A", row, n, i, j, delta=True)
        all_of = self._operand("A", row, n, i, keys, delta=True)
        again = one._replace(places=np.full(keys.shape, one.places[0]))
        # a (d - sum of a d) = a d - the sum of a a d
        return joined(sum_of_products(one, own), times(-1.0, sum_of_products(again, every, all_of)))

    def _projected_delta(self, letter: str) -> Parts:
        other, where = ("K", "V") if letter == "Q" else ("Q", "Q")

        def parts(row: int, index: int, _: Limit) -> Sum:
            n, position, d = self._index(letter, index)
            along = np.arange(self.of[where].shape[-2])
            at_scores = (position, along) if letter == "Q" else (along, position)
            back = self._operand("S", row, n, *at_scores, delta=True)
            return times(self.scale, sum_of_products(back, self._operand(other, row, n, along, d)))

        return parts

    def gradient(self, attribute: str) -> Rule:
        """Return the rule of a parameter's gradient, over all rows."""
        h, m = self.place.h, self.of["M"]
        features, positions = h.shape[-1], np.arange(h.shape[0])
        back = h.delta, self.deltas["H"]
        if attribute == "output_bias":
            return Rule(
                f"Σ_i {h.delta}[i,k]",
                lambda _, k, __: sum_of_products(over_rows(*back, positions * features + k)),
            )
        if attribute == "output_weight":

            def parts(_: int, index: int, __: Limit) -> Sum:
                c, k = divmod(index, features)
                return sum_of_products(
                    over_rows(m.name, m.values, positions * self.inner + c),
                    over_rows(*back, positions * features + k),
                )

            return Rule(f"Σ_i {m.name}[i,c] {h.delta}[i,k]", parts, "c,k")
        return self._projection_gradient(of_weight=attribute == "weight")

    def _projection_gradient(self, *, of_weight: bool) -> Rule:
        columns = 3 * self.inner

        def parts(_: int, index: int, __: Limit) -> Sum:
            f, c = divmod(index, columns) if of_weight else (0, index)
            part, place = divmod(c, self.inner)
            letter, (n, d) = "QKV"[part], divmod(place, self.width)
            symbol, x = self.of[letter], self.place.xs[self.x[letter]]
            i = np.arange(x.shape[0])
            back = over_rows(symbol.delta, self.deltas[letter], self._places(symbol.shape, n, i, d))
            if not of_weight:
                return sum_of_products(back)
            return sum_of_products(back, over_rows(x.name, x.values, i * x.shape[-1] + f))

        names = ",".join(self.of[letter].name for letter in "QKV")
        x, z = self.place.x.name, "∂J/∂Z[i,c]"
        right = f"Σ_i {z} {x}[i,f], Z = [{names}]" if of_weight else f"Σ_i {z}, Z = [{names}]"
        return Rule(right, parts, "f,c" if of_weight else "c")

    def input_delta(self, role: int) -> Rule:
        """Return the rule of dJ/dinput, for the query or the value."""
        letters = [letter for letter in "QKV" if self.x[letter] == role]
        x, w = self.place.xs[role], self.weight

        def parts(row: int, index: int, _: Limit) -> Sum:
            i, f = divmod(index, x.shape[-1])
            c = np.arange(self.inner)
            n, d = np.divmod(c, self.width)
            sums = []
            for letter in letters:
                symbol, start = self.of[letter], self._columns(letter).start
                places = self._places(symbol.shape, n, np.full(c.shape, i), d)
                back = Operand(symbol.delta, self.deltas[letter][row], places)
                held = Operand(w.name, w.source.value, f * 3 * self.inner + start + c)
                sums.append(sum_of_products(back, held))
            return joined(*sums)

        names = ",".join(self.of[letter].name for letter in letters)
        return Rule(f"Σ_c ∂J/∂Z[i,c] {w.name}[f,c], Z = [{names}]", parts, "i,f")


def grid(symbol: Quantity) -> Grid:
    """Return the matrix of an array."""
    return Grid(symbol.name, symbol.values)
