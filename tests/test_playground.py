"""The playground: its session, its server, and the page in headless Chromium."""

import base64
import http.client
import json
import subprocess
import sys
import threading
import time
import tracemalloc
import warnings
from contextlib import contextmanager

import numpy as np
import pytest

import minigrad
from browser import CHROMIUM, CONTRAST, Browser, text
from minigrad.playground.problems import PROBLEMS
from minigrad.playground.remedies import PRESETS
from minigrad.playground.script import Script
from minigrad.playground.server import Server
from minigrad.playground.session import Session, read_link, read_table
from minigrad.playground.settings import LOSSES, OPTIMIZERS, Problem, Settings
from minigrad.playground.sources import SOURCES

KINDS = {"moons": "map", "wave": "curve", "total": "map", "digits": "pictures", "blobs": "map"}
NETWORKS = [
    {},
    {"batch_norm": True, "residual": True, "dropout": 0.2, "activation": "leaky_relu"},
    {"data": "blobs", "regularizer": "L2", "optimizer": "Momentum", "standardize": True},
    {"data": "digits", "hidden": [6], "optimizer": "RMSprop", "initializer": "he_normal"},
    {"data": "total", "output": "sigmoid", "scale": 10.0, "loss": "L1Loss", "hidden": []},
    {"data": "spiral", "features": ["x1", "x0*x1", "sin(pi x0)"], "standardize": True},
    {"data": "wave", "regularizer": "L1", "initial_bias": -0.5, "initializer": "large"},
    {"data": "own", "points": [[0, 1, 2, 0.5], [1, 0, 3, 1.5], [2, 2, 4, 0], [1, 1, 1, 3]] * 5},
]


class Asked:
    """A session, asked by Python."""

    def __init__(self) -> None:
        self.session = Session()

    def __call__(self, do, **arguments):
        answer = json.loads(self.session.handle(json.dumps({"do": do, **arguments})))
        assert "error" not in answer, answer
        return answer

    def error(self, do, **arguments):
        return json.loads(self.session.handle(json.dumps({"do": do, **arguments})))["error"]


@pytest.fixture
def ask():
    return Asked()


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_is_drawn_and_learned(ask, name):
    first = ask("open", settings={"data": name, "optimizer": "Adam", "learning_rate": 0.02})
    assert first["data"]["kind"] == KINDS.get(name, "map")
    last = ask("frame", epochs=30)
    assert last["scores"]["train"]["loss"] < first["scores"]["train"]["loss"]
    assert last["epoch"] == 30


def test_the_losses_of_a_frame_are_those_of_evaluate(ask):
    ask("open")
    shown = ask("frame", epochs=3)
    session = ask.session
    p = session.problem
    assert shown["scores"]["train"] == session.model.evaluate(p.x, p.y)
    assert shown["scores"]["test"] == session.model.evaluate(p.x_test, p.y_test)
    assert shown["curve"][-1][1] == shown["scores"]["train"]["loss"]


def run(ask):
    """Make a run with all kinds of changes on the way, and return its last frame."""
    ask("frame", epochs=3)
    ask("change", settings={"learning_rate": 0.03})
    ask("frame", epochs=1)
    ask("frame", epochs=2)
    ask("weight", layer=0, source=0, unit=0, value=0.7)
    ask("frame", epochs=2)
    ask("weight", layer=0, source=None, unit=0, value=-0.25)
    ask("change", settings={"optimizer": "Adam", "learning_rate": 0.01, "batch_size": 5})
    ask("change", settings={"regularizer": "L1", "strength": 0.01})
    ask("frame", epochs=3)
    ask("change", settings={"test_share": 0.5})
    return ask("frame", epochs=2)


@pytest.mark.parametrize("settings", NETWORKS, ids=str)
def test_the_code_of_a_run_gives_the_same_losses_in_a_new_process(ask, settings):
    ask("open", settings=settings)
    shown = run(ask)
    program = ask("code")["text"]
    printed = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    scores = shown["scores"]
    assert printed == [f"training {scores['train']}", f"test {scores['test']}"]


