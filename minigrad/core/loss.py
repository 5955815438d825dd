"""A loss: one number J for a batch, and dJ/dprediction, where backpropagation starts."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.core.cached import Cached
from minigrad.data.arrays import Array, Shape, as_array, as_data, as_weights, weighted
from minigrad.data.targets import like_prediction
from minigrad.util.config import as_object
from minigrad.util.fields import option, options
from minigrad.util.names import kind_of
from minigrad.util.options import check_number, one_of

Reduction: TypeAlias = Literal["mean", "sum"]


@options
class Loss(Cached):
    """J = scale * sum of the terms ("sum"), or scale * mean of the terms ("mean").

    A subclass defines `terms`: the loss of each element or row, and its derivative. `backward`
    returns the exact derivative of what `forward` returned.

    With a weight w_i for each row (a sample weight, a class weight, or their product), "sum" is the
    sum of w_i l_i, and "mean" is that sum divided by the sum of w_i (0 if all weights are 0).
    The `weight` of PyTorch's BCELoss divides by the number of rows instead. There may be a weight
    for each term instead, such as a mask of shape (n, time) of ones and zeros.

    >>> class LogCosh(Loss):
    ...     def terms(self, prediction, target):
    ...         error = prediction - target
    ...         return np.log(np.cosh(error)), np.tanh(error)
    >>> loss = LogCosh()
    >>> round(loss.forward(np.array([[1.0, 0.0]]), np.zeros((1, 2))), 4), loss.backward().round(4)
    (0.2169, array([[0.3808, 0.    ]]))
    """

    takes_logits: ClassVar[bool] = False
    """Whether the loss computes probabilities from the predictions itself."""
    decision_threshold: ClassVar[float] = 0.5
    """The prediction above which class 1 is predicted: 0 for logits."""
    several_labels: ClassVar[bool] = False
    """Whether each of several outputs predicts a label of its own, one of two."""

    losses: Mapping[str, Loss] = option(init=False, default=MappingProxyType({}))
    """The losses of several outputs; see `JointLoss`."""
    reduction: Reduction = option(one_of("mean", "sum"), default="mean")
    """"mean" over all elements (the default of PyTorch and Keras), or "sum"."""
    scale: float = option(check_number, default=1.0)
    """A factor of J, finite; 0.5 with "sum" gives the tutorial's Equation 1, 1/2 sum (a_k - t_k)^2,
    for an `MSELoss`."""

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
            target: numbers of the same shape; (n,) is taken for (n, 1), and for nothing else.
            sample_weight: a weight for each row, of shape (n,), or for each term, of the first axes
                of the terms' shape; not negative.
            total: the number of rows or the sum of weights that a mean divides by: this batch's by
                default; for a part of a batch pass the whole batch's.
            training: False writes nothing on this object.

        Raises:
            TypeError, ValueError: arrays of another type or shape, or without rows.
        """
        a = as_data(prediction, "the prediction")
        t = as_array(target, "y")
        if a.dtype.kind != "f":
            way = "exchange the two arguments, or " * (t.dtype.kind == "f")
            raise TypeError(
                f"{self.label} expects predictions that are floats, got dtype {a.dtype}: {way}pass "
                "prediction.astype(float)"
            )
        try:
            t = self.match(t, a.shape)
        except ValueError:
            from minigrad.data.exchanged import refuse_exchanged

            refuse_exchanged(a, t, self.label)
            raise
        weight = None if sample_weight is None else as_weights(sample_weight, a.shape)
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
        if target.size != prediction.size and target.shape != prediction.shape[:-1]:
            self.match(target, prediction.shape)  # a length that varies may differ
        pair, rows = self.terms(prediction, self.cast(target, prediction.dtype)), len(prediction)
        try:
            terms, slope = pair
            fit = slope.shape == prediction.shape and slope.dtype == prediction.dtype
            fit = fit and len(terms) == rows
        except (AttributeError, TypeError, ValueError):  # no pair, or numbers that aren't arrays
            fit = False
        if not fit:
            raise self._terms_error(pair, prediction)
        if sample_weight is not None:
            terms, slope = (weighted(array, sample_weight, self) for array in pair)
        factor = self.scale
        if self.reduction == "mean":
            if total is None:
                total = rows if sample_weight is None else sample_weight.sum(dtype=float).item()
            weights = rows if sample_weight is None else sample_weight.size
            divisor = total * (terms.size // weights)
            factor = factor / divisor if divisor else 0.0
        if training:
            self.cache = slope, factor
        summed: float = np.add.reduce(terms, axis=None).item()
        return factor * summed

    def backward(self) -> Array:
        """Return dJ/dprediction for the last training `forward` or `measure`, as a new array."""
        slope, factor = self.cache
        delta: Array = slope * factor
        return delta

    def _terms_error(self, pair: object, prediction: Array) -> Exception:
        got = f"got {kind_of(pair)}"
        if isinstance(pair, tuple) and len(pair) == 2:
            terms, slope = map(np.asarray, pair)
            got = f"got {terms.shape} and {slope.shape} in {slope.dtype}"
        return TypeError(
            f"terms of {self.label} must return a pair: a term per row or per element, and the "
            f"derivative of shape {prediction.shape} and dtype {prediction.dtype}, {got}"
        )

    def match(self, target: NDArray[Any], shape: Shape) -> NDArray[Any]:
        """Return the target in the shape of the predictions, or refuse it."""
        return like_prediction(target, shape, self.label)

    def cast(self, target: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the target in the dtype that `terms` computes in."""
        return target if target.dtype == dtype else target.astype(dtype)


def as_loss(loss: Loss | str) -> Loss:
    """Return the loss, or create it from its name, such as "mse"."""
    return as_object(Loss, "l1" if isinstance(loss, str) and loss == "mae" else loss, "loss")
