"""Does each argument refuse what it can't take? `python -m trials.inputs` tries bad values.

Each argument of each public class, function and method of a model gets each kind of bad value,
while the others stay valid. A call either is refused by a `raise` of this library, or works: then
what it made is used, and must compute finite numbers. An error from anywhere else, such as NumPy,
fails the trial, and so does a number that isn't finite.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import inspect
import io
import os
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from minigrad import (
    Dense,
    Initializer,
    Layer,
    Loss,
    Model,
    Optimizer,
    Regularizer,
    Schedule,
    Sequential,
    metrics,
)
from minigrad.checks.rules import Candidate
from minigrad.util.config import Configurable

ROOT = str(Path(minigrad.__file__).parent)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 3))
Y = X.sum(axis=1)
LABELS = np.array([0, 1] * 4)
KINDS: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "-1": lambda: -1,
    "0": lambda: 0,
    "10**30": lambda: 10**30,
    "0.5": lambda: 0.5,
    "-0.5": lambda: -0.5,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "1j": lambda: 1j,
    "text": lambda: "nonsense",
    "no text": lambda: "",
    "bytes": lambda: b"nonsense",
    "[]": list,
    "()": tuple,
    "{}": dict,
    "[None]": lambda: [None],
    "ragged list": lambda: [[1.0, 2.0], [3.0]],
    "dict of text": lambda: {"a": "b"},
    "set": lambda: {1, 2},
    "object": object,
    "class": lambda: int,
    "function": lambda: lambda *arguments: None,
    "iterator": lambda: iter([1, 2]),
    "scalar array": lambda: np.array(1.5),
    "no rows": lambda: np.zeros((0, 3)),
    "no columns": lambda: np.zeros((8, 0)),
    "too many axes": lambda: np.zeros((8, 3, 2, 2)),
    "other rows": lambda: np.zeros((7, 3)),
    "other columns": lambda: np.zeros((8, 4)),
    "NaN array": lambda: np.full((8, 3), np.nan),
    "complex array": lambda: np.zeros((8, 3), complex),
    "array of objects": lambda: np.array([[None] * 3] * 8),
    "array of text": lambda: np.array([["a"] * 3] * 8),
    "dates": lambda: np.zeros((8, 3), "datetime64[s]"),
    "masked array": lambda: np.ma.masked_less(np.zeros((8, 3)), 1),
}
KNOWN = {("Lambda", "function", "class"): "the error is that of the function"}
ARRAYS_ONLY = {"softmax"}
"""Functions that layers call, which take arrays without looking at them."""
"""Cases that end with an error of another library, with the reason."""


@dataclass
class Call:
    """A public callable with valid arguments, and what is done with its result."""

    name: str
    function: Callable[..., Any]
    valid: Callable[[], Mapping[str, Any]]
    use: Callable[[Any], Any] = lambda result: result
    left_out: set[str] = field(default_factory=set)

    def arguments(self) -> list[str]:
        """Return the names of the arguments that are tried."""
        named = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
        parameters = inspect.signature(self.function).parameters.values()
        return [p.name for p in parameters if p.kind in named and p.name not in self.left_out]

    def outcome(self, argument: str, value: Any) -> tuple[str, str]:
        """Return what became of a call, and the message."""
        arguments = {**self.valid(), argument: value}
        try:
            with warnings.catch_warnings(action="ignore"), silence():
                found = self.use(self.function(**arguments))
        except Exception as error:
            name = f"{type(error).__name__}: {error}"
            return ("refused" if is_ours(error) else "raw"), name
        nan = isinstance(value, np.ndarray) and not finite(value)  # NaN of NaN is right
        return ("accepted" if nan or finite(found) else "not finite"), f"{found!r}"


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Drop what is printed."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def is_ours(error: BaseException) -> bool:
    """Return whether a `raise` of this library raised an error."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    if isinstance(error, OSError):
        return True  # its message names the file
    return frame.filename.startswith(ROOT) and frame.lineno in lines_that_raise(frame.filename)


