"""Equations in one line of text: parsed, filled in with names or numbers, and as LaTeX.

A layer says `equation = "a = z * sigmoid(beta z)"`. Two names side by side are a product, sum(...)
runs over the last axis, and mean(...) and var(...) are statistics of an array.
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
_SUM: Final = re.compile(r"\bsum\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)")
_STATISTIC: Final = re.compile(r"\b(mean|var)\((\w+)\)")


def parse(equation: str, default: str) -> dict[str, str]:
    """Split an equation into right sides by what they define; without a left side, `default`.

    >>> parse("a = tanh(z); g' = 1 - a^2", "h"), parse("2 x", "h")
    ({'a': 'tanh(z)', "g'": '1 - a^2'}, {'h': '2 x'})
    """
    sides = {}
    for part in filter(None, map(str.strip, equation.split(";"))):
        sided = re.match(r"([^\W\d]\w*'*)\s*=(?!=)\s*(.*)", part)
        left, right = sided.groups() if sided else (default, part)
        sides[left] = right
    return sides


def with_names(expression: str, arrays: Mapping[str, tuple[str, Shape]]) -> str:
    """Write an expression for any unit k; `arrays` gives the name and shape of its arrays.

    >>> with_names("exp(z) / sum(exp(z))", {"z": ("z1", (3,))})
    'exp(z1[k]) / Σ_j exp(z1[j])'
    """

    def name(word: str, unit: str = "k") -> str | None:
        return at(*arrays[word], unit) if word in arrays else None

    def total(inner: str) -> str:
        return f"Σ_j {_substitute(inner, lambda word: name(word, 'j'))}"

    def statistic(function: str, word: str) -> str | None:
        return f"{function}({arrays[word][0]})" if word in arrays else None

    return _fill(expression, name, total, statistic)


def with_numbers(
    expression: str,
    arrays: Mapping[str, Array],
    unit: int,
    *,
    owner: object,
    limit: Limit,
    over: Array | None = None,
) -> str:
    """Write an expression for one unit, with numbers for all names that are known.

    `arrays` has one row's numbers, flat, and `unit` is the index in them. Options and parameters of
    `owner` are known by attribute, and mean(z) and var(z) if `over` has their numbers.

    >>> from minigrad import Softmax
    >>> row = {"z": np.array([0.5, 2.0])}
    >>> with_numbers("exp(z) / sum(exp(z))", row, 1, owner=Softmax(), limit=Limit(8))
    'exp(2) / (exp(0.5) + exp(2))'
    """
    units = max(array.size for array in arrays.values())

    def value(word: str, unit: int = unit) -> str | None:
        held: Any = arrays[word] if word in arrays else getattr(owner, word, None)
        held = getattr(held, "value", held)
        if isinstance(held, np.ndarray) and held.size in (1, units):
            held = float(held.flat[unit if held.size > 1 else 0])
        plain = isinstance(held, (int, float)) and not isinstance(held, bool)
        return number(held) if plain else None

    def total(inner: str) -> str:
        sizes = np.ones(units)
        for word in sorted(arrays.keys() & set(re.findall(r"\w+", inner))):
            sizes = sizes * arrays[word]
        sizes = np.exp(sizes - sizes.max()) if "exp(" in inner else sizes
        shown = largest(sizes, limit.of(units))
        terms = [_substitute(inner, partial(value, unit=j)) for j in shown]
        more = [f"... ({units - len(shown)} more)"] if len(shown) < units else []
        return f"({' + '.join([*terms, *more])})"

    def statistic(function: str, word: str) -> str | None:
        known = over is not None and word in arrays
        return number(getattr(over, function)()) if known else None

    return _fill(expression, value, total, statistic)


def scaled(scale: str, expression: str) -> str:
    """Write a factor before an expression: '0.5 × (a - t)'."""
    if scale == "1" or not expression:
        return expression
    bare = re.sub(r"\([^()]*\)|\[[^\]]*\]", "", expression)
    several = bare.startswith("-") or re.search(r"\s[-+]\s|\sif\s", bare)
    return f"{scale} × " + (f"({expression})" if several else expression)


def _fill(
    expression: str,
    name: Callable[[str], str | None],
    total: Callable[[str], str],
    statistic: Callable[[str, str], str | None],
) -> str:
    """Write names, sums and statistics into an expression."""
    written: dict[str, str] = {}

    def keep(text: str | None, otherwise: str) -> str:
        if text is None:
            return otherwise
        written[f"kept_{len(written)}"] = text
        return f"kept_{len(written) - 1}"

    expression = _STATISTIC.sub(lambda m: keep(statistic(*m.groups()), m[0]), expression)
    expression = _SUM.sub(lambda m: keep(total(m[1]), m[0]), expression)
    return _substitute(expression, lambda word: written.get(word) or name(word))


def _substitute(expression: str, names: Callable[[str], str | None]) -> str:
    """Write names or numbers in place of an expression's names; None leaves a name as it is.

    >>> _substitute("1 / (1 + exp(-z))", {"z": "-0.5"}.get)
    '1 / (1 + exp(-(-0.5)))'
    >>> _substitute("z * sigmoid(beta z)", {"z": "2", "beta": "1.5"}.get)
    '2 × sigmoid(1.5 × 2)'
    """
    written = before = ""  # before: the kind of the last token, or the sign itself
    spaced = False
    for token in TOKEN.finditer(expression):
        kind, text = token.lastgroup, token.group()
        if kind == "space":
            spaced = True
            continue
        rest = expression[token.end() :]
        if text in ("if", "else", "and", "or"):
            kind, spaced = "word", True
        elif kind == "name" and not rest.startswith("(") and (new := names(text)) is not None:
            kind = "number" if re.match(r"-?[\d.(]", new) else "name"
            opens, rest = written[-1:] in ("", "(", ",", "|"), rest.lstrip()
            if new[0] == "(" and written[-1:] == "(" and rest[:1] == ")":
                new = new[1:-1]
            text = (
                f"({new})" if new[0] == "-" and (not opens or rest.startswith(("^", "**"))) else new
            )
        text = {"**": "^", "*": "×"}.get(text, text)
        operand = kind in ("name", "number") or text == "("
        if spaced and operand and before in ("name", "number", ")"):
            written += " " if before == kind == "name" else " × "
        elif written and (spaced or text == "×"):
            written += " "
        written += text
        before = str(kind) if kind != "sign" else text
        spaced = text == "×"
    return written
