"""The estimators in scikit-learn's own checks and tools."""

import pickle
from typing import Any

import numpy as np
import pytest

from helpers import DLPack, says
from minigrad import (
    L2,
    SGD,
    Adam,
    CrossEntropyLoss,
    Dense,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)

pandas = pytest.importorskip("pandas")
pytest.importorskip("sklearn", minversion="1.6")

from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import shuffle
from sklearn.utils.estimator_checks import parametrize_with_checks

from minigrad.interop.sklearn import MinigradClassifier, MinigradRegressor

BOTH = [MinigradRegressor, MinigradClassifier]
IRIS = shuffle(*load_iris(return_X_y=True), random_state=0)
FRAME = pandas.DataFrame(IRIS[0], columns=list("abcd"))


def quick(cls: type, **options: Any) -> Any:
    given = {"hidden_layer_sizes": (8,), "learning_rate": 0.02, "epochs": 20, "random_state": 0}
    return cls(**{**given, **options})


def parameters(estimator: Any) -> np.ndarray:
    return estimator.model_.parameters.value


@parametrize_with_checks([cls() for cls in BOTH])
def test_scikit_learns_checks(estimator, check, request) -> None:
    check(estimator)


@pytest.mark.parametrize("cls", BOTH)
class TestOptions:
    def test_constructor_stores_its_arguments(self, cls) -> None:
        options = cls().get_params()
        for name in options:
            marker = object()
            assert cls(**{name: marker}).get_params()[name] is marker
        assert vars(cls()) == options

    def test_fit_builds_new_layers(self, cls) -> None:
        estimator = quick(cls, activation=Tanh(), optimizer=Adam()).fit(*IRIS)
        first, model = parameters(estimator).copy(), estimator.model_
        estimator.fit(*IRIS)
        assert estimator.model_ is not model
        np.testing.assert_array_equal(parameters(estimator), first)
        assert not estimator.optimizer.steps
        assert estimator.activation.input_shape is None

    def test_clone_learns_the_same(self, cls) -> None:
        estimator = quick(cls, weight_regularizer=L2(0.01)).fit(*IRIS)
        twin = clone(estimator)
        with pytest.raises(NotFittedError):
            twin.predict(IRIS[0])
        np.testing.assert_array_equal(parameters(twin.fit(*IRIS)), parameters(estimator))

    def test_random_state(self, cls) -> None:
        np.random.seed(3)
        before = np.random.get_state()[1].copy()
        one, other = (quick(cls, random_state=None).fit(*IRIS) for _ in range(2))
        assert (parameters(one) != parameters(other)).any()
        np.testing.assert_array_equal(np.random.get_state()[1], before)
        shared = np.random.RandomState(5)
        one, other = (quick(cls, random_state=shared, epochs=1).fit(*IRIS) for _ in range(2))
        assert (parameters(one) != parameters(other)).any()
        same = quick(cls, random_state=np.random.RandomState(5), epochs=1).fit(*IRIS)
        np.testing.assert_array_equal(parameters(one), parameters(same))

    def test_options_reach_the_model(self, cls) -> None:
        epochs = []
        estimator = quick(
            cls,
            hidden_layer_sizes=[7, 5],
            activation="tanh",
            weight_regularizer=L2(0.25),
            dtype="float32",
            optimizer=SGD(momentum=0.5),
            learning_rate=0.125,
            validation_split=0.25,
            callbacks=[lambda epoch, logs: epochs.append(epoch)],
            epochs=2,
            batch_size=100,
        ).fit(*IRIS)
        model = estimator.model_
        assert epochs == [1, 2]
        assert model.optimizer.steps == 4  # of 112 rows
        assert [layer.units for layer in model][:2] == [7, 5]
        assert [repr(layer.activation) for layer in model] == [
            "Tanh(name='tanh')",
            "Tanh(name='tanh')",
            "None",
        ]
        assert [layer.weight_regularizer for layer in model] == [
            *[estimator.weight_regularizer] * 2,
            None,
        ]
        assert model.optimizer.momentum == 0.5
        assert model.optimizer.learning_rate == 0.125
        assert set(model.history) == {"loss", "val_loss"}
        assert estimator.predict(IRIS[0]).dtype in (np.float32, IRIS[1].dtype)
        assert model.dtype == np.float32

    def test_model_from_a_function(self, cls) -> None:
        seen = []

        def make(input_shape, outputs, rng):
            seen.append((input_shape, outputs, rng))
            return Sequential([Dense(6), ReLU(), Dense(outputs)], rng=rng)

        estimator = quick(cls, model=make).fit(*IRIS)
        assert seen[0][:2] == ((4,), 3 if cls is MinigradClassifier else 1)
        assert estimator.model_.seed == seen[0][2]
        assert estimator.model_.optimizer.learning_rate == 0.02
        assert estimator.score(*IRIS) > 0.8

    def test_compiled_model_keeps_its_optimizer_and_loss(self, cls) -> None:
        name = "cross_entropy" if cls is MinigradClassifier else "huber"

        def make(input_shape, outputs, rng):
            model = Sequential([Dense(outputs)], input_shape=input_shape, rng=rng)
            model.compile(optimizer=SGD(learning_rate=0.5, momentum=0.25), loss=name)
            return model

        model = quick(cls, model=make, epochs=1).fit(*IRIS).model_
        assert (model.optimizer.learning_rate, model.optimizer.momentum) == (0.5, 0.25)
        assert type(model.loss).__name__ == {"huber": "HuberLoss"}.get(name, "CrossEntropyLoss")

    @pytest.mark.parametrize(
        ("model", "error", "parts"),
        [
            (3, TypeError, ["expects model as a function of (input_shape", "an int"]),
            (lambda *_: None, TypeError, ["a Model", "a NoneType"]),
            (lambda *_: Sequential([Dense(9)]), ValueError, ["(9,)", "give its last layer"]),
        ],
    )
    def test_wrong_model(self, cls, model, error, parts) -> None:
        with says(error, cls.__name__, *parts):
            quick(cls, model=model).fit(*IRIS)

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("hidden_layer_sizes", (0,)),
            ("activation", "nothing"),
            ("optimizer", "nothing"),
            ("learning_rate", -1.0),
            ("loss", "nothing"),
            ("epochs", 0),
            ("batch_size", 0.5),
            ("validation_split", 1.0),
            ("dtype", "float16"),
        ],
    )
    def test_wrong_option(self, cls, option, value) -> None:
        name = {"hidden_layer_sizes": "units"}.get(option, option)
        with says((TypeError, ValueError), name, str(value).strip("(,)")):
            quick(cls, **{option: value}).fit(*IRIS)


