"""Several devices and several processes train as one does."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

import numpy as np
import pytest

import minigrad

pytest.importorskip("jax")

ENVIRONMENT = {
    **os.environ,
    "JAX_PLATFORMS": "cpu",
    "PYTHONPATH": str(Path(minigrad.__file__).parent.parent),
}
SAME = ("batches", "dropout", "uneven", "few")
LEFT = ("callback", "ctrl-c", "diverged", "models", "sizes", "stream", "stop", "batch_dependent")

DEVICES = """
import copy, numpy as np
from minigrad import Adam, BatchNorm, Dense, Dropout, Sequential, Tanh
from minigrad.jit import JaxEngine, pcg64
from minigrad.core import gradient

pcg64._FEWEST = 1
x = np.random.default_rng(0).normal(size=(44, 3))
y = np.sin(x).sum(axis=1)
def fit(engine, *layers, **options):
    layers = [Dense(4), Tanh(), *copy.deepcopy(layers), Dense(1)]
    model = Sequential(layers, input_shape=(3,), rng=0)
    model.compile(optimizer=Adam(learning_rate=0.1), loss="mse", metrics=["mae"])
    history = model.fit(x, y, epochs=3, verbose=0, engine=engine, **options)
    return [*history["loss"], *history["mae"], *model.parameters.value]

def compare(*layers, **options):
    one, two = fit(JaxEngine(devices=1), *layers, **options), fit("jax", *layers, **options)
    print(np.abs(np.subtract(one, two)).max())

weight = np.linspace(0, 1, 44)
compare(Dropout(0.3), Dense(4), Dropout(0.2), batch_size=22)
compare(BatchNorm(), Dropout(0.3), batch_size=11, sample_weight=weight)
gradient._BLOCK_BYTES, gradient._MIN_BLOCK_ROWS = 1, 9
compare(batch_size=None, sample_weight=weight)
compare(Dropout(0.3), Dense(4), Dropout(0.2), batch_size=None)
try:
    fit(JaxEngine(devices=3))
except ValueError as error:
    print(error)
