"""A graph: layers in any order without a cycle, with several inputs and outputs."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Never, override

from minigrad.core.chain import Chain, name_layers
from minigrad.core.layer import Layer, build_once
from minigrad.core.model import BaseModel
from minigrad.data.arrays import Array, Shape, as_input_shape, describe, fits
from minigrad.data.by_name import Data, each, of
from minigrad.data.several import check_names
from minigrad.graphs.symbol import Symbol
from minigrad.util.config import register
from minigrad.util.names import check_name, nearest
from minigrad.util.random import RNG


class Input(Symbol):
    """An input of a graph, where calls of layers begin; see `Graph`.

    Args:
        shape: the shape of a row, such as (4,); None is a length that varies, as in (None, 8).
        name: by which `fit` and `predict` take its array; by default 'input_1' and so on.
    """

    def __init__(self, shape: Shape, *, name: str = "", **_unknown: Never) -> None:
        if _unknown:
            from minigrad.util.arguments import refuse_options

            refuse_options(_unknown, type(self))
        super().__init__(None, ())
        self.name = check_name(name, "name", self)
        self.shape = as_input_shape(shape, f"Input '{name}'" if name else "Input")

    @override
    def __repr__(self) -> str:
        return f"Input '{self.name}'"


@register
class Graph(Layer):
    """Layers without a cycle: each takes inputs of the graph, and outputs of layers before it.

    Forward runs the layers in their order. Backward runs them in reverse: the delta of a value is
    the sum over all layers that take it of what their `backward` returns for it, as the sum over k
    of delta_k w_jk in Equation 10. `Model(inputs=..., outputs=...)` makes one from layers that are
    called on symbols.

    A layer that is there twice shares its parameters between the two places: the build replaces
    the second by a copy with a cache of its own.

    Args:
        inputs: the shape of a row of each input, by name.
        layers: (layer, *sources) by name, in order: the names of what the layer takes; a layer that
            is used again may be given by the name of its first place.
        outputs: the name of the layer whose output is the prediction; or, for several
            predictions, a dict of such names.
        name: see `Layer`.

    Raises:
        ValueError: a name that is defined twice, a source that isn't defined before, or an input or
            a layer that nothing takes.

    Source: Griewank and Walther, Evaluating derivatives, 2008, section 3.2.

    >>> from minigrad import Add, Dense, Tanh
    >>> graph = Graph({"x": (2,)}, {"h": (Dense(2), "x"), "sum": (Add(), "h", "x")}, "sum")
    >>> graph.build((2,), np.random.default_rng(0))
    (2,)
    >>> graph.forward(np.ones((1, 2))).shape, graph.backward(np.ones((1, 2))).shape
    ((1, 2), (1, 2))
    """

    transparent = True
    _symbols: dict[str, Symbol]
    """The symbols that it was made of, by name; `connect` adds those that are missing."""

    def __init__(
        self,
        inputs: Mapping[str, Shape],
        layers: Mapping[str, tuple[Any, ...]],
        outputs: str | Mapping[str, str],
        *,
        name: str = "",
    ) -> None:
        super().__init__(name=name)
        self.inputs = {n: as_input_shape(s, f"input '{n}'") for n, s in inputs.items()}
        self.layers: dict[str, Layer] = {}
        self.sources: dict[str, tuple[str, ...]] = {}
        for node, entry in layers.items():
            layer, *sources = entry if isinstance(entry, (tuple, list)) else (entry,)
            layer = self.layers.get(layer, layer) if isinstance(layer, str) else layer
            if not isinstance(layer, Layer) or not sources:
                raise TypeError(
                    f"'{node}' of {self.label} expects (layer, *sources), got {entry!r}"
                )
            self.layers[node], self.sources[node] = layer, tuple(sources)
        if not isinstance(outputs, (str, Mapping)) or not outputs:
            raise TypeError(
                f"{self.label} expects outputs, a name or a dict of names, got {outputs}"
            )
        self.outputs = outputs if isinstance(outputs, str) else dict(outputs)
        self._check_names()
        for node, layer in reversed(self.layers.items()):
            layer.name = node
        name_layers(self.children, self.label)

    def _check_names(self) -> None:
        known = set(self.inputs)
        for node, sources in self.sources.items():
            if node in known:
                raise ValueError(f"'{node}' is defined twice in {self.label}")
            for source in sources:
                if source not in known:
                    raise ValueError(
                        f"'{node}' of {self.label} takes '{source}', which isn't defined before it"
                    )
            known.add(node)
        outputs = [self.outputs] if isinstance(self.outputs, str) else [*self.outputs.values()]
        for output in outputs:
            if output not in self.layers:
                raise ValueError(
                    f"the output '{output}' of {self.label} isn't one of its layers: "
                    f"{nearest(output, self.layers)}"
                )
        taken = {source for sources in self.sources.values() for source in sources}
        if unused := known - taken - set(outputs):
            raise ValueError(f"nothing in {self.label} takes {sorted(unused)}: leave them out")

    @property
    def input_shapes(self) -> Shape:
        """The shape of a row, or of several inputs a tuple of them."""
        shapes = tuple(self.inputs.values())
        return shapes if len(shapes) > 1 else shapes[0]

    @property
    @override
    def input_names(self) -> tuple[str, ...]:
        return tuple(self.inputs) if len(self.inputs) > 1 else ()

    @property
    def output_layers(self) -> Any:
        """The layer that gives the output; of several outputs a dict of them by name."""
        return each(self.layers.__getitem__, self.outputs)

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        if input_shape != self.input_shapes:
            raise ValueError(f"{self.label} expects inputs {self.inputs}, got {input_shape}")
        shapes = dict(self.inputs)
        seen: set[int] = set()
        for node, layer in self.layers.items():
            if id(layer) in seen:
                layer = self.layers[node] = _other_use(layer, node, rng)
            seen.add(id(layer))
            given = tuple(shapes[source] for source in self.sources[node])
            _check_count(layer, self.sources[node], self.layers)
            shapes[node] = build_once(layer, given if len(given) > 1 else given[0], rng)
            if isinstance(shapes[node], dict):
                raise ValueError(
                    f"{layer.label} has several outputs, and a graph takes single ones"
                )
        return each(shapes.__getitem__, self.outputs)  # type: ignore[no-any-return]

    @override
    def forward(self, *inputs: Data, training: bool = True) -> Data:
        """Return the prediction for the inputs in order, or for a dict of them by name."""
        if len(inputs) == 1 and isinstance(inputs[0], dict):
            given = check_names(inputs[0], tuple(self.inputs), f"the input of {self.label}")
            inputs = tuple(given[name] for name in self.inputs)
        if len(inputs) != len(self.inputs):
            raise ValueError(f"{self.label} expects inputs {list(self.inputs)}, got {len(inputs)}")
        values = dict(zip(self.inputs, inputs, strict=True))
        for (node, layer), sources in zip(self.layers.items(), self.sources.values(), strict=True):
            values[node] = layer.forward(*[values[s] for s in sources], training=training)
        if training:
            self.cache = {node: value.shape for node, value in values.items()}
        return each(values.__getitem__, self.outputs)

    @override
    def backward(self, delta: Data) -> Any:
        """Return dJ/dinput, or for several inputs a tuple; None for one without a slope."""
        deltas = self._deltas(delta, parameters_only=False)
        found = tuple(deltas.get(name) for name in self.inputs)
        return found if len(found) > 1 else found[0]

    @override
    def backward_parameters(self, delta: Data) -> None:
        self._deltas(delta, parameters_only=True)

    def _deltas(self, delta: Data, *, parameters_only: bool) -> dict[str, Array]:
        """Send delta back, and return the deltas of the inputs."""
        shapes: dict[str, Shape] = self.cache
        if isinstance(self.outputs, dict):
            nodes = self.outputs
            given = check_names(delta, tuple(nodes), f"the delta of {self.label}")
        else:
            nodes, given = {self.outputs: self.outputs}, {self.outputs: delta}
        dtype = next(iter(given.values())).dtype
        deltas: dict[str, Array] = {}
        for output, node in nodes.items():
            self.layers[node].check_delta(given[output], shapes[node])
            _add(deltas, node, given[output])
        for node, layer in reversed(self.layers.items()):
            sources = self.sources[node]
            delta = deltas.pop(node, None)
            if delta is None:  # what takes it has no slope
                delta = np.zeros(shapes[node], dtype)
            if parameters_only and all(source in self.inputs for source in sources):
                layer.backward_parameters(delta)
                continue
            parts = layer.backward(delta)
            for source, part in zip(sources, _as_tuple(parts, layer, len(sources)), strict=True):
                _add(deltas, source, part)
        return deltas

    @override
    def cast(self, x: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        if not isinstance(x, dict):
            return self._cast_input(next(iter(self.inputs)), x, dtype)
        return {name: self._cast_input(name, a, dtype) for name, a in x.items()}  # type: ignore[return-value]

    def _cast_input(self, name: str, x: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Let the first layer that takes this input alone choose its dtype, or a graph inside."""
        for node, sources in self.sources.items():
            layer = self.layers[node]
            inner = layer.network if isinstance(layer, BaseModel) else layer
            if sources == (name,) and layer.chooses_dtype:
                return layer.cast(x, dtype)
            if name in sources and isinstance(inner, Graph):
                return inner._cast_input([*inner.inputs][sources.index(name)], x, dtype)
        return super().cast(x, dtype)

    @override
    def check_rows(self, x: Data, input_shape: Shape | None) -> Shape:
        if len(self.inputs) > 1:
            check_names(x, tuple(self.inputs), "x")
        for name, shape in self.inputs.items():
            given = of(x, name).shape
            if not fits(given[1:], shape):
                raise ValueError(
                    f"{self.label} expects input '{name}' of shape {describe(shape)}, got {given}"
                )
        return self.input_shapes

    @override
    def check_output(self, output: Data, rows: int) -> None:
        each(lambda layer, array: layer.check_output(array, rows), self.output_layers, output)

    @override
    def get_config(self) -> dict[str, Any]:
        first = {id(layer): node for node, layer in reversed(self.layers.items())}
        layers = {
            node: (layer if first[id(layer)] == node else first[id(layer)], *self.sources[node])
            for node, layer in self.layers.items()
        }
        return {
            "inputs": self.inputs, "layers": layers, "outputs": self.outputs, "name": self.name
        }  # fmt: skip


