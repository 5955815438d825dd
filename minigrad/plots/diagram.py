"""The diagram of a network as SVG: units and weighted edges, or blocks where layers are wide."""

from __future__ import annotations

from math import atan2, degrees, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer
from minigrad.plots.architecture import Node, nodes_of
from minigrad.plots.layout import Layout, Spot
from minigrad.plots.svg import document, fit, text, width_of
from minigrad.summary import table, totals
from minigrad.util.markup import element, escape

_MAX_NUMBERS = 12  # more edges between two layers carry no numbers
_HALF_NUMBER, _NUMBER_GAP = 12.0, 11.0  # half of a number's width; the space between two numbers
_MAX_PITCH = 92.0  # from one unit's center to the next
_MERGE, _MIN_BLOCK = 15.0, 38.0  # half the size of a merge, half the least width of a block
_RIM = 6.0  # the space between circles and their frame
_MAX_STROKE = 5.0  # the width of the line of the largest weight
_LINE, _CAPTION = 15.0, 175.0  # the height of a line of text, and its largest width


def network(model: Layer) -> str:
    """Draw the architecture of a model as SVG text, for light and dark pages, without Matplotlib.

    A layer of up to 12 units shows each unit as a circle, and each weight as a line: wide where
    the weight is large, dashed where it is negative. Other layers are blocks with their types and
    the shape of a row; merges are small nodes. A layer without parameters that keeps the shape,
    such as an activation, is named with the layer before it. Long networks have several rows.

    For slides write a file: `Path("net.svg").write_text(network(model), encoding="utf-8")`. Many
    programs take SVG; for others, `rsvg-convert -f pdf -o net.pdf net.svg` of librsvg makes a PDF
    of it, and `rsvg-convert -z 4 -o net.png net.svg` a large PNG.

    Raises:
        RuntimeError: the model isn't built.

    >>> from minigrad import Dense, Sequential, Sigmoid
    >>> model = Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)
    >>> network(model).count("<circle")
    6
    """
    if model.input_shape is None:
        raise RuntimeError(f"network expects a built model, got {model.label}: pass input_shape=")
    nodes = nodes_of(model)
    pairs = [(a, b) for b in nodes for a in dict.fromkeys(b.sources)]
    graph = Layout(nodes, pairs)
    _place(nodes, graph)
    kinds = {(a, b): _kind(graph, a, b) for a, b in pairs}
    meshes = [b.weights for (_, b), kind in kinds.items() if kind == "mesh"]
    finite = [abs(w[np.isfinite(w)]).max(initial=0.0) for w in meshes if w is not None]
    largest = float(max(finite, default=0.0))
    body = []
    for (a, b), kind in sorted(kinds.items(), key=lambda item: item[1] == "arrow"):
        parts = _mesh(graph, a, b, largest) if kind == "mesh" else _edge(graph, a, b, kind)
        body.append(element("g", "".join(parts), data_edge=f"{a.path} → {b.path}"))
    framed = {node for edge, kind in kinds.items() if kind == "arrow" for node in edge}
    for node in nodes:
        parts = _shape(node, framed=node in framed)
        body.append(element("g", "".join(parts), data_node=node.path))
    height = graph.height + (46 if largest else 24)
    if largest:
        for x, name, sign in ((24, "positive weight", 1.0), (180, "negative weight", -1.0)):
            body.append(_line(x, height - 20, x + 30, height - 20, sign, 2.5))
            body.append(text(x + 38, height - 16, name, "small fill-muted", anchor="start"))
        scale = f"widest line: ±{largest:.3g}"
        body.append(text(340, height - 16, scale, "small fill-muted", anchor="start"))
    layers = [layer for node in nodes for layer in (node.layer, *node.also) if layer is not None]
    title = ", ".join(type(layer).__name__ for layer in layers)
    if len(layers) > 8:
        title = f"{type(model).__name__} of {len(layers)} layers"
    words = [f"{', '.join([node.path, *node.names[1:]])} {_shape_of(node)}" for node in nodes]
    for i, node in enumerate(nodes):
        if node.sources and node.sources != nodes[i - 1 : i]:
            words[i] += f" from {' and '.join(source.path for source in node.sources)}"
    description = f"Network; the shape of each layer's rows: {', '.join(words)}."
    return document(graph.width, height, body, title=title, description=description)


def number(value: float) -> str:
    """Write two significant digits of a number, four if it is at least 100."""
    return f"{value:.{2 if abs(value) < 99.5 else 4}g}".replace("-", "−")


