"""The cost of a step by rows, width and depth; import time, memory and predictions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from benchmarks.contest import SUBJECT, Result, contest, proven, take_turns
from benchmarks.lockstep import ROOT, Worker, environment
from benchmarks.peers import PEERS
from benchmarks.peers.base import RefusalError
from benchmarks.peers.plain_numpy import PlainNumpy
from benchmarks.report import number, table
from benchmarks.workloads import WORKLOADS, Workload

CURVE_PEERS = [SUBJECT, "plain_numpy", "pytorch_eager", "jax_step"]
PREDICTING = [*CURVE_PEERS, "keras_fit", "sklearn_fit", "neuralnetlib_fit"]
MODULES = ("numpy", "minigrad", "sklearn.neural_network", "neuralnetlib", "jax", "torch", "keras")
TURN_SECONDS = 0.1
PREDICTED = {"2-3-1": WORKLOADS["W1"], "784-128-10": WORKLOADS["W5"]}
BATCHES = (1, 32, 100_000)
MAPPED_ROWS = (100_000, 1_000_000, 10_000_000)
MEBIBYTE = 2**20


def by_rows(rows: int) -> Workload:
    """The 2-3-1 network, full batch."""
    return replace(WORKLOADS["W3"], name=f"{rows} rows", rows=rows)


def by_layers(name: str, widths: tuple[int, ...]) -> Workload:
    """ReLU layers of any widths in batches of 128."""
    return replace(
        WORKLOADS["W5"], name=name, widths=(64, *widths, 10), rows=1024, learning_rate=0.001
    )


@dataclass(frozen=True)
class Curve:
    """A quantity that grows, and the workload at each of its values."""

    quantity: str
    values: tuple[int, ...]
    workload: Callable[[int], Workload]
    network: str


CURVES = (
    Curve("rows", (10**3, 10**4, 10**5, 10**6, 10**7), by_rows, "2-3-1 sigmoid, full batch"),
    Curve(
        "width",
        (8, 32, 128, 512, 2048, 4096),
        lambda width: by_layers(f"width {width}", (width, width)),
        "64-width-width-10 ReLU, batch 128",
    ),
    Curve(
        "depth",
        (1, 3, 10, 30, 100),
        lambda depth: by_layers(f"depth {depth}", (64,) * depth),
        "64-wide ReLU layers, batch 128",
    ),
)


def epochs_for(workload: Workload) -> int:
    """Epochs that a turn needs to last about `TURN_SECONDS`."""
    network = PlainNumpy(workload)
    start = perf_counter()
    network.run(1)
    return max(1, round(TURN_SECONDS / (perf_counter() - start)))


def curve_results(curve: Curve, peers: list[str], rounds: int, threads: int) -> list[Result]:
    """A contest at each value of the curve."""
    workloads = [curve.workload(value) for value in curve.values]
    return [
        contest(workload, peers, rounds, threads, epochs_for(workload)) for workload in workloads
    ]


def curve_table(curve: Curve, results: Sequence[Result]) -> str:
    """Microseconds a step at each value."""
    peers = [peer for peer in PEERS if any(peer in each.microseconds for each in results)]
    rows = [
        [
            f"{value:,}",
            *[number(each.median(p)) if p in each.microseconds else "–" for p in peers],
        ]
        for value, each in zip(curve.values, results, strict=True)
    ]
    head = [f"{curve.quantity}, µs a step", *[PEERS[peer].title for peer in peers]]
    return f"**{curve.quantity.capitalize()}** ({curve.network})\n\n{table(head, rows)}"


def curve_picture(curve: Curve, results: Sequence[Result]) -> str:
    """The curve as SVG, both axes logarithmic."""
    from io import StringIO

    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    ax = figure.add_subplot()
    for peer in PEERS:
        if any(peer in each.microseconds for each in results):
            medians = [
                each.median(peer) if peer in each.microseconds else np.nan for each in results
            ]
            ax.loglog(curve.values, medians, marker=".", label=PEERS[peer].title.replace("`", ""))
    ax.set_title(f"One training step by {curve.quantity}: {curve.network}")
    ax.set(xlabel=curve.quantity, ylabel="microseconds a step")
    ax.legend()
    svg = StringIO()
    with rc_context({"svg.hashsalt": "minigrad"}):
        figure.savefig(svg, format="svg", metadata={"Date": None})
    return svg.getvalue()


def run_python(*arguments: str, threads: int) -> str | None:
    """The output of a new interpreter; None if it fails."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(threads, float64=True),
        capture_output=True,
        text=True,
    )
    return done.stdout if done.returncode == 0 else None


