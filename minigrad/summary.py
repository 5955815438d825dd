"""A model as a table of its layers, and notes on shared and frozen parameters."""

from __future__ import annotations

from collections.abc import Iterator

from minigrad.core.layer import Layer, walk
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import describe
from minigrad.graphs.graph import Graph
from minigrad.util.names import join
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
            rows.append((*_row(path, layer), takes.get(path, "")))
        graph = getattr(layer, "network", None) if hasattr(layer, "compile") else layer
        if isinstance(graph, Graph):
            for name, shape in graph.inputs.items():
                indented = _indented(join(path, name))
                rows.append((indented, "Input", describe(shape), "", "", ""))
            for name, sources in graph.sources.items():
                takes[join(path, name)] = ", ".join(sources)
    head = ("layer", "type", "output shape", "parameters", "trainable", "takes")
    return Table([row if takes else row[:-1] for row in (head, *rows)], right=[3])


def notes(model: Layer) -> Iterator[str]:
    """Yield what a model's repr lacks: interrupted training, shared and frozen parameters."""
    trainer = getattr(model, "trainer", None)
    if trainer is not None and trainer.epochs > trainer.history.epochs:
        done = f"{trainer.history.epochs} of {trainer.epochs}"
        yield f"in the middle of training: {done} epochs are done"
    places: dict[int, str] = {}
    for path, parameter in model.named_parameters():
        first = places.setdefault(id(parameter.source), path)
        if first != path:
            yield f"{path} is {first}"
    frozen = [path for path, parameter in model.named_parameters() if not parameter.trainable]
    if frozen:
        yield f"frozen: {', '.join(frozen)}"


def _indented(path: str) -> str:
    return "  " * path.count(".") + path.rpartition(".")[2]


def _row(path: str, layer: Layer) -> tuple[str, str, str, str, str]:
    parameters = _parameters(layer)
    shape = layer.output_shape
    trainable = {parameter.trainable for parameter in parameters}
    kinds = {(): "", (True,): "yes", (False,): "no", (False, True): "partly"}
    return (
        _indented(path),
        type(layer).__name__,
        describe(shape) if shape is not None else "?",
        f"{sum(p.size for p in parameters):,}" if parameters or shape is not None else "?",
        kinds[tuple(sorted(trainable))],
    )


def totals(model: Layer) -> str:
    """Return the line below the table: the number of parameters and their memory."""
    if model.output_shape is None:
        return "not built yet: pass input_shape= to the model, or call fit"
    parameters = _parameters(model)
    total = sum(p.size for p in parameters)
    trainable = sum(p.size for p in parameters if p.trainable)
    buffers = [getattr(layer, name) for _, layer in walk(model) for name in layer.buffers]
    size: float = sum(p.value.nbytes for p in parameters) + sum(b.nbytes for b in buffers)
    unit = "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if size >= 1024:
            size, unit = size / 1024, larger
    memory = f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
    also = f" and {sum(b.size for b in buffers):,} running statistics" if buffers else ""
    dtype = f" in {parameters[0].value.dtype}" if parameters else ""
    return f"{total:,} parameters, {trainable:,} trainable{also}; {memory}{dtype}"


def _parameters(layer: Layer) -> list[Parameter]:
    """Return the parameters of a layer and of the layers inside it, each once."""
    return list(dict.fromkeys(parameter.source for _, parameter in layer.named_parameters()))
