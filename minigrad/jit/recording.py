"""Record a program: run NumPy code on recorded arrays, its own new arrays included."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import numpy as np

from minigrad.jit import functions, operations
from minigrad.jit.contents import is_library
from minigrad.jit.program import NotCompilableError, Program, active, place
from minigrad.jit.recorded import Recorded, concrete, is_constant, plain, values
from minigrad.jit.rolling import find_loops

functions.define()
_ONE_AT_A_TIME = Lock()
"""Held by the thread that records, since it replaces names that all threads have."""


class Recording:
    """Records a program: a `with` block in which arrays made by NumPy are recorded, too.

    In the block, in this thread, `np.zeros`, `np.array` and the other functions of `_NAMES`
    return recorded constants, since layers write results into such arrays.

    Args:
        objects: those whose methods run.
    """

    def __init__(self, objects: Iterable[object]) -> None:
        self._program = Program()
        self._replaced = _replaced(objects)

    def __enter__(self) -> Recording:
        _ONE_AT_A_TIME.acquire()
        self._replaced.__enter__()
        active.program = self._program
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        active.program = None
        self._replaced.__exit__(kind, error, traceback)
        _ONE_AT_A_TIME.release()
        if isinstance(error, Exception) and not isinstance(error, NotCompilableError):
            while traceback.tb_next is not None:
                traceback = traceback.tb_next
            raise NotCompilableError(
                f"{place(traceback.tb_frame)} can't be compiled: {error}: use other functions of "
                "NumPy, or engine='numpy', where this code runs"
            ) from error

    def given(self, c: Any) -> Any:
        """Return an input of the program, with an example of it."""
        program = self._program
        value = program.append(operations.given, (program.inputs,), {}, np.shape(c), None)
        program.inputs += 1
        return Recorded(c if isinstance(c, (float, int)) else np.array(c), value)

    def finish(self, outputs: dict[str, Any]) -> Program:
        """Return the program with these outputs, and "ok": whether all branches are the same."""
        program = self._program
        ok = program.constant(True)
        for guard, outcome in program.guards:
            ok = program.append(operations.same, (ok, guard, outcome), {}, (), np.dtype(bool))
        program.outputs = values({**outputs, "ok": ok})
        program.prune()
        program.loops = find_loops(program.instructions, program.outputs)
        return program


_NAMES = [
    "empty",
    "zeros",
    "ones",
    "full",
    "eye",
    "array",
    "asarray",
    "asanyarray",
    "ascontiguousarray",
    "asfortranarray",
]
_BY_SHAPE = {"empty", "zeros", "ones", "eye"}
_ORDERS = {"ascontiguousarray": "C", "asfortranarray": "F"}


def _full(shape: Any, fill_value: Any, *args: Any, **options: Any) -> Any:
    filled = Recorded(np.full(plain(shape, "a shape"), concrete(fill_value), *args, **options))
    filled.write(fill_value)
    return filled


def _creator(name: str) -> Callable[..., Any]:
    """Return the function that stands for one of NumPy's that make arrays."""
    original: Callable[..., Any] = getattr(np, name)

    def create(*args: Any, **options: Any) -> Any:
        source = args[0] if args else None
        if active.program is None:  # in another thread
            return original(*args, **options)
        if name == "full":
            return _full(*args, **options)
        if name in _BY_SHAPE:  # zeros for "empty", so that each recording has the same numbers
            make = np.zeros if name == "empty" else original
            return Recorded(make(*plain(args, "a shape"), **plain(options, "a shape")))
        if isinstance(source, Recorded):  # to be converted
            dtype = options.get("dtype", args[1] if len(args) > 1 else None)
            order = options.get("order") or _ORDERS.get(name, "K")
            copy = bool(options.get("copy", name == "array"))
            made = source.astype(dtype or source.dtype, order=order, copy=copy)
            return made[None] if name in _ORDERS and not made.shape else made  # never of no axis
        if isinstance(source, (list, tuple)) and not is_constant(source):
            return np.stack([_CREATORS["asarray"](item) for item in source])
        made = original(*concrete(args), **concrete(options))
        return made if made is source else Recorded(made)

    return create


_CREATORS = {name: _creator(name) for name in _NAMES}
_ORIGINALS = {id(getattr(np, name)): name for name in _NAMES}


class _NumPy:
    """Stands for the module: its functions that make arrays return recorded ones."""

    def __getattr__(self, name: str) -> Any:
        return _CREATORS.get(name) or getattr(np, name)


_NUMPY = _NumPy()
_LEFT_ALONE = ("numpy", "jax", "jaxlib", "scipy", "minigrad.jit")


def _namespaces(objects: Iterable[object]) -> list[dict[str, Any]]:
    """Return the global names of all Python modules, and those of the methods of some objects."""
    found = {}
    for name, module in [*sys.modules.items()]:
        python = (getattr(module, "__file__", None) or "main.py").endswith(".py")
        if python and not any(name == n or name.startswith(f"{n}.") for n in _LEFT_ALONE):
            found[id(module)] = vars(module)
    for kind in {base for thing in objects for base in type(thing).__mro__}:
        for method in vars(kind).values():
            names = getattr(method, "__globals__", None)
            if names is not None and not names.get("__name__", "").startswith(_LEFT_ALONE):
                found[id(names)] = names
    return [*found.values()]


def _tables(objects: Iterable[object]) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Yield the arrays that users' methods find in globals and attributes, and where."""
    for names in _namespaces(objects):
        if not is_library(names.get("__name__", "")):
            yield from ((names, name, value) for name, value in [*names.items()])
    for owner in objects:
        kinds = [k for k in reversed(type(owner).__mro__) if not is_library(k.__module__)]
        if kinds and hasattr(owner, "__dict__"):
            held = {name: value for kind in kinds for name, value in vars(kind).items()}
            inputs = ("cache", *getattr(owner, "buffers", ()))
            for name, value in (held | vars(owner)).items():
                if name not in inputs:
                    yield vars(owner), name, value


@contextmanager
def _replaced(objects: Iterable[object]) -> Iterator[None]:
    """Replace NumPy, and its functions that make arrays, where Python code names them.

    NumPy itself isn't changed: its compiled parts use these functions, too. Arrays in globals and
    attributes become constants that take recorded indices, and can't be written to.
    """
    objects, places = [*objects], []

    def replace(names: dict[str, Any], name: str, new: Any) -> None:
        places.append((names, name, names.get(name, _MISSING)))
        names[name] = new

    for names in _namespaces(objects):
        for name, value in [*names.items()]:
            new = _NUMPY if value is np else _CREATORS.get(_ORIGINALS.get(id(value), ""))
            if new is not None:
                replace(names, name, new)
    for names, name, value in _tables(objects):
        if type(value) is np.ndarray and value.dtype != object:
            table = value.view()
            table.flags.writeable = False
            replace(names, name, Recorded(table))
    try:
        yield
    finally:
        for names, name, value in reversed(places):
            if value is _MISSING:
                del names[name]
            else:
                names[name] = value


_MISSING = object()
