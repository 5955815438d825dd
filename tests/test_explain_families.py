"""Explanations of convolutions, recurrent layers and attention, compared with plain loops."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from minigrad import (
    GRU,
    LSTM,
    AveragePooling2D,
    Bidirectional,
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Embedding,
    Flatten,
    GlobalMaxPooling2D,
    MaxPooling2D,
    MSELoss,
    MultiHeadAttention,
    Sequential,
    SimpleRNN,
)
from test_explain import ALL, adds_up, lines_of

RNG = np.random.default_rng(0)


def explain(layers, shape, x=None, rows=2):
    model = Sequential([*layers, Flatten(), Dense(2)], input_shape=shape, rng=1)
    x = RNG.normal(size=(rows, *shape)) if x is None else x
    return model.explain(x, np.ones((len(x), 2)), loss=MSELoss())


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize(
    ("layer", "shape", "equation"),
    [
        (Conv2D(2, 3), (4, 5, 2), "Σ_ijc x[u+i,v+j,c] w1[i,j,c,k]"),
        (
            Conv2D(2, (2, 3), strides=2, padding="same", activation="tanh"),
            (5, 4, 1),
            "Σ_ijc x[2u+i,2v+j,c] w1[i,j,c,k]",
        ),
        (Conv2D(1, 2, padding=1, use_bias=False), (3, 3, 1), "Σ_ijc x[u+i-1,v+j-1,c] w1[i,j,c,k]"),
        (
            Conv1D(2, 3, padding="causal", dilation_rate=2),
            (6, 2),
            "Σ_ic x[t+2i-4,c] w1[i,c,k]",
        ),
        (Conv2DTranspose(2, 2, strides=2), (2, 3, 1), "Σ_ijc x[u,v,c] w1[i,j,k,c], m = 2u+i"),
    ],
)
def test_every_number_of_a_convolution_is_a_sum_over_its_window(layer, shape, equation, rows):
    explanation = explain([layer], shape, rows=rows)
    text = explanation.text(most=ALL)
    assert equation in text
    assert adds_up(text) > 30
    printed = lines_of(text)
    for name in ("z1", "∂J/∂w1", "∂J/∂x"):
        told = [formula for line, (formula, _, _) in printed.items() if line.startswith(f"{name}[")]
        assert told
        assert all("×" in formula or formula == "" for formula in told)
    assert max(map(len, text.splitlines())) <= 80


def test_the_gradients_of_a_transposed_convolution_sum_over_the_indices_they_have():
    text = explain([Conv2DTranspose(2, 2, strides=2)], (2, 3, 1), rows=1).text()
    assert "  ∂J/∂w1[i,j,k,c] = Σ_uv δ1[2u+i,2v+j,k] x[u,v,c]\n" in text
    assert "  ∂J/∂b1[k] = Σ_mn δ1[m,n,k]\n" in text


def test_the_window_and_the_kernel_are_tables():
    explanation = explain([Conv2D(2, 3)], (5, 5, 1), rows=1)
    text = str(explanation)
    head = re.search(r"z1\[(\d),(\d),(\d)\]: channel 0 of its window of x, and the kernel\n", text)
    assert head
    u, v, k = map(int, head.groups())
    rows = text[head.end() :].split("\n")[:3]
    table = np.array([[float(n) for n in row.replace("|", "").split()] for row in rows])
    conv = explanation["conv2d_1"]
    np.testing.assert_allclose(table[:, :3], conv.input[0, u : u + 3, v : v + 3, 0], rtol=6e-3)
    np.testing.assert_allclose(table[:, 3:], conv.layer.weight.value[:, :, 0, k], rtol=6e-3)
    assert r"\begin{verbatim}" in explanation.to_latex()


def run(layer, x):
    """Return (z by gate, h before, h, other numbers) of each step of one row, in plain loops."""
    w, u, b = layer.weight.value, layer.recurrent_weight.value, layer.bias.value
    units = layer.units
    h, c = np.zeros(units), np.zeros(units)
    for one in x:
        parts = b, one @ w, h @ u
        before = h
        if isinstance(layer, LSTM):
            i, f, g, o = np.split(sum(parts), 4)
            c = sigmoids(f) * c + sigmoids(i) * np.tanh(g)
            h = sigmoids(o) * np.tanh(c)
            told = {"i": sigmoids(i), "f": sigmoids(f), "g": np.tanh(g), "o": sigmoids(o), "c": c}
        elif isinstance(layer, GRU):
            r, z = (sigmoids(part) for part in np.split(sum(parts), 3)[:2])
            (_, _, b_n), (_, _, x_n), (_, _, h_n) = (np.split(part, 3) for part in parts)
            k = h_n + layer.recurrent_bias.value
            n = np.tanh(b_n + x_n + r * k)
            h = (1 - z) * n + z * before
            told = {"r": r, "u": z, "k": k, "n": n}
        else:
            h = np.tanh(sum(parts))
            told = {}
        yield {**told, "h": h}


def sigmoids(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("kind", [LSTM, GRU, SimpleRNN])
def test_the_gates_of_a_unit_at_a_step_equal_loops(kind, sequences):
    explanation = explain([kind(3, return_sequences=sequences)], (4, 2))
    layer = explanation._pass.names.places[0]
    text = explanation.text(row=1, most=ALL)
    assert adds_up(text) > 20
    head = re.search(r"\] is unit (\d) of step (\d);.*\n", text)
    unit, step = map(int, head.groups())
    told = list(run(layer.layer, layer.input[1]))[step]
    gates = re.findall(r"^ {4}(\w) = (.*\S) += (\S+)$", text[head.end() :], re.M)[: len(told)]
    assert [name for name, _, _ in gates] == [*told]
    for name, _, value in gates:
        assert float(value) == pytest.approx(told[name][unit], rel=1e-5), name
    assert sequences or step == 3


def test_a_sequence_read_backwards_has_the_steps_of_its_outputs():
    explanation = explain([Bidirectional(LSTM(2, return_sequences=True))], (3, 2))
    assert adds_up(explanation.text(most=ALL)) > 30


@pytest.mark.parametrize("causal", [False, True])
def test_an_attention_row_is_readable(causal):
    layer = MultiHeadAttention(2, causal=causal)
    explanation = explain([layer], (4, 4))
    place = explanation._pass.names.places[0]
    text = explanation.text(row=1, most=ALL)
    assert adds_up(text) > 30
    position = int(re.search(r"position (\d) of the query attends", text)[1])
    weights = place.layer.attention_weights(place.input)[1, :, position]
    for head, row in enumerate(weights):
        told = re.search(rf"head {head}: (.*)", text)[1]
        pairs = dict(re.findall(r"(\d+): (\S+)", told))
        assert {int(key): float(value) for key, value in pairs.items()} == pytest.approx(
            dict(enumerate(row)), abs=6e-4
        )


def test_an_embedding_names_the_row_of_its_weight():
    ids = np.array([[3, 0, 3], [1, 2, 0]])
    explanation = explain([Embedding(5, 2)], (3,), x=ids)
    text = explanation.text(row=1)
    assert "  embedding_1[t,k] = weight_embedding_1[x[t],k]\n" in text
    assert lines_of(text)["embedding_1[1,0]"][0] == "weight_embedding_1[2,0]"


def test_a_pooled_number_shows_its_window():
    text = str(explain([MaxPooling2D(2), AveragePooling2D(2)], (4, 4, 1)))
    printed = lines_of(text)
    assert printed["max_pooling2d_1[0,0,0]"][0].startswith("max(")
    assert printed["average_pooling2d_1[0,0,0]"][0].count("0.25 ×") == 4
    assert adds_up(text) > 20


def test_the_largest_of_a_wide_window_is_shown():
    explanation = explain(
        [GlobalMaxPooling2D()], (4, 5, 1), x=-np.arange(1.0, 21).reshape(1, 4, 5, 1)
    )
    assert adds_up(str(explanation)) > 5
    assert lines_of(str(explanation))["global_max_pooling2d_1[0]"][0].startswith("max(-1, -2, ")


def test_wide_layers_stay_usable(tmp_path):
    layers = [
        Conv2D(6, 5, activation="relu", padding="same"),
        MaxPooling2D(2),
        Conv2D(16, 5, activation="relu"),
    ]
    explanation = explain(layers, (28, 28, 1))
    text = str(explanation)
    assert len(text.splitlines()) < 400
    assert max(map(len, text.splitlines())) <= 80
    assert "... and 4700 others" in text
    explanation.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 2_000_000


def test_sequences_through_dense_layers_have_an_equation_for_each_step():
    model = Sequential([Dense(2, "tanh"), Dense(1)], input_shape=(None, 3), rng=0)
    explanation = model.explain(RNG.normal(size=(2, 4, 3)), np.ones((2, 4, 1)), loss=MSELoss())
    text = explanation.text(most=ALL)
    assert "  z1[t,k] = b1[k] + Σ_j x[t,j] w1[j,k]\n" in text
    assert adds_up(text) > 50
