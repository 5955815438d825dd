"""Tables and reports: in terminals of any width, with and without color, and in a notebook."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from minigrad import (
    Dense,
    History,
    Sequential,
    Sigmoid,
    Tanh,
    check_gradients,
    check_layer,
    confusion_matrix,
)
from minigrad.diagnose.findings import Diagnosis, Finding
from minigrad.summary import summary
from minigrad.util.table import Table
from minigrad.util.terminal import Terminal

X = np.random.default_rng(0).normal(size=(40, 2))
CODE = re.compile(r"\x1b\[[\d;]*m")


class Wrong(Tanh):
    def derivative(self, cached):
        return 1 - cached


def model() -> Sequential:
    return Sequential([Dense(3), Sigmoid(), Dense(1), Sigmoid()], input_shape=(2,), rng=4)


FOUND = Finding(
    "saturated_units",
    "warning",
    "Sigmoid 'sigmoid_1' is saturated",
    "At 89.3% of its values the slope is below 1% of the steepest slope. It passes no delta on.",
    "Scale the inputs, or use smaller initial weights ('glorot_uniform').",
    {"share": 0.8889, "always_saturated_units": 1234},
)
REPORTS = {
    "summary": lambda: summary(model()),
    "history": lambda: str(History(loss=[0.5, 0.25], mae=[0.1, 0.2], val_loss=[1.0, 2.0])),
    "gradients": lambda: str(check_gradients(Wrong(), X, X, "mse")),
    "layer": lambda: str(check_layer(Wrong(), (2,))),
    "diagnosis": lambda: str(Diagnosis([FOUND], notes=["checked 2,000 of 2,000 rows, " * 3])),
}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch):
    def use(width: int, *, color: bool = False) -> None:
        monkeypatch.setattr(Terminal, "of", classmethod(lambda *_: Terminal(width, color)))

    return use


@pytest.mark.parametrize("width", [80, 60, 40])
def test_reports_fit_the_terminal(width: int, terminal) -> None:
    words = {}
    for wide in (width, 100):
        terminal(wide)
        for name, report in REPORTS.items():
            text = report()
            assert max(map(len, text.splitlines())) <= wide, name
            words.setdefault(name, []).append(set(re.findall(r"[\d.]{4,}", text)))
    assert all(narrow == wide for narrow, wide in words.values())


@pytest.mark.parametrize("name", REPORTS)
def test_color_changes_no_text(name: str, terminal) -> None:
    terminal(80)
    plain = REPORTS[name]()
    terminal(80, color=True)
    colored = REPORTS[name]()
    assert CODE.sub("", colored) == plain != colored
    assert colored.count("\x1b[") % 2 == 0


def test_a_failure_is_red_and_a_pass_is_green(terminal) -> None:
    terminal(80, color=True)
    assert REPORTS["gradients"]().startswith("\x1b[1;31mFAILED\x1b[0m: ")
    assert str(check_layer(Tanh(), (2,))).startswith("\x1b[1;32mpassed\x1b[0m: ")
    assert "\x1b[1;33mWARNING\x1b[0m: " in REPORTS["diagnosis"]()


def test_columns_that_do_not_fit_follow_below() -> None:
    rows = [("name", "one", "two"), ("  a", "1", "2"), ("b", "3.25", "4.5")]
    table = Table(rows, right=[1, 2])
    assert table.text(Terminal(width=16)).splitlines() == [
        "name   one  two", "  a      1    2", "b     3.25  4.5",
    ]  # fmt: skip
    assert table.text(Terminal(width=14)).splitlines() == [
        "name   one", "  a      1", "b     3.25", "", "name  two", "  a     2", "b     4.5",
    ]  # fmt: skip


def test_a_long_name_keeps_its_end() -> None:
    table = Table([("name", "n"), ("encoder.block_1.dense_1.weight", "1")])
    lines = table.text(Terminal(width=40)).splitlines()
    assert lines[1] == "..._1.dense_1.weight  1"


def test_html_aligns_indents_and_escapes() -> None:
    page = Table([("name", "n"), ("  <b>", "1"), ("c", "2")], right=[1], wrong=[2]).html()
    root = ElementTree.fromstring(page)
    assert [[cell.text for cell in row] for row in root.iter("tr")] == [
        ["name", "n"], ["<b>", "1"], ["c", "2"],
    ]  # fmt: skip
    cells = [cell.get("style") for cell in root.iter("td")]
    assert cells[0] == "text-align:left;padding-left:1.5em;white-space:nowrap"
    assert cells[1] == "text-align:right;white-space:nowrap"
    assert "color" in cells[3]


def test_a_confusion_matrix_is_an_array_and_a_table() -> None:
    matrix = confusion_matrix([0, 1, 1, 2], np.eye(3)[[0, 1, 2, 2]])
    rows = ElementTree.fromstring(matrix._repr_html_()).iter("tr")
    assert [[cell.text for cell in row] for row in rows] == [
        ["true \\ predicted", "0", "1", "2"],
        ["0", "1", "0", "0"],
        ["1", "0", "1", "1"],
        ["2", "0", "0", "1"],
    ]
    assert ">0.333<" in (matrix / 3)._repr_html_()
    assert matrix[0]._repr_html_() is None
    assert matrix.trace() == 3


SHOWN = {
    "svg": ["model", "Sequential([Dense(40), Dense(1)], input_shape=(2,))"],
    "table": [
        "model",
        "history",
        "check_gradients(model, x[:5], y[:5], 'bce')",
        "check_layer(Wrong(), (2,))",
        "confusion_matrix(y, model.predict(x))",
    ],
    "article": ["model.diagnose(x, 9 * y, loss='mse')"],
    "iframe": ["model.explain(x[:2], y[:2])", "model.film(x, y, frames=3, verbose=0)"],
}
"""What a notebook shows of each expression."""

BEGIN = """
import numpy as np
from minigrad import *
class Wrong(Tanh):
    def derivative(self, cached):
        return 1 - cached
x = np.random.default_rng(0).normal(size=(40, 2))
y = (x.sum(axis=1) > 0).astype(float)
model = Sequential([Dense(3), Sigmoid(), Dense(1), Sigmoid()], input_shape=(2,), rng=4)
model.compile(optimizer=SGD(learning_rate=0.5), loss="bce", metrics=["accuracy"])
history = model.fit(x, y, epochs=5)
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_notebook_shows_pictures_and_tables(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbconvert = pytest.importorskip("nbconvert")
    nbformat = pytest.importorskip("nbformat.v4")
    pairs = [(tag, code) for tag, codes in SHOWN.items() for code in codes]
    cells = [nbformat.new_code_cell(code) for code in (BEGIN, *(code for _, code in pairs))]
    notebook = nbformat.new_notebook(cells=cells)
    resources = {"metadata": {"path": str(Path(__file__).parent.parent)}}
    nbclient.NotebookClient(notebook, kernel_name="python3", resources=resources).execute()
    first, *others = (cell.outputs for cell in notebook.cells)
    assert len("".join(output.text for output in first).splitlines()) == 5
    for (tag, code), (output,) in zip(pairs, others, strict=True):
        assert f"<{tag}" in output.data["text/html"], code
        assert "<pre" not in output.data["text/html"], code
        assert output.data["text/plain"].strip(), code
    page, _ = nbconvert.HTMLExporter(template_name="lab").from_notebook_node(notebook)
    assert page.count("<table") == 7
