"""An equation in one line of text: with names or numbers put in, and as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Callable

TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)"
    r"|(?P<name>[^\W\d]\w*'*(?:\|[\w.]+)?(?:\[[^\]]*\])?)"
    r"|(?P<sign>\*\*|[<>]=|.)"
)
_WORDS = {"if", "else", "and", "or"}

Names = Callable[[str], str | None]
"""Gives what to write for a name, or None to leave it."""


def parse(equation: str, otherwise: str) -> dict[str, str]:
    """Split what a layer says of itself into right sides by what they define.

    Args:
        equation: such as "a = tanh(z); g' = 1 - a^2"; without a left side it is the output.
        otherwise: what an output without a left side is called.

    >>> parse("a = tanh(z); g' = 1 - a^2", "h")
    {'a': 'tanh(z)', "g'": '1 - a^2'}
    >>> parse("2 x", "h")
    {'h': '2 x'}
    """
    sides = {}
    for part in filter(None, map(str.strip, equation.split(";"))):
        sided = re.match(r"([^\W\d]\w*'*)\s*=(?!=)\s*(.*)", part)
        left, right = sided.groups() if sided else (otherwise, part)
        sides[left] = right
    return sides


def put(expression: str, names: Names) -> str:
    """Write names or numbers in the place of an expression's names.

    A name right before a parenthesis is a function, and stays. Negative numbers get parentheses
    where they need them, and two numbers side by side a cross.

    >>> put("1 / (1 + exp(-z))", {"z": "-0.5"}.get)
    '1 / (1 + exp(-(-0.5)))'
    >>> put("z * sigmoid(beta z)", {"z": "2", "beta": "1.5"}.get)
    '2 × sigmoid(1.5 × 2)'
    """
    written = ""
    before = ""  # the kind of the last token that isn't space
    spaced = False
    tokens = list(TOKEN.finditer(expression))
    for place, token in enumerate(tokens):
        kind, text = token.lastgroup or "", token.group()
        if kind == "space":
            spaced = True
            continue
        after = next((t.group() for t in tokens[place + 1 :] if t.lastgroup != "space"), "")
        if kind == "name" and text in _WORDS:
            kind = "word"
        elif kind == "name" and not expression[token.end() :].startswith("("):
            new = names(text)
            if new is not None:
                kind = "number" if re.match(r"-?[\d.]", new) else "name"
                lead = written.rstrip()[-1:] in ("", "(", ",", "|") and after not in ("^", "**")
                text = f"({new})" if new.startswith("-") and not lead else new
        text = {"**": "^", "*": "×"}.get(text, text)
        joined = before in ("name", "number", ")") and (kind in ("name", "number") or text == "(")
        if spaced and joined:
            written += " " if before == kind == "name" else " × "
        elif written and (spaced or kind == "word" or text == "×"):
            written += " "
        written += text
        before = text if kind == "sign" else kind
        spaced = text == "×"
    return written


def with_sums(expression: str, written: Callable[[str], str], names: Names) -> str:
    """Put names or numbers into an expression, and `written` for what its sums are over.

    >>> with_sums("exp(z) / sum(exp(z))", lambda inner: f"Σ_j {inner}", {}.get)
    'exp(z) / Σ_j exp(z)'
    """
    outside, sums = "", []
    while found := re.search(r"\bsum\(", expression):
        end, depth = found.end(), 1
        while depth and end < len(expression):
            depth += {"(": 1, ")": -1}.get(expression[end], 0)
            end += 1
        sums.append(written(expression[found.end() : end - 1]))
        outside += f"{expression[: found.start()]}\0"
        expression = expression[end:]
    whole, *after = put(outside + expression, names).split("\0")
    for made, rest in zip(sums, after, strict=True):
        within = whole.endswith("(") and rest.startswith(")") and made.startswith("(")
        whole += (made[1:-1] if within else made) + rest
    return whole


def factor_of(number: str) -> Callable[[str], str]:
    """Return what writes a factor before an expression.

    >>> factor_of("0.5")("a - t"), factor_of("1")("a - t")
    ('0.5 × (a - t)', 'a - t')
    """

    def before(expression: str) -> str:
        if number == "1":
            return expression
        bare = re.sub(r"\([^()]*\)|\[[^\]]*\]", "", expression)
        several = bare.startswith("-") or re.search(r"\s[-+]\s|\sif\s", bare)
        within = f"({expression})" if several else expression
        return f"{number} × {within}"

    return before
