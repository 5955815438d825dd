"""The sdist and the wheel: built, installed in empty environments, and used from another folder."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import copy, which
from zipfile import ZipFile

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "minigrad"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(find_spec(tool) is None for tool in ("build", "twine", "mypy", "pyright")),
        reason="needs the dependency group dev",
    ),
]


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def interpreter(version: str) -> str:
    """Return a Python of this version, pyenv's included; skip the test if none runs."""
    pyenv = map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for path in filter(None, (which(f"python{version}"), *pyenv)):  # a shim of pyenv may not run
        if subprocess.run([path, "-c", "import venv"], capture_output=True).returncode == 0:
            return path
    pytest.skip(f"no Python {version}")


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sdist, and of the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "-o", folder, TESTS.parent, folder=folder)
    return folder


def install(dist: Path, python: str, numpy: str, folder: Path) -> Path:
    """Return the Python of a new environment that holds the wheel and what it depends on."""
    run(python, "-m", "venv", "--without-pip", "env", folder=folder)
    inside = folder / "env" / "bin" / "python"
    [wheel] = dist.glob("*.whl")
    pip = (sys.executable, "-m", "pip", "--python", inside, "install", "-q")
    run(*pip, "--only-binary=:all:", wheel, numpy, folder=folder)
    copy(TESTS / "typed" / "project.py", folder)
    return inside


def test_twine_accepts_the_distributions(dist: Path) -> None:
    files = sorted(dist.iterdir())
    assert [path.name.partition("-")[2][-7:] for path in files] == ["any.whl", ".tar.gz"]
    run(sys.executable, "-m", "twine", "check", "--strict", *files, folder=dist)


def test_wheel_holds_the_package_and_nothing_else(dist: Path) -> None:
    [wheel] = dist.glob("*.whl")
    names = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {path for path in PACKAGE.rglob("*.*") if path.is_file() and path.suffix != ".pyc"}
    assert names == {path.relative_to(PACKAGE.parent).as_posix() for path in files}


@pytest.mark.parametrize(
    ("version", "numpy"),
    [("3.11", "numpy==2.0.*"), ("3.11", "numpy"), ("3.12", "numpy"), ("3.13", "numpy")],
)
def test_wheel_runs_from_another_folder(
    version: str, numpy: str, dist: Path, tmp_path: Path
) -> None:
    python = install(dist, interpreter(version), numpy, tmp_path)
    run(python, "-W", "error", "project.py", folder=tmp_path)
    for page in ("explanation.html", "film.html"):
        text = (tmp_path / page).read_text(encoding="utf-8")
        assert "</style>" in text
        assert "</script>" in text
        assert text.rstrip().endswith("</html>")


def test_type_checkers_accept_a_strict_project(dist: Path, tmp_path: Path) -> None:
    python = install(dist, sys.executable, "numpy", tmp_path)
    mypy = (sys.executable, "-m", "mypy", "--strict", "--python-executable", python)
    run(*mypy, "project.py", folder=tmp_path)
    config = '{"typeCheckingMode": "strict", "include": ["project.py"]}'
    (tmp_path / "pyrightconfig.json").write_text(config)
    run(sys.executable, "-m", "pyright", "--pythonpath", python, folder=tmp_path)
