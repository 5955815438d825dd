"""The code of the pages about other libraries runs, also what the documentation only shows."""

import re
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from minigrad.core.layer import Layer
from minigrad.util.config import registered

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
NEEDS = {"mlflow": "alembic"}  # for its own store
BLOCK = re.compile(r"```(?:python|{code-cell})\n(?:---.*?---\n|:.*?\n)*(.*?)```", re.S)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # from MLflow's own packages
@pytest.mark.parametrize("page", ["scikit-learn", "frames", "tracking", "onnx", "torch", "keras"])
def test_page(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()  # an earlier run's settings
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    names: dict[str, Any] = {}
    for block in BLOCK.findall((PAGES / f"{page}.md").read_text()):
        imported = re.findall(r"^(?:import|from) (\w+)", block, re.M)
        if all(find_spec(NEEDS.get(name, name)) for name in imported):
            exec(compile(block, page, "exec"), names)


def test_the_table_of_conversions_has_every_layer() -> None:
    for package in "onnxruntime", "torch", "keras":
        pytest.importorskip(package)
    names = runpy.run_path(str(PAGES.parent / "conversions.py"))
    layers = {n for n, c in registered(Layer).items() if c.__module__.startswith("minigrad.")}
    assert {type(layer).__name__ for layer, _ in names["cases"]} == layers - {"Model", "Sequential"}
    table = names["table"]()
    lacking = [name for name, found in table.items() if found != ["yes"] * 3]
    assert lacking == ["Lambda", "Mask", "PositionEmbedding", "SinusoidalPositions", "Slice"]
    committed = (PAGES / "conversions.txt").read_text().splitlines()
    rows = [[cell.strip(" `") for cell in row.split("|")[1:-1]] for row in committed[2:-2]]
    assert rows == [[name, *found] for name, found in table.items()], "run docs/conversions.py"
