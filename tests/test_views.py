"""Pictures of models show the model's own numbers, and leave it alone."""

import pickle
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from minigrad import (
    SGD,
    Chain,
    CrossEntropyLoss,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MSELoss,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
)
from minigrad.plots import views
from minigrad.plots.values import format_number

SVG = "{http://www.w3.org/2000/svg}"
X = np.random.default_rng(0).normal(size=(50, 2))
Y = X.sum(axis=1)


def small() -> Sequential:
    return Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)


def texts(svg: str) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def description(svg: str) -> str:
    return next(e.text or "" for e in ElementTree.fromstring(svg).iter(f"{SVG}desc"))


class Scale(Layer):
    """A custom layer with a matrix."""

    def build(self, input_shape, rng):
        self.matrix = Parameter(np.full((*input_shape, 2), 7.0))
        return (2,)

    def forward(self, x, *, training=True):
        return x @ self.matrix.value


def test_network_shows_units_and_weights() -> None:
    model = small()
    svg = views.network(model)
    assert svg.count("<circle") == 6
    shown = texts(svg)
    for weight in (*model[0].weight.value.ravel(), *model[2].weight.value.ravel()):
        assert format_number(weight, digits=2) in shown
    assert shown[-6:-3] == ["input", "dense_1, sigmoid_1", "dense_2"]
    assert shown[0] == "Dense, Sigmoid, Dense"


@pytest.mark.parametrize(
    ("layers", "shape", "units"),
    [
        ([Dense(3)], (2,), "input 2, dense_1 3"),
        ([Flatten(), Dense(3, "tanh")], (2, 2), "input, flatten_1 4, dense_1 3"),
        ([Chain([Dense(3), Tanh()]), Dense(1)], (2,), "input 2, chain_1.dense_1, tanh_1 3"),
        ([Dense(3), Residual([Dense(3)])], (2,), "input 2, dense_1 3, residual_1 3"),
        ([Dense(20), Dropout(0.5)], (2,), "input 2, dense_1, dropout_1 20"),
        ([Scale()], (2,), "input 2, scale_1 2. Weights into scale_1 from 7 to 7"),
    ],
)
def test_network_has_a_column_for_each_layer_that_computes(layers, shape, units: str) -> None:
    svg = views.network(Sequential(layers, input_shape=shape, rng=0), title="T")
    assert units in description(svg)
    assert texts(svg)[0] == "T"


def test_histograms_show_outputs_deltas_and_gradients() -> None:
    model, loss = small(), MSELoss()
    svg = views.histograms(model, X, Y, loss=loss)
    loss.forward(model.forward(X), Y)
    delta = loss.backward()
    model.backward(delta)
    told = description(svg)
    for name, values in (
        ("dense_2, output", model.forward(X)),
        ("dense_2, delta", delta),
        ("dense_2, gradient", model[2].parameters.grad),
        ("sigmoid_1, output", model[:2].forward(X)),
    ):
        low, high = format_number(values.min()), format_number(values.max())
        assert f"{name}: {values.size} values from {low} to {high}," in told
    assert "sigmoid_1, gradient" not in told


def test_histograms_without_targets_show_outputs_alone() -> None:
    assert "delta" not in views.histograms(small(), X)


def test_histograms_draw_an_output_once() -> None:
    model = Sequential([Dense(3, "tanh"), Chain([Dense(2)])], input_shape=(2,), rng=0)
    told = description(views.histograms(model, X, np.zeros(50, int), loss=CrossEntropyLoss()))
    assert re.findall(r"(\S+), output", told) == ["dense_1", "chain_1.dense_1"]
    assert re.findall(r"(\S+), gradient", told) == ["dense_1", "chain_1.dense_1"]


def test_histograms_take_the_first_thousand_rows() -> None:
    assert "Each layer over 1,000 rows" in views.histograms(small(), np.zeros((1500, 2)))


def test_surface_is_what_the_model_predicts() -> None:
    weight = np.array([[2.0, 0.0], [1.0, 0.0]])
    model = Sequential([Dense(2, weight_initializer=weight)], input_shape=(2,), rng=0)
    x = np.array([[0.0, 0.0], [10.0, 20.0]])
    # A margin of 5 % on each side: inputs from -0.5 to 10.5, and from -1 to 21.
    assert "from −2 to 42." in description(views.surface(model, x))
    assert "from −2 to 42." not in description(views.surface(model, x, output=1))


