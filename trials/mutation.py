"""Which small mistakes would no test notice? `python -m trials.mutation --help` has the options.

The tests are collected once. One run notes which test calls which function. Then each mutant gets a
child of this process, in which the function's code is replaced, and the tests that call the
function run until one fails. A mutant that passes them all survives.
"""

from __future__ import annotations

import argparse
import os
import pickle
import random
import resource
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from trials.mutants import Mutant, Place, codes_of, functions_in, mutants_of, mutated

SURVIVORS = Path(__file__).with_name("survivors.txt")
"""Those that change nothing, with the reason: `path function: mutation  # why`."""
TESTS = {
    "core": "parameters model errors divergence by_batch sharing names graph losses optimizers",
    "losses": "losses equations explain_families",
    "optimizers": "optimizers schedules explain_update",
    "metrics": "metrics",
    "layers": "registry ranks activations normalization recurrent attention embedding convolution",
    "data": "data by_batch",
    "saving": "saving safetensors atomic",
    "checks": "check_layer check_gradients",
}
"""The files of tests that concern a room; `--tests tests minigrad` runs all."""


class Trial:
    """A plugin that runs the mutants in place of the tests."""

    def __init__(self, options: argparse.Namespace, paths: list[Path]) -> None:
        self.options, self.paths = options, paths
        self.failed = ""
        self.exit_code = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = report.nodeid

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = [i for i in session.items if "browser" not in getattr(i, "fixturenames", ())]
        self.callers, self.seconds = self.map_of_tests()
        self.functions = functions_in(self.paths)
        mutants = [m for path in self.paths for m in mutants_of(path)]
        if self.options.again:
            lines = self.options.again.read_text("utf-8")
            mutants = [m for m in mutants if f": {m}\n" in lines]
        chosen = random.Random(self.options.seed).sample(
            mutants, min(self.options.sample or len(mutants), len(mutants))
        )
        results: Counter[str] = Counter()
        killers: defaultdict[Place, Counter[int]] = defaultdict(Counter)
        known = known_survivors()
        begin = time.time()
        for mutant in sorted(chosen, key=lambda m: (m.path, m.node, m.part)):
            key = str(mutant.path.resolve()), mutant.place
            tests = sorted(
                self.callers.get(key, ()),
                key=lambda t: (-killers[mutant.place][t], self.seconds[t]),
            )
            result, killer = self.result_of(mutant, key, tests)
            if killer >= 0:
                killers[mutant.place][killer] += 1
            if result == "survived" and without_line(mutant) in known:
                result = "changes nothing"
            results[result] += 1
            if result in ("survived", "no test"):
                self.say(f"{result}: {mutant}")
        self.say(f"{len(chosen)} of {len(mutants)} mutants in {time.time() - begin:.0f} s:")
        self.say(", ".join(f"{n} {what}" for what, n in results.most_common()))
        self.exit_code = int(bool(results["survived"] or results["no test"]))
        return True

    def say(self, line: str) -> None:
        with open(self.options.report, "a", encoding="utf-8") as file:
            print(line, file=file)

    def map_of_tests(self) -> tuple[dict[tuple[str, Place], set[int]], list[float]]:
        """Return the numbers of the tests that call each function, and the tests' CPU seconds."""
        stored = self.options.map
        if not (stored and stored.exists()):
            where = stored or Path(f"/tmp/map-of-tests-{os.getpid()}")
            code = in_child(lambda: where.write_bytes(pickle.dumps(self.run_all())) and 0, 1e4)
            assert code == 0, f"the run of the tests ended with {code}"
            stored = where
        by_name, callers, seconds = pickle.loads(stored.read_bytes())
        numbers = {item.nodeid: n for n, item in enumerate(self.items)}
        known = {n: numbers[name] for n, name in enumerate(by_name) if name in numbers}
        own = [0.0] * len(self.items)
        for n, number in known.items():
            own[number] = seconds[n]
        found = {key: {known[n] for n in tests if n in known} for key, tests in callers.items()}
        return found, own

    def run_all(self) -> tuple[list[str], dict[tuple[str, Place], set[int]], list[float]]:
        package = f"{Path('minigrad').resolve()}{os.sep}"
        callers: defaultdict[tuple[str, Place], set[int]] = defaultdict(set)
        seconds = []
        number = 0

        def called(frame: FrameType, event: str, argument: object) -> None:
            code = frame.f_code
            if code.co_filename.startswith(package):
                name = code.co_qualname.split(".<locals>")[0]
                callers[code.co_filename, (name, code.co_firstlineno)].add(number)

        for number, item in enumerate(self.items):
            begin = time.process_time()
            self.failed = ""
            sys.settrace(called)
            threading.settrace(called)
            self.run(item)
            sys.settrace(None)
            seconds.append(time.process_time() - begin)
            if self.failed:
                self.say(f"left out, as it fails without a mutant: {self.failed}")
                for tests in callers.values():
                    tests.discard(number)
        return [item.nodeid for item in self.items], dict(callers), seconds

    def run(self, item: pytest.Item) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)

    def result_of(
        self, mutant: Mutant, key: tuple[str, Place], tests: list[int]
    ) -> tuple[str, int]:
        """Return what became of a mutant, and the number of the test that failed, or -1."""
        tree = mutated(mutant)
        codes = codes_of(compile(tree, key[0], "exec"))
        if not tests or key not in self.functions or mutant.place not in codes:
            return "no test", -1
        code = codes[mutant.place]
        read, write = os.pipe()

        def try_it() -> int:
            limit = resource.getrlimit(resource.RLIMIT_AS)[1]
            resource.setrlimit(resource.RLIMIT_AS, (8 << 30, limit))
            for function in self.functions[key]:
                function.__code__ = code
            end = time.process_time() + self.options.seconds
            for test in tests:
                self.run(self.items[test])
                if self.failed:
                    os.write(write, f"{test}".encode())
                    return 1
                if time.process_time() > end:
                    return 2
            return 0

        status = in_child(try_it, self.options.seconds + 30)
        os.close(write)
        killer = os.read(read, 20)
        os.close(read)
        if status in (0, 2):
            return "survived" if status == 0 else "survived the first seconds", -1
        return ("killed", int(killer)) if killer else ("ended the process", -1)


