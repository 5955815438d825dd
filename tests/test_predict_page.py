"""Predict before you see: the page hides a step's numbers, checks an answer, names the mistake."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from browser import CHROMIUM, CONTRAST, Browser, troubles
from minigrad import SGD, Dense, MSELoss, MultiHeadAttention, Sequential, Sigmoid

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")


@pytest.fixture(scope="module")
def explanation():
    model = Sequential([Dense(2), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)
    loss, optimizer = MSELoss(reduction="sum", scale=0.5), SGD(learning_rate=0.1)
    return model.explain(np.array([[0.5, 1.0]]), np.array([[1.0]]), loss=loss, optimizer=optimizer)


@pytest.fixture(scope="module")
def page(browser, explanation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("predict")
    explanation.to_html(folder / "page.html")
    browser.show(1280, 900)
    browser.open(folder / "page.html")
    browser.js("byId('predict').click()")
    yield browser
    assert troubles(browser) == []


def answer(page: Browser, written: float | str) -> str:
    page.js(f"byId('answer').value = '{written}'; byId('question').requestSubmit()")
    return str(page.js("byId('verdict').textContent"))


def at(page: Browser, explanation, name: str) -> dict[str, float]:
    """Go to the first step of this name, and return the numbers of all steps by name."""
    place = next(i for i, step in enumerate(explanation.steps) if step.name == name)
    page.js(f"prediction.done.clear(); goTo({place})")
    found = page.js("Object.entries(row.lines).map(([name, { value }]) => [name, Number(value)])")
    return dict(found)


def test_the_numbers_of_the_step_are_hidden(page: Browser, explanation) -> None:
    at(page, explanation, "z1")
    shown = "getComputedStyle(document.querySelector('.unit.now .value')).visibility"
    assert page.js(shown) == "hidden"
    assert page.js("byId('lines').checkVisibility()") is False
    assert page.js("byId('pick').checkVisibility()") is False
    page.js("byId('question').querySelector('[type=button]').click()")
    assert page.js(shown) == "visible"
    assert page.js("byId('lines').checkVisibility()") is True
    assert page.js("byId('verdict').textContent").startswith("Shown.")


def test_a_right_answer_may_be_rounded(page: Browser, explanation) -> None:
    numbers = at(page, explanation, "z1")
    assert answer(page, round(numbers["z1[0]"], 2)).startswith("Right.")


@pytest.mark.parametrize(
    ("step", "wrong", "words"),
    [
        ("z1", lambda n: -n["z1[0]"], "has the wrong sign"),
        ("z1", lambda n: n["z1[1]"], "is z1[1]: that is another index"),
        ("z1", lambda n: 0.5 * 1.08526, "lacks the term x[1] × w1[1,0]"),
        ("z1", lambda n: 1.08526 + 1.16655, "lacks the factor x[0]"),
        ("a1", lambda n: n["z1[0]"], "is z1[0] itself"),
        ("δ1", lambda n: n["∂J/∂a1[0]"], "lacks the factor g'(z1[0]): that is delta before"),
        ("δ1", lambda n: -n["∂J/∂a1[0]"], "delta before the slope, and has the wrong sign"),
        ("∂J/∂w1", lambda n: 0.5 * n["∂J/∂a1[0]"], "uses ∂J/∂a1[0] for δ1[0]"),
        ("z1", lambda n: 99, "That isn't it"),
        ("z1", lambda n: "many", "Type a number"),
    ],
)
def test_a_wrong_answer_is_named(page: Browser, explanation, step: str, wrong, words: str) -> None:
    numbers = at(page, explanation, step)
    assert words in answer(page, wrong(numbers))
    assert page.js("byId('lines').checkVisibility()") is False


def test_updates(page: Browser, explanation) -> None:
    place = next(i for i, step in enumerate(explanation.steps) if step.phase == "update")
    page.js(f"prediction.done.clear(); goTo({place})")
    old, gradient = page.js("[row.weights['w1[0,0]'].value, row.lines['∂J/∂w1[0,0]'].value]")
    old, gradient = float(old), float(gradient)
    assert "goes along the gradient" in answer(page, old + 0.1 * gradient)
    assert "lacks the learning rate" in answer(page, old - gradient)
    assert answer(page, round(old - 0.1 * gradient, 4)).startswith("Right.")


def test_the_mode_can_be_left_and_reads_well(page: Browser, explanation) -> None:
    for width, dark in ((390, True), (1280, False)):
        page.show(width, 900, dark=dark)
        at(page, explanation, "z1")
        assert page.js(CONTRAST) == []
        assert page.js("document.documentElement.scrollWidth <= innerWidth")
    page.js("byId('predict').click()")
    assert page.js("byId('question').hidden") is True
    assert page.js("byId('lines').checkVisibility()") is True
    page.js("byId('predict').click()")


def test_the_matrix_of_the_step_is_hidden(browser, tmp_path: Path) -> None:
    model = Sequential([MultiHeadAttention(1)], input_shape=(3, 2), rng=0)
    x = np.random.default_rng(0).normal(size=(1, 3, 2))
    model.explain(x, x, loss=MSELoss()).to_html(tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    browser.js("goTo(row.steps.findIndex(({ title }) => title.startsWith('softmax')))")
    numbers = "[...document.querySelectorAll('.made .cell span')]"
    shown = f"{numbers}.filter((one) => getComputedStyle(one).visibility === 'visible').length"
    assert browser.js(shown) == 9
    browser.js("byId('predict').click()")
    assert browser.js(shown) == 0
    name = browser.js("asked()")
    answer(browser, browser.js(f"row.lines['{name}'].value"))
    assert browser.js(shown) == 9
