"""What the code of a step can read besides its inputs, compared by value.

All of it is constant in a program: the attributes of layers, losses and optimizers, with all that
is reachable from there. Of functions outside minigrad it is what their code names: globals, the
variables around it, default arguments and class attributes.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import ref

import numpy as np

from minigrad.core.layer import Layer, walk
from minigrad.core.parameters import Parameter, Parameters
from minigrad.util.config import Configurable
from minigrad.util.random import is_rng, rng_state

_SKIPPED = {
    "trainer", "_parameters", "_places", "_sizes", "validation_seed", "_building",  # of layers
    "state", "steps", "learning_rate", "_first",  # of optimizers
}  # fmt: skip
"""Attributes that are inputs of a program, or don't matter to it."""
_PLAIN = frozenset({int, float, complex, bool, str, bytes, type(None), type(Ellipsis), range})
_LIBRARIES = sys.stdlib_module_names - {"__main__"} | {
    "minigrad",
    "numpy",
    "jax",
    "jaxlib",
    "scipy",
}
_MOST = 100_000
"""Objects to look at; a step that reaches more is compared by the first of them."""


class Contents:
    """The leaves of some objects, to compare: `a.difference(b)` names what differs.

    Args:
        objects: layers, with those inside, and others.
        states: whether the caches, and the states of generators that aren't a layer's own, count.
    """

    def __init__(self, *objects: Any, states: bool = False, hashed: bool = True) -> None:
        self.states, self.hashed = states, hashed
        self.leaves: list[Any] = []
        self.paths: list[Any] = []
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []
        for x in objects:
            if not isinstance(x, Configurable):
                self._value(x, type(x).__name__)
                continue
            for path, layer in walk(x) if isinstance(x, Layer) else [("", x)]:
                self._object(layer, path or type(layer).__name__, own=True)
        if states:
            self._leaf(random.getstate(), "random")
            if "numpy.random" in sys.modules:
                self._value(np.random.mtrand._rand, "np.random")
        self._hash = hash(len(self.leaves))
        self._kept.clear()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Contents) and self.leaves == other.leaves

    def __hash__(self) -> int:
        return self._hash

    def holds(self, objects: Any) -> bool:
        """Return whether one of some objects was reached."""
        return not self._seen.keys().isdisjoint(map(id, objects))

    def difference(self, other: Contents) -> str | None:
        """Return the name of the first leaf that differs."""
        if self.leaves == other.leaves:
            return None
        found = [
            path
            for one, two, path in zip(self.leaves, other.leaves, other.paths, strict=False)
            if one != two
        ]
        if found:  # a cache follows from something else
            return _text(min(found, key=lambda path: "cache" in _text(path)))
        return _text(max(self.paths, other.paths, key=len)[min(len(self.paths), len(other.paths))])

    def leaf(self, name: str) -> Any:
        """Return the leaf of a name that `difference` gives; None if there is none."""
        paths = (i for i, path in enumerate(self.paths) if _text(path) == name)
        return next((self.leaves[i] for i in paths), None)

    def _leaf(self, value: Any, path: Any) -> None:
        self.leaves.append(value)
        self.paths.append(path)

    def _value(self, x: Any, path: Any) -> None:
        kind = type(x)
        if kind is float:
            self._leaf(x if x == x else "nan", path)
        elif kind in _PLAIN or isinstance(x, (np.generic, np.dtype)):
            self._leaf((kind, repr(x) if isinstance(x, np.generic) else x), path)
        elif id(x) in self._seen:
            self._leaf(self._seen[id(x)], path)
        elif len(self._seen) < _MOST:
            self._seen[id(x)] = len(self._seen)
            self._kept.append(x)
            self._composed(x, kind, path)

    def _composed(self, x: Any, kind: Any, path: Any) -> None:
        if isinstance(x, np.ndarray):
            digest: Any = None
            if self.hashed:
                digest = blake2b(x.tobytes()).digest() if x.dtype != object else x.tolist()
            self._leaf((x.shape, x.dtype.str, digest), path)
        elif isinstance(x, (tuple, list)):
            self._leaf((kind, len(x)), path)
            for i, item in enumerate(x):
                self._value(item, (path, i))
        elif isinstance(x, (set, frozenset)):
            self._leaf((kind, frozenset(map(repr, x))), path)
        elif isinstance(x, dict):
            self._leaf((kind, len(x)), path)
            for key, item in x.items():
                self._value(key, (path, "keys"))
                self._value(item, (path, key))
        elif isinstance(x, Parameters):
            self._leaf(kind, path)  # their layers have them
        elif isinstance(x, Parameter):
            self._leaf((x.shape, x.trainable, x.learning_rate_factor, Same(x.source)), path)
            self._value(x.regularizer, (path, "regularizer"))
        elif is_rng(x):
            self._leaf(repr(rng_state(x)) if self.states else kind, path)
        elif isinstance(x, Layer):
            self._leaf(Same(x), path)  # `walk` has it
        elif isinstance(x, FunctionType):
            self._function(x, path)
        elif isinstance(x, (MethodType, BuiltinFunctionType)):
            self._leaf(x.__name__, path)
            owner = x.__self__
            if not isinstance(owner, ModuleType):
                if self.states and is_rng(owner):  # its draws aren't noted
                    self._leaf(repr(rng_state(owner)), path)
                else:
                    self._value(owner, path)
            if isinstance(x, MethodType):
                self._value(x.__func__, path)
        elif isinstance(x, type):
            self._class(x, path)
        elif hasattr(kind, "__next__"):
            for name, value in getattr(getattr(x, "gi_frame", None), "f_locals", {}).items():
                self._value(value, (path, name))
            self._leaf(object() if self.states else Same(x), path)
        elif isinstance(x, ModuleType):
            self._leaf(Same(x), path)
        else:
            self._object(x, path)

    def _object(self, x: Any, path: Any, own: bool = False) -> None:
        self._seen[id(x)] = len(self._seen)
        kind = type(x)
        self._class(kind, path)
        held = getattr(x, "__dict__", None)
        if held is None:
            names = [n for k in kind.__mro__ for n in getattr(k, "__slots__", ())]
            held = {n: getattr(x, n) for n in names if hasattr(x, n)}
            if not names:
                self._leaf(Same(x), path)
        skipped = _SKIPPED.union(getattr(x, "buffers", ())) if own else ()
        for name, value in held.items():
            if name in skipped or (name == "cache" and not self.states):
                continue
            if own and is_rng(value):  # what it draws is an input
                self._seen[id(value)] = len(self._seen)
                self._leaf(type(value), (path, name))
            else:
                self._value(value, (path, name))

    def _class(self, kind: Any, path: Any) -> None:
        self._leaf(kind, path)
        for base in kind.__mro__:
            if not is_library(base.__module__) and id(base) not in self._seen:
                self._seen[id(base)] = len(self._seen)
                for name, value in [*vars(base).items()]:
                    if name in (
                        "__module__",
                        "__doc__",
                        "__dict__",
                        "__weakref__",
                        "__annotations__",
                    ):
                        continue
                    if isinstance(value, (staticmethod, classmethod)):
                        value = value.__func__
                    for one in _parts(value):
                        self._value(one, (base.__name__, name))

    def _function(self, function: Any, path: Any) -> None:
        self._leaf(function.__code__, path)
        if vars(function):
            self._value(vars(function), path)
        if is_library(function.__module__ or ""):
            for cell in function.__closure__ or ():
                self._cell(cell, path)
            return
        self._value(function.__defaults__, path)
        self._value(function.__kwdefaults__, path)
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            self._cell(cell, (path, name))
        names = [*_names(function.__code__)]
        for name in names:
            value = function.__globals__.get(name, _NOTHING)
            if value is _NOTHING:
                continue
            if isinstance(value, ModuleType):
                if not is_library(value.__name__):
                    for part in names:
                        if part in vars(value):
                            self._named(vars(value)[part], (name, part))
            else:
                self._named(value, name)

    def _named(self, value: Any, path: Any) -> None:
        """Look at a global; of other libraries' objects, at what it is only."""
        module = value.__module__ if isinstance(value, (type, FunctionType)) else ""
        if module and is_library(module):
            self._leaf(Same(value), path)
        else:
            self._value(value, path)

    def _cell(self, cell: Any, path: Any) -> None:
        try:
            self._value(cell.cell_contents, path)
        except ValueError:
            self._leaf("empty", path)


