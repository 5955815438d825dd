"""A function of two inputs as filled contours, such as a decision boundary, with data on top."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from minigrad.plots.axes import Scale, linear_ticks, span, tick_room, x_axis, y_ticks
from minigrad.plots.contours import Point, level_lines, outlines
from minigrad.plots.scatter import BRIGHT, DARK, Scatter, scatter
from minigrad.plots.shades import BAR_WIDTH, Shades
from minigrad.plots.svg import Element, fit, line, picture, polyline, text, text_width
from minigrad.plots.values import Numbers, as_numbers, format_number, is_drawable

EDGE: Final = 24.0
TOP: Final = 74.0
WIDTH: Final = 440.0  # of the plot
HEIGHT: Final = 360.0
BAR_GAP: Final = 28.0
NAME_WIDTH: Final = 140.0
MOST_NODES: Final = 121  # a finer grid shows no more at this size
NUMBER_PLACES: Final = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8)  # along a contour line


def surface(
    values: ArrayLike,
    *,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    title: str,
    x_label: str = "x₁",
    y_label: str = "x₂",
    value_label: str = "output",
    boundary: float | None = None,
    points: ArrayLike | None = None,
    targets: ArrayLike | None = None,
) -> str:
    """A function of two inputs, from its values on a grid, as SVG.

    Bands between round levels are filled, their outlines numbered, and the colours explained by a
    bar. With a `boundary`, such as 0.5 for a probability, that level is drawn as a heavy line, and
    the colours run from it to blue below and orange above.

    Args:
        values: shape (rows, columns); values[i, j] belongs to the i-th of `rows` evenly spaced
            positions in `y_range` and the j-th of `columns` in `x_range`. Where it isn't finite
            the picture stays empty.
        x_range: first and last position on the horizontal axis.
        y_range: first and last position on the vertical axis, upwards.
        title: stands above the picture.
        x_label: the first input's name.
        y_label: the second input's name.
        value_label: the output's name.
        boundary: the level of a decision boundary.
        points: data to draw on top, shape (n, 2); of more than 1,000, evenly chosen ones.
        targets: for each point. Up to six different ones are classes, told apart by shape; more
            are colours on the surface's own scale.

    Raises:
        ValueError: if shapes or ranges don't fit, or no value is finite.
        TypeError: if anything holds other things than numbers.

    >>> xor = surface([[0, 1], [1, 0]], x_range=(0, 1), y_range=(0, 1), title="XOR", boundary=0.5)
    >>> xor.startswith("<svg ")
    True
    """
    grid = _grid(values)
    shades = _shades(grid, boundary)
    vertical = Scale(*_range(y_range, "y_range"), TOP + HEIGHT, TOP)
    left = EDGE + tick_room(y_ticks(vertical)) + 9
    across = Scale(*_range(x_range, "x_range"), left, left + WIDTH)
    data = scatter(points, targets, across, vertical)

    bottom, bar = TOP + HEIGHT, left + WIDTH + BAR_GAP
    output = fit(value_label, NAME_WIDTH)
    room = max(BAR_WIDTH + 9 + tick_room(shades.levels), text_width(output))
    x, y = np.linspace(left, left + WIDTH, grid.shape[1]), np.linspace(bottom, TOP, grid.shape[0])
    frame = {"x": left, "y": TOP, "width": WIDTH, "height": HEIGHT}
    body = [
        text(left, TOP - 12, fit(y_label, WIDTH), "body fill-muted"),
        *_contours(grid, x, y, shades, data),
        Element("rect", {**frame, "class": "stroke-edge", "fill": "none"}),
        *x_axis(across, bottom, x_label),
        *_y_labels(vertical, left),
        text(bar, TOP - 12, output, "body fill-muted"),
        *shades.bar(bar, TOP, bottom),
    ]
    legend = data.legend(left, bottom + 70, WIDTH, shades) if data else []
    description = _describe(grid, boundary, data, f"{value_label} over {x_label} and {y_label}")
    height = bottom + (90 if legend else 60)
    return picture(
        bar + room + EDGE, height, [*body, *legend], title=title, description=description
    )


def _grid(values: ArrayLike) -> Numbers:
    """The values, NaN where they can't be drawn, on no more nodes than the picture can show."""
    grid = as_numbers(values, "Argument 'values'", ndim=2)
    if min(grid.shape) < 2:
        raise ValueError(f"Argument 'values' expects at least 2 rows and columns, got {grid.shape}")
    rows, columns = (
        np.linspace(0, n - 1, min(n, MOST_NODES)).round().astype(np.intp) for n in grid.shape
    )
    grid = np.where(is_drawable(grid), grid, np.nan)[np.ix_(rows, columns)]
    if np.isnan(grid).all():
        raise ValueError("Argument 'values' expects at least one finite value, got none")
    return grid


