"""Find out what the JAX engine compiles: python docs/engine_table.py.

It runs NumPy's functions, the methods of arrays, ways to index and random draws, each in the
forward pass of a layer: recorded for some data, computed by JAX for others, and compared with
NumPy. It writes the table of docs/lists/jax_engine.md, and fails if a number differs. It takes a
minute.
"""

import inspect
import re
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from minigrad import Layer
from minigrad.jit import NotCompilableError
from minigrad.jit.devices import precisely
from minigrad.jit.draws import drawn, note_draws, numbers_of
from minigrad.jit.recording import Recording

PAGE = Path(__file__).resolve().parent / "lists" / "jax_engine.md"
START, END = "<!-- made by docs/engine_table.py -->", "<!-- end -->"
RNG = np.random.default_rng(0)
ROWS = [RNG.normal(size=(4, 4)), RNG.normal(size=(4, 4)), np.ones((4, 4)), 3 * np.eye(4) - 1]
"""Data: the first for the recording."""

# How a function may be called; x is an array, n are whole numbers, m is a mask.
CALLS = [
    "f(x)", "f(x, 0.5)", "f(x, 1)", "f(x, 2)", "f(x, 50)", "f([x, x])", "f(x, x)", "f(x[0], x[1])",
    "f(n)", "f(n, n)", "f(x[0])", "f(x, 0, 1)", "f(x, n)", "f(x, n, 1)", "f(m, x)", "f(m, x, x)",
    "f(x, (2, 8))", "f(x @ x.T)", "f(x @ x.T + 9 * np.eye(4), x)", "f(x[0], 3)",
    "f(x, [-1, 0, 1], [0, 1, 0])", "f([x > 0, x < -1], [x, -x])", "f(n, [x, x, x, x])",
    "f('ij,jk', x, x)", "f(lambda r: r.sum(), 0, x)", "f([x, x @ x, x])", "f(x, 2, 0)", "f(x, 4)",
]  # fmt: skip
NO_ARITHMETIC = re.compile(
    "empty|array2string|array_repr|array_str|base_repr|binary_repr|format|print|save|load|from|gen|"
    "mem|get|set_|show|test|info|dtype|typename|mintype|min_scalar|common_type|promote|obj2|"
    "iterable|issub|isdtype|isscalar|asmatrix|bmat|matrix$|mat$|busday|is_busday|datetime|poly|"
    "roots|cov|corr|hist|shares|may_share|can_cast|result_type|einsum_path|isfortran|block$|"
    "^ones$|^zeros$|^full$|^eye$|^identity$|^tri$|indices|require|"
    "asarray_chkfinite|nested|frompyfunc|vectorize|piecewise|apply_over|lexsort|mask_ind|"
    "unravel|ravel_multi|broadcast_shapes|broadcast_arrays|broadcast$|iterable|char|c_$|r_$|s_$"
)
METHODS = [
    name for name in dir(np.ndarray)
    if not name.startswith("_") and name not in ("base", "ctypes", "data", "dump", "dumps",
        "device", "getfield", "setfield", "tofile", "to_device", "itemset", "newbyteorder",
        "ptp", "byteswap", "setflags", "tobytes", "tostring", "mT")
]  # fmt: skip
METHOD_CALLS = [
    "x.f()", "x[0].f(1)", "x.f(1)", "x.f(n)", "x.f", "x.f(x)", "x.f((16,))", "x.f(0, 1)",
    "x.f(float)", "n.f([x, x, x, x])", "x.f(m[0], 1)", "x.f(n, 0)", "x.f(-1, 1)",
]  # fmt: skip
READS = [
    "x[1]", "x[-1, 2]", "x[1:, ::2]", "x[::-1]", "x[..., 0]", "x[:, None]", "x[[0, 2]]",
    "x[:, [True, False, True, False]]", "x[n]", "x[r, n]", "x[:, n]", "x[x[0].argmax()]",
    "TABLE[n]", "np.eye(4)[n]", "x[m]", "x[: n[0]]", "[1.0, 2.0, 3.0, 4.0][n[0]]", "x.flat[3]",
]  # fmt: skip
WRITES = [
    "y[0] = 1", "y[:, 1] += x[0]", "y[1:][::2] = 0", "y.T[0] = 2", "y.reshape(-1)[3] = 1",
    "y[m] = 0", "y[m] *= 2", "y[r, n] = 1", "y[n] = 0", "y[:, n[0]] -= 1", "np.add.at(y, n, 1)",
    "np.put_along_axis(y, x.argsort(1)[:, :2], 0, 1)", "np.copyto(y, x, where=m)",
    "np.put(y, [0, 1], 0)", "np.place(y, m, [0.0])", "np.putmask(y, m, 0)",
    "np.fill_diagonal(y, 0)", "np.exp(x, out=y)", "y[m] = x[m]", "x[0] = 1", "TABLE[0] = x[0]",
    "y.shape = (16,)",
]  # fmt: skip
DRAWS = [
    "random((4, 4))", "normal(size=4)", "uniform(-1, 1, 4)", "integers(4)", "integers(4, size=4)",
    "choice(4, 2)", "permutation(4)", "permuted(np.arange(4))", "standard_normal(4)",
    "exponential(size=4)", "binomial(3, 0.5, 4)", "poisson(2, 4)", "beta(1, 2, 4)",
    "random(out=np.empty(4))", "normal(x)", "shuffle(y)", "spawn(1)", "bytes(4)",
]  # fmt: skip
CHANGES = {
    "fill": "y.fill(1)", "sort": "y.sort()", "partition": "y.partition(1)", "put": "y.put([0], 0)",
    "resize": "y.resize((2, 8))",
}  # fmt: skip
STATEMENTS = {*WRITES, *CHANGES.values(), "rng.shuffle(y)"}


