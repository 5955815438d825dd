"""Draw the picture of a kernel: python docs/pictures.py writes docs/_static/convolution.svg."""

from pathlib import Path

from minigrad.plots.svg import document, element, text


def line(x1: float, y1: float, x2: float, y2: float, css: str, width: float = 1) -> str:
    """Draw a line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=css, stroke_width=width)


def convolution() -> str:
    """Draw the dense layer that a kernel of two weights makes of three inputs and two outputs."""
    inputs, outputs = [(110, y) for y in (90, 170, 250)], [(390, y) for y in (130, 210)]
    body = []
    for place, (x2, y2) in enumerate(outputs):
        for m, label in enumerate(("w₀ = 2", "w₁ = −1")):
            x1, y1 = inputs[place + m]
            body.append(line(x1, y1, x2, y2, f"stroke-series-{m}", 3))
            x, y = x1 + 0.3 * (x2 - x1), y1 + 0.3 * (y2 - y1) - 8
            body.append(text(x, y, label, f"small halo fill-series-{m}"))
    for at, symbols, values in ((inputs, "a", "132"), (outputs, "z", ("−1", "4"))):
        for i, ((x, y), value) in enumerate(zip(at, values, strict=True)):
            body.append(element("circle", cx=x, cy=y, r=20, class_="fill-panel stroke-edge"))
            body.append(text(x, y + 5, value, "body strong fill-ink"))
            name = f"{symbols}{'₀₁₂'[i]}"
            body.append(text(x + (-36 if symbols == "a" else 36), y + 5, name, "body fill-muted"))
    description = (
        "Inputs 1, 3 and 2 lead to the outputs -1 and 4 by two weights at two places each."
    )
    return document(500, 290, body, title="Two weights at two places", description=description)


if __name__ == "__main__":
    path = Path(__file__).parent / "_static" / "convolution.svg"
    path.write_text(convolution() + "\n", encoding="utf-8")
