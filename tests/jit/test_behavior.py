"""What a jitted fit refuses, and what it leaves as a fit by NumPy does."""

import copy
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

import minigrad
from helpers import says
from minigrad import (
    SGD,
    Adam,
    BatchNorm,
    Callback,
    Dense,
    DivergedError,
    Dropout,
    Layer,
    Sequential,
    Tanh,
)

pytest.importorskip("jax")

from minigrad.jit import JaxEngine, NotCompilableError
from minigrad.jit.contents import Contents

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = X[:, :2]
OPTIONS = {"batch_size": 8, "verbose": 0}


def jitted(*layers, optimizer=None) -> Sequential:
    model = Sequential([Dense(4), *layers, Dense(2)], input_shape=(3,), rng=0)
    model.compile(optimizer=optimizer or SGD(learning_rate=0.1), loss="mse")
    return model


class Through(Layer):
    """Returns x and delta, after `effect`."""

    table = np.zeros(4)
    seen = 0

    def forward(self, x, *, training=True):
        return x + self.effect(x)

    def backward(self, delta):
        return delta.copy()


class Float(Through):
    def effect(self, x):
        return float(x.mean())


class Converted(Through):
    def effect(self, x):
        return np.linalg.norm(memoryview(x))


class Written(Through):
    def effect(self, x):
        self.table[:] = x[0]
        return 0


class Masked(Through):
    def effect(self, x):
        return x[x > 0].sum()


class Global(Through):
    def effect(self, x):
        return np.random.random()


class Remembering(Through):
    def effect(self, x):
        self.seen = self.seen + 1
        return 0


class Hidden(Through):
    """Draws from a generator that isn't an attribute of the layer."""

    holder = [np.random.default_rng(0)]  # noqa: RUF012

    def effect(self, x):
        return self.holder[0].random()