class Outcome(NamedTuple):
    """Whether a line compiles: "yes", "guarded" (NumPy makes other steps), or why it doesn't."""

    line: str
    kind: str
    why: str = ""


def layer_of(line: str) -> Layer:
    """Return a layer that runs a line: an expression, or a statement that changes y."""
    result = line if line in STATEMENTS else f"y = {line}"
    source = (
        "def forward(self, x, *, training=True):\n"
        "    y, m, n, r, rng = x.copy(), x > 0, x.argmax(1), np.arange(4), self.rng\n"
        f"    {result}\n"
        "    return y\n"
    )
    scope = {"np": np, "TABLE": np.arange(16.0).reshape(4, 4)}
    exec(compile(source, "layer.py", "exec"), scope)
    layer: Layer = type("Layer", (Layer,), {"forward": scope["forward"]})(name="layer")
    vars(layer)["rng"] = np.random.default_rng(3)
    return layer


def numbers(found: Any) -> list[Any]:
    """Return the arrays in a result."""
    items = found if isinstance(found, (tuple, list)) else [found]
    return [np.asarray(item) for item in items]


def by_numpy(line: str, x: np.ndarray) -> list[Any] | None:
    """Return NumPy's own result; None if the line doesn't run, or gives no numbers."""
    try:
        with np.errstate(all="ignore"):
            found = numbers(layer_of(line).forward(x.copy()))
    except Exception:
        return None
    return found if all(a.dtype.kind in "fibc" for a in found) else None


def outcome(line: str) -> Outcome:
    """Record a line, and compare its program with NumPy for other data."""
    layer, kind = layer_of(line), "yes"
    try:
        with Recording([layer]) as recording, np.errstate(all="ignore"):
            draws = note_draws(layer, recording)
            y = layer.forward(recording.given(ROWS[0].copy()))
            draws.check()
            program = recording.finish({"y": y})
        for x in ROWS:
            rngs = [np.random.default_rng(3)] * len(draws)
            given = [array[0] for array in drawn(draws, rngs, 1)]
            with precisely():
                ours = program.run((x, numbers_of(draws, given)))
            if not ours["ok"]:
                kind = "guarded"
                continue
            found, expected = numbers(ours["y"]), by_numpy(line, x)
            if expected is None:  # an error of NumPy's: its step is made where J isn't finite
                assert not all(np.isfinite(a).all() for a in found), line
                kind = "guarded"
                continue
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=line)
    except NotCompilableError as error:
        return Outcome(line, "no", str(error))
    return Outcome(line, kind)


def functions(space: Any, prefix: str) -> list[Outcome]:
    """Return an outcome for each function that gives numbers for one of `CALLS`."""
    found = []
    for name in sorted(space.__all__):
        function = getattr(space, name)
        if not callable(function) or inspect.isclass(function) or NO_ARITHMETIC.search(name):
            continue
        calls = ["f(x, x)", *CALLS] if isinstance(function, np.ufunc) else CALLS
        found += first_of([f"{prefix}{name}{call[1:]}" for call in calls], name)
    return found


def methods() -> list[Outcome]:
    """Return an outcome for each method or attribute of an array."""
    lines = {name: [call.replace(".f", f".{name}") for call in METHOD_CALLS] for name in METHODS}
    return [
        outcome._replace(line=name)
        for name in METHODS
        for outcome in first_of([CHANGES[name]] if name in CHANGES else lines[name], name)
    ]


def first_of(lines: Any, name: str) -> list[Outcome]:
    """Return the outcome of the first line that NumPy runs, under a name; none if there is none."""
    for line in lines:
        if by_numpy(line, ROWS[0]) is not None:
            return [outcome(line)._replace(line=name)]
    return []


def described(title: str, outcomes: list[Outcome]) -> str:
    """Return a section: what is compiled, what has conditions, and what is refused and why."""
    parts = [f"## {title}", ""]
    for kind, label in (("yes", "Compiled"), ("guarded", "Compiled, but NumPy makes some steps")):
        if names := [f"`{o.line}`" for o in outcomes if o.kind == kind]:
            parts += [f"{label}: {', '.join(names)}.", ""]
    refused: dict[str, list[str]] = {}
    for o in outcomes:
        if o.kind == "no":
            why = o.why.partition("can't be compiled: ")[2].removeprefix(f"np.{o.line}: ")
            refused.setdefault(why.replace("|", r"\|"), []).append(f"`{o.line}`")
    if refused:
        parts += ["| refused | the message |", "| --- | --- |"]
        parts += [f"| {', '.join(names)} | {why} |" for why, names in refused.items()]
    return "\n".join([*parts, ""])


def table() -> str:
    """Return the sections, made by running each line."""
    given = {
        "Functions": functions(np, "np."),
        "Functions of `np.linalg`": functions(np.linalg, "np.linalg."),
        "Functions of `np.fft`": functions(np.fft, "np.fft."),
        "Methods and attributes of an array": methods(),
        "Reading by an index": [outcome(line) for line in READS],
        "Writing": [outcome(line) for line in WRITES],
        "Random draws": [outcome(f"rng.{line}")._replace(line=f"rng.{line}") for line in DRAWS],
    }
    made = f"Made with NumPy {np.__version__} and JAX {jax.__version__}.\n"
    return "\n".join([made, *(described(*section) for section in given.items())])


if __name__ == "__main__":
    page = PAGE.read_text()
    before, rest = page.split(START)
    PAGE.write_text(f"{before}{START}\n\n{table()}\n{END}{rest.partition(END)[2]}")
