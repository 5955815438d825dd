"""`python -m minigrad.lessons` lists the exercises, writes a sheet, and grades an attempt."""

from __future__ import annotations

import re
import runpy
import sys
import textwrap
import traceback
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from minigrad.core.layer import Layer
from minigrad.lessons.exercises import EXERCISES, Exercise
from minigrad.lessons.grading import grade
from minigrad.util.names import nearest
from minigrad.util.table import Table
from minigrad.util.terminal import Terminal

COMMAND = "python -m minigrad.lessons"
USAGE = f"""\
{COMMAND}                lists the exercises
{COMMAND} start NAME     writes NAME.py to this folder
{COMMAND} grade NAME.py  says what is wrong with it"""
ABOUT = """\
Each exercise is a layer that is broken or half written: correct its forward and its backward pass.
The grader compares them with the right ones, and names the likely mistake."""


def main(arguments: Sequence[str]) -> int:
    """Run the command, and return its exit status."""
    match arguments:
        case [] | ["-h" | "--help"]:
            terminal = Terminal.of()
            print(textwrap.fill(ABOUT, min(terminal.width, 80)), end="\n\n")
            names = [(exercise.name, exercise.about) for exercise in EXERCISES.values()]
            print(Table([("exercise", "what it is"), *names]).text(terminal), end="\n\n")
            print(USAGE)
            return 0
        case ["start", name]:
            path = Path(f"{_exercise(name).name}.py")
            if path.exists():
                raise SystemExit(f"{path} already exists: rename or delete it first")
            path.write_text(files(__package__).joinpath("sheets", path.name).read_text())
            print(f"wrote {path}: read it, correct it, and run\n  {COMMAND} grade {path}")
            return 0
        case ["grade", file]:
            return _grade(Path(file))
    print(USAGE, file=sys.stderr)
    return 2


def _grade(path: Path) -> int:
    if not path.exists() and not path.suffix:
        path = path.with_suffix(".py")
    if not path.exists():
        way = f": run {COMMAND} start {path.stem}" if path.stem in EXERCISES else ""
        raise SystemExit(f"no file {path}{way}")
    try:
        defined = runpy.run_path(str(path))
    except Exception as error:
        lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        line = f" (line {lines[-1].lineno})" if lines else ""
        print(f"{path} doesn't run: {type(error).__name__}: {error}{line}")
        return 1
    exercise = _exercise_of(path, defined.get("__doc__") or "")
    classes = [value for value in defined.values() if isinstance(value, type)]
    layers = [c for c in classes if issubclass(c, Layer) and c.__module__ == "<run_path>"]
    if not layers:
        print(f"{path} defines no Layer")
        return 1
    terminal = Terminal.of()
    if wrong := grade(layers[-1](), exercise):
        print(*(terminal.fill(f"- {sentence}") for sentence in wrong), sep="\n")
        return 1
    later = list(EXERCISES)[list(EXERCISES).index(exercise.name) + 1 :]
    end = f"Next: {COMMAND} start {later[0]}" if later else "That was the last exercise."
    print(f"{terminal.paint(f'{layers[-1].__name__} is correct.', 'bold', 'green')} {end}")
    return 0


def _exercise_of(path: Path, docstring: str) -> Exercise:
    """Find the exercise of a file by the first line of its docstring, or by the file's name."""
    named = re.match(r'\s*Exercise "(\w+)"', docstring)
    if not named and path.stem not in EXERCISES:
        raise SystemExit(
            f"{path} names no exercise: begin it with the sheet's first line, such as "
            f'"""Exercise "slope": ..., or name the file after one: {", ".join(EXERCISES)}'
        )
    return _exercise(named[1] if named else path.stem)


def _exercise(name: str) -> Exercise:
    if name not in EXERCISES:
        raise SystemExit(f"no exercise is named '{name}': {nearest(name, EXERCISES)}")
    return EXERCISES[name]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
