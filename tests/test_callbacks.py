"""Callbacks: early stopping, checkpoints, learning rates, CSV logs, functions, and errors."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import minigrad
from helpers import ENGINES, says
from minigrad import (
    SGD,
    BatchNorm,
    Callback,
    CSVLogger,
    Dense,
    EarlyStopping,
    ExponentialDecay,
    ExponentialMovingAverage,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceOnPlateau,
    Sequential,
    Tanh,
)

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(40, 2))
Y = X.sum(axis=1)


def make(*, metrics=(), rate: float = 0.1, layers=None, rng: int = 4) -> Sequential:
    layers = layers or [Dense(3), Tanh(), Dense(1)]
    model = Sequential(layers, input_shape=(2,), rng=rng)
    model.compile(optimizer=SGD(learning_rate=rate, momentum=0.5), loss="mse", metrics=metrics)
    return model


def scripted(values: list[float]) -> Callable[..., float]:
    """Return a metric that returns these values, one after another."""
    remaining = iter(values)

    def score(target, prediction) -> float:
        return next(remaining)

    return score


class Record(Callback):
    """Records the calls, and the parameters after each epoch."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.values: list[np.ndarray] = []

    def on_train_begin(self, trainer) -> None:
        self.calls.append("begin")

    def on_epoch_begin(self, trainer, epoch) -> None:
        self.calls.append(f"epoch {epoch}")

    def on_epoch_end(self, trainer, epoch, logs) -> None:
        self.calls.append(f"end {epoch}")
        self.values.append(trainer.model.parameters.value.copy())

    def on_train_end(self, trainer) -> None:
        self.calls.append("end")


def test_order_of_calls_over_two_fits() -> None:
    model, record = make(), Record()
    for epochs in (2, 1):
        model.fit(X, Y, epochs=epochs, callbacks=[record], verbose=0)
    first = ["begin", "epoch 1", "end 1", "epoch 2", "end 2", "end"]
    assert record.calls == [*first, "begin", "epoch 3", "end 3", "end"]


def test_function_is_called_after_each_epoch() -> None:
    seen = []
    model = make(metrics=["mae"])
    history = model.fit(
        X, Y, epochs=2, callbacks=[lambda epoch, logs: seen.append((epoch, logs))], verbose=0
    )
    names = ("loss", "mae")
    assert seen == [(k + 1, {name: history[name][k] for name in names}) for k in range(2)]


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        ([EarlyStopping], "callbacks[0] expects a Callback object"),
        ([EarlyStopping], "pass an object, EarlyStopping()"),
        (
            [Record(), 3],
            "callbacks[1] expects a Callback object or a function of (epoch, logs), got 3",
        ),
        (Record(), "callbacks expects a list, got a Record"),
        (print, "callbacks expects a list, got a builtin_function_or_method"),
    ],
)
def test_wrong_callbacks(callbacks, message: str) -> None:
    with says(TypeError, message):
        make().fit(X, Y, callbacks=callbacks, verbose=0)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("on_epoch_finish", "on_epoch_end"),
        ("on_epoch_start", "on_epoch_begin"),
        ("on_epoch_ends", "on_epoch_end"),
        ("on_batch_end", "on_update_end"),
    ],
)
def test_unknown_method_is_refused(name: str, meant: str) -> None:
    message = rf"Mine has a method '{name}', which training never calls: did you mean '{meant}'\?"
    with pytest.raises(TypeError, match=message):
        type("Mine", (Callback,), {name: lambda self, training: None})
    with pytest.raises(TypeError, match=message):
        type("Mine", (EarlyStopping, type("Mixin", (), {name: print})), {})
    type("Mine", (Callback,), {"on_disk": True, f"_{name}": print})


def test_scheduler_takes_a_function() -> None:
    with pytest.raises(TypeError, match=r"a function of the epoch, or of \(epoch, rate\), got"):
        LearningRateScheduler(0.1)


