"""A contest: check that the peers compute the same losses, then time them in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from time import perf_counter, sleep

import numpy as np

from benchmarks.lockstep import Worker
from benchmarks.peers.base import RefusalError
from benchmarks.peers.plain_numpy import PlainNumpy
from benchmarks.workloads import Workload

TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
PROOF_STEPS = 8
SETTLING_SECONDS = 0.05
SUBJECT = "minigrad_fit"


@dataclass(frozen=True)
class Result:
    """Microseconds per step of each peer, by round, or why a peer has none.

    `first_seconds` are those of the check, in which a peer compiles its network.
    """

    workload: Workload
    microseconds: dict[str, list[float]]
    largest_difference: dict[str, float]
    adapted: list[str]
    refusals: dict[str, str]
    first_seconds: dict[str, float] = field(default_factory=dict)

    def median(self, peer: str) -> float:
        """The median over the rounds."""
        return float(np.median(self.microseconds[peer]))

    def best(self, peers: list[str]) -> str | None:
        """The peer with the lowest median, if any of them ran."""
        ran = [peer for peer in peers if peer in self.microseconds]
        return min(ran, key=self.median, default=None)

    def ratio(self, peer: str, rival: str) -> tuple[float, float, float]:
        """Median and quartiles of the ratio of two peers' times, round by round."""
        ratios = np.divide(self.microseconds[peer], self.microseconds[rival])
        low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
        return float(middle), float(low), float(high)


@dataclass
class LineUp:
    """The workers that passed the check, and the reasons why other peers are left out."""

    workers: list[Worker] = field(default_factory=list)
    differences: dict[str, float] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    first_seconds: dict[str, float] = field(default_factory=dict)

    def drop(self, worker: Worker, error: RefusalError) -> None:
        """Leave out a peer that failed in its turn."""
        self.workers.remove(worker)
        self.refusals[worker.peer] = str(error)


def difference(worker: Worker) -> float:
    """Largest relative difference between the peer's losses and those of plain NumPy.

    Of a network, the difference between its first loss and gradient and those of PyTorch.
    """
    workload = worker.workload
    if workload.network:
        found, right = worker.call("proof", 1), proof(replace(workload, dtype="float64"))
    else:
        epochs = PROOF_STEPS if workload.batch_size is None else 2
        found, right = worker.call("losses", epochs), reference(workload, epochs)
    errors = np.abs(np.subtract(found, right))
    largest = float(np.max(errors / np.where(errors > 0, np.abs(right), 1)))
    if not largest <= TOLERANCE[workload.dtype]:
        what = "loss and gradient" if workload.network else "losses"
        raise RefusalError(f"not timed: its {what} differ by a relative {largest:.0e}")
    return largest


@cache
def proof(workload: Workload) -> list[float]:
    """The first loss and slopes that all peers must reproduce, from PyTorch."""
    with Worker("pytorch_eager", workload, 1) as worker:
        slopes: list[float] = worker.call("proof", 1)
        return slopes


@cache
def reference(workload: Workload, epochs: int) -> list[float]:
    """The losses that all peers must reproduce, from plain NumPy in this process."""
    return PlainNumpy(workload).run(epochs)


@contextmanager
def proven(workload: Workload, peers: list[str], threads: int) -> Iterator[LineUp]:
    """Start the peers, and keep those that compute the same losses."""
    with ExitStack() as stack:
        line_up = LineUp()
        for peer in peers:
            try:
                worker = stack.enter_context(Worker(peer, workload, threads))
                start = perf_counter()
                line_up.differences[peer] = difference(worker)
                line_up.first_seconds[peer] = perf_counter() - start
                line_up.workers.append(worker)
            except RefusalError as error:
                line_up.refusals[peer] = str(error)
        yield line_up


def take_turns(
    line_up: LineUp, turn: Callable[[Worker], float], rounds: int
) -> dict[str, list[float]]:
    """Return the results of each worker's turns, in a new order of workers in each round."""
    rng = np.random.default_rng(0)
    taken: dict[str, list[float]] = {worker.peer: [] for worker in line_up.workers}
    for _ in range(rounds):
        for worker in [line_up.workers[i] for i in rng.permutation(len(line_up.workers))]:
            # The threads of the previous turn spin for some tens of milliseconds before they sleep.
            sleep(SETTLING_SECONDS)
            try:
                taken[worker.peer].append(turn(worker))
            except RefusalError as error:
                line_up.drop(worker, error)
                del taken[worker.peer]
    return taken


def contest(
    workload: Workload, peers: list[str], rounds: int, threads: int, epochs: int | None = None
) -> Result:
    """Check the peers, then time `rounds` turns of `epochs` epochs (by default the workload's)."""
    trained = epochs or workload.epochs
    scale = 1e6 / (trained * workload.steps)
    with proven(workload, peers, threads) as line_up:
        microseconds = take_turns(
            line_up, lambda worker: worker.call("train", trained) * scale, rounds
        )
        return Result(
            workload,
            microseconds,
            line_up.differences,
            [worker.peer for worker in line_up.workers if worker.workload != workload],
            line_up.refusals,
            line_up.first_seconds,
        )
