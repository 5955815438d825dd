"""Draw the pictures of the tutorials: python docs/pictures.py writes docs/_static/NAME.svg."""

from pathlib import Path

from minigrad.plots.svg import document, element, text

Point = tuple[float, float]


def line(
    start: Point, end: Point, label: str, series: int, *, width: float = 3,
    part: float = 0.3, offset: Point = (0, -8),
) -> list[str]:  # fmt: skip
    """Draw a line, and its weight at an offset from a part of its length."""
    (x1, y1), (x2, y2), (dx, dy) = start, end, offset
    css = f"stroke-series-{series}"
    x, y = x1 + part * (x2 - x1) + dx, y1 + part * (y2 - y1) + dy
    return [
        element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=css, stroke_width=width),
        text(x, y, label, f"small halo fill-series-{series}"),
    ]


def unit(at: Point, value: str, name: str, name_at: Point, radius: float = 20) -> list[str]:
    """Draw a unit with its value, and its name at an offset."""
    (x, y), (dx, dy) = at, name_at
    return [
        element("circle", cx=x, cy=y, r=radius, class_="fill-panel stroke-edge"),
        text(x, y + 5, value, "body strong fill-ink"),
        text(x + dx, y + dy + 5, name, "body fill-muted"),
    ]


def convolution() -> str:
    """Draw the dense layer that a kernel of two weights makes of three inputs and two outputs."""
    inputs: list[Point] = [(110, y) for y in (90, 170, 250)]
    outputs: list[Point] = [(390, y) for y in (130, 210)]
    body = []
    for place, output in enumerate(outputs):
        for m, label in enumerate(("w₀ = 2", "w₁ = −1")):
            body += line(inputs[place + m], output, label, m)
    for i, value in enumerate("132"):
        body += unit(inputs[i], value, f"a{'₀₁₂'[i]}", (-36, 0))
    for i, value in enumerate(("−1", "4")):
        body += unit(outputs[i], value, f"z{'₀₁'[i]}", (36, 0))
    description = (
        "Inputs 1, 3 and 2 lead to the outputs -1 and 4 by two weights at two places each."
    )
    return document(500, 290, body, title="Two weights at two places", description=description)


def recurrence() -> str:
    """Draw a recurrent unit at two steps."""
    inputs: list[Point] = [(240, 240), (400, 240)]
    outputs: list[Point] = [(80, 110), (240, 110), (400, 110)]
    body = []
    for t in (0, 1):
        body += line(inputs[t], outputs[t + 1], "w = 1", 0, part=0.4, offset=(26, 4))
        body += line(outputs[t], outputs[t + 1], "u = 0.5", 1, part=0.5)
    for i, value in enumerate(("0.69", "0.80")):
        body += unit(inputs[i], value, f"x{'₁₂'[i]}", (38, 0))
    for i, value in enumerate(("0", "0.6", "0.8")):
        body += unit(outputs[i], value, f"h{'₀₁₂'[i]}", (0, -34))
    for i, delta in enumerate(("δ₁ = 0.0576", "δ₂ = 0.18")):
        x, y = outputs[i + 1]
        body.append(text(x + 56, y + 32, delta, "body fill-ink"))
    description = (
        "h0 leads to h1, and h1 to h2, by the same weight u; x1 leads to h1, and x2 to h2, by the "
        "same weight w."
    )
    return document(500, 290, body, title="One unit at two steps", description=description)


def attention() -> str:
    """Draw the weighted means of two values."""
    inputs: list[Point] = [(110, y) for y in (100, 220)]
    outputs: list[Point] = [(390, y) for y in (100, 220)]
    body = []
    for j, start in enumerate(inputs):
        for i, end in enumerate(outputs):
            large = i == j
            label = f"a{'₁₂'[j]}{'₁₂'[i]} = {'¾' if large else '¼'}"
            body += line(start, end, label, 0, width=6 if large else 2)
    for i, value in enumerate(("4, 0", "0, 8")):
        body += unit(inputs[i], value, f"v{'₁₂'[i]}", (-46, 0), 28)
    for i, value in enumerate(("3, 2", "1, 6")):
        body += unit(outputs[i], value, f"m{'₁₂'[i]}", (46, 0), 28)
    description = "Each output is a mean of both values, with the weights 3/4 and 1/4."
    return document(500, 270, body, title="Two weighted means", description=description)


if __name__ == "__main__":
    folder = Path(__file__).parent / "_static"
    for draw in convolution, recurrence, attention:
        path = folder / f"{draw.__name__}.svg"
        path.write_text(draw() + "\n", encoding="utf-8")
