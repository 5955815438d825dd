"""Do the tests of others pass? `python -m trials.others` runs those of Keras and scikit-learn.

Their classes and functions are replaced by ours behind a thin shim:

- `keras-layers`: each layer that a test of Keras describes is converted, and has to give Keras's
  numbers from Keras's weights, in the expected shape, with exact gradients;
- `keras-losses`: the tests of losses call ours;
- `sklearn`: the tests of metrics call ours.

What isn't offered here is skipped with the reason. A test that fails must stand in `DIFFERENCES`.
"""

from __future__ import annotations

import argparse
import inspect
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import metrics

CLIPPED = "Keras clips probabilities at 1e-7; here it is 1e-12"
MESSAGE = "scikit-learn warns, or says it in other words"
DIFFERENCES: dict[str, dict[str, str]] = {
    "keras-layers": {
        "average_pooling2d5": "Keras on PyTorch counts padding in a mean, and on JAX it doesn't",
        "lora": "low-rank weights are an attribute of Keras's layers",
    },
    "keras-losses": {
        "BinaryCrossentropyTest::test_(unweighted|s[a-z]*_weighted)": CLIPPED,
        "test_shape_mismatch": "the error says it in other words",
    },
    "sklearn": {
        "multioutput_regression": "rmse is the root of the mean over all outputs, as in Keras",
        "top_k_accuracy_score_ties": "of equal scores the first counts as larger, as in Keras",
        "top_k_accuracy_score_binary": "scores are (batch, classes), also for two classes",
        "curve_toydata|non_binary_class|_error|score_warning|incorrect_shape": MESSAGE,
    },
}
"""What differs on purpose: a pattern of a test's name, and the reason."""


class Plugin:
    """Installs a shim before the tests run, and counts their results."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.used = False
        self.results: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.unexpected: list[str] = []

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Replace what the modules of the tests use."""
        for module in {item.module for item in items if hasattr(item, "module")}:
            if self.part == "sklearn":
                shimmed = {name: self.using(shim) for name, shim in SKLEARN.items()}
                vars(module).update({n: s for n, s in shimmed.items() if hasattr(module, n)})
            elif self.part == "keras-losses":
                for name, shim in KERAS_LOSSES.items():
                    setattr(module.losses, name, self.using(shim))
            else:
                case = import_module("keras.src.testing").TestCase
                case.run_layer_test = self.using(run_layer_test)

    def using(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that notes that a test used it."""

        def call(*arguments: Any, **options: Any) -> Any:
            self.used = True
            return function(*arguments, **options)

        return call

    def pytest_runtest_setup(self) -> None:
        """Begin a test."""
        self.used = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a result."""
        if report.when != "call" or not self.used:
            return
        name = report.nodeid.partition("::")[2]
        if report.skipped:
            self.results["skipped"] += 1
            text = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            self.reasons[re.sub(r"^Skipped: ", "", text)[:70]] += 1
        elif report.passed:
            self.results["passed"] += 1
        else:
            differences = DIFFERENCES[self.part].items()
            reason = next((why for pattern, why in differences if re.search(pattern, name)), "")
            self.results["different" if reason else "failed"] += 1
            if not reason:
                self.unexpected.append(f"{name}: {str(report.longrepr)[-300:]}")


def run_layer_test(
    case: Any,
    layer_cls: Any,
    init_kwargs: dict[str, Any],
    input_shape: Any = None,
    input_data: Any = None,
    expected_output_shape: Any = None,
    **rest: Any,
) -> None:
    """Compare a converted layer with Keras's, as its test describes it."""
    import keras

    from minigrad.interop.keras import from_keras

    if rest.get("input_sparse") or rest.get("input_ragged"):
        pytest.skip("sparse and ragged tensors")
    if isinstance(input_shape, tuple) and input_shape and isinstance(input_shape[0], tuple):
        input_shape = list(input_shape)
    several = isinstance(input_shape, list) or isinstance(input_data, list)
    if isinstance(input_shape, dict) or isinstance(input_data, dict):
        pytest.skip("a dict of inputs")
    kind = str(rest.get("input_dtype") or "float32")
    shapes = input_shape if several else [input_shape]
    if input_data is not None:
        shapes = [np.shape(data) for data in (input_data if several else [input_data])]
    inputs = [keras.Input(shape[1:], batch_size=None, dtype=kind) for shape in shapes]
    layer = layer_cls(**init_kwargs)
    try:
        there = keras.Model(
            inputs if several else inputs[0], layer(inputs if several else inputs[0])
        )
        ours = from_keras(there, rng=0)
    except (TypeError, ValueError, NotImplementedError) as error:
        pytest.skip(f"{layer_cls.__name__} isn't converted: {error}"[:200])
    rng = np.random.default_rng(0)
    rows = [
        rng.integers(0, 2, (3, *shape[1:])) if "int" in kind else rng.normal(size=(3, *shape[1:]))
        for shape in shapes
    ]
    x = [array.astype(kind) for array in rows]
    expected = keras.ops.convert_to_numpy(there(x if several else x[0]))
    found = ours.predict(x if several else x[0])
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)
    if expected_output_shape is not None:
        assert found.shape[1:] == tuple(expected_output_shape)[1:]
    trained = sum(int(np.prod(w.shape)) for w in there.trainable_weights)
    assert sum(p.size for p in ours.parameters if p.trainable) == trained
    exact = ours.astype("float64")
    wide = [array.astype("float64") if "float" in kind else array for array in x]
    target = np.zeros_like(exact.predict(wide if several else wide[0]))
    report = mg.check_gradients(exact, wide if several else wide[0], target, mg.MSELoss())
    assert report.passed, report


