"""Copies of a model to try things on: in double precision, with random numbers that come again."""

from __future__ import annotations

import copy
from typing import TypeVar

import numpy as np

from minigrad.core.layer import Layer, walk
from minigrad.core.layer import Layer as Network
from minigrad.data.arrays import Shape
from minigrad.util.random import is_rng, rng_state, set_rng_state

N = TypeVar("N", bound=Network)


def in_double(model: N, input_shape: Shape) -> N:
    """Return a copy of a model in float64, built.

    >>> from minigrad import Dense, Sequential
    >>> in_double(Sequential([Dense(1)], dtype="float32"), (2,)).parameters.value.dtype
    dtype('float64')
    """
    twin = copy.deepcopy(model)
    twin.build_for(input_shape)
    twin.dtype = np.dtype(np.float64)
    twin.build_for(input_shape)
    return twin


class Rewind:
    """Makes the layers that draw random numbers draw those again that come next now.

    With it called before each pass, a network with `Dropout` is one function of its parameters.

    >>> from minigrad.layers import Dropout
    >>> layer, x = Dropout(0.5), np.ones((1, 8))
    >>> layer.build((8,), np.random.default_rng(0))
    (8,)
    >>> rewind = Rewind(layer)
    >>> first = layer.forward(x)
    >>> rewind()
    >>> bool((layer.forward(x) == first).all())
    True
    """

    def __init__(self, model: Layer) -> None:
        sources = [value for _, layer in walk(model) for value in vars(layer).values()]
        self._states = [(rng, rng_state(rng)) for rng in sources if is_rng(rng)]

    def __call__(self) -> None:
        for rng, state in self._states:
            set_rng_state(rng, state)
