"""What a parameter holds before training."""

from __future__ import annotations

from collections.abc import Callable
from math import prod, sqrt
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import override

from minigrad.data.arrays import Array, Shape
from minigrad.util.config import Configurable, by_name, register
from minigrad.util.options import check_not_negative, check_number
from minigrad.util.random import RNG


class Initializer(Configurable):
    """Draws an array of a given shape; for a weight that is (inputs, units).

    A new one defines `__call__`. A function of (shape, rng) will do too, but its name alone is
    saved; a class that is registered is saved and loaded, and known by its name.

    >>> from minigrad import Dense, Sequential
    >>> class Spread(Initializer):
    ...     def __call__(self, shape, rng):
    ...         return np.linspace(-1, 1, np.prod(shape)).reshape(shape)
    >>> model = Sequential([Dense(2, weight_initializer=Spread())], input_shape=(2,))
    >>> model.parameters[0].value.round(2)
    array([[-1.  , -0.33],
           [ 0.33,  1.  ]])
    """

    def __call__(self, shape: Shape, rng: RNG) -> Array:
        """Return a new float64 array of `shape`, drawn from `rng`."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, rng)")


InitializerLike: TypeAlias = str | Initializer | Callable[[Shape, RNG], ArrayLike] | ArrayLike


def initialize(source: InitializerLike, shape: Shape, rng: RNG, owner: str) -> Array:
    """Return the initial value: by an initializer's name, by an object, or a copy of an array.

    Raises:
        ValueError: an unknown name, or an array of another shape.

    >>> initialize("ones", (3,), np.random.default_rng(0), "bias")
    array([1., 1., 1.])
    >>> initialize(np.ones(2), (3,), np.random.default_rng(0), "the bias of Dense 'dense_1'")
    Traceback (most recent call last):
    ...
    ValueError: the bias of Dense 'dense_1' has shape (3,), got an initial array of shape (2,)
    """
    from minigrad.util.blank import Blank

    if isinstance(rng, Blank):
        return rng.zeros(shape, owner)
    check_initializer(source, owner)
    draw = by_name(Initializer, source, owner) if isinstance(source, str) else source
    value = np.array(draw(shape, rng) if callable(draw) else draw, dtype=np.float64)
    if value.shape != shape:
        raise ValueError(f"{owner} has shape {shape}, got an initial array of shape {value.shape}")
    return value


def check_initializer(source: InitializerLike, argument: str) -> None:
    """Refuse a name that isn't known, or a class where its object is meant.

    >>> check_initializer("glorot_unifrom", "weight_initializer")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: weight_initializer='glorot_unifrom' is not known: did you mean 'glorot_uniform'? ...
    """
    if isinstance(source, str):
        by_name(Initializer, source, argument)
    elif isinstance(source, type):
        raise TypeError(f"{argument} is a class: pass an object, {source.__name__}()")


@register
class Zeros(Initializer):
    """All zeros, which is what a bias starts from.

    >>> Zeros()((3,), np.random.default_rng(0))
    array([0., 0., 0.])
    """

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return np.zeros(shape)


@register
class Ones(Initializer):
    """All ones, which is what the factors of a normalisation start from.

    >>> Ones()((3,), np.random.default_rng(0))
    array([1., 1., 1.])
    """

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return np.ones(shape)


@register
class Constant(Initializer):
    """The same value everywhere.

    Args:
        value: a finite number.

    Raises:
        TypeError, ValueError: it isn't.

    >>> Constant(0.1)((2,), np.random.default_rng(0))
    array([0.1, 0.1])
    """

    def __init__(self, value: float) -> None:
        self.value = check_number(value, "value", self)

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return np.full(shape, self.value)


@register
class Normal(Initializer):
    """The normal distribution N(0, scale^2); `Normal()` draws what NumPy's `randn` draws.

    Args:
        scale: the standard deviation, zero or more.

    Raises:
        TypeError, ValueError: a scale out of its range.

    >>> Normal()((2, 1), np.random.RandomState(4))
    array([[0.05056171],
           [0.49995133]])
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = check_not_negative(scale, "scale", self)

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return self.scale * np.asarray(rng.standard_normal(shape))


