"""Values as colours: bands between round levels, and the bar that explains them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from minigrad.plots.axes import Scale
from minigrad.plots.palette import DIVERGING, SEQUENTIAL, blend
from minigrad.plots.svg import Element, line, text

BAR_WIDTH: Final = 18.0


@dataclass(frozen=True, slots=True)
class Shades:
    """A range of values, the labelled levels inside it, and the level at which colours divide.

    >>> shades = Shades(0.0, 1.0, [(0.5, "0.5")], None)
    >>> [(start, end) for start, end, _ in shades.bands()]
    [(0.0, 0.5), (0.5, 1.0)]
    """

    low: float
    high: float
    levels: Sequence[tuple[float, str]]
    boundary: float | None

    def colour(self, value: float) -> str:
        """The colour of `value`: blue below the boundary and orange above it, if there is one."""
        if self.boundary is None:
            return blend(SEQUENTIAL, (value - self.low) / (self.high - self.low))
        reach = max(self.high - self.boundary, self.boundary - self.low)
        return blend(DIVERGING, 0.5 + (value - self.boundary) / (2 * reach))

    def bands(self) -> list[tuple[float, float, str]]:
        """Start, end and colour of each band; the boundary divides bands, too."""
        cuts = {level for level, _ in self.levels} | {self.low, self.high}
        if self.boundary is not None and self.low < self.boundary < self.high:
            cuts.add(self.boundary)
        ends = sorted(cuts)
        return [(a, b, self.colour((a + b) / 2)) for a, b in pairwise(ends)]

    def band_colour(self, value: float) -> str:
        """The colour of the band in which `value` lies, or of the nearest."""
        bands = self.bands()
        return next((colour for _, end, colour in bands if value < end), bands[-1][2])

    def bar(self, x: float, top: float, bottom: float) -> list[Element]:
        """The bands one above another, with the levels beside them."""
        up = Scale(self.low, self.high, bottom, top)
        drawn = []
        for start, end, colour in self.bands():
            y, y_end = float(up(end)), float(up(start))
            box = {"x": x, "y": y, "width": BAR_WIDTH, "height": y_end - y}
            drawn.append(Element("rect", {**box, "fill": colour}))
        for level, name in self.levels:
            y = float(up(level))
            drawn.append(line(x + BAR_WIDTH, y, x + BAR_WIDTH + 5, y, "stroke-edge"))
            drawn.append(text(x + BAR_WIDTH + 9, y + 4, name, "small fill-muted"))
        if self.boundary is not None and self.low <= self.boundary <= self.high:
            y = float(up(self.boundary))
            drawn.append(line(x - 5, y, x + BAR_WIDTH + 5, y, "stroke-ink", width=2.5))
        return drawn
