"""A model as a table of its layers, and what can't be seen in the code that makes it."""

from __future__ import annotations

from collections.abc import Iterator

from minigrad.core.layer import Layer, walk
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import describe
from minigrad.util.paths import apart

_UNKNOWN = "?"


def summary(model: Layer) -> str:
    """Return a table of a model's layers, those inside others indented, and totals below it.

    A container's parameters are those of all that it holds. A parameter that is shared counts once
    in the total.

    >>> from minigrad import Dense, Sequential, Sigmoid
    >>> print(summary(Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)))
    layer      type     output shape  parameters  trainable
    dense_1    Dense    (batch, 3)             9  yes
    sigmoid_1  Sigmoid  (batch, 3)             0
    dense_2    Dense    (batch, 1)             4  yes
    13 parameters, 13 trainable; 104 bytes in float64
    """
    rows = [("layer", "type", "output shape", "parameters", "trainable")]
    rows.extend(_row(path, layer) for path, layer in walk(model) if layer is not model)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if place == 3 else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([*lines, *_totals(model)])


def notes(model: Layer) -> Iterator[str]:
    """Yield what the code that makes a model doesn't say: what is shared, and what is frozen."""
    places: dict[int, str] = {}
    for path, parameter in model.named_parameters():
        first = places.setdefault(id(parameter), path)
        if first != path:
            yield f"{path} is {first}"
    frozen = [path for path, parameter in model.named_parameters() if not parameter.trainable]
    if frozen:
        yield f"frozen: {', '.join(frozen)}"


def _row(path: str, layer: Layer) -> tuple[str, str, str, str, str]:
    parameters = _held(layer)
    built = layer.output_shape is not None
    trainable = {parameter.trainable for parameter in parameters}
    kind = {(True,): "yes", (False,): "no", (False, True): "partly"}
    return (
        "  " * path.count(".") + apart(path)[1],
        type(layer).__name__,
        describe(layer.output_shape) if layer.output_shape is not None else _UNKNOWN,
        f"{sum(p.size for p in parameters):,}" if built or parameters else _UNKNOWN,
        kind.get(tuple(sorted(trainable)), ""),
    )


def _totals(model: Layer) -> list[str]:
    if model.output_shape is None:
        return ["not built yet: give the model input_shape=, or fit it"]
    parameters = _held(model)
    total = sum(p.size for p in parameters)
    trainable = sum(p.size for p in parameters if p.trainable)
    buffers = [getattr(layer, name) for _, layer in walk(model) for name in layer.buffers]
    size = sum(p.value.nbytes for p in parameters) + sum(b.nbytes for b in buffers)
    also = f" and {sum(b.size for b in buffers):,} running figures" if buffers else ""
    dtype = f" in {parameters[0].value.dtype}" if parameters else ""
    return [f"{total:,} parameters, {trainable:,} trainable{also}; {bytes_told(size)}{dtype}"]


def _held(layer: Layer) -> list[Parameter]:
    """Return all parameters of a layer and of those in it, each once."""
    return list(dict.fromkeys(parameter for _, parameter in layer.named_parameters()))


def bytes_told(size: float) -> str:
    """Write a number of bytes.

    >>> bytes_told(104), bytes_told(70_000), bytes_told(5_000_000)
    ('104 bytes', '68.4 KiB', '4.8 MiB')
    """
    if size < 1024:
        return f"{size:.0f} bytes"
    for unit in ("KiB", "MiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} GiB"
