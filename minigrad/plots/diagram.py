"""The diagram of a network as SVG: units and weighted edges, or blocks where layers are wide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from math import log, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.core.chain import Chain
from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape
from minigrad.plots.svg import document, element, fit, text
from minigrad.summary import summary

_MAX_CIRCLES = 12  # a layer with more units is a block
_MAX_NUMBERS = 12  # more edges between two layers carry no numbers
_RADIUS, _BLOCK_WIDTH, _BLOCK_HEIGHT = 15.0, 84.0, 280.0
_MIN_PITCH, _MAX_PITCH = 42.0, 92.0  # from one unit's centre to the next
_TOP, _HEIGHT, _MIN_WIDTH = 62.0, 230.0, 560.0
_MIN_EDGE, _MAX_STROKE = 132.0, 5.0
_CAPTION, _SIDE = 150.0, 99.0  # of the widest caption; from an outer column to the border


@dataclass
class Column:
    """A layer that changes the data, the weights that lead into it, and its place."""

    caption: str
    units: int
    weights: Array | None = None
    x: float = 0.0
    heights: NDArray[Any] = field(default_factory=lambda: np.zeros(0))  # of units; or block ends

    def __post_init__(self) -> None:
        self.is_block = self.units > _MAX_CIRCLES
        self.half = _BLOCK_WIDTH / 2 if self.is_block else _RADIUS


def network(model: Layer) -> str:
    """Draw the layers of a model as SVG text, for light and dark pages, without Matplotlib.

    A layer of up to 12 units shows each unit as a circle, and each weight as a line: wide where
    the weight is large, dashed where it is negative. A wider layer is a block. A layer without
    parameters that keeps the width, such as an activation, is named under the layer before it.

    Raises:
        RuntimeError: the model isn't built.

    >>> from minigrad import Dense, Sequential, Sigmoid
    >>> model = Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)
    >>> network(model).count("<circle")
    6
    """
    if model.input_shape is None:
        raise RuntimeError(f"network expects a built model, got {model.label}: pass input_shape=")
    columns, types = [Column("input", _width(model.input_shape))], []
    for path, layer in _in_line(model):
        types.append(type(layer).__name__)
        shape = columns[-1].units, _width(layer.output_shape or ())
        parameters = dict(layer.named_parameters())
        if shape[0] == shape[1] and not parameters:
            columns[-1].caption += f", {layer.name}"
            continue
        own = [p.value for name, p in parameters.items() if "." not in name]
        columns.append(Column(path, shape[1], next((v for v in own if v.shape == shape), None)))
    bottom = _place(columns)
    largest = 0.0  # of the finite weights that have a line
    for a, b in pairwise(columns):
        if b.weights is not None and not (a.is_block or b.is_block):
            finite = np.abs(b.weights[np.isfinite(b.weights)])
            largest = float(finite.max(initial=largest))
    body = [part for pair in pairwise(columns) for part in _edges(*pair, largest)]
    for column in columns:
        caption = fit(column.caption, _CAPTION, "small")
        body += [*_units(column), text(column.x, bottom + 18, caption, "small fill-muted")]
    if largest:
        for x, name, sign in ((24, "positive weight", 1.0), (180, "negative weight", -1.0)):
            body.append(_line(x, bottom + 46, x + 30, bottom + 46, sign, 2.5))
            body.append(text(x + 38, bottom + 50, name, "small fill-muted", anchor="start"))
        scale = f"widest line: ±{largest:.3g}"
        body.append(text(340, bottom + 50, scale, "small fill-muted", anchor="start"))
    description = ", ".join(f"{column.caption} {column.units:,}" for column in columns)
    description = f"Network; units of each layer: {description}."
    width, height = max(columns[-1].x + _SIDE, _MIN_WIDTH), bottom + (66 if largest else 44)
    return document(width, height, body, title=", ".join(types), description=description)


def number(value: float) -> str:
    """Write two significant digits of a number, four if it is at least 100."""
    return f"{value:.{2 if abs(value) < 99.5 else 4}g}".replace("-", "−")


def _width(shape: Shape) -> int:
    """Return the numbers of a row, or of one step where a length varies."""
    return prod(n or 1 for n in shape)


def _in_line(layer: Any, path: str = "") -> Iterator[tuple[str, Layer]]:
    """Yield the layers that follow one another, those of chains and models inside too."""
    chain = getattr(layer, "network", layer) if hasattr(layer, "compile") else layer
    if not isinstance(chain, Chain):
        yield path, layer
        return
    for inner in chain.layers:
        yield from _in_line(inner, f"{path}.{inner.name}" if path else inner.name)


def _place(columns: list[Column]) -> float:
    """Set the place of each column, and return the height at which they end."""
    most = max((c.units for c in columns if not c.is_block), default=0)
    widest = max(c.units for c in columns)
    height = _HEIGHT if widest > _MAX_CIRCLES else min(_HEIGHT, most * _MAX_PITCH)
    height = max(height, most * _MIN_PITCH)
    spare = _MIN_WIDTH - 2 * _SIDE - sum(a.half + b.half for a, b in pairwise(columns))
    length = max(_MIN_EDGE, spare / max(1, len(columns) - 1))
    x = _SIDE - columns[0].half
    for column in columns:
        column.x = x + column.half
        x += 2 * column.half + length
        if column.is_block:  # its height grows with the logarithm of its units
            share = 0.5 + 0.5 * log(column.units / _MAX_CIRCLES) / log(widest / _MAX_CIRCLES)
            places = np.array([-0.5, 0.5]) * share * min(height, _BLOCK_HEIGHT)
        else:
            pitch = min(height / column.units, _MAX_PITCH)
            places = pitch * (np.arange(float(column.units)) - (column.units - 1) / 2)
        column.heights = _TOP + height / 2 + places
    return _TOP + height


def _edges(a: Column, b: Column, largest: float) -> list[str]:
    """Draw a line for each weight, the largest on top, or one band where a layer is a block."""
    x1, x2 = a.x + a.half, b.x - b.half
    if a.is_block or b.is_block:
        (y1, y4), (y2, y3) = ((c.heights[0], c.heights[-1]) for c in (a, b))
        points = f"{x1:.1f},{y1:.1f} {x2:.1f},{y2:.1f} {x2:.1f},{y3:.1f} {x1:.1f},{y4:.1f}"
        shape = "" if b.weights is None else f"{a.units:,} × {b.units:,}"
        x, y = (x1 + x2) / 2, (y1 + y2 + y3 + y4) / 4 + 4
        band = element("polygon", points=points, class_="fill-grid", opacity=0.6)
        return [band, text(x, y, shape, "small fill-ink")]
    weights = np.zeros((a.units, b.units)) if b.weights is None else b.weights
    sizes = np.where(np.isfinite(weights), np.abs(weights), 0.0) / (largest or 1.0)
    place = None if b.weights is None else _number_place(a.heights, b.heights)
    lines, numbers = [], []
    for edge in np.argsort(sizes, axis=None, kind="stable"):
        i, j = divmod(int(edge), b.units)
        weight, size = float(weights[i, j]), float(sizes[i, j])
        y1, y2 = float(a.heights[i]), float(b.heights[j])
        line = _line(x1, y1, x2, y2, weight if size else 0.0, 1.0 + (_MAX_STROKE - 1.0) * size)
        lines.append(element("g", line, opacity=0.4 + 0.6 * size))
        if place is not None:
            x, y = x1 + place * (x2 - x1), y1 + place * (y2 - y1) + 4
            numbers.append(text(x, y, number(weight), "small halo fill-ink"))
    return [*lines, *numbers]


def _line(x1: float, y1: float, x2: float, y2: float, weight: float, width: float) -> str:
    """Draw the line of a weight; one that is 0, unknown or not finite is grey."""
    css = "stroke-series-0" if weight > 0 else "stroke-series-1" if weight < 0 else "stroke-edge"
    look: dict[str, Any] = {"class_": css, "stroke_dasharray": "7 4" if weight < 0 else "none"}
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke_width=width, **look)


def _number_place(start: NDArray[Any], end: NDArray[Any]) -> float | None:
    """Return where on the edges their numbers are farthest apart, or None where they overlap."""
    gaps = {}
    for place in (0.2, 0.24, 0.28, 0.32, 0.36, 0.4):  # shares of their length
        heights = np.sort((start[:, None] + place * (end - start[:, None])).ravel())
        gaps[place] = round(float(np.diff(heights).min(initial=np.inf)), 6)
    best = max(gaps, key=lambda place: gaps[place])
    return best if gaps[best] >= 16 and len(start) * len(end) <= _MAX_NUMBERS else None


def _units(column: Column) -> list[str]:
    """Draw a circle for each unit, or a block with the number of units."""
    look: dict[str, Any] = {"class_": "fill-panel stroke-edge", "stroke_width": 1.5}
    if not column.is_block:
        return [element("circle", cx=column.x, cy=y, r=_RADIUS, **look) for y in column.heights]
    (top, bottom), middle = column.heights, column.heights.mean()
    look |= {"x": column.x - column.half, "y": top, "width": _BLOCK_WIDTH, "height": bottom - top}
    return [
        element("rect", rx=10, **look),
        text(column.x, middle + 2, f"{column.units:,}", "body strong fill-ink"),
        text(column.x, middle + 18, "units", "small fill-ink"),
    ]


def html(model: Layer) -> str:
    """Return a model's diagram and the table of its layers, as a notebook shows them."""
    picture = network(model) if model.output_shape is not None else ""
    return f"{picture}<pre>{escape(summary(model))}</pre>"
