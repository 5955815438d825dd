"""The exercises that the command knows: those of this package, and a teacher's own.

A file of exercises is a Python file with a list `EXERCISES` of `Exercise` objects. The sheet of
each, which `start` copies, is the file `sheets/NAME.py` beside it. A sheet begins with a docstring
that begins with `Exercise "NAME"`. The command reads the file `minigrad_exercises.py` in the
current folder, if there is one, and the file that its option `--exercises` names.
"""

from __future__ import annotations

import runpy
from collections.abc import Iterable, Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from minigrad.lessons.exercise import Exercise
from minigrad.lessons.exercises import EXERCISES
from minigrad.util.names import kind_of, nearest

OWN = "minigrad_exercises.py"


class Entry(NamedTuple):
    """An exercise and its sheet."""

    exercise: Exercise
    sheet: Traversable


class Collection:
    """Exercises by name.

    Args:
        paths: files of exercises; see above.

    Raises:
        ValueError: a file without a list EXERCISES, an exercise without a sheet, or two of a name.

    >>> list(Collection())[:3]
    ['slope', 'neuron', 'product']
    """

    def __init__(self, paths: Iterable[Path] = ()) -> None:
        sheets = files(__package__).joinpath("sheets")
        self._entries = {
            name: Entry(exercise, sheets.joinpath(f"{name}.py"))
            for name, exercise in EXERCISES.items()
        }
        for path in paths:
            self._add(path)

    def _add(self, path: Path) -> None:
        if not path.exists():
            raise ValueError(f"--exercises expects a Python file, got {path}: there is none")
        found = runpy.run_path(str(path)).get("EXERCISES")
        if found is None:
            raise ValueError(f"{path} defines no EXERCISES: a list of Exercise objects")
        for exercise in found:
            if not isinstance(exercise, Exercise):
                raise ValueError(
                    f"EXERCISES of {path} expects Exercise objects, got {kind_of(exercise)}"
                )
            sheet = path.parent / "sheets" / f"{exercise.name}.py"
            if exercise.name in self._entries:
                raise ValueError(
                    f"{path} has an exercise '{exercise.name}', and there is one of that name: "
                    "rename it"
                )
            if not sheet.exists():
                raise ValueError(
                    f"exercise '{exercise.name}' of {path} has no sheet: write it to {sheet}"
                )
            self._entries[exercise.name] = Entry(exercise, sheet)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            raise ValueError(f"no exercise is named '{name}': {nearest(name, self)}")
        return self._entries[name]

    def after(self, name: str) -> str | None:
        """Return the name of the next exercise."""
        return dict(pairwise(self)).get(name)