@cache
def lines_that_raise(path: str) -> set[int]:
    """Return the lines of a file's `raise` statements."""
    tree = ast.parse(Path(path).read_text("utf-8"))
    raises = [node for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    return {line for node in raises for line in range(node.lineno, (node.end_lineno or 0) + 1)}


def finite(found: Any) -> bool:
    """Return whether all numbers in a result are finite."""
    if isinstance(found, Mapping):
        return all(finite(value) for value in found.values())
    if isinstance(found, (list, tuple)):
        return all(finite(value) for value in found)
    if isinstance(found, (float, np.floating, np.ndarray)):
        array = np.asarray(found)
        return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())
    return True


def made() -> Sequential:
    """Return the model whose methods are called."""
    model = Sequential([Dense(4, "tanh"), Dense(1)], input_shape=(3,), rng=0)
    model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    return model


def used(data: list[Any], thing: Any) -> Any:
    """Return what an object computes."""
    if isinstance(thing, Layer):
        candidate = Candidate(thing, data[0])
        model = candidate.model()
        output = model.forward(candidate.x(rows=4, seed=0))
        return output, None if isinstance(output, dict) else model.backward(np.ones_like(output))
    if isinstance(thing, Loss):
        return (thing.forward(*data), thing.backward()) if data else None
    if isinstance(thing, Schedule):
        return [thing(step) for step in range(5)]
    if isinstance(thing, Initializer):
        return thing((3, 2), np.random.default_rng(0))
    if isinstance(thing, Regularizer):
        return thing.value(X), thing.derivative(X)
    return used_optimizer(thing) if isinstance(thing, Optimizer) else None


def used_optimizer(optimizer: Any) -> Any:
    """Make two steps."""
    model = made()
    model.compile(optimizer=optimizer, loss="mse")
    model.fit(X, Y, epochs=1, batch_size=4, verbose=0)
    return model.parameters.value


def used_callback(callback: Any) -> Any:
    """Train with a callback."""
    return dict(made().fit(X, Y, epochs=2, validation_split=0.25, callbacks=[callback], verbose=0))


def classes() -> Iterator[Call]:
    """Yield the classes that have an example among the tests."""
    sys.path.insert(0, "tests")
    examples = import_module("registered_examples")

    seen = set()
    pairs = [*examples.LAYERS, *examples.LOSSES, *((e,) for e in examples.ALONE)]
    for example, *rest in pairs:
        cls = type(example)
        if cls in seen or not inspect.signature(cls).parameters:
            continue
        seen.add(cls)
        use = partial(used, rest)
        left_out = {"weight", "bias", "recurrent_weight"} & {*inspect.signature(cls).parameters}
        yield Call(cls.__name__, cls, config_of(example), use, left_out=left_out)
    for callback in (minigrad.EarlyStopping, minigrad.ReduceOnPlateau):
        yield Call(callback.__name__, callback, dict, used_callback)


def config_of(example: Configurable) -> Callable[[], Mapping[str, Any]]:
    """Return a function that gives the options of an example."""
    return example.get_config


