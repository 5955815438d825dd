"""The explanations of many frames as one text: what they share once, then each one's numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Final

from minigrad.film.scenes import deflated, spread

_TOKEN: Final = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.e+-]*)')
"""A text or a number in JSON."""
_FIRST: Final = 8


def moments(
    page: Callable[[int], str], places: Sequence[float], most: int
) -> tuple[list[int], str]:
    """Return the frames whose pages fit into `most` characters, evenly paced, and their text."""
    made: dict[int, str] = {}

    def fold(count: int) -> tuple[list[int], str]:
        chosen = spread(places, count)
        for i in chosen:
            made[i] = made.get(i) or page(i)
        return chosen, folded([made[i] for i in chosen])

    (few, first), (chosen, text) = fold(_FIRST), fold(2 * _FIRST)
    if len(chosen) > len(few):  # each page adds about as much; a tenth is left to be sure
        room = (most - len(text)) * (len(chosen) - len(few)) * 9 // (len(text) - len(first)) // 10
        chosen, text = fold(len(chosen) + max(0, room))
    while len(text) > most and len(chosen) > 1:
        chosen, text = fold(len(chosen) * 3 // 4)
    return chosen, text


def folded(pages: Sequence[str]) -> str:
    """Compress pages of the same lines, most of which are equal.

    Lines that differ are cut at the texts and numbers of JSON. Pages that are equal between these
    have a template, in which the number i stands for a page's i-th own piece.
    """
    lines = [page.split("\n") for page in pages]
    equal = [len({*column}) == 1 for column in zip(*lines, strict=True)]
    shell = [line if same else None for line, same in zip(lines[0], equal, strict=True)]
    groups: dict[str, list[tuple[int, list[str]]]] = {}
    for place, own in enumerate(lines):
        body = "\n".join(line for line, same in zip(own, equal, strict=True) if not same)
        pieces = _TOKEN.split(body)
        groups.setdefault("\0".join(pieces[::2]), []).append((place, pieces))
    templates: list[list[str | int]] = []
    frames: list[list[int | list[str]]] = [[] for _ in pages]
    for group in groups.values():
        template, columns = _template([pieces for _, pieces in group])
        for row, (place, _) in enumerate(group):
            frames[place] = [len(templates), [column[row] for column in columns]]
        templates.append(template)
    made = {"shell": shell, "templates": templates, "frames": frames}
    return deflated(json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode())


def _template(rows: Sequence[list[str]]) -> tuple[list[str | int], list[tuple[str, ...]]]:
    template: list[str | int] = []
    same: list[str] = []
    columns: dict[tuple[str, ...], int] = {}
    for column in zip(*rows, strict=True):
        if column.count(column[0]) == len(column):
            same.append(column[0])
        else:
            template += ["".join(same), columns.setdefault(column, len(columns))]
            same = []
    return [*template, "".join(same)], list(columns)
