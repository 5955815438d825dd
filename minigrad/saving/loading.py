"""Loading a model; what it takes is imported by the call, so that `import minigrad` stays quick."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minigrad.core.model import Sequential


def load(
    path: str | os.PathLike[str],
    *,
    custom_objects: Mapping[str, Callable[..., Any]] | None = None,
) -> Sequential:
    """Return the model that `Sequential.save` wrote; `fit` then goes on in the same bits.

    Nothing in the file is run or imported: its classes are looked up among the registered ones
    and `custom_objects`, of which only subclasses of `Layer`, `Loss`, `Optimizer` and the like are
    made, and no function is called. Shapes are compared before memory is taken for them, in each
    layer that makes its arrays with `Layer.initial`, as those of this package do; another custom
    layer takes what its `build` asks for.

    Args:
        path: the file.
        custom_objects: by name, the classes that aren't registered, and the functions that were
            metrics or initializers, of which a file holds the name alone.

    Raises:
        FileFormatError: anything about the file is wrong, it comes from a newer minigrad, or it
            names a class or function that isn't known.
        OSError: the file can't be read.

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from minigrad import Dense, Sequential
    >>> model = Sequential([Dense(3, activation="tanh"), Dense(1)], input_shape=(2,), rng=4)
    >>> x = np.ones((5, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "net.safetensors")
    ...     model.save(path)
    ...     copy = load(path)
    >>> bool((copy.predict(x) == model.predict(x)).all())
    True
    """
    from minigrad.saving import safetensors
    from minigrad.saving.rebuilding import described, rebuild
    from minigrad.saving.weights import refusing

    tensors, metadata = safetensors.load(path)
    with refusing(path):
        return rebuild(described(metadata), tensors, custom_objects or {})
