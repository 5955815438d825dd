"""How a loss says J, Equation 1, and where backpropagation starts, Equation 2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Array
from minigrad.explain.elementwise import with_names, with_numbers
from minigrad.explain.formula import factor_of, parse
from minigrad.explain.lines import Factors, Limit, Line, Step, Term, at, number, summed
from minigrad.explain.naming import Naming
from minigrad.losses import CrossEntropyLoss, Loss, MSELoss
from minigrad.trace import Trace


class Objective:
    """J of a batch: the loss's terms, the factor on their sum, and the parameters' penalties.

    Args:
        loss: the loss.
        recorded: the pass.
        target: as the loss takes it.
        naming: of its arrays and parameters.
    """

    def __init__(self, loss: Loss, recorded: Trace, target: NDArray[Any], naming: Naming) -> None:
        prediction, delta = recorded.prediction, recorded[""].delta
        symbol = naming.of(prediction)
        assert symbol is not None
        assert delta is not None
        assert recorded.j is not None
        self.loss, self.prediction, self.delta, self.symbol = loss, prediction, delta, symbol
        self.target = loss.cast(loss.match(target, prediction.shape), prediction.dtype)
        self._shares = _shares(loss, self.target, prediction)
        self.penalties = {
            f"penalty({name})": parameter.regularizer.value(parameter.value)
            for place in naming.places
            for name, _, parameter in place.parameters.values()
            if parameter.regularizer is not None
        }
        self.j = recorded.j + sum(self.penalties.values())
        self._sides = parse(loss.equation, "l")
        squared = type(loss) is MSELoss and loss.reduction == "sum"
        self._exact = "" if squared and loss.scale == 0.5 else "as "
        # A loss that goes its own way from terms to J is asked for J and delta only.
        self._known = type(loss).forward is Loss.forward and type(loss).backward is Loss.backward
        self.terms = (
            loss.terms(prediction, self.target)[0]
            if self._known
            else np.empty((len(prediction), 0))
        )
        count = self.terms.size if loss.reduction == "mean" else 1
        self.factor = loss.scale / count if count else 0.0

    def forward(self) -> Iterator[Step]:
        """Yield the terms, and J."""
        if self._known:
            yield self._terms()
        yield self._total()

    def backward(self) -> Step:
        """Tell dJ/dprediction."""
        name, shape = self.symbol.delta, self.symbol.shape
        expression = self._sides.get("l'", "") if self._known else ""
        factor = factor_of(number(self.factor))

        def tell(row: int, unit: int, limit: Limit) -> Line:
            value = float(self.delta[row].ravel()[unit])
            slope = self._with_numbers(expression, row, unit, limit) if expression else ""
            return Line(at(name, shape, unit), value, formula=factor(slope) if slope else "")

        return Step(
            phase="backward",
            path="",
            title="where backpropagation starts",
            equation=f"{at(name, shape, 'k')} = " + factor(self._with_names(expression))
            if expression
            else at(name, shape, "k"),
            tag=f"{self._exact}2",
            name=name,
            symbol=self.symbol,
            shape=shape,
            values=lambda row: self.delta[row],
            tell=tell,
        )

    def _terms(self) -> Step:
        shape = self.terms.shape[1:]
        expression = self._sides.get("l", "")

        def tell(row: int, unit: int, limit: Limit) -> Line:
            value = float(self.terms[row].ravel()[unit])
            formula = self._with_numbers(expression, row, unit, limit) if expression else ""
            return Line(at("l", shape, unit), value, formula=formula)

        right = self._with_names(expression) or f"{type(self.loss).__name__}({self.symbol.name}, t)"
        return Step(
            phase="loss",
            path="",
            title="the loss of each output" if shape else "the loss of the row",
            equation=f"{at('l', shape, 'k')} = {right}",
            tag=f"{self._exact}1",
            name="l",
            symbol=None,
            shape=shape,
            values=lambda row: self.terms[row],
            tell=tell,
        )

    def _total(self) -> Step:
        alone = len(self.prediction) == 1
        parts = self.terms.reshape(len(self.prediction), -1)
        parts = parts[0] if alone else parts.sum(axis=1)
        shape = self.terms.shape[1:] if alone else (1,)
        factor = (("factor", self.factor),) if self.factor != 1 else ()

        def factors(i: int) -> Factors:
            name = at("l", shape, i) if alone else f"l[row {i}]"
            return (*factor, (name, float(parts[i])))

        last = tuple(Term(((name, value),), value) for name, value in self.penalties.items())

        def tell(_: int, __: int, limit: Limit) -> Line:
            if not self._known:
                return Line("J", self.j)
            products = self.factor * parts
            return summed("J", self.j, products, factors, limit=limit, last=last)

        sums = ("" if alone else "Σ_rows ") + ("Σ_k " if self.terms.shape[1:] else "")
        loss = factor_of(number(self.factor))(f"{sums}{at('l', self.terms.shape[1:], 'k')}")
        equation = loss if self._known else f"{type(self.loss).__name__}({self.symbol.name}, t)"
        return Step(
            phase="loss",
            path="",
            title="the loss",
            equation=" + ".join([f"J = {equation}", *self.penalties]),
            tag=f"{self._exact}1",
            name="J",
            symbol=None,
            shape=(),
            values=lambda _: np.array(self.j),
            tell=tell,
        )

    def _with_names(self, expression: str) -> str:
        prediction = self.symbol.name, self.symbol.shape
        target = "t", self._shares.shape[1:]
        arrays = {"a": prediction, "z": prediction, "t": target}
        return with_names(expression, arrays)

    def _with_numbers(self, expression: str, row: int, unit: int, limit: Limit) -> str:
        prediction = self.prediction[row].ravel()
        arrays = {"a": prediction, "z": prediction, "t": self._shares[row].ravel()}
        return with_numbers(expression, arrays, unit, owner=self.loss, limit=limit)


def _shares(loss: Loss, target: NDArray[Any], prediction: Array) -> NDArray[Any]:
    """Return what t stands for in the loss's equation: for classes, the share of each."""
    if not isinstance(loss, CrossEntropyLoss):
        return target
    classes, smoothing = prediction.shape[1], loss.label_smoothing
    if target.ndim == 1:
        target = np.eye(classes, dtype=prediction.dtype)[target]
    shares: Array = target / target.sum(axis=1, keepdims=True)
    smoothed: Array = (1 - smoothing) * shares + smoothing / classes
    return smoothed
