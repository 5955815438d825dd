"""The steps of a pass: a step is one array, with a line for each number in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Array, Shape

Factor: TypeAlias = tuple[str, float]
Parts: TypeAlias = Callable[[int, int, "Limit"], "Sum | str"]

EQUATIONS: Final = {
    1: "E = 1/2 Σ_k (a[k] - t[k])^2",
    2: "∂E/∂a[k] = a[k] - t[k]",
    3: "∂E/∂w[j,k] = (a[k] - t[k]) g'(z[k]) ∂z[k]/∂w[j,k]",
    4: "∂E/∂w[j,k] = (a[k] - t[k]) g'(z[k]) a[j]",
    5: "δ[k] = (a[k] - t[k]) g'(z[k])",
    6: "∂E/∂w[j,k] = δ[k] a[j]",
    7: "∂E/∂w[i,j] = Σ_k (a[k] - t[k]) g'(z[k]) ∂z[k]/∂w[i,j]",
    8: "z[k] = b[k] + Σ_j a[j] w[j,k], a[j] = g(z[j])",
    9: "∂z[k]/∂w[i,j] = w[j,k] g'(z[j]) a[i]",
    10: "∂E/∂w[i,j] = a[i] g'(z[j]) Σ_k δ[k] w[j,k]",
    11: "∂E/∂w[i,j] = δ[j] a[i], δ[j] = g'(z[j]) Σ_k δ[k] w[j,k]",
}
"""The equations of the derivation in the docs. δ[j] has the form of δ[k], so Equation 11 applies
to any number of layers; i, j and k count the units of three consecutive ones."""


@dataclass(frozen=True, eq=False)
class Symbol:
    """The names of an array and of dJ/darray, and the name of the first array with its units."""

    name: str
    delta: str
    values: Array
    units_of: str

    @property
    def shape(self) -> Shape:
        return self.values.shape[1:]


UNNAMED: Final = Symbol("", "", np.empty(1), "")


class Term(NamedTuple):
    """A product of named numbers, such as x[0] w1[0,2]."""

    factors: tuple[Factor, ...]
    value: float


class Line(NamedTuple):
    """One number: its name and value, and the sum of `terms` or the `formula` that it is, if known.

    `omitted` counts the small terms that are left out, and `rest` is their sum.
    """

    name: str
    value: float
    terms: tuple[Term, ...] = ()
    omitted: int = 0
    rest: float = 0.0
    formula: str = ""


class Limit(NamedTuple):
    """How many numbers are shown: all of up to `most`; of more, the `few` largest."""

    most: int
    few: int = 4

    def of(self, size: int) -> int:
        return size if size <= self.most else min(self.few, self.most)


class Sum(NamedTuple):
    """A sum: its products, what names the factors of one, and terms before and after them."""

    products: Array
    factors: Callable[[int], tuple[Factor, ...]]
    first: tuple[Factor, ...] = ()
    last: tuple[Factor, ...] = ()


@dataclass(frozen=True)
class Step:
    """One array of the computation, and how each number in it is computed.

    Args:
        phase: "forward", "loss" or "backward".
        path: the path of the layer, such as 'residual_1.dense_1'.
        title: what is computed, in words.
        equation: for any unit k, such as "z1[k] = b1[k] + Σ_j x[j] w1[j,k]".
        tag: the numbers of the equations it follows, such as "8", or "as 8".
        name: of the array, such as "z1".
        values: the array, of shape (rows, ...), or (1, ...) if it is one for all rows.
        parts: returns the sum or the formula of one number, for (row, flat index, limit).
        symbol: of the array with the same units, if it has units: of z1 for z1 and δ1.
    """

    phase: Literal["forward", "loss", "backward"]
    path: str
    title: str
    equation: str
    tag: str
    name: str
    values: Array
    parts: Parts
    symbol: Symbol | None = None

    @property
    def shape(self) -> Shape:
        """The shape of the array for one row."""
        return self.values.shape[1:]

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def head(self) -> str:
        return f"{self.path}: {self.title}" if self.path else self.title

    @property
    def references(self) -> str:
        """The tag in words: 'Equations 4, 6' or 'as Equation 8'."""
        lead, numbers = self.tag[:3] * self.tag.startswith("as "), self.tag.removeprefix("as ")
        return f"{lead}Equation{'s' * (',' in numbers)} {numbers}"

    def row(self, row: int) -> Array:
        return np.asarray(self.values[min(row, len(self.values) - 1)])

    def line(self, row: int, index: int, limit: Limit) -> Line:
        """Return the line of one number, by its row and flat index."""
        name, value = at(self.name, self.shape, index), float(self.row(row).flat[index])
        with np.errstate(all="ignore"):
            parts = self.parts(row, index, limit)
            if isinstance(parts, str):
                return Line(name, value, formula=parts)
            products, factors, first, last = parts
            terms = [Term((one,), one[1]) for one in first]
            shown = largest(products, limit.of(products.size))
            rest = np.delete(products, shown)
            terms += [Term(factors(i), float(products[i])) for i in shown]
            terms += [Term((one,), one[1]) for one in last]
            return Line(name, value, tuple(terms), rest.size, float(rest.sum(dtype=np.float64)))


def at(name: str, shape: Shape, index: int | str, row: int | None = None) -> str:
    """Name one number of an array by its flat index: w1[1,2], g'(z1[k]), or z1[row 4,2]."""
    if name.endswith(")"):
        return f"{at(name[:-1], shape, index, row)})"
    if isinstance(index, int | np.integer):
        index = ",".join(str(int(i)) for i in np.unravel_index(index, shape)) if shape else ""
    place = [f"row {row}"] * (row is not None) + [index] * bool(shape)
    return f"{name}[{','.join(place)}]" if place else name


def factor(name: str, values: Array, index: int, row: int | None = None) -> Factor:
    """Return one number of an array with its name, by its flat index."""
    values = np.asarray(values)
    return at(name, values.shape, index, row), float(values.flat[index])


def number(value: float) -> str:
    """Write a number to six significant digits."""
    return f"{value + 0.0:.6g}"  # no "-0"


def largest(values: NDArray[Any], most: int) -> list[int]:
    """Return the indices of the largest magnitudes, in increasing order."""
    if values.size <= most:
        return list(range(values.size))
    return sorted(np.argsort(-np.abs(values.ravel()), kind="stable")[:most].tolist())


def flat_index(index: int | tuple[int, ...], shape: Shape, owner: str) -> int:
    """Return the flat index of a number in an array of this shape; ValueError if out of bounds."""
    place = index if isinstance(index, tuple) else (index,)
    if len(place) != len(shape) or not all(0 <= i < n for i, n in zip(place, shape, strict=True)):
        raise ValueError(f"'{owner}' expects an index into shape {shape}, got {index}")
    return int(np.ravel_multi_index(place, shape)) if shape else 0