class KerasLoss:
    """A loss of ours in the form of Keras's."""

    def __init__(self, make: Callable[..., mg.Loss], **options: Any) -> None:
        self.reduction = options.pop("reduction", "sum_over_batch_size")
        self.name, self.dtype = options.pop("name", None), options.pop("dtype", None)
        if self.reduction in (None, "none"):
            pytest.skip("no reduction: `terms` gives them")
        if self.dtype not in (None, "float32"):
            pytest.skip("a dtype of the loss's own: it is that of the predictions")
        self.loss = make(**options)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return J; Keras divides by the number of rows, and not by the sum of weights."""
        a, t = np.asarray(y_pred, "float64"), np.asarray(y_true)
        weight, factor = sample_weight, 1.0
        if weight is not None:
            weight = np.asarray(weight, "float64")
            if weight.ndim == 0:
                factor, weight = float(weight), None
            elif weight.ndim > 1 and weight.shape[-1] == 1:
                weight = weight[..., 0]
        total = None
        if self.reduction == "sum_over_batch_size" and weight is not None:
            total = float(weight.size)
        if self.reduction == "sum":
            factor *= a.size // a.shape[-1]
        return np.float32(factor * self.loss.forward(a, t, sample_weight=weight, total=total))

    def get_config(self) -> dict[str, Any]:
        """Skip a test of Keras's configuration."""
        pytest.skip("a test of configurations")


def binary(from_logits: bool = False, **options: Any) -> mg.Loss:
    """Return the cross-entropy of Keras's name."""
    if "axis" in options:
        pytest.skip("an axis of classes other than the last")
    return mg.BCEWithLogitsLoss(**options) if from_logits else mg.BCELoss(**options)


def categorical(from_logits: bool = False, **options: Any) -> mg.Loss:
    """Return the cross-entropy of Keras's name."""
    if not from_logits:
        pytest.skip("cross-entropy of probabilities: it takes logits")
    for name in ("axis", "ignore_class"):
        if name in options:
            pytest.skip(f"cross-entropy with {name}")
    return mg.CrossEntropyLoss(**options)


def keras_loss(make: Callable[..., mg.Loss], name: str = "") -> Callable[..., KerasLoss]:
    """Return what stands for a class of Keras."""
    return lambda **options: KerasLoss(make, **options)


