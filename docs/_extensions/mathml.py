"""Render mathematics as MathML, which browsers display without scripts or fonts."""

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator


def inline(writer: HTML5Translator, node: nodes.math) -> None:
    """Write $...$."""
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def block(writer: HTML5Translator, node: nodes.math_block) -> None:
    r"""Write $$...$$. Formulas that \qquad separates stand side by side where there is room."""
    latex = node.astext()
    formulas = [latex] if r"\begin" in latex else latex.split(r"\qquad")
    written = "\n".join(convert(formula, display="block") for formula in formulas)
    writer.body.append(f'<div class="math">{written}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Replace Sphinx's math renderer."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