@pytest.mark.parametrize("settings", NETWORKS, ids=str)
def test_a_link_makes_the_same_run_again(ask, settings):
    ask("open", settings=settings)
    shown = run(ask)
    again = Asked()
    state = again("open", link=ask("link")["text"])
    while state["waiting"]:
        state = again("frame", budget=0.01)
    assert state["scores"] == shown["scores"]
    assert state["layers"] == shown["layers"]


@pytest.mark.parametrize(
    "link", ["", "A", "x" * 50, "eJyLjgUAARUAuQ", "eJyLrlbKTC5JzFGyio2NBQAtGQTU"]
)
def test_a_damaged_link_is_refused(link):
    with pytest.raises(ValueError, match="link"):
        read_link(link)


def test_settings_of_a_link_are_checked(ask):
    assert "hidden" in ask.error("open", settings={"hidden": [10**9]})
    assert "rows" in ask.error("open", settings={"rows": 10**9})
    assert "no option" in ask.error("open", settings={"row": 10})
    assert "no action" in ask.error("_begin")
    assert json.loads(ask.session.handle("[]"))["error"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("library", ["keras", "torch"])
def test_code_for_other_libraries_compiles(optimizer, library):
    for settings in [*NETWORKS, *({"data": name} for name in PROBLEMS)]:
        made = Settings(**{**settings, "optimizer": optimizer})
        compile(SOURCES[library](Script(made)), library, "exec")


@pytest.mark.slow
@pytest.mark.parametrize("library", ["keras", "torch"])
@pytest.mark.parametrize("settings", NETWORKS, ids=str)
def test_code_for_other_libraries_trains_the_same_network(library, settings):
    pytest.importorskip(library)
    script = Script(Settings(**settings))
    script.add(("fit", 2))
    names = {"print": lambda *_: None}
    program = compile(SOURCES[library](script), library, "exec")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(program, names)
    problem = Problem(script.settings)
    np.testing.assert_allclose(np.asarray(names["x"]), problem.x)
    np.testing.assert_allclose(np.asarray(names["y_test"]), problem.y_test)
    own = Session()
    own.open(script.settings.get_config())
    trained = [p.size for p in own.model.parameters]
    model = names["model"]
    others = model.trainable_variables if library == "keras" else model.parameters()
    assert sorted(int(np.prod(p.shape)) for p in others) == sorted(trained)


BROKEN = {
    "out_of_range": "targets_out_of_range",
    "high_rate": "learning_rate",
    "dead_units": "dead_units",
    "unscaled": "saturated_units",
    "equal_weights": "identical_units",
    "vanishing": "vanishing_gradients",
    "linear": "linear_stack",
}


@pytest.mark.parametrize(("name", "kind"), BROKEN.items())
def test_the_diagnosis_repairs_what_a_preset_breaks(ask, name, kind):
    ask("open", link=f"preset={name}")
    kinds = []
    while found := [one for one in ask("diagnose")["findings"] if one["action"]]:
        kinds.append(found[0]["kind"])
        assert len(kinds) < 5
        ask("change", settings=found[0]["settings"])
    assert kind in kinds


def test_the_last_preset_is_for_the_test_loss(ask):
    assert PRESETS.keys() - BROKEN == {"overfit"}
    ask("open", link="preset=overfit")
    ask("frame", epochs=20)
    early = ask("frame", epochs=1)["scores"]["test"]["loss"]
    late = ask("frame", epochs=600)["scores"]
    assert late["train"]["loss"] < 0.1 * late["test"]["loss"]
    assert late["test"]["loss"] > 2 * early


def test_a_change_keeps_the_weights_or_starts_again(ask):
    ask("open")
    ask("frame", epochs=2)
    weights = ask.session.model.parameters.value.copy()
    for live in ({"learning_rate": 0.5}, {"batch_size": 8}, {"noise": 0.3}, {"data": "xor"}):
        changed = ask("change", settings=live)
        assert changed["kept"]
        assert changed["epoch"] == 2
        assert np.array_equal(ask.session.model.parameters.value, weights)
    for fresh in ({"hidden": [3]}, {"activation": "relu"}, {"seed": 7}, {"data": "wave"}):
        ask("frame", epochs=1)
        changed = ask("change", settings=fresh)
        assert not changed["kept"]
        assert changed["epoch"] == 0


def test_a_divergence_ends_the_run_until_something_changes(ask):
    ask("open", settings={"data": "total", "learning_rate": 1e6, "activation": "relu"})
    ended = ask("frame", epochs=5)
    assert "not finite" in ended["ended"] or "infinite" in ended["ended"]
    assert ask("frame")["epoch"] == ended["epoch"]
    again = ask("change", settings={"learning_rate": 0.1})
    assert not again["ended"]
    assert ask("frame", epochs=2)["epoch"] == 2


def test_a_moment_of_the_past_has_its_weights(ask):
    first = ask("open")
    last = ask("frame", epochs=20)
    past = ask("look", moment=0)
    assert past["layers"] == first["layers"]
    assert past["scores"] == first["scores"]
    assert ask("look", moment=last["moments"] - 1)["layers"] == last["layers"]
    assert ask("frame", epochs=1)["epoch"] == 21
    assert "moments" in ask.error("look", moment=10_000)


@pytest.mark.parametrize(
    ("chosen", "opened"),
    [
        ({"layer": 0, "unit": 3}, '"opened":"z1[3]"'),
        ({"layer": 1, "unit": 5, "source": 2, "part": "weight"}, '"opened":"w2[2,5]"'),
        ({"layer": 2, "unit": 0, "part": "bias"}, '"opened":"b3[0]"'),
    ],
)
def test_an_explanation_opens_what_was_chosen(ask, chosen, opened):
    ask("open")
    ask("frame", epochs=1)
    assert opened in ask("explain", row=5, **chosen)["html"]


def test_explanations_and_diagnoses_leave_the_run_as_it_is(ask):
    ask("open")
    ask("frame", epochs=2)
    ask("explain", layer=0)
    ask("diagnose")
    ask("film")
    ask("look", moment=1)
    ask("save")
    disturbed = ask("frame", epochs=2)
    ask("open")
    assert ask("frame", epochs=4)["scores"] == disturbed["scores"]


def test_the_model_as_a_file(ask, tmp_path):
    ask("open")
    ask("frame", epochs=2)
    path = tmp_path / "model.safetensors"
    path.write_bytes(base64.b64decode(ask("save")["file"]))
    p, loaded = ask.session.problem, minigrad.load(path)
    assert loaded.evaluate(p.x, p.y) == ask.session.model.evaluate(p.x, p.y)


def test_features_change_what_the_network_gets_and_not_what_is_shown(ask):
    shown = ask("open", settings={"data": "moons"})["data"]
    chosen = ask("change", settings={"features": ["x0*x1", "x0"]})
    assert chosen["data"]["names"] == ["x0", "x0*x1"]
    assert chosen["data"]["train"] == shown["train"]
    x0, x1 = chosen["data"]["train"]["x"][0]
    assert chosen["inputs"] == pytest.approx([x0, x0 * x1], abs=1e-4)
    assert ask("change", settings={"data": "wave"})["settings"]["features"] == ["x0", "x1"]
    assert "features" in ask.error("change", settings={"features": []})
    assert "features" in ask.error("change", settings={"features": ["x7"]})


def test_a_table_is_read():
    assert read_table("1;2\n3;4\n") == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="line 2"):
        read_table("1,2\na,b\n")
    with pytest.raises(ValueError, match="one length"):
        read_table("1,2\n1,2,3\n")


