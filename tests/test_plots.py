"""Charts show the numbers that they are given, and the diagram is valid, safe SVG."""

import pickle
import re
import sys
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

import minigrad
from minigrad import (
    LSTM,
    SGD,
    Add,
    Average,
    Bidirectional,
    Chain,
    Concatenate,
    Conv2D,
    CrossEntropyLoss,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    History,
    Input,
    Layer,
    LayerNorm,
    MaxPooling2D,
    Model,
    MSELoss,
    MultiHeadAttention,
    Multiply,
    Parallel,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
    plots,
)
from minigrad.checks.single import model_of
from minigrad.plots.diagram import number
from minigrad.plots.svg import COLORS

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"
X = np.random.default_rng(0).normal(size=(50, 2))
Y = X.sum(axis=1)
NASTY = "<script>alert('x')</script>&\"\x00\ud800"


@pytest.fixture
def ax():
    return Figure(layout="constrained").add_subplot()


@pytest.fixture(autouse=True)
def close_figures():
    pyplot.close("all")
    before = dict(matplotlib.rcParams)
    yield
    pyplot.close("all")
    assert dict(matplotlib.rcParams) == before


def small() -> Sequential:
    return Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)


def texts(svg: str) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(svg).iter(f"{SVG}text")]


class Projection(Layer):
    """A custom layer with a matrix."""

    def build(self, input_shape, rng):
        self.matrix = Parameter(np.full((*input_shape, 2), 7.0))
        return (2,)

    def forward(self, x, *, training=True):
        return x @ self.matrix.value


# Every chart


CHARTS = {
    "history": lambda **options: plots.history(History(loss=[1.0, 0.5]), **options),
    "surface": lambda **options: plots.surface(small(), X, Y, **options),
    "confusion": lambda **options: plots.confusion([0, 1], [0.2, 0.7], **options),
}


@pytest.mark.parametrize("chart", CHARTS)
def test_charts_draw_on_given_axes(chart: str, ax) -> None:
    assert CHARTS[chart](ax=ax) is ax
    assert not pyplot.get_fignums()
    ax.figure.canvas.draw()


@pytest.mark.parametrize("chart", CHARTS)
def test_charts_without_axes_make_a_figure(chart: str) -> None:
    ax = CHARTS[chart]()
    assert pyplot.figure(pyplot.get_fignums()[0]) is ax.figure


@pytest.mark.parametrize("chart", [*CHARTS, "histograms"])
def test_charts_without_matplotlib_name_the_package(chart: str, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    draw = CHARTS.get(chart, lambda: plots.histograms(small(), X))
    with pytest.raises(ImportError, match=rf"{chart} .*pip install matplotlib"):
        draw()
    assert plots.network(small()).startswith("<svg")


def test_charts_leave_the_model_unchanged(ax) -> None:
    model = Sequential([Dense(3), ReLU(), Dropout(0.5), Dense(1)], input_shape=(2,), rng=0)
    model.compile(optimizer=SGD(), loss=MSELoss())
    before = pickle.dumps(model)
    plots.network(model)
    plots.histograms(model, X, Y)
    plots.surface(model, X, Y, ax=ax)
    assert pickle.dumps(model) == before


@pytest.mark.parametrize(
    ("call", "error", "named"),
    [
        (lambda m: plots.history({}), ValueError, "empty history"),
        (lambda m: plots.history({"loss": [1]}, names=["los"]), ValueError, "'loss'.*'los'"),
        (lambda m: plots.network(Sequential([Dense(1)])), RuntimeError, "built.*input_shape"),
        (lambda m: plots.histograms(Sequential([Dense(1)]), X), RuntimeError, "built"),
        (lambda m: plots.surface(Sequential([Dense(1)]), X), RuntimeError, "built"),
        (lambda m: plots.histograms(m, X, Y), RuntimeError, "loss"),
        (lambda m: plots.histograms(m, X, Y[:9], loss="mse"), ValueError, "50.*9"),
        (lambda m: plots.histograms(m, X[:, :1]), ValueError, "dense_1"),
        (lambda m: plots.histograms(m, X * np.nan), ValueError, "nan"),
        (lambda m: plots.histograms(m, X, axes=np.empty(2)), ValueError, r"\(3, 1\).*\(2,\)"),
        (lambda m: plots.surface(m, X[:, :1]), ValueError, r"\(2,\).*\(50, 1\)"),
        (lambda m: plots.surface(m, X, Y[:9]), ValueError, "50.*9"),
        (lambda m: plots.surface(m, X, output=1), ValueError, "0 to 0, got 1"),
        (lambda m: plots.surface(m, X * np.nan), ValueError, "nan"),
        (
            lambda m: plots.surface(Sequential([Dense(1)], input_shape=(3,)), np.ones((2, 3))),
            ValueError,
            r"\(3,\)",
        ),
        (lambda m: plots.confusion([0, 3], [[0.1, 0.9]] * 2), ValueError, "3"),
    ],
)
def test_messages_name_what_is_wrong(call, error, named: str) -> None:
    with pytest.raises(error, match=named):
        call(small())
    assert not pyplot.get_fignums()


# history


def test_history_draws_the_losses(ax) -> None:
    history = History(loss=[0.5, 0.25], val_loss=[0.6, 0.5], mae=[0.7, 0.6])
    assert history.plot(ax=ax) is ax
    assert [line.get_label() for line in ax.lines] == ["loss", "val_loss"]
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), [[1, 0.6], [2, 0.5]])
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("epoch", "loss", "linear")


