"""The playground as files of a site, where Python runs in the browser."""

import json
import subprocess
import sys
import zipfile

import pytest

from browser import CHROMIUM, text
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
