"""The base of layers with a weight, a bias and an activation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape
from minigrad.initializers.base import InitializerLike, check_initializer
from minigrad.layers.weighted import Sharing, check_shared
from minigrad.regularizers import Regularizer, check_regularizer
from minigrad.util.config import as_object
from minigrad.util.fields import As, option, options
from minigrad.util.options import check_bool
from minigrad.util.spelling import snake_case


def as_activation(value: str | Layer, name: str, owner: object) -> Layer:
    """Return the layer, or make it from its name."""
    activation: Layer = as_object(
        Layer, value, name, suggested=lambda cls: hasattr(cls, "is_activation")
    )
    activation.name = activation.name or snake_case(type(activation).__name__)
    return activation


_NARROW = 128
"""With fewer columns, a product is computed transposed, so that each column is contiguous."""


def product(a: Array, b: Array) -> Array:
    """Return a b, a new array: each vector along the last axis of a, times the matrix b.

    Where b is narrow, an activation or a sum after it then runs over long columns, which is faster.
    """
    if a.ndim == 2 and b.shape[1] < _NARROW:
        columns: Array = np.dot(b.T, a.T)
        return columns.T
    rows: Array = np.dot(vectors(a), b)
    return rows.reshape(*a.shape[:-1], b.shape[1])


def vectors(array: Array) -> Array:
    """Return the vectors along the last axis as the rows of a matrix."""
    return array if array.ndim == 2 else array.reshape(-1, array.shape[-1])


def sum_vectors(array: Array, out: Array) -> None:
    """Write the sum of the vectors along the last axis, those of a `product`."""
    if array.ndim == 2 and array.shape[1] < _NARROW:
        np.add.reduce(array, axis=0, out=out)
    else:  # a product is the faster sum of rows
        rows = vectors(array)
        np.dot(np.ones(len(rows), rows.dtype), rows, out=out)


@options
class Affine(Sharing):
    """The base of `Dense` and the convolutions: the activation of a linear map of x, plus a bias.

    It has the options that these layers share.
    """

    use_bias: bool = option(check_bool, default=True)
    """False leaves b out."""
    weight_initializer: InitializerLike = option(check_initializer, default="glorot_uniform")
    """A name, an `Initializer`, or an array of the shape."""
    bias_initializer: InitializerLike = option(check_initializer, default="zeros")
    """The same for b."""
    weight_regularizer: Regularizer | None = option(check_regularizer, default=None)
    """A term added to the loss, such as `L2(1e-4)`."""
    bias_regularizer: Regularizer | None = option(check_regularizer, default=None)
    """The same for b."""
    weight: As[Parameter | None, Parameter] = option(check_shared, default=None)
    """A `Parameter` of another layer to share. Each layer keeps the gradient of its own use;
    `model.parameters` has the sum."""
    bias: As[Parameter | None, Parameter | None] = option(check_shared, default=None)
    """The same for b."""

    if TYPE_CHECKING:  # an option of the subclasses, by position or by name

        @property
        def activation(self) -> Layer | None: ...

    @override
    def __post_init__(self) -> None:
        if self.bias is not None and not self.use_bias:
            kind = type(self).__name__
            raise ValueError(f"{kind} got a bias to share and use_bias=False: leave one out")
        super().__post_init__()

    def delta_z(self, delta: Array, shape: Shape, dtype: np.dtype[Any]) -> Array:
        """Return dJ/dz, back through the activation, for delta of this shape."""
        self.check_delta(delta, shape)
        if self.activation is not None:
            delta = self.activation.backward(delta)
        if delta.dtype != dtype:
            raise TypeError(f"{self.label} expects delta of dtype {dtype}, got {delta.dtype}")
        return delta
