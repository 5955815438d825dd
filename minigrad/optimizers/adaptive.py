"""Adaptive optimizers: each parameter has its own step size, from its past gradients."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from minigrad.core.optimizer import Optimizer, Schedule
from minigrad.data.arrays import Array
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import check_bool, check_fraction, check_not_negative, check_positive


@register
@options
class Adagrad(Optimizer):
    """Divides the gradient by the root of the sum of all squared gradients so far.

        s <- s + g^2
        theta <- theta - eta g / (sqrt(s) + epsilon)

    This is PyTorch's definition. Keras adds epsilon under the root, and s starts at 0.1.

    Source: Duchi et al., Adaptive subgradient methods, JMLR 12, 2011.

    >>> from minigrad import Parameter
    >>> p = Parameter(np.array([1.0]))
    >>> p.grad = np.array([0.5])
    >>> Adagrad(learning_rate=0.25).step([p])
    >>> p.value
    array([0.75])
    """

    equation = "s = s + g^2; w - eta g / (sqrt(s) + epsilon)"
    slots = ("sum",)

    learning_rate: float | Schedule = option(default=0.01, kw_only=False)
    epsilon: float = option(check_positive, default=1e-10)
    """Added to the divisor; above 0."""

    @override
    def update(self, value: Array, grad: Array, state: dict[str, Array]) -> None:
        s = state["sum"]
        s += grad * grad
        value -= self.rate * grad / (np.sqrt(s) + self.epsilon)


@register
@options
class RMSprop(Optimizer):
    """Divides the gradient by the root of a running mean of its squares.

        s <- rho s + (1 - rho) g^2
        h = g / (sqrt(s) + epsilon)
        theta <- theta - eta h             or, with momentum m,
        v <- m v + h,  theta <- theta - eta v

    This is PyTorch's definition. Keras adds epsilon under the root, and eta is a factor in v.

    Source: Hinton et al., Neural networks for machine learning, lecture 6e, 2012.

    >>> from minigrad import Parameter
    >>> p = Parameter(np.array([1.0]))
    >>> p.grad = np.array([0.5])
    >>> RMSprop(learning_rate=0.25, rho=0.75).step([p])
    >>> p.value
    array([0.50000002])
    """

    learning_rate: float | Schedule = option(default=0.01, kw_only=False)
    rho: float = option(check_fraction, default=0.99)
    """The decay rate of the mean, 0 <= rho < 1; PyTorch's alpha."""
    momentum: float = option(check_fraction, default=0.0)
    """m, 0 <= m < 1."""
    epsilon: float = option(check_positive, default=1e-8)
    """Added to the divisor; above 0."""

    @property
    @override
    def equation(self) -> str:
        square, h = "s = rho s + (1 - rho) g^2", "g / (sqrt(s) + epsilon)"
        if self.momentum:
            return f"{square}; v = momentum v + {h}; w - eta v"
        return f"{square}; w - eta {h}"

    @property
    @override
    def slots(self) -> tuple[str, ...]:
        return ("square", "velocity") if self.momentum else ("square",)

    @override
    def update(self, value: Array, grad: Array, state: dict[str, Array]) -> None:
        s = state["square"]
        s *= self.rho
        s += (1 - self.rho) * grad * grad
        h: Array = grad / (np.sqrt(s) + self.epsilon)
        if self.momentum:
            v = state["velocity"]
            v *= self.momentum
            v += h
            h = v
        value -= self.rate * h


