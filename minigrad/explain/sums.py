"""Steps that add up arrays: branches, the deltas of all that takes a value, shared parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Array
from minigrad.explain.equations import BACK, FORWARD, SUM_OVER_UNITS
from minigrad.explain.places import NamedParameter, Names, Place
from minigrad.explain.steps import Limit, Rule, Step, Sum, Symbol, at, factor, product, sum_of
from minigrad.layers import Add, Average, Concatenate, Layer, Multiply, Parallel, Residual

MERGES: Final[dict[type[Layer], str]] = {
    Add: "add",
    Average: "mean",
    Multiply: "multiply",
    Concatenate: "concat",
}
AS_BACK: Final = f"as {BACK}"


def merges(place: Place) -> bool:
    """Whether the output merges branches, or several inputs."""
    container = isinstance(place.layer, (Residual, Parallel)) and bool(place.inner)
    return container or type(place.layer) in MERGES


def delta_sums(names: Names) -> dict[str, Step]:
    """Return the step of each delta that is a sum over what takes the value, by its name."""
    steps = {}
    for symbol in names.symbols.values():
        if takers := names.takers.get(symbol.delta):
            steps[symbol.name] = Step(
                phase="backward",
                title=f"delta({symbol.name}) = {' + '.join(f'via {one.by}' for one in takers)}",
                tag=AS_BACK, name=symbol.delta,
                rule=_added([(one.name, one.delta) for one in takers]),
                values=reduce(np.add, [one.delta for one in takers]), symbol=symbol,
            )  # fmt: skip
    return steps


def shared_gradients(names: Names) -> Iterator[Step]:
    """Yield the gradient of each parameter that several layers share: the sum of its parts."""
    for uses in names.parameters.values():
        gradients = [(p.gradient, p.grad[None]) for p in uses if p.grad is not None]
        if len(uses) > 1 and gradients:
            right = " + ".join(name for name, _ in gradients)
            step = Step(
                phase="backward", path=uses[0].path.rpartition(".")[0],
                title=f"gradient of a parameter that {len(gradients)} layers share",
                tag=f"as {SUM_OVER_UNITS}", name=uses[0].total,
                rule=_added(gradients)._replace(right=right, unit=""),
                values=np.stack([array for _, array in gradients]).sum(axis=0),
            )  # fmt: skip
            yield regularized(step, uses[0])


def regularized(step: Step, p: NamedParameter) -> Step:
    """Add the regularizer to the step of a parameter's whole gradient."""
    regularizer, name = p.source.regularizer, f"∂regularizer/∂{p.name}"
    if regularizer is None or step.name != p.total:
        return step
    added = regularizer.derivative(p.source.value)

    def parts(row: int, index: int, limit: Limit) -> Sum | str:
        made, last = step.rule.parts(row, index, limit), factor(name, added, index)
        return made._replace(last=(last,)) if isinstance(made, Sum) else made

    rule = step.rule._replace(right=f"{step.rule.right} + {name}", parts=parts)
    return replace(step, rule=rule, values=step.values + added)


class Branches:
    """The branches of a container, or the inputs of a merging layer, and the deltas they return."""

    def __init__(self, place: Place, names: Names) -> None:
        self.place, self.names, layer = place, names, place.layer
        self.merge = layer.merge if isinstance(layer, Parallel) else MERGES.get(type(layer), "add")
        outputs = [(names.of(child.output), child.delta) for child in place.inner]
        # Each branch: the symbol of its output, the delta of this, and the name of the delta.
        self.branches: list[tuple[Symbol, Array | None, str]] = [
            (symbol, delta, symbol.delta) for symbol, delta in outputs if symbol is not None
        ]
        if type(layer) in MERGES:
            inputs = place.xs, place.input_deltas, place.input_delta_names
            self.branches = list(zip(*inputs, strict=True))
        deltas = [child.input_delta for child in place.inner if child.input_delta is not None]
        self.back = [(names.deltas[id(d)], d) for d in deltas if id(d) in names.deltas]
        if isinstance(layer, Residual):
            self.branches.insert(0, (place.x, None, ""))
            self.back[:0] = [] if place.delta is None else [(place.h.delta, place.delta)]
        shapes, count = [symbol.shape for symbol, _, _ in self.branches], len(self.branches)
        # The flat indices of the output that each branch's numbers go to.
        self.where = [np.arange(prod(shape)) for shape in shapes]
        if self.merge == "concat":
            numbered = [np.full(shape, branch) for branch, shape in enumerate(shapes)]
            branch_of = np.concatenate(numbered, axis=-1).ravel()
            self.where = [np.flatnonzero(branch_of == branch) for branch in range(count)]
        self.share = count if self.merge == "mean" else None

    def output(self) -> Step:
        """Return the step of the merged output."""
        arrays = [(symbol.name, symbol.values) for symbol, _, _ in self.branches]
        rule = product(*arrays) if self.merge == "multiply" else _added(arrays, self.share)
        if self.merge == "concat":
            rule = Rule(f"concat({', '.join(name for name, _ in arrays)})", self._joined, "")
        title = f"the merged {'branches' if self.place.inner else 'inputs'}"
        return self.place.output_step(title, f"as {FORWARD}", rule)

    def _joined(self, row: int, unit: int, limit: Limit) -> Sum:
        """Return the number of the branch that a number of the joined output is."""
        places = [np.flatnonzero(where == unit).tolist() for where in self.where]
        ((branch, index),) = [(i, index) for i, found in enumerate(places) for index in found]
        symbol, _, _ = self.branches[branch]
        return sum_of([factor(symbol.name, symbol.values[row], index)])

    def deltas(self) -> Iterator[Step]:
        """Yield the deltas of the branches; a delta from a layer inside is a step of that layer."""
        place, h, (came, _) = self.place, self.place.h, self.place.deltas
        for i, (symbol, delta, name) in enumerate(self.branches):
            others = [*self.branches[:i], *self.branches[i + 1 :]]
            own = bool(place.inner) and self.names.deltas.get(id(delta)) == name
            if delta is None or symbol == h or own:
                continue
            rule = _added([])  # of another container's deltas only the values are known
            if self.merge == "multiply":
                rule = product((h.delta, came), *((o.name, o.values) for o, _, _ in others))
            elif merges(place) or delta is came:
                rule = _added([(h.delta, came)], self.share, self.where[i])
            yield Step(
                phase="backward", path=place.path, title=f"the delta of {symbol.name}", tag=AS_BACK,
                name=name, rule=rule, values=delta, symbol=symbol,
            )  # fmt: skip

    def input_delta(self) -> Step:
        """Return the step of dJ/dinput of a container, which adds up its branches' deltas."""
        title = "the sum of the branches' deltas"
        return self.place.input_delta_step(title, AS_BACK, _added(self.back))


def _added(
    arrays: list[tuple[str, Array]],
    share: int | None = None,
    where: NDArray[np.intp] | None = None,
) -> Rule:
    """Return the rule of a sum of arrays of shape (rows, ...) or (1, ...), or of a mean.

    `where` has the flat indices of the numbers, if they aren't those of the units.
    """
    scale, written = (1 / share, f"1/{share} ") if share else (None, "")
    unit = f"{where[0]} + k" if where is not None and where[0] else "k"

    def parts(row: int, index: int, _: Limit) -> Sum:
        index = index if where is None else int(where[index])
        named = [(name, array[min(row, len(array) - 1)]) for name, array in arrays]
        return sum_of([factor(name, array, index) for name, array in named], scale)

    right = " + ".join(written + at(name, array.shape[1:], unit) for name, array in arrays)
    return Rule(right, parts)
