"""The nodes of a model's graph: its inputs, its layers, and the merges of their containers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.core.chain import Chain
from minigrad.core.layer import Layer
from minigrad.core.model import BaseModel
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape, size_of
from minigrad.data.by_name import each
from minigrad.graphs.graph import Graph
from minigrad.layers.branches import Parallel, Residual
from minigrad.layers.merge import Add, Average, Concatenate, Multiply
from minigrad.layers.recurrent import Bidirectional
from minigrad.plots.layout import Spot
from minigrad.util.names import join

_BRANCHING = Residual.forward, Parallel.forward, Bidirectional.forward
_SIGNS: dict[object, str] = {
    Add: "+", Average: "mean", Multiply: "×", Concatenate: "concat",
    "add": "+", "mean": "mean", "concat": "concat",
}  # fmt: skip


@dataclass(eq=False)
class Node(Spot):
    """An input, a layer or a merge, and the layers behind it that are named along with it."""

    path: str = ""
    sources: list[Node] = field(default_factory=list)
    layer: Layer | None = None
    shape: Shape = ()
    sign: str = ""  # of a merge
    also: list[Layer] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # its container, shared weights, outputs
    is_shared: bool = False
    lines: list[str] = field(default_factory=list)  # what is written in it or below it
    radius: float = 0.0  # of the units' circles; 0 of a block or a merge
    pitch: float = 0.0  # from one unit's center to the next
    tall: float = 0.0  # half of the height without what is written below
    drop: float = 0.0  # from the center to what is written below; 0 of a block

    @property
    def heights(self) -> NDArray[Any]:
        """The heights of the units' centers."""
        return self.y + self.pitch * (np.arange(float(self.units)) - (self.units - 1) / 2)

    @property
    def names(self) -> list[str]:
        """Its name, that of its activation, and those of the layers behind it."""
        activation = getattr(self.layer, "activation", None)
        inner = [activation] if isinstance(activation, Layer) else []
        return [self.path.rpartition(".")[2], *(layer.name for layer in (*inner, *self.also))]

    @property
    def units(self) -> int:
        """How many numbers the node gives for a row."""
        return size_of(self.shape)

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Its parameters by name; a merge has none."""
        return {} if self.layer is None or self.sign else dict(self.layer.named_parameters())

    @property
    def weights(self) -> Array | None:
        """The matrix from the units of the one source to these, if there is one."""
        if len(self.sources) != 1:
            return None
        shape = self.sources[0].units, self.units
        own = [p.value for name, p in self.parameters.items() if "." not in name]
        return next((value for value in own if value.shape == shape), None)


def nodes_of(model: Layer) -> list[Node]:
    """Return the nodes of a built model, each after its sources.

    A layer without parameters that keeps the shape, such as an activation, joins the node before
    it, unless something else also takes that node's output.
    """
    shape: Any = model.input_shape
    inputs: dict[str, Shape] = {"input": shape}
    if isinstance(model, BaseModel) and isinstance(model.network, Graph):
        inputs = model.network.inputs
    elif shape and isinstance(shape[0], tuple):  # of a layer with several inputs
        inputs = {f"input_{i}": row for i, row in enumerate(shape, start=1)}
    nodes = [Node(path=name, shape=row) for name, row in inputs.items()]
    outputs = _expand(model, "", list(nodes), nodes)
    named = outputs if isinstance(outputs, dict) else {}
    taken = Counter([*(source for node in nodes for source in node.sources), *named.values()])
    kept: dict[Node, Node] = {}  # the node that shows each
    for node in nodes:
        before, node.sources = node.sources, [kept[source] for source in node.sources]
        kept[node] = node
        alone = len(before) == 1 and taken[before[0]] == 1 and not node.sign
        if alone and not node.parameters and node.shape == before[0].shape:
            kept[node] = node.sources[0]
            kept[node].also += [node.layer] if node.layer is not None else []
    for name, node in named.items():
        kept[node].notes.append("output" if name == node.names[0] else f"output {name}")
    found = list(dict.fromkeys(kept.values()))
    times = Counter(node.names[0] for node in found)
    owners: dict[int, Node] = {}  # the first one with a parameter
    for node in found:
        if times[node.names[0]] > 1 and "." in node.path:
            node.notes.insert(0, _end(node.path.rpartition(".")[0]))
        for parameter in node.parameters.values():
            owner = owners.setdefault(id(parameter.source), node)
            if owner is not node and not node.is_shared:
                node.notes += ["shared weights", f"of {_end(owner.path)}"]
                owner.notes += [] if owner.is_shared else ["shared weights"]
                owner.is_shared = node.is_shared = True
    return found


def _expand(layer: Any, path: str, sources: list[Node], nodes: list[Node]) -> Any:
    """Add the nodes of a layer that takes these, and return that of its output, or a dict."""
    forward = type(layer).forward
    if isinstance(layer, BaseModel):
        inner = layer.network
        hidden = isinstance(inner, (Chain, Graph))  # a path doesn't name it
        return _expand(inner, path if hidden else join(path, inner.name), sources, nodes)
    if forward is Chain.forward:
        for inner in layer.layers:
            sources = [_expand(inner, join(path, inner.name), sources, nodes)]
        return sources[0]
    if forward is Graph.forward:
        values = dict(zip(layer.inputs, sources, strict=True))
        for name, inner in layer.layers.items():
            given = [values[source] for source in layer.sources[name]]
            values[name] = _expand(inner, join(path, name), given, nodes)
        return each(values.__getitem__, layer.outputs)
    sign = _SIGNS.get(type(layer), "")  # a subclass may compute something else
    if isinstance(layer, (Residual, Parallel)) and forward in _BRANCHING:
        branches = [_expand(b, join(path, b.name), sources, nodes) for b in layer.children]
        sources = [*branches, *(sources if isinstance(layer, Residual) else ())]
        sign = _SIGNS["add" if isinstance(layer, Residual) else layer.merge]
    path = path or layer.name or type(layer).__name__
    node = Node(path=path, sources=sources, layer=layer, shape=layer.output_shape, sign=sign)
    nodes.append(node)
    return node


def _end(path: str) -> str:
    """Return the end of a long path."""
    return path if len(path) <= 20 else f"…{path[-19:]}"
