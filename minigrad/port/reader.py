"""Reads a program without running it.

Names, options and texts are looked up in the tables that the errors read,
`minigrad.util.synonyms`, and in those of `minigrad.port.of_keras`.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from typing_extensions import override

import minigrad
from minigrad import Activation, Callback, Initializer, Layer, Loss, Model, Optimizer, Regularizer
from minigrad.metrics.named import METRICS
from minigrad.models import by_batch
from minigrad.port import of_keras
from minigrad.util.config import registered
from minigrad.util.lookup import counterparts, guess
from minigrad.util.spelling import snake_case
from minigrad.util.synonyms import ATTRIBUTES, HINTS

_KINDS: dict[str, type] = {
    "activation": Activation, "initializer": Initializer, "loss": Loss, "optimizer": Optimizer,
    "regularizer": Regularizer,
}  # fmt: skip
"""What a text names, by the last word of its option."""

_CALLS = {name: getattr(Model, name) for name in ("compile", "evaluate", "fit", "predict")} | {
    "test_on_batch": by_batch.measure,
    "train_on_batch": by_batch.step,
}
"""The methods of a model whose options are known."""

_OF_A_CALL = ("initial_state", "mask", "training")
"""Options with which layers are called in Keras."""


class Finding(NamedTuple):
    """A line of a program, what it says, and what to do about it."""

    line: int
    text: str
    way: str


def findings(program: str) -> list[Finding]:
    """Return what a program has to change, by line.

    Raises:
        SyntaxError: the program isn't valid Python.

    >>> findings("from minigrad import Dense; Dense(3, kernel_regularizer='l2')")
    [Finding(line=1, text='kernel_regularizer', way='weight_regularizer')]
    """
    reader = _Reader()
    reader.visit(ast.parse(program))
    return sorted(reader.found)


class _Reader(ast.NodeVisitor):
    """Goes through a program, and collects what it has to change."""

    def __init__(self) -> None:
        self.found: set[Finding] = set()
        self.paths: dict[str, str] = {}
        """What a name of the program is in Keras or minigrad: "layers.Dense", "" for the whole."""
        self.from_keras = False
        """Whether names come from Keras, and with them its defaults."""
        self.others: set[str] = set()
        """Names that come from other packages, and the program's own functions."""
        self.results: dict[str, str] = {}
        """What to say of a name to which the program assigned what such a method returns."""

    def note(self, node: Any, text: str, way: str) -> None:
        if way and way != text:
            self.found.add(Finding(node.lineno, text, way))

    @override
    def visit_Module(self, node: ast.Module) -> None:
        functions = (n.name for n in ast.walk(node) if isinstance(n, ast.FunctionDef))
        self.others.update(functions)
        self.generic_visit(node)

    @override
    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            root = alias.name.partition(".")[0]
            self._bind(node, alias.asname or root, alias.name if alias.asname else root)

    @override
    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            origin = f"{'.' * node.level}{node.module or ''}.{alias.name}"
            self._bind(node, alias.asname or alias.name, origin)

    def _bind(self, node: ast.stmt, name: str, origin: str) -> None:
        """Note what an import gives to a name."""
        root, path = origin.partition(".")[0], _within(origin)
        packages = {*path.split(".")[:-1]}
        if root not in of_keras.LIBRARIES or not packages <= {*of_keras.PACKAGES}:
            self.others.add(name)
            return
        self.paths[name] = path
        self.from_keras |= root != "minigrad"
        if root != "minigrad":
            self.note(node, root, "import minigrad")
        elif packages and not all(hasattr(minigrad, package) for package in packages):
            self.note(node, ".".join(["minigrad", *packages]), "import from minigrad itself")
        self._here(node, path)

    def _path(self, node: ast.expr) -> str | None:
        """Return what an expression is in Keras or minigrad, None for anything else."""
        if isinstance(node, ast.Name):
            return self.paths.get(node.id)
        if isinstance(node, ast.Attribute):
            owner = self._path(node.value)
            return None if owner is None else _within(f"minigrad.{owner}.{node.attr}")
        return None

    def _here(self, node: Any, path: str, given: Mapping[str, ast.expr] | None = None) -> Any:
        """Note what takes the place of a name of Keras; return what a call with options calls."""
        *packages, name = path.split(".")
        known: Collection[str] = METRICS if "metrics" in packages else minigrad.__all__
        if packages == ["activations"]:
            self.note(node, name, f"pass it as a text, {name!r}")
        elif name in known:
            self._note_defaults(node, name, name, given)
            return getattr(minigrad, name, None)
        elif name in of_keras.PACKAGES:
            self.note(node, name, "" if hasattr(minigrad, name) else HINTS.get(name, ""))
        elif arrays := of_keras.ARRAYS & {*packages}:
            self.note(node, name, HINTS.get(name, HINTS[arrays.pop()]))
        elif found := counterparts(name, known):
            return self._note_counterpart(node, name, found, given)
        elif name:
            ways = [guess(name, known), *(HINTS[p] for p in packages if p in ("datasets", "utils"))]
            self.note(node, name, next(filter(None, ways), "it has no counterpart"))
        return None

    def _note_counterpart(
        self, node: Any, name: str, found: list[str], given: Mapping[str, ast.expr] | None
    ) -> Any:
        """Note what replaces a name: of two, the second is for logits, or for precision-recall."""
        options = given or {}
        logits = getattr(options.get("from_logits"), "value", False)
        here = found[-1 if logits or "curve" in options else 0]
        thing = getattr(minigrad, here, None)
        if here in METRICS:
            self.note(node, name, repr(here))
            return None
        if name.islower() and isinstance(thing, type) and issubclass(thing, Layer):
            self.note(node, name, f"{here}()")  # as in concatenate([a, b])
            return None
        self.note(node, name, here if logits else here + _difference(here))
        self._note_defaults(node, name, here, given)
        return thing

    def _note_defaults(
        self, node: Any, text: str, name: str, given: Mapping[str, ast.expr] | None
    ) -> None:
        """Note the options that a call, or a text, leaves to Keras's defaults."""
        options = of_keras.DEFAULTS.get(name, {}) if self.from_keras and given is not None else {}
        set_here = {_spelled(option, options) for option in given or {}}
        if options and (arguments := getattr(node, "args", [])):
            parameters = inspect.signature(getattr(minigrad, name)).parameters
            set_here.update([*parameters][: len(arguments)])
        rest = ", ".join(f"{o}={value}" for o, value in options.items() if o not in set_here)
        self.note(node, text, f"with Keras's defaults it is {name}({rest})" * bool(rest))

    @override
    def visit_Name(self, node: ast.Name) -> None:
        self._here(node, self.paths.get(node.id, ""))

    @override
    def visit_Attribute(self, node: ast.Attribute) -> None:
        if (path := self._path(node)) is not None:
            self._here(node, path)
            return
        if not self.others & {_root(node), "torch"}:  # PyTorch's objects have some of them
            self.note(node, node.attr, ATTRIBUTES.get(node.attr, ""))
        self.visit(node.value)

    @override
    def visit_Call(self, node: ast.Call) -> None:
        given = {option.arg: option.value for option in node.keywords if option.arg}
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if (path := self._path(node.func)) is not None:
            called = self._here(node, path, given)
            given.pop("from_logits", None)
        else:
            self.visit(node.func)
            called = _CALLS.get(method)
        if called is Activation:
            self._note_activation(node, [*node.args, *given.values()])
        elif called is not None:
            self._check_options(node, called, given)
        elif not method and _root(node.func) not in self.others:  # a layer is called
            for name in _OF_A_CALL:
                self.note(node, name, HINTS[name] * (name in given))
        for name, value in given.items():
            self._check_texts(value, name)
            if name.startswith("on_") and isinstance(value, ast.Lambda):
                self._check_moment(value, name, value.args)
        if _root(node.func) in self.others:
            for value in node.args:
                self.note(node, name := _root(value), self.results.get(name, ""))
        for child in (*node.args, *given.values()):
            self.visit(child)

    def _check_options(self, node: ast.Call, called: Any, given: Mapping[str, ast.expr]) -> None:
        """Note the options that what is called doesn't have, or doesn't take by position."""
        known = inspect.signature(called).parameters
        for name in given.keys() - known.keys():
            self.note(node, name, _spelled(name, known) or guess(name, known) or "leave it out")
        places = [o for o in known.values() if o.name not in ("self", "trainer", "network")]
        for option, value in zip(places, node.args, strict=False):
            if option.kind is option.KEYWORD_ONLY:
                self.note(node, ast.unparse(value), f"pass it by name: {option.name}=...")
            self._check_texts(value, option.name)

    def _note_activation(self, node: ast.Call, given: list[ast.expr]) -> None:
        """Note which layer is meant by Activation("relu")."""
        classes = {snake_case(name): name for name in registered(Activation)}
        text = getattr(given[0], "value", "") if given else ""
        here = classes.get(_spelled(text, classes)) if isinstance(text, str) else None
        self.note(node, f"Activation({text!r})", f"{here}()" if here else "use a layer as ReLU()")

    def _check_texts(self, node: ast.expr, option: str) -> None:
        """Note the names in texts that an option takes."""
        for item in getattr(node, "elts", getattr(node, "values", [])):  # of a list, of a dict
            self._check_texts(item, option)
        text = getattr(node, "value", None)
        if isinstance(text, str) and option == "metrics":
            self.note(node, text, _spelled(text, METRICS))
        elif isinstance(text, str) and (kind := _KINDS.get(option.rpartition("_")[2])):
            classes = {snake_case(name): name for name in registered(kind)}
            if here := _spelled(text, classes):
                if here not in (text, f"{text}_loss"):
                    way = here.removesuffix("_loss") + _difference(classes[here])
                    self.note(node, text, way)
                self._note_defaults(node, text, classes[here], {})

    @override
    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        method = getattr(node.value, "func", None)
        called = getattr(method, "attr", getattr(method, "id", ""))
        for target in node.targets:
            way = _of_result(node.value)
            if isinstance(target, ast.Name):
                self.results[target.id] = way
                if called == "pad_sequences":
                    self.note(node, target.id, "pad_sequences returns two arrays: x, mask = ...")
            elif isinstance(target, ast.Tuple):
                if called == "predict":
                    way = "with several outputs predict returns a dict: add .values()"
                self.note(node, ast.unparse(target), way)

    @override
    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.generic_visit(node)
        if not isinstance(getattr(node.slice, "value", 0), str):
            way = _of_result(node.value) or self.results.get(_root(node.value), "")
            self.note(node, f"[{ast.unparse(node.slice)}]", way)

    @override
    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        bases = [self._path(base) or "" for base in node.bases]
        if any(base.endswith("Model") for base in bases):
            self.note(node, node.name, "join layers: Sequential([...]), or Model(inputs, outputs)")
        for member in node.body:
            if isinstance(member, ast.FunctionDef) and any(bases):
                self.note(member, member.name, of_keras.METHODS.get(member.name, ""))
                if member.name.startswith("on_"):
                    self._check_moment(member, member.name, member.args)
        if any(base.endswith("Callback") for base in bases):
            for used in ast.walk(node):
                if isinstance(used, ast.Attribute) and ast.unparse(used) == "self.model":
                    self.note(used, "self.model", "trainer.model")
        self.generic_visit(node)

    def _check_moment(self, node: Any, name: str, given: ast.arguments) -> None:
        """Note a function of a callback that is called with other arguments, or never."""
        moments = [moment for moment in vars(Callback) if moment.startswith("on_")]
        here = _spelled(name, moments)
        if not here:
            self.note(node, name, f"it is never called: there are {', '.join(moments)}")
            return
        expected = [*inspect.signature(getattr(Callback, here)).parameters]
        if isinstance(node, ast.Lambda):
            del expected[0]
        names = [argument.arg for argument in given.args]
        others = {"epoch", "logs", "batch"} - {*expected}
        if name != here or len(names) != len(expected) or others & {*names}:
            self.note(node, f"{name}({', '.join(names)})", f"{here}({', '.join(expected)})")


def _within(origin: str) -> str:
    """Return a path below the package: "layers.Dense" for "tensorflow.keras.layers.Dense"."""
    parts = [part for part in origin.split(".")[1:] if part]
    return ".".join(parts[1:] if parts[:1] == ["keras"] else parts)


def _root(node: Any) -> str:
    """Return the name with which an expression begins: "a" for a.b(c)[0]."""
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return getattr(node, "id", "")


def _of_result(node: ast.expr) -> str:
    """Return what to say of a call that returns something else than Keras's, "" for others."""
    given = {option.arg for option in getattr(node, "keywords", [])}
    method = getattr(getattr(node, "func", None), "attr", "")
    return "" if "return_dict" in given else of_keras.RESULTS.get(method, "")


def _difference(name: str) -> str:
    return f" ({of_keras.DIFFERENCES[name]})" if name in of_keras.DIFFERENCES else ""


def _spelled(name: str, known: Collection[str]) -> str:
    """Return the known name for a name of Keras, "" if there is none."""
    return name if name in known else next(iter(counterparts(name, known)), "")
