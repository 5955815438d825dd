"""SVG as a small tree of elements that escapes what it prints."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from typing_extensions import override

from minigrad.plots.palette import SIZES, stylesheet

Anchor = Literal["start", "middle", "end"]

ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})
NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# Widths in em of a wide sans serif (DejaVu Sans): in any other font there is room to spare.
NARROW: Final = frozenset("fijlrtI|.,:;'!()[]{}/ ⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
BROAD: Final = frozenset("mwMW@%×−+=<>")


@dataclass(frozen=True, slots=True)
class Element:
    """One SVG element; `str` renders it, with text and attribute values escaped.

    >>> str(Element("text", {"x": 1.5}, ["a < b"]))
    '<text x="1.5">a &lt; b</text>'
    """

    tag: str
    attributes: Mapping[str, str | float] = field(default_factory=dict)
    children: Sequence["Element | str"] = ()

    @override
    def __str__(self) -> str:
        attributes = "".join(
            f' {name}="{escape(value) if isinstance(value, str) else short(value)}"'
            for name, value in self.attributes.items()
        )
        if not self.children:
            return f"<{self.tag}{attributes}/>"
        content = "".join(
            escape(child) if isinstance(child, str) else str(child) for child in self.children
        )
        return f"<{self.tag}{attributes}>{content}</{self.tag}>"


def escape(text: str) -> str:
    """`text` for XML; characters that XML doesn't allow become U+FFFD.

    >>> escape('<script>&"')
    '&lt;script&gt;&amp;&quot;'
    """
    return NOT_XML.sub("\ufffd", text).translate(ESCAPES)


def short(value: float) -> str:
    """A coordinate in pixels, to two decimals without trailing zeros.

    >>> short(12.5), short(-0.001)
    ('12.5', '0')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def line(x1: float, y1: float, x2: float, y2: float, css: str, *, width: float = 1.0) -> Element:
    """A straight line."""
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return Element("line", {**ends, "class": css, "stroke-width": width})


def dashed(element: Element, pattern: str) -> Element:
    """`element` with a dashed stroke."""
    return Element(
        element.tag, {**element.attributes, "stroke-dasharray": pattern}, element.children
    )


def rect(
    x: float, y: float, width: float, height: float, css: str, *, radius: float = 0.0
) -> Element:
    """A rectangle, its corners rounded by `radius`."""
    box: dict[str, str | float] = {"x": x, "y": y, "width": width, "height": height, "class": css}
    return Element("rect", box | ({"rx": radius} if radius else {}))


def text(
    x: float, y: float, content: str, css: str = "body fill-ink", *, anchor: Anchor = "start"
) -> Element:
    """A line of text; `css` names a size of `palette.SIZES` and a fill."""
    attributes: dict[str, str | float] = {"x": x, "y": y, "class": css}
    return Element(
        "text", attributes | ({"text-anchor": anchor} if anchor != "start" else {}), [content]
    )


def polyline(points: Iterable[tuple[float, float]], *, closed: bool = False) -> str:
    """Path data through `points`, to a tenth of a pixel."""
    places = (f"{short(round(x, 1))} {short(round(y, 1))}" for x, y in points)
    return "M" + "L".join(places) + ("Z" if closed else "")


def marker(index: int, x: float, y: float, css: str, *, size: float = 4.0) -> Element:
    """Shape number `index`: circle, square, triangle, diamond, triangle on its tip, bar."""
    r = size
    corners: tuple[tuple[float, float], ...]
    match index % 6:
        case 0:
            return Element("circle", {"cx": x, "cy": y, "r": r, "class": css})
        case 1:
            corners = ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9))
        case 2:
            corners = ((0, -1.2), (1.15, 0.85), (-1.15, 0.85))
        case 3:
            corners = ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0))
        case 4:
            corners = ((0, 1.2), (1.15, -0.85), (-1.15, -0.85))
        case _:
            corners = ((-1.3, -0.6), (1.3, -0.6), (1.3, 0.6), (-1.3, 0.6))
    outline = polyline(((x + r * i, y + r * j) for i, j in corners), closed=True)
    return Element("path", {"d": outline, "class": css, "stroke-linejoin": "round"})


def text_width(content: str, size: str = "body") -> float:
    """Width in pixels that a line of text needs at most, in any common sans serif."""
    em = SIZES[size] * (1.08 if size == "title" else 1.0)
    return em * sum(
        1.0 if ord(c) > 0x2E80 else 0.42 if c in NARROW else 0.95 if c in BROAD else 0.66
        for c in content
    )


def fit(content: str, width: float, size: str = "body") -> str:
    """`content` on one line, cut with an ellipsis where it would be wider than `width` pixels.

    >>> fit("a rather long name", 60.0)
    'a rathe…'
    """
    content = " ".join(content.split())
    if text_width(content, size) <= width:
        return content
    end = len(content)
    while end > 1 and text_width(content[:end] + "…", size) > width:
        end -= 1
    return content[:end].rstrip() + "…"


def wrap(content: str, width: float, size: str = "body") -> list[str]:
    """`content` on one line or two; what the second can't hold is cut.

    >>> wrap("first words and then some more", 130.0)
    ['first words and', 'then some more']
    """
    words = content.split()
    count = len(words)
    while count > 1 and text_width(" ".join(words[:count]), size) > width:
        count -= 1
    lines = (" ".join(words[:count]), " ".join(words[count:]))
    return [fit(line, width, size) for line in lines if line]


def picture(
    width: float, height: float, body: Sequence[Element], *, title: str, description: str
) -> str:
    """A whole SVG document, with alternative text and its own scoped style sheet.

    Its ids come from a checksum of the content: pictures that differ can share a page, and the
    same picture has the same bytes everywhere.
    """
    import zlib

    heading = wrap(title, width - 48, "title")
    shift = 22.0 * (len(heading) - 1) if heading else -22.0
    height += shift
    if shift:
        body = [Element("g", {"transform": f"translate(0 {short(shift)})"}, body)]
    content = "".join(map(str, body))
    words = f"{title}\n{description}\n{content}"
    name = f"minigrad-{zlib.crc32(words.encode(errors='replace')):08x}"
    attributes: dict[str, str | float] = {
        "xmlns": "http://www.w3.org/2000/svg",
        "id": name,
        "width": width,
        "height": height,
        "viewBox": f"0 0 {short(width)} {short(height)}",
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-description",
    }
    head = [
        Element("title", {"id": f"{name}-title"}, [title]),
        Element("desc", {"id": f"{name}-description"}, [description]),
        Element("style", {}, [stylesheet(f"#{name}")]),
        rect(0, 0, width, height, "fill-paper", radius=8),
        *(text(24, 34 + 22.0 * i, row, "title fill-ink") for i, row in enumerate(heading)),
    ]
    return str(Element("svg", attributes, [*head, *body]))
