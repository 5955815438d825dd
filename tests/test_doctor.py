"""The trial of `diagnose`: a few set-ups by default, more with `-m slow`."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import minigrad

ROOT = Path(minigrad.__file__).parent.parent
sys.path.append(str(ROOT))
pytest.importorskip("sklearn")
doctor = pytest.importorskip("benchmarks.doctor")

QUICK = [
    "probabilities for a loss of logits",
    "wrong gradient",
    "no activation",
    "softmax over one unit",
    "training rows for validation",
    "validation rows unlike the others",
]


@pytest.mark.parametrize("seed", [0, 4])
def test_healthy_set_up_has_no_findings(seed: int) -> None:
    found, _, text = doctor.draw(seed).examine()
    assert not found, text


@pytest.mark.parametrize("name", QUICK)
def test_planted_fault_is_found(name: str) -> None:
    fault = doctor.FAULTS[name]
    setups = (fault.plant(doctor.draw(seed), np.random.default_rng(seed)) for seed in range(20))
    setup = next(setup for setup in setups if setup is not None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, _, text = setup.examine()
    assert {kind for kind, _ in found} & set(fault.kinds), text


@pytest.mark.slow
def test_trial_meets_its_figures() -> None:
    result = doctor.summary(*doctor.trial(10, 1))
    assert result["alarms"]["error"] == 0
    assert result["alarms"]["warning"] <= 1
    planted, found = (sum(f[k] for f in result["faults"].values()) for k in ("planted", "found"))
    assert found >= 0.95 * planted, result["wrong"]


def test_committed_result_meets_its_figures_and_is_on_the_page() -> None:
    result = json.loads(doctor.RESULTS.read_text())
    assert doctor.report(result) in doctor.PAGE.read_text()
    assert result["healthy"] >= 300
    assert result["alarms"]["error"] == 0
    assert result["alarms"]["warning"] <= 0.02 * result["healthy"]
    assert len(result["faults"]) >= 15
    for fault in result["faults"].values():
        assert fault["planted"] >= 20
        assert fault["found"] >= 0.95 * fault["planted"], fault