def test_failing_callback_ends_those_that_began() -> None:
    first, second = Record(), Record()
    with says(ValueError, "EarlyStopping monitors 'val_los', which isn't reported"):
        make().fit(X, Y, callbacks=[first, EarlyStopping(monitor="val_los"), second], verbose=0)
    assert first.calls == ["begin", "end"]
    assert second.calls == []


@pytest.mark.parametrize(
    ("values", "options", "stopped", "best"),
    [
        ([5, 4, 3, 3, 3, 9], {"patience": 2}, 5, 3),
        ([5, 4, 3, 3.5, 2, 9, 9], {"patience": 2}, 7, 5),
        ([5, 4, 3.95, 3.91, 1], {"patience": 2, "min_delta": 0.1}, 4, 2),
        ([5, 4, 4, 1], {"patience": 1}, 3, 2),
        ([5, 4, 4, 1], {"patience": 0}, 3, 2),
        ([1, 2, 3, 2, 2, 2], {"patience": 2, "mode": "max"}, 5, 3),
        ([9, 8, 7], {"patience": 1}, 0, 3),
        ([np.nan, 5, np.nan, np.nan], {"patience": 2}, 4, 2),
        ([np.inf, 5, 6, 7], {"patience": 2}, 4, 2),
    ],
)
def test_early_stopping(values: list[float], options, stopped: int, best: int) -> None:
    model = make(metrics=[scripted(values)])
    record = Record()
    stopping = EarlyStopping(monitor="score", **{"mode": "min", **options})
    history = model.fit(X, Y, epochs=len(values), callbacks=[record, stopping], verbose=0)
    assert (stopping.stopped_epoch, stopping.best_epoch) == (stopped, best)
    assert stopping.best == values[best - 1]
    assert history.epochs == (stopped or len(values))
    np.testing.assert_array_equal(model.parameters.value, record.values[best - 1], strict=True)


def test_early_stopping_can_keep_the_last_parameters() -> None:
    model, record = make(metrics=[scripted([1, 2, 3])]), Record()
    stopping = EarlyStopping(monitor="score", mode="min", patience=2, restore_best_weights=False)
    model.fit(X, Y, epochs=9, callbacks=[record, stopping], verbose=0)
    np.testing.assert_array_equal(model.parameters.value, record.values[-1], strict=True)


def test_early_stopping_restores_running_statistics() -> None:
    model = make(metrics=[scripted([1, 2, 3])], layers=[BatchNorm(), Dense(1)])
    means = []
    norm = model.layers[0]
    stopping = EarlyStopping(monitor="score", mode="min", patience=2)
    record = [stopping, lambda epoch, logs: means.append(norm.running_mean.copy())]
    model.fit(X, Y, epochs=3, callbacks=record, verbose=0)
    assert (means[0] != means[2]).any()
    np.testing.assert_array_equal(norm.running_mean, means[0], strict=True)


def test_early_stopping_restarts_with_each_fit() -> None:
    model = make(metrics=[scripted([1, 2, 3, 9, 8, 9, 9])])
    stopping = EarlyStopping(monitor="score", mode="min", patience=2)
    assert model.fit(X, Y, epochs=9, callbacks=[stopping], verbose=0).epochs == 3
    assert model.fit(X, Y, epochs=9, callbacks=[stopping], verbose=0).epochs == 4
    assert (stopping.best_epoch, stopping.stopped_epoch) == (5, 7)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, RuntimeError("out of disk")])
def test_best_parameters_are_restored_after_an_error(raised) -> None:
    model, record = make(metrics=[scripted([1, 2, 3])]), Record()

    def fail(epoch, logs) -> None:
        if epoch == 3:
            raise raised

    stopping = EarlyStopping(monitor="score", mode="min")
    callbacks = [record, stopping, fail]
    if raised is KeyboardInterrupt:
        model.fit(X, Y, epochs=9, callbacks=callbacks, verbose=0)
    else:
        with says(RuntimeError, "out of disk"):
            model.fit(X, Y, epochs=9, callbacks=callbacks, verbose=0)
    np.testing.assert_array_equal(model.parameters.value, record.values[0], strict=True)