def test_each_loss_is_usable():
    for kind, data in (("binary", "moons"), ("classes", "blobs"), ("regression", "wave")):
        for loss in LOSSES[kind]:
            assert Settings(data=data, loss=loss).loss == loss


@pytest.mark.slow
def test_a_long_run_takes_no_more_memory(ask):
    ask("open", settings={"rows": 20, "hidden": [2]})
    for _ in range(40):
        ask("frame", epochs=40)
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    for _ in range(40):
        answer = ask("frame", epochs=40)
    grown = sum(s.size_diff for s in tracemalloc.take_snapshot().compare_to(before, "filename"))
    tracemalloc.stop()
    assert grown < 400_000
    assert len(answer["curve"]) <= 402
    assert ask.session.film.updates[-1] == answer["steps"]


# The server


@contextmanager
def serving():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def server():
    with serving() as made:
        yield made


def request(server, method, path, body=None, **headers):
    """Return the status and the body of an answer; `path` follows the token."""
    host = f"127.0.0.1:{server.server_port}"
    given = {"Host": host, "Origin": f"http://{host}", **headers}
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    kept = {name: value for name, value in given.items() if value is not None}
    connection.request(method, path, body, kept)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def test_the_server_answers_its_page(server):
    root = f"/{server.token}/"
    for name in ("", "main.js", "playground.css", "webpage.css"):
        assert request(server, "GET", root + name, Origin=None)[0] == 200
    session = json.loads(request(server, "POST", f"{root}open", b"")[1])["session"]
    status, answer = request(server, "POST", f"{root}ask/{session}", b'{"do": "open"}')
    assert status == 200
    assert json.loads(answer)["epoch"] == 0
    assert request(server, "POST", f"{root}close/{session}", b"")[0] == 200
    assert request(server, "POST", f"{root}ask/{session}", b'{"do": "open"}')[0] == 404


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("token", "headers"),
    [
        ("", {}),
        ("wrong", {}),
        (None, {"Host": "example.com"}),
        (None, {"Host": "127.0.0.1:1"}),
        (None, {"Origin": "https://example.com"}),
        (None, {"Origin": "null"}),
    ],
)
def test_the_server_refuses_others(server, method, token, headers):
    path = f"/{server.token if token is None else token}/open"
    assert request(server, method, path, b"" if method == "POST" else None, **headers)[0] == 403