def _range(ends: tuple[float, float], argument: str) -> tuple[float, float]:
    numbers = as_numbers(ends, f"Argument {argument!r}", ndim=1)
    if numbers.shape != (2,) or not is_drawable(numbers).all() or numbers[0] >= numbers[1]:
        raise ValueError(
            f"Argument {argument!r} expects (first, last), first below last, got {ends}"
        )
    return float(numbers[0]), float(numbers[1])


def _shades(grid: Numbers, boundary: float | None) -> Shades:
    if boundary is not None and not is_drawable(np.asarray(boundary)):
        raise ValueError(f"Argument 'boundary' expects a finite number, got {boundary}")
    low, high = span(grid[~np.isnan(grid)], pad=0.0)
    levels = [(v, name) for v, name in linear_ticks(low, high, 9) if low < v < high]
    return Shades(low, high, levels, boundary)


def _contours(
    grid: Numbers, x: Numbers, y: Numbers, shades: Shades, data: Scatter | None
) -> list[Element]:
    """The bands, the lines between them, the data, and the lines' numbers on top."""
    drawn = []
    for start, _, colour in shades.bands():
        loops = outlines(grid, x, y, start)
        path = "".join(polyline(loop, closed=True) for loop in loops)
        if path:
            drawn.append(Element("path", {"d": path, "fill": colour, "fill-rule": "evenodd"}))
    named = dict(shades.levels)
    if shades.boundary is not None:
        named.setdefault(shades.boundary, format_number(shades.boundary))
    lines = {level: level_lines(grid, x, y, level) for level in named}
    for level in named:
        if level == shades.boundary:
            drawn += [
                _stroke(lines[level], BRIGHT, 5.0, 0.8),
                _stroke(lines[level], DARK, 2.5, 1.0),
            ]
        else:
            drawn.append(_stroke(lines[level], DARK, 0.8, 0.4))
    taken = [] if data is None else list(zip(data.x.tolist(), data.y.tolist(), strict=True))
    numbers = _numbers(lines, named, (x[0], x[-1], y[-1], y[0]), taken)
    return [*drawn, *(data.draw(shades) if data else []), *numbers]


def _stroke(lines: Iterable[Sequence[Point]], colour: str, width: float, opacity: float) -> Element:
    look: dict[str, str | float] = {"stroke": colour, "stroke-width": width, "opacity": opacity}
    path = "".join(polyline(piece) for piece in lines)
    return Element("path", {"d": path, "fill": "none", "stroke-linejoin": "round", **look})


def _numbers(
    lines: Mapping[float, list[list[Point]]],
    names: Mapping[float, str],
    box: tuple[float, float, float, float],
    taken: Sequence[Point],
) -> list[Element]:
    """A number on each line where there is room: clear of points, border and other numbers."""
    look: dict[str, str | float] = {"fill": DARK, "stroke": BRIGHT, "stroke-width": 5.0}
    look |= {"class": "small", "text-anchor": "middle", "paint-order": "stroke"}
    left, right, top, bottom = box
    numbers: list[Point] = []
    drawn = []
    for level, pieces in lines.items():
        half = text_width(names[level], "small") / 2 + 4
        free = (
            (x, y)
            for x, y in _places(pieces)
            if left + half < x < right - half
            and top + 14 < y < bottom - 14
            and all(abs(x - i) > 2 * half + 6 or abs(y - j) > 20 for i, j in numbers)
            and all(abs(x - i) > half + 4 or abs(y - j) > 11 for i, j in taken)
        )
        if place := next(free, None):
            numbers.append(place)
            where: dict[str, str | float] = {"x": place[0], "y": place[1] + 4}
            drawn.append(Element("text", where | look, [names[level]]))
    return drawn


def _places(pieces: Sequence[Sequence[Point]]) -> Iterator[Point]:
    """Points along the lines, the middle of the longest first."""
    measured = []
    for piece in pieces:
        x, y = np.array(piece).T
        along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        measured.append((float(along[-1]), along, x, y))
    for length, along, x, y in sorted(measured, key=lambda item: -item[0]):
        for share in NUMBER_PLACES:
            at = share * length
            yield float(np.interp(at, along, x)), float(np.interp(at, along, y))


def _y_labels(up: Scale, left: float) -> list[Element]:
    """Ticks and their numbers at the left of the plot."""
    drawn = []
    for value, name in y_ticks(up):
        y = float(up(value))
        drawn.append(line(left - 5, y, left, y, "stroke-edge"))
        drawn.append(text(left - 9, y + 4, name, "small fill-muted", anchor="end"))
    return drawn


def _describe(grid: Numbers, boundary: float | None, data: Scatter | None, axes: str) -> str:
    """The picture in words."""
    low, high = format_number(float(np.nanmin(grid))), format_number(float(np.nanmax(grid)))
    sentences = [f"Contours of {axes}, from {low} to {high}."]
    if boundary is not None:
        share = float(np.mean(grid[~np.isnan(grid)] >= boundary))
        sentences.append(
            f"Boundary at {format_number(boundary)}; {share:.0%} of the area is above."
        )
    return " ".join([*sentences, *([data.describe()] if data else [])])
