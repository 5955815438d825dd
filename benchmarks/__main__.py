"""One command for all measurements: `python -m benchmarks` (see README.md)."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import growth
from benchmarks.contest import Result, contest
from benchmarks.lockstep import processors
from benchmarks.machine import describe
from benchmarks.networks import NETWORK_PEERS, NETWORKS
from benchmarks.peers import PEERS
from benchmarks.report import comparison, networks
from benchmarks.workloads import WORKLOADS, Workload

FOLDER = Path(__file__).parent
PARTS = ("workloads", "networks", "growth")


def names(known: Sequence[str]) -> Any:
    """An argument type: names out of `known`, separated by commas."""

    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(
                    f"unknown name {name!r}; choose from {', '.join(known)}"
                )
        return chosen

    return parse


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    workloads = [*WORKLOADS, *NETWORKS]
    for option, known in (("workloads", workloads), ("peers", PEERS), ("parts", PARTS)):
        parser.add_argument(
            f"--{option}",
            type=names(list(known)),
            default=list(known),
            metavar="NAME,NAME",
            help=f"some of {', '.join(known)} (default: all)",
        )
    parser.add_argument("--rounds", type=int, default=15, help="turns of each peer (default: 15)")
    parser.add_argument("--quick", action="store_true", help="three rounds, for a first look")
    parser.add_argument(
        "--threads", type=int, default=len(processors()), help="threads of every peer"
    )
    parser.add_argument(
        "--save", action="store_true", help="write README.md, the JSON files and the pictures"
    )
    return parser.parse_args()


def progress(text: str) -> None:
    """Print progress to stderr."""
    print(text, file=sys.stderr, flush=True)


def measure_workloads(options: argparse.Namespace) -> tuple[str, list[dict[str, Any]]]:
    """The contests on the chosen workloads: a report, and the results as plain data."""
    results = contests(WORKLOADS, options, options.peers, options.threads)
    return comparison(results), [asdict(each) for each in results]


def contests(
    workloads: dict[str, Workload], options: argparse.Namespace, peers: list[str], threads: int
) -> list[Result]:
    """The contests on those of the workloads that are chosen."""
    results: list[Result] = []
    for name in [name for name in workloads if name in options.workloads]:
        progress(name)
        results.append(contest(workloads[name], peers, options.rounds, threads))
    return results


def measure_networks(options: argparse.Namespace) -> tuple[str, dict[int, list[dict[str, Any]]]]:
    """The contests on the networks, on one thread and on all."""
    peers = [peer for peer in NETWORK_PEERS if peer in options.peers]
    results = {
        threads: contests(NETWORKS, options, peers, threads)
        for threads in sorted({1, options.threads})
    }
    found = {threads: [asdict(each) for each in some] for threads, some in results.items()}
    return networks(results), found


def measure_growth(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Everything in `growth`: a report, and the results as plain data."""
    rounds, threads = options.rounds, options.threads
    sections, found = [], {}
    peers = [peer for peer in growth.CURVE_PEERS if peer in options.peers]
    for curve in growth.CURVES:
        progress(curve.quantity)
        results = growth.curve_results(curve, peers, rounds, threads)
        sections.append(growth.curve_table(curve, results))
        found[curve.quantity] = [asdict(each) for each in results]
        if options.save:
            picture = f"growth-{curve.quantity}.svg"
            (FOLDER / picture).write_text(growth.curve_picture(curve, results))
            sections.append(f"![Microseconds a step by {curve.quantity}]({picture})")
    progress("import, memory, prediction")
    imports = growth.import_seconds(rounds, threads)
    full_batch, mapped = growth.peaks(peers, threads), growth.mapped_peaks(threads)
    predicting = [peer for peer in growth.PREDICTING if peer in options.peers]
    rates = growth.prediction_rates(predicting, rounds, threads)
    sections += [
        growth.import_table(imports),
        growth.memory_tables(full_batch, mapped),
        growth.prediction_table(rates),
    ]
    return "\n\n".join(sections), {
        **found,
        "import": imports,
        "peak": full_batch,
        "mapped": mapped,
        "prediction": rates,
    }


def save(part: str, machine: str, report: str, found: Any) -> None:
    """Replace the part's section of README.md between its two marks, and its JSON file."""
    (FOLDER / f"{part}.json").write_text(json.dumps({"machine": machine, part: found}, indent=1))
    readme = FOLDER / "README.md"
    start, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    head, rest = readme.read_text().split(start)
    tail = rest.split(end)[1]
    readme.write_text(f"{head}{start}\n{machine}\n\n{report}\n{end}{tail}")


def main() -> None:
    """Measure the chosen parts and print them as Markdown."""
    options = arguments()
    if options.quick:
        options.rounds = 3
    measures = {
        "workloads": measure_workloads,
        "networks": measure_networks,
        "growth": measure_growth,
    }
    for part in options.parts:
        machine = describe(options.threads)
        report, found = measures[part](options)
        print(f"{machine}\n\n{report}\n", flush=True)
        if options.save:
            save(part, machine, report, found)


if __name__ == "__main__":
    main()
