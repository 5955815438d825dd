"""A pass over some rows: all arrays with their names, and the steps from the input to dJ/dx."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer
from minigrad.core.loss import Loss
from minigrad.core.trace import trace
from minigrad.data.arrays import Array
from minigrad.explain import layers
from minigrad.explain.equations import parse, scaled, with_names, with_numbers
from minigrad.explain.places import Names, places
from minigrad.explain.steps import Limit, Line, Step, Sum, at, flat_index, largest, number
from minigrad.losses import CrossEntropyLoss, MSELoss


class Pass:
    """The forward and backward pass of some rows, and the loss between them.

    Args:
        model: a built layer.
        x: rows, in the model's dtype.
        y: targets that the loss accepts.
        loss: the loss.

    Attributes:
        prediction: the model's output.
        target: the targets, in the shape and dtype that the loss computes with.
        j: the loss over all rows, with the regularizers.
        names: the names of all arrays, and the layers in forward order.
        steps: the computation in order.
        step_of: the index in `steps` by array name, such as "z1".
    """

    def __init__(self, model: Layer, x: Array, y: NDArray[Any], loss: Loss) -> None:
        recorded = trace(model, x, y, loss)
        delta = recorded[""].delta
        assert delta is not None
        assert recorded.j is not None
        self.x, self.loss, self.prediction = x, loss, recorded.prediction
        self.names = Names(places(recorded), x)
        self.target = loss.cast(loss.match(y, self.prediction.shape), self.prediction.dtype)
        self.regularizers = {
            f"regularizer({p.name})": p.source.regularizer.value(p.source.value)
            for place in self.names.places
            for p in place.parameters.values()
            if p.source.regularizer is not None
        }
        self.j = recorded.j + sum(self.regularizers.values())
        with np.errstate(all="ignore"):
            self.steps = [*self._forward(), *self._loss_steps(delta), *self._backward()]
        self.step_of = {step.name: index for index, step in enumerate(self.steps)}

    def _forward(self) -> Iterator[Step]:
        for place in self.names.places:
            if not place.enters:
                yield layers.forward(place, self.names)

    def _backward(self) -> Iterator[Step]:
        waiting: dict[str, Step] = {}
        """The deltas that a container gives its branches, by the name of a branch's output."""
        for place in reversed(self.names.places):
            if place.delta is None or place.input_delta is None:
                continue
            if place.h.name in waiting:
                yield waiting.pop(place.h.name)
            if place.inner and not place.enters:
                waiting |= layers.Branches(place, self.names).deltas()
            else:
                yield from layers.backward(place, self.names)
        yield from layers.shared_gradients(self.names.places)

    def _loss_steps(self, delta: Array) -> Iterator[Step]:
        """Yield the terms of the loss, J, and dJ/dprediction."""
        loss, prediction, symbol = self.loss, self.prediction, self.names.of(self.prediction)
        assert symbol is not None
        kind, sides, target = type(loss), parse(loss.equation, "l"), _target_shares(self)
        # A loss with its own forward or backward may compute J in any way.
        known = kind.forward is Loss.forward and kind.backward is Loss.backward
        terms = loss.terms(prediction, self.target)[0] if known else np.empty((len(prediction), 0))
        divisor = terms.size if loss.reduction == "mean" else 1
        scale = loss.scale / divisor if divisor else 0.0
        exact = kind is MSELoss and loss.reduction == "sum" and loss.scale == 0.5
        lead = "" if exact else "as "
        alone, shape = len(prediction) == 1, terms.shape[1:]
        arrays = {"a": (symbol.name, symbol.shape), "z": (symbol.name, symbol.shape)}
        arrays["t"] = "t", target.shape[1:]

        def filled(side: str, row: int, unit: int, limit: Limit) -> str:
            if not known or side not in sides:
                return ""
            held = prediction[row].ravel()
            numbers = {"a": held, "z": held, "t": target[row].ravel()}
            return with_numbers(sides[side], numbers, unit, owner=loss, limit=limit)

        def total(_: int, __: int, ___: Limit) -> Sum | str:
            if not known:
                return ""
            rows = terms.reshape(len(terms), -1)
            added = rows[0] if alone else rows.sum(axis=1)
            names = [at("l", shape, i) if alone else f"l[row {i}]" for i in range(added.size)]
            first = (("factor", scale),) if scale != 1 else ()
            return Sum(
                scale * added,
                lambda i: (*first, (names[i], float(added[i]))),
                last=tuple(self.regularizers.items()),
            )

        opaque = f"{kind.__name__}({symbol.name}, t)"
        if known:
            yield Step(
                phase="loss",
                path="",
                title="the loss of each output" if shape else "the loss of the row",
                equation=f"{at('l', shape, 'k')} = "
                + (with_names(sides["l"], arrays) if "l" in sides else opaque),
                tag=f"{lead}1",
                name="l",
                shape=shape,
                values=terms,
                parts=lambda row, unit, limit: filled("l", row, unit, limit),
            )
        sums = ("" if alone else "Σ_rows ") + ("Σ_k " if shape else "")
        right = scaled(number(scale), f"{sums}{at('l', shape, 'k')}") if known else opaque
        equation = " + ".join([f"J = {right}", *self.regularizers])
        yield Step("loss", "", "the loss", equation, f"{lead}1", "J", (), np.array(self.j), total)
        slope = with_names(sides.get("l'", ""), arrays) if known else ""
        yield Step(
            phase="backward",
            path="",
            title="the gradient of the loss",
            equation=at(symbol.delta, symbol.shape, "k")
            + (f" = {scaled(number(scale), slope)}" if slope else ""),
            tag=f"{lead}2",
            name=symbol.delta,
            shape=symbol.shape,
            values=delta,
            parts=lambda row, k, limit: scaled(number(scale), filled("l'", row, k, limit)),
            symbol=symbol,
        )


