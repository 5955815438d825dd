"""Training by hand: `train_on_batch` and `test_on_batch`, and what they share with `fit`."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from helpers import says
from minigrad import (
    L2,
    SGD,
    Adam,
    BatchNorm,
    Callback,
    Concatenate,
    CrossEntropyLoss,
    Dense,
    DivergedError,
    Dropout,
    Input,
    Model,
    ReLU,
    Sequential,
    Tanh,
)
from minigrad.util.serialization import describe_rng

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(96, 4)), RNG.normal(size=(96, 1))
BATCHES = [(X[i : i + 32], Y[i : i + 32]) for i in range(0, 96, 32)]


def plain(**options: Any) -> Sequential:
    layers = [Dense(8), BatchNorm(), ReLU(), Dropout(0.3), Dense(1, weight_regularizer=L2(0.1))]
    model = Sequential(layers, input_shape=(4,), rng=3, **options)
    model.compile(optimizer=Adam(learning_rate=0.05, clip_norm=1.0), loss="mse", metrics=["mae"])
    return model


def graph() -> Model:
    a, b = Input((2,), name="a"), Input((2,), name="b")
    h = Concatenate()(Dense(3)(a), Tanh()(b))
    ends = [Dense(1, name="price")(h), Dense(3, name="kind")(h)]
    model = Model(inputs=[a, b], outputs=ends, rng=3)
    losses = ["mse", CrossEntropyLoss()]
    model.compile(optimizer="adam", loss=losses, metrics=[["mae"], "accuracy"])
    return model


def assert_equal_training(one: Model, other: Model) -> None:
    np.testing.assert_array_equal(one.parameters.value, other.parameters.value)
    assert one.optimizer is not None
    assert other.optimizer is not None
    assert one.optimizer.steps == other.optimizer.steps
    for name, vector in one.optimizer.state.items():
        np.testing.assert_array_equal(vector, other.optimizer.state[name])
    for left, right in zip(one.network.children, other.network.children, strict=True):
        for name in left.buffers:
            np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    assert describe_rng(one.rng) == describe_rng(other.rng)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_steps_are_those_of_fit(dtype: str) -> None:
    fitted, by_hand = plain(dtype=dtype), plain(dtype=dtype)
    history = fitted.fit(BATCHES, epochs=3, verbose=0)
    losses = [[by_hand.train_on_batch(*batch) for batch in BATCHES] for _ in range(3)]
    np.testing.assert_allclose(history["loss"], np.mean(losses, axis=1), rtol=1e-12)
    assert_equal_training(fitted, by_hand)
    assert by_hand.history.epochs == 0


def test_weights_are_those_of_fit() -> None:
    fitted, by_hand = plain(), plain()
    weight = RNG.uniform(size=32)
    fitted.fit([(*BATCHES[0], weight)], verbose=0)
    by_hand.train_on_batch(*BATCHES[0], sample_weight=weight)
    assert_equal_training(fitted, by_hand)
    one = by_hand.evaluate(*BATCHES[0], sample_weight=weight)["loss"]
    assert by_hand.test_on_batch(*BATCHES[0], sample_weight=weight) == one


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_batch_of_several_blocks(dtype: str) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(9000, 4)), rng.normal(size=9000)
    fitted, by_hand = (
        Sequential([Dense(64, "tanh"), Dense(1)], input_shape=(4,), rng=0, dtype=dtype)
        for _ in range(2)
    )
    for model in (fitted, by_hand):
        model.compile(optimizer="adam", loss="mse")
    assert by_hand.train_on_batch(x, y) == fitted.fit([(x, y)], verbose=0)["loss"][0]
    assert by_hand.trainer is not None
    assert by_hand.trainer.by_batch is not None
    assert by_hand.trainer.by_batch.gradient.rows < 9000
    np.testing.assert_array_equal(fitted.parameters.value, by_hand.parameters.value)


def test_logs_by_name() -> None:
    model = plain()
    model.train_on_batch(*BATCHES[0])
    prediction = model.predict(X[:32])
    evaluated = model.evaluate(*BATCHES[0])
    assert model.test_on_batch(*BATCHES[0], return_dict=True) == evaluated
    assert model.test_on_batch(*BATCHES[0]) == evaluated["loss"]
    np.testing.assert_array_equal(model.predict(X[:32]), prediction)
    assert set(model.train_on_batch(*BATCHES[0], return_dict=True)) == {"loss", "mae"}


def test_several_inputs_and_outputs() -> None:
    x = [X[:, :2], X[:, 2:]]
    y = [Y, RNG.integers(0, 3, 96)]
    by_name = {"a": x[0], "b": x[1]}, {"price": y[0], "kind": y[1]}
    fitted, by_hand = graph(), graph()
    logs = by_hand.train_on_batch(x, y, return_dict=True)
    history = fitted.fit(*by_name, batch_size=None, verbose=0)
    assert {name: [value] for name, value in logs.items()} == history
    assert set(logs) == {"loss", "price_loss", "kind_loss", "price_mae", "kind_accuracy"}
    assert_equal_training(fitted, by_hand)
    assert by_hand.test_on_batch(*by_name) == by_hand.evaluate(x, y)["loss"]


@pytest.mark.parametrize("how", ["file", "deepcopy", "pickle"])
def test_a_copy_goes_on_in_the_same_bits(how: str, tmp_path: Path) -> None:
    model = plain()
    for batch in BATCHES:
        model.train_on_batch(*batch)
    if how == "file":
        model.save(tmp_path / "net")
        other = minigrad.load(tmp_path / "net")
    else:
        other = copy.deepcopy(model) if how == "deepcopy" else pickle.loads(pickle.dumps(model))
    for batch in BATCHES:
        assert model.train_on_batch(*batch) == other.train_on_batch(*batch)
    model.fit(X, Y, verbose=0)
    other.fit(X, Y, verbose=0)
    assert_equal_training(model, other)


def test_turns_with_fit() -> None:
    one, other = plain(), plain()
    for model in (one, other):
        model.fit(BATCHES, verbose=0)
    one.fit([BATCHES[0]], verbose=0)
    other.train_on_batch(*BATCHES[0])
    for model in (one, other):
        model.fit(X, Y, verbose=0)
    assert_equal_training(one, other)


def test_an_unbuilt_model_is_built() -> None:
    model = Sequential([Dense(1)], rng=0)
    model.compile(optimizer="sgd", loss="mse")
    model.train_on_batch(X, Y)
    assert model.input_shape == (4,)


def test_an_inner_model_and_the_outer_one_train_in_turn() -> None:
    generator = Sequential([Dense(3, "tanh"), Dense(4)], input_shape=(2,), rng=0)
    critic = Sequential([Dense(5, "tanh"), Dense(1)], input_shape=(4,), rng=1)
    critic.compile(optimizer="adam", loss="mse")
    critic.train_on_batch(X, Y)
    gan = Sequential([generator, critic], input_shape=(2,), rng=2)
    gan.compile(optimizer="adam", loss="mse")
    z = RNG.normal(size=(8, 2))
    for _ in range(2):
        critic.trainable = True
        before = generator.parameters.value.copy()
        first = critic.parameters.value.copy()
        critic.train_on_batch(X, Y)
        np.testing.assert_array_equal(generator.parameters.value, before)
        held = critic.parameters.value.copy()
        assert (held != first).all()
        critic.trainable = False
        gan.train_on_batch(z, np.ones(8))
        np.testing.assert_array_equal(critic.parameters.value, held)
        assert (generator.parameters.value != before).all()


def test_a_regularizer_set_later_counts() -> None:
    model = Sequential([Dense(1)], input_shape=(4,), rng=0)
    model.compile(optimizer=SGD(learning_rate=1e-9), loss="mse")
    first = model.train_on_batch(X, Y)
    model[0].weight.regularizer = L2(10.0)
    assert model.train_on_batch(X, Y) > first + 1


class TestNotFinite:
    @pytest.mark.parametrize("steps", [0, 1, 2])
    @pytest.mark.parametrize("which", "xy")
    def test_a_nan_is_named_in_any_batch(self, which: str, steps: int) -> None:
        model = Sequential([BatchNorm(), Dense(1, "tanh")], input_shape=(4,), rng=0)
        model.compile(optimizer=SGD(momentum=0.9), loss="mse")
        for _ in range(steps):
            model.train_on_batch(X, 0 * Y)
        before, bad = copy.deepcopy(model), {"x": X.copy(), "y": Y * 0.0}
        bad[which][2] = np.nan
        with says(ValueError, which, "nan"):
            model.train_on_batch(bad["x"], bad["y"])
        if steps:
            assert_equal_training(model, before)

    @pytest.mark.parametrize(
        ("scales", "rate", "place"),
        [
            ((1, 1e200), 0.1, "the loss is not finite"),
            ((1e160, 1e150), 0.1, "gradient of 'weight' of Dense 'dense_1' is not finite"),
            ((1, 1e30), 1e300, "a step made the parameters infinite or NaN"),
        ],
        ids=["loss", "gradient", "parameters"],
    )
    def test_the_model_is_that_before_the_step(
        self, scales: tuple[float, float], rate: float, place: str
    ) -> None:
        layers = [BatchNorm(), Dense(1, weight_initializer="zeros")]
        if scales[0] > 1:
            del layers[0]
        model = Sequential(layers, input_shape=(4,), rng=0)
        model.compile(optimizer=SGD(learning_rate=1e-3, momentum=0.9), loss="mse")
        model.train_on_batch(X, 0 * Y)
        assert model.optimizer is not None
        model.optimizer.learning_rate = rate
        before = copy.deepcopy(model)
        with says(DivergedError, "stopped at step 2", place, "before step 2", str(rate)):
            model.train_on_batch(X * scales[0], Y * scales[1])
        assert_equal_training(model, before)
        model.optimizer.learning_rate = 1e-3
        assert np.isfinite(model.train_on_batch(X, Y))

    def test_data(self) -> None:
        with says(ValueError, "x", "nan", "(0, 0)"):
            plain().train_on_batch(X * np.nan, Y)
        with says(ValueError, "y", "inf", "(0, 0)"):
            plain().test_on_batch(X, Y + np.inf)


class TestRefused:
    def test_before_compile(self) -> None:
        model = Sequential([Dense(1)])
        with says(RuntimeError, "train_on_batch", "compile"):
            model.train_on_batch(X, Y)
        with says(RuntimeError, "test_on_batch", "compile"):
            model.test_on_batch(X, Y)

    def test_inside_fit(self) -> None:
        class Inside(Callback):
            def on_epoch_end(self, trainer: Any, epoch: int, logs: dict[str, float]) -> None:
                trainer.model.test_on_batch(X, Y)
                trainer.model.train_on_batch(X, Y)

        with says(RuntimeError, "train_on_batch", "fit"):
            plain().fit(X, Y, callbacks=[Inside()], verbose=0)

    def test_too_few_rows(self) -> None:
        model = plain()
        with says(ValueError, "BatchNorm", "2", "got 1"):
            model.train_on_batch(X[:1], Y[:1])
        model.test_on_batch(X[:1], Y[:1])

    def test_the_optimizer_of_another_model(self) -> None:
        one = plain()
        one.train_on_batch(X, Y)
        other = plain()
        with says(ValueError, "Adam", "another model"):
            other.compile(optimizer=one.optimizer or "adam", loss="mse")
        optimizer = Adam()
        first, second = plain(), plain()
        first.compile(optimizer=optimizer, loss="mse")
        second.compile(optimizer=optimizer, loss="mse")
        first.train_on_batch(X, Y)
        with says(ValueError, "Adam", "another model"):
            second.train_on_batch(X, Y)
