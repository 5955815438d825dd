"""The steps of a pass, each one array with a line for each number in it, and its equation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, reduce
from math import prod
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Array, Shape

Factor: TypeAlias = tuple[str, float]
Factors: TypeAlias = tuple[Factor, ...]
Parts: TypeAlias = Callable[[int, int, "Limit"], "Sum | Written"]
Note: TypeAlias = Callable[[int, int], list[str]]


@dataclass(frozen=True, eq=False)
class Quantity:
    """The names of an array and of dJ/darray, and the name of the first array with its units."""

    name: str
    delta: str
    values: Array
    units_of: str

    @property
    def shape(self) -> Shape:
        return self.values.shape[1:]


_ROUNDING: Final = 1e-6
"""Equations have constants of seven digits, and numbers are printed with six."""
UNNAMED: Final = Quantity("", "", np.empty(1), "")


class Term(NamedTuple):
    """A product of named numbers, such as x[0] w1[0,2]."""

    factors: Factors
    value: float


class Line(NamedTuple):
    """One number: its name and value, and the sum of `terms` or the `formula` that it is, if known.

    `omitted` counts the small terms that are left out, and `rest` is their sum. The sign of a
    number that an update changes is "←". `refuted` says that the rule gives another number, so
    that the line has the value alone.
    """

    name: str
    value: float
    terms: tuple[Term, ...] = ()
    omitted: int = 0
    rest: float = 0.0
    formula: str = ""
    sign: str = "="
    refuted: bool = False
    uses: tuple[str, ...] = ()


class Limit(NamedTuple):
    """How many numbers are shown: all of up to `most`; of more, the `few` largest."""

    most: int
    few: int = 4

    def of(self, size: int) -> int:
        return size if size <= self.most else min(self.few, self.most)


class Sum(NamedTuple):
    """A sum: its products, what names the factors of one, and terms before and after them."""

    products: Array
    factors: Callable[[int], Factors]
    first: Factors = ()
    last: Factors = ()


class Written(NamedTuple):
    """A formula with numbers, its value, and its largest number; without a text it is unknown.

    `uses` has the names of its numbers, where they are in matrices.
    """

    text: str = ""
    value: float = np.nan
    size: float = 0.0
    uses: tuple[str, ...] = ()


class Operand(NamedTuple):
    """One factor of each product of a sum: numbers of an array by flat index.

    With `of_rows` the array has the shape (rows, ...), and the row is part of a number's name.
    """

    name: str
    values: Array
    places: NDArray[np.intp]
    of_rows: bool = False

    def factor(self, i: int) -> Factor:
        index = int(self.places[i])
        if not self.of_rows:
            return factor(self.name, self.values, index)
        row, index = divmod(index, self.values[0].size)
        return factor(self.name, self.values[row], index, row)


class Rule(NamedTuple):
    """How the numbers of an array are computed.

    `right` is the right side of the equation for any unit, such as "b1[k] + Σ_j x[j] w1[j,k]", and
    `unit` the index of this unit, or nothing if the equation is of whole arrays. `parts` returns
    the sum or the formula of one number, for (row, flat index, limit), and `note` lines that show
    more of it, for (row, flat index).
    """

    right: str
    parts: Parts
    unit: str = "k"
    note: Note | None = None


class Grid(NamedTuple):
    """An array that a page draws as a matrix; `values` have the shape (rows, ...) or (1, ...).

    A part of an array begins at the index `origin` of it. `axes` are those of the rows and of the
    columns, by default the last two; the array has a matrix for each index of the others.
    A page draws the products with a `kernel` beside it. `blocks` has a letter for each of the equal
    blocks of rows, such as the gates.
    """

    name: str
    values: Array
    origin: tuple[int, ...] = ()
    axes: tuple[int, int] | None = None
    kernel: bool = False
    blocks: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One array of the computation, and how each number in it is computed.

    Args:
        phase: "forward", "loss", "backward" or "update".
        path: the path of the layer, such as 'residual_1.dense_1', or for an update of a parameter.
        title: what is computed, in words.
        tag: the numbers of the equations it follows, such as "8", or "as 8"; none for an update.
        name: of the array, such as "z1".
        rule: how its numbers are computed.
        values: the array, of shape (rows, ...), or (1, ...) if it is one for all rows.
        symbol: of the array with the same units, if it has units: of z1 for z1 and δ1.
        sizes: an array of the same shape whose largest numbers are shown, by default `values`.
        sign: what stands between a number's name and its value.
        grids: the matrices that its numbers are computed from, and last their own.
    """

    phase: Literal["forward", "loss", "backward", "update"]
    path: str = ""
    title: str
    tag: str = ""
    name: str
    rule: Rule
    values: Array
    symbol: Quantity | None = None
    sizes: Array | None = None
    sign: str = "="
    grids: tuple[Grid, ...] = ()

    def drawn(self, *grids: Grid, own: Grid | None = None) -> Step:
        """Return the step with matrices, its own after those that it is computed from."""
        return replace(self, grids=(*grids, own or Grid(self.name, self.values)))

    @property
    def equation(self) -> str:
        """The equation for any unit k, such as "z1[k] = b1[k] + Σ_j x[j] w1[j,k]"."""
        right = self.rule.right
        return f"{self.left} {self.sign} {right}" if right else self.left

    @property
    def left(self) -> str:
        """The left side of the equation."""
        return at(self.name, self.shape, self.rule.unit) if self.rule.unit else self.name

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
        if not self.tag:
            return ""
        numbers = self.tag.removeprefix("as ")
        lead = "as " if numbers != self.tag else ""
        return f"{lead}{'Equations' if ',' in numbers else 'Equation'} {numbers}"

    def row(self, row: int) -> Array:
        return np.asarray(self.values[min(row, len(self.values) - 1)])

    def line(self, row: int, index: int, limit: Limit) -> Line:
        """Return the line of one number, by its row and flat index."""
        array = self.row(row)
        line = Line(at(self.name, self.shape, index), float(array.flat[index]), sign=self.sign)
        with np.errstate(all="ignore"):
            parts = self.rule.parts(row, index, limit)
            if isinstance(parts, Written):
                if parts.text and not self._agrees(line.value, parts.value, parts.size):
                    return line._replace(refuted=True)
                return line._replace(formula=parts.text, uses=parts.uses)
            products, factors, first, last = parts
            added = np.append(products, [value for _, value in first + last])
            if not self._agrees(line.value, added.sum(), np.abs(added).sum()):
                return line._replace(refuted=True)
            terms = [Term((one,), one[1]) for one in first]
            shown = largest(products, limit.of(products.size))
            rest = np.delete(products, shown) if len(shown) < products.size else products[:0]
            terms += [Term(factors(i), float(products[i])) for i in shown]
            terms += [Term((one,), one[1]) for one in last]
            return line._replace(
                terms=tuple(terms), omitted=rest.size, rest=float(rest.sum(dtype=np.float64))
            )

    def _agrees(self, value: float, told: float, size: float) -> bool:
        return agrees(value, told, size, self.values.dtype, self._noise)

    @cached_property
    def _noise(self) -> float:
        """What rounding may leave of a number that is 0, beside the largest number."""
        sizes = np.abs(self.values[np.isfinite(self.values)])
        return 100 * float(np.finfo(self.values.dtype).eps * sizes.max(initial=0))


