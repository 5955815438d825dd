"""Recurrent layers unrolled over time: their gates at each step, and the deltas' way back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

import numpy as np

from minigrad.data.arrays import Array
from minigrad.explain.arithmetic import GATES, derivative_rule, family
from minigrad.explain.equations import BACK, DELTA, FORWARD
from minigrad.explain.formula import evaluate, write
from minigrad.explain.places import Names, Place
from minigrad.explain.steps import (
    Factors,
    Grid,
    Limit,
    Parts,
    Rule,
    Step,
    Sum,
    Written,
    factor,
    number,
    sum_of,
    sum_of_factors,
)
from minigrad.layers import GRU
from minigrad.layers.recurrent import Recurrent

TIME_ACROSS: Final = (1, 0)
"""The time from left to right."""
_MOST_STEPS: Final = 16
"""Of more steps, a note has the last ones."""
_BACK: Final = {
    "i": "dc g i'", "f": "dc c_0 f'", "g": "dc i g'", "o": "dh tanh(c) o'", "h": "dh h'",
    "r": "dn k r'", "u": "dh (h_0-n) u'", "n": "dh (1-u) n'", "k": "dn r",
}  # fmt: skip
"""The factors of dJ/dz of each gate; i' is the slope of the function that gives i."""
_TITLES: Final = {
    "i": "the input gate", "f": "the forget gate", "g": "the candidate", "o": "the output gate",
    "c": "the cell state", "h": "the state h", "r": "the reset gate", "u": "the update gate",
    "n": "the candidate", "k": "h U + d of the candidate",
}  # fmt: skip


