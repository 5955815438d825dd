"""The code of a page, run cell by cell in the browser, and the exercises, graded there."""

from __future__ import annotations

import ast
import base64
import io
import json
import linecache
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from minigrad.lessons.__main__ import main as lessons


class Cells:
    r"""Runs cells in one namespace, as a notebook does; `handle` answers messages in JSON.

    >>> cells = Cells()
    >>> cells.handle('{"do": "run", "source": "x = 2"}')
    '{"out": "", "html": [], "error": ""}'
    >>> json.loads(cells.handle('{"do": "run", "source": "print(x)\\nx + 1"}'))["out"]
    '2\n3\n'
    """

    def __init__(self) -> None:
        os.environ.setdefault("MPLBACKEND", "Agg")
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._asked = set[str]()
        self._count = 0

    def handle(self, message: str) -> str:
        """Answer a message."""
        asked = json.loads(message)
        return json.dumps(_ACTIONS[asked.pop("do")](self, **asked))

    def run(self, source: str) -> dict[str, Any]:
        """Run a cell: what it prints, its values as HTML, and the traceback of its error.

        If packages are missing that may be had, the answer has only their names, once.
        """
        if needs := sorted({*_missing(source)} - self._asked):
            self._asked |= {*needs}
            return {"needs": needs}
        self._count += 1
        file, html = f"<cell {self._count}>", list[str]()
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        self._names["display"] = lambda *values: html.extend(filter(None, map(_shown, values)))

        def execute() -> None:
            tree: Any = compile(source, file, "exec", ast.PyCF_ONLY_AST)
            value = None
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, file, "exec"), self._names)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), file, "eval"), self._names)
            if value is not None and not source.rstrip().endswith(";"):
                html.extend(filter(None, [_shown(value)]))
            html.extend(_figures())

        out, error = _captured(execute)
        return {"out": out, "html": html, "error": error}

    def grade(self, name: str, source: str) -> dict[str, Any]:
        """Grade the sheet of an exercise, with the reasons that the command prints."""
        statuses = list[int]()

        def execute() -> None:
            with tempfile.TemporaryDirectory() as folder, chdir(folder):
                Path(f"{name}.py").write_text(source, encoding="utf-8")
                statuses.append(lessons(["grade", f"{name}.py"]))

        out, error = _captured(execute)
        return {"passed": statuses == [0], "out": out, "error": error}


_ACTIONS: Final[dict[str, Callable[..., dict[str, Any]]]] = {"run": Cells.run, "grade": Cells.grade}


def _captured(execute: Callable[[], None]) -> tuple[str, str]:
    """Call a function; return what it prints, and the traceback of its error."""
    out, error = io.StringIO(), ""
    with redirect_stdout(out), redirect_stderr(out):
        try:
            execute()
        except BaseException as raised:
            frames = raised.__traceback__
            while frames and frames.tb_frame.f_code.co_filename == __file__:
                frames = frames.tb_next
            error = "".join(traceback.format_exception(type(raised), raised, frames))
    return out.getvalue(), error


def _shown(value: Any) -> str:
    """Return a value as HTML, or print it and return nothing."""
    written = getattr(value, "_repr_html_", lambda: None)()
    if written is None:
        print(repr(value))
    return written or ""


def _figures() -> Iterator[str]:
    """Yield the figures that a cell drew."""
    if (pyplot := sys.modules.get("matplotlib.pyplot")) is None:
        return
    for number in pyplot.get_fignums():
        picture = io.BytesIO()
        pyplot.figure(number).savefig(picture, format="svg", bbox_inches="tight")
        encoded = base64.b64encode(picture.getvalue()).decode()
        yield f'<img alt="Figure {number}" src="data:image/svg+xml;base64,{encoded}">'
    pyplot.close("all")


def _missing(source: str) -> Iterator[str]:
    """Yield the packages that code needs and that aren't installed."""
    names = {"matplotlib"} if ".plot" in source else set[str]()
    try:
        nodes = [*ast.walk(ast.parse(source))]
    except SyntaxError:
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    yield from (name for name in names if name not in sys.modules and find_spec(name) is None)
