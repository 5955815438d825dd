"""Draw the pictures of the tutorials: python docs/pictures.py writes docs/_static/NAME.svg."""

from pathlib import Path
from textwrap import wrap

import numpy as np

from minigrad import SGD, Dense, MSELoss, Sequential, Sigmoid
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


def boxes(
    names: list[tuple[str, Point]], arrows: list[tuple[int, int, str, str]], radius: float = 26
) -> list[str]:
    """Draw quantities, and arrows between them: (from, to, above, below), the slope in blue."""
    body = []
    for start, end, above, below in arrows:
        (x1, y1), (x2, y2) = names[start][1], names[end][1]
        body.append(
            element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_="stroke-edge", stroke_width=2)
        )
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        body.append(text(x, y - 10, above, "body halo fill-muted"))
        body.append(text(x, y + 24, below, "body strong halo fill-series-0"))
    for name, (x, y) in names:
        body.append(element("circle", cx=x, cy=y, r=radius, class_="fill-panel stroke-edge"))
        body.append(text(x, y + 5, name, "body strong fill-ink"))
    return body


def output_weight() -> str:
    """Draw what a weight of the output layer changes, with the factors of Equation 4."""
    places: list[Point] = [(60, 110), (230, 110), (400, 110), (570, 110)]
    names = list(zip(("wⱼₖ", "zₖ", "aₖ", "J"), places, strict=True))
    arrows = [(0, 1, "times aⱼ", "aⱼ"), (1, 2, "g", "g′(zₖ)"), (2, 3, "loss", "aₖ − tₖ")]
    body = boxes(names, arrows)
    body.append(text(315, 186, "∂J/∂wⱼₖ = (aₖ − tₖ) g′(zₖ) aⱼ", "title strong fill-ink"))
    description = "w_jk changes z_k, z_k changes a_k, and a_k changes J; the slopes are multiplied."
    return document(630, 210, body, title="A weight of the output layer", description=description)


def hidden_weight() -> str:
    """Draw what a weight of a hidden layer changes, with the factors of Equation 10."""
    places: list[Point] = [(50, 150), (180, 150), (310, 150), (460, 90), (460, 210), (590, 150)]
    names = list(zip(("wᵢⱼ", "zⱼ", "aⱼ", "z₁", "z₂", "J"), places, strict=True))
    arrows = [
        (0, 1, "times aᵢ", "aᵢ"), (1, 2, "g", "g′(zⱼ)"), (2, 3, "", "wⱼ₁"), (2, 4, "", "wⱼ₂"),
        (3, 5, "", "δ₁"), (4, 5, "", "δ₂"),
    ]  # fmt: skip
    body = boxes(names, arrows)
    equation = "∂J/∂wᵢⱼ = aᵢ g′(zⱼ) (δ₁ wⱼ₁ + δ₂ wⱼ₂)"
    body.append(text(320, 282, equation, "title strong fill-ink"))
    description = (
        "w_ij changes z_j and a_j, and a_j changes both outputs. Each way to J has the product of "
        "its slopes, and the ways are added."
    )
    return document(640, 305, body, title="A weight of a hidden layer", description=description)


CARD = 300, 190  # the size of the pictures of the first page


def number() -> str:
    """Write the gradient of a weight between two units as a product of their numbers."""
    model = Sequential([Dense(3), Sigmoid(), Dense(1), Sigmoid()], input_shape=(2,), rng=4)
    x, loss = np.array([[0.5, 1.0]]), MSELoss()
    loss.forward(model.forward(x), np.array([[1.0]]))
    hidden, output = (layer.forward for layer in model.layers[1::2])
    a = hidden(model.layers[0].forward(x))
    k = output(model.layers[2].forward(a))
    model.backward(loss.backward())
    weight = model.layers[2].weight
    gradient = weight.grad[0, 0]
    delta = gradient / a[0, 0]
    ends: list[Point] = [(70, 78), (230, 78)]
    body = line(*ends, f"w = {weight.value[0, 0]:.3f}", 0, width=4, part=0.5, offset=(0, -10))
    body += unit(ends[0], f"{a[0, 0]:.3f}", "a", (0, 46), 30)
    body += unit(ends[1], f"{k[0, 0]:.3f}", f"δ = {delta:.3f}".replace("-", "−"), (0, 46), 30)
    equation = f"∂J/∂w = δ a = {delta:.3f} × {a[0, 0]:.3f} = {gradient:.4f}".replace("-", "−")
    body.append(text(150, 168, equation, "body strong fill-ink"))
    title = "One weight"
    return document(*CARD, body, title=title, description=equation)


def finding() -> str:
    """Write what a diagnosis says of a learning rate that is too high."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(200, 2))
    model = Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)
    found = model.diagnose(x, x.sum(axis=1), loss="mse", optimizer=SGD(learning_rate=5.0))
    (rate,) = (f for f in found if f.kind == "learning_rate")
    end = rate.evidence["loss_at_lower_rate"]
    lines = [
        (f"ERROR: {rate.title}", "strong fill-series-1"),
        (f"It diverges. At {rate.evidence['lower_rate']:g} the loss", "fill-ink"),
        (f"falls from {rate.evidence['loss_before']:.2g} to {end:.1g}.", "fill-ink"),
        *((f"{part}", "strong fill-ink") for part in wrap(f"To do: {rate.remedy}", 40)),
    ]
    body = [
        text(20, 70 + 25 * i, words, f"body {look}", anchor="start")
        for i, (words, look) in enumerate(lines)
    ]
    description = f"{rate.title}: {rate.remedy}"
    return document(*CARD, body, title="model.diagnose(x, y)", description=description)


def layer() -> str:
    """Write a layer's equations beside its code."""
    rows = [
        ("Z = X W", "x @ w"),
        ("∂J/∂W = Xᵀ Δ", "x.T @ delta"),
        ("∂J/∂X = Δ Wᵀ", "delta @ w.T"),
    ]
    body = []
    for i, (equation, code) in enumerate(rows):
        y = 74 + 40 * i
        body.append(text(20, y, equation, "title strong fill-series-0", anchor="start"))
        body.append(text(170, y, code, "title fill-ink", anchor="start"))
    description = "; ".join(f"{equation} is {code}" for equation, code in rows)
    return document(*CARD, body, title="A dense layer", description=description)


def favicon() -> str:
    """Draw three units and their weights in a square."""
    paths = [((12, 16), (48, 32), "#0a5fc0"), ((12, 48), (48, 32), "#c2410c")]
    lines = "".join(
        f'<line x1="{a}" y1="{b}" x2="{c}" y2="{d}" stroke="{color}" stroke-width="8"/>'
        for (a, b), (c, d), color in paths
    )
    dots = "".join(
        f'<circle cx="{x}" cy="{y}" r="{r}" fill="#eef1f5" stroke="#57606a" stroke-width="4"/>'
        for x, y, r in ((12, 16, 9), (12, 48, 9), (48, 32, 13))
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">{lines}{dots}</svg>'


if __name__ == "__main__":
    folder = Path(__file__).parent / "_static"
    for draw in (
        convolution,
        recurrence,
        attention,
        output_weight,
        hidden_weight,
        number,
        finding,
        layer,
        favicon,
    ):
        path = folder / f"{draw.__name__}.svg"
        path.write_text(draw() + "\n", encoding="utf-8")