def agrees(
    value: float, told: float, size: float, dtype: np.dtype[Any], noise: float = 0.0
) -> bool:
    """Whether a formula with numbers up to a size gives a value, within rounding.

    A formula that overflows, as exp(1000) does, proves nothing.
    """
    tolerance = max(_ROUNDING, float(np.finfo(dtype).eps) ** 0.5)
    return not np.isfinite(told) or abs(told - value) <= tolerance * max(abs(told), size) + noise


@lru_cache(maxsize=10_000)
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


def sum_of(
    terms: Sequence[Factor], scale: float | None = None, *, first: Factors = (), last: Factors = ()
) -> Sum:
    """Return a sum of numbers, each times the same factor if there is one."""
    products = np.array([value for _, value in terms])
    if scale is None:
        return Sum(products, lambda i: (terms[i],), first, last)
    return Sum(scale * products, lambda i: (("factor", scale), terms[i]), first, last)


def sum_of_products(*operands: Operand, first: Factors = ()) -> Sum:
    """Return the sum of the operands' products, element by element."""
    products: Array = reduce(np.multiply, [one.values.ravel()[one.places] for one in operands])
    return Sum(products, lambda i: tuple(one.factor(i) for one in operands), first)


def over_rows(name: str, values: Array, places: NDArray[np.intp]) -> Operand:
    """Return the operand of these numbers of all rows; of one row, without its number."""
    if len(values) == 1:
        return Operand(name, values[0], places)
    starts = np.arange(len(values))[:, np.newaxis] * values[0].size
    return Operand(name, values, (starts + places).ravel(), of_rows=True)


def times(scale: float, made: Sum) -> Sum:
    """Return a sum in which each product has one more factor."""
    return made._replace(
        products=scale * made.products,
        factors=lambda i: (("factor", scale), *made.factors(i)),
    )


def joined(*sums: Sum) -> Sum:
    """Return the sum of the products of several sums."""
    every = [(made, i) for made in sums for i in range(made.products.size)]

    def factors(place: int) -> Factors:
        made, i = every[place]
        return made.factors(i)

    return Sum(np.concatenate([made.products for made in sums]), factors)


def sum_of_factors(products: Sequence[Factors], first: Factors = ()) -> Sum:
    """Return the sum of products that are given by their factors."""
    values = [prod(value for _, value in factors) for factors in products]
    return Sum(np.array(values, float), lambda i: products[i], first)


def product(*arrays: tuple[str, Array]) -> Rule:
    """Return the rule of a product of arrays of shape (rows, ...), element by element."""
    right = " ".join(at(name, array.shape[1:], "k") for name, array in arrays)
    return Rule(
        right,
        lambda row, unit, _: sum_of_products(
            *(Operand(name, array[row], np.array([unit])) for name, array in arrays)
        ),
    )


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
