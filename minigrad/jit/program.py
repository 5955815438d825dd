"""A program: instructions without effects, recorded from a run of NumPy and executed by JAX."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from os.path import dirname
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from minigrad.core.cached import Cached
from minigrad.core.optimizer import Optimizer
from minigrad.jit import operations


class NotCompilableError(TypeError):
    """A step does what can't be compiled; the message says where, and what to write instead."""


class Value:
    """A number in a program: the result of one of its instructions."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


class Instruction(NamedTuple):
    """`function(*arguments, **options)`, with the shape and dtype that NumPy's result has."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    shape: tuple[int, ...] | None
    dtype: np.dtype[Any] | None
    place: str

    def run(self, arguments: Any, options: Any) -> Any:
        """Return the result, for arrays in place of values."""
        try:
            result = self.function(*arguments, **options)
            if self.shape is not None:
                result = operations.fitted(result, self.shape, self.dtype)
        except Exception as error:
            raise NotCompilableError(
                f"{self.place} can't be compiled: JAX's {self.function.__name__} says {error}"
            ) from error
        return result


class Program:
    """Instructions in order; those of `given` are the inputs.

    `guards` are values on which a branch depended, with the branch that was taken. `loops` are
    those that `rolling` found, by their first instruction. `written` is for `parts`: for an array
    that some writes gave, the array before, and the bounds of what they wrote.
    """

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.inputs = 0
        self.guards: list[tuple[Value, bool]] = []
        self.outputs: Any = None
        self.loops: dict[int, Any] = {}
        self.written: dict[int, Any] = {}

    def append(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        options: dict[str, Any],
        shape: tuple[int, ...] | None = None,
        dtype: np.dtype[Any] | None = None,
    ) -> Value:
        """Append an instruction, and return the value that it gives."""
        self.instructions.append(Instruction(function, arguments, options, shape, dtype, place()))
        return Value(len(self.instructions) - 1)

    def prune(self) -> None:
        """Drop the instructions whose results no output needs."""
        live = _taken(self.outputs)
        for number in range(len(self.instructions) - 1, -1, -1):
            if number in live:
                live |= _taken(self.instructions[number][1:3])
        new = {number: Value(i) for i, number in enumerate(sorted(live))}

        def renumbered(tree: Any) -> Any:
            return mapped(Value, lambda value: new[value.index], tree)

        kept = [self.instructions[number] for number in new]
        self.instructions = [
            i._replace(arguments=renumbered(i.arguments), options=renumbered(i.options))
            for i in kept
        ]
        self.outputs, self.guards = renumbered(self.outputs), renumbered(self.guards)

    def constant(self, c: Any) -> Value:
        """Return the value of a constant, as it is now."""
        c = np.array(c)
        if c.size > 1 and (c == c.flat[0]).all():
            return self.append(operations.full, (c.shape, c.flat[0]), {}, c.shape, c.dtype)
        return self.append(operations.constant, (c,), {}, c.shape, c.dtype)

    def run(self, inputs: Any) -> Any:
        """Return the outputs as JAX arrays, for inputs in any form with as many arrays."""
        inputs = operations.leaves(inputs)
        known: dict[Any, Any] = {}

        def found(tree: Any) -> Any:
            return mapped(Value, lambda value: known[value.index], tree)

        at = 0
        while at < len(self.instructions):
            if (loop := self.loops.get(at)) and (made := loop.run(self.instructions, known)):
                known |= made
                at = loop.stop
                continue
            instruction = self.instructions[at]
            if instruction.function is operations.given:
                known[at] = inputs[instruction.arguments[0]]
            else:
                known[at] = instruction.run(*found(instruction[1:3]))
            at += 1
        return found(self.outputs)

    @property
    def branches(self) -> list[str]:
        """The places of the branches."""
        return [self.instructions[guard.index].place for guard, _ in self.guards]

    def difference(self, other: Program) -> str | None:
        """Return the place of the first instruction that another program has otherwise."""
        for one, two in zip(self.instructions, other.instructions, strict=False):
            if _key(one[:5]) != _key(two[:5]):
                return one.place
        if len(self.instructions) != len(other.instructions):
            return min(self.instructions, other.instructions, key=len)[-1].place
        return None


def _taken(tree: Any) -> set[int]:
    """Return the instructions whose results are taken."""
    return {v.index for v in operations.leaves(tree) if isinstance(v, Value)}


def _key(tree: Any) -> Any:
    """Return something comparable for what instructions hold."""
    if isinstance(tree, np.ndarray):
        return tree.shape, tree.dtype.str, tree.tobytes()
    if isinstance(tree, (tuple, list)):
        return type(tree).__name__, [_key(item) for item in tree]
    if isinstance(tree, dict):
        return [(name, _key(item)) for name, item in tree.items()]
    if isinstance(tree, slice):
        return "slice", _key((tree.start, tree.stop, tree.step))
    if isinstance(tree, Value):
        return "value", tree.index
    return getattr(tree, "__name__", None) or repr(tree)


class _Active(threading.local):
    program: Program | None = None


active = _Active()
"""The program that this thread records."""


def recording() -> Program:
    """Return the program that is recorded."""
    if active.program is None:
        raise RuntimeError("a recorded array was kept after the recording: keep it in self.cache")
    return active.program


def mapped(kinds: Any, function: Callable[[Any], Any], tree: Any) -> Any:
    """Return a tuple, list or dict with a function applied to what is of some types."""
    if isinstance(tree, kinds):
        return function(tree)
    if isinstance(tree, (tuple, list)):
        items = [mapped(kinds, function, item) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    if isinstance(tree, dict):
        return {name: mapped(kinds, function, item) for name, item in tree.items()}
    return tree


_OUTSIDE = (dirname(__file__), dirname(np.__file__))


def place(frame: FrameType | None = None) -> str:
    """Return where the running step is: the layer, the file and the line."""
    owner, where = "", ""
    frame = frame or sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if not where and not path.startswith(_OUTSIDE):
            where = f"{path.rpartition('/')[2]}, line {frame.f_lineno}"
        holder = frame.f_locals.get("self")
        if where and isinstance(holder, (Cached, Optimizer)):
            owner = getattr(holder, "label", type(holder).__name__)
            break
        frame = frame.f_back
    return f"{owner or 'the step'} ({where})"


def refusal(what: str, instead: str, *, owner: str = "") -> NotCompilableError:
    """Return the error for what can't be compiled; the owner is by default where the step is."""
    return NotCompilableError(f"{owner or place()} can't be compiled: {what}: {instead}")
