"""Trainable arrays, and the one vector that holds those of a whole model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from typing_extensions import override

from minigrad.arrays import Array, Shape
from minigrad.config import Configurable


class _Vectors:
    """The values of several parameters in one array, their gradients in another."""

    def __init__(self, size: int, dtype: DTypeLike) -> None:
        self.value: Array = np.zeros(size, dtype)
        self.grad: Array = np.zeros(size, dtype)


class Penalty(Configurable):
    """A term that training adds to the loss for a parameter, and its derivative to the gradient.

    Args:
        strength: the factor on it.
    """

    def __init__(self, strength: float) -> None:
        if not strength >= 0:
            raise ValueError(f"{type(self).__name__} expects strength >= 0, got {strength}")
        self.strength = strength

    def value(self, weight: Array) -> float:
        """Return the term."""
        raise NotImplementedError(f"{type(self).__name__} must define value(weight)")

    def derivative(self, weight: Array) -> Array:
        """Return its derivative, a new array of the weight's shape."""
        raise NotImplementedError(f"{type(self).__name__} must define derivative(weight)")


class Parameter:
    """A trainable array and the gradient of the loss with respect to it.

    In a built model both are views into the model's flat vectors. Assignment copies in, so the
    views stay what they are: `p.value = array`, `p.grad = array`.

    Args:
        value: the initial value, copied; any shape.
        name: what messages call it; a model names its parameters by their place in it.
        trainable: False keeps an optimizer from changing the value, and does nothing else.
        penalty: a term that training adds to the loss for it.

    >>> p = Parameter(np.ones((2, 3)))
    >>> p.grad = np.full((2, 3), 0.5)
    >>> p
    Parameter(shape=(2, 3), dtype=float64)
    >>> p.value = np.ones(3)
    Traceback (most recent call last):
    ...
    ValueError: the value of Parameter has shape (2, 3), got (3,)
    """

    def __init__(
        self,
        value: ArrayLike,
        *,
        name: str = "",
        trainable: bool = True,
        penalty: Penalty | None = None,
    ) -> None:
        array = np.array(value)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"a Parameter holds floating numbers, got dtype {array.dtype}")
        self._value: Array = array if array.dtype.kind == "f" else array.astype(np.float64)
        self._grad: Array = np.zeros_like(self._value)
        self._vectors: _Vectors | None = None
        self._start = 0
        self.name = name
        self.trainable = trainable
        self.penalty = penalty

    @property
    def value(self) -> Array:
        """The array itself; assignment copies into it."""
        return self._value

    @value.setter
    def value(self, new: ArrayLike) -> None:
        self._check_shape("value", new)
        self._value[...] = new

    @property
    def grad(self) -> Array:
        """dJ/dvalue, of the value's shape; assignment copies into it."""
        return self._grad

    @grad.setter
    def grad(self, new: ArrayLike) -> None:
        self._check_shape("gradient", new)
        self._grad[...] = new

    @property
    def shape(self) -> Shape:
        """The shape of the value and of the gradient."""
        return self._value.shape

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return self._value.size

    def replica(self) -> Parameter:
        """Return a parameter with this one's value, shared, and a gradient of its own."""
        twin = Parameter.__new__(Parameter)
        twin.__dict__.update(self.__dict__, _grad=np.zeros_like(self._value), _vectors=None)
        return twin

    def _check_shape(self, what: str, new: ArrayLike) -> None:
        if np.shape(new) != self._value.shape:
            owner = f"Parameter '{self.name}'" if self.name else "Parameter"
            raise ValueError(
                f"the {what} of {owner} has shape {self._value.shape}, got {np.shape(new)}"
            )

    def _move(self, vectors: _Vectors, start: int) -> None:
        """Live in the vectors from now on, at `start`, with the same numbers."""
        value, grad, place = self._value, self._grad, slice(start, start + self.size)
        self._value = vectors.value[place].reshape(value.shape)
        self._grad = vectors.grad[place].reshape(value.shape)
        self._value[...] = value
        self._grad[...] = grad
        self._vectors, self._start = vectors, start

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_vectors": None}

    @override
    def __repr__(self) -> str:
        name = f"'{self.name}', " if self.name else ""
        frozen = "" if self.trainable else ", trainable=False"
        return f"Parameter({name}shape={self.shape}, dtype={self._value.dtype}{frozen})"


