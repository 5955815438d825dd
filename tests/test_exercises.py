"""The grader names what is wrong in words, and passes what is right."""

import itertools
import runpy
from pathlib import Path

import numpy as np
import pytest

from minigrad.core.layer import connect
from minigrad.lessons.__main__ import main
from minigrad.lessons.grading import compare
from minigrad.lessons.mistakes import Numbers
from minigrad.lessons.tasks import TASKS

SOLUTIONS = Path(__file__).parent / "solutions"
SHEETS = {
    "slope": ["what backward returns, dJ/dx, is delta itself: the derivative is missing"],
    "product": ["the gradient of weight is the transpose of what it should be"],
    "bias": ["the gradient of Parameter has shape (3,), got (5, 3): sum over the rows"],
    "dropout": [
        "in inference it must change nothing, but ones come out as 0.75",
        "in training the mean of ones becomes 0.75 at a rate of 0.25: divide what is kept by the "
        "probability of keeping it, 0.75,",
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
    said = capsys.readouterr().out
    assert "is right. " in said
    later = list(TASKS)[list(TASKS).index(name) + 1 :]
    if later:
        assert said.endswith(f" is right. Next: python -m minigrad.lessons start {later[0]}\n")
    else:
        assert said.endswith(" is right. That is the last of the list.\n")


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        (
            "slope",
            "a * (1 - a)",
            "(1 - a)",
            "is delta (1 - a): of the derivative, a (1 - a), the a",
        ),
        ("slope", "a * (1 - a)", "(a - 1)", "the a is missing; and its sign is wrong"),
        (
            "slope",
            "a * (1 - a)",
            "(1 - a**2)",
            "is delta (1 - a^2): that is the derivative of tanh",
        ),
        ("slope", "a * (1 - a)", "(1 - a) ** 2", "at index"),
        ("slope", "delta * a", "delta + a", "is delta + g'(z): the chain rule multiplies"),
        ("slope", "delta * a * (1 - a)", "delta + a", "at index"),
        ("slope", "(1 - a)", "(1 - a) / len(a)", "dJ/dx, is divided by the rows: it must not be"),
        ("slope", "(1 - a)", "(1 - a) / 3", "is divided by the features: it must not be divided"),
        (
            "slope",
            "(1 - a)",
            "(1 - a) / a.size",
            "is divided by the rows and the features: it must",
        ),
        ("slope", "(1 - a)", "(1 - a) * 2", "is twice what it should be"),
        ("softplus", "delta / (1", "delta + 1 / (1", "is delta + g'(z): the chain rule multiplies"),
        (
            "softplus",
            "delta / (1 + np.exp(-self.cache))",
            "delta * (1 - np.logaddexp(0, self.cache))",
            "at index",
        ),
        ("slope", "delta * a * (1 - a)", "a * (1 - a)", "is g'(z) alone: multiply it by delta"),
        ("slope", "a * (1 - a)", "a", "is delta a: multiply by the derivative g'(z), not by a"),
        ("slope", "self.cache = a", "self.cache = x", "is delta z (1 - z): that formula is for a"),
        ("slope", "delta * a", "delta / a / a", "expected"),
        ("slope", "delta * a * (1 - a)", "delta / (a * (1 - a))", "is delta / g'(z)"),
        (
            "slope",
            "return delta * a * (1 - a)",
            "delta *= a * (1 - a)\n        return delta",
            "backward writes into the delta that it was given",
        ),
        ("slope", "return delta * a", "delta = delta * a", "is a NoneType: is a return missing?"),
        ("slope", "a = self.cache", "a = 1 / (1 + np.exp(-self.cache))", "is delta g'(a)"),
        ("slope", "delta * a * (1 - a)", "delta.sum(axis=0)", "has shape (3,), expected (5, 3)"),
        ("softplus", "exp(-self.cache)", "exp(self.cache)", "is delta g'(-z): the derivative is"),
        ("softplus", "delta / (", "1 / (", "is g'(z) alone: multiply it by delta"),
        ("softplus", "delta / (1 + np.exp(-self.cache))", "delta * self.cache", "is delta z: mult"),
        ("product", "value.T", "value", "is delta W: W must be transposed"),
        ("product", "value.T", "value * -1", "is delta W: W must be transposed; and its sign is"),
        (
            "product",
            "x.T @ delta",
            "x @ delta",
            "backward, line 19, multiplies a matrix of 3 columns by one of 5 rows: is a transpose",
        ),
        ("product", "x.T @ delta", "x.T @ delta / len(x)", "is a mean over the rows: it must be"),
        ("product", "x.T @ delta", "x.T @ delta / len(x) ** 2", "divided by the rows twice"),
        (
            "product",
            "x.T @ delta",
            "-x.T @ delta / len(x)",
            "has the wrong sign, and is a mean over the rows",
        ),
        ("product", "x.T @ delta", "x.T @ delta / x.size", "divided by the rows and the features"),
        ("product", "x.T @ delta", "2 * x.T @ delta", "is twice what it should be"),
        (
            "product",
            "x.T @ delta",
            "x[:1].T @ delta[:1]",
            "is row 0's alone: the rows must be summed",
        ),
        ("product", "x.T @ delta", "x[-1:].T @ delta[-1:]", "is row 4's alone: the rows must be"),
        ("product", "x.T @ delta", "x[:1].T @ delta[1:2]", "at index"),
        ("product", "x.T @ delta", "x[:2].T @ delta[:2]", "at index"),
        (
            "product",
            "x.T @ delta",
            "x @ delta.T",
            "got (5, 5): that is a number for each pair of rows; transpose the first factor, not",
        ),
        ("product", "x.T @ delta", "delta @ x.T", "transpose the first factor, not the second"),
        ("product", "x.T @ delta", "x * delta", "a product of matrices, by @, sums over the rows"),
        ("product", "x.T @ delta", "(x * delta).sum(axis=0)", "and nothing else must be summed"),
        (
            "product",
            "x.T @ delta",
            "x[:, :, None] * delta[:, None, :]",
            "got (5, 3, 3): sum over the rows, by axis=0",
        ),
        ("product", "return delta @", "return 0.2 * delta @", "dJ/dx, is divided by the rows: it"),
        (
            "product",
            "weight.grad =",
            "weight.gard =",
            "is zero: assign weight.grad; weight.gard is re",
        ),
        ("product", "self.weight.grad =", "self.weight.note =", "weight.note is read by nothing"),
        ("product", "self.weight.grad = x.T @ delta", "pass", "is zero: was it assigned?"),
        ("product", "x.T @ delta", "x.T @ x", "is x^T x: the second factor must be delta"),
        ("scale", "(delta * self.cache).sum", "delta.sum", "is the sum of delta alone"),
        ("scale", "(delta * self.cache).sum", "self.cache.sum", "is the sum of x alone"),
        (
            "scale",
            "(delta * self.cache).sum(axis=0)",
            "delta.sum(0) * self.cache.sum(0)",
            "is (sum of x) (sum of delta)",
        ),
        ("scale", "delta * self.factor.value", "delta * self.cache", "is delta x: that is what"),
        (
            "scale",
            "delta * self.factor.value",
            "self.factor.value + 0 * delta",
            "is the parameter alone: multiply it by delta",
        ),
        (
            "scale",
            "sum(axis=0)",
            "sum(axis=1)",
            "got (5,): sum over the rows, and over them",
        ),
        ("scale", "np.ones(input_shape)", "np.ones(1)", "factor has shape (1,), expected (3,)"),
        (
            "scale",
            "Parameter(np.ones(input_shape))",
            "np.ones(input_shape)",
            "it has 0 Parameters, expected one: make it in build",
        ),
        ("scale", "x * self.factor.value", "x * self.factor", "its numbers are in .value"),
        ("scale", "self.factor.grad =", "self.factor =", "Its gradient is assigned to .grad"),
        (
            "product",
            "self.weight.grad = x.T",
            "self.weight.value -= x.T",
            "backward changes the value of weight: assign weight.grad",
        ),
        ("product", "x.T @ delta", "x.T * delta", "is a * in the place of an @"),
        ("product", "x.T @ delta", "np.dot(x.T, delta)", "import numpy as np"),
        (
            "slope",
            "a = self.cache",
            "pass",
            "backward, line 17, raises NameError: name 'a' is not "
            "defined: forward's variables are gone by then",
        ),
        (
            "slope",
            "a = 1 / (1 + np.exp(-x))",
            "a = b",
            "forward, line 10, raises NameError: name 'b' is not defined\n",
        ),
        ("dropout", "/ (1 - self.rate)", "/ self.rate", "in training the mean of ones becomes"),
        ("dropout", ">= self.rate", "< self.rate", "it drops 7"),
        ("slope", "delta * a", "-delta * a", "has the wrong sign"),
        ("slope", "delta * a", "3 * delta * a", "is 3 times what it should be"),
        ("product", "grad = x", "grad += x", "is added to what was there (+=): assign it (=)"),
        ("bias", "sum(axis=0)", "mean(axis=0)", "is a mean over the rows: it must be their sum"),
        ("bias", "delta.sum(axis=0)", "delta[0]", "is row 0's alone: the rows must be summed"),
        ("bias", "delta.sum(axis=0)", "delta[:2].sum(axis=0)", "at index"),
        ("bias", "delta.sum(axis=0)", "delta.T @ delta", "got (3, 3): no product of matrices"),
        ("bias", "return delta.copy()", "return delta * self.bias.value", "at index"),
        ("bias", "x + self.bias.value", "(x + self.bias.value) / len(x)", "is divided by the rows"),
        (
            "scale",
            "self.cache).sum(axis=0)",
            "self.cache)[2]",
            "is row 2's alone: the rows must be",
        ),
        ("scale", "(delta * self.cache).sum(axis=0)", "self.cache @ delta.T", "no product of matr"),
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


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.forward])
def test_no_two_mistakes_make_the_same_numbers(name: str) -> None:
    task, rng = TASKS[name], np.random.default_rng(0)
    forward = task.forward
    assert forward is not None
    layer = runpy.run_path(str(SOLUTIONS / f"{name}.py"))
    (made,) = (v() for v in layer.values() if isinstance(v, type) and v.__module__ == "<run_path>")
    connect(made, (3,), rng)
    for _, parameter in made.own_parameters():
        parameter.value = rng.normal(size=parameter.shape)
    x, delta = rng.normal(size=(2, 5, 3))
    made.forward(x)
    right = made.backward(delta)
    held = [parameter for _, parameter in made.own_parameters()]
    of = Numbers(lambda z: forward(made, z), x, delta, held[0].value if held else np.empty(0))
    even = "is delta g'(-z)" if name == "slope" else None  # a sigmoid's slope is the same at -z
    through = [v for said, v in task.through(of).items() if not even or even not in said]
    for arrays in ([right, *through], [*(p.grad for p in held), *task.gradient(of).values()]):
        for one, other in itertools.combinations(arrays, 2):
            assert one.shape == other.shape
            assert not np.allclose(abs(one), abs(other), rtol=1e-3)


