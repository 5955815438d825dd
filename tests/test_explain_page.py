"""The page of an explanation in headless Chromium, as a student uses it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from browser import CHROMIUM, CONTRAST, Browser, text, troubles
from helpers import slow
from minigrad import (
    LSTM,
    SGD,
    Add,
    Conv2D,
    CrossEntropyLoss,
    Dense,
    Flatten,
    Input,
    Model,
    MSELoss,
    MultiHeadAttention,
    Multiply,
    Parallel,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")


@pytest.fixture(scope="module")
def explanation():
    model = Sequential([Dense(3), Sigmoid(), Dense(1), Sigmoid()], input_shape=(2,), rng=4)
    loss, optimizer = MSELoss(reduction="sum", scale=0.5), SGD(learning_rate=0.5)
    x, y = np.array([[0.967, 0.547]]), np.array([1.514])
    return model.explain(x, y, loss=loss, optimizer=optimizer)


@pytest.fixture(scope="module")
def branched():
    inner = Sequential([Dense(3, "tanh"), Dense(3)])
    parallel = Parallel(
        [Dense(2, "tanh"), Sequential([Dense(3), ReLU(), Dense(2)])], merge="concat"
    )
    layers = [Dense(3, "tanh"), Residual(inner), parallel, Dense(1)]
    model = Sequential(layers, input_shape=(2,), rng=2)
    return model.explain(np.array([[0.5, -1.0]]), np.array([[1.0]]), loss=MSELoss())


@pytest.fixture(scope="module")
def deep():
    layers = [Dense(4), Tanh(), Dense(5), ReLU(), Dense(4), Tanh(), Dense(4), Dense(3), Softmax()]
    model = Sequential(layers, input_shape=(3,), rng=2)
    x = np.array([[0.1, -0.1, 0.6], [0.1, -0.5, 0.4]])
    return model.explain(x, np.array([2, 0]), loss=CrossEntropyLoss(), optimizer=SGD())


@pytest.fixture
def page(browser, explanation, tmp_path) -> Iterator[Browser]:
    open_page(browser, explanation, tmp_path)
    yield browser
    assert troubles(browser) == []


def open_page(browser: Browser, explanation, folder, width=1280, height=900) -> None:
    explanation.to_html(folder / "page.html")
    browser.show(width, height)
    browser.open(folder / "page.html")


def signs(browser: Browser, of: str) -> list[str]:
    """Return the texts of the elements that a selector finds, with plain minus signs."""
    found = browser.js(f"[...document.querySelectorAll({json.dumps(of)})].map(e => e.textContent)")
    return [shown.replace("\u2212", "-") for shown in found]


def focused(browser: Browser) -> str:
    return str(browser.js("document.activeElement.ariaLabel || document.activeElement.textContent"))


def test_a_button_goes_to_the_first_step_of_a_phase(page, explanation):
    phases = [step.phase for step in explanation.steps]
    for phase in ("update", "forward", "backward", "loss"):
        page.js(f"document.querySelector('#phases [value={phase}]').click()")
        assert text(page, "#count").startswith(f"Step {phases.index(phase) + 1} of")


def test_the_steps_show_the_values_of_the_pass(page, explanation):
    phases = []
    for number, step in enumerate(explanation.steps, start=1):
        assert text(page, "#count") == f"Step {number} of {len(explanation.steps)}"
        phases.append(text(page, "#phases [aria-current=true]").lower())
        assert text(page, "#equation .tag").split()[-1:] == step.tag.split()[-1:]
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


def test_the_sum_of_a_weight_is_that_of_its_gradient(page, explanation):
    page.js("goTo(14); pick('weight', 'w1[1,2]')")
    gradient = explanation["dense_1"].gradients["weight"][1, 2]
    weight = explanation["dense_1"].layer.weight.value[1, 2]
    values = [float(shown) for shown in signs(page, "#pick dd")]
    assert values == pytest.approx([weight, gradient, weight - 0.5 * gradient], rel=1e-5)
    assert text(page, "#pick [open] tbody td") == "δ1[2] × x[1]" + text(page, "#pick .in-numbers")


@pytest.mark.parametrize("network", ["explanation", slow("branched")])
def test_every_line_is_picked_and_hovered_where_it_is(browser, network, request, tmp_path):
    open_page(browser, request.getfixturevalue(network), tmp_path, height=1600)
    lines = """row.edges.map((edge) => {
      const { x, y } = byId("graph").getBoundingClientRect();
      const at = [0.1, 0.5, 0.9].map((share) => along(edge, share));
      return [edge.slice(0, 3), at.map(([right, below]) => [x + right, y + below])];
    })"""
    lines = browser.js(lines)
    assert len(lines) > 9
    for (start, end, weight), points in lines:
        picked = f"weight {weight}" if weight else f"unit {end}"
        told = f"{weight} = " if weight else f"{start} → {end}"
        for x, y in points:
            browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
            browser.click(x, y)
            assert browser.js("state.pick.join(' ')") == picked
            assert text(browser, "#tip").startswith(told)
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    assert browser.js("byId('tip').hidden")
    assert troubles(browser) == []


def test_the_picture_shows_weights_biases_and_the_target(page, explanation):
    first, second = explanation["dense_1"].layer, explanation["dense_2"].layer
    weights = [*first.weight.value.ravel(), *second.weight.value.ravel()]
    shown = signs(page, "#graph .weight")
    assert sorted(map(float, shown)) == pytest.approx(sorted(weights), rel=0.05)
    assert page.js("row.edges.every(({ label }) => !label || label.style.display === '')")
    assert signs(page, ".bias") == ["b 0"] * 4
    assert signs(page, ".target") == ["target 1.51"]
    page.js("document.querySelector('.bias').click()")
    assert text(page, "#pick h2") == "Bias b1[0]"


def test_probabilities_are_bars_with_a_mark_at_the_target(browser, deep, tmp_path):
    open_page(browser, deep, tmp_path, width=1200)
    assert browser.js("byId('sideways').hidden")
    assert browser.js("byId('scroll').scrollWidth === byId('scroll').clientWidth")
    widths = "[...document.querySelectorAll('.share span')].map((e) => parseFloat(e.style.width))"
    assert browser.js(widths) == [0, 0, 0]
    browser.js("goTo(row.steps.findIndex(({ phase }) => phase === 'loss'))")
    expected = [100 * share for share in deep.prediction[0]]
    assert browser.js(widths) == pytest.approx(expected, rel=1e-4)
    assert signs(browser, ".target") == ["target 0", "target 0", "target 1"]
    assert len(signs(browser, ".unit.used .share")) == 3
    biases = "row.steps.findIndex(({ title }) => title.startsWith('gradient of the biases'))"
    browser.js(f"goTo({biases})")  # over both rows, of which the page shows one
    assert len(signs(browser, ".bias.now")) == len(signs(browser, ".unit.used")) == 3
    assert signs(browser, "#pick [open] tbody button") == ["δ5[row 0,0]"]
    browser.show(390, 900)
    browser.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert not browser.js("byId('sideways').hidden")
    assert browser.js("byId('scroll').scrollWidth > byId('scroll').clientWidth")
    assert troubles(browser) == []


def test_branches_are_lanes_and_a_skip_is_an_arc(browser, branched, tmp_path):
    open_page(browser, branched, tmp_path)
    heads = signs(browser, ".column b")
    assert "residual_1.sequential_1.dense_1 → tanh" in heads
    assert "parallel_1.sequential_1.dense_1 → relu_1" in heads
    assert len({*heads}) == len(heads) == 11
    tops = "row.edges.filter(([from, to]) => from.startsWith('z1') && to.startsWith('h3'))"
    highest = browser.js(f"{tops}.map(({{ points }}) => Math.min(...points.map((at) => at[1])))")
    boxes = browser.js("[...units.values()].filter(({ x }) => 0 < x && x < 4).map((u) => u.top)")
    assert len(highest) == 3
    assert max(highest) < min(boxes)
    assert "skip" in signs(browser, ".column")
    skip = f"{tops}.every(({{ path }}) => path.classList.contains('now'))"
    marked = browser.js(f"row.steps.map((_, place) => {{ goTo(place); return {skip}; }})")
    merging = {"the merged branches", "the sum of the branches' deltas"}
    expected = [s.path == "residual_1" and s.title in merging for s in branched.steps]
    assert marked == expected
    lanes = browser.js("['z4[0]', 'z5[0]'].map((name) => [units.get(name).x, units.get(name).top])")
    assert lanes[0][0] == lanes[1][0]
    assert lanes[0][1] < lanes[1][1]
    browser.js("byId('words').open = true")
    browser.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert "residual_1, from dense_1 → tanh and " in " ".join(signs(browser, "#description li"))
    assert troubles(browser) == []


def test_the_panel_and_the_marks_follow_the_step(page, explanation):
    for place, step in enumerate(explanation.steps):
        page.js(f"goTo({place})")
        names = page.js("row.steps[state.step].lines")
        assert page.js("state.pick.join()") in page.js(f"{names}.map((n) => owners.get(n).join())")
        assert page.js("document.querySelector('#pick details.now').open")
        assert len(signs(page, "#pick details[open]")) == 1
        if step.title == "gradient of the biases" and step.path == "dense_1":
            assert len(signs(page, ".bias.now")) == len(signs(page, ".unit.used")) == 3
    page.press("Escape")
    page.press("ArrowLeft")
    assert page.js("state.pick") is None


def test_the_update_shows_the_new_weights_and_the_new_loss(page, explanation):
    page.js("goTo(row.steps.length - 1)")
    assert text(page, "#phases [aria-current=true]") == "Update"
    new = explanation.steps[-1].row(0).item()
    assert f"→ {new:.3g}" in signs(page, ".unit .delta")
    bias = [-0.5 * gradient for gradient in explanation["dense_1"].gradients["bias"]]
    shown = [float(told.removeprefix("b ")) for told in signs(page, ".bias")]
    assert shown[:3] == pytest.approx(bias, rel=0.05)
    page.js("pick('weight', 'b1[0]')")
    assert float(signs(page, "#pick dd")[2]) == pytest.approx(bias[0], rel=1e-5)


def test_the_keyboard_reaches_everything(page):
    order = []
    name = "(({ id, value, classList }) => id || value || classList[0])(document.activeElement)"
    for _ in range(9):
        page.press("Tab")
        order.append(page.js(name))
        assert page.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    *stepper, predict, unit = order
    assert stepper == ["back", "slider", "next", "forward", "loss", "backward", "update"]
    assert (predict, unit) == ("predict", "unit")
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
    assert focused(page) == "The network in words"
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
    browser.show(700, 900)
    with browser.notebook_frame(explanation._repr_html_(), tmp_path / "cell.html"):
        assert browser.js("row.drawn === byId('scroll').clientWidth && row.drawn > 500")
        assert browser.js("byId('sideways').hidden")
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


def test_the_probabilities_of_a_loss_are_on_the_outputs(browser, tmp_path):
    model = Sequential([Dense(3)], input_shape=(2,), rng=2)
    x = np.array([[0.5, -1.0]])
    open_page(browser, model.explain(x, np.array([2]), loss=CrossEntropyLoss()), tmp_path)
    widths = "[...document.querySelectorAll('.share span')].map((e) => parseFloat(e.style.width))"
    browser.js("goTo(row.steps.findIndex(({ title }) => title === 'the probabilities'))")
    share = np.exp(model.predict(x)[0])
    assert browser.js(widths) == pytest.approx(100 * share / share.sum(), rel=1e-4)
    assert signs(browser, ".unit.now .name") == ["p[0]", "p[1]", "p[2]"]
    assert browser.js("row.edges.length") == 2 * 3 + 3
    assert troubles(browser) == []


def test_dots_follow_values_forward_and_deltas_backward(browser, explanation, tmp_path):
    ways = (
        "[...new Set([...document.querySelectorAll('circle animateMotion')]"
        ".map((e) => e.getAttribute('keyPoints')))]"
    )
    open_page(browser, explanation, tmp_path)
    assert signs(browser, "circle.dot") == [""] * 6
    assert browser.js(ways) == []  # for who prefers reduced motion
    browser.show(1280, 900, still=False)
    browser.js("goTo(0)")
    assert browser.js(ways) == ["0;1"]
    browser.js("goTo(row.steps.findIndex(({ title }) => title.startsWith('back through the w')))")
    assert browser.js(ways) == ["1;0"]
    assert signs(browser, "circle.dot.delta") == [""] * 3
    browser.show(1280, 900)
    assert troubles(browser) == []


def test_the_address_has_the_step(browser, explanation, tmp_path):
    open_page(browser, explanation, tmp_path)
    browser.js("location.hash = '#step=4'; new Promise((done) => setTimeout(done, 50))")
    assert text(browser, "#count").startswith("Step 4 of")
    browser.js("byId('next').click()")
    assert browser.js("location.hash") == "#step=5"
    assert troubles(browser) == []


def test_a_frame_has_the_height_and_the_theme_of_the_page_around_it(browser, explanation, tmp_path):
    site = Path(__file__).parents[1] / "docs" / "_static" / "frames.js"
    around = tmp_path / "around.html"
    around.write_text(
        f"<body data-theme=dark><script>{site.read_text()}</script>"
        f"<div class=cell_output>{explanation._repr_html_()}</div></body>"
    )
    browser.show(1280, 900)
    browser.open(around)
    wait = "new Promise((done) => setTimeout(done, 300))"
    height = "parseFloat(document.querySelector('iframe').style.height)"
    browser.js(wait)
    wide = browser.js(height)
    assert wide != 1000
    browser.show(390, 900)
    browser.js(wait)
    assert browser.js(height) > wide
    assert troubles(browser) == []


def test_attention_is_matrices_whose_cells_can_be_selected(browser, tmp_path):
    layers = [MultiHeadAttention(2, causal=True), Flatten(), Dense(2)]
    model = Sequential(layers, input_shape=(3, 4), rng=1)
    x = np.random.default_rng(0).normal(size=(1, 3, 4))
    explanation = model.explain(x, np.ones((1, 2)), loss=MSELoss())
    open_page(browser, explanation, tmp_path)
    step = next(i for i, step in enumerate(explanation.steps) if step.name == "S")
    browser.js(f"goTo({step})")
    assert signs(browser, "#grids figcaption") == ["Q", "K", "S"]
    assert len(signs(browser, "#grids .made .cell")) == 2 * 3 * 3
    browser.js("document.querySelector('[data-name=\"S[1,2,0]\"]').click()")
    assert text(browser, "#pick-title") == "Number S[1,2,0]"
    used = "[...document.querySelectorAll('.cell.used')].map((cell) => cell.dataset.name)"
    assert browser.js(used) == ["Q[1,2,0]", "Q[1,2,1]", "K[1,0,0]", "K[1,0,1]"]
    row = browser.js("[...document.querySelectorAll('.sum [open] td')].map((d) => d.textContent)")
    value = explanation.steps[step].values[0, 1, 2, 0]
    assert float(row[row.index("Sum") + 1].replace("\u2212", "-")) == pytest.approx(value, rel=1e-5)
    browser.js("document.querySelector('.cell.picked').focus()")
    browser.press("ArrowUp")
    assert browser.js("document.activeElement.dataset.name") == "S[1,1,0]"
    browser.press("Enter")
    assert text(browser, "#pick-title") == "Number S[1,1,0]"
    browser.js(f"goTo({step + 1})")
    browser.js("document.querySelector('[data-name=\"A[1,2,0]\"]').click()")
    assert browser.js(used) == ["S[1,2,0]", "S[1,2,1]", "S[1,2,2]"]
    assert text(browser, "[data-name='S[0,0,1]']") == "-∞"
    assert browser.js(CONTRAST) == []
    assert troubles(browser) == []


def test_a_convolution_is_images_with_its_window_its_kernel_and_their_products(browser, tmp_path):
    layers = [Conv2D(2, 3), Flatten(), Dense(2)]
    model = Sequential(layers, input_shape=(5, 5, 1), rng=1)
    x = np.random.default_rng(0).normal(size=(1, 5, 5, 1))
    explanation = model.explain(x, np.array([1]), loss=CrossEntropyLoss())
    open_page(browser, explanation, tmp_path)
    browser.js("goTo(0)")
    browser.js("document.querySelector('[data-name=\"z1[1,2,1]\"]').click()")
    window = {f"x[{u},{v},0]" for u in (1, 2, 3) for v in (2, 3, 4)}
    kernel = {f"w1[{i},{j},0,1]" for i in range(3) for j in range(3)}
    used = "[...document.querySelectorAll('.cell.used')].map((cell) => cell.dataset.name)"
    assert {*browser.js(used)} == window | kernel
    names = "[...document.querySelectorAll('#products .cell')].map((cell) => cell.title)"
    assert len(browser.js(names)) == 9
    told = [float(value) for value in signs(browser, "#products .cell")]
    conv = explanation["conv2d_1"].layer
    expected = x[0, 1:4, 2:5, 0] * conv.weight.value[:, :, 0, 1]
    assert told == pytest.approx(expected.ravel().tolist(), rel=0.1, abs=1e-3)
    assert browser.js(CONTRAST) == []
    assert troubles(browser) == []


@pytest.mark.slow
def test_the_sums_of_gates_have_their_names_beside_them(browser, tmp_path):
    model = Sequential([LSTM(2), Dense(1)], input_shape=(3, 2), rng=1)
    explanation = model.explain(np.ones((1, 3, 2)), np.ones((1, 1)), loss=MSELoss())
    open_page(browser, explanation, tmp_path)
    for name in ("z", "∂J/∂z"):
        step = next(i for i, step in enumerate(explanation.steps) if step.name == name)
        browser.js(f"goTo({step})")
        assert signs(browser, "#grids .made .block") == ["i", "f", "g", "o"]
        tops = "e => Math.round(e.getBoundingClientRect().top)"
        first = "[...document.querySelectorAll('.made .cell')].filter((_, i) => i % 6 === 0)"
        last = "[...document.querySelectorAll('.made .block')]"
        cells, names = (browser.js(f"{found}.map({tops})") for found in (first, last))
        assert all(0 < name - cell < 24 for cell, name in zip(cells, names, strict=True))
    assert browser.js(CONTRAST) == []
    assert troubles(browser) == []