class Unrolled:
    """The steps of a recurrent layer; its arrays have the shape (time, units), in order of time.

    z has the sums of all gates side by side, and the other arrays are the gates and states.
    """

    def __init__(self, place: Place, names: Names) -> None:
        self.place, self.layer = place, cast("Recurrent", place.layer)
        layer = self.layer
        inputs, states, kept, factors, self.real = layer.cache
        self.units, self.time, self.backwards = layer.units, len(inputs) - 1, layer.go_backwards
        known = next(one for kind, one in GATES.items() if isinstance(layer, kind))
        self.gates, _, self.sides = known
        self.drop = None if factors is None else factors.T
        self.x, self.first = place.xs[0], place.xs[-1] if layer.initial_state else None
        parameters = place.parameters
        self.w, self.u = parameters["weight"], parameters["recurrent_weight"]
        self.bias, self.d = parameters.get("bias"), parameters.get("recurrent_bias")
        suffix = self.w.name.removeprefix("W")
        weight, dropped = layer.matrix(), inputs[:-1]
        dropped = dropped if factors is None else dropped * factors
        held: dict[str, Array] = {}
        if isinstance(layer, GRU):  # U of the candidate is in k
            weight[: self.units, 2 * self.units :] = 0
        held["z"] = self._by_time(np.einsum("tir,ic->tcr", dropped, weight))
        order = sorted(self.gates, key="rukn".find) if isinstance(layer, GRU) else self.gates
        for gate in order if kept else ():
            held[gate] = self._by_time(kept[0][:, self.gates.index(gate)])
        for name, state in zip(layer.states[::-1], states[::-1], strict=True):
            state = state if self.real is None else self.real.held(state)
            held[name] = np.moveaxis(state[1:][::-1] if self.backwards else state[1:], 2, 0)
        self.of = {name: names.add(name + suffix, array) for name, array in held.items()}
        self.deltas: dict[str, Array] = {}

    def _by_time(self, steps: Array) -> Array:
        """Turn (time, ..., rows) of the real steps into (rows, time, ...) of all."""
        steps = steps if self.real is None else self.real.back(steps)
        return np.ascontiguousarray(np.moveaxis(steps[::-1] if self.backwards else steps, -1, 0))

    def _masked(self, row: int, t: int) -> bool:
        step = self.time - 1 - t if self.backwards else t
        return self.real is not None and not bool(self.real.real[step, row])

    def _before(self, t: int) -> int | None:
        """Return the time from which the state comes; None is the first state."""
        t += 1 if self.backwards else -1
        return t if 0 <= t < self.time else None

    def _after(self, row: int, t: int) -> int | None:
        """Return the next real step."""
        t += -1 if self.backwards else 1
        while 0 <= t < self.time and self._masked(row, t):
            t += -1 if self.backwards else 1
        return t if 0 <= t < self.time else None

    @property
    def _letters(self) -> tuple[str, str]:
        """The indices of the step before and of the next one."""
        return ("t+1", "t-1") if self.backwards else ("t-1", "t+1")

    def _number(self, row: int, name: str, t: int, k: int, *, delta: bool = False) -> Any:
        symbol = self.of[name]
        values = self.deltas[name] if delta else symbol.values
        width = symbol.shape[-1]
        return factor(symbol.delta if delta else symbol.name, values[row], t * width + k)

    def _state(self, row: int, name: str, t: int, k: int) -> Any:
        """Return a number of the state before step t; the first state is 0 if it isn't given."""
        before = self._before(t)
        if before is not None:
            return self._number(row, name, before, k)
        if self.first is None:
            return "0", 0.0
        place = self.layer.states.index(name) * self.units + k
        return factor(self.first.name, self.first.values[row], place)

    def _dropout(self, row: int, i: int) -> Factors:
        """Return the factor of dropout of a number of [h, x], if there is one."""
        return () if self.drop is None else (factor("m", self.drop[row], i),)

    # Forward

    def forward(self) -> Iterator[Step]:
        """Yield the steps of z, the gates and the states; that of the output isn't among them."""
        before, _ = self._letters
        b = f"{self.bias.name}[c] + " if self.bias else ""
        held = f" + Σ_k {self.of['h'].name}[{before},k] {self.u.name}[k,c]"
        right = f"{b}Σ_j {self.x.name}[t,j] {self.w.name}[j,c]{held}"
        if isinstance(self.layer, GRU):
            right += f" for c < {2 * self.units}"
        grids = [Grid(self.x.name, self.x.values, axes=TIME_ACROSS), self._grid("h")]
        gates = [name for name in self.gates if name != "k"]
        title = f"the sums of {', '.join(gates)} at each step"
        yield self._step("z", title, Rule(right, self._sums, "t,c", self._masks), *grids)
        for name in self.of:
            if name == "k":
                d = f"{self.d.name}[k] + " if self.d else ""
                c = f"{2 * self.units}+k"
                right = f"{d}Σ_j {self.of['h'].name}[{before},j] {self.u.name}[j,{c}]"
                yield self._step(name, _TITLES[name], Rule(right, self._sum_of_k, "t,k"),
                                 self._grid("h"))  # fmt: skip
            elif name != "z":
                yield self._gate_step(name)
        if rule := family(self.place):
            rule = rule._replace(parts=self._output(rule.parts))
            yield self.place.output_step("the output", f"as {FORWARD}", rule)

    def _output(self, parts: Parts) -> Parts:
        """Return the parts of the output; a masked step has the state h that it keeps."""

        def of_output(row: int, index: int, limit: Limit) -> Sum | Written:
            sequences = self.layer.return_sequences
            t, k = divmod(index, self.units) if sequences else (self.time - 1, index)
            if self.backwards and not (sequences and self.layer.restores_order):
                t = self.time - 1 - t
            if self._masked(row, t):
                return sum_of([self._number(row, "h", t, k)])
            return parts(row, index, limit)

        return of_output

    def _step(self, name: str, title: str, rule: Rule, *grids: Grid) -> Step:
        symbol = self.of[name]
        return Step(
            phase="forward", path=self.place.path, title=title, tag=f"as {FORWARD}",
            name=symbol.name, rule=rule, values=symbol.values, symbol=symbol,
        ).drawn(*grids, own=self._grid(name))  # fmt: skip

    def _grid(self, name: str, *, delta: bool = False) -> Grid:
        symbol = self.of[name]
        called = symbol.delta if delta else symbol.name
        values = self.deltas[name] if delta else symbol.values
        blocks = self.gates[: values.shape[-1] // self.units] if name == "z" else ""
        return Grid(called, values, axes=TIME_ACROSS, blocks=blocks)

    def _gate_step(self, name: str) -> Step:
        """Return the step of a gate or a state, by its side of the equation."""
        side = self.sides[name]
        known = {word: one for word in self._words() if (one := self._general(word))}
        right = write(side, known.get)
        used = [word for word in self._words() if known.get(word, "-") in right and word != name]
        parts = {"z" if word.startswith("z_") else word.removesuffix("_0") for word in used}
        grids = [self._grid(one) for one in self.of if one in parts and one != name]
        rule = Rule(right, lambda row, index, _: self._written(name, row, index), "t,k")
        return self._step(name, f"{_TITLES[name]} at each step", rule, *grids)

    def _words(self) -> list[str]:
        return [*(f"z_{gate}" for gate in self.gates), *self.of, *(f"{s}_0" for s in "hc")]

    def _general(self, word: str) -> str:
        """Write a word of an equation for any step and unit; nothing if it has no array."""
        before, _ = self._letters
        if word.startswith("z_") and word != "z_k":
            start = self.gates.index(word[2:]) * self.units
            return f"{self.of['z'].name}[t,{f'{start}+' if start else ''}k]"
        name, _, first = word.partition("_")
        if name not in self.of or name == "z":
            return ""
        return f"{self.of[name].name}[{before if first else 't'},k]"

    def _known(self, row: int, t: int, k: int, word: str) -> Any:
        """Return the name and the value of a word of an equation."""
        if word.startswith("z_"):
            return self._number(row, "z", t, self.gates.index(word[2:]) * self.units + k)
        name, _, first = word.partition("_")
        return self._state(row, name, t, k) if first else self._number(row, name, t, k)

    def _written(self, name: str, row: int, index: int) -> Sum | Written:
        t, k = divmod(index, self.units)
        if self._masked(row, t):
            if name in self.layer.states:
                return sum_of([self._state(row, name, t, k)])
            return Written("0", 0.0)
        side, uses = self.sides[name], list[str]()

        def known(word: str) -> float | None:
            if not self._general(word):
                return None
            told, value = self._known(row, t, k, word)
            uses.append(told)
            return float(value)

        def shown(word: str) -> str | None:
            return number(self._known(row, t, k, word)[1]) if self._general(word) else None

        found = evaluate(side, known)
        return Written(write(side, shown), *found, tuple(uses)) if found else Written()

    def _sums(self, row: int, index: int, _: Limit) -> Sum | Written:
        """Return z of one gate's unit at one step."""
        t, c = divmod(index, self.of["z"].shape[-1])
        if self._masked(row, t):
            return Written("0", 0.0)
        width, w, units = self.x.shape[-1], self.w.source.value, self.units
        products: list[Factors] = []
        for j in range(width):
            x = factor(self.x.name, self.x.values[row], t * width + j)
            weight = factor(self.w.name, w, j * w.shape[1] + c)
            products.append((x, *self._dropout(row, units + j), weight))
        if not isinstance(self.layer, GRU) or c < 2 * units:
            products += self._back_in_time(row, t, c)
        first = (factor(self.bias.name, self.bias.source.value, c),) if self.bias else ()
        return sum_of_factors(products, first=first)

    def _back_in_time(self, row: int, t: int, c: int) -> list[Factors]:
        """Return the products of the state before step t and a column of U."""
        if self._before(t) is None and self.first is None:
            return []  # the first state is zero
        u = self.u.source.value
        return [
            (
                self._state(row, "h", t, k), *self._dropout(row, k),
                factor(self.u.name, u, k * u.shape[1] + c),
            )
            for k in range(self.units)
        ]  # fmt: skip

    def _sum_of_k(self, row: int, index: int, _: Limit) -> Sum | Written:
        t, k = divmod(index, self.units)
        if self._masked(row, t):
            return Written("0", 0.0)
        first = (factor(self.d.name, self.d.source.value, k),) if self.d else ()
        products = self._back_in_time(row, t, 2 * self.units + k)
        return sum_of_factors(products, first=first) if products or first else Written("0", 0.0)

    def _masks(self, row: int, _: int) -> list[str]:
        off = [str(t) for t in range(self.time) if self._masked(row, t)]
        return [f"the mask switches off the steps {', '.join(off)}: h stays"] if off else []

    # Backward

    def backward(self) -> Iterator[Step]:
        """Yield the deltas of h, of c, and of the sums of the gates."""
        layer, delta = self.layer, cast("Array", self.place.delta)
        _, states, kept, factors, real = layer.cache
        rows, width = len(delta), delta.shape[-1]
        of_state = np.zeros((self.time + 1, len(states) * self.units, rows), delta.dtype)
        if layer.return_sequences:
            flipped = delta[:, ::-1] if layer.restores_order else delta
            of_state[1:, :width] = flipped.transpose(1, 2, 0)
        else:
            of_state[-1, :width] = delta.T
        if real is not None:
            of_state = real.gathered(of_state)
        deltas = np.split(of_state, len(states), axis=1)
        of_h = None if factors is None else factors[: self.units]
        with np.errstate(all="ignore"):
            delta_z = layer.backward_steps(deltas, states, kept, of_h)
        gates = layer.gates * self.units
        self.deltas["z"] = self._by_time(delta_z[:, :gates])
        if isinstance(layer, GRU):
            self.deltas["k"] = self._by_time(delta_z[:, gates:])
        for name, whole in zip(layer.states, deltas, strict=True):
            self.deltas[name] = self._by_time(whole[1:])
        yield from self._delta_steps()

    def _delta_steps(self) -> Iterator[Step]:
        _, after = self._letters
        of, u, out = self.of, self.u.name, self._of_output
        h, z = of["h"].delta, of["z"].delta
        right = f"{out}Σ_c {z}[{after},c] {u}[k,c]"
        if "k" in of:
            right = f"{out}{h}[{after},k] {of['u'].name}[{after},k] + {right.removeprefix(out)}"
        rule = Rule(right, self._delta_h, "t,k", self._sizes)
        title = "the delta of h, back through time"
        yield self._delta_step("h", title, BACK, rule, self._grid("z", delta=True))
        if "c" in of:
            c = of["c"].name
            right = f"{h}[t,k] {of['o'].name}[t,k] tanh'({c}[t,k]) + "
            right += f"{of['c'].delta}[{after},k] {of['f'].name}[{after},k]"
            if self.layer.return_state:
                right = out + right
            title = "the delta of c, back through time"
            rule = Rule(right, self._delta_c, "t,k", self._sizes_of_c)
            yield self._delta_step("c", title, BACK, rule, self._grid("h", delta=True),
                                   self._grid("f"))  # fmt: skip
        told = [f"{self._told(_BACK[gate])} for {gate}" for gate in self.gates if gate != "k"]
        rule = Rule(", ".join(told), self._delta_z, "t,c")
        grids = [self._grid(name, delta=True) for name in self.layer.states]
        grids += [self._grid(gate) for gate in self.gates if gate in of and gate not in "hc"]
        title = "the deltas of the gates' sums"
        yield self._delta_step("z", title, self.place.tag(*DELTA), rule, *grids)
        if "k" in of:
            rule = Rule(self._told(_BACK["k"]), self._delta_k, "t,k")
            yield self._delta_step("k", "the delta of k", BACK, rule, self._grid("z", delta=True))

    @property
    def _of_output(self) -> str:
        """Write the part of a delta that comes from the layer's output."""
        delta = self.place.h.delta
        if self.layer.return_sequences:
            return f"{delta}[t,k] + "
        return f"{delta}[k] (only of the last step) + "

    def _delta_step(self, name: str, title: str, tag: str, rule: Rule, *grids: Grid) -> Step:
        symbol = self.of[name]
        step = Step(
            phase="backward", path=self.place.path, title=title, tag=f"as {tag}",
            name=symbol.delta, rule=rule, values=self.deltas[name], symbol=symbol,
        )  # fmt: skip
        return step.drawn(*grids, own=self._grid(name, delta=True))

    def _told(self, words: str) -> str:
        """Write the factors of a delta with the names of the arrays."""
        of, z, (before, _) = self.of, self.of["z"], self._letters
        known = {name: symbol.name for name, symbol in of.items()}
        known |= {"dh": of["h"].delta, "dn": f"{z.delta} of n"}
        known |= {f"{s}_0": f"{of[s].name}[{before}]" for s in self.layer.states}
        known["(h_0-n)"] = f"({known['h_0']} - n)"
        known |= {"dc": of["c"].delta, "tanh(c)": f"tanh({of['c'].name})"} if "c" in of else {}
        for gate in self.gates:
            called = "sigmoid" if self.sides[gate].startswith("sigmoid") else "tanh"
            known[f"{gate}'"] = f"{called}'({z.name})"
        return " ".join(known.get(word, word) for word in words.split())

    def _out(self, row: int, name: str, t: int, k: int) -> list[Factors]:
        """Return the part of a delta that comes from the layer's output at a step."""
        state, h, delta = self.layer.states.index(name), self.place.h, self.place.delta
        place, ahead = state * self.units + k, -1 if self.backwards else 1
        if delta is None or place >= h.shape[-1]:  # the output is h alone
            return []
        if not self.layer.return_sequences:
            last = self._after(row, t) is None
            return [(factor(h.delta, delta[row], place),)] if last else []
        found: list[Factors] = []
        while True:
            time = self.time - 1 - t if self.backwards and not self.layer.restores_order else t
            found.append((factor(h.delta, delta[row], time * h.shape[-1] + place),))
            t += ahead
            if not 0 <= t < self.time or not self._masked(row, t):  # masked outputs are this one
                return found

    def _delta_h(self, row: int, index: int, _: Limit) -> Sum | Written:
        t, k = divmod(index, self.units)
        after, products = self._after(row, t), self._out(row, "h", t, k)
        if self._masked(row, t):
            return Written("0", 0.0)
        if after is not None:
            u, gated = self.u.source.value, "k" in self.of
            columns, drop = u.shape[1], self._dropout(row, k)
            if gated:
                products.append((self._number(row, "h", after, k, delta=True),
                                 self._number(row, "u", after, k)))  # fmt: skip
            for c in range(columns):
                own = ("k", c - 2 * self.units) if gated and c >= 2 * self.units else ("z", c)
                weight = factor(self.u.name, u, k * columns + c)
                products.append(
                    (self._number(row, *own[:1], after, own[1], delta=True), weight, *drop)
                )
        return sum_of_factors(products) if products else Written("0", 0.0)

    def _delta_c(self, row: int, index: int, _: Limit) -> Sum | Written:
        t, k = divmod(index, self.units)
        if self._masked(row, t):
            return Written("0", 0.0)
        after, products = self._after(row, t), self._out(row, "c", t, k)
        name, value = self._number(row, "c", t, k)
        slope = (f"tanh'({name})", 1 - float(np.tanh(value)) ** 2)
        products.append((self._number(row, "h", t, k, delta=True),
                         self._number(row, "o", t, k), slope))  # fmt: skip
        if after is not None:
            products.append((self._number(row, "c", after, k, delta=True),
                             self._number(row, "f", after, k)))  # fmt: skip
        return sum_of_factors(products)

    def _delta_z(self, row: int, index: int, _: Limit) -> Sum | Written:
        t, c = divmod(index, self.of["z"].shape[-1])
        gate = self.gates[c // self.units]
        return self._product(row, t, c % self.units, _BACK[gate])

    def _delta_k(self, row: int, index: int, _: Limit) -> Sum | Written:
        return self._product(row, *divmod(index, self.units), _BACK["k"])

    def _product(self, row: int, t: int, k: int, words: str) -> Sum | Written:
        """Return the product of the factors of a gate's delta."""
        if self._masked(row, t):
            return Written("0", 0.0)
        return sum_of_factors([tuple(self._factor(row, t, k, word) for word in words.split())])

    def _factor(self, row: int, t: int, k: int, word: str) -> Any:
        if word in ("dh", "dc"):
            return self._number(row, word[1], t, k, delta=True)
        if word == "dn":
            return self._number(row, "z", t, 2 * self.units + k, delta=True)
        if word.endswith("_0"):
            return self._state(row, word[0], t, k)
        if word.endswith("'"):
            gate = word[0]
            value = self._number(row, gate, t, k)[1]
            sigmoid = self.sides[gate].startswith("sigmoid")
            under = self._number(row, "z", t, self.gates.index(gate) * self.units + k)[0]
            slope = value * (1 - value) if sigmoid else 1 - value * value
            if gate == "n":
                under = self._number(row, "n", t, k)[0]
            return f"{'sigmoid' if sigmoid else 'tanh'}'({under})", slope
        if word == "tanh(c)":
            name, value = self._number(row, "c", t, k)
            return f"tanh({name})", float(np.tanh(value))
        if word == "(1-u)":
            name, value = self._number(row, "u", t, k)
            return f"(1 - {name})", 1 - value
        if word == "(h_0-n)":
            (one, before), (other, value) = (
                self._state(row, "h", t, k),
                self._number(row, "n", t, k),
            )
            return f"({one} - {other})", before - value
        return self._number(row, word, t, k)

    def _sizes(self, row: int, _: int) -> list[str]:
        return self._sizes_of("h", row)

    def _sizes_of_c(self, row: int, _: int) -> list[str]:
        return self._sizes_of("c", row)

    def _sizes_of(self, name: str, row: int) -> list[str]:
        """Say how large a delta is at each step, where it vanishes or explodes."""
        sizes = np.sqrt(np.square(self.deltas[name][row]).sum(axis=-1))
        times = range(self.time)[-_MOST_STEPS:]
        told = "  ".join(f"{t}: {sizes[t]:.2g}" for t in times)
        return [f"the length of {self.of[name].delta} by step, by which it vanishes or explodes",
                f"  {told}"]  # fmt: skip

    def gradient(self, attribute: str) -> Rule:
        """Return the rule of a parameter's gradient, over all rows."""
        z, (before, _) = self.of["z"], self._letters
        rights = {
            "weight": (f"Σ_t {z.delta}[t,c] {self.x.name}[t,j]", "j,c"),
            "recurrent_weight": (f"Σ_t {z.delta}[t,c] {self.of['h'].name}[{before},k]", "k,c"),
            "bias": (f"Σ_t {z.delta}[t,c]", "c"),
            "recurrent_bias": (f"Σ_t {self.of['k'].delta}[t,k]" if "k" in self.of else "", "k"),
        }
        right, unit = rights[attribute]
        return Rule(right, lambda _, index, __: self._gradient(attribute, index), unit)

    def _gradient(self, attribute: str, index: int) -> Sum | Written:
        name = "k" if attribute == "recurrent_bias" else "z"
        columns = self.of[name].shape[-1]
        i, c = divmod(index, columns)
        if attribute == "recurrent_weight" and "k" in self.of and c >= 2 * self.units:
            name, c = "k", c - 2 * self.units
        products = [
            product
            for row in range(len(self.x.values))
            for t in range(self.time)
            if (
                product := self._part(
                    attribute, row, t, i, self._number(row, name, t, c, delta=True)
                )
            )
        ]
        return sum_of_factors(products) if products else Written("0", 0.0)

    def _part(self, attribute: str, row: int, t: int, i: int, delta: Any) -> Factors:
        """Return what one step of a row adds to a gradient; nothing if that is 0."""
        made: Factors = (delta,)
        if attribute == "weight":
            x = factor(self.x.name, self.x.values[row], t * self.x.shape[-1] + i)
            made = (delta, x, *self._dropout(row, self.units + i))
        elif attribute == "recurrent_weight":
            if self._before(t) is None and self.first is None:
                return ()
            made = (delta, self._state(row, "h", t, i), *self._dropout(row, i))
        if len(self.x.values) == 1:
            return made
        return tuple((_of_row(name, row), value) for name, value in made)

    def input_delta(self, role: int) -> Rule:
        """Return the rule of dJ/dx; that of the first state is one for any layer."""
        if role:
            return derivative_rule(self.place, role)

        def parts(row: int, index: int, _: Limit) -> Sum | Written:
            t, j = divmod(index, self.x.shape[-1])
            if self._masked(row, t):
                return Written("0", 0.0)
            w, drop = self.w.source.value, self._dropout(row, self.units + j)
            columns = range(w.shape[1])
            return sum_of_factors([
                (self._number(row, "z", t, c, delta=True),
                 factor(self.w.name, w, j * w.shape[1] + c), *drop)
                for c in columns
            ])  # fmt: skip

        return Rule(f"Σ_c {self.of['z'].delta}[t,c] {self.w.name}[j,c]", parts, "t,j")


def _of_row(name: str, row: int) -> str:
    """Write the row in a number's name: x[row 1,0,2]."""
    array, _, index = name.partition("[")
    return f"{array}[row {row},{index}" if index else name
