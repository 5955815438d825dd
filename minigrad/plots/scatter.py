"""Data points on a surface: classes by shape and colour, many different targets by colour."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from minigrad.plots.axes import Scale
from minigrad.plots.palette import DIVERGING, LIGHT, SERIES
from minigrad.plots.shades import Shades
from minigrad.plots.svg import Element, marker, text, text_width
from minigrad.plots.values import Numbers, as_numbers, format_number, is_drawable

MOST_POINTS: Final = 1000
MOST_CLASSES: Final = 6
# A surface keeps its colours on a dark page, and so does all that lies on it.
DARK: Final = LIGHT["ink"]
BRIGHT: Final = "#ffffff"


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points in pixels, with their targets if they have any, of `total` that were given."""

    x: Numbers
    y: Numbers
    targets: Numbers | None
    total: int

    @property
    def classes(self) -> list[float]:
        """The different targets, if they are few enough to be classes."""
        different = [] if self.targets is None else np.unique(self.targets).tolist()
        return different if len(different) <= MOST_CLASSES else []

    def draw(self, shades: Shades) -> list[Element]:
        """The points, the classes in turn."""
        if self.targets is None:
            return [_points(0, self.x, self.y, DARK)]
        if self.classes:
            members = [self.targets == value for value in self.classes]
            colours = _class_colours(len(members), shades)
            return [
                _points(i, self.x[own], self.y[own], colour)
                for i, (own, colour) in enumerate(zip(members, colours, strict=True))
            ]
        bands = [shades.band_colour(value) for value in self.targets.tolist()]
        return [
            _points(0, self.x[i : i + 1], self.y[i : i + 1], colour, outline=DARK)
            for i, colour in enumerate(bands)
        ]

    def legend(self, x: float, y: float, width: float, shades: Shades) -> list[Element]:
        """What the shapes stand for, in one row."""
        if self.targets is None:
            return []
        if not self.classes:
            return [text(x, y, "points: targets, in the same colours", "small fill-muted")]
        drawn = []
        colours = _class_colours(len(self.classes), shades)
        for i, (value, colour) in enumerate(zip(self.classes, colours, strict=True)):
            name = f"target {format_number(value)}"
            drawn.append(_points(i, np.array([x + 6]), np.array([y - 4]), colour))
            drawn.append(text(x + 18, y, name, "small fill-muted"))
            x += min(18 + text_width(name, "small") + 18, width / len(self.classes))
        return drawn

    def describe(self) -> str:
        """The points in words."""
        values = ", ".join(format_number(value) for value in self.classes)
        classes = f" with targets {values}" if values else ""
        return f"{len(self.x):,} of {self.total:,} points{classes}."


def scatter(
    points: ArrayLike | None, targets: ArrayLike | None, across: Scale, up: Scale
) -> Scatter | None:
    """The points within both scales; of more than 1,000, evenly chosen ones.

    Raises:
        ValueError: if shapes don't fit.
    """
    if points is None:
        if targets is not None:
            raise ValueError("Argument 'targets' expects 'points' that it belongs to, got none")
        return None
    places = as_numbers(points, "Argument 'points'", ndim=2)
    if places.shape[1] != 2:
        raise ValueError(f"Argument 'points' expects shape (n, 2), got {places.shape}")
    x, y = places.T
    shown = (across.low <= x) & (x <= across.high) & (up.low <= y) & (y <= up.high)
    known = None
    if targets is not None:
        known = as_numbers(targets, "Argument 'targets'")
        if known.shape not in ((len(places),), (len(places), 1)):
            raise ValueError(
                f"Argument 'targets' expects shape ({len(places)},), got {known.shape}"
            )
        known = known.ravel()
        shown &= is_drawable(known)
    there = np.flatnonzero(shown)
    chosen = there[np.linspace(0, there.size - 1, min(there.size, MOST_POINTS)).astype(np.intp)]
    known = None if known is None else known[chosen]
    return Scatter(across(x[chosen]), up(y[chosen]), known, len(places))


def _class_colours(count: int, shades: Shades) -> list[str]:
    """Two classes beside a boundary take the colours of its sides."""
    if count == 2 and shades.boundary is not None:
        return [DIVERGING[0], DIVERGING[-1]]
    return [LIGHT[name] for name in SERIES[:count]]


def _points(index: int, x: Numbers, y: Numbers, fill: str, *, outline: str = BRIGHT) -> Element:
    """Markers of one shape and colour."""
    marks = [
        marker(index, float(i), float(j), "point", size=4.2) for i, j in zip(x, y, strict=True)
    ]
    return Element("g", {"fill": fill, "stroke": outline}, marks)
