"""What several test files use: `from helpers import says`."""

import pickle
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import Layer, Parameter
from minigrad.checks.rules import Candidate, by_name
from minigrad.core.layer import walk
from minigrad.layers.pooling import GlobalPooling
from minigrad.layers.recurrent import Recurrent

_WITH_JAX = pytest.mark.skipif(find_spec("jax") is None, reason="JAX isn't installed")
ENGINES = ["numpy", pytest.param("jax", marks=[pytest.mark.slow, _WITH_JAX])]


def masked(layer: Layer, shape: Any) -> bool:
    """Whether an example takes a mask or a state, which `to_torch` and `to_keras` refuse."""
    kinds = Recurrent, GlobalPooling, minigrad.Bidirectional, minigrad.MultiHeadAttention
    takes = isinstance(layer, kinds) and isinstance(shape[0], tuple) and len(shape) == 2
    states = getattr(layer, "initial_state", False) or getattr(layer, "return_state", False)
    return states or isinstance(layer, minigrad.Mask) or (takes and len(shape[1]) == 1)


@contextmanager
def says(error: type[Exception] | tuple[type[Exception], ...], *parts: str) -> Iterator[Any]:
    """Expect an error whose message contains all parts: names, numbers, and what to do."""
    with pytest.raises(error) as caught:
        yield caught
    for part in parts:
        assert part in str(caught.value)


def slow(*values: Any) -> Any:
    """Return a set of parameters that only `-m slow` runs."""
    return pytest.param(*values, marks=pytest.mark.slow)


def all_slow_but(values: Iterable[Any], *fast: Any) -> list[Any]:
    """Return the values as parameters of a test, all of them slow but the fast ones."""
    return [value if value in fast else slow(value) for value in values]


def torch_script(part: str) -> Any:
    """Return a script of `reference/`, which runs the installed PyTorch; skip without it."""
    pytest.importorskip("torch")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).with_name("reference"))
        return import_module(f"torch_{part}")


def rows_for(layer: Layer, shape: tuple[Any, ...], rows: int = 5, *, seed: int = 1) -> Any:
    """Return rows of input: random numbers, or for several inputs a dict as `model_of` takes."""
    candidate = Candidate(layer, shape)
    return by_name(candidate.model(), candidate.x(rows=rows, seed=seed))


def varied(model: Any) -> Any:
    """Return a model whose parameters and buffers aren't at their initial values."""
    rng = np.random.default_rng(0)
    for p in model.parameters:
        p.value = p.value + rng.normal(size=p.shape, scale=0.3)
    for _, layer in walk(model):
        for name in layer.buffers:
            getattr(layer, name)[...] = rng.uniform(0.5, 2, size=getattr(layer, name).shape)
    return model


def tensors(model: Any, x: Any) -> list[Any]:
    """Return the inputs in order, as leaves that require gradients unless they are ids."""
    torch = pytest.importorskip("torch")
    cast = model.cast(x, model.dtype)
    arrays = [*cast.values()] if isinstance(cast, dict) else [cast]
    made = [torch.from_numpy(np.array(a)) for a in arrays]
    return [t.long() if t.dtype == torch.int64 else t.requires_grad_() for t in made]


def through_pickle(instance: Any) -> Any:
    """Return a copy made by pickle."""
    return pickle.loads(pickle.dumps(instance))


class DLPack:
    """An array that has `__dlpack__` and nothing else."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


class Scale(Layer):
    """Multiplies each feature by a factor."""

    def build(self, input_shape, rng):
        self.factor = Parameter(np.ones(input_shape))
        return input_shape

    def forward(self, x, *, training=True):
        if training:
            self.cache = x
        return x * self.factor.value

    def backward(self, delta):
        self.factor.grad = (delta * self.cache).sum(axis=0)
        return delta * self.factor.value


class Swish(Layer):
    """x sigmoid(beta x), where beta is trained."""

    def build(self, input_shape, rng):
        self.beta = Parameter(1.0)
        return input_shape

    def forward(self, x, *, training=True):
        s = 1 / (1 + np.exp(-self.beta.value * x))
        if training:
            self.cache = x, s
        return x * s

    def backward(self, delta):
        x, s = self.cache
        self.beta.grad = (delta * x * x * s * (1 - s)).sum()
        return delta * (s + self.beta.value * x * s * (1 - s))


EXAMPLES = sorted((Path(minigrad.__file__).parent.parent / "examples").glob("*.py"))
REDUCIBLE = [path for path in EXAMPLES if "\nEPOCHS = " in path.read_text()]


def run_example(path: Path, monkeypatch: pytest.MonkeyPatch, *, full: bool = True) -> None:
    """Run an example with a file for its picture; if not `full`, small and without its asserts."""
    source = path.read_text()
    for module in re.findall(r"^(?:from|import) (sklearn|scipy|onnxruntime|torch)", source, re.M):
        pytest.importorskip(module)
    if 'engine="jax"' in source:
        pytest.importorskip("jax")
    picture = ["picture.svg"] if find_spec("matplotlib") else []
    monkeypatch.setattr(sys, "argv", [str(path), *picture])
    if not full:
        source = re.sub(r"^EPOCHS = .*", "EPOCHS = 1", source, flags=re.M)
        source = re.sub(r"^ROWS = .*", "ROWS = 100", source, flags=re.M)
    code = compile(source, path, "exec", optimize=0 if full else 1)
    exec(code, {"__name__": "__main__", "__file__": str(path)})
    assert Path("picture.svg").exists() == bool(picture and "sys.argv" in source)
