"""Metrics: results by hand and by scikit-learn, over all rows, without a warning."""

import numpy as np
import pytest

from helpers import ENGINES, says
from minigrad import (
    L2,
    SGD,
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    Dense,
    HingeLoss,
    Input,
    Model,
    MSELoss,
    Sequential,
    Sigmoid,
    metrics,
    softmax,
)
from minigrad.layers.activations import sigmoid
from minigrad.metrics import (
    METRICS,
    AtThreshold,
    OfOutput,
    OfProbabilities,
    TopK,
    accuracy,
    binary_accuracy,
    confusion_matrix,
    f1,
    huber,
    log_loss,
    mae,
    mse,
    named_metrics,
    pr_auc,
    precision,
    r2,
    recall,
    rmse,
    roc_auc,
    top_k_accuracy,
)

REGRESSION = [mae, mse, rmse, huber, r2]
CLASSES = [accuracy, precision, recall, f1]
AVERAGED = [precision, recall, f1]


def test_regression_by_hand() -> None:
    t, a = np.array([1.0, 2.0, 4.0]), np.array([[2.0], [2.0], [2.0]])
    assert mae(t, a) == 1.0
    assert mse(t, a) == pytest.approx(5 / 3)
    assert rmse(t, a) == pytest.approx((5 / 3) ** 0.5)
    assert huber(t, a) == pytest.approx((0.5 + 1.5) / 3)
    assert huber(t, a, delta=2.0) == pytest.approx(2.5 / 3)
    assert r2(t, a) == pytest.approx(1 - 5 / (14 / 3))


@pytest.mark.parametrize("metric", REGRESSION)
def test_targets_of_shape_n_match_only_n_1(metric) -> None:
    rng = np.random.default_rng(0)
    t, a = rng.integers(0, 9, size=5), rng.normal(size=(5, 1))
    assert metric(t, a) == metric(t[:, None].astype(float), a) == metric(t.astype(float), a[:, 0])
    for target, prediction in ((t[:, None], a[:, 0]), (t, a * np.ones(5)), (t[:1], a), (t[0], a)):
        with says(ValueError, f"{metric.__name__} expects targets of the predictions' shape"):
            metric(target, prediction)
    with says(ValueError, "the prediction is empty: its shape is (0, 1)"):
        metric(np.zeros((0, 1)), np.zeros((0, 1)))


@pytest.mark.parametrize("metric", REGRESSION)
def test_small_integers_do_not_overflow(metric) -> None:
    t, a = np.array([1, 200], np.uint8), np.array([2, 100], np.uint8)
    assert metric(t, a) == metric(t.astype(float), a.astype(float))


@pytest.mark.parametrize(
    ("target", "prediction", "expected"),
    [
        ([3.0, 3.0], [3.0, 3.0], 1.0),
        ([3.0, 3.0], [3.0, 4.0], 0.0),
        ([0.1] * 3, [0.1] * 2 + [0.2], 0.0),  # their mean isn't 0.1
        ([3.0], [3.0], 1.0),
        ([3.0], [4.0], 0.0),
        ([[1.0, 5.0], [2.0, 5.0]], [[1.0, 5.0], [2.0, 5.0]], 1.0),
        ([[1.0, 5.0], [2.0, 5.0]], [[1.0, 5.0], [2.0, 6.0]], 0.5),
    ],
)
def test_r2_of_equal_targets(target, prediction, expected: float) -> None:
    assert r2(np.array(target), np.array(prediction)) == expected


def test_float32_is_averaged_in_float64() -> None:
    a = np.full((1_000_000, 1), 0.1, np.float32)
    assert mae(np.zeros(1_000_000, np.float32), a) == pytest.approx(float(a[0, 0]), rel=1e-12)


def test_two_classes_by_hand() -> None:
    t = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    p = np.array([0.9, 0.8, 0.2, 0.7, 0.1, 0.2, 0.5, 0.3])
    np.testing.assert_array_equal(confusion_matrix(t, p), np.array([[4, 1], [1, 2]]), strict=True)
    assert accuracy(t, p) == binary_accuracy(t, p) == 6 / 8
    assert precision(t, p) == recall(t, p) == pytest.approx(2 / 3)
    assert f1(t, p) == pytest.approx(2 / 3)
    assert precision(t, p, threshold=0.75) == 1.0