def test_history_draws_the_given_names(ax) -> None:
    plots.history({"loss": [0.5], "mae": [0.7]}, names=["mae"], ax=ax)
    assert [line.get_label() for line in ax.lines] == ["mae"]


@pytest.mark.parametrize(
    ("values", "scale"),
    [([1, 100], "log"), ([1, 99], "linear"), ([0, 1000], "linear"), ([1, np.nan, 1e9], "log")],
)
def test_history_takes_a_logarithmic_axis_for_a_wide_range(values, scale: str, ax) -> None:
    assert plots.history({"loss": values}, ax=ax).get_yscale() == scale


def test_history_keeps_gaps(ax) -> None:
    values = [1.0, np.nan, 2.0]
    np.testing.assert_array_equal(
        plots.history({"loss": values}, ax=ax).lines[0].get_ydata(), values
    )
    assert plots.history({"loss": [np.nan]}, ax=ax)


# histograms


def test_histograms_count_outputs_deltas_and_gradients() -> None:
    model, loss = small(), MSELoss()
    axes = plots.histograms(model, X, Y, loss=loss)
    loss.forward(model.forward(X), Y)
    delta = loss.backward()
    model.backward(delta)
    assert axes.shape == (3, 3)
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["dense_1", "sigmoid_1", "dense_2"]
    assert [ax.get_title() for ax in axes[0]] == ["output", "delta", "gradient"]
    for ax, values in (
        (axes[2, 0], model.forward(X)),
        (axes[2, 1], delta),
        (axes[2, 2], model[2].parameters.grad),
        (axes[1, 0], model[:2].forward(X)),
    ):
        assert sum(bar.get_height() for bar in ax.patches) == values.size
        assert ax.patches[0].get_x() == pytest.approx(values.min())
    assert not axes[1, 2].axison


def test_histograms_without_targets_draw_outputs_on_given_axes() -> None:
    axes = Figure().subplots(3)
    drawn = plots.histograms(small(), X, axes=axes)
    assert drawn.shape == (3, 1)
    assert drawn[0, 0] is axes[0]


def test_histograms_draw_an_output_once() -> None:
    model = Sequential([Dense(3, "tanh"), Chain([Dense(2)])], input_shape=(2,), rng=0)
    axes = plots.histograms(model, X, np.zeros(50, int), loss=CrossEntropyLoss())
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["dense_1", "chain_1.dense_1"]


def test_histograms_use_a_thousand_rows() -> None:
    (ax,) = plots.histograms(
        Sequential([Dense(1)], input_shape=(2,), rng=0), np.zeros((1500, 2))
    ).ravel()
    assert sum(bar.get_height() for bar in ax.patches) == 1000