def test_what_a_parameter_held_before_is_no_gradient(capsys: pytest.CaptureFixture[str]) -> None:
    text = (SOLUTIONS / "product.py").read_text()
    noted = text.replace("return input_shape", "self.weight.note = 1\n        return input_shape")
    Path("product.py").write_text(noted.replace("self.weight.grad = x.T @ delta", "pass"))
    assert main(["grade", "product.py"]) == 1
    assert "is zero: was it assigned?" in capsys.readouterr().out
    extra = text.replace("x.T @ delta", "x.T @ delta\n        self.weight.note = 1")
    Path("product.py").write_text(extra)
    assert main(["grade", "product.py"]) == 0


def test_a_sheet_is_never_overwritten() -> None:
    Path("slope.py").write_text("mine")
    with pytest.raises(SystemExit, match="stays as it is"):
        main(["start", "slope"])
    assert Path("slope.py").read_text() == "mine"


def test_what_is_wrong_is_all_that_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["start", "dropout"])
    capsys.readouterr()
    assert main(["grade", "dropout.py"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert len(said) > 1
    assert all(line.startswith("- ") for line in said)


def test_start_says_what_to_run_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", "slope"]) == 0
    command = capsys.readouterr().out.splitlines()[-1].removesuffix(".py").split()
    assert command[:3] == ["python", "-m", "minigrad.lessons"]
    assert main(command[3:]) == 1


def test_a_copy_under_another_name_is_graded(capsys: pytest.CaptureFixture[str]) -> None:
    main(["start", "bias"])
    Path("bias.py").rename("second try.py")
    assert main(["grade", "second try.py"]) == 1
    assert "sum over the rows" in capsys.readouterr().out
    Path("mine.py").write_text(Path("second try.py").read_text().partition('"""\n')[2])
    with pytest.raises(SystemExit, match=r"which exercise is mine\.py\? Let it begin with"):
        main(["grade", "mine.py"])


def test_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_not_finite() -> None:
    assert compare(np.array([np.nan]), np.array([1.0])) == "is not finite"
