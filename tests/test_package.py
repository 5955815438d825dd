"""The package: imports, public names, examples."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad
from helpers import EXAMPLES, REDUCIBLE, all_slow_but, run_example

PACKAGE = Path(minigrad.__file__).parent


def test_import_loads_only_numpy_and_typing_extensions() -> None:
    code = (
        "import sys; before = set(sys.modules); import minigrad; "
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    loaded = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())
    foreign = loaded - set(sys.stdlib_module_names) - {"numpy", "typing_extensions", "minigrad"}
    assert not {name for name in foreign if not name.startswith("_")}


def test_import_does_not_load_what_few_users_need() -> None:
    late = {"numpy.random", "json", "csv", "html", "concurrent.futures"}
    code = "import numpy, sys; before = set(sys.modules); import minigrad; "
    code += f"print({late!r} & (set(sys.modules) - before))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_public_names_exist_and_are_documented() -> None:
    assert len(minigrad.__all__) == len(set(minigrad.__all__))
    for name in minigrad.__all__:
        assert getattr(minigrad, name).__doc__, name


def test_completion_offers_public_names_only() -> None:
    code = "import minigrad; print(*dir(minigrad))"
    offered = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert offered == sorted([*minigrad.__all__, "__version__", "plots"])


def test_plots_are_imported_on_first_use_without_matplotlib() -> None:
    code = (
        "import minigrad, sys; before = 'minigrad.plots' in sys.modules; "
        "print(before, callable(minigrad.plots.history), 'matplotlib' in sys.modules)"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert said.split() == ["False", "True", "False"]


def test_unknown_attribute_imports_nothing() -> None:
    code = "import minigrad, sys; hasattr(minigrad, '__wrapped__'); "
    code += "print({'numpy.random', 'difflib'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_modules_have_a_docstring() -> None:
    for path in modules():
        said = ast.get_docstring(ast.parse(path.read_text())) or ""
        first = said.split("\n\n")[0].rstrip()
        assert first.endswith((".", "`python -m minigrad`")), path


LONG = ["adding_problem", "characters", "grid_search", "reversal", "tiny_gpt"]
"""Examples that run with `-m slow` only, and then in full."""


@pytest.mark.parametrize(
    "path", [path for path in REDUCIBLE if path.stem not in LONG], ids=lambda p: p.stem
)
def test_example_runs_at_a_reduced_size(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_example(path, monkeypatch, full=False)


@pytest.mark.parametrize(
    "path",
    all_slow_but(EXAMPLES, *(path for path in EXAMPLES if path.stem in ("diabetes", "digits"))),
    ids=lambda p: p.stem,
)
def test_example_reaches_its_figure(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_example(path, monkeypatch)
