"""What the package is as a whole: its imports, its public names, its examples."""

import ast
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad

PACKAGE = Path(minigrad.__file__).parent
EXAMPLES = sorted((PACKAGE.parent / "examples").glob("*.py"))


def test_import_loads_numpy_and_typing_extensions_alone() -> None:
    code = (
        "import sys; before = set(sys.modules); import minigrad; "
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    loaded = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())
    foreign = loaded - set(sys.stdlib_module_names) - {"numpy", "typing_extensions", "minigrad"}
    assert not {name for name in foreign if not name.startswith("_")}


@pytest.mark.parametrize("late", ["numpy.random", "json", "csv", "html", "concurrent.futures"])
def test_import_leaves_this_for_later(late: str) -> None:
    code = "import numpy, sys; before = set(sys.modules); import minigrad; "
    code += f"print({late!r} in set(sys.modules) - before)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_public_names_exist_and_are_documented() -> None:
    assert len(minigrad.__all__) == len(set(minigrad.__all__))
    for name in minigrad.__all__:
        assert getattr(minigrad, name).__doc__, name


def test_completion_offers_the_public_names_alone() -> None:
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


@pytest.mark.parametrize("late", ["numpy.random", "difflib"])
def test_what_isnt_there_is_said_without_a_guess_where_python_asks(late: str) -> None:
    code = f"import minigrad, sys; hasattr(minigrad, '__wrapped__'); print({late!r} in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_says_its_one_idea(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text()))
    assert said is not None
    assert said.split("\n\n")[0].rstrip().endswith((".", "`python -m minigrad`"))


def _dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_imports_have_no_circle() -> None:
    """Module-level imports, those for type checking alone left out, form no cycle."""
    names = {_dotted(path): path for path in modules()}
    graph: dict[str, set[str]] = {}
    for name, path in names.items():
        found = graph.setdefault(name, set())
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {module if module in names else node.module for module in inner}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for other in graph.get(name, ()):
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in path.read_text().splitlines():
        if line.startswith(("from sklearn", "from scipy", "import matplotlib")):
            pytest.importorskip(line.split()[1].split(".")[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path)])
    runpy.run_path(str(path), run_name="__main__")
