"""Losses: one number J for a batch, and dJ/dprediction, which backpropagation starts from."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.arrays import Array, Shape, as_data, describe
from minigrad.config import register
from minigrad.layers.base import Cached

Reduction: TypeAlias = Literal["mean", "sum"]


class Loss(Cached):
    """J = scale * sum of the terms ("sum"), or scale * their mean ("mean").

    A new loss defines `terms`: the loss of each element or row, and its derivative. With sample
    weights w, "sum" is the sum of w_i l_i, and "mean" is the weighted mean, that sum over the sum
    of w_i. `backward` is the exact derivative of what `forward` returned.

    Args:
        reduction: "mean" over all elements (PyTorch's default and Keras's), or "sum".
        scale: a factor on J; 0.5 with "sum" gives the tutorial's Equation 1.

    Raises:
        ValueError: another reduction; targets whose shape isn't the prediction's. Targets of shape
            (n,) are taken for predictions of shape (n, 1) and for nothing else.
    """

    def __init__(self, *, reduction: Reduction = "mean", scale: float = 1.0) -> None:
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
        self.reduction: Reduction = reduction
        self.scale = scale

    def terms(self, prediction: Array, target: NDArray[Any]) -> tuple[Array, Array]:
        """Return the terms, of shape (n, ...), and dterm/dprediction; both new arrays."""
        raise NotImplementedError(f"{self.label} must define terms(prediction, target)")

    def forward(
        self,
        prediction: Array,
        target: NDArray[Any],
        *,
        sample_weight: Array | None = None,
        total: float | None = None,
        training: bool = True,
    ) -> float:
        """Return J of a batch, and with `training` remember what `backward` returns.

        Args:
            prediction: of shape (n, ...).
            target: of the same shape, or (n,) for predictions of shape (n, 1).
            sample_weight: a weight for each row, of shape (n,).
            total: the rows, or the sum of weights, that a mean divides by; by default this
                batch's own. A part of a batch is given the whole batch's.
            training: False writes nothing on this object.
        """
        target = self.match(target, prediction.shape, prediction.dtype)
        terms, slope = self.terms(prediction, target)
        if sample_weight is not None:
            weight = sample_weight.astype(terms.dtype, copy=False)
            terms *= weight.reshape(-1, *[1] * (terms.ndim - 1))
            slope *= weight.reshape(-1, *[1] * (slope.ndim - 1))
        factor = self.scale
        if self.reduction == "mean":
            if total is None:
                total = len(terms) if sample_weight is None else float(sample_weight.sum())
            divisor = total * (terms.size // len(terms))
            factor = factor / divisor if divisor else 0.0
        if training:
            slope *= factor
            self.cache = slope
        return factor * float(np.add.reduce(terms, axis=None))

    def backward(self) -> Array:
        """Return dJ/dprediction for the last `forward`."""
        slope: Array = self.cache
        return slope

    def match(
        self, target: NDArray[Any], shape: Shape, dtype: np.dtype[Any] | None = None
    ) -> NDArray[Any]:
        """Return the target in the shape (and dtype) of predictions of `shape`.

        Raises:
            TypeError: integers, or no numbers at all.
            ValueError: any other shape.
        """
        if target.shape != shape or target.dtype.kind != "f":
            target = as_data(target, "y")
            if target.shape != shape:
                if (*target.shape, 1) != shape:
                    raise ValueError(
                        f"{self.label} expects targets of the predictions' shape {shape}, got "
                        f"{target.shape}{_way_out(target.shape, shape)}"
                    )
                target = target.reshape(shape)
        return target if dtype is None else target.astype(dtype, copy=False)


@register
class MSELoss(Loss):
    """Squared error: the terms are (a_k - t_k)^2, so dterm/da_k = 2 (a_k - t_k).

    "mean" divides by rows times outputs, as PyTorch and Keras do. `reduction="sum", scale=0.5`
    gives E = 1/2 sum (a_k - t_k)^2, Equation 1, whose derivative is (a_k - t_k).

    >>> loss = MSELoss(reduction="sum", scale=0.5)
    >>> loss.forward(np.array([[1.0], [3.0]]), np.array([0.0, 1.0]))
    2.5
    >>> loss.backward()
    array([[1.],
           [2.]])
    """

    @override
    def terms(self, prediction: Array, target: NDArray[Any]) -> tuple[Array, Array]:
        error = prediction - target
        return error * error, 2 * error


def _way_out(target: Shape, prediction: Shape) -> str:
    if len(target) == 1 and len(prediction) == 2 and target[0] == prediction[0]:
        return f": give the last layer 1 unit, or y of shape {describe(prediction[1:])}"
    if target[:1] != prediction[:1]:
        return f": x has {prediction[0]} rows and y has {target[0]}"
    return ""
