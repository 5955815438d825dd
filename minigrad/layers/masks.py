"""Masks: which steps of a sequence are real, and which are padding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape, fits
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.options import check_number
from minigrad.util.random import RNG


@register
@options
class Mask(Layer):
    """m = 0 where x is padding, and 1 elsewhere: a mask for the layers that take one.

    Rows are ids of shape (time,), or sequences of shape (time, features), whose step is padding if
    all its features are. The mask has the shape (time,). It is an input of `SimpleRNN`, `GRU`,
    `LSTM`, `Bidirectional`, `GlobalAveragePooling1D`, `GlobalMaxPooling1D` and
    `MultiHeadAttention`, in a graph: `LSTM(8)(h, mask)`. No layer passes a mask on, so a
    `Sequential`, in which each layer gets one value, has no use for it.

    There is no slope: `backward` returns zeros.

    Raises:
        TypeError: `mask_value` isn't a number.
        ValueError: rows of another rank, or a mask layer in a `Sequential`.

    >>> layer = Mask(0)
    >>> layer.build((4,), np.random.default_rng(0))
    (4,)
    >>> layer.forward(np.array([[3.0, 7.0, 0.0, 0.0]]))
    array([[1., 1., 0., 0.]])
    """

    gives_mask = True
    chooses_dtype = False
    mask_value: float = option(check_number, default=0.0, kw_only=False)
    """The number that stands for padding."""

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        if len(input_shape) not in (1, 2) or isinstance(input_shape[0], tuple):
            raise ValueError(
                f"{self.label} expects rows of shape (time,) or (time, features), got {input_shape}"
            )
        self.input_shape = input_shape
        return input_shape[:1]

    @override
    def forward(self, x: NDArray[Any], *, training: bool = True) -> Any:
        self.check_input(x)
        if training:
            self.cache = x.shape
        real = x != self.mask_value
        real = real.any(axis=2) if x.ndim == 3 else real
        return real.astype(x.dtype) if x.dtype.kind == "f" else real  # of ids, without a dtype

    @override
    def backward(self, delta: Array) -> Array:
        shape: Shape = self.cache
        self.check_delta(delta, shape[:2])
        return np.zeros(shape, delta.dtype)


class RealSteps:
    """The steps that a mask keeps, moved to the front of each row, and back.

    A recurrent layer that keeps its state where the mask is 0 computes what it would compute for
    the real steps alone. Arrays have the shape (time, features, batch).

    Args:
        real: whether a step is real, of shape (time, batch).
    """

    def __init__(self, real: NDArray[np.bool_]) -> None:
        self.real = real
        self.count = np.cumsum(np.concatenate([0 * real[:1], real]), axis=0, dtype=np.intp)
        """The number of real steps before each step; last, that of all."""

    def moved(self, x: Array) -> Array:
        """Move the real steps to the front, with zeros after them."""
        place = np.where(self.real, self.count[1:], 0)  # padding goes to place 0, and is cut off
        moved = np.zeros((len(x) + 1, *x.shape[1:]), x.dtype)
        np.put_along_axis(moved, np.broadcast_to(place[:, np.newaxis], x.shape), x, axis=0)
        return moved[1:]

    def back(self, moved: Array) -> Array:
        """Undo `moved`, with zeros for the padding."""
        place = np.maximum(self.count[1:] - 1, 0)[:, np.newaxis]
        steps = np.take_along_axis(moved, place, axis=0)
        return np.where(self.real[:, np.newaxis], steps, steps.dtype.type(0))

    def held(self, states: Array) -> Array:
        """Return the state before each step and after the last: padding leaves it as it is."""
        return np.take_along_axis(states, self.count[:, np.newaxis], axis=0)

    def gathered(self, delta: Array) -> Array:
        """Return dJ/dstates for dJ/dheld: the delta of a state is the sum over its steps."""
        zero = delta.dtype.type(0)
        for t in reversed(range(len(self.real))):
            real = self.real[t]
            delta[t] += np.where(real, zero, delta[t + 1])
            delta[t + 1] = np.where(real, delta[t + 1], zero)
        return np.concatenate([delta[:1], self.moved(delta[1:])])


def shapes_of(input_shape: Shape | None) -> tuple[Shape, ...]:
    """Return the shapes of a layer's inputs, also if there is only one."""
    shape = input_shape or ()
    return shape if shape and isinstance(shape[0], tuple) else (shape,)


def check_mask_shape(shape: Shape, steps: int | None, owner: str) -> None:
    """Refuse a mask whose rows don't have a number for each step."""
    if not fits(shape, (steps,)):
        raise ValueError(
            f"{owner} expects a mask with rows of shape ({steps},), one number for each step, got "
            f"{shape}"
        )


def as_mask(mask: NDArray[Any], owner: str) -> NDArray[np.bool_]:
    """Return a mask as booleans, and refuse other numbers than 0 and 1."""
    real: NDArray[np.bool_] = mask.astype(bool)
    if not (real == mask).all():
        raise ValueError(f"{owner} expects a mask of 0 and 1, got other numbers")
    return real


def real_steps(mask: NDArray[Any], x: Array, owner: str) -> NDArray[np.bool_]:
    """Return which steps of sequences x are real, of shape (batch, time)."""
    if mask.shape != x.shape[:2]:
        raise ValueError(
            f"{owner} expects a mask of shape {x.shape[:2]}, (batch, time) of its input, got "
            f"{mask.shape}"
        )
    return as_mask(mask, owner)
