"""The exercises: the grader passes a correct layer and names the mistake in a wrong one."""

import csv
import itertools
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from minigrad import Dense, Sigmoid
from minigrad.lessons.__main__ import main
from minigrad.lessons.exercise import LayerExercise, LossExercise, OptimizerExercise, Watched
from minigrad.lessons.exercises import EXERCISES
from minigrad.lessons.grading import grade
from minigrad.lessons.mistakes import compare

SOLUTIONS = Path(__file__).parent / "solutions"
SHEETS = {
    "slope": ["dJ/dx, is delta: the derivative is missing"],
    "product": ["the gradient of weight is the transpose"],
    "bias": ["shape (5, 3), expected (3,)", "sum over the rows"],
    "dropout": ["in inference", "0.75: scale in training", "a rate of 0.25", "keeping it, 0.75"],
    "softplus": ["isn't written yet: write backward"],
    "scale": ["isn't written yet: create self.factor"],
    "neuron": ["of weight uses dJ/da where delta", "of bias uses dJ/da where delta"],
    "squared": ["is half the right one: is a factor 2 missing?"],
    "momentum": ["the velocity is missing, or isn't kept"],
    "softmax": ["is delta a (1 - a): z_i changes the other outputs"],
    "crossentropy": ["the derivative, is -t / p"],
    "standardize": ["is delta / s: the mean and s depend on x"],
    "convolution": ["dJ/dx, is that of the reversed kernel"],
    "pooling": ["is delta / 2 at both numbers of a pair"],
    "recurrent": ["of w lacks what comes back", "of u lacks what", "dJ/dx, lacks what"],
    "attention": ["dJ/dx, lacks the way through the keys"],
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
        ("scale", "self.factor.grad =", "self.factor =", "gradient to self.factor.grad"),
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
        ("bias", "bias.grad =", "bias =", "assigns an ndarray to self.bias, which is a Parameter"),
        (
            "bias",
            "bias.grad = delta",
            "bias = Parameter(delta)\n        delta",
            "another Parameter",
        ),
        ("neuron", "a * (1 - a)", "a", "of weight lacks the factor 1 - a"),
        ("neuron", "a * (1 - a)", "(1 - a)", "of bias lacks the factor a:"),
        ("neuron", "delta * a * (1", "a * (1", "dJ/dx, lacks the factor dJ/da"),
        ("neuron", "x.T @ delta", "x[:1].T @ delta[:1]", "is the term of row 0 only"),
        ("squared", "2 * error", "-2 * error", "has the wrong sign"),
        ("squared", "2 * error", "2 * error / len(error)", "divided by the number of rows: Loss"),
        ("squared", "2 * error", "error**2", "is (a - t)^2: that is the term itself"),
        ("squared", "error**2,", "(error**2).mean(),", "is one number: return one for each row"),
        ("momentum", "value -=", "value +=", "climbs: subtract the step"),
        ("momentum", "self.rate * velocity", "velocity", "lacks the learning rate"),
        ("momentum", "velocity *= 0.9", "pass", "lacks the factor momentum"),
        ("momentum", "+= grad", "+= 0.1 * grad", "has 1 - momentum before g"),
        ("softmax", "(delta * a).sum", "delta.sum", "subtracts the sum of delta: "),
        (
            "softmax",
            "(delta * a).sum(axis=1, keepdims=True)",
            "(delta * a).sum(axis=0)",
            "sums over the rows: sum over the",
        ),
        (
            "softmax",
            "(delta * a).sum(axis=1, keepdims=True)",
            "(delta * a).sum(1)",
            "keepdims=True",
        ),
        ("crossentropy", "p - target", "target - p", "has the wrong sign"),
        ("crossentropy", "p - target", "p", "is p: subtract the target"),
        ("crossentropy", "p - target", "(p - target) / len(p)", "Loss takes the mean itself"),
        ("standardize", "delta - mean - a", "delta - a", "lacks the mean of delta: "),
        ("standardize", " / s\n", "\n", "the result of forward in training"),
        ("standardize", "return (delta", "return s * (delta", "lacks the division by s"),
        ("standardize", "- a * (delta", "- (delta", "lacks the factor a before"),
        ("convolution", "] += delta", "] = delta", "overwrites where windows overlap"),
        (
            "convolution",
            "x[:, m : m + places]).sum()",
            "x[:, 2 - m : 2 - m + places]).sum()",
            "is reversed",
        ),
        (
            "convolution",
            "x[:, m : m + places]).sum()",
            "x[:, m : m + places]).mean()",
            "0.05 times",
        ),
        (
            "pooling",
            "pairs.max(axis=2, keepdims=True)",
            "pairs.min(axis=2, keepdims=True)",
            "gives delta to the smaller",
        ),
        ("recurrent", "self.u.value * delta_z", "delta_z", "lacks the factor u on the way back"),
        ("recurrent", "** 2", "", "at index"),
        ("recurrent", "h[:, :-1]", "h[:, 1:]", "of u uses h of the same step"),
        ("attention", "as_value + as_query", "as_value", "lacks the way through the queries"),
        (
            "attention",
            " - (delta_a * a).sum(axis=2, keepdims=True)",
            "",
            "lacks the sum in the softmax",
        ),
        ("attention", "as_value + as_query + as_key", "as_value", "is that of the values alone"),
    ],
)
def test_grader_names_other_mistakes(name: str, old: str, new: str, words: str, capsys) -> None:
    text = (SOLUTIONS / f"{name}.py").read_text()
    assert old in text
    Path(f"{name}.py").write_text(text.replace(old, new))
    assert main(["grade", f"{name}.py"]) == 1
    assert " ".join(words.split()) in one_line(capsys)


