"""Embeddings: a row of numbers, learned or fixed, for each id or each position of a sequence."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape
from minigrad.initializers import InitializerLike, Normal, Uniform, check_initializer
from minigrad.layers.weighted import Sharing, check_shared, new_parameter
from minigrad.regularizers import Regularizer, check_regularizer
from minigrad.util.config import register
from minigrad.util.fields import As, option, options
from minigrad.util.options import check_int
from minigrad.util.random import RNG


@register
@options
class Embedding(Sharing):
    """h = W[id]: for each id its row of `weight` W, of shape (input_dim, output_dim).

    Ids are whole numbers from 0 to input_dim - 1, in rows of any shape. The output adds an axis.

    Backward, with delta = dJ/dh:

        dJ/dW_i = sum of delta over the places where the id is i

    There is no slope along an id, since it can't move by a small step: `backward` returns zeros, in
    the shape of the ids.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: an id that is out of range or no whole number; when the layer is built, a shared
            weight of another shape or with a regularizer.

    Source: Bengio et al., A neural probabilistic language model, JMLR 2003, section 2.

    >>> layer = Embedding(3, 2, weight_initializer=np.array([[0.0, 0.1], [1.0, 1.1], [2.0, 2.1]]))
    >>> layer.build((2,), np.random.default_rng(0))
    (2, 2)
    >>> layer.forward(np.array([[2, 0]]))
    array([[[2. , 2.1],
            [0. , 0.1]]])
    """

    input_dim: int = option(check_int, kw_only=False)
    """The number of ids."""
    output_dim: int = option(check_int, kw_only=False)
    """The number of features for each id."""
    weight_initializer: InitializerLike | None = option(check_initializer, default=None)
    """None for Keras's `Uniform(0.05)`; PyTorch's is "normal"."""
    weight_regularizer: Regularizer | None = option(check_regularizer, default=None)
    """A term added to the loss, such as `L2(1e-4)`."""
    weight: As[Parameter | None, Parameter] = option(check_shared, default=None)
    """A `Parameter` of another layer to share, as in `Dense`."""

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        shape = (self.input_dim, self.output_dim)
        self.weight = self.parameter("weight", shape, rng, default=Uniform(0.05))
        self.input_shape = input_shape
        return (*input_shape, self.output_dim)

    @override
    def cast(self, x: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the ids as integers, and refuse other numbers."""
        good = (x >= 0) & (x < self.input_dim)
        if x.dtype.kind == "f":
            good &= x == np.rint(x)
        if not good.all():
            index = tuple(map(int, np.unravel_index(int(np.argmin(good)), x.shape)))
            raise ValueError(
                f"{self.label} expects whole numbers from 0 to {self.input_dim - 1} as ids, got "
                f"{x[index]} at index {index}"
            )
        return x.astype(np.intp, copy=False)

    @override
    def forward(self, x: NDArray[Any], *, training: bool = True) -> Array:
        weight = self.weight.value
        self.check_input(x)
        ids = self.cast(x, weight.dtype)
        if training:
            self.cache = ids
        return weight.take(ids, axis=0)

    @override
    def backward(self, delta: Array) -> Array:
        self.backward_parameters(delta)
        return np.zeros(delta.shape[:-1], delta.dtype)

    @override
    def backward_parameters(self, delta: Array) -> None:
        ids: NDArray[np.intp] = self.cache
        width, grad = self.output_dim, self.weight.grad
        self.check_delta(delta, (*ids.shape, width))
        ids, delta = ids.ravel(), delta.reshape(-1, width)
        grad[...] = 0
        if len(ids) < self.input_dim and type(delta) is np.ndarray:
            # Few ids repeat: assigning is faster, and leaves the last row of each id.
            rows, last = np.arange(len(ids)), np.empty(self.input_dim, np.intp)
            grad[ids], last[ids] = delta, rows
            others = last[ids] != rows
            ids, delta = ids[others], delta[others]
        # Adding at each number's place is several times faster than adding rows.
        places = ids[:, np.newaxis] * width + np.arange(width)
        np.add.at(grad.reshape(-1), places.ravel(), delta.ravel())


@register
class PositionEmbedding(Layer):
    """h_t = x_t + W_t: a row of `weight` W, of shape (positions, features), is added at position t.

    Backward, with delta = dJ/dh = dJ/dx:

        dJ/dW = sum over rows of delta

    The initial weights are normal with standard deviation 0.02. The input fixes the number of
    positions.

    Args:
        name: see `Layer`.

    Raises:
        ValueError: rows that aren't (positions, features), or a number of positions that varies.

    Source: Gehring et al., Convolutional sequence to sequence learning, ICML 2017, section 3.1.

    >>> layer = PositionEmbedding()
    >>> layer.build((3, 2), np.random.default_rng(0))
    (3, 2)
    >>> layer.weight
    Parameter(shape=(3, 2), dtype=float64)
    """

    weight: Parameter

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        _check_positions(self, input_shape)
        if input_shape[0] is None:
            raise ValueError(
                f"{self.label} needs a fixed number of positions, got rows of shape {input_shape}: "
                "use SinusoidalPositions()"
            )
        self.weight = new_parameter(self, "weight", input_shape, rng, Normal(0.02))
        return input_shape

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        weight = self.weight.value
        self.check_input(x, weight.shape)
        if training:
            self.cache = x.shape
        return x + weight

    @override
    def backward(self, delta: Array) -> Array:
        self.backward_parameters(delta)
        return delta.copy()

    @override
    def backward_parameters(self, delta: Array) -> None:
        self.check_delta(delta, self.cache)
        np.add.reduce(delta, axis=0, out=self.weight.grad)


@register
class SinusoidalPositions(Layer):
    """h_t = x_t + p_t, with p_t of sines and cosines, for any number of positions.

    p_t holds sin(t f_0), cos(t f_0), sin(t f_1), cos(t f_1) and so on, with the frequencies
    f_i = 10000^(-2 i / features). An odd number of features ends with a sine. There are no
    parameters, and dJ/dx = delta.

    Args:
        name: see `Layer`.

    Raises:
        ValueError: rows that aren't (positions, features).

    Source: Vaswani et al., Attention is all you need, 2017, section 3.5.

    >>> layer = SinusoidalPositions()
    >>> layer.build((None, 2), np.random.default_rng(0))
    (None, 2)
    >>> layer.forward(np.zeros((1, 2, 2))).round(2)
    array([[[0.  , 1.  ],
            [0.84, 0.54]]])
    """

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        _check_positions(self, input_shape)
        self.input_shape = input_shape
        return input_shape

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        self.check_input(x)
        if training:
            self.cache = x.shape
        return x + _sinusoids(*x.shape[1:], x.dtype)

    @override
    def backward(self, delta: Array) -> Array:
        self.check_delta(delta, self.cache)
        return delta.copy()


@lru_cache(maxsize=16)
def _sinusoids(positions: int, width: int, dtype: np.dtype[Any]) -> Array:
    angle = np.arange(positions)[:, np.newaxis] * 10000.0 ** (-np.arange(0, width, 2) / width)
    p = np.empty((positions, width), dtype)
    p[:, 0::2] = np.sin(angle)
    p[:, 1::2] = np.cos(angle[:, : width // 2])
    return p


def _check_positions(layer: Layer, input_shape: Shape) -> None:
    """Refuse rows that aren't (positions, features)."""
    if len(input_shape) != 2 or input_shape[1] is None:
        raise ValueError(
            f"{layer.label} expects input of shape (batch, positions, features), got rows of shape "
            f"{input_shape}"
        )