class Parameters(Sequence[Parameter]):
    """Parameters in order, each once, and the flat vectors that hold them.

    Parameters that don't yet live in one common vector are moved into a new one, with their
    numbers. What they hold is then both here, flat, and there, in shape.

    Args:
        parameters: any number of them; one that comes twice is held once.
        dtype: of the vectors; by default what the parameters have.

    >>> weight, bias = Parameter(np.ones((2, 3))), Parameter(np.zeros(3))
    >>> parameters = Parameters([weight, bias])
    >>> parameters.value
    array([1., 1., 1., 1., 1., 1., 0., 0., 0.])
    >>> parameters.value = np.arange(9.0)
    >>> bias.value
    array([6., 7., 8.])
    """

    def __init__(self, parameters: Iterable[Parameter], *, dtype: DTypeLike | None = None) -> None:
        self._items = tuple(dict.fromkeys(parameters))
        held = {id(p._vectors): p._vectors for p in self._items}
        common = next(iter(held.values())) if len(held) == 1 else None
        target = np.dtype(dtype or np.result_type(*(p.value for p in self._items), np.float32))
        if common is None or common.value.dtype != target:
            common = _Vectors(sum(p.size for p in self._items), target)
            start = 0
            for parameter in self._items:
                parameter._move(common, start)
                start += parameter.size
        self._vectors = common

    @property
    def value(self) -> Array:
        """All values as one array of shape (size,), a view; assignment copies into it."""
        return self._vectors.value[self._place()]

    @value.setter
    def value(self, new: ArrayLike) -> None:
        self._assign(self.value, new)

    @property
    def grad(self) -> Array:
        """All gradients as one array of shape (size,), a view; assignment copies into it."""
        return self._vectors.grad[self._place()]

    @grad.setter
    def grad(self, new: ArrayLike) -> None:
        self._assign(self.grad, new)

    @property
    def size(self) -> int:
        """How many numbers they hold together."""
        return sum(p.size for p in self._items)

    def penalty(self) -> float:
        """Return the sum of the parameters' penalties."""
        return sum(p.penalty.value(p.value) for p in self._items if p.penalty is not None)

    def add_penalty_gradients(self) -> None:
        """Add each penalty's derivative to its parameter's gradient."""
        for p in self._items:
            if p.penalty is not None:
                p.grad += p.penalty.derivative(p.value)

    def trainable_runs(self) -> Iterator[tuple[int, Array, Array]]:
        """Yield (start, value, grad) for the longest runs that have no frozen parameter.

        `start` counts from the first parameter here; both arrays are flat views.
        """
        vectors = self._vectors
        position = start = first = length = 0
        for p in self._items:
            if length and (not p.trainable or p._start != first + length):
                place = slice(first, first + length)
                yield start, vectors.value[place], vectors.grad[place]
                length = 0
            if p.trainable:
                if not length:
                    start, first = position, p._start
                length += p.size
            position += p.size
        if length:
            place = slice(first, first + length)
            yield start, vectors.value[place], vectors.grad[place]

    def _place(self) -> slice:
        first = end = self._items[0]._start if self._items else 0
        for p in self._items:
            if p._start != end:
                raise ValueError(
                    "these parameters don't lie side by side in their model's vector, because one "
                    "of them is shared; read each one's value, or model.parameters.value"
                )
            end += p.size
        return slice(first, end)

    def _assign(self, vector: Array, new: ArrayLike) -> None:
        if np.shape(new) != vector.shape:
            raise ValueError(
                f"the parameters hold {vector.size} numbers, expected an array of shape "
                f"{vector.shape}, got {np.shape(new)}"
            )
        vector[...] = new

    @overload
    def __getitem__(self, index: int) -> Parameter: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Parameter]: ...
    @override
    def __getitem__(self, index: int | slice) -> Parameter | Sequence[Parameter]:
        return self._items[index]

    @override
    def __len__(self) -> int:
        return len(self._items)

    @override
    def __repr__(self) -> str:
        return "\n".join(map(repr, self._items)) or "no parameters"
