"""Networks as scikit-learn estimators."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Self, override

from minigrad.callbacks.base import Callback, EpochFunction
from minigrad.core.layer import Layer
from minigrad.core.loss import Loss
from minigrad.core.optimizer import Optimizer, Schedule
from minigrad.data.arrays import DType, Shape, as_array
from minigrad.graphs.joint_loss import as_losses
from minigrad.layers.activations import sigmoid
from minigrad.layers.dense import Dense
from minigrad.layers.softmax import softmax
from minigrad.losses.classification import BCEWithLogitsLoss, CrossEntropyLoss
from minigrad.losses.regression import MSELoss
from minigrad.models.model import Model
from minigrad.models.sequential import Sequential
from minigrad.regularizers import Regularizer
from minigrad.util.config import as_object
from minigrad.util.fields import refuse_arguments
from minigrad.util.names import kind_of
from minigrad.util.optional import optional
from minigrad.util.progress import Verbose

optional("sklearn", "minigrad.interop.sklearn", packages="scikit-learn", least="1.6")

from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_regressor
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

ModelFunction: TypeAlias = Callable[[Shape, int, int], Model]
"""A function of (input_shape, outputs, rng) that returns a new model."""


def _explained_init(init: Callable[..., None]) -> Callable[..., None]:
    """Name the nearest option if an estimator is called with an unknown one."""

    @wraps(init)
    def initialize(self: object, *args: Any, **options: Any) -> None:
        refuse_arguments(type(self), args, options)
        init(self, **options)

    return initialize


@dataclass(kw_only=True, eq=False, repr=False)
class _Estimator(BaseEstimator):  # type: ignore[misc]
    """The options and the training of both estimators."""

    hidden_layer_sizes: Sequence[int] = (100,)
    activation: Layer | str = "relu"
    weight_regularizer: Regularizer | None = None
    dtype: DType = "float64"
    model: ModelFunction | None = None
    optimizer: Optimizer | str = "adam"
    learning_rate: float | Schedule | None = None
    loss: Loss | str | None = None
    epochs: int = 100
    batch_size: int | None = 32
    validation_split: float = 0.0
    callbacks: Sequence[Callback | EpochFunction] = ()
    random_state: int | np.random.RandomState | None = None
    verbose: Verbose = 0
    model_: Model = field(init=False)

    def _validated(self, X: ArrayLike, y: ArrayLike, *, reset: bool) -> tuple[Any, Any]:
        """Return X and y as arrays; `reset` stores the number and the names of the features."""
        X, y = _readable(X, "X"), _readable(y, "y")
        numeric = is_regressor(self)
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=numeric, reset=reset)
        return X, y

    def _learn(self, y: NDArray[Any]) -> tuple[int, Loss]:
        """Store what `predict` needs, and return the number of outputs and the default loss."""
        raise NotImplementedError(f"{type(self).__name__} must define _learn(y)")

    def _targets(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return the targets as the loss takes them."""
        return y

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train a new model on X of shape (n, features), and y with a target for each row."""
        rows, targets = self._validated(X, y, reset=True)
        model = self._new_model(rows, targets)
        return self._train(model, rows, targets, sample_weight, self.epochs)

    def _train(
        self,
        model: Model,
        X: NDArray[Any],
        y: NDArray[Any],
        sample_weight: ArrayLike | None,
        epochs: int,
    ) -> Self:
        model.fit(
            X,
            self._targets(y),
            epochs=epochs,
            batch_size=self.batch_size,
            validation_split=self.validation_split,
            sample_weight=sample_weight,
            callbacks=self.callbacks,
            verbose=self.verbose,
        )
        self.model_ = model
        return self

    def _new_model(self, X: NDArray[Any], y: NDArray[Any]) -> Model:
        """Return a compiled model with new layers and a new optimizer."""
        outputs, loss = self._learn(y)
        name, make = type(self).__name__, self.model or self._default_model
        if isinstance(make, Model) or not callable(make):
            raise TypeError(
                f"{name} expects model as a function of (input_shape, outputs, rng) that returns "
                f"a new Model, since each fit trains a new one, got {kind_of(make)}"
            )
        given = self.random_state
        random = np.random.RandomState() if given is None else check_random_state(given)
        model = make(X.shape[1:], outputs, int(random.randint(2**31)))
        if not isinstance(model, Model):
            raise TypeError(f"{name} expects a Model from its function, got {kind_of(model)}")
        if model.output_shape is None:
            model.build_for(X.shape[1:])
        if model.output_shape != (outputs,):
            raise ValueError(
                f"{name} expects a model of output shape {(outputs,)}, got {model.output_shape}: "
                f"give its last layer {outputs} units"
            )
        if model.optimizer is None:
            optimizer = as_object(Optimizer, copy.deepcopy(self.optimizer), "optimizer")
            if self.learning_rate is not None:
                optimizer.learning_rate = self.learning_rate
            if self.loss is not None:
                loss = as_losses(copy.deepcopy(self.loss))
            model.compile(optimizer=optimizer, loss=loss)
        return model

    def _default_model(self, input_shape: Shape, outputs: int, rng: int) -> Model:
        hidden = [
            Dense(
                units,
                copy.deepcopy(self.activation),
                weight_regularizer=self.weight_regularizer,
            )
            for units in self.hidden_layer_sizes
        ]
        layers = [*hidden, Dense(outputs)]
        return Sequential(layers, input_shape=input_shape, rng=rng, dtype=self.dtype)

    def _output(self, X: ArrayLike) -> Any:
        check_is_fitted(self)
        return self.model_.predict(validate_data(self, _readable(X, "X"), reset=False))


_Estimator.__init__ = _explained_init(_Estimator.__init__)  # type: ignore[method-assign]


class MinigradRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """A network as a scikit-learn regressor, for one target or several.

    `fit` trains a new model, `model_`; `model_.history` has the loss of each epoch.

    Args:
        hidden_layer_sizes: the units of each hidden layer.
        activation, weight_regularizer: of the hidden layers; see `Dense`.
        dtype: "float64" or "float32".
        model: in place of these four, a function of (input_shape, outputs, rng) that returns a new
            `Model`. If it is compiled, its own optimizer and loss are used.
        optimizer: a name, or an object; each `fit` trains a copy of it.
        learning_rate: of the optimizer; None keeps the optimizer's own.
        loss: None is mean squared error.
        epochs, batch_size, validation_split, callbacks, verbose: see `Model.fit`.
        random_state: an int, or a `RandomState` from which each `fit` draws a seed. None draws a
            seed at random, not from NumPy's global state.

    Raises:
        TypeError, ValueError: in `fit`, unusable options or data, or a model that doesn't fit them.
        DivergedError: see `Model.fit`.

    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> x, y = load_diabetes(return_X_y=True)
    >>> y = (y - y.mean()) / y.std()
    >>> network = MinigradRegressor(hidden_layer_sizes=[16], epochs=50, random_state=0)
    >>> pipeline = make_pipeline(StandardScaler(), network).fit(x, y)
    >>> bool(pipeline.score(x, y) > 0.5)
    True
    """

    @override
    def _learn(self, y: NDArray[Any]) -> tuple[int, Loss]:
        self._one_target = y.ndim == 1
        return 1 if self._one_target else y.shape[1], MSELoss()

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one more epoch; the first call makes the model."""
        first = not hasattr(self, "model_")
        rows, targets = self._validated(X, y, reset=first)
        model = self._new_model(rows, targets) if first else self.model_
        return self._train(model, rows, targets, sample_weight, epochs=1)

    def predict(self, X: ArrayLike) -> Any:
        """Return predictions of the shape of y."""
        output = self._output(X)
        return output[:, 0] if self._one_target else output

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class MinigradClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A network as a scikit-learn classifier, for two or more classes, or several labels.

    The options are those of `MinigradRegressor`. The default loss is `CrossEntropyLoss`; for two
    classes, which have a single output, and for several labels it is `BCEWithLogitsLoss`. After
    `fit`, `classes_` holds the sorted classes.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> x, y = load_iris(return_X_y=True)
    >>> network = MinigradClassifier(hidden_layer_sizes=[16], learning_rate=0.01, random_state=0)
    >>> bool(cross_val_score(network, x, y).mean() > 0.95)
    True
    """

    classes_: NDArray[Any]

    @override
    def _validated(self, X: ArrayLike, y: ArrayLike, *, reset: bool) -> tuple[Any, Any]:
        rows, targets = super()._validated(X, y, reset=reset)
        check_classification_targets(targets)
        if type_of_target(targets) != "multilabel-indicator":
            targets = column_or_1d(targets, warn=True)
        return rows, targets

    @override
    def _learn(self, y: NDArray[Any]) -> tuple[int, Loss]:
        self._several_labels = y.ndim > 1
        if self._several_labels:
            self.classes_ = np.arange(y.shape[1])
            return y.shape[1], BCEWithLogitsLoss()
        self._encoder = LabelEncoder().fit(y)
        self.classes_ = self._encoder.classes_
        count = len(self.classes_)
        if count < 2:
            raise ValueError(
                f"MinigradClassifier expects y with two classes or more, got {count} class"
            )
        return (1, BCEWithLogitsLoss()) if count == 2 else (count, CrossEntropyLoss())

    @override
    def _targets(self, y: NDArray[Any]) -> NDArray[Any]:
        return y if self._several_labels else self._encoder.transform(y)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train for one more epoch; the first call makes the model.

        It needs all `classes`, unless y has a column for each label.
        """
        first = not hasattr(self, "model_")
        rows, targets = self._validated(X, y, reset=first)
        one_of_many = targets.ndim == 1
        if first and one_of_many and classes is None:
            raise ValueError(
                "partial_fit of MinigradClassifier expects classes in its first call: pass "
                "classes=np.unique(all_y)"
            )
        if first:
            model = self._new_model(rows, np.asarray(classes) if one_of_many else targets)
        else:
            model = self.model_
            known = classes is None or np.array_equal(np.unique(classes), self.classes_)
            if one_of_many and not known:
                raise ValueError(
                    "partial_fit of MinigradClassifier expects the classes of its first call, "
                    f"{self.classes_}, got {classes!r}"
                )
        return self._train(model, rows, targets, sample_weight, epochs=1)

    def predict_proba(self, X: ArrayLike) -> Any:
        """Return the probability of each class, or of each label, in the order of `classes_`."""
        output = self._output(X)
        one_of_many = len(self.classes_) > 2 and not self._several_labels
        if self.model_.loss and self.model_.loss.takes_logits:
            output = softmax(output) if one_of_many else sigmoid(output)
        return output if output.shape[1] > 1 else np.hstack([1 - output, output])

    def predict(self, X: ArrayLike) -> Any:
        """Return the most probable classes, or for several labels zeros and ones."""
        probability = self.predict_proba(X)
        if self._several_labels:
            return (probability > 0.5).astype(int)
        return self.classes_[probability.argmax(axis=1)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _readable(value: ArrayLike, name: str) -> ArrayLike:
    """Return what scikit-learn can read: a tensor that has only `__dlpack__` as an array."""
    only_dlpack = hasattr(value, "__dlpack__") and not hasattr(value, "__array__")
    return as_array(value, name) if only_dlpack else value
