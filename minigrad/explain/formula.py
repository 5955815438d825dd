"""How an `equation`, such as "a = z * sigmoid(beta z)", is written with names or with numbers.

Two names side by side are a product, sum(...) runs over the last axis, and mean and var of an array
are statistics.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from math import erfc
from types import CodeType
from typing import Any, Final, TypeAlias

import numpy as np

from minigrad.data.arrays import Array
from minigrad.explain.steps import Limit, Rule, Written, at, largest, number

Named: TypeAlias = Mapping[str, tuple[str, Any]]
Writer: TypeAlias = Callable[..., str | None]

TOKEN: Final = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)"
    r"|(?P<name>[^\W\d]\w*'*(?:\|[\w.]+)?(?:\[[^\]]*\])?)"
    r"|(?P<sign>\*\*|[<>]=|.)"
)
_CALL: Final = r"(?P<call>\b(?:mean|var)\(\w+\)|\bsum\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))|"
_TOKEN: Final = re.compile(_CALL + TOKEN.pattern)
_NOT_COMPUTING: Final = {"build", "cast", "get_config", "label", "match", "parameter", "stored"}
"""Methods that leave an equation true: they make or describe an object, or read targets."""
_FUNCTIONS: Final[dict[str, Any]] = {
    **{name: getattr(np, name) for name in ("exp", "log", "sin", "cos", "sinh", "cosh", "tanh")},
    "sqrt": np.sqrt,
    "sign": np.sign,
    "max": max,
    "min": min,
    "abs": abs,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "softplus": lambda z: np.logaddexp(0, z),
    "Phi": lambda z: erfc(-z / 2**0.5) / 2,
    "phi": lambda z: np.exp(-z * z / 2) / np.sqrt(2 * np.pi),
    "__builtins__": {},
}
"""What a formula is evaluated with."""


def computes(kind: type, stated: type, *, but: str = "") -> bool:
    """Whether a class computes what its base `stated` says: it overrides no method of it.

    The method `but` may be overridden, and those that compute nothing.
    """

    def computing(name: str) -> bool:
        member = getattr(stated, name, None)
        allowed = name in _NOT_COMPUTING or name == but or name.startswith(("__", "check_"))
        return not allowed and (callable(member) or isinstance(member, property))

    below = kind.__mro__[: kind.__mro__.index(stated)]
    return not any(computing(name) for cls in below for name in vars(cls))


def known_base(kind: type, bases: Iterable[type]) -> type | None:
    """Return which of the bases says what a class computes; None if it computes something else."""
    stated = next((cls for cls in kind.__mro__ if cls in bases), None)
    return stated if stated is not None and computes(kind, stated) else None


def equation_of(owner: Any) -> str:
    """Return the equation of an object; nothing if its class computes something else."""
    name = "__init__" if "equation" in vars(owner) else "equation"
    stated = next(cls for cls in type(owner).__mro__ if name in vars(cls))
    equation: str = owner.equation
    return equation if computes(type(owner), stated) else ""


def right_sides(equation: str, default: str = "") -> dict[str, str]:
    """Split an equation into right sides by what each defines, without a name `default`."""
    parts = filter(None, map(str.strip, equation.split(";")))
    sided = ((re.match(r"([^\W\d]\w*'*)\s*=(?!=)\s*(.*)", part), part) for part in parts)
    return {m[1] if m else default: m[2] if m else part for m, part in sided}


class Formula:
    """The right side of an equation, such as "exp(z) / sum(exp(z))".

    `arrays` and `parameters` translate the names in the text: to a name and an array of shape
    (rows, ...) or (1, ...), or a name and a shape. `owner` has the options: a layer or a loss.
    """

    def __init__(self, text: str, arrays: Named, owner: object, parameters: Named) -> None:
        self.text, self._arrays, self._owner = text, arrays, owner
        self._known = {word: (name, values.shape[1:]) for word, (name, values) in arrays.items()}
        self._known |= parameters

    def rule(self, unit: str = "k") -> Rule:
        """Return the rule of the numbers that it computes."""
        return Rule(self.names(unit), self.numbers, unit)

    def names(self, unit: str = "k") -> str:
        """Write it for any unit, with names."""

        def name(word: str, unit: str = unit) -> str | None:
            return at(*self._known[word], unit) if word in self._known else None

        def call(function: str, inner: str) -> str | None:
            if function == "sum":
                return f"Σ_j {write(inner, partial(name, unit='j'), call)}"
            return f"{function}({self._known[inner][0]})" if inner in self._known else None

        return write(self.text, name, call)

    def values(self) -> Array:
        """Compute it for all numbers of the arrays; it has no sum and no option."""
        code, _ = _compiled(self.text)
        held = {word: values for word, (_, values) in self._arrays.items()}
        with np.errstate(over="ignore"):
            values: Array = eval(code, _FUNCTIONS, {"n": held})
        return values

    def numbers(self, row: int, index: int, limit: Limit) -> Written:
        """Write it for one unit of a row with numbers; nothing if it can't be evaluated."""
        shape = next(iter(self._arrays.values()))[1].shape
        units = shape[-1] if len(shape) > 1 else 1
        start, place = index - index % units, index % units
        rows = {
            word: values[min(row, len(values) - 1)].ravel()[start : start + units]
            for word, (_, values) in self._arrays.items()
            if values.shape == shape
        }

        def known(word: str, unit: int = place) -> float | None:
            held: Any = rows[word] if word in rows else getattr(self._owner, word, None)
            held = getattr(held, "value", held)
            held = np.array(held) if isinstance(held, tuple) else held
            if isinstance(held, np.ndarray) and held.size in (1, units):
                held = float(held.flat[unit if held.size > 1 else 0])
            plain = isinstance(held, (int, float)) and not isinstance(held, bool)
            return held if plain else None

        def written(word: str, unit: int = place) -> str | None:
            value = known(word, unit)
            return None if value is None else number(value)

        @cache
        def summands(inner: str) -> Array | None:
            """Return the term of each unit in a sum."""
            each = [evaluate(inner, partial(known, unit=unit), found) for unit in range(units)]
            return None if None in each else np.array([term[0] for term in each if term])

        def found(function: str, inner: str) -> float | None:
            """Return the value of a sum, or of a statistic."""
            if function == "sum":
                terms = summands(inner)
                return None if terms is None else float(terms.sum())
            over = rows.get(inner)
            if over is not None and getattr(self._owner, "batch_dependent", False):
                over = self._arrays[inner][1].reshape(-1, units)[:, place]
            return None if over is None else float(getattr(over, function)())

        def call(function: str, inner: str) -> str | None:
            terms = summands(inner) if function == "sum" else None
            if terms is None:
                value = found(function, inner)
                return None if value is None else number(value)
            shown = largest(terms, limit.of(units))
            told = [write(inner, partial(written, unit=unit), call) for unit in shown]
            if others := units - len(shown):
                told.append(f"{number(np.delete(terms, shown).sum())} ({others} others)")
            return f"({' + '.join(told)})"

        with np.errstate(all="ignore"):
            evaluated = evaluate(self.text, known, found)
            return Written(write(self.text, written, call), *evaluated) if evaluated else Written()


