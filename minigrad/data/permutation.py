"""Random permutations of the rows, for data of any size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minigrad.util.random import RNG

_MOST_IN_MEMORY = 2**21
"""The permutation of more rows than this is computed where it is read, not stored."""
_ROUNDS = 6


def random_permutation(rows: int, rng: RNG) -> NDArray[np.intp] | LazyPermutation:
    """Return all row numbers in a new random order, as something to take slices of."""
    return rng.permutation(rows) if rows <= _MOST_IN_MEMORY else LazyPermutation(rows, rng)


class LazyPermutation:
    """A permutation that takes no memory: a keyed bijection from positions to row numbers.

    A Feistel network permutes 4^h numbers. A result beyond the last row is permuted again until
    it is a row number.
    Source: Black and Rogaway, Ciphers with arbitrary finite domains, CT-RSA 2002, section 3.
    """

    def __init__(self, rows: int, rng: RNG) -> None:
        self.rows = rows
        self._half = np.uint64(max(1, -(-(rows - 1).bit_length() // 2)))
        self._keys = np.frombuffer(rng.bytes(8 * _ROUNDS), "<u8")

    def __getitem__(self, position: slice) -> NDArray[np.intp]:
        index = self._permute(np.arange(*position.indices(self.rows), dtype=np.uint64))
        while (beyond := index >= self.rows).any():
            index[beyond] = self._permute(index[beyond])
        return index.astype(np.intp)

    def _permute(self, index: NDArray[np.uint64]) -> NDArray[np.uint64]:
        half = self._half
        mask = (np.uint64(1) << half) - np.uint64(1)
        left, right = index >> half, index & mask
        for key in self._keys:
            left, right = right, left ^ (_mix(right + key) & mask)
        return left << half | right


def _mix(v: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return numbers whose every bit depends on all bits of v (SplitMix64; Steele et al. 2014)."""
    v = (v ^ v >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    v = (v ^ v >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return v ^ v >> np.uint64(31)
