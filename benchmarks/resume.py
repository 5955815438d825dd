"""Kill a training run, resume it, and compare it with a run that went through."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minigrad
from benchmarks.lockstep import ROOT, environment
from minigrad import (
    Adam,
    BatchNorm,
    CosineDecay,
    CSVLogger,
    Dense,
    Dropout,
    EarlyStopping,
    ModelCheckpoint,
    ReLU,
    Sequential,
)

ROWS, BATCH_SIZE, HELD_OUT = 100_000, 64, 0.2
STATE, BEST, LOG = FILES = "state.safetensors", "best.safetensors", "log.csv"
"""What a run leaves: all of its state, the model of its best epoch, and the logs of each epoch."""


def train(folder: Path, epochs: int, rows: int, engine: Any, *callbacks: Any) -> None:
    """Make a run of so many epochs in a folder, or what is left of the one that is there."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 64))
    y = (x[:, :10] + rng.normal(size=(rows, 10))).argmax(axis=1)
    if (folder / STATE).exists():
        model = minigrad.load(folder / STATE)
    else:
        layers = [Dense(256), BatchNorm(), ReLU(), Dropout(0.2), Dense(128), BatchNorm(), ReLU()]
        model = Sequential([*layers, Dropout(0.2), Dense(10)], input_shape=(64,), rng=0)
        steps = epochs * steps_of(rows)
        rate = CosineDecay(initial_learning_rate=1e-3, decay_steps=steps)
        model.compile(
            optimizer=Adam(learning_rate=rate), loss="cross_entropy", metrics=["accuracy"]
        )
    if left := epochs - model.history.epochs:
        model.fit(
            x,
            y,
            epochs=left,
            batch_size=BATCH_SIZE,
            validation_split=HELD_OUT,
            callbacks=[
                EarlyStopping(patience=epochs, restore_best_weights=False),
                ModelCheckpoint(folder / BEST, save_best_only=True),
                CSVLogger(folder / LOG),
                ModelCheckpoint(folder / STATE),  # the last one: what follows would be lost
                *callbacks,
            ],
            verbose=0,
            engine=engine,
        )


def steps_of(rows: int) -> int:
    """Return the steps of an epoch."""
    return -int(-rows * (1 - HELD_OUT) // BATCH_SIZE)


def epoch_seconds(rows: int, engine: str) -> float:
    """Return the seconds of the fastest of five epochs."""
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder), 6, rows, engine, lambda epoch, logs: times.append(time.perf_counter()))
    return float(np.diff(times).min())


class Kill(NamedTuple):
    """When a process was killed: its last whole epoch, and whether it left an unfinished file."""

    epoch: int
    writing: bool


def trial(
    folder: Path, epochs: int, rows: int, engine: str, *, kills: int, seconds: float, seed: int = 0
) -> tuple[list[Kill], list[str]]:
    """Make a run, and one that is killed after random epochs; return the kills and what differs.

    The first kill and every second one wait for the next write of a file, and the others for a
    random part of the `seconds` of an epoch.
    """
    whole, resumed = folder / "whole", folder / "resumed"
    for each in (whole, resumed):
        each.mkdir()
    rng, found = np.random.default_rng(seed), []
    finish(start(whole, epochs, rows, engine))
    for number, epoch in enumerate(sorted(rng.integers(1, epochs, size=kills).tolist())):
        with start(resumed, epochs, rows, engine) as process:
            reached = next(int(line) for line in process.stdout or () if int(line) >= epoch)
            before = unfinished(resumed)
            if number % 2:
                time.sleep(rng.uniform(0, seconds))
            else:
                while process.poll() is None and unfinished(resumed) == before:
                    time.sleep(1e-4)
            process.send_signal(signal.SIGKILL)
        if process.returncode == -signal.SIGKILL:
            found.append(Kill(reached, unfinished(resumed) > before))
    finish(start(resumed, epochs, rows, engine))
    same = [(whole / name).read_bytes() == (resumed / name).read_bytes() for name in FILES]
    return found, [name for name, equal in zip(FILES, same, strict=True) if not equal]


def start(folder: Path, epochs: int, rows: int, engine: str) -> subprocess.Popen[str]:
    """Start a process that makes the run in a folder, and prints each epoch when it is saved."""
    arguments = f"Path({str(folder)!r}), {epochs}, {rows}, {engine!r}"
    code = (
        "from pathlib import Path\nfrom benchmarks.resume import train\n"
        f"train({arguments}, lambda epoch, logs: print(epoch, flush=True))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(1, float64=True),
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    """Wait until a run has made all its epochs."""
    process.communicate()
    if process.returncode:
        raise RuntimeError(f"a run ended with exit status {process.returncode}")


def unfinished(folder: Path) -> set[Path]:
    """Return the files whose writing hasn't ended, or never will."""
    return set(folder.glob(".*.tmp"))


def main() -> None:
    """Make the trial and print its report; the exit status is 1 if a byte differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resume", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20, help="of each run (default: 20)")
    parser.add_argument("--engine", choices=["numpy", "jax"], default="jax", help="(default: jax)")
    parser.add_argument("--kills", type=int, default=2, help="(default: 2)")
    options = parser.parse_args()
    engine, seconds = options.engine, epoch_seconds(ROWS, options.engine)
    epochs = max(2, round(60 * options.minutes / seconds))
    print(f"{engine}: {epochs} epochs of {steps_of(ROWS)} steps, {seconds:.2f} s each", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        kills, differences = trial(
            Path(folder), epochs, ROWS, engine, kills=options.kills, seconds=seconds
        )
    for kill in kills:
        print(f"killed after epoch {kill.epoch}{', while it wrote a file' * kill.writing}")
    print(*(f"{name}: {'OTHER' if name in differences else 'the same'} bytes" for name in FILES),
          sep="\n")  # fmt: skip
    sys.exit(bool(differences) or len(kills) != options.kills)


if __name__ == "__main__":
    main()
