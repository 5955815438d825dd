"""A page of one file that needs no network: its style, its scripts and its data are in it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any


def write_page(room: str, names: Sequence[str], *, title: str, data: str) -> str:
    """Return the page of a room, such as "film".

    Args:
        room: the folder of its files.
        names: the style, the body, and the scripts in their order. The style follows that of all
            pages; a script reads the data as JSON from the element "data".
        title: text, in the body and in the window's title.
        data: from `as_json`.
    """
    style, body, *scripts = (_read(room, name) for name in names)
    parts = {
        "style": _read("util", "webpage.css") + style,
        "body": body.replace("{{title}}", html.escape(title)),
        "title": html.escape(title),
        "script": "\n".join(scripts),
        "data": data,
    }
    return re.sub(r"{{(\w+)}}", lambda match: parts[match[1]], _read("util", "webpage.html"))


def framed(page: str, title: str, height: int) -> str:
    """Return a page in a frame, which separates its style and its scripts from a notebook's."""
    return (
        f'<iframe title="{html.escape(title)}" sandbox="allow-scripts" '
        f'style="width:100%;height:{height}px;border:0" srcdoc="{html.escape(page)}"></iframe>'
    )


def as_json(value: Any) -> str:
    """Write JSON that can stand in a page: nothing in it can end a script."""
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    return written


def _read(room: str, name: str) -> str:
    return files(f"minigrad.{room}").joinpath(name).read_text(encoding="utf-8")
