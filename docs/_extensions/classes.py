"""The directive `classes`: a line for each class and function of modules, each with a page.

    ```{classes}
    minigrad.layers.dense
    minigrad.Chain
    ```

A line is a module, whose public classes and functions are meant, or one of these. Their pages
are written to docs/reference/api before the pages are read; they aren't kept under version control.
"""

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes
from listing import typeset
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

BLOCK = re.compile(r"```\{classes\}\n([^`]*)```")
PAGE = """---
orphan: true
---

# {name}

[{title}](../{page}.md)

```{{eval-rst}}
.. {kind}:: {path}
```
"""


def things(argument: str) -> dict[str, Any]:
    """Return the classes and functions that an argument names, by their full names."""
    try:
        module = import_module(argument)
    except ModuleNotFoundError:
        room, _, name = argument.rpartition(".")
        return {argument: getattr(import_module(room), name)}
    return {
        f"{argument}.{name}": thing
        for name, thing in vars(module).items()
        if (inspect.isclass(thing) or inspect.isfunction(thing))
        and thing.__module__ == argument
        and not name.startswith("_")
        and thing.__doc__
    }


class Classes(SphinxDirective):
    """A definition list with an item for each class or function."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        found = {p: t for one in self.content for p, t in things(one).items()}
        return [
            nodes.definition_list(
                "", *(self.item(path, thing) for path, thing in found.items()), classes=["listing"]
            )
        ]

    def item(self, path: str, thing: Any) -> nodes.definition_list_item:
        """Return the name with its link, and the first paragraph of the docstring."""
        role = "class" if isinstance(thing, type) else "func"
        [term] = self.parse_text_to_nodes(f"{{py:{role}}}`{thing.__name__} <{path}>`")
        first = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
        definition = nodes.definition("", *self.parse_text_to_nodes(typeset(first)))
        return nodes.definition_list_item("", nodes.term("", "", *term), definition)


def write(app: Sphinx) -> None:
    """Write the pages of all classes that the reference lists, and remove others."""
    reference = Path(app.srcdir) / "reference"
    folder = reference / "api"
    folder.mkdir(exist_ok=True)
    made = set()
    for source in reference.glob("*.md"):
        text = source.read_text(encoding="utf-8")
        title = re.search(r"^# (.*)", text, re.MULTILINE)
        for arguments in BLOCK.findall(text):
            for argument in arguments.split():
                for path, thing in things(argument).items():
                    kind = "autoclass" if isinstance(thing, type) else "autofunction"
                    target = folder / f"{thing.__name__}.md"
                    names = {"name": thing.__name__, "path": path, "kind": kind}
                    page = PAGE.format(page=source.stem, title=title[1] if title else "", **names)
                    made.add(target)
                    if not target.exists() or target.read_text(encoding="utf-8") != page:
                        target.write_text(page, encoding="utf-8")
    for old in set(folder.glob("*.md")) - made:
        old.unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive, and write the pages before the others are read."""
    app.add_directive("classes", Classes)
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
