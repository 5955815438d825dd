"""NumPy's default generator in XLA: what `Generator.random` draws from a PCG64, bit for bit.

A step gives the state s, of 128 bits, the value a s + c. An output is 64 bits of the new state,
mixed. The state after k steps is found at once, so each output is computed without those before:

    s_k = a^k s + (1 + a + ... + a^(k-1)) c    (mod 2^128)

Source: O'Neill, PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for
Random Number Generation, 2014. It is the variant XSL RR 128/64.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import isqrt, prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_A = 0x2360ED051FC65DA44385DF649FCCF645
_WORD = 2**64 - 1
_ALL = 2**128 - 1
_FEWEST = 1024
"""NumPy draws fewer numbers as fast as Python passes a state on, and nothing is jitted."""


class GeneratorState(NamedTuple):
    """The state of a PCG64: s, c, and the half of an output that a 32-bit number has left."""

    s: int
    c: int
    has_half: int
    half: int

    @classmethod
    def of(cls, source: Any) -> GeneratorState:
        """Return the state of NumPy's bit generator."""
        state = source.state
        numbers = state["state"]
        return cls(numbers["state"], numbers["inc"], state["has_uint32"], state["uinteger"])

    def give(self, source: Any) -> None:
        """Give NumPy's bit generator this state."""
        source.state = {
            "bit_generator": "PCG64",
            "state": {"state": self.s, "inc": self.c},
            "has_uint32": self.has_half,
            "uinteger": self.half,
        }

    @property
    def words(self) -> tuple[int, ...]:
        """The state as six words of 64 bits."""
        s, c, has_half, half = self
        return s >> 64, s & _WORD, c >> 64, c & _WORD, has_half, half

    def after(self, count: int, dtype: Any) -> GeneratorState:
        """Return the state after `Generator.random` has drawn so many numbers, at least one."""
        s, c, has_half, half = self
        halves = count - has_half
        steps = count if dtype == np.float64 else (halves + 1) // 2
        power, powers = _jump(steps)
        s = (power * s + powers * c) & _ALL
        if dtype == np.float32:
            has_half = halves % 2
            if steps:
                half = int(_output(np.uint64(s >> 64), np.uint64(s & _WORD)) >> 32)
        return GeneratorState(s, c, has_half, half)


def computes(rng: Any, method: str, numbers: Any) -> bool:
    """Return whether `random` computes what a method of a generator has drawn."""
    return (
        method == "random"
        and type(rng) is np.random.Generator
        and type(rng.bit_generator) is np.random.PCG64
        and isinstance(numbers, np.ndarray)
        and numbers.size >= _FEWEST
    )


def random(words: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """Return what `Generator.random(shape, dtype)` draws in a state, given by its words."""
    count = prod(shape)
    if dtype == "float64":
        numbers = _outputs(words, count)[:count] >> 11
        return (numbers.astype(dtype) * 2.0**-53).reshape(shape)
    outputs = _outputs(words, count // 2 + 1)
    halves = jnp.stack([outputs & (2**32 - 1), outputs >> 32], axis=1)
    halves = jnp.concatenate([words[5:], halves.reshape(-1)])
    halves = jax.lax.dynamic_slice_in_dim(halves, 1 - words[4].astype(int), count) >> 8
    return (halves.astype(dtype) * 2.0**-24).reshape(shape)


def _outputs(words: Any, count: int) -> Any:
    """Return the next outputs of a state, at least so many.

    They are a table: the states in its first column are computed first, from these the others.
    """
    columns = isqrt(count - 1) + 1
    rows = -(-count // columns)
    powers, sums = _pairs([_jump(1 + row * columns) for row in range(rows)])
    _, more = _pairs([_jump(column) for column in range(columns)])
    (factor,) = _pairs([(_A - 1,)])

    def table() -> Any:
        s, c = words[:2], words[2:4]
        first = _sum(_product(powers, s), _product(sums, c))
        change = _sum(_product(factor, first), c)  # s_k = s + (1 + a + ...) ((a - 1) s + c)
        first, change = ([word[:, None] for word in pair] for pair in (first, change))
        return _output(*_sum(first, _product(more, change)))

    # XLA would compute them again for each use, but not a branch. It can't tell that c is odd.
    zeros = jnp.zeros((rows, columns), np.uint64)
    return jax.lax.cond(words[3] % 2 == 1, table, lambda: zeros).reshape(-1)


def _output(high: Any, low: Any) -> Any:
    """Return the output of a state: its words' XOR, rotated by the highest six bits."""
    word, turn = high ^ low, high >> 58
    return (word >> turn) | (word << (64 - turn & 63))


@cache
def _jump(steps: int) -> tuple[int, int]:
    """Return a^steps and 1 + a + ... + a^(steps - 1)."""
    power = pow(_A, steps, (_A - 1) << 128)
    return power & _ALL, (power - 1) // (_A - 1)


def _pairs(rows: Sequence[tuple[int, ...]]) -> list[Any]:
    """Return each column of some numbers of 128 bits as two arrays of words: high and low."""
    words = [[[x >> 64, x & _WORD] for x in column] for column in zip(*rows, strict=True)]
    return [np.array(column, np.uint64).T for column in words]


def _sum(a: Any, b: Any) -> Any:
    low = a[1] + b[1]
    return a[0] + b[0] + (low < b[1]).astype(low.dtype), low


def _product(a: Any, b: Any) -> Any:
    """Multiply the low words by halves, since XLA has no product of 128 bits."""
    half = 2**32 - 1
    a_high, a_low, b_high, b_low = a[1] >> 32, a[1] & half, b[1] >> 32, b[1] & half
    middle = a_high * b_low + (a_low * b_low >> 32)
    other = a_low * b_high + (middle & half)
    high = a_high * b_high + (middle >> 32) + (other >> 32)
    return high + a[0] * b[1] + a[1] * b[0], a[1] * b[1]
