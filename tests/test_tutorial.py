"""The lesson repeats the tutorial's numbers, and follows a transcription of its formulas."""

import builtins

import numpy as np
import pytest

from minigrad import SGD
from minigrad.lessons import tutorial

X_FIRST = [[0.96702984, 0.54723225], [0.97268436, 0.71481599], [0.69772882, 0.2160895]]
X_LAST = [[0.63652491, 0.84404444], [0.01889563, 0.3513995], [0.0708804, 0.09866774]]
Y_FIRST = [1.51426209, 1.68750035, 0.91381832]


class Transcription:
    """z1 = x W1, a1 = s(z1), z2 = a1 W2, y = s(z2), J = 1/2 sum (y - t)^2."""

    def __init__(self, rng: np.random.RandomState) -> None:
        self.w1 = rng.randn(2, 3)
        self.w2 = rng.randn(3, 1)

    def step(self, x: np.ndarray, t: np.ndarray, rate: float) -> float:
        a1 = 1 / (1 + np.exp(-x @ self.w1))
        z2 = a1 @ self.w2
        y = 1 / (1 + np.exp(-z2))
        delta2 = -(t - y) * np.exp(-z2) / (1 + np.exp(-z2)) ** 2
        delta1 = delta2 @ self.w2.T * a1 * (1 - a1)
        g2, g1 = a1.T @ delta2, x.T @ delta1
        self.w1 = self.w1 - rate * g1
        self.w2 = self.w2 - rate * g2
        return float(0.5 * ((t - y) ** 2).sum())


def test_data_equals_the_tutorials() -> None:
    x, y = tutorial.sum_of_two(np.random.RandomState(4))
    np.testing.assert_array_equal(x[:3].round(8), X_FIRST)
    np.testing.assert_array_equal(x[-3:].round(8), X_LAST)
    np.testing.assert_array_equal(y[:3, 0].round(8), Y_FIRST)


def test_reproducible_numbers_agree_in_each_digit() -> None:
    rng = np.random.RandomState(4)
    x, y = tutorial.sum_of_two(rng)
    model = tutorial.network(rng)
    tutorial.train(model, x, y, learning_rate=0.01, epochs=1)
    assert round(model.evaluate(x, y)["loss"], 8) == 955.62804742
    np.testing.assert_array_equal(rng.rand(1, 2).round(8), [[0.34941852, 0.30649525]])
    untrained = tutorial.network(rng)
    assert round(tutorial.squared_error(untrained, x, y), 8) == 0.36054183


@pytest.mark.parametrize(
    ("rate", "steps"), [(0.01, 100), pytest.param(0.001, 10_000, marks=pytest.mark.slow)]
)
def test_training_follows_the_transcription(rate: float, steps: int) -> None:
    rng, plain_rng = np.random.RandomState(4), np.random.RandomState(4)
    x, y = tutorial.sum_of_two(rng)
    plain_rng.rand(10_000, 2)
    model, plain = tutorial.network(rng), Transcription(plain_rng)
    np.testing.assert_array_equal(model[0].weight.value, plain.w1, strict=True)

    model.compile(optimizer=SGD(learning_rate=rate), loss=tutorial.half_squared_error())
    history = model.fit(x, y, epochs=steps, batch_size=None, verbose=0)
    losses = [plain.step(x, y, rate) for _ in range(steps)]
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-9, strict=True)
    w1, w2 = model.parameters
    np.testing.assert_allclose(w1.value, plain.w1, rtol=1e-9, strict=True)
    np.testing.assert_allclose(w2.value, plain.w2, rtol=1e-9, strict=True)


@pytest.mark.slow
def test_main_prints_agreement_and_draws(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert tutorial.main(["curves.svg"]) == 0
    printed = capsys.readouterr().out
    assert "Building Simple Neural Network Using Numpy" in " ".join(printed.split())
    assert "955.62804742  955.62804742  same digits" in printed
    assert "0.36054183    0.36054183  same digits" in printed
    assert "  NO" not in printed
    assert max(map(len, printed.splitlines())) <= 80
    assert "is in curves.svg" in printed
    assert "<svg" in (tmp_path / "curves.svg").read_text(encoding="utf-8")


@pytest.fixture
def short_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the lesson train for few updates."""
    model = tutorial.network(4)
    x, y = np.ones((3, 2)), np.ones((3, 1))
    history = tutorial.train(model, x, y, learning_rate=0.1, epochs=3)
    monkeypatch.setattr(tutorial, "repeat_tutorial", lambda x, y, rng: ([], np.ones(3)))
    monkeypatch.setattr(
        tutorial,
        "corrected",
        lambda x, y: {"a": (model, history)} | dict.fromkeys("bc", (model, history)),
    )


@pytest.mark.usefixtures("short_run")
def test_main_explains_how_to_get_the_picture(tmp_path, capsys, monkeypatch) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments, **options):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(builtins, "__import__", missing)
    tutorial.main([])
    assert "pip install matplotlib" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_draw_writes_the_same_bytes_twice(tmp_path) -> None:
    pytest.importorskip("matplotlib")
    pictures = []
    for name in ("a.svg", "b.svg"):
        tutorial.draw({"one": np.array([1.0, 0.1]), "two": np.array([0.5])}, str(tmp_path / name))
        pictures.append((tmp_path / name).read_bytes())
    assert pictures[0] == pictures[1]
    assert b"<svg" in pictures[0]


def test_main_refuses_unknown_arguments(capsys) -> None:
    assert tutorial.main(["--fast"]) == 2
    assert tutorial.main(["a.svg", "b.svg"]) == 2
    assert "usage: python -m minigrad" in capsys.readouterr().err
    assert tutorial.main(["--help"]) == 0
    assert "usage: python -m minigrad" in capsys.readouterr().out


def test_comparison_marks_a_wrong_number() -> None:
    exact = tutorial.PrintedNumber("loss", 955.62804742, 955.62804743)
    assert not exact.agrees
    assert exact.row[-1] == "NO"
    assert tutorial.PrintedNumber("loss", 470.0, 477.0, (416.0, 1911.0)).agrees
    assert not tutorial.PrintedNumber("loss", 470.0, 410.0, (416.0, 1911.0)).agrees
