"""History: a dictionary of equally long lists, as a table, a file, a chart and a plot."""

import builtins
import csv
import json
import math
import pickle
import re
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pytest

from minigrad import SGD, Dense, History, Sequential

X = np.random.default_rng(0).uniform(size=(20, 2))
Y = X.sum(axis=1)


def says(error: type[Exception], message: str):
    return pytest.raises(error, match=re.escape(message))


def fitted(**options) -> Sequential:
    model = Sequential([Dense(1)], input_shape=(2,), rng=0)
    model.compile(optimizer=SGD(learning_rate=0.1), loss="mse")
    model.fit(X, Y, verbose=0, **options)
    return model


def test_it_is_a_dictionary_of_lists() -> None:
    history = fitted(epochs=2).history
    assert isinstance(history, dict)
    assert {name: [type(v) for v in values] for name, values in history.items()} == {
        "loss": [float, float]
    }
    assert json.loads(json.dumps(history)) == history
    assert type(pickle.loads(pickle.dumps(history))) is History


def test_figures_that_some_epochs_lack_are_nan() -> None:
    model = fitted(epochs=2)
    model.fit(X, Y, epochs=1, validation_split=0.5, verbose=0)
    model.fit(X, Y, epochs=1, verbose=0)
    history = model.history
    assert {len(values) for values in history.values()} == {4}
    assert [math.isnan(value) for value in history["val_loss"]] == [True, True, False, True]
    assert history.epochs == 4
    line = str(history).splitlines()[1].split()
    assert (line[0], line[2]) == ("1", "nan")


def test_what_fit_returns_is_this_fit_alone() -> None:
    model = fitted(epochs=2)
    second = model.fit(X, Y, epochs=3, verbose=0)
    assert second["loss"] == model.history["loss"][2:]


def test_a_long_table_shows_both_ends() -> None:
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


def test_svg(tmp_path: Path) -> None:
    history = History(loss=[0.5, 0.25], val_loss=[math.nan, 0.3], mae=[0.7, 0.6])
    path = tmp_path / "history.svg"
    svg = history.to_svg(path)
    assert path.read_text(encoding="utf-8") == svg
    xml.etree.ElementTree.fromstring(svg)
    assert "val_loss" in svg
    assert "mae" not in svg
    assert ">mae<" in history.to_svg(names=["mae"], title="Errors")


@pytest.mark.parametrize("draw", [History.to_svg, History.plot])
def test_nothing_to_draw(draw) -> None:
    with says(ValueError, "the history holds no epochs to draw: call fit first"):
        draw(History())
    with says(ValueError, "the history has no figure 'los': did you mean 'loss'?"):
        draw(History(loss=[1.0]), names=["los"])


def test_in_a_notebook() -> None:
    history = History({"loss": [0.5, 0.25], "a<b": [1.0, 2.0]})
    page = history._repr_html_()
    assert page.startswith("<svg")
    assert "a&lt;b" in page
    for empty in (History(), History(loss=[math.nan]), History(mae=[1.0])):
        assert empty._repr_html_().startswith("<pre>epoch")


def test_plot() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    history = History(loss=[0.5, 0.25], val_loss=[0.6, 0.5], mae=[0.7, 0.6])
    axes = history.plot()
    assert [line.get_label() for line in axes.get_lines()] == ["loss", "val_loss"]
    np.testing.assert_array_equal(axes.get_lines()[1].get_xydata(), [[1, 0.6], [2, 0.5]])
    _, mine = pyplot.subplots()
    assert history.plot(names=["mae"], ax=mine) is mine
    assert len(mine.get_lines()) == 1
    pyplot.close("all")


def test_plot_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments, **options):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with says(ImportError, "History.plot needs Matplotlib: pip install 'minigrad[plot]'"):
        History(loss=[1.0]).plot()