def in_child(action: Callable[[], int], seconds: float) -> int:
    """Return the status of an action in a child process, which ends after CPU time or a wait."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 99
    try:
        os.nice(5)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.alarm(int(10 * seconds))
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        status = action()
    finally:
        os._exit(status)


def without_line(mutant: Mutant) -> str:
    """Return a mutant's text without its line, which moves."""
    return f"{mutant.path} {mutant.place[0]}: {mutant.what}"


def known_survivors() -> set[str]:
    """Return the mutants that are listed in the file."""
    lines = SURVIVORS.read_text("utf-8").splitlines() if SURVIVORS.exists() else []
    return {line.partition("  # ")[0] for line in lines if line}


def main() -> int:
    """Try the mutants of the chosen rooms; 1 if one survives that isn't known."""
    rooms = ["core", "losses", "optimizers", "metrics"]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rooms", nargs="*", default=rooms, help="folders or files of minigrad")
    parser.add_argument("--sample", type=int, default=200, help="mutants to try; 0 tries all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20, help="of tests for one mutant")
    parser.add_argument("--tests", nargs="*", help="files or folders; see TESTS")
    parser.add_argument("--again", type=Path, help="a report: try only its survivors")
    parser.add_argument("--map", type=Path, help="a file that keeps which test calls what")
    parser.add_argument("--report", default="/dev/stderr", help="a file to write to")
    options = parser.parse_args()
    paths = []
    for room in options.rooms:
        path = Path("minigrad") / room
        paths += sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    trial = Trial(options, paths)
    files = {file for room in options.rooms for file in TESTS[room.partition("/")[0]].split()}
    tests = options.tests or [f"tests/test_{file}.py" for file in sorted(files)] + [
        str(p) for p in paths
    ]
    quiet = ["-p", "no:cacheprovider", "--ignore=minigrad/jit", "--ignore=tests/jit"]
    pytest.main([*tests, *quiet], plugins=[trial])
    return trial.exit_code


if __name__ == "__main__":
    sys.exit(main())
