"""A pass as a LaTeX document."""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby
from typing import Final

from minigrad.explain.equations import EQUATIONS
from minigrad.explain.formula import TOKEN
from minigrad.explain.passes import Selection
from minigrad.explain.text import OPERATOR, opening, pieces, wrap

_WIDTH: Final = 62
"""Characters of text that make a row of a formula in LaTeX."""
_NAME: Final = re.compile(
    r"(?P<base>[^\W\d]+?(?:_[^\W\d]+?)*)_?(?P<level>\d*)(?P<primes>'*)"
    r"(?:\|(?P<by>[\w.]+))?(?:\[(?P<index>[^\]]*)\])?"
)
_GREEK: Final = [
    "alpha", "beta", "gamma", "delta", "epsilon", "lambda", "mu", "sigma", "theta", "phi", "omega",
    "eta", "tau", "rho",
]  # fmt: skip
_FUNCTIONS: Final = ["exp", "log", "tanh", "max", "min", "sin", "cos", "sinh", "cosh"]
_COMMANDS: Final = {name: f"\\{name}" for name in (*_FUNCTIONS, *_GREEK)}
_COMMANDS["J_new"] = r"J_{\text{new}}"
_COMMANDS.update(zip("αβγδελμσθφωητρ", map("\\{}".format, _GREEK), strict=True))
_SPECIAL: Final = {sign: f"\\{sign}" for sign in "#$%&_{}"}
_PLAIN: Final = _SPECIAL | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "→": r"$\to$", "×": r"$\times$", "∂": r"$\partial$", "Σ": r"$\Sigma$", "δ": r"$\delta$",
}  # fmt: skip
_SIGNS: Final = _SPECIAL | {
    "←": r"\leftarrow ", "→": r"\to ",
    "×": r"\times ", "∂": r"\partial ", "≤": r"\le ", "≥": r"\ge ", "<=": r"\le ", ">=": r"\ge ",
    "\\": r"\backslash ", "~": r"\sim ", "*": r"\cdot ",
}  # fmt: skip


def latex(shown: Selection) -> str:
    """Write a document of the steps of one row in order; it needs only amsmath."""
    written = [
        r"\documentclass[a4paper,10pt]{article}",
        r"\usepackage[margin=2cm]{geometry}",
        r"\usepackage{amsmath}",
        r"\allowdisplaybreaks",
        r"\begin{document}",
        _escape(" ".join(opening(shown))),
        r"\section*{The equations}",
    ]
    known = [(n, part) for n, e in EQUATIONS.items() for part in re.split(r", (?=\S+ = )", e)]
    written += _aligned([row for n, part in known for row in _rows([part], str(n))])
    for phase, steps in groupby(enumerate(shown.made.steps, start=1), lambda item: item[1].phase):
        written.append(rf"\section*{{{phase.title()}}}")
        for place, step in steps:
            head = rf"\paragraph{{{place}. {_escape(step.head)}.}}"
            head += f" {_escape(step.references)}." if step.tag else ""
            lines = shown.lines(step)
            rows = [row for line in lines for row in _rows(pieces(line), step.tag)]
            written += [head, *_aligned(_rows(shown.equation(step)) + rows)]
            if rest := shown.rest(step):
                written.append(f"\\noindent {_escape(rest)}.")
            if note := shown.note(step):
                plain = "\n".join(note).encode("ascii", "ignore").decode()
                written += [r"\begin{verbatim}", plain, r"\end{verbatim}"]
    return "\n".join([*written, r"\end{document}", ""])


def _mathematics(formula: str) -> str:
    """Write a formula as LaTeX: z^{(1)}_{0} for z1[0], and 10^{-5} for 1e-05."""
    made: list[str] = []
    raised = False
    for token in TOKEN.finditer(formula):
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


def _escape(plain: str) -> str:
    """Write plain text so that LaTeX prints it; signs beyond ASCII are simplified or left out."""
    plain = unicodedata.normalize("NFKD", plain)
    return "".join(_PLAIN.get(sign, sign if sign.isascii() else "") for sign in plain)


def _aligned(rows: list[str]) -> list[str]:
    return [r"\begin{align*}", "\\\\\n".join(rows), r"\end{align*}"]


def _rows(formula: str | list[str], tag: str = "") -> list[str]:
    """Write the rows of a formula, aligned at its first equality sign."""
    formula = OPERATOR.split(formula) if isinstance(formula, str) else formula
    first, *others = wrap(formula, _WIDTH)
    left, *right = re.split(r" (?=[=←] )", first, maxsplit=1)
    rows = [f"{_mathematics(left)} &{''.join(map(_mathematics, right))}"]
    rows += [rf"&\quad {{}}{_mathematics(row.strip())}" for row in others]
    rows[-1] += rf" \tag{{{_escape(tag)}}}" if tag else ""
    return rows


def _name(name: str) -> str:
    if name.startswith("Σ_"):
        return rf"\sum_{{{_word(name[2:])}}}"
    parts = _NAME.fullmatch(name)
    if parts is None:
        return rf"\text{{{_escape(name)}}}"
    if name.startswith("β_"):
        return rf"\beta_{{{parts['level']}}}"
    above = [f"({parts['level']})"] if parts["level"] else []
    above += [r"\prime" * len(parts["primes"])] if parts["primes"] else []
    above += [rf"\text{{by {_escape(parts['by'])}}}"] if parts["by"] else []
    index = ",".join(map(_word, filter(None, (parts["index"] or "").split(","))))
    made = _word(parts["base"]) + (f"^{{{' '.join(above)}}}" if above else "")
    return made + (f"_{{{index}}}" if index else "")


def _word(word: str) -> str:
    plain = re.fullmatch(r"[ -~]|[\d.]+", word)
    return _COMMANDS.get(word) or (word if plain else rf"\text{{{_escape(word)}}}")