@pytest.mark.parametrize(
    ("layer", "parts"),
    [
        (Float(), ["Float 'float_1'", "test_behavior.py, line", "float", "item()"]),
        (Written(), ["Written 'written_1'", "np.zeros", "test_behavior.py, line"]),
        (Masked(), ["Masked 'masked_1'", "x[mask]", "np.where"]),
        (Global(), ["Global 'global_1'", "np.random", "buffers"]),
        (Remembering(), ["Remembering 'remembering_1'", "self.seen", "buffers"]),
        (Hidden(), ["np.random"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_compiled_is_refused_before_training(layer: Layer, parts) -> None:
    model = jitted(copy.copy(layer))
    before = model.parameters.value.copy()
    with says(NotCompilableError, *parts):
        model.fit(X, Y, engine="jax", **OPTIONS)
    np.testing.assert_array_equal(model.parameters.value, before)
    assert model.history.epochs == model.optimizer.steps == 0
    model.fit(X, Y, **OPTIONS)  # by NumPy
    assert isinstance(np.zeros(1), np.ndarray)


def test_a_refused_pass_stays_refused() -> None:
    model = jitted(Hidden())
    for _ in range(2):
        with says(NotCompilableError, "Hidden", "holder"):
            model.predict(X, engine="jax")
        with says(NotCompilableError, "Hidden", "holder"):
            model.objective(X, Y, engine="jax")(model.parameters.value)


def test_errors_of_the_layer_are_those_of_numpy() -> None:
    class Broken(Through):
        def effect(self, x):
            return np.ones((7, 7))

    with says(ValueError, "operands could not be broadcast"):
        jitted(Broken()).fit(X, Y, engine="jax", **OPTIONS)


class Explosion(SGD):
    """Multiplies the parameters by 1e60 in each step after the first `good` ones."""

    def __init__(self, good: int) -> None:
        super().__init__(learning_rate=0.01)
        self.good = good

    def update(self, value, grad, state):
        super().update(value, grad, state)
        if self.steps >= self.good:
            value *= 1e60


class Overflow(SGD):
    """Makes the last step of 500 infinite, though its gradient is finite."""

    def update(self, value, grad, state):
        value -= 0.001 * np.sign(grad) + np.where(self.steps == 499, np.inf, 0)


class Rising(SGD):
    """Climbs: the loss grows slowly."""

    def update(self, value, grad, state):
        value += 0.003 * self.steps * grad


def test_divergence_says_and_leaves_the_same() -> None:
    messages, states = [], []
    for engine in ("numpy", "jax"):
        model = jitted(BatchNorm(), Tanh(), optimizer=Explosion(13))
        with pytest.raises(DivergedError) as caught:
            model.fit(X, Y, engine=engine, epochs=9, **OPTIONS)
        messages.append(str(caught.value))
        states.append([model.parameters.value, model[1].running_mean, model.optimizer.steps])
    assert messages[0].split("(")[0] == messages[1].split("(")[0]
    for ours, theirs in zip(*states, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "optimizer",
    [Explosion(1), Explosion(40), Explosion(10**9), SGD(learning_rate=1.3), Rising(), Overflow()],
    ids=str,
)
def test_epochs_made_in_one_call_are_those_made_one_by_one(optimizer: SGD) -> None:
    outcomes = []
    for engine in ("numpy", "jax"):
        model, said = jitted(Tanh(), optimizer=copy.deepcopy(optimizer)), ""
        try:
            model.fit(X, Y, epochs=100, shuffle=False, engine=engine, **OPTIONS)
        except DivergedError as error:
            said = str(error).partition("back at")[2]
        losses = model.history.get("loss", [])
        outcomes.append((said, model.optimizer.steps, losses, model.parameters.value))
    (*ours, losses, value), (*theirs, same_losses, same_value) = outcomes
    assert ours == theirs
    np.testing.assert_allclose(same_losses[:9], losses[:9], rtol=1e-6)
    np.testing.assert_allclose(same_value, value, rtol=1e-8)


def test_a_schedule_that_fails_ends_the_fit_after_the_same_step() -> None:
    def schedule(step):
        if step == 12:
            raise ZeroDivisionError("on purpose")
        return 0.1

    for engine in ("numpy", "jax"):
        model = jitted(Tanh(), optimizer=SGD(learning_rate=schedule))
        model.fit(X, Y, shuffle=False, engine=engine, **OPTIONS)
        with pytest.raises(ZeroDivisionError):
            model.fit(X, Y, epochs=9, shuffle=False, engine=engine, **OPTIONS)
        assert (model.optimizer.steps, model.history.epochs) == (12, 2)


def test_an_infinite_gradient_is_found_where_the_optimizer_hides_it() -> None:
    class Signs(SGD):
        def update(self, value, grad, state):
            value -= self.rate * np.sign(grad)

    class Steep(Through):
        def effect(self, x):
            return 0 * x

        def backward(self, delta):
            return np.full_like(delta, np.inf)

    for engine in ("numpy", "jax"):
        model = jitted(Steep(), optimizer=Signs())
        with pytest.raises(DivergedError, match="epoch 1, batch 1"):
            model.fit(np.abs(X), Y, shuffle=False, engine=engine, **OPTIONS)


def test_other_branches_are_taken_by_numpy(monkeypatch) -> None:
    monkeypatch.setattr("minigrad.jit.pcg64._FEWEST", 1)

    class Doubling(Through):
        def effect(self, x):
            return x if x.mean() > 0 else 0 * x

        def backward(self, delta):
            return 2 * delta

    ours, theirs = (jitted(Doubling(), Dropout(0.1)) for _ in range(2))
    made = []

    class Watch(Callback):
        def on_train_end(self, trainer):
            made.append(trainer.run.engine)

    ours.fit(X, Y, epochs=3, **OPTIONS)
    theirs.fit(X, Y, epochs=3, engine="jax", callbacks=[Watch()], **OPTIONS)
    np.testing.assert_allclose(theirs.parameters.value, ours.parameters.value, rtol=1e-11)
    assert theirs.rng.bit_generator.state == ours.rng.bit_generator.state
    assert isinstance(made[0], JaxEngine)
    assert 0 < made[0].by_numpy < 15


def test_a_fit_warns_of_a_branch_that_changes_often() -> None:
    class Alternating(Through):
        def effect(self, x):
            return 0 * x if x[0, 0] > x[1, 0] else 0 * x * 2

    x = np.array([[1.0, 0, 0], [0, 0, 0], [0, 0, 0], [1.0, 0, 0]] * 100)
    model = jitted(Alternating(name="switch"))
    model[0].weight.value = np.abs(model[0].weight.value)
    with pytest.warns(UserWarning, match=r"NumPy made 50 of .* 'switch' \(test_behavior.py"):
        model.fit(x, x[:, :2], batch_size=2, shuffle=False, verbose=0, engine="jax")


def test_callbacks_find_what_a_step_by_numpy_leaves() -> None:
    class Record(Callback):
        def __init__(self):
            self.found = []

        def on_update_end(self, trainer):
            model = trainer.model
            self.found += [model.parameters.value.copy(), model.parameters.grad.copy()]

        def on_epoch_end(self, trainer, epoch, logs):
            trainer.model[0].trainable = epoch % 2 == 0
            trainer.optimizer.learning_rate = 0.1 / epoch

    found = {}
    for engine in ("numpy", "jax"):
        record = Record()
        jitted(Tanh()).fit(X, Y, epochs=3, engine=engine, callbacks=[record], **OPTIONS)
        found[engine] = record.found
    assert len(found["jax"]) == 30
    for ours, theirs in zip(*found.values(), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-9, atol=1e-13)


def test_ctrl_c_ends_the_fit_after_a_step() -> None:
    model = jitted(Tanh())
    model.fit(X, Y, engine="jax", **OPTIONS)
    for shuffle in (True, False):
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        model.fit(X, Y, engine="jax", epochs=10**6, shuffle=shuffle, **OPTIONS)
        assert model.trainer.interrupted
        assert np.isfinite(model.parameters.value).all()
    assert 0 <= model.optimizer.steps - 5 * model.history.epochs < 5


def test_a_saved_run_continues_in_the_same_bits(tmp_path: Path) -> None:
    def made() -> Sequential:
        return jitted(BatchNorm(), Tanh(), Dropout(0.2), optimizer=Adam())

    whole, first = made(), made()
    whole.fit(X[:37], Y[:37], engine="jax", epochs=4, **OPTIONS)
    first.fit(X[:37], Y[:37], engine="jax", epochs=2, **OPTIONS)
    first.save(tmp_path / "net.safetensors")
    second = minigrad.load(tmp_path / "net.safetensors")
    second.fit(X[:37], Y[:37], engine="jax", epochs=2, **OPTIONS)
    np.testing.assert_array_equal(second.parameters.value, whole.parameters.value)
    assert second.history["loss"] == whole.history["loss"]


def test_a_step_is_compiled_once_for_each_shape(monkeypatch) -> None:
    from minigrad.jit import engine

    compilations = []

    def counted(*args, **options):
        compilations.append(args)
        return record(*args, **options)

    record, model = engine.step_for, jitted(Tanh())
    monkeypatch.setattr(engine, "step_for", counted)
    for _ in range(2):
        model.fit(X[:37], Y[:37], engine="jax", epochs=2, **OPTIONS)
    assert len(compilations) == 4  # recorded twice each: batches of 8 rows, and of 5
    model.optimizer.learning_rate = 0.3
    model.fit(X[:37], Y[:37], engine="jax", **OPTIONS)
    assert len(compilations) == 4
    model[0].trainable = False
    model.fit(X[:37], Y[:37], engine="jax", **OPTIONS)
    assert len(compilations) == 8


def test_functions_are_compared_by_what_they_read() -> None:
    def with_function(c):
        layer = Tanh()
        layer.function = lambda x: x * c
        return Contents(layer)

    assert len({with_function(c) for c in (1, 2, 2, 3)}) == 3


def test_predict_from_many_rows_takes_few_shapes() -> None:
    model = jitted(BatchNorm(), Tanh())
    for rows in (1, 3, 17, 30):
        found = model.predict(X[:rows], engine="jax")
        np.testing.assert_allclose(found, model.predict(X[:rows]), rtol=1e-12)


def test_what_a_program_depends_on_does_not_change_by_training() -> None:
    model = jitted(BatchNorm(), Tanh(), Dropout(0.1), optimizer=Adam())
    before = Contents(model, model.trainer.loss, model.trainer.optimizer)
    model.fit(X, Y, **OPTIONS)
    assert before.difference(Contents(model, model.trainer.loss, model.trainer.optimizer)) is None
