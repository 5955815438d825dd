"""The directive `gallery`: a card for each example, from the table in examples/README.md.

A card has the example's picture, what it shows and what it reaches. The sources follow below.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROW = re.compile(r"\| \[(\w+)\.py\]\(\1\.py\) \| (.*) \| (.*) \| (.*) \|")
CARD = """:::{{grid-item-card}} `{name}`
:img-top: /_static/gallery/{name}.svg
:img-alt: {shows}
:link: "#{anchor}"

{shows}

*{reaches}, in {time}*
:::
"""
SOURCE = """::::{{dropdown}} {name}.py
:::{{literalinclude}} /../examples/{name}.py
:language: python
:name: {anchor}
:::
::::
"""


class Gallery(SphinxDirective):
    """The cards, and the source of each example."""

    def run(self) -> list[nodes.Node]:
        readme = Path(self.env.srcdir).parent / "examples" / "README.md"
        self.env.note_dependency(str(readme))
        found = ROW.findall(readme.read_text(encoding="utf-8"))
        rows = [dict(zip(("name", "shows", "reaches", "time"), row, strict=True)) for row in found]
        for row in rows:
            row["shows"] = row["shows"][0].upper() + row["shows"][1:]
            row["anchor"] = f"source-{row['name']}".replace("_", "-")
        cards = "".join(CARD.format(**row) for row in rows)
        grid = f"::::{{grid}} 1 2 2 2\n:gutter: 3\n\n{cards}::::\n"
        sources = "".join(SOURCE.format(**row) for row in rows)
        return self.parse_text_to_nodes(f"{grid}\n:::{{rubric}} Sources\n:::\n\n{sources}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("gallery", Gallery)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