def wrong_results(name: str) -> list[dict[str, np.ndarray]]:
    """The right array under "", and those of the mistakes, for each thing that can be wrong."""
    exercise, rng = EXERCISES[name], np.random.default_rng(0)
    if isinstance(exercise, LossExercise):
        pair = exercise.data(rng)
        return [{"": exercise.right(*pair), **exercise.mistakes(*pair)}]
    if isinstance(exercise, OptimizerExercise):
        paths = {"": exercise.update, **exercise.mistakes}
        return [{words: np.array(exercise.path(update)) for words, update in paths.items()}]
    assert isinstance(exercise, LayerExercise)
    numbers = exercise.numbers(Watched(_solution(name)(), exercise))
    right = exercise.right(numbers)
    return [{"": right[of], **wrong(numbers)} for of, wrong in exercise.mistakes.items()]


@pytest.mark.parametrize("name", [name for name in EXERCISES if name != "dropout"])
def test_mistakes_give_different_arrays(name: str) -> None:
    for results in wrong_results(name):
        if name == "slope":  # a sigmoid's slope is the same at -z
            results = {words: a for words, a in results.items() if "g'(-z)" not in words}
        for (one, a), (other, b) in itertools.combinations(results.items(), 2):
            assert a.shape == b.shape
            for sign in (1, -1):
                assert not np.allclose(a, sign * b, rtol=1e-3), (one, other)


def _solution(name: str) -> type:
    defined = runpy.run_path(str(SOLUTIONS / f"{name}.py"))
    return next(v for v in defined.values() if isinstance(v, type) and v.__module__ == "<run_path>")


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
    assert main(["grade", "mine.py"]) == 1
    assert "mine.py names no exercise" in one_line(capsys)


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
    with pytest.raises(SystemExit, match="2"):
        main(["help"])
    assert main([]) == 0
    assert main(["list"]) == 0


def test_compare_reports_numbers_that_are_not_finite() -> None:
    assert "not finite" in compare(np.array([np.nan]), np.array([1.0]))


OWN = """
from minigrad.lessons.exercise import LayerExercise

EXERCISES = [
    LayerExercise(
        "cube", "a cube without its derivative", lambda x: x**3,
        mistakes={"x": lambda n: {"lacks the factor x^2": 3 * n.delta}},
    )
]
"""
CUBE = """\"\"\"Exercise "cube": a cube.\"\"\"
from minigrad import Layer

class Cube(Layer):
    def forward(self, x, *, training=True):
        self.cache = x
        return x**3

    def backward(self, delta):
        return 3 * delta
"""


