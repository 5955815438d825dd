"""A pass as text for a terminal."""

from __future__ import annotations

import re
import textwrap
from itertools import groupby
from typing import Final

from minigrad.explain.equations import EQUATIONS
from minigrad.explain.passes import Selection
from minigrad.explain.steps import Line, at, number
from minigrad.util.terminal import Style, Terminal

OPERATOR: Final = re.compile(r" (?=[-+/=←] )")
"""The space before an operator, where a formula may be broken."""


def text(shown: Selection, terminal: Terminal) -> str:
    """Write the steps of one row in order, and the equations that they follow."""
    width, paint = terminal.width, terminal.paint

    def rows(sentence: str | list[str], indent: str = "  ", later: str = "    ") -> list[str]:
        wrapped = wrap(sentence, width - len(indent), later) if sentence else []
        return [f"{indent}{row}".rstrip() for row in wrapped]

    written = [row for sentence in opening(shown) for row in rows(sentence, "", "")]
    for phase, steps in groupby(enumerate(shown.made.steps, start=1), lambda item: item[1].phase):
        written += ["", paint(phase.upper(), "bold", "magenta")]
        for place, step in steps:
            head = rows(f"{place}. {step.head}", "")
            written += ["", *_beside(head, step.references, terminal, "bold")]
            written += [paint(row, "cyan") for row in rows(OPERATOR.split(shown.equation(step)))]
            written += [row for line in shown.lines(step) for row in tagged(line, "", terminal)]
            written += [paint(row, "dim") for row in rows(shown.rest(step), "  ", "")]
            written += [row for noted in shown.note(step) for row in rows(noted, later="      ")]
    tags = {step.tag.removeprefix("as ") for step in shown.made.steps} - {""}
    used = {int(n) for tag in tags for n in tag.split(", ")}
    written += ["", paint("EQUATIONS", "bold", "magenta"), ""]
    written += rows("i, j and k count the units of three consecutive layers")
    for n in sorted(used):
        written += rows(OPERATOR.split(f"{f'({n})':4} {EQUATIONS[n]}"), later=" " * 9)
    return "\n".join(written)


def opening(shown: Selection) -> list[str]:
    """Return the sentences that explain how to read a pass."""
    made, limit = shown.made, shown.limit
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
        made += OPERATOR.split(f"{line.sign} {line.formula}")
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
