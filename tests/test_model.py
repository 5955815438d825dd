"""Sequential: built early or late, nested, trained by hand or by fit."""

import inspect
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

import minigrad
from helpers import Scale, Swish, says
from minigrad import (
    L2,
    SGD,
    CSVLogger,
    Dense,
    EarlyStopping,
    Identity,
    Layer,
    ModelCheckpoint,
    MSELoss,
    Parameter,
    ReduceOnPlateau,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
    check_gradients,
)

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(100, 2))
Y = X.sum(axis=1)


def make(rng: object = 4, **options) -> Sequential:
    return Sequential(
        [Dense(3), Sigmoid(), Dense(1), Sigmoid()], input_shape=(2,), rng=rng, **options
    )


def test_fit_equals_training_by_hand() -> None:
    loss = MSELoss(reduction="sum", scale=0.5)
    by_hand, fitted = make(), make()
    optimizer = SGD(learning_rate=0.01)
    losses = []
    for _ in range(5):
        losses.append(loss.forward(by_hand.forward(X), Y))
        by_hand.backward(loss.backward())
        optimizer.step(by_hand.parameters)
    fitted.compile(optimizer=SGD(learning_rate=0.01), loss=MSELoss(reduction="sum", scale=0.5))
    history = fitted.fit(X, Y, epochs=5, batch_size=None, verbose=0)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-14, strict=True)
    np.testing.assert_allclose(
        fitted.parameters.value, by_hand.parameters.value, rtol=1e-13, strict=True
    )


def test_model_is_built_at_the_first_data() -> None:
    ahead, later = make(), Sequential([Dense(3), Sigmoid(), Dense(1), Sigmoid()], rng=4)
    np.testing.assert_array_equal(later.predict(X), ahead.predict(X), strict=True)


@pytest.mark.parametrize("rng", [4, np.random.SeedSequence(4), None])
def test_seed_repeats_a_run(rng: object) -> None:
    first = make(rng)
    assert first.seed is not None
    again = make(first.seed)
    for model in (first, again):
        model.compile(optimizer="sgd", loss="mse")
        model.fit(X, Y, epochs=2, validation_split=0.2, verbose=0)
    np.testing.assert_array_equal(first.parameters.value, again.parameters.value, strict=True)
    assert first.history == again.history


def test_each_epoch_has_a_new_order() -> None:
    rng = np.random.default_rng(3)
    seen = []

    class Spy(Identity):
        def forward(self, x, *, training=True):
            if training:
                seen.append(x[:, 0].copy())
            return super().forward(x, training=training)

    model = Sequential([Spy(), Dense(1)], input_shape=(2,), rng=rng)
    model.compile(optimizer="sgd", loss="mse")
    model.fit(X, Y, epochs=2, batch_size=30, verbose=0)
    assert [len(rows) for rows in seen] == [30, 30, 30, 10] * 2
    first, second = np.concatenate(seen[:4]), np.concatenate(seen[4:])
    np.testing.assert_array_equal(np.sort(first), np.sort(X[:, 0]))
    np.testing.assert_array_equal(np.sort(second), np.sort(X[:, 0]))
    assert (first != second).any()
    seen.clear()
    model.fit(X, Y, batch_size=30, shuffle=False, verbose=0)
    np.testing.assert_array_equal(np.concatenate(seen), X[:, 0])


def test_global_random_state_is_not_used() -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    model = make(None)
    model.compile(optimizer="sgd", loss="mse")
    model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_second_fit_continues() -> None:
    once, twice = make(), make()
    for model, parts in ((once, [4]), (twice, [1, 3])):
        model.compile(optimizer=SGD(learning_rate=0.1, momentum=0.9), loss=MSELoss())
        for epochs in parts:
            model.fit(X, Y, epochs=epochs, verbose=0)
    np.testing.assert_array_equal(once.parameters.value, twice.parameters.value, strict=True)
    assert once.history == twice.history
    assert twice.history.epochs == 4


