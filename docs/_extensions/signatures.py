"""Writes signatures with the names that the source has for types, not what they stand for."""

from typing import Any

from numpy.typing import ArrayLike
from sphinx.application import Sphinx
from sphinx.util.inspect import TypeAliasForwardRef
from sphinx.util.typing import stringify_annotation

# What autodoc writes for an alias that Python has evaluated already, and for a dataclass's default.
SHORTER = {stringify_annotation(ArrayLike, "smart"): "ArrayLike", "<factory>": "..."}


def shorten(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, *signature: str | None
) -> tuple[str | None, ...]:
    """Shorten the arguments, and what is returned."""
    for long, short in SHORTER.items():
        signature = tuple(part and part.replace(long, short) for part in signature)
    return signature


def setup(app: Sphinx) -> dict[str, bool]:
    """Run after autodoc has made a signature."""
    TypeAliasForwardRef.__repr__ = lambda alias: alias.name  # written for an alias in a union
    app.connect("autodoc-process-signature", shorten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
