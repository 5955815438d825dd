"""The explanation as text that fits 100 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from minigrad.explain.choice import Choice
from minigrad.explain.equations import EQUATIONS
from minigrad.explain.lines import Line, Step, Term, at, number
from minigrad.util.names import join

if TYPE_CHECKING:
    from minigrad.explain.story import Explanation

WIDTH: Final = 100
_TAG: Final = 15
"""What the indent, the longest tag and the space before it take."""
_HEADS: Final = {"forward": "FORWARD", "loss": "LOSS", "backward": "BACKWARD"}


def text(explanation: Explanation, choice: Choice) -> str:
    """Tell the steps of one row in order."""
    written = [row for said in opening(explanation, choice) for row in _fit(said)]
    phase = ""
    for place, step in enumerate(explanation.steps, start=1):
        if step.phase != phase:
            phase = step.phase
            written += ["", _HEADS[phase]]
        written += ["", *_step(step, place, choice)]
    return "\n".join([*written, "", *_equations(explanation.steps)])


def pieces(line: Line) -> list[str]:
    """Write a line in pieces between which it may be broken.

    >>> from minigrad.explain.lines import Term
    >>> product = Term((("x[0]", 0.5), ("w1[0,0]", -2.0)), -1.0)
    >>> pieces(Line("z1[0]", -0.75, (Term((("b1[0]", 0.25),), 0.25), product)))
    ['z1[0]', '= 0.25', '+ 0.5 × (-2)', '= -0.75']
    """
    value = f"= {number(line.value)}"
    made = [line.name]
    if line.formula:
        first, *others = line.formula.split(" + ")
        made += [f"= {first}", *(f"+ {other}" for other in others)]
    elif len(line.terms) == 1 and len(line.terms[0].factors) == 1 and not line.omitted:
        made.append(f"= {line.terms[0].factors[0][0]}")
    elif line.terms:
        made += [_signed(term, first=place == 0) for place, term in enumerate(line.terms)]
        if line.omitted:
            sign = "-" if line.rest < 0 else "+"
            made.append(f"{sign} {number(abs(line.rest))} ({line.omitted} more)")
    return made if made[-1] == value else [*made, value]


def wrapped(made: list[str], width: int, indent: str = "  ") -> list[str]:
    """Join pieces to rows that fit; what is broken goes on indented."""
    rows = [made[0]]
    for piece in made[1:]:
        if len(rows[-1]) + 1 + len(piece) <= width:
            rows[-1] += f" {piece}"
        else:
            rows.append(f"{indent}{piece}")
    return [cut for row in rows for cut in _cut_in_pieces(row, width, indent)]


def told(line: Line, tag: str) -> list[str]:
    """Write one line, with the equation's number in parentheses at the right."""
    rows = [f"  {row}" for row in wrapped(pieces(line), WIDTH - _TAG, "    ")]
    rows[-1] = f"{rows[-1]:{WIDTH - len(tag) - 2}}({tag})"
    return rows


def _signed(term: Term, *, first: bool) -> str:
    """Write a term with the sign before it.

    >>> _signed(Term((("", -2.0), ("", 3.0)), -6.0), first=False)
    '- 2 × 3'
    """
    head, *rest = [value for _, value in term.factors]
    sign = "=" if first else "-" if head < 0 else "+"
    shown = [number(head) if first else number(abs(head))]
    shown += [f"({number(v)})" if v < 0 else number(v) for v in rest]
    return f"{sign} {' × '.join(shown)}"


def named(tag: str) -> str:
    """Write out the equations of a step.

    >>> named("4, 6"), named("as 8")
    ('Equations 4, 6', 'as Equation 8')
    """
    numbers = tag.removeprefix("as ")
    kind = "Equations" if "," in numbers else "Equation"
    return f"{'as ' if numbers != tag else ''}{kind} {numbers}"


def opening(explanation: Explanation, choice: Choice) -> list[str]:
    """Say in sentences what is told, and how to read it."""
    rows, limit = explanation.rows, choice.limit
    told = [
        f"J = {number(explanation.j)} by {type(explanation.loss).__name__}, forward and back, "
        f"for row {choice.row} of {rows}."
    ]
    for place in explanation.naming.places:
        for attribute, (symbol, _, parameter) in place.parameters.items():
            if len(told) == 1:
                example = at(symbol, parameter.shape, parameter.size - 1)
                index = example.removeprefix(symbol) or "[...]"
                told.append(
                    f"Indices are those of the arrays, from 0: {example} is "
                    f"{join(place.path, attribute)}.value{index}."
                )
    told.append(
        "In parentheses: which of the equations 1 to 11 a line is; (as 8) takes the place of (8)."
    )
    if any(step.size > limit.most for step in explanation.steps):
        told.append(f"Of more than {limit.most}, the {limit.few} that matter most are told.")
    return told


def _step(step: Step, place: int, choice: Choice) -> Iterator[str]:
    where = f"{step.path}: " if step.path else ""
    equations = named(step.tag)
    head = f"{place}. {where}{step.title}".split(" ")
    *rows, last = wrapped(head, WIDTH - len(equations) - 2, "    ")
    yield from (*rows, f"{last:{WIDTH - len(equations)}}{equations}")
    yield from (f"  {row}" for row in wrapped(step.equation.split(" "), WIDTH - 2, "    "))
    lines = choice.lines(step)
    for line in lines:
        yield from told(line, step.tag)
    if len(lines) < step.size:
        yield f"  ... and {step.size - len(lines)} more"


def _equations(steps: Sequence[Step]) -> Iterator[str]:
    """Write out the equations that these steps are, or take the place of."""
    told = {int(n) for step in steps for n in step.tag.removeprefix("as ").split(", ")}
    yield "EQUATIONS"
    yield ""
    yield "  i, j and k count the units of three layers in a row"
    yield from (f"  {f'({n})':4} {equation}" for n, equation in EQUATIONS.items() if n in told)


def _fit(sentence: str) -> list[str]:
    return wrapped(sentence.split(" "), WIDTH, "")


def _cut_in_pieces(row: str, width: int, indent: str) -> list[str]:
    if len(row) <= width:
        return [row]
    import textwrap

    return textwrap.wrap(row, width, subsequent_indent=indent, drop_whitespace=False)