def evaluate(
    text: str,
    known: Callable[[str], float | None],
    call: Callable[[str, str], float | None] = lambda *_: None,
) -> tuple[float, float] | None:
    """Return the value of an expression and the largest number in it; None if it isn't known.

    `known` returns the number of a name, and `call` that of a sum, a mean or a variance.
    """
    try:
        code, keys = _compiled(text)
        values = {key: known(key) if isinstance(key, str) else call(*key) for key in keys}
        numbers = {key: np.float64(v) for key, v in values.items() if v is not None}
        value = float(eval(code, _FUNCTIONS, {"n": numbers}))  # the text of a class's equation
    except (ArithmeticError, LookupError, NameError, SyntaxError, TypeError, ValueError):
        return None
    return value, max(map(abs, numbers.values()), default=0.0)


@cache
def _compiled(text: str) -> tuple[CodeType, set[str | tuple[str, str]]]:
    """Return an expression as Python code with its numbers in a dict n, and the keys of these."""
    keys = set[str | tuple[str, str]]()

    def held(key: str | tuple[str, str]) -> str:
        keys.add(key)
        return f"(n[{key!r}])"

    source = write(text, held, lambda function, inner: held((function, inner)))
    source = re.sub(r"\|([^|]*)\|", r"abs(\1)", source.replace("×", "*").replace("^", "**"))
    return compile(source, "<equation>", "eval"), keys


def scaled(scale: float, expression: str) -> str:
    """Write a factor before an expression: '0.5 × (a - t)'."""
    if number(scale) == "1" or not expression:
        return expression
    bare = re.sub(r"\([^()]*\)|\[[^\]]*\]", "", expression)
    several = bare.startswith("-") or re.search(r"\s[-+]\s|\sif\s", bare)
    return f"{number(scale)} × " + (f"({expression})" if several else expression)


def write(expression: str, name: Writer, call: Writer = lambda *_: None) -> str:
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