def test_nested_equals_flat() -> None:
    flat = Sequential([Dense(3), Tanh(), Dense(2), ReLU(), Dense(1)], input_shape=(2,), rng=1)
    inner = Sequential([Sequential([Dense(3), Tanh()]), Dense(2)])
    nested = Sequential([inner, ReLU(), Dense(1)], input_shape=(2,), rng=1)
    np.testing.assert_array_equal(nested.forward(X), flat.forward(X), strict=True)
    delta = np.ones((100, 1))
    np.testing.assert_array_equal(nested.backward(delta), flat.backward(delta), strict=True)
    np.testing.assert_array_equal(nested.parameters.grad, flat.parameters.grad, strict=True)
    assert nested.parameters[0].name == "sequential_1.sequential_1.dense_1.weight"


@pytest.mark.parametrize("layer", [Scale(), Swish()])
def test_custom_layer_trains(layer: Layer) -> None:
    assert check_gradients(layer, X[:5], np.ones((5, 2)), MSELoss())
    model = Sequential([Dense(4), type(layer)(), Dense(1)], input_shape=(2,), rng=0)
    assert check_gradients(model, X[:5], Y[:5], MSELoss())
    model.compile(optimizer=SGD(learning_rate=0.1), loss=MSELoss())
    history = model.fit(X, Y, epochs=500, verbose=0)
    assert history["loss"][-1] < 1e-3


def test_backward_without_a_cache_names_the_custom_layer() -> None:
    with pytest.raises(RuntimeError, match="backward of Swish was called before forward"):
        Swish().backward(np.ones((1, 2)))


def test_inference_between_forward_and_backward_changes_nothing() -> None:
    model = make()
    model.forward(X)
    model.backward(np.ones((100, 1)))
    expected = model.parameters.grad.copy()
    model.forward(X)
    model.predict(X[:3] + 1)
    model.forward(X[:7], training=False)
    model.backward(np.ones((100, 1)))
    np.testing.assert_array_equal(model.parameters.grad, expected, strict=True)


def test_sample_weight_equals_repeated_rows() -> None:
    weights = RNG.integers(0, 4, size=100).astype(float)
    repeated = np.repeat(np.arange(100), weights.astype(int))
    weighted, plain = make(), make()
    for model in (weighted, plain):
        model.compile(optimizer=SGD(learning_rate=0.5), loss=MSELoss(), metrics=["mae"])
    weighted.fit(X, Y, sample_weight=weights, batch_size=None, epochs=3, verbose=0)
    plain.fit(X[repeated], Y[repeated], batch_size=None, epochs=3, verbose=0)
    np.testing.assert_allclose(
        weighted.parameters.value, plain.parameters.value, rtol=1e-12, strict=True
    )
    assert weighted.history["loss"] == pytest.approx(plain.history["loss"], rel=1e-12)


def test_validation_and_metrics() -> None:
    model = make()
    model.compile(optimizer="sgd", loss="mse", metrics=["mae", "rmse"])
    history = model.fit(X, Y, epochs=2, validation_data=(X[:10], Y[:10]), verbose=0)
    assert list(history) == ["loss", "mae", "rmse", "val_loss", "val_mae", "val_rmse"]
    measured = model.evaluate(X[:10], Y[:10])
    assert history["val_mae"][-1] == measured["mae"]
    error = model.predict(X[:10])[:, 0] - Y[:10]
    assert measured["mae"] == pytest.approx(np.abs(error).mean())
    assert measured["rmse"] == pytest.approx(np.sqrt((error**2).mean()))


@pytest.mark.parametrize("bits", ["float32", "float64"])
def test_dtype_is_kept(bits: str) -> None:
    model = make(dtype=bits)
    model.compile(optimizer=SGD(learning_rate=0.1, momentum=0.9), loss=MSELoss())
    model.fit(X, Y, sample_weight=np.ones(100), verbose=0)
    assert model.predict(X).dtype == model.parameters.grad.dtype == bits
    assert model.optimizer.state["velocity"].dtype == bits