def test_several_classes_by_hand() -> None:
    t = np.array([0, 0, 0, 1, 2, 2])
    scores = np.eye(4)[[0, 0, 1, 1, 1, 2]]
    expected = np.array([[2, 1, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(confusion_matrix(t, scores), expected, strict=True)
    assert accuracy(t, scores) == 4 / 6
    assert precision(t, scores) == pytest.approx((1 + 1 / 3 + 1) / 3)
    assert recall(t, scores) == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)
    assert f1(t, scores) == pytest.approx((4 / 5 + 2 / 4 + 2 / 3) / 3)


@pytest.mark.parametrize("metric", [*CLASSES, confusion_matrix])
def test_all_forms_of_targets_give_the_same(metric) -> None:
    rng = np.random.default_rng(0)
    y, scores = rng.integers(0, 3, size=40), rng.normal(size=(40, 3))
    expected = metric(y, scores)
    for target in (np.int8(y), np.uint64(y), np.eye(3)[y], np.eye(3, dtype=int)[y], y.tolist()):
        np.testing.assert_array_equal(metric(target, scores), expected, strict=True)
    labels, p = y > 0, rng.uniform(size=(40, 1))
    expected = metric(labels, p)
    smooth = np.where(labels, 0.9, 0.1)
    for target in (labels.astype(int), labels[:, None] * 1.0, smooth):
        np.testing.assert_array_equal(metric(target, p), expected, strict=True)
    np.testing.assert_array_equal(metric(labels, p[:, 0]), expected, strict=True)
    np.testing.assert_array_equal(metric(2 * labels - 1, 2 * p - 1), expected, strict=True)
    np.testing.assert_array_equal(metric(2 * labels - 1, p, threshold=0.5), expected, strict=True)


def test_int8_class_indices_do_not_overflow() -> None:
    y = np.arange(100, dtype=np.int8)
    np.testing.assert_array_equal(confusion_matrix(y, np.eye(100)), np.eye(100, dtype=np.intp))
    assert accuracy(y, np.eye(100)) == f1(y, np.eye(100)) == 1.0


def test_several_labels_per_row() -> None:
    t, p = np.array([[1, 1, 0], [0, 1, 0]]), np.array([[0.9, 0.4, 0.2], [0.1, 0.7, 0.6]])
    assert binary_accuracy(t, p) == pytest.approx(4 / 6)
    for metric in CLASSES:
        way = "'binary_accuracy'" if metric is accuracy else "labels='macro'"
        with says(ValueError, metric.__name__, "2 labels in row 0", way):
            metric(t, p)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_top_k_by_hand(k: int) -> None:
    scores = np.array([[4, 3, 2, 1], [1, 2, 3, 4], [3, 4, 1, 2], [0, 0, 0, 0.0]])
    y = np.array([0, 2, 2, 1])
    assert top_k_accuracy(y, scores, k=k) == {1: 0.25, 2: 0.75, 4: 1.0}[k]
    assert top_k_accuracy(np.eye(4)[y], scores, k=k) == top_k_accuracy(y, scores, k=k)


def test_top_1_is_accuracy_with_ties() -> None:
    rng = np.random.default_rng(0)
    scores, y = rng.integers(0, 3, size=(200, 4)).astype(float), rng.integers(0, 4, size=200)
    assert top_k_accuracy(y, scores, k=1) == accuracy(y, scores)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint64", "int64", "bool", "float32"])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_of_any_dtype(dtype: str, k: int) -> None:
    rng = np.random.default_rng(0)
    scores, y = rng.integers(0, 2, size=(200, 4)).astype(dtype), rng.integers(0, 4, size=200)
    if dtype == "int8":
        scores *= -128
    expected = top_k_accuracy(y, scores.astype(float), k=k)
    assert top_k_accuracy(y, scores, k=k) == expected
    ranked = np.argsort(-scores.astype(float), axis=1, kind="stable")[:, :k]
    assert expected == np.mean((ranked == y[:, None]).any(axis=1))


SCORED = [roc_auc, pr_auc, log_loss]
EVERY = [*REGRESSION, *CLASSES, binary_accuracy, top_k_accuracy, confusion_matrix, *SCORED]
EVERY_METRIC = pytest.mark.parametrize("metric", EVERY)


def example(metric, dtype=float):
    """Return perfect predictions and their targets."""
    if metric is top_k_accuracy:
        return np.eye(6, dtype=dtype), np.eye(6, dtype=dtype)
    return np.array([1, 0, 1], dtype), np.array([[1], [0], [1]], dtype)


@EVERY_METRIC
def test_nan_never_gives_a_good_figure(metric) -> None:
    for place in (0, 1):
        for value in (np.nan, np.inf) if metric in REGRESSION else (np.nan,):
            pair = [array.copy() for array in example(metric)]
            pair[place].flat[0] = value
            if metric in REGRESSION:
                assert not np.isfinite(metric(*pair))
            elif place == 0 or metric is confusion_matrix:
                with says(ValueError, "holds nan at index"):
                    metric(*pair)
            else:
                assert np.isnan(metric(*pair))


@pytest.mark.parametrize("metric", [*CLASSES, confusion_matrix])
def test_nan_scores_of_several_classes(metric) -> None:
    y, scores = np.arange(3), np.eye(3)
    scores[1, 1] = np.nan
    if metric is confusion_matrix:
        with says(ValueError, "the prediction holds nan at index (1, 1)"):
            metric(y, scores)
    else:
        assert np.isnan(metric(y, scores))
    with says(ValueError, "y holds nan at index (0, 0)"):
        metric(np.where(np.eye(3) == 1, np.nan, 0.0), np.eye(3))


@EVERY_METRIC
@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda a: np.ma.masked_array(a, mask=a > 0), TypeError, "is a MaskedArray"),
        (lambda a: a + 0j, TypeError, "has dtype complex128"),
        (lambda a: a.astype("M8[s]"), TypeError, "datetime64[s]"),
        (lambda a: a.astype(str), TypeError, "<U"),
        (lambda a: [[1.0], [1.0, 0.0]], ValueError, "is a list that NumPy can't convert"),
        (lambda a: 1.5, ValueError, " "),
    ],
)
def test_unsuitable_arrays(metric, spoil, error, message: str) -> None:
    for place in (0, 1):
        pair = list(example(metric))
        pair[place] = spoil(pair[place])
        with says(error, message):
            metric(*pair)


