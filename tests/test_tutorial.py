"""The tutorial: its figures, and a plain transcription of its mathematics to be matched."""

import re

import numpy as np
import pytest

from minigrad.lessons import tutorial
from minigrad.plots.values import format_number

X_FIRST = [[0.96702984, 0.54723225], [0.97268436, 0.71481599], [0.69772882, 0.2160895]]
X_LAST = [[0.63652491, 0.84404444], [0.01889563, 0.3513995], [0.0708804, 0.09866774]]
Y_FIRST = [1.51426209, 1.68750035, 0.91381832]


class Transcription:
    """z1 = x W1, a1 = s(z1), z2 = a1 W2, y = s(z2), E = 1/2 sum (y - t)^2."""

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


def test_data_is_the_tutorials() -> None:
    x, y = tutorial.sum_of_two(np.random.RandomState(4))
    np.testing.assert_array_equal(x[:3].round(8), X_FIRST)
    np.testing.assert_array_equal(x[-3:].round(8), X_LAST)
    np.testing.assert_array_equal(y[:3, 0].round(8), Y_FIRST)


def test_digits_that_repeat() -> None:
    rng = np.random.RandomState(4)
    x, y = tutorial.sum_of_two(rng)
    model = tutorial.network(rng)
    tutorial_loss = tutorial.half_squared_error()
    model.compile(optimizer=tutorial.SGD(learning_rate=0.01), loss=tutorial_loss)
    model.fit(x, y, batch_size=None, verbose=0)
    assert round(model.evaluate(x, y)["loss"], 8) == 955.62804742
    np.testing.assert_array_equal(rng.rand(1, 2).round(8), [[0.34941852, 0.30649525]])
    untrained = tutorial.network(rng)
    assert round(tutorial.squared_error(untrained, x, y), 8) == 0.36054183


@pytest.mark.parametrize(("rate", "steps"), [(0.01, 100), (0.001, 10_000)])
def test_run_follows_the_transcription(rate: float, steps: int) -> None:
    rng, plain_rng = np.random.RandomState(4), np.random.RandomState(4)
    x, y = tutorial.sum_of_two(rng)
    plain_rng.rand(10_000, 2)
    model, plain = tutorial.network(rng), Transcription(plain_rng)
    np.testing.assert_array_equal(model.layers[0].parameters[0].value, plain.w1, strict=True)

    model.compile(optimizer=tutorial.SGD(learning_rate=rate), loss=tutorial.half_squared_error())
    history = model.fit(x, y, epochs=steps, batch_size=None, verbose=0)
    losses = [plain.step(x, y, rate) for _ in range(steps)]
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-9, strict=True)
    w1, w2 = model.parameters
    np.testing.assert_allclose(w1.value, plain.w1, rtol=1e-9, strict=True)
    np.testing.assert_allclose(w2.value, plain.w2, rtol=1e-9, strict=True)


def test_lesson_holds_and_draws(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert tutorial.main(["curves.svg"]) == 0
    said = capsys.readouterr().out
    assert "955.62804742    955.62804742  each digit" in said
    assert "  NO" not in said
    picture = (tmp_path / "curves.svg").read_text()
    assert picture.startswith("<svg")
    figures = re.findall(r"^  squared error per row, trained +\S+ +(\S+)", said, re.MULTILINE)
    for name in ("sigmoid, rate 0.001", "linear output", "deeper, linear"):
        figures += re.findall(rf"^  {name} +(\S+)", said, re.MULTILINE)
    drawn = re.findall(r" to (\S+) at 1?[02],000, lowest", picture)
    assert drawn == [format_number(float(figure)) for figure in figures]
    assert tutorial.main(["--help"]) == 2


def test_a_wrong_figure_is_told() -> None:
    exact = tutorial.Figure("loss", 955.62804742, 955.62804743, 955.62804742, 955.62804742)
    assert not exact.holds
    assert str(exact).endswith("NO")
