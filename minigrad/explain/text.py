"""A pass as text for a terminal, and as a LaTeX document."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from itertools import groupby
from typing import Final

from minigrad.explain.equations import EQUATIONS
from minigrad.explain.formula import TOKEN
from minigrad.explain.passes import Pass, Selection
from minigrad.explain.steps import Line, at, number
from minigrad.util.terminal import Style, Terminal

_OPERATOR: Final = re.compile(r" (?=[-+/=←] )")
"""The space before an operator, where a formula may be broken."""
_LATEX_WIDTH: Final = 62
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


def text(made: Pass, shown: Selection, terminal: Terminal) -> str:
    """Write the steps of one row in order, and the equations that they follow."""
    width, paint = terminal.width, terminal.paint

    def rows(sentence: str | list[str], indent: str = "  ", later: str = "    ") -> list[str]:
        wrapped = wrap(sentence, width - len(indent), later) if sentence else []
        return [f"{indent}{row}".rstrip() for row in wrapped]

    written = [row for sentence in opening(made, shown) for row in rows(sentence, "", "")]
    for phase, steps in groupby(enumerate(made.steps, start=1), lambda item: item[1].phase):
        written += ["", paint(phase.upper(), "bold", "magenta")]
        for place, step in steps:
            head = rows(f"{place}. {step.head}", "")
            written += ["", *_beside(head, step.references, terminal, "bold")]
            written += [paint(row, "cyan") for row in rows(_OPERATOR.split(step.equation))]
            written += [row for line in shown.lines(step) for row in tagged(line, "", terminal)]
            written += [paint(row, "dim") for row in rows(shown.rest(step), "  ", "")]
            written += [row for noted in shown.note(step) for row in rows(noted, later="      ")]
    tags = {step.tag.removeprefix("as ") for step in made.steps} - {""}
    used = {int(n) for tag in tags for n in tag.split(", ")}
    written += ["", paint("EQUATIONS", "bold", "magenta"), ""]
    written += rows("i, j and k count the units of three consecutive layers")
    for n in sorted(used):
        written += rows(_OPERATOR.split(f"{f'({n})':4} {EQUATIONS[n]}"), later=" " * 9)
    return "\n".join(written)


def latex(made: Pass, shown: Selection) -> str:
    """Write a document of the steps of one row in order; it needs only amsmath."""
    written = [
        r"\documentclass[a4paper,10pt]{article}",
        r"\usepackage[margin=2cm]{geometry}",
        r"\usepackage{amsmath}",
        r"\allowdisplaybreaks",
        r"\begin{document}",
        _escape(" ".join(opening(made, shown))),
        r"\section*{The equations}",
    ]
    known = [(n, part) for n, e in EQUATIONS.items() for part in re.split(r", (?=\S+ = )", e)]
    written += _aligned([row for n, part in known for row in _rows([part], str(n))])
    for phase, steps in groupby(enumerate(made.steps, start=1), lambda item: item[1].phase):
        written.append(rf"\section*{{{phase.title()}}}")
        for place, step in steps:
            head = rf"\paragraph{{{place}. {_escape(step.head)}.}}"
            head += f" {_escape(step.references)}." if step.tag else ""
            lines = shown.lines(step)
            rows = [row for line in lines for row in _rows(pieces(line), step.tag)]
            written += [head, *_aligned(_rows(step.equation) + rows)]
            if rest := shown.rest(step):
                written.append(f"\\noindent {_escape(rest)}.")
            if note := shown.note(step):
                plain = "\n".join(note).encode("ascii", "ignore").decode()
                written += [r"\begin{verbatim}", plain, r"\end{verbatim}"]
    return "\n".join([*written, r"\end{document}", ""])


def opening(made: Pass, shown: Selection) -> list[str]:
    """Return the sentences that explain how to read a pass."""
    limit = shown.limit
    sentences = [
        f"J = {number(made.j)} ({made.loss_names}): forward and backward pass of row "
        f"{shown.row} of {made.rows}{', and the update' * made.updates}."
    ]
    for p, *_ in list(made.names.parameters.values())[:1]:
        index = at("", p.source.shape, p.source.size - 1)
        example = f"{p.name}{index} is {p.path}.value{index or '[...]'}"
        sentences.append(f"Indices start at 0, as in the arrays: {example}.")
    sentences.append(
        'The equations are listed below. "As Equation 8" takes the place of Equation 8, where a '
        "layer or a loss isn't the tutorial's."
    )
    if any(step.size > limit.most for step in made.steps):
        sentences.append(
            f"Of more than {limit.most} numbers, the {limit.few} largest are shown, and the sum of "
            "the others. Units are ranked by their effect, |a × ∂J/∂a|."
        )
    return sentences


def pieces(line: Line) -> list[str]:
    """Write a line in pieces between which it may be broken."""
    value = f"{line.sign} {number(line.value)}"
    made = [line.name]
    if line.formula:
        made += _OPERATOR.split(f"{line.sign} {line.formula}")
    elif len(line.terms) == 1 and len(line.terms[0].factors) == 1 and not line.omitted:
        made.append(f"{line.sign} {line.terms[0].factors[0][0]}")
    elif line.terms:
        for place, term in enumerate(line.terms):
            head, *rest = [value for _, value in term.factors]
            sign = "-" if head < 0 else "+"
            shown = [number(abs(head) if place else head)]
            shown += [f"({number(v)})" if v < 0 else number(v) for v in rest]
            made.append(f"{sign if place else line.sign} {' × '.join(shown)}")
        if line.omitted:
            sign = "-" if line.rest < 0 else "+"
            made.append(f"{sign} {number(abs(line.rest))} ({line.omitted} others)")
    if made[-1] == value:
        return made
    return [*made, f"= {number(line.value)}" if len(made) > 1 else value]


def wrap(made: str | list[str], width: int, indent: str = "  ") -> list[str]:
    """Join words or pieces to rows that fit, with an indent from the second row on."""
    first, *others = made.split(" ") if isinstance(made, str) else made
    rows = [first]
    for piece in others:
        if len(rows[-1]) + 1 + len(piece) <= width:
            rows[-1] += f" {piece}"
        else:
            rows.append(f"{indent}{piece}")
    cut: list[str] = []
    for row in rows:
        fits = len(row) <= width
        cut += [row] if fits else textwrap.wrap(row, width, subsequent_indent=indent)
    return cut


def tagged(line: Line, tag: str, terminal: Terminal) -> list[str]:
    """Write one line, with the equation's number in parentheses at the right."""
    rows = [f"  {row}" for row in wrap(pieces(line), terminal.width - 2, "    ")]
    return _beside(rows, f"({tag})" if tag else "", terminal)


def _beside(rows: list[str], right: str, terminal: Terminal, *styles: Style) -> list[str]:
    """Write rows in these styles or with a bold result, and what stands at the right end."""
    if right and len(rows[-1]) + 2 + len(right) > terminal.width:
        rows = [*rows, ""]
    space = " " * (terminal.width - len(rows[-1]) - len(right)) if right else ""
    *first, last = [terminal.paint(row, *styles) for row in rows]
    if not styles and (result := re.search(r"(?<=[=←] )\S+$", rows[-1])):
        last = rows[-1][: result.start()] + terminal.paint(result[0], "bold")
    return [*first, f"{last}{space}{terminal.paint(right, 'dim')}"]


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
    formula = _OPERATOR.split(formula) if isinstance(formula, str) else formula
    first, *others = wrap(formula, _LATEX_WIDTH)
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
