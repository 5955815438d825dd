"""What is left after a fault? `python -m trials.faults` kills, fills, interrupts and forks.

Each trial prints one line, with how often it was tried. Linux only.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from minigrad import Adam, Callback, Dense, Dropout, Model, ModelCheckpoint, ReLU, Sequential
from minigrad.core.trainer import Trainer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 8))
Y = X.sum(axis=1)
EPOCHS = 60


def made(units: int = 32) -> Sequential:
    """Return the model that is trained and saved, the same each time."""
    layers = [Dense(units), ReLU(), Dropout(0.2), Dense(1)]
    model = Sequential(layers, input_shape=(8,), rng=0)
    model.compile(optimizer=Adam(learning_rate=0.01), loss="mse")
    return model


def fit(model: Model, epochs: int, *callbacks: Any, **options: Any) -> None:
    """Train for some epochs of four steps."""
    model.fit(X, Y, epochs=epochs, batch_size=16, callbacks=callbacks, verbose=0, **options)


def filled(model: Model, number: int, units: int = 200) -> Model:
    """Return the model with one number as each parameter, so that a mixture of two is seen."""
    model.parameters.value = np.full_like(model.parameters.value, number)
    return model


@contextmanager
def child(action: Callable[[], object]) -> Iterator[int]:
    """Run an action in a forked process, which is killed at the end."""
    process = os.fork()
    if not process:
        status = 1
        try:
            action()
            status = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(status)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(process, 0)


def succeeds(action: Callable[[], object]) -> None:
    """Run an action in a forked process, which must end well."""
    with child(action) as process:
        assert os.waitpid(process, 0)[1] == 0, "the process failed"


def message(error: type[Exception], action: Callable[[], object]) -> str:
    """Return the message of the error that an action must raise."""
    try:
        action()
    except error as raised:
        return str(raised)
    raise AssertionError(f"no {error.__name__}")


def hidden(folder: Path) -> list[Path]:
    """Return the leftovers in a folder, after a minute as their times say."""
    found = [*folder.glob(".*")]
    for path in found:
        os.utime(path, (time.time() - 60,) * 2)
    return found


def kill_save(folder: Path, times: int, write: str, read: Callable[[Path], Any]) -> str:
    """Kill a process that writes one file again and again."""
    path = folder / "net.safetensors"
    model = made(200)
    getattr(filled(model, -1), write)(path)

    def save_forever() -> None:
        for number in range(10**6):
            getattr(filled(model, number), write)(path)

    most = 0
    for _ in range(times):
        with child(save_forever):
            time.sleep(RNG.uniform(0.005, 0.05))
        values = read(path)
        assert (values == values[0]).all(), "the file holds two models"
        most = max(most, len(hidden(folder)))
    getattr(model, write)(path)
    assert not hidden(folder), "a leftover outlasts the next save"
    assert most <= 1, f"{most} leftovers pile up"
    return f"a whole file after each of {times} kills, at most {most} leftover, none after a save"


def loaded(path: Path) -> Any:
    """Return the parameters of the model in a file."""
    return minigrad.load(path).parameters.value


def loaded_weights(path: Path) -> Any:
    """Return the parameters that a file gives a model."""
    model = made(200)
    model.load_weights(path)
    return model.parameters.value


def kill_fit(folder: Path, times: int) -> str:
    """Kill a run that saves each epoch, resume it, and compare it with one that ran through."""
    path = folder / "net.safetensors"
    reference = made()
    epochs = 4 * times
    fit(reference, epochs)
    fit(made(), 1, ModelCheckpoint(path))

    def resume() -> None:
        model = minigrad.load(path)
        fit(model, epochs - model.history.epochs, ModelCheckpoint(path))

    kills = most = 0
    while minigrad.load(path).history.epochs < epochs:
        kills += 1
        limit = 0.05 if kills <= times else 60
        with child(resume) as process:
            end = time.time() + RNG.uniform(0.005, limit)
            while time.time() < end and not os.waitpid(process, os.WNOHANG)[0]:
                time.sleep(0.002)
        most = max(most, len(hidden(folder)))
    model = minigrad.load(path)
    assert np.array_equal(model.parameters.value, reference.parameters.value), "other bits"
    assert most <= 1, f"{most} leftovers pile up"
    return f"the bits of the run that went through after {kills} kills, at most {most} leftover"


def full_disk(folder: Path, times: int) -> str:
    """Limit the size of a file to each part of what a save needs."""
    path = folder / "net.safetensors"
    made().save(path)
    old = path.read_bytes()

    def save(limit: int) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        for callbacks in ([], [ModelCheckpoint(path)]):
            model = made()
            fit(model, 1)
            save = partial(fit, model, 2, *callbacks) if callbacks else partial(model.save, path)
            message(OSError, save)
            assert path.read_bytes() == old
            assert not hidden(folder)
            fit(model, 1)  # the model is still good

    for limit in np.linspace(0, len(old) - 1, times).astype(int):
        succeeds(partial(save, int(limit)))
    return f"an OSError, the old file and nothing else at {times} limits"


def full_tmpfs(folder: Path, times: int) -> str:
    """Save to a file system that is too small."""
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32k", "none", folder], capture_output=True
    ).returncode:
        return "not tried: tmpfs can't be mounted here"
    try:
        path = folder / "net.safetensors"
        made().save(path)
        old, model = path.read_bytes(), made(2000)
        for _ in range(times):
            assert "space" in message(OSError, partial(model.save, path))
            assert path.read_bytes() == old
            assert not hidden(folder)
    finally:
        subprocess.run(["umount", folder], check=True)
    return f"an OSError, the old file and nothing else, {times} times"


def read_only(folder: Path, times: int) -> str:
    """Save to a folder, and over a file, that may only be read."""
    path = folder / "net.safetensors"
    made().save(path)
    old = path.read_bytes()
    os.chmod(folder, 0o555)

    def save() -> None:
        if os.getuid() == 0:
            os.setuid(65534)
        for name in (path, folder / "new.safetensors"):
            assert str(folder) in message(PermissionError, partial(made().save, name))

    os.chmod(path, 0o444)
    os.chmod(folder.parent, 0o755)
    succeeds(save)
    assert path.read_bytes() == old
    os.chmod(folder, 0o755)
    return "a PermissionError that names the file, and the old file"


def replaced_while_read(folder: Path, times: int) -> str:
    """Load a file that another process replaces all the time, by larger and smaller ones."""
    path = folder / "net.safetensors"
    models = made(20), made(200)
    models[0].save(path)

    def save_forever() -> None:
        for number in range(10**6):
            filled(models[number % 2], number).save(path)

    seen = set()
    with child(save_forever):
        for _ in range(4 * times):
            values = loaded(path)
            seen.add(values.size)
            assert (values == values[0]).all() or values.size == models[0].parameters.size
    return f"{4 * times} loads of a whole file, of {len(seen)} sizes"


class Steps(Callback):
    """Keeps the parameters after each step."""

    def __init__(self) -> None:
        self.states: list[Any] = []

    def on_update_end(self, trainer: Trainer) -> None:
        """Keep those of now."""
        self.states.append(trainer.model.parameters.value.copy())


def ctrl_c(folder: Path, times: int, engine: Any) -> str:
    """Press Ctrl-C at random moments of a fit, and go on."""
    steps, begun = Steps(), made()
    fit(begun, EPOCHS, steps)
    states = [made().parameters.value, *steps.states]
    options = {"engine": engine} if engine else {}
    fit(made(), EPOCHS, **options)  # compiles
    begin = time.perf_counter()
    fit(made(), EPOCHS, **options)
    seconds = time.perf_counter() - begin
    ends: Counter[str] = Counter()
    for _ in range(4 * times):
        model = made()
        press = threading.Timer(RNG.uniform(0, seconds), signal.pthread_kill, PRESS)
        try:
            press.start()
            fit(model, EPOCHS, **options)
            press.join()
            time.sleep(0)
            end = "interrupted" if model.trainer and model.trainer.interrupted else "finished"
        except KeyboardInterrupt:
            end = "raised"
        press.cancel()
        ends[end] += 1
        value = model.parameters.value
        distances = [np.abs(value - state).max() for state in states]
        assert min(distances) < (1e-8 if engine else 1e-300), "the parameters of no step"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert model.trainer
        assert model.trainer.run is None
        fit(model, 1, **options)
    counts = ", ".join(f"{count} {end}" for end, count in ends.most_common())
    return f"the parameters of a step after {4 * times} presses ({counts})"


PRESS = threading.main_thread().ident, signal.SIGINT


def run_out() -> None:
    """Let memory run out in the row blocks of a fit; run in a process of its own."""
    x = RNG.uniform(size=(200_000, 2))

    def large() -> Sequential:
        model = Sequential([Dense(300), ReLU(), Dense(1)], input_shape=(2,), rng=4)
        model.compile(optimizer="sgd", loss="mse")
        return model

    large().fit(x[:9], x[:9, 0], epochs=1, verbose=0)  # BLAS, which would end the process, is ready
    model = large()
    start = model.parameters.value.copy()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    failed = 0
    for more in range(0, 40_000_000, 1_000_000):
        resource.setrlimit(resource.RLIMIT_AS, (used + more, limits[1]))
        try:
            model.fit(x, x[:, 0], epochs=1, batch_size=None, verbose=0)
        except MemoryError:
            failed += 1
            assert np.array_equal(model.parameters.value, start)
        else:
            break
        finally:
            resource.setrlimit(resource.RLIMIT_AS, limits)
    assert failed, "memory never ran out"
    expected = large()
    expected.fit(x, x[:, 0], epochs=1, batch_size=None, verbose=0)
    assert np.array_equal(model.parameters.value, expected.parameters.value)


def memory(folder: Path, times: int) -> str:
    """Let memory run out in a row block of a large batch."""
    process = multiprocessing.get_context("spawn").Process(target=run_out)
    process.start()
    process.join()
    assert process.exitcode == 0, "the process failed"
    return "a MemoryError, the parameters as before, and a fit that works afterwards"


def predictions_of(model: Model) -> Any:
    """Return what another process computes; it must be importable there."""
    fit(model, 2)
    return model.predict(X)


def processes(folder: Path, times: int) -> str:
    """Train and predict in forked and spawned processes."""
    expected = predictions_of(made())
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            for found in pool.map(predictions_of, [made() for _ in range(4)]):
                assert np.array_equal(found, expected), f"other bits after {method}"
    return "the same bits in 4 forked, 4 spawned and 4 processes of a server"


def threads(folder: Path, times: int) -> str:
    """Train different models, and predict with the same one, in many threads."""
    expected = predictions_of(made())
    shared = made()
    alone = shared.predict(X)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: predictions_of(made()), range(times)):
            assert np.array_equal(found, expected)
        for found in pool.map(lambda _: shared.predict(X), range(10 * times)):
            assert np.array_equal(found, alone)
    return f"the same bits in {times} fits and {10 * times} predictions on 8 threads"


TRIALS: dict[str, Callable[[Path, int], str]] = {
    "kill -9 in save": partial(kill_save, write="save", read=loaded),
    "kill -9 in save_weights": partial(kill_save, write="save_weights", read=loaded_weights),
    "kill -9 in fit": kill_fit,
    "a limit of the file's size": full_disk,
    "a full file system": full_tmpfs,
    "a read-only folder": read_only,
    "a file replaced while it is read": replaced_while_read,
    "Ctrl-C": partial(ctrl_c, engine=None),
    "no memory": memory,
    "processes": processes,
    "threads": threads,
    "Ctrl-C, compiled": partial(ctrl_c, engine="jax"),  # last: JAX can't be forked
}


def main() -> int:
    """Run the trials; 1 if one fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(TRIALS)}; all by default")
    parser.add_argument("--times", type=int, default=50, help="how often each fault is tried")
    options = parser.parse_args()
    failed = 0
    for name, trial in TRIALS.items():
        if not any(chosen in name for chosen in options.names or [""]):
            continue
        with tempfile.TemporaryDirectory() as made_folder:
            folder = Path(made_folder) / "folder"
            folder.mkdir()
            try:
                if "compiled" in name and not find_spec("jax"):
                    result = "not tried: JAX isn't installed"
                else:
                    result = trial(folder, options.times)
            except (AssertionError, OSError, RuntimeError, ValueError) as error:
                failed += 1
                result = f"FAILED: {type(error).__name__}: {error}"
        print(f"{name}: {result}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