@pytest.mark.parametrize("cls", BOTH)
class TestTools:
    def test_pipeline_and_cross_validation(self, cls) -> None:
        pipeline = make_pipeline(StandardScaler(), quick(cls))
        assert cross_val_score(pipeline, *IRIS, error_score="raise").mean() > 0.85
        assert cross_val_predict(pipeline, *IRIS).shape == (150,)

    def test_grid_search_with_processes(self, cls) -> None:
        pipeline = make_pipeline(StandardScaler(), quick(cls))
        step = cls.__name__.lower()
        grid = {
            f"{step}__hidden_layer_sizes": [(4,), (8, 8)],
            f"{step}__optimizer": [SGD(momentum=0.9), "adam"],
            f"{step}__learning_rate": [1e-6, 0.02],
        }
        search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(*IRIS)
        assert search.best_params_[f"{step}__learning_rate"] == 0.02
        alone = GridSearchCV(pipeline, grid, cv=3).fit(*IRIS)
        np.testing.assert_array_equal(
            search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
        )

    def test_function_in_processes(self, cls) -> None:
        def make(input_shape, outputs, rng):
            return Sequential([Dense(outputs)], input_shape=input_shape, rng=rng)

        scores = cross_val_score(quick(cls, model=make), *IRIS, cv=2, n_jobs=2, error_score="raise")
        np.testing.assert_array_equal(scores, cross_val_score(quick(cls, model=make), *IRIS, cv=2))

    def test_partial_fit(self, cls) -> None:
        estimator = quick(cls, learning_rate=0.01)
        classes = {"classes": [0, 1, 2]} if cls is MinigradClassifier else {}
        for _ in range(20):
            estimator.partial_fit(*IRIS, **classes)
        assert estimator.model_.history.epochs == 20
        whole = quick(cls, learning_rate=0.01, epochs=20).fit(*IRIS)
        np.testing.assert_array_equal(parameters(estimator), parameters(whole))
        model = estimator.model_
        assert estimator.partial_fit(*IRIS).model_ is model

    def test_sample_weight(self, cls) -> None:
        weight = np.random.default_rng(0).integers(0, 3, size=150)
        x, y = IRIS
        options = {"batch_size": None, "optimizer": SGD(), "epochs": 50}
        weighted = quick(cls, **options).fit(x, y, sample_weight=weight)
        repeated = quick(cls, **options).fit(x.repeat(weight, axis=0), y.repeat(weight))
        np.testing.assert_allclose(parameters(weighted), parameters(repeated), rtol=1e-6)
        assert (parameters(weighted) != parameters(quick(cls, **options).fit(x, y))).any()

    def test_pickle(self, cls) -> None:
        estimator = quick(cls).fit(*IRIS)
        copied = pickle.loads(pickle.dumps(estimator))
        np.testing.assert_array_equal(copied.predict(IRIS[0]), estimator.predict(IRIS[0]))
        np.testing.assert_array_equal(
            parameters(copied.partial_fit(*IRIS)), parameters(estimator.partial_fit(*IRIS))
        )

    def test_feature_names(self, cls) -> None:
        estimator = quick(cls).fit(FRAME, IRIS[1])
        np.testing.assert_array_equal(estimator.feature_names_in_, FRAME.columns)
        assert estimator.n_features_in_ == 4
        np.testing.assert_array_equal(parameters(estimator), parameters(quick(cls).fit(*IRIS)))
        with says(ValueError, "feature names"):
            estimator.predict(FRAME[FRAME.columns[::-1]])

    def test_set_output(self, cls) -> None:
        pipeline = make_pipeline(StandardScaler(), quick(cls)).set_output(transform="pandas")
        pipeline.fit(FRAME, IRIS[1])
        np.testing.assert_array_equal(pipeline[-1].feature_names_in_, FRAME.columns)

    def test_columns_of_several_kinds(self, cls) -> None:
        y = IRIS[1]
        frame = FRAME.assign(color=np.where(y == 2, "blue", "red"), wet=y > 0)
        encoder = OneHotEncoder(sparse_output=False)
        columns = ColumnTransformer([("color", encoder, ["color"])], remainder="passthrough")
        assert make_pipeline(columns, quick(cls)).fit(frame, y).score(frame, y) > 0.9

    @pytest.mark.parametrize("incremental", [False, True])
    def test_learning_curve(self, cls, incremental) -> None:
        _, train, test = learning_curve(
            quick(cls),
            *IRIS,
            cv=3,
            train_sizes=[0.5, 1.0],
            exploit_incremental_learning=incremental,
            error_score="raise",
        )
        assert train.shape == test.shape == (2, 3)
        assert np.isfinite(test).all()

    def test_permutation_importance(self, cls) -> None:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(200, 3))
        y = x[:, 1] > 0
        target = y if cls is MinigradClassifier else x[:, 1]
        estimator = quick(cls).fit(x, target)
        importance = permutation_importance(estimator, x, target, random_state=0).importances_mean
        assert importance.argmax() == 1
        assert importance[1] > 5 * max(importance[0], importance[2], 0.01)


