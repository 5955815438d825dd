"""A parameter that several layers share, and parameters that are replaced: no gradient is lost."""

import numpy as np
import pytest

from helpers import says
from minigrad import (
    SGD,
    Callback,
    Chain,
    Dense,
    DivergedError,
    EarlyStopping,
    Layer,
    MSELoss,
    Parallel,
    Parameter,
    Residual,
    Sequential,
    Tanh,
)
from minigrad.core.layer import build_once

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 3))


class Factors(Layer):
    """Multiplies by a factor that is in a list."""

    def build(self, input_shape, rng):
        self.factors = [Parameter(np.full(input_shape, 0.5))]
        return input_shape

    def forward(self, x, *, training=True):
        if training:
            self.cache = x
        return x * self.factors[0].value

    def backward(self, delta):
        self.factors[0].grad = (delta * self.cache).sum(axis=0)
        return delta * self.factors[0].value


class Again(Factors):
    """Multiplies by the factor of another layer."""

    def __init__(self, factor):
        super().__init__()
        self.given = [factor]

    def build(self, input_shape, rng):
        self.factors = self.given
        return input_shape


def pair():
    first = Dense(3)
    Sequential([first], input_shape=(3,), rng=0)
    return Sequential([first, Tanh(), Dense(3, weight=first.weight)], input_shape=(3,), rng=0)


def numeric(model, step=1e-6):
    loss, theta = MSELoss(), model.parameters.value
    slopes = np.empty_like(theta)
    for i, kept in enumerate(theta.copy()):
        theta[i] = kept + step
        above = loss.forward(model.forward(X, training=False), Y, training=False)
        theta[i] = kept - step
        below = loss.forward(model.forward(X, training=False), Y, training=False)
        theta[i] = kept
        slopes[i] = (above - below) / (2 * step)
    return slopes


def by_hand(model):
    loss = MSELoss()
    loss.forward(model.forward(X), Y)
    model.backward(loss.backward())
    return model.parameters.grad.copy()


def check(model):
    np.testing.assert_allclose(by_hand(model), numeric(model), rtol=1e-6, atol=1e-8)


def test_each_use_has_a_gradient_of_its_own_and_the_model_has_the_sum() -> None:
    model = pair()
    check(model)
    uses = [model[0].weight, model[2].weight]
    total = model.parameters.grad[:9].reshape(3, 3)
    np.testing.assert_array_equal(uses[0].grad + uses[1].grad, total)
    assert uses[0].value is uses[1].value


def test_share_after_the_build() -> None:
    model = Sequential([Dense(3), Tanh(), Dense(3)], input_shape=(3,), rng=0)
    by_hand(model)
    model[2].weight = model[0].weight
    check(model)


def test_second_model_that_shares_leaves_the_first_one_right() -> None:
    model = Sequential([Dense(3), Tanh(), Dense(3)], input_shape=(3,), rng=0)
    objective = model.objective(X, Y, loss=MSELoss())
    before = by_hand(model)
    other = Sequential([model[0], Dense(3, weight=model[0].weight)], input_shape=(3,), rng=1)
    np.testing.assert_array_equal(model.parameters.grad, before)
    check(model)
    check(other)
    np.testing.assert_allclose(objective(model.parameters.value.copy())[1], numeric(model), 1e-6)


def test_shared_parameter_in_a_list() -> None:
    factors = Factors()
    model = Sequential([Dense(3), factors], input_shape=(3,), rng=0)
    other = Sequential([factors, Again(factors.factors[0])], input_shape=(3,), rng=0)
    check(model)
    check(other)
    factors.factors[0] = Parameter(np.ones(3))
    check(model)


def test_shared_in_a_callback() -> None:
    losses = []
    for disturbed in (False, True):
        model = Sequential([Dense(3), Tanh(), Dense(3)], input_shape=(3,), rng=0)
        model.compile(optimizer=SGD(learning_rate=0.1), loss="mse")

        def share(epoch, logs, model=model):
            Sequential([model[0], Dense(3, weight=model[0].weight)], input_shape=(3,))

        model.fit(X, Y, epochs=5, verbose=0, callbacks=[share] if disturbed else [])
        losses.append(model.history["loss"])
    assert losses[0] == losses[1]


def test_reading_an_inner_model_changes_no_gradient() -> None:
    inner = Sequential([Dense(3), Tanh()], input_shape=(3,), name="inner", rng=0)
    model = Sequential([inner, Dense(3, weight=inner[0].weight)], input_shape=(3,), rng=0)
    total = by_hand(model)
    assert model["inner"].parameters.size == 12
    np.testing.assert_array_equal(model.parameters.grad, total)


