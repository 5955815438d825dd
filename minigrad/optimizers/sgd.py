"""Gradient descent, with or without momentum."""

from __future__ import annotations

from typing_extensions import override

from minigrad.core.optimizer import Optimizer, Schedule
from minigrad.data.arrays import Array
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import check_bool, check_fraction


@register
@options
class SGD(Optimizer):
    """Gradient descent: theta <- theta - eta g.

    With momentum m, in PyTorch's definition (in Keras's, eta is a factor in v):

        v <- m v + g
        theta <- theta - eta v             or, with nesterov,
        theta <- theta - eta (g + m v)

    Source: Sutskever et al., On the importance of initialization and momentum, ICML 2013.

    >>> import numpy as np
    >>> from minigrad import Parameter
    >>> p = Parameter(np.array([1.0]))
    >>> p.grad = np.array([0.5])
    >>> SGD(learning_rate=0.1).step([p])
    >>> p.value
    array([0.95])
    """

    learning_rate: float | Schedule = option(default=0.01, kw_only=False)
    momentum: float = option(check_fraction, default=0.0)
    """m, 0 <= m < 1."""
    nesterov: bool = option(check_bool, default=False)
    """Use Nesterov momentum; needs momentum."""

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and not self.momentum:
            raise ValueError("SGD(nesterov=True) needs momentum, such as momentum=0.9")

    @property
    @override
    def equation(self) -> str:
        if not self.momentum:
            return "w - eta g"
        step = "(g + momentum v)" if self.nesterov else "v"
        return f"v = momentum v + g; w - eta {step}"

    @property
    @override
    def slots(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    @override
    def update(self, value: Array, grad: Array, state: dict[str, Array]) -> None:
        if self.momentum:
            velocity = state["velocity"]
            velocity *= self.momentum
            velocity += grad
            grad = grad + self.momentum * velocity if self.nesterov else velocity
        value -= self.rate * grad