@pytest.mark.parametrize("bias", [np.nan, np.inf, 1e308, 1e17, 5e-324])
def test_histograms_draw_extreme_values(bias: float) -> None:
    model = Sequential([Dense(2, weight_initializer="zeros")], input_shape=(2,))
    model.parameters[1].value = np.array([bias, 0.0])
    (ax,) = plots.histograms(model, X).ravel()
    ax.figure.canvas.draw()
    assert ("50 of 100" in ax.get_xlabel()) == (not abs(bias) < 1e300)


# surface


def test_surface_draws_the_curve_of_one_input(ax) -> None:
    layer = Dense(2, weight_initializer=np.array([[2.0, 1.0]]))
    model = Sequential([layer], input_shape=(1,))
    x = np.array([[0.0], [10.0]])
    plots.surface(model, x, [[1.0, 5.0], [2.0, 6.0]], output=1, boundary=3.0, ax=ax)
    curve, line = (line.get_xydata() for line in ax.lines)
    np.testing.assert_allclose(curve[[0, -1]], [[-0.5, -0.5], [10.5, 10.5]])
    assert line[0, 1] == 3.0
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), [[0.0, 5.0], [10.0, 6.0]])


def test_surface_draws_the_map_of_two_inputs(ax) -> None:
    weight = np.array([[2.0, 0.0], [1.0, 0.0]])
    model = Sequential([Dense(2, weight_initializer=weight)], input_shape=(2,))
    plots.surface(model, np.array([[0.0, 0.0], [10.0, 20.0]]), ax=ax)
    # With a margin of 5 % the output goes from -2 to 42.
    levels = ax.collections[0].levels
    assert levels[0] <= -2 < levels[1]
    assert levels[-2] < 42 <= levels[-1]
    assert ax.figure.axes[1].get_ylabel() == "output 0"


@pytest.mark.parametrize("y", [[0, 1], [[0.0], [1.0]], [[0.0, 5.0], [1.0, 5.0]], ["a", "b"]])
def test_surface_marks_classes(y, ax) -> None:
    model = Sequential([Dense(2)], input_shape=(2,), rng=0)
    plots.surface(model, [[0.0, 0.0], [1.0, 1.0]], y, boundary=0.5, ax=ax)
    ax.figure.canvas.draw()
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names in (["target 0", "target 1"], ["target a", "target b"])


def test_surface_colors_many_targets_on_the_scale_of_the_map(ax) -> None:
    plots.surface(small(), X, Y, ax=ax)
    contours, points = ax.collections
    assert points.norm is contours.norm
    assert ax.get_legend() is None


def filled(contours, x: float, y: float) -> bool:
    """Return whether contours have a color at a point."""
    return any(path.contains_point((x, y)) for path in contours.get_paths())


@pytest.mark.parametrize("boundary", [None, 0.5, 99.0])
@pytest.mark.parametrize("value", [0.0, 5e-324, 0.5, -1e17, 1e290])
def test_surface_draws_a_constant(value: float, boundary, ax) -> None:
    layer = Dense(1, weight_initializer="zeros", bias_initializer=np.array([value]))
    plots.surface(Sequential([layer], input_shape=(2,)), X, boundary=boundary, ax=ax)
    ax.figure.canvas.draw()
    (contours,) = ax.collections  # no line for a boundary that the output never crosses
    assert contours.levels[0] < value < contours.levels[-1]
    assert filled(contours, 0, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e308])
def test_surface_refuses_an_output_that_is_nowhere_finite(value: float) -> None:
    model = Sequential([Dense(1), Dense(1)], input_shape=(2,), rng=0)
    model.parameters.value[:3] = value
    with pytest.raises(ValueError, match=r"surface expects finite"):
        plots.surface(model, X[:1])


def test_surface_leaves_a_hole_where_the_output_is_not_finite(ax) -> None:
    first = Dense(1, weight_initializer=np.full((2, 1), 1e299))
    plots.surface(Sequential([first], input_shape=(2,)), X * 10, ax=ax)
    ax.figure.canvas.draw()
    (contours,) = ax.collections
    assert filled(contours, 0, 0)
    assert not filled(contours, 10, 10)