def html(model: Layer) -> str:
    """Return a model's diagram and the table of its layers, as a notebook shows them."""
    picture = network(model) if model.output_shape is not None else ""
    return f"{picture}{table(model).html()}<p>{escape(totals(model))}</p>"


def _shape_of(node: Node) -> str:
    is_vector = len(node.shape) == 1 and node.shape[0] is not None
    return f"{node.units:,}" if is_vector else str(node.shape)


def _kind(graph: Layout, a: Node, b: Node) -> str:
    """Return how to draw an edge: the "mesh" of all weights, a "band" for many, or an "arrow"."""
    if a not in b.before or a.row != b.row or a.sign or b.weights is None:
        return "arrow"
    if a.radius and b.radius:
        return "mesh"
    return "band" if len(a.shape) == len(b.shape) == 1 and graph.is_alone(a, b) else "arrow"


def _place(nodes: list[Node], graph: Layout) -> None:
    """Set the sizes and places of all nodes: spacious if that fits in a row, else compact."""
    in_line = max(map(len, graph.columns)) == 1
    for spacious in (True, False) if in_line else (False,):
        for node in nodes:
            _measure(node, spacious)
        drop = max(node.drop for node in nodes)
        tallest = max((node.tall for node in nodes if not node.drop), default=0.0)
        for node in nodes:  # align the words, and the edges that pass blocks
            node.drop = drop if in_line and node.drop else node.drop
            node.above = node.below = (node.tall if node.drop else tallest) + _RIM
            if node.drop:
                node.below = node.drop + _LINE * len(node.lines) + 2

        def length(a: Spot, b: Spot, least: float = 132.0 if spacious else 84.0) -> float:
            if not (isinstance(a, Node) and isinstance(b, Node)):
                return 0.0
            steep = 0.6 * abs(a.y - b.y)
            return 0.0 if _kind(graph, a, b) == "arrow" else max(least, steep)

        graph.arrange(length)
        if graph.columns[-1][0].row == 0:
            break


def _measure(node: Node, spacious: bool) -> None:
    """Choose circles, a merge or a block for a node, and set its words and its size."""
    most, radius, pitch, height = (12, 15.0, 36.0, 230.0) if spacious else (8, 10.0, 25.0, 115.0)
    has_circles = len(node.shape) == 1 and not node.sign and node.units <= most
    node.radius = radius if has_circles else 0.0
    is_block = not node.sign and not has_circles
    lines = node.names if is_block else [", ".join(node.names)]
    if is_block:
        kind = type(node.layer).__name__ if node.layer else "Input"
        lines[1:1] = [kind] if kind.lower() != lines[0] else []
        shape = _shape_of(node)
        lines.append(shape if "(" in shape else f"{shape} units")
    node.lines = [fit(line, _CAPTION, "small") for line in (*lines, *node.notes)]
    widest = max(width_of(line, "small") for line in node.lines) / 2
    if is_block:
        node.tall = max(_LINE * len(node.lines) + 16, 30 + 9 * log(node.units)) / 2
        node.half = max(_MIN_BLOCK, widest + 7)
    elif has_circles:
        node.pitch = max(pitch, min(height / node.units, _MAX_PITCH))
        node.tall = radius + node.pitch * (node.units - 1) / 2
        node.half = radius + _RIM * (node.units > 1)
    else:
        node.tall, node.half = _MERGE, max(_MERGE, width_of(node.sign, "small") / 2 + 6)
    node.room = max(node.half, widest)
    node.drop = 0.0 if is_block else node.tall + _RIM


def _edge(graph: Layout, a: Node, b: Node, kind: str) -> list[str]:
    """Draw an arrow, or a band with the size of the matrix if that fits."""
    if kind == "arrow":
        x, y = b.x - b.half, b.y
        look: dict[str, Any] = {"class_": "stroke-edge", "fill": "none", "stroke_width": 1.5}
        head = f"{x:.1f},{y:.1f} {x - 8:.1f},{y - 4:.1f} {x - 8:.1f},{y + 4:.1f}"
        line = element("path", d=graph.path(a, b), **look)
        return [line, element("polygon", points=head, class_="fill-edge")]
    x1, x2 = a.x + a.half, b.x - b.half
    corners = (x1, a.y - a.tall), (x2, b.y - b.tall), (x2, b.y + b.tall), (x1, a.y + a.tall)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    size = f"{a.units:,} × {b.units:,}"
    band = element("polygon", points=points, class_="fill-grid", opacity=0.6)
    if width_of(size, "small") > x2 - x1:
        return [band]
    return [band, text((x1 + x2) / 2, (a.y + b.y) / 2 + 4, size, "small fill-ink")]


