"""The layers of a pass in forward order, with their arrays and the names of these."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from minigrad.data.arrays import Array
from minigrad.explain.steps import UNNAMED, Formula, Symbol
from minigrad.layers import Activation, Dense
from minigrad.layers.convolution import Convolution
from minigrad.trace import Step as Traced
from minigrad.trace import Trace


class NamedParameter(NamedTuple):
    """A parameter: its name, the names of one layer's gradient and of the total, and its source."""

    name: str
    gradient: str
    total: str
    source: Any


@dataclass(eq=False)
class Place(Traced):
    """One layer in a pass: its arrays forward and back, and their names.

    A container has a place that `enters` it, before its layers, and one after them; it has none if
    its layers just follow one another. A `Dense` or a convolution with an activation has two, its
    sums and the activation. `hidden` is whether a `Dense` follows on the way to the loss, `linear`
    whether the layer computes the sums of a `Dense`, and `affine` those of either.
    """

    inner: list[Traced] = field(default_factory=list)
    enters: bool = False
    hidden: bool = False
    x: Symbol = UNNAMED
    h: Symbol = UNNAMED
    input_delta_name: str = ""
    parameters: dict[str, NamedParameter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kind = type(self.layer)
        self.linear = issubclass(kind, Dense) and kind.forward is Dense.forward
        self.affine = self.linear or (
            issubclass(kind, Convolution) and kind.forward is Convolution.forward
        )
        self.sides = Formula.sides(self.layer.equation, "h")
        self.activates = issubclass(kind, Activation) or "a" in self.sides

    @property
    def deltas(self) -> tuple[Array, Array]:
        """dJ/doutput and dJ/dinput of a layer that has both."""
        return cast("tuple[Array, Array]", (self.delta, self.input_delta))

    def tag(self, last: str, hidden: str) -> str:
        """Return the numbers of the equations: `last` if no `Dense` follows, else `hidden`."""
        return hidden if self.hidden else last


def _in_order(path: str, steps: dict[str, Traced]) -> Iterator[Place]:
    """Yield the places of a layer and of the layers in it, in forward order."""
    step = steps[path]
    inner = [s for p, s in steps.items() if p and p.rpartition(".")[0] == path]
    # Copies: later calls of the traced backward, for derivatives, change the steps.
    place = Place(**vars(step), inner=[Place(**vars(s)) for s in inner])
    inputs = [step.input, *(child.output for child in inner)]
    outputs = [*(child.input for child in inner), step.output]
    chained = all(a is b for a, b in zip(inputs, outputs, strict=True))
    skipped = inner and chained and not step.layer.own_parameters()
    if inner and place.affine:
        place.inner, place.output, place.delta = [], inner[0].input, inner[0].input_delta
        yield place
    elif inner and not skipped:
        yield Place(**vars(step), inner=place.inner, enters=True)
    for child in inner:
        yield from _in_order(child.path, steps)
    if not inner or not (place.affine or skipped):
        yield place


class Names:
    """The names of all arrays of a pass: z1, a1, w1, b1, δ1; and arrays and layers by name.

    The number in a name counts the `Dense` layers. The output of a `Dense` is z, that of an
    activation a, that of any other layer h, or the left side of its `equation`; dJ/dz is δ. A name
    that is taken gets a prime.
    """

    def __init__(self, recorded: Trace, x: Array) -> None:
        self.places = list(_in_order("", {step.path: step for step in recorded.steps}))
        self.deltas: dict[int, str] = {}  # the name of each dJ/dinput, by the array's id
        self.parameters: dict[str, list[tuple[Place, str]]] = {}  # the uses of each, by name
        self._symbols = {id(x): Symbol("x", "∂J/∂x", x, "x")}
        self._taken = {"x"}
        self._name_arrays()
        self._name_deltas()
        self.symbols = {symbol.name: symbol for symbol in self._symbols.values()}

    def of(self, array: Array) -> Symbol | None:
        return self._symbols.get(id(array))

    def place(self, path: str) -> Place:
        """Return the place of the layer at a path; KeyError if no layer ran there."""
        known = {place.path: place for place in reversed(self.places) if not place.enters}
        if path not in known:
            paths = ", ".join(map(repr, reversed(known)))
            raise KeyError(f"the explanation has no layer '{path}'; its layers: {paths}")
        return known[path]

    def _free(self, name: str) -> str:
        while name in self._taken:
            name += "'"
        self._taken.add(name)
        return name

    def _give(self, array: Array, letter: str, level: int, like: Symbol | None) -> Symbol:
        """Return the symbol of an array, a new one if necessary; `like` may share its units."""
        if id(array) not in self._symbols:
            name = self._free(f"{letter}{level}")
            delta = f"δ{name[1:]}" if letter == "z" else f"∂J/∂{name}"
            same = like is not None and like.shape == array.shape[1:]
            first = like.units_of if like is not None and same else name
            self._symbols[id(array)] = Symbol(name, delta, array, first)
        return self._symbols[id(array)]

    def _name_arrays(self) -> None:
        names: dict[int, str] = {}
        level = 0
        for place in self.places:
            level += place.linear
            place.x = self._give(place.input, "h", level, None)
            if place.enters:
                continue
            letter = "a" if place.activates else next(iter(place.sides), "h")
            like = None if place.linear else place.x
            place.h = self._give(place.output, "z" if place.linear else letter, level, like)
            for attribute, parameter in place.layer.own_parameters():
                source = parameter.source
                short = {"weight": "w", "bias": "b"}[attribute] if place.linear else attribute
                if id(source) not in names:
                    names[id(source)] = self._free(f"{short}{level}")
                name = names[id(source)]
                place.parameters[attribute] = NamedParameter(name, "", f"∂J/∂{name}", source)
                self.parameters.setdefault(name, []).append((place, attribute))
        for uses in self.parameters.values():
            for place, attribute in uses:
                p, part = place.parameters[attribute], f"|{word(place.path)}" * (len(uses) > 1)
                place.parameters[attribute] = p._replace(gradient=p.total + part)
        for place in self.places:
            place.h = self._symbols[id(place.output)]

    def _name_deltas(self) -> None:
        """Name each dJ/dinput; if an array has several users, each gives a part with its path."""
        users: dict[str, list[str]] = {}
        for place in self.places:
            if not place.enters:
                users.setdefault(place.x.name, []).append(f"{place.path}.")
        before_dense: set[str] = set()
        for place in reversed(self.places):
            place.hidden = place.h.name in before_dense
            if place.hidden or place.linear:
                before_dense.add(place.x.name)
            if place.hidden:
                ends = (self.of(child.output) for child in place.inner)
                before_dense.update(end.name for end in ends if end)
            whole = all(user.startswith(f"{place.path}.") for user in users[place.x.name])
            place.input_delta_name = place.x.delta + ("" if whole else f"|{word(place.path)}")
            if place.input_delta is not None:
                self.deltas.setdefault(id(place.input_delta), place.input_delta_name)


def word(path: str) -> str:
    """Write a path so that it can be part of a name."""
    return re.sub(r"[^\w.]", "_", path)
