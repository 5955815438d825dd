"""The grader: it says in words what is wrong with the object of an exercise."""

from __future__ import annotations

import ast
import re
import traceback
from pathlib import Path

from minigrad.lessons.exercise import Exercise, WrongParametersError
from minigrad.lessons.mistakes import shape_hint

_HERE = Path(__file__).parent
_METHODS = {"__init__", "build", "forward", "backward", "terms", "update", "slots"}
_TRANSPOSE = "is a transpose missing, or are the factors in the wrong order?"
_ERROR_HINTS = {  # the likely causes of errors of Python and NumPy, by a pattern of the message
    "columns by one of": _TRANSPOSE,
    "not aligned": _TRANSPOSE,
    "could not be broadcast": (
        "is it a * instead of an @, is a sum missing, or does a sum need keepdims=True?"
    ),
    "name 'np' is": "import numpy as np",
    "^(backward|terms).*NameError": (
        "backward can't see the variables of forward; store them in self.cache"
    ),
    "and 'Parameter'": "its array is in .value",
    "'Parameter' and": "its array is in .value",
    "no attribute 'value'": "is it still a Parameter? Assign its gradient to .grad",
    "MemoryError": "it needs more memory than a submission may use",
    "SystemExit": "remove the call of exit",
}


def grade(thing: object, exercise: Exercise) -> list[str]:
    """Return what is wrong with an object, in a sentence each; an empty list if it is correct.

    Args:
        thing: a layer, a loss or an optimizer, as the exercise asks for, or its class.
        exercise: the exercise.

    >>> from minigrad import Sigmoid
    >>> from minigrad.lessons.exercises import EXERCISES
    >>> grade(Sigmoid(), EXERCISES["slope"])
    []
    """
    try:
        return exercise.check(exercise.make(thing) if isinstance(thing, type) else thing)
    except NotImplementedError as error:
        return [f"it isn't written yet: {error}"]
    except WrongParametersError as error:
        return [str(error)]
    except (Exception, SystemExit) as error:
        return [explain(error)]


def explain(error: BaseException) -> str:
    """Return an error with its method, its line, and its likely cause."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.name in _METHODS and Path(frame.filename).parent != _HERE
    ]
    message = f"raises {type(error).__name__}: {error}".rstrip(": ")
    shapes = re.findall(r"\(\d+,[\d, ]*\)", message)
    if "gradient" in message and len(shapes) == 2:
        expected, got = shapes
        hint = shape_hint(ast.literal_eval(expected), ast.literal_eval(got))
        return f"the gradient has shape {got}, expected {expected}: {hint}"
    sizes = re.search(r"matmul: .*size (\d+) is different from (\d+)", message)
    if sizes:
        message = f"multiplies a matrix of {sizes[2]} columns by one of {sizes[1]} rows"
    found = f"{frames[-1].name}, line {frames[-1].lineno}, {message}" if frames else f"it {message}"
    hints = [hint for pattern, hint in _ERROR_HINTS.items() if re.search(pattern, found)]
    return f"{found}: {hints[0]}" if hints else found
