"""What a parameter holds before training."""

from __future__ import annotations

from collections.abc import Callable
from math import prod, sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import override

from minigrad.arrays import Array, Shape
from minigrad.config import Configurable, by_name, register
from minigrad.rng import RNG


class Initializer(Configurable):
    """Draws an array of a given shape; for a weight that is (inputs, units)."""

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
    """All zeros, which is what a bias starts from."""

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return np.zeros(shape)


@register
class Ones(Initializer):
    """All ones."""

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return np.ones(shape)


@register
class Constant(Initializer):
    """The same value everywhere.

    >>> Constant(0.1)((2,), np.random.default_rng(0))
    array([0.1, 0.1])
    """

    def __init__(self, value: float) -> None:
        self.value = value

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return np.full(shape, float(self.value))


@register
class Normal(Initializer):
    """The normal distribution N(0, scale^2); `Normal()` draws what NumPy's `randn` draws.

    >>> Normal()((2, 1), np.random.RandomState(4))
    array([[0.05056171],
           [0.49995133]])
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return self.scale * np.asarray(rng.standard_normal(shape))


@register
class Uniform(Initializer):
    """The uniform distribution over (-scale, scale).

    >>> bool(np.abs(Uniform(0.1)((5, 5), np.random.default_rng(0))).max() < 0.1)
    True
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return np.asarray(rng.uniform(-self.scale, self.scale, shape))


@register
class GlorotUniform(Uniform):
    """Uniform with variance 2 / (inputs + units).

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural
    networks, AISTATS 2010, equation 16.
    """

    def __init__(self) -> None:
        super().__init__()

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return sqrt(6 / sum(_fans(shape))) * super().__call__(shape, rng)


@register
class GlorotNormal(Normal):
    """Normal with variance 2 / (inputs + units), not truncated (PyTorch's form; Keras truncates).

    Source: Glorot and Bengio, AISTATS 2010.
    """

    def __init__(self) -> None:
        super().__init__()

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return sqrt(2 / sum(_fans(shape))) * super().__call__(shape, rng)


@register
class HeUniform(Uniform):
    """Uniform with variance 2 / inputs, for ReLU.

    Source: He et al., Delving deep into rectifiers, ICCV 2015, equation 10.
    """

    def __init__(self) -> None:
        super().__init__()

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return sqrt(6 / _fans(shape)[0]) * super().__call__(shape, rng)


@register
class HeNormal(Normal):
    """Normal with variance 2 / inputs, for ReLU; not truncated.

    Source: He et al., ICCV 2015, equation 10.
    """

    def __init__(self) -> None:
        super().__init__()

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return sqrt(2 / _fans(shape)[0]) * super().__call__(shape, rng)


@register
class LecunNormal(Normal):
    """Normal with variance 1 / inputs, which SELU needs; not truncated.

    Source: LeCun et al., Efficient BackProp, 1998, section 4.6.
    """

    def __init__(self) -> None:
        super().__init__()

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return sqrt(1 / _fans(shape)[0]) * super().__call__(shape, rng)


@register
class LecunUniform(Uniform):
    """Uniform with variance 1 / inputs.

    Source: LeCun et al., Efficient BackProp, 1998, section 4.6.
    """

    def __init__(self) -> None:
        super().__init__()

    @override
    def __call__(self, shape: Shape, rng: RNG) -> Array:
        return sqrt(3 / _fans(shape)[0]) * super().__call__(shape, rng)


@register
class Orthogonal(Initializer):
    """A random matrix with orthonormal rows or columns, whichever are fewer, times `gain`.

    Source: Saxe et al., Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks, ICLR 2014.

    >>> w = Orthogonal()((4, 2), np.random.default_rng(0))
    >>> bool(np.allclose(w.T @ w, np.eye(2)))
    True
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

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
