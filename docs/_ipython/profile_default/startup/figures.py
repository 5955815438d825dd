"""Show the Matplotlib figures of a cell as SVG in the colors of the page, light or dark."""

from io import StringIO
from typing import Any

from IPython.core.getipython import get_ipython

COLORS = {"#000000": "light-dark(#1c2128, #e8edf2)", "#ffffff": "light-dark(#ffffff, #131416)"}
STYLE = (
    f"<style>:root {{fill: {COLORS['#000000']}; color-scheme: light dark; max-width: 100%}}</style>"
)


def as_svg(figure: Any) -> str:
    """Return a figure as SVG whose black and white follow the color scheme."""
    file = StringIO()
    figure.savefig(file, format="svg", transparent=True, bbox_inches="tight")
    svg = file.getvalue().replace("<defs>", f"{STYLE}<defs>", 1)
    for light, both in COLORS.items():
        svg = svg.replace(light, both)
    return svg


if shell := get_ipython():  # docs/gallery_pictures.py runs this file without one
    formatters = shell.display_formatter.formatters
    formatters["image/svg+xml"].for_type_by_name("matplotlib.figure", "FigureBase", as_svg)