def _target_shares(made: Pass) -> NDArray[Any]:
    """Return t of the loss's equation; for classes, the share of each class."""
    target, loss, (_, *units) = made.target, made.loss, made.prediction.shape
    if not isinstance(loss, CrossEntropyLoss):
        return target
    if target.ndim == 1:
        target = np.eye(units[0], dtype=made.prediction.dtype)[target]
    shares: Array = target / target.sum(axis=1, keepdims=True)
    smoothed: Array = (1 - loss.label_smoothing) * shares + loss.label_smoothing / units[0]
    return smoothed


class Selection:
    """The numbers of one row that are shown: all of a narrow layer, the largest of a wide one.

    Units are ranked by |value * dJ/dvalue|: the change of J, to first order, without the unit.
    Arrays with the same units, such as z1, a1 and their gradients, show the same ones.

    Args:
        made: the pass.
        row: the row.
        limit: for the units of a layer, the lines of a gradient, and the terms of a sum.
        units: for a layer's path, units that are shown in any case.
    """

    def __init__(
        self, made: Pass, row: int, limit: Limit, units: Mapping[str, Sequence[int]] | None = None
    ) -> None:
        self.made, self.row, self.limit = made, row, limit
        self._extra: dict[str, set[int]] = {}
        for path, indices in (units or {}).items():
            symbol = made.names.place(path).h
            extra = {flat_index(index, symbol.shape, path) for index in indices}
            self._extra.setdefault(symbol.units_of, set()).update(extra)
        self._units: dict[str, list[int]] = {}

    def units(self, name: str) -> list[int]:
        """Return the units of an array that are shown."""
        if name not in self._units:
            sizes = self.made.names.arrays[name][self.row].ravel()
            step = self.made.step_of.get(self.made.names.symbol(name).delta)
            if step is not None:
                with np.errstate(all="ignore"):
                    sizes = sizes * self.made.steps[step].row(self.row).ravel()
            chosen = largest(np.nan_to_num(sizes, nan=np.inf), self.limit.of(sizes.size))
            self._units[name] = sorted({*chosen, *self._extra.get(name, ())})
        return self._units[name]

    def indices(self, step: Step) -> list[int]:
        """Return the flat indices of a step's array that are shown."""
        if step.symbol is not None:
            return self.units(step.symbol.units_of)
        return largest(step.row(self.row), self.limit.of(step.size))

    def lines(self, step: Step) -> list[Line]:
        """Return the lines of a step that are shown."""
        return [step.line(self.row, index, self.limit) for index in self.indices(step)]
