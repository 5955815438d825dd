"""Outlines of the part of a plane where a function is at least some level, by marching squares."""

from itertools import pairwise
from typing import Final

import numpy as np

from minigrad.plots.values import Numbers

Point = tuple[float, float]
Corner = tuple[Point, bool]  # of an outline; whether it lies on the border of what is known
Crossing = tuple[int, int, bool]  # row and column of an edge's first node; whether it runs down

FLAT: Final = 0.01  # square pixels that a corner must span with its neighbours to be kept

# For each pattern of corners that reach the level (1 top left, 2 top right, 4 bottom right,
# 8 bottom left): the sides of the cell by which the outline enters and leaves.
SIDES: Final = {
    1: "lt",
    2: "tr",
    3: "lr",
    4: "rb",
    5: "lt rb",
    6: "tb",
    7: "lb",
    8: "bl",
    9: "bt",
    10: "tr bl",
    11: "br",
    12: "rl",
    13: "rt",
    14: "tl",
}


def outlines(values: Numbers, x: Numbers, y: Numbers, level: float) -> list[list[Point]]:
    """Closed outlines of the region with `values` at or above `level`, along its border too.

    With the even-odd rule they fill the region. Between grid points the function is taken as
    linear; where it is NaN, and outside the grid, it counts as below any level.

    >>> grid = np.array([[0.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    >>> axis = np.array([0.0, 1.0, 2.0])
    >>> outlines(grid, axis, axis, 1.0)
    [[(1.0, 1.5), (1.5, 1.0), (1.0, 0.5), (0.5, 1.0)]]
    """
    return [[p for p, _ in loop] for loop in _loops(values, x, y, level)]


def level_lines(values: Numbers, x: Numbers, y: Numbers, level: float) -> list[list[Point]]:
    """The lines on which the function is `level`: outlines without what runs along a border."""
    lines: list[list[Point]] = []
    for loop in _loops(values, x, y, level):
        borders = [i for i, (_, at_border) in enumerate(loop) if at_border]
        if not borders:
            lines.append([p for p, _ in [*loop, loop[0]]])
        for start, end in pairwise([*borders, len(loop) + borders[0]] if borders else []):
            lines.append([loop[i % len(loop)][0] for i in range(start + 1, end)])
    return [line for line in lines if len(line) > 1]


def _loops(values: Numbers, x: Numbers, y: Numbers, level: float) -> list[list[Corner]]:
    # A frame below any level, of no width, closes the outlines at the border.
    framed = np.pad(np.where(np.isnan(values), -np.inf, values), 1, constant_values=-np.inf)
    px, py = np.pad(x, 1, mode="edge"), np.pad(y, 1, mode="edge")
    high = framed >= level
    pattern = 1 * high[:-1, :-1] + 2 * high[:-1, 1:] + 4 * high[1:, 1:] + 8 * high[1:, :-1]
    following: dict[Crossing, Crossing] = {}
    for i, j in np.argwhere((pattern > 0) & (pattern < 15)).tolist():
        sides = {
            "t": (i, j, False),
            "b": (i + 1, j, False),
            "l": (i, j, True),
            "r": (i, j + 1, True),
        }
        for ends in SIDES[int(pattern[i, j])].split():
            following[sides[ends[0]]] = sides[ends[1]]
    loops = []
    while following:
        first, crossing = following.popitem()
        loop = [first]
        while crossing != first:
            loop.append(crossing)
            crossing = following.pop(crossing)
        loops.append(_simplify([_corner(framed, px, py, level, *c) for c in loop]))
    return [loop for loop in reversed(loops) if loop]


def _corner(
    values: Numbers, x: Numbers, y: Numbers, level: float, i: int, j: int, down: bool
) -> Corner:
    """Where the function crosses `level` between two neighbouring nodes."""
    k, m = (i + 1, j) if down else (i, j + 1)
    a, b = float(values[i, j]), float(values[k, m])
    share = 1.0 if np.isinf(a) else 0.0 if np.isinf(b) else (level - a) / (b - a)
    point = (float(x[j] + share * (x[m] - x[j])), float(y[i] + share * (y[k] - y[i])))
    return point, bool(np.isinf(a) or np.isinf(b))


def _simplify(loop: list[Corner]) -> list[Corner]:
    """A loop without repeated points and those that lie on a line between their like."""
    loop = [c for c, after in zip(loop, [*loop[1:], *loop[:1]], strict=True) if c != after]
    kept = []
    for i, (p, at_border) in enumerate(loop):
        (a, border_a), (b, border_b) = loop[i - 1], loop[(i + 1) % len(loop)]
        area = abs((p[0] - a[0]) * (b[1] - p[1]) - (p[1] - a[1]) * (b[0] - p[0]))
        if area > FLAT or not at_border == border_a == border_b:
            kept.append((p, at_border))
    return kept
