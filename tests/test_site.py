"""The playground as files of a site, where Python runs in the browser."""

import json
import subprocess
import sys
import time
import warnings
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest

from browser import CHROMIUM, text
from minigrad.playground import Cells
from minigrad.playground.server import main
from minigrad.playground.site import PYODIDE, write_site
from pyodide_copy import WHEELS, Files, pyodide_copy
from test_playground import choose, click, elsewhere, errors, wait


def test_the_page_is_written_as_files(tmp_path):
    assert main(["--site", str(tmp_path)]) == 0
    assert (
        f'data-transport="worker" data-pyodide="{PYODIDE}"' in (tmp_path / "index.html").read_text()
    )
    assert {"main.js", "worker.js", "playground.css", "webpage.css"} <= {
        file.name for file in tmp_path.iterdir()
    }
    archive = zipfile.ZipFile(tmp_path / "minigrad.zip")
    archive.extractall(tmp_path / "there")
    program = "import minigrad.playground as p; print(p.__file__); p.Session()"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path / "there", env={"PYTHONPATH": ""},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert str(tmp_path / "there") in ran.stdout


def asked(cells, do, **arguments):
    return json.loads(cells.handle(json.dumps({"do": do, **arguments})))


def test_cells_share_names_and_show_errors_of_their_own_lines():
    cells = Cells()
    assert asked(cells, "run", source="def f(x):\n    return 1 / x\n")["error"] == ""
    ran = asked(cells, "run", source="print('two')\nf(0.5)")
    assert (ran["out"], ran["html"]) == ("two\n2.0\n", [])
    assert asked(cells, "run", source="f(0.5);")["out"] == ""
    error = asked(cells, "run", source="f(0)")["error"]
    assert 'File "<cell 1>", line 2, in f' in error
    assert "cells.py" not in error
    assert "SyntaxError" in asked(cells, "run", source="f(")["error"]
    assert "SystemExit" in asked(cells, "run", source="exit()")["error"]


def test_cells_show_what_notebooks_show():
    cells = Cells()
    source = "from minigrad import *\nmodel = Sequential([Dense(2)], input_shape=(1,))\n"
    (html,) = asked(cells, "run", source=f"{source}model")["html"]
    assert html.startswith("<svg")
    drawn = "from matplotlib import pyplot as plt\nplt.plot([1, 2]);"
    (html,) = asked(cells, "run", source=drawn)["html"]
    assert "image/svg+xml" in html


def test_cells_ask_once_for_missing_packages():
    cells = Cells()
    assert asked(cells, "run", source="import nowhere.at_all") == {"needs": ["nowhere"]}
    assert "No module" in asked(cells, "run", source="import nowhere.at_all")["error"]


