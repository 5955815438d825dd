"""The layout of a graph: nodes in columns from left to right, and in rows if it is long.

The method is that of Sugiyama et al., Methods for visual understanding of hierarchical system
structures, IEEE Transactions on Systems, Man, and Cybernetics 11, 1981.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from math import ceil

_GAP, _LINE = 18.0, 12.0  # between boxes one above the other, and between two lines
_BETWEEN, _BETWEEN_ROWS = 36.0, 54.0  # between two columns that an arrow connects, and two rows
_TURN = 44.0  # the width of the bend of a line that continues in the next row
_TOP, _SIDE = 62.0, 54.0  # where the first row begins
_MIN_WIDTH, _MAX_WIDTH = 450.0, 1010.0  # of a single row at least, of each of several at most
_SWEEPS = 8
_STIFFNESS = (1e-2, 1e-6, 1.0)  # of a line between two points, a point and a node, and two nodes


@dataclass(eq=False)
class Spot:
    """A node, or a point where an edge passes a column."""

    half: float = 0.0  # of the width of what edges lead to
    room: float = 0.0  # half of the width that it needs, with what is written below
    above: float = 0.0  # what it needs above its center, and below
    below: float = 0.0
    x: float = 0.0
    y: float = 0.0
    left: float = 0.0  # the sides of its column
    right: float = 0.0
    rank: int = 0  # the number of its column
    row: int = 0
    before: list[Spot] = field(default_factory=list)  # neighbors in the last column
    after: list[Spot] = field(default_factory=list)


class Layout:
    """Places each node in the column after its last source, and finds a path for each edge.

    Args:
        nodes: the nodes, each after its sources.
        edges: (source, target), in the order of the targets.
    """

    def __init__(self, nodes: Sequence[Spot], edges: Sequence[tuple[Spot, Spot]]) -> None:
        for source, target in edges:
            target.rank = max(target.rank, source.rank + 1)
        inner = {target for _, target in edges}
        for node in {source for source, _ in edges} - inner:  # an input is next to its layer
            node.rank = min(target.rank for source, target in edges if source is node) - 1
        self.columns: list[list[Spot]] = [[] for _ in range(max(n.rank for n in nodes) + 1)]
        for node in nodes:
            self.columns[node.rank].append(node)
        self.ways: dict[tuple[Spot, Spot], list[Spot]] = {}
        for source, target in edges:
            points = [Spot(rank=rank) for rank in range(source.rank + 1, target.rank)]
            self.ways[source, target] = way = [source, *points, target]
            for point in points:
                self.columns[point.rank].insert(0, point)
            for a, b in pairwise(way):
                a.after.append(b)
                b.before.append(a)
        self._order()
        self.width = self.height = 0.0

    def is_alone(self, a: Spot, b: Spot) -> bool:
        """Tell whether no other edge runs between the columns of two neighbors."""
        return len(self.columns[a.rank]) == len(self.columns[b.rank]) == 1

    def arrange(self, length: Callable[[Spot, Spot], float]) -> None:
        """Set the places of nodes whose sizes are set, and the size of the picture.

        `length` returns the shortest length of an edge between two neighbors.
        """
        for place in (place for column in self.columns for place in column):
            place.row = 0
        self._align()
        rooms = [max(place.room for place in column) for column in self.columns]
        steps = [0.0]  # from the center of one column to the next
        for column in self.columns[1:]:
            edges = [(a, b, length(a, b)) for b in column for a in b.before]
            step = sum(rooms[len(steps) - 1 : len(steps) + 1])
            step += _GAP if all(least for *_, least in edges) else _BETWEEN
            steps.append(max(step, *(a.half + b.half + least for a, b, least in edges)))
        spare = max(0.0, _MIN_WIDTH - rooms[0] - sum(steps) - rooms[-1])
        steps[1:] = [step + spare / (len(steps) - 1) for step in steps[1:]]
        left = _SIDE + (spare / 2 if len(steps) == 1 else 0.0)
        self.width, self.height = _MIN_WIDTH + 2 * _SIDE, _TOP
        for row, (start, end) in enumerate(pairwise(self._breaks(steps, rooms))):
            shift = self.height - min(p.y - p.above for c in self.columns[start:end] for p in c)
            if row:
                shift += _BETWEEN_ROWS + _LINE * (len(self.columns[start - 1]) - 1)
            x = left + rooms[start]
            for i in range(start, end):
                x += steps[i] if i > start else 0.0
                for place in self.columns[i]:
                    place.x, place.row, place.y = x, row, place.y + shift
                    place.left, place.right = x - rooms[i], x + rooms[i]
            self.width = max(self.width, x + rooms[end - 1] + _SIDE)
            self.height = max(p.y + p.below for c in self.columns[start:end] for p in c)

    def path(self, source: Spot, target: Spot) -> str:
        """Return the line of an edge as an SVG path: horizontal at nodes, curved between them."""
        d = f"M{source.x + source.half:.1f} {source.y:.1f}"
        for a, b in pairwise(self.ways[source, target]):
            if a.row == b.row:
                d += _curve(a.right, a.y, (a.right + b.left) / 2, b.left, b.y)
                continue
            column = self.columns[a.rank]
            lane = len(column) - column.index(a)
            y = max(p.y + p.below for c in self.columns for p in c if p.row == a.row) + _LINE * lane
            bend = min(4.0 * lane, _TURN / 2)  # so that lines turn side by side
            d += _curve(a.right, a.y, a.right + _TURN + bend, a.right, y)
            d += _curve(b.left, y, b.left - _TURN + bend, b.left, b.y)
        return f"{d}H{target.x - target.half:.1f}"

    def _order(self) -> None:
        """Sort columns by the mean place of their neighbors; keep the order that crosses least."""
        found = {_crossings(self.columns): [list(column) for column in self.columns]}
        for sweep in range(_SWEEPS):
            forward = sweep % 2 == 0
            for fixed, column in pairwise(self.columns if forward else self.columns[::-1]):
                index = {place: i for i, place in enumerate(fixed)}
                means: dict[Spot, float] = {}
                for i, place in enumerate(column):
                    near = [index[p] for p in (place.before if forward else place.after)]
                    means[place] = sum(near) / len(near) if near else i
                if sweep % 4 > 1:  # try the other order of equal means
                    column.reverse()
                column.sort(key=means.__getitem__)
            found.setdefault(_crossings(self.columns), [list(column) for column in self.columns])
        self.columns = found[min(found)]

    def _align(self) -> None:
        """Set each height to the mean of its neighbors', or as near to it as there is room.

        A line from node to node is straightest, then that of a long edge, which bends at its ends.
        """
        for column in self.columns:
            _settle(column, [0.0] * len(column), [1.0] * len(column))
        for sweep in range(_SWEEPS + 1):
            forward = sweep % 2 == 0
            for column in (self.columns if forward else self.columns[::-1])[1:]:
                heights, weights = [], []
                for place in column:
                    near = (place.before if forward else place.after) or [place]
                    shares = [_STIFFNESS[bool(p.half) + bool(place.half)] for p in near]
                    weights.append(sum(shares))
                    total = sum(s * p.y for s, p in zip(shares, near, strict=True))
                    heights.append(total / weights[-1])
                _settle(column, heights, weights)

    def _breaks(self, steps: list[float], rooms: list[float]) -> list[int]:
        """Return where rows begin, and the end: rows of about equal width that cut few lines."""
        breaks = [0]
        while (start := breaks[-1]) < len(steps):
            widths = {
                end: rooms[start] + sum(steps[start + 1 : end]) + rooms[end - 1]
                for end in range(start + 1, len(steps) + 1)
            }
            rows = ceil(widths[len(steps)] / _MAX_WIDTH)
            aim = widths[len(steps)] / rows
            cost = {
                end: max(1 - width / aim, width / aim / 2 - 0.5) + 0.5 * len(self.columns[end - 1])
                for end, width in widths.items()
                if width <= _MAX_WIDTH or end == start + 1
            }
            breaks.append(min(cost, key=cost.__getitem__) if rows > 1 else len(steps))
        return breaks


def _crossings(columns: list[list[Spot]]) -> int:
    """Count the pairs of edges that cross."""
    count = 0
    for fixed, column in pairwise(columns):
        edges = [(fixed.index(a), i) for i, b in enumerate(column) for a in b.before]
        count += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(edges, 2))
    return count


def _curve(x1: float, y1: float, middle: float, x2: float, y2: float) -> str:
    """Return a line to (x1, y1) and a curve to (x2, y2), horizontal at both ends."""
    return f"H{x1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"


def _settle(column: list[Spot], heights: list[float], weights: list[float]) -> None:
    """Set heights without overlap that are nearest to those given: pool adjacent violators."""
    offsets = [0.0]
    for a, b in pairwise(column):
        offsets.append(offsets[-1] + a.below + b.above + (_GAP if a.half or b.half else _LINE))
    pools: list[tuple[float, float, int]] = []  # mean, weight, count
    for height, offset, weight in zip(heights, offsets, weights, strict=True):
        pool = (height - offset, weight, 1)
        while pools and pools[-1][0] >= pool[0]:
            mean, other, count = pools.pop()
            total = other + pool[1]
            pool = (mean * other + pool[0] * pool[1]) / total, total, count + pool[2]
        pools.append(pool)
    means = [mean for mean, _, count in pools for _ in range(count)]
    for place, mean, offset in zip(column, means, offsets, strict=True):
        place.y = mean + offset
