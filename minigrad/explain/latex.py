"""The explanation as a LaTeX document, which needs nothing but amsmath."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from minigrad.explain.choice import Choice
from minigrad.explain.equations import EQUATIONS
from minigrad.explain.formula import TOKEN
from minigrad.explain.lines import Line, Step
from minigrad.explain.text import named, opening, pieces, wrapped

if TYPE_CHECKING:
    from minigrad.explain.story import Explanation

_WIDTH: Final = 62
"""Characters of text that make a row of a formula."""
_HEADS: Final = {"forward": "Forward", "loss": "Loss", "backward": "Backward"}
_FUNCTIONS: Final = {"exp", "log", "tanh", "max", "min", "sin", "cos", "sinh", "cosh"}
_GREEK: Final = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "λ": "lambda",
    "μ": "mu", "σ": "sigma", "θ": "theta", "φ": "phi", "ω": "omega", "η": "eta", "τ": "tau",
}  # fmt: skip
_SIGNS: Final = {
    "×": r"\times ", "∂": r"\partial ", "≤": r"\le ", "≥": r"\ge ", "<=": r"\le ", ">=": r"\ge ",
    "^": r"\uparrow ", "\\": r"\backslash ", "~": r"\sim ", "*": r"\cdot ",
    **{sign: f"\\{sign}" for sign in "#$%&_{}"},
}  # fmt: skip
_NAME: Final = re.compile(
    r"(?P<base>[^\W\d]+?(?:_[^\W\d]+?)*)_?(?P<level>\d*)(?P<primes>'*)"
    r"(?:\|(?P<by>[\w.]+))?(?:\[(?P<index>[^\]]*)\])?"
)


def latex(explanation: Explanation, choice: Choice) -> str:
    """Write a document of the steps of one row in order."""
    written = [
        r"\documentclass[a4paper,10pt]{article}",
        r"\usepackage[margin=2cm]{geometry}",
        r"\usepackage{amsmath}",
        r"\allowdisplaybreaks",
        r"\begin{document}",
        " ".join(map(escape, opening(explanation, choice))),
        r"\section*{The equations}",
        *_equations(),
    ]
    phase = ""
    for place, step in enumerate(explanation.steps, start=1):
        if step.phase != phase:
            phase = step.phase
            written.append(rf"\section*{{{_HEADS[phase]}}}")
        written += _step(step, place, choice)
    return "\n".join([*written, r"\end{document}", ""])


def mathematics(text: str) -> str:
    r"""Turn a formula in text into LaTeX.

    >>> mathematics("z1[0] = b1[0] + 0.5 × 1e-05")
    'z^{(1)}_{0} = b^{(1)}_{0} + 0.5 \\times 1 \\cdot 10^{-5}'
    >>> mathematics("∂J/∂w1[0,2] = 1 / (1 + exp(-z))^2")
    '\\partial J/\\partial w^{(1)}_{0,2} = 1 / (1 + \\exp(-z){)}^{2}'
    """
    made: list[str] = []
    raised = False
    for token in TOKEN.finditer(text):
        kind, said = token.lastgroup, token.group()
        if kind == "number":
            shown = _number(said)
        elif kind == "name":
            shown = _name(said)
        else:
            shown = "" if said in ("^", "**") else _SIGNS.get(said, _plain(said))
        if raised and kind != "space":
            lead = "^" if kind in ("number", "name") else _SIGNS["^"]
            shown, raised = f"{lead}{{{shown}}}" if lead == "^" else lead + shown, False
        if said in ("^", "**") and made:
            made[-1], raised = f"{{{made[-1]}}}", True
        made.append(shown)
    return "".join(made)


def escape(text: str) -> str:
    r"""Write plain text so that LaTeX prints it, whatever it holds.

    >>> escape("dense_1 & 50%")
    'dense\\_1 \\& 50\\%'
    """
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {sign: f"\\{sign}" for sign in "#$%&_{}"}
    return "".join(special.get(c, c if " " <= c <= "~" else _foreign(c)) for c in text)


def _equations() -> Iterator[str]:
    rows = [
        rf"{_row(equation, first=True)} \tag{{{number}}}"
        for number, equations in EQUATIONS.items()
        for equation in re.split(r", (?=\S+ = )", equations)
    ]
    yield from (r"\begin{align*}", "\\\\\n".join(rows), r"\end{align*}")


def _step(step: Step, place: int, choice: Choice) -> Iterator[str]:
    where = f"{step.path}: " if step.path else ""
    yield rf"\paragraph{{{place}. {escape(where + step.title)}.}} {escape(named(step.tag))}."
    yield r"\begin{align*}"
    made = [*_rows(wrapped(step.equation.split(" "), _WIDTH))]
    lines = choice.lines(step)
    for line in lines:
        made += _tagged(line, step.tag)
    yield "\\\\\n".join(made)
    yield r"\end{align*}"
    if len(lines) < step.size:
        yield f"\\noindent\\ldots\\ and {step.size - len(lines)} more."


def _tagged(line: Line, tag: str) -> Iterator[str]:
    *rows, last = _rows(wrapped(pieces(line), _WIDTH))
    yield from rows
    yield rf"{last} \tag{{{escape(tag)}}}"


def _rows(rows: list[str]) -> Iterator[str]:
    for place, row in enumerate(rows):
        yield _row(row, first=place == 0)


def _row(row: str, *, first: bool) -> str:
    """Write a row of an alignment, lined up at its first equality sign."""
    if not first:
        return rf"&\quad {{}}{mathematics(row.strip())}"
    left, _, right = row.partition(" = ")
    return f"{mathematics(left)} &= {mathematics(right)}" if right else f"{mathematics(left)} &"


def _number(said: str) -> str:
    mantissa, _, exponent = said.partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else said


def _name(said: str) -> str:
    if said.startswith("Σ_"):
        return rf"\sum_{{{_word(said[2:])}}}"
    parts = _NAME.fullmatch(said)
    if parts is None:
        return rf"\text{{{escape(said)}}}"
    base, primes = _word(parts["base"]), parts["primes"]
    above = [f"({parts['level']})"] if parts["level"] else []
    above += [r"\prime" * len(primes)] if primes else []
    above += [rf"\text{{by {escape(parts['by'])}}}"] if parts["by"] else []
    made = base + (f"^{{{' '.join(above)}}}" if above else "")
    if parts["index"] is not None:
        made += f"_{{{','.join(map(_word, parts['index'].split(',')))}}}"
    return made


def _word(word: str) -> str:
    word = _GREEK.get(word, word)
    if word in _FUNCTIONS or word in _GREEK.values():
        return f"\\{word}"
    return word if re.fullmatch(r"[A-Za-z]|\d+", word) else rf"\text{{{escape(word)}}}"


def _plain(said: str) -> str:
    return said if " " <= said <= "~" else rf"\text{{{escape(said)}}}"


def _foreign(character: str) -> str:
    import unicodedata

    base = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return base if base.isalnum() else "?"
