"""DivergedError: training goes back to the last good epoch, and names it."""

import numpy as np
import pytest

from helpers import says
from minigrad import SGD, BatchNorm, Dense, DivergedError, Sequential, Tanh

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3))
Y = X[:, :1]


class Explosion(SGD):
    """Multiplies the parameters by 1e60 in each step after the first `good` ones."""

    def __init__(self, good: int) -> None:
        super().__init__(learning_rate=0.1, momentum=0.9)
        self.good = good

    def update(self, value, grad, state):
        super().update(value, grad, state)
        if self.steps >= self.good:
            value *= 1e60


def make(good: int) -> Sequential:
    model = Sequential([Dense(4), BatchNorm(), Tanh(), Dense(1)], input_shape=(3,), rng=0)
    model.compile(optimizer=Explosion(good), loss="mse")
    return model


def everything(model: Sequential) -> list[np.ndarray]:
    return [
        model.parameters.value,
        model[1].running_mean,
        model[1].running_variance,
        *model.optimizer.state.values(),
        np.array(model.optimizer.steps),
    ]


@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("epochs_before", [0, 2])
def test_training_goes_back_to_the_last_good_epoch(batch_size, epochs_before: int) -> None:
    """Training diverges in the third epoch of a fit."""
    good = (2 + epochs_before) * (20 // (batch_size or 20))
    model, expected = make(good), make(good)
    options = {"batch_size": batch_size, "shuffle": False, "verbose": 0}
    if epochs_before:
        model.fit(X, Y, epochs=epochs_before, **options)
    with says(DivergedError, f"the end of epoch {2 + epochs_before}", "learning rate"):
        model.fit(X, Y, epochs=50, **options)
    expected.fit(X, Y, epochs=2 + epochs_before, **options)
    for ours, theirs in zip(everything(model), everything(expected), strict=True):
        np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.mark.parametrize("batch_size", [None, 5])
def test_training_goes_back_to_the_beginning_of_fit(batch_size) -> None:
    model = make(good=0)
    start = [array.copy() for array in everything(model)[:3]]
    with says(DivergedError, "the beginning of this fit"):
        model.fit(X, Y, epochs=50, batch_size=batch_size, verbose=0)
    for ours, theirs in zip(everything(model)[:3], start, strict=True):
        np.testing.assert_array_equal(ours, theirs, strict=True)
    assert not model.optimizer.state
    assert model.optimizer.steps == 0


def test_slow_divergence_goes_back_to_a_loss_of_at_most_ten_times_the_lowest() -> None:
    model = Sequential([Dense(1)], input_shape=(3,), rng=0)
    model.compile(optimizer=SGD(learning_rate=2.0), loss="mse")
    lowest = model.evaluate(X, Y)["loss"]
    with pytest.raises(DivergedError):
        model.fit(X, Y, epochs=2000, batch_size=None, verbose=0)
    assert model.evaluate(X, Y)["loss"] <= 10 * lowest


def test_model_trains_on_after_divergence() -> None:
    model = make(good=3)
    with pytest.raises(DivergedError):
        model.fit(X, Y, epochs=50, batch_size=None, verbose=0)
    model.compile(optimizer=SGD(learning_rate=0.1), loss="mse")
    assert np.isfinite(model.fit(X, Y, epochs=3, verbose=0)["loss"]).all()
