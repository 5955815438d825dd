"""Initializers: the values of parameters before training."""

from __future__ import annotations

from collections.abc import Callable
from math import prod, sqrt
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import override

from minigrad.data.arrays import Array, Shape, as_numbers, check_finite
from minigrad.util.config import Configurable, as_object, register
from minigrad.util.fields import option, options
from minigrad.util.options import check_not_negative, check_number
from minigrad.util.random import RNG


class Initializer(Configurable):
    """Returns an array of a given shape; a weight has the shape (*kernel, inputs, units).

    A subclass defines `__call__`. A function of (shape, rng) works too, but a saved model holds
    only its name. A registered class is saved and loaded, and options take its name.

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
        """Return a new float64 array of `shape`, with random numbers from `rng`."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, rng)")


class Substitute:
    """A base of random generators that replace all initializers, as when a file is loaded."""

    def initial(self, shape: Shape, label: str) -> Array:
        """Return the initial value of the array that `label` names in messages."""
        raise NotImplementedError(f"{type(self).__name__} must define initial(shape, label)")


InitializerLike: TypeAlias = str | Initializer | Callable[[Shape, RNG], ArrayLike] | ArrayLike


def initialize(source: InitializerLike, shape: Shape, rng: RNG, label: str) -> Array:
    """Return the initial value of a parameter or buffer, a new float64 array.

    Args:
        source: the name of an initializer, an object, or an array to copy.
        shape: the shape of the result.
        rng: the generator; a `Substitute` replaces `source`.
        label: the name of the array in messages, such as "the bias of Dense 'dense_1'".

    Raises:
        TypeError: an array that doesn't hold real numbers.
        ValueError: an unknown name; an array of another shape, or with NaN or infinity.
    """
    if isinstance(rng, Substitute):
        return rng.initial(shape, label)
    if isinstance(source, str):
        source = as_object(Initializer, source, label)
    array = _checked(source(shape, rng) if callable(source) else source, label)
    if array.shape != shape:
        raise ValueError(f"{label} has shape {shape}, got an initial array of shape {array.shape}")
    return np.array(array, dtype=np.float64)


def check_initializer(
    source: InitializerLike, argument: str, owner: object = None
) -> InitializerLike:
    """Return an initializer; refuse an unknown name, a class, and what isn't finite numbers."""
    if isinstance(source, str):
        as_object(Initializer, source, argument)
    elif isinstance(source, type):
        raise TypeError(f"{argument} is a class: pass an object, {source.__name__}()")
    elif not callable(source):
        _checked(source, argument)
    return source


def _checked(value: ArrayLike, name: str) -> Array:
    """Return an array of finite real numbers."""
    array = as_numbers(value, name)
    check_finite(np.atleast_1d(array), name)
    return array


@register
class Zeros(Initializer):
    """All zeros, the default of a bias.

    >>> Zeros()((3,), np.random.default_rng(0))
    array([0., 0., 0.])
    """

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return np.zeros(shape)


@register
class Ones(Initializer):
    """All ones, the initial factors of a normalization layer.

    >>> Ones()((3,), np.random.default_rng(0))
    array([1., 1., 1.])
    """

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return np.ones(shape)


@register
@options
class Constant(Initializer):
    """The same value everywhere.

    >>> Constant(0.1)((2,), np.random.default_rng(0))
    array([0.1, 0.1])
    """

    value: float = option(check_number, kw_only=False)

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return np.full(shape, self.value)


@register
@options
class Normal(Initializer):
    """The normal distribution N(0, scale^2); `Normal()` gives the numbers of NumPy's `randn`.

    >>> Normal()((1, 2), np.random.RandomState(4))
    array([[0.05056171, 0.49995133]])
    """

    scale: float = option(check_not_negative, default=1.0, kw_only=False)

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return self.scale * np.asarray(rng.standard_normal(shape))


@register
@options
class Uniform(Initializer):
    """The uniform distribution on (-scale, scale).

    >>> bool(np.abs(Uniform(0.1)((5, 5), np.random.default_rng(0))).max() < 0.1)
    True
    """

    scale: float = option(check_not_negative, default=1.0, kw_only=False)

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return np.asarray(rng.uniform(-self.scale, self.scale, shape))


