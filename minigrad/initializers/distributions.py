"""Initializers: constants, and random numbers whose variance fits the layer."""

from __future__ import annotations

from math import prod, sqrt
from typing import ClassVar

import numpy as np
from typing_extensions import override

from minigrad.data.arrays import Array, Shape
from minigrad.initializers.base import Initializer
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import check_not_negative, check_number
from minigrad.util.random import RNG


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
