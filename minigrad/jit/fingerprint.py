"""What a recorded program has in it, in a form to compare: the key under which it is kept.

A program takes arrays, such as the parameters, as inputs. All else that its code reads is a
constant in it: a layer's options, a loss's weights, whether a parameter is trainable. When one of
these changes, the step is recorded again.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any
from weakref import ref

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer, walk
from minigrad.core.loss import Loss
from minigrad.core.parameters import Parameter
from minigrad.regularizers import Regularizer

_CHANGING = {
    "cache", "trainer", "_parameters", "_places", "validation_seed", "_building",  # of layers
    "state", "steps", "learning_rate", "_first",  # of optimizers
}  # fmt: skip
"""Attributes that are inputs of a program, or don't matter to it."""


def fingerprint(*objects: Any) -> Any:
    """Return something comparable for the attributes of some objects, and of the layers inside."""
    layers = [layer for x in objects if isinstance(x, Layer) for _, layer in walk(x)]
    others = [x for x in objects if not isinstance(x, Layer)]
    return tuple((type(x), _comparable(_options(x))) for x in (*layers, *others))


def _options(x: Any) -> dict[str, Any]:
    skipped = {*_CHANGING, *getattr(x, "buffers", ())}
    return {name: value for name, value in vars(x).items() if name not in skipped}


def _comparable(value: Any) -> Any:
    if isinstance(value, (bool, int, float, str, bytes, type(None), np.generic, np.dtype)):
        return value
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, blake2b(value.tobytes()).digest()
    if isinstance(value, (tuple, list)):
        return tuple(_comparable(item) for item in value)
    if isinstance(value, dict):
        return tuple((name, _comparable(item)) for name, item in value.items())
    if isinstance(value, Parameter):
        return value.shape, value.trainable, _comparable(value.regularizer), _Same(value.source)
    if isinstance(value, (Loss, Regularizer)):
        return type(value), _comparable(_options(value))
    return _Same(value)


class _Same:
    """An object, compared by identity: it equals nothing after its end, when its id may return."""

    def __init__(self, x: object) -> None:
        self._id = id(x)
        try:
            self._get: Callable[[], object] = ref(x)
        except TypeError:
            self._get = lambda: x

    @override
    def __eq__(self, other: object) -> bool:
        x = self._get()
        return isinstance(other, _Same) and x is not None and x is other._get()

    @override
    def __hash__(self) -> int:
        return self._id
