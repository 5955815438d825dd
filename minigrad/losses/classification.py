"""Losses for classification: the cross-entropies, the focal loss and the hinge loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.core.loss import Loss
from minigrad.data.arrays import Array, Shape
from minigrad.data.labels import check_classes, check_range, check_signs
from minigrad.layers.activations import sigmoid
from minigrad.util.config import register
from minigrad.util.fields import As, option, options
from minigrad.util.options import check_fraction, check_not_negative, check_positive

_LEAST_PROBABILITY = 1e-12  # a logarithm of less is replaced by its tangent


def _check_weights(value: Any, name: str, owner: object) -> float | tuple[float, ...]:
    """Return a number above zero, or a tuple of them for the units."""
    if not isinstance(value, (list, tuple)) and np.ndim(value) != 1:
        return check_positive(value, name, owner)
    return tuple(check_positive(v, f"{name}[{i}]", owner) for i, v in enumerate([*value]))


class _Binary(Loss):
    """Base of the losses with a target from 0 to 1 for each unit."""

    several_labels = True

    @override
    def match(self, target: NDArray[Any], shape: Shape) -> NDArray[Any]:
        target = super().match(target, shape)
        way = "labels are 0 and 1; CrossEntropyLoss() is for more classes, HingeLoss() for -1 and 1"
        check_range(target, 0, 1, "y", self.label, way)
        return target


@options
class _BinaryCrossEntropy(_Binary):
    """Base of both forms."""

    label_smoothing: float = option(check_fraction, default=0.0)
    """e, 0 <= e < 1: (1 - e) t + e / 2 replaces t, as in Keras."""

    def smoothed(self, target: NDArray[Any]) -> NDArray[Any]:
        """Return the targets with label smoothing."""
        e = self.label_smoothing
        return (1 - e) * target + e / 2 if e else target


@register
@options
class BCELoss(_BinaryCrossEntropy):
    """Binary cross-entropy of probabilities p: the terms are -(t log p + (1 - t) log(1 - p)).

    dterm/dp = (1 - t) / (1 - p) - t / p. Targets t are labels 0 and 1, or probabilities. Below
    1e-12 the logarithm is replaced by its tangent, so that J and its derivative stay finite at
    p = 0 and p = 1: at most 28.6 and 1e12 per term.

    PyTorch agrees for p in [1e-12, 1 - 1e-12]. Outside, PyTorch clips each logarithm at -100, and
    its backward isn't the derivative of that. Keras clips p at 1e-7, where its gradient is zero.
    Prefer `BCEWithLogitsLoss`, which has no such limits.
    Source: Bishop 2006, equation 5.21.

    Raises:
        ValueError: predictions or targets outside [0, 1].

    >>> loss = BCELoss()
    >>> round(loss.forward(np.array([[0.5, 0.8]]), np.array([[0, 1]])), 4), loss.backward()
    (0.4581, array([[ 1.   , -0.625]]))
    """

    equation = "l = -t log(a) - (1 - t) log(1 - a); l' = (1 - t) / (1 - a) - t / a"

    @override
    def terms(self, prediction: Array, target: NDArray[Any]) -> tuple[Array, Array]:
        way = "end the model with Sigmoid(), or use BCEWithLogitsLoss()"
        check_range(prediction, 0, 1, "the prediction", self.label, way)
        q = 1 - prediction
        p_safe = np.maximum(prediction, _LEAST_PROBABILITY)
        q_safe = np.maximum(q, _LEAST_PROBABILITY)
        log_p = np.log(p_safe) + (prediction - p_safe) / _LEAST_PROBABILITY
        log_q = np.log(q_safe) + (q - q_safe) / _LEAST_PROBABILITY
        target = self.smoothed(target)
        terms = -target * log_p - (1 - target) * log_q
        return terms, (1 - target) / q_safe - target / p_safe


@register
@options
class BCEWithLogitsLoss(_BinaryCrossEntropy):
    """Binary cross-entropy of logits z: the terms are log(1 + exp(z)) - t z.

    The probability is p = sigmoid(z), and dterm/dz = p - t; both are exact for every z. The last
    layer is a `Dense` without an activation: one unit, or one unit for each of several independent
    labels. Targets are those of `BCELoss`. `predict` returns logits: class 1 is z > 0. Metrics
    named in `compile` use that threshold.

    `pos_weight` c makes the positive class heavier, where it is rare: the terms are
    -(c t log p + (1 - t) log(1 - p)), and dterm/dz = (1 - t) p - c t (1 - p). This is PyTorch's
    option. A `class_weight` of `fit` also changes the divisor of a mean.
    Source: Bishop 2006, equations 4.90 and 4.91.

    Raises:
        ValueError: targets outside [0, 1]; more or fewer weights than units.

    >>> loss = BCEWithLogitsLoss()
    >>> round(loss.forward(np.array([[0.0, 1000.0]]), np.array([[1, 0]])), 4), loss.backward()
    (500.3466, array([[-0.25,  0.5 ]]))
    """

    takes_logits = True
    decision_threshold = 0.0

    pos_weight: As[float | Sequence[float], float | tuple[float, ...]] = option(
        _check_weights, default=1.0
    )
    """c, above 0: a number, or one for each unit; (negatives / positives) balances both classes."""

    @property
    @override
    def equation(self) -> str:  # type: ignore[override]
        if self.pos_weight == 1.0:
            return "p = sigmoid(z); l = log(1 + exp(z)) - t z; l' = p - t"
        return (
            "p = sigmoid(z); l = (1 - t) softplus(z) + pos_weight t softplus(-z); "
            "l' = (1 - t) p - pos_weight t (1 - p)"
        )

    @override
    def match(self, target: NDArray[Any], shape: Shape) -> NDArray[Any]:
        if not isinstance(self.pos_weight, float) and len(self.pos_weight) != shape[-1]:
            raise ValueError(
                f"{self.label} expects a pos_weight for each of {shape[-1]} units, got "
                f"{len(self.pos_weight)}"
            )
        return super().match(target, shape)

    @override
    def terms(self, prediction: Array, target: NDArray[Any]) -> tuple[Array, Array]:
        z, t = prediction, self.smoothed(target)
        p, rest = sigmoid(z), np.log1p(np.exp(-np.abs(z)))
        if self.pos_weight == 1.0:
            # log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)), where exp can't overflow.
            return np.maximum(z, 0.0) - t * z + rest, p - t
        c = np.asarray(self.pos_weight, z.dtype)
        negative, positive = np.maximum(z, 0.0) + rest, np.maximum(-z, 0.0) + rest
        slope = (1 - t) * p - c * t * sigmoid(-z)
        return (1 - t) * negative + c * t * positive, slope


@register
@options
class FocalWithLogitsLoss(_Binary):
    """Focal loss of logits z: the binary cross-entropy, less of it where the prediction is right.

    With p = sigmoid(z), the terms are -t (1 - p)^g log p - (1 - t) p^g log(1 - p), g = `gamma`.
    Many easy rows then count less than a few hard ones, as in detection with a rare class.
    `alpha` multiplies the first part, and 1 - alpha the second. The last layer and the targets are
    those of `BCEWithLogitsLoss`, which is gamma = 0. This is torchvision's sigmoid_focal_loss,
    whose alpha is 0.25 by default; Keras has it as BinaryFocalCrossentropy(from_logits=True).
    Source: Lin et al., Focal loss for dense object detection, 2017, equations 4 and 5.

    Raises:
        ValueError: targets outside [0, 1].

    >>> loss = FocalWithLogitsLoss()
    >>> round(loss.forward(np.array([[0.0, 1000.0]]), np.array([[1, 1]])), 4), loss.backward()
    (0.0866, array([[-0.1491434,  0.       ]]))
    """

    takes_logits = True
    decision_threshold = 0.0
    gamma: float = option(check_not_negative, default=2.0)
    """g, at least 0; the larger, the less a right prediction counts."""
    alpha: float | None = option(check_fraction, default=None)
    """The weight of class 1, 0 <= alpha < 1; None gives both classes the weight 1."""

    @property
    @override
    def equation(self) -> str:  # type: ignore[override]
        one, zero = ("alpha ", "(1 - alpha) ") if self.alpha is not None else ("", "")
        one, zero = f"{one}t (1 - p)^gamma", f"{zero}(1 - t) p^gamma"
        return (
            f"p = sigmoid(z); l = {zero} softplus(z) + {one} softplus(-z); "
            f"l' = {zero} (p + gamma (1 - p) softplus(z)) - {one} (1 - p + gamma p softplus(-z))"
        )

    @override
    def terms(self, prediction: Array, target: NDArray[Any]) -> tuple[Array, Array]:
        z, g = prediction, self.gamma
        p, q = sigmoid(z), sigmoid(-z)
        rest = np.log1p(np.exp(-np.abs(z)))
        log_p, log_q = -np.maximum(-z, 0.0) - rest, -np.maximum(z, 0.0) - rest
        one, zero = target * q**g, (1 - target) * p**g
        if self.alpha is not None:
            one, zero = self.alpha * one, (1 - self.alpha) * zero
        slope = zero * (p - g * q * log_q) - one * (q - g * p * log_p)
        return -one * log_p - zero * log_q, slope


@register
@options
class CrossEntropyLoss(Loss):
    """Cross-entropy of logits z: the term of class y is log(sum over j of exp(z_j)) - z_y.

    The probabilities are p = softmax(z), and dterm/dz_k = p_k - [k = y]. The last layer is a
    `Dense` with a unit for each class and no activation. Targets are class indices of shape (n,)
    and any integer dtype, or rows t of shape (n, classes), one-hot or probabilities: then sum over
    k of t_k z_k replaces z_y, and t_k replaces [k = y]. (A row is divided by its sum, which may
    differ from 1 by rounding.) `label_smoothing` e replaces t_k by (1 - e) t_k + e / classes.

    Predictions may have more axes before the classes, as in (n, time, classes): targets then have
    shape (n, time) or (n, time, classes), and there is a term for each step of time. PyTorch takes
    the classes in axis 1.

    A class weight multiplies the terms of its rows, and "mean" divides by the sum of those weights,
    as PyTorch's `weight` does for class indices. With label smoothing PyTorch weights each class
    within a row instead, and for rows of probabilities it divides by the number of rows.
    Source: Bishop 2006, equations 4.108 and 4.109; Szegedy et al., Rethinking the inception
    architecture, 2016, section 7.

    Raises:
        TypeError: class indices that are floats.
        ValueError: an index out of range; rows that aren't probabilities; fewer than two classes.

    >>> loss = CrossEntropyLoss()
    >>> round(loss.forward(np.array([[0.0, 0.0], [1000.0, 0.0]]), np.array([0, 1])), 4)
    500.3466
    >>> loss.backward()
    array([[-0.25,  0.25],
           [ 0.5 , -0.5 ]])
    """

    equation = "s = log(sum(exp(z))); p = exp(z - s); l = s - sum(t z); l' = p - t"
    takes_logits = True

    label_smoothing: float = option(check_fraction, default=0.0)
    """e, 0 <= e < 1."""

    @override
    def match(self, target: NDArray[Any], shape: Shape) -> NDArray[Any]:
        check_classes(target, shape, self.label)
        return target

    @override
    def cast(self, target: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        return target if target.dtype.kind in "iub" else super().cast(target, dtype)

    @override
    def terms(self, prediction: Array, target: NDArray[Any]) -> tuple[Array, Array]:
        order: Literal["C", "F"] = "C"
        if several := prediction.ndim > 2:
            shape, order = prediction.shape, "F"
            prediction = prediction.reshape(-1, shape[-1])
            target = target.reshape(-1, *target.shape[len(shape) - 1 :])
        # Shape (classes, rows), in the memory layout of Dense's output: sums over classes are fast.
        z = np.subtract(prediction.T, np.maximum.reduce(prediction, axis=1), order=order)
        slope: Array = np.exp(z)
        total = np.add.reduce(slope, axis=0)
        slope /= total
        classes, rows = z.shape
        kept = 1.0 - self.label_smoothing
        if target.ndim == 1:
            target = target.astype(np.intp, copy=False)
            position = np.arange(rows) + rows * target  # of z_y in z.ravel()
            if several:
                position = classes * np.arange(rows) + target
            z_y = z.ravel("K")[position]
            slope.ravel("K")[position] -= kept
        else:
            target = target if target.dtype == z.dtype else target.astype(z.dtype)
            t = target.T / np.add.reduce(target, axis=1)
            z_y = np.add.reduce(t * z, axis=0)
            slope -= kept * t
        terms: Array = np.log(total)
        terms -= z_y
        if self.label_smoothing:
            terms += self.label_smoothing * (z_y - z.mean(axis=0))
            slope -= self.label_smoothing / classes
        return (terms.reshape(shape[:-1]), slope.T.reshape(shape)) if several else (terms, slope.T)


@register
class HingeLoss(Loss):
    """Hinge loss: the terms are max(0, 1 - t a) for targets t of -1 or +1.

    dterm/da = -t where t a < 1, else 0. The last layer is a `Dense` without an activation; class +1
    is a > 0. Same as scikit-learn's hinge_loss. Keras's also takes labels 0 and 1, for -1 and +1.
    Source: Bishop 2006, equation 7.44.

    Raises:
        ValueError: targets other than -1 and +1.

    >>> loss = HingeLoss(reduction="sum")
    >>> loss.forward(np.array([[2.0, 0.25]]), np.array([[1, -1]])), loss.backward()
    (1.25, array([[0., 1.]]))
    """

    equation = "l = max(0, 1 - t a); l' = -t if t a < 1 else 0"
    several_labels = True
    decision_threshold = 0.0

    @override
    def match(self, target: NDArray[Any], shape: Shape) -> NDArray[Any]:
        target = super().match(target, shape)
        check_signs(target, self.label)
        return target

    @override
    def terms(self, prediction: Array, target: NDArray[Any]) -> tuple[Array, Array]:
        margin = 1 - target * prediction
        return np.maximum(margin, 0), np.where(margin > 0, -target, 0)
