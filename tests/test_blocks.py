"""Row blocks: large batches in constant memory."""

import tracemalloc

import numpy as np
import pytest

from helpers import ENGINES, says
from minigrad import SGD, Adam, BatchNorm, Dense, Dropout, MSELoss, Sequential, Sigmoid
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


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("engine_name", ENGINES)
def test_accumulated_batches_are_one_batch(
    reduction: str, weighted: bool, engine_name: str
) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(103, 3)), rng.normal(size=(103, 2))
    weight = rng.uniform(size=103) if weighted else None
    found = []
    for options in ({"batch_size": 8, "accumulate": 4}, {"batch_size": 32}):
        model = Sequential([Dense(5), Sigmoid(), Dense(2)], input_shape=(3,), rng=4)
        loss = MSELoss(reduction=reduction, scale=0.1)
        model.compile(optimizer=Adam(learning_rate=0.01), loss=loss, metrics=["mae"])
        options |= {"epochs": 3, "sample_weight": weight, "verbose": 0, "engine": engine_name}
        history = model.fit(x, y, validation_split=0.1, **options)
        found.append((model.parameters.value, model.optimizer.steps, history))
    (ours, steps, logs), (theirs, expected, whole) = found
    assert steps == expected == 3 * 3
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    for name, values in whole.items():
        np.testing.assert_allclose(logs[name], values, rtol=1e-9)


@pytest.mark.parametrize("engine_name", ENGINES)
def test_accumulation_is_a_sum_of_gradients_over_batches(engine_name: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(24, 3)), rng.normal(size=(24, 1))
    made = [
        Sequential([Dense(5), BatchNorm(), Dense(1)], input_shape=(3,), rng=4) for _ in range(2)
    ]
    for model in made:
        model.compile(optimizer=SGD(learning_rate=0.1), loss=MSELoss())
    options = {"batch_size": 4, "accumulate": 3, "shuffle": False, "verbose": 0}
    made[0].fit(x, y, engine=engine_name, **options)
    by_hand, loss = made[1], MSELoss()
    for step in (slice(0, 12), slice(12, 24)):
        total = np.zeros(by_hand.parameters.size)
        for first in range(step.start, step.stop, 4):
            rows = slice(first, first + 4)
            loss.forward(by_hand.forward(x[rows]), y[rows], total=12)
            by_hand.backward(loss.backward())
            total += by_hand.parameters.grad
        by_hand.parameters.grad = total
        by_hand.optimizer.step(by_hand.parameters)
    np.testing.assert_allclose(made[0].parameters.value, by_hand.parameters.value, atol=1e-9)
    for ours, theirs in zip(made[0].layers, made[1].layers, strict=True):
        for name in ours.buffers:
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-9)


def test_accumulate_needs_batches_of_arrays() -> None:
    model = Sequential([Dense(1), Dropout(0.5)], input_shape=(2,), rng=0)
    model.compile(optimizer="sgd", loss="mse")
    x, y = np.ones((8, 2)), np.ones(8)
    with says(ValueError, "fit(accumulate=2) needs arrays x and y and a batch_size, got batch_siz"):
        model.fit(x, y, batch_size=None, accumulate=2)
    with says(ValueError, "got an iterable of batches"):
        model.fit([(x, y)], accumulate=2)
    with says(ValueError, "fit expects a whole number accumulate >= 1, got 0"):
        model.fit(x, y, accumulate=0)
