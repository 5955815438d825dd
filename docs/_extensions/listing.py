"""The directive `listing`: an entry for each public class of a kind, from its docstring.

    ```{listing} minigrad.Layer
    :modules: dense dropout
    ```

An entry has the class with a link into the reference, the name that an option takes, and the first
paragraph of the docstring; if that holds no equation, also the first indented block. `modules` are
the last parts of module names; without them, the listing has what the page didn't list before. The
argument can also be a dict of functions by name.
"""

import inspect
import re
from importlib import import_module
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import minigrad
from minigrad.util.config import as_object, registered
from minigrad.util.spelling import snake_case

NAMED = minigrad.Activation, minigrad.Loss, minigrad.Optimizer, minigrad.Initializer
SIGNS = {
    "<-": "←", "^2": "²", "^3": "³", "-1": "−1", "alpha": "α", "beta": "β",
    "gamma": "γ", "delta": "δ", "epsilon": "ε", "eta": "η", "theta": "θ", "rho": "ρ", "pi": "π",
    "Phi": "Φ", "phi": "φ",
}  # fmt: skip
SIGN = re.compile("|".join(rf"\b{s}(?![a-z])" if s.isalpha() else re.escape(s) for s in SIGNS))
INDEX = re.compile(r"(?<!\w)(d?[A-Za-zα-ω])_(\w|\(t−1\))(?!\w)")


def classes(kind: type) -> dict[str, type]:
    """Return the registered and the public classes of a kind, without itself, as in the source."""
    public = [getattr(minigrad, name) for name in minigrad.__all__]
    found = {cls for cls in public if isinstance(cls, type) and issubclass(cls, kind)}
    found |= {cls for cls in registered(kind).values() if cls.__module__.startswith("minigrad.")}
    ordered = sorted(found - {kind}, key=lambda cls: inspect.getsourcelines(cls)[1])
    return {cls.__name__: cls for cls in ordered}


def option(cls: type) -> str:
    """Return the name that makes such an object with its defaults, or nothing."""
    name = snake_case(cls.__name__).removesuffix("_loss")
    for kind in NAMED:
        try:
            if issubclass(cls, kind) and as_object(kind, name, ""):
                return name
        except ValueError:
            continue
    return ""


def symbols(text: str) -> str:
    """Write Greek letters and signs for their names."""
    return SIGN.sub(lambda match: SIGNS[match[0]], text)


def typeset(text: str) -> str:
    """Write the symbols and the indices of a sentence, except in code."""
    parts = text.split("`")
    parts[::2] = [
        INDEX.sub(r"\1{sub}`\2`", re.sub(r"([*|])", r"\\\1", symbols(p))) for p in parts[::2]
    ]
    return "`".join(parts)


class Listing(SphinxDirective):
    """A definition list with an item for each class or function."""

    required_arguments = 1
    option_spec: ClassVar = {"modules": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        room, _, name = self.arguments[0].rpartition(".")
        kind = getattr(import_module(room), name)
        things = kind if isinstance(kind, dict) else classes(kind)
        listed = self.env.temp_data.setdefault("listing", set())
        if modules := self.options.get("modules", "").split():
            of = {name: thing.__module__.rpartition(".")[2] for name, thing in things.items()}
            names = [name for module in modules for name in things if of[name] == module]
        else:
            names = [name for name in things if name not in listed]
        listed.update(names)
        items = (self.item(name, things[name]) for name in names)
        return [nodes.definition_list("", *items, classes=["listing"])]

    def item(self, name: str, thing: Any) -> nodes.definition_list_item:
        """Return the name with its link, and the description."""
        if isinstance(thing, type):
            short = option(thing)
            term = f"{{py:class}}`{name} <.{name}>`" + (f' `"{short}"`' if short else "")
        else:
            term = f'{{py:func}}`"{name}" <.{thing.__name__}>`'
        paragraphs = (inspect.getdoc(thing) or "").split(">>>")[0].split("\n\n")
        first = " ".join(paragraphs[0].split())
        blocks = [inspect.cleandoc(p) for p in paragraphs[1:] if p.startswith("    ")]
        [term_paragraph] = self.parse_text_to_nodes(term)
        definition = nodes.definition("", *self.parse_text_to_nodes(typeset(first)))
        if blocks and not re.search(r"=|<-| / ", first):
            equations = symbols(blocks[0])
            definition.append(nodes.literal_block(equations, equations, language="text"))
        return nodes.definition_list_item("", nodes.term("", "", *term_paragraph), definition)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive and its style."""
    app.add_directive("listing", Listing)
    app.add_css_file("listing.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
