"""Class weights: a weight for each class, multiplied into the rows' weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.data.arrays import Shape, with_axes
from minigrad.data.by_name import Data, of
from minigrad.data.rows import Rows
from minigrad.util.options import check_not_negative

ClassWeight: TypeAlias = Mapping[Any, Any] | Literal["balanced"]
"""A weight for each class, or "balanced"; for several outputs a dict of these."""


def weighted_by_class(rows: Any, class_weight: ClassWeight, output_shape: Any) -> Any:
    """Return `Rows`, or a `Stream`, with each weight multiplied by the weight of its class.

    "balanced" weighs a class by rows / (classes * rows of this class), so that all classes have
    the same sum of weights, as in scikit-learn.

    The class is y, or the position of the 1 in a one-hot row if y has as many axes as the
    predictions. Each row has a class, or each step of time has one. If y is a dict by output, the
    class weights are, too; an output without any keeps its weight.
    """
    if not isinstance(rows, Rows):
        return rows.weighted_by_class(class_weight)
    ones = np.ones(len(rows))
    weight: Data = ones if rows.weight is None else rows.weight
    if isinstance(rows.y, dict):
        if not isinstance(class_weight, Mapping) or not class_weight.keys() <= rows.y.keys():
            known = ", ".join(map(repr, rows.y))
            raise ValueError(
                f"class_weight expects a dict with weights for outputs, of {known}, got "
                f"{class_weight}"
            )
        factors = {
            name: _class_weights(weights, rows.y[name][:], output_shape[name])
            for name, weights in class_weight.items()
        }
        weight = {name: _product(of(weight, name), factors.get(name, ones)) for name in rows.y}
    else:
        weight = _product(weight, _class_weights(class_weight, rows.y[:], output_shape))
    return Rows(rows.x, rows.y, weight, rows.form)


def _product(weight: NDArray[Any], factor: NDArray[Any]) -> NDArray[Any]:
    """Multiply weights of rows or of terms."""
    ndim = max(weight.ndim, factor.ndim)
    return with_axes(weight, ndim) * with_axes(factor, ndim)


def _class_weights(
    class_weight: ClassWeight, y: NDArray[Any], output_shape: Shape
) -> NDArray[np.float64]:
    classes = _classes(y, output_shape)
    if isinstance(class_weight, str) and class_weight == "balanced":
        labels, counts = np.unique(classes, return_counts=True)
        class_weight = dict(zip(labels, classes.size / (len(labels) * counts), strict=True))
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            "class_weight expects a dict with a weight for each class, such as {0: 1.0, 1: 5.0}, "
            f"or 'balanced', got {class_weight!r}"
        )
    weights = {
        label: check_not_negative(weight, f"class_weight[{label!r}]", "fit")
        for label, weight in class_weight.items()
    }
    if not any(weights.values()):
        raise ValueError(
            f"class_weight expects a positive weight for some class, got {class_weight}"
        )
    weight = np.empty(classes.shape)
    for label in np.unique(classes):
        if label not in weights:
            way = "; y must hold class labels" if label % 1 else ""
            raise ValueError(
                f"class_weight has no weight for class {label}: it has {sorted(weights)}{way}"
            )
        weight[classes == label] = weights[label]
    return weight


def _classes(y: NDArray[Any], output_shape: Shape) -> NDArray[Any]:
    """Return the class of each row, or of each step of time."""
    classes: NDArray[Any] = y[..., 0] if y.ndim == 1 + len(output_shape) > 1 else y
    if y.size > classes.size:
        if not (((y == 0) | (y == 1)).all() and (y.sum(axis=-1) == 1).all()):
            raise ValueError(
                f"class_weight expects one class per row, and y of shape {y.shape} isn't one-hot: "
                "pass sample_weight, or BCEWithLogitsLoss(pos_weight=...) for several labels"
            )
        classes = y.argmax(axis=-1)
    return classes
