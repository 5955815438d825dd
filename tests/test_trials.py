"""The commands of `trials/` start, and their mutants are what they say."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
if not (ROOT / "trials").is_dir():
    pytest.skip("the sdist has no trials", allow_module_level=True)

SMALL = [
    ("mutation", "optimizers/sgd.py", "--sample=3", "--tests", "tests/test_optimizers.py"),
    ("faults", "--times=2", "limit", "read-only", "kill -9 in save_weights"),
    ("strangers", "--runs=20", "--plain"),
    ("inputs", "HuberLoss"),
    ("others", "--help"),
    ("playground", "--minutes=2", "--minute=1"),
    ("matrix", "3.0"),
]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs fork and limits of Linux")
@pytest.mark.parametrize("command", SMALL, ids=lambda command: command[0])
def test_command_runs(command: tuple[str, ...]) -> None:
    run = [sys.executable, "-m", f"trials.{command[0]}", *command[1:]]
    found = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stdout + found.stderr


def test_mutants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from trials.mutants import mutants_of, mutated

    path = tmp_path / "module.py"
    path.write_text("""
def clipped(x: float, most: float = 1.0) -> float:
    x.seen = True
    if x > most and not x == 3:
        raise ValueError(f"{x + 1}")
    return -x * 0.5
""")
    found = [ast.unparse(mutated(mutant)) for mutant in mutants_of(path)]
    for text in (
        "x.seen = False",
        "if False:\n        x.seen = True",
        "if x >= most and",
        "if x > most or",
        "x != 3",
        "x == 4",
        "and x == 3",
        "if False:\n            raise",
        "return -x / 0.5",
        "return x * 0.5",
        "return -x * 5.0",
    ):
        assert any(text in code for code in found), text
    assert not any("x - 1" in code or "most: float = 10.0" in code for code in found)


def test_survivors_exist() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        patch.chdir(ROOT)
        from trials.mutants import mutants_of
        from trials.mutation import known_survivors, without_line

        for line in known_survivors():
            path = Path(line.split()[0])
            assert line in {without_line(mutant) for mutant in mutants_of(path)}, line
