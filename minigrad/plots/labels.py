"""Labels beside and above a plot, moved apart where they would overlap."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from minigrad.plots.svg import Element, dashed, fit, line, marker, polyline, text, text_width
from minigrad.plots.values import Numbers

NAME_WIDTH: Final = 190.0  # of the widest name beside a plot
LEADER: Final = 44.0  # from the plot to a name: the line that leads there, and a marker
ROW: Final = 18.0  # height of a row of labels above a plot


@dataclass(frozen=True, slots=True)
class Label:
    """A name beside the plot, with a note under it, and the point of the plot that it names."""

    name: str
    note: str
    point: tuple[float, float] | None
    css: str
    marker: int | None

    @property
    def height(self) -> float:
        """The room it needs, in pixels."""
        return 37.0 if self.note else 21.0

    def wanted(self, otherwise: float) -> float:
        """The height at which the name stands level with its point."""
        return otherwise if self.point is None else self.point[1] + (8.0 if self.note else 0.0)

    @property
    def width(self) -> float:
        """The room its text needs, in pixels."""
        return max(text_width(fit(self.name, NAME_WIDTH)), text_width(self.note, "small"))

    def draw(self, y: float, right: float) -> list[Element]:
        """The label at height `y`, with a leader from its point; the plot ends at `right`."""
        x = right + LEADER
        base = y - (3.5 if self.note else -4.5)
        drawn = [text(x, base, fit(self.name, NAME_WIDTH), f"body strong fill-{self.css}")]
        if self.note:
            drawn.append(text(x, base + 15.0, self.note, "small fill-muted"))
        if self.point is None:
            return drawn
        px, py = self.point
        key = (right + 31.0, base - 4.5)
        path = polyline([(px, py), (right + 4.0, py), (right + 20.0, key[1]), key])
        css = f"stroke-{self.css}"
        leader = Element("path", {"d": path, "class": css, "fill": "none", "opacity": 0.7})
        drawn.append(dashed(leader, "1 3") if px < right - 1 else leader)
        if self.marker is not None:
            drawn.append(marker(self.marker, *key, f"fill-{self.css} stroke-paper", size=4.5))
        return drawn


def draw_labels(labels: Sequence[Label], right: float, top: float, bottom: float) -> list[Element]:
    """All labels beside a plot, each as near to its point as the others let it be."""
    labels = sorted(labels, key=lambda label: label.point[1] if label.point else bottom)
    wanted = [label.wanted(bottom) for label in labels]
    places = spread(wanted, [label.height for label in labels], top, bottom)
    return [e for label, y in zip(labels, places, strict=True) for e in label.draw(y, right)]


def spread(wanted: Sequence[float], heights: Sequence[float], top: float, bottom: float) -> Numbers:
    """Centres for boxes of the given heights, in order, without overlap, nearest to `wanted`.

    In the least-squares sense: with the boxes' own room taken out, what remains is an isotonic
    regression, solved by pooling neighbours that are out of order.

    >>> spread([10.0, 12.0, 60.0], [20.0, 20.0, 20.0], 0.0, 100.0)
    array([10., 30., 60.])
    """
    room = np.asarray(heights, dtype=np.float64)
    before = np.cumsum(room) - room / 2
    pools: list[tuple[float, int]] = []
    for value in np.asarray(wanted, dtype=np.float64) - before:
        pools.append((float(value), 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, m), (b, n) = pools[-2:]
            pools[-2:] = [((a * m + b * n) / (m + n), m + n)]
    free = np.repeat([value for value, _ in pools], [count for _, count in pools])
    return np.asarray(np.clip(free, top, max(top, bottom - room.sum())) + before)


def rows_above(
    places: Mapping[str, float], left: float, right: float
) -> dict[str, tuple[float, int]]:
    """For each label, where its text starts, and the lowest row in which it meets no other."""
    ends: list[float] = []
    rows: dict[str, tuple[float, int]] = {}
    for name, x in sorted(places.items(), key=lambda item: item[1]):
        width = text_width(fit(name, NAME_WIDTH), "small")
        start = max(left, min(x - width / 2, right - width))
        row = next((i for i, end in enumerate(ends) if end + 12 <= start), len(ends))
        ends[row : row + 1] = [start + width]
        rows[name] = (start, row)
    return rows


def draw_markers(
    places: Mapping[str, float], rows: Mapping[str, tuple[float, int]], top: float, bottom: float
) -> Iterable[Element]:
    """Vertical lines at `places`, each with its label above the plot."""
    for name, x in places.items():
        start, row = rows[name]
        y = top - 8 - ROW * row
        yield dashed(line(x, y + 3, x, bottom, "stroke-muted", width=1.2), "2 3")
        yield text(start, y, fit(name, NAME_WIDTH), "small fill-ink")
