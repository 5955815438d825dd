"""Parameters: trainable arrays, and the one flat vector that holds those of a whole model."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from typing_extensions import Self, override

from minigrad.data.arrays import Array, Shape, as_array
from minigrad.regularizers import Regularizer, check_regularizer
from minigrad.util.options import check_bool


class _Vector:
    """The values of several parameters in one array, their gradients in another."""

    def __init__(self, size: int, dtype: DTypeLike) -> None:
        self.value: Array = np.zeros(size, dtype)
        self.grad: Array = np.zeros(size, dtype)
        self.frozen_count = 0
        """The number of frozen parameters."""
        self.outdated = False
        """Whether a parameter has moved to another vector."""

    def twin(self) -> _Vector:
        """Return a vector with the same values, shared, and gradients of its own."""
        twin = copy.copy(self)
        twin.grad = np.zeros_like(self.grad)
        return twin


class Parameter:
    """A trainable array and the gradient of the loss with respect to it.

    In a built model both are views into the model's flat vectors. Assignment copies the numbers
    in, so the views survive: `p.value = array`, `p.grad = array`.

    Args:
        value: the initial value, copied; any shape.
        name: the name in messages; a model names its parameters by their paths.
        trainable: False keeps optimizers from changing the value; the gradient is still computed.
        regularizer: a term that training adds to the loss for this parameter.

    Raises:
        TypeError: a value that isn't real numbers; integers become float64.
        ValueError: an assigned value or gradient of another shape.

    >>> p = Parameter(np.ones((2, 3)))
    >>> p.value = np.ones(3)
    Traceback (most recent call last):
    ...
    ValueError: Parameter expects a value of shape (2, 3), got (3,)
    """

    def __init__(
        self,
        value: ArrayLike,
        *,
        name: str = "",
        trainable: bool = True,
        regularizer: Regularizer | None = None,
    ) -> None:
        array = as_array(value, "the value of a Parameter")
        if array.dtype.kind not in "fiu":
            raise TypeError(f"Parameter expects real numbers, got dtype {array.dtype}")
        dtype = array.dtype if array.dtype.kind == "f" else np.dtype(np.float64)
        self._value: Array = np.array(array, dtype, order="C")
        self._grad: Array = np.zeros_like(self._value)
        self._vector: _Vector | None = None
        self._start = 0
        self.name = name
        self._trainable = check_bool(trainable, "trainable", self)
        self.regularizer = check_regularizer(regularizer, "regularizer")

    @property
    def source(self) -> Parameter:
        """The parameter that holds the value: this one, unless it is `Shared`."""
        return self

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
        """dJ/dvalue, in the shape of the value; assignment copies into it."""
        return self._grad

    @grad.setter
    def grad(self, new: ArrayLike) -> None:
        self._check_shape("gradient", new)
        self._grad[...] = new

    @property
    def trainable(self) -> bool:
        """Whether an optimizer may change the value."""
        return self.source._trainable

    @trainable.setter
    def trainable(self, new: bool) -> None:
        source = self.source
        if source._vector is not None:
            source._vector.frozen_count += source._trainable - bool(new)
        source._trainable = bool(new)

    @property
    def shape(self) -> Shape:
        """The shape of the value."""
        return self.value.shape

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.value.size

    def _check_shape(self, what: str, new: ArrayLike) -> None:
        given = np.shape(new)
        if given != self.shape:
            owner = f"Parameter '{self.name}'" if self.name else "Parameter"
            per_row = what == "gradient" and given[1:] == self.shape
            hint = ": sum over the rows with .sum(axis=0)" if per_row else ""
            raise ValueError(f"{owner} expects a {what} of shape {self.shape}, got {given}{hint}")

    def _bind(self, vector: _Vector, start: int) -> None:
        """Use this place in the vector for the value and the gradient."""
        place, shape = slice(start, start + self.size), self.shape
        self._value = vector.value[place].reshape(shape)
        self._grad = vector.grad[place].reshape(shape)
        self._vector, self._start = vector, start

    def _move(self, vector: _Vector, start: int) -> None:
        """Move into the vector, with the same numbers."""
        if self._vector is not None:
            self._vector.outdated = True
        value, grad = self._value, self._grad
        self._bind(vector, start)
        self._value[...] = value
        self._grad[...] = grad
        vector.frozen_count += not self._trainable

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_vector": None}

    @override
    def __repr__(self) -> str:
        name = f"'{self.name}', " if self.name else ""
        frozen = "" if self.trainable else ", trainable=False"
        return f"{type(self).__name__}({name}shape={self.shape}, dtype={self.value.dtype}{frozen})"


class Shared(Parameter):
    """One use of a parameter that several layers hold: the value of `source`, and its own gradient.

    A model puts one into each of these layers, and adds up their gradients in that of the source.
    """

    def __init__(self, source: Parameter) -> None:
        self._source = source
        self._grad = source.grad.copy()
        self.name = source.name

    @property
    @override
    def source(self) -> Parameter:
        return self._source

    @property
    def _value(self) -> Array:  # type: ignore[override]
        return self._source.value

    @property
    def regularizer(self) -> Regularizer | None:
        """The regularizer of the source."""
        return self._source.regularizer

    @regularizer.setter
    def regularizer(self, new: Regularizer | None) -> None:
        self._source.regularizer = new

    @override
    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__


class Parameters(Sequence[Parameter]):
    """Parameters in order, each once, and the flat vector that holds them.

    Parameters that are in no vector yet are gathered in a new one. A model has all of its own in
    one vector without gaps: where another model has taken some into its vector, they are gathered
    again at the next access, and arrays taken before are outdated.

    Args:
        parameters: the parameters; of shared ones the source is held, once.
        dtype: of the model that owns them; None leaves parameters where they are.

    >>> weight, bias = Parameter(np.ones((2, 3))), Parameter(np.zeros(3))
    >>> parameters = Parameters([weight, bias])
    >>> parameters.value
    array([1., 1., 1., 1., 1., 1., 0., 0., 0.])
    >>> parameters.value = np.arange(9.0)
    >>> bias.value
    array([6., 7., 8.])
    """

    def __init__(
        self, parameters: Iterable[Parameter], *, dtype: np.dtype[Any] | None = None
    ) -> None:
        uses = list(dict.fromkeys(parameters))
        self._items = tuple(dict.fromkeys(p.source for p in uses))
        self._starts = list(accumulate((p.size for p in self._items), initial=0))
        self._shared: dict[Parameter, list[Parameter]] = {}
        for use in reversed(uses):  # in the order of `backward`
            if use.source is not use:
                self._shared.setdefault(use.source, []).append(use)
        self._owned = dtype is not None
        self._arrange(dtype)

    def _arrange(self, dtype: np.dtype[Any] | None = None) -> None:
        """Find the vector that holds the parameters side by side, or gather them in a new one."""
        placed = list(zip(self._starts, self._items, strict=False))
        vectors, offsets = {p._vector for p in self._items}, {p._start - at for at, p in placed}
        together = None not in vectors and len(vectors) == len(offsets) == 1
        together = together and (dtype is None or dtype == self._items[0].value.dtype)
        if not together and (self._owned or not placed or None in vectors):
            dtype = dtype or np.result_type(*(p.value for p in self._items), np.float32)
            vector = _Vector(self.size, dtype)
            for start, p in placed:
                p._move(vector, start)
            together, vectors, offsets = True, {vector}, {0}
        self._vector, self._views = None, None
        if together and (common := vectors.pop()) is not None:
            offset = offsets.pop()
            place = slice(offset, offset + self.size)
            self._vector, self._views = common, (common.value[place], common.grad[place])
        self._pieces: list[tuple[slice, Array, Array]] = []
        for source, uses in self._shared.items():
            for use in uses:
                use._grad = use._grad.astype(source.value.dtype, copy=False)

    def _current(self) -> tuple[Array, Array] | None:
        if self._vector is not None and self._vector.outdated:
            self._arrange()
        return self._views

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Parameter, ...]]]:
        """Gather the parameters of a copy in a vector of their own."""
        return type(self), (self._items,)

    @property
    def value(self) -> Array:
        """All values as one array of shape (size,), a view; assignment copies into it."""
        return self._flat()[0]

    @value.setter
    def value(self, new: ArrayLike) -> None:
        _assign(self.value, new)

    @property
    def grad(self) -> Array:
        """All gradients as one array of shape (size,), a view; assignment copies into it."""
        return self._flat()[1]

    @grad.setter
    def grad(self, new: ArrayLike) -> None:
        _assign(self.grad, new)

    @property
    def size(self) -> int:
        """The number of elements of all parameters."""
        return self._starts[-1]

    def split(self, vector: Array) -> dict[Parameter, Array]:
        """Return each parameter's part of a flat vector, such as a slot, as a view in its shape."""
        placed = zip(self._starts, self._items, strict=False)
        return {p: vector[start : start + p.size].reshape(p.shape) for start, p in placed}

    def twins(self) -> list[Parameter]:
        """Return parameters with the same values, shared, and gradients of their own."""
        vectors = {v: v.twin() for v in {p._vector for p in self._items} if v is not None}
        twins = [copy.copy(p) for p in self._items]
        for twin, p in zip(twins, self._items, strict=True):
            assert p._vector is not None
            twin._bind(vectors[p._vector], p._start)
        return twins

    def add_up_shared(self) -> None:
        """Add up the gradients of all uses of each shared parameter."""
        for source, uses in self._shared.items():
            source.grad = uses[0].grad
            for use in uses[1:]:
                source.grad += use.grad

    def regularization(self) -> float:
        """Return the sum of the regularizers' terms."""
        return sum(p.regularizer.value(p.value) for p in self._items if p.regularizer is not None)

    def add_regularizer_gradients(self) -> None:
        """Add each regularizer's derivative to its parameter's gradient."""
        for p in self._items:
            if p.regularizer is not None:
                p.grad += p.regularizer.derivative(p.value)

    def trainable_runs(self) -> Iterator[tuple[int, Array, Array]]:
        """Yield (start, value, grad) for the longest runs without a frozen parameter.

        `start` counts elements from the first parameter; both arrays are flat views.
        """
        self._current()

        def run_of(placed: tuple[int, Parameter]) -> tuple[_Vector | None, int, bool]:
            start, p = placed  # neighbors in a vector have the same offset
            return p._vector, p._start - start, p.trainable

        placed = zip(self._starts, self._items, strict=False)
        for (vector, offset, trainable), group in groupby(placed, run_of):
            if trainable and vector is not None:
                run = list(group)
                first, end = run[0][0], run[-1][0] + run[-1][1].size
                place = slice(first + offset, end + offset)
                yield first, vector.value[place], vector.grad[place]

    def trainable_pieces(self, size: int) -> list[tuple[slice, Array, Array]]:
        """Return (place, value, read-only grad) for the trainable runs, in pieces of `size`."""
        self._current()
        whole = self._vector is not None and not self._vector.frozen_count
        if whole and self._pieces:
            return self._pieces
        pieces = [
            (
                slice(start + first, start + min(first + size, value.size)),
                value[first : first + size],
                _read_only(grad[first : first + size]),
            )
            for start, value, grad in self.trainable_runs()
            for first in range(0, value.size, size)
        ]
        self._pieces = pieces if whole else []
        return pieces

    def _flat(self) -> tuple[Array, Array]:
        views = self._current()
        if views is None:
            raise ValueError(
                "these parameters aren't side by side in their model's vector, since others lie "
                "between them or one is shared: read each parameter's value, or "
                "model.parameters.value"
            )
        return views

    @override
    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    @override
    def __len__(self) -> int:
        return len(self._items)

    def __call__(self) -> Self:
        """Refuse the call: `parameters` is a property here, a method in PyTorch."""
        raise TypeError("model.parameters is a property, not a method: leave out the parentheses")

    @override
    def __repr__(self) -> str:
        return "\n".join(map(repr, self._items)) or "no parameters"


def _assign(vector: Array, new: ArrayLike) -> None:
    if np.shape(new) != vector.shape:
        raise ValueError(
            f"the parameters expect an array of shape {vector.shape}, got {np.shape(new)}"
        )
    vector[...] = new


def _read_only(view: Array) -> Array:
    view.flags.writeable = False
    return view