def methods(folder: Path) -> Iterator[Call]:
    """Yield the methods of a model, and the functions."""
    data = {"x": X, "y": Y}
    path = folder / "net.safetensors"
    made().save(path)
    saved: dict[str, Any] = {"path": path}
    yield Call("fit", fresh("fit"), lambda: {**data, "batch_size": 4, "verbose": 0}, dict)
    for name in ("evaluate", "train_on_batch", "test_on_batch", "explain", "diagnose", "objective"):
        yield Call(name, fresh(name), lambda: data)
    yield Call("predict", fresh("predict"), lambda: {"x": X})
    yield Call("activations", fresh("activations"), lambda: {"x": X})
    yield Call("compile", fresh("compile"), lambda: {"optimizer": "sgd", "loss": "mse"})
    yield Call("astype", fresh("astype"), lambda: {"dtype": "float32"})
    yield Call("backward", fresh("backward", after_forward), lambda: {"delta": np.ones((8, 1))})
    for name in ("save", "save_weights", "load_weights"):
        yield Call(name, fresh(name), lambda: saved)
    yield Call("load", minigrad.load, lambda: saved)
    yield Call("Sequential", Sequential, chain, lambda model: model.predict(X))
    yield Call("Model", Model, graph, lambda model: model.predict(X), left_out={"network"})
    yield Call("Input", minigrad.Input, lambda: {"shape": (3,)})
    yield Call("Parameter", minigrad.Parameter, lambda: {"value": X})
    yield Call("pad_sequences", minigrad.pad_sequences, lambda: {"sequences": [[1, 2], [3]]})
    yield Call("softmax", minigrad.softmax, lambda: {"z": X})
    mse = minigrad.MSELoss()
    check = minigrad.check_gradients
    yield Call("check_gradients", check, lambda: {"model": made(), **data, "loss": mse}, str)
    layer = {"layer": Dense(2), "input_shape": (3,)}
    yield Call("check_layer", minigrad.check_layer, lambda: layer, str)
    chances = {"target": LABELS, "prediction": RNG.uniform(size=8)}
    for name in metrics.__all__:
        metric = getattr(metrics, name)
        if name in metrics.METRICS and inspect.isroutine(metric):
            numbers = chances
            if name in ("log_loss", "accuracy", "top_k_accuracy"):
                numbers = {"target": LABELS, "prediction": RNG.dirichlet(np.ones(6), size=8)}
            yield Call(f"metrics.{name}", metric, numbers.copy)


def chain() -> dict[str, Any]:
    """Return the arguments of a `Sequential`."""
    return {"layers": [Dense(2)], "input_shape": (3,), "rng": 0}


def graph() -> dict[str, Any]:
    """Return the arguments of a `Model`."""
    a = minigrad.Input((3,))
    return {"inputs": a, "outputs": Dense(2)(a), "rng": 0}


def after_forward(model: Sequential) -> None:
    """Make the step that `backward` needs."""
    model.forward(X)


def fresh(name: str, prepare: Callable[[Any], None] = lambda model: None) -> Callable[..., Any]:
    """Return a method of a new model each time."""

    def call(**arguments: Any) -> Any:
        model = made()
        prepare(model)
        found = getattr(model, name)(**arguments)
        return model.fit(X, Y, verbose=0)["loss"] if name == "compile" else found

    call.__signature__ = inspect.signature(getattr(made(), name))  # type: ignore[attr-defined]
    return call


def main() -> int:
    """Print a line for each callable, and each case that fails; 1 if there is one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="callables to try; all by default")
    parser.add_argument("--from", dest="first", default="", help="the first callable to try")
    parser.add_argument("--show", action="store_true", help="also show what is accepted")
    options = parser.parse_args()
    total: Counter[str] = Counter()
    started = not options.first
    with tempfile.TemporaryDirectory() as folder:
        for call in [*classes(), *methods(Path(folder))]:
            started = started or call.name == options.first
            if not started or (options.names and call.name not in options.names):
                continue
            home = os.getcwd()
            os.chdir(folder)
            counts: Counter[str] = Counter()
            for argument in call.arguments():
                for kind, value in KINDS.items():
                    what, message = call.outcome(argument, value())
                    known = (call.name, argument, kind) in KNOWN or call.name in ARRAYS_ONLY
                    if known:
                        what = "known"
                    counts[what] += 1
                    if what in ("raw", "not finite") or (options.show and what == "accepted"):
                        print(f"{what}: {call.name}({argument}={kind}): {message[:200]}")
            os.chdir(home)
            if not counts.keys() <= {"refused", "accepted", "known"}:
                print(f"{call.name}: {dict(counts)}", flush=True)
            total += counts
    print(f"{total.total()} calls: {dict(total)}")
    return int(total["raw"] + total["not finite"] > 0)


if __name__ == "__main__":
    sys.exit(main())