def graph_of(inputs: Any, outputs: Any, owner: str) -> Graph:
    """Return the graph between inputs and outputs, which are symbols: one, a list or a dict."""
    if isinstance(inputs, Layer) or inputs is None or outputs is None:
        hint = ": a subclass passes its layers, as in super().__init__(Chain([...]))"
        way = hint if inputs is None else ""
        raise TypeError(f"{owner} expects a layer, or inputs= and outputs=, got {inputs!r}{way}")
    given: list[Any] = [*inputs] if isinstance(inputs, (list, tuple)) else [inputs]
    for place, symbol in enumerate(given):
        if not isinstance(symbol, Input):
            raise TypeError(f"inputs[{place}] of {owner} expects an Input, got {symbol!r}")
    names: dict[Symbol, str] = {
        symbol: symbol.name or f"input_{number}" for number, symbol in enumerate(given, start=1)
    }
    ends = _ends(outputs, owner)
    ordered = [s for s in _ordered(ends.values()) if s not in names]
    for symbol in ordered:
        if symbol.layer is None:
            raise ValueError(f"the outputs of {owner} depend on {symbol!r}, which isn't an input")
    layers = list({id(s.layer): s.layer for s in ordered if s.layer is not None}.values())
    name_layers(layers, owner)
    table: dict[str, tuple[Any, ...]] = {}
    for symbol in ordered:
        assert symbol.layer is not None
        first = name = symbol.layer.name
        number = 1
        while name in table:
            number += 1
            name = f"{first}_{number}"
        names[symbol] = name
        table[name] = (symbol.layer, *(names[source] for source in symbol.sources))
    shapes = {names[symbol]: symbol.shape for symbol in given}
    if len(shapes) < len(given):
        raise ValueError(f"two inputs of {owner} have the same name: {[s.name for s in given]}")
    found: Any = [names[end] for end in ends.values()]
    if isinstance(outputs, Mapping):
        found = dict(zip(ends, found, strict=True))
    else:
        found = found[0] if len(found) == 1 else {name: name for name in found}
    graph = Graph(shapes, table, found)
    graph._symbols = {name: symbol for symbol, name in names.items()}
    return graph