def test_a_single_number() -> None:
    with says(ValueError, "the prediction is a single number"):
        mae(np.ones(3), 1.5)
    with says(ValueError, "mae expects targets of the predictions' shape (3,), got ()"):
        mae(1.5, np.ones(3))


def test_no_metrics() -> None:
    assert named_metrics(None) == named_metrics([]) == {}
    model = Sequential([Dense(1)], input_shape=(2,))
    model.compile(optimizer="sgd", loss="mse", metrics=None)
    assert model.metrics == {}


@pytest.mark.parametrize("k", [0, 5])
def test_k_out_of_range(k: int) -> None:
    with says(ValueError, f"got {k}"):
        top_k_accuracy(np.array([0]), np.eye(4)[:1], k=k)


@pytest.mark.parametrize(
    ("target", "prediction", "expected"),
    [
        ([0, 0], [0.1, 0.2], (0, 0, 0)),
        ([1, 1], [0.1, 0.2], (0, 0, 0)),
        ([0, 0], [0.8, 0.9], (0, 0, 0)),
        ([1, 1], [0.8, 0.9], (1, 1, 1)),
        ([0, 0], [[1.0, 0.0], [1.0, 0.0]], (1, 1, 1)),
        ([0, 1], [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], (0.25, 0.5, 1 / 3)),
    ],
)
def test_zero_divided_by_zero_is_zero(target, prediction, expected) -> None:
    found = [metric(np.array(target), np.array(prediction)) for metric in AVERAGED]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("metric", CLASSES)
@pytest.mark.parametrize(
    ("target", "prediction", "error", "message"),
    [
        ([0.0, 1.0], np.eye(3)[:2], TypeError, "y holds floats (dtype float64); {} expects class"),
        ([0, 3], np.eye(3)[:2], ValueError, "y holds class 3 at index 1; {} expects 0 to 2"),
        ([[0], [1]], np.eye(3)[:2], ValueError, "(2, 3), got (2, 1): pass y[:, 0]"),
        ([0, 2], [[0.1], [0.2]], ValueError, "y holds 2 at index (1, 0); {} expects -1 to 1"),
        ([0.0, 7.5], [0.1, 0.2], ValueError, "'mae' and 'r2' are for regression"),
        ([0, 1, 0], [[0.1], [0.2]], ValueError, "shape (2, 1), got (3,): x has 2 rows and y has 3"),
        ([0, 1], np.zeros((2, 3, 3)), ValueError, "(2, 3) or one-hot rows of shape (2, 3, 3), got"),
        (np.zeros(0, int), np.zeros((0, 3)), ValueError, "the prediction is empty"),
        (np.zeros(0), np.zeros((0, 1)), ValueError, "the prediction is empty"),
    ],
)
def test_wrong_targets(metric, target, prediction, error, message: str) -> None:
    with says(error, message.format(metric.__name__)):
        metric(np.array(target), np.array(prediction))


def fitted(loss, y, *names, units: int = 1) -> tuple[Sequential, dict[str, float]]:
    x = np.random.default_rng(0).normal(size=(len(y), 2))
    model = Sequential([Dense(units)], input_shape=(2,), rng=0)
    model.compile(optimizer=SGD(learning_rate=0.1), loss=loss, metrics=names)
    history = model.fit(x, y, epochs=2, batch_size=7, validation_data=(x, y), verbose=0)
    measured = model.evaluate(x, y)
    assert measured == {name: history[f"val_{name}"][-1] for name in ("loss", *model.metrics)}
    return model.predict(x), measured


