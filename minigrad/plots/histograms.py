"""Small multiples: how the values of each layer, such as activations and gradients, are spread."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from minigrad.plots.axes import Scale
from minigrad.plots.palette import SERIES
from minigrad.plots.svg import Element, dashed, fit, line, picture, rect, short, text, text_width
from minigrad.plots.values import Numbers, as_numbers, format_number, is_drawable

EDGE: Final = 24.0
GAP: Final = 28.0  # between columns
NAME_WIDTH: Final = 260.0
PANEL_WIDTH: Final = 250.0
PANEL_HEIGHT: Final = 56.0
ROW: Final = 116.0
BASE: Final = 78.0  # from the top of a row to the bottom of its panels
LEAST_BAR: Final = 1.5  # pixels: a single value among a million still shows


@dataclass(frozen=True, slots=True)
class Spread:
    """The numbers behind one panel: what can be drawn, and how many can't."""

    values: Numbers
    missing: int

    def __str__(self) -> str:
        parts = [f"{self.missing:,} not finite"] if self.missing else []
        if self.values.size:
            # Scaled first: the square of a large value would overflow.
            scale = float(np.abs(self.values).max()) or 1.0
            mean, deviation = (float(f(self.values / scale)) * scale for f in (np.mean, np.std))
            parts += [f"mean {format_number(mean)}", f"std {format_number(deviation)}"]
        return ", ".join(parts or ["no values"])

    def counts(self, bins: int) -> tuple[Numbers, float, float]:
        """Values in each of `bins` equal intervals, and the ends of their range.

        >>> Spread(np.array([0.0, 1.0, 1.0]), 0).counts(2)
        (array([1., 2.]), 0.0, 1.0)
        """
        low, high = float(self.values.min()), float(self.values.max())
        if high - low <= 1e-9 * max(abs(low), abs(high)):
            room = 0.5 * abs(high) or 0.5
            low, high = low - room, high + room
        place = ((self.values - low) / (high - low) * bins).astype(np.intp)
        counts = np.bincount(np.minimum(place, bins - 1), minlength=bins)
        return counts.astype(np.float64), low, high


def histograms(
    columns: Mapping[str, Mapping[str, ArrayLike]], *, title: str, bins: int = 32
) -> str:
    """Histograms of values by layer, a row for each layer and a column for each kind, as SVG.

    Each panel has its own range, printed under it, since gradients may differ between layers by
    orders of magnitude. Its bars are relative to its tallest one; values that aren't finite are
    counted and left out.

    Args:
        columns: for each kind of value, the arrays (of any shape) by layer.
        title: stands above the panels.
        bins: bars in each panel.

    Raises:
        ValueError: if there is no layer, or `bins` isn't positive.
        TypeError: if an array holds anything but numbers.

    >>> values = {"activation": {"dense_1": [0.1, 0.2, 0.9]}, "gradient": {"dense_1": [-0.1, 0.0]}}
    >>> histograms(values, title="After one epoch").count("<path")
    2
    """
    if bins < 1:
        raise ValueError(f"Argument 'bins' expects at least 1, got {bins}")
    spreads = {
        (str(kind), str(layer)): _spread(values, f"{kind!r} of layer {layer!r}")
        for kind, layers in columns.items()
        for layer, values in layers.items()
    }
    if not spreads:
        raise ValueError("histograms expects at least one layer, got none")
    kinds = list(dict.fromkeys(kind for kind, _ in spreads))
    layers = list(dict.fromkeys(layer for _, layer in spreads))
    left = EDGE + max(text_width(fit(layer, NAME_WIDTH)) for layer in layers) + GAP
    width = left + len(kinds) * (PANEL_WIDTH + GAP) - GAP + EDGE
    body: list[Element] = []
    for i, kind in enumerate(kinds):
        x = left + i * (PANEL_WIDTH + GAP)
        body.append(
            text(x, 66, fit(kind, PANEL_WIDTH), f"body strong fill-{SERIES[i % len(SERIES)]}")
        )
        for j, layer in enumerate(layers):
            if (spread := spreads.get((kind, layer))) is not None:
                body += _panel(spread, x, 78 + ROW * j + BASE, bins, SERIES[i % len(SERIES)])
    for j, layer in enumerate(layers):
        y = 78 + ROW * j + BASE - PANEL_HEIGHT / 2
        body.append(text(EDGE, y + 4, fit(layer, NAME_WIDTH), "body strong fill-ink"))
    words = [f"{layer}, {kind}: {_describe(spread)}." for (kind, layer), spread in spreads.items()]
    description = " ".join(["Histograms by layer.", *words])
    height = 78 + ROW * len(layers)
    return picture(width, height, body, title=title, description=description)


def _spread(values: ArrayLike, name: str) -> Spread:
    numbers = as_numbers(values, f"Values {name}").ravel()
    drawable = is_drawable(numbers)
    return Spread(numbers[drawable], int(numbers.size - drawable.sum()))


def _panel(spread: Spread, x: float, y: float, bins: int, css: str) -> list[Element]:
    """One histogram over the line from `x` at height `y`."""
    right = x + PANEL_WIDTH
    drawn = [
        rect(x, y - PANEL_HEIGHT, PANEL_WIDTH, PANEL_HEIGHT, "fill-panel", radius=3),
        text(x, y - PANEL_HEIGHT - 6, fit(str(spread), PANEL_WIDTH, "small"), "small fill-muted"),
    ]
    if spread.values.size:
        counts, low, high = spread.counts(bins)
        drawn.append(_bars(counts, x, y, css))
        ends = format_number(low), format_number(high)
        drawn.append(text(x, y + 17, ends[0], "small fill-muted"))
        drawn.append(text(right, y + 17, ends[1], "small fill-muted", anchor="end"))
        if low < 0 < high:
            zero = float(Scale(low, high, x, right)(0.0))
            drawn.append(dashed(line(zero, y - PANEL_HEIGHT, zero, y + 4, "stroke-muted"), "2 3"))
            left_end, right_end = (
                x + text_width(ends[0], "small"),
                right - text_width(ends[1], "small"),
            )
            if left_end + 8 < zero < right_end - 8:
                drawn.append(text(zero, y + 17, "0", "small fill-muted", anchor="middle"))
    return [*drawn, line(x, y, right, y, "stroke-edge")]


def _bars(counts: Numbers, x: float, y: float, css: str) -> Element:
    """The bars as one path."""
    step = PANEL_WIDTH / len(counts)
    heights = np.maximum(counts / counts.max() * (PANEL_HEIGHT - 6), LEAST_BAR)
    across = f"h{short(step - 1)}V{short(y)}Z"
    data = "".join(
        f"M{short(x + i * step + 0.5)} {short(y)}v{short(-heights[i])}{across}"
        for i in np.flatnonzero(counts)
    )
    return Element("path", {"d": data, "class": f"fill-{css}"})


def _describe(spread: Spread) -> str:
    if not spread.values.size:
        return str(spread)
    low, high = (format_number(float(f(spread.values))) for f in (np.min, np.max))
    return f"{spread.values.size:,} values from {low} to {high}, {spread}"
