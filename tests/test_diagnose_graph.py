"""Diagnose of graphs, sequences and images: no false findings, and the faults of each output."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from minigrad import (
    GRU,
    LSTM,
    SGD,
    Adam,
    Add,
    Concatenate,
    Conv2D,
    CrossEntropyLoss,
    Dense,
    DepthwiseConv2D,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    Input,
    Lambda,
    LayerNorm,
    Mask,
    MaxPooling2D,
    Model,
    MSELoss,
    MultiHeadAttention,
    Multiply,
    Permute,
    PReLU,
    Sequential,
    SpatialDropout1D,
)
from minigrad.core.layer import Layer
from minigrad.data.by_name import take
from minigrad.graphs.joint_loss import JointLoss
from minigrad.trace import trace

RNG = np.random.default_rng(0)
ROWS = 120
X = {"left": RNG.normal(size=(ROWS, 3)), "right": RNG.normal(size=(ROWS, 4))}
PRICE = X["left"][:, :1] + np.sin(X["right"][:, :1])
Y = {"kind": (PRICE[:, 0] > 0).astype(int), "price": PRICE}
LOSSES = {"kind": CrossEntropyLoss(), "price": MSELoss(scale=0.1)}


def two_outputs(last=None):
    left, right = Input((3,), name="left"), Input((4,), name="right")
    h = Concatenate()(Dense(8, "tanh")(left), Dense(8, "tanh")(right))
    price = Dense(1, last, name="out")(h)
    return Model(inputs=[left, right], outputs={"kind": Dense(2)(h), "price": price}, rng=0)


def kinds_and_titles(diagnosis):
    return [(finding.kind, finding.title) for finding in diagnosis]


def test_a_sound_graph_has_no_findings():
    diagnosis = two_outputs().diagnose(X, Y, loss=LOSSES, optimizer=Adam())
    assert not diagnosis, diagnosis
    assert any("120 of 120 rows" in note for note in diagnosis.notes)


def test_weights_by_output_and_classes_are_taken():
    weight = {"kind": np.arange(ROWS) % 2, "price": np.ones(ROWS)}
    options = {"sample_weight": weight, "class_weight": {"kind": {0: 1.0, 1: 2.0}}}
    diagnosis = two_outputs().diagnose(X, Y, loss=LOSSES, optimizer=Adam(), **options)
    assert not diagnosis, diagnosis


def test_validation_rows_of_a_graph_are_compared():
    x, y = (take(data, slice(0, 60)) for data in (X, Y))
    x2, y2 = (take(data, slice(60, None)) for data in (X, Y))
    options = {"loss": LOSSES, "optimizer": Adam()}
    found = two_outputs().diagnose(x, y, validation_data=(x2, y2), **options)
    assert not found, found
    found = two_outputs().diagnose(x, y, validation_data=(x, y), **options)
    assert found["leaked_rows"].evidence["copies"] == 60
    x2 = {**x2, "right": 9 + x2["right"]}
    found = two_outputs().diagnose(x, y, validation_data=(x2, y2), **options)
    assert found.kinds == ["shifted_validation"]
    assert found[0].title.startswith("x['right'] of the validation rows")


def test_each_output_has_its_own_findings():
    y = {"kind": np.zeros(ROWS, int), "price": 5 + 3 * PRICE}
    diagnosis = two_outputs("sigmoid").diagnose(X, y, loss=LOSSES, optimizer=Adam())
    found = dict(kinds_and_titles(diagnosis))
    assert found["constant_targets"] == "the targets are constant (output 'kind')"
    assert found["targets_out_of_range"].endswith("Sigmoid 'out.sigmoid' (output 'price')")
    y = {**Y, "price": 1e4 * PRICE}
    diagnosis = two_outputs().diagnose(X, y, loss=LOSSES, optimizer=Adam())
    assert any("scale of the targets was not checked" in note for note in diagnosis.notes)
    assert any("learning rate was not checked" in note for note in diagnosis.notes)


def test_each_input_has_its_own_findings():
    x = {"left": 1000 * X["left"], "right": X["right"].copy()}
    x["right"][:, 2] = 7
    x["right"][5, 0] = np.nan
    diagnosis = two_outputs().diagnose(x, Y, loss=LOSSES, optimizer=Adam())
    found = dict(kinds_and_titles(diagnosis))
    assert found["not_finite"] == "x['right'] contains NaN or infinity"
    assert found["constant_inputs"] == "some inputs of x['right'] are constant"
    assert any("scale of the inputs was not checked" in note for note in diagnosis.notes)


def test_wrong_targets_of_an_output_are_named():
    y = {**Y, "price": np.ones((ROWS, 3))}
    diagnosis = two_outputs().diagnose(X, y, loss=LOSSES)
    assert "unusable_targets" in diagnosis.kinds
    assert "y['price']" in diagnosis["unusable_targets"].why
    with pytest.raises(TypeError, match="loss expects a dict with 'kind', 'price'"):
        two_outputs().diagnose(X, Y, loss=MSELoss())
    with pytest.raises(ValueError, match="x expects a dict with 'left', 'right'"):
        two_outputs().diagnose({"left": X["left"]}, Y, loss=LOSSES)


def test_a_learning_rate_is_compared_with_the_curvature_of_the_joint_loss():
    diagnosis = two_outputs().diagnose(X, Y, loss=LOSSES, optimizer=SGD(learning_rate=1e4))
    assert diagnosis["learning_rate"].severity == "error"
    assert "batches of" not in diagnosis["learning_rate"].why  # the losses are means


def test_linear_layers_with_a_skip_are_no_stack():
    x = Input((4,), name="x")
    first = Dense(4)(x)
    skip = Model(inputs=x, outputs=Dense(1)(Add()(Dense(4)(first), first)), rng=0)
    found = skip.diagnose(X["right"], PRICE, loss=MSELoss(), optimizer=Adam())
    assert not [f for f in found if f.kind == "linear_stack" and "'dense_1'" in f.title]
    stack = Model(inputs=x, outputs=Dense(1)(Dense(4)(Dense(4)(x))), rng=0)
    found = stack.diagnose(X["right"], PRICE, loss=MSELoss(), optimizer=Adam())
    assert (
        "between Dense 'dense_1' and Dense 'dense_3': the 3 layers" in found["linear_stack"].title
    )


def test_a_mask_of_ones_and_ids_are_not_accused():
    ids, mask = Input((6,), name="ids"), Input((6,), name="mask")
    h = Embedding(1000, 8)(ids)
    seen = MultiHeadAttention(2)(h, h, mask)
    model = Model(inputs=[ids, mask], outputs=Dense(2)(Flatten()(LayerNorm()(seen))), rng=0)
    x = {"ids": RNG.integers(0, 1000, (ROWS, 6)), "mask": np.ones((ROWS, 6))}
    x["ids"][:, 0] = 1  # the start token
    y = (x["ids"][:, 1] > 500).astype(int)
    diagnosis = model.diagnose(x, y, loss=CrossEntropyLoss(), optimizer=Adam())
    assert not {"constant_inputs", "unscaled_inputs", "unrelated_targets", "wrong_gradients"} & {
        *diagnosis.kinds
    }, diagnosis


def sequences():
    x = RNG.normal(size=(ROWS, 6, 2))
    return x, (x.sum(axis=(1, 2)) > 0).astype(int)


@pytest.mark.slow
@pytest.mark.parametrize("length", [6, None])
@pytest.mark.parametrize(
    "layer",
    [
        GRU(8),
        LSTM(8),
        Sequential([LSTM(8, return_sequences=True), GlobalAveragePooling1D()]),
        Sequential([Dense(8, "tanh"), MultiHeadAttention(2), GlobalAveragePooling1D()]),
    ],
)
def test_sequence_models_have_no_findings(layer, length):
    x, y = sequences()
    model = Sequential([copy.deepcopy(layer), Dense(2)], input_shape=(length, 2), rng=0)
    diagnosis = model.diagnose(x, y, loss=CrossEntropyLoss(), optimizer=Adam(learning_rate=0.01))
    assert not diagnosis, diagnosis


def test_a_convolution_has_no_findings():
    x = RNG.normal(size=(ROWS, 8, 8, 1))
    x[: ROWS // 2, :, 4] += 2
    layers = [Conv2D(4, 3, activation="relu"), MaxPooling2D(2), Flatten(), Dense(2)]
    model = Sequential(layers, input_shape=(8, 8, 1), rng=0)
    y = np.arange(ROWS) // (ROWS // 2)
    diagnosis = model.diagnose(x, y, loss=CrossEntropyLoss(), optimizer=Adam())
    assert not diagnosis, diagnosis


def test_the_model_stays_as_it_was():
    model = two_outputs()
    before = model.parameters.value.copy()
    model.diagnose(X, Y, loss=LOSSES, optimizer=Adam())
    np.testing.assert_array_equal(model.parameters.value, before)
    assert model.output_shape == {"kind": (2,), "price": (1,)}


def test_a_product_of_branches_is_no_elementwise_layer():
    x = Input((4,), name="x")
    gate = Dense(4, "sigmoid")(x)
    model = Model(inputs=x, outputs=Dense(1)(Multiply()(gate, Dense(4)(x))), rng=0)
    y = np.sin(X["right"][:, :1])
    diagnosis = model.diagnose(X["right"], y, loss=MSELoss(), optimizer=Adam())
    assert not diagnosis, diagnosis


def test_a_graph_without_a_parameter_is_diagnosed():
    a, b = Input((2,), name="a"), Input((2,), name="b")
    model = Model(inputs=[a, b], outputs=Add()(a, b))
    x = {"a": X["left"][:, :2], "b": X["right"][:, :2]}
    diagnosis = model.diagnose(x, x["a"] + x["b"] + 1, loss=MSELoss(), optimizer=Adam())
    assert any("the model has no parameters" in note for note in diagnosis.notes)


def test_a_mask_as_the_output_is_no_constant():
    model = Sequential([Mask(0)], input_shape=(4,))
    x = np.arange(ROWS * 4).reshape(ROWS, 4) % 3
    assert not model.diagnose(x, model.predict(x), loss=MSELoss(), optimizer=Adam())


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (PReLU(), (4,)),
        (DepthwiseConv2D(3), (6, 6, 2)),
        (Lambda(np.square, lambda delta, x: 2 * x * delta), (4,)),
        (LSTM(4, dropout=0.2, recurrent_dropout=0.2, return_sequences=True), (5, 3)),
        (Permute((2, 1)), (5, 3)),
        (SpatialDropout1D(0.3), (5, 3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_layers_have_no_wrong_findings(layer, shape):
    x = RNG.normal(size=(ROWS, *shape))
    first = [Dense(4)] if len(shape) == 1 else []
    model = Sequential(
        [*first, copy.deepcopy(layer), Flatten(), Dense(1)], input_shape=shape, rng=0
    )
    y = np.tanh(x.reshape(ROWS, -1)[:, :1])
    half = ROWS // 2
    found = model.diagnose(
        x[:half],
        y[:half],
        loss=MSELoss(),
        optimizer=Adam(learning_rate=0.01),
        validation_data=(x[half:], y[half:]),
    )
    assert not found, found


def test_a_mask_of_a_graph_is_no_quantity():
    ids = Input((6,), name="ids")
    h = LSTM(4)(Embedding(20, 4)(ids), Mask(0)(ids))
    model = Model(inputs=ids, outputs=Dense(2)(h), rng=0)
    x = RNG.integers(0, 20, (ROWS, 6))
    y = (x[:, 0] > 9).astype(int)
    found = model.diagnose(
        x, y, loss=CrossEntropyLoss(), optimizer=Adam(), validation_data=(x[::-1] + 0, y[::-1])
    )
    assert set(found.kinds) == {"leaked_rows"}, found


def test_an_output_of_weight_0_is_left_out():
    weight = {"kind": np.zeros(ROWS), "price": np.ones(ROWS)}
    y = {**Y, "kind": np.zeros(ROWS, int)}
    diagnosis = two_outputs().diagnose(X, y, loss=LOSSES, optimizer=Adam(), sample_weight=weight)
    assert not diagnosis, diagnosis


def test_frozen_parameters_of_a_shared_layer_count_once():
    a, b = Input((3,), name="a"), Input((3,), name="b")
    shared = Dense(4, "tanh")
    model = Model(inputs=[a, b], outputs=Dense(1)(Add()(shared(a), shared(b))), rng=0)
    for _, parameter in model.named_parameters():
        parameter.trainable = False
    x = {"a": X["left"], "b": X["right"][:, :3]}
    found = model.diagnose(x, PRICE, loss=MSELoss(), optimizer=Adam())["frozen_layers"]
    assert found.evidence["frozen"] == found.evidence["parameters"] == 4


def test_whole_numbers_are_scaled_too():
    x = np.random.default_rng(0).integers(0, 500, (300, 4))
    model = Sequential([Dense(16, "tanh"), Dense(1)], input_shape=(4,), rng=0)
    diagnosis = model.diagnose(x, np.sin(x[:, :1] / 60), loss=MSELoss(), optimizer=Adam())
    assert "unscaled_inputs" in diagnosis.kinds


class Broken(Layer):
    """A sum whose second delta isn't finite."""

    def build(self, input_shape, rng):
        return input_shape[0]

    def forward(self, *inputs, training=True):
        return inputs[0] + inputs[1]

    def backward(self, delta):
        return delta, delta * np.nan