@pytest.mark.parametrize(
    ("loss", "threshold"), [("bce_with_logits", 0), ("hinge", 0), ("mse", 0.5), (MSELoss(), 0.5)]
)
def test_named_metrics_take_the_threshold_of_the_loss(loss, threshold: float) -> None:
    y = np.random.default_rng(1).integers(0, 2, size=50)
    target = 2.0 * y - 1 if loss == "hinge" else y.astype(float)
    prediction, measured = fitted(loss, target, "accuracy", "binary_accuracy", f1)
    meant = prediction[:, 0] > threshold
    assert 0 < meant.sum() != (prediction[:, 0] > 0.5 - threshold).sum()
    assert measured["accuracy"] == measured["binary_accuracy"] == np.mean(meant == (y == 1))
    assert measured["f1"] == f1(y, meant.astype(float))


@pytest.mark.parametrize("loss", ["mse", "l1", "huber"])
def test_threshold_of_labels_minus_1_and_1(loss: str) -> None:
    y = 2.0 * np.random.default_rng(1).integers(0, 2, size=50) - 1
    prediction, measured = fitted(loss, y, "accuracy", "binary_accuracy", f1)
    meant = prediction[:, 0] > 0
    assert meant.sum() != (prediction[:, 0] > 0.5).sum()
    assert measured["accuracy"] == measured["binary_accuracy"] == np.mean(meant == (y == 1))
    assert measured["f1"] == f1(y == 1, meant)
    near = np.array([0.2, 0.4, -0.2, -0.4])
    assert accuracy(np.array([1, 1, -1, -1]), near) == 1.0
    assert accuracy(np.array([1, 1, -1, -1]), near, threshold=0.5) == 0.5
    assert accuracy(np.array([1, 1, 0, 0]), near) == 0.5


def test_own_threshold() -> None:
    y = np.random.default_rng(1).integers(0, 2, size=50)
    wary = AtThreshold("precision", threshold=0.4)
    prediction, measured = fitted(BCEWithLogitsLoss(), y, wary)
    assert measured["precision"] == precision(y, prediction, threshold=0.4)


def test_named_metrics_over_all_rows() -> None:
    y = np.random.default_rng(1).integers(0, 4, size=50)
    names = ["accuracy", "top_2_accuracy", "precision", "recall", "f1"]
    prediction, measured = fitted("cross_entropy", y, *names, TopK(k=3), units=4)
    assert list(measured) == ["loss", *names, "top_3_accuracy"]
    for name in ("accuracy", "precision", "recall", "f1"):
        assert measured[name] == getattr(metrics, name)(y, prediction)
    for k in (2, 3):
        assert measured[f"top_{k}_accuracy"] == top_k_accuracy(y, prediction, k=k)


def test_custom_metric() -> None:
    def bias(target, prediction):
        return (prediction - target).mean()

    y = np.random.default_rng(1).normal(size=50)
    prediction, measured = fitted("mse", y, bias, "r2")
    assert list(measured) == ["loss", "bias", "r2"]
    assert measured["bias"] == np.mean(prediction - y[:, None])
    assert measured["r2"] == r2(y, prediction)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (["acuracy"], ValueError, "metric 'acuracy' is not known: did you mean 'accuracy'?"),
        (["top_0_accuracy"], ValueError, "did you mean 'top_5_accuracy'?"),
        (["mae", mae], ValueError, "the metric name 'mae' is taken"),
        (["loss"], ValueError, "metric 'loss' is not known"),
        ([3], TypeError, "metrics expects names or functions of (target, prediction), got 3"),
        ("r2", TypeError, "metrics expects a list, got 'r2': pass metrics=['r2']"),
        (mae, TypeError, "metrics expects a list, got mae: pass metrics=[mae]"),
        (3, TypeError, "metrics expects a list, got 3: pass metrics=['mae']"),
    ],
)
def test_unknown_metrics(given, error, message: str) -> None:
    with says(error, message):
        named_metrics(given)


def test_options_out_of_range() -> None:
    with says(ValueError, "AtThreshold('mae') is not known"):
        AtThreshold("mae", threshold=0.5)
    with says(ValueError, "OfProbabilities('f1') is not known"):
        OfProbabilities("f1")
    for labels in ("each", "all"):
        with says(ValueError, "AtThreshold", f"labels='{labels}'" if labels == "each" else "'all'"):
            AtThreshold("f1", labels=labels)
    with says(ValueError, "AtThreshold('accuracy') reports one number, and can't have labels=1"):
        AtThreshold("accuracy", labels=1)
    with says(ValueError, "f1 expects a label from 0 to 2, got 3"):
        f1(np.eye(3), np.eye(3), labels=3)
    with says(ValueError, "TopK expects a whole number k >= 1, got 0"):
        TopK(k=0)


