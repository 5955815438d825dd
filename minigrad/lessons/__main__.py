"""`python -m minigrad.lessons` lists the exercises, gives out a sheet, and grades an attempt."""

from __future__ import annotations

import re
import runpy
import sys
import traceback
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from minigrad.core.layer import Layer
from minigrad.lessons.grading import grade
from minigrad.lessons.tasks import TASKS, Task
from minigrad.util.names import nearest

COMMAND = "python -m minigrad.lessons"
USAGE = f"""usage: {COMMAND}                  the list
       {COMMAND} start NAME       writes NAME.py here
       {COMMAND} grade FILE.py    says what is wrong with it"""


def main(arguments: Sequence[str]) -> int:
    """Do what the command says, and return 0 if that went well."""
    match arguments:
        case []:
            for task in TASKS.values():
                print(f"  {task.name:10} {task.about}")
            print(f"\n{USAGE}")
        case ["start", name]:
            task = _task(name)
            path = Path(f"{task.name}.py")
            if path.exists():
                raise SystemExit(f"{path} is there already, and stays as it is")
            path.write_text(files(__package__).joinpath("sheets", path.name).read_text())
            print(f"wrote {path}: read it, mend it, then run\n  {COMMAND} grade {path}")
        case ["grade", file]:
            return _grade(Path(file))
        case _:
            print(USAGE, file=sys.stderr)
            return 2
    return 0


def _grade(path: Path) -> int:
    if not path.exists() and not path.suffix:
        path = path.with_suffix(".py")
    if not path.exists():
        made = f": {COMMAND} start {path.stem} writes it" if path.stem in TASKS else ""
        raise SystemExit(f"there is no file {path}{made}")
    try:
        defined = runpy.run_path(str(path))
    except Exception as error:
        print(f"{path} doesn't run: {type(error).__name__}: {error}{_line(error, path)}")
        return 1
    task = _task_of(path, defined.get("__doc__") or "")
    layers = [
        value
        for value in defined.values()
        if isinstance(value, type) and issubclass(value, Layer) and value.__module__ == "<run_path>"
    ]
    if not layers:
        print(f"{path} defines no Layer")
        return 1
    wrong = grade(layers[-1](), task)
    for sentence in wrong:
        print(f"- {sentence}")
    if wrong:
        return 1
    print(f"{layers[-1].__name__} is right. {_next(task)}")
    return 0


def _next(task: Task) -> str:
    names = list(TASKS)
    after = names[names.index(task.name) + 1 :]
    return f"Next: {COMMAND} start {after[0]}" if after else "That is the last of the list."


def _task_of(path: Path, docstring: str) -> Task:
    """Return the exercise that a file is about, by the sheet's first line or the file's name."""
    named = re.match(r'\s*Exercise "(\w+)"', docstring)
    if named:
        return _task(named[1])
    if path.stem in TASKS:
        return TASKS[path.stem]
    raise SystemExit(
        f"which exercise is {path}? Let it begin with the sheet's first line, such as "
        f'"""Exercise "slope": ..., or name the file after one: {", ".join(TASKS)}'
    )


def _line(error: Exception, path: Path) -> str:
    """Say which line of a file an error comes from, if it doesn't say so itself."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return f" (line {frames[-1].lineno})" if frames else ""


def _task(name: str) -> Task:
    if name not in TASKS:
        raise SystemExit(f"no exercise is named '{name}': {nearest(name, TASKS)}")
    return TASKS[name]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
