"""Offer each page of the tutorial as a notebook, NAME.ipynb beside the page.

Links to other pages of the tutorial lead to their notebooks, and directives that a notebook doesn't
know become plain text.
"""

import re
from pathlib import Path
from typing import Any

import nbformat
from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from sphinx.application import Sphinx

FOLDER = "tutorial/"
FENCE = re.compile(r"^(:{3,}|`{3,})\{?.*$", re.MULTILINE)
OPTION = re.compile(r"^:(\w[\w-]*):.*\n", re.MULTILINE)
IMAGE = re.compile(r"```\{image\} (\S+)\n:alt: (.*)\n```")


def plain(text: str) -> str:
    """Return the Markdown of a page as a notebook shows it."""
    text = IMAGE.sub(r"**Picture:** \2", text)
    text = re.sub(
        r":::\{dropdown\} ([^\n]*)\n(.*?):::",
        r"<details><summary>\1</summary>\n\n\2\n</details>",
        text,
        flags=re.S,
    )
    text = re.sub(r"\]\((?!\w+:)([\w-]+)\.md", r"](\1.ipynb", text)
    return OPTION.sub("", FENCE.sub("", text))


def notebook(source: str) -> nbformat.NotebookNode:
    """Return the notebook of a page."""
    made = read_myst_markdown_notebook(source, MdParserConfig(), add_source_map=False)
    for cell in made.cells:
        cell.metadata.pop("mystnb", None)
        if cell.cell_type == "markdown":
            cell.source = plain(cell.source)
    note = (
        "*A page of minigrad's documentation. It needs minigrad, Matplotlib and scikit-learn: "
        "`pip install '.[plot,sklearn]'` in the folder of the sources.*"
    )
    made.cells.insert(1, nbformat.v4.new_markdown_cell(note))
    made.metadata.pop("jupytext", None)
    return made


def is_offered(app: Sphinx, page: str) -> bool:
    """Tell whether a page is one of the tutorial."""
    return page.startswith(FOLDER) and app.builder.format == "html"


def offer(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Add a link to the notebook at the top of a page."""
    if doctree is None or not is_offered(app, page):
        return
    name = page.removeprefix(FOLDER)
    link = f'<p class="notebook"><a href="{name}.ipynb" download>Download as a notebook</a></p>'
    context["body"] = context["body"].replace("</h1>", f"</h1>\n{link}", 1)


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the notebooks."""
    if error:
        return
    for page in filter(lambda page: is_offered(app, page), app.env.found_docs):
        source = Path(app.env.doc2path(page)).read_text(encoding="utf-8")
        made = nbformat.writes(notebook(source))
        Path(app.outdir, f"{page}.ipynb").write_text(made, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Run when a page, and when all are written."""
    app.connect("html-page-context", offer)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