@pytest.mark.parametrize(
    ("monitor", "name", "rises"),
    [
        ("loss", "accuracy", False),
        ("val_loss", "accuracy", False),
        ("mae", "mae", False),
        ("val_accuracy", "accuracy", True),
        ("top_3_accuracy", "top_3_accuracy", True),
        ("r2", "r2", True),
        ("val_f1", "f1", True),
    ],
)
def test_mode_auto(monitor: str, name: str, rises: bool) -> None:
    def metric(target, prediction) -> float:
        return next(values)

    metric.__name__ = name
    values = iter([1.0, 1.0, 2.0, 2.0])
    model = make(metrics=[metric])
    watch = EarlyStopping(monitor=monitor)
    model.fit(X, Y, epochs=2, validation_split=0.2, callbacks=[watch], verbose=0)
    if monitor.removeprefix("val_") == name:
        assert watch.best == (2.0 if rises else 1.0)
    else:
        assert watch.best == min(model.history[monitor])


def test_mode_auto_does_not_guess() -> None:
    model = make(metrics=[scripted([])])
    with says(
        ValueError, "can't tell whether a lower or a higher 'score' is better: pass mode='min' or"
    ):
        model.fit(X, Y, callbacks=[EarlyStopping(monitor="score")], verbose=0)
    assert model.history.epochs == 0


@pytest.mark.parametrize(
    ("monitor", "message"),
    [
        ("los", "did you mean 'loss'? Known: 'loss', 'mae'; val_... needs validation_data or val"),
        ("val_loss", "monitors 'val_loss', which isn't reported: did you mean 'loss'?"),
        ("accuracy", "monitors 'accuracy', which isn't reported: the known ones are 'loss', 'mae'"),
    ],
)
@pytest.mark.parametrize(
    "make_callback",
    [
        lambda monitor, folder: EarlyStopping(monitor=monitor),
        lambda monitor, folder: ModelCheckpoint(
            folder / "net", monitor=monitor, save_best_only=True
        ),
    ],
)
def test_typo_in_monitor_fails_before_training(make_callback, monitor, message, tmp_path) -> None:
    model = make(metrics=["mae"])
    before = model.parameters.value.copy()
    with says(ValueError, message):
        model.fit(X, Y, callbacks=[make_callback(monitor, tmp_path)], verbose=0)
    np.testing.assert_array_equal(model.parameters.value, before, strict=True)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"patience": -1}, ValueError),
        ({"patience": 1.5}, ValueError),
        ({"min_delta": -0.1}, ValueError),
        ({"mode": "down"}, ValueError),
        ({"monitor": None}, TypeError),
        ({"monitor": 1}, TypeError),
        ({"patients": 3}, TypeError),
    ],
)
def test_wrong_options_of_early_stopping(options, error: type[Exception]) -> None:
    with pytest.raises(error):
        EarlyStopping(**options)


@pytest.mark.parametrize("make_callback", [EarlyStopping, ReduceOnPlateau])
def test_monitor_is_a_name(make_callback) -> None:
    with says(TypeError, f"{make_callback.__name__} expects a name as monitor, got None"):
        make_callback(monitor=None)


@pytest.mark.parametrize(
    ("name", "method", "expected", "given"),
    [
        (
            "on_epoch_end",
            lambda self, epoch, logs=None: None,
            "(self, trainer, epoch, logs)",
            "(self, epoch, logs=None)",
        ),
        (
            "on_epoch_begin",
            lambda self, epoch, logs=None: None,
            "(self, trainer, epoch)",
            "(self, epoch, logs=None)",
        ),
        ("on_train_begin", lambda self, logs=None: None, "(self, trainer)", "(self, logs=None)"),
        ("on_train_end", lambda self: None, "(self, trainer)", "(self)"),
        (
            "on_epoch_begin",
            lambda self, trainer, epoch, more: None,
            "(self, trainer, epoch)",
            "(self, trainer, epoch, more)",
        ),
    ],
)
@pytest.mark.parametrize("base", [Callback, EarlyStopping])
def test_wrong_arguments_of_a_method_are_refused(base, name, method, expected, given) -> None:
    with says(TypeError, f"Mine.{name} expects the arguments {expected}, got {given}"):
        type("Mine", (base,), {name: method})


