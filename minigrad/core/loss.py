"""A loss: one number J for a batch, and dJ/dprediction, where backpropagation starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.core.cached import Cached
from minigrad.data.arrays import Array, Shape, as_array, as_weights
from minigrad.data.targets import as_predictions, like_prediction
from minigrad.util.config import as_object
from minigrad.util.options import check_number

Reduction: TypeAlias = Literal["mean", "sum"]


class Loss(Cached):
    """J = scale * sum of the terms ("sum"), or scale * mean of the terms ("mean").

    A subclass defines `terms`: the loss of each element or row, and its derivative. `backward`
    returns the exact derivative of what `forward` returned.

    With a weight w_i for each row (a sample weight, a class weight, or their product), "sum" is the
    sum of w_i l_i, and "mean" is that sum divided by the sum of w_i. A weight of 2 counts a row
    twice, and 0 leaves it out; if all weights of a batch are 0, J is 0. The `weight` of PyTorch's
    BCELoss divides by the number of rows instead.

    Args:
        reduction: "mean" over all elements (the default of PyTorch and Keras), or "sum".
        scale: a factor of J; 0.5 with "sum" gives the tutorial's Equation 1.

    Raises:
        TypeError: a scale that isn't a number.
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

    takes_logits: ClassVar[bool] = False
    """Whether the loss computes probabilities from the predictions itself."""
    decision_threshold: ClassVar[float] = 0.5
    """The prediction above which class 1 is predicted: 0 for logits."""

    reduction: Reduction = "mean"
    scale: float = 1.0

    def __init__(self, *, reduction: Reduction = "mean", scale: float = 1.0) -> None:
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
        self.reduction = reduction
        self.scale = check_number(scale, "scale", self)

    if not TYPE_CHECKING:  # a type checker reports the call itself

        def __call__(self, *args: Any, **options: Any) -> NoReturn:
            """Refuse the call, and name the method to use."""
            raise TypeError(f"{self.label} isn't callable: use forward(prediction, target)")

    def terms(self, prediction: Array, target: NDArray[Any]) -> tuple[Array, Array]:
        """Return the terms, one per row or one per element, and dterm/dprediction."""
        raise NotImplementedError(f"{self.label} must define terms(prediction, target)")

    def forward(
        self,
        prediction: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        total: float | None = None,
        training: bool = True,
    ) -> float:
        """Return J of a batch; with `training`, remember what `backward` returns.

        Args:
            prediction: floats of shape (n, ...), n > 0.
            target: numbers of the same shape; (n,) is taken for predictions of shape (n, 1), and
                for nothing else.
            sample_weight: a weight for each row, of shape (n,).
            total: the divisor of a mean: the number of rows, or the sum of the weights. By default
                it is this batch's; for a part of a batch pass the whole batch's.
            training: False writes nothing on this object.

        Raises:
            TypeError: predictions that aren't floats, or targets that `match` refuses.
            ValueError: no rows; targets or weights of another shape; a negative weight.
        """
        a = as_predictions(prediction, self.label)
        if a.dtype.kind != "f":
            raise TypeError(
                f"{self.label} expects predictions that are floats, got dtype {a.dtype}: pass "
                "prediction.astype(float)"
            )
        t = self.match(as_array(target, "y"), a.shape)
        weight = None if sample_weight is None else as_weights(sample_weight, len(a))
        with np.errstate(under="ignore"):
            return self.measure(a, t, weight, total, training=training)

    def measure(
        self,
        prediction: Array,
        target: NDArray[Any],
        sample_weight: Array | None = None,
        total: float | None = None,
        *,
        training: bool = True,
    ) -> float:
        """Return what `forward` does, for targets and weights that are validated already."""
        pair = self.terms(prediction, self.cast(target, prediction.dtype))
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(
                f"terms of {self.label} must return a pair, the terms and their derivative with "
                f"respect to the prediction; got a {type(pair).__name__}"
            )
        terms, slope = pair
        rows = len(prediction)
        try:
            fit = slope.shape == prediction.shape and slope.dtype == prediction.dtype
            fit = fit and len(terms) == rows
        except (AttributeError, TypeError):  # numbers that aren't arrays
            fit = False
        if not fit:
            raise self._terms_error(np.asarray(terms), np.asarray(slope), prediction)
        if sample_weight is not None:
            terms, slope = _weighted(terms, sample_weight), _weighted(slope, sample_weight)
        factor = self.scale
        if self.reduction == "mean":
            if total is None:
                total = rows if sample_weight is None else float(sample_weight.sum(dtype=float))
            divisor = total * (terms.size // rows)
            factor = factor / divisor if divisor else 0.0
        if training:
            self.cache = slope * factor  # a new array: `terms` may return one that it was given
        return factor * float(np.add.reduce(terms, axis=None))

    def backward(self) -> Array:
        """Return dJ/dprediction for the last `forward`, as a new array."""
        slope: Array = self.cache.copy(order="K")
        return slope

    def _terms_error(self, terms: Array, slope: Array, prediction: Array) -> Exception:
        if terms.shape[:1] != prediction.shape[:1]:
            return ValueError(
                f"terms of {self.label} must be one per row or one per element, not added up: got "
                f"terms of shape {terms.shape} for predictions of shape {prediction.shape}"
            )
        if slope.shape != prediction.shape:
            return ValueError(
                f"{self.label} expects a derivative of the predictions' shape {prediction.shape}, "
                f"got {slope.shape}: compare it with the target's shape"
            )
        return TypeError(
            f"{self.label} expects a derivative of the predictions' dtype {prediction.dtype}, got "
            f"{slope.dtype}: use constants of that dtype, or end with .astype(prediction.dtype)"
        )

    def match(self, target: NDArray[Any], shape: Shape) -> NDArray[Any]:
        """Return the target in the shape of the predictions, or raise TypeError or ValueError."""
        return like_prediction(target, shape, self.label)

    def cast(self, target: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the target in the dtype that `terms` computes in."""
        return target if target.dtype == dtype else target.astype(dtype)


def as_loss(loss: Loss | str) -> Loss:
    """Return the loss, or create it from its name: "mse", "l1" or "mae", "huber", ..."""
    return as_object(Loss, "l1" if loss == "mae" else loss, "loss")


def _weighted(array: Array, weight: Array) -> Array:
    """Multiply each row by its weight, in the array's dtype."""
    column = weight.astype(array.dtype, copy=False).reshape(-1, *[1] * (array.ndim - 1))
    product: Array = array * column
    return product