# confusion


def test_confusion_shows_each_count(ax) -> None:
    prediction = np.eye(3)[[0, 1, 1, 2]]
    plots.confusion([0, 1, 2, 2], prediction, ax=ax)
    counts = minigrad.confusion_matrix([0, 1, 2, 2], prediction)
    shown = {text.get_position(): int(text.get_text()) for text in ax.texts}
    assert shown == {(j, i): count for (i, j), count in np.ndenumerate(counts)}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")


def test_confusion_takes_logits_and_many_classes(ax) -> None:
    plots.confusion([0, 1], [-3.0, 4.0], threshold=0, ax=ax)
    assert [text.get_text() for text in ax.texts] == ["1", "0", "0", "1"]
    classes = np.arange(30)
    assert not plots.confusion(classes, np.eye(30), ax=Figure().add_subplot()).texts


# network


def test_network_shows_units_and_weights() -> None:
    model = small()
    svg = plots.network(model)
    assert svg.count("<circle") == 6
    shown = texts(svg)
    for weight in (*model[0].weight.value.ravel(), *model[2].weight.value.ravel()):
        assert number(weight) in shown
    assert {"input", "dense_1, sigmoid_1", "dense_2", "Dense, Sigmoid, Dense"} <= set(shown)


@pytest.mark.parametrize(
    ("layers", "shape", "words"),
    [
        ([Dense(3)], (2,), "input 2, dense_1 3."),
        ([Dense(3, "tanh"), ReLU()], (2,), "input 2, dense_1, tanh, relu_1 3."),
        ([Flatten(), Dense(3)], (2, 2), "input (2, 2), flatten_1 4, dense_1 3."),
        ([Chain([Dense(3), Tanh()]), Dense(1)], (2,), "input 2, chain_1.dense_1, tanh_1 3,"),
        ([Sequential([Dense(3)]), Dense(1)], (2,), "input 2, sequential_1.dense_1 3, dense_1 1."),
        ([Residual([Tanh()])], (3,), ".tanh_1 3, residual_1 3 from residual_1.chain_1.tanh_1 and "),
        ([Parallel([Dense(2), ReLU()])], (2,), "parallel_1.relu_1 2 from input, parallel_1 2"),
        ([Dense(2000), Dropout(0.5)], (2,), "input 2, dense_1, dropout_1 2,000."),
        ([Projection()], (2,), "input 2, projection_1 2."),
        ([Tanh()], (2,), "input, tanh_1 2."),
    ],
)
def test_network_describes_each_layer_that_computes(layers, shape, words: str) -> None:
    root = ElementTree.fromstring(plots.network(Sequential(layers, input_shape=shape, rng=0)))
    assert words in (root.findtext(f"{SVG}desc") or "")


def test_network_draws_weights_by_size_and_sign() -> None:
    weight = np.array([[4.0, -2.0], [0.0, np.nan]])
    model = Sequential([Dense(2)], input_shape=(2,))
    model.parameters[0].value = weight
    svg = plots.network(model)
    lines = ElementTree.fromstring(svg).findall(f"{SVG}g/{SVG}g/{SVG}line")
    looks = [(e.get("class"), e.get("stroke-dasharray"), e.get("stroke-width")) for e in lines]
    assert looks == [
        ("stroke-edge", "none", "1"),
        ("stroke-edge", "none", "1"),
        ("stroke-series-1", "7 4", "3"),
        ("stroke-series-0", "none", "5"),
    ]
    assert "nan" in texts(svg)


