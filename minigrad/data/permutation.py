"""Random orders of rows, for data of any size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minigrad.util.random import RNG

_MOST_HELD = 2**21
"""Of more rows than this an order is computed where it is asked for, not held."""
_ROUNDS = 6


def random_order(rows: int, rng: RNG) -> NDArray[np.intp] | ComputedOrder:
    """Return a new random order: all row numbers, each once, of which slices can be taken.

    >>> sorted(random_order(5, np.random.default_rng(0))[:5].tolist())
    [0, 1, 2, 3, 4]
    """
    return rng.permutation(rows) if rows <= _MOST_HELD else ComputedOrder(rows, rng)


class ComputedOrder:
    """An order that takes no memory: a keyed one-to-one map from places to row numbers.

    A Feistel network maps 4^h numbers onto themselves; one that falls beyond the last row is
    mapped again, until it doesn't.
    Source: Black and Rogaway, Ciphers with arbitrary finite domains, CT-RSA 2002, section 3.

    Args:
        rows: how many; any number.
        rng: gives the key.

    >>> sorted(ComputedOrder(5, np.random.default_rng(0))[:].tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(self, rows: int, rng: RNG) -> None:
        self.rows = rows
        self._half = np.uint64(max(1, -(-(rows - 1).bit_length() // 2)))
        self._keys = np.frombuffer(rng.bytes(8 * _ROUNDS), "<u8")

    def __getitem__(self, place: slice) -> NDArray[np.intp]:
        index = self._mapped(np.arange(*place.indices(self.rows), dtype=np.uint64))
        while (beyond := index >= self.rows).any():
            index[beyond] = self._mapped(index[beyond])
        return index.astype(np.intp)

    def _mapped(self, index: NDArray[np.uint64]) -> NDArray[np.uint64]:
        half = self._half
        mask = (np.uint64(1) << half) - np.uint64(1)
        left, right = index >> half, index & mask
        for key in self._keys:
            left, right = right, left ^ (_mixed(right + key) & mask)
        return left << half | right


def _mixed(v: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return numbers whose every bit depends on all of v's (SplitMix64; Steele et al. 2014)."""
    v = (v ^ v >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    v = (v ^ v >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return v ^ v >> np.uint64(31)
