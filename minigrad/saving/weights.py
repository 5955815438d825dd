"""A model's parameters and buffers by name: the arrays that a file holds of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer, walk
from minigrad.saving import safetensors
from minigrad.saving.errors import FileFormatError
from minigrad.util.atomic import atomic_write
from minigrad.util.paths import join

Tensors: TypeAlias = dict[str, NDArray[Any]]

BESIDE = ("optimizer.", "history.", "array.")
"""What the names of a saved model's other tensors begin with."""


def save_weights(model: Layer, path: str | os.PathLike[str]) -> None:
    """Write the parameters and buffers; see `Sequential.save_weights`."""
    atomic_write(path, safetensors.dumps(arrays_of(model)))


def load_weights(model: Layer, path: str | os.PathLike[str]) -> None:
    """Take the parameters and buffers from a file; see `Sequential.load_weights`."""
    _ = model.parameters  # raises before a file is read, if the model isn't built
    own = arrays_of(model)
    tensors, _ = safetensors.load(path)
    with refusing(path):
        given = {n: t for n, t in tensors.items() if n in own or not n.startswith(BESIDE)}
        fill(own, given, casting="same_kind")


def arrays_of(model: Layer) -> Tensors:
    """Return the live arrays by path, a shared parameter under its first path alone.

    Raises:
        ValueError: two of them have the same path.

    >>> from minigrad import Dense, Sequential
    >>> list(arrays_of(Sequential([Dense(3)], input_shape=(2,), rng=4)))
    ['dense_1.weight', 'dense_1.bias']
    """
    arrays: Tensors = {}
    shared = first_paths(model)
    for path, parameter in model.named_parameters():
        if path not in shared:
            put(arrays, path, parameter.value)
    for path, layer in walk(model):
        for name in layer.buffers:
            put(arrays, join(path, name), getattr(layer, name))
    return arrays


def first_paths(model: Layer) -> dict[str, str]:
    """Return, for each further path of a shared parameter, its first one."""
    first: dict[int, str] = {}
    paths = [(path, first.setdefault(id(p), path)) for path, p in model.named_parameters()]
    return {path: earlier for path, earlier in paths if path != earlier}


def put(arrays: Tensors, name: str, array: NDArray[Any]) -> None:
    """Add an array under a name that is still free."""
    if name in arrays:
        raise ValueError(f"two arrays are named '{name}': give each layer a name of its own")
    arrays[name] = array


def fill(
    own: Tensors, given: Mapping[str, NDArray[Any]], *, casting: Literal["no", "same_kind"]
) -> None:
    """Copy `given` into the arrays of a model, all or none.

    Raises:
        ValueError: one is missing, has no place, has another shape or dtype, or holds a number
            that the model's dtype can't.
    """
    problems = [f"'{name}' is missing" for name in own if name not in given]
    cast: Tensors = {}
    for name, array in given.items():
        if name not in own:
            problems.append(f"'{name}' has no place in the model")
            continue
        there = own[name]
        if array.shape != there.shape:
            problems.append(f"'{name}' has shape {array.shape}, the model's {there.shape}")
        elif not np.can_cast(array.dtype, there.dtype, casting):
            problems.append(f"'{name}' has dtype {array.dtype}, the model's {there.dtype}")
        else:
            try:
                with np.errstate(over="raise"):
                    cast[name] = array.astype(there.dtype, copy=False)
            except FloatingPointError:
                problems.append(f"'{name}' holds a number too large for the model's {there.dtype}")
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ValueError(f"it doesn't fit the model: {'; '.join(problems[:5])}{more}")
    for name, array in cast.items():
        own[name][...] = array


@contextmanager
def refusing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn whatever goes wrong over a file into the one documented error."""
    try:
        yield
    except Exception as error:  # a constructor that is given wrong options may raise any
        said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise FileFormatError(f"{os.fspath(path)!r}: {said[:2000]}") from error
