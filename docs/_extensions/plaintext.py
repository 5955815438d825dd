"""Treat docstrings as plain text: bars, stars and final underscores aren't markup.

An indented block after a paragraph becomes formulas if it holds equations, and else keeps its
lines.
"""

import re
from itertools import takewhile
from typing import Any

from formulas import equations
from sphinx.application import Sphinx

MARKUP = re.compile(r"(?<!\\)(\||\*|(?<=\w)_(?=\W|$))")
RETURNS = re.compile(r"( *)(Returns|Yields):$")


def escape(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Escape reStructuredText markup outside code and examples.

    Napoleon reads the text before the first colon as a type. An empty comment prevents this.
    """
    plain = ["..", ""] if what in ("attribute", "data", "property") else []
    block, ended = False, False  # inside such a block; after a paragraph and an empty line
    skipped = 0  # lines of a block that is written as formulas
    for place, line in enumerate(lines):
        if skipped:
            skipped -= 1
            continue
        if line and line[0] != " ":
            block, ended = False, lines[place + 1 : place + 2] == [""]
        elif line and ended and not block:
            held = list(takewhile(lambda one: one[:1] == " ", lines[place:]))
            if found := equations(held):
                inside = [f"    {one} " + r"\\" * (one != found[-1]) for one in found]
                plain += [".. math::", "", r"    \begin{split}", *inside, r"    \end{split}", ""]
                skipped, ended = len(held) - 1, False
                continue
            block = True
            plain += [".. code-block:: text", ""]
        if block:
            plain.append(line)
            continue
        if not line.lstrip().startswith((">>>", "...")):
            parts = line.split("`")
            parts[::2] = [MARKUP.sub(r"\\\1", part) for part in parts[::2]]
            line = "`".join(parts)
        plain.append(line)
        if heading := RETURNS.match(line):
            plain += [f"{heading[1]}    ..", ""]
    lines[:] = plain


def setup(app: Sphinx) -> dict[str, bool]:
    """Run before napoleon, which turns sections into fields of its own."""
    app.connect("autodoc-process-docstring", escape, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