@register
@options
class Adam(Optimizer):
    """Divides a running mean of the gradients by the root of a running mean of their squares.

        m <- beta_1 m + (1 - beta_1) g
        s <- beta_2 s + (1 - beta_2) g^2
        theta <- theta - eta m' / (sqrt(s') + epsilon)

    Both means start at zero; m' = m / (1 - beta_1^t) and s' = s / (1 - beta_2^t) correct this bias
    in step t = 1, 2, ... This is PyTorch's definition. Keras adds epsilon to sqrt(s), not to
    sqrt(s'). PyTorch counts t for each parameter; here it is `steps` for all, also frozen ones.
    With `amsgrad`, the largest s so far replaces s in the last line, so that steps can't grow.

    Source: Kingma and Ba, Adam, ICLR 2015, algorithm 1; Reddi et al., On the convergence of Adam
    and beyond, ICLR 2018, algorithm 2.

    >>> from minigrad import Parameter
    >>> p = Parameter(np.array([1.0]))
    >>> p.grad = np.array([0.5])
    >>> Adam(learning_rate=0.25).step([p])
    >>> p.value
    array([0.75])
    """

    learning_rate: float | Schedule = option(default=0.001, kw_only=False)
    beta_1: float = option(check_fraction, default=0.9)
    """The decay rate of the mean of g, from 0 to below 1."""
    beta_2: float = option(check_fraction, default=0.999)
    """The decay rate of the mean of g^2."""
    epsilon: float = option(check_positive, default=1e-8)
    """Added to the divisor; above 0."""
    amsgrad: bool = option(check_bool, default=False)
    """Divide by the largest mean of g^2 so far."""

    @property
    @override
    def equation(self) -> str:
        largest, s = ("l = max(l, s); ", "l") if self.amsgrad else ("", "s")
        return (
            f"m = beta_1 m + (1 - beta_1) g; s = beta_2 s + (1 - beta_2) g^2; {largest}"
            f"w - eta (m / (1 - beta_1^t)) / (sqrt({s} / (1 - beta_2^t)) + epsilon)"
        )

    @property
    @override
    def slots(self) -> tuple[str, ...]:
        return ("mean", "square", "largest") if self.amsgrad else ("mean", "square")

    @override
    def update(self, value: Array, grad: Array, state: dict[str, Array]) -> None:
        m, s, t = state["mean"], state["square"], self.steps + 1
        m *= self.beta_1
        m += (1 - self.beta_1) * grad
        s *= self.beta_2
        s += (1 - self.beta_2) * grad * grad
        if self.amsgrad:
            s = np.maximum(state["largest"], s, out=state["largest"])
        mean = m / (1 - self.beta_1**t)
        square = s / (1 - self.beta_2**t)
        value -= self.rate * mean / (np.sqrt(square) + self.epsilon)


class _Decoupled(Optimizer):
    """Base of optimizers whose weight decay isn't a part of the gradient."""

    @override
    def decay(self, value: Array, grad: Array) -> Array:
        value *= 1 - self.rate * self.weight_decay
        return grad


@register
@options
class AdamW(_Decoupled, Adam):
    """Adam with decoupled weight decay d: it isn't divided as the gradient is.

        theta <- theta - eta d theta,      then Adam's step

    The options are those of `Adam`. As in PyTorch, eta takes the place of the schedule multiplier.
    Source: Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019, algorithm 2.

    >>> from minigrad import Parameter
    >>> p = Parameter(np.array([1.0]))
    >>> AdamW(learning_rate=0.25, weight_decay=0.5).step([p])
    >>> p.value
    array([0.875])
    """

    weight_decay: float = option(check_not_negative, default=0.01, after="amsgrad")

    @property
    @override
    def equation(self) -> str:
        return super().equation.replace("w - eta", "w - eta weight_decay w - eta")


