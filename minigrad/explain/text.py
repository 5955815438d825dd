"""A pass as text of at most 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from math import prod
from typing import Final

from minigrad.explain.passes import Pass, Selection
from minigrad.explain.steps import EQUATIONS, Line, Step, Term, at, number

WIDTH: Final = 100
_TAG: Final = 15
"""The width of the indent, the longest tag and the space before it."""


def text(made: Pass, shown: Selection) -> str:
    """Write the steps of one row in order, and the equations that they follow."""
    written = [row for sentence in opening(made, shown) for row in wrap(sentence, WIDTH, "")]
    phase = ""
    for place, step in enumerate(made.steps, start=1):
        if step.phase != phase:
            phase = step.phase
            written += ["", phase.upper()]
        written += ["", *_step(step, place, shown)]
    used = {int(n) for step in made.steps for n in step.tag.removeprefix("as ").split(", ")}
    written += ["", "EQUATIONS", "", "  i, j and k count the units of three consecutive layers"]
    written += [f"  {f'({n})':4} {equation}" for n, equation in EQUATIONS.items() if n in used]
    return "\n".join(written)


def opening(made: Pass, shown: Selection) -> list[str]:
    """Return the sentences that explain how to read a pass."""
    limit, kind = shown.limit, type(made.loss).__name__
    sentences = [
        f"J = {number(made.j)} ({kind}): forward and backward pass of row {shown.row} of "
        f"{len(made.x)}."
    ]
    for name, ((place, attribute), *_) in list(made.names.parameters.items())[:1]:
        shape, path = place.parameters[attribute].source.shape, f"{place.path}.{attribute}"
        index = at("", shape, prod(shape) - 1)
        example = f"{name}{index} is {path.lstrip('.')}.value{index or '[...]'}"
        sentences.append(f"Indices start at 0, as in the arrays: {example}.")
    sentences.append(
        "Numbers in parentheses refer to the equations below; (as 8) takes the place of Equation 8."
    )
    if any(step.size > limit.most for step in made.steps):
        sentences.append(
            f"Where there are more than {limit.most} numbers, the {limit.few} with the largest "
            "effect are shown."
        )
    return sentences


def pieces(line: Line) -> list[str]:
    """Write a line in pieces between which it may be broken."""
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


def wrap(made: str | list[str], width: int, indent: str = "  ") -> list[str]:
    """Join words or pieces to rows that fit, with an indent from the second row on."""
    first, *others = made.split(" ") if isinstance(made, str) else made
    rows = [first]
    for piece in others:
        if len(rows[-1]) + 1 + len(piece) <= width:
            rows[-1] += f" {piece}"
        else:
            rows.append(f"{indent}{piece}")
    cuts = (textwrap.wrap(row, width, subsequent_indent=indent) for row in rows if len(row) > width)
    return [cut for row in rows for cut in (next(cuts) if len(row) > width else [row])]


def tagged(line: Line, tag: str) -> list[str]:
    """Write one line, with the equation's number in parentheses at the right."""
    rows = [f"  {row}" for row in wrap(pieces(line), WIDTH - _TAG, "    ")]
    rows[-1] = f"{rows[-1]:{WIDTH - len(tag) - 2}}({tag})"
    return rows


def _signed(term: Term, *, first: bool) -> str:
    """Write a term with its sign: '- 2 × 3'."""
    head, *rest = [value for _, value in term.factors]
    sign = "=" if first else "-" if head < 0 else "+"
    shown = [number(head if first else abs(head))]
    shown += [f"({number(v)})" if v < 0 else number(v) for v in rest]
    return f"{sign} {' × '.join(shown)}"


def _step(step: Step, place: int, shown: Selection) -> Iterator[str]:
    head = f"{place}. {f'{step.path}: ' if step.path else ''}{step.title}"
    *rows, last = wrap(head, WIDTH - len(step.references) - 2, "    ")
    yield from (*rows, f"{last:{WIDTH - len(step.references)}}{step.references}")
    yield from (f"  {row}" for row in wrap(step.equation, WIDTH - 2, "    "))
    lines = shown.lines(step)
    for line in lines:
        yield from tagged(line, step.tag)
    if len(lines) < step.size:
        yield f"  ... and {step.size - len(lines)} more"
