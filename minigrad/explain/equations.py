"""The `equation` of a layer or a loss, such as "a = z * sigmoid(beta z)", with names or numbers.

Two names side by side are a product, sum(...) runs over the last axis, and mean and var of an array
are statistics.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import numpy as np

from minigrad.data.arrays import Array, Shape
from minigrad.explain.steps import Limit, at, largest, number

TOKEN: Final = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)"
    r"|(?P<name>[^\W\d]\w*'*(?:\|[\w.]+)?(?:\[[^\]]*\])?)"
    r"|(?P<sign>\*\*|[<>]=|.)"
)
_CALL: Final = r"(?P<call>\b(?:mean|var)\(\w+\)|\bsum\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))|"
_TOKEN: Final = re.compile(_CALL + TOKEN.pattern)

Names = Callable[[str], str | None]


def parse(equation: str, default: str) -> dict[str, str]:
    """Split an equation into right sides by what they define; without a left side, `default`."""
    sides = {}
    for part in filter(None, map(str.strip, equation.split(";"))):
        sided = re.match(r"([^\W\d]\w*'*)\s*=(?!=)\s*(.*)", part)
        left, right = sided.groups() if sided else (default, part)
        sides[left] = right
    return sides


class Formula:
    """The right side of an equation, such as "exp(z) / sum(exp(z))".

    `arrays` and `parameters` translate the names in the text: to a name and an array of shape
    (rows, ...), or a name and a shape. `owner` is the layer or loss, whose options are known.
    """

    def __init__(
        self,
        text: str,
        arrays: Mapping[str, tuple[str, Array]],
        owner: object,
        parameters: Mapping[str, tuple[str, Shape]] | None = None,
    ) -> None:
        self.text, self._arrays, self._owner = text, arrays, owner
        self._known = {word: (name, values.shape[1:]) for word, (name, values) in arrays.items()}
        self._known |= parameters or {}

    def names(self) -> str:
        """Write it for any unit k, with names."""

        def name(word: str, unit: str = "k") -> str | None:
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
            sizes = np.ones(units)
            for word in sorted(rows.keys() & set(re.findall(r"\w+", inner))):
                sizes = sizes * rows[word]
            sizes = np.exp(sizes - sizes.max()) if "exp(" in inner else sizes
            shown = largest(sizes, limit.of(units))
            terms = [str(_write(inner, partial(value, unit=unit), call)) for unit in shown]
            terms += [f"... ({units - len(shown)} more)"] * (len(shown) < units)
            return f"({' + '.join(terms)})"

        return _write(self.text, value, call)


def scaled(scale: str, expression: str) -> str:
    """Write a factor before an expression: '0.5 × (a - t)'."""
    if scale == "1" or not expression:
        return expression
    bare = re.sub(r"\([^()]*\)|\[[^\]]*\]", "", expression)
    several = bare.startswith("-") or re.search(r"\s[-+]\s|\sif\s", bare)
    return f"{scale} × " + (f"({expression})" if several else expression)


def _write(expression: str, name: Names, call: Callable[[str, str], str | None]) -> str:
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
            elif new[0] == "-" and not alone:
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