@register
@options
class Nadam(Optimizer):
    """Adam with Nesterov momentum: a step looks ahead along the mean that the next one will have.

        m <- beta_1 m + (1 - beta_1) g
        s <- beta_2 s + (1 - beta_2) g^2
        c <- 1 - (1 - c) mu_t
        h = (1 - mu_t) g / c + mu_(t+1) m / (1 - (1 - c) mu_(t+1))
        theta <- theta - eta h / (sqrt(s') + epsilon)

    The momentum grows to beta_1: mu_t = beta_1 (1 - 0.96^(t d) / 2), with d = `momentum_decay`. c
    is one minus the product of all mu so far, and s' = s / (1 - beta_2^t), as in `Adam`. This is
    PyTorch's NAdam. Keras's Nadam adds epsilon to sqrt(s), and its learning rate is 0.001.

    Source: Dozat, Incorporating Nesterov momentum into Adam, ICLR workshop 2016.

    >>> from minigrad import Parameter
    >>> p = Parameter(np.array([1.0]))
    >>> p.grad = np.array([0.5])
    >>> Nadam(learning_rate=0.25).step([p])
    >>> p.value.round(4)
    array([0.7359])
    """

    equation = (
        "m = beta_1 m + (1 - beta_1) g; s = beta_2 s + (1 - beta_2) g^2; "
        "c = 1 - (1 - c) beta_1 (1 - 0.5 * 0.96^(t momentum_decay)); "
        "w - eta ((1 - beta_1 (1 - 0.5 * 0.96^(t momentum_decay))) g / c "
        "+ beta_1 (1 - 0.5 * 0.96^((t + 1) momentum_decay)) m "
        "/ (1 - (1 - c) beta_1 (1 - 0.5 * 0.96^((t + 1) momentum_decay)))) "
        "/ (sqrt(s / (1 - beta_2^t)) + epsilon)"
    )
    slots = ("mean", "square", "correction")

    learning_rate: float | Schedule = option(default=0.002, kw_only=False)
    beta_1: float = option(check_fraction, default=0.9)
    """The decay rate of the mean of g, from 0 to below 1, and the largest momentum."""
    beta_2: float = option(check_fraction, default=0.999)
    """The decay rate of the mean of g^2."""
    epsilon: float = option(check_positive, default=1e-8)
    """Added to the divisor; above 0."""
    momentum_decay: float = option(check_not_negative, default=0.004)
    """d: how fast the momentum grows; at least 0."""

    @override
    def update(self, value: Array, grad: Array, state: dict[str, Array]) -> None:
        m, s, c, t = state["mean"], state["square"], state["correction"], self.steps + 1
        now, ahead = (
            self.beta_1 * (1 - 0.5 * 0.96 ** (step * self.momentum_decay)) for step in (t, t + 1)
        )
        m *= self.beta_1
        m += (1 - self.beta_1) * grad
        s *= self.beta_2
        s += (1 - self.beta_2) * grad * grad
        c -= 1
        c *= now
        c += 1
        h = (1 - now) * grad / c + ahead * m / (1 - (1 - c) * ahead)
        value -= self.rate * h / (np.sqrt(s / (1 - self.beta_2**t)) + self.epsilon)


@register
@options
class Lion(_Decoupled):
    """Moves each parameter by the same amount, in the direction of a mix of g and its mean.

        theta <- theta - eta (sign(beta_1 m + (1 - beta_1) g) + d theta)
        m <- beta_2 m + (1 - beta_2) g

    It keeps one vector where Adam keeps two. Weight decay d is decoupled. Its authors advise a
    learning rate that is 3 to 10 times smaller than AdamW's, and a d that is larger by as much.
    This is Keras's Lion; PyTorch has none.

    Source: Chen et al., Symbolic discovery of optimization algorithms, 2023, algorithm 2.

    >>> from minigrad import Parameter
    >>> p = Parameter(np.array([1.0, 1.0]))
    >>> p.grad = np.array([0.5, -7.0])
    >>> Lion(learning_rate=0.25).step([p])
    >>> p.value
    array([0.75, 1.25])
    """

    slots = ("mean",)

    learning_rate: float | Schedule = option(default=0.001, kw_only=False)
    beta_1: float = option(check_fraction, default=0.9)
    """The share of the mean in the direction, from 0 to below 1."""
    beta_2: float = option(check_fraction, default=0.99)
    """The decay rate of the mean."""

    @property
    @override
    def equation(self) -> str:
        decay = "weight_decay w - eta " if self.weight_decay else ""
        return f"w - eta {decay}sign(beta_1 m + (1 - beta_1) g); m = beta_2 m + (1 - beta_2) g"

    @override
    def update(self, value: Array, grad: Array, state: dict[str, Array]) -> None:
        m = state["mean"]
        value -= self.rate * np.sign(self.beta_1 * m + (1 - self.beta_1) * grad)
        m *= self.beta_2
        m += (1 - self.beta_2) * grad