def test_names_of_functions() -> None:
    functions = {**METRICS, "mae": METRICS["l1"]}
    del functions["l1"]
    assert all(getattr(metrics, name) is function for name, function in functions.items())
    found = named_metrics(list(METRICS), HingeLoss())
    assert list(found) == list(METRICS)
    assert repr(found["accuracy"]) == "AtThreshold('accuracy', threshold=0.0)"
    assert repr(found["f1"]) == "AtThreshold('f1', threshold=0.0, labels='macro')"
    found = named_metrics(list(METRICS), CrossEntropyLoss())
    assert repr(found["f1"]) == "AtThreshold('f1')"
    assert repr(found["log_loss"]) == "OfProbabilities('log_loss', from_logits=True)"
    assert named_metrics(list(METRICS)) == METRICS


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("classes", [2, 3, 6])
def test_scikit_learn(seed: int, classes: int) -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    y, scores = rng.integers(0, classes, size=15), rng.normal(size=(15, classes))
    meant, options = scores.argmax(axis=1), {"average": "macro", "zero_division": 0}
    np.testing.assert_array_equal(
        confusion_matrix(y, scores), theirs.confusion_matrix(y, meant, labels=range(classes))
    )
    assert accuracy(y, scores) == pytest.approx(theirs.accuracy_score(y, meant))
    assert precision(y, scores) == pytest.approx(theirs.precision_score(y, meant, **options))
    assert recall(y, scores) == pytest.approx(theirs.recall_score(y, meant, **options))
    assert f1(y, scores) == pytest.approx(theirs.f1_score(y, meant, **options))
    if classes > 2:
        top = theirs.top_k_accuracy_score(y, scores, k=2, labels=range(classes))
        assert top_k_accuracy(y, scores, k=2) == pytest.approx(top)
    labels, p = y % 2, rng.uniform(size=15)
    said = (p > 0.3).astype(int)
    for ours, name in ((precision, "precision"), (recall, "recall"), (f1, "f1")):
        score = getattr(theirs, f"{name}_score")(labels, said, zero_division=0)
        assert ours(labels, p, threshold=0.3) == pytest.approx(score)
    t, a = rng.normal(size=(15, classes)), rng.normal(size=(15, classes))
    t[:, 0] = 0.1
    weight = rng.integers(0, 4, size=15) / 2
    for ours, name in ((precision, "precision"), (recall, "recall"), (f1, "f1")):
        score = getattr(theirs, f"{name}_score")
        given = score(y, meant, sample_weight=weight, **options)
        assert ours(y, scores, sample_weight=weight) == pytest.approx(given)
    given = theirs.confusion_matrix(y, meant, labels=range(classes), sample_weight=weight)
    np.testing.assert_allclose(confusion_matrix(y, scores, sample_weight=weight), given)
    given = theirs.r2_score(t[:, 1:], a[:, 1:], sample_weight=weight)
    assert r2(t[:, 1:], a[:, 1:], sample_weight=weight) == pytest.approx(given)
    assert mae(t, a) == pytest.approx(theirs.mean_absolute_error(t, a))
    assert mse(t, a) == pytest.approx(theirs.mean_squared_error(t, a))
    assert rmse(t, a) == pytest.approx(theirs.mean_squared_error(t, a) ** 0.5)
    assert r2(t[:, 1:], a[:, 1:]) == pytest.approx(theirs.r2_score(t[:, 1:], a[:, 1:]))


def test_confusion_matrix_of_logits_needs_a_threshold() -> None:
    target, logits = np.array([0, 1, 1]), np.array([[-2.0], [0.3], [4.0]])
    with pytest.raises(ValueError, match="confusion_matrix expects 0 to 1: pass threshold=0 for l"):
        confusion_matrix(target, logits)
    expected = np.array([[1, 0], [0, 2]])
    np.testing.assert_array_equal(confusion_matrix(target, logits, threshold=0), expected)
    signs = np.array([-1.0, 1.0, 1.0])
    np.testing.assert_array_equal(confusion_matrix(signs, logits), expected)


