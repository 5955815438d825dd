"""Pictures of a model as SVG text: its units and weights, its layers' numbers, its function."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
from numpy.typing import ArrayLike

from minigrad.core.chain import Chain
from minigrad.core.layer import Layer
from minigrad.core.layer import Layer as Network
from minigrad.core.layer import Layer as Supervised
from minigrad.data.arrays import Array, Shape, check_finite
from minigrad.losses import Loss
from minigrad.plots import histograms as draw_histograms
from minigrad.plots import network_diagram
from minigrad.plots import surface as draw_surface
from minigrad.plots.values import is_drawable
from minigrad.trace import Step, Trace, trace
from minigrad.util.config import as_object
from minigrad.util.paths import join

_MOST_ROWS = 1000
_NODES = 81
_MARGIN = 0.05


def network(model: Network, *, title: str = "") -> str:
    """Draw the layers of a model: units and weighted edges where narrow, blocks where wide.

    A layer without parameters that keeps the width, such as an activation, is named under the
    layer before it. Weights are drawn where a layer has a matrix of them.

    Args:
        model: the model, built.
        title: by default the layers' types.

    Raises:
        RuntimeError: the model isn't built yet.

    >>> from minigrad import Dense, Sequential, Sigmoid
    >>> model = Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)
    >>> network(model).count("<circle")
    6
    """
    widths, names = [prod(_built(model))], ["input"]
    weights: list[Array | None] = []
    for path, layer in _in_line(model):
        width = prod(layer.output_shape or ())
        if width == widths[-1] and not any(layer.named_parameters()):
            names[-1] += f", {layer.name}"
            continue
        shape = widths[-1], width
        matrices = [p.value for _, p in layer.own_parameters() if p.shape == shape]
        weights.append(matrices[0] if matrices else None)
        widths.append(width)
        names.append(path)
    title = title or ", ".join(type(layer).__name__ for layer in model.layers)
    return network_diagram(widths, title=title, weights=weights, names=names)


def histograms(
    model: Supervised,
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    loss: Loss | str | None = None,
    title: str = "",
) -> str:
    """Draw how each layer's output is spread over some rows, and with y its gradients.

    The columns are the outputs; dJ/doutput, the layer's delta; and dJ/dparameters of those layers
    that have any. What a container passes on from its last layer is drawn once. Of more than 1,000
    rows it takes the first ones. The model isn't touched.

    Args:
        model: the model, built.
        x: rows of the input shape.
        y: a target for each row; without it only the outputs are drawn.
        loss: a loss, or a name for its defaults; by default the compiled one.
        title: by default it counts the rows.

    Raises:
        RuntimeError: the model isn't built; or y is given, but no loss, and it isn't compiled.
        TypeError, ValueError: data that the model can't take.

    >>> from minigrad import Dense, MSELoss, Sequential, Sigmoid
    >>> model = Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)
    >>> x = np.random.default_rng(0).uniform(size=(100, 2))
    >>> svg = histograms(model, x, x.sum(axis=1), loss=MSELoss())
    >>> [word in svg for word in ("output", "delta", "gradient", "sigmoid_1")]
    [True, True, True, True]
    """
    loss = as_object(Loss, loss, "loss") if loss is not None else model.loss
    recorded = _recorded(model, x, y, loss)
    shown: dict[int, Step] = {}
    for step in recorded.steps:
        if id(step.output) not in shown or step.layer.own_parameters():
            shown[id(step.output)] = step
    columns: dict[str, dict[str, ArrayLike]] = {"output": {}, "delta": {}, "gradient": {}}
    for step in shown.values():
        columns["output"][step.path] = step.output
        if step.delta is not None:
            columns["delta"][step.path] = step.delta
        if step.gradients:
            columns["gradient"][step.path] = np.concatenate(
                [gradient.ravel() for gradient in step.gradients.values()]
            )
    told = f"Each layer over {len(recorded.prediction):,} rows"
    return draw_histograms({k: v for k, v in columns.items() if v}, title=title or told)


def surface(
    model: Network,
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    output: int = 0,
    boundary: float | None = None,
    title: str = "",
) -> str:
    """Draw what a model of two inputs predicts, over the area in which its rows lie.

    Args:
        model: of input shape (2,).
        x: rows; they are drawn as points where y is given.
        y: a target for each row, or one for each output: the points' colours or, of few different
            ones, shapes.
        output: which of the predictions.
        boundary: a level to draw as a heavy line, such as 0.5 for a probability.
        title: by default it names the output.

    Raises:
        RuntimeError: the model isn't built yet.
        TypeError, ValueError: rows without two inputs, or that the model can't take; no such
            output; rows too far apart to draw, or outputs of which none is finite.

    >>> from minigrad import Dense, Sequential, Sigmoid
    >>> model = Sequential([Dense(1), Sigmoid()], input_shape=(2,), rng=4)
    >>> x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> surface(model, x, [0, 1, 1, 1], boundary=0.5).startswith("<svg ")
    True
    """
    points = np.asarray(x)
    _built(model)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(
            f"a surface has two inputs, so x must be of shape (rows, 2), got {points.shape}"
        )
    check_finite(points, "x")
    ends = [_widened(points[:, axis], axis) for axis in (0, 1)]
    across, up = np.meshgrid(*(np.linspace(*pair, _NODES) for pair in ends))
    with np.errstate(all="ignore"):  # where the output isn't finite the picture stays empty
        predicted = model.predict(np.stack([across.ravel(), up.ravel()], axis=1))
    grid = predicted.reshape(len(predicted), -1).astype(np.float64)
    if not 0 <= output < grid.shape[1]:
        raise ValueError(f"the model has outputs 0 to {grid.shape[1] - 1}, got output={output}")
    if not is_drawable(grid[:, output]).any():
        raise ValueError(
            f"the model predicts {grid[0, output]} or the like all over this area, which can't be "
            f"drawn (output {output}): check that its parameters are finite, and not huge"
        )
    targets = None
    if y is not None:
        given = np.asarray(y).reshape(len(points), -1)
        targets = given[:, output if given.shape[1] > 1 else 0]
    return draw_surface(
        grid[:, output].reshape(across.shape),
        x_range=ends[0],
        y_range=ends[1],
        title=title or f"Output {output} over the two inputs",
        boundary=boundary,
        points=None if y is None else points,
        targets=targets,
    )


def _built(model: Network) -> Shape:
    """Return the input shape."""
    if model.input_shape is None:
        raise RuntimeError("the model isn't built yet: pass it input_shape=, or fit it")
    return model.input_shape


def _in_line(layer: Layer, path: str = "") -> Iterator[tuple[str, Layer]]:
    """Yield the layers that follow one another, those of chains inside chains too."""
    if not isinstance(layer, Chain):
        yield path, layer
        return
    for inner in layer.layers:
        yield from _in_line(inner, join(path, inner.name))


def _recorded(model: Supervised, x: ArrayLike, y: ArrayLike | None, loss: Loss | None) -> Trace:
    """Run some rows forward and, with targets, back."""
    _built(model)
    if y is None:
        return trace(model, np.asarray(x)[:_MOST_ROWS], training=False)
    if loss is None:
        raise RuntimeError("gradients need a loss: pass loss=, or compile the model")
    rows = model.rows(x, y, loss).take(slice(_MOST_ROWS))
    return trace(model, rows.x, rows.y, loss)


def _widened(column: Array, axis: int) -> tuple[float, float]:
    """Return the range of an input, and some room around it."""
    low, high = float(column.min()), float(column.max())
    room = _MARGIN * (high - low) or max(0.5, _MARGIN * abs(high))
    if not is_drawable(np.array([low - room, high + room])).all():
        raise ValueError(
            f"x[:, {axis}] runs from {low:.3g} to {high:.3g}, which can't be drawn: scale the data"
        )
    return low - room, high + room
