"""A pass as a LaTeX document, which needs only amsmath."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from minigrad.explain.equations import TOKEN
from minigrad.explain.passes import Pass, Selection
from minigrad.explain.steps import EQUATIONS, Step
from minigrad.explain.text import opening, pieces, wrap

_WIDTH: Final = 62
"""Characters of text that make a row of a formula."""

_NAME: Final = re.compile(
    r"(?P<base>[^\W\d]+?(?:_[^\W\d]+?)*)_?(?P<level>\d*)(?P<primes>'*)"
    r"(?:\|(?P<by>[\w.]+))?(?:\[(?P<index>[^\]]*)\])?"
)
_FUNCTIONS: Final = {"exp", "log", "tanh", "max", "min", "sin", "cos", "sinh", "cosh"}
_GREEK: Final = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "λ": "lambda",
    "μ": "mu", "σ": "sigma", "θ": "theta", "φ": "phi", "ω": "omega", "η": "eta", "τ": "tau",
}  # fmt: skip
_SPECIAL: Final = {sign: f"\\{sign}" for sign in "#$%&_{}"}
_SIGNS: Final = _SPECIAL | {
    "×": r"\times ", "∂": r"\partial ", "≤": r"\le ", "≥": r"\ge ", "<=": r"\le ", ">=": r"\ge ",
    "\\": r"\backslash ", "~": r"\sim ", "*": r"\cdot ",
}  # fmt: skip


def latex(made: Pass, shown: Selection) -> str:
    """Write a document of the steps of one row in order."""
    written = [
        r"\documentclass[a4paper,10pt]{article}",
        r"\usepackage[margin=2cm]{geometry}",
        r"\usepackage{amsmath}",
        r"\allowdisplaybreaks",
        r"\begin{document}",
        " ".join(map(escape, opening(made, shown))),
        r"\section*{The equations}",
        r"\begin{align*}",
        "\\\\\n".join(
            rf"{_row(equation)} \tag{{{number}}}"
            for number, equations in EQUATIONS.items()
            for equation in re.split(r", (?=\S+ = )", equations)
        ),
        r"\end{align*}",
    ]
    phase = ""
    for place, step in enumerate(made.steps, start=1):
        if step.phase != phase:
            phase = step.phase
            written.append(rf"\section*{{{phase.title()}}}")
        written += _step(step, place, shown)
    return "\n".join([*written, r"\end{document}", ""])


def _step(step: Step, place: int, shown: Selection) -> Iterator[str]:
    title = escape(f"{step.path}: {step.title}" if step.path else step.title)
    rows, lines = _rows(step.equation), shown.lines(step)
    for line in lines:
        *broken, last = _rows(pieces(line))
        rows += [*broken, rf"{last} \tag{{{escape(step.tag)}}}"]
    yield rf"\paragraph{{{place}. {title}.}} {escape(step.references)}."
    yield r"\begin{align*}"
    yield "\\\\\n".join(rows)
    yield r"\end{align*}"
    if len(lines) < step.size:
        yield f"\\noindent\\ldots\\ and {step.size - len(lines)} more."


def _rows(formula: str | list[str]) -> list[str]:
    first, *others = wrap(formula, _WIDTH)
    return [_row(first), *(rf"&\quad {{}}{mathematics(row.strip())}" for row in others)]


def _row(row: str) -> str:
    """Write a row of an alignment at its first equality sign."""
    left, _, right = row.partition(" = ")
    return f"{mathematics(left)} &= {mathematics(right)}" if right else f"{mathematics(left)} &"


def mathematics(text: str) -> str:
    r"""Write a formula as LaTeX.

    >>> mathematics("z1[0] = b1[0] + 0.5 × 1e-05")
    'z^{(1)}_{0} = b^{(1)}_{0} + 0.5 \\times 1 \\cdot 10^{-5}'
    >>> mathematics("∂J/∂w1[0,2] = 1 / (1 + exp(-z))^2")
    '\\partial J/\\partial w^{(1)}_{0,2} = 1 / (1 + \\exp(-z){)}^{2}'
    """
    made: list[str] = []
    raised = False
    for token in TOKEN.finditer(text):
        kind, word = token.lastgroup, token.group()
        if word in ("^", "**") and made:
            made[-1], raised = f"{{{made[-1]}}}", True
            continue
        if kind == "number":
            mantissa, _, power = word.partition("e")
            shown = rf"{mantissa} \cdot 10^{{{int(power)}}}" if power else word
        elif kind == "name":
            shown = _latex_name(word)
        else:
            shown = _SIGNS.get(word) or (word if " " <= word <= "~" else _latex_word(word))
        if raised and kind != "space":
            shown = f"^{{{shown}}}" if kind in ("number", "name") else f"\\uparrow {shown}"
            raised = False
        made.append(shown)
    return "".join(made)


def escape(text: str) -> str:
    r"""Write plain text so that LaTeX prints it, whatever it holds.

    >>> escape("dense_1 & 50%")
    'dense\\_1 \\& 50\\%'
    """
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= _SPECIAL
    made = ""
    for sign in text:
        plain = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
        ascii_sign = sign if " " <= sign <= "~" else plain if plain.isalnum() else "?"
        made += special.get(ascii_sign, ascii_sign)
    return made


def _latex_name(name: str) -> str:
    if name.startswith("Σ_"):
        return rf"\sum_{{{_latex_word(name[2:])}}}"
    parts = _NAME.fullmatch(name)
    if parts is None:
        return rf"\text{{{escape(name)}}}"
    above = [f"({parts['level']})"] if parts["level"] else []
    above += [r"\prime" * len(parts["primes"])] if parts["primes"] else []
    above += [rf"\text{{by {escape(parts['by'])}}}"] if parts["by"] else []
    made = _latex_word(parts["base"]) + (f"^{{{' '.join(above)}}}" if above else "")
    if parts["index"] is not None:
        made += f"_{{{','.join(map(_latex_word, parts['index'].split(',')))}}}"
    return made


def _latex_word(word: str) -> str:
    word = _GREEK.get(word, word)
    if word in _FUNCTIONS or word in _GREEK.values():
        return f"\\{word}"
    return word if re.fullmatch(r"[A-Za-z]|\d+", word) else rf"\text{{{escape(word)}}}"