@pytest.mark.parametrize("weight", [None, np.arange(40) % 4 / 2], ids=["plain", "weighted"])
@pytest.mark.parametrize("seed", range(3))
def test_scikit_learn_for_several_labels(seed: int, weight) -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    y, p = rng.integers(0, 2, size=(40, 4)), rng.integers(0, 11, size=(40, 4)) / 10
    p[:, 3] *= 0.4  # this label is never predicted
    options = {"zero_division": 0, "sample_weight": weight}
    for ours, name in ((precision, "precision"), (recall, "recall"), (f1, "f1")):
        score = getattr(theirs, f"{name}_score")
        for labels, average in (("macro", "macro"), ("micro", "micro"), ("each", None)):
            expected = score(y, p > 0.5, average=average, **options)
            found = ours(y, p, labels=labels, sample_weight=weight)
            np.testing.assert_allclose(found, expected, rtol=1e-13)
        assert ours(y, p, labels=2, sample_weight=weight) == pytest.approx(expected[2])
    for ours, score in ((roc_auc, theirs.roc_auc_score), (pr_auc, theirs.average_precision_score)):
        for labels, average in (("macro", "macro"), ("micro", "micro"), ("each", None)):
            expected = score(y, p, average=average, sample_weight=weight)
            found = ours(y, p, labels=labels, sample_weight=weight)
            np.testing.assert_allclose(found, expected, rtol=1e-12)
        single = ours(y[:, 1], p[:, 1:2], sample_weight=weight)
        assert single == pytest.approx(score(y[:, 1], p[:, 1], sample_weight=weight))
        assert single == pytest.approx(ours(2 * y[:, 1] - 1, p[:, 1], sample_weight=weight))
        logit = np.log(p[:, 1] + 0.01)
        assert single == pytest.approx(ours(y[:, 1], logit, from_logits=True, sample_weight=weight))
    each = [theirs.log_loss(y[:, k], p[:, k], sample_weight=weight) for k in range(4)]
    found = log_loss(y, p, labels="each", sample_weight=weight)
    np.testing.assert_allclose(found, each, rtol=1e-12)
    assert log_loss(y, p, labels="macro", sample_weight=weight) == pytest.approx(np.mean(each))


@pytest.mark.parametrize("weight", [None, np.arange(30) % 4 / 2], ids=["plain", "weighted"])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_scikit_learn_for_probabilities_of_classes(classes: int, weight) -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(classes)
    y, z = rng.integers(0, classes, size=30), rng.normal(size=(30, classes))
    p, rows = softmax(z), np.eye(classes)[y]
    area = theirs.roc_auc_score
    expected = [
        area(y, p, multi_class="ovr")
        if weight is None and classes > 2
        else np.mean([area(rows[:, k], p[:, k], sample_weight=weight) for k in range(classes)]),
        np.mean(
            [
                theirs.average_precision_score(rows[:, k], p[:, k], sample_weight=weight)
                for k in range(classes)
            ]
        ),
        theirs.log_loss(y, p, sample_weight=weight),
    ]
    for metric, value in zip(SCORED, expected, strict=True):
        for target in (y, rows):
            assert metric(target, p, sample_weight=weight) == pytest.approx(value, rel=1e-12)
            found = metric(target, z, from_logits=True, sample_weight=weight)
            assert found == pytest.approx(value, rel=1e-12)


def test_areas_by_hand() -> None:
    y, p = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8])
    assert roc_auc(y, p) == (0.5 + 1 + 1 + 1) / 4
    assert pr_auc(y, p) == 0.5 * 1 + 0.5 * 2 / 3
    assert roc_auc(y, 0 * p) == 0.5
    assert pr_auc(y, 0 * p) == 0.5
    assert np.isnan(roc_auc(np.ones(4), p))
    assert np.isnan(pr_auc(np.zeros(4), p))
    both = np.stack([y, 0 * y], axis=1), np.stack([p, p], axis=1)
    assert roc_auc(*both, labels="macro") == roc_auc(y, p)  # the second label never occurs
    assert np.isnan(roc_auc(*both, labels=1))


def test_log_loss_of_sure_predictions() -> None:
    for dtype in (np.float32, np.float64):
        p = np.array([1, 0], dtype)
        assert log_loss(np.array([0, 1]), p) == pytest.approx(-np.log(np.finfo(dtype).eps))
    assert log_loss(np.array([0, 1]), np.array([1000.0, -900.0]), from_logits=True) == 950.0
    with says(ValueError, "log_loss expects 0 to 1: pass from_logits=True"):
        log_loss(np.array([0, 1]), np.array([1.5, 0.0]))


@EVERY_METRIC
def test_integer_weights_repeat_rows(metric) -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4, size=30)
    index = np.repeat(np.arange(30), counts)
    forms = [(rng.integers(0, 2, size=30).astype(float), rng.uniform(size=(30, 1)), {})]
    if metric not in REGRESSION:
        forms.append((rng.integers(0, 6, size=30), rng.dirichlet(np.ones(6), size=30), {}))
    if metric in (*AVERAGED, *SCORED):
        labels = rng.integers(0, 2, size=(30, 3)), rng.uniform(size=(30, 3))
        forms += [(*labels, {"labels": labels_}) for labels_ in ("macro", "micro", "each", 1)]
    forms = forms[1:2] if metric is top_k_accuracy else forms
    forms = forms[:1] if metric is binary_accuracy else forms
    for target, prediction, options in forms:
        expected = metric(target[index], prediction[index], **options)
        found = metric(target, prediction, sample_weight=counts, **options)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        found = metric(target, prediction, sample_weight=np.ones(30), **options)
        np.testing.assert_allclose(found, metric(target, prediction, **options), rtol=1e-12)
        with says(ValueError, "sample_weight expects shape (30,)"):
            metric(target, prediction, sample_weight=counts[:-1], **options)


