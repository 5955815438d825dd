"""The two steps that every layer has: to its output, and back to its input's delta."""

from __future__ import annotations

from collections.abc import Callable

from minigrad.explain.lines import Limit, Line, Step
from minigrad.explain.places import Place


def output_step(
    place: Place, *, title: str, equation: str, tag: str, tell: Callable[[int, int, Limit], Line]
) -> Step:
    """Tell a layer's output; the arguments are those of `Step`."""
    h, output = place.h, place.output
    return Step(
        phase="forward",
        path=place.path,
        title=title,
        equation=equation,
        tag=tag,
        name=h.name,
        symbol=h,
        shape=h.shape,
        values=lambda row: output[row],
        tell=tell,
    )


def input_delta_step(
    place: Place, *, title: str, equation: str, tag: str, tell: Callable[[int, int, Limit], Line]
) -> Step:
    """Tell dJ/dinput of a layer; the arguments are those of `Step`."""
    x, input_delta = place.x, place.input_delta
    assert input_delta is not None
    return Step(
        phase="backward",
        path=place.path,
        title=title,
        equation=equation,
        tag=tag,
        name=place.input_delta_name,
        symbol=x,
        shape=x.shape,
        values=lambda row: input_delta[row],
        tell=tell,
    )