def test_sharing_outside_a_model_is_refused() -> None:
    first = Dense(3)
    build_once(first, (3,), np.random.default_rng(0))
    chain = Chain([first, Dense(3, weight=first.weight)])
    build_once(chain, (3,), np.random.default_rng(0))
    with says(ValueError, "share a parameter", "Sequential"):
        _ = chain.parameters


def test_residual_layer_may_be_replaced() -> None:
    model = Sequential([Residual(Dense(3)), Dense(3)], input_shape=(3,), rng=0)
    new = Dense(3)
    build_once(new, (3,), np.random.default_rng(5))
    new.name = "new"
    model[0].layer = new
    check(model)


class Container(Layer):
    """Keeps its cache in a dict that forward changes."""

    def __init__(self, name: str = "") -> None:
        super().__init__(name=name)
        self.dense, self.saved = Dense(3), {}

    def build(self, input_shape, rng):
        return build_once(self.dense, input_shape, rng)

    def forward(self, x, *, training=True):
        h = self.dense.forward(x, training=training)
        if training:
            self.saved["h"] = h
        return h * h

    def backward(self, delta):
        return self.dense.backward(2 * delta * self.saved["h"])


def test_threads_share_no_dict_of_a_layer() -> None:
    from minigrad import Model

    x = np.random.default_rng(0).normal(size=(200_000, 3))
    losses = []
    for threads in (1, 2):
        model = Model(Container(), input_shape=(3,), rng=0)
        model.compile(optimizer=SGD(learning_rate=0.01), loss="mse")
        model.fit(x, x, batch_size=None, epochs=2, threads=threads, verbose=0)
        losses.append(model.history["loss"])
    assert losses[0] == losses[1]


class Doubled(Sequential):
    """A model with passes of its own."""

    def forward(self, x, *, training=True):
        return 2 * super().forward(x, training=training)

    def backward(self, delta):
        return super().backward(2 * delta)


def test_a_subclass_that_overrides_its_passes_is_trained_by_them() -> None:
    model = Doubled([Dense(3)], input_shape=(3,), rng=0)
    model.compile(optimizer=SGD(learning_rate=1e-9), loss="mse")
    expected = model.evaluate(X, Y)["loss"]
    history = model.fit(X, Y, batch_size=None, verbose=0)
    assert history["loss"][0] == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(model.predict(X), model.forward(X))
    check(model)


class OneRow(Tanh):
    """Returns a delta that would be broadcast."""

    def backward(self, delta):
        return super().backward(delta).sum(axis=0, keepdims=True)


@pytest.mark.parametrize("around", [Residual, lambda layer: Parallel([layer, Tanh()])])
def test_delta_of_a_branch_is_not_broadcast(around) -> None:
    model = Sequential([Dense(3), around(OneRow())], input_shape=(3,), rng=0)
    with says(ValueError, "one_row_1", "(6, 3)", "(1, 3)"):
        by_hand(model)


def test_layers_of_a_built_model_are_not_replaced() -> None:
    model = Sequential([Dense(3), Dense(3)], input_shape=(3,))
    with says(TypeError, "can't be changed"):
        model.layers = model.layers[:1]


class FitAgain(Callback):
    def on_epoch_end(self, trainer, epoch, logs):
        trainer.model.fit(X, Y, verbose=0)


def test_fit_in_a_callback_is_refused() -> None:
    model = pair()
    model.compile(optimizer="sgd", loss="mse")
    with says(RuntimeError, "running"):
        model.fit(X, Y, verbose=0, callbacks=[FitAgain()])
    model.fit(X, Y, verbose=0)


def test_early_stopping_does_not_undo_the_way_back_from_divergence() -> None:
    model = Sequential([Dense(3)], input_shape=(3,), rng=0)
    model.compile(optimizer=SGD(learning_rate=0.1), loss="mse")

    def explode(epoch, logs):
        if epoch == 4:
            model.optimizer.learning_rate = 1e200

    kept = []
    callbacks = [
        EarlyStopping(monitor="loss"),
        lambda *_: kept.append(model.parameters.value.copy()),
    ]
    with says(DivergedError, "end of epoch 4"):
        model.fit(X, Y, epochs=20, verbose=0, callbacks=[*callbacks, explode])
    np.testing.assert_array_equal(model.parameters.value, kept[3])


def test_astype_converts_the_state_of_the_optimizer() -> None:
    model = Sequential([Dense(3)], input_shape=(3,), rng=0, dtype="float32")
    model.compile(optimizer=SGD(learning_rate=0.1, momentum=0.9), loss="mse")
    model.fit(X, Y, verbose=0)
    twin = model.astype("float64")
    twin.fit(X, Y, verbose=0)
    assert twin.optimizer.state["velocity"].dtype == np.float64
