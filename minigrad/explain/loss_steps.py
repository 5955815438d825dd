"""The steps of a loss: its terms, J, and dJ/dprediction."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.explain.equations import ERROR, ERROR_SLOPE
from minigrad.explain.formula import Formula, computes, equation_of, right_sides, scaled
from minigrad.explain.places import Output, word
from minigrad.explain.steps import Limit, Rule, Step, Sum, Written, at, sum_of
from minigrad.losses import CrossEntropyLoss, Loss, MSELoss


def loss_steps(
    losses: Mapping[str, Loss],
    outputs: Mapping[str, Output],
    targets: Mapping[str, NDArray[Any]],
    j: float,
    regularizers: Mapping[str, float],
) -> Iterator[Step]:
    """Yield the steps of the losses, of their sum J if there are several, and of dJ/dprediction."""
    if "" in losses:
        yield from _steps_of(losses[""], outputs[""], targets[""], "", j, regularizers)
        return
    steps, parts = list[Step](), dict[str, float]()
    for label, loss in losses.items():
        prediction, target = outputs[label].symbol.values, targets[label]
        part = copy.copy(loss).forward(prediction, target, training=False)
        steps += _steps_of(loss, outputs[label], target, label, part, {})
        parts[f"J|{word(label)}"] = part
    yield from (step for step in steps if step.phase == "loss")
    terms = [*parts.items(), *regularizers.items()]
    yield Step(
        phase="loss", title="the sum of the losses", tag=f"as {ERROR}", name="J",
        rule=Rule(" + ".join(name for name, _ in terms), lambda *_: sum_of(terms)),
        values=np.array([j]),
    )  # fmt: skip
    yield from (step for step in steps if step.phase == "backward")


def _steps_of(
    loss: Loss,
    output: Output,
    target: NDArray[Any],
    label: str,
    j: float,
    regularizers: Mapping[str, float],
) -> Iterator[Step]:
    """Yield the terms of a loss, their sum J, and dJ/dprediction."""
    symbol, delta, delta_name = output
    prediction, by, kind = symbol.values, f"|{word(label)}" if label else "", type(loss)
    # A loss with a forward or backward of its own may compute J in any way.
    known = computes(kind, Loss, but="terms")
    sides = right_sides(equation_of(loss), "l") if known else {}
    values = dict.fromkeys(("a", "z"), (symbol.name, prediction))
    values["t"] = f"t{by}", target_shares(loss, output, target)
    terms = loss.terms(prediction, target)[0] if known else np.empty((len(prediction), 0))
    divisor = terms.size if loss.reduction == "mean" else 1
    scale = loss.scale / divisor if divisor else 0.0
    exact = kind is MSELoss and loss.reduction == "sum" and loss.scale == 0.5
    lead, alone, shape = "" if exact else "as ", len(prediction) == 1, terms.shape[1:]
    name, opaque = f"l{by}", f"{kind.__name__}({symbol.name}, t{by})"
    size = prediction.size // max(1, terms.size)  # of a term: all classes, or one number

    def each(formula: Formula) -> Rule:
        right = formula.names() or opaque
        return Rule(right, lambda row, index, limit: formula.numbers(row, index * size, limit))

    parameters = dict[str, tuple[str, Any]]()
    if "s" in sides and isinstance(loss, CrossEntropyLoss):
        log_sum, s = np.logaddexp.reduce(prediction, axis=-1), f"s{by}"
        logarithm = Formula(sides["s"], values, loss, {})
        yield Step(
            phase="loss", path=label, title="the logarithm of the sum over the classes",
            tag=lead + ERROR, name=s, rule=each(logarithm), values=log_sum,
        )  # fmt: skip
        values["s"] = s, np.broadcast_to(log_sum[..., np.newaxis], prediction.shape)
        parameters["s"] = s, shape  # it has the shape of the terms
    if "p" in sides:
        share = Formula(sides["p"], values, loss, parameters)
        values["p"] = f"p{by}", share.values()
        yield Step(
            phase="loss", path=label, title="the probabilities", tag=lead + ERROR,
            name=f"p{by}", rule=share.rule(), values=values["p"][1], symbol=symbol,
        )  # fmt: skip
    term, slope = (Formula(sides.get(side, ""), values, loss, parameters) for side in ("l", "l'"))

    def total(_: int, __: int, ___: Limit) -> Sum | Written:
        if not known:
            return Written()
        added = terms.ravel() if alone else terms.reshape(len(terms), -1).sum(axis=1)
        names = (at(name, shape, i) if alone else f"{name}[row {i}]" for i in range(added.size))
        named = list(zip(names, added.tolist(), strict=True))
        return sum_of(named, None if scale == 1 else scale, last=tuple(regularizers.items()))

    def slopes(row: int, unit: int, limit: Limit) -> Written:
        text, value, size, *_ = slope.numbers(row, unit, limit)
        return Written(scaled(scale, text), scale * value, abs(scale) * size)

    if known:
        yield Step(
            phase="loss", path=label,
            title="the loss of each output" if shape else "the loss of the row", tag=lead + ERROR,
            name=name, rule=each(term), values=terms,
        )  # fmt: skip
    sums = ("" if alone else "Σ_rows ") + ("Σ_k " if shape else "") + at(name, shape, "k")
    yield Step(
        phase="loss", path=label, title="the loss", tag=lead + ERROR, name=f"J{by}",
        rule=Rule(" + ".join([scaled(scale, sums) if known else opaque, *regularizers]), total),
        values=np.array([j]),
    )  # fmt: skip
    yield Step(
        phase="backward", path=label, title="the gradient of the loss", tag=lead + ERROR_SLOPE,
        name=delta_name, rule=Rule(scaled(scale, slope.names()), slopes), values=delta,
        symbol=symbol,
    )  # fmt: skip


def target_shares(loss: Loss, output: Output, target: NDArray[Any]) -> NDArray[Any]:
    """Return t of the loss's equation, smoothed; for classes, the share of each class."""
    if not isinstance(loss, CrossEntropyLoss):
        smooth = getattr(loss, "smoothed", None)
        return target if smooth is None else np.asarray(smooth(target))
    prediction = output.symbol.values
    classes, smoothing = prediction.shape[-1], loss.label_smoothing
    if target.ndim < prediction.ndim:
        target = np.eye(classes)[target.astype(np.intp)]
    target = target.astype(prediction.dtype)
    shares = target / target.sum(axis=-1, keepdims=True)
    return np.asarray((1 - smoothing) * shares + smoothing / classes)