KERAS_LOSSES: dict[str, Callable[..., KerasLoss]] = {
    "MeanSquaredError": keras_loss(mg.MSELoss),
    "MeanAbsoluteError": keras_loss(mg.L1Loss),
    "Huber": keras_loss(mg.HuberLoss),
    "BinaryCrossentropy": keras_loss(binary),
    "CategoricalCrossentropy": keras_loss(categorical),
    "SparseCategoricalCrossentropy": keras_loss(categorical),
}


def sklearn_metric(
    metric: Callable[..., Any], y_true: Any, y_pred: Any, *, sample_weight: Any = None, **more: Any
) -> Any:
    """Return a metric of ours for the arguments of scikit-learn."""
    labels = {"macro": "macro", "micro": "micro", None: "each"}
    taken = inspect.signature(metric).parameters
    options: dict[str, Any] = {"sample_weight": sample_weight}
    for name, value in more.items():
        if name == "k" and "k" in taken:
            options["k"] = value
        elif name == "average" and np.ndim(y_true) == 2 and value in labels and "labels" in taken:
            options["labels"] = labels[value]
        elif value is not None and (name, value) not in TYPICAL:
            pytest.skip(f"scikit-learn's option {name}")
    if np.asarray(y_true).dtype.kind in "OUS":
        pytest.skip("labels that are text")
    return metric(y_true, y_pred, **options)


TYPICAL: list[tuple[str, Any]] = [
    ("multioutput", "uniform_average"),
    ("normalize", True),
    ("average", "macro"),
    ("average", "binary"),
]
SKLEARN = {
    "mean_squared_error": partial(sklearn_metric, metrics.mse),
    "mean_absolute_error": partial(sklearn_metric, metrics.mae),
    "root_mean_squared_error": partial(sklearn_metric, metrics.rmse),
    "r2_score": partial(sklearn_metric, metrics.r2),
    "roc_auc_score": partial(sklearn_metric, metrics.roc_auc),
    "average_precision_score": partial(sklearn_metric, metrics.pr_auc),
    "log_loss": partial(sklearn_metric, metrics.log_loss),
    "top_k_accuracy_score": partial(sklearn_metric, metrics.top_k_accuracy),
}
FILES = {
    "keras-layers": ("keras", "src/layers/**/*_test.py"),
    "keras-losses": ("keras", "src/losses/losses_test.py"),
    "sklearn": ("sklearn", "metrics/tests/test_r[ae]*.py"),
}
CHOSEN = {"keras-layers": "basic", "keras-losses": "", "sklearn": ""}


def main() -> int:
    """Run the parts; 1 if a test fails that isn't a known difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", default=[*FILES], help=f"of {', '.join(FILES)}")
    parser.add_argument("-k", dest="chosen", help="which tests, as for pytest")
    options = parser.parse_args()
    if len(options.parts) > 1:
        command = [sys.executable, "-m", "trials.others"]
        return max(subprocess.run([*command, part]).returncode for part in options.parts)
    (part,) = options.parts
    package, pattern = FILES[part]
    if not find_spec(package):
        print(f"{part}: not tried: {package} isn't installed")
        return 0
    os.environ.setdefault("KERAS_BACKEND", "torch" if find_spec("torch") else "jax")
    root = Path(import_module(package).__file__ or "").parent
    plugin = Plugin(part)
    with tempfile.TemporaryDirectory() as folder:
        ini = Path(folder, "pytest.ini")
        ini.write_text("[pytest]\n")
        tests = [str(path) for path in sorted(root.glob(pattern))]
        quiet = ["-p", "no:cacheprovider", "-p", "no:terminal", "--continue-on-collection-errors"]
        chosen = options.chosen or CHOSEN[part]
        pytest.main([*tests, "-c", str(ini), *quiet, "-k", chosen], plugins=[plugin])
    for text in plugin.unexpected:
        print(f"FAILED {text}\n")
    print(f"{part}: {dict(plugin.results)}")
    for reason, count in plugin.reasons.most_common(20):
        print(f"  skipped {count}: {reason}")
    return int(bool(plugin.unexpected))


if __name__ == "__main__":
    sys.exit(main())
