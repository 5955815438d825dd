"""`python -m minigrad.port program.py` says what a program for Keras has to change.

The program isn't run: its names, options and texts are looked up in the tables that the errors
read, `minigrad.util.synonyms`.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from typing_extensions import override

import minigrad
from minigrad import Activation, Initializer, Loss, Model, Optimizer, Regularizer
from minigrad.metrics.named import METRICS
from minigrad.util.config import registered
from minigrad.util.lookup import counterparts, guess
from minigrad.util.spelling import snake_case
from minigrad.util.synonyms import ATTRIBUTES, HINTS

_LIBRARIES = ("keras", "minigrad", "tensorflow", "tf_keras")

PACKAGES = (
    "activations", "applications", "backend", "callbacks", "datasets", "initializers", "keras",
    "layers", "losses", "metrics", "models", "ops", "optimizers", "preprocessing", "random",
    "regularizers", "saving", "schedules", "sequence", "text", "utils",
)  # fmt: skip
"""Keras's packages; every public name is in minigrad itself, too."""

KINDS: dict[str, type] = {
    "activation": Activation, "initializer": Initializer, "loss": Loss, "optimizer": Optimizer,
    "regularizer": Regularizer,
}  # fmt: skip
"""What a text names, by the last word of its option."""

DIFFERENCES = {
    "BatchNorm": "its defaults aren't Keras's momentum=0.99 and epsilon=0.001",
    "CosineSimilarityLoss": "it is 1 minus the cosine",
    "CrossEntropyLoss": "it takes logits: leave out the softmax before it",
    "FocalWithLogitsLoss": "it takes logits: leave out the sigmoid before it",
    "KLDivLoss": "it takes log-probabilities: end in LogSoftmax",
    "PoissonNLLLoss": "log_input=False makes it Keras's",
}
"""How a class differs from its counterpart in Keras."""

OVERRIDES = {
    "call": "a layer has forward(x) and backward(delta), a loss has terms(prediction, target)",
    "train_step": "use model.train_on_batch(x, y), or a Loss with terms(prediction, target)",
}
"""What to write in place of a method of Keras's classes."""