class _Scaled(Initializer):
    """A standard distribution times sqrt(numerator / inputs), or with `both` / (inputs + units)."""

    standard: ClassVar[Initializer]
    numerator: ClassVar[int]
    both: ClassVar[bool] = False

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        inputs, units = _fans(shape)
        fan = inputs + units if self.both else inputs
        return sqrt(self.numerator / fan) * self.standard(shape, rng)


@register
class GlorotUniform(_Scaled):
    """Uniform on (-l, l) with l = sqrt(6 / (inputs + units)): variance 2 / (inputs + units).

    Source: Glorot and Bengio, Training deep feedforward neural networks, AISTATS 2010, equation 16.

    >>> w = GlorotUniform()((200, 100), np.random.default_rng(0))
    >>> round(float(np.abs(w).max()), 4), round(sqrt(6 / 300), 4)
    (0.1414, 0.1414)
    """

    standard, numerator, both = Uniform(), 6, True


@register
class GlorotNormal(_Scaled):
    """Normal with variance 2 / (inputs + units), not truncated (PyTorch's form; Keras truncates).

    Source: Glorot and Bengio, AISTATS 2010.

    >>> w = GlorotNormal()((200, 100), np.random.default_rng(0))
    >>> round(float(w.var()), 4), round(2 / 300, 4)
    (0.0066, 0.0067)
    """

    standard, numerator, both = Normal(), 2, True


@register
class HeUniform(_Scaled):
    """Uniform on (-l, l) with l = sqrt(6 / inputs): variance 2 / inputs, for ReLU.

    Source: He et al., Delving deep into rectifiers, ICCV 2015, equation 10.

    >>> w = HeUniform()((200, 100), np.random.default_rng(0))
    >>> round(float(np.abs(w).max()), 3), round(sqrt(6 / 200), 3)
    (0.173, 0.173)
    """

    standard, numerator = Uniform(), 6


@register
class HeNormal(_Scaled):
    """Normal with variance 2 / inputs, for ReLU; not truncated.

    Source: He et al., ICCV 2015, equation 10.

    >>> w = HeNormal()((200, 100), np.random.default_rng(0))
    >>> round(float(w.var()), 3), 2 / 200
    (0.01, 0.01)
    """

    standard, numerator = Normal(), 2


@register
class LecunNormal(_Scaled):
    """Normal with variance 1 / inputs, for SELU; not truncated.

    Source: LeCun et al., Efficient BackProp, 1998, section 4.6.

    >>> w = LecunNormal()((200, 100), np.random.default_rng(0))
    >>> round(float(w.var()), 3), 1 / 200
    (0.005, 0.005)
    """

    standard, numerator = Normal(), 1


@register
class LecunUniform(_Scaled):
    """Uniform on (-l, l) with l = sqrt(3 / inputs): variance 1 / inputs.

    Source: LeCun et al., Efficient BackProp, 1998, section 4.6.

    >>> w = LecunUniform()((200, 100), np.random.default_rng(0))
    >>> round(float(np.abs(w).max()), 3), round(sqrt(3 / 200), 3)
    (0.122, 0.122)
    """

    standard, numerator = Uniform(), 3


@register
@options
class Orthogonal(Initializer):
    """A random matrix whose rows or columns, whichever are fewer, are orthonormal, times `gain`.

    Source: Saxe et al., Exact solutions to the nonlinear dynamics of learning, ICLR 2014.

    >>> w = Orthogonal()((4, 2), np.random.default_rng(0))
    >>> bool(np.allclose(w.T @ w, np.eye(2)))
    True
    """

    gain: float = option(check_number, default=1.0, kw_only=False)

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        units = prod(shape[-1:])
        inputs = prod(shape) // units
        normal = np.asarray(rng.standard_normal((max(inputs, units), min(inputs, units))))
        q, r = np.linalg.qr(normal)
        q *= np.sign(np.diag(r))
        return self.gain * (q if inputs >= units else q.T).reshape(shape)


def _fans(shape: Shape) -> tuple[int, int]:
    """Return (inputs, units) of a weight, each times the size of a kernel, as in Keras.

    A vector counts as one input per unit.
    """
    *kernel, inputs, units = shape if len(shape) > 1 else (1, prod(shape))
    return prod(kernel) * inputs, prod(kernel) * units
