"""Losses for distributions: the KL divergence, and the likelihood of counts."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.core.loss import Loss
from minigrad.data.arrays import Array, Shape
from minigrad.data.labels import check_classes, check_range
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import check_bool


@register
class KLDivLoss(Loss):
    """KL divergence of t and log-probabilities a: a row's term is sum of t_k (log t_k - a_k).

    dterm/da_k = -t_k, and 0 log 0 = 0. The model ends with `LogSoftmax`, and the targets are rows
    of probabilities, such as the outputs of a larger network that this one imitates. The last axis
    has the classes.

    "mean" divides by the number of rows, as PyTorch's reduction="batchmean" does, and as Keras's
    KLDivergence, which takes probabilities. PyTorch's "mean" divides by rows times classes.
    Source: Bishop 2006, equation 1.113.

    Raises:
        ValueError: predictions above 0, which aren't log-probabilities; targets that aren't rows of
            probabilities.

    >>> loss = KLDivLoss()
    >>> a, t = np.log(np.array([[0.5, 0.5]])), np.array([[0.25, 0.75]])
    >>> round(loss.forward(a, t), 4), loss.backward()
    (0.1308, array([[-0.25, -0.75]]))
    """

    equation = "l = sum(t log(max(t, 1e-300)) - t a); l' = -t"

    @override
    def match(self, target: NDArray[Any], shape: Shape) -> NDArray[Any]:
        target = super().match(target, shape)
        check_classes(target, shape, self.label)
        return target

    @override
    def terms(self, prediction: Array, target: NDArray[Any]) -> tuple[Array, Array]:
        way = "end the model with LogSoftmax()"
        check_range(prediction, -inf, 0, "the prediction", self.label, way)
        occurs = target > 0
        log_ratio = np.log(np.where(occurs, target, 1)) - np.where(occurs, prediction, 0)
        return np.add.reduce(target * log_ratio, axis=-1), -target


@register
@options
class PoissonNLLLoss(Loss):
    """Negative log-likelihood of counts t, Poisson-distributed with mean exp(a): exp(a) - t a.

    dterm/da = exp(a) - t. The last layer has no activation, and exp of a prediction is the expected
    count. With `log_input=False` the prediction is the expected count itself: the terms are
    a - t log(a + 1e-8), and dterm/da = 1 - t / (a + 1e-8); end the model with `Softplus` then. The
    terms lack log(t!), which no prediction changes. As in PyTorch; Keras's Poisson has
    log_input=False and 1e-7.
    Source: Nelder and Wedderburn, Generalized linear models, 1972.

    Raises:
        ValueError: targets below 0; predictions below 0 with log_input=False.

    >>> loss = PoissonNLLLoss(reduction="sum")
    >>> loss.forward(np.array([[0.0, 1.0]]), np.array([[2, 0]])), loss.backward()
    (3.718281828459045, array([[-1.        ,  2.71828183]]))
    """

    log_input: bool = option(check_bool, default=True)
    """Whether the prediction is the logarithm of the expected count."""

    @property
    @override
    def equation(self) -> str:  # type: ignore[override]
        if self.log_input:
            return "l = exp(a) - t a; l' = exp(a) - t"
        return "l = a - t log(a + 1e-8); l' = 1 - t / (a + 1e-8)"

    @override
    def match(self, target: NDArray[Any], shape: Shape) -> NDArray[Any]:
        target = super().match(target, shape)
        check_range(target, 0, inf, "y", self.label, "counts aren't negative")
        return target

    @override
    def terms(self, prediction: Array, target: NDArray[Any]) -> tuple[Array, Array]:
        a = prediction
        if self.log_input:
            with np.errstate(over="ignore"):  # J is infinite then
                expected = np.exp(a)
            return expected - target * a, expected - target
        way = "end the model with Softplus(), or leave log_input=True"
        check_range(a, 0, inf, "the prediction", self.label, way)
        return a - target * np.log(a + 1e-8), 1 - target / (a + 1e-8)
