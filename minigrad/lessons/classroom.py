"""The submissions of a class: each is graded in a process of its own, and none stops the others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import IO

from minigrad.lessons.collection import Collection
from minigrad.lessons.submission import Verdict, exercise_of, grade_file
from minigrad.util.table import Table, csv_text
from minigrad.util.terminal import Terminal

MOST_PRINTED = 100_000
"""The bytes that a submission may print."""


@dataclass(frozen=True)
class Limits:
    """What a submission may use.

    Attributes:
        seconds: the time from the start of its process to its end.
        memory: megabytes of address space, that of Python and NumPy included; not limited on
            Windows, and on macOS only as far as the system enforces it.
    """

    seconds: float = 20
    memory: int = 2000


def submissions(paths: Iterable[Path]) -> list[Path]:
    """Return the Python files among paths and in folders among them, but for hidden ones."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        shown = (
            p for p in inside if not any(part[0] in "._" for part in p.relative_to(path).parts)
        )
        found += shown if path.is_dir() else inside
    return found


def grade_all(
    paths: Sequence[Path], exercises: Sequence[Path] = (), limits: Limits | None = None
) -> list[Verdict]:
    """Grade files, each in a process of its own, and return their verdicts in the same order.

    The limits keep a faulty submission from disturbing the others. They are no protection from
    code that means harm: run that of strangers in a container.

    Args:
        paths: the submissions.
        exercises: files of exercises; see `minigrad.lessons.collection`.
        limits: the time and the memory of each.
    """
    chosen = limits or Limits()
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(lambda path: _grade_apart(path, exercises, chosen), paths))


def _grade_apart(path: Path, exercises: Sequence[Path], limits: Limits) -> Verdict:
    """Grade a file in a process that is ended when it exceeds a limit."""
    with TemporaryDirectory(prefix="minigrad-", ignore_cleanup_errors=True) as folder:
        result = Path(folder) / "verdict.json"
        work = Path(folder) / "work"
        work.mkdir()
        order = Path(folder) / "order.json"  # not arguments, which the submission could read
        files = [str(file.absolute()) for file in (result, path, *exercises)]
        order.write_text(json.dumps([limits.memory, *files]))
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(os.path.abspath(place) for place in sys.path),
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(order)],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        output = _Output(process.stdout, process)
        late = False
        try:
            process.wait(limits.seconds)
        except subprocess.TimeoutExpired:
            late = True
        _end(process)
        output.join(1)
        if not output.is_alive():
            process.stdout.close()
        if output.too_much:
            found = f"prints more than {MOST_PRINTED:,} characters: remove the print"
        elif late:
            found = f"takes more than {limits.seconds:g} seconds: is there a loop without an end?"
        elif not result.exists():
            found = f"ends Python, status {process.returncode}, before it is graded"
        else:
            return Verdict(*json.loads(result.read_text()))
        return Verdict(exercise_of(path), [f"{path.name} {found}"])


class _Output(Thread):
    """Read what a process prints, and end the process if it prints too much."""

    def __init__(self, stream: IO[bytes], process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream, self._process = stream, process
        self.too_much = False
        self.start()

    def run(self) -> None:
        printed = 0
        while chunk := os.read(self._stream.fileno(), 65_536):
            printed += len(chunk)
            if printed > MOST_PRINTED:
                self.too_much = True
                _end(self._process)
                return


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it started."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _limit_memory(megabytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * 2**20,) * 2)


def report(paths: Sequence[Path], verdicts: Sequence[Verdict], terminal: Terminal) -> str:
    """Return a table of the submissions, and what is wrong with each."""
    rows, wrong = [("submission", "exercise", "result")], []
    for path, verdict in zip(paths, verdicts, strict=True):
        mistakes = len(verdict.wrong)
        result = f"{mistakes} mistake{'s' * (mistakes > 1)}" if mistakes else "correct"
        rows.append((str(path), verdict.exercise or "-", result))
        if mistakes:
            said = [terminal.fill(f"- {sentence}") for sentence in verdict.wrong]
            wrong.append("\n".join([terminal.paint(str(path), "bold"), *said]))
    correct = sum(not verdict.wrong for verdict in verdicts)
    total = f"{correct} of {len(verdicts)} submissions are correct."
    return "\n\n".join([Table(rows).text(terminal), *wrong, total])


def csv(paths: Sequence[Path], verdicts: Sequence[Verdict]) -> str:
    """Return CSV: each submission's path, exercise, 1 if it is correct, and what is wrong."""
    rows = [
        (path, verdict.exercise, int(not verdict.wrong), "\n".join(verdict.wrong))
        for path, verdict in zip(paths, verdicts, strict=True)
    ]
    return csv_text([("submission", "exercise", "correct", "report"), *rows])


def main() -> None:
    """Grade one submission, in a process of its own."""
    order = Path(sys.argv[1])
    memory, result, path, *exercises = json.loads(order.read_text())
    order.unlink()
    sys.argv = [path]
    collection = Collection(map(Path, exercises))
    _limit_memory(memory)
    Path(result).write_text(json.dumps(grade_file(Path(path), collection)))


if __name__ == "__main__":
    main()
