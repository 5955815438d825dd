"""The rooms of the package: imports run one way, without a circle."""

import ast
import re
import traceback
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import minigrad
from minigrad import Dense, Sequential

ROOT = Path(minigrad.__file__).parent
ROOMS = [
    "util",
    "data",
    "regularizers",
    "initializers",
    "history",
    "metrics",
    "core",
    "graphs",
    "blocks",
    "models",
    "layers",
    "losses",
    "optimizers",
    "callbacks",
    "trace",
    "objective",
    "summary",
    "checks",
    "saving",
    "plots",
    "jit",
    "explain",
    "diagnose",
    "film",
    "port",
    "typing",
    "lessons",
    "playground",
    "interop",
    "minigrad",
]
"""A room may import from those before it, and from itself."""

DOORS = {
    ("models.model", room)
    for room in (
        "callbacks.base",
        "diagnose",
        "explain",
        "film",
        "jit",
        "objective",
        "plots",
        "saving.model",
        "saving.weights",
        "summary",
        "trace",
    )
} | {
    ("core.layer", "graphs.symbol"),
    ("core.trainer", "trace"),
    ("history", "plots"),
    ("models.engines", "jit"),
}
"""Imports inside a method, against the order of the rooms."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "minigrad"


MODULES = {module_name(path): path for path in ROOT.rglob("*.py") if "sheets" not in path.parts}


@cache
def imports(name: str) -> set[str]:
    """The modules that a module imports anywhere: lazily and for types, too."""
    return imports_of(ast.parse(MODULES[name].read_text(encoding="utf-8"))) - {name}


def imports_of(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("minigrad."):
            base = node.module.removeprefix("minigrad.")
            for alias in node.names:
                found.add(f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base)
    return found


def read_with(*names: str) -> dict[str, int]:
    """The lines of modules, and of all that these import when they are imported."""
    found, waiting = {}, [*names]
    while waiting:
        name = waiting.pop()
        if name not in found:
            text = MODULES[name].read_text(encoding="utf-8")
            found[name] = text.count("\n")
            top = ast.Module([n for n in ast.parse(text).body if isinstance(n, ast.ImportFrom)], [])
            waiting += imports_of(top) - {"minigrad"}
    return found


def room(name: str) -> str:
    first = name.partition(".")[0]
    return "minigrad" if first == "__main__" else first


def is_door(name: str, imported: str) -> bool:
    return any(
        name == inside and (imported == outside or imported.startswith(f"{outside}."))
        for inside, outside in DOORS
    )


def test_imports_run_one_way_between_rooms() -> None:
    for name in MODULES:
        for imported in imports(name):
            earlier = ROOMS.index(room(imported)) <= ROOMS.index(room(name))
            assert earlier or is_door(name, imported), f"{name} imports {imported}"


def test_imports_have_no_circle() -> None:
    arrows = {name: imports(name) for name in MODULES}
    for name in MODULES:
        seen, waiting = set(), [*arrows[name]]
        while waiting:
            current = waiting.pop()
            assert current != name, f"{name} imports itself in a circle"
            if current not in seen and current in arrows:
                seen.add(current)
                waiting.extend(arrows[current])


def test_nothing_imports_the_adapters() -> None:
    for name in MODULES:
        if room(name) != "interop":
            assert not {other for other in imports(name) if room(other) == "interop"}, name


def test_modules_of_one_name_mean_the_same() -> None:
    names = [name.rpartition(".")[2] for name in MODULES if "." in name]
    repeated = {name for name in names if names.count(name) > 1}
    shared = {
        "layer",
        "blocks",
        "layers",
        "model",
        "learning_rate",
        "regression",
        "classification",
        "base",
        "__main__",
    }
    assert repeated <= shared


def test_the_reading_order_of_the_engine_has_each_module() -> None:
    order = ast.get_docstring(ast.parse(MODULES["jit"].read_text(encoding="utf-8"))) or ""
    found = {name for name in MODULES if name.startswith("jit.")}
    assert {f"jit.{name}" for name in re.findall(r"`(\w+)`", order)} == found


CORE = [name for name in MODULES if room(name) == "core"]
STUDENT = [*CORE, "layers.dense", "layers.activations", "losses.regression", "optimizers.sgd"]


@pytest.mark.parametrize(
    ("lines", "most"),
    [
        ({name: MODULES[name].read_text("utf-8").count("\n") for name in CORE}, 2000),
        (read_with(*STUDENT), 4000),
        (read_with(*STUDENT, "models.sequential"), 5500),
    ],
    ids=["core", "with Dense and SGD", "from fit"],
)
def test_the_core_can_be_read(lines: dict[str, int], most: int) -> None:
    by_room = Counter()
    for name, count in lines.items():
        by_room[room(name)] += count
    count = by_room.total()
    print(f"{count} lines:", dict(by_room))
    assert count <= most, by_room
    page = (ROOT.parent / "docs/explanation/design.md").read_text("utf-8")
    assert f"about {round(count, -2):,}" in page, f"design.md doesn't say about {count} lines"


def test_root_has_few_modules() -> None:
    assert len([*ROOT.glob("*.py")]) <= 9


def test_a_batch_passes_seven_calls_from_fit_to_dense() -> None:
    class Counted(Dense):
        def forward(self, x, *, training=True):
            calls = [frame.name for frame in traceback.extract_stack()]
            self.calls = calls[calls.index("fit") : -1]
            return super().forward(x, training=training)

    dense = Counted(1)
    model = Sequential([dense], input_shape=(2,), rng=0)
    model.compile(optimizer="sgd", loss="mse")
    model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
    assert dense.calls == ["fit", "fit", "_epoch", "step", "__call__", "forward"]
