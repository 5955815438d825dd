"""The page that plays one film, or several side by side."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from typing_extensions import override

from minigrad.explain.page import page as explanation_page
from minigrad.explain.passes import Pass
from minigrad.film.moments import moments
from minigrad.util.atomic import StrPath, atomic_write

if TYPE_CHECKING:
    from minigrad.film.recorder import Film

_MOST: Final = 1_200_000
"""The most characters of a page's explanations."""
_NOTEBOOK: Final = 300_000
_FILES: Final = ("film.css", "film.html", "pictures.js", "film.js")


class Program:
    """Films that play together; `Film.beside` makes one. They share one slider.

    Args:
        films: recorded films.

    Raises:
        RuntimeError: a film has no frames.
    """

    def __init__(self, films: Sequence[Film]) -> None:
        self.films = list(films)

    def to_html(self, path: StrPath, *, row: int = 0) -> None:
        """Write the page; arguments and errors as `Film.to_html`."""
        atomic_write(path, [self._page(row, _MOST).encode()])

    def _repr_html_(self) -> str:
        shown = html.escape(self._page(0, _NOTEBOOK))
        return (  # a frame separates the page's style and script from the notebook's
            f'<iframe title="{html.escape(repr(self))}" sandbox="allow-scripts" '
            f'style="width:100%;height:760px;border:0" srcdoc="{shown}"></iframe>'
        )

    def _page(self, row: int, most: int) -> str:
        told = []
        for film in self.films:
            page = partial(_explanation, film, row)
            places, text = moments(page, film.paces, most // len(self.films))
            told.append({**film.data(), "summary": summary(film), "moments": places, "pages": text})
        style, frame, *scripts = (
            files("minigrad.film").joinpath(name).read_text(encoding="utf-8") for name in _FILES
        )
        data = {"row": row, "films": told}
        parts = {
            "title": html.escape(" and ".join(film.title for film in self.films)),
            "style": style,
            "script": "\n".join(scripts),
            "data": json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        }
        return re.sub(r"{{(\w+)}}", lambda match: parts[match[1]], frame)

    @override
    def __repr__(self) -> str:
        return f"Program({', '.join(map(repr, self.films))})"


def _explanation(film: Film, row: int, frame: int) -> str:
    return explanation_page(Pass(*film.moment(frame, row)), [0])


def summary(film: Film) -> str:
    """Say in words what happens in a film.

    >>> from minigrad import SGD, Dense, Sequential
    >>> model = Sequential([Dense(1, weight_initializer="zeros")], input_shape=(1,), rng=0)
    >>> model.compile(optimizer=SGD(learning_rate=0.5), loss="mse")
    >>> print(summary(model.film([[0], [1]], [0, 1], epochs=50, verbose=0)))
    The loss falls from 0.5 to 0.000146 in 50 updates; half of the fall is over after update 1.
    """
    losses, updates = film.losses, film.updates
    first, last = losses[0], losses[-1]
    way = "falls" if last < first else "rises"
    told = f"The loss {way} from {first:.3g} to {last:.3g} in {updates[-1] - updates[0]:,} updates"
    if last < first:
        half = next(u for u, j in zip(updates, losses, strict=True) if j <= (first + last) / 2)
        told += f"; half of the fall is over after update {half:,}"
    low = int(np.nanargmin(losses))
    if losses[low] < 0.9 * last:
        told += f"; it is lowest after update {updates[low]:,}, {losses[low]:.3g}"
    return f"{told}. {film.ended}".strip()
