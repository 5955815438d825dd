"""The layers of a pass in the order in which they ran, with all that went in and out of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field

from minigrad.core.layer import Layer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array
from minigrad.explain.formula import parse
from minigrad.explain.lines import Symbol, at
from minigrad.layers.activations import Activation
from minigrad.layers.dense import Dense
from minigrad.trace import Step as Passed
from minigrad.trace import Trace
from minigrad.util.paths import apart

UNNAMED = Symbol("", "", (), "")


@dataclass(eq=False)
class Place:
    """One layer in a pass: what came in and went out, forward and back, and what that is called.

    A container, unless its layers just follow one another, has two places: one that `enters`
    it, before its layers, and one after them.
    """

    path: str
    layer: Layer
    input: Array
    output: Array
    delta: Array | None
    input_delta: Array | None
    gradients: dict[str, Array]
    inner: list[Passed] = field(default_factory=list)
    enters: bool = False
    hidden: bool = False
    """Whether a `Dense` follows on the way to the loss."""
    x: Symbol = UNNAMED
    h: Symbol = UNNAMED
    input_delta_name: str = ""
    parameters: dict[str, tuple[str, str, Parameter]] = field(default_factory=dict)
    """For each attribute: its symbol, the name of its gradient, and the parameter."""

    @property
    def linear(self) -> bool:
        """Whether it is a `Dense`, which computes as `Dense` does."""
        return isinstance(self.layer, Dense) and type(self.layer).forward is Dense.forward

    @property
    def activates(self) -> bool:
        """Whether it is an activation: it, or its equation, says "a = ..."."""
        return isinstance(self.layer, Activation) or "a" in self.sides

    @property
    def sides(self) -> dict[str, str]:
        """What the layer's `equation` says: right sides by what they define."""
        return parse(self.layer.equation, "h")

    @property
    def expression(self) -> str:
        """The right side for its output, if its `equation` says one."""
        return next((right for left, right in self.sides.items() if not left.endswith("'")), "")

    @property
    def slope(self) -> str:
        """What its derivative is called."""
        return "g'" + self.input_delta_name.removeprefix(self.x.delta)

    def slope_at(self, unit: int | str) -> str:
        """Name its derivative at one number of its input."""
        return f"{self.slope}({at(self.x.name, self.x.shape, unit)})"

    def seen(self, row: int) -> int | None:
        """Return the row to name in a sum over rows: none where there is one row only."""
        return row if len(self.output) > 1 else None


def places(recorded: Trace) -> list[Place]:
    """Return the places of a traced pass in forward order.

    A `Dense` with an activation makes two: its sums, and the activation.
    """
    # Copies, as asking a layer for its derivatives runs its backward again.
    steps = {step.path: copy.copy(step) for step in recorded.steps}
    return list(_in_order("", steps))


def _in_order(path: str, steps: dict[str, Passed]) -> Iterator[Place]:
    step = steps[path]
    inner = [s for p, s in steps.items() if p and apart(p)[0] == path]
    if inner and _place(step, inner).linear:
        (activation,) = inner
        sums = copy.copy(step)
        sums.output, sums.delta = activation.input, activation.input_delta
        yield _place(sums, [])
        yield from _in_order(activation.path, steps)
    elif not inner:
        yield _place(step, [])
    elif _follow_one_another(step, inner):
        for child in inner:
            yield from _in_order(child.path, steps)
    else:
        yield _place(step, inner, enters=True)
        for child in inner:
            yield from _in_order(child.path, steps)
        yield _place(step, inner)


def _place(step: Passed, inner: list[Passed], *, enters: bool = False) -> Place:
    return Place(
        step.path,
        step.layer,
        step.input,
        step.output,
        step.delta,
        step.input_delta,
        step.gradients or {},
        inner,
        enters,
    )


def _follow_one_another(step: Passed, inner: list[Passed]) -> bool:
    inputs = [step.input, *(child.output for child in inner)]
    outputs = [*(child.input for child in inner), step.output]
    return not step.layer.own_parameters() and all(
        a is b for a, b in zip(inputs, outputs, strict=True)
    )