def test_sgd_with_momentum_follows_its_equation() -> None:
    for nesterov in (False, True):
        p = Parameter(np.array([1.0, -2.0]))
        sgd = SGD(learning_rate=0.1, momentum=0.9, nesterov=nesterov, weight_decay=0.5)
        theta, v = p.value.copy(), np.zeros(2)
        for _ in range(3):
            p.grad = p.value**2
            sgd.step([p])
            g = theta**2 + 0.5 * theta
            v = 0.9 * v + g
            theta = theta - 0.1 * (g + 0.9 * v if nesterov else v)
        np.testing.assert_allclose(p.value, theta, rtol=1e-15, strict=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_vector_has_the_dtype_of_the_model(dtype: str) -> None:
    model = Sequential([Identity()], input_shape=(2,), dtype=dtype)
    assert model.parameters.value.dtype == dtype
    model = make(dtype=dtype)
    model[0].bias = Parameter(np.zeros(3, "float64" if dtype == "float32" else "float32"))
    assert model.parameters.value.dtype == dtype
    assert model.predict(X).dtype == dtype


@pytest.mark.parametrize("shape", [(3.5,), "3", (-3,), (0,), (True,)])
def test_invalid_input_shape_is_refused(shape) -> None:
    with pytest.raises((TypeError, ValueError), match=r"Sequential expects .*input_shape"):
        Sequential([Dense(3)], input_shape=shape)


def test_input_shape_with_a_batch_axis_is_refused() -> None:
    with pytest.raises(ValueError, match=r"batch axis.*input_shape|input_shape.*batch axis"):
        Sequential([Dense(3)], input_shape=(None, 3)).predict(np.ones((4, 3)))


def test_numpy_integers_as_input_shape() -> None:
    model = Sequential([Identity()], input_shape=tuple(np.array([2])))
    assert model.output_shape == (2,)
    assert type(model.output_shape[0]) is int


def test_forward_refuses_a_masked_array() -> None:
    model = make()
    with pytest.raises(TypeError, match="x is a MaskedArray, not a plain array"):
        model.forward(np.ma.masked_array(X))


def test_rows_with_total_weight_0_are_refused() -> None:
    model = make()
    model.compile(optimizer="sgd", loss="mse")
    labels = (Y > 1).astype(float)
    with pytest.raises(ValueError, match="all 100 training rows have weight 0"):
        model.fit(X, labels, sample_weight=labels, class_weight={0: 1, 1: 0}, verbose=0)


@pytest.mark.parametrize("name", ["loss", "epoch", "val_mae"])
def test_metric_with_a_reserved_name_is_refused(name: str) -> None:
    def metric(target, prediction):
        return 0.0

    metric.__name__ = name
    with pytest.raises(ValueError, match=f"'{name}'"):
        make().compile(optimizer="sgd", loss="mse", metrics=[metric])


def test_completion_shows_what_users_call() -> None:
    names = {name for name in dir(make()) if not name.startswith("_")}
    internal = "entropy replica rows tie walk split_seed planned_epochs file_arrays build_network"
    assert not names & set(internal.split())
    assert {"compile", "fit", "evaluate", "predict", "summary", "save", "explain"} <= names
    assert len(names) < 69


def test_repr_of_a_history_is_short() -> None:
    model = make()
    model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    history = model.fit(X, Y, epochs=200, verbose=0)
    assert repr(history).startswith("History(epochs=200, loss=")
    assert len(repr(history)) < 80


def test_first_predict_from_many_threads() -> None:
    expected = make().predict(X)
    for _ in range(20):
        model = Sequential([Dense(3), Sigmoid(), Dense(1), Sigmoid()], rng=4)
        barrier = Barrier(16)

        def predict(model: Sequential = model, barrier: Barrier = barrier) -> np.ndarray:
            barrier.wait()
            return model.predict(X)

        with ThreadPoolExecutor(16) as pool:
            outputs = [job.result() for job in [pool.submit(predict) for _ in range(16)]]
        for output in outputs:
            np.testing.assert_array_equal(output, expected, strict=True)


@pytest.mark.parametrize("options", [{}, {"batch_size": None}, {"validation_split": 0.2}])
def test_few_frames_between_fit_and_a_dense_layer(options) -> None:
    seen = []

    class Spy(Dense):
        def forward(self, x, *, training=True):
            package = str(Path(minigrad.__file__).parent)
            seen.append([f.function for f in inspect.stack(0) if f.filename.startswith(package)])
            return super().forward(x, training=training)

    model = Sequential([Spy(1)], input_shape=(2,), rng=0)
    model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    model.fit(X, Y, epochs=2, verbose=0, **options)
    assert max(map(len, seen)) < 7, seen  # Dense.forward is the seventh


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda: make()(X), ("Sequential", "forward(x)", "predict(x)")),
        (lambda: Dense(3)(X), ("Dense", "forward(x)")),
        (lambda: MSELoss()(X, X), ("MSELoss", "forward(prediction, target)")),
        (lambda: make().parameters(), ("parameters", "property")),
        (lambda: make()[0].parameters(), ("parameters", "property")),
        (lambda: fit(shuffle="False"), ("fit", "shuffle", "'False'")),
        (lambda: fit(shuffle=0), ("fit", "shuffle", "0")),
        (lambda: setattr(Dense(3), "trainable", "False"), ("Dense", "trainable", "'False'")),
        (lambda: SGD(momentum=0.9, nesterov="False"), ("SGD", "nesterov", "'False'")),
        (lambda: EarlyStopping(restore_best_weights=0), ("restore_best_weights", "got 0")),
        (lambda: ModelCheckpoint("a", save_best_only="no"), ("save_best_only", "'no'")),
        (lambda: Parameter(np.ones(2), regularizer=0.01), ("regularizer", "L2", "0.01")),
        (lambda: compiled(metrics=[MSELoss()]), ("metrics", "MSELoss")),
        (lambda: Sequential([Dense(3)], input_shape=np.int64(3)), ("input_shape", "(3,)")),
        (lambda: Sequential([KerasBuild()], input_shape=(2,)), ("KerasBuild", "rng")),
    ],
)
def test_call_or_argument_from_other_libraries_is_refused(call, parts: tuple[str, ...]) -> None:
    with says(TypeError, *parts):
        call()


