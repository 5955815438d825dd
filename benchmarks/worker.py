"""One peer in a process of its own: reads commands as JSON lines, works only when told to."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.peers import peer_class
from benchmarks.peers.base import Peer, RefusalError
from benchmarks.workloads import Workload


def obey(peer: Peer, call: str, count: int) -> Any:
    """The answer to one command: losses of epochs, seconds for epochs, seconds to predict rows,
    or the process's peak memory in bytes before and after epochs.
    """
    if call == "losses":
        return peer.run(count)
    if call == "train":
        # The epoch before wakes threads and caches that slept while other peers had their turn.
        peer.run(1)
        start = perf_counter()
        peer.run(count)
        return perf_counter() - start
    if call == "predict":
        return seconds_to_predict(peer, count)
    if call == "peak":
        before = peak_bytes()
        peer.run(count)
        return [before, peak_bytes()]
    raise ValueError(f"unknown command {call!r}")


def seconds_to_predict(peer: Peer, rows: int) -> float:
    """Seconds to predict a batch of rows: many calls, after one that may have to compile."""
    source = peer.workload.data().x
    x = np.ascontiguousarray(source[np.arange(rows) % len(source)])
    peer.predict(x)
    calls, seconds = 1, 0.0
    while seconds < 0.1:
        start = perf_counter()
        for _ in range(calls):
            peer.predict(x)
        seconds = perf_counter() - start
        calls *= 2
    return seconds / (calls / 2)


def peak_bytes() -> int:
    """Peak resident memory of this process; `ru_maxrss` would count the parent's before exec."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def built(name: str, description: str) -> Peer:
    """The peer on what it can express of the workload."""
    fields = json.loads(description)
    kind = peer_class(name)
    return kind(kind.adapted(Workload(**{**fields, "widths": tuple(fields["widths"])})))


def refusal(error: Exception) -> str:
    """Why the peer is out, in few words."""
    if isinstance(error, ModuleNotFoundError) and "." not in str(error.name):
        return f"{error.name} is not installed"
    reason = str(error) if isinstance(error, RefusalError) else f"{type(error).__name__}: {error}"
    return reason[:200]


def main() -> None:
    """Build the peer named on the command line, then obey until the input ends or it fails."""
    # Libraries print what they like: the channel is a copy, and what they print goes to stderr.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**message: Any) -> None:
        print(json.dumps(message), file=channel, flush=True)

    try:
        peer = built(*sys.argv[1:])
        answer(result={"output": peer.workload.output, "bias": peer.workload.bias})
        for line in sys.stdin:
            answer(result=obey(peer, **json.loads(line)))
    except Exception as error:
        answer(refusal=refusal(error))


if __name__ == "__main__":
    main()