class TestRegressor:
    def test_several_targets(self) -> None:
        x, y = IRIS
        both = np.stack([y, 2.0 * y], axis=1)
        estimator = quick(MinigradRegressor).fit(x, both)
        assert estimator.predict(x).shape == (150, 2)
        assert estimator.score(x, both) > 0.8
        assert quick(MinigradRegressor).fit(x, both[:, :1]).predict(x).shape == (150, 1)

    def test_transformed_target(self) -> None:
        x, y = load_diabetes(return_X_y=True)
        network = make_pipeline(StandardScaler(), quick(MinigradRegressor))
        scaled = TransformedTargetRegressor(network, transformer=StandardScaler()).fit(x, y)
        assert scaled.score(x, y) > 0.5

    def test_loss(self) -> None:
        estimator = quick(MinigradRegressor, loss="mae", epochs=1).fit(*IRIS)
        assert repr(estimator.model_.loss) == "L1Loss()"


class TestClassifier:
    def test_two_classes_have_one_output(self) -> None:
        x, y = IRIS[0], np.where(IRIS[1] == 0, "b", "a")
        estimator = quick(MinigradClassifier).fit(x, y)
        assert estimator.model_.output_shape == (1,)
        assert list(estimator.classes_) == ["a", "b"]
        probability = estimator.predict_proba(x)
        logit = estimator.model_.predict(x)[:, 0]
        np.testing.assert_allclose(probability[:, 1], 1 / (1 + np.exp(-logit)))
        np.testing.assert_allclose(probability.sum(axis=1), 1)
        np.testing.assert_array_equal(estimator.predict(x), np.where(logit > 0, "b", "a"))
        assert estimator.score(x, y) > 0.9

    def test_probabilities_of_three_classes(self) -> None:
        estimator = quick(MinigradClassifier).fit(*IRIS)
        logits = estimator.model_.predict(IRIS[0])
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(estimator.predict_proba(IRIS[0]), expected)

    def test_several_labels(self) -> None:
        x, y = make_multilabel_classification(200, n_classes=4, random_state=0)
        estimator = make_pipeline(StandardScaler(), quick(MinigradClassifier, epochs=60)).fit(x, y)
        probability, predicted = estimator.predict_proba(x), estimator.predict(x)
        assert probability.shape == predicted.shape == y.shape
        np.testing.assert_array_equal(predicted, probability > 0.5)
        assert (predicted == y).mean() > 0.9
        started = quick(MinigradClassifier).partial_fit(x, y, classes=np.arange(4))
        assert started.predict(x).shape == y.shape

    @pytest.mark.parametrize("classes", [2, 3])
    def test_model_that_outputs_probabilities(self, classes) -> None:
        few = IRIS[1] < classes
        x, y = IRIS[0][few], IRIS[1][few]

        def make(input_shape, outputs, rng):
            last = Softmax() if outputs > 1 else Sigmoid()
            model = Sequential([Dense(outputs), last], input_shape=input_shape, rng=rng)
            model.compile(optimizer=Adam(learning_rate=0.05), loss="bce")
            return model

        labels = y if classes == 2 else np.eye(3, dtype=int)[y]
        estimator = quick(MinigradClassifier, model=make).fit(x, labels)
        np.testing.assert_array_equal(
            estimator.predict_proba(x)[:, -1], estimator.model_.predict(x)[:, -1]
        )
        assert estimator.score(x, labels) > 0.5

    def test_loss(self) -> None:
        loss = CrossEntropyLoss(label_smoothing=0.25)
        estimator = quick(MinigradClassifier, loss=loss, epochs=1).fit(*IRIS)
        assert estimator.model_.loss.label_smoothing == 0.25
        assert estimator.model_.loss is not loss

    def test_wrong_classes(self) -> None:
        x, y = IRIS
        estimator = quick(MinigradClassifier)
        with says(ValueError, "two classes or more, got 1 class"):
            estimator.fit(x, np.zeros(150, int))
        with says(ValueError, "expects classes in its first call", "classes=np.unique"):
            estimator.partial_fit(x, y)
        estimator.partial_fit(x[:100], y[:100], classes=[0, 1, 2])
        with says(ValueError, "the classes of its first call", "[0 1 2]"):
            estimator.partial_fit(x, y, classes=[0, 1])
        with says(ValueError, "unseen labels", "7"):
            estimator.partial_fit(x, np.where(y == 0, 7, y))


