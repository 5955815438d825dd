"""Row blocks: large batches in constant memory."""

import tracemalloc

import numpy as np
import pytest

from minigrad import SGD, Dense, MSELoss, Sequential, Sigmoid
from minigrad.blocks import block_gradient as engine

ROWS = 150_000
RNG = np.random.default_rng(0)


def make() -> Sequential:
    return Sequential([Dense(3), Sigmoid(), Dense(2), Sigmoid()], input_shape=(2,), rng=4)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_in_blocks_is_the_same(reduction: str, weighted: bool) -> None:
    x, y = RNG.uniform(size=(ROWS, 2)), RNG.uniform(size=(ROWS, 2))
    weight = RNG.uniform(size=ROWS) if weighted else None
    model, loss = make(), MSELoss(reduction=reduction, scale=0.3)
    whole_j = loss.forward(model.forward(x), y, sample_weight=weight)
    model.backward(loss.backward())
    whole = model.parameters.grad.copy()
    gradient = engine.BlockGradient(model, loss)
    assert gradient.rows < ROWS / 2
    assert gradient(x, y, weight) == pytest.approx(whole_j, rel=1e-12)
    np.testing.assert_allclose(model.parameters.grad, whole, rtol=1e-11, strict=True)


def test_predictions_in_blocks_are_the_same() -> None:
    x = RNG.uniform(size=(ROWS, 2))
    model = make()
    whole = model.forward(x, training=False)
    np.testing.assert_allclose(model.predict(x), whole, rtol=1e-14, strict=True)


def test_million_rows_need_little_memory() -> None:
    x, y = np.zeros((1_000_000, 2)), np.zeros((1_000_000, 1))
    x[::3] = 0.5
    model = Sequential([Dense(3), Sigmoid(), Dense(1), Sigmoid()], input_shape=(2,), rng=4)
    model.compile(optimizer=SGD(learning_rate=0.1), loss=MSELoss())
    tracemalloc.start()
    model.fit(x, y, epochs=1, batch_size=None, verbose=0)
    model.evaluate(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 * 2**20
