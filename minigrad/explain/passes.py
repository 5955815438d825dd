"""A pass over some rows: all arrays with their names, and the steps from the input to dJ/dx."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array
from minigrad.explain import layer_steps
from minigrad.explain.places import Names
from minigrad.explain.steps import Formula, Limit, Line, Step, Sum, at, flat_index, largest, scaled
from minigrad.losses import CrossEntropyLoss, Loss, MSELoss
from minigrad.trace import trace

Units: TypeAlias = Mapping[str, Sequence[int]]


class Pass:
    """A forward and backward pass; `step_of` holds the index in `steps` by array name."""

    def __init__(self, model: Layer, x: Array, y: NDArray[Any], loss: Loss) -> None:
        recorded = trace(model, x, y, loss)
        self.x, self.loss, self.prediction = x, loss, recorded.prediction
        self.names = Names(recorded, x)
        self.target = loss.cast(loss.match(y, self.prediction.shape), self.prediction.dtype)
        self.regularizers = {
            f"regularizer({p.name})": p.source.regularizer.value(p.source.value)
            for place in self.names.places
            for p in place.parameters.values()
            if p.source.regularizer is not None
        }
        delta, j = cast("tuple[Array, float]", (recorded[""].delta, recorded.j))
        self.j = j + sum(self.regularizers.values())
        ran_back = [p for p in reversed(self.names.places) if p.delta is not None]
        with np.errstate(all="ignore"):
            forward = [
                layer_steps.forward(p, self.names) for p in self.names.places if not p.enters
            ]
            backward = [step for p in ran_back for step in layer_steps.backward(p, self.names)]
            shared = layer_steps.shared_gradients(self.names)
            self.steps = [*forward, *self._loss_steps(delta), *backward, *shared]
        self.step_of = {step.name: index for index, step in enumerate(self.steps)}

    def _loss_steps(self, delta: Array) -> Iterator[Step]:
        """Yield the terms of the loss, J, and dJ/dprediction."""
        loss, prediction, symbol = self.loss, self.prediction, self.names.of(self.prediction)
        assert symbol is not None
        kind, sides, target = type(loss), Formula.sides(loss.equation, "l"), self._target_shares()
        # A loss with a forward or backward of its own may compute J in any way.
        known = kind.forward is Loss.forward and kind.backward is Loss.backward
        terms = loss.terms(prediction, self.target)[0] if known else np.empty((len(prediction), 0))
        divisor = terms.size if loss.reduction == "mean" else 1
        scale = loss.scale / divisor if divisor else 0.0
        lead = "" if kind is MSELoss and loss.reduction == "sum" and loss.scale == 0.5 else "as "
        alone, shape = len(prediction) == 1, terms.shape[1:]

        values = dict.fromkeys(("a", "z"), (symbol.name, prediction)) | {"t": ("t", target)}
        forward, backward = (
            Formula(sides.get(side, "") if known else "", values, loss, {}) for side in ("l", "l'")
        )

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

        one, opaque, tag = at("l", shape, "k"), f"{kind.__name__}({symbol.name}, t)", f"{lead}1"
        if known:
            title = "the loss of each output" if shape else "the loss of the row"
            equation = f"{one} = {forward.names() or opaque}"
            each = prediction.size // max(1, terms.size)  # of a term: all classes, or one number

            def term(row: int, index: int, limit: Limit) -> str:
                return forward.numbers(row, index * each, limit)

            yield Step("loss", "", title, equation, tag, "l", terms, term)
        sums = ("" if alone else "Σ_rows ") + ("Σ_k " if shape else "")
        right = scaled(scale, sums + one) if known else opaque
        equation = " + ".join([f"J = {right}", *self.regularizers])
        yield Step("loss", "", "the loss", equation, tag, "J", np.array([self.j]), total)
        name, slope = symbol.delta, scaled(scale, backward.names())
        equation = at(name, symbol.shape, "k") + (f" = {slope}" if slope else "")
        title, tag = "the gradient of the loss", f"{lead}2"

        def slopes(row: int, unit: int, limit: Limit) -> str:
            return scaled(scale, backward.numbers(row, unit, limit))

        yield Step("backward", "", title, equation, tag, name, delta, slopes, symbol)

    def _target_shares(self) -> NDArray[Any]:
        """Return t of the loss's equation; for classes, the share of each class."""
        target, loss, prediction = self.target, self.loss, self.prediction
        if not isinstance(loss, CrossEntropyLoss):
            return target
        classes, smoothing = prediction.shape[-1], loss.label_smoothing
        if target.ndim < prediction.ndim:
            target = np.eye(classes)[target.astype(np.intp)]
        target = target.astype(prediction.dtype)
        shares = target / target.sum(axis=-1, keepdims=True)
        return np.asarray((1 - smoothing) * shares + smoothing / classes)


class Selection:
    """The numbers of one row that are shown: all of a narrow layer, the largest of a wide one.

    Units are ranked by |value * dJ/dvalue|: the change of J, to first order, without the unit.
    Arrays with the same units show the same ones. `units` are shown in any case, by a layer's path.
    """

    def __init__(self, made: Pass, row: int, limit: Limit, units: Units | None = None) -> None:
        self.made, self.row, self.limit = made, row, limit
        self._units: dict[str, list[int]] = {}
        self._extra: dict[str, set[int]] = {}
        for path, indices in (units or {}).items():
            symbol = made.names.place(path).h
            extra = {flat_index(index, symbol.shape, path) for index in indices}
            self._extra.setdefault(symbol.units_of, set()).update(extra)

    def units(self, name: str) -> list[int]:
        if name not in self._units:
            symbol = self.made.names.symbols[name]
            sizes, step = symbol.values[self.row].ravel(), self.made.step_of.get(symbol.delta)
            if step is not None:
                with np.errstate(all="ignore"):
                    sizes = sizes * self.made.steps[step].row(self.row).ravel()
            chosen = largest(np.nan_to_num(sizes, nan=np.inf), self.limit.of(sizes.size))
            self._units[name] = sorted({*chosen, *self._extra.get(name, ())})
        return self._units[name]

    def indices(self, step: Step) -> list[int]:
        if step.symbol is not None:
            return self.units(step.symbol.units_of)
        return largest(step.row(self.row), self.limit.of(step.size))

    def lines(self, step: Step) -> list[Line]:
        return [step.line(self.row, index, self.limit) for index in self.indices(step)]