@pytest.mark.parametrize("cls", BOTH)
class TestData:
    def test_polars(self, cls) -> None:
        polars = pytest.importorskip("polars")
        frame = polars.DataFrame(dict(zip("abcd", IRIS[0].T, strict=True)))
        estimator = quick(cls).fit(frame, polars.Series(IRIS[1]))
        np.testing.assert_array_equal(parameters(estimator), parameters(quick(cls).fit(*IRIS)))
        np.testing.assert_array_equal(estimator.feature_names_in_, frame.columns)
        assert estimator.score(frame, IRIS[1]) > 0.8

    def test_arrow(self, cls) -> None:
        arrow = pytest.importorskip("pyarrow")
        table = arrow.table(dict(zip("abcd", IRIS[0].T, strict=True)))
        estimator = quick(cls).fit(table, arrow.array(IRIS[1]))
        np.testing.assert_array_equal(parameters(estimator), parameters(quick(cls).fit(*IRIS)))

    @pytest.mark.parametrize("module", ["torch", "jax.numpy"])
    def test_tensors(self, cls, module) -> None:
        tensors = pytest.importorskip(module)
        x, y = IRIS[0].astype(np.float32), IRIS[1].astype(np.int32)
        estimator = quick(cls).fit(tensors.asarray(x), tensors.asarray(y))
        np.testing.assert_array_equal(parameters(estimator), parameters(quick(cls).fit(x, y)))
        assert estimator.score(tensors.asarray(x), tensors.asarray(y)) > 0.8

    def test_dlpack_alone(self, cls) -> None:
        x, y = map(DLPack, IRIS)
        estimator = quick(cls).fit(x, y)
        np.testing.assert_array_equal(parameters(estimator), parameters(quick(cls).fit(*IRIS)))
        np.testing.assert_array_equal(estimator.predict(x), estimator.predict(IRIS[0]))
