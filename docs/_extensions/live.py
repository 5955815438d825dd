"""Python in the browser, on the pages and in the playground.

The code of a page gets a "Run" button, unless the page needs what no browser has. The directive
`exercises` shows the sheets of the exercises, to be solved and graded on the page. The role `play`
links to the playground with a preset or with settings:

    {play}`dead units <dead_units>`, {play}`a wave <{"data": "wave", "hidden": [4]}>`

`live_pyodide` is the address of Pyodide, and `live_packages` are the names of what it loads. By
default both are in Pyodide's own network; a school can have a copy.
"""

import json
import re
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

from minigrad.lessons.exercises import EXERCISES
from minigrad.playground.remedies import PRESETS
from minigrad.playground.script import Script
from minigrad.playground.session import write_link
from minigrad.playground.settings import Settings
from minigrad.playground.site import PACKAGES, PYODIDE, write_site

CELL = re.compile(r"^```\{code-cell\}.*\n(?P<code>(?:.*\n)*?)```$", re.M)
OPTIONS = re.compile(r"(?:---\n(?:.*\n)*?---\n|(?::.*\n)+)")
ELSEWHERE = re.compile(
    r"^ *(?:from|import) (?:torch|keras|jax|onnx\w*|polars|datasets|IPython|minigrad\.interop"
    r"|subprocess|tensorboard\w*|tqdm)\b|engine=\"jax\"|^!", re.M
)  # fmt: skip


def cells(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the code of a page, and whether the page shows it."""
    for found in CELL.finditer(path.read_text(encoding="utf-8")):
        options = OPTIONS.match(found["code"])
        given = options[0] if options else ""
        shown = not re.search(r"remove-(input|cell)", given)
        yield {"source": found["code"][len(given) :].strip("\n"), "shown": shown}


def add_code(app: Sphinx, page: str, _: str, context: dict[str, Any], doctree: Any) -> None:
    """Add the code and the script to a page whose code runs in a browser."""
    if doctree is None:
        return
    found = [*cells(Path(app.env.doc2path(page)))]
    if any(ELSEWHERE.search(cell["source"]) for cell in found):
        found = []
    if not found and 'class="exercise"' not in context["body"]:
        return
    written = json.dumps(found).replace("<", "\\u003c")
    context["body"] += f'<script type="application/json" id="live-cells">{written}</script>'
    places = {"data-pyodide": app.config.live_pyodide}
    places["data-packages"] = app.config.live_packages
    app.add_js_file("live.js", type="module", **places)
    app.add_css_file("live.css")


class Exercises(SphinxDirective):
    """Shows the sheet of each exercise in an editor."""

    def run(self) -> list[nodes.Node]:
        """Return the sheets."""
        made = []
        for name, exercise in EXERCISES.items():
            sheet = files("minigrad.lessons").joinpath("sheets", f"{name}.py").read_text()
            rows = sheet.count("\n") + 2
            title = f"<strong>{name}</strong>: {escape(exercise.about)}"
            made.append(
                f'<details class="exercise" data-name="{name}"><summary>{title}</summary>'
                f'<textarea rows="{rows}" spellcheck="false" aria-label="Sheet {name}">'
                f"\n{escape(sheet)}</textarea></details>"
            )
        return [nodes.raw("", "\n".join(made), format="html")]


class Play(SphinxRole):
    """Links to the playground with prepared settings."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the link."""
        text, _, target = self.text.removesuffix(">").rpartition(" <")
        if target in PRESETS:
            link = f"preset={target}"
        else:
            link = write_link(Script(Settings(**json.loads(target))))
        folder = "../" * self.env.docname.count("/")
        address = f"{folder}playground/index.html#{link}"
        return [nodes.reference(self.rawtext, text, refuri=address)], []


def write_playground(app: Sphinx, error: Exception | None) -> None:
    """Write the playground beside the pages."""
    if error is None and app.builder.name == "html":
        folder, config = Path(app.outdir, "playground"), app.config
        write_site(folder, pyodide=config.live_pyodide, packages=config.live_packages.split())


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive, the role and the options, and write the playground at the end."""
    app.add_directive("exercises", Exercises)
    app.add_role("play", Play())
    app.add_config_value("live_pyodide", PYODIDE, "html", types=(str,))
    app.add_config_value("live_packages", " ".join(PACKAGES), "html", types=(str,))
    app.connect("html-page-context", add_code)
    app.connect("build-finished", write_playground)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
