"""History: a dictionary of lists of equal length, as a table and as a file."""

import csv
import json
import math
import pickle
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from minigrad import SGD, Dense, History, Sequential

X = np.random.default_rng(0).uniform(size=(20, 2))
Y = X.sum(axis=1)


def fitted(**options) -> Sequential:
    model = Sequential([Dense(1)], input_shape=(2,), rng=0)
    model.compile(optimizer=SGD(learning_rate=0.1), loss="mse")
    model.fit(X, Y, verbose=0, **options)
    return model


def test_history_is_a_dictionary_of_lists() -> None:
    history = fitted(epochs=2).history
    assert isinstance(history, dict)
    assert {name: [type(v) for v in values] for name, values in history.items()} == {
        "loss": [float, float]
    }
    assert json.loads(json.dumps(history)) == history
    assert type(pickle.loads(pickle.dumps(history))) is History


def test_logs_that_some_epochs_lack_are_nan() -> None:
    model = fitted(epochs=2)
    model.fit(X, Y, epochs=1, validation_split=0.5, verbose=0)
    model.fit(X, Y, epochs=1, verbose=0)
    history = model.history
    assert {len(values) for values in history.values()} == {4}
    assert [math.isnan(value) for value in history["val_loss"]] == [True, True, False, True]
    assert history.epochs == 4
    line = str(history).splitlines()[1].split()
    assert (line[0], line[2]) == ("1", "nan")


def test_fit_returns_the_history_of_this_call() -> None:
    model = fitted(epochs=2)
    second = model.fit(X, Y, epochs=3, verbose=0)
    assert second["loss"] == model.history["loss"][2:]


def test_long_table_shows_the_first_and_last_epochs() -> None:
    history = History(loss=[float(k) for k in range(1, 101)])
    lines = str(history).splitlines()
    assert [line.split()[0] for line in lines] == [
        "epoch", *map(str, range(1, 11)), "...", *map(str, range(91, 101)),
    ]  # fmt: skip
    assert len({len(line) for line in lines}) == 1
    assert str(History()) == "epoch"


def test_csv_has_every_digit(tmp_path: Path) -> None:
    history = History(loss=[1 / 3, 1e-300], val_loss=[math.nan, 2.0])
    path = tmp_path / "history.csv"
    path.write_text("old")
    history.to_csv(path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [float(row["loss"]) for row in rows] == history["loss"]
    assert [row["val_loss"] for row in rows] == ["nan", "2.0"]
    assert path.read_bytes().count(b"\r") == 0


def test_pandas_reads_the_csv(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    history = fitted(epochs=3).history
    history.to_csv(tmp_path / "history.csv")
    frame = pandas.read_csv(tmp_path / "history.csv", index_col="epoch")
    np.testing.assert_allclose(frame["loss"], history["loss"], rtol=1e-15)


def test_a_notebook_shows_the_escaped_table() -> None:
    page = History({"loss": [0.5, 0.25], "a<b": [1.0, 2.0]})._repr_html_()
    rows = ElementTree.fromstring(page).iter("tr")
    assert [[cell.text for cell in row] for row in rows] == [
        ["epoch", "loss", "a<b"], ["1", "0.50000", "1.0000"], ["2", "0.25000", "2.0000"],
    ]  # fmt: skip
