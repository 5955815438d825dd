"""Takes docstrings as the plain text they are: bars, stars and final underscores are no markup."""

import re
from typing import Any

from sphinx.application import Sphinx

MARKUP = re.compile(r"(?<!\\)(\||\*|(?<=\w)_(?=\W|$))")
RETURNS = re.compile(r"( *)(Returns|Yields):$")


def escape(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Escape what reStructuredText would read as markup, outside code and examples.

    Where napoleon takes what comes before a first colon for a type, an empty comment comes first.
    """
    plain = ["..", ""] if what in ("attribute", "data", "property") else []
    for line in lines:
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