def test_the_server_refuses_a_message_without_an_origin(server):
    assert request(server, "POST", f"/{server.token}/open", b"", Origin=None)[0] == 403


@pytest.mark.parametrize("name", ["../session.py", "..%2fsession.py", "session.py", ".", "page"])
def test_the_server_gives_only_files_of_the_page(server, name):
    assert request(server, "GET", f"/{server.token}/{name}", Origin=None)[0] == 404


def test_the_server_refuses_a_large_message(server):
    size = {"Content-Length": str(10**9)}
    assert request(server, "POST", f"/{server.token}/open", None, **size)[0] == 413


def test_only_so_many_sessions_are_kept(server):
    first = server.open_session()
    for _ in range(16):
        last = server.open_session()
    assert server.session(first) is None
    assert server.session(last) is not None


def test_it_listens_on_this_machine_only(server):
    assert server.server_address[0] == "127.0.0.1"


# The page


def wait(browser: Browser, what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not browser.js(f"Boolean({what})"):
        assert time.monotonic() < end, (
            f"{what}: {browser.js('document.body?.innerText.slice(0, 400)')}"
        )
        time.sleep(0.05)


def open_page(browser: Browser, server: Server, at: str = "", **look) -> None:
    browser.show(1280, 900, **look)
    browser.events.clear()
    browser.call("Page.navigate", url="about:blank")
    browser.call("Page.navigate", url=server.address + at)
    wait(browser, "document.documentElement?.dataset.ready && window.playground?.frame")


def errors(browser: Browser) -> list:
    wrong = {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"}
    return [event for event in browser.events if event.get("method") in wrong]


def elsewhere(browser: Browser, server: Server) -> list[str]:
    urls = [
        event["params"]["request"]["url"]
        for event in browser.events
        if event.get("method") == "Network.requestWillBeSent"
    ]
    own = (server.address, "data:", "about:", "blob:")
    return [url for url in urls if not url.startswith(own)]


def click(browser: Browser, selector: str) -> None:
    browser.js(f"document.querySelector({json.dumps(selector)}).click()")


def choose(browser: Browser, name: str, value: object) -> None:
    browser.js(f"""(() => {{
      const input = document.getElementById("{name}");
      if (input.type === "checkbox") input.checked = {json.dumps(value)};
      else input.value = {json.dumps(value)};
      input.dispatchEvent(new Event("input"));
      input.dispatchEvent(new Event("change"));
    }})()""")
    wait(browser, "!playground.changing")


driven = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")]


class TestPage:
    """The page, as a reader uses it."""

    pytestmark = driven

    @pytest.fixture
    def page(self, browser, server):
        open_page(browser, server)
        yield browser
        assert errors(browser) == []
        assert elsewhere(browser, server) == []

    def test_it_trains_at_once_and_pauses(self, page):
        click(page, "#play")
        wait(page, "playground.frame.epoch > 20")
        click(page, "#play")
        wait(page, "!playground.playing")
        epoch = page.js("playground.frame.epoch")
        time.sleep(0.3)
        assert page.js("playground.frame.epoch") - epoch <= 30  # the frame that was asked for
        assert int(text(page, "#epoch").replace(",", "")) >= 20

    @pytest.mark.parametrize("at", ["", "#preset=linear"])
    def test_it_trains_by_itself(self, page, server, at):
        open_page(page, server, at, still=False)
        wait(page, "playground.frame.epoch > 3")
        assert text(page, "#play") == "Pause"

    @pytest.mark.parametrize(
        ("at", "still"), [("#paused", False), ("#preset=linear&paused", False), ("", True)]
    )
    def test_it_waits_where_it_is_asked_to(self, page, server, at, still):
        open_page(page, server, at, still=still)
        time.sleep(0.3)
        assert page.js("playground.frame.epoch") == 0
        assert page.js("playground.settings.activation") == ("linear" if "linear" in at else "tanh")
        assert text(page, "#play") == "Train"

    def test_each_control_changes_its_setting(self, page):
        changes = {
            "optimizer": "Adam", "batch_size": "32", "loss": "MSELoss", "regularizer": "L2",
            "strength": "0.01", "activation": "relu", "output": "sigmoid", "seed": "3",
            "initializer": "he_normal", "initial_bias": "1", "dropout": "0.2", "scale": "10",
            "batch_norm": True, "residual": True, "standardize": True, "noise": "0.2",
            "test_share": "0.5", "rows": "100",
        }  # fmt: skip
        for name, value in changes.items():
            choose(page, name, value)
            now = page.js(f"playground.settings.{name}")
            assert str(now) == str(value) or float(now) == float(value), name
        choose(page, "learning_rate", "-2")
        assert page.js("playground.settings.learning_rate") == 0.01
        click(page, "#more-layers")
        wait(page, "playground.settings.hidden.length === 3 && !playground.changing")
        click(page, ".column button:not([disabled])")
        wait(page, "playground.settings.hidden[0] === 7 && !playground.changing")
        for name in PROBLEMS:
            click(page, f"#problems [value={name}]")
            wait(page, f"playground.settings.data === '{name}' && !playground.changing")
            click(page, "#step")
            wait(page, "playground.frame.epoch > 0")

    def test_features_are_chosen(self, page):
        click(page, "#problems [value=xor]")
        wait(page, "playground.settings.data === 'xor' && !playground.changing")
        click(page, "#feature-buttons [value='x0*x1']")
        wait(page, "playground.settings.features.length === 3 && !playground.changing")
        for name in ("x0", "x1"):
            click(page, f"#feature-buttons [value={name}]")
            wait(page, f"!playground.settings.features.includes('{name}') && !playground.changing")
        click(page, "#feature-buttons [value='x0*x1']")
        assert "needs an input" in text(page, "#notice")
        assert page.js("document.querySelector('.unit').ariaLabel").startswith("Input x0*x1")
        for _ in range(3):
            click(page, "#fewer-layers")
            wait(page, "!playground.changing")
        click(page, "#play")
        wait(page, "playground.frame.scores.train.accuracy > 0.8")
        click(page, "#play")
        wait(page, "!playground.playing")

    def test_changes_reach_a_running_training(self, page):
        click(page, "#play")
        wait(page, "playground.frame.epoch > 3")
        choose(page, "learning_rate", "-1.5")
        choose(page, "activation", "relu")
        wait(page, "playground.settings.activation === 'relu' && playground.frame.epoch > 2")
        assert page.js("playground.playing")
        click(page, "#play")
        wait(page, "!playground.playing")

    def test_a_drag_changes_a_weight_and_the_losses(self, page):
        click(page, "#step")
        wait(page, "playground.frame.epoch === 1")
        page.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        before = page.js("playground.frame.layers[2].weight")
        loss = page.js("playground.frame.scores.train.loss")
        x, y = page.js("""(() => {
          const units = [...document.querySelectorAll(".unit")];
          const boxes = units.map((unit) => unit.getBoundingClientRect());
          const [from, to] = [boxes[10], boxes.at(-1)];
          return [from.right + 6, from.top + from.height / 2];
        })()""")
        for kind, up in (("mousePressed", 0), ("mouseMoved", 20), ("mouseMoved", 60),
                         ("mouseReleased", 60)):  # fmt: skip
            page.call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y - up, button="left", buttons=1,
                clickCount=1,
            )  # fmt: skip
        wait(page, "!playground.setting")
        after = page.js("playground.frame.layers[2].weight")
        changed = [k for k in range(8) if before[k] != after[k]]
        assert changed == [0]
        assert after[0] == pytest.approx(before[0] + 1.2, abs=0.05)
        assert page.js("playground.frame.scores.train.loss") != loss
        assert "Weight from unit 0" in text(page, "#selection")

    def test_a_unit_opens_its_equation(self, page):
        click(page, "#step")
        wait(page, "playground.frame.epoch === 1")
        page.js("document.querySelectorAll('.unit')[4].click()")
        wait(page, "!document.getElementById('selection').hidden")
        assert "Layer 1, unit 2" in text(page, "#selection")
        click(page, "#selection .main")
        wait(page, "document.getElementById('page').open")
        assert '"opened":"z1[2]"' in page.js("document.getElementById('frame').srcdoc")
        click(page, "#page [data-close]")

    def test_the_slider_shows_the_past(self, page):
        first = page.js("playground.frame.scores.train.loss")
        click(page, "#play")
        wait(page, "playground.frame.epoch > 10")
        choose(page, "moment", "0")
        wait(page, "playground.past && playground.past.moment === 0")
        assert page.js("playground.past.scores.train.loss") == first
        assert not page.js("playground.playing")
        assert text(page, "#past-label") == "Update 0"
        choose(page, "moment", "99999")
        wait(page, "!playground.past")

    def test_a_finding_is_repaired_by_its_button(self, page):
        click(page, "#presets [value=out_of_range]")
        wait(page, "document.querySelector('.finding button')")
        assert "outside the range" in text(page, ".finding h3")
        click(page, ".finding button")
        wait(page, "playground.settings.output === 'linear'")
        wait(page, "playground.frame.scores.train.loss < 0.01")
        click(page, "#play")
        wait(page, "!playground.playing")

    def test_points_are_drawn(self, page):
        click(page, "#problems [value=own]")
        wait(page, "playground.settings.data === 'own' && !playground.changing")
        many = page.js("playground.settings.points.length")
        x, y = page.js("""(() => {
          const box = document.getElementById("plane").getBoundingClientRect();
          return [box.left + box.width / 2, box.top + box.height / 2];
        })()""")
        page.click(x, y)
        wait(page, f"playground.settings.points.length === {many + 1}")

    def test_a_table_is_pasted(self, page):
        page.js("document.getElementById('table').value = 'a,b,y\\n1,2,3\\n2,3,5\\n3,4,7\\n4,5,9'")
        click(page, "#use-table")
        wait(page, "playground.settings.data === 'own'")
        assert page.js("playground.data.targets") == "regression"

    def test_the_keyboard_does_all(self, page):
        page.js("document.activeElement.blur()")
        page.press(" ")
        wait(page, "playground.playing")
        page.press(" ")
        wait(page, "!playground.playing")
        page.js("document.querySelector('.unit').focus()")
        label = "document.activeElement.ariaLabel.split(',').slice(0, -1).join(',')"
        for key, name in (("ArrowDown", "Input x1"), ("ArrowRight", "Layer 1, unit"),
                          ("ArrowLeft", "Input x"), ("ArrowUp", "Input x0")):  # fmt: skip
            page.press(key)
            assert page.js(label).startswith(name)
        page.press("ArrowRight")
        page.press("Enter")
        wait(page, "playground.selection?.layer === 1")

    @pytest.mark.parametrize("dark", [False, True])
    @pytest.mark.parametrize("width", [390, 1280])
    def test_it_fits_and_has_contrast(self, page, width, dark):
        page.show(width, 900, dark=dark)
        page.js("new Promise((done) => setTimeout(done, 200))")
        assert page.js("document.documentElement.scrollWidth <= innerWidth")
        assert page.js(CONTRAST) == []
        unnamed = """[...document.querySelectorAll("button, input, select, textarea, canvas")]
          .filter((e) => e.checkVisibility() && !e.ariaLabel
            && !(e.tagName === "CANVAS" && e.closest("button, [aria-hidden]"))
            && !e.labels?.length && !e.textContent.trim() && e.ariaHidden !== "true")
          .map((e) => e.outerHTML)"""
        assert page.js(unnamed) == []

    def test_a_frame_takes_less_than_a_twentieth_of_a_second(self, page):
        click(page, "#play")
        wait(page, "playground.frame.epoch > 3")
        rate = page.js("""new Promise((done) => {
          const start = performance.now();
          let [last, seen] = [playground.frame, 0];
          const look = () => {
            if (playground.frame !== last) [last, seen] = [playground.frame, seen + 1];
            if (performance.now() - start < 2000) setTimeout(look, 4);
            else done(seen / 2);
          };
          look();
        })""")
        click(page, "#play")
        wait(page, "!playground.playing")
        print(f"{rate} frames a second")
        assert rate > 8  # 20 and more on two free cores

    def test_a_link_opens_the_same_run(self, page, server):
        click(page, "#step")
        wait(page, "playground.frame.epoch === 1")
        choose(page, "optimizer", "Adam")
        click(page, "#step")
        wait(page, "playground.frame.epoch === 2")
        loss = page.js("playground.frame.scores.train.loss")
        click(page, "#take")
        wait(page, "document.getElementById('away').open")
        click(page, "#copy-link")
        wait(page, "location.hash.length > 10")
        link = page.js("location.hash")
        open_page(page, server, link)
        wait(page, "playground.frame.epoch === 2 && !playground.playing")
        assert page.js("playground.frame.scores.train.loss") == loss

    def test_a_wrong_link_says_so(self, page, server):
        open_page(page, server, "#nonsense")
        assert "damaged" in text(page, "#notice")
        assert page.js("playground.frame.epoch") == 0


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
def test_the_command_opens_a_page_that_trains(browser):
    browser.show(1280, 900, still=False)
    command = [sys.executable, "-m", "minigrad.playground", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            browser.call("Page.navigate", url=server.stdout.readline().split()[-1])
            wait(browser, "window.playground?.frame?.epoch > 0")
        finally:
            server.terminate()


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
def test_two_pages_train_apart(server, browser, tmp_path):
    other = Browser(tmp_path)
    try:
        for one in (browser, other):
            open_page(one, server)
        click(browser, "#step")
        wait(browser, "playground.frame.epoch === 1")
        assert other.js("playground.frame.epoch") == 0
        for one in (browser, other):
            click(one, "#play")
        for one in (browser, other):
            wait(one, "playground.frame.epoch > 5")
            click(one, "#play")
            wait(one, "!playground.playing")
            assert errors(one) == []
    finally:
        other.close()


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
def test_the_page_says_that_the_server_has_ended(browser):
    with serving() as server:
        open_page(browser, server)
        click(browser, "#play")
        wait(browser, "playground.frame.epoch > 1")
    server._sessions.clear()
    wait(browser, "!playground.playing", 60)
    assert "has ended" in text(browser, "#notice")
