"""The page as static files: Python runs in the browser, in Pyodide, and no server is needed."""

from __future__ import annotations

import html
import io
import zipfile
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

PYODIDE: Final = "https://cdn.jsdelivr.net/pyodide/v0.29.5/full/"
PACKAGES: Final = ("numpy", "typing-extensions")
_KINDS: Final = (".py", ".js", ".css", ".html", ".typed")


def write_site(folder: Path, *, pyodide: str = PYODIDE, packages: Sequence[str] = PACKAGES) -> None:
    """Write the page into a folder that any web server can serve.

    Args:
        folder: it is created.
        pyodide: the address of Pyodide; a copy of one's own needs no other network.
        packages: names of packages that Pyodide knows, or the addresses of wheels.

    Raises:
        OSError: a file can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file in (*_page().iterdir(), files("minigrad.util").joinpath("webpage.css")):
        if file.is_file():
            folder.joinpath(file.name).write_bytes(file.read_bytes())
    text = _page().joinpath("index.html").read_text(encoding="utf-8")
    given = {"transport": "worker", "pyodide": pyodide, "packages": " ".join(packages)}
    options = " ".join(f'data-{name}="{html.escape(value)}"' for name, value in given.items())
    text = text.replace('data-transport="server"', options)
    folder.joinpath("index.html").write_text(text, encoding="utf-8")
    folder.joinpath("minigrad.zip").write_bytes(_archive())


def _page() -> Traversable:
    return files("minigrad.playground").joinpath("page")


def _archive() -> bytes:
    """Return the package, without what no page runs."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        waiting = [("minigrad", files("minigrad"))]
        while waiting:
            path, entry = waiting.pop()
            if entry.is_file() and entry.name.endswith(_KINDS):
                archive.writestr(zipfile.ZipInfo(path), entry.read_bytes(), zipfile.ZIP_DEFLATED)
            elif entry.is_dir() and entry.name != "__pycache__":
                inside = sorted(entry.iterdir(), key=lambda one: one.name)
                waiting += [(f"{path}/{one.name}", one) for one in inside]
    return content.getvalue()