@pytest.mark.parametrize(
    "method",
    [
        lambda self, *arguments: None,
        lambda self, a, b, c, d=None: None,
        staticmethod(lambda trainer, epoch, logs: None),
    ],
)
def test_other_signatures_that_fit(method) -> None:
    mine = type("Mine", (Callback,), {"on_epoch_end": method})
    make().fit(X, Y, callbacks=[mine()], verbose=0)


def test_training_continues_from_a_checkpoint(tmp_path: Path) -> None:
    through, stopped = make(), make()
    history = through.fit(X, Y, epochs=5, validation_split=0.2, verbose=0)
    saving = ModelCheckpoint(tmp_path / "net-{epoch:02}-{val_loss:.1e}.safetensors")
    stopped.fit(X, Y, epochs=3, validation_split=0.2, callbacks=[saving], verbose=0)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names[1] == f"net-02-{history['val_loss'][1]:.1e}.safetensors"
    again = minigrad.load(tmp_path / names[1])
    assert "# in the middle of training: 2 of 3 epochs are done" in repr(again)
    again.fit(X, Y, epochs=3, validation_split=0.2, verbose=0)
    np.testing.assert_array_equal(again.parameters.value, through.parameters.value, strict=True)
    assert again.history == through.history
    assert "middle" not in repr(again)


