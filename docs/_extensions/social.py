"""Describe each page in its head: for search engines, and for the cards that links to it show."""

from html import escape
from typing import Any
from urllib.parse import urljoin

from docutils import nodes
from sphinx.application import Sphinx

LONGEST = 200
CARD = "_static/card.png"


def first_words(doctree: nodes.document) -> str:
    """Return the first paragraph, or as many of its words as a description may have."""
    found = next(iter(doctree.findall(nodes.paragraph)), None)
    words = " ".join(found.astext().split()) if found else ""
    if len(words) <= LONGEST:
        return words
    return words[: words.rindex(" ", 0, LONGEST)] + " …"


def describe(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Add the description, the title and the picture."""
    if doctree is None:
        return
    base = app.config.html_baseurl
    up = context["pathto"](CARD, 1)
    tags = {
        ("name", "description"): first_words(doctree),
        ("property", "og:title"): str(context.get("title", "minigrad")),
        ("property", "og:description"): first_words(doctree),
        ("property", "og:type"): "website",
        ("property", "og:image"): urljoin(base, CARD) if base else up,
        (
            "property",
            "og:image:alt",
        ): "minigrad: a network that has learned a disc, and its weights",
        ("name", "twitter:card"): "summary_large_image",
    }
    if base:
        tags["property", "og:url"] = urljoin(base, f"{name}.html")
    context["metatags"] += "".join(
        f'<meta {kind}="{key}" content="{escape(value)}">\n' for (kind, key), value in tags.items()
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Run before a page is written."""
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