def test_numbers_stand_along_their_lines_or_not_at_all() -> None:
    model = Sequential([Dense(3), Dense(1)], input_shape=(2,), rng=4)
    shown = []
    for group in ElementTree.fromstring(plots.network(model)).iter(f"{SVG}g"):
        _, _, target = group.get("data-edge", "").partition(" → ")
        weights = model[target].weight.value if target else np.zeros(0)
        ordered = sorted(weights.ravel(), key=abs)  # the largest is on top
        ends = [
            [float(line.get(name, "")) for name in ("x1", "y1", "x2", "y2")]
            for line in group.findall(f"{SVG}g/{SVG}line")
        ]
        lines = dict(zip(map(number, ordered), ends, strict=True))
        for label in group.findall(f"{SVG}g[@transform]"):
            shown.append(label[0].text)
            turn, x, y = map(float, re.findall(r"-?[\d.]+", label.get("transform", "")))
            x1, y1, x2, y2 = lines[label[0].text or ""]
            slope = (y2 - y1) / (x2 - x1)
            assert turn == pytest.approx(np.degrees(np.arctan(slope)), abs=0.1)
            assert y == pytest.approx(y1 + slope * (x - x1), abs=0.2)
    assert len(shown) == 9
    crowded = Sequential([Dense(3), Dense(3), Dense(3)], input_shape=(3,), rng=4)
    assert "rotate" not in plots.network(crowded)


def test_network_draws_wide_layers_as_blocks() -> None:
    svg = plots.network(Sequential([Dense(64), Dense(10)], input_shape=(784,), rng=0))
    assert {"784 units", "64 units", "784 × 64", "64 × 10"} <= set(texts(svg))
    assert svg.count("<circle") == 10
    assert "<line" not in svg


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), (-1.234, "−1.2"), (123.4, "123.4"), (3.2e-9, "3.2e−09"), (np.inf, "inf")],
)
def test_numbers_have_few_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_long_names_are_cut() -> None:
    name = "a_rather_long_name_of_a_layer"
    model = Sequential([Dense(1, name=name)], input_shape=(1,), rng=0)
    (cut,) = [text for text in texts(plots.network(model)) if text.endswith("…")]
    assert name.startswith(cut[:-1])


def two_inputs() -> Model:
    a, b = Input((4,), name="a"), Input((30, 30), name="b")
    h = Dense(8, "tanh")(a)
    seen = Dense(8)(Flatten()(b))
    both = Concatenate()(Add()(h, seen), Multiply()(h, h), h)
    outputs = {"kind": Dense(3)(both), "price": Dense(1, name="price")(h)}
    return Model(inputs=[a, b], outputs=outputs, rng=0)


def siamese() -> Model:
    x, left, right = (Input((4,), name=name) for name in ("x", "left", "right"))
    encoder = Model(inputs=x, outputs=Dense(3)(Dense(5, "tanh")(x)), name="encoder")
    similar = Dense(1, "sigmoid")(Average()(encoder(left), encoder(right)))
    return Model(inputs=[left, right], outputs=similar, rng=0)


def transformer() -> Model:
    x = Input((None,), name="tokens")
    h = Embedding(50, 32)(x)
    for _ in range(3):
        h = Add()(h, MultiHeadAttention(4, causal=True)(LayerNorm()(h)))
        h = Add()(h, Dense(32)(Dense(128, "relu")(LayerNorm()(h))))
    return Model(inputs=x, outputs=Dense(50)(h), rng=0)


def lenet() -> Sequential:
    layers = [Conv2D(6, 5, activation="relu"), MaxPooling2D(), Conv2D(16, 5, activation="relu")]
    layers += [MaxPooling2D(), Flatten(), Dense(120, "relu"), Dense(84, "relu"), Dense(10)]
    return Sequential(layers, input_shape=(28, 28, 1), rng=0)


def translator() -> Model:
    source, target = Input((None, 8), name="source"), Input((None, 8), name="target")
    written = LSTM(8, return_sequences=True)(target)
    read = Bidirectional(LSTM(4, return_sequences=True))(source)
    both = Concatenate()(written, MultiHeadAttention(2)(written, read))
    return Model(inputs=[source, target], outputs=Dense(5)(both), rng=0)


def nested() -> Sequential:
    inner = Parallel([Dense(4), Tanh(), Residual(Dense(4))], merge="mean")
    lanes = Parallel([Dense(3), Residual(inner)], merge="concat")
    layers = [Dense(4), lanes, Residual(Residual(Dense(7))), Dense(1)]
    return Sequential(layers, input_shape=(3,), rng=0)