def without_input(layers: list[Any], input_shape: Shape | None) -> Shape | None:
    """Remove an `Input` before the layers of a chain, and return the input shape."""
    if not isinstance(layers[0], Input):
        return input_shape
    shape: Shape = layers.pop(0).shape
    if input_shape not in (None, shape):
        raise ValueError(f"Sequential got {input_shape=} and Input({shape}): leave one out")
    return shape


def connect(model: Any) -> tuple[Any, Any]:
    """Give each layer of a built model its `output`; return the symbols of inputs and outputs.

    A layer that another model has connected keeps its own.
    """
    network = model.network
    if network.output_shape is None:
        raise RuntimeError(f"{model.label} isn't built, so it has no symbols: pass it input_shape=")
    if isinstance(network, Graph):
        symbols: dict[str, Symbol] = vars(network).setdefault("_symbols", {})
        for name, shape in network.inputs.items():
            symbols.setdefault(name, Input(shape, name=name))
        for node, layer in network.layers.items():
            sources = tuple(symbols[source] for source in network.sources[node])
            _connected(layer, symbols.setdefault(node, Symbol(layer, sources)))
        inputs = [symbols[name] for name in network.inputs]
        return inputs if len(inputs) > 1 else inputs[0], each(symbols.__getitem__, network.outputs)
    layers = network.layers if isinstance(network, Chain) else [network]
    known, shape = vars(layers[0]).get("_output"), network.input_shape
    shapes = shape if shape and isinstance(shape[0], tuple) else (shape,)
    ends: tuple[Symbol, ...] = known.sources if known else ()
    if not ends or not all(isinstance(source, Input) for source in ends):
        ends = tuple(Input(shape, name=f"input_{i}") for i, shape in enumerate(shapes, start=1))
    begin = list(ends)
    for layer in layers:
        symbol = _connected(layer, Symbol(layer, ends))
        ends = (symbol if symbol.sources == ends else Symbol(layer, ends),)
    return begin if len(begin) > 1 else begin[0], ends[0]


