"""The network itself: units and weighted edges where it is narrow, blocks and bands where wide."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from minigrad.plots.svg import Element, dashed, fit, line, picture, rect, text, text_width
from minigrad.plots.values import Numbers, as_numbers, format_number, is_drawable
from minigrad.plots.wires import NEGATIVE_DASH, Column, band, edges, sign_css

EDGE: Final = 24.0
TOP: Final = 62.0
MOST_UNITS: Final = 12  # that are drawn one by one
CIRCLE: Final = (30.0, 42.0)  # of a unit: its width, and the least distance to the next
PILL: Final = (92.0, 56.0)  # likewise, of a unit that shows its values
BLOCK_WIDTH: Final = 84.0
REACH: Final = 132.0  # length of an edge, from column to column
NAME_WIDTH: Final = 120.0  # of an input
CAPTION_WIDTH: Final = 150.0
HEIGHT: Final = 230.0
TALLEST_BLOCK: Final = 280.0
LEAST_WIDTH: Final = 560.0
WIDEST_PITCH: Final = 92.0
FRAME: Final = "fill-panel stroke-edge"


def network_diagram(
    widths: Sequence[int],
    *,
    title: str,
    weights: Sequence[ArrayLike | None] | None = None,
    names: Sequence[str] | None = None,
    input_names: Sequence[str] | None = None,
    activations: Sequence[ArrayLike | None] | None = None,
    deltas: Sequence[ArrayLike | None] | None = None,
) -> str:
    """A diagram of a network, from its inputs at the left to its outputs at the right, as SVG.

    Layers of up to 12 units show each unit, and each weight between them as a line, wide where
    the weight is large and dashed where it is negative. Wider layers are blocks.

    Args:
        widths: units of each layer, the inputs first.
        title: stands above the diagram.
        weights: for each layer after the inputs, its weights (units before, units) or None.
        names: for each layer, the inputs first, what stands under it.
        input_names: for each input; left out where the inputs are a block.
        activations: for each layer, the inputs first, a value for each unit or None.
        deltas: likewise; printed under the activations, after a δ.

    Raises:
        ValueError: if anything doesn't fit `widths`.
        TypeError: if weights or values aren't numbers.

    >>> weights = [[[0.5, -1.0, 2.0], [1.5, 0.2, -0.7]], [[1.0], [-2.0], [0.3]]]
    >>> svg = network_diagram([2, 3, 1], title="2-3-1", weights=weights)
    >>> svg.count("<circle")
    6
    """
    if not widths or min(widths) < 1:
        raise ValueError(
            f"Argument 'widths' expects layers of at least one unit, got {list(widths)}"
        )
    matrices = _arrays(weights, list(pairwise(widths)), "weights")
    units = [(width,) for width in widths]
    values = list(
        zip(
            _arrays(activations, units, "activations"),
            _arrays(deltas, units, "deltas"),
            strict=True,
        )
    )
    captions = _texts(names, len(widths), "names")
    inputs = _texts(input_names, widths[0], "input_names")
    columns, bottom = _columns(widths, inputs, captions, pill=_has_values(values))
    body = [*_wiring(columns, matrices), *_layers(columns, values)]
    body += _names(columns, inputs, captions, bottom)
    legend = _legend(columns, matrices, values, bottom + (50 if captions else 28))
    right = _side(columns[-1].half, captions[-1:])
    width = max(columns[-1].x + right, LEAST_WIDTH)
    height = bottom + (28 if captions else 6) + 22 * len(legend) + 16
    body += [element for row in legend for element in row]
    description = _describe(widths, captions, matrices)
    return picture(width, height, body, title=title, description=description)


def _arrays(
    given: Sequence[ArrayLike | None] | None, shapes: Sequence[tuple[int, ...]], argument: str
) -> list[Numbers | None]:
    """What was given, an array or None for each of the shapes that it must have."""
    if given is None:
        return [None] * len(shapes)
    if len(given) != len(shapes):
        raise ValueError(f"Argument {argument!r} expects {len(shapes)} arrays, got {len(given)}")
    arrays: list[Numbers | None] = []
    for i, (item, shape) in enumerate(zip(given, shapes, strict=True)):
        array: Numbers | None = None
        if item is not None:
            array = as_numbers(item, f"Array {i} of {argument!r}")
        if array is not None and array.shape != shape:
            raise ValueError(f"Array {i} of {argument!r} expects shape {shape}, got {array.shape}")
        arrays.append(array)
    return arrays


def _texts(given: Sequence[str] | None, count: int, argument: str) -> list[str]:
    if given is not None and len(given) != count:
        raise ValueError(f"Argument {argument!r} expects {count} names, got {len(given)}")
    return [str(name) for name in given or ()]


def _has_values(values: Sequence[tuple[Numbers | None, Numbers | None]]) -> bool:
    return any(array is not None for pair in values for array in pair)


def _side(half: float, captions: Sequence[str]) -> float:
    """Room between the centre of an outer column and the picture's edge."""
    shown = [fit(caption, CAPTION_WIDTH, "small") for caption in captions]
    return EDGE + max([half, *(text_width(caption, "small") / 2 for caption in shown)])