def _mesh(graph: Layout, a: Node, b: Node, largest: float) -> list[str]:
    """Draw a line for each weight, the largest on top, and the numbers along them if they fit."""
    assert b.weights is not None
    x1, x2 = a.x + a.radius, b.x - b.radius
    sizes = np.where(np.isfinite(b.weights), np.abs(b.weights), 0.0) / (largest or 1.0)
    show = graph.is_alone(a, b) and graph.columns[-1][0].row == 0
    place = _number_place(a.heights, b.heights, x2 - x1) if show else None
    lines, numbers = [], []
    for edge in np.argsort(sizes, axis=None, kind="stable"):
        i, j = divmod(int(edge), b.units)
        weight, size = float(b.weights[i, j]), float(sizes[i, j])
        y1, y2 = float(a.heights[i]), float(b.heights[j])
        line = _line(x1, y1, x2, y2, weight if size else 0.0, 1.0 + (_MAX_STROKE - 1.0) * size)
        lines.append(element("g", line, opacity=0.4 + 0.6 * size))
        if place is not None:
            x, y = x1 + place * (x2 - x1), y1 + place * (y2 - y1)
            turn = f"rotate({degrees(atan2(y2 - y1, x2 - x1)):.1f} {x:.1f} {y:.1f})"
            label = text(x, y + 4, number(weight), "small halo fill-ink")
            numbers.append(element("g", label, transform=turn))
    return [*lines, *numbers]


def _line(x1: float, y1: float, x2: float, y2: float, weight: float, width: float) -> str:
    """Draw the line of a weight; one that is 0, unknown or not finite is grey."""
    css = "stroke-series-0" if weight > 0 else "stroke-series-1" if weight < 0 else "stroke-edge"
    look: dict[str, Any] = {"class_": css, "stroke_dasharray": "7 4" if weight < 0 else "none"}
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke_width=width, **look)


def _number_place(start: NDArray[Any], end: NDArray[Any], across: float) -> float | None:
    """Return where along the edges the numbers are farthest apart; None if they overlap."""
    if len(start) * len(end) > _MAX_NUMBERS:
        return None
    rise = (end - start[:, None]).ravel() / across
    along = _HALF_NUMBER * np.array([-1, 0, 1]) / np.sqrt(1 + rise[:, None] ** 2)
    gaps = {}
    for share in (0.2, 0.24, 0.28, 0.32, 0.36, 0.4):  # of their length
        x = share * across + along  # three points of each number, (edges, 3)
        y = np.repeat(start, len(end))[:, None] + rise[:, None] * x
        points = (x + 1j * y).ravel()
        distances = abs(points[:, None] - points)
        edges = np.arange(len(rise)).repeat(3)
        between = distances[edges[:, None] != edges]
        gaps[share] = round(float(between.min(initial=np.inf)), 6)
    best = max(gaps, key=lambda share: gaps[share])
    return best if gaps[best] >= _NUMBER_GAP else None


def _shape(node: Node, *, framed: bool) -> list[str]:
    """Draw circles, a merge or a block, with its words; arrows lead to a frame around circles."""
    css = "fill-panel " + ("stroke-series-2" if node.is_shared else "stroke-edge")
    look: dict[str, Any] = {"class_": css, "stroke_width": 1.5}
    tall = node.tall + (_RIM if node.radius else 0.0)
    box: dict[str, Any] = {"width": 2 * node.half, "height": 2 * tall}
    box |= {"x": node.x - node.half, "y": node.y - tall}
    if node.radius:
        frame = element("rect", fill="none", rx=node.half, class_="stroke-edge", **box)
        parts = [frame] if framed and node.units > 1 else []
        parts += [element("circle", cx=node.x, cy=y, r=node.radius, **look) for y in node.heights]
    else:
        parts = [element("rect", rx=_MERGE if node.sign else 8, **box, **look)]
    if node.sign:
        size = "title" if len(node.sign) == 1 else "small"
        parts.append(text(node.x, node.y + 5, node.sign, f"{size} fill-ink"))
    top = node.drop + 13 if node.drop else 4 - _LINE * (len(node.lines) - 1) / 2
    for i, line in enumerate(node.lines):
        css = "halo fill-muted" if node.drop else "fill-muted" if i else "strong fill-ink"
        parts.append(text(node.x, node.y + top + _LINE * i, line, f"small {css}"))
    return parts