"""


def test_the_private_part_of_jax_is_as_it_was() -> None:
    """`hosts._client` and `hosts.Hosts` need these; another JAX may move them."""
    from jax._src.distributed import global_state
    from jax._src.lib import _jax

    assert hasattr(global_state, "client")
    names = ("key_value_set", "blocking_key_value_get", "key_value_try_get", "key_value_delete")
    assert not [name for name in names if not hasattr(_jax.DistributedRuntimeClient, name)]


def start(process: int, port: int, *cases: str, folder: Path) -> subprocess.Popen:
    script = Path(__file__).with_name("process.py")
    command = [sys.executable, str(script), str(process), str(port), *cases]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        cwd=folder,
    )


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def pair(*cases: str, folder: Path) -> list[subprocess.Popen]:
    port = free_port()
    return [start(process, port, *cases, folder=folder) for process in (0, 1)]


class End(NamedTuple):
    """What a process prints, and its end."""

    cases: dict[str, dict]
    problems: str
    code: int
    at: float


def end(running: subprocess.Popen, timeout: float = 300) -> End:
    out, problems = running.communicate(timeout=timeout)
    found = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    cases = {result["case"]: result for result in found}
    return End(cases, problems, running.returncode, monotonic())


@pytest.fixture(scope="module")
def processes(tmp_path_factory) -> tuple[list[End], Path]:
    """Two processes, of which the second one is killed, and one alone; the folder of their files"""
    folder = tmp_path_factory.mktemp("processes")
    first, second = pair(*SAME, *LEFT, "shuffled", "file", "kill", folder=folder)
    alone = start(-1, 0, *SAME, folder=folder)
    killed = end(second)
    return [end(first, timeout=60), killed, end(alone)], folder


@pytest.fixture
def fits(processes) -> list[dict]:
    """What each of them prints."""
    return [one.cases for one in processes[0]]


def test_two_devices_train_as_one() -> None:
    environment = {**ENVIRONMENT, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    out = subprocess.check_output([sys.executable, "-c", DEVICES], env=environment, text=True)
    *differences, error = out.splitlines()
    assert max(map(float, differences)) < 1e-12
    assert "devices" in error
    assert "2" in error
    assert "3" in error


@pytest.mark.parametrize("case", SAME)
def test_two_processes_train_as_one(fits, case) -> None:
    first, second, alone = fits
    assert "error" not in first[case]
    assert second[case] == first[case]
    for name, expected in alone[case].items():
        if name != "case":
            np.testing.assert_allclose(first[case][name], expected, rtol=1e-12, err_msg=name)


def test_padded_rows_are_shuffled_and_do_not_count(fits) -> None:
    first, second, _ = fits
    assert second["shuffled"] == first["shuffled"]
    losses = first["shuffled"]["loss"]
    assert losses[0] > losses[1] > losses[2]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("callback", ("process 1", "ZeroDivisionError", "on purpose")),
        ("models", ("model", "rng")),
        ("stream", ("process 1", "validation_data")),
        ("sizes", ("process 0", "process 1", "batch of 8", "batch of 9")),
        ("diverged", ("DivergedError", "epoch")),
        ("batch_dependent", ("BatchNorm", "[23, 22]")),
    ],
)
def test_an_error_ends_all(fits, case, words) -> None:
    first, second, _ = fits
    assert [word for word in words if word not in first[case]["error"]] == []
    assert "error" in second[case]


def test_ctrl_c_in_one_process_interrupts_all_and_they_can_go_on(fits) -> None:
    first, second, _ = fits
    assert first["ctrl-c"] == second["ctrl-c"]
    assert first["ctrl-c"]["interrupted"]
    assert len(first["ctrl-c"]["loss"]) == 3
    assert first["ctrl-c"]["again"][0] < first["ctrl-c"]["loss"][2]


def test_all_stop_where_one_does(fits) -> None:
    first, second, _ = fits
    assert first["stop"] == second["stop"]
    assert len(first["stop"]["loss"]) == 3


def test_the_first_process_writes_the_files(processes) -> None:
    _, folder = processes
    assert [path.name for path in folder.glob("*.csv")] == ["log-0.csv"]


def test_a_killed_process_ends_the_other_with_a_message(processes) -> None:
    (survivor, victim, _), _ = processes
    assert survivor.at - victim.at < 10
    error = survivor.cases.get("kill", {"error": ""})["error"]
    assert survivor.code != 0 or "ConnectionError" in error
    assert "died" in survivor.problems or "another process ended" in error


@pytest.mark.parametrize("case", ["exit", "system_exit", "halt"])
def test_a_process_that_exits_or_stops_ends_the_other_with_a_message(case, tmp_path) -> None:
    first, second = pair(case, folder=tmp_path)
    try:
        if case == "halt":
            while not (tmp_path / "halted").exists():
                assert first.poll() is None
                sleep(0.05)
            at = monotonic()
        else:
            at = end(second).at
        survivor = end(first, timeout=60)
    finally:
        second.kill()
        second.communicate()
    assert survivor.at - at < 10
    error = survivor.cases.get(case, {"error": ""})["error"]
    words = ("process 1 failed: SystemExit", "another process ended", "process 1 ended")
    assert any(word in error for word in words) or "died" in survivor.problems, survivor


def test_a_process_that_ends_before_fit_ends_the_other_with_a_message(tmp_path) -> None:
    waiting, unusable = pair("unusable", folder=tmp_path)
    assert "(batch, 3)" in end(unusable).cases["unusable"]["error"]
    assert "process 1 ended" in end(waiting).cases["unusable"]["error"]


def test_the_example_trains_in_two_processes_as_in_one(tmp_path) -> None:
    script = Path(minigrad.__file__).parent.parent / "examples" / "two_processes.py"
    out = subprocess.check_output(
        [sys.executable, str(script)], env=ENVIRONMENT, cwd=tmp_path, text=True
    )
    assert "71,425 gradients" in out
