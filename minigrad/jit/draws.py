"""The random numbers that layers draw in a step: inputs of its program.

The recording notes each call of a layer's generator as a `Draw`. Before a jitted call, NumPy
repeats these calls for each step, so the generators move on as in a step by NumPy. Where `pcg64`
computes the numbers, the program is given the generator's state instead, and only the state moves
on here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from minigrad.checks.differences import Replay
from minigrad.core.layer import Layer, walk
from minigrad.data.arrays import Array
from minigrad.jit import pcg64
from minigrad.jit.recording import Recording
from minigrad.util.random import RNG, is_rng


class Draw(NamedTuple):
    """A call of a layer's random generator in a step: `numbers = generator.method(*arguments)`.

    A jitted step is given the numbers; or, if it can compute them, the generator's state.
    """

    layer: int
    attribute: str
    method: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    numbers: Any
    computed: bool

    @property
    def example(self) -> Any:
        """An array such as a jitted step is given."""
        return np.zeros(6, np.uint64) if self.computed else self.numbers

    def generator(self, network: Layer) -> RNG:
        """Return the generator in a network, or in a copy of it."""
        _, layer = [*walk(network)][self.layer]
        rng: RNG = vars(layer)[self.attribute]
        return rng

    def draw(self, rng: RNG) -> Any:
        """Draw the next numbers."""
        return getattr(rng, self.method)(*self.arguments, **self.options)


def note_draws(network: Layer, recording: Recording) -> list[Draw]:
    """Replace the generators of a network's layers, and return a list that their draws go to."""
    draws: list[Draw] = []
    for number, (_, layer) in enumerate(walk(network)):
        for name, rng in [*vars(layer).items()]:
            if is_rng(rng):
                setattr(layer, name, _NotingRNG(recording, draws, (number, name), rng))
    return draws


class _NotingRNG:
    """Stands for a layer's generator: what it draws becomes an input of the program."""

    def __init__(self, recording: Recording, draws: list[Draw], place: Any, rng: RNG) -> None:
        self._recording, self._draws = recording, draws
        self._place, self._rng = place, rng

    def __getattr__(self, method: str) -> Any:
        def draw(*arguments: Any, **options: Any) -> Any:
            c = getattr(self._rng, method)(*arguments, **options)
            layer, attribute = self._place
            computed = pcg64.computes(self._rng, method, c)
            self._draws.append(Draw(layer, attribute, method, arguments, options, c, computed))
            return self._recording.given(c)

        return draw


def drawn(draws: Sequence[Draw], rngs: Sequence[Any], count: int, capacity: int = 1) -> list[Array]:
    """Draw for `count` steps, and return what they are given: an array for each draw.

    The first axis of an array is the steps; it has room for `capacity`.
    """
    if not draws:
        return []
    examples = [np.asarray(draw.example) for draw in draws]
    arrays = [np.zeros((capacity, *example.shape), example.dtype) for example in examples]
    states: dict[Any, pcg64.State] = {}  # the generators are given them only in the end
    for i in range(count):
        for array, draw, rng in zip(arrays, draws, rngs, strict=True):
            if draw.computed:
                source = rng.bit_generator
                state = states.get(source) or pcg64.State.of(source)
                array[i] = state.words
                states[source] = state.after(draw.numbers.size, draw.numbers.dtype)
            else:
                _give(states)  # before NumPy draws from the same generator
                array[i] = draw.draw(rng)
    _give(states)
    return arrays


def _give(states: dict[Any, pcg64.State]) -> None:
    while states:
        source, state = states.popitem()
        state.give(source)


def numbers_of(draws: Sequence[Draw], given: Sequence[Any]) -> list[Any]:
    """Return the numbers of each draw, in a jitted step, from what it is given."""
    return [
        pcg64.random(one, draw.numbers.shape, draw.numbers.dtype.name) if draw.computed else one
        for draw, one in zip(draws, given, strict=True)
    ]


@contextmanager
def draws_taken_back(network: Layer) -> Iterator[None]:
    """Set the generators of a network's layers back at the end of the block."""
    replay = Replay(network)
    try:
        yield
    finally:
        replay()
