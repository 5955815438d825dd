"""TensorBoard's files, read by TensorBoard; tqdm's bar; functions that loggers fit."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest

from minigrad import SGD, Adam, Dense, DivergedError, Sequential

X = np.random.default_rng(0).normal(size=(40, 2))
Y = X.sum(axis=1)


def make() -> Sequential:
    model = Sequential([Dense(3, "relu"), Dense(1)], input_shape=(2,), rng=0)
    model.compile(optimizer=Adam(learning_rate=0.01), loss="mse", metrics=["mae"])
    return model


class TestTensorBoard:
    @pytest.fixture(autouse=True)
    def _need(self) -> None:
        pytest.importorskip("tensorboardX")
        pytest.importorskip("tensorboard")

    def events(self, folder: Path):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        found = EventAccumulator(str(folder))
        found.Reload()
        return found

    def callback(self, folder: Path, **options):
        from minigrad.interop.tensorboard import TensorBoard

        return TensorBoard(folder, **options)

    def test_tensorboard_reads_the_logs(self, tmp_path: Path) -> None:
        model = make()
        callback = self.callback(tmp_path)
        model.fit(X, Y, epochs=3, validation_split=0.25, callbacks=[callback], verbose=0)
        model.fit(X, Y, epochs=2, validation_split=0.25, callbacks=[callback], verbose=0)
        for run, prefix in (("train", ""), ("validation", "val_")):
            found = self.events(tmp_path / run)
            for name in ("loss", "mae"):
                events = found.Scalars(name)
                assert [event.step for event in events] == [1, 2, 3, 4, 5]
                np.testing.assert_allclose(
                    [event.value for event in events], model.history[prefix + name], rtol=1e-6
                )
        train = self.events(tmp_path / "train")
        np.testing.assert_allclose([e.value for e in train.Scalars("learning_rate")], 0.01)
        assert train.Tags()["histograms"] == []

    def test_histograms(self, tmp_path: Path) -> None:
        model = make()
        callback = self.callback(tmp_path, histograms=True)
        model.fit(X, Y, epochs=2, callbacks=[callback], verbose=0)
        assert not (tmp_path / "validation").exists()
        found = self.events(tmp_path / "train")
        names = [path.replace(".", "/") for path, _ in model.named_parameters()]
        assert sorted(found.Tags()["histograms"]) == sorted(names)
        last = found.Histograms("dense_1/weight")[-1]
        value = model["dense_1"].weight.value
        assert last.step == 2
        assert last.histogram_value.num == value.size
        np.testing.assert_allclose(last.histogram_value.sum, value.sum())

    def test_files_are_closed_after_an_error(self, tmp_path: Path) -> None:
        model = make()
        model.compile(optimizer=SGD(learning_rate=1e200), loss="mse")
        callback = self.callback(tmp_path)
        with pytest.raises(DivergedError):
            model.fit(X, Y, epochs=3, callbacks=[callback], verbose=0)
        assert not callback._writers
        copy.deepcopy(callback)


class TestTqdm:
    @pytest.fixture(autouse=True)
    def _need(self) -> None:
        pytest.importorskip("tqdm")

    def test_bar(self, capsys) -> None:
        from minigrad.interop.tqdm import TqdmBar

        model, bar = make(), TqdmBar()
        model.fit(X, Y, epochs=3, callbacks=[bar], verbose=0)
        model.fit(X, Y, epochs=2, callbacks=[bar], verbose=0)
        out, err = capsys.readouterr()
        assert not out
        last = re.split(r"[\r\n]+", err.strip())[-1]
        assert "100%" in last
        assert "5/5" in last
        assert f"loss={model.history['loss'][-1]:.3g}" in last
        copy.deepcopy(bar)

    def test_bar_that_leaves(self, capsys) -> None:
        from minigrad.interop.tqdm import TqdmBar

        make().fit(X, Y, epochs=3, callbacks=[TqdmBar(leave=False)], verbose=0)
        assert not capsys.readouterr().err.split("\r")[-1].strip()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # from MLflow's own packages
def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("alembic")  # of MLflow's own store
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    model = make()
    with mlflow.start_run() as run:
        mlflow.log_params(model.optimizer.get_config())
        callback = lambda epoch, logs: mlflow.log_metrics(logs, step=epoch)  # noqa: E731
        model.fit(X, Y, epochs=3, callbacks=[callback], verbose=0)
    logged = mlflow.MlflowClient().get_metric_history(run.info.run_id, "mae")
    assert [entry.step for entry in logged] == [1, 2, 3]
    np.testing.assert_allclose([entry.value for entry in logged], model.history["mae"])


def test_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    wandb.teardown()  # an earlier run's settings
    model = make()
    with wandb.init(config=model.optimizer.get_config()) as run:
        callback = lambda epoch, logs: run.log(logs, step=epoch)  # noqa: E731
        model.fit(X, Y, epochs=3, callbacks=[callback], verbose=0)
        assert run.step >= 3
    assert [*tmp_path.rglob("*.wandb")]
