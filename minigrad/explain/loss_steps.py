"""The steps of a loss: its terms, J, and dJ/dprediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.explain.equations import ERROR, ERROR_SLOPE
from minigrad.explain.places import Output, word
from minigrad.explain.steps import Formula, Limit, Step, Sum, at, scaled
from minigrad.losses import CrossEntropyLoss, Loss, MSELoss


def loss_steps(
    loss: Loss,
    output: Output,
    target: NDArray[Any],
    j: float,
    label: str = "",
    regularizers: Mapping[str, float] = {},
) -> Iterator[Step]:
    """Yield the terms of the loss, J, and dJ/dprediction; `label` is the name of one of several."""
    symbol, delta, delta_name = output
    prediction, by = symbol.values, f"|{word(label)}" if label else ""
    l_name, j_name = f"l{by}", f"J{by}"
    kind, sides, shares = (
        type(loss),
        Formula.sides(loss.equation, "l"),
        target_shares(loss, output, target),
    )
    # A loss with a forward or backward of its own may compute J in any way.
    known = kind.forward is Loss.forward and kind.backward is Loss.backward
    terms = loss.terms(prediction, target)[0] if known else np.empty((len(prediction), 0))
    divisor = terms.size if loss.reduction == "mean" else 1
    scale = loss.scale / divisor if divisor else 0.0
    lead = "" if kind is MSELoss and loss.reduction == "sum" and loss.scale == 0.5 else "as "
    alone, shape = len(prediction) == 1, terms.shape[1:]

    values = dict.fromkeys(("a", "z"), (symbol.name, prediction)) | {"t": (f"t{by}", shares)}
    forward, backward = (
        Formula(sides.get(side, "") if known else "", values, loss, {}) for side in ("l", "l'")
    )

    def total(_: int, __: int, ___: Limit) -> Sum | str:
        if not known:
            return ""
        rows = terms.reshape(len(terms), -1)
        added = rows[0] if alone else rows.sum(axis=1)
        names = [at(l_name, shape, i) if alone else f"{l_name}[row {i}]" for i in range(added.size)]
        first = (("factor", scale),) if scale != 1 else ()
        return Sum(
            scale * added,
            lambda i: (*first, (names[i], float(added[i]))),
            last=tuple(regularizers.items()),
        )

    one, opaque, tag = (
        at(l_name, shape, "k"),
        f"{kind.__name__}({symbol.name}, t{by})",
        lead + ERROR,
    )
    if known:
        title = "the loss of each output" if shape else "the loss of the row"
        equation = f"{one} = {forward.names() or opaque}"
        each = prediction.size // max(1, terms.size)  # of a term: all classes, or one number

        def term(row: int, index: int, limit: Limit) -> str:
            return forward.numbers(row, index * each, limit)

        yield Step("loss", label, title, equation, tag, l_name, terms, term)
    sums = ("" if alone else "Σ_rows ") + ("Σ_k " if shape else "")
    right = scaled(scale, sums + one) if known else opaque
    equation = " + ".join([f"{j_name} = {right}", *regularizers])
    yield Step("loss", label, "the loss", equation, tag, j_name, np.array([j]), total)
    slope = scaled(scale, backward.names())
    equation = at(delta_name, symbol.shape, "k") + (f" = {slope}" if slope else "")
    title, tag = "the gradient of the loss", lead + ERROR_SLOPE

    def slopes(row: int, unit: int, limit: Limit) -> str:
        return scaled(scale, backward.numbers(row, unit, limit))

    yield Step("backward", label, title, equation, tag, delta_name, delta, slopes, symbol)


def target_shares(loss: Loss, output: Output, target: NDArray[Any]) -> NDArray[Any]:
    """Return t of the loss's equation; for classes, the share of each class."""
    if not isinstance(loss, CrossEntropyLoss):
        return target
    prediction = output.symbol.values
    classes, smoothing = prediction.shape[-1], loss.label_smoothing
    if target.ndim < prediction.ndim:
        target = np.eye(classes)[target.astype(np.intp)]
    target = target.astype(prediction.dtype)
    shares = target / target.sum(axis=-1, keepdims=True)
    return np.asarray((1 - smoothing) * shares + smoothing / classes)
