"""Regularizers: terms added to the loss that keep the parameters small."""

from __future__ import annotations

from typing import Any

import numpy as np
from typing_extensions import override

from minigrad.data.arrays import Array
from minigrad.util.config import Configurable, register
from minigrad.util.fields import option, options
from minigrad.util.options import check_not_negative


@options
class Regularizer(Configurable):
    """A term for one parameter: training adds it to the loss, and its derivative to the gradient.

    A subclass defines `value` and `derivative`.

    >>> class Fourth(Regularizer):
    ...     def value(self, weight):
    ...         return self.strength * (weight**4).sum().item()
    ...     def derivative(self, weight):
    ...         return 4 * self.strength * weight**3
    >>> Fourth(0.5).value(np.array([1.0, 2.0])), Fourth(0.5).derivative(np.array([1.0, 2.0]))
    (8.5, array([ 2., 16.]))
    """

    strength: float = option(check_not_negative, kw_only=False)
    """The factor of the term, at least 0."""

    def value(self, weight: Array) -> float:
        """Return the term, a float."""
        raise NotImplementedError(f"{type(self).__name__} must define value(weight)")

    def derivative(self, weight: Array) -> Array:
        """Return the derivative of the term, a new array of the weight's shape."""
        raise NotImplementedError(f"{type(self).__name__} must define derivative(weight)")


@register
class L1(Regularizer):
    """strength * sum |w|, with the derivative strength * sign(w): makes many weights zero.

    Source: Tibshirani, Regression shrinkage and selection via the lasso, 1996; Keras's `L1`.

    >>> L1(0.5).value(np.array([-3.0, 1.0])), L1(0.5).derivative(np.array([-3.0, 1.0]))
    (2.0, array([-0.5,  0.5]))
    """

    @override
    def value(self, weight: Array) -> float:
        norm: float = np.abs(weight).sum().item()
        return self.strength * norm

    @override
    def derivative(self, weight: Array) -> Array:
        return self.strength * np.sign(weight)


@register
class L2(Regularizer):
    """strength * sum w^2, with the derivative 2 strength w: makes all weights smaller.

    PyTorch's `weight_decay=d` adds d w to the gradient, as L2(d / 2) does.

    Source: Bishop 2006, equation 5.112, without the factor 1/2; Keras's `L2`.

    >>> L2(0.5).value(np.array([-3.0, 1.0])), L2(0.5).derivative(np.array([-3.0, 1.0]))
    (5.0, array([-3.,  1.]))
    """

    @override
    def value(self, weight: Array) -> float:
        square: float = np.square(weight).sum().item()
        return self.strength * square

    @override
    def derivative(self, weight: Array) -> Array:
        return 2 * self.strength * weight


@register
class L1L2(Regularizer):
    """l1 * sum |w| + l2 * sum w^2, the elastic net.

    Args:
        l1: the factor of sum |w|, at least 0.
        l2: the factor of sum w^2, at least 0.

    Source: Zou and Hastie, Regularization and variable selection via the elastic net, 2005;
    Keras's `L1L2`.

    >>> L1L2(l1=0.5, l2=0.5).value(np.array([-3.0, 1.0]))
    7.0
    """

    def __init__(self, *, l1: float, l2: float) -> None:
        self.l1 = check_not_negative(l1, "l1", self)
        self.l2 = check_not_negative(l2, "l2", self)

    @override
    def value(self, weight: Array) -> float:
        return L1(self.l1).value(weight) + L2(self.l2).value(weight)

    @override
    def derivative(self, weight: Array) -> Array:
        return L1(self.l1).derivative(weight) + L2(self.l2).derivative(weight)


def check_regularizer(
    value: Regularizer | None, argument: str, owner: object = None
) -> Regularizer | None:
    """Return a regularizer or None, and refuse anything else."""
    if value is not None and not isinstance(value, Regularizer):
        raise TypeError(f"{argument} expects a Regularizer such as L2(0.01), got {value!r}")
    return value


def __getattr__(name: str) -> Any:
    """Find other names of minigrad; suggest a name for an unknown one."""
    from minigrad.util.lookup import unknown_in

    return unknown_in(__name__, ["L1", "L2", "L1L2", "Regularizer"])(name)