@pytest.mark.parametrize("y", [[0, 1], [[0.0], [1.0]], [[0.0, 5.0], [1.0, 5.0]], None])
def test_surface_takes_targets_of_each_form(y) -> None:
    model = Sequential([Dense(2)], input_shape=(2,), rng=0)
    svg = views.surface(model, [[0.0, 0.0], [1.0, 1.0]], y, boundary=0.5)
    assert ("target 1" in texts(svg)) == (y is not None)
    assert "Boundary at 0.5" in description(svg)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda m: views.network(Sequential([Dense(1)])), RuntimeError, "isn't built"),
        (lambda m: views.histograms(Sequential([Dense(1)]), X), RuntimeError, "isn't built"),
        (lambda m: views.surface(Sequential([Dense(1)]), X), RuntimeError, "isn't built"),
        (lambda m: views.histograms(m, X, Y), RuntimeError, "need a loss"),
        (lambda m: views.histograms(m, X[:, :1], Y, loss=MSELoss()), ValueError, "dense_1"),
        (lambda m: views.surface(m, X[:, :1]), ValueError, r"\(rows, 2\), got \(50, 1\)"),
        (lambda m: views.surface(m, X, output=1), ValueError, "outputs 0 to 0"),
        (lambda m: views.surface(m, X * np.nan), ValueError, "finite"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, error, said: str) -> None:
    with pytest.raises(error, match=said):
        call(small())


@pytest.mark.parametrize("number", [np.nan, np.inf, -1e308])
def test_a_surface_that_is_nowhere_finite_is_refused(number: float) -> None:
    first = Dense(
        1, weight_initializer=np.full((2, 1), number), bias_initializer=np.full(1, number)
    )
    model = Sequential([first, Dense(1)], input_shape=(2,), rng=0)
    with pytest.raises(
        ValueError, match=r"predicts .*(nan|inf|e\+30\d) or .*drawn \(output 0\): check"
    ):
        views.surface(model, X[:1])


def test_a_surface_that_is_finite_in_part_is_drawn() -> None:
    first = Dense(1, weight_initializer=np.full((2, 1), 1e308))
    assert views.surface(Sequential([first, Tanh()], input_shape=(2,), rng=0), X).startswith("<svg")
    assert views.surface(Sequential([first], input_shape=(2,), rng=0), X / 1e10).startswith("<svg")
    narrow = Sequential([Dense(1), Tanh()], input_shape=(2,), rng=0, dtype="float32")
    assert views.surface(narrow, np.array([[1e39, 0.0], [-1e39, 1.0]])).startswith("<svg")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([1e308, -1e308], r"x\[:, 1\] runs from -1e\+308 to 1e\+308, which can't be drawn: scale"),
        ([1e308, 9e307], r"x\[:, 1\] runs from 9e\+307 to 1e\+308"),
        ([1e305, 1e305], r"x\[:, 1\] runs from 1e\+305 to 1e\+305"),
    ],
)
def test_points_too_large_to_draw_are_named(column: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        views.surface(small(), np.array([[0.0, 1.0], column]).T)
    far = np.array([[0.0, 1.0], [1e17, 1e17]]).T
    assert views.surface(small(), far).startswith("<svg ")


def test_a_model_is_left_alone() -> None:
    model = Sequential([Dense(3), ReLU(), Dropout(0.5), Dense(1)], input_shape=(2,), rng=0)
    model.compile(optimizer=SGD(), loss=MSELoss())
    before = pickle.dumps(model)
    views.network(model)
    views.histograms(model, X, Y)
    views.surface(model, X, Y)
    assert pickle.dumps(model) == before


def test_a_notebook_shows_picture_and_table() -> None:
    html = small()._repr_html_()
    assert html.startswith("<svg ")
    assert "13 parameters, 13 trainable" in html
    assert "not built yet" in Sequential([Dense(1)])._repr_html_()
    nasty = Sequential([Dense(1, name="<script>")], input_shape=(2,), rng=0)._repr_html_()
    assert "<script" not in nasty
    ElementTree.fromstring(f"<div>{nasty}</div>")
