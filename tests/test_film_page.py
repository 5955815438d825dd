"""The page of a film in headless Chromium, as a class uses it."""

from collections.abc import Iterator

import numpy as np
import pytest

from browser import CHROMIUM, CONTRAST, Browser, text, troubles
from minigrad import SGD, CrossEntropyLoss, Dense, Sequential, Sigmoid

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="needs Chromium"),
]

X = np.random.default_rng(0).uniform(size=(50, 2))
READY = """new Promise((done) => {
  const look = () => (byId("app").hidden ? setTimeout(look, 20) : done());
  look();
})"""


def train(layers, x, y, loss="mse", *, rate=0.5, epochs=400, **options):
    model = Sequential(layers, input_shape=x.shape[1:], rng=4)
    model.compile(optimizer=SGD(learning_rate=rate), loss=loss)
    return model.film(x, y, epochs=epochs, batch_size=None, verbose=0, frames=40, **options)


@pytest.fixture(scope="module")
def films():
    y, lines = X.sum(axis=1), {"floor": 1 / 12}
    first = train([Dense(3), Sigmoid(), Dense(1), Sigmoid()], X, y, title="sigmoid", lines=lines)
    return first, train([Dense(3), Sigmoid(), Dense(1)], X, y, title="linear", epochs=100)


@pytest.fixture
def page(browser, films, tmp_path) -> Iterator[Browser]:
    yield open_page(browser, films[0], tmp_path)
    assert troubles(browser) == []


def open_page(browser, film, tmp_path, **look) -> Browser:
    film.to_html(tmp_path / "film.html")
    browser.show(1280, 900, **look)
    browser.open(tmp_path / "film.html")
    browser.js(READY)
    return browser


def test_the_page_shows_the_numbers_of_the_film(page, films):
    film = films[0]
    assert page.js("timeline") == film.updates
    for frame in (0, 7, len(film.updates) - 1):
        page.js(f"go({frame})")
        assert text(page, "#now") == f"Update {film.updates[frame]} of 400"
        said = text(page, ".moment")
        assert f"Update {film.updates[frame]} of 400: loss {film.losses[frame]:.3}" in said
        weights = page.js(f"[...films[0].weights.values.subarray(13 * {frame}, 13 * {frame + 1})]")
        np.testing.assert_allclose(weights, film.parameters[frame], rtol=1e-6)


def test_the_address_names_an_update(page, films):
    page.js("""new Promise((done) => {
      addEventListener("hashchange", done);
      location.hash = "#100";
    })""")
    update = max(update for update in films[0].updates if update <= 100)
    assert text(page, "#now") == f"Update {update} of 400"


def test_every_picture_moves_and_follows_the_theme(page):
    seen = "[...document.querySelectorAll('canvas')].map((canvas) => canvas.toDataURL())"
    page.js("go(0)")
    first = page.js(seen)
    page.js("go(39)")
    last = page.js(seen)
    page.show(1280, 900, dark=True)
    page.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    dark = page.js(seen)
    assert len(first) == 3
    assert all(len({*pictures}) == 3 for pictures in zip(first, last, dark, strict=True))


def test_the_keyboard_plays_the_film(page):
    assert not page.js("state.playing")  # since motion is reduced
    for key, now in (("ArrowRight", 1), ("End", 39), ("ArrowRight", 39), ("ArrowLeft", 38)):
        page.press(key)
        assert page.js("Math.floor(state.at)") == now
    page.press("Home")
    page.press(" ")
    assert page.js("state.playing")
    assert text(page, "#play") == "Pause"
    page.press(" ")
    assert not page.js("state.playing")
    order = []
    for _ in range(4):
        page.press("Tab")
        order.append(page.js("document.activeElement.id || document.activeElement.textContent"))
        assert page.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert order == ["play", "slider", "speed", "Explain this update"]
    page.js("byId('slider').focus(); go(3)")
    page.press("ArrowRight")
    assert page.js("Math.floor(state.at)") == 4
    page.press("Home")
    assert page.js("Math.floor(state.at)") == 0


def test_it_plays_to_the_end_unless_motion_is_reduced(browser, films, tmp_path):
    open_page(browser, films[0], tmp_path, still=False)
    browser.js("byId('speed').value = '4'")
    browser.js("""new Promise((done) => {
      const look = () => (state.at < 39 || state.playing ? setTimeout(look, 20) : done());
      look();
    })""")
    assert text(browser, "#play") == "Play"
    assert text(browser, "#now") == "Update 400 of 400"
    assert troubles(browser) == []


def test_a_frame_is_drawn_in_time(page):
    took = page.js("""Array.from({ length: 60 }, (_, k) => {
      state.at = k % timeline.length;
      const before = performance.now();
      draw();
      return performance.now() - before;
    })""")
    assert np.median(took) < 1000 / 60