def lanes() -> Sequential:
    branches = [[Dense(units) for _ in range(n)] for n, units in enumerate((3, 9, 5, 40), start=1)]
    return Sequential([Parallel(branches, merge="concat"), Dense(2)], input_shape=(3,), rng=0)


NETWORKS = {
    "units": small,
    "blocks": lambda: Sequential([Dense(64), ReLU(), Dense(13)], input_shape=(784,), rng=0),
    "no layer that computes": lambda: Sequential([Tanh()], input_shape=(1,)),
    "deep": lambda: Sequential([Dense(3) for _ in range(40)], input_shape=(9,), rng=0),
    "deep and wide": lambda: Sequential([Dense(99) for _ in range(30)], input_shape=(9,), rng=0),
    "dangerous names": lambda: Sequential([Dense(2, name=NASTY)], input_shape=(1,), rng=0),
    "long name": lambda: Sequential([Dense(20, name="long" * 20)], input_shape=(1,), rng=0),
    "two inputs": two_inputs,
    "siamese": siamese,
    "transformer": transformer,
    "lenet": lenet,
    "translator": translator,
    "nested": nested,
    "lanes": lanes,
}


@pytest.mark.parametrize("model", NETWORKS)
def test_network_is_valid_svg_with_alternative_text(model: str) -> None:
    svg = plots.network(NETWORKS[model]())
    root = ElementTree.fromstring(svg)
    words = {child.get("id"): child.text for child in root}
    title, description = (root.get("aria-labelledby") or "").split()
    assert root.get("role") == "img"
    assert title in words
    assert len(words[description] or "") > 10
    assert "<script" not in svg
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    limits = {"x": width, "x1": width, "x2": width, "cx": width, "y": height, "cy": height}
    for element in root.iter():
        for name, limit in limits.items():
            assert 0 <= float(element.get(name, "0")) <= limit
        assert not re.search("nan|inf", element.get("points", ""))


class Drawing:
    """The parts of a picture: the nodes by their paths, and the edges."""

    def __init__(self, svg: str) -> None:
        root = ElementTree.fromstring(svg)
        self.width, self.height = float(root.get("width", "")), float(root.get("height", ""))
        groups = root.findall(f"{SVG}g")
        self.paths = [g.get("data-node", "") for g in groups if "data-node" in g.attrib]
        self.edges = [g.get("data-edge", "") for g in groups if "data-edge" in g.attrib]
        self.nodes = {g.get("data-node", ""): g for g in groups if "data-node" in g.attrib}
        self.groups = dict(
            zip(self.edges, (g for g in groups if "data-edge" in g.attrib), strict=True)
        )

    def words(self, path: str) -> list[str]:
        return [text.text or "" for text in self.nodes[path].iter(f"{SVG}text")]

    def shape(self, path: str) -> np.ndarray:
        """The sides of a node without its words: left, top, right, bottom."""
        boxes = []
        for e in self.nodes[path]:
            n = {
                name: float(v)
                for name, v in e.items()
                if name in ["cx", "cy", "r", "x", "y", "width", "height"]
            }
            if e.tag == f"{SVG}rect":
                boxes.append((n["x"], n["y"], n["x"] + n["width"], n["y"] + n["height"]))
            elif e.tag == f"{SVG}circle":
                boxes.append(
                    (n["cx"] - n["r"], n["cy"] - n["r"], n["cx"] + n["r"], n["cy"] + n["r"])
                )
        low, high = np.min(boxes, axis=0)[:2], np.max(boxes, axis=0)[2:]
        return np.concatenate([low, high])

    def box(self, path: str) -> np.ndarray:
        """The sides of a node with its words."""
        boxes = [self.shape(path)]
        for e in self.nodes[path].iter(f"{SVG}text"):
            half, x, y = 3.4 * len(e.text or ""), float(e.get("x", "")), float(e.get("y", ""))
            boxes.append(np.array([x - half, y - 10, x + half, y + 3]))
        low, high = np.min(boxes, axis=0)[:2], np.max(boxes, axis=0)[2:]
        return np.concatenate([low, high])

    def points(self, edge: str) -> np.ndarray:
        """Points on the line of an arrow; none for another edge."""
        line = self.groups[edge].find(f"{SVG}path")
        if line is None:
            return np.empty((0, 2))
        t, found = np.linspace(0, 1, 30)[:, None], []
        for kind, numbers in re.findall("([MHC])([^MHC]+)", line.get("d", "")):
            p = np.array(numbers.split(), dtype=float)
            if kind == "M":
                here = p
            elif kind == "H":
                end = np.array([p[0], here[1]])
                found.append(here + t * (end - here))
                here = end
            else:
                a, b, c = p.reshape(3, 2)
                s = 1 - t
                found.append(s**3 * here + 3 * s**2 * t * a + 3 * s * t**2 * b + t**3 * c)
                here = c
        return np.concatenate(found)


