"""The steps of a pass: a step is one array, with a line for each number in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Array, Shape

Phase: TypeAlias = Literal["forward", "loss", "backward"]
Factor: TypeAlias = tuple[str, float]

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
"""The equations of the derivation in the docs, by number. i, j and k count the units of three
consecutive layers. δ[j] has the form of δ[k], so Equation 11 applies to any number of layers."""

_TAGS: Final = {
    # part: (in the output layer, in a layer before it)
    "output": ("8", "8"),
    "slope": ("3", "9"),
    "delta": ("5", "11"),
    "weight gradient": ("4, 6", "10, 11"),
    "gradient": ("6", "11"),
    "input delta": ("7, 10", "7, 10"),
}


def tag(part: str, *, hidden: bool, exact: bool = True) -> str:
    """Return the numbers of the equations that a part of a layer's computation follows.

    Args:
        part: "output", "slope", "delta", "weight gradient", "gradient" or "input delta".
        hidden: whether a `Dense` follows on the way to the loss.
        exact: False where the layer computes something else in place of the equation.

    >>> tag("delta", hidden=False), tag("output", hidden=True, exact=False)
    ('5', 'as 8')
    """
    return ("" if exact else "as ") + _TAGS[part][hidden]


class Symbol(NamedTuple):
    """The name of an array, and of the gradient of J with respect to it.

    `units_of` names the first array with the same units: z1 for the a1 of an activation.
    """

    name: str
    delta: str
    shape: Shape
    units_of: str


@dataclass(frozen=True)
class Term:
    """A product of named numbers, such as x[0] w1[0,2]."""

    factors: tuple[Factor, ...]
    value: float


@dataclass(frozen=True)
class Line:
    """One number: its name, its value, and how it is computed.

    It is the sum of `terms`, or it is computed by `formula`. Both are empty if nothing more is
    known. `omitted` counts the terms that are left out because they are small; `rest` is their sum.
    """

    name: str
    value: float
    terms: tuple[Term, ...] = ()
    omitted: int = 0
    rest: float = 0.0
    formula: str = ""


@dataclass(frozen=True)
class Limit:
    """How many numbers are shown: all of up to `most`; of more, the `few` largest."""

    most: int
    few: int = 4

    def of(self, size: int) -> int:
        """Return how many of `size` numbers are shown."""
        return size if size <= self.most else min(self.few, self.most)


@dataclass(frozen=True)
class Sum:
    """A sum of products: their values, a function that names the factors of one, and extra terms.

    The terms in `first` and `last` are always shown, before and after the products.
    """

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
        shape: of the array, for one row.
        values: the array, of shape (rows, *shape), or `shape` where the rows are summed.
        parts: returns the sum or the formula of one number, for (row, flat index, limit).
        symbol: of the array with the same units, as z1 for z1 and δ1; None for the loss and for
            gradients of parameters.
    """

    phase: Phase
    path: str
    title: str
    equation: str
    tag: str
    name: str
    shape: Shape
    values: Array
    parts: Callable[[int, int, Limit], Sum | str]
    symbol: Symbol | None = None

    @property
    def size(self) -> int:
        """How many numbers the array has for one row."""
        return prod(self.shape)

    @property
    def references(self) -> str:
        """The equations of `tag` in words: 'Equations 4, 6' or 'as Equation 8'."""
        words = "Equations " if "," in self.tag else "Equation "
        lead = "as " if self.tag.startswith("as ") else ""
        return lead + words + self.tag.removeprefix("as ")

    def row(self, row: int) -> Array:
        """Return the array for one row."""
        return np.asarray(self.values[row] if self.values.ndim > len(self.shape) else self.values)

    def line(self, row: int, index: int, limit: Limit) -> Line:
        """Return the line of one number, by its row and flat index."""
        name, value = at(self.name, self.shape, index), float(self.row(row).flat[index])
        with np.errstate(all="ignore"):
            parts = self.parts(row, index, limit)
            if isinstance(parts, str):
                return Line(name, value, formula=parts)
            products = parts.products
            shown = largest(products, limit.of(products.size))
            terms = [Term(parts.factors(i), float(products[i])) for i in shown]
            rest = np.delete(products, shown)
            return Line(
                name,
                value,
                (*_alone(parts.first), *terms, *_alone(parts.last)),
                omitted=rest.size,
                rest=float(rest.sum(dtype=np.float64)),
            )


def _alone(factors: tuple[Factor, ...]) -> list[Term]:
    return [Term((factor,), factor[1]) for factor in factors]


def at(name: str, shape: Shape, index: int | str, row: int | None = None) -> str:
    """Name one number of an array, by its flat index for one row.

    >>> at("w1", (2, 3), 5), at("J", (), 0), at("z1", (3,), "k"), at("z1", (3,), 2, row=4)
    ('w1[1,2]', 'J', 'z1[k]', 'z1[row 4,2]')
    >>> at("g'(z1)", (3,), 0)
    "g'(z1[0])"
    """
    if name.endswith(")"):
        return f"{at(name[:-1], shape, index, row)})"
    if isinstance(index, str):
        return f"{name}[{index}]" if shape else name
    place = ",".join(str(int(i)) for i in np.unravel_index(index, shape)) if shape else ""
    if row is not None:
        place = f"row {row},{place}".rstrip(",")
    return f"{name}[{place}]" if place else name


def factor(name: str, values: Array, index: int, row: int | None = None) -> Factor:
    """Return one number of an array with its name.

    >>> factor("w1", np.array([[1.0, 2.0]]), 1)
    ('w1[0,1]', 2.0)
    """
    values = np.asarray(values)
    return at(name, values.shape, index, row), float(values.flat[index])


def number(value: float) -> str:
    """Write a number to six significant digits.

    >>> number(0.1234567), number(2.0), number(-1.5e-7)
    ('0.123457', '2', '-1.5e-07')
    """
    return f"{value + 0.0:.6g}"  # no "-0"


def largest(values: NDArray[Any], most: int) -> list[int]:
    """Return the indices of the largest magnitudes, in increasing order.

    >>> largest(np.array([0.1, -3.0, 0.0, 2.0]), 2)
    [1, 3]
    """
    if values.size <= most:
        return list(range(values.size))
    order = np.argsort(-np.abs(values.ravel()), kind="stable")[:most]
    return sorted(int(i) for i in order)


def flat_index(index: int | tuple[int, ...], shape: Shape, owner: str) -> int:
    """Return the flat index of a number in an array of this shape.

    Raises:
        ValueError: the index is out of bounds.

    >>> flat_index((1, 2), (2, 3), "dense_1.weight")
    5
    """
    place = index if isinstance(index, tuple) else (index,)
    if len(place) != len(shape) or not all(0 <= i < n for i, n in zip(place, shape, strict=True)):
        raise ValueError(f"'{owner}' expects an index into shape {shape}, got {index}")
    return int(np.ravel_multi_index(place, shape)) if shape else 0
