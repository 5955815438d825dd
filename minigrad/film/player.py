"""The page that plays films side by side, and what happens in a film in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from minigrad.util.webpage import as_json, write_page

_FILES: Final = ("film.css", "film.html", "pictures.js", "film.js")


def page(films: Sequence[dict[str, Any]], row: int) -> str:
    """Write the page that plays these films; see `Film.data`."""
    title = " and ".join(film["title"] for film in films)
    data = as_json({"row": row, "films": films})
    return write_page("film", _FILES, title=title, data=data)


def summary(updates: Sequence[int], losses: Sequence[float]) -> str:
    """Say in words how the loss changes over the updates.

    >>> print(summary([0, 1, 2, 9], [0.5, 0.2, 0.05, 0.06]))
    The loss falls from 0.5 to 0.06 in 9 updates; half of the fall is over after update 1; it is
    lowest after update 2, 0.05.
    """
    first, last, low = losses[0], losses[-1], int(np.argmin(np.nan_to_num(losses, nan=np.inf)))
    end = f"{last:.3g}" if np.isfinite(last) else "infinity"
    text = f"The loss {'falls' if last < first else 'rises'} from {first:.3g} to {end}"
    text += f" in {updates[-1] - updates[0]:,} updates"
    if last < first:
        half = next(u for u, j in zip(updates, losses, strict=True) if j <= (first + last) / 2)
        text += f"; half of the fall is over after update {half:,}"
    if losses[low] < 0.9 * last:
        text += f"; it is lowest after update {updates[low]:,}, {losses[low]:.3g}"
    return f"{text}."