class Same:
    """An object, compared by identity, which isn't kept: a model must end with its last user."""

    __slots__ = ("_get", "_id")

    def __init__(self, x: object) -> None:
        self._id = id(x)
        try:
            self._get: Any = ref(x)
        except TypeError:
            self._get = lambda: x

    def __eq__(self, other: object) -> bool:
        x = self._get()
        return isinstance(other, Same) and x is not None and x is other._get()

    def __hash__(self) -> int:
        return self._id


_NOTHING = object()
_NAMES: dict[CodeType, tuple[str, ...]] = {}


def _names(code: CodeType) -> tuple[str, ...]:
    if code not in _NAMES:
        found = dict.fromkeys(code.co_names)
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                found |= dict.fromkeys(_names(inner))
        _NAMES[code] = tuple(found)
    return _NAMES[code]


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, property):
        yield from (f for f in (value.fget, value.fset) if f)
    elif hasattr(value, "__wrapped__") and not isinstance(value, FunctionType):
        yield value.__wrapped__  # a cached function
    elif not hasattr(type(value), "__set__"):  # of a slot
        yield value


@cache
def is_library(module: str) -> bool:
    """Return whether a module is of the standard library, minigrad, or an installed package."""
    top = module.partition(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    return top in _LIBRARIES or "site-packages" in file


def _text(path: Any) -> str:
    parts = []
    while isinstance(path, tuple):
        path, name = path
        parts.append(str(name))
    return ".".join([str(path), *reversed(parts)])
