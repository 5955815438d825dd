"""Embeddings: a row of numbers, learned or fixed, for each id or each position of a sequence."""

from __future__ import annotations

from functools import lru_cache
from types import NoneType, SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape
from minigrad.initializers import InitializerLike, Normal, Uniform, check_initializer, initialize
from minigrad.regularizers import Regularizer, check_regularizer
from minigrad.util.config import register
from minigrad.util.fields import options
from minigrad.util.names import kind_of
from minigrad.util.options import check_int
from minigrad.util.random import RNG


@register
@options
class Embedding(Layer):
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

    weight: Parameter

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        *,
        weight_initializer: InitializerLike | None = None,
        weight_regularizer: Regularizer | None = None,
        weight: Parameter | None = None,
        name: str = "",
    ) -> None:
        super().__init__(name=name)
        self.input_dim = check_int(input_dim, "input_dim", self)
        self.output_dim = check_int(output_dim, "output_dim", self)
        if weight_initializer is not None:
            weight_initializer = check_initializer(weight_initializer, "weight_initializer")
        self.weight_initializer = weight_initializer
        self.weight_regularizer = check_regularizer(weight_regularizer, "weight_regularizer")
        if not isinstance(weight, (Parameter, NoneType)):
            raise TypeError(
                f"Embedding expects a Parameter of another layer as weight, got {kind_of(weight)}: "
                "for numbers use weight_initializer"
            )
        if weight is not None and weight_regularizer is not None:
            raise ValueError(
                "Embedding got a weight to share and a weight_regularizer: pass the regularizer to "
                "the layer that the parameter is from"
            )
        # Not an attribute, where it would be found as a parameter: `build` makes it one.
        self._shared = SimpleNamespace(weight=weight)

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        shape = (self.input_dim, self.output_dim)
        weight = self._shared.weight
        if weight is None:
            source = Uniform(0.05) if self.weight_initializer is None else self.weight_initializer
            value = initialize(source, shape, rng, f"the weight of {self.label}")
            weight = Parameter(value, regularizer=self.weight_regularizer)
        elif weight.shape != shape:
            raise ValueError(
                f"{self.label} expects a shared weight of shape {shape}, got {weight!r}"
            )
        self.weight = weight
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
        assert self.input_shape is not None
        self.check_input(x, self.input_shape)
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

    @override
    def get_config(self) -> dict[str, Any]:
        names = "input_dim", "output_dim", "weight_initializer", "weight_regularizer", "name"
        return {name: getattr(self, name) for name in names}


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
        value = initialize(Normal(0.02), input_shape, rng, f"the weight of {self.label}")
        self.weight = Parameter(value)
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
        assert self.input_shape is not None
        self.check_input(x, self.input_shape)
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
