"""What runs between two layers of a diagram: a line for each weight, or one band for all."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from minigrad.plots.svg import Element, dashed, fit, line, polyline, text
from minigrad.plots.values import Numbers, format_number, is_drawable

LABEL_HEIGHT: Final = 16.0
LABEL_PLACES: Final = (0.2, 0.24, 0.28, 0.32, 0.36, 0.4)  # along an edge
THICKEST: Final = 5.0
MOST_NUMBERS: Final = 12  # more lines cross too often for it to be clear whose number is whose
NEGATIVE_DASH: Final = "7 4"


@dataclass(frozen=True, slots=True)
class Column:
    """A layer's place: its centre, half its width, and the centres of its units.

    Of a block, which doesn't show its units, `heights` are the top and the bottom.
    """

    width: int
    x: float
    half: float
    heights: Numbers
    is_block: bool

    @property
    def left(self) -> float:
        """Where edges end."""
        return self.x - self.half

    @property
    def right(self) -> float:
        """Where edges start."""
        return self.x + self.half


def sign_css(weight: float) -> str:
    """The colour of a weight in the palette."""
    return "series-0" if weight > 0 else "series-1" if weight < 0 else "edge"


def edges(a: Column, b: Column, weights: Numbers | None, largest: float) -> list[Element]:
    """A line for each weight, the largest on top, with its number where all have room.

    Unknown weights are thin grey lines; so are those that aren't finite, which keep their number.
    """
    if weights is None:
        return [
            line(a.right, y, b.left, z, "stroke-grid", width=1.2)
            for y in a.heights
            for z in b.heights
        ]
    sizes = np.where(is_drawable(weights), np.abs(weights), 0.0) / (largest or 1.0)
    place = label_place(a.heights, b.heights)
    lines, numbers = [], []
    for i, j in zip(
        *np.unravel_index(np.argsort(sizes, axis=None, kind="stable"), sizes.shape), strict=True
    ):
        start, end, size = float(a.heights[i]), float(b.heights[j]), float(sizes[i, j])
        weight = float(weights[i, j])
        css = sign_css(weight) if is_drawable(weights[i, j]) else "edge"
        wire = line(
            a.right, start, b.left, end, f"stroke-{css}", width=1.0 + (THICKEST - 1.0) * size
        )
        wire = Element("line", {**wire.attributes, "opacity": 0.4 + 0.6 * size})
        lines.append(dashed(wire, NEGATIVE_DASH) if weight < 0 else wire)
        if place is not None:
            x, y = a.right + place * (b.left - a.right), start + place * (end - start)
            css = f"small halo fill-{'ink' if css == 'edge' else css}"
            numbers.append(text(x, y + 4, format_number(weight, digits=2), css, anchor="middle"))
    return [*lines, *numbers]


def label_place(start: Numbers, end: Numbers) -> float | None:
    """How far along the edges their numbers stand clear of one another, or None if nowhere.

    >>> label_place(np.array([0.0, 90.0]), np.array([45.0]))
    0.2
    >>> label_place(np.arange(3.0), np.arange(3.0)) is None
    True
    """
    best, room = None, LABEL_HEIGHT
    if len(start) * len(end) > MOST_NUMBERS:
        return None
    for place in LABEL_PLACES:
        heights = np.sort((start[:, None] + place * (end - start[:, None])).ravel())
        nearest = float(np.diff(heights).min(initial=np.inf))
        if nearest > room + 1e-9 or (best is None and nearest >= room):
            best, room = place, nearest
    return best


def band(a: Column, b: Column, weights: Numbers | None) -> list[Element]:
    """One surface from layer to layer, with the shape of the weights that it stands for."""
    top_a, top_b, bottom_a, bottom_b = (
        float(f(c.heights)) for f in (np.min, np.max) for c in (a, b)
    )
    corners = [(a.right, top_a), (b.left, top_b), (b.left, bottom_b), (a.right, bottom_a)]
    drawn = [
        Element("path", {"d": polyline(corners, closed=True), "class": "fill-grid", "opacity": 0.6})
    ]
    if weights is not None:
        shape = " × ".join(f"{n:,}" for n in weights.shape)
        x, y = (a.right + b.left) / 2, (top_a + bottom_a + top_b + bottom_b) / 4
        drawn.append(
            text(x, y + 4, fit(shape, b.left - a.right, "small"), "small fill-ink", anchor="middle")
        )
    return drawn
