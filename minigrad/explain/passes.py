"""A pass over some rows: its steps from the input to dJ/dx or the update, and what is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, cast

import numpy as np

from minigrad.core.layer import Layer
from minigrad.core.loss import Loss
from minigrad.core.optimizer import Optimizer
from minigrad.data.arrays import Array
from minigrad.data.by_name import Data, each, row_count
from minigrad.explain import layer_steps
from minigrad.explain.loss_steps import loss_steps
from minigrad.explain.places import Names, by_label
from minigrad.explain.steps import Limit, Line, Quantity, Step, flat_index, largest
from minigrad.explain.update import update_steps
from minigrad.trace import trace

Units: TypeAlias = Mapping[str, Sequence[int]]


class Pass:
    """A forward and backward pass, and with an optimizer the update.

    `step_of` holds the index in `steps` by array name.
    """

    def __init__(
        self, model: Layer, x: Data, y: Data, loss: Loss, optimizer: Optimizer | None = None
    ) -> None:
        x = {name: array.copy() for name, array in x.items()} if isinstance(x, dict) else x
        recorded = trace(model, x, y, loss)
        self.x, self.loss, self.prediction = x, loss, recorded.prediction
        self.rows = row_count(x)
        self.names = Names(recorded, x)
        self.losses = loss.losses or {"": loss}
        matched = by_label(loss.match(y, each(np.shape, self.prediction)))
        targets = {
            label: one.cast(matched[label], self.names.outputs[label].delta.dtype)
            for label, one in self.losses.items()
        }
        self.target = targets if isinstance(self.prediction, dict) else targets[""]
        self.regularizers = {
            f"regularizer({p.name})": p.source.regularizer.value(p.source.value)
            for p, *_ in self.names.parameters.values()
            if p.source.regularizer is not None
        }
        self.j = cast("float", recorded.j) + sum(self.regularizers.values())
        with np.errstate(all="ignore"):
            ends = loss_steps(self.losses, self.names.outputs, targets, self.j, self.regularizers)
            self.steps = [*self._forward(), *ends, *self._backward()]
            if optimizer is not None:
                gradients = {step.name: step.row(0) for step in self.steps}

                def measure(changed: Layer) -> float:
                    again = cast("float", trace(changed, x, y, loss).j)
                    return again + changed.parameters.regularization()

                self.steps += update_steps(self.names, gradients, self.j, model, optimizer, measure)
        self.step_of = {step.name: index for index, step in enumerate(self.steps)}

    @property
    def updates(self) -> bool:
        """Whether it ends with an update."""
        return self.steps[-1].phase == "update"

    @property
    def loss_names(self) -> str:
        """The class of the loss; for several outputs, that of each."""
        return " + ".join(
            f"{type(loss).__name__} of {label}" if label else type(loss).__name__
            for label, loss in self.losses.items()
        )

    def _forward(self) -> Iterator[Step]:
        told = set[Quantity]()
        for place in self.names.places:
            if not place.enters and place.h not in told:  # a container may return what a layer did
                told.add(place.h)
                *inner, step = layer_steps.forward(place, self.names)
                yield from inner
                taken = self.names.taken(place)
                yield replace(step, title=f"{step.title} ({taken})") if taken else step

    def _backward(self) -> Iterator[Step]:
        """Yield the steps of all layers in reverse; a sum of deltas comes before its use."""
        waiting = layer_steps.delta_sums(self.names)
        for place in reversed(self.names.places):
            if place.delta is not None:
                if place.h.name in waiting:
                    yield waiting.pop(place.h.name)
                yield from layer_steps.backward(place, self.names)
        yield from waiting.values()
        yield from layer_steps.shared_gradients(self.names)


class Selection:
    """The numbers of one row that are shown: all of a narrow layer, the largest of a wide one.

    Units are ranked by |value * dJ/dvalue|: the change of J, to first order, without the unit.
    Arrays with the same units show the same ones. `units` are shown in any case, by a layer's path.
    """

    def __init__(self, made: Pass, row: int, limit: Limit, units: Units | None = None) -> None:
        self.made, self.row, self.limit = made, row, limit
        self._units: dict[str, list[int]] = {}
        self._lines: dict[Step, list[Line]] = {}
        self._extra: dict[str, set[int]] = {}
        for path, indices in (units or {}).items():
            symbol = made.names.place(path).h
            extra = {flat_index(index, symbol.shape, path) for index in indices}
            self._extra.setdefault(symbol.units_of, set()).update(extra)

    def units(self, name: str) -> list[int]:
        if name not in self._units:
            sizes = self._effects(name)
            chosen = largest(sizes, self.limit.of(sizes.size))
            self._units[name] = sorted({*chosen, *self._extra.get(name, ())})
        return self._units[name]

    def _effects(self, name: str) -> Array:
        names = self.made.names
        symbol = names.symbols[name] if name in names.symbols else names.inner[name]
        sizes, step = symbol.values[self.row].ravel(), self.made.step_of.get(symbol.delta)
        if step is not None:
            with np.errstate(all="ignore"):
                sizes = sizes * self.made.steps[step].row(self.row).ravel()
        return np.asarray(np.nan_to_num(np.abs(sizes), nan=np.inf))

    def indices(self, step: Step) -> list[int]:
        if step.symbol is not None:
            return self.units(step.symbol.units_of)
        sizes = step.row(self.row) if step.sizes is None else step.sizes
        return largest(sizes, self.limit.of(step.size))

    def lines(self, step: Step) -> list[Line]:
        if step not in self._lines:
            indices = self.indices(step)
            self._lines[step] = [step.line(self.row, index, self.limit) for index in indices]
        return self._lines[step]

    def equation(self, step: Step) -> str:
        """Return the equation of a step; its left side if a line shows that it isn't true."""
        refuted = any(line.refuted for line in self.lines(step))
        return step.left if refuted else step.equation

    def rest(self, step: Step) -> str:
        """Say how much the numbers that aren't shown add up to; nothing if all are shown."""
        shown = self.indices(step)
        if len(shown) == step.size:
            return ""
        of, sizes = f"Σ |{step.name}|", np.abs(step.row(self.row)).ravel()
        if step.symbol is not None:
            of, sizes = "the effect on J", self._effects(step.symbol.units_of)
        with np.errstate(all="ignore"):
            share = 100 - 100 * sizes[shown].sum() / sizes.sum()
        known = step.sizes is None and np.isfinite(share)
        told = f", with {share:.3g} % of {of}" if known else ""
        return f"... and {step.size - len(shown)} others{told}"

    def note(self, step: Step) -> list[str]:
        """Return what a step shows of the number with the largest effect."""
        if step.rule.note is None:
            return []
        sizes = self._effects(step.symbol.name) if step.symbol else np.zeros(1)
        return step.rule.note(self.row, int(np.argmax(sizes)))
