"""Mutants of a module: copies of its syntax tree with one small mistake each."""

from __future__ import annotations

import ast
import copy
import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import TypeAlias

OTHER: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
Place: TypeAlias = tuple[str, int]
"""A function: its qualified name, and its first line."""


@dataclass(frozen=True)
class Mutant:
    """One mistake: in the node with this number, in the order of `ast.walk`."""

    path: Path
    place: Place
    line: int
    node: int
    part: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.place[0]}: {self.what}"


def mutants_of(path: Path) -> list[Mutant]:
    """Return all mutants of the functions of a module; messages and annotations are left alone."""
    tree = ast.parse(path.read_text("utf-8"))
    places = dict(_places(tree, ""))
    quiet = {id(part) for node in ast.walk(tree) for part in _quiet(node)}
    found = []
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in places and id(node) not in quiet and hasattr(node, "lineno"):
            for part, changed in enumerate(_changes(node)):
                what = f"{ast.unparse(node).splitlines()[0]} -> {_text(changed)}"
                found.append(Mutant(path, places[id(node)], node.lineno, number, part, what))
    return found


def mutated(mutant: Mutant) -> ast.Module:
    """Return the module with the mistake of a mutant."""
    tree = ast.parse(mutant.path.read_text("utf-8"))
    target = [*ast.walk(tree)][mutant.node]
    changed = [*_changes(target)][mutant.part]
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, name, changed)
            elif isinstance(value, list):
                value[:] = [changed if item is target else item for item in value]
    return ast.fix_missing_locations(tree)


def codes_of(code: CodeType) -> dict[Place, CodeType]:
    """Return the code of each function of a module."""
    found = {}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found[inner.co_qualname, inner.co_firstlineno] = inner
            found |= codes_of(inner)
    return found


def functions_in(paths: list[Path]) -> dict[tuple[str, Place], list[FunctionType]]:
    """Return the functions that live in this process, by the file and the place of their code."""
    files = {str(path.resolve()) for path in paths}
    found: dict[tuple[str, Place], list[FunctionType]] = {}
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and thing.__code__.co_filename in files:
            code = thing.__code__
            key = code.co_filename, (code.co_qualname, code.co_firstlineno)
            found.setdefault(key, []).append(thing)
    return found


def _places(tree: ast.AST, name: str) -> Iterator[tuple[int, Place]]:
    """Yield the outermost function around each node of a function's body."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from _places(node, f"{name}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            for statement in node.body:
                for part in ast.walk(statement):
                    yield id(part), (f"{name}{node.name}", first)


def _quiet(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of texts and types, which change no number."""
    if isinstance(node, ast.JoinedStr):
        yield from list(ast.walk(node))[1:]
    if isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation:
        yield from ast.walk(node.annotation)
    if isinstance(node, ast.FunctionDef) and node.returns:
        yield from ast.walk(node.returns)
    if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
        yield from ast.walk(node)


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in place of a node."""
    if isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp)):
        if type(node.op) in OTHER and not isinstance(getattr(node, "left", None), ast.JoinedStr):
            yield _with(node, op=OTHER[type(node.op)]())
    elif isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            yield _with(node, ops=[*node.ops[:i], OTHER[type(op)](), *node.ops[i + 1 :]])
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield _with(node, value=not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield _with(node, value=node.value + 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, float):
        yield _with(node, value=10 * node.value or 1.0)
    elif isinstance(node, (ast.If, ast.IfExp)):
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, ast.stmt) and _can_drop(node):
        yield ast.If(ast.Constant(value=False), [node], [])  # the function keeps its variables


def _can_drop(node: ast.stmt) -> bool:
    """Return whether a statement defines no variable, so that what follows still runs."""
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, (ast.Constant, ast.Yield, ast.YieldFrom))
    inside = (ast.Attribute, ast.Subscript)
    if isinstance(node, (ast.AugAssign, ast.Raise)):
        return True
    return isinstance(node, ast.Assign) and all(isinstance(t, inside) for t in node.targets)


def _with(node: ast.AST, **changes: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.If) and isinstance(node.test, ast.Constant):
        return "dropped"
    return ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).splitlines()[0]
