"""Both engines make the same steps: every registered class, and the custom layers of the docs."""

import copy

import numpy as np
import pytest

from helpers import Scale, Swish, rows_for
from minigrad import Dense, Layer, Loss, Model, MSELoss, Sequential
from minigrad.checks.differences import model_of
from minigrad.optimizers import SGD

pytest.importorskip("jax")

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCE)


def state(model: Model) -> dict[str, np.ndarray]:
    """Everything that training changes."""
    arrays = {"grad": model.parameters.grad, "value": model.parameters.value}
    arrays |= model.optimizer.state
    for path, layer in model_layers(model):
        arrays |= {f"{path}.{name}": getattr(layer, name) for name in layer.buffers}
    return arrays


def model_layers(model: Model) -> list[tuple[str, Layer]]:
    from minigrad.core.layer import walk

    return list(walk(model))


def check_same(model: Model, x, y, **options) -> None:
    """Fit two copies, each with its engine, and compare all that they leave."""
    options = {"batch_size": None, "shuffle": False, "verbose": 0, **options}
    models = {"numpy": model, "jax": copy.deepcopy(model)}
    logs = {name: m.fit(x, y, engine=name, **options) for name, m in models.items()}
    tolerance = TOLERANCE[model.dtype.name]
    ours, theirs = (state(m) for m in models.values())
    for name, expected in ours.items():
        scale = max(1.0, np.abs(expected).max(initial=0))
        assert theirs[name].dtype == expected.dtype
        np.testing.assert_allclose(theirs[name], expected, rtol=0, atol=tolerance * scale)
    for name in logs["numpy"]:
        np.testing.assert_allclose(logs["jax"][name], logs["numpy"][name], rtol=tolerance)


@DTYPES
def test_layers(any_layer_example, dtype: str) -> None:
    layer, shape = any_layer_example
    x = rows_for(layer, shape)
    model = model_of(layer, shape, dtype=dtype)
    outputs = model.predict(x)
    y = np.random.default_rng(3).normal(size=outputs.shape)
    model.compile(optimizer=SGD(learning_rate=0.1), loss=MSELoss())
    check_same(model, x, y)