class KerasBuild(Identity):
    def build(self, input_shape):
        return input_shape


def compiled(**options) -> Sequential:
    model = make()
    model.compile(optimizer="sgd", loss="mse", **options)
    return model


def fit(**options) -> None:
    compiled().fit(X, Y, verbose=0, **options)


def test_unknown_dtype_is_refused() -> None:
    with says(ValueError, "dtype", "'float64'", "'float32'", "'flaot32'"):
        Sequential([Dense(3)], dtype="flaot32")


def test_regularizer_of_a_frozen_layer_counts_in_the_loss() -> None:
    losses = []
    for strength in (0.0, 0.5):
        layer = Dense(1, weight_regularizer=L2(strength))
        layer.trainable = False
        model = Sequential([layer], input_shape=(2,), rng=0)
        model.compile(optimizer="sgd", loss="mse")
        with pytest.warns(UserWarning, match="frozen"):
            history = model.fit(X, Y, validation_data=(X, Y), verbose=0)
        losses.append([history["loss"][0], history["val_loss"][0], model.evaluate(X, Y)["loss"]])
    term = L2(0.5).value(layer.weight.value)
    np.testing.assert_allclose(np.subtract(*losses[::-1]), term, rtol=1e-12)
    assert "frozen" in Sequential.fit.__doc__


def test_integers_and_booleans_are_converted() -> None:
    x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 1])
    models = []
    for inputs, targets in ((x, y), (x == 1, y == 1), (x.tolist(), y.tolist()), (x / 1.0, y / 1.0)):
        model = compiled()
        model.fit(inputs, targets, epochs=3, verbose=0)
        models.append(model)
    for model in models:
        np.testing.assert_array_equal(model.parameters.value, models[-1].parameters.value)


def test_engine_without_jax(monkeypatch) -> None:
    """The message has the install command; JAX may be installed or not."""
    monkeypatch.setitem(sys.modules, "jax", None)
    for name in [name for name in sys.modules if name.startswith("minigrad.jit")]:
        monkeypatch.delitem(sys.modules, name)
    model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    with says(ImportError, "pip install jax"):
        model.predict([[1.0]], engine="jax")
    with says(ValueError, "'numpy', 'jax'", "'torch'"):
        model.predict([[1.0]], engine="torch")