@register
class Uniform(Initializer):
    """The uniform distribution over (-scale, scale).

    Args:
        scale: zero or more.

    Raises:
        TypeError, ValueError: a scale out of its range.

    >>> bool(np.abs(Uniform(0.1)((5, 5), np.random.default_rng(0))).max() < 0.1)
    True
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = check_not_negative(scale, "scale", self)

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return np.asarray(rng.uniform(-self.scale, self.scale, shape))


class _Fitted(Initializer):
    """Another initializer's numbers, times a factor that suits the weight's inputs and units."""

    drawn: ClassVar[Initializer]

    def factor(self, inputs: int, units: int) -> float:
        """Return what the numbers drawn are multiplied by."""
        raise NotImplementedError(f"{type(self).__name__} must define factor(inputs, units)")

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return self.factor(*_fans(shape)) * self.drawn(shape, rng)


@register
class GlorotUniform(_Fitted):
    """Uniform with variance 2 / (inputs + units), so over (-l, l), l = sqrt(6 / (inputs + units)).

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural
    networks, AISTATS 2010, equation 16.

    >>> w = GlorotUniform()((200, 100), np.random.default_rng(0))
    >>> round(float(np.abs(w).max()), 4), round(sqrt(6 / 300), 4)
    (0.1414, 0.1414)
    """

    drawn = Uniform()

    @override
    def factor(self, inputs: int, units: int) -> float:
        return sqrt(6 / (inputs + units))


@register
class GlorotNormal(_Fitted):
    """Normal with variance 2 / (inputs + units), not truncated (PyTorch's form; Keras truncates).

    Source: Glorot and Bengio, AISTATS 2010.

    >>> w = GlorotNormal()((200, 100), np.random.default_rng(0))
    >>> round(float(w.var()), 4), round(2 / 300, 4)
    (0.0066, 0.0067)
    """

    drawn = Normal()

    @override
    def factor(self, inputs: int, units: int) -> float:
        return sqrt(2 / (inputs + units))


@register
class HeUniform(_Fitted):
    """Uniform with variance 2 / inputs, for ReLU: over (-l, l), l = sqrt(6 / inputs).

    Source: He et al., Delving deep into rectifiers, ICCV 2015, equation 10.

    >>> w = HeUniform()((200, 100), np.random.default_rng(0))
    >>> round(float(np.abs(w).max()), 3), round(sqrt(6 / 200), 3)
    (0.173, 0.173)
    """

    drawn = Uniform()

    @override
    def factor(self, inputs: int, units: int) -> float:
        return sqrt(6 / inputs)


@register
class HeNormal(_Fitted):
    """Normal with variance 2 / inputs, for ReLU; not truncated.

    Source: He et al., ICCV 2015, equation 10.

    >>> w = HeNormal()((200, 100), np.random.default_rng(0))
    >>> round(float(w.var()), 3), 2 / 200
    (0.01, 0.01)
    """

    drawn = Normal()

    @override
    def factor(self, inputs: int, units: int) -> float:
        return sqrt(2 / inputs)


@register
class LecunNormal(_Fitted):
    """Normal with variance 1 / inputs, which SELU needs; not truncated.

    Source: LeCun et al., Efficient BackProp, 1998, section 4.6.

    >>> w = LecunNormal()((200, 100), np.random.default_rng(0))
    >>> round(float(w.var()), 3), 1 / 200
    (0.005, 0.005)
    """

    drawn = Normal()

    @override
    def factor(self, inputs: int, units: int) -> float:
        return sqrt(1 / inputs)


@register
class LecunUniform(_Fitted):
    """Uniform with variance 1 / inputs: over (-l, l), l = sqrt(3 / inputs).

    Source: LeCun et al., Efficient BackProp, 1998, section 4.6.

    >>> w = LecunUniform()((200, 100), np.random.default_rng(0))
    >>> round(float(np.abs(w).max()), 3), round(sqrt(3 / 200), 3)
    (0.122, 0.122)
    """

    drawn = Uniform()

    @override
    def factor(self, inputs: int, units: int) -> float:
        return sqrt(3 / inputs)


@register
class Orthogonal(Initializer):
    """A random matrix with orthonormal rows or columns, whichever are fewer, times `gain`.

    Args:
        gain: a finite number.

    Raises:
        TypeError, ValueError: it isn't.

    Source: Saxe et al., Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks, ICLR 2014.

    >>> w = Orthogonal()((4, 2), np.random.default_rng(0))
    >>> bool(np.allclose(w.T @ w, np.eye(2)))
    True
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = check_number(gain, "gain", self)

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        inputs, units = _fans(shape)
        normal = np.asarray(rng.standard_normal((max(inputs, units), min(inputs, units))))
        q, r = np.linalg.qr(normal)
        q *= np.sign(np.diag(r))
        return self.gain * (q if inputs >= units else q.T).reshape(shape)


def _fans(shape: Shape) -> tuple[int, int]:
    """Return (inputs, units) of a weight; a vector counts as one input a unit."""
    if len(shape) < 2:
        return 1, prod(shape)
    return prod(shape[:-1]), shape[-1]