_RESULTS = {
    "evaluate": "it is a dict: read result['loss'] and so on",
    "test_on_batch": "it is the loss; with return_dict=True it is a dict",
    "train_on_batch": "it is the loss; with return_dict=True it is a dict",
}
_METHODS = ("compile", "fit", "predict", *_RESULTS)


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
        self.foreign: set[str] = set()
        """Names that the program has from other packages."""
        self.results: dict[str, str] = {}
        """What to say of a name to which the program assigned what such a method returns."""

    def note(self, node: Any, text: str, way: str) -> None:
        if way and way != text:
            self.found.add(Finding(node.lineno, text, way))

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
        packages = path.split(".")[:-1]
        module = len(packages) > 1 and ".".join(["minigrad", *packages]) in sys.modules
        if root not in _LIBRARIES or module or not {*packages} <= {*PACKAGES}:
            self.foreign.add(name)
            return
        self.paths[name] = path
        self.note(node, root, "" if root == "minigrad" else "import minigrad")
        self._here(node, path)

    def _path(self, node: ast.expr) -> str | None:
        """Return what an expression is in Keras or minigrad, None for anything else."""
        if isinstance(node, ast.Name):
            return self.paths.get(node.id)
        if isinstance(node, ast.Attribute):
            owner = self._path(node.value)
            return None if owner is None else _within(f"minigrad.{owner}.{node.attr}")
        return None

    def _here(self, node: Any, path: str, *, from_logits: bool = False) -> Any:
        """Note what takes the place of a name of Keras; return it if it takes options."""
        *packages, name = path.split(".")
        known: Collection[str] = METRICS if "metrics" in packages else minigrad.__all__
        if name in known:
            return getattr(minigrad, name, None)
        if name in PACKAGES:
            self.note(node, name, "" if hasattr(minigrad, name) else HINTS.get(name, ""))
        elif packages == ["activations"]:
            self.note(node, name, f"pass it as a text, {name!r}")
        elif found := counterparts(name, known):
            here = found[-1] if from_logits else found[0]
            way = repr(here) if known is METRICS else here
            self.note(node, name, way if from_logits else way + _difference(here))
            return getattr(minigrad, here, None)
        elif name:
            ways = [guess(name, known), *(HINTS.get(package) for package in packages)]
            self.note(node, name, next(filter(None, ways), "it has no counterpart"))
        return None

    @override
    def visit_Name(self, node: ast.Name) -> None:
        self._here(node, self.paths.get(node.id, ""))

    @override
    def visit_Attribute(self, node: ast.Attribute) -> None:
        if (path := self._path(node)) is not None:
            self._here(node, path)
            return
        if not self.foreign & {_root(node), "torch"}:  # PyTorch's objects have some of them
            self.note(node, node.attr, ATTRIBUTES.get(node.attr, ""))
        self.visit(node.value)

    @override
    def visit_Call(self, node: ast.Call) -> None:
        given = {option.arg: option.value for option in node.keywords if option.arg}
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if (path := self._path(node.func)) is not None:
            logits = given.pop("from_logits", None)
            called = self._here(node, path, from_logits=getattr(logits, "value", False))
        else:
            self.visit(node.func)
            called = getattr(Model, method) if method in _METHODS else None
        known = inspect.signature(called).parameters if called is not None else {}
        for name in given.keys() - known.keys():
            if called is not None:
                self.note(node, name, _spelled(name, known) or guess(name, known) or "leave it out")
            elif not method:  # a layer is called
                self.note(node, name, HINTS.get(name, ""))
        options = [option for option in known.values() if option.name != "self"]
        for option, value in zip(options, node.args, strict=False):
            if option.kind is option.KEYWORD_ONLY:
                self.note(node, ast.unparse(value), f"pass it by name: {option.name}=...")
            self._check_texts(value, option.name)
        for name, value in given.items():
            self._check_texts(value, name)
        if _root(node.func) in self.foreign:
            for value in node.args:
                self.note(node, name := _root(value), self.results.get(name, ""))
        for child in (*node.args, *given.values()):
            self.visit(child)

    def _check_texts(self, node: ast.expr, option: str) -> None:
        """Note the names in texts that an option takes."""
        for item in getattr(node, "elts", getattr(node, "values", [])):  # of a list, of a dict
            self._check_texts(item, option)
        text = getattr(node, "value", None)
        if isinstance(text, str) and option == "metrics":
            self.note(node, text, _spelled(text, METRICS))
        elif isinstance(text, str) and (kind := KINDS.get(option.rpartition("_")[2])):
            classes = {snake_case(name): name for name in registered(kind)}
            here = _spelled(text, classes)
            if here not in (text, f"{text}_loss", ""):
                way = here.removesuffix("_loss") + _difference(classes[here])
                self.note(node, text, way)

    @override
    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets if (way := _of_result(node.value)) else []:
            if isinstance(target, ast.Name):
                self.results[target.id] = way
            elif isinstance(target, ast.Tuple):
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
                self.note(member, member.name, OVERRIDES.get(member.name, ""))
        self.generic_visit(node)


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
    return "" if "return_dict" in given else _RESULTS.get(method, "")


def _difference(name: str) -> str:
    return f" ({DIFFERENCES[name]})" if name in DIFFERENCES else ""


def _spelled(name: str, known: Collection[str]) -> str:
    """Return the known name for a name of Keras, "" if there is none."""
    return name if name in known else next(iter(counterparts(name, known)), "")


def main(arguments: Sequence[str]) -> int:
    """Run the command, and return its exit status: 1 if there is something to change."""
    parser = argparse.ArgumentParser(
        prog="python -m minigrad.port", description="Say what a program for Keras has to change."
    )
    parser.add_argument("program", type=Path, help="a Python file; it is read, and isn't run")
    path = parser.parse_args(arguments).program
    try:
        found = findings(path.read_text())
    except (OSError, SyntaxError, ValueError) as error:
        raise SystemExit(f"{path}: {error}") from None
    lines: dict[tuple[str, str], list[str]] = {}
    for line, text, way in found:
        lines.setdefault((text, way), []).append(str(line))
    for (text, way), where in lines.items():
        print(f"{', '.join(where)}: {text} -> {way}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
