"""The explanation as one page that needs no network: a reader steps through it, and picks units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from minigrad.explain.choice import Choice
from minigrad.explain.data import row_data
from minigrad.explain.equations import EQUATIONS
from minigrad.explain.lines import Limit, number
from minigrad.explain.text import opening
from minigrad.plots.palette import variables

if TYPE_CHECKING:
    from minigrad.explain.story import Explanation

MOST_CHARACTERS: Final = 1_500_000
"""What the data of a page may take: beyond it, rows are left out, then units."""
_LIMITS: Final = (Limit(12, 6), Limit(8, 4), Limit(4, 2))
_SCRIPTS: Final = ("typeset.js", "network.js", "pick.js", "page.js")
_FRAME_HEIGHT: Final = 760


def page(
    explanation: Explanation,
    rows: Sequence[int],
    units: Mapping[str, Sequence[int]] | None = None,
) -> str:
    """Write the page of some rows; the first of them is shown at first.

    Args:
        explanation: the pass.
        rows: which rows.
        units: by a layer's path, units to tell whatever they matter.
    """
    import html
    from importlib.resources import files

    assets = files("minigrad.explain")
    parts = {
        "title": html.escape(f"J = {number(explanation.j)}, forward and back"),
        "style": variables(":root") + assets.joinpath("page.css").read_text(encoding="utf-8"),
        "script": "\n".join(assets.joinpath(name).read_text(encoding="utf-8") for name in _SCRIPTS),
        "data": _data(explanation, rows, units),
    }
    skeleton = assets.joinpath("page.html").read_text(encoding="utf-8")
    pieces = skeleton.split("{{")
    filled = [part.partition("}}") for part in pieces[1:]]
    return pieces[0] + "".join(parts[name] + rest for name, _, rest in filled)


def frame(page: str, title: str) -> str:
    """Put a page into a frame for a notebook, where its style and script stay its own.

    >>> frame("<p>1 & 1</p>", "sum")[:40]
    '<iframe title="sum" sandbox="allow-scrip'
    """
    import html

    return (
        f'<iframe title="{html.escape(title)}" sandbox="allow-scripts" '
        f'style="width:100%;height:{_FRAME_HEIGHT}px;border:0" '
        f'srcdoc="{html.escape(page)}"></iframe>'
    )


def as_json(value: Any) -> str:
    r"""Write JSON that can stand in a page: nothing in it can end a script.

    >>> as_json({"name": "</script>"})
    '{"name":"\\u003c/script\\u003e"}'
    """
    import json

    written = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    return written


def _data(
    explanation: Explanation, rows: Sequence[int], units: Mapping[str, Sequence[int]] | None
) -> str:
    """Return the data of as many rows as a page holds, and of fewer units if not even one fits."""
    for limit in _LIMITS:
        told: list[str] = []
        for row in rows:
            told.append(as_json(row_data(explanation, Choice(explanation, row, limit, units))))
            if sum(map(len, told)) + len(told[-1]) > MOST_CHARACTERS:
                break
        if len(told[0]) <= MOST_CHARACTERS:
            break
    said = f"The loss is {type(explanation.loss).__name__}"
    if len(told) < explanation.rows:
        said += f" over {explanation.rows} rows, of which this page has {len(told)}"
    _, *notes = opening(explanation, Choice(explanation, rows[0], limit))
    equations = {str(place): equation for place, equation in EQUATIONS.items()}
    head = {"said": f"{said}.", "notes": notes, "equations": equations}
    return f'{as_json(head)[:-1]},"rows":[{",".join(told)}]}}'
