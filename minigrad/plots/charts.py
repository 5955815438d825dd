"""Line charts: series of numbers, such as losses, over the steps at which they were taken."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from minigrad.plots.axes import Scale, span, tick_room, x_axis, y_axis, y_ticks
from minigrad.plots.curves import Curve
from minigrad.plots.labels import LEADER, ROW, Label, draw_labels, draw_markers, rows_above
from minigrad.plots.svg import dashed, fit, line, picture, text
from minigrad.plots.values import Numbers, as_numbers, format_number, is_drawable

WIDTH: Final = 760.0
HEIGHT: Final = 290.0  # of the plot alone, unless its labels need more
EDGE: Final = 24.0
AUTO_LOG_RATIO: Final = 100.0


def line_chart(
    series: Mapping[str, ArrayLike],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x: ArrayLike | None = None,
    log_x: bool = False,
    log_y: bool | Literal["auto"] = False,
    references: Mapping[str, float] | None = None,
    markers: Mapping[str, float] | None = None,
) -> str:
    """A line chart of named series, each labelled with its name and its last value, as SVG.

    Values that are missing, NaN or infinite (on a logarithmic axis also those that aren't
    positive) leave a gap, and a series that ends with such a value ends in a cross. Long series
    are thinned to 1,000 points that keep every peak.

    Args:
        series: values by name; None counts as NaN. Lengths may differ.
        title: stands above the chart.
        x_label: what the horizontal axis counts.
        y_label: what the vertical axis measures.
        x: increasing positions, for the longest series; by default 1, 2, 3, ...
        log_x: whether the horizontal axis is logarithmic.
        log_y: whether the vertical axis is; "auto" makes it so if all values are positive and
            the largest is at least 100 times the smallest.
        references: heights of horizontal lines, by label.
        markers: positions of vertical lines, by label.

    Raises:
        ValueError: if there is nothing to draw, `x` doesn't fit the series, or a logarithmic
            axis would have to show a number that isn't positive.
        TypeError: if a series holds anything but numbers.

    >>> losses = {"train": [0.9, 0.4, 0.2], "validation": [1.0, 0.6, 0.5]}
    >>> svg = line_chart(losses, title="Loss", x_label="epoch", y_label="MSE")
    >>> svg.startswith("<svg ")
    True
    """
    curves = _curves(series, x)
    lines, stops = _places(references, "references"), _places(markers, "markers")
    log = _is_log(curves, lines, log_y)
    up, across = _scales(curves, lines, stops, log=log, log_x=log_x)
    above = {name: float(across(place)) for name, place in stops.items()}
    rows = rows_above(above, EDGE, WIDTH - EDGE)
    top = 84.0 + ROW * max((row + 1 for _, row in rows.values()), default=0)
    up = Scale(up.low, up.high, top + up.start, top, log)
    bottom, left, right = up.start, across.start, across.end

    y_label += " (log scale)" if log else ""
    x_label += " (log scale)" if log_x else ""
    body = [text(EDGE, 60, fit(y_label, WIDTH - 2 * EDGE), "body fill-muted")]
    body += [*y_axis(up, left, right), *x_axis(across, bottom, x_label)]
    body += draw_markers(above, rows, top, bottom)
    for height in up(list(lines.values())):
        body.append(dashed(line(left, height, right, height, "stroke-muted", width=1.5), "6 4"))
    for curve in curves:
        body += curve.draw(across, up, marked=len(curves) > 1)
    body += draw_labels(_labels(curves, lines, across, up), right, top, bottom)
    description = _describe(curves, lines, stops, f"{y_label} against {x_label}")
    return picture(WIDTH, bottom + 60, body, title=title, description=description)


def _curves(series: Mapping[str, ArrayLike], x: ArrayLike | None) -> list[Curve]:
    """The series, checked, with their positions."""
    if not series:
        raise ValueError("line_chart expects at least one series, got none")
    values = {str(name): as_numbers(v, f"Series {name!r}", ndim=1) for name, v in series.items()}
    for name, column in values.items():
        if not column.size:
            raise ValueError(f"Series {name!r} expects at least one value, got none")
    longest = max(map(len, values.values()))
    places = np.arange(1.0, longest + 1) if x is None else as_numbers(x, "Argument 'x'", ndim=1)
    if len(places) < longest:
        raise ValueError(
            f"Argument 'x' expects a position for each of {longest} values, got {len(places)}"
        )
    if not is_drawable(places).all() or (np.diff(places) <= 0).any():
        raise ValueError("Argument 'x' expects finite positions in increasing order")
    return [Curve(name, i, places[: len(v)], v) for i, (name, v) in enumerate(values.items())]


def _places(given: Mapping[str, float] | None, argument: str) -> dict[str, float]:
    places = {str(name): float(value) for name, value in (given or {}).items()}
    for name, value in places.items():
        if not is_drawable(np.asarray(value)):
            raise ValueError(f"Argument {argument!r} expects finite numbers, got {name!r}: {value}")
    return places


def _is_log(
    curves: Sequence[Curve], lines: Mapping[str, float], log_y: bool | Literal["auto"]
) -> bool:
    """Whether the vertical axis is logarithmic."""
    if log_y not in (True, False, "auto"):
        raise ValueError(f"Argument 'log_y' expects True, False or 'auto', got {log_y!r}")
    if log_y != "auto":
        return log_y
    values = np.concatenate([*(c.y[c.drawable(log_y=False)] for c in curves), [*lines.values()]])
    if not values.size or values.min() <= 0:
        return False
    return bool(values.max() / AUTO_LOG_RATIO >= values.min())


def _scales(
    curves: Sequence[Curve],
    lines: Mapping[str, float],
    stops: Mapping[str, float],
    *,
    log: bool,
    log_x: bool,
) -> tuple[Scale, Scale]:
    """The vertical scale, over a plot whose top is at 0, and the horizontal one."""
    shown = np.concatenate([curve.y[curve.drawable(log_y=log)] for curve in curves])
    if not shown.size:
        wanted = "finite, positive" if log else "finite"
        raise ValueError(f"line_chart expects at least one {wanted} value to draw, got none")
    heights, places = [*lines.values()], [*stops.values()]
    positions = np.concatenate([*(curve.x for curve in curves), places])
    for axis, is_log, numbers in (("log_y", log, heights), ("log_x", log_x, [*positions])):
        if is_log and min(numbers, default=1.0) <= 0:
            raise ValueError(
                f"line_chart with {axis}=True expects positive numbers, got {min(numbers):g}"
            )
    low, high = span(np.concatenate([shown, heights]), log=log)
    labels = _labels(curves, lines)
    up = Scale(low, high, max(HEIGHT, sum(label.height for label in labels)), 0.0, log)
    left = EDGE + tick_room(y_ticks(up)) + 9
    right = WIDTH - EDGE - LEADER - max(label.width for label in labels)
    first, last = span(positions, log=log_x, pad=0.0)
    if not log_x and 0 < first <= 0.05 * last:
        first = 0.0
    whole = bool((positions == np.round(positions)).all())
    return up, Scale(first, last, left, right, log_x, whole)


def _labels(
    curves: Sequence[Curve],
    lines: Mapping[str, float],
    across: Scale | None = None,
    up: Scale | None = None,
) -> list[Label]:
    """What stands beside the plot; without scales, for the room it takes."""
    labels = []
    for curve in curves:
        point = curve.end(across, up) if across and up else None
        index = curve.index if len(curves) > 1 else None
        labels.append(Label(curve.name, format_number(curve.y[-1]), point, curve.css, index))
    for name, value in lines.items():
        point = (across.end, float(up(value))) if across and up else None
        labels.append(Label(name, "", point, "muted", None))
    return labels


def _describe(
    curves: Sequence[Curve], lines: Mapping[str, float], stops: Mapping[str, float], axes: str
) -> str:
    """The chart in words."""
    return " ".join(
        [
            f"Line chart of {axes}.",
            *(_describe_curve(curve) for curve in curves),
            *(f"Horizontal line {name}: {format_number(v)}." for name, v in lines.items()),
            *(f"Vertical line {name}: {format_number(v)}." for name, v in stops.items()),
        ]
    )


def _describe_curve(curve: Curve) -> str:
    finite: Numbers = curve.y[np.isfinite(curve.y)]
    ends = f"{format_number(curve.y[0])} at {format_number(curve.x[0])}"
    ends += f" to {format_number(curve.y[-1])} at {format_number(curve.x[-1], digits=6)}"
    lowest = f"lowest {format_number(finite.min())}" if finite.size else "never finite"
    missing = len(curve.y) - finite.size
    gaps = f", {missing:,} of {len(curve.y):,} values not finite" if missing else ""
    return f"{curve.name}: from {ends}, {lowest}{gaps}."
