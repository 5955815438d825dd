"""A scikit-learn pipeline and a grid search on digits, compared with scikit-learn's own network."""

import warnings
from typing import Any

from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from minigrad import L2
from minigrad.interop.sklearn import MinigradClassifier

EPOCHS = 30

x, y = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0, stratify=y)


def search(network: Any, name: str, strengths: list[Any]) -> Any:
    """Search the best options by cross-validation, and return the fitted search."""
    pipeline = Pipeline([("scale", StandardScaler()), ("network", network)])
    grid = {"network__hidden_layer_sizes": [(32,), (64,)], f"network__{name}": strengths}
    found = GridSearchCV(pipeline, grid, cv=3).fit(x_train, y_train)
    best = {option.removeprefix("network__"): v for option, v in found.best_params_.items()}
    print(f"{type(network).__name__:18} accuracy {found.score(x_test, y_test):.1%}, {best}")
    return found


warnings.simplefilter("ignore", ConvergenceWarning)  # both networks train for EPOCHS epochs
model = search(
    MinigradClassifier(learning_rate=0.003, epochs=EPOCHS, random_state=0),
    "weight_regularizer",
    [None, L2(0.001)],
)
reference = search(
    MLPClassifier(learning_rate_init=0.003, max_iter=EPOCHS, batch_size=32, random_state=0),
    "alpha",
    [0.0, 0.1],
)
accuracy = model.score(x_test, y_test)
assert accuracy > 0.97
assert accuracy >= reference.score(x_test, y_test)
