"""Trainable arrays, and the one vector that holds those of a whole model."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from typing_extensions import Self, override

from minigrad.data.arrays import Array, Shape
from minigrad.regularizers import Regularizer


class _Vectors:
    """The values of several parameters in one array, their gradients in another."""

    def __init__(self, size: int, dtype: DTypeLike) -> None:
        self.value: Array = np.zeros(size, dtype)
        self.grad: Array = np.zeros(size, dtype)
        self.left = False
        """Whether a parameter has moved out, so that this is no longer all of them."""
        self.freezings = 0
        """How often one of them was frozen or thawed."""
        self.fixed = False
        """Whether they stay here: a replica's values are another model's."""


class Parameter:
    """A trainable array and the gradient of the loss with respect to it.

    In a built model both are views into the model's flat vectors. Assignment copies in, so the
    views stay what they are: `p.value = array`, `p.grad = array`.

    Args:
        value: the initial value, copied; any shape.
        name: what messages call it; a model names its parameters by their place in it.
        trainable: False keeps an optimizer from changing the value, and does nothing else.
        regularizer: a term that training adds to the loss for it.

    Raises:
        TypeError: a value that isn't of real numbers; whole ones are made floating.
        ValueError: when it is assigned to, a value or gradient of another shape.

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
        regularizer: Regularizer | None = None,
    ) -> None:
        array = np.array(value, order="C")
        if array.dtype.kind not in "fiu":
            raise TypeError(f"a Parameter holds floating numbers, got dtype {array.dtype}")
        self._value: Array = array if array.dtype.kind == "f" else array.astype(np.float64)
        self._grad: Array = np.zeros_like(self._value)
        self._vectors: _Vectors | None = None
        self._start = 0
        self.name = name
        self._trainable = trainable
        self.regularizer = regularizer

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
    def trainable(self) -> bool:
        """Whether an optimizer may change the value."""
        return self._trainable

    @trainable.setter
    def trainable(self, new: bool) -> None:
        self._trainable = new
        if self._vectors is not None:
            self._vectors.freezings += 1

    @property
    def shape(self) -> Shape:
        """The shape of the value and of the gradient."""
        return self._value.shape

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return self._value.size

    @property
    def held(self) -> bool:
        """Whether it lives in flat vectors, as in a built model's."""
        return self._vectors is not None

    def _check_shape(self, what: str, new: ArrayLike) -> None:
        if np.shape(new) != self._value.shape:
            owner = f"Parameter '{self.name}'" if self.name else "Parameter"
            rows = what == "gradient" and np.shape(new)[1:] == self._value.shape
            way = ": sum over the rows, as .sum(axis=0) does" if rows else ""
            raise ValueError(
                f"the {what} of {owner} has shape {self._value.shape}, got {np.shape(new)}{way}"
            )

    def _move(self, vectors: _Vectors, start: int) -> None:
        """Live in the vectors from now on, at `start`, with the same numbers."""
        if self._vectors is not None:
            self._vectors.left = True
        value, grad, place = self._value, self._grad, slice(start, start + self.size)
        self._value = vectors.value[place].reshape(value.shape)
        self._grad = vectors.grad[place].reshape(value.shape)
        self._value[...] = value
        self._grad[...] = grad
        self._vectors, self._start = vectors, start

    def _twin(self, vectors: _Vectors) -> Parameter:
        """Return a parameter that lives at this one's place in other vectors."""
        twin = copy.copy(self)
        place = slice(self._start, self._start + self.size)
        twin._value = vectors.value[place].reshape(self.shape)
        twin._grad = vectors.grad[place].reshape(self.shape)
        twin._vectors = vectors
        return twin

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
    numbers. What they hold is then both here, flat, and there, in shape. Should some of them be
    moved on later, as by another model that they become part of, all are gathered anew when they
    are next asked for; arrays that were taken before stay behind.

    Args:
        parameters: any number of them; one that comes twice is held once.
        dtype: of the vectors; by default what the parameters have.
        alone: whether they must lie side by side, as a model's do; part of a vector may not, where
            one of them is shared.

    >>> weight, bias = Parameter(np.ones((2, 3))), Parameter(np.zeros(3))
    >>> parameters = Parameters([weight, bias])
    >>> parameters.value
    array([1., 1., 1., 1., 1., 1., 0., 0., 0.])
    >>> parameters.value = np.arange(9.0)
    >>> bias.value
    array([6., 7., 8.])
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        *,
        dtype: DTypeLike | None = None,
        alone: bool = False,
    ) -> None:
        self._items = tuple(dict.fromkeys(parameters))
        self._alone = alone
        self._gather(dtype)

    def _gather(self, dtype: DTypeLike | None = None) -> None:
        dtype = np.dtype(dtype or np.result_type(*(p.value for p in self._items), np.float32))
        vectors = self._common(dtype)
        if vectors is None:
            vectors = _Vectors(sum(p.size for p in self._items), dtype)
            start = 0
            for parameter in self._items:
                parameter._move(vectors, start)
                start += parameter.size
        self._vectors = vectors
        self._views = self._side_by_side(vectors)
        self._pieces: list[tuple[slice, Array, Array]] = []
        self._pieces_for: tuple[int, int] | None = None

    def _common(self, dtype: np.dtype[Any]) -> _Vectors | None:
        """Return the vectors that hold all of them as they must be held; None if none do."""
        held = {p._vectors for p in self._items}
        vectors = held.pop() if len(held) == 1 else None
        if vectors is None or vectors.left or vectors.value.dtype != dtype:
            return None
        if self._alone and not vectors.fixed and self._side_by_side(vectors) is None:
            return None
        return vectors

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Parameter, ...]]]:
        """Gather the parameters of a copy in a vector of their own."""
        return type(self), (self._items,)

    @property
    def home(self) -> object:
        """What holds all of them: another object once some have been moved on."""
        return self._settled()

    @property
    def value(self) -> Array:
        """All values as one array of shape (size,), a view; assignment copies into it."""
        return self._flat()[0]

    @value.setter
    def value(self, new: ArrayLike) -> None:
        self._assign(self.value, new)

    @property
    def grad(self) -> Array:
        """All gradients as one array of shape (size,), a view; assignment copies into it."""
        return self._flat()[1]

    @grad.setter
    def grad(self, new: ArrayLike) -> None:
        self._assign(self.grad, new)

    @property
    def size(self) -> int:
        """How many numbers they hold together."""
        return sum([p.size for p in self._items])

    def twins(self) -> list[Parameter]:
        """Return as many parameters with the same values, shared, and gradients of their own."""
        vectors = copy.copy(self._settled())
        vectors.grad = np.zeros_like(vectors.grad)
        vectors.fixed = True
        return [p._twin(vectors) for p in self._items]

    def penalty(self) -> float:
        """Return the sum of the parameters' penalties."""
        return sum(p.regularizer.value(p.value) for p in self._items if p.regularizer is not None)

    def add_penalty_gradients(self) -> None:
        """Add each penalty's derivative to its parameter's gradient."""
        for p in self._items:
            if p.regularizer is not None:
                p.grad += p.regularizer.derivative(p.value)

    def trainable_runs(self) -> Iterator[tuple[int, Array, Array]]:
        """Yield (start, value, grad) for the longest runs that have no frozen parameter.

        `start` counts from the first parameter here; both arrays are flat views.
        """
        vectors = self._settled()
        if self._views and all([p.trainable for p in self._items]):
            yield 0, *self._views
            return
        position, end, runs = 0, -1, list[tuple[int, slice]]()
        for p in self._items:
            if p.trainable and p._start == end:
                first, place = runs[-1]
                runs[-1] = first, slice(place.start, place.stop + p.size)
            elif p.trainable:
                runs.append((position, slice(p._start, p._start + p.size)))
            position += p.size
            end = p._start + p.size if p.trainable else -1
        for first, place in runs:
            yield first, vectors.value[place], vectors.grad[place]

    def trainable_pieces(self, most: int) -> list[tuple[slice, Array, Array]]:
        """Return (place, value, grad) for the runs of `trainable_runs`, cut into `most` numbers.

        They are the same list until a parameter is frozen or thawed.
        """
        wanted = most, self._settled().freezings
        if wanted != self._pieces_for:
            self._pieces_for = wanted
            self._pieces = [
                (
                    slice(start + first, start + min(first + most, value.size)),
                    value[first : first + most],
                    _read_only(grad[first : first + most]),
                )
                for start, value, grad in self.trainable_runs()
                for first in range(0, value.size, most)
            ]
        return self._pieces

    def _settled(self) -> _Vectors:
        """Return the vectors that hold all of them, gathered anew if some have been moved on."""
        if self._vectors.left:
            self._gather()
        return self._vectors

    def _side_by_side(self, vectors: _Vectors) -> tuple[Array, Array] | None:
        """Return the pieces of the vectors that hold these parameters, if nothing else is there."""
        start = end = self._items[0]._start if self._items else 0
        for p in self._items:
            if p._start != end:
                return None
            end += p.size
        return vectors.value[start:end], vectors.grad[start:end]

    def _flat(self) -> tuple[Array, Array]:
        self._settled()
        if self._views is None:
            raise ValueError(
                "these parameters don't lie side by side in their model's vector: others lie "
                "between them, or one is shared; read each one's value, or model.parameters.value"
            )
        return self._views

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


def _read_only(view: Array) -> Array:
    view.flags.writeable = False
    return view
