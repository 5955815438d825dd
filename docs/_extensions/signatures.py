"""Write signatures with the type names of the source, instead of the expanded types."""

from typing import Any

from numpy.typing import ArrayLike
from sphinx.application import Sphinx
from sphinx.util.inspect import TypeAliasForwardRef
from sphinx.util.typing import stringify_annotation

# What autodoc writes for an evaluated alias, and for the default factory of a dataclass field.
SHORTER = {stringify_annotation(ArrayLike, "smart"): "ArrayLike", "<factory>": "..."}


def shorten(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, *signature: str | None
) -> tuple[str | None, ...]:
    """Shorten the types of the arguments and of the result."""
    for long, short in SHORTER.items():
        signature = tuple(part and part.replace(long, short) for part in signature)
    return signature


def setup(app: Sphinx) -> dict[str, bool]:
    """Run after autodoc has made a signature."""
    TypeAliasForwardRef.__repr__ = lambda alias: alias.name  # written for an alias in a union
    app.connect("autodoc-process-signature", shorten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
