"""What an initializer is, and the initial value of a parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from minigrad.data.arrays import Array, Shape, as_numbers, check_finite
from minigrad.util.config import Configurable, as_object
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
