"""Rows with several axes, such as (time, features): layers, losses, weights and metrics."""

import json
from pathlib import Path

import numpy as np
import pytest

import minigrad
from helpers import says, torch_script
from minigrad import (
    SGD,
    BatchNorm,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LayerNorm,
    LogSoftmax,
    Loss,
    MSELoss,
    Parallel,
    ReLU,
    Reshape,
    Residual,
    Sequential,
    Softmax,
    Tanh,
    check_gradients,
)
from minigrad.blocks import block_gradient as engine
from minigrad.blocks import plan
from minigrad.data.class_weight import weighted_by_class
from minigrad.data.rows import Rows
from minigrad.diagnose.case import Case
from minigrad.explain.steps import Limit, number
from minigrad.graphs.joint_loss import as_losses
from minigrad.metrics import (
    accuracy,
    binary_accuracy,
    confusion_matrix,
    f1,
    precision,
    recall,
    top_k_accuracy,
)

REFERENCE = Path(__file__).with_name("reference")
KEPT = json.loads((REFERENCE / "ranks.json").read_text())
ROWS, STEPS, FEATURES, CLASSES = 12, 5, 3, 4
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, STEPS, FEATURES))
Y = RNG.integers(0, CLASSES, size=(ROWS, STEPS))
MASK = (np.arange(STEPS) < RNG.integers(1, STEPS + 1, size=(ROWS, 1))).astype(float)
WEIGHT = MASK * RNG.uniform(0.5, 2, size=MASK.shape)
FIRST = tuple(np.argwhere(Y == CLASSES - 1)[0].tolist())


