"""Draw the pictures of the tutorial: python docs/pictures.py writes them to docs/_static."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from minigrad import (
    LSTM,
    Adam,
    Conv2D,
    CrossEntropyLoss,
    Dense,
    Embedding,
    MultiHeadAttention,
    PositionEmbedding,
    Sequential,
    SimpleRNN,
)
from minigrad.layers.recurrent import Recurrent
from minigrad.plots.svg import document, element, text

STATIC = Path(__file__).parent / "_static"
ALONG = 76 + 12.0 * np.arange(30)  # the places of 30 steps


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


def cells(
    values: NDArray[np.float64], x: float, y: float, size: float, labels: bool = False
) -> list[str]:
    """Draw a matrix: positive numbers in one color, negative ones in another."""
    body = []
    top = abs(values).max()
    for (row, column), value in np.ndenumerate(values):
        place = {"x": x + column * size, "y": y + row * size, "width": size, "height": size}
        color = "series-0" if value >= 0 else "series-1"
        opacity = float(abs(value) / top)
        body.append(element("rect", **place, class_="fill-panel stroke-grid"))
        body.append(element("rect", **place, class_=f"fill-{color}", fill_opacity=opacity))
        if labels:
            middle = x + (column + 0.5) * size, y + (row + 0.5) * size + 4
            ink = "ink" if opacity < 0.5 else "paper"
            body.append(text(*middle, f"{value:.2f}", f"small fill-{ink}"))
    return body


def edges() -> str:
    """Draw a digit and the output of Sobel's kernel."""
    image = load_digits().images[:1, :, :, np.newaxis] / 16
    kernel = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]).reshape(3, 3, 1, 1)
    layer = Conv2D(1, 3, padding="same", use_bias=False, weight_initializer=kernel)
    output = Sequential([layer], input_shape=(8, 8, 1)).predict(image)
    body = [*cells(image[0, :, :, 0], 24, 76, 26), *cells(output[0, :, :, 0], 268, 76, 26)]
    body.append(text(24, 66, "image", "body fill-muted", anchor="start"))
    body.append(text(268, 66, "output:", "body fill-muted", anchor="start"))
    body.append(text(318, 66, "positive", "body fill-series-0", anchor="start"))
    body.append(text(376, 66, "negative", "body fill-series-1", anchor="start"))
    description = "Outputs are positive at the left of each stroke and negative at its right."
    return document(500, 308, body, title="Vertical edges", description=description)


def slopes(layer: Recurrent, forget: float | None = None) -> NDArray[np.float64]:
    """Return the mean slope of the sum of the last outputs along the input of each step."""
    x = np.random.default_rng(0).uniform(-2, 2, size=(1000, 30, 1))
    model = Sequential([layer], input_shape=(None, 1), rng=0)
    if forget is not None and layer.bias is not None:
        layer.bias.value[8:16] = forget
    output = model.forward(x)
    return np.asarray(abs(model.backward(np.ones_like(output))).mean(axis=(0, 2)))


def curve(values: NDArray[np.float64], css: str) -> str:
    """Draw a number for each step."""
    points = (f"{x:.1f},{y:.1f}" for x, y in zip(ALONG, height(values), strict=True))
    return element("polyline", points=" ".join(points), class_=css, fill="none", stroke_width=2.5)


def height(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the heights on the page of numbers from 0.0001 to 1, on a logarithmic scale."""
    return 62 - 52 * np.log10(values)


def recurrence() -> str:
    """Draw how large the slopes along the inputs of 30 steps are."""
    body = []
    for power in range(5):
        y = 62 + 52 * power
        body.append(line(70, y, 430, y, "stroke-grid"))
        body.append(text(62, y + 4, f"{10.0**-power:g}", "small fill-muted", anchor="end"))
    body += [text(float(ALONG[t - 1]), 290, str(t), "small fill-muted") for t in (1, 10, 20, 30)]
    body.append(text(250, 310, "step", "body fill-muted"))
    curves: Sequence[tuple[str, NDArray[np.float64]]] = (
        ("SimpleRNN", slopes(SimpleRNN(8))),
        ("LSTM", slopes(LSTM(8))),
        ("LSTM, forget bias 4", slopes(LSTM(8), 4.0)),
    )
    places = (220, 156, "end"), (290, 226, "start"), (100, 90, "start")
    for (name, values), color, (x, y, anchor) in zip(curves, (1, 2, 0), places, strict=True):
        body.append(curve(values, f"stroke-series-{color}"))
        body.append(text(x, y, name, f"body halo fill-series-{color}", anchor=anchor))
    title = "Slope along the input of each step"
    description = "Two curves fall by a factor of a thousand towards early steps; one stays level."
    return document(470, 324, body, title=title, description=description)


def attention() -> str:
    """Draw the mean attention weights of a model that reverses sequences."""
    ids = np.random.default_rng(0).integers(0, 5, size=(1000, 6))
    layer, embedding = MultiHeadAttention(1), Embedding(5, 16, weight_initializer="normal")
    positions = PositionEmbedding()
    model = Sequential([embedding, positions, layer, Dense(5)], input_shape=(6,), rng=0)
    model.compile(optimizer=Adam(learning_rate=0.01), loss=CrossEntropyLoss())
    model.fit(ids[:800], ids[:800, ::-1], epochs=10, verbose=0)
    tokens = positions.forward(embedding.forward(ids[800:], training=False), training=False)
    weights = layer.attention_weights(tokens)[:, 0].mean(axis=0)
    body = cells(weights, 110, 92, 40, labels=True)
    for i in range(6):
        body.append(text(130 + 40 * i, 84, str(i), "small fill-muted"))
        body.append(text(98, 116 + 40 * i, str(i), "small fill-muted", anchor="end"))
    body.append(text(230, 64, "key", "body fill-muted"))
    body.append(text(60, 216, "query", "body fill-muted"))
    description = "The query of position 0 has its largest weight at key 5, 1 at 4, and so on."
    return document(390, 352, body, title="Attention weights", description=description)


if __name__ == "__main__":
    for draw in convolution, edges, recurrence, attention:
        (STATIC / f"{draw.__name__}.svg").write_text(draw() + "\n", encoding="utf-8")
