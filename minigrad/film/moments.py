"""The explanations of many frames as one text: what they share once, then each one's numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minigrad.film.scenes import deflated, packed

_TOKEN: Final = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.e+-]*)')
"""A text or a number in JSON."""
_NUMBER: Final = re.compile(r"(-?\d[\d.]*(?:e[+-]\d+)?)")
_SHORT: Final = re.compile(r"(?!-0$)-?(?:0|[1-9]\d*)(?:\.\d*[1-9])?(?:e-\d\d)?")
"""A number as it is written again, to at most six digits."""
_LARGEST: Final = 2**30
_FIRST: Final = 8


def moments(
    page: Callable[[int], str], places: Sequence[float], most: int
) -> tuple[list[int], Folded]:
    """Return the frames whose pages fit into `most` characters, evenly paced, and these folded.

    The gaps between frames are halved until there is no room; the pages that are made stay.
    """
    made: dict[int, str] = {}

    def fold(gaps: int) -> tuple[list[int], Folded]:
        grid = np.linspace(places[0], places[-1], gaps + 1)
        halved: list[int] = np.unique(np.searchsorted(places, grid)).tolist()
        chosen = halved if gaps < len(places) else list(range(len(places)))
        made.update((i, page(i)) for i in chosen if i not in made)
        return chosen, folded([made[i] for i in chosen])

    gaps = _FIRST
    (few, first), (chosen, text) = fold(gaps // 2), fold(gaps)
    while len(few) < len(chosen) < len(places):
        each = (text.size - first.size) / (len(chosen) - len(few))  # a later page adds no more
        room = gaps + int((most - text.size) / each)
        more = len(places) if room >= len(places) else 2 ** (room.bit_length() - 1)
        if more <= gaps:
            break
        gaps, (few, first), (chosen, text) = more, (chosen, text), fold(more)
    while text.size > most and gaps > 1:
        gaps //= 2
        chosen, text = fold(gaps)
    _at_numbers.cache_clear()  # another film has other columns
    return chosen, text


class Folded(NamedTuple):
    """The text of pages of the same lines, and their numbers; `film.js` unfolds them."""

    text: str
    numbers: str

    @property
    def size(self) -> int:
        """The number of characters."""
        return len(self.text) + len(self.numbers)


def folded(pages: Sequence[str]) -> Folded:
    """Compress pages of the same lines, most of which are equal.

    Lines that differ are cut at the texts and numbers of JSON, and texts at their numbers. Pages
    that are equal between these have a template, in which the number i stands for column i, with a
    piece for each page. A column of numbers has their decimals in its place; the changes from page
    to page, which are small, are in `numbers`.
    """
    lines = [page.split("\n") for page in pages]
    equal = [len({*column}) == 1 for column in zip(*lines, strict=True)]
    shell = [line if same else None for line, same in zip(lines[0], equal, strict=True)]
    groups: dict[str, list[tuple[int, list[str]]]] = {}
    for place, own in enumerate(lines):
        body = "\n".join(line for line, same in zip(own, equal, strict=True) if not same)
        pieces = _TOKEN.split(body)
        groups.setdefault("\0".join(pieces[::2]), []).append((place, pieces))
    templates: list[list[Any]] = []
    frames: list[list[int]] = [[] for _ in pages]
    changes: list[NDArray[np.int64]] = []
    for group in groups.values():
        template, columns = _template([pieces for _, pieces in group])
        for row, (place, _) in enumerate(group):
            frames[place] = [len(templates), row]
        told: list[Any] = []
        for column in columns:
            known = _fixed_point(column)
            if known is None:
                told.append(column)
            else:
                told.append(known[0])
                changes.append(np.diff(known[1], prepend=0))
        templates.append([template, told])
    made = {"shell": shell, "templates": templates, "frames": frames}
    text = deflated(json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode())
    return Folded(text, _in_planes(np.concatenate([*changes, []]).astype(np.int64)))


def _template(rows: Sequence[list[str]]) -> tuple[list[str | int], list[tuple[str, ...]]]:
    if len(rows) == 1:
        return ["".join(rows[0])], []
    template: list[str | int] = []
    same: list[str] = []
    columns: dict[tuple[str, ...], int] = {}
    for whole in zip(*rows, strict=True):
        for column in [whole] if _is_same(whole) else _at_numbers(whole):
            if _is_same(column):
                same.append(column[0])
            else:
                template += ["".join(same), columns.setdefault(column, len(columns))]
                same = []
    return [*template, "".join(same)], list(columns)


def _is_same(column: tuple[str, ...]) -> bool:
    return column.count(column[0]) == len(column)


@lru_cache(maxsize=4096)
def _at_numbers(column: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Cut a column of texts at their numbers, if they are equal between these."""
    cut = [_NUMBER.split(text) for text in column]
    return list(zip(*cut, strict=True)) if len({"\0".join(c[::2]) for c in cut}) == 1 else [column]


def _fixed_point(column: tuple[str, ...]) -> tuple[int, NDArray[np.int64]] | None:
    """Return the decimals of a column of numbers, and these without a point; None of texts."""
    if not all(_SHORT.fullmatch(text) and f"{float(text):.6g}" == text for text in column):
        return None
    decimals = max(map(_decimals, column))
    made = [round(float(text) * 10**decimals) for text in column]
    return (decimals, np.array(made)) if max(map(abs, made)) < _LARGEST else None


def _decimals(text: str) -> int:
    digits, _, power = text.partition("e-")
    return len(digits.partition(".")[2]) + int(power or 0)


def _in_planes(changes: NDArray[np.int64]) -> str:
    """Compress numbers, most of them small: the lowest bytes of all, then the next ones."""
    folded = np.where(changes < 0, -2 * changes - 1, 2 * changes)
    return packed(folded.astype("<u4").view("u1").reshape(-1, 4).T, "u1")
