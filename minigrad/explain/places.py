"""The layers of a pass in forward order, with their arrays and the names of these."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol, cast

from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array
from minigrad.data.by_name import Data
from minigrad.explain.formula import equation_of, known_base, right_sides
from minigrad.explain.steps import UNNAMED, Quantity, Rule, Step
from minigrad.graphs.graph import Graph
from minigrad.layers import Activation, Dense, Embedding, MultiHeadAttention
from minigrad.layers.convolution import Convolution, ConvolutionTranspose
from minigrad.layers.pooling import GlobalPooling, Pooling
from minigrad.layers.recurrent import Recurrent
from minigrad.trace import Trace, Traced

_NAMED: Final = (Embedding, GlobalPooling, MultiHeadAttention, Pooling, Recurrent)
"""Layers whose outputs have their names in chains, too."""
_LETTERS: Final = {"weight": "Wi", "bias": "bi", "output_weight": "Wo", "output_bias": "bo"}
"""The parameters of attention."""
_RECURRENT: Final = {"weight": "W", "recurrent_weight": "U", "bias": "b", "recurrent_bias": "d"}


class Taker(NamedTuple):
    """What takes a value: a layer or a loss, the name of its part of the delta, and the part."""

    by: str
    name: str
    delta: Array


class Output(NamedTuple):
    """A prediction, dJ/dprediction, and the name of this: of the whole delta, or of a part."""

    symbol: Quantity
    delta: Array
    delta_name: str


class NamedParameter(NamedTuple):
    """A parameter of a layer, with its path and its name.

    `gradient` is the name of the layer's gradient `grad`, and `total` that of the sum over all
    layers that share the parameter.
    """

    path: str
    name: str
    gradient: str
    total: str
    source: Parameter
    grad: Array | None


class Mechanism(Protocol):
    """The arrays inside a layer: their steps, and the rules of what `backward` gives."""

    def forward(self) -> Iterator[Step]: ...

    def backward(self) -> Iterator[Step]: ...

    def gradient(self, attribute: str) -> Rule: ...

    def input_delta(self, role: int) -> Rule: ...


@dataclass(eq=False)
class Place(Traced):
    """One layer in a pass: its arrays forward and back, and their names.

    A container has a place that `enters` it, before its layers, and one after them; it has none if
    its layers just follow one another. A `Dense` or a convolution with an activation has two, its
    sums and the activation. `hidden` is whether a `Dense` follows on the way to the loss, `linear`
    whether the layer computes the sums of a `Dense`, and `affine` those of either. `xs` are
    the symbols of the inputs, and `h` is that of the output. `mechanism` has the steps of a layer
    that shows more arrays than its output.
    """

    inner: list[Traced] = field(default_factory=list)
    enters: bool = False
    hidden: bool = False
    xs: tuple[Quantity, ...] = (UNNAMED,)
    h: Quantity = UNNAMED
    input_delta_names: list[str] = field(default_factory=list)
    parameters: dict[str, NamedParameter] = field(default_factory=dict)
    mechanism: Mechanism | None = None

    def __post_init__(self) -> None:
        base = known_base(type(self.layer), (Dense, Convolution, ConvolutionTranspose))
        self.linear, self.affine = base is Dense, base is not None
        self.sides = right_sides(equation_of(self.layer), "h")
        self.activates = isinstance(self.layer, Activation) or "a" in self.sides

    @property
    def x(self) -> Quantity:
        """The symbol of the input, or of the first of several."""
        return self.xs[0]

    @property
    def deltas(self) -> tuple[Array, Array]:
        """dJ/doutput and dJ/dinput of a layer that has both."""
        return cast("tuple[Array, Array]", (self.delta, self.input_delta))

    def is_in(self, other: Place) -> bool:
        """Whether it is a layer of another one, a container."""
        return self.path != other.path and (
            not other.path or self.path.startswith(f"{other.path}.")
        )

    def tag(self, last: str, hidden: str) -> str:
        """Return the numbers of the equations: `last` if no `Dense` follows, else `hidden`."""
        return hidden if self.hidden else last

    def output_step(self, title: str, tag: str, rule: Rule) -> Step:
        """Return the step of the output."""
        return Step(
            phase="forward", path=self.path, title=title, tag=tag, name=self.h.name, rule=rule,
            values=self.output, symbol=self.h,
        )  # fmt: skip

    def input_delta_step(self, title: str, tag: str, rule: Rule, i: int = 0) -> Step:
        """Return the step of dJ/dinput, or of one of several."""
        return Step(
            phase="backward", path=self.path, title=title, tag=tag, name=self.input_delta_names[i],
            rule=rule, values=cast("Array", self.input_deltas[i]), symbol=self.xs[i],
        )  # fmt: skip


def _in_order(path: str, steps: dict[str, Traced]) -> Iterator[Place]:
    """Yield the places of a layer and of the layers in it, in forward order."""
    step = steps[path]
    inner = [s for p, s in steps.items() if p and p.rpartition(".")[0] == path]
    # Copies: later calls of the traced backward, for derivatives, change the steps.
    place = Place(**vars(step), inner=[Place(**vars(s)) for s in inner])
    made = [child.output for child in inner]
    known = _ids(*made, *step.inputs)
    # The layers of a chain or a graph take its inputs, and return its outputs.
    skipped = inner and all(_ids(*child.inputs) <= known for child in inner)
    skipped = skipped and _ids(step.output) <= _ids(*made) and not step.layer.own_parameters()
    activation = getattr(step.layer, "activation", None)
    activated = [child.layer for child in inner] == [activation] and bool(
        step.layer.own_parameters()
    )
    if inner and (place.affine or activated):
        place.inner, place.output, place.delta = [], inner[0].input, inner[0].input_delta
        yield place
    elif inner and not skipped:
        yield Place(**vars(step), inner=place.inner, enters=True)
    for child in inner:
        yield from _in_order(child.path, steps)
    if not inner or not (place.affine or activated or skipped):
        yield place


def by_label(data: Data) -> dict[str, Any]:
    """Return arrays by name; a single array has none."""
    return data if isinstance(data, dict) else {"": data}


def _ids(*values: Data) -> set[int]:
    return {id(array) for value in values for array in by_label(value).values()}


class Names:
    """The names of all arrays of a pass: z1, a1, w1, b1, δ1; and arrays and layers by name.

    The number in a name counts the `Dense` layers. The output of a `Dense` is z, that of an
    activation a, that of any other layer h, or the left side of its `equation`; dJ/dz is δ. A name
    that is taken gets a prime. Several inputs have their own names; in a graph, an output that is
    neither z nor a has that of its layer. `takers` has the parts of each delta that is a sum, by
    its name.
    """

    def __init__(self, recorded: Trace, x: Data) -> None:
        self.places = list(_in_order("", {step.path: step for step in recorded.steps}))
        self.deltas: dict[int, str] = {}  # the name of each dJ/dinput, by the array's id
        self.parameters: dict[str, list[NamedParameter]] = {}  # the uses of each, by name
        self.takers: dict[str, list[Taker]] = {}
        self._symbols: dict[int, Quantity] = {}
        self._taken: set[str] = set()
        self.inner: dict[str, Quantity] = {}  # the arrays inside layers, by name
        for label, array in by_label(x).items():
            name = self._free(label if label.isidentifier() else f"x_{word(label)}".strip("_"))
            self._symbols[id(array)] = Quantity(name, f"∂J/∂{name}", array, name)
        networks = (getattr(step.layer, "network", step.layer) for step in recorded.steps)
        self.in_graph = any(isinstance(network, Graph) for network in networks)
        self._name_arrays()
        deltas = by_label(recorded[""].delta)
        self.outputs = {
            label: Output(self._symbols[id(array)], deltas[label], "")
            for label, array in by_label(recorded.prediction).items()
        }
        self._name_deltas()
        self.symbols = {symbol.name: symbol for symbol in self._symbols.values()}

    def of(self, array: Array) -> Quantity | None:
        return self._symbols.get(id(array))

    def add(self, name: str, array: Array) -> Quantity:
        """Return the symbol of an array inside a layer."""
        name = self._free(name)
        self.inner[name] = Quantity(name, f"∂J/∂{name}", array, name)
        return self.inner[name]

    def taken(self, place: Place) -> str:
        """Say which layers and inputs of a graph a layer takes; nothing for its own sums."""
        sums = {p.path for p in self.places if p.affine}
        made = {}
        for p in self.places:
            outer = p.path.rpartition(".")[0]  # a `Dense`, or what has the layer otherwise
            made[p.h.name] = outer if outer in sums else p.path
        sources = [made.get(x.name, x.name) for x in place.xs]
        own = len(sources) == 1 and place.path.startswith(f"{sources[0]}.")
        return f"takes {', '.join(sources)}" if self.in_graph and not own else ""

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

    def _give(self, array: Array, name: str, like: Quantity | None = None) -> Quantity:
        """Return the symbol of an array, a new one if necessary; `like` may share its units."""
        if id(array) not in self._symbols:
            name = self._free(name)
            delta = f"δ{name[1:]}" if re.match(r"z\d", name) else f"∂J/∂{name}"
            same = like is not None and like.shape == array.shape[1:]
            first = like.units_of if like is not None and same else name
            self._symbols[id(array)] = Quantity(name, delta, array, first)
        return self._symbols[id(array)]

    def _name_arrays(self) -> None:
        names: dict[int, str] = {}
        count, layers = 0, [place.layer for place in self.places if not place.enters]
        attentions = [id(one) for one in layers if isinstance(one, MultiHeadAttention)]
        recurrent = [id(one) for one in layers if isinstance(one, Recurrent)]
        uses = Counter(id(p.source) for layer in layers for _, p in layer.own_parameters())
        for place in self.places:
            count += place.affine
            level = str(count)
            place.xs = tuple(self._give(x, f"h{level}") for x in place.inputs)
            if place.enters:
                continue
            letter = "a" if place.activates else next(iter(place.sides), "h")
            name, like = f"{letter}{level}", None if place.affine else place.x
            if place.affine:
                name = f"z{level}"
            elif self.in_graph or isinstance(place.layer, _NAMED):
                own = word(place.path).replace(".", "_")
                after_sums = place.activates and place.x.delta.startswith("δ")
                level = place.x.name[1:] if after_sums else f"_{own}"
                name = f"a{level}" if after_sums else own
            letters = _LETTERS if id(place.layer) in attentions else {}
            if letters:  # short names, since many stand in a line
                level = str(1 + attentions.index(id(place.layer))) if len(attentions) > 1 else ""
                name = name if self.in_graph else f"H{level}"
            elif id(place.layer) in recurrent:
                letters = _RECURRENT
                level = f"_{word(place.path.rpartition('.')[2])}" if len(recurrent) > 1 else ""
            place.h = self._give(place.output, name, like)
            for attribute, parameter in place.layer.own_parameters():
                source, path = parameter.source, f"{place.path}.{attribute}".lstrip(".")
                short = {"weight": "w", "bias": "b"}[attribute] if place.affine else attribute
                short = letters.get(attribute, short)
                if id(source) not in names:
                    names[id(source)] = self._free(f"{short}{level}")
                name = names[id(source)]
                total = f"∂J/∂{name}"
                part = f"|{word(place.path)}" if uses[id(source)] > 1 else ""
                grad = (place.gradients or {}).get(attribute)
                p = NamedParameter(path, name, total + part, total, source, grad)
                place.parameters[attribute] = p
                self.parameters.setdefault(name, []).append(p)
        for place in self.places:
            place.h = self._symbols[id(place.output)]

    def _name_deltas(self) -> None:
        """Name each dJ/dinput; if an array has several users, each gives a part with its path."""
        uses: dict[str, list[tuple[Place, int]]] = {}
        for place in self.places:
            place.input_delta_names = [""] * len(place.xs)
            for i, delta in enumerate(() if place.enters else place.input_deltas):
                if delta is not None:
                    uses.setdefault(place.xs[i].name, []).append((place, i))
        before_dense: set[str] = set()
        for place in reversed(self.places):
            place.hidden = place.h.name in before_dense
            if place.hidden or place.affine:
                before_dense.update(x.name for x in place.xs)
            if place.hidden:
                ends = (self.of(child.output) for child in place.inner)
                before_dense.update(end.name for end in ends if end)
        for symbol in self._symbols.values():
            self._name_parts(symbol, uses.get(symbol.name, []))
        for place in reversed(self.places):
            if place.enters:
                place.input_delta_names = self.place(place.path).input_delta_names
            for name, delta in zip(place.input_delta_names, place.input_deltas, strict=False):
                if name:
                    self.deltas.setdefault(id(delta), name)

    def _name_parts(self, symbol: Quantity, uses: list[tuple[Place, int]]) -> None:
        """Name what the users of an array return for it; a container's includes its layers'."""
        outer = [use for use in uses if not any(use[0].is_in(place) for place, _ in uses)]
        ends = [label for label, output in self.outputs.items() if output.symbol is symbol]
        alone = len(outer) + len(ends) == 1
        parts = []
        for place, i in uses:
            again = f".{i + 1}" if place.xs.index(symbol) < i else ""
            whole = alone and (place, i) in outer
            name = symbol.delta + ("" if whole else f"|{word(place.path)}{again}")
            place.input_delta_names[i] = name
            if (place, i) in outer:
                by = f"{place.path} (input {i + 1})" if again else place.path
                parts.append(Taker(by, name, cast("Array", place.input_deltas[i])))
        for label in ends:
            name = symbol.delta + ("" if alone else f"|{word(label)}")
            self.outputs[label] = output = self.outputs[label]._replace(delta_name=name)
            parts.append(Taker(f"the loss of {label}", name, output.delta))
        if not alone:
            self.takers[symbol.delta] = parts


def word(path: str) -> str:
    """Write a path so that it can be part of a name."""
    return re.sub(r"[^\w.]", "_", path)
