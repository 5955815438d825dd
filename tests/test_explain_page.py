"""The page of an explanation in headless Chromium, as a student uses it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from browser import CHROMIUM, CONTRAST, Browser, text, troubles
from minigrad import (
    Add,
    Conv2D,
    CrossEntropyLoss,
    Dense,
    Flatten,
    Input,
    Model,
    MSELoss,
    Multiply,
    Sequential,
    Sigmoid,
)

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")


@pytest.fixture(scope="module")
def explanation():
    model = Sequential([Dense(3), Sigmoid(), Dense(1), Sigmoid()], input_shape=(2,), rng=4)
    loss = MSELoss(reduction="sum", scale=0.5)
    return model.explain(np.array([[0.967, 0.547]]), np.array([1.514]), loss=loss)


@pytest.fixture
def page(browser, explanation, tmp_path) -> Iterator[Browser]:
    explanation.to_html(tmp_path / "page.html")
    browser.show(1280, 900)
    browser.open(tmp_path / "page.html")
    yield browser
    assert troubles(browser) == []


def focused(browser: Browser) -> str:
    return str(browser.js("document.activeElement.ariaLabel || document.activeElement.textContent"))


def test_the_steps_show_the_values_of_the_pass(page, explanation):
    phases = []
    for number, step in enumerate(explanation.steps, start=1):
        assert text(page, "#count") == f"Step {number} of {len(explanation.steps)}"
        phases.append(text(page, "#phase").lower())
        assert text(page, "#equation .tag").split()[-1] == step.tag.split()[-1]
        told = page.js("[...document.querySelectorAll('#lines li')].map(li => li.textContent)")
        assert len(told) == step.size
        for index, line in enumerate(told):
            value = step.row(0).ravel()[index]
            shown = line.replace("\u2212", "-").replace(" × 10", "e").rpartition("= ")[2]
            assert float(shown) == pytest.approx(value, rel=1e-5)
        page.press("ArrowRight")
    assert phases == [step.phase for step in explanation.steps]
    page.press("ArrowLeft")
    assert text(page, "#count").startswith(f"Step {len(explanation.steps) - 1} ")
    page.js("document.getElementById('back').click()")
    assert text(page, "#count").startswith(f"Step {len(explanation.steps) - 2} ")
    page.js("slider.value = 4; slider.dispatchEvent(new Event('input'))")
    assert text(page, "#step-title") == "sigmoid_2: the activation"


def test_values_and_deltas_appear_when_they_are_computed(page):
    seen = "units.get('z1[0]').button.innerText"
    assert page.js(seen).split("\n")[:2] == ["z1[0]", "0.436"]
    page.press("ArrowRight")
    assert page.js(seen).split("\n")[:2] == ["a1[0]", "0.607"]
    assert page.js("units.get('J').button.classList.contains('waiting')")
    page.js("goTo(13)")
    assert "δ" in page.js(seen)


def test_a_click_selects_a_unit(page, explanation):
    box = page.js("JSON.stringify(units.get('z1[1]').button.getBoundingClientRect())")
    box = json.loads(box)
    page.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert text(page, "#pick h2") == "Unit z1[1] → a1[1]"
    story = explanation["dense_1"]
    figures = page.js("[...document.querySelectorAll('#pick dd')].map(dd => dd.textContent)")
    values = [float(shown.replace("\u2212", "-")) for shown in figures]
    expected = [story.z, story.activation, story.output_delta, story.delta]
    expected[2] = explanation["sigmoid_1"].output_delta
    assert values == pytest.approx([float(array[0, 1]) for array in expected], rel=1e-5)
    rows = "[...document.querySelector('#pick table').rows].map(row => row.cells[1].textContent)"
    _, *terms, total = (shown.replace("\u2212", "-") for shown in page.js(rows))
    assert len(terms) == 3
    assert sum(map(float, terms)) == pytest.approx(float(total), rel=1e-5)


def test_a_click_selects_a_weight(page, explanation):
    point = """(() => {
      const hit = row.edges.find((edge) => edge[2] === "w1[1,2]").path.previousSibling;
      const at = hit.getPointAtLength(hit.getTotalLength() * 0.9);
      const box = hit.ownerSVGElement.getBoundingClientRect();
      return [box.x + at.x, box.y + at.y];
    })()"""
    page.click(*page.js(point))
    assert text(page, "#pick h2") == "Weight w1[1,2]"
    gradient = explanation["dense_1"].gradients["weight"][1, 2]
    figures = page.js("[...document.querySelectorAll('#pick dd')].map(dd => dd.textContent)")
    assert float(figures[1].replace("\u2212", "-")) == pytest.approx(gradient, rel=1e-5)
    assert text(page, "#pick tbody td") == "δ1[2] × x[1]" + text(page, "#pick .in-numbers")


def test_the_keyboard_reaches_everything(page):
    order = []
    for _ in range(4):
        page.press("Tab")
        order.append(page.js("document.activeElement.id || document.activeElement.className"))
        assert page.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert order == ["back", "slider", "next", "unit"]
    assert focused(page).startswith("x[0] is 0.967")
    page.press("ArrowDown")
    assert focused(page).startswith("x[1] is 0.547")
    page.press("ArrowRight")
    page.press("ArrowUp")
    assert text(page, "#count").startswith("Step 1 ")
    name = focused(page).split(" ")[0]
    page.press("Enter")
    assert text(page, "#pick h2").startswith(f"Unit {name}")
    assert page.js("document.activeElement.ariaPressed") == "true"
    page.press("Escape")
    assert page.js("document.querySelector('#pick h2')") is None
    page.press("Tab")
    page.press("Enter")
    assert text(page, "#pick h2") == "Unit z1[0] → a1[0]"
    page.press("Tab")
    page.press("Tab")
    page.press("Enter")
    assert text(page, "#pick h2") == "Bias b1[0]"
    page.js("document.querySelector('#lines button').focus()")
    page.press("ArrowRight")
    assert text(page, "#count").startswith("Step 2 ")
    assert focused(page) == "sigmoid_1: the activation"


def test_the_focus_stays_after_a_resize(page):
    page.js("units.get('z1[1]').button.focus()")
    page.show(700, 900)
    page.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.js("document.activeElement === units.get('z1[1]').button")


def test_a_screen_reader_finds_names_and_values(page):
    page.js("goTo(16)")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    for node in nodes:
        if (
            node["role"]["value"] in ("button", "slider", "combobox", "link")
            and not node["ignored"]
        ):
            assert node["name"]["value"].strip(), node
    labels = page.js("[...units.values()].map((unit) => unit.button.ariaLabel)")
    assert all(", ∂J/∂" in label or ", δ" in label for label in labels[:-1])
    assert labels[-1].startswith("J is ")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 360, 768, 1600])
def test_contrast_and_width_on_all_screens(page, width, dark):
    page.show(width, 800, dark=dark)
    page.js("goTo(13); pick('unit', 'z1[1]')")
    assert page.js(CONTRAST) == []
    inside = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert page.js(inside)
    assert page.js("getComputedStyle(document.querySelector('.unit')).transitionDuration") == "0s"
    small = "[...document.querySelectorAll('.stepper button')].filter(b => b.offsetHeight < 44)"
    assert page.js(f"{small}.length") == 0


def test_rows_and_units_of_a_wide_layer_are_selected(browser, tmp_path):
    layers = [Dense(300, "relu", name="</script><b>"), Dense(4)]
    model = Sequential(layers, input_shape=(50,), rng=4)
    x = np.random.default_rng(0).normal(size=(20, 50))
    explanation = model.explain(x, x[:, :4], loss=MSELoss())
    explanation.to_html(tmp_path / "page.html", rows=[2, 7], units={"</script><b>": [123]})
    browser.show(1280, 900)
    browser.open(tmp_path / "page.html")
    assert text(browser, "#summary") == "Loss: MSELoss over 20 rows; this page shows 2 of them."
    assert browser.js("document.querySelectorAll('.unit').length") == 6 + 7 + 4 + 1
    assert browser.js("document.querySelectorAll('b b').length") == 0
    shown = "Number(row.lines['z1[123]'].value)"
    for place, row in enumerate((2, 7)):
        browser.js(
            f"{{ const c = byId('row'); c.value = {place}; c.dispatchEvent(new Event('change')) }}"
        )
        z = explanation["</script><b>"].z[row, 123]
        assert browser.js(shown) == pytest.approx(z, rel=1e-5)
    assert troubles(browser) == []


def test_a_notebook_shows_the_page_in_a_frame(browser, explanation, tmp_path):
    with browser.notebook_frame(explanation._repr_html_(), tmp_path / "cell.html"):
        assert text(browser, "#step-title") == "dense_1: weighted sums of the inputs"
        browser.js("goTo(1)")
        assert text(browser, "#step-title") == "sigmoid_1: the activation"
    assert troubles(browser) == []


@pytest.fixture(scope="module")
def graph():
    left, right = Input((2,), name="left"), Input((2,), name="right")
    h = Dense(2, "tanh", name="first")(left)
    both = Multiply(name="product")(h, Dense(2, name="second")(right))
    added = Add(name="added")(both, h)
    outputs = {"kind": Dense(2, name="third")(added), "price": Dense(1, name="fourth")(h)}
    model = Model(inputs=[left, right], outputs=outputs, rng=1)
    x = {"left": np.array([[0.5, -1.0]]), "right": np.array([[1.5, 0.25]])}
    y = {"kind": np.array([1]), "price": np.array([[2.0]])}
    return model.explain(x, y, loss={"kind": CrossEntropyLoss(), "price": MSELoss()})


def test_every_unit_weight_and_step_of_a_graph_can_be_picked(browser, graph, tmp_path):
    graph.to_html(tmp_path / "graph.html")
    browser.show(1280, 900)
    browser.open(tmp_path / "graph.html")
    names = browser.js("[...units.keys()]")
    assert {"left[0]", "right[1]", "z1[0]", "product[1]", "added[0]", "J|kind", "J"} <= {*names}
    depths = {name: browser.js(f"units.get({json.dumps(name)}).x") for name in names}
    order = ["left[0]", "z1[0]", "product[0]", "added[0]", "z3[0]", "J|kind", "J"]
    assert [depths[name] for name in order] == list(range(7))
    for name in names:
        browser.js(f"units.get({json.dumps(name)}).button.click()")
        assert text(browser, "#pick h2")
    edges = {tuple(edge) for edge in browser.js("row.edges.map((e) => e.slice(0, 3))")}
    assert {("z1[0]", "product[0]", ""), ("z2[0]", "product[0]", "")} <= edges
    assert {("z1[1]", "added[1]", ""), ("z3[0]", "J|kind", ""), ("J|price", "J", "")} <= edges
    assert ("z1[1]", "z4[0]", "w4[1,0]") in edges
    for weight in {name for _, _, name in edges if name}:
        browser.js(f"pick('weight', {json.dumps(weight)})")
        assert text(browser, "#pick h2").startswith("Weight ")
    boxes = browser.js(
        "[...document.querySelectorAll('.unit')].map((b) => b.getBoundingClientRect().toJSON())"
    )
    for place, one in enumerate(boxes):
        for other in boxes[:place]:
            apart = one["left"] >= other["right"] or other["left"] >= one["right"]
            assert apart or one["top"] >= other["bottom"] or other["top"] >= one["bottom"]
    for number in range(len(graph.steps)):
        browser.js(f"goTo({number})")
        assert text(browser, "#count") == f"Step {number + 1} of {len(graph.steps)}"
    browser.js("units.get('z1[0]').button.click()")
    assert "delta" not in text(browser, "#pick h2")
    assert "by product" in text(browser, "#pick")
    assert "by fourth" in text(browser, "#pick")
    browser.js("units.get('z1[0]').button.focus()")
    browser.press("ArrowRight")
    assert browser.js("[...units.values()].find((u) => u.button === document.activeElement).x") == 2
    assert troubles(browser) == []


def test_a_window_stands_beside_its_kernel(browser, tmp_path):
    model = Sequential([Conv2D(1, 2), Flatten(), Dense(1)], input_shape=(3, 3, 1), rng=0)
    explanation = model.explain(np.ones((1, 3, 3, 1)), np.ones((1, 1)), loss=MSELoss())
    explanation.to_html(tmp_path / "window.html")
    browser.open(tmp_path / "window.html")
    assert "its window of x, and the kernel" in text(browser, "#note")
    browser.press("ArrowRight")
    assert browser.js("document.getElementById('note').hidden")
    assert troubles(browser) == []
