"""Axes: from a range of values to positions in pixels, and to ticks at round numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from minigrad.plots.svg import Element, fit, line, text, text_width
from minigrad.plots.values import Numbers, format_number, power_of_ten


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from `low` to `high`, placed on pixels from `start` to `end`.

    `log` places them by their logarithm; `whole` allows ticks at whole numbers only.

    >>> float(Scale(0.01, 100.0, 0.0, 400.0, log=True)(1.0))
    200.0
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    whole: bool = False

    def __call__(self, values: ArrayLike) -> Numbers:
        """Positions in pixels; values must lie in the domain (positive when `log`)."""
        place = np.asarray(values, dtype=np.float64)
        low, high = self.low, self.high
        if self.log:
            place, low, high = np.log10(place), math.log10(low), math.log10(high)
        return np.asarray(self.start + (place - low) / (high - low) * (self.end - self.start))

    def ticks(self, count: int) -> list[tuple[float, str]]:
        """About `count` values at round numbers, with their labels."""
        if self.log:
            return log_ticks(self.low, self.high, count)
        return linear_ticks(self.low, self.high, count, whole=self.whole)


def span(values: Numbers, *, log: bool = False, pad: float = 0.04) -> tuple[float, float]:
    """The range an axis needs to show `values`: a little wider, and never empty.

    >>> span(np.array([2.0, 2.0]))
    (1.8, 2.2)
    """
    low, high = float(np.min(values)), float(np.max(values))
    if log:
        first, last = math.log10(low), math.log10(high)
        room = pad * (last - first) if last - first > 1e-3 else 0.3
        lowest = min(low, 10.0 ** max(first - room, -320.0))
        return lowest, 10.0 ** min(max(last + room, -300.0), 305.0)
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1e-300):
        room = 0.1 * abs(high) if abs(high) > 1e-290 else 1.0
        return low - room, high + room
    room = pad * (high - low)
    return (max(low - room, 0.0) if low >= 0 else low - room), high + room


def linear_ticks(
    low: float, high: float, count: int, *, whole: bool = False
) -> list[tuple[float, str]]:
    """Multiples of 1, 2 or 5 times a power of ten, all printed with the same decimals.

    >>> [label for _, label in linear_ticks(-0.3, 1.1, 5)]
    ['0.0', '0.5', '1.0']
    """
    raw = max((high - low) / count, 1.0 if whole else 0.0)
    power = math.floor(math.log10(raw))
    step = next(m * 10.0**power for m in (1.0, 2.0, 5.0, 10.0) if m * 10.0**power >= raw * 0.999)
    power = math.floor(math.log10(step) + 1e-9)
    slack = 1e-9
    first, last = math.ceil(low / step - slack), math.floor(high / step + slack)
    values = [round(k * step, -power) if k else 0.0 for k in range(first, last + 1)]
    largest = max(map(abs, values), default=0.0)
    if largest >= 1e7 or power < -5:
        orders = [math.floor(math.log10(abs(v)) + 1e-9) if v else 0 for v in values]
        return [
            (v, format_number(v, digits=max(order - power + 1, 1), power=True))
            for v, order in zip(values, orders, strict=True)
        ]
    return [(v, f"{v:,.{max(0, -power)}f}".replace("-", "−")) for v in values]


def log_ticks(low: float, high: float, count: int) -> list[tuple[float, str]]:
    """Powers of ten, thinned to about `count`; below two decades also their multiples by 2 and 5.

    >>> [label for _, label in log_ticks(1e-7, 2.0, 8)]
    ['10⁻⁷', '10⁻⁶', '10⁻⁵', '10⁻⁴', '10⁻³', '10⁻²', '10⁻¹', '10⁰']
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    within = [k for k in range(first, last + 1) if low <= 10.0**k <= high]
    if len(within) > 2:
        stride = math.ceil(len(within) / count)
        within = [k for k in within if k % stride == 0]
        plain = within[0] >= -3 and within[-1] <= 5
        return [(10.0**k, format_number(10.0**k) if plain else power_of_ten(k)) for k in within]
    values = [m * 10.0**k for k in range(first, last + 1) for m in (1, 2, 5)]
    values = [v for v in values if low <= v <= high]
    if len(values) < 3:
        return linear_ticks(low, high, count)
    return [(v, format_number(v)) for v in values]


def x_axis(scale: Scale, y: float, label: str) -> list[Element]:
    """Ticks below the line at height `y`, with `label` centred under them."""
    ticks = scale.ticks(max(2, int((scale.end - scale.start) / 90)))
    marks: list[Element] = [line(scale.start, y, scale.end, y, "stroke-edge")]
    for value, name in ticks:
        x = float(scale(value))
        marks.append(line(x, y, x, y + 5, "stroke-edge"))
        marks.append(text(x, y + 19, name, "small fill-muted", anchor="middle"))
    middle = (scale.start + scale.end) / 2
    return [
        *marks,
        text(
            middle, y + 42, fit(label, scale.end - scale.start), "body fill-muted", anchor="middle"
        ),
    ]


def y_axis(scale: Scale, left: float, right: float) -> list[Element]:
    """Grid lines from `left` to `right`, their values at the left."""
    marks: list[Element] = []
    for value, name in y_ticks(scale):
        y = float(scale(value))
        marks.append(line(left, y, right, y, "stroke-grid"))
        marks.append(text(left - 9, y + 4, name, "small fill-muted", anchor="end"))
    return marks


def y_ticks(scale: Scale) -> list[tuple[float, str]]:
    """The ticks of a vertical scale, at a distance that suits a line of text."""
    return scale.ticks(max(2, int(abs(scale.end - scale.start) / 36)))


def tick_room(ticks: Sequence[tuple[float, str]]) -> float:
    """Width in pixels of the widest label."""
    return max((text_width(name, "small") for _, name in ticks), default=0.0)
