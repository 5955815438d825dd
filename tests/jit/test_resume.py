"""The trial of `benchmarks.resume` with few rows: a run that is killed and resumed."""

import os
import sys
from pathlib import Path

import pytest

import minigrad

pytest.importorskip("jax")
sys.path.append(str(Path(minigrad.__file__).parent.parent))
resume = pytest.importorskip("benchmarks.resume")


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize(("engine", "kills"), [("numpy", 4), ("jax", 1)])
def test_killed_run_ends_in_the_bits_of_the_whole(engine: str, kills: int, tmp_path: Path) -> None:
    found, differences = resume.trial(tmp_path, 12, 2000, engine, kills=kills, seconds=0.1)
    assert not differences
    assert len(found) == kills
    assert any(kill.writing for kill in found)
