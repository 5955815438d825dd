"""A submission: a Python file with an attempt at an exercise."""

from __future__ import annotations

import ast
import re
import runpy
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from minigrad.core.layer import Layer
from minigrad.core.loss import Loss
from minigrad.core.optimizer import Optimizer
from minigrad.lessons.collection import Collection
from minigrad.lessons.exercise import Exercise
from minigrad.lessons.grading import grade

_FILE = "<run_path>"  # the module name of what a file defines


class Verdict(NamedTuple):
    """What the grader says of a submission.

    Attributes:
        exercise: the name of the exercise; "" if the file names none.
        wrong: what is wrong, in a sentence each; empty for a correct submission.
        name: the name of the class that was graded.
    """

    exercise: str
    wrong: list[str]
    name: str = ""


def grade_file(path: Path, collection: Collection) -> Verdict:
    """Run a file, and grade the last class in it that derives from the exercise's base.

    The solution must be written out: a class that inherits from a layer of minigrad, or uses one,
    isn't graded.
    """
    name = exercise_of(path)
    if name not in collection:
        way = 'begin it with the sheet\'s first line, such as """Exercise "slope": ...'
        known = f"or name the file after an exercise: {', '.join(collection)}"
        return Verdict("", [f"{path.name} names no exercise that is known: {way}, {known}"])
    exercise = collection[name].exercise
    try:
        defined = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:
        return Verdict(name, [_not_run(path, error)])
    classes = [
        value
        for value in defined.values()
        if isinstance(value, type)
        and issubclass(value, exercise.base)
        and value.__module__ == _FILE
    ]
    if not classes:
        return Verdict(name, [f"{path.name} defines no {exercise.base.__name__}"])
    cls = classes[-1]
    if used := next(_library_classes(cls, path, defined, exercise), None):
        way = f"write it yourself, derived from {exercise.base.__name__}"
        return Verdict(name, [f"{cls.__name__} uses {used.__name__} of minigrad: {way}"])
    return Verdict(name, grade(cls, exercise), cls.__name__)


def exercise_of(path: Path) -> str:
    """Return the exercise that the first line of a file names, or else the name of the file."""
    source = path.read_text(encoding="utf-8", errors="replace")
    named = re.match(r'[\s\ufeff]*[rR]?["\']{3}\s*Exercise "(\w+)"', source)
    return named[1] if named else path.stem


def _not_run(path: Path, error: BaseException) -> str:
    lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    line = f" (line {lines[-1].lineno})" if lines else ""
    way = ": remove the call of exit" if isinstance(error, SystemExit) else ""
    return f"{path.name} doesn't run: {type(error).__name__}: {error}{line}{way}"


def _library_classes(
    cls: type, path: Path, defined: Mapping[str, Any], exercise: Exercise
) -> Iterator[type]:
    """Yield the layers, losses and optimizers of minigrad that a class inherits from or names."""
    own = {*exercise.base.__mro__, *exercise.allowed}
    named = (_value(node, defined) for node in ast.walk(ast.parse(path.read_bytes())))
    for thing in (*cls.__mro__, *named):
        if (
            isinstance(thing, type)
            and issubclass(thing, (Layer, Loss, Optimizer))
            and thing.__module__ != _FILE
            and thing not in own
        ):
            yield thing


def _value(node: ast.AST, defined: Mapping[str, Any]) -> Any:
    """Return what a name stands for, or a dotted name that begins with a module; else None."""
    if isinstance(node, ast.Name):
        return defined.get(node.id)
    if isinstance(node, ast.Attribute):
        module = _value(node.value, defined)
        return getattr(module, node.attr, None) if isinstance(module, ModuleType) else None
    return None