class TestValidation:
    def test_without_shuffling_the_last_rows_are_held_out(self) -> None:
        x, y = np.arange(40.0).reshape(-1, 1), np.arange(40.0)
        split, apart = (Sequential([Dense(1)], input_shape=(1,), rng=0) for _ in range(2))
        options: dict[str, Any] = {"epochs": 2, "shuffle": False, "verbose": 0}
        for model in (split, apart):
            model.compile(optimizer=SGD(learning_rate=1e-4), loss="mse")
        history = split.fit(x, y, validation_split=0.25, **options)
        expected = apart.fit(x[:30], y[:30], validation_data=(x[30:], y[30:]), **options)
        assert history == expected
        assert split.validation_seed is None

    @pytest.mark.parametrize("freq", [1, 2, 3])
    def test_frequency(self, freq: int) -> None:
        model = make()
        model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
        options: dict[str, Any] = {"validation_data": (X, Y), "validation_freq": freq, "verbose": 0}
        model.fit(X, Y, epochs=4, **options)
        model.fit(X, Y, epochs=3, **options)
        for name in ("val_loss", "val_mae"):
            validated = [epoch for epoch in range(1, 8) if epoch % freq == 0]
            assert list(np.flatnonzero(np.isfinite(model.history[name])) + 1) == validated

    def test_frequency_without_validation(self) -> None:
        model = make()
        model.compile(optimizer="sgd", loss="mse")
        with pytest.raises(ValueError, match="validation_freq needs validation_data"):
            model.fit(X, Y, validation_freq=2)

    def test_callbacks_between_validations(self, tmp_path: Path) -> None:
        model = make()
        model.compile(optimizer=SGD(learning_rate=1e-9), loss="mse")
        stopping = EarlyStopping(patience=3, min_delta=10)
        plateau = ReduceOnPlateau(patience=1, factor=0.5, min_delta=10)
        saving = ModelCheckpoint(tmp_path / "net-{epoch}-{val_loss:.1f}")
        logger = CSVLogger(tmp_path / "log.csv")
        model.fit(
            X, Y, epochs=20, validation_data=(X, Y), validation_freq=4, verbose=0,
            callbacks=[stopping, plateau, saving, logger],
        )  # fmt: skip
        assert stopping.stopped_epoch == 8  # 4 is the best, and 7 isn't validated
        assert model.optimizer is not None
        assert model.optimizer.learning_rate == 0.5e-9
        assert (tmp_path / "net-1-nan").exists()
        assert (tmp_path / "log.csv").read_text().splitlines()[1].endswith(",nan")


class TestRowsAtOnce:
    """`batch_size` and `verbose` of `evaluate` and `predict`."""

    def counted(self) -> tuple[Sequential, list[int]]:
        sizes = []

        class Counted(Dense):
            def forward(self, x: Any, *, training: bool = True) -> Any:
                sizes.append(len(x))
                return super().forward(x, training=training)

        model = Sequential([Counted(1)], input_shape=(X.shape[1],), rng=0)
        model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
        return model, sizes

    def test_as_many_rows_as_asked(self) -> None:
        model, sizes = self.counted()
        whole, logs = model.predict(X), model.evaluate(X, Y)
        sizes.clear()
        np.testing.assert_allclose(model.predict(X, batch_size=7, threads=1), whole, rtol=1e-12)
        assert max(sizes) == 7
        assert sum(sizes) == len(X)
        sizes.clear()
        assert model.evaluate(X, Y, batch_size=7) == pytest.approx(logs, rel=1e-12)
        assert max(sizes) == 7
        assert sum(sizes) == len(X)

    @pytest.mark.parametrize("call", ["predict", "evaluate"])
    def test_refused(self, call: str) -> None:
        model, _ = self.counted()
        given = (X,) if call == "predict" else (X, Y)
        for options in {"batch_size": 0}, {"verbose": 3}:
            name = next(iter(options))
            with pytest.raises(ValueError, match=f"{call} expects.*{name}"):
                getattr(model, call)(*given, **options)
        with pytest.raises(ValueError, match="batch_size needs arrays"):
            model.evaluate([(X, Y)], batch_size=3)

    def test_verbose_says_what_runs(self, capsys: pytest.CaptureFixture[str]) -> None:
        model, _ = self.counted()
        model.predict(X)
        model.evaluate(X, Y)
        assert capsys.readouterr().out == ""
        loss = model.evaluate(X, Y, verbose=1)["loss"]
        assert capsys.readouterr().out.startswith(f"evaluate  loss {loss:#.4g}  mae ")
        model.predict(X, verbose=1, batch_size=8)
        assert capsys.readouterr().out == "predict\n"