@pytest.mark.parametrize("model", NETWORKS)
def test_network_draws_nodes_apart_and_lines_around_them(model: str) -> None:
    drawing = Drawing(plots.network(NETWORKS[model]()))
    assert len(set(drawing.paths)) == len(drawing.paths)
    assert len(set(drawing.edges)) == len(drawing.edges)
    assert drawing.width <= 1120
    boxes = {path: drawing.box(path) for path in drawing.paths}
    for (first, a), (second, b) in combinations(boxes.items(), 2):
        assert (a[2:] < b[:2]).any() or (b[2:] < a[:2]).any(), (first, second)
    for path, (left, top, right, bottom) in boxes.items():
        assert 0 < left < right < drawing.width, path
        assert 40 < top < bottom < drawing.height, path
    for edge in drawing.edges:
        points = drawing.points(edge)
        assert (points > 0).all()
        assert (points < (drawing.width, drawing.height)).all()
        for path in set(drawing.paths) - set(edge.split(" → ")):
            box = drawing.shape(path)
            inside = (points > box[:2]).all(axis=1) & (points < box[2:]).all(axis=1)
            assert not inside.any(), (edge, path)


def test_network_draws_branches_and_merges() -> None:
    layers = [
        Dense(2),
        Residual([Dense(3), Dense(2)]),
        Parallel([Dense(1), Tanh()], merge="concat"),
    ]
    drawing = Drawing(plots.network(Sequential(layers, input_shape=(2,), rng=0)))
    chain = "residual_1.chain_1"
    assert set(drawing.edges) == {
        "input → dense_1",
        f"dense_1 → {chain}.dense_1",
        f"{chain}.dense_1 → {chain}.dense_2",
        f"{chain}.dense_2 → residual_1",
        "dense_1 → residual_1",
        "residual_1 → parallel_1.dense_1",
        "residual_1 → parallel_1.tanh_1",
        "parallel_1.dense_1 → parallel_1",
        "parallel_1.tanh_1 → parallel_1",
    }
    assert drawing.words("residual_1") == ["+", "residual_1"]
    assert drawing.words("parallel_1") == ["concat", "parallel_1"]
    assert drawing.words(f"{chain}.dense_1") == ["dense_1", chain]


def test_network_draws_a_graph() -> None:
    drawing = Drawing(plots.network(two_inputs()))
    assert drawing.words("b") == ["b", "Input", "(30, 30)"]
    assert drawing.words("multiply_1") == ["×", "multiply_1"]
    assert drawing.words("dense_3") == ["dense_3", "output kind"]
    assert drawing.words("price") == ["price", "output"]
    assert {"dense_1 → multiply_1", "dense_1 → price"} <= set(drawing.edges)
    incoming = [edge for edge in drawing.edges if edge.endswith("→ concatenate_1")]
    assert len(incoming) == 3


def test_network_shows_shapes_in_blocks() -> None:
    drawing = Drawing(plots.network(lenet()))
    assert drawing.words("conv2d_1") == ["conv2d_1", "Conv2D", "relu", "(24, 24, 6)"]
    drawing = Drawing(plots.network(translator()))
    assert drawing.words("source") == ["source", "Input", "(None, 8)"]
    assert drawing.words("bidirectional_1") == ["concat", "bidirectional_1"]
    taken = {e for e in drawing.edges if e.endswith("→ multi_head_attention_1")}
    assert taken == {f"{name} → multi_head_attention_1" for name in ("lstm_1", "bidirectional_1")}