@pytest.mark.parametrize("file", ["minigrad_exercises.py", "course/mine.py"])
def test_exercises_of_ones_own(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = Path(file).parent / "sheets" / "cube.py"
    sheet.parent.mkdir(parents=True)
    Path(file).write_text(OWN)
    sheet.write_text(CUBE)
    option = [] if "/" not in file else ["--exercises", file]
    assert main([*option, "list"]) == 0
    assert "a cube without its derivative" in one_line(capsys)
    assert main([*option, "start", "cube"]) == 0
    assert main([*option, "grade", "cube.py"]) == 1
    assert "dJ/dx, lacks the factor x^2" in one_line(capsys)
    Path("cube.py").write_text(CUBE.replace("3 * delta", "3 * delta * self.cache**2"))
    assert main([*option, "grade", "cube.py"]) == 0
    capsys.readouterr()
    assert main([*option, "grade", "cube.py", "--csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "cube.py,cube,1,"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "defines no EXERCISES"),
        ("EXERCISES = [1]", "expects Exercise objects, got an int"),
        (OWN, "'cube' of .* has no sheet"),
        (OWN.replace("cube", "slope"), "an exercise 'slope', and there is one"),
    ],
)
def test_invalid_exercises_of_ones_own(text: str, words: str) -> None:
    Path("minigrad_exercises.py").write_text(text)
    with pytest.raises(SystemExit, match=words):
        main(["list"])


SLOPE = (SOLUTIONS / "slope.py").read_text().replace("A solution of the", 'Exercise "slope":')
SUBMISSIONS = {
    "right": (SLOPE, ""),
    "loop": (SLOPE + "\nwhile True: pass", "takes more than"),
    "slow": (SLOPE.replace("a = self.cache", "while True: pass"), "takes more than"),
    "exit": (SLOPE + "\nimport sys; sys.exit(0)", "doesn't run: SystemExit: 0"),
    "kill": (SLOPE + "\nimport os; os._exit(0)", "ends Python, status 0"),
    "later": (SLOPE.replace("a = self.cache", "raise SystemExit(0)"), "raises SystemExit: 0"),
    "print": (SLOPE + "\nprint('x' * 2**20)", "prints more than"),
    "read": (SLOPE + "\ninput()", "doesn't run: EOFError"),
    "base": (
        '"""Exercise "slope": """\nfrom minigrad import Sigmoid\nclass A(Sigmoid): pass',
        "A uses Sigmoid",
    ),
    "wrong": (SLOPE.replace("delta * a", "a"), "is g'(z): multiply it by delta"),
}
HEAVY = SLOPE.replace("a = self.cache", "np.ones(2**32)")


@pytest.mark.slow
def test_grading_a_class(capsys: pytest.CaptureFixture[str]) -> None:
    for name, (text, _) in SUBMISSIONS.items():
        folder = Path("submissions", name)
        folder.mkdir(parents=True)
        (folder / "slope.py").write_text(text)
    Path("submissions", ".hidden").mkdir()
    Path("submissions", ".hidden", "slope.py").write_text("")
    assert main(["grade", "submissions", "--csv", "--seconds", "8"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [Path(row["submission"]).parts[1] for row in rows] == sorted(SUBMISSIONS)
    for row in rows:
        name = Path(row["submission"]).parts[1]
        words = SUBMISSIONS[name][1]
        assert row["exercise"] == "slope"
        assert (row["correct"] == "1") == (not words), row
        assert words in row["report"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems don't limit the memory")
def test_a_submission_that_needs_too_much_memory(capsys: pytest.CaptureFixture[str]) -> None:
    Path("slope.py").write_text(HEAVY)
    Path("other.py").write_text(SLOPE)
    assert main(["grade", "slope.py", "other.py"]) == 0
    printed = one_line(capsys)
    assert "raises MemoryError" in printed
    assert "1 of 2 submissions are correct." in printed


def test_solutions_that_use_the_library_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    body = "class A(Layer):\n    def build(self, s, r):\n        self.inner = {}\n        return s"
    for given in ("Sigmoid()", "minigrad.layers.activations.Sigmoid()", "minigrad.Sigmoid()"):
        Path("slope.py").write_text(
            f"import minigrad\nfrom minigrad import Layer, Sigmoid\n{body.format(given)}"
        )
        assert main(["grade", "slope.py"]) == 1
        assert "A uses Sigmoid of minigrad" in one_line(capsys)


def test_grade_takes_a_layer_or_its_class() -> None:
    assert grade(Sigmoid, EXERCISES["slope"]) == grade(Sigmoid(), EXERCISES["slope"]) == []
    assert "one Parameter, got 2" in grade(Dense(3), EXERCISES["product"])[0]
