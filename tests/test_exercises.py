"""The grader names what is wrong in words, and passes what is right."""

from pathlib import Path

import numpy as np
import pytest

from minigrad.exercises.__main__ import main
from minigrad.exercises.grading import compare
from minigrad.exercises.tasks import TASKS

SOLUTIONS = Path(__file__).parent / "solutions"
SHEETS = {
    "slope": ["what backward returns, dJ/dx, is delta itself: the derivative is missing"],
    "product": ["the gradient of weight is the transpose of what it should be"],
    "bias": ["the gradient of Parameter has shape (3,), got (5, 3): is it summed over the rows?"],
    "dropout": [
        "in inference it must change nothing, but ones come out as 0.50",
        "in training the mean of ones becomes 0.5",
    ],
    "softplus": ["it isn't written yet: write backward"],
    "scale": ["it isn't written yet: make self.factor"],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", TASKS)
def test_a_sheet_is_graded_in_words(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", name]) == 0
    assert main(["grade", f"{name}.py"]) == 1
    said = capsys.readouterr().out
    for words in SHEETS[name]:
        assert words in said


@pytest.mark.parametrize("name", TASKS)
def test_a_solution_passes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade", str(SOLUTIONS / f"{name}.py")]) == 0
    assert "is right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("slope", "a * (1 - a)", "(1 - a)", "expected"),
        ("slope", "delta * a", "-delta * a", "has the wrong sign"),
        ("slope", "delta * a", "3 * delta * a", "is 3 times what it should be"),
        ("product", "grad = x", "grad += x", "added to what was there: assign it"),
        ("bias", "sum(axis=0)", "mean(axis=0)", "is a mean over the rows: it must be their sum"),
        ("bias", "delta.sum(axis=0)", "delta[0]", "holds the delta of one row"),
        ("scale", "(delta * self.cache).sum", "(0 * self.cache).sum", "is zero: was it assigned?"),
        ("scale", "return delta * self", "return delta + 0 * self", "is delta itself"),
        ("dropout", "return delta * self.cache", "return delta * 1", "same scaled mask"),
        ("softplus", "return np.logaddexp(0, x)", "return x", "forward in training is wrong"),
    ],
)
def test_other_mistakes(name: str, old: str, new: str, words: str, capsys) -> None:
    text = (SOLUTIONS / f"{name}.py").read_text()
    assert old in text
    Path(f"{name}.py").write_text(text.replace(old, new))
    assert main(["grade", f"{name}.py"]) == 1
    assert words in capsys.readouterr().out


def test_a_sheet_is_never_overwritten() -> None:
    Path("slope.py").write_text("mine")
    with pytest.raises(SystemExit, match="stays as it is"):
        main(["start", "slope"])
    assert Path("slope.py").read_text() == "mine"


def test_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="did you mean 'slope'"):
        main(["start", "slpoe"])
    with pytest.raises(SystemExit, match=r"no file slope\.py"):
        main(["grade", "slope.py"])
    Path("slope.py").write_text("x =")
    assert main(["grade", "slope.py"]) == 1
    assert "doesn't run: SyntaxError" in capsys.readouterr().out
    assert main(["help"]) == 2
    assert main([]) == 0


def test_not_finite() -> None:
    assert compare(np.array([np.nan]), np.array([1.0])) == "is not finite"
