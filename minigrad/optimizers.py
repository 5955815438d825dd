"""Optimizers: how the gradient changes the parameters, a step at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from minigrad.arrays import Array
from minigrad.config import Configurable, register
from minigrad.parameters import Parameter, Parameters

_CHUNK = 32_768
"""Numbers changed at a time: what a step makes on the way then stays in the cache."""


class Optimizer(Configurable):
    """Changes a model's flat parameter vector, whatever its depth.

    A new optimizer defines `update`, and names in `slots` the vectors that it keeps from step to
    step, each as long as the parameters and zero at first.

    Args:
        learning_rate: the step size.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, *, learning_rate: float) -> None:
        self.learning_rate = positive(learning_rate, "learning_rate", self)
        self.steps = 0
        self.state: dict[str, Array] = {}

    def update(self, value: Array, grad: Array, state: dict[str, Array]) -> None:
        """Change `value` and the slots in place; `grad` is only read."""
        raise NotImplementedError(f"{type(self).__name__} must define update(value, grad, state)")

    def step(self, parameters: Sequence[Parameter]) -> None:
        """Make one step from the gradients that the parameters hold; frozen ones stay.

        Raises:
            ValueError: this optimizer holds the state of a model of another size.
        """
        if not isinstance(parameters, Parameters):
            parameters = Parameters(parameters)
        if self.slots:
            self._prepare(parameters)
        self.steps += 1
        for start, value, grad in parameters.trainable_runs():
            for first in range(0, value.size, _CHUNK):
                part = slice(first, first + _CHUNK)
                here = slice(start + first, start + min(first + _CHUNK, value.size))
                state = {slot: self.state[slot][here] for slot in self.slots}
                self.update(value[part], grad[part], state)

    def _prepare(self, parameters: Parameters) -> None:
        size = parameters.size
        for slot in self.slots:
            if slot not in self.state:
                self.state[slot] = np.zeros(size, parameters[0].value.dtype)
            elif self.state[slot].size != size:
                raise ValueError(
                    f"this {type(self).__name__} holds the state of a model with "
                    f"{self.state[slot].size} parameters and is given {size}: "
                    "make a new optimizer for each model"
                )


@register
class SGD(Optimizer):
    """Gradient descent: theta <- theta - learning_rate * g.

    With momentum m, as PyTorch defines it (Keras multiplies the learning rate in before it adds
    up, which differs once the learning rate changes):

        v <- m v + g
        theta <- theta - learning_rate * v             or, with nesterov,
        theta <- theta - learning_rate * (g + m v)

    `weight_decay` d first adds d theta to g: the gradient of d/2 |theta|^2 (PyTorch's form).

    Args:
        learning_rate: the step size.
        momentum: m, from 0 (none) to below 1.
        nesterov: look ahead along v; needs momentum.
        weight_decay: d, 0 for none.

    Raises:
        ValueError: a value out of its range.

    Source: Sutskever et al., On the importance of initialization and momentum in deep learning,
    ICML 2013.

    >>> p = Parameter(np.array([1.0]))
    >>> p.grad = np.array([0.5])
    >>> SGD(learning_rate=0.1).step([p])
    >>> p.value
    array([0.95])
    """

    def __init__(
        self,
        *,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(learning_rate=learning_rate)
        if not 0 <= momentum < 1:
            raise ValueError(f"SGD expects 0 <= momentum < 1, got {momentum}")
        if nesterov and not momentum:
            raise ValueError("SGD(nesterov=True) needs a momentum, such as momentum=0.9")
        self.momentum = momentum
        self.slots = ("velocity",) if momentum else ()
        self.nesterov = nesterov
        self.weight_decay = not_negative(weight_decay, "weight_decay", self)

    @override
    def update(self, value: Array, grad: Array, state: dict[str, Array]) -> None:
        if self.weight_decay:
            grad = grad + self.weight_decay * value
        if self.momentum:
            velocity = state["velocity"]
            velocity *= self.momentum
            velocity += grad
            grad = grad + self.momentum * velocity if self.nesterov else velocity
        value -= self.learning_rate * grad


def positive(value: float, name: str, owner: Configurable) -> float:
    """Return `value`, or say that it must be above zero."""
    if not value > 0:
        raise ValueError(f"{type(owner).__name__} expects {name} > 0, got {value}")
    return value


def not_negative(value: float, name: str, owner: Configurable) -> float:
    """Return `value`, or say that it must be zero or more."""
    if not value >= 0:
        raise ValueError(f"{type(owner).__name__} expects {name} >= 0, got {value}")
    return value