@EVERY_METRIC
def test_masked_steps_do_not_count(metric) -> None:
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 2, size=(7, 5))
    p = rng.dirichlet(np.ones(6), size=(7, 5))
    y = rng.integers(0, 6, size=(7, 5)) if metric not in REGRESSION else rng.normal(size=p.shape)
    if metric is binary_accuracy:
        y = rng.integers(0, 2, size=p.shape)
    kept = mask == 1
    if metric is r2:  # each step is an output
        y, p, mask, kept = y[:, 0], p[:, 0], mask[:, 0], kept[:, 0]
    found = metric(y, p, sample_weight=mask)
    np.testing.assert_allclose(found, metric(y[kept], p[kept]), rtol=1e-12)


def test_weights_that_are_all_zero_give_no_number() -> None:
    y, p, none = np.array([0, 1]), np.array([[0.2], [0.7]]), np.zeros(2)
    for metric in (*REGRESSION, accuracy, *SCORED):
        assert np.isnan(metric(y, p, sample_weight=none)), metric.__name__


def test_named_metrics_of_several_labels() -> None:
    rng = np.random.default_rng(1)
    y = (rng.uniform(size=(50, 3)) < [0.2, 0.5, 0.8]).astype(int)
    names = ["f1", "micro_f1", "macro_recall", "roc_auc", "micro_pr_auc", "log_loss"]
    given = [*names, AtThreshold("recall", threshold=0, labels=2)]
    z, measured = fitted("bce_with_logits", y, *given, units=3)
    assert list(measured) == ["loss", *names, "recall_2"]
    assert measured["f1"] == f1(y, z, threshold=0, labels="macro")
    assert measured["micro_f1"] == f1(y, z, threshold=0, labels="micro")
    assert measured["macro_recall"] == recall(y, z, threshold=0, labels="macro")
    assert measured["recall_2"] == recall(y[:, 2], z[:, 2], threshold=0)
    assert measured["roc_auc"] == roc_auc(y, sigmoid(z), labels="macro")
    assert measured["micro_pr_auc"] == pytest.approx(pr_auc(y, sigmoid(z), labels="micro"))
    assert measured["log_loss"] == pytest.approx(measured["loss"], rel=1e-12)
    with says(ValueError, "accuracy expects one class per row, and y has", "'binary_accuracy'"):
        fitted("bce_with_logits", y, "accuracy", units=3)


def test_named_metrics_of_probabilities() -> None:
    y = np.random.default_rng(1).integers(0, 3, size=50)
    z, measured = fitted("cross_entropy", y, "roc_auc", "pr_auc", "log_loss", units=3)
    assert measured["roc_auc"] == roc_auc(y, softmax(z))
    assert measured["log_loss"] == pytest.approx(measured["loss"], rel=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_fit_and_evaluate_weight_the_metrics(engine: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 2)), rng.integers(0, 2, size=50)
    weight = rng.integers(0, 3, size=50).astype(float)
    model = Sequential([Dense(1), Sigmoid()], input_shape=(2,), rng=0)

    def own(target, prediction, *, sample_weight=None):
        return 0.0 if sample_weight is None else sample_weight.sum()

    def plain(target, prediction):
        return len(target)

    names = ["accuracy", "roc_auc", "log_loss", "mae", own, plain]
    model.compile(optimizer=SGD(learning_rate=1e-9), loss=BCELoss(), metrics=names)
    p = model.predict(x)
    expected = {
        "accuracy": accuracy(y, p, sample_weight=weight),
        "roc_auc": roc_auc(y, p, sample_weight=weight),
        "log_loss": log_loss(y, p, sample_weight=weight),
        "mae": mae(y, p, sample_weight=weight),
        "own": weight.sum(),
        "plain": 50,
    }
    found = model.evaluate(x, y, sample_weight=weight, engine=engine)
    assert found == pytest.approx({"loss": expected["log_loss"], **expected}, rel=1e-6)
    options = {"batch_size": 7, "verbose": 0, "engine": engine}
    logs = model.fit(x, y, sample_weight=weight, validation_data=(x, y, weight), **options)
    for name, value in expected.items():
        assert logs[name][0] == pytest.approx(value, rel=1e-6)
        assert logs[f"val_{name}"][0] == pytest.approx(value, rel=1e-6)
    logs = model.fit(x, y, class_weight={0: 1, 1: 3}, validation_data=(x, y), **options)
    weighted = accuracy(y, p, sample_weight=1 + 2 * y)
    assert logs["accuracy"][0] == pytest.approx(weighted, rel=1e-6)
    assert logs["val_accuracy"][0] == accuracy(y, p) != pytest.approx(weighted, rel=1e-3)


