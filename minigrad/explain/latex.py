"""A pass as a LaTeX document, which needs only amsmath."""

from __future__ import annotations

import re
import unicodedata
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
_GREEK: Final = [
    "alpha", "beta", "gamma", "delta", "epsilon", "lambda", "mu", "sigma", "theta", "phi", "omega",
    "eta", "tau",
]  # fmt: skip
_FUNCTIONS: Final = ["exp", "log", "tanh", "max", "min", "sin", "cos", "sinh", "cosh"]
_COMMANDS: Final = {name: f"\\{name}" for name in (*_FUNCTIONS, *_GREEK)}
_COMMANDS.update(zip("αβγδελμσθφωητ", map("\\{}".format, _GREEK), strict=True))
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
        escape(" ".join(opening(made, shown))),
        r"\section*{The equations}",
    ]
    rows = []
    for number, equations in EQUATIONS.items():
        for equation in re.split(r", (?=\S+ = )", equations):
            rows += _rows([equation], str(number))
    written += _aligned(rows)
    phase = ""
    for place, step in enumerate(made.steps, start=1):
        if step.phase != phase:
            phase = step.phase
            written.append(rf"\section*{{{phase.title()}}}")
        written += _step(step, place, shown)
    return "\n".join([*written, r"\end{document}", ""])


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
        if word == "^" and made:
            made[-1], raised = f"{{{made[-1]}}}", True
            continue
        shown = _SIGNS.get(word) or _word(word)
        if kind == "name":
            shown = _name(word)
        elif kind == "number" and "e" in word:
            mantissa, power = word.split("e")
            shown = rf"{mantissa} \cdot 10^{{{int(power)}}}"
        made.append(f"^{{{shown}}}" if raised else shown)
        raised = False
    return "".join(made)


def escape(text: str) -> str:
    """Write plain text so that LaTeX prints it; signs beyond ASCII are simplified or left out."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return "".join((special | _SPECIAL).get(sign, sign) for sign in plain)


def _step(step: Step, place: int, shown: Selection) -> list[str]:
    title = escape(f"{step.path}: {step.title}" if step.path else step.title)
    rows, lines = _rows(step.equation), shown.lines(step)
    for line in lines:
        rows += _rows(pieces(line), step.tag)
    head = rf"\paragraph{{{place}. {title}.}} {escape(step.references)}."
    more = [f"\\noindent\\ldots\\ and {step.size - len(lines)} more."]
    return [head, *_aligned(rows), *more[: step.size - len(lines)]]


def _aligned(rows: list[str]) -> list[str]:
    return [r"\begin{align*}", "\\\\\n".join(rows), r"\end{align*}"]


def _rows(formula: str | list[str], tag: str = "") -> list[str]:
    """Write the rows of a formula, aligned at its first equality sign."""
    first, *others = wrap(formula, _WIDTH)
    left, _, right = first.partition(" = ")
    rows = [f"{mathematics(left)} &" + (f"= {mathematics(right)}" if right else "")]
    rows += [rf"&\quad {{}}{mathematics(row.strip())}" for row in others]
    rows[-1] += rf" \tag{{{escape(tag)}}}" if tag else ""
    return rows


def _name(name: str) -> str:
    if name.startswith("Σ_"):
        return rf"\sum_{{{_word(name[2:])}}}"
    parts = _NAME.fullmatch(name)
    if parts is None:
        return rf"\text{{{escape(name)}}}"
    above = [f"({parts['level']})"] if parts["level"] else []
    above += [r"\prime" * len(parts["primes"])] if parts["primes"] else []
    above += [rf"\text{{by {escape(parts['by'])}}}"] if parts["by"] else []
    index = ",".join(map(_word, filter(None, (parts["index"] or "").split(","))))
    made = _word(parts["base"]) + (f"^{{{' '.join(above)}}}" if above else "")
    return made + (f"_{{{index}}}" if index else "")


def _word(word: str) -> str:
    plain = re.fullmatch(r"[ -~]|[\d.]+", word)
    return _COMMANDS.get(word) or (word if plain else rf"\text{{{escape(word)}}}")