def _columns(
    widths: Sequence[int], inputs: Sequence[str], captions: Sequence[str], *, pill: bool
) -> tuple[list[Column], float]:
    """The layers' places, and the height below them."""
    blocks = [width > MOST_UNITS for width in widths]
    unit_width, pitch = PILL if pill else CIRCLE
    halves = [BLOCK_WIDTH / 2 if block else unit_width / 2 for block in blocks]
    most = max((w for w, block in zip(widths, blocks, strict=True) if not block), default=0)
    height = max(HEIGHT if any(blocks) else min(HEIGHT, most * WIDEST_PITCH), most * pitch)
    left = _side(halves[0], captions[:1])
    if inputs and not blocks[0]:
        room = max(text_width(fit(name, NAME_WIDTH)) for name in inputs)
        left = max(left, EDGE + room + 10 + halves[0])
    spare = LEAST_WIDTH - left - _side(halves[-1], captions[-1:])
    between = [a + b for a, b in pairwise(halves)]
    reach = max(REACH, (spare - sum(between)) / max(len(between), 1))
    x, columns = left, []
    for i, (width, half) in enumerate(zip(widths, halves, strict=True)):
        if blocks[i]:
            share = math.log(width / MOST_UNITS) / math.log(max(widths) / MOST_UNITS)
            extent = np.array([-0.5, 0.5]) * (0.5 + 0.5 * share) * min(height, TALLEST_BLOCK)
        else:
            extent = (np.arange(width, dtype=np.float64) - (width - 1) / 2) * min(
                height / width, WIDEST_PITCH
            )
        columns.append(Column(width, x, half, TOP + height / 2 + extent, blocks[i]))
        x += reach + sum(halves[i : i + 2])
    return columns, TOP + height


def _wiring(columns: Sequence[Column], matrices: Sequence[Numbers | None]) -> list[Element]:
    """Everything between the layers."""
    largest = _largest(columns, matrices)
    drawn: list[Element] = []
    for (a, b), matrix in zip(pairwise(columns), matrices, strict=True):
        drawn += band(a, b, matrix) if a.is_block or b.is_block else edges(a, b, matrix, largest)
    return drawn


def _largest(columns: Sequence[Column], matrices: Sequence[Numbers | None]) -> float:
    """The size of the largest weight that has a line of its own; zero if there is none."""
    sizes = [
        np.abs(matrix[is_drawable(matrix)]).max(initial=0.0)
        for (a, b), matrix in zip(pairwise(columns), matrices, strict=True)
        if matrix is not None and not (a.is_block or b.is_block)
    ]
    return float(max(sizes, default=0.0))


