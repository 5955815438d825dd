"""Losses: backward is the derivative of forward; wrong targets are refused; PyTorch agrees."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

import minigrad
from helpers import says, torch_script
from minigrad import (
    SGD,
    BCELoss,
    BCEWithLogitsLoss,
    CosineSimilarityLoss,
    CrossEntropyLoss,
    Dense,
    FocalWithLogitsLoss,
    HingeLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    Loss,
    MSELoss,
    PoissonNLLLoss,
    Sequential,
    TripletMarginLoss,
    check_gradients,
)
from minigrad.data.class_weight import weighted_by_class
from minigrad.data.rows import Form, as_pair, as_rows
from minigrad.graphs.joint_loss import as_losses

REFERENCE = Path(__file__).with_name("reference") / "losses.json"
CASES = json.loads(REFERENCE.read_text())["cases"]
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
ROWS = 6
WEIGHT = np.array([0.5, 0.0, 2.0, 1.0, 0.0, 3.0])


def logits(rng, width: int):
    return rng.normal(scale=2, size=(ROWS, width))


def chances(rng, width: int):
    return rng.uniform(0.05, 0.95, size=(ROWS, width))


def labels(rng, width: int):
    return rng.integers(0, 2, size=(ROWS, width))


def signs(rng, width: int):
    return 2.0 * labels(rng, width) - 1


def indices(rng, width: int):
    return rng.integers(0, width, size=ROWS)


def one_hot(rng, width: int):
    return np.eye(width)[indices(rng, width)]


def shares(rng, width: int):
    return rng.dirichlet(np.ones(width), size=ROWS)


def logarithms(rng, width: int):
    return np.log(shares(rng, width))


def triplets(rng, width: int):
    return logits(rng, 3 * math.ceil(width / 3))


def no_targets(rng, width: int):
    return np.zeros(ROWS)


def counts(rng, width: int):
    return rng.poisson(2, size=(ROWS, width))


# (loss, its options, what makes predictions, what makes targets)
KINDS = [
    (MSELoss, {}, logits, logits),
    (L1Loss, {}, logits, logits),
    (HuberLoss, {}, logits, logits),
    (HuberLoss, {"delta": 0.3}, logits, logits),
    (BCELoss, {}, chances, labels),
    (BCELoss, {}, chances, chances),
    (BCEWithLogitsLoss, {}, logits, labels),
    (BCEWithLogitsLoss, {}, logits, chances),
    (HingeLoss, {}, logits, signs),
    (CrossEntropyLoss, {}, logits, indices),
    (CrossEntropyLoss, {}, logits, one_hot),
    (CrossEntropyLoss, {}, logits, shares),
    (CrossEntropyLoss, {"label_smoothing": 0.3}, logits, indices),
    (CrossEntropyLoss, {"label_smoothing": 0.3}, logits, shares),
    (BCELoss, {"label_smoothing": 0.3}, chances, labels),
    (BCEWithLogitsLoss, {"label_smoothing": 0.3}, logits, labels),
    (BCEWithLogitsLoss, {"label_smoothing": 0.1, "pos_weight": 5}, logits, chances),
    (FocalWithLogitsLoss, {}, logits, labels),
    (FocalWithLogitsLoss, {"gamma": 1.5, "alpha": 0.25}, logits, chances),
    (KLDivLoss, {}, logarithms, shares),
    (KLDivLoss, {}, logarithms, one_hot),
    (PoissonNLLLoss, {}, logits, counts),
    (PoissonNLLLoss, {"log_input": False}, chances, counts),
    (CosineSimilarityLoss, {}, logits, logits),
    (TripletMarginLoss, {}, triplets, no_targets),
    (TripletMarginLoss, {"margin": 4}, triplets, no_targets),
]
OF_VECTORS = KLDivLoss, CosineSimilarityLoss, TripletMarginLoss
OF_ROWS = CrossEntropyLoss, *OF_VECTORS
"""These have a term for each row, not for each output."""
EVERY_LOSS = pytest.mark.parametrize(
    "loss", [made() for made in {kind[0]: 0 for kind in KINDS} if made not in OF_VECTORS]
)
EVERY = pytest.mark.parametrize(
    "kind", KINDS, ids=lambda k: f"{k[0].__name__}-{k[1]}-{k[3].__name__}"
)


def prepare(kind, width: int = 3, dtype: str = "float64", **options):
    """Return a loss, predictions and targets."""
    made, own, predictions, targets = kind
    rng = np.random.default_rng(width)
    loss = made(**own, **options)
    return loss, predictions(rng, width).astype(dtype), targets(rng, width)


def by_differences(loss: Loss, prediction, target, step: float = 1e-6, **options):
    """Return the derivative of `forward` by central differences."""
    slope = np.empty_like(prediction)
    for index in np.ndindex(prediction.shape):
        values = []
        for change in (step, -step):
            moved = prediction.copy()
            moved[index] += change
            values.append(loss.forward(moved, target, **options))
        slope[index] = (values[0] - values[1]) / (2 * step)
    return slope


@EVERY
@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize(
    ("reduction", "scale", "weight", "total"),
    [("mean", 1.0, None, None), ("mean", 0.3, WEIGHT, None), ("sum", 0.3, WEIGHT, 7.5)],
    ids=["mean", "weighted mean", "weighted sum"],
)
def test_backward_is_the_derivative_of_forward(kind, width, reduction, scale, weight, total):
    least = 2 if kind[0] in (CrossEntropyLoss, KLDivLoss) else 1
    loss, prediction, target = prepare(kind, max(width, least), reduction=reduction, scale=scale)
    options = {"sample_weight": weight, "total": total}
    loss.forward(prediction, target, **options)
    np.testing.assert_allclose(
        loss.backward(),
        by_differences(loss, prediction, target, training=False, **options),
        rtol=1e-6,
        atol=1e-8,
        strict=True,
    )


@EVERY
def test_mean_is_sum_divided_by_number_of_terms(kind) -> None:
    loss, prediction, target = prepare(kind)
    matched = loss.match(np.asarray(target), prediction.shape)
    terms, _ = loss.terms(prediction, loss.cast(matched, prediction.dtype))
    assert terms.shape == ((ROWS,) if kind[0] in OF_ROWS else (ROWS, 3))
    assert loss.forward(prediction, target) == pytest.approx(terms.mean(), rel=1e-14)
    for reduction, expected in (("sum", terms.sum()), ("mean", terms.mean())):
        scaled, *_ = prepare(kind, reduction=reduction, scale=0.3)
        assert scaled.forward(prediction, target) == pytest.approx(0.3 * expected, rel=1e-14)


@EVERY
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_parts_of_a_batch_add_up(kind, reduction, weight) -> None:
    loss, prediction, target = prepare(kind, reduction=reduction)
    whole, slope = loss.forward(prediction, target, sample_weight=weight), loss.backward()
    j, slopes = 0.0, []
    for part in (slice(0, 2), slice(2, 5), slice(5, 6)):
        j += loss.forward(
            prediction[part],
            target[part],
            sample_weight=None if weight is None else weight[part],
            total=ROWS if weight is None else weight.sum(),
        )
        slopes.append(loss.backward())
    assert j == pytest.approx(whole, rel=1e-13)
    np.testing.assert_allclose(np.concatenate(slopes), slope, rtol=1e-13, strict=True)


@EVERY
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_integer_weights_repeat_rows(kind, reduction) -> None:
    loss, prediction, target = prepare(kind, reduction=reduction)
    counts = np.array([1, 0, 2, 1, 0, 3])
    repeated = np.repeat(np.arange(ROWS), counts)
    weighted = loss.forward(prediction, target, sample_weight=counts)
    slope = loss.backward()
    assert loss.forward(prediction[repeated], target[repeated]) == pytest.approx(
        weighted, rel=1e-13
    )
    added = np.zeros_like(slope)
    np.add.at(added, repeated, loss.backward())
    np.testing.assert_allclose(slope, added, rtol=1e-13, strict=True)


@EVERY
def test_zero_weights_give_zero(kind) -> None:
    loss, prediction, target = prepare(kind)
    assert loss.forward(prediction, target, sample_weight=np.zeros(ROWS)) == 0.0
    np.testing.assert_array_equal(loss.backward(), np.zeros((ROWS, 3)), strict=True)


@EVERY
def test_float32_is_kept_and_arguments_are_not_written_to(kind) -> None:
    loss, prediction, target = prepare(kind, dtype="float32", scale=np.float64(0.3))
    weight = WEIGHT.copy()
    for array in (prediction, target, weight):
        array.flags.writeable = False
    j = loss.forward(prediction, target, sample_weight=weight)
    assert isinstance(j, float)
    assert loss.backward().dtype == np.float32
    matched = loss.cast(loss.match(target, prediction.shape), prediction.dtype)
    assert {part.dtype for part in loss.terms(prediction, matched)} == {np.dtype("float32")}
    exact = loss.forward(prediction.astype(float), target, sample_weight=weight)
    assert j == pytest.approx(exact, rel=1e-6)


@EVERY
def test_training_false_writes_nothing(kind) -> None:
    loss, prediction, target = prepare(kind)
    before = vars(loss).copy()
    loss.forward(prediction, target, training=False)
    assert vars(loss) == before
    with says(RuntimeError, f"backward of {kind[0].__name__} was called before forward"):
        loss.backward()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("loss", "prediction", "target", "terms", "slope"),
    [
        (
            BCEWithLogitsLoss(),
            [1e4, -1e4, 1e4, -1e4],
            [0, 1, 1, 0],
            [1e4, 1e4, 0, 0],
            [1, -1, 0, 0],
        ),
        (HingeLoss(), [1e4, -1e4, 1e4, -1e4], [-1, 1, 1, -1], [10001, 10001, 0, 0], [1, -1, 0, 0]),
        (HuberLoss(), [1e4, -1e4, 1e4, 0], [0, 0, 1e4, 0], [9999.5, 9999.5, 0, 0], [1, -1, 0, 0]),
        (L1Loss(), [1e4, -1e4, 0, 0], [0, 0, 0, 0], [1e4, 1e4, 0, 0], [1, -1, 0, 0]),
        (
            BCELoss(),
            [0, 1, 0, 1],
            [1, 0, 0, 1],
            [1 - math.log(1e-12), 1 - math.log(1e-12), 0, 0],
            [-1e12, 1e12, 1, -1],
        ),
    ],
    ids=repr,
)
def test_extreme_predictions(loss, prediction, target, terms, slope, dtype) -> None:
    loss.reduction = "sum"
    for row, wanted, term, derivative in zip(prediction, target, terms, slope, strict=True):
        with np.errstate(all="raise"):
            j = loss.forward(np.array([[row]], dtype), np.array([[wanted]], dtype))
        assert j == pytest.approx(term, rel=1e-6, abs=1e-30)
        np.testing.assert_allclose(
            loss.backward(), np.array([[derivative]], dtype), rtol=1e-6, atol=1e-30, strict=True
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_of_extreme_logits(smoothing: float, dtype: str) -> None:
    z = np.array([[1e4, 0, -1e4], [1e4, 0, -1e4]], dtype)
    loss = CrossEntropyLoss(label_smoothing=smoothing, reduction="sum")
    for target in (np.array([0, 2]), np.eye(3)[[0, 2]]):
        with np.errstate(all="raise"):
            j = loss.forward(z, target)
        # Each row's z is (0, -1e4, -2e4) below its largest, of which smoothing takes the mean.
        assert j == pytest.approx((1 - smoothing) * 2e4 + smoothing * 2e4, rel=1e-6)
        shares = (1 - smoothing) * np.eye(3)[[0, 2]] + smoothing / 3
        expected = np.array([[1, 0, 0], [1, 0, 0]]) - shares
        np.testing.assert_allclose(loss.backward(), expected.astype(dtype), atol=1e-7, strict=True)


@pytest.mark.parametrize("loss", [TripletMarginLoss(), KLDivLoss()])
def test_vectors_of_several_axes(loss: Loss) -> None:
    rng = np.random.default_rng(0)
    a, t = -rng.uniform(size=(2, 4, 6)), rng.dirichlet(np.ones(6), size=(2, 4))
    if isinstance(loss, TripletMarginLoss):
        t = np.zeros((2, 4))
    flat = loss.forward(a.reshape(8, 6), t.reshape(8, *t.shape[2:]))
    slope = loss.backward()
    assert loss.forward(a, t) == pytest.approx(flat, rel=1e-14)
    np.testing.assert_allclose(loss.backward().reshape(8, 6), slope, rtol=1e-13, strict=True)


def test_logarithms_above_zero_are_refused() -> None:
    with says(ValueError, "KLDivLoss", "0.5"):
        KLDivLoss().forward(np.array([[-0.1, 0.5]]), np.array([[0.5, 0.5]]))


def test_a_weight_for_each_unit_may_be_an_array() -> None:
    loss = BCEWithLogitsLoss(pos_weight=np.array([2.0, 3.0]))
    assert loss.pos_weight == (2.0, 3.0)


@pytest.mark.parametrize("kind", [BCELoss, BCEWithLogitsLoss])
def test_smoothed_labels(kind) -> None:
    a, t = np.array([[0.2, 0.9, 0.4]]), np.array([[0.0, 1.0, 0.3]])
    smoothed, plain = kind(label_smoothing=0.3), kind()
    assert smoothed.forward(a, t) == pytest.approx(plain.forward(a, 0.7 * t + 0.15), rel=1e-14)
    np.testing.assert_allclose(smoothed.backward(), plain.backward(), rtol=1e-13)


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    ("p", "step"), [(0.0, 1e-14), (5e-13, 1e-15), (3e-12, 1e-14), (1.0, -1e-13)]
)
def test_bce_is_linear_near_0_and_1(target, p, step) -> None:
    loss, t = BCELoss(), np.array([[target]])
    j = loss.forward(np.array([[p]]), t)
    slope = loss.backward()[0, 0]
    moved = p + step
    other = loss.forward(np.array([[moved]]), t, training=False)
    assert (other - j) / (moved - p) == pytest.approx(slope, rel=2e-2, abs=1)


@pytest.mark.parametrize("z", [-800.0, -40.0, 40.0])
def test_bce_with_logits_is_accurate_for_small_losses(z: float) -> None:
    loss = BCEWithLogitsLoss(reduction="sum")
    expected = math.exp(-abs(z)) if abs(z) < 700 else 0.0
    assert loss.forward(np.array([[z]]), np.array([float(z > 0)])) == pytest.approx(
        expected, rel=1e-12
    )


@pytest.mark.parametrize("dtype", [*np.typecodes["AllInteger"], ">i4", ">u2"])
def test_class_indices_of_any_integer_dtype(dtype: str) -> None:
    z = logits(np.random.default_rng(0), 3)
    y = np.array([0, 2, 1, 1, 0, 2])
    loss = CrossEntropyLoss()
    expected, slope = loss.forward(z, y), loss.backward()
    assert loss.forward(z, y.astype(dtype)) == expected
    np.testing.assert_array_equal(loss.backward(), slope, strict=True)
    for bad in (3, -1, 120):
        wrong = y.astype(dtype)
        wrong[4] = np.array(bad).astype(dtype)
        with says(
            ValueError, f"y holds class {wrong[4]} at index 4; CrossEntropyLoss expects 0 to"
        ):
            loss.forward(z, wrong)


def test_one_hot_rows_equal_class_indices() -> None:
    rng = np.random.default_rng(0)
    z, y = logits(rng, 4), indices(rng, 4)
    loss = CrossEntropyLoss(label_smoothing=0.1)
    expected, slope = loss.forward(z, y), loss.backward()
    for rows in (np.eye(4)[y], np.eye(4, dtype=int)[y], np.eye(4, dtype=bool)[y]):
        assert loss.forward(z, rows) == pytest.approx(expected, rel=1e-14)
        np.testing.assert_allclose(loss.backward(), slope, rtol=1e-13, atol=1e-16, strict=True)
    two = y % 2
    assert loss.forward(z[:, :2], two == 1) == loss.forward(z[:, :2], two)


def test_two_classes_equal_binary_cross_entropy() -> None:
    rng = np.random.default_rng(0)
    z, y = logits(rng, 1), indices(rng, 2)
    j = BCEWithLogitsLoss().forward(z, y)
    assert CrossEntropyLoss().forward(np.hstack([0 * z, z]), y) == pytest.approx(j, rel=1e-14)
    assert BCELoss().forward(1 / (1 + np.exp(-z)), y) == pytest.approx(j, rel=1e-13)


def test_float16_rows_are_divided_by_their_sum() -> None:
    rng = np.random.default_rng(0)
    z, t = logits(rng, 5), shares(rng, 5).astype(np.float16)
    exact = t.astype(float) / t.astype(float).sum(axis=1, keepdims=True)
    loss = CrossEntropyLoss()
    j = loss.forward(z, t)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    assert j == pytest.approx(-(exact * log_p).sum(axis=1).mean(), rel=1e-13)
    np.testing.assert_allclose(
        loss.backward(), by_differences(loss, z, t, training=False), atol=1e-9, strict=True
    )


@EVERY_LOSS
@pytest.mark.parametrize(
    "shape", [(), (1,), (5,), (3,), (6, 1), (1, 3), (3, 6), (6, 3, 1), (1, 6, 3)]
)
def test_targets_never_broadcast(loss: Loss, shape: tuple[int, ...]) -> None:
    prediction = np.full((6, 3), 0.5)
    for target in (np.ones(shape), np.ones(shape, int)):
        with pytest.raises((TypeError, ValueError)) as caught:
            loss.forward(prediction, target)
        message = str(caught.value)
        assert "(6, 3)" in message
        assert str(shape) in message


@EVERY_LOSS
def test_targets_of_shape_n_match_only_n_1(loss: Loss) -> None:
    if isinstance(loss, CrossEntropyLoss):
        return
    flat, column = np.ones(4), np.ones((4, 1))
    assert loss.forward(column / 2, flat) == loss.forward(column / 2, column)
    assert loss.backward().shape == (4, 1)
    assert loss.forward(flat / 2, flat) == loss.forward(column / 2, column)
    with says(ValueError, "predictions' shape (4,), got (4, 1)"):
        loss.forward(flat / 2, column)
    with says(ValueError, "predictions' shape (4, 1), got (4, 1, 1)"):
        loss.forward(column / 2, column[..., None])


@EVERY_LOSS
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3,), (4, 1), (1, 4)])
def test_weights_never_broadcast(loss: Loss, shape: tuple[int, ...]) -> None:
    target = np.zeros(4, int) if isinstance(loss, CrossEntropyLoss) else np.ones((4, 3))
    with says(ValueError, f"sample_weight expects shape (4,), a weight for each row, got {shape}"):
        loss.forward(np.full((4, 3), 0.5), target, sample_weight=np.ones(shape))


@EVERY_LOSS
def test_call_names_forward(loss: Loss) -> None:
    name = type(loss).__name__
    with says(TypeError, f"{name} isn't callable: use forward(prediction, target)"):
        loss(np.zeros((1, 3)), np.zeros((1, 3)))


@EVERY_LOSS
def test_no_rows(loss: Loss) -> None:
    with says(ValueError, "the prediction is empty: its shape is (0, 3)"):
        loss.forward(np.zeros((0, 3)), np.zeros((0, 3)))


@pytest.mark.parametrize(
    ("loss", "target", "error", "message"),
    [
        ("mse", [0, 1, 2, 0], ValueError, "or use CrossEntropyLoss() for class indices"),
        ("l1", [True, False, True, True], ValueError, "1 unit, or y of shape (batch, 3)"),
        ("huber", ["a"] * 4, TypeError, "y has dtype <U1"),
        ("mse", [0.0, 1.0, 2.0, 0.0], ValueError, "1 unit, or y of shape (batch, 3)"),
        ("mse", np.zeros((3, 3)), ValueError, "x has 4 rows and y has 3"),
        ("bce", np.full((4, 3), 1.5), ValueError, "1.5 at index (0, 0); BCELoss expects 0 to 1"),
        ("bce", np.full((4, 3), -1), ValueError, "HingeLoss() for -1 and 1"),
        ("bce_with_logits", [0, 1, 2, 0], ValueError, "use CrossEntropyLoss() for class indices"),
        ("bce_with_logits", np.full((4, 3), 2), ValueError, "at index (0, 0); BCEWithLog"),
        ("hinge", np.eye(4)[:, :3], ValueError, "0.0 at index (0, 1); HingeLoss expects -1 or 1"),
        ("hinge", np.eye(4)[:, :3], ValueError, "for labels 0 and 1 pass 2.0 * y - 1"),
        ("cross_entropy", [0, 1, 3, 0], ValueError, "y holds class 3 at index 2; CrossEnt"),
        ("cross_entropy", [0, 1, 3, 0], ValueError, "as the last layer has 3 units: give"),
        ("cross_entropy", [1, 2, 3, 1], ValueError, "as the last layer has 3 units: pass y - 1"),
        ("cross_entropy", [0, 1, -2, 0], ValueError, "y holds class -2 at index 2"),
        ("cross_entropy", [0.0, 1.0, 2.0, 0.0], TypeError, "y holds floats (dtype float64); C"),
        ("cross_entropy", [0.0, 1.0, 2.0, 0.0], TypeError, "from 0: pass y.astype(int)"),
        ("cross_entropy", [0.0, 1.0, 1.5, 0.0], TypeError, "y holds 1.5 at index 2; CrossEnt"),
        ("cross_entropy", [0.5, 1.5, 2.5, 0.5], TypeError, "pass np.unique(y, return_inverse"),
        ("cross_entropy", ["a"] * 4, TypeError, "y is <U1; CrossEntropyLoss expects class indices"),
        ("cross_entropy", ["a"] * 4, TypeError, "pass np.unique(y, return_inverse=True)[1]"),
        ("cross_entropy", [[0], [1], [2], [0]], ValueError, "(4, 3), got (4, 1): pass y[:, 0]"),
        ("cross_entropy", np.zeros((4, 1)), ValueError, "got (4, 1): pass y[:, 0].astype(int)"),
        ("cross_entropy", [0, 1, 2], ValueError, "x has 4 rows and y has 3"),
        ("cross_entropy", np.ones((4, 2)), ValueError, "one-hot rows of shape (4, 3), got (4, 2)"),
        ("cross_entropy", np.ones((4, 3)), ValueError, "y's row 0 adds up to 3; CrossEntropyL"),
        ("cross_entropy", np.ones((4, 3)), ValueError, "for several labels per row use BCEWith"),
        ("cross_entropy", [[2.0, -1.0, 0.0]] * 4, ValueError, "y holds -1.0 at index (0, 1)"),
        ("cross_entropy", np.full((4, 3), "a"), TypeError, "y has dtype <U1"),
    ],
)  # fmt: skip
def test_wrong_targets(loss, target, error, message) -> None:
    model = Sequential([Dense(3)], input_shape=(2,), rng=0)
    model.compile(optimizer="sgd", loss=loss)
    before = model.parameters.value.copy()
    with says(error, message):
        model.loss.forward(np.full((4, 3), 0.5), target)
    if len(target) == 4:
        for call in (model.fit, model.evaluate):
            with says(error, message):
                call(np.zeros((4, 2)), target)
    np.testing.assert_array_equal(model.parameters.value, before, strict=True)


def test_fractions_are_not_cut_to_class_indices() -> None:
    with pytest.raises(ValueError, match=r"got \(4, 1\): pass y\[:, 0\]$"):
        CrossEntropyLoss().forward(np.full((4, 3), 0.5), np.full((4, 1), 0.5))


def test_wrong_predictions() -> None:
    with says(
        ValueError, "the prediction holds 1.5 at index (0, 0); BCELoss expects 0 to 1: end the"
    ):
        BCELoss().forward(np.array([[1.5]]), np.array([1.0]))
    for width in (1, 0):
        with says(
            ValueError,
            "at least one row"
            if width == 0
            else "of shape (batch, ..., classes), got (2, 1): give the last layer a unit",
        ):
            CrossEntropyLoss().forward(np.zeros((2, width)), np.zeros(2, int))
    with says(ValueError, "of shape (batch, ..., classes), got (2,)"):
        CrossEntropyLoss().forward(np.zeros(2), np.zeros(2, int))


@EVERY
def test_nan_predictions_give_nan(kind) -> None:
    loss, prediction, _ = prepare(kind)
    target = np.full_like(prediction, 1.0) if kind[3] in (labels, counts) else prepare(kind)[2]
    prediction[0, 1] = np.nan
    target = np.eye(3)[np.ones(ROWS, int)] if kind[3] is one_hot else target
    assert math.isnan(loss.forward(prediction, target))


@pytest.mark.parametrize(
    ("loss", "prediction", "target", "message"),
    [
        (KLDivLoss(), shares, shares, "KLDivLoss expects -inf to 0: end the model with LogSoftmax"),
        (KLDivLoss(), logarithms, logits, "KLDivLoss expects one-hot rows or probabilities"),
        (KLDivLoss(), logarithms, indices, "KLDivLoss expects targets of the predictions' shape"),
        (PoissonNLLLoss(), logits, logits, "PoissonNLLLoss expects 0 to inf: counts"),
        (PoissonNLLLoss(log_input=False), logits, counts, "expects 0 to inf: end the model with S"),
        (FocalWithLogitsLoss(), logits, signs, "FocalWithLogitsLoss expects 0 to 1"),
        (
            KLDivLoss(),
            lambda rng, _: logits(rng, 1),
            no_targets,
            "KLDivLoss expects predictions of",
        ),
        (CosineSimilarityLoss(), no_targets, no_targets, "(batch, ..., features), got (6,)"),
        (CosineSimilarityLoss(), logits, no_targets, "shape (6, 3), got (6,)"),
        (TripletMarginLoss(), lambda rng, _: logits(rng, 4), no_targets, "(6, 4): join an anchor"),
        (TripletMarginLoss(), triplets, indices, "expects zeros of shape (6,) as y"),
        (TripletMarginLoss(), triplets, logits, "got float64 of shape (6, 3): pass np.zeros((6,))"),
        (BCEWithLogitsLoss(pos_weight=[1, 2]), logits, labels, "each of 3 units, got 2"),
    ],
)
def test_unsuitable_predictions_and_targets(loss, prediction, target, message: str) -> None:
    rng = np.random.default_rng(0)
    with says(ValueError, message):
        loss.forward(prediction(rng, 3), target(rng, 3))


def test_impossible_classes_have_no_share_in_the_kl_divergence() -> None:
    loss = KLDivLoss(reduction="sum")
    with np.errstate(all="raise"):
        assert loss.forward(np.array([[0.0, -np.inf]]), np.array([[1.0, 0.0]])) == 0.0
    np.testing.assert_array_equal(loss.backward(), np.array([[-1.0, 0.0]]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_vectors_of_zeros_have_finite_slopes(dtype: str) -> None:
    zeros = np.zeros((2, 6), dtype)
    for loss, target in ((CosineSimilarityLoss(), zeros + 1), (TripletMarginLoss(), zeros[:, 0])):
        with np.errstate(all="raise"):
            assert loss.forward(zeros, target) == 1.0
        assert np.isfinite(loss.backward()).all()
    triplet = np.full((1, 3), 0, dtype)
    triplet[0, 1] = 1e-6  # its distance to the anchor, with what is added, is zero
    TripletMarginLoss().forward(triplet, [0])
    assert np.isfinite(TripletMarginLoss().terms(triplet, zeros[:1, 0])[1]).all()


@pytest.mark.parametrize("weight", [3.0, (0.5, 3.0, 7.0)], ids=repr)
def test_pos_weight_repeats_the_positive_labels(weight) -> None:
    rng = np.random.default_rng(0)
    z, t = logits(rng, 3), labels(rng, 3)
    plain, heavy = BCEWithLogitsLoss(), BCEWithLogitsLoss(pos_weight=weight)
    terms, slope = plain.terms(z, t)
    factor = np.where(t == 1, weight, 1.0)
    for ours, theirs in zip(heavy.terms(z, t), (factor * terms, factor * slope), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13)


@pytest.mark.parametrize(
    ("made", "options", "error"),
    [
        (HuberLoss, {"delta": 0}, ValueError),
        (HuberLoss, {"delta": "1"}, TypeError),
        (CrossEntropyLoss, {"label_smoothing": 1.0}, ValueError),
        (CrossEntropyLoss, {"label_smoothing": -0.1}, ValueError),
        (MSELoss, {"reduction": "none"}, ValueError),
        (BCELoss, {"label_smoothing": 1}, ValueError),
        (BCEWithLogitsLoss, {"pos_weight": 0}, ValueError),
        (BCEWithLogitsLoss, {"pos_weight": [1, -2]}, ValueError),
        (BCEWithLogitsLoss, {"pos_weight": [[1]]}, TypeError),
        (FocalWithLogitsLoss, {"gamma": -1}, ValueError),
        (FocalWithLogitsLoss, {"alpha": 1}, ValueError),
        (PoissonNLLLoss, {"log_input": 1}, TypeError),
        (TripletMarginLoss, {"margin": 0}, ValueError),
    ],
)
def test_options_out_of_range(made, options, error) -> None:
    with pytest.raises(error, match=next(iter(options))):
        made(**options)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("mse", MSELoss),
        ("l1", L1Loss),
        ("mae", L1Loss),
        ("huber", HuberLoss),
        ("bce", BCELoss),
        ("bce_with_logits", BCEWithLogitsLoss),
        ("cross_entropy", CrossEntropyLoss),
        ("hinge_loss", HingeLoss),
        ("focal_with_logits", FocalWithLogitsLoss),
        ("kl_div", KLDivLoss),
        ("poisson_nll", PoissonNLLLoss),
        ("cosine_similarity", CosineSimilarityLoss),
        ("triplet_margin", TripletMarginLoss),
    ],
)
def test_names(name: str, made: type[Loss]) -> None:
    assert type(as_losses(name)) is made
    loss = made()
    assert as_losses(loss) is loss


@pytest.mark.parametrize("name", ["mse", "mae", "l1", "huber"])
def test_losses_and_metrics_have_the_same_names(name: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(ROWS, 2)), rng.normal(size=(ROWS, 3))
    model = Sequential([Dense(3)], input_shape=(2,), rng=0)
    model.compile(optimizer="sgd", loss=name, metrics=[name])
    measured = model.evaluate(x, y)
    assert measured[name] == pytest.approx(measured["loss"], rel=1e-14)


def test_unknown_name() -> None:
    with says(ValueError, "loss='mea' is not known"):
        as_losses("mea")


@pytest.mark.parametrize(
    ("loss", "y", "width", "weights", "expected"),
    [
        (CrossEntropyLoss(), [0, 2, 1, 2], 3, {0: 1, 1: 2, 2: 3}, [1, 3, 2, 3]),
        (CrossEntropyLoss(), np.eye(3)[[0, 2, 1, 2]], 3, {0: 1, 1: 2, 2: 3}, [1, 3, 2, 3]),
        (
            CrossEntropyLoss(),
            np.eye(3, dtype=int)[[0, 2, 1, 2]],
            3,
            {0: 1, 1: 2, 2: 0},
            [1, 0, 2, 0],
        ),
        (CrossEntropyLoss(), np.uint8([0, 1, 1, 1]), 2, {0: 0.5, 1: 4}, [0.5, 4, 4, 4]),
        (BCELoss(), [0.0, 1.0, 1.0, 0.0], 1, {0: 1, 1: 5}, [1, 5, 5, 1]),
        (BCEWithLogitsLoss(), [[0.0], [1.0], [1.0], [0.0]], 1, {0: 1, 1: 5}, [1, 5, 5, 1]),
        (BCEWithLogitsLoss(), [0, 1, 1, 0], 1, {0: 1, 1: 5}, [1, 5, 5, 1]),
        (BCEWithLogitsLoss(), [False, True, True, False], 1, {0: 1, 1: 5}, [1, 5, 5, 1]),
        (HingeLoss(), [-1, 1, 1, -1], 1, {-1: 1, 1: 5}, [1, 5, 5, 1]),
    ],
)
def test_class_weights_become_row_weights(loss, y, width, weights, expected) -> None:
    def weight(sample_weight=None):
        rows = as_rows(*as_pair(np.zeros((4, 2)), y), sample_weight, Form(loss, (width,)))
        return weighted_by_class(rows, weights, (width,)).weight

    np.testing.assert_array_equal(weight(), np.array(expected, float), strict=True)
    both = weight(sample_weight=np.array([1.0, 2.0, 0.0, 1.0]))
    np.testing.assert_array_equal(both, np.array(expected) * [1.0, 2.0, 0.0, 1.0], strict=True)


@pytest.mark.parametrize(
    ("loss", "y", "width", "weights", "message"),
    [
        (CrossEntropyLoss(), [0, 2, 1, 2], 3, {0: 1, 1: 2}, "for class 2: it has [0, 1]"),
        (BCELoss(), [0.3, 1.0, 1.0, 0.0], 1, {0: 1, 1: 2}, "for class 0.3: it has [0, 1]; y must"),
        (BCELoss(), np.ones((4, 3)), 3, {0: 1, 1: 2}, "one class per row, and y of shape"),
        (CrossEntropyLoss(), np.full((4, 2), 0.5), 2, {0: 1, 1: 2}, "one-hot: pass sample_weight"),
        (CrossEntropyLoss(), [0, 1, 1, 0], 2, {0: 1, 1: -2}, "class_weight[1] >= 0, got -2"),
        (CrossEntropyLoss(), [0, 1, 1, 0], 2, {0: 1, 1: np.nan}, "class_weight[1] >= 0, got nan"),
        (CrossEntropyLoss(), [0, 1, 1, 0], 2, {0: 0, 1: 0}, "expects a positive weight"),
    ],
)  # fmt: skip
def test_wrong_class_weights(loss, y, width, weights, message) -> None:
    rows = as_rows(*as_pair(np.zeros((4, 2)), y), None, Form(loss, (width,)))
    with says(ValueError, message):
        weighted_by_class(rows, weights, (width,))


@pytest.mark.parametrize(
    ("loss", "y", "width"),
    [
        (CrossEntropyLoss(), [0, 2, 2, 2, 0, 2], 3),
        (CrossEntropyLoss(), np.eye(3)[[0, 2, 2, 2, 0, 2]], 3),
        (BCELoss(), [0, 1, 1, 1, 0, 1], 1),
        (HingeLoss(), [[-1], [1], [1], [1], [-1], [1]], 1),
    ],
)
def test_balanced_class_weights(loss, y, width) -> None:
    rows = as_rows(np.zeros((6, 2)), np.array(y), None, Form(loss, (width,)))
    weight = weighted_by_class(rows, "balanced", (width,)).weight
    np.testing.assert_array_equal(weight, [1.5, 0.75, 0.75, 0.75, 1.5, 0.75], strict=True)
    balanced = pytest.importorskip("sklearn.utils.class_weight").compute_sample_weight
    if np.ndim(y) == 1:
        np.testing.assert_array_equal(weight, balanced("balanced", y))


def test_balanced_class_weights_need_all_rows_and_one_class_each() -> None:
    model = Sequential([Dense(2)], input_shape=(2,), rng=0)
    model.compile(optimizer="sgd", loss=BCEWithLogitsLoss())
    x = np.zeros((4, 2))
    with says(
        ValueError, "isn't one-hot: pass sample_weight, or BCEWithLogitsLoss(pos_weight=...)"
    ):
        model.fit(x, np.ones((4, 2)), class_weight="balanced")
    with says(ValueError, "class_weight='balanced' needs arrays x and y, got an iterable"):
        model.fit([(x, np.eye(2)[[0, 1, 1, 1]])], class_weight="balanced")
    with says(TypeError, "or 'balanced', got 'balance'"):
        model.fit(x, np.eye(2)[[0, 1, 1, 1]], class_weight="balance")


@pytest.mark.parametrize("weight", ["1", None, 1j, True])
def test_class_weights_that_are_not_numbers(weight) -> None:
    rows = as_rows(*as_pair(np.zeros((4, 2)), [0, 1, 1, 0]), None, Form(BCELoss(), (1,)))
    with says(TypeError, "class_weight[1] >= 0, got"):
        weighted_by_class(rows, {0: 1.0, 1: weight}, (1,))


@pytest.mark.parametrize("loss", [CrossEntropyLoss(label_smoothing=0.1), MSELoss(), HuberLoss()])
def test_through_a_network(loss: Loss) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 2))
    y = indices(rng, 3) if isinstance(loss, CrossEntropyLoss) else logits(rng, 3)
    model = Sequential([Dense(4, "tanh"), Dense(3)], input_shape=(2,), rng=1)
    assert check_gradients(model, x, y, loss)


def test_class_weights_change_predictions() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, size=300)
    x = rng.normal(size=(300, 2)) + 3 * np.array([[0, 0], [1, 0], [0, 1]])[y]
    found = {}
    for weights in (None, {0: 1, 1: 1, 2: 20}):
        model = Sequential([Dense(3)], input_shape=(2,), rng=1)
        model.compile(optimizer=SGD(learning_rate=0.3), loss="cross_entropy", metrics=["accuracy"])
        history = model.fit(x, y, epochs=20, class_weight=weights, verbose=0)
        found[str(weights)] = np.bincount(model.predict(x).argmax(axis=1), minlength=3)
        assert history["accuracy"][-1] > (0.85 if weights is None else 0.6)
    assert found["{0: 1, 1: 1, 2: 20}"][2] > found["None"][2]


def assert_agrees(case, theirs, dtype: str) -> None:
    loss = getattr(minigrad, case["name"])(**case["options"])
    prediction, weight = np.array(case["prediction"], dtype), case["sample_weight"]
    j = loss.forward(prediction, np.array(case["target"]), sample_weight=weight)
    close = TOLERANCE[dtype]
    assert j == pytest.approx(theirs["j"], rel=close, abs=close)
    np.testing.assert_allclose(
        loss.backward(), np.array(theirs["gradient"], dtype), rtol=close, atol=close, strict=True
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['name']} {c['options']}")
def test_recorded_pytorch_results(case, dtype: str) -> None:
    assert_agrees(case, case[dtype], dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_installed_pytorch(dtype: str) -> None:
    script = torch_script("losses")
    for case in itertools.chain(script.cases(1), script.cases(2)):
        assert_agrees(case, script.compute(case, dtype), dtype)


def test_docstrings_about_pytorch() -> None:
    torch_script("losses")
    import torch

    rng = np.random.default_rng(0)
    z, t = logits(rng, 3), logits(rng, 3)
    theirs = torch.nn.SmoothL1Loss(beta=0.3)(torch.tensor(z), torch.tensor(t)).item()
    assert HuberLoss(delta=0.3, scale=1 / 0.3).forward(z, t) == pytest.approx(theirs, rel=1e-13)

    y, weight = indices(rng, 3), np.array([0.5, 1.0, 3.0])

    def weighted(target, **options):
        loss = torch.nn.CrossEntropyLoss(weight=torch.tensor(weight), **options)
        return loss(torch.tensor(z), torch.tensor(target)).item()

    ours = CrossEntropyLoss().forward(z, y, sample_weight=weight[y])
    assert ours == pytest.approx(weighted(y), rel=1e-13)
    smooth = CrossEntropyLoss(label_smoothing=0.2).forward(z, y, sample_weight=weight[y])
    assert smooth != pytest.approx(weighted(y, label_smoothing=0.2), rel=1e-3)
    by_rows = weighted(np.eye(3)[y])
    assert by_rows == pytest.approx(ours * weight[y].sum() / ROWS, rel=1e-13)


def test_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    a, t = logits(rng, 1), np.array([[1.0], [1], [-1], [1], [-1], [-1]])
    theirs = metrics.hinge_loss(t[:, 0], a[:, 0], sample_weight=WEIGHT)
    assert HingeLoss().forward(a, t, sample_weight=WEIGHT) == pytest.approx(theirs, rel=1e-13)
    z, y = logits(rng, 3), np.array([0, 1, 2, 2, 1, 0])
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    theirs = metrics.log_loss(y, p, sample_weight=WEIGHT)
    assert CrossEntropyLoss().forward(z, y, sample_weight=WEIGHT) == pytest.approx(
        theirs, rel=1e-13
    )


class Critic(Loss):
    """t a, whose derivative is the target itself."""

    def terms(self, prediction, target):
        return prediction * target, target


@pytest.mark.parametrize("weight", [None, np.arange(1.0, 5.0)])
def test_result_of_terms_is_not_written_to(weight) -> None:
    x, y = np.ones((4, 2)), np.arange(4.0)[:, None]
    model = Sequential([Dense(1)], input_shape=(2,), rng=0)
    model.compile(optimizer=SGD(learning_rate=0.1), loss=Critic())
    model.fit(x, y, batch_size=None, epochs=2, sample_weight=weight, verbose=0)
    np.testing.assert_array_equal(y, np.arange(4.0)[:, None], strict=True)
    assert check_gradients(model, x, y, Critic()).passed


def test_backward_returns_a_new_array() -> None:
    loss = MSELoss()
    loss.forward(np.array([[1.0]]), np.array([[0.0]]))
    slope = loss.backward()
    slope *= 0
    np.testing.assert_array_equal(loss.backward(), np.array([[2.0]]), strict=True)


class Odd(Loss):
    """Terms as they are given."""

    def __init__(self, terms, slope) -> None:
        super().__init__()
        self.given = terms, slope

    def terms(self, prediction, target):
        return self.given


@pytest.mark.parametrize(
    ("terms", "slope", "error", "message"),
    [
        (np.ones((1, 1)), np.ones((3, 1)), TypeError, "got (1, 1)"),
        (np.float64(1.0), np.ones((3, 1)), TypeError, "got () and"),
        (np.ones((3, 1)), 1.0, TypeError, "and () in"),
        (np.ones((3, 1)), np.ones((3, 3)), TypeError, "and (3, 3) in"),
        (np.ones((3, 1)), np.ones((3, 1), "f4"), TypeError, "in float32"),
    ],
)
def test_wrong_terms(terms, slope, error, message: str) -> None:
    with says(error, "terms of Odd must return", "(3, 1)", message):
        Odd(terms, slope).forward(np.ones((3, 1)), np.ones((3, 1)))


@pytest.mark.parametrize("scale", ["2", None, math.nan, math.inf])
def test_scale_is_a_finite_number(scale) -> None:
    for kind in (MSELoss, HuberLoss, CrossEntropyLoss):
        with says((TypeError, ValueError), f"{kind.__name__} expects a finite number scale"):
            kind(scale=scale)


def test_integer_predictions_are_refused() -> None:
    with says(TypeError, f"MSELoss expects predictions that are floats, got dtype {np.dtype(int)}"):
        MSELoss().forward(np.array([[1]]), np.array([[0.5]]))


@pytest.mark.parametrize("loss", [MSELoss(), L1Loss(), HuberLoss()], ids=repr)
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int8, bool])
def test_integer_targets_of_regression(loss: Loss, dtype) -> None:
    prediction = logits(np.random.default_rng(0), 1)
    target = np.arange(ROWS) > 2
    expected = loss.forward(prediction, target.astype(float)), loss.backward()
    found = loss.forward(prediction, target.astype(dtype)), loss.backward()
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1], strict=True)


P, T = np.full((4, 3), 0.5), np.ones((4, 3))
MASKED = np.ma.masked_array(T, mask=T > 0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((1.5, 1.0), ValueError, "the prediction is a single number"),
        ((P, 1.0), ValueError, "shape (4, 3), got ()"),
        ((MASKED, T), TypeError, "the prediction is a MaskedArray"),
        ((P, MASKED), TypeError, "y is a MaskedArray"),
        ((P, T, MASKED[:, 0]), TypeError, "sample_weight is a MaskedArray"),
        ((P + 1j, T), TypeError, "the prediction has dtype complex128"),
        ((P, T + 1j), TypeError, "y has dtype complex128"),
        ((P, T, T[:, 0] + 1j), TypeError, "sample_weight has dtype complex128"),
        ((P, T, "1"), TypeError, "sample_weight has dtype <U1"),
        ((P, T, T[:, 0].astype("M8[D]")), TypeError, "sample_weight has dtype datetime64[D]"),
        ((P, T, -T[:, 0]), ValueError, "sample_weight expects weights >= 0"),
        ((P, T, np.nan * T[:, 0]), ValueError, "sample_weight holds nan at index (0,)"),
        ((P.astype(str), T), TypeError, "the prediction has dtype <U"),
        (([[1.0], [1.0, 2.0]], T), ValueError, "the prediction is a list that NumPy can't convert"),
        ((P, [[1.0], [1.0, 2.0]]), ValueError, "y is a list that NumPy can't convert"),
    ],
)  # fmt: skip
def test_wrong_arrays_in_forward(arguments, error, message: str) -> None:
    prediction, target, *weight = arguments
    options = {"sample_weight": weight[0]} if weight else {}
    with says(error, message):
        MSELoss().forward(prediction, target, **options)


def test_terms_may_be_float64_for_float32_predictions() -> None:
    class Precise(MSELoss):
        def terms(self, prediction, target):
            terms, slope = super().terms(prediction, target)
            return terms.astype(float), slope

    loss = Precise()
    prediction = np.ones((3, 1), np.float32)
    loss.forward(prediction, np.zeros((3, 1)), sample_weight=np.arange(3.0))
    assert loss.backward().dtype == np.float32