def test_weights_of_some_batches_and_of_other_lengths() -> None:
    rng = np.random.default_rng(0)
    batches = []
    for steps, weighted in ((3, True), (5, False), (4, True)):
        x, y = rng.normal(size=(2, steps, 2)), rng.integers(0, 3, size=(2, steps))
        batches.append((x, y, np.array([1.0, 0.0])) if weighted else (x, y))
    model = Sequential([Dense(3)], input_shape=(None, 2), rng=0)
    model.compile(optimizer="sgd", loss="cross_entropy", metrics=["accuracy"])
    found = model.evaluate(batches)["accuracy"]
    right = [model.predict(x).argmax(-1) == y for x, y, *_ in batches]
    counted = [right[0][0], *right[1], right[2][0]]
    assert found == pytest.approx(np.concatenate(counted).mean())


def test_outputs_have_weights_of_their_own() -> None:
    a = Input((2,), name="a")
    model = Model(inputs=a, outputs={"kind": Dense(3)(a), "price": Dense(1)(a)}, rng=0)
    losses = {"kind": "cross_entropy", "price": "mse"}
    given = {"kind": ["accuracy"], "price": ["mae"]}
    model.compile(optimizer="sgd", loss=losses, metrics=given)
    rng = np.random.default_rng(0)
    x, kind, price = rng.normal(size=(9, 2)), rng.integers(0, 3, size=9), rng.normal(size=9)
    weight = {"kind": np.arange(9.0), "price": np.arange(9.0)[::-1]}
    found = model.evaluate(x, {"kind": kind, "price": price}, sample_weight=weight)
    p = model.predict(x)
    assert found["kind_accuracy"] == accuracy(kind, p["kind"], sample_weight=weight["kind"])
    assert found["price_mae"] == mae(price, p["price"], sample_weight=weight["price"])
    assert OfOutput("kind", "micro_f1").__name__ == "kind_micro_f1"


def test_labels_of_minus_one_and_one() -> None:
    t, p = np.array([0, 1, 1, 0]), np.array([0.2, 0.9, 0.4, 0.6])
    assert metrics.log_loss(2 * t - 1, p) == pytest.approx(metrics.log_loss(t, p), rel=1e-14)
    assert metrics.pr_auc(2 * t - 1, p) == metrics.pr_auc(t, p)


@pytest.mark.parametrize("name", ["log_loss", "f1", "recall"])
def test_each_label_of_one_column(name: str) -> None:
    t, p = np.array([0, 1, 1, 0]), np.array([0.2, 0.9, 0.4, 0.6])
    found = getattr(metrics, name)(t, p, labels="each")
    np.testing.assert_allclose(found, [getattr(metrics, name)(t, p)], rtol=1e-14, strict=True)


def test_a_label_by_its_number() -> None:
    t, p = np.array([[0, 1], [1, 1], [1, 0]]), np.array([[0.9, 0.9], [0.2, 0.7], [0.8, 0.1]])
    assert [metrics.recall(t, p, labels=label) for label in (0, 1)] == [0.5, 1.0]


def test_a_value_without_weight_may_be_infinite() -> None:
    t, p = np.array([1.0, 2.0]), np.array([np.inf, 5.0])
    assert metrics.mse(t, p, sample_weight=[0, 1]) == 9.0


def test_r2_of_several_weighted_outputs() -> None:
    scores = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    t, p, weight = rng.normal(size=(9, 3)), rng.normal(size=(9, 3)), rng.uniform(size=9)
    expected = scores.r2_score(t, p, sample_weight=weight)
    assert metrics.r2(t, p, sample_weight=weight) == pytest.approx(expected, rel=1e-12)


def test_nan_in_one_hot_targets_is_refused() -> None:
    with says(ValueError, "y holds nan"):
        metrics.log_loss(np.array([[np.nan, 1.0], [0.0, 1.0]]), np.full((2, 2), 0.5))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_loss_of_batches_of_different_sizes(reduction: str) -> None:
    layers = [Dense(1, weight_regularizer=L2(0.3))]
    model = Sequential(layers, input_shape=(2,), rng=0)
    model.compile(optimizer="sgd", loss=MSELoss(reduction=reduction))
    x, weight = np.arange(14.0).reshape(7, 2), np.arange(1.0, 8)
    y = x[:, 0] ** 2
    whole = model.evaluate(x, y, sample_weight=weight)["loss"]
    parts = model.evaluate(x, y, sample_weight=weight, batch_size=3)["loss"]
    assert parts == pytest.approx(whole, rel=1e-12)