def import_seconds(rounds: int, threads: int) -> dict[str, list[float]]:
    """Seconds to import each module in a fresh interpreter, alternated; first minigrad's own."""
    timed = "from time import perf_counter as t; s = t(); import {}; print(t() - s)"
    codes = {"minigrad after numpy": "import numpy; " + timed.format("minigrad")}
    codes |= {module: timed.format(module) for module in MODULES}
    # The first round writes the compiled files and fills the disk cache.
    codes = {
        name: code
        for name, code in codes.items()
        if run_python("-c", code, threads=threads) is not None
    }
    taken: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(rounds):
        for name, code in codes.items():
            taken[name].append(float(run_python("-c", code, threads=threads) or "nan"))
    return taken


def import_table(seconds: dict[str, list[float]]) -> str:
    """Medians and quartiles in milliseconds."""
    rows = []
    for name, taken in seconds.items():
        low, middle, high = np.quantile(taken, [0.25, 0.5, 0.75]) * 1e3
        rows.append([name, f"{middle:,.0f}", f"{low:,.0f} to {high:,.0f}"])
    return "**Import**\n\n" + table(["", "ms", "quartiles"], rows)


def peaks(peers: list[str], threads: int) -> dict[str, tuple[float, float]]:
    """MiB of the data, and MiB that the peak of a full-batch fit adds, on a million rows."""
    workload = WORKLOADS["W3"]
    size = sum(array.nbytes for array in workload.data()) / MEBIBYTE
    found = {}
    for peer in peers:
        try:
            with Worker(peer, workload, threads) as worker:
                before, after = worker.call("peak", 2)
        except RefusalError:
            continue
        found[peer] = size, (after - before) / MEBIBYTE
    return found


def mapped_peaks(threads: int) -> dict[str, list[float]]:
    """MiB that a fit on a mapped file allocates at its peak, for each number of rows."""
    return {
        title: [
            float(run_python("-m", "benchmarks.mapped", str(rows), flag, threads=threads) or "nan")
            / MEBIBYTE
            for rows in MAPPED_ROWS
        ]
        for title, flag in (("in order", "0"), ("shuffled", "1"))
    }


def memory_tables(
    full_batch: dict[str, tuple[float, float]], mapped: dict[str, list[float]]
) -> str:
    """Both measurements of memory."""
    rows = [
        [PEERS[peer].title, f"{size:.0f}", f"{extra:.0f}"]
        for peer, (size, extra) in full_batch.items()
    ]
    head = ["full batch of a million rows", "data, MiB", "peak above that, MiB"]
    mapped_rows = [[title, *[f"{peak:.1f}" for peak in each]] for title, each in mapped.items()]
    mapped_head = ["mapped file, MiB allocated", *[f"{rows:,} rows" for rows in MAPPED_ROWS]]
    return f"**Memory**\n\n{table(head, rows)}\n\n{table(mapped_head, mapped_rows)}"


def prediction_rates(
    peers: list[str], rounds: int, threads: int
) -> dict[str, dict[int, dict[str, float]]]:
    """Median predictions a second, by network, batch and peer."""
    rates: dict[str, dict[int, dict[str, float]]] = {}
    for network, workload in PREDICTED.items():
        with proven(workload, peers, threads) as line_up:
            rates[network] = {}
            for batch in BATCHES:

                def turn(worker: Worker, batch: int = batch) -> float:
                    return batch / float(worker.call("predict", batch))

                taken = take_turns(line_up, turn, rounds)
                rates[network][batch] = {
                    peer: float(np.median(each)) for peer, each in taken.items()
                }
    return rates


def prediction_table(rates: dict[str, dict[int, dict[str, float]]]) -> str:
    """Predictions a second."""
    peers = [peer for peer in PEERS if any(peer in each[BATCHES[0]] for each in rates.values())]
    rows = [
        [
            f"{network}, batch {batch:,}",
            *[number(taken[peer]) if peer in taken else "–" for peer in peers],
        ]
        for network, by_batch in rates.items()
        for batch, taken in by_batch.items()
    ]
    head = ["predictions a second", *[PEERS[peer].title for peer in peers]]
    return "**Prediction**\n\n" + table(head, rows)
