"""A line of the story is one number, and the sum or the formula that made it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Array, Shape

Phase: TypeAlias = Literal["forward", "loss", "backward"]
Factors: TypeAlias = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Symbol:
    """What an array is called, and the gradient of J with respect to it.

    `units_of` is the array before it whose units it has: z1 for the a1 that an activation makes.
    """

    name: str
    delta: str
    shape: Shape
    units_of: str

    @property
    def size(self) -> int:
        """How many numbers it has in a row."""
        return prod(self.shape)


@dataclass(frozen=True)
class Term:
    """A product of named numbers, such as x[0] w1[0,2]."""

    factors: Factors
    value: float


@dataclass(frozen=True)
class Line:
    """One number: its name, its value, and what it is made of.

    Either `terms`, of which it is the sum, or `formula`, with numbers in the place of names; a
    layer of which nothing more is known leaves both empty. `omitted` counts the terms that are
    too small to be told, and `rest` is their sum.
    """

    name: str
    value: float
    terms: tuple[Term, ...] = ()
    omitted: int = 0
    rest: float = 0.0
    formula: str = ""


@dataclass(frozen=True)
class Limit:
    """How many numbers are told: all where they are at most `most`, of more the largest `few`."""

    most: int
    few: int = 4

    def of(self, size: int) -> int:
        """Return how many of `size` numbers to tell."""
        return size if size <= self.most else min(self.few, self.most)


@dataclass(frozen=True)
class Step:
    """One array of the computation: what it is, and a line for each number in it.

    Args:
        phase: "forward", "loss" or "backward".
        path: the layer's, such as 'residual_1.dense_1'.
        title: what is computed, in words.
        equation: the same for any unit k, such as "z1[k] = b1[k] + Σ_j x[j] w1[j,k]".
        tag: the tutorial's equation that it is, such as "8"; "as 8" takes its place here.
        name: of the array, such as "z1".
        symbol: of the array whose units the numbers belong to, as z1 for z1 and δ1; None for
            gradients of parameters and for the loss.
        shape: of the array for one row.
        values: gives the array for a row.
        tell: makes the line of one number, as `line` returns it.
    """

    phase: Phase
    path: str
    title: str
    equation: str
    tag: str
    name: str
    symbol: Symbol | None
    shape: Shape
    values: Callable[[int], Array]
    tell: Callable[[int, int, Limit], Line]

    @property
    def size(self) -> int:
        """How many numbers the array has."""
        return prod(self.shape)

    def line(self, row: int, index: int, limit: Limit) -> Line:
        """Return the line of one number: for a row, by its flat index, with so many terms."""
        with np.errstate(all="ignore"):
            return self.tell(row, index, limit)


def at(name: str, shape: Shape, index: int | str, row: int | None = None) -> str:
    """Name one number of an array, by its flat index for one row.

    >>> at("w1", (2, 3), 5), at("J", (), 0), at("z1", (3,), "k"), at("z1", (3,), 2, row=4)
    ('w1[1,2]', 'J', 'z1[k]', 'z1[row 4,2]')
    """
    if isinstance(index, str):
        return f"{name}[{index}]" if shape else name
    place = ",".join(str(int(i)) for i in np.unravel_index(index, shape)) if shape else ""
    if row is not None:
        place = f"row {row},{place}".rstrip(",")
    return f"{name}[{place}]" if place else name


def number(value: float) -> str:
    """Write a number to six significant digits.

    >>> number(0.1234567), number(2.0), number(-1.5e-7)
    ('0.123457', '2', '-1.5e-07')
    """
    return f"{value + 0.0:.6g}"  # no "-0"


def largest(values: NDArray[Any], most: int) -> list[int]:
    """Return the indices of the largest magnitudes, in order of the indices.

    >>> largest(np.array([0.1, -3.0, 0.0, 2.0]), 2)
    [1, 3]
    """
    if values.size <= most:
        return list(range(values.size))
    order = np.argsort(-np.abs(values.ravel()), kind="stable")[:most]
    return sorted(int(i) for i in order)


def summed(
    name: str,
    value: float,
    products: Array,
    factors: Callable[[int], Factors],
    *,
    limit: Limit,
    first: tuple[Term, ...] = (),
    last: tuple[Term, ...] = (),
) -> Line:
    """Make the line of a sum: the largest of its products, and what the others sum to.

    Args:
        name: of the sum.
        value: its value.
        products: all products, of shape (n,).
        factors: names the factors of one of them.
        limit: of the products to tell.
        first: terms that are told in any case, before the products.
        last: and after them.
    """
    told = largest(products, limit.of(products.size))
    others = np.ones(products.size, dtype=bool)
    others[told] = False
    terms = (Term(factors(i), float(products[i])) for i in told)
    return Line(
        name,
        float(value),
        (*first, *terms, *last),
        omitted=int(others.sum()),
        rest=float(products[others].sum(dtype=np.float64)),
    )


def flat_index(name: str, shape: Shape) -> int:
    """Return the flat index that `at` wrote into a name.

    >>> flat_index("w1[1,2]", (2, 3))
    5
    """
    _, _, place = name.rstrip("]").rpartition("[")
    return flat(tuple(map(int, place.split(","))), shape, name) if shape else 0


def flat(index: int | tuple[int, ...], shape: Shape, owner: str) -> int:
    """Return an index of an array of this shape as a flat one.

    Raises:
        ValueError: it lies outside.

    >>> flat((1, 2), (2, 3), "dense_1.weight")
    5
    """
    place = index if isinstance(index, tuple) else (index,)
    if len(place) != len(shape) or not all(0 <= i < n for i, n in zip(place, shape, strict=True)):
        raise ValueError(f"'{owner}' has shape {shape}, so it has no index {index}")
    return int(np.ravel_multi_index(place, shape)) if shape else 0
