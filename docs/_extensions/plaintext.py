"""Takes docstrings as the plain text they are: bars, stars and final underscores are no markup."""

import re
from typing import Any

from sphinx.application import Sphinx

MARKUP = re.compile(r"(?<!\\)(\||\*|(?<=\w)_(?=\W|$))")


def escape(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Escape what reStructuredText would read as markup, outside code and examples."""
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = line.split("`")
            parts[::2] = [MARKUP.sub(r"\\\1", part) for part in parts[::2]]
            lines[number] = "`".join(parts)


def setup(app: Sphinx) -> dict[str, bool]:
    """Run before napoleon, which turns sections into fields of its own."""
    app.connect("autodoc-process-docstring", escape, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