def test_the_first_number_that_is_not_finite_is_found_with_several_inputs():
    left, right = Input((3,), name="left"), Input((4,), name="right")
    second = Dense(2, name="second")(right)
    merged = Broken(name="merged")(Dense(2)(left), second)
    outputs = {"kind": merged, "price": Dense(1)(second)}
    model = Model(inputs=[left, right], outputs=outputs, rng=0)
    assert trace(model, X, Y, JointLoss(LOSSES)).first_not_finite() == (
        "the input delta of Broken 'merged'"
    )
    x = {**X, "right": X["right"] * np.inf}
    assert trace(model, x).first_not_finite() == "the output of Dense 'second'"
    diagnosis = model.diagnose(X, Y, loss=LOSSES)
    assert diagnosis["not_finite"].layer == "merged"


class Halved(Broken):
    """A sum whose second delta is half of the right one."""

    def backward(self, delta):
        return delta, delta / 2


def test_the_wrong_gradient_of_a_second_input_is_named():
    left, right = Input((3,), name="left"), Input((4,), name="right")
    merged = Halved(name="merged")(Dense(2)(left), Dense(2)(right))
    model = Model(inputs=[left, right], outputs=Dense(1)(merged), rng=0)
    finding = model.diagnose(X, PRICE, loss=MSELoss(), optimizer=Adam())["wrong_gradients"]
    assert finding.title == "the gradient of input 2 of Halved 'merged' is wrong"
    assert finding.evidence["measured"] == pytest.approx(2 * finding.evidence["claimed"])
