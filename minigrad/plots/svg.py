"""SVG: text that fits a width, and a document with its own style sheet."""

import zlib
from collections.abc import Sequence
from typing import Final

from minigrad.util.markup import element, escape

COLORS: Final = {
    "paper": ("#ffffff", "#0d1117"),
    "panel": ("#eef1f5", "#1d242d"),
    "grid": ("#dde2e8", "#2a313a"),
    "edge": ("#8a94a0", "#6b7682"),
    "muted": ("#57606a", "#9ba4ae"),
    "ink": ("#1c2128", "#e8edf2"),
    "series-0": ("#0a5fc0", "#58a6ff"),
    "series-1": ("#c2410c", "#ff9248"),
    "series-2": ("#731e51", "#f3c0de"),
    "series-5": ("#6b6400", "#d8d06a"),
}  # light, dark
_FONT: Final = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
_SIZES: Final = {"small": 11.5, "body": 13.0, "title": 17.0}


def text(x: float, y: float, content: str, css: str, *, anchor: str = "middle") -> str:
    """Write a line of text; `css` names a size and a fill."""
    return element("text", escape(content), x=x, y=y, class_=css, text_anchor=anchor)


def fit(content: str, width: float, size: str) -> str:
    """Return the text on one line, cut with an ellipsis if it is wider than `width` pixels."""
    content = " ".join(content.split())
    most = int(width / width_of(" ", size))
    return content if len(content) <= most else content[: most - 1].rstrip() + "…"


def width_of(content: str, size: str) -> float:
    """Return about how wide a line of text is in a wide font."""
    return 0.66 * _SIZES[size] * len(content)


def document(
    width: float, height: float, body: Sequence[str], *, title: str, description: str
) -> str:
    """Return an SVG document with alternative text and a style sheet for light and dark pages.

    Ids contain a checksum, so that one page can hold several pictures. Each rule sets the
    light color first, for programs that don't know CSS variables.
    """
    content = "".join(body)
    checksum = zlib.crc32(f"{title}\n{description}\n{content}".encode(errors="replace"))
    scope = f"#minigrad-{checksum:08x}"
    light, dark = (
        ";".join(f"--{name}:{pair[mode]}" for name, pair in COLORS.items()) for mode in (0, 1)
    )
    style = (
        f"{scope}{{max-width:100%;height:auto}}{scope}{{{light}}}"
        f"@media (prefers-color-scheme:dark){{{scope}{{{dark}}}}}"
        # A notebook of JupyterLab and a page of Sphinx have a theme of their own.
        f"[data-jp-theme-light=true] {scope},[data-theme=light] {scope}{{{light}}}"
        f"[data-jp-theme-light=false] {scope},[data-theme=dark] {scope}{{{dark}}}"
        f"{scope} text{{font-family:{_FONT}}}{scope} .title,{scope} .strong{{font-weight:600}}"
        f"{scope} .halo{{stroke:{COLORS['paper'][0]};stroke:var(--paper);stroke-width:6px;"
        "stroke-linejoin:round;paint-order:stroke}"
    )
    style += "".join(f"{scope} .{size}{{font-size:{px}px}}" for size, px in _SIZES.items())
    for kind in ("fill", "stroke"):
        for color, (value, _) in COLORS.items():
            style += f"{scope} .{kind}-{color}{{{kind}:{value};{kind}:var(--{color})}}"
    name = scope[1:]
    head = [
        element("title", escape(title), id=f"{name}-title"),
        element("desc", escape(description), id=f"{name}-description"),
        element("style", style),
        element("rect", x=0, y=0, width=width, height=height, rx=8, class_="fill-paper"),
        text(24, 34, fit(title, width - 48, "title"), "title fill-ink", anchor="start"),
    ]
    attributes: dict[str, str | float] = {"xmlns": "http://www.w3.org/2000/svg", "id": name}
    attributes |= {"width": width, "height": height, "viewBox": f"0 0 {width:.2f} {height:.2f}"}
    attributes |= {"role": "img", "aria_labelledby": f"{name}-title {name}-description"}
    return element("svg", "".join([*head, content]), **attributes)