def test_any_moment_opens_its_explanation(browser, films, tmp_path):
    browser.call(
        "Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True
    )
    open_page(browser, films[0], tmp_path)
    for frame in (30, 5):
        browser.js(f"""new Promise((done) => {{
          byId("explanation").addEventListener("load", done, {{ once: true }});
          go({frame});
          explain(films[0]);
        }})""")
        assert text(browser, "#dialog-title") == f"update {films[0].updates[frame]}: row 0"
        j = f"J = {films[0].explain(frame).j:.6g}: forward and backward pass"
        assert j in browser.js("byId('explanation').srcdoc")
    attached = [e for e in browser.events if e["method"] == "Target.attachedToTarget"]
    with browser.within(attached[-1]["params"]["sessionId"]):
        assert text(browser, "h1") == j
        assert text(browser, "#step-title") == "dense_1: weighted sums of the inputs"
    browser.js("byId('close').click()")
    assert troubles(browser) == []


def test_a_screen_reader_hears_what_happens(page, films):
    assert text(page, ".summary").startswith("The loss falls from")
    page.js("go(39)")
    page.js("new Promise((done) => setTimeout(done, 600))")
    assert text(page, "#status").startswith("Update 400 of 400: loss")
    labels = page.js("[...document.querySelectorAll('canvas')].map((canvas) => canvas.ariaLabel)")
    assert [label.partition(".")[0] for label in labels] == [
        "The network's weights", "What the network computes", "The loss",
    ]  # fmt: skip
    assert all("Update 400 of 400: loss" in label for label in labels)
    assert page.js("byId('slider').ariaValueText").startswith("Update 400 of 400, loss")
    for node in page.call("Accessibility.getFullAXTree")["nodes"]:
        if node["role"]["value"] in ("button", "slider", "combobox") and not node["ignored"]:
            assert node["name"]["value"].strip(), node


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_contrast_and_width_on_all_screens(browser, films, tmp_path, width, dark):
    open_page(browser, films[0].beside(films[1]), tmp_path)
    browser.show(width, 800, dark=dark)
    browser.js("go(20)")
    assert browser.js(CONTRAST) == []
    assert browser.js(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    small = "[...document.querySelectorAll('button, select')].filter((b) => b.checkVisibility())"
    assert browser.js(f"{small}.filter((b) => b.offsetHeight < 44).length") == 0


def test_films_side_by_side_share_the_slider(browser, films, tmp_path):
    open_page(browser, films[0].beside(films[1]), tmp_path)
    updates = sorted({*films[0].updates, *films[1].updates})
    assert browser.js("timeline") == updates
    browser.js(f"go({updates.index(100)})")
    moments = browser.js("[...document.querySelectorAll('.moment')].map((p) => p.textContent)")
    before = max(update for update in films[0].updates if update <= 100)
    assert [said.split()[1] for said in moments] == [str(before), "100"]
    browser.press("End")
    moments = browser.js("[...document.querySelectorAll('.moment')].map((p) => p.textContent)")
    assert [said.split()[1] for said in moments] == ["400", "100"]
    tops = browser.js("[...document.querySelectorAll('.loss')].map((f) => f.offsetTop)")
    assert tops[0] == tops[1]
    assert troubles(browser) == []


def test_other_pictures(browser, tmp_path):
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, size=(60, 1))
    curve = train([Dense(4, "tanh"), Dense(1)], x, np.sin(3 * x), rate=0.1)
    digits = train([Dense(30, "relu"), Dense(3)], rng.normal(size=(60, 20)), np.arange(60) % 3,
                   CrossEntropyLoss())  # fmt: skip
    regions = train([Dense(6, "tanh"), Dense(3)], X, np.arange(50) % 3, CrossEntropyLoss())
    diverged = train([Dense(3, "relu"), Dense(1)], x, np.sin(3 * x), rate=30.0)
    assert diverged.ended
    open_page(browser, curve.beside(digits, regions, diverged), tmp_path)
    blank = """[...document.querySelectorAll("canvas")].filter((canvas) => {
      const { width, height } = canvas;
      return canvas.toDataURL() === Object.assign(make("canvas"), { width, height }).toDataURL();
    }).length"""
    for key in ("Home", "End"):
        browser.press(key)
        assert browser.js(blank) == 0
    assert text(browser, ".moment b") == "Training diverged here."
    assert troubles(browser) == []


def test_a_notebook_shows_the_film_in_a_frame(browser, films, tmp_path):
    with browser.notebook_frame(films[0]._repr_html_(), tmp_path / "cell.html"):
        browser.js(READY)
        browser.js("go(39)")
        assert text(browser, "#now") == "Update 400 of 400"
    assert troubles(browser) == []


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_click_on_the_loss_goes_to_that_update(page, share):
    left, top, width = page.js("""(() => {
      const canvas = document.querySelector(".loss canvas");
      canvas.scrollIntoView({ block: "center" });
      const { left, top, width } = canvas.getBoundingClientRect();
      return [left, top, width];
    })()""")
    page.click(left + 48 + share * (width - 58), top + 60)
    assert page.js("Math.floor(state.at)") == round(share * 39)
