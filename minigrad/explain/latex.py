"""A pass as a LaTeX document, which needs only amsmath."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from minigrad.explain.equations import escape, mathematics
from minigrad.explain.passes import Pass, Selection
from minigrad.explain.steps import EQUATIONS, Step
from minigrad.explain.text import opening, pieces, wrap

_WIDTH: Final = 62
"""Characters of text that make a row of a formula."""


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
