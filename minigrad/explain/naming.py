"""What the arrays of a pass are called, at any depth, as in the tutorial: z1, a1, w1, b1, δ1."""

from __future__ import annotations

import re
from collections import Counter

from minigrad.data.arrays import Array, Shape
from minigrad.explain.lines import Symbol
from minigrad.explain.places import Place
from minigrad.util.names import join


class Naming:
    """Names all places of a pass, and finds arrays and layers by their names.

    The number in a name counts the `Dense` layers. A `Dense` gives z, an activation a, any other
    layer h or what its `equation` calls its output; dJ/dz is δ. A name that is taken gets a prime.

    Args:
        places: in forward order; each is given its names.
        x: the input.
    """

    def __init__(self, places: list[Place], x: Array) -> None:
        self.places = places
        self.deltas: dict[int, str] = {}
        """The name of each dJ/dinput that was passed back, by the array's id."""
        self._arrays = {"x": x}
        self._symbols = {id(x): Symbol("x", "∂J/∂x", x.shape[1:], "x")}
        self._taken = {"x"}
        self._named: dict[int, str] = {}
        self._parameters: dict[str, tuple[str, Shape, list[str]]] = {}
        owners = (place for place in places if not place.enters)
        self._holders = Counter(id(p) for place in owners for _, p in place.layer.own_parameters())
        self._name_arrays()
        self._name_deltas()

    def of(self, array: Array) -> Symbol | None:
        """Return the symbol of an array that went forward, if it has one."""
        return self._symbols.get(id(array))

    def symbol(self, name: str) -> Symbol:
        """Return the symbol of a name, such as "z1"."""
        return self._symbols[id(self._arrays[name])]

    def array(self, name: str) -> Array:
        """Return the array of a name, such as "z1"."""
        return self._arrays[name]

    def place(self, path: str) -> Place:
        """Return what passed the layer at a path.

        Raises:
            KeyError: no layer ran there.
        """
        known = {place.path: place for place in reversed(self.places) if not place.enters}
        if path not in known:
            paths = ", ".join(map(repr, reversed(known)))
            raise KeyError(f"no layer is explained at '{path}'; known: {paths}")
        return known[path]

    def parameter(self, name: str) -> tuple[str, Shape, list[str]] | None:
        """Return where the parameter called such as "w1" is, its shape, its gradients' names."""
        return self._parameters.get(name)

    def _free(self, name: str) -> str:
        while name in self._taken:
            name += "'"
        self._taken.add(name)
        return name

    def _give(self, array: Array, letter: str, level: int, like: Symbol | None) -> Symbol:
        """Return the symbol of an array, a new one if need be; `like` may have the same units."""
        if id(array) not in self._symbols:
            name, shape = self._free(f"{letter}{level}"), array.shape[1:]
            delta = f"δ{name[1:]}" if letter == "z" else f"∂J/∂{name}"
            first = like.units_of if like is not None and like.shape == shape else name
            self._symbols[id(array)] = Symbol(name, delta, shape, first)
            self._arrays[name] = array
        return self._symbols[id(array)]

    def _name_arrays(self) -> None:
        level = 0
        for place in self.places:
            level += place.linear
            place.x = self.of(place.input) or self._give(place.input, "h", level, None)
            if not place.enters:
                letter = "a" if place.activates else next(iter(place.sides), "h")
                like = None if place.linear else place.x
                place.h = self._give(place.output, "z" if place.linear else letter, level, like)
                self._name_parameters(place, level)
        for place in self.places:
            place.h = self._symbols[id(place.output)]

    def _name_parameters(self, place: Place, level: int) -> None:
        for attribute, parameter in place.layer.own_parameters():
            short = {"weight": "w", "bias": "b"}[attribute] if place.linear else attribute
            if id(parameter) not in self._named:
                self._named[id(parameter)] = self._free(f"{short}{level}")
            name = self._named[id(parameter)]
            part = f"|{word(place.path)}" if self._holders[id(parameter)] > 1 else ""
            gradient = f"∂J/∂{name}{part}"
            place.parameters[attribute] = name, gradient, parameter
            first = join(place.path, attribute), parameter.shape, [f"∂J/∂{name}"]
            gradients = self._parameters.setdefault(name, first)[2]
            if part:
                gradients.insert(-1, gradient)

    def _name_deltas(self) -> None:
        """Name each dJ/dinput; where an array goes several ways, each way's part by its layer."""
        ways: dict[str, list[Place]] = {}
        for place in self.places:
            if not place.enters:
                ways.setdefault(place.x.name, []).append(place)
        before_dense: set[str] = set()
        for place in reversed(self.places):
            place.hidden = place.h.name in before_dense
            if place.hidden or place.linear:
                before_dense.add(place.x.name)
            if place.hidden:
                ends = (self.of(child.output) for child in place.inner)
                before_dense.update(end.name for end in ends if end)
            part = "" if _gathers(place, ways[place.x.name]) else f"|{word(place.path)}"
            place.input_delta_name = place.x.delta + part
            if place.input_delta is not None:
                self.deltas.setdefault(id(place.input_delta), place.input_delta_name)


def word(path: str) -> str:
    """Write a path so that it can be part of a name.

    >>> word("my layer.dense_1")
    'my_layer.dense_1'
    """
    return re.sub(r"[^\w.]", "_", path)


def _gathers(place: Place, ways: list[Place]) -> bool:
    """Tell whether all ways of its input lie in this layer, so that it has the whole dJ/dinput."""
    return all(way.path == place.path or way.path.startswith(f"{place.path}.") for way in ways)
