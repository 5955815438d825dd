"""Parameters: trainable arrays, and the one flat vector that holds those of a whole model."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from typing_extensions import Self, override

from minigrad.data.arrays import Array, Shape, as_array
from minigrad.regularizers import Regularizer, check_regularizer
from minigrad.util.names import check_name, missing
from minigrad.util.options import check_bool, check_positive


class Vectors:
    """Two flat arrays: the values of several parameters side by side, and their gradients.

    Attributes:
        changes: counts each move, freeze and thaw, so that views taken earlier can be checked.
    """

    def __init__(self, value: Array, grad: Array) -> None:
        self.value, self.grad = value, grad
        self.changes = 0


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
        self.vectors: Vectors | None = None
        """The flat vectors of a model, of which value and gradient are views from `start` on."""
        self.start = 0
        self.name = check_name(name, "name", self)
        self._trainable = check_bool(trainable, "trainable", self)
        self._factor = 1.0
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
        source._trainable = bool(new)
        if source.vectors is not None:
            source.vectors.changes += 1

    @property
    def learning_rate_factor(self) -> float:
        """What an optimizer multiplies its learning rate by for this parameter; above 0."""
        return self.source._factor

    @learning_rate_factor.setter
    def learning_rate_factor(self, new: float) -> None:
        source = self.source
        source._factor = check_positive(new, "learning_rate_factor", self)
        if source.vectors is not None:
            source.vectors.changes += 1

    @property
    def shape(self) -> Shape:
        """The shape of the value."""
        return self.value.shape

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.value.size

    if not TYPE_CHECKING:  # a type checker knows that a parameter isn't an array

        def __array__(self, *args: Any, **options: Any) -> NoReturn:
            """Refuse to be taken for an array."""
            raise TypeError(f"{self!r} isn't an array: use its value, as in x @ weight.value")

        __getitem__ = __neg__ = __pow__ = __array__
        __getattr__ = missing

    def _check_shape(self, what: str, new: ArrayLike) -> None:
        given = np.shape(new)
        if given != self.shape:
            owner = f"Parameter '{self.name}'" if self.name else "Parameter"
            per_row = what == "gradient" and given[1:] == self.shape
            hint = ": sum over the rows with .sum(axis=0)" if per_row else ""
            raise ValueError(f"{owner} expects a {what} of shape {self.shape}, got {given}{hint}")

    def place(self, vectors: Vectors, start: int) -> None:
        """Become a view of flat vectors, from an index on."""
        if self.vectors is not None:
            self.vectors.changes += 1
        part, shape = slice(start, start + self.size), self.shape
        self._value, self._grad = (
            vectors.value[part].reshape(shape),
            vectors.grad[part].reshape(shape),
        )
        self.vectors, self.start = vectors, start

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "vectors": None}

    @override
    def __repr__(self) -> str:
        name = f"'{self.name}', " if self.name else ""
        frozen = "" if self.trainable else ", trainable=False"
        return f"{type(self).__name__}({name}shape={self.shape}, dtype={self.value.dtype}{frozen})"


class Parameters(Sequence[Parameter]):
    """Parameters in order, each once, and the flat vector that holds them.

    Parameters that are in no vector yet are gathered in a new one. A model has all of its own in
    one vector without gaps: where another model has taken some into its vector, they are gathered
    again at the next access, and arrays taken before are outdated.

    Args:
        parameters: the parameters; of shared ones the source is held, once.
        dtype: of the model that owns them; with None, parameters that lie in a vector stay there.

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
        self._dtype = dtype
        self._find_vectors()
        if any(p.vectors is None for p in self._items):
            self._gather(dtype or np.result_type(*(p.value for p in self._items), np.float32))
        self._current_views()
        for source, uses in self._shared.items():
            for use in uses:
                use._grad = use._grad.astype(source.value.dtype, copy=False)

    def _gather(self, dtype: DTypeLike) -> None:
        """Lay all values side by side in a new vector, and all gradients in another."""
        vectors = Vectors(np.empty(self.size, dtype), np.empty(self.size, dtype))
        for start, p in self._placed():
            old = p.value, p.grad
            p.place(vectors, start)
            p.value, p.grad = old
        self._find_vectors()

    def _find_vectors(self) -> None:
        """Look for flat vectors in which the parameters lie side by side."""
        found = {(p.vectors, p.start - start) for start, p in self._placed()}
        if not self._items:
            empty = np.empty(0, self._dtype)
            found = {(Vectors(empty, empty.copy()), 0)}
        self._vectors, offset = found.pop() if len(found) == 1 else (None, 0)
        self._views: tuple[Array, Array] | None = None
        self._pieces: list[tuple[slice, Array, Array, float]] = []
        if self._vectors is not None:
            place = slice(offset, offset + self.size)
            self._views = self._vectors.value[place], self._vectors.grad[place]
            self._changes = self._vectors.changes
            if self._dtype is not None and self._dtype != self._vectors.value.dtype:
                self._vectors = None

    def _current_views(self) -> tuple[Array, Array] | None:
        """Return the values and the gradients as flat views, if they lie side by side.

        A model gathers its own again where another model has taken some into its vectors.
        """
        if self._vectors is None or self._vectors.changes != self._changes:
            self._find_vectors()
            if self._vectors is None and self._dtype is not None:
                self._gather(self._dtype)
        return self._views

    def _placed(self) -> Iterator[tuple[int, Parameter]]:
        """Yield (start, parameter): where each is if all lie side by side."""
        return zip(self._starts, self._items, strict=False)

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
        return {p: vector[start : start + p.size].reshape(p.shape) for start, p in self._placed()}

    def replicas(self) -> list[Parameter]:
        """Return parameters with the same values, shared, and gradients of their own."""
        vectors: dict[Vectors | None, Vectors] = {}
        replicas = [copy.copy(p) for p in self._items]
        for replica, p in zip(replicas, self._items, strict=True):
            assert p.vectors is not None
            own = Vectors(p.vectors.value, np.zeros_like(p.vectors.grad))
            replica.place(vectors.setdefault(p.vectors, own), p.start)
        return replicas

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

        All parameters of a run have the same `learning_rate_factor`.
        `start` counts elements from the first parameter; both arrays are flat views.
        """
        self._current_views()

        def run_of(placed: tuple[int, Parameter]) -> tuple[Vectors | None, int, bool, float]:
            start, p = placed  # neighbors in the vectors have the same offset
            return p.vectors, p.start - start, p.trainable, p.learning_rate_factor

        for (vectors, offset, trainable, _), group in groupby(self._placed(), run_of):
            if trainable and vectors is not None:
                run = list(group)
                first, (last, end) = run[0][0], run[-1]
                place = slice(first + offset, last + end.size + offset)
                yield first, vectors.value[place], vectors.grad[place]

    def trainable_pieces(self, size: int) -> list[tuple[slice, Array, Array, float]]:
        """Return (place, value, read-only grad, learning rate factor) of the trainable runs.

        The pieces have at most `size` elements.
        """
        self._current_views()
        if self._vectors is None or not self._pieces:
            placed = dict(self._placed())
            self._pieces = [
                (
                    slice(start + first, start + min(first + size, value.size)),
                    value[first : first + size],
                    _read_only(grad[first : first + size]),
                    placed[start].learning_rate_factor,
                )
                for start, value, grad in self.trainable_runs()
                for first in range(0, value.size, size)
            ]
        return self._pieces

    def _flat(self) -> tuple[Array, Array]:
        views = self._current_views()
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
    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._items)

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
