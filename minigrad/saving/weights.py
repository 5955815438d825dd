"""The weights of a model: its parameters and buffers by path, written to a file and read back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer, walk
from minigrad.models.sharing import first_paths
from minigrad.saving import safetensors
from minigrad.saving.safetensors import FileFormatError
from minigrad.util.atomic import StrPath, atomic_write, check_path
from minigrad.util.names import join
from minigrad.util.serialization import Arrays

_OTHER = ("optimizer.", "history.", "array.")  # prefixes of the other tensors in a saved model


def save_weights(model: Layer, path: StrPath) -> None:
    """Write the parameters and buffers of a model; see `Model.save_weights`."""
    atomic_write(path, safetensors.dumps(arrays_of(model)))


def load_weights(model: Layer, path: StrPath) -> None:
    """Read the parameters and buffers of a model; see `Model.load_weights`."""
    _ = model.parameters  # an unbuilt model raises here, before a file is read
    own = arrays_of(model)
    tensors, _ = safetensors.load(path)
    with refuse(path):
        given = {n: t for n, t in tensors.items() if n in own or not n.startswith(_OTHER)}
        fill(own, given, casting="same_kind")


def arrays_of(model: Layer) -> Arrays:
    """Return the parameters and buffers by path; a shared parameter has its first path only."""
    arrays: Arrays = {}
    shared = first_paths(model)
    for path, parameter in model.named_parameters():
        if path not in shared:
            put(arrays, path, parameter.value)
    for path, layer in walk(model):
        for name in layer.buffers:
            put(arrays, join(path, name), getattr(layer, name))
    return arrays


def put(arrays: Arrays, name: str, array: NDArray[Any]) -> None:
    """Add an array under a name that isn't taken."""
    if name in arrays:
        raise ValueError(f"two arrays are named '{name}': give each layer a name of its own")
    arrays[name] = array


def fill(
    own: Arrays, given: Mapping[str, NDArray[Any]], *, casting: Literal["no", "same_kind"]
) -> None:
    """Copy `given` into the arrays `own` of a model, all of them or none if one doesn't fit."""
    problems = [f"'{name}' is missing" for name in own if name not in given]
    cast: Arrays = {}
    for name, array in given.items():
        if name not in own:
            problems.append(f"'{name}' isn't in the model")
            continue
        target = own[name]
        if array.shape != target.shape:
            problems.append(f"'{name}' has shape {array.shape}, expected {target.shape}")
        elif not np.can_cast(array.dtype, target.dtype, casting):
            problems.append(f"'{name}' has dtype {array.dtype}, expected {target.dtype}")
        else:
            with np.errstate(over="ignore"):
                cast[name] = array.astype(target.dtype, copy=False)
            if np.isinf(cast[name]).sum() > np.isinf(array).sum():
                problems.append(f"'{name}' holds a number too large for {target.dtype}")
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ValueError(f"the file doesn't fit the model: {'; '.join(problems[:5])}{more}")
    for name, array in cast.items():
        own[name][...] = array


@contextmanager
def refuse(path: StrPath) -> Iterator[None]:
    """Turn any error about the contents of a file into a `FileFormatError`."""
    try:
        yield
    except Exception as error:  # a constructor that is given wrong options may raise any
        text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise FileFormatError(f"{check_path(path)!r}: {text[:2000]}") from error
