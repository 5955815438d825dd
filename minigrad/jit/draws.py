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
from minigrad.jit.program import refusal
from minigrad.jit.recorded import Recorded, concrete, is_constant
from minigrad.jit.recording import Recording
from minigrad.util.random import RNG, is_rng, rng_state


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


def note_draws(network: Layer, recording: Recording) -> Draws:
    """Replace the generators of a network's layers, and return a list that their draws go to."""
    draws = Draws()
    for number, (_, layer) in enumerate(walk(network)):
        for name, rng in [*vars(layer).items()]:
            if is_rng(rng):
                draws.leave(rng, layer, name)
                setattr(layer, name, _NotingRNG(recording, draws, (number, name), rng, layer))
    return draws


class Draws(list[Draw]):
    """The draws, and the state in which each generator was left."""

    def __init__(self) -> None:
        self._left: dict[Any, tuple[Layer, str, str]] = {}

    def leave(self, rng: RNG, layer: Layer, name: str) -> None:
        """Remember the state of a layer's generator after a draw that is noted."""
        self._left[rng] = layer, name, repr(rng_state(rng))

    def check(self) -> None:
        """Refuse draws by another way than the layer's attribute, which aren't noted."""
        for rng, (layer, name, state) in self._left.items():
            if repr(rng_state(rng)) != state:
                raise refusal(
                    f"it draws from self.{name} by another name, such as a method that it keeps",
                    f"call a method of self.{name}",
                    owner=layer.label,
                )


class _NotingRNG:
    """Stands for a layer's generator: what it draws becomes an input of the program."""

    def __init__(
        self, recording: Recording, draws: Draws, place: Any, rng: RNG, owner: Layer
    ) -> None:
        self._recording, self._draws = recording, draws
        self._place, self._rng, self._owner = place, rng, owner

    def __getattr__(self, method: str) -> Any:
        def draw(*arguments: Any, **options: Any) -> Any:
            target = options.pop("out", None)
            if not is_constant((arguments, options)):
                raise refusal(f"rng.{method} of recorded numbers", "draw, and compute with these")
            arguments, options = concrete((arguments, options))
            if target is not None:
                if not isinstance(target, Recorded):
                    raise refusal(
                        f"rng.{method}(out=) writes into an array that was made before",
                        "make it in this method by np.empty(...)",
                    )
                options |= {"size": target.shape, "dtype": target.dtype.type}
                target[...] = draw(*arguments, **options)
                return target
            self._draws.check()
            c = getattr(self._rng, method)(*arguments, **options)
            self._draws.leave(self._rng, self._owner, self._place[1])
            if not isinstance(c, (np.ndarray, np.generic, int, float)):
                raise refusal(f"rng.{method} gives no numbers", "draw from the generator itself")
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
    states: dict[Any, pcg64.GeneratorState] = {}  # the generators are given them only in the end
    for i in range(count):
        for array, draw, rng in zip(arrays, draws, rngs, strict=True):
            if draw.computed:
                source = rng.bit_generator
                state = states.get(source) or pcg64.GeneratorState.of(source)
                array[i] = state.words
                states[source] = state.after(draw.numbers.size, draw.numbers.dtype)
            else:
                _give(states)  # before NumPy draws from the same generator
                array[i] = draw.draw(rng)
    _give(states)
    return arrays


def _give(states: dict[Any, pcg64.GeneratorState]) -> None:
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