def _connected(layer: Any, symbol: Symbol) -> Symbol:
    found: Symbol = vars(layer).setdefault("_output", symbol)
    return found


def _ends(outputs: Any, owner: str) -> dict[Any, Symbol]:
    if not isinstance(outputs, (Mapping, list, tuple)):
        outputs = [outputs]
    ends = dict(outputs) if isinstance(outputs, Mapping) else dict(enumerate(outputs))
    for name, end in ends.items():
        if not isinstance(end, Symbol) or end.layer is None:
            raise TypeError(
                f"outputs[{name!r}] of {owner} expects what a layer called on an Input gives, "
                f"got {end!r}"
            )
    return ends


def _ordered(ends: Iterable[Symbol]) -> Iterator[Symbol]:
    """Yield the symbols that lead to the ends, each once and after its sources."""
    done: set[Symbol] = set()
    waiting = [*ends][::-1]
    while waiting:
        symbol = waiting[-1]
        before = [s for s in symbol.sources if s not in done]
        waiting += before[::-1]
        if not before:
            waiting.pop()
            if symbol not in done:
                done.add(symbol)
                yield symbol


def _check_count(layer: Layer, sources: tuple[str, ...], layers: Mapping[str, Layer]) -> None:
    try:
        signature(layer.forward).bind(*sources)
    except TypeError:
        way = "merge several first, as in Concatenate()(...)"
        if masks := [name for name in sources if name in layers and layers[name].gives_mask]:
            way = f"it takes no mask, leave '{masks[0]}' out"
        raise TypeError(
            f"{layer.label} doesn't take {len(sources)} inputs, got {', '.join(sources)}: {way}"
        ) from None


def _other_use(layer: Layer, name: str, rng: RNG) -> Layer:
    """Return a copy of a built layer with the same parameters and a cache of its own."""
    kept = {id(rng): rng, **{id(p): p for _, p in layer.named_parameters()}}
    other = copy.deepcopy(layer, kept)
    other.name = name
    return other


def _add(deltas: dict[str, Array], name: str, delta: Array | None) -> None:
    """Add up the deltas of a value that several layers take; None adds nothing."""
    if delta is not None:
        deltas[name] = deltas[name] + delta if name in deltas else delta


def _as_tuple(parts: Any, layer: Layer, count: int) -> tuple[Array | None, ...]:
    found: tuple[Array | None, ...] = parts if isinstance(parts, tuple) else (parts,)
    if len(found) != count:
        raise TypeError(
            f"backward of {layer.label} must return a delta for each of its {count} inputs, got "
            f"{len(found)}: return a tuple, with None for an input without a slope"
        )
    return found