def test_save_best_only(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    saving = ModelCheckpoint(path, monitor="score", mode="max", save_best_only=True)
    model = make(metrics=[scripted([1, 3, 2, 2.5, 4, 1])])
    saved = []

    def look(epoch, logs) -> None:
        saved.append(minigrad.load(path, custom_objects={"score": scripted([])}).history.epochs)

    model.fit(X, Y, epochs=4, callbacks=[saving, look], verbose=0)
    assert saved == [1, 2, 2, 2]
    model.fit(X, Y, epochs=2, callbacks=[saving, look], verbose=0)
    assert saved[4:] == [5, 5]


def test_save_best_only_restarts_with_another_model(tmp_path: Path) -> None:
    saving = ModelCheckpoint(
        tmp_path / "{score}.safetensors", monitor="score", mode="max", save_best_only=True
    )
    for scores in ([5, 9, 7], [2, 1, 3]):
        model = make(metrics=[scripted(scores)])
        model.fit(X, Y, epochs=3, callbacks=[saving], verbose=0)
        assert saving.best == max(scores)
    assert (saving.best, saving.best_epoch) == (3, 3)
    assert sorted(p.stem for p in tmp_path.iterdir()) == ["2.0", "3.0", "5.0", "9.0"]


def test_save_best_only_over_several_fits(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    model = make(metrics=[scripted([1, 3, 2, 2.5, 4])])

    def saving() -> ModelCheckpoint:
        return ModelCheckpoint(path, monitor="score", mode="max", save_best_only=True)

    def saved() -> int:
        return minigrad.load(path, custom_objects={"score": scripted([])}).history.epochs

    model.fit(X, Y, epochs=3, callbacks=[saving()], verbose=0)
    model.fit(X, Y, epochs=1, callbacks=[saving()], verbose=0)
    assert saved() == 2
    model.fit(X, Y, epochs=1, callbacks=[saving()], verbose=0)
    assert saved() == 5


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("net-{epohc}.st", ValueError, "did you mean 'epoch'? Known: 'epoch', 'loss'"),
        ("net-{val_loss}.st", ValueError, "can't fill in path"),
        ("net-{}.st", ValueError, "can't fill in path"),
        ("net-{loss:d}.st", ValueError, "can't fill in path"),
        ("nowhere/net.st", FileNotFoundError, "no folder 'nowhere' to save in"),
    ],
)
def test_wrong_path(
    path: str, error, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = make()
    with says(error, message):
        model.fit(X, Y, callbacks=[ModelCheckpoint(path)], verbose=0)
    assert model.history.epochs == 0


@pytest.mark.parametrize(
    "callback", [LearningRateScheduler(lambda epoch: 0.5), ReduceOnPlateau(monitor="loss")]
)
def test_a_schedule_is_not_replaced(callback: Callback) -> None:
    model = make()
    schedule = ExponentialDecay(initial_learning_rate=0.1, decay_rate=0.5)
    model.optimizer.learning_rate = schedule
    name = type(callback).__name__
    with says(TypeError, f"{name} expects a learning rate that is a number, got Exponential"):
        model.fit(X, Y, callbacks=[callback], verbose=0)
    assert model.optimizer.learning_rate is schedule
    assert model.history.epochs == 0


def test_learning_rate_scheduler() -> None:
    rates = {1: 0.5, 2: 0.25, 3: 0.125}
    by_hand, scheduled = make(), make()
    for rate in rates.values():
        by_hand.optimizer.learning_rate = rate
        by_hand.fit(X, Y, verbose=0)
    scheduler = LearningRateScheduler(rates.__getitem__)
    for epochs in (2, 1):
        scheduled.fit(X, Y, epochs=epochs, callbacks=[scheduler], verbose=0)
    np.testing.assert_array_equal(scheduled.parameters.value, by_hand.parameters.value, strict=True)


@pytest.mark.parametrize(("rate", "error"), [(0.0, ValueError), (None, TypeError)])
def test_scheduler_with_wrong_rate(rate, error: type[Exception]) -> None:
    with says(error, "SGD expects learning_rate > 0"):
        make().fit(X, Y, callbacks=[LearningRateScheduler(lambda epoch: rate)], verbose=0)


def read(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_csv_logger_appends_after_each_epoch(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("what,was,there\n")
    model, lengths = make(metrics=["mae"]), []
    callbacks = [CSVLogger(path), lambda epoch, logs: lengths.append(len(read(path)))]
    for epochs in (2, 1):
        model.fit(X, Y, epochs=epochs, callbacks=callbacks, verbose=0)
    assert lengths == [2, 3, 4]
    head, *rows = read(path)
    assert head == ["epoch", "loss", "mae"]
    assert [int(row[0]) for row in rows] == [1, 2, 3]
    assert [float(row[1]) for row in rows] == model.history["loss"]
    assert [float(row[2]) for row in rows] == model.history["mae"]


def test_csv_logger_removes_what_the_model_has_not(tmp_path: Path) -> None:
    path, model = tmp_path / "log.csv", make()
    model.fit(X, Y, epochs=2, callbacks=[CSVLogger(path)], verbose=0)
    with path.open("a") as file:
        file.write("3,0.5\n4")  # another run was killed after its last checkpoint
    model.fit(X, Y, epochs=2, callbacks=[CSVLogger(path)], verbose=0)
    assert [row[0] for row in read(path)] == ["epoch", "1", "2", "3", "4"]
    assert [float(row[1]) for row in read(path)[1:]] == model.history["loss"]


def test_csv_logger_refuses_other_columns(tmp_path: Path) -> None:
    model, log = make(), CSVLogger(tmp_path / "log.csv")
    model.fit(X, Y, callbacks=[log], verbose=0)
    with says(ValueError, "the columns epoch, loss, val_loss, got epoch, loss: choose a new file"):
        model.fit(X, Y, callbacks=[log], validation_split=0.5, verbose=0)
    assert len(read(tmp_path / "log.csv")) == 2


def test_repr() -> None:
    class Forgetful(Callback):
        def __init__(self, epochs: int) -> None:
            self.left = epochs

    assert repr(EarlyStopping(patience=3)) == "EarlyStopping(patience=3)"
    assert repr(CSVLogger("log.csv")) == "CSVLogger('log.csv')"
    assert repr(Forgetful(3)) == "Forgetful(...)"


def test_lambda_callback_calls_its_functions() -> None:
    calls: list[str] = []
    whole, record = {}, Record()
    for name in ("on_train_begin", "on_update_end", "on_train_end"):
        whole[name] = lambda trainer, name=name: calls.append(name)
    whole["on_epoch_begin"] = lambda trainer, epoch: calls.append(f"begin {epoch}")
    whole["on_epoch_end"] = lambda trainer, epoch, logs: calls.append(f"end {epoch} {[*logs]}")
    make().fit(X, Y, batch_size=20, callbacks=[LambdaCallback(**whole), record], verbose=0)
    updates = ["on_update_end"] * 2
    expected = ["on_train_begin", "begin 1", *updates, "end 1 ['loss']", "on_train_end"]
    assert calls == expected
    assert "on_epoch_end=" not in repr(LambdaCallback(on_train_begin=print))
    assert repr(LambdaCallback()) == "LambdaCallback()"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_epoch_end": lambda epoch, logs: 0}, "a function of (trainer, epoch, logs) as on_epo"),
        ({"on_epoch_begin": 3}, "a function of (trainer, epoch) as on_epoch_begin, got 3"),
        ({"on_train_batch_end": print}, "LambdaCallback has no option 'on_train_batch_end'"),
    ],
)
def test_wrong_functions_of_lambda_callback(options, message: str) -> None:
    with says(TypeError, message):
        LambdaCallback(**options)


def test_scheduler_takes_the_epoch_and_the_rate() -> None:
    seen = []

    def halve(epoch: int, rate: float) -> float:
        seen.append((epoch, rate))
        return rate / 2

    model = make(rate=0.8)
    for _ in range(2):
        model.fit(X, Y, epochs=2, callbacks=[LearningRateScheduler(halve)], verbose=0)
    assert seen == [(1, 0.8), (2, 0.4), (3, 0.2), (4, 0.1)]
    assert model.optimizer.learning_rate == 0.05
    with says(TypeError, "a function of the epoch, or of (epoch, rate), got <function"):
        LearningRateScheduler(lambda: 0.1)


def test_checkpoint_of_weights(tmp_path: Path) -> None:
    model, path = make(), tmp_path / "net-{epoch}.safetensors"
    model.fit(X, Y, callbacks=[ModelCheckpoint(path, save_weights_only=True)], verbose=0)
    twin = make(rng=9)
    twin.load_weights(tmp_path / "net-1.safetensors")
    np.testing.assert_array_equal(twin.parameters.value, model.parameters.value, strict=True)
    with says(minigrad.FileFormatError, "no minigrad model"):
        minigrad.load(tmp_path / "net-1.safetensors")


@pytest.mark.parametrize("engine", ENGINES)
def test_moving_average_of_the_weights(engine: str) -> None:
    model, mean, steps = make(), ExponentialMovingAverage(decay=0.75), []
    model[0].trainable = False
    expected = start = model.parameters.value.copy()

    def take(trainer) -> None:
        steps.append(trainer.model.parameters.value.copy())

    callbacks = [mean, LambdaCallback(on_update_end=take)]
    model.fit(X, Y, epochs=3, batch_size=16, callbacks=callbacks, verbose=0, engine=engine)
    assert len(steps) == 9
    for value in steps:
        expected = 0.75 * expected + 0.25 * value
    np.testing.assert_allclose(model.parameters.value, expected, rtol=1e-12)
    frozen = model[0].parameters.size
    np.testing.assert_array_equal(model.parameters.value[:frozen], start[:frozen])
    assert np.abs(expected - steps[-1]).max() > 1e-3
    with says(ValueError, "ExponentialMovingAverage expects 0 <= decay < 1, got 1"):
        ExponentialMovingAverage(decay=1)


def test_moving_average_of_a_run_that_diverges() -> None:
    model = make(rate=1e9)
    before = model.parameters.value.copy()
    with pytest.raises(minigrad.DivergedError):
        model.fit(X, Y, epochs=30, callbacks=[ExponentialMovingAverage()], verbose=0)
    np.testing.assert_array_equal(model.parameters.value, before)
