"""The second program of a training step: the regularizers and the optimizer.

The optimizer is a copy that holds recorded arrays, and computes as ever. Only the flat vector is
missing: each parameter is an array of its own, and so is its piece of each slot.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from typing_extensions import override

from minigrad.core.optimizer import Optimizer
from minigrad.core.parameters import Parameter, Parameters
from minigrad.data.arrays import Array
from minigrad.jit.program import refusal
from minigrad.jit.recording import Recording


class UpdateProgram:
    """The regularizers and the optimizer's step, as a function of arrays.

    Args:
        optimizer: None leaves the step out.
        parameters: those of the model.
        gradients: an example.
    """

    def __init__(
        self, optimizer: Optimizer | None, parameters: Parameters, gradients: Sequence[Array]
    ) -> None:
        objects = [optimizer, *(p.regularizer for p in parameters)]
        with Recording(objects) as recording, np.errstate(all="ignore"):
            given = recording.given
            home = _SeparateParameters(parameters)
            for p in home:
                p._value = given(p.value)
            for p, gradient in zip(home, gradients, strict=True):
                p._grad = given(gradient)
            outputs: dict[str, Any] = {"regularization": home.regularization()}
            home.add_regularizer_gradients()
            outputs["grad"] = [p.grad for p in home]
            if optimizer is not None:
                own, held = _recorded_optimizer(optimizer, given, home)
                own.step(home)
                _refuse_changes(own, held)
                slots = {name: [*slot.values()] for name, slot in own.state.items()}  # type: ignore[attr-defined]
                outputs |= {"theta": [p.value for p in home], "slots": slots}
            self.program = recording.finish(outputs)

    def __call__(self, theta: Any, grad: Any, *optimizer: Any) -> dict[str, Any]:
        """Return the results; `optimizer` is the dict of its slots, the rate and the steps."""
        found: dict[str, Any] = self.program.run((theta, grad, *optimizer))
        return found


class _SeparateParameters(Parameters):
    """Parameters without the flat vector: XLA is faster with an array for each."""

    def __init__(self, parameters: Parameters) -> None:
        self._items = tuple(
            Parameter(p.value, name=p.name, trainable=p.trainable, regularizer=p.regularizer)
            for p in parameters
        )
        for own, p in zip(self._items, parameters, strict=True):
            own.learning_rate_factor = p.learning_rate_factor
        self._starts = [*accumulate((p.size for p in self._items), initial=0)]

    @override
    def trainable_runs(self) -> Iterator[tuple[int, Array, Array]]:
        for start, p in zip(self._starts, self._items, strict=False):
            if p.trainable:
                yield start, p.value.reshape(-1), p.grad.reshape(-1)

    @override
    def trainable_pieces(self, size: int) -> list[tuple[slice, Array, Array, float]]:
        return [
            (slice(start, start + p.size), p.value.reshape(-1), p.grad.reshape(-1), p._factor)
            for start, p in zip(self._starts, self._items, strict=False)
            if p.trainable
        ]


class _CutSlot(dict[int, Any]):
    """A vector of an optimizer's state, as a recorded piece for each parameter, by its start."""

    def __init__(self, vector: Array, home: Parameters, given: Any) -> None:
        self.size, self.dtype = vector.size, vector.dtype
        for start, p in zip(home._starts, home, strict=False):
            self[start] = given(vector[start : start + p.size])

    @override
    def __getitem__(self, place: Any) -> Any:
        return super().__getitem__(place.start)


def _recorded_optimizer(
    optimizer: Optimizer, given: Any, home: Parameters
) -> tuple[Optimizer, dict[str, Any]]:
    """Return a copy of an optimizer whose state, steps and rate are recorded."""
    own = copy.copy(optimizer)
    own.state = {
        name: _CutSlot(optimizer.state[name], home, given)  # type: ignore[misc]
        for name in sorted(optimizer.slots)
    }
    rate = given(float(optimizer.rate))
    own.steps = given(int(optimizer.steps))
    kind = type(optimizer)
    if not callable(optimizer.learning_rate):
        vars(own)["learning_rate"] = rate
    scaled = property(lambda self: rate if self._factor == 1 else rate * self._factor)
    own.__class__ = type(kind.__name__, (kind,), {"rate": scaled, "__module__": kind.__module__})
    return own, {**vars(own)}


def _refuse_changes(optimizer: Optimizer, held: dict[str, Any]) -> None:
    """Refuse an optimizer that changes another attribute than its state and its steps."""
    for name, value in vars(optimizer).items():
        if name not in ("state", "steps", "_first", "_factor") and value is not held.get(name):
            raise refusal(
                f"update changes self.{name}, which would be the same in every step",
                "keep it in a slot",
                owner=type(optimizer).__name__,
            )
