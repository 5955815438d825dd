"""The explanation of a graph: its numbers are compared with NumPy's, computed apart from it."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from minigrad import (
    L2,
    Add,
    Average,
    Concatenate,
    CrossEntropyLoss,
    Dense,
    HuberLoss,
    Input,
    Model,
    MSELoss,
    Multiply,
    Residual,
    Sequential,
)
from minigrad.core.layer import Layer
from test_explain import ALL, adds_up, lines_of

RNG = np.random.default_rng(0)
X = {"left": RNG.normal(size=(3, 2)), "right": RNG.normal(size=(3, 2))}
Y = {"kind": np.array([0, 2, 1]), "price": np.ones((3, 1))}
LOSSES = {"kind": CrossEntropyLoss(), "price": MSELoss(scale=0.1)}


def skips():
    """Two inputs and two outputs; a value is taken by three layers, and twice by one of them."""
    left, right = Input((2,), name="left"), Input((2,), name="right")
    h = Dense(2, "tanh", name="first")(left)
    side = Dense(2, name="second")(right)
    product = Multiply(name="product")(h, side)
    added = Add(name="added")(h, product, h)
    mean = Average(name="mean")(added, right)
    both = Concatenate(name="both")(mean, h)
    outputs = {"kind": Dense(3, name="third")(both), "price": Dense(1, name="fourth")(mean)}
    return Model(inputs=[left, right], outputs=outputs, rng=1)


@pytest.fixture(scope="module")
def explained():
    return skips().explain(X, Y, loss=LOSSES)


def by_hand(model, x, y):
    """Compute the pass in NumPy: all values, and all deltas with their parts."""
    w = {name: p.value for name, p in model.named_parameters()}
    left, right = x["left"], x["right"]
    a = np.tanh(left @ w["first.weight"] + w["first.bias"])
    z = right @ w["second.weight"] + w["second.bias"]
    product = a * z
    added = a + product + a
    mean = (added + right) / 2
    both = np.hstack([mean, a])
    kind = both @ w["third.weight"] + w["third.bias"]
    price = mean @ w["fourth.weight"] + w["fourth.bias"]
    rows = len(left)
    shares = np.exp(kind) / np.exp(kind).sum(axis=1, keepdims=True)
    j_kind = -np.log(shares[np.arange(rows), y["kind"]]).mean()
    j_price = 0.1 * np.square(price - y["price"]).mean()
    d_kind = (shares - np.eye(3)[y["kind"]]) / rows
    d_price = 0.2 * (price - y["price"]) / rows
    d_both = d_kind @ w["third.weight"].T
    mean_parts = d_both[:, :2], d_price @ w["fourth.weight"].T
    d_mean = sum(mean_parts)
    d_added = d_mean / 2
    d_product = d_added
    a_parts = d_product * z, d_added, d_added, d_both[:, 2:]
    d_z = d_product * a
    d_z1 = sum(a_parts) * (1 - a**2)
    right_parts = d_z @ w["second.weight"].T, d_mean / 2
    return {
        "a1": a, "z2": z, "product": product, "added": added, "mean": mean, "both": both,
        "z3": kind, "z4": price, "J": j_kind + j_price, "J|kind": j_kind, "J|price": j_price,
        "δ3": d_kind, "δ4": d_price, "∂J/∂both": d_both, "∂J/∂mean|both": mean_parts[0],
        "∂J/∂mean|fourth": mean_parts[1], "∂J/∂mean": d_mean, "∂J/∂added": d_added,
        "∂J/∂product": d_product, "∂J/∂a1|product": a_parts[0], "∂J/∂a1|added": a_parts[1],
        "∂J/∂a1|added.3": a_parts[2], "∂J/∂a1|both": a_parts[3], "∂J/∂a1": sum(a_parts),
        "δ1": d_z1, "δ2": d_z, "∂J/∂left": d_z1 @ w["first.weight"].T,
        "∂J/∂right|second": right_parts[0], "∂J/∂right|mean": right_parts[1],
        "∂J/∂right": sum(right_parts), "∂J/∂w3": both.T @ d_kind, "∂J/∂w1": left.T @ d_z1,
    }  # fmt: skip


def test_every_number_of_a_graph_equals_numpys(explained):
    told = {step.name: step.values for step in explained.steps}
    for name, values in by_hand(skips(), X, Y).items():
        np.testing.assert_allclose(np.squeeze(told[name]), np.squeeze(values), rtol=1e-12), name
    assert explained.j == pytest.approx(told["J|kind"].item() + told["J|price"].item())


@pytest.mark.parametrize("row", [0, 2])
def test_the_sums_of_deltas_are_written_with_their_numbers(explained, row):
    text = explained.text(row=row)
    assert adds_up(text) > 60
    assert max(map(len, text.splitlines())) <= 80
    assert " delta(mean) = via both + via fourth " in text
    assert " delta(a1) = via product + via added + via added (input 3) + via both\n" in text
    assert "  ∂J/∂mean[k] = ∂J/∂mean|both[k] + ∂J/∂mean|fourth[k]\n" in text
    parts, value, _ = lines_of(text)["∂J/∂mean[1]"]
    expected = by_hand(skips(), X, Y)
    numbers = [f"{expected[f'∂J/∂mean|{by}'][row, 1]:.6g}" for by in ("both", "fourth")]
    assert parts == " + ".join(numbers).replace("+ -", "- ")
    assert value == pytest.approx(expected["∂J/∂mean"][row, 1], rel=1e-5)


def test_each_node_says_what_it_takes(explained):
    text = str(explained)
    for path, taken in {
        "first": "left", "product": "first, second", "added": "first, product, first",
        "mean": "added, right", "third": "both",
    }.items():  # fmt: skip
        assert f". {path}: " in text
        assert f"(takes {taken})" in text.split(f". {path}: ")[1].split("\n")[0]
    assert "  mean[k] = 1/2 added[k] + 1/2 right[k]\n" in text
    assert "  product[k] = a1[k] z2[k]\n" in text
    assert "  both = concat(mean, a1)\n" in text


def test_each_output_has_its_own_loss_and_j_is_their_sum(explained):
    text = str(explained)
    assert text.startswith(f"J = {explained.j:.6g} (CrossEntropyLoss of kind + MSELoss of price):")
    assert "  J = J|kind + J|price\n" in text
    printed = lines_of(text)
    assert printed["J"][1] == pytest.approx(printed["J|kind"][1] + printed["J|price"][1], rel=1e-5)
    assert printed["l|price[0]"][0].endswith("- 1)^2")


def test_the_arrays_of_layers_with_several_inputs(explained):
    added, expected = explained["added"], by_hand(skips(), X, Y)
    assert [array.shape for array in added.inputs] == [(3, 2)] * 3
    np.testing.assert_allclose(added.inputs[1], expected["product"], rtol=1e-12)
    np.testing.assert_allclose(added.input_deltas[1], expected["∂J/∂product"], rtol=1e-12)
    assert explained.prediction.keys() == explained.target.keys() == {"kind", "price"}
    assert "∂J/∂a1|both[1]" in explained.unit("first", 1)
    assert "∂J/∂mean|fourth[0]" in explained.unit("mean", 0)
    assert lines_of(explained.weight("third", (3, 2)))["∂J/∂w3[3,2]"][1] == pytest.approx(
        expected["∂J/∂w3"][3, 2], rel=1e-5
    )


def test_regularizers_are_added_to_the_sum_of_the_losses():
    x = Input((2,), name="x")
    h = Dense(2, weight_regularizer=L2(0.1), name="h")(x)
    model = Model(inputs=x, outputs={"a": h, "b": Dense(1)(h)}, rng=0)
    y = {"a": np.ones((1, 2)), "b": np.ones((1, 1))}
    explanation = model.explain(np.ones((1, 2)), y, loss={"a": MSELoss(), "b": HuberLoss()})
    text = str(explanation)
    assert "  J = J|a + J|b + regularizer(w1)\n" in text
    assert "delta(z1) = via dense_1 + via the loss of a" in text
    assert adds_up(text) > 15


def test_a_layer_used_twice_adds_up_its_gradients():
    a, b = Input((2,), name="a"), Input((2,), name="b")
    tower = Sequential([Dense(3, "tanh"), Dense(2)], name="tower")
    model = Model(inputs=[a, b], outputs=Dense(1)(Multiply()(tower(a), tower(b))), rng=0)
    same = X["left"]
    explanation = model.explain({"a": same, "b": same}, np.ones((3, 1)), loss=MSELoss())
    text = explanation.text(most=ALL)
    printed = lines_of(text)
    assert adds_up(text) > 60
    parts = [printed[f"∂J/∂w1|{path}.dense_1[0,0]"][1] for path in ("tower", "tower_2")]
    assert printed["∂J/∂w1[0,0]"][1] == pytest.approx(sum(parts), rel=1e-4)
    names = [step.name for step in explanation.steps]
    assert {"∂J/∂a", "∂J/∂b"} <= {*names}
    assert len(set(names)) == len(names)


def test_a_graph_within_a_graph_and_branches_in_one():
    u, v = Input((2,), name="u"), Input((2,), name="v")
    inner = Model(inputs=[u, v], outputs=Add()(Dense(2, "relu")(u), Dense(2)(u), v), name="inner")
    x = Input((2,), name="x")
    h = Residual([Dense(2, "tanh")])(x)
    model = Model(inputs=x, outputs=Dense(1)(Average()(inner(h, x), h)), rng=0)
    explanation = model.explain(X["left"], np.ones((3, 1)), loss=MSELoss())
    text = explanation.text(most=ALL)
    assert adds_up(text) > 60
    assert "delta(residual_1) = via inner.dense_1 + via inner.dense_2 + via average_1" in text
    assert "delta(x) = via residual_1 + via inner.add_1" in text
    loss, twin = MSELoss(), copy.deepcopy(model)
    loss.forward(twin.forward(X["left"]), np.ones((3, 1)))
    told = {step.name: step.values for step in explanation.steps}
    np.testing.assert_allclose(told["∂J/∂x"], twin.backward(loss.backward()), rtol=1e-12)


class Mask(Layer):
    """Multiply by a mask, which has no slope."""

    def build(self, input_shape, rng):
        return input_shape[0]

    def forward(self, x, mask, *, training=True):
        if training:
            self.cache = mask
        return x * mask

    def backward(self, delta):
        return delta * self.cache, None


def test_an_input_without_a_slope_has_no_delta():
    x, mask = Input((2,), name="x"), Input((2,), name="mask")
    h = Dense(2)(x)
    model = Model(inputs=[x, mask], outputs=Mask()(Add()(Mask()(h, mask), h), mask), rng=0)
    given = {"x": X["left"], "mask": np.array([[1.0, 0.0]] * 3)}
    explanation = model.explain(given, np.ones((3, 2)), loss=MSELoss())
    assert adds_up(explanation.text(most=ALL)) > 20
    assert not any(step.name.startswith("∂J/∂mask[") for step in explanation.steps)
    assert explanation["mask_1"].input_deltas[1] is None


def test_an_explanation_of_a_graph_can_be_copied_and_written(explained, tmp_path):
    twin = pickle.loads(pickle.dumps(explained))
    assert str(twin) == str(explained)
    assert twin.to_latex() == explained.to_latex()
    assert all(ord(c) < 128 for c in explained.to_latex())
    explained.to_html(tmp_path / "page.html")
    assert repr(explained).startswith("Explanation(rows=3, layers=9, steps=44, J=1.1")
