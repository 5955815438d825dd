"""`python -m minigrad.lessons` lists the exercises, writes a sheet, and grades attempts."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from minigrad.lessons.classroom import Limits, csv, grade_all, report, submissions
from minigrad.lessons.collection import OWN, Collection
from minigrad.lessons.submission import grade_file
from minigrad.util.table import Table
from minigrad.util.terminal import Terminal

COMMAND = "python -m minigrad.lessons"
ABOUT = """\
Each exercise is a layer, a loss or an optimizer that is broken or half written. Correct it, and let
the grader compare it with the right one: it names the likely mistake."""
USAGE = {
    "": "lists the exercises",
    "start NAME": "writes NAME.py to this folder",
    "grade NAME.py": "says what is wrong with it",
    "grade FOLDER --csv": "grades all files of a folder",
}


def main(arguments: Sequence[str]) -> int:
    """Run the command, and return its exit status."""
    chosen = _parser().parse_args(arguments)
    own = [*chosen.exercises, *([Path(OWN)] if Path(OWN).exists() else [])]
    try:
        collection = Collection(own)
        if chosen.action == "start":
            return _start(chosen.name, collection)
        if chosen.action == "grade":
            if len(chosen.paths) == 1 and not chosen.paths[0].is_dir() and not chosen.csv:
                return _grade(chosen.paths[0], collection)
            files = submissions(chosen.paths)
            verdicts = grade_all(files, own, Limits(chosen.seconds, chosen.memory))
            print(csv(files, verdicts) if chosen.csv else report(files, verdicts, Terminal.of()))
            return 0
    except ValueError as error:
        raise SystemExit(str(error)) from None
    _list(collection)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=COMMAND, description=ABOUT)
    parser.add_argument(
        "--exercises",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help=f"a file of exercises; {OWN} of this folder is always read",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("list", help="list the exercises")
    start = actions.add_parser("start", help="write the sheet of an exercise to this folder")
    start.add_argument("name")
    grade = actions.add_parser("grade", help="say what is wrong with a file, or each of several")
    grade.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files or folders")
    grade.add_argument("--csv", action="store_true", help="print a row of CSV for each file")
    grade.add_argument(
        "--seconds", type=float, default=Limits.seconds, help="limit for each of several files"
    )
    grade.add_argument("--memory", type=int, default=Limits.memory, help="the same, in megabytes")
    return parser


def _list(collection: Collection) -> None:
    terminal = Terminal.of()
    print(textwrap.fill(ABOUT, min(terminal.width, 80)), end="\n\n")
    names = [(name, collection[name].exercise.about) for name in collection]
    print(Table([("exercise", "what it is"), *names]).text(terminal), end="\n\n")
    for action, effect in USAGE.items():
        print(f"{COMMAND} {action}".rstrip(), terminal.fill(effect, "    "), sep="\n")


def _start(name: str, collection: Collection) -> int:
    path, sheet = Path(f"{name}.py"), collection[name].sheet
    if path.exists():
        raise SystemExit(f"{path} already exists: rename or delete it first")
    path.write_text(sheet.read_text(encoding="utf-8"), encoding="utf-8")
    print(f"wrote {path}: read it, correct it, and run\n  {COMMAND} grade {path}")
    return 0


def _grade(path: Path, collection: Collection) -> int:
    if not path.exists() and not path.suffix:
        path = path.with_suffix(".py")
    if not path.exists():
        way = f": run {COMMAND} start {path.stem}" if path.stem in collection else ""
        raise SystemExit(f"no file {path}{way}")
    terminal, verdict = Terminal.of(), grade_file(path, collection)
    if verdict.wrong:
        print(*(terminal.fill(f"- {sentence}") for sentence in verdict.wrong), sep="\n")
        return 1
    later = collection.after(verdict.exercise)
    end = f"Next: {COMMAND} start {later}" if later else "That was the last exercise."
    print(f"{terminal.paint(f'{verdict.name} is correct.', 'bold', 'green')} {end}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