def make(*, steps: int | None = STEPS, loss: Loss | None = None, metrics=(), **options):
    layers = [Dense(6, "tanh"), LayerNorm(), Residual(Dense(6, "gelu")), Dense(CLASSES)]
    model = Sequential(layers, input_shape=(steps, FEATURES), rng=4, **options)
    model.compile(
        optimizer=SGD(learning_rate=0.5), loss=loss or CrossEntropyLoss(), metrics=metrics
    )
    return model


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of five rows."""
    monkeypatch.setattr(plan, "_MIN_BLOCK_SEQUENCES", 5)
    monkeypatch.setattr(plan, "_MIN_BLOCK_ROWS", 1)
    monkeypatch.setattr(plan, "_STORED_PER_PARAMETER", 0)
    monkeypatch.setattr(plan, "BLOCK_BYTES", 1)


def compare(found: dict, dtype: str) -> None:
    """Compare Dense and CrossEntropyLoss with PyTorch's numbers."""
    tolerance = (
        {"rtol": 1e-12, "atol": 1e-13} if dtype == "float64" else {"rtol": 1e-5, "atol": 2e-6}
    )

    def close(ours: np.ndarray, theirs: list) -> None:
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, theirs, **tolerance)

    for case in found["linear"]:
        x = np.array(case["x"], dtype)
        dense = Dense(3, "tanh")
        model = Sequential([dense], input_shape=x.shape[1:], rng=0, dtype=dtype)
        dense.weight.value, dense.bias.value = np.array(case["weight"]), np.array(case["bias"])
        close(model.forward(x), case["output"])
        close(model.backward(np.array(case["delta"], dtype)), case["dx"])
        close(dense.weight.grad, case["dweight"])
        close(dense.bias.grad, case["dbias"])
    for case in found["cross_entropy"]:
        loss, z = CrossEntropyLoss(**case["options"]), np.array(case["z"], dtype)
        by_class = np.asfortranarray(z.reshape(-1, z.shape[-1])).reshape(z.shape)
        for made in (z, np.asfortranarray(z), by_class):
            j = loss.forward(made, np.array(case["target"]), sample_weight=case["weight"])
            assert j == pytest.approx(case["j"], rel=tolerance["rtol"])
            close(loss.backward(), case["gradient"])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_recorded_numbers_of_torch(dtype: str) -> None:
    compare(KEPT, dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_live_numbers_of_torch(dtype: str) -> None:
    compare(torch_script("ranks").cases(dtype), dtype)


@pytest.mark.parametrize("order", ["C", "F"])
def test_dense_computes_each_vector_alone(order) -> None:
    dense, flat = (Dense(4, "softmax"), Dense(4, "softmax"))
    shared = Sequential([dense], input_shape=(2, STEPS, FEATURES), rng=0)
    alone = Sequential([flat], input_shape=(FEATURES,), rng=0)
    x = np.asarray(RNG.normal(size=(7, 2, STEPS, FEATURES)), order=order)
    delta = np.asarray(RNG.normal(size=(7, 2, STEPS, 4)), order=order)
    expected = alone.forward(x.reshape(-1, FEATURES)), alone.backward(delta.reshape(-1, 4))
    output, back = shared.forward(x), shared.backward(delta)
    np.testing.assert_allclose(output.reshape(-1, 4), expected[0], rtol=1e-14)
    np.testing.assert_allclose(back.reshape(-1, FEATURES), expected[1], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(shared.parameters.grad, alone.parameters.grad, rtol=1e-12)
    assert (output.shape, back.shape) == (delta.shape, x.shape)


@pytest.mark.parametrize(
    "layer",
    [
        Dense(2),
        Dense(2, "relu", use_bias=False),
        Tanh(),
        Softmax(),
        LogSoftmax(),
        Dropout(0.3),
        LayerNorm(),
        BatchNorm(),
        Residual([Dense(4), ReLU(), Dense(FEATURES)]),
        Parallel([Dense(2), Tanh()], merge="concat"),
    ],
    ids=repr,
)
def test_axes_of_unknown_length(layer) -> None:
    model = Sequential([layer], input_shape=(None, FEATURES), rng=0)
    for steps in (1, 4):
        x = RNG.normal(size=(3, steps, FEATURES))
        output = model.forward(x)
        assert output.shape[:2] == (3, steps)
        assert model.backward(np.ones_like(output)).shape == x.shape
        y = RNG.normal(size=output.shape)
        assert check_gradients(model, x, y, MSELoss()).passed


@pytest.mark.parametrize("layer", [Flatten(), Reshape((3, -1)), Reshape((15,))], ids=repr)
def test_reshape_needs_known_lengths(layer) -> None:
    with says(ValueError, f"{type(layer).__name__} '", "known lengths, got (None, 3)"):
        Sequential([layer], input_shape=(None, 3))


def test_inputs_that_do_not_fit() -> None:
    with says(ValueError, "Dense 'dense_1' needs the length of the last axis, got (3, None)"):
        Sequential([Dense(2)], input_shape=(3, None))
    model = Sequential([Dense(2)], input_shape=(None, 3))
    with says(
        ValueError,
        "Dense 'dense_1' expects input of shape (batch, None, 3), got (8, 3)",
        "leave the batch axis out of input_shape, (3,)",
    ):
        model.predict(np.ones((8, 3)))
    with says(ValueError, "shape (batch, None, 3), got (8, 5, 4)"):
        model.predict(np.ones((8, 5, 4)))
    model.forward(np.ones((8, 5, 3)))
    with says(ValueError, "Dense 'dense_1' expects delta of shape (8, 5, 2), got (8, 1, 2)"):
        model[0].backward(np.ones((8, 1, 2)))


def test_cross_entropy_equals_that_of_all_steps() -> None:
    z = RNG.normal(size=(ROWS, STEPS, CLASSES))
    one_hot = np.eye(CLASSES, dtype=int)[Y]
    loss = CrossEntropyLoss(label_smoothing=0.1)
    for weight in (None, WEIGHT):
        flat = None if weight is None else weight.ravel()
        expected = loss.forward(z.reshape(-1, CLASSES), Y.ravel(), sample_weight=flat)
        slope = loss.backward().reshape(z.shape)
        for target in (Y, Y.astype("u1"), one_hot, one_hot.astype("f4")):
            assert loss.forward(z, target, sample_weight=weight) == pytest.approx(expected)
            np.testing.assert_allclose(loss.backward(), slope, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("total", [None, 7.5])
@pytest.mark.parametrize("weight", [WEIGHT[:, 0], WEIGHT], ids=["rows", "terms"])
@pytest.mark.parametrize("loss", [CrossEntropyLoss(), MSELoss(), BCEWithLogitsLoss()], ids=repr)
def test_backward_is_the_derivative_of_forward(loss, weight, total, reduction) -> None:
    loss = type(loss)(reduction=reduction, scale=0.3)
    z = RNG.normal(size=(ROWS, STEPS, 2))
    target = Y % 2 if isinstance(loss, CrossEntropyLoss) else RNG.uniform(size=z.shape)
    options = {"sample_weight": weight, "total": total}
    loss.forward(z, target, **options)
    slope, direction = loss.backward(), RNG.normal(size=z.shape)
    up, down = (
        loss.forward(z + h * direction, target, training=False, **options) for h in (1e-6, -1e-6)
    )
    assert (up - down) / 2e-6 == pytest.approx(np.vdot(slope, direction), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("loss", [CrossEntropyLoss(), MSELoss()], ids=repr)
def test_a_mask_equals_the_terms_that_remain(loss) -> None:
    z, kept = RNG.normal(size=(ROWS, STEPS, CLASSES)), MASK > 0
    target = Y if isinstance(loss, CrossEntropyLoss) else RNG.normal(size=z.shape)
    assert loss.forward(z, target, sample_weight=MASK) == pytest.approx(
        loss.forward(z[kept], target[kept]), rel=1e-14
    )
    slope = loss.backward()
    loss.forward(z, target, sample_weight=MASK > 0)
    spread = np.zeros_like(z)
    spread[kept] = slope
    np.testing.assert_allclose(loss.backward(), spread, rtol=1e-13)
    assert loss.forward(z, target, sample_weight=0 * MASK) == 0.0
    assert not loss.backward().any()


def test_a_weight_for_each_number() -> None:
    p, t = RNG.normal(size=(2, ROWS, 2))
    weight = RNG.uniform(size=(ROWS, 2))
    expected = np.average((p - t) ** 2, weights=weight)
    assert MSELoss().forward(p, t, sample_weight=weight) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("loss", [CrossEntropyLoss(), CrossEntropyLoss(reduction="sum")], ids=repr)
@pytest.mark.parametrize("weight", [None, WEIGHT[:, 0], WEIGHT], ids=["none", "rows", "terms"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.usefixtures("small_blocks")
def test_blocks_equal_the_whole_batch(monkeypatch, loss, weight, threads) -> None:
    loss.scale, parts, whole = 0.1, make(loss=loss), make(loss=loss)
    options = {"sample_weight": weight, "epochs": 2, "batch_size": None, "verbose": 0}
    assert engine.Plan(parts.network).rows == 5
    in_blocks = parts.fit(X, Y, threads=threads, **options)
    evaluated = parts.evaluate(X, Y, sample_weight=weight)
    monkeypatch.setattr(plan, "_MIN_BLOCK_SEQUENCES", 100)
    at_once = whole.fit(X, Y, **options)
    np.testing.assert_allclose(in_blocks["loss"], at_once["loss"], rtol=1e-12)
    np.testing.assert_allclose(parts.parameters.value, whole.parameters.value, rtol=1e-10)
    expected = loss.forward(whole.predict(X), Y, sample_weight=weight)
    assert whole.evaluate(X, Y, sample_weight=weight)["loss"] == pytest.approx(expected, rel=1e-12)
    assert evaluated["loss"] == pytest.approx(expected, rel=1e-12)


def test_batches_of_an_iterable_have_masks() -> None:
    arrays, batches = make(metrics=["accuracy"]), make(metrics=["accuracy"])
    cut = [slice(0, 5), slice(5, 12)]
    given = [(X[part], Y[part], WEIGHT[part]) for part in cut]
    logs = batches.fit(given, validation_data=given, verbose=0)
    for part in cut:
        arrays.fit(X[part], Y[part], sample_weight=WEIGHT[part], batch_size=None, verbose=0)
    np.testing.assert_allclose(batches.parameters.value, arrays.parameters.value, rtol=1e-13)
    expected = arrays.evaluate(X, Y, sample_weight=WEIGHT)
    assert {name: logs[f"val_{name}"][0] for name in expected} == pytest.approx(expected)
    assert batches.evaluate(given) == pytest.approx(expected)
    assert expected["accuracy"] == accuracy(Y, arrays.predict(X), sample_weight=WEIGHT)


def test_batches_of_different_lengths() -> None:
    model = make(steps=None, metrics=["accuracy", "top_2_accuracy"])
    given = [(X, Y, MASK), (X[:, :2], Y[:, :2], MASK[:, :2]), (X[:4, :1], Y[:4, :1], MASK[:4, :1])]
    model.fit(given, epochs=2, verbose=0)
    parts = [(model.predict(x), y, w) for x, y, w in given]
    flat = [np.concatenate([part[i].reshape(-1, *axes) for part in parts]) for i, axes in
            enumerate([(CLASSES,), (), ()])]  # fmt: skip
    found = model.evaluate(given)
    assert found["accuracy"] == accuracy(flat[1], flat[0], sample_weight=flat[2])
    expected = top_k_accuracy(flat[1], flat[0], k=2, sample_weight=flat[2])
    assert found["top_2_accuracy"] == expected
    loss = CrossEntropyLoss().forward(flat[0], flat[1], sample_weight=flat[2])
    assert found["loss"] == pytest.approx(loss, rel=1e-12)


def test_class_weights_of_steps() -> None:
    weights = {0: 1.0, 1: 3.0, 2: 0.0, 3: 0.5}
    of_class = np.array([1.0, 3.0, 0.0, 0.5])[Y]
    one_hot = np.eye(CLASSES)[Y]
    for y in (Y, one_hot):
        for weight, expected in (
            (None, of_class),
            (WEIGHT[:, 0], WEIGHT[:, :1] * of_class),
            (WEIGHT, WEIGHT * of_class),
        ):
            found = weighted_by_class(Rows(X, y, weight), weights, (STEPS, CLASSES)).weight
            np.testing.assert_array_equal(found, expected, strict=True)
    labels = (Y % 2)[..., np.newaxis]
    rows = Rows(X, labels, np.ones((ROWS, STEPS, 1)))
    found = weighted_by_class(rows, {0: 1, 1: 5}, (STEPS, 1)).weight
    np.testing.assert_array_equal(found, 1.0 + 4 * labels, strict=True)
    by_class, by_hand = make(), make()
    by_class.fit(X, Y, class_weight=weights, sample_weight=WEIGHT[:, 0], shuffle=False, verbose=0)
    by_hand.fit(X, Y, sample_weight=WEIGHT[:, :1] * of_class, shuffle=False, verbose=0)
    np.testing.assert_array_equal(by_class.parameters.value, by_hand.parameters.value)
    stream = make()
    stream.fit([(X, Y, WEIGHT[:, 0])], class_weight=weights, verbose=0)
    np.testing.assert_allclose(stream.parameters.value, by_hand.parameters.value, rtol=1e-12)


def test_class_weights_of_indices_that_look_one_hot() -> None:
    y = np.eye(STEPS, dtype=int)[Y]  # (rows, steps), with a single 1 in each row
    weight = weighted_by_class(Rows(X, y[:, 0]), {0: 1, 1: 2}, (STEPS, 2)).weight
    np.testing.assert_array_equal(weight, 1.0 + y[:, 0], strict=True)


@pytest.mark.parametrize("metric", [accuracy, precision, recall, f1, confusion_matrix])
def test_metrics_take_each_step_as_a_row(metric) -> None:
    scores = RNG.uniform(size=(ROWS, 2, STEPS, CLASSES))
    y = RNG.integers(0, CLASSES, size=scores.shape[:-1])
    expected = metric(y.ravel(), scores.reshape(-1, CLASSES))
    for target in (y, np.eye(CLASSES)[y]):
        np.testing.assert_array_equal(metric(target, scores), expected)
    chance, label = scores[..., :1], y % 2
    expected = metric(label.ravel(), chance.ravel())
    for target in (label, label[..., np.newaxis]):
        np.testing.assert_array_equal(metric(target, chance), expected)
    assert top_k_accuracy(y, scores, k=2) == top_k_accuracy(
        y.ravel(), scores.reshape(-1, CLASSES), k=2
    )
    assert top_k_accuracy(y, scores, k=1) == accuracy(y, scores)
    assert binary_accuracy(label, chance) == binary_accuracy(label.ravel(), chance.ravel())


@pytest.mark.parametrize(
    ("loss", "y", "error", "message"),
    [
        ("cross_entropy", Y[:, 0], ValueError, "indices of shape (12, 5) or one-hot rows of shape"),
        ("cross_entropy", Y[:, 0], ValueError, "(12, 5, 4), got (12,): for one target per row put"),
        ("cross_entropy", np.eye(4)[Y[:, 0]], ValueError, "got (12, 4): for one target per row"),
        ("cross_entropy", Y[:, :4], ValueError, "of shape (12, 5, 4), got (12, 4): for one target"),
        ("cross_entropy", Y[:, :3], ValueError, "one-hot rows of shape (12, 5, 4), got (12, 3)"),
        ("cross_entropy", Y[..., None], ValueError, "got (12, 5, 1): pass y[:, :, 0]"),
        ("cross_entropy", 1.0 * Y[..., None], ValueError, "pass y[:, :, 0].astype(int)"),
        ("cross_entropy", 1.0 * Y, TypeError, "y holds floats (dtype float64); CrossEntropyLoss"),
        ("cross_entropy", Y + 1, ValueError, f"class 4 at index {FIRST}; CrossEntropyLoss"),
        ("cross_entropy", np.ones((12, 5, 4)), ValueError, "y's row (0, 0) adds up to 4"),
        ("mse", Y[:, 0], ValueError, "(12, 5, 4), got (12,): for one target per row put Flatten()"),
        ("mse", Y, ValueError, "targets of the predictions' shape (12, 5, 4), got (12, 5)"),
    ],
)  # fmt: skip
def test_wrong_targets(loss, y, error, message) -> None:
    model = make(loss=as_losses(loss))
    before = model.parameters.value.copy()
    for call in (model.fit, model.evaluate):
        with says(error, message):
            call(X, y)
    np.testing.assert_array_equal(model.parameters.value, before)
    with says(ValueError, "shape (12, None"):
        make(steps=None, loss=as_losses(loss)).fit(X, Y[:, 0], verbose=0)


@pytest.mark.parametrize(
    ("loss", "y"), [(CrossEntropyLoss(), Y), (MSELoss(), np.ones((ROWS, STEPS, CLASSES)))], ids=repr
)
def test_a_length_that_differs_is_not_broadcast(loss, y) -> None:
    model = make(steps=None, loss=loss)
    for call in (model.fit, model.evaluate):
        for wrong in (y[:, :1], y[:, :4]):
            with says(ValueError, "shape (12, 5", f"got {wrong.shape}"):
                call(X, wrong)


class Sum(Layer):
    """The sum along the last axis."""

    def build(self, input_shape, rng):
        return input_shape[:-1]

    def forward(self, x, *, training=True):
        return x.sum(axis=-1)


@pytest.mark.parametrize("loss", ["mse", "bce_with_logits"])
def test_a_length_that_differs_is_not_broadcast_in_rows_of_one_axis(loss) -> None:
    model = Sequential([Dense(2), Sum()], input_shape=(None, FEATURES), rng=0)
    model.compile(optimizer="sgd", loss=loss)
    for call in (model.fit, model.evaluate):
        with says(ValueError, "predictions' shape (12, 5), got (12, 1)"):
            call(X, np.ones((ROWS, 1)))


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(3), "sample_weight expects shape (12,), a weight for each row, or the first"),
        (np.ones((12, 4)), "axes of (12, 5, 4), a weight for each term, got (12, 4)"),
        (np.ones(()), "a weight for each term, got ()"),
        (np.ones((12, 5, 1)), "sample_weight expects shape (12,)"),
        (np.ones((12, 5, 4)), "CrossEntropyLoss expects sample_weight for its terms, of shape (12"),
        (-MASK, "sample_weight expects weights >= 0, got -1.0"),
        (0 * MASK, "sample_weight expects a weight above zero"),
        (np.full((12, 5), np.nan), "sample_weight holds nan at index (0, 0)"),
    ],
)  # fmt: skip
def test_wrong_weights(weight, message) -> None:
    model = make()
    before = model.parameters.value.copy()
    for call in (model.fit, model.evaluate):
        with says(ValueError, message):
            call(X, Y, sample_weight=weight)
    np.testing.assert_array_equal(model.parameters.value, before)


def test_check_gradients_of_sequences() -> None:
    layers = [
        Dense(4, "tanh"),
        BatchNorm(),
        Dropout(0.3),
        Parallel([Dense(2), Tanh()], merge="concat"),
    ]
    model = Sequential([*layers, Dense(CLASSES)], input_shape=(None, FEATURES), rng=0)
    for y in (Y[:3], np.eye(CLASSES)[Y[:3]]):
        report = check_gradients(model, X[:3], y, CrossEntropyLoss(label_smoothing=0.1))
        assert report.passed, report


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("shape", [(None, FEATURES), (STEPS, FEATURES), (1, STEPS, FEATURES)])
def test_explain_of_sequences(shape, rows: int) -> None:
    x = X[:rows].reshape(rows, *shape[:-2], STEPS, FEATURES)
    y = Y[:rows].reshape(x.shape[:-1])
    model = Sequential([Dense(3, "tanh"), Dense(CLASSES)], input_shape=shape, rng=0)
    explanation = model.explain(x, y, loss=CrossEntropyLoss())
    limit = Limit(1000)
    for step in explanation.steps:
        for index in range(step.size):
            line = step.line(rows - 1, index, limit)
            assert line.terms or line.formula, (step, line)
            if line.terms:
                assert sum(term.value for term in line.terms) == pytest.approx(line.value)
                for term in line.terms:
                    product = np.prod([value for _, value in term.factors])
                    assert product == pytest.approx(term.value)
    losses = next(step for step in explanation.steps if step.name == "l")
    z = explanation.prediction[-1].reshape(-1, CLASSES)
    for index in range(losses.size):
        formula = losses.line(rows - 1, index, limit).formula
        assert all(number(value) in formula for value in z[index])
    np.testing.assert_allclose(
        explanation["dense_1"].weight_gradients.sum(axis=0), model_gradient(model, x, y), rtol=1e-12
    )
    axes = "t" if len(shape) == 2 else "t,u"
    text = str(explanation)
    assert f"z1[{axes},k] = b1[k] + Σ_j x[{axes},j] w1[j,k]" in text
    assert f"Σ_{axes} δ1[{axes},k] x[{axes},j]" in text


def model_gradient(model, x, y):
    loss = CrossEntropyLoss()
    loss.forward(model.forward(x), y)
    model.backward(loss.backward())
    return model["dense_1"].weight.grad


@pytest.mark.parametrize("steps", [STEPS, None])
def test_diagnose_of_sequences(steps: int | None) -> None:
    x = RNG.normal(size=(60, STEPS, FEATURES))
    y = (x.sum(axis=-1) > 0).astype(int)
    layers = [Dense(8, "tanh"), Dense(2)]
    model = Sequential(layers, input_shape=(steps, FEATURES), rng=0)
    weight = (RNG.uniform(size=y.shape) > 0.3).astype(float)
    weight[:4] = 0
    options = {"loss": CrossEntropyLoss(), "sample_weight": weight, "class_weight": {0: 1, 1: 2}}
    assert not list(model.diagnose(x, y, **options))
    x[0], x[1] = np.nan, 1.0
    assert list(model.diagnose(x, y, **options).kinds) == ["not_finite"]
    constant = model.diagnose(X, np.zeros((ROWS, STEPS), int), loss=CrossEntropyLoss())
    assert "constant_targets" in constant.kinds


@pytest.mark.parametrize("weight", [WEIGHT[:, 0], WEIGHT], ids=["rows", "terms"])
def test_diagnose_measures_the_weighted_loss(weight) -> None:
    loss, model = CrossEntropyLoss(reduction="sum", scale=0.3), make()
    rows = Rows(X, Y, weight / 2)
    case = Case(model, rows, loss, None, batch_rows=len(X), notes=[])
    mean = CrossEntropyLoss().forward(model.predict(X), Y, sample_weight=weight)
    divided = CrossEntropyLoss().forward(model.predict(X), Y, sample_weight=weight / 2)
    assert divided == pytest.approx(mean)
    assert case.trace.j == pytest.approx(case.j(case.trace.prediction))


def test_save_and_load_of_unknown_lengths(tmp_path) -> None:
    model = make(steps=None)
    model.fit(X, Y, sample_weight=WEIGHT, verbose=0)
    model.save(tmp_path / "model.safetensors")
    loaded = minigrad.load(tmp_path / "model.safetensors")
    assert loaded.input_shape == (None, FEATURES)
    for either in (model, loaded):
        either.fit(X, Y, sample_weight=WEIGHT, verbose=0)
    np.testing.assert_array_equal(loaded.parameters.value, model.parameters.value)
    assert "dense_1" in model._repr_html_()