def _layers(
    columns: Sequence[Column], values: Sequence[tuple[Numbers | None, Numbers | None]]
) -> list[Element]:
    """The layers themselves: a block, a circle for each unit, or a frame around its values."""
    drawn: list[Element] = []
    for column, (value, slope) in zip(columns, values, strict=True):
        if column.is_block:
            drawn += _block(column)
        elif not _has_values(values):
            for y in column.heights:
                circle = {"cx": column.x, "cy": float(y), "r": column.half, "stroke-width": 1.5}
                drawn.append(Element("circle", {**circle, "class": "fill-panel stroke-edge"}))
        else:
            for i, y in enumerate(column.heights):
                lines = [] if value is None else [format_number(value[i])]
                lines += [] if slope is None else [f"δ {format_number(slope[i], digits=2)}"]
                drawn += _pill(column, float(y), lines)
    return drawn


def _block(column: Column) -> list[Element]:
    top, bottom = (float(y) for y in column.heights)
    middle = (top + bottom) / 2
    frame = rect(column.left, top, 2 * column.half, bottom - top, FRAME, radius=10)
    count = text(column.x, middle + 2, f"{column.width:,}", "body strong fill-ink", anchor="middle")
    return [frame, count, text(column.x, middle + 18, "units", "small fill-ink", anchor="middle")]


def _pill(column: Column, y: float, lines: Sequence[str]) -> list[Element]:
    drawn = [rect(column.left, y - 21, 2 * column.half, 42, FRAME, radius=21)]
    for k, content in enumerate(lines):
        base = y + 4.5 + 16 * (k - (len(lines) - 1) / 2)
        css = "small fill-muted" if content.startswith("δ") else "body strong fill-ink"
        drawn.append(text(column.x, base, content, css, anchor="middle"))
    return drawn


def _names(
    columns: Sequence[Column], inputs: Sequence[str], captions: Sequence[str], bottom: float
) -> list[Element]:
    """The inputs' names beside them, and the layers' names under them."""
    first = columns[0]
    named = zip(inputs, first.heights if not first.is_block else [], strict=False)
    drawn = [
        text(first.left - 10, y + 4.5, fit(name, NAME_WIDTH), "body fill-ink", anchor="end")
        for name, y in named
    ]
    for column, caption in zip(columns, captions, strict=False):
        shown = fit(caption, CAPTION_WIDTH, "small")
        drawn.append(text(column.x, bottom + 18, shown, "small fill-muted", anchor="middle"))
    return drawn


def _legend(
    columns: Sequence[Column],
    matrices: Sequence[Numbers | None],
    values: Sequence[tuple[Numbers | None, Numbers | None]],
    y: float,
) -> list[list[Element]]:
    """What lines and numbers mean, in rows from height `y` on."""
    rows: list[list[Element]] = []
    largest = _largest(columns, matrices)
    if largest > 0:
        x, row = EDGE, []
        for name, weight in (("positive weight", 1.0), ("negative weight", -1.0)):
            wire = line(x, y - 4, x + 30, y - 4, f"stroke-{sign_css(weight)}", width=2.5)
            row.append(dashed(wire, NEGATIVE_DASH) if weight < 0 else wire)
            row.append(text(x + 38, y, name, "small fill-muted"))
            x += 38 + text_width(name, "small") + 18
        row.append(text(x, y, f"widest line: ±{format_number(largest)}", "small fill-muted"))
        rows.append(row)
    told = [
        name
        for name, arrays in zip(
            ("activation", "delta after δ"), zip(*values, strict=True), strict=True
        )
        if any(array is not None for array in arrays)
    ]
    if told:
        content = f"in each unit: its {' and its '.join(told)}"
        rows.append([text(EDGE, y + 22 * len(rows), content, "small fill-muted")])
    return rows


def _describe(
    widths: Sequence[int], captions: Sequence[str], matrices: Sequence[Numbers | None]
) -> str:
    """The diagram in words."""
    names = captions or [f"layer {i}" if i else "input" for i in range(len(widths))]
    layers = (f"{name} {width:,}" for name, width in zip(names, widths, strict=True))
    sentences = [f"Network; units of each layer: {', '.join(layers)}."]
    for name, matrix in zip(names[1:], matrices, strict=True):
        if matrix is not None and matrix.size:
            low, high = format_number(float(matrix.min())), format_number(float(matrix.max()))
            sentences.append(f"Weights into {name} from {low} to {high}.")
    return " ".join(sentences)
