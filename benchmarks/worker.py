"""One peer in its own process: it reads commands as JSON lines and computes only on command."""

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
    the process's peak memory in bytes before and after epochs, or the proof of a network.
    """
    if call == "proof":
        return peer.proof()
    if call == "losses":
        return peer.run(count)
    if call == "train":
        # The first epoch wakes threads and fills caches after the turns of other peers.
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
    """Seconds to predict a batch of rows: many calls, after a first one that may compile."""
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
    """The peer, with the nearest workload that it can express."""
    kind = peer_class(name)
    return kind(kind.adapted(Workload(**frozen(json.loads(description)))))


def frozen(value: Any) -> Any:
    """What JSON made a list as a tuple again."""
    if isinstance(value, dict):
        return {key: frozen(each) for key, each in value.items()}
    return tuple(map(frozen, value)) if isinstance(value, list) else value


def refusal(error: Exception) -> str:
    """The reason why the peer is left out, in few words."""
    if isinstance(error, ModuleNotFoundError) and "." not in str(error.name):
        return f"{error.name} is not installed"
    reason = str(error) if isinstance(error, RefusalError) else f"{type(error).__name__}: {error}"
    return reason[:200]


def main() -> None:
    """Build the peer named on the command line, then execute commands until the input ends."""
    # Libraries may print to stdout: send that to stderr, and answer on a copy of stdout.
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
