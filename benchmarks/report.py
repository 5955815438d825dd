"""Results as Markdown: microseconds per step, ratios with quartiles, and peers that didn't run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.contest import SUBJECT, TOLERANCE, Result
from benchmarks.networks import NETWORK_PEERS
from benchmarks.peers import PEERS, TIMED

LIBRARIES = [
    name
    for name, peer in PEERS.items()
    if peer.timed in ("fit", "step") and not name.startswith("minigrad")
]
FITS = [name for name in LIBRARIES if PEERS[name].timed == "fit"]
RIVALS = {
    "best library": LIBRARIES,
    "best `fit`": FITS,
    "JAX, step alone": ["jax_step"],
    "NumPy by hand": ["plain_numpy"],
}
NETWORK_RIVALS = [name for name in NETWORK_PEERS if name != SUBJECT]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with right-aligned numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def number(value: float) -> str:
    """Three significant digits, with thousands separated."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def times(results: Sequence[Result]) -> str:
    """Median microseconds a step: a row for each peer, a column for each workload."""
    peers = [name for name in PEERS if any(name in each.microseconds for each in results)]
    rows = []
    for peer in peers:
        cells = []
        for each in results:
            mark = "†" if peer in each.adapted else ""
            ran = peer in each.microseconds
            cells.append(number(each.median(peer)) + mark if ran else "–")
        rows.append([PEERS[peer].title, PEERS[peer].timed, *cells])
    return table(["µs a step", "timed", *[each.workload.name for each in results]], rows)


def ratios(results: Sequence[Result]) -> str:
    """Ratios of minigrad's time to other peers' times: median and quartiles over the rounds."""
    rows = []
    for each in results:
        cells = [each.workload.name]
        for title, peers in RIVALS.items():
            rival = each.best(peers)
            if rival is None or SUBJECT not in each.microseconds:
                cells.append("–")
                continue
            middle, low, high = each.ratio(SUBJECT, rival)
            name = f" {PEERS[rival].title}" if title.startswith("best") else ""
            cells.append(f"**{middle:.2f}** ({low:.2f} to {high:.2f}){name}")
        rows.append(cells)
    return table(["minigrad over", *RIVALS], rows)


def proof(results: Sequence[Result]) -> str:
    """One sentence on how much the losses of the timed peers differ."""
    worst = {
        dtype: max(
            (max(each.largest_difference.values(), default=0.0) for each in of_dtype), default=0.0
        )
        for dtype in TOLERANCE
        if (of_dtype := [each for each in results if each.workload.dtype == dtype])
    }
    found = " and ".join(
        f"{difference:.0e} in {dtype} ({TOLERANCE[dtype]:.0e} allowed)"
        for dtype, difference in worst.items()
    )
    return f"The losses of all that were timed agree to a relative {found}."


def absences(results: Sequence[Result]) -> str:
    """The reasons why peers have no time, one line for each."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for each in results:
        for peer, reason in each.refusals.items():
            reasons.setdefault((peer, reason), []).append(each.workload.name)
    return "\n".join(
        f"- {PEERS[peer].title}, {', '.join(names)}: {reason}"
        for (peer, reason), names in reasons.items()
    )


def compilation(results: Sequence[Result]) -> str:
    """The seconds before the first steps of the peers that compile, which no time above has."""
    peers = [name for name, peer in PEERS.items() if peer.compiles]
    rows = [
        [
            PEERS[p].title,
            *(number(r.first_seconds[p]) if p in r.first_seconds else "–" for r in results),
        ]
        for p in peers
        if any(p in each.first_seconds for each in results)
    ]
    head = ["seconds to compile and check", *[each.workload.name for each in results]]
    return table(head, rows) if rows else ""


def legend(results: Sequence[Result]) -> str:
    """The legend of the tables."""
    lines = [f"- *{timed}*: {meaning}" for timed, meaning in TIMED.items()]
    if any(each.adapted for each in results):
        lines.append("- †: different output (no sigmoid) and biases; checked and timed on that")
    return "\n".join(lines)


def comparison(results: Sequence[Result]) -> str:
    """The whole section on the workloads."""
    parts = [
        proof(results),
        ratios(results),
        times(results),
        compilation(results),
        legend(results),
        absences(results),
    ]
    return "\n\n".join(part for part in parts if part)


def networks(results: Mapping[int, Sequence[Result]]) -> str:
    """The ratios and the times on one thread and on several."""
    everywhere = [each for some in results.values() for each in some]
    parts = [proof(everywhere).replace("losses", "first losses and gradients")]
    for threads, some in results.items():
        head = ["minigrad over", *[PEERS[name].title for name in NETWORK_RIVALS], "µs a step"]
        rows = []
        for each in some:
            cells = [each.workload.name]
            for rival in NETWORK_RIVALS:
                if SUBJECT in each.microseconds and rival in each.microseconds:
                    middle, low, high = each.ratio(SUBJECT, rival)
                    cells.append(f"**{middle:.2f}** ({low:.2f} to {high:.2f})")
                else:
                    cells.append("–")
            cells.append(number(each.median(SUBJECT)) if SUBJECT in each.microseconds else "–")
            rows.append(cells)
        parts.append(f"**Threads: {threads}**\n\n{table(head, rows)}")
    parts.append(absences(everywhere))
    return "\n\n".join(part for part in parts if part)
