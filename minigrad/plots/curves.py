"""One series as a line: thinned to what the eye can tell apart, broken where values are missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from minigrad.plots.axes import Scale
from minigrad.plots.palette import SERIES
from minigrad.plots.svg import Element, marker, polyline
from minigrad.plots.values import Numbers, is_drawable

FEW = 20  # up to so many points, each is marked
NARROWEST_GAP = 4.0  # pixels


@dataclass(frozen=True, slots=True)
class Curve:
    """A named series with the place of its points; `index` picks its colour and its marker."""

    name: str
    index: int
    x: Numbers
    y: Numbers

    @property
    def css(self) -> str:
        """The colour's name in the palette."""
        return SERIES[self.index % len(SERIES)]

    def drawable(self, *, log_y: bool) -> NDArray[np.bool_]:
        """True where there is a value that the axis can show."""
        return is_drawable(self.y) & (self.y > 0) if log_y else is_drawable(self.y)

    def end(self, across: Scale, up: Scale) -> tuple[float, float] | None:
        """The last point that is drawn, in pixels."""
        there = np.flatnonzero(self.drawable(log_y=up.log))
        if not there.size:
            return None
        return float(across(self.x[there[-1]])), float(up(self.y[there[-1]]))

    def draw(self, across: Scale, up: Scale, *, marked: bool) -> list[Element]:
        """The line, its points where they are few, and a cross where values stop being finite."""
        there = np.flatnonzero(self.drawable(log_y=up.log))
        if not there.size:
            return []
        px, py = across(self.x[there]), up(self.y[there])
        kept = thin(px, py)
        gaps = (np.diff(there[kept]) > np.diff(kept)) & (np.diff(px[kept]) > NARROWEST_GAP)
        runs = np.split(kept, np.flatnonzero(gaps) + 1)
        lines = "".join(
            polyline(zip(px[run], py[run], strict=True)) for run in runs if len(run) > 1
        )
        drawn = [_stroke(lines, self.css, 2.0)] if lines else []
        few = there.size <= FEW
        shapes = kept if few else _spaced(px, self.index) if marked else kept[:0]
        lone = np.array([run[0] for run in runs if len(run) == 1 and not few], dtype=np.intp)
        drawn += [
            _point(self.index, px[i], py[i], self.css, 4.0 if marked else 3.0) for i in shapes
        ]
        drawn += [_point(self.index, px[i], py[i], self.css, 2.0) for i in lone]
        if there[-1] < len(self.y) - 1:
            drawn.append(_cross(float(px[-1]), float(py[-1]), self.css))
        return drawn


def thin(x: Numbers, y: Numbers, limit: int = 1000) -> NDArray[np.intp]:
    """Indices of at most `limit` points that draw the same line.

    Of the points that share a column of pixels, the lowest and the highest are kept, so no peak
    is lost; so are the first and the last. `x` must not decrease.

    >>> len(thin(np.arange(50_000.0), np.zeros(50_000))) <= 1000
    True
    """
    if len(x) <= limit:
        return np.arange(len(x))
    columns = limit // 2 - 1
    column = np.minimum((x - x[0]) / (x[-1] - x[0]) * columns, columns - 1).astype(np.intp)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(column)) + 1, [len(x)]])
    kept = {0, len(x) - 1}
    for start, end in pairwise(starts.tolist()):
        kept.add(start + int(np.argmin(y[start:end])))
        kept.add(start + int(np.argmax(y[start:end])))
    return np.array(sorted(kept), dtype=np.intp)


def _spaced(px: Numbers, index: int) -> Sequence[int]:
    """Points at five even distances, staggered so that the series' markers don't meet."""
    share = (np.arange(5) + 0.25 + 0.23 * (index % 4)) / 5.25
    return [int(i) for i in np.unique(np.searchsorted(px, px[0] + share * (px[-1] - px[0])))]


def _stroke(data: str, css: str, width: float) -> Element:
    return Element(
        "path",
        {
            "d": data,
            "class": f"stroke-{css}",
            "fill": "none",
            "stroke-width": width,
            "stroke-linejoin": "round",
            "stroke-linecap": "round",
        },
    )


def _point(index: int, x: float, y: float, css: str, size: float) -> Element:
    return marker(index, float(x), float(y), f"fill-{css} stroke-paper", size=size)


def _cross(x: float, y: float, css: str) -> Element:
    r = 6.0
    return _stroke(
        polyline([(x - r, y - r), (x + r, y + r)]) + polyline([(x - r, y + r), (x + r, y - r)]),
        css,
        2.5,
    )
