"""A model as a table of its layers, and notes on shared and frozen parameters."""

from __future__ import annotations

from collections.abc import Iterator

from minigrad.core.layer import Layer, walk
from minigrad.core.model import BaseModel
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import describe
from minigrad.graphs.graph import Graph
from minigrad.models.sharing import first_paths
from minigrad.util.names import join
from minigrad.util.repr import pretty
from minigrad.util.table import Table
from minigrad.util.terminal import Terminal


def summary(model: Layer) -> str:
    """Return a table of all layers in a model, with totals below it.

    Layers inside a container are indented; the container's row counts their parameters too. The
    total counts a shared parameter once.

    >>> from minigrad import Dense, Sequential, Sigmoid
    >>> print(summary(Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)))
    layer      type     output shape  parameters  trainable
    dense_1    Dense    (batch, 3)             9  yes
    sigmoid_1  Sigmoid  (batch, 3)             0
    dense_2    Dense    (batch, 1)             4  yes
    13 parameters, 13 trainable; 104 bytes in float64
    """
    return f"{table(model).text()}\n{Terminal.of().fill(totals(model))}"


def table(model: Layer) -> Table:
    """Return the table; inner layers are indented by two spaces.

    For graphs there is a row for each input, and a column with the sources of each layer.
    """
    rows: list[tuple[str, ...]] = []
    takes: dict[str, str] = {}
    for path, layer in walk(model):
        if layer is not model:
            rows.append((_indented(path), *_cells(layer), takes.get(path, "")))
        graph = layer.network if isinstance(layer, BaseModel) else layer
        if isinstance(graph, Graph):
            for name, shape in graph.inputs.items():
                rows.append((_indented(join(path, name)), "Input", describe(shape), "", "", ""))
            takes |= {join(path, name): ", ".join(s) for name, s in graph.sources.items()}
    head = ("layer", "type", "output shape", "parameters", "trainable", "takes")
    return Table([row if takes else row[:-1] for row in (head, *rows)], right=[3])


def code(model: Layer, *, done: int, planned: int) -> str:
    """Return the code that makes a model, with comments for what the code doesn't say."""
    found = _notes(model, done=done, planned=planned)
    return "\n".join([pretty(model), *(f"# {note}" for note in found)])


def _notes(model: Layer, *, done: int, planned: int) -> Iterator[str]:
    """Yield what a model's repr lacks: interrupted training, shared and frozen parameters."""
    if planned > done:
        yield f"in the middle of training: {done} of {planned} epochs are done"
    yield from (f"{path} is {first}" for path, first in first_paths(model).items())
    frozen = [path for path, parameter in model.named_parameters() if not parameter.trainable]
    if frozen:
        yield f"frozen: {', '.join(frozen)}"


def _indented(path: str) -> str:
    return "  " * path.count(".") + path.rpartition(".")[2]


def _cells(layer: Layer) -> tuple[str, str, str, str]:
    """Return a layer's type, output shape, number of parameters, and whether they are trained."""
    parameters = _parameters(layer)
    shape = "?" if layer.output_shape is None else describe(layer.output_shape)
    count = f"{sum(p.size for p in parameters):,}" if parameters or shape != "?" else "?"
    kinds = {(): "", (True,): "yes", (False,): "no", (False, True): "partly"}
    trainable = kinds[tuple(sorted({parameter.trainable for parameter in parameters}))]
    return type(layer).__name__, shape, count, trainable


def totals(model: Layer) -> str:
    """Return the line below the table: the number of parameters and their memory."""
    if model.output_shape is None:
        return "not built yet: pass input_shape= to the model, or call fit"
    parameters = _parameters(model)
    total = sum(p.size for p in parameters)
    trainable = sum(p.size for p in parameters if p.trainable)
    buffers = [getattr(layer, name) for _, layer in walk(model) for name in layer.buffers]
    size = sum(array.nbytes for array in (*(p.value for p in parameters), *buffers))
    memory = f"{size} bytes"
    for power, unit in enumerate(("KiB", "MiB", "GiB"), start=1):
        if size >= 1024**power:
            memory = f"{size / 1024**power:.1f} {unit}"
    also = f" and {sum(b.size for b in buffers):,} running statistics" if buffers else ""
    dtype = f" in {parameters[0].value.dtype}" if parameters else ""
    return f"{total:,} parameters, {trainable:,} trainable{also}; {memory}{dtype}"


def _parameters(layer: Layer) -> list[Parameter]:
    """Return the parameters of a layer and of the layers inside it, each once."""
    return list(dict.fromkeys(parameter.source for _, parameter in layer.named_parameters()))