def test_network_marks_shared_weights() -> None:
    drawing = Drawing(plots.network(siamese()))
    assert drawing.words("encoder.dense_1")[1:] == ["encoder", "shared weights"]
    last = ["encoder_2", "shared weights", "of encoder.dense_1"]
    assert drawing.words("encoder_2.dense_1")[1:] == last
    assert "shared weights" not in drawing.words("dense_1")
    assert drawing.words("average_1") == ["mean", "average_1"]


def test_network_continues_long_networks_in_the_next_row() -> None:
    drawing = Drawing(plots.network(NETWORKS["deep and wide"]()))
    tops = {drawing.shape(path)[1] for path in drawing.paths[1:]}
    assert 3 <= len(tops) <= 6
    assert drawing.words("dense_7") == ["dense_7", "Dense", "99 units"]


def test_an_input_stands_in_front_of_what_takes_it() -> None:
    a, b = Input((2,), name="a"), Input((2,), name="b")
    h = Dense(2)(Dense(2)(a))
    drawing = Drawing(plots.network(Model(inputs=[a, b], outputs=Add()(h, b), rng=0)))
    assert drawing.shape("b")[0] == drawing.shape("dense_2")[0] > drawing.shape("dense_1")[0]


def test_a_subclass_with_its_own_forward_is_one_node() -> None:
    class Gate(Parallel):
        def forward(self, x, *, training=True):
            return super().forward(x, training=training) * 2

    model = Sequential([Gate([Dense(20), Dense(20)])], input_shape=(2,), rng=0)
    assert Drawing(plots.network(model)).words("gate_1") == ["gate_1", "Gate", "20 units"]


def test_network_draws_every_registered_layer(layer_of_each_class) -> None:
    drawing = Drawing(plots.network(model_of(*layer_of_each_class)))
    assert drawing.paths[0] in ("input", "x1")


def test_network_scopes_its_styles_and_ids() -> None:
    pictures = [plots.network(make()) for make in NETWORKS.values()]
    ids = [re.findall(r' id="([^"]+)"', svg) for svg in pictures]
    assert len({name for names in ids for name in names}) == sum(map(len, ids))
    for (scope, *_), svg in zip(ids, pictures, strict=True):
        (style,) = re.findall("<style>(.*)</style>", svg)
        rules = re.sub(r"@media[^{]*\{(.*?\})\}", r"\1", style)
        selectors = re.sub(r"\{[^}]*\}", "\n", rules).split("\n")
        assert all(f"#{scope}" in s for line in selectors if line for s in line.split(","))


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(a: str, b: str) -> float:
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_text_has_enough_contrast_in_both_modes(mode: int) -> None:
    palette = {name: pair[mode] for name, pair in COLORS.items()}
    series = [name for name in palette if name.startswith("series")]
    text_on = {"paper": ["ink", "muted", *series], "panel": ["ink", "muted"], "grid": ["ink"]}
    for ground, names in text_on.items():
        for name in names:
            assert contrast(palette[name], palette[ground]) >= 4.5, (name, ground)
    assert contrast(palette["edge"], palette["paper"]) >= 3


def test_a_notebook_shows_the_diagram_and_the_table() -> None:
    html = small()._repr_html_()
    assert html.startswith("<svg ")
    root = ElementTree.fromstring(f"<div>{html}</div>")
    cells = [[cell.text for cell in row] for row in root.iter("tr")]
    assert cells[1] == ["dense_1", "Dense", "(batch, 3)", "9", "yes"]
    assert len(cells) == 4
    assert "13 parameters, 13 trainable" in html
    assert "takes" in siamese()._repr_html_()
    assert "not built yet" in Sequential([Dense(1)])._repr_html_()
    nasty = Sequential([Dense(1, name=NASTY)], input_shape=(2,), rng=0)._repr_html_()
    assert "<script" not in nasty
    ElementTree.fromstring(f"<div>{nasty}</div>")