def test_cells_grade_an_exercise():
    cells = Cells()
    sheet = files("minigrad.lessons").joinpath("sheets", "product.py").read_text()
    wrong = asked(cells, "grade", name="product", source=sheet)
    assert not wrong["passed"]
    assert "transpose" in wrong["out"]
    right = sheet.replace("delta.T @ x", "x.T @ delta")
    assert asked(cells, "grade", name="product", source=right)["passed"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    (folder / "pyodide").symlink_to(pyodide_copy())
    packages = [f"pyodide/{wheel}" for wheel in WHEELS]
    write_site(folder, pyodide="pyodide/", packages=packages)
    with Files(folder) as server:
        yield server
        server.shutdown()


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
class TestPage:
    """The page, as a reader uses it."""

    @pytest.fixture
    def page(self, browser, site):
        browser.show(1280, 900)
        browser.events.clear()
        browser.call("Page.navigate", url="about:blank")
        browser.call("Page.navigate", url=site.address)
        wait(browser, "document.querySelector('#play')?.textContent === 'Load and start'")
        yield browser
        assert errors(browser) == []
        assert elsewhere(browser, site) == []

    @pytest.fixture
    def loaded(self, page):
        click(page, "#play")
        wait(page, "window.playground?.frame", 60)
        return page

    def test_nothing_is_loaded_before_it_is_asked_for(self, page):
        urls = json.dumps([e["params"] for e in page.events if "request" in e.get("params", {})])
        assert "main.js" in urls
        assert "pyodide" not in urls
        assert "minigrad.zip" not in urls

    def test_it_trains_explains_and_diagnoses(self, loaded):
        page = loaded
        wait(page, "playground.frame.epoch > 20", 60)
        click(page, "#play")
        wait(page, "!playground.playing")
        page.js("document.querySelectorAll('.unit')[4].click()")
        wait(page, "document.querySelector('#selection .main')")
        click(page, "#selection .main")
        wait(page, "document.getElementById('page').open", 60)
        assert '"opened":"z1[2]"' in page.js("document.getElementById('frame').srcdoc")
        click(page, "#page [data-close]")
        choose(page, "moment", "0")
        wait(page, "playground.past && playground.past.moment === 0", 60)
        click(page, "#presets [value=out_of_range]")
        wait(page, "document.querySelector('.finding button')", 60)
        assert "outside the range" in text(page, ".finding h3")
        click(page, ".finding button")
        wait(page, "playground.settings.output === 'linear'")
        wait(page, "playground.frame.scores.train.loss < 0.01", 60)
        click(page, "#play")
        wait(page, "!playground.playing")

    def test_it_waits_where_its_address_says_so(self, page):
        page.js("location.hash = 'preset=linear&paused'; location.reload()")
        wait(page, "document.querySelector('#play')?.textContent === 'Load'")
        click(page, "#play")
        wait(page, "document.documentElement.dataset.ready", 60)
        assert page.js("playground.settings.activation") == "linear"
        assert page.js("[playground.playing, playground.frame.epoch]") == [False, 0]

    def test_its_code_gives_the_same_losses_here(self, loaded):
        page = loaded
        wait(page, "playground.frame.epoch > 2", 60)
        click(page, "#take")
        wait(
            page,
            "document.getElementById('away').open && document.getElementById('code').textContent",
        )
        scores = page.js("playground.frame.scores")
        program = text(page, "#code").replace("\u2212", "-")
        printed = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout
        train = float(printed.partition("'loss': ")[2].partition(",")[0])
        assert train == pytest.approx(scores["train"]["loss"], rel=1e-9)

    def test_a_copy_that_is_missing_is_named(self, page):
        page.js("document.documentElement.dataset.pyodide = 'nowhere/'")
        click(page, "#play")
        wait(page, "document.querySelector('#notice.bad')")
        assert "Python has ended" in text(page, "#notice")
        page.events.clear()  # the browser logs the file that is missing


PAGE = """\
---
file_format: mystnb
kernelspec:
  name: python3
---

# A page

```{code-cell}
from minigrad import Dense, Sequential
x = 1
```

```{code-cell}
:tags: [remove-input]

x += 1
```

```{code-cell}
print(x)
Sequential([Dense(3)], input_shape=(2,))
```

```{exercises}
```
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    pytest.importorskip("myst_nb")
    from sphinx.application import Sphinx

    docs = Path(__file__).parents[1] / "docs"
    folder = tmp_path_factory.mktemp("pages")
    (folder / "index.md").write_text(PAGE)
    (folder / "conf.py").write_text("extensions = ['myst_nb', 'live']")
    wheels = " ".join(f"../pyodide/{wheel}" for wheel in WHEELS)
    given = {
        "nb_execution_mode": "off", "html_static_path": [str(docs / "_static")],
        "live_pyodide": "../pyodide/", "live_packages": wheels,
    }  # fmt: skip
    sys.path.insert(0, str(docs / "_extensions"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Sphinx(folder, folder, folder / "html", folder / "doctrees", "html", given, status=None,
               warning=None).build()  # fmt: skip
    sys.path.remove(str(docs / "_extensions"))
    (folder / "html" / "pyodide").symlink_to(pyodide_copy())
    with Files(folder / "html") as server:
        yield server
        server.shutdown()


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
class TestCells:
    """The code of a page, and the exercises."""

    @pytest.fixture
    def page(self, browser, pages):
        browser.show(1280, 900)
        browser.events.clear()
        browser.call("Page.navigate", url="about:blank")
        browser.call("Page.navigate", url=f"{pages.address}index.html")
        wait(browser, "document.querySelectorAll('.live-bar').length > 2")
        yield browser
        assert elsewhere(browser, pages) == []

    def test_code_is_run_edited_and_stopped(self, page):
        def cell(number, what="run"):
            place = ["run", "halt", "undo"].index(what)
            return f"document.querySelectorAll('div.cell .live-bar')[{number}].children[{place}]"

        def edit(number, code):
            page.js(f"""(() => {{
              const code = document.querySelectorAll("div.cell pre[contenteditable]")[{number}];
              code.textContent = {json.dumps(code)};
              code.dispatchEvent(new Event("input"));
            }})()""")

        def run(number):
            page.js(f"{cell(number)}.click()")
            wait(page, f"!{cell(number)}.disabled", 120)

        def output():
            outputs = "[...document.querySelectorAll('div.cell .live-output')]"
            return page.js(f"{outputs}.at(-1).innerText")

        assert not [e for e in page.events if "pyodide.mjs" in json.dumps(e)]
        run(1)
        assert output().startswith("2\n")
        assert page.js("document.querySelectorAll('.live-output .text_html svg').length") == 1
        edit(0, "from minigrad import Dense, Sequential\nx = 10")
        run(1)
        assert output().startswith("11\n")
        edit(1, "1 / 0")
        run(1)
        assert 'File "<cell' in output()
        assert "ZeroDivisionError" in output()
        edit(1, "while True: pass")
        page.js(f"{cell(1)}.click()")
        wait(page, f"!{cell(1, 'halt')}.hidden")
        page.js(f"{cell(1, 'halt')}.click()")
        wait(page, f"!{cell(1)}.disabled")
        assert "Stopped" in output()
        for number in (0, 1):
            page.js(f"{cell(number, 'undo')}.click()")
        run(1)
        assert output().startswith("2\n")

    def test_an_exercise_is_failed_and_passed(self, page):
        page.js("localStorage.clear()")
        root = "document.querySelector('.exercise[data-name=product]')"
        page.js(f"{root}.open = true")

        def check():
            page.js(f"{root}.querySelector('.live-bar button').click()")
            wait(page, f"!{root}.querySelector('.live-bar button').disabled", 120)
            return page.js(f"{root}.querySelector('[role=status]').textContent")

        assert check() == "Not yet."
        reason = page.js(f"{root}.querySelector('.live-output').innerText")
        assert "the gradient of weight is the transpose of the right one" in reason
        page.js(f"""(() => {{
          const sheet = {root}.querySelector("textarea");
          sheet.value = sheet.value.replace("delta.T @ x", "x.T @ delta");
          sheet.dispatchEvent(new Event("input"));
        }})()""")
        assert check() == "Correct."
        page.call("Page.reload")
        time.sleep(0.5)
        wait(page, f"{root}?.classList.contains('passed')")
        assert "x.T @ delta" in page.js(f"{root}.querySelector('textarea').value")
