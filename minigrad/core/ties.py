"""Ties: where several layers share a parameter, its gradient is the sum of what each assigns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from minigrad.core.layer import Layer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array


class Ties:
    """Adds the gradients that several children of a container assign to a parameter they share.

    Each child assigns; the container reads after each, and assigns the sum.
    """

    def __init__(self, children: Sequence[Layer]) -> None:
        held = [{id(p): p for _, p in child.named_parameters()} for child in children]
        count = Counter(key for parameters in held for key in parameters)
        self._shared = [
            (child, [p for key, p in parameters.items() if count[key] > 1])
            for child, parameters in zip(children, held, strict=True)
        ]
        self._any = any(shared for _, shared in self._shared)
        self._sums: list[tuple[Parameter, Array]] = []

    def __bool__(self) -> bool:
        return self._any

    def start(self) -> None:
        """Forget what was read before, as by a backward that an error cut short."""
        self._sums.clear()

    def read(self, child: Layer) -> None:
        """Add what `child` has just assigned."""
        for holder, shared in self._shared:
            if holder is not child:
                continue
            for parameter in shared:
                self._add(parameter)

    def assign(self) -> None:
        """Give each shared parameter the sum."""
        for parameter, total in self._sums:
            parameter.grad = total

    def _add(self, parameter: Parameter) -> None:
        for held, total in self._sums:
            if held is parameter:
                total += parameter.grad
                return
        self._sums.append((parameter, parameter.grad.copy()))
