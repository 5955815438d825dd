"""The exercises: the grader passes a correct layer and names the mistake in a wrong one."""

import itertools
import runpy
from pathlib import Path

import numpy as np
import pytest

from minigrad.core.layer import build_once
from minigrad.lessons.__main__ import main
from minigrad.lessons.exercises import EXERCISES, Numbers
from minigrad.lessons.grading import compare

SOLUTIONS = Path(__file__).parent / "solutions"
SHEETS = {
    "slope": ["dJ/dx, is delta: the derivative is missing"],
    "product": ["the gradient of weight is the transpose"],
    "bias": ["shape (5, 3), expected (3,)", "sum over the rows"],
    "dropout": ["in inference", "0.75: scale in training", "a rate of 0.25", "keeping it, 0.75"],
    "softplus": ["isn't written yet: write backward"],
    "scale": ["isn't written yet: create self.factor"],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was printed, without its line breaks."""
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", EXERCISES)
def test_grader_names_the_mistake_in_each_sheet(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["start", name]) == 0
    assert main(["grade", f"{name}.py"]) == 1
    printed = one_line(capsys)
    for words in SHEETS[name]:
        assert words in printed


@pytest.mark.parametrize("name", EXERCISES)
def test_solution_passes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade", str(SOLUTIONS / f"{name}.py")]) == 0
    printed = capsys.readouterr().out
    assert "is correct. " in printed
    later = list(EXERCISES)[list(EXERCISES).index(name) + 1 :]
    if later:
        assert printed.endswith(f"python -m minigrad.lessons start {later[0]}\n")


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("slope", "a * (1 - a)", "(1 - a)", "is delta (1 - a): "),
        ("slope", "a * (1 - a)", "(a - 1)", "a factor a is missing; its sign is wrong"),
        (
            "slope",
            "a * (1 - a)",
            "(1 - a**2)",
            "is delta (1 - a^2): that is the derivative of tanh",
        ),
        ("slope", "a * (1 - a)", "(1 - a) ** 2", "at index"),
        ("slope", "delta * a", "delta + a", "is delta + g'(z): the chain rule multiplies"),
        ("slope", "delta * a * (1 - a)", "delta + a", "at index"),
        ("slope", "(1 - a)", "(1 - a) / len(a)", "dJ/dx, is divided by the number of rows"),
        ("slope", "(1 - a)", "(1 - a) / 3", "is divided by the number of features"),
        ("slope", "(1 - a)", "(1 - a) / a.size", "is divided by rows and features"),
        ("slope", "(1 - a)", "(1 - a) * 2", "is twice"),
        ("softplus", "delta / (1", "delta + 1 / (1", "is delta + g'(z): the chain rule multiplies"),
        (
            "softplus",
            "delta / (1 + np.exp(-self.cache))",
            "delta * (1 - np.logaddexp(0, self.cache))",
            "at index",
        ),
        ("slope", "delta * a * (1 - a)", "a * (1 - a)", "is g'(z): multiply it by delta"),
        ("slope", "a * (1 - a)", "a", "is delta a: multiply by the derivative g'(z), not by a"),
        ("slope", "self.cache = a", "self.cache = x", "is delta z (1 - z): "),
        ("slope", "delta * a", "delta / a / a", "expected"),
        ("slope", "delta * a * (1 - a)", "delta / (a * (1 - a))", "is delta / g'(z)"),
        (
            "slope",
            "return delta * a * (1 - a)",
            "delta *= a * (1 - a)\n        return delta",
            "backward writes to its argument delta",
        ),
        ("slope", "return delta * a", "delta = delta * a", "is a NoneType: is a return missing?"),
        ("slope", "a = self.cache", "a = 1 / (1 + np.exp(-self.cache))", "is delta g'(a)"),
        ("slope", "delta * a * (1 - a)", "delta.sum(axis=0)", "has shape (3,), expected (5, 3)"),
        ("softplus", "exp(-self.cache)", "exp(self.cache)", "is delta g'(-z): "),
        ("softplus", "delta / (", "1 / (", "is g'(z): multiply it by delta"),
        ("softplus", "delta / (1 + np.exp(-self.cache))", "delta * self.cache", "is delta z: mult"),
        ("product", "value.T", "value", "is delta W: transpose W"),
        ("product", "value.T", "value * -1", "is delta W: transpose W; its sign is wrong"),
        (
            "product",
            "x.T @ delta",
            "x @ delta",
            "backward, line 19, multiplies a matrix of 3 columns by one of 5 rows: ",
        ),
        ("product", "x.T @ delta", "x.T @ delta / len(x)", "is a mean over the rows: "),
        ("product", "x.T @ delta", "x.T @ delta / len(x) ** 2", "divided by the rows twice"),
        (
            "product",
            "x.T @ delta",
            "-x.T @ delta / len(x)",
            "has the wrong sign, and is a mean over the rows",
        ),
        ("product", "x.T @ delta", "x.T @ delta / x.size", "divided by rows and features"),
        ("product", "x.T @ delta", "2 * x.T @ delta", "is twice"),
        ("product", "x.T @ delta", "x[:1].T @ delta[:1]", "row 0 only: sum over the rows"),
        ("product", "x.T @ delta", "x[-1:].T @ delta[-1:]", "row 4 only: sum over the rows"),
        ("product", "x.T @ delta", "x[:1].T @ delta[1:2]", "at index"),
        ("product", "x.T @ delta", "x[:2].T @ delta[:2]", "at index"),
        (
            "product",
            "x.T @ delta",
            "x @ delta.T",
            "shape (5, 5), expected (3, 3): that is a number for each pair of rows",
        ),
        ("product", "x.T @ delta", "delta @ x.T", "transpose the first factor"),
        ("product", "x.T @ delta", "x * delta", "use a matrix product (@)"),
        ("product", "x.T @ delta", "(x * delta).sum(axis=0)", "and no other sum"),
        (
            "product",
            "x.T @ delta",
            "x[:, :, None] * delta[:, None, :]",
            "shape (5, 3, 3), expected (3, 3): sum over the rows",
        ),
        (
            "product",
            "return delta @",
            "return 0.2 * delta @",
            "dJ/dx, is divided by the number of rows",
        ),
        (
            "product",
            "weight.grad =",
            "weight.gard =",
            "is zero: assign weight.grad; nothing reads weight.gard",
        ),
        ("product", "self.weight.grad =", "self.weight.note =", "nothing reads weight.note"),
        ("product", "self.weight.grad = x.T @ delta", "pass", "is zero: "),
        ("product", "x.T @ delta", "x.T @ x", "is x^T x: the second factor must be delta"),
        ("scale", "(delta * self.cache).sum", "delta.sum", "is the sum of delta: "),
        ("scale", "(delta * self.cache).sum", "self.cache.sum", "is the sum of x: "),
        (
            "scale",
            "(delta * self.cache).sum(axis=0)",
            "delta.sum(0) * self.cache.sum(0)",
            "is (sum of x) (sum of delta)",
        ),
        (
            "scale",
            "delta * self.factor.value",
            "delta * self.cache",
            "is delta x: that is for the parameter",
        ),
        (
            "scale",
            "delta * self.factor.value",
            "self.factor.value + 0 * delta",
            "is the parameter: multiply it by delta",
        ),
        ("scale", "sum(axis=0)", "sum(axis=1)", "shape (5,), expected (3,): sum over the rows"),
        ("scale", "np.ones(input_shape)", "np.ones(1)", "factor expects shape (3,), got (1,)"),
        (
            "scale",
            "Parameter(np.ones(input_shape))",
            "np.ones(input_shape)",
            "one Parameter, got 0",
        ),
        ("scale", "x * self.factor.value", "x * self.factor", "use its value"),
        ("scale", "self.factor.grad =", "self.factor =", "gradient to .grad"),
        (
            "product",
            "self.weight.grad = x.T",
            "self.weight.value -= x.T",
            "backward changes the value of weight",
        ),
        ("product", "x.T @ delta", "x.T * delta", "a * instead of an @"),
        ("product", "x.T @ delta", "np.dot(x.T, delta)", "import numpy as np"),
        (
            "slope",
            "a = self.cache",
            "pass",
            "backward, line 17, raises NameError: name 'a' is not defined: ",
        ),
        (
            "slope",
            "a = 1 / (1 + np.exp(-x))",
            "a = b",
            "forward, line 10, raises NameError: name 'b' is not defined\n",
        ),
        ("dropout", "/ (1 - self.rate)", "/ self.rate", "in training changes the mean of ones to"),
        ("dropout", ">= self.rate", "< self.rate", "drops 7"),
        ("slope", "delta * a", "-delta * a", "has the wrong sign"),
        ("slope", "delta * a", "3 * delta * a", "is 3 times"),
        ("product", "grad = x", "grad += x", "is added to the old one (+=)"),
        ("bias", "sum(axis=0)", "mean(axis=0)", "is a mean over the rows: "),
        ("bias", "delta.sum(axis=0)", "delta[0]", "row 0 only: sum over the rows"),
        ("bias", "delta.sum(axis=0)", "delta[:2].sum(axis=0)", "at index"),
        (
            "bias",
            "delta.sum(axis=0)",
            "delta.T @ delta",
            "shape (3, 3), expected (3,): use no matrix product",
        ),
        ("bias", "return delta.copy()", "return delta * self.bias.value", "at index"),
        (
            "bias",
            "x + self.bias.value",
            "(x + self.bias.value) / len(x)",
            "in training is divided by the number of rows",
        ),
        ("scale", "self.cache).sum(axis=0)", "self.cache)[2]", "row 2 only: sum over the rows"),
        (
            "scale",
            "(delta * self.cache).sum(axis=0)",
            "self.cache @ delta.T",
            "use no matrix product",
        ),
        ("scale", "(delta * self.cache).sum", "(0 * self.cache).sum", "is zero: "),
        ("scale", "return delta * self", "return delta + 0 * self", "is delta: "),
        ("dropout", "return delta * self.cache", "return delta * 1", "same scaled mask"),
        ("softplus", "return np.logaddexp(0, x)", "return x", "the result of forward in training"),
    ],
)
def test_grader_names_other_mistakes(name: str, old: str, new: str, words: str, capsys) -> None:
    text = (SOLUTIONS / f"{name}.py").read_text()
    assert old in text
    Path(f"{name}.py").write_text(text.replace(old, new))
    assert main(["grade", f"{name}.py"]) == 1
    assert " ".join(words.split()) in one_line(capsys)


@pytest.mark.parametrize("name", [name for name, e in EXERCISES.items() if e.forward])
def test_mistakes_give_different_arrays(name: str) -> None:
    exercise, rng = EXERCISES[name], np.random.default_rng(0)
    forward = exercise.forward
    assert forward is not None
    layer = runpy.run_path(str(SOLUTIONS / f"{name}.py"))
    (made,) = (v() for v in layer.values() if isinstance(v, type) and v.__module__ == "<run_path>")
    build_once(made, (3,), rng)
    for _, parameter in made.own_parameters():
        parameter.value = rng.normal(size=parameter.shape)
    x, delta = rng.normal(size=(2, 5, 3))
    made.forward(x)
    right = made.backward(delta)
    own = [parameter for _, parameter in made.own_parameters()]
    numbers = Numbers(lambda z: forward(made, z), x, delta, own[0].value if own else np.empty(0))
    even = "is delta g'(-z)" if name == "slope" else None  # a sigmoid's slope is the same at -z
    results = exercise.delta_mistakes(numbers).items()
    wrong = [array for words, array in results if not even or even not in words]
    gradients = [*(p.grad for p in own), *exercise.gradient_mistakes(numbers).values()]
    for arrays in ([right, *wrong], gradients):
        for one, other in itertools.combinations(arrays, 2):
            assert one.shape == other.shape
            assert not np.allclose(abs(one), abs(other), rtol=1e-3)


def test_grader_ignores_attributes_from_build(capsys: pytest.CaptureFixture[str]) -> None:
    text = (SOLUTIONS / "product.py").read_text()
    noted = text.replace("return input_shape", "self.weight.note = 1\n        return input_shape")
    Path("product.py").write_text(noted.replace("self.weight.grad = x.T @ delta", "pass"))
    assert main(["grade", "product.py"]) == 1
    assert "is zero: " in capsys.readouterr().out
    extra = text.replace("x.T @ delta", "x.T @ delta\n        self.weight.note = 1")
    Path("product.py").write_text(extra)
    assert main(["grade", "product.py"]) == 0


def test_start_never_overwrites_a_file() -> None:
    Path("slope.py").write_text("mine")
    with pytest.raises(SystemExit, match=r"slope\.py already exists"):
        main(["start", "slope"])
    assert Path("slope.py").read_text() == "mine"


def test_grade_prints_an_item_for_each_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    main(["start", "dropout"])
    capsys.readouterr()
    assert main(["grade", "dropout.py"]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("- ") for line in printed) > 1
    assert all(line.startswith(("- ", "  ")) for line in printed)


def test_start_prints_the_next_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", "slope"]) == 0
    command = capsys.readouterr().out.splitlines()[-1].removesuffix(".py").split()
    assert command[:3] == ["python", "-m", "minigrad.lessons"]
    assert main(command[3:]) == 1


def test_grade_finds_the_exercise_of_a_renamed_file(capsys: pytest.CaptureFixture[str]) -> None:
    main(["start", "bias"])
    Path("bias.py").rename("second try.py")
    assert main(["grade", "second try.py"]) == 1
    assert "sum over the rows" in one_line(capsys)
    Path("mine.py").write_text(Path("second try.py").read_text().partition('"""\n')[2])
    with pytest.raises(SystemExit, match=r"mine\.py names no exercise"):
        main(["grade", "mine.py"])


def test_invalid_commands_and_files(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="did you mean 'slope'"):
        main(["start", "slpoe"])
    with pytest.raises(SystemExit, match=r"no file slope\.py"):
        main(["grade", "slope.py"])
    Path("slope.py").write_text("a = 1\nb = a / 0")
    assert main(["grade", "slope.py"]) == 1
    assert "doesn't run: ZeroDivisionError: division by zero (line 2)" in capsys.readouterr().out
    Path("slope.py").write_text("x = 1")
    assert main(["grade", "slope.py"]) == 1
    assert "defines no Layer" in capsys.readouterr().out
    Path("slope.py").write_text("x =")
    assert main(["grade", "slope.py"]) == 1
    assert "doesn't run: SyntaxError" in capsys.readouterr().out
    assert main(["help"]) == 2
    assert main([]) == 0


def test_compare_reports_numbers_that_are_not_finite() -> None:
    assert "not finite" in compare(np.array([np.nan]), np.array([1.0]))
