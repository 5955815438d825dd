"""A loss: one number J for a batch, and dJ/dprediction, which backpropagation starts from."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.core.cached import Cached
from minigrad.data.arrays import Array, Shape
from minigrad.data.targets import like_prediction
from minigrad.util.options import check_number

Reduction: TypeAlias = Literal["mean", "sum"]


class Loss(Cached):
    """J = scale * sum of the terms ("sum"), or scale * their mean ("mean").

    A new loss defines `terms`: the loss of each element or row, and its derivative. `backward` is
    the exact derivative of what `forward` returned.

    With weights w_i of the rows (sample weights, class weights, or their product), "sum" is the sum
    of w_i l_i, and "mean" is the weighted mean: that sum over the sum of w_i. So a weight of 2 is
    the row given twice, and 0 the row left out; if all of a batch are 0, J is 0. The `weight` of
    PyTorch's BCELoss divides by the number of rows instead.

    Args:
        reduction: "mean" over all elements (PyTorch's default and Keras's), or "sum".
        scale: a factor on J; 0.5 with "sum" gives the tutorial's Equation 1.

    Raises:
        TypeError: a scale that is no number.
        ValueError: another reduction; a scale that isn't finite.

    >>> class LogCosh(Loss):
    ...     def terms(self, prediction, target):
    ...         error = prediction - target
    ...         return np.log(np.cosh(error)), np.tanh(error)
    >>> loss = LogCosh()
    >>> round(loss.forward(np.array([[1.0], [0.0]]), np.array([0.0, 0.0])), 4)
    0.2169
    >>> loss.backward().round(4)
    array([[0.3808],
           [0.    ]])
    """

    takes_integers: ClassVar[bool] = False
    """Whether integer and boolean targets are taken as the numbers they are."""
    takes_logits: ClassVar[bool] = False
    """Whether it makes probabilities of the predictions itself."""
    decision_threshold: ClassVar[float] = 0.5
    """The prediction above which class 1 is meant: 0 where predictions are logits."""

    reduction: Reduction = "mean"
    scale: float = 1.0

    def __init__(self, *, reduction: Reduction = "mean", scale: float = 1.0) -> None:
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
        self.reduction = reduction
        self.scale = check_number(scale, "scale", self)

    def terms(self, prediction: Array, target: NDArray[Any]) -> tuple[Array, Array]:
        """Return the terms, one a row or one an element, and dterm/dprediction."""
        raise NotImplementedError(f"{self.label} must define terms(prediction, target)")

    def forward(
        self,
        prediction: Array,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        total: float | None = None,
        training: bool = True,
    ) -> float:
        """Return J of a batch, and with `training` remember what `backward` returns.

        Args:
            prediction: floating numbers of shape (n, ...), n > 0.
            target: of the same shape; (n,) is taken for predictions of shape (n, 1), and for
                nothing else.
            sample_weight: a weight for each row, of shape (n,).
            total: the rows, or the sum of weights, that a mean divides by; by default this
                batch's own. A part of a batch is given the whole batch's.
            training: False writes nothing on this object.

        Raises:
            TypeError: predictions that aren't floating numbers, or targets that `match` refuses.
            ValueError: no rows; targets or weights of another shape.
        """
        prediction = np.asarray(prediction)
        if prediction.dtype.kind != "f":
            raise TypeError(
                f"{self.label} expects predictions that are floating numbers, got dtype "
                f"{prediction.dtype}: pass prediction.astype(float)"
            )
        if not len(prediction):
            raise ValueError(
                f"{self.label} expects at least one row, got predictions of shape "
                f"{prediction.shape}"
            )
        target = self.match(np.asarray(target), prediction.shape)
        if sample_weight is not None:
            sample_weight = np.asarray(sample_weight)
            if sample_weight.shape != prediction.shape[:1]:
                raise ValueError(
                    f"{self.label} expects sample_weight of shape {prediction.shape[:1]}, got "
                    f"{sample_weight.shape}"
                )
        with np.errstate(under="ignore"):
            return self.measure(prediction, target, sample_weight, total, training=training)

    def measure(
        self,
        prediction: Array,
        target: NDArray[Any],
        sample_weight: Array | None = None,
        total: float | None = None,
        *,
        training: bool = True,
    ) -> float:
        """Do what `forward` does for targets and weights that were checked, as training's are."""
        pair = self.terms(prediction, self.cast(target, prediction.dtype))
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(
                f"terms of {self.label} must return a pair, the terms and their derivative by the "
                f"prediction; got a {type(pair).__name__}"
            )
        terms, slope = pair
        rows = len(prediction)
        try:
            fit = slope.shape == prediction.shape and slope.dtype == prediction.dtype
            fit = fit and len(terms) == rows
        except (AttributeError, TypeError):  # numbers that are no arrays
            fit = False
        if not fit:
            raise self._other_terms(np.asarray(terms), np.asarray(slope), prediction)
        if sample_weight is not None:
            terms, slope = _weighted(terms, sample_weight), _weighted(slope, sample_weight)
        factor = self.scale
        if self.reduction == "mean":
            if total is None:
                total = rows if sample_weight is None else float(sample_weight.sum(dtype=float))
            divisor = total * (terms.size // rows)
            factor = factor / divisor if divisor else 0.0
        if training:
            self.cache = slope * factor  # new, as `terms` may have returned what it was given
        return factor * float(np.add.reduce(terms, axis=None))

    def backward(self) -> Array:
        """Return dJ/dprediction for the last `forward`, a new array."""
        slope: Array = self.cache.copy(order="K")
        return slope

    def _other_terms(self, terms: Array, slope: Array, prediction: Array) -> Exception:
        """Return what to raise for terms that don't fit the prediction."""
        if terms.shape[:1] != prediction.shape[:1]:
            return ValueError(
                f"terms of {self.label} must be one a row or one an element, before they are "
                f"added up: got terms of shape {terms.shape} for predictions of shape "
                f"{prediction.shape}"
            )
        if slope.shape != prediction.shape:
            return ValueError(
                f"{self.label} expects a derivative of the predictions' shape {prediction.shape}, "
                f"got {slope.shape}: hold the target's shape, and those that the layers declare, "
                "against it"
            )
        return TypeError(
            f"{self.label} expects a derivative of the predictions' dtype {prediction.dtype}, got "
            f"{slope.dtype}: make its constants of that dtype, or end with .astype(...)"
        )

    def match(self, target: NDArray[Any], shape: Shape) -> NDArray[Any]:
        """Return the target in the shape of predictions of `shape`.

        Raises:
            TypeError: integers, unless the loss takes them, or no numbers at all.
            ValueError: any other shape.
        """
        if target.shape != shape or target.dtype.kind != "f":
            target = like_prediction(target, shape, self.label, integers=self.takes_integers)
        return target

    def cast(self, target: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the target in the dtype that `terms` computes in."""
        return target if target.dtype == dtype else target.astype(dtype)


def _weighted(array: Array, weight: Array) -> Array:
    """Multiply each row by its weight, in the array's dtype."""
    column = weight.astype(array.dtype, copy=False).reshape(-1, *[1] * (array.ndim - 1))
    product: Array = array * column
    return product
