"""Elements of HTML and SVG."""

import re
from typing import Final

_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escape(content: str) -> str:
    """Escape text for XML; a character that XML doesn't allow becomes U+FFFD."""
    return _NOT_XML.sub("\ufffd", content).translate(_ESCAPES)


def element(tag: str, content: str = "", **attributes: str | float) -> str:
    """Write an element. `content` is markup; attribute values are escaped, numbers are rounded."""
    start = tag
    for name, value in attributes.items():
        shown = escape(value) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
        start += f' {name.rstrip("_").replace("_", "-")}="{shown}"'
    return f"<{start}>{content}</{tag}>" if content else f"<{start}/>"
