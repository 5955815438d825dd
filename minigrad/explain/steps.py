"""The steps of a pass, each one array with a line for each number in it, and their equations.

In the `equation` of a layer or a loss, such as "a = z * sigmoid(beta z)", two names side by side
are a product, sum(...) runs over the last axis, and mean and var of an array are statistics.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from math import prod
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Array, Shape

Factor: TypeAlias = tuple[str, float]
Named: TypeAlias = Mapping[str, tuple[str, Any]]
Writer: TypeAlias = Callable[..., str | None]
Parts: TypeAlias = Callable[[int, int, "Limit"], "Sum | str"]

TOKEN: Final = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)"
    r"|(?P<name>[^\W\d]\w*'*(?:\|[\w.]+)?(?:\[[^\]]*\])?)"
    r"|(?P<sign>\*\*|[<>]=|.)"
)
_CALL: Final = r"(?P<call>\b(?:mean|var)\(\w+\)|\bsum\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))|"
_TOKEN: Final = re.compile(_CALL + TOKEN.pattern)


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

    `omitted` counts the small terms that are left out, and `rest` is their sum. The sign of a
    number that an update changes is "←".
    """

    name: str
    value: float
    terms: tuple[Term, ...] = ()
    omitted: int = 0
    rest: float = 0.0
    formula: str = ""
    sign: str = "="


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
        phase: "forward", "loss", "backward" or "update".
        path: the path of the layer, such as 'residual_1.dense_1', or for an update of a parameter.
        title: what is computed, in words.
        equation: for any unit k, such as "z1[k] = b1[k] + Σ_j x[j] w1[j,k]".
        tag: the numbers of the equations it follows, such as "8", or "as 8"; none for an update.
        name: of the array, such as "z1".
        values: the array, of shape (rows, ...), or (1, ...) if it is one for all rows.
        parts: returns the sum or the formula of one number, for (row, flat index, limit).
        symbol: of the array with the same units, if it has units: of z1 for z1 and δ1.
        note: returns lines that show more of one number, for (row, flat index).
        sizes: an array of the same shape whose largest numbers are shown, by default `values`.
        sign: what stands between a number's name and its value.
    """

    phase: Literal["forward", "loss", "backward", "update"]
    path: str
    title: str
    equation: str
    tag: str
    name: str
    values: Array
    parts: Parts
    symbol: Symbol | None = None
    note: Callable[[int, int], list[str]] | None = None
    sizes: Array | None = None
    sign: str = "="

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
                return Line(name, value, formula=parts, sign=self.sign)
            products, factors, first, last = parts
            terms = [Term((one,), one[1]) for one in first]
            shown = largest(products, limit.of(products.size))
            rest = np.delete(products, shown) if len(shown) < products.size else products[:0]
            terms += [Term(factors(i), float(products[i])) for i in shown]
            terms += [Term((one,), one[1]) for one in last]
            left_out = rest.size, float(rest.sum(dtype=np.float64))
            return Line(name, value, tuple(terms), *left_out, sign=self.sign)


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


class Formula:
    """The right side of an equation, such as "exp(z) / sum(exp(z))".

    `arrays` and `parameters` translate the names in the text: to a name and an array of shape
    (rows, ...), or a name and a shape. `owner` is the layer or loss, whose options are known.
    """

    def __init__(self, text: str, arrays: Named, owner: object, parameters: Named) -> None:
        self.text, self._arrays, self._owner = text, arrays, owner
        self._known = {word: (name, values.shape[1:]) for word, (name, values) in arrays.items()}
        self._known |= parameters

    @staticmethod
    def sides(equation: str, default: str) -> dict[str, str]:
        """Split an equation into right sides by what each defines, without a name `default`."""
        parts = filter(None, map(str.strip, equation.split(";")))
        sided = ((re.match(r"([^\W\d]\w*'*)\s*=(?!=)\s*(.*)", part), part) for part in parts)
        return {m[1] if m else default: m[2] if m else part for m, part in sided}

    def names(self, unit: str = "k") -> str:
        """Write it for any unit, with names."""

        def name(word: str, unit: str = unit) -> str | None:
            return at(*self._known[word], unit) if word in self._known else None

        def call(function: str, inner: str) -> str | None:
            if function == "sum":
                return f"Σ_j {_write(inner, partial(name, unit='j'), call)}"
            return f"{function}({self._known[inner][0]})" if inner in self._known else None

        return _write(self.text, name, call)

    def numbers(self, row: int, index: int, limit: Limit) -> str:
        """Write it for one unit of a row, with numbers for all names that are known."""
        shape = next(iter(self._arrays.values()))[1].shape
        units = shape[-1] if len(shape) > 1 else 1
        start, place = index - index % units, index % units
        rows = {
            word: values[row].ravel()[start : start + units]
            for word, (_, values) in self._arrays.items()
            if values.shape == shape
        }

        def value(word: str, unit: int = place) -> str | None:
            held: Any = rows[word] if word in rows else getattr(self._owner, word, None)
            held = getattr(held, "value", held)
            if isinstance(held, np.ndarray) and held.size in (1, units):
                held = float(held.flat[unit if held.size > 1 else 0])
            plain = isinstance(held, (int, float)) and not isinstance(held, bool)
            return number(held) if plain else None

        def call(function: str, inner: str) -> str | None:
            if function != "sum":
                over = rows.get(inner)
                if over is not None and getattr(self._owner, "batch_dependent", False):
                    over = self._arrays[inner][1].reshape(-1, units)[:, place]
                return None if over is None else number(getattr(over, function)())
            product = np.ones(units)
            for word in sorted(rows.keys() & set(re.findall(r"\w+", inner))):
                product = product * rows[word]
            sizes = np.exp(product - product.max()) if "exp(" in inner else product
            shown = largest(sizes, limit.of(units))
            terms = [str(_write(inner, partial(value, unit=unit), call)) for unit in shown]
            if len(shown) < units:
                terms.append(f"... ({units - len(shown)} others)")
                if re.fullmatch(r"exp\(\w+\)|\w+( \w+)*", inner):
                    with np.errstate(all="ignore"):
                        added = np.exp(product) if "exp(" in inner else product
                    rest = float(np.delete(added, shown).sum())
                    terms[-1] = f"{number(rest)} ({units - len(shown)} others)"
            return f"({' + '.join(terms)})"

        return _write(self.text, value, call)


def scaled(scale: float, expression: str) -> str:
    """Write a factor before an expression: '0.5 × (a - t)'."""
    if number(scale) == "1" or not expression:
        return expression
    bare = re.sub(r"\([^()]*\)|\[[^\]]*\]", "", expression)
    several = bare.startswith("-") or re.search(r"\s[-+]\s|\sif\s", bare)
    return f"{number(scale)} × " + (f"({expression})" if several else expression)


def _write(expression: str, name: Writer, call: Writer) -> str:
    """Write names or numbers in place of an expression's names and sums; None leaves them."""
    written = before = ""  # before: the kind of the last token, or the sign itself
    spaced = False
    for token in _TOKEN.finditer(expression):
        kind, text, rest = str(token.lastgroup), token.group(), expression[token.end() :]
        if kind == "space":
            spaced = True
            continue
        new = None
        if text in ("if", "else", "and", "or"):
            kind, spaced = "word", True
        elif kind == "call":
            new = call(*text[:-1].split("(", 1))
        elif kind == "name" and not rest.startswith("("):
            new = name(text)
        if new is not None:
            kind, text, rest = "number" if re.match(r"-?[\d.(]", new) else "name", new, rest.strip()
            alone = written[-1:] in ("", "(", ",", "|") and not rest.startswith(("^", "**"))
            if new[0] == "(" and written[-1:] == "(" and rest[:1] == ")":
                text = new[1:-1]
            elif (new[0] == "-" and not alone) or ("/" in new and rest.startswith("^")):
                text = f"({new})"
        text = {"**": "^", "*": "×"}.get(text, text)
        operand = kind in ("name", "number") or text == "("
        if spaced and operand and before in ("name", "number", ")"):
            written += " " if before == kind == "name" else " × "
        elif written and (spaced or text == "×"):
            written += " "
        written += text
        before, spaced = text if kind == "sign" else kind, text == "×"
    return written
