"""The arrays inside layers: attention, compared with NumPy computed apart from it."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad import (
    GRU,
    LSTM,
    Bidirectional,
    Dense,
    Flatten,
    Input,
    Model,
    MSELoss,
    MultiHeadAttention,
    Sequential,
    SimpleRNN,
)
from minigrad.explain.steps import Limit
from test_explain import ALL, adds_up

RNG = np.random.default_rng(0)
ROWS, QUERIES, KEYS, SIZE = 2, 3, 4, 4


def chain(layer, shape=(QUERIES, SIZE)):
    model = Sequential([layer, Flatten(), Dense(2)], input_shape=shape, rng=1)
    x = RNG.normal(size=(ROWS, *shape))
    return model.explain(x, np.ones((ROWS, 2)), loss=MSELoss())


def cross(mask):
    """Attention with a value and a mask of its own; a query of one row attends to nothing."""
    shapes = {"query": (QUERIES, SIZE), "value": (KEYS, SIZE), "mask": mask.shape[1:]}
    inputs = {name: Input(shape, name=name) for name, shape in shapes.items()}
    h = MultiHeadAttention(2)(*inputs.values())
    model = Model(inputs=list(inputs.values()), outputs=Dense(2)(Flatten()(h)), rng=1)
    x = {name: RNG.normal(size=(ROWS, *shape)) for name, shape in shapes.items()}
    return model.explain({**x, "mask": mask}, np.ones((ROWS, 2)), loss=MSELoss())


def refuted(explanation) -> list[str]:
    """Return the lines whose equation gives another number, of all rows and all numbers."""
    lines = [
        step.line(row, index, Limit(ALL))
        for step in explanation.steps
        for row in range(explanation.rows)
        for index in range(step.size)
    ]
    return [line.name for line in lines if line.refuted]


def without_equation(explanation, path: str) -> set[str]:
    return {
        step.name
        for step in explanation.steps
        if step.path.startswith(path)
        for line in [step.line(0, 0, Limit(ALL))]
        if not line.terms and not line.formula
    }


MASK = np.array([[1.0, 1, 0, 1], [0, 0, 0, 0]])
PAIRS = RNG.integers(0, 2, size=(ROWS, QUERIES, KEYS)).astype(float)
ATTENTIONS = {
    "one head": lambda: chain(MultiHeadAttention(1)),
    "two heads": lambda: chain(MultiHeadAttention(2, use_bias=False)),
    "causal": lambda: chain(MultiHeadAttention(2, causal=True)),
    "wide": lambda: chain(MultiHeadAttention(3, 5)),
    "dropout": lambda: chain(MultiHeadAttention(2, dropout=0.4)),
    "narrow": lambda: chain(MultiHeadAttention(4)),
    "mask": lambda: cross(MASK),
    "pairs": lambda: cross(PAIRS),
}


@pytest.mark.parametrize("kind", ATTENTIONS)
def test_every_number_of_attention_is_what_its_equation_says(kind):
    explanation = ATTENTIONS[kind]()
    assert refuted(explanation) == []
    assert without_equation(explanation, "multi_head_attention_1") == set()
    for row in range(ROWS):
        text = explanation.text(row=row, most=ALL)
        assert adds_up(text) > 60
        assert max(map(len, text.splitlines())) <= 80
    assert r"Wo" in explanation.to_latex()


@pytest.mark.parametrize("heads", [1, 2])
def test_the_arrays_of_attention_equal_numpys(heads):
    explanation = chain(MultiHeadAttention(heads))
    told = {step.name: step.values for step in explanation.steps}
    layer = explanation["multi_head_attention_1"].layer
    x, width = explanation.x, SIZE // heads
    q, k, v = np.split(x @ layer.weight.value + layer.bias.value, 3, axis=-1)
    means = []
    for n in range(heads):
        own = slice(n * width, (n + 1) * width)
        one = (lambda name: told[name]) if heads == 1 else (lambda name, n=n: told[name][:, n])
        for name, array in (("Q", q), ("K", k), ("V", v)):
            np.testing.assert_allclose(one(name), array[..., own], rtol=1e-12)
        scores = q[..., own] @ k[..., own].swapaxes(1, 2) / np.sqrt(width)
        a = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(one("S"), scores, rtol=1e-12)
        np.testing.assert_allclose(one("A"), a, rtol=1e-12)
        means.append(a @ v[..., own])
    np.testing.assert_allclose(told["M"], np.concatenate(means, axis=-1), rtol=1e-12)
    output = np.concatenate(means, axis=-1) @ layer.output_weight.value + layer.output_bias.value
    np.testing.assert_allclose(told["H"], output, rtol=1e-12)


@pytest.mark.parametrize("name", ["Q", "K", "V", "S", "A", "M"])
def test_a_delta_inside_attention_is_the_slope_of_the_loss(name):
    """Shift one number of an array, compute the rest of the pass in NumPy, and compare."""
    explanation = chain(MultiHeadAttention(1))
    told = {step.name: step.values for step in explanation.steps}
    layer, dense = (explanation[p].layer for p in ("multi_head_attention_1", "dense_1"))
    order = ["Q", "K", "V", "S", "A", "M"]

    def loss(shift):
        arrays = {}
        rules = {
            "S": lambda: arrays["Q"] @ arrays["K"].swapaxes(1, 2) / 2,
            "A": lambda: np.exp(arrays["S"]) / np.exp(arrays["S"]).sum(axis=-1, keepdims=True),
            "M": lambda: arrays["A"] @ arrays["V"],
        }
        for one in order:
            arrays[one] = (rules[one]() if one in rules else told[one]).copy()
            if one == name:
                arrays[one][0, 1, 2] += shift
        h = arrays["M"] @ layer.output_weight.value + layer.output_bias.value
        z = h.reshape(ROWS, -1) @ dense.weight.value + dense.bias.value
        return np.square(z - 1).mean()

    slope = (loss(1e-6) - loss(-1e-6)) / 2e-6
    assert told[f"∂J/∂{name}"][0, 1, 2] == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_names_in_attention_are_short_and_apart():
    layers = [MultiHeadAttention(1), MultiHeadAttention(1), Flatten(), Dense(1)]
    model = Sequential(layers, input_shape=(2, 2), rng=1)
    x = RNG.normal(size=(1, 2, 2))
    explanation = model.explain(x, np.ones((1, 1)), loss=MSELoss())
    names = [step.name for step in explanation.steps]
    assert len(names) == len({*names})
    assert {"Q1", "Q2", "H1", "∂J/∂Wo2", "∂J/∂S1"} <= {*names}
    assert max(map(len, names)) < 9
    assert refuted(explanation) == []


def test_the_mask_switches_scores_off():
    text = ATTENTIONS["causal"]().text(most=ALL)
    assert "  S[0,0,1] = masked = -inf\n" in text
    assert "exp(-inf)" in text


def recurrent(layer, **options):
    """A recurrent layer in a chain; in a graph, with a mask or a first state."""
    mask, start = options.get("mask"), options.get("start")
    inputs = {"x": Input((4, 2), name="x")}
    x = {"x": RNG.normal(size=(ROWS, 4, 2))}
    if mask is not None:
        inputs["mask"], x["mask"] = Input((4,), name="mask"), mask
    if start is not None:
        inputs["start"], x["start"] = Input((start,), name="start"), RNG.normal(size=(ROWS, start))
    h = layer(*inputs.values())
    h = Flatten()(h) if layer.return_sequences else h
    model = Model(inputs=list(inputs.values()), outputs=Dense(2)(h), rng=1)
    return model.explain(x if len(x) > 1 else x["x"], np.ones((ROWS, 2)), loss=MSELoss())


STEPS = np.array([[1.0, 0, 1, 0], [0, 1, 1, 1]])
OPTIONS = {
    "last": {},
    "sequences": {"return_sequences": True},
    "backwards": {"go_backwards": True, "return_sequences": True},
    "dropout": {"dropout": 0.3, "recurrent_dropout": 0.3, "return_sequences": True},
    "no bias": {"use_bias": False},
    "state": {"return_state": True},
    "states": {"return_state": True, "return_sequences": True},
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", [SimpleRNN, LSTM, GRU])
@pytest.mark.parametrize("mask", [None, STEPS], ids=["whole", "masked"])
def test_every_number_of_an_unrolled_layer_is_what_its_equation_says(kind, options, mask):
    explanation = recurrent(kind(2, **OPTIONS[options]), mask=mask)
    assert refuted(explanation) == []
    names = {step.name for step in explanation.steps}
    assert {"z", "h", "∂J/∂h", "∂J/∂z", "∂J/∂W", "∂J/∂U"} <= names
    text = explanation.text(row=1, most=ALL)
    assert adds_up(text) > 40
    assert max(map(len, text.splitlines())) <= 80
    assert ("the mask switches off the steps 0: h stays" in text) == (mask is not None)
    open_names = without_equation(
        explanation, f"{kind.__name__.lower().replace('simple', 'simple_')}_1"
    )
    assert open_names <= ({"lstm_1", "gru_1", "simple_rnn_1"} if "state" in options else set())


@pytest.mark.parametrize("kind", [SimpleRNN, LSTM, GRU])
def test_an_unrolled_layer_takes_a_first_state(kind):
    size = 4 if kind is LSTM else 2
    explanation = recurrent(kind(2, initial_state=True), start=size, mask=STEPS)
    assert refuted(explanation) == []
    assert "start[" in explanation.to_latex() or "start" in str(explanation)


def test_the_layers_of_a_bidirectional_have_names_of_their_own():
    model = Sequential([Bidirectional(GRU(2)), Dense(1)], input_shape=(3, 2), rng=0)
    explanation = model.explain(RNG.normal(size=(1, 3, 2)), np.ones((1, 1)), loss=MSELoss())
    names = [step.name for step in explanation.steps]
    assert len(names) == len({*names})
    assert {"h_forward", "h_backward", "∂J/∂U_backward"} <= {*names}
    unknown = [name for name in refuted(explanation) if "bidirectional" not in name]
    assert unknown == []  # how the container splits its delta isn't known


@pytest.mark.parametrize("kind", [SimpleRNN, LSTM, GRU])
def test_the_delta_of_each_step_is_the_slope_of_the_loss(kind):
    """Start at step 2 from a state shifted by a little, and compare."""
    explanation = recurrent(kind(2))
    told = {step.name: step.values for step in explanation.steps}
    path = kind.__name__.lower().replace("simple", "simple_") + "_1"
    layer, dense = explanation[path].layer, explanation["dense_1"].layer

    def loss(shift):
        h = told["h"][:, 1].copy()
        h[0, 1] += shift
        state = (h, told["c"][:, 1]) if kind is LSTM else h
        for t in (2, 3):
            h, state = layer.step(explanation.x[:, t], state)
        return np.square(h @ dense.weight.value + dense.bias.value - 1).mean()

    slope = (loss(1e-6) - loss(-1e-6)) / 2e-6
    expected = told["∂J/∂h"][0, 1, 1]
    assert expected == pytest.approx(slope, rel=1e-6, abs=1e-10)
    assert "by which it vanishes or explodes" in str(explanation)
