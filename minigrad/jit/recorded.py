"""An array that computes with NumPy, and writes down what it computes.

minigrad's layers are plain NumPy. To compile them, a step runs once on `Recorded` arrays. Each
holds `c`, the concrete NumPy array, and a `Value`, its place in a `Program`:

    x = recording.given(np.ones(3))     # c = [1, 1, 1], value 0
    y = np.exp(x)                       # c = [e, e, e], value 1; the program gets "1 = exp(0)"
    y += x                              # c changes in place; y's value is now 2 = add(1, 0)

NumPy asks the operands of an operation first whether they want to do it themselves (the protocols
`__array_ufunc__` and `__array_function__`), so a layer doesn't notice. NumPy's own run on `c`
decides dtypes, shapes, branches, and what is a view of what. The program follows:

- An array that was made in the step from nothing, as by `np.zeros`, is a constant (value None)
  until something recorded is written into it.
- A view has a base. It reads the base's value through an instruction, and a write through the view
  gives the base a new value. So the program itself never writes in place.
- `if array:` takes NumPy's branch, and the program gets a guard: an output that says whether the
  branch would be the same for other data.
- A number that leaves, as by `float(array)`, would be the same in every jitted step: refused.
- A random generator is replaced by one that notes each draw, which becomes an input.

A `Program` has no effects and depends on nothing but its inputs. JAX runs it on its own arrays;
`operations` has what the instructions do there, and `functions` how NumPy's become such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.jit import operations, parts
from minigrad.jit.program import (
    NotCompilableError,
    Value,
    active,
    mapped,
    recording,
    refusal,
)

_AS_ARRAY = (
    "compute with NumPy's functions; to index a table that lies in a list or a closure, write "
    "np.array(table)[index]"
)


class _MissingError(NotCompilableError, AttributeError):
    """An array lacks an attribute that NumPy's have."""


_MissingError.__name__ = NotCompilableError.__name__


class Recorded(NDArrayOperatorsMixin):
    """A NumPy array, or a number, and the value that stands for it in the program.

    `base`, `get` and `put` are those of a view: get(base value, *key) is its value, and
    put(base value, *key, new value) the base's after a write. `axes` are the base's axes that a
    part has: a part of a part is a part of the base.
    """

    __slots__ = ("_axes", "_base", "_get", "_put", "_seen", "_value", "c")

    def __init__(
        self,
        c: Any,
        value: Value | None = None,
        *,
        base: Recorded | None = None,
        get: tuple[Any, ...] = (),
        put: tuple[Any, ...] = (),
        axes: tuple[int, ...] | None = None,
    ) -> None:
        self.c = c
        self._value = value
        self._base = base
        self._axes = axes
        self._get = get
        self._put = put
        self._seen: tuple[Value | None, Value] | None = None

    @property
    def value(self) -> Value | None:
        """The value; None for a constant."""
        if self._base is None:
            return self._value
        below = self._base.value
        if below is None:
            return None
        if self._seen is None or self._seen[0] is not below:
            function, *key = self._get
            value = emit(function, (below, *key), {}, self.shape, self.dtype)
            self._seen = below, value
        return self._seen[1]

    def _set(self, value: Value) -> None:
        """Give the array a new value; `c` changes afterwards."""
        if self._base is None:
            self._value = value
            return
        base, (function, *key) = self._base, self._put
        below = base.value
        if below is None:
            below = recording().constant(base.c)
        base._set(emit(function, (below, *key, value), {}, base.shape, base.dtype))
        self._seen = base.value, value

    def write(self, new: Any, mask: Any = True) -> None:
        """Give all elements, or those of a mask, new values; `c` changes afterwards."""
        self._check_writeable()
        if is_constant((self, new, mask)):
            return
        masked = () if mask is True else (self, mask)
        arguments = (new, self.shape, self.dtype, *masked)
        self._set(emit(operations.assigned, arguments, {}, self.shape, self.dtype))

    def _check_writeable(self) -> None:
        if isinstance(self.c, np.ndarray) and not self.c.flags.writeable:
            raise refusal(
                "it writes into an array that was made before, or into a view that is read-only",
                "make the array in this method, as by np.zeros(...) or x.copy()",
            )

    def _view(self, c: Any, get: tuple[Any, ...], put: tuple[Any, ...]) -> Any:
        """Return what NumPy made of this array: a view where it made one, else a new array."""
        if (
            isinstance(c, np.ndarray)
            and isinstance(self.c, np.ndarray)
            and np.may_share_memory(c, self.c)
        ):
            return Recorded(c, base=self, get=get, put=put)
        return record(c, get[0], self, *get[1:])

    # What NumPy is asked to do with one of these goes to `functions`, which defines both.

    __array_ufunc__: Any
    __array_function__: Any

    # What an array is.

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.c)

    @shape.setter
    def shape(self, shape: Any) -> None:
        raise refusal("x.shape = ... changes an array in place", "write x = x.reshape(shape)")

    @property
    def ndim(self) -> int:
        return np.ndim(self.c)

    @property
    def size(self) -> int:
        return int(np.size(self.c))

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.result_type(self.c)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def flags(self) -> Any:
        return self.c.flags

    @property
    def strides(self) -> tuple[int, ...]:
        return self.c.strides  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return len(self.c)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    @override
    def __repr__(self) -> str:
        return f"Recorded({self.c!r})"

    # Numbers that leave: a branch is guarded, others are refused.

    @override
    def __hash__(self) -> int:
        self._leaving("a key of a dict or a set", "compare by ==, use np.where, or index a table")
        return hash(self.c)  # NumPy's error for an array

    def __bool__(self) -> bool:
        outcome = bool(self.c)
        if (value := self.value) is not None:
            recording().guards.append((value, outcome))
        return outcome

    def item(self, *index: int) -> Any:
        """Return one element as a number, which stays recorded."""
        if is_constant(self):
            return self.c.item(*index)
        c = self.c.item(*index) if hasattr(self.c, "item") else self.c
        if not isinstance(self.c, np.ndarray):
            return Recorded(c, self.value)
        element = self[index] if len(index) > 1 else self.reshape(-1)[index[0] if index else 0]
        return Recorded(c, element.value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self._leaving("np.asarray", _AS_ARRAY), dtype)

    def __float__(self) -> float:
        return float(self._leaving("float", "use array.item(), or compute with the array"))

    def __int__(self) -> int:
        return int(self._leaving("int", "use array.astype(int)"))

    def __index__(self) -> int:
        return int(self._leaving("an index", "use np.take_along_axis or np.where"))

    def __complex__(self) -> complex:
        return complex(self._leaving("complex", "compute with real arrays"))

    def tolist(self) -> Any:
        return self._leaving("tolist()", "compute with the array").tolist()

    @override
    def __str__(self) -> str:
        return str(self._leaving("the text", "look at numbers with engine='numpy'"))

    @override
    def __format__(self, form: str) -> str:
        return format(self._leaving("the text", "look at numbers with engine='numpy'"), form)

    def __round__(self, digits: int | None = None) -> Any:
        return int(self) if digits is None else np.round(self, digits)

    def __getattr__(self, name: str) -> Any:
        """Refuse what only NumPy's arrays have."""
        if name.startswith("_") or not hasattr(np.ndarray, name):
            raise AttributeError(f"an array has no attribute '{name}'")
        instead = f"use np.{name}" if hasattr(np, name) else "use NumPy's functions"
        raise _MissingError(str(refusal(f"an array's {name}", instead)))

    def __contains__(self, x: Any) -> bool:
        return bool((self == x).any())

    def _leaving(self, what: str, instead: str) -> Any:
        if self.value is None:
            return self.c
        raise refusal(f"{what} of an array would be the same number in every step", instead)

    # Views and copies.

    def __getitem__(self, key: Any) -> Any:
        key = _without_lists(key)
        if any(isinstance(k, Recorded) and k.dtype == bool and k.value for k in _keys(key)):
            raise refusal(
                "x[mask] has a shape that depends on the data",
                "use np.where(mask, x, 0); for x[mask] += y, x += np.where(mask, y, 0)",
            )
        self._choose(key)
        c = self.c[concrete(key)]
        there = self._at(c, key)
        assert there._base is not None
        if isinstance(c, np.ndarray) and np.may_share_memory(c, self.c):
            return there
        return record(c, there._get[0], there._base, *there._get[1:])

    def _at(self, c: Any, key: Any) -> Recorded:
        """Return the view at a key, which NumPy found to be c."""
        key = _key_values(key)
        if any(type(k) is not int and not isinstance(k, slice) and k is not None
               and k is not Ellipsis for k in _keys(key)):  # fmt: skip
            return Recorded(c, base=self, get=(operations.index, key), put=(operations.put, key))
        keys = [k for k in _keys(key) if k is not None]
        at = keys.index(Ellipsis) if Ellipsis in keys else len(keys)
        missing = self.ndim - len(keys) + (Ellipsis in keys)
        keys[at : at + 1] = [slice(None)] * missing
        base, own = self, [range(length) for length in self.shape]
        axes: tuple[int, ...] | None = tuple(range(self.ndim))
        if self._axes is not None and self._base is not None:
            base, axes = self._base, self._axes
            own = [range(n, n + m * d, d) for n, m, d in zip(*self._get[1:4], strict=True)]
        for axis, k in zip(axes or (), keys, strict=True):
            own[axis] = own[axis][k if isinstance(k, slice) else slice(k, k + 1 or None)]
        kept = tuple(a for a, k in zip(axes or (), keys, strict=True) if isinstance(k, slice))
        axes = kept if len(kept) == np.ndim(c) else None
        starts = tuple(operations.Start(r.start) for r in own)
        place = starts, tuple(map(len, own)), tuple(r.step for r in own)
        get = operations.part, *place, np.shape(c)
        return Recorded(c, base=base, axes=axes, get=get, put=(operations.put_part, *place))

    def _choose(self, key: Any) -> None:
        """Prepare for a recorded key, if it is one.

        A constant gets a value, since what the key chooses isn't constant. A guard leaves a step
        with an index out of range to NumPy, and so its error: JAX would take another element.
        """
        if is_constant(key):
            return
        if self.value is None:
            self._set(recording().constant(self.c))
        keys = _keys(key)
        axis, taken = 0, sum(_axes(k) for k in keys)
        for k in keys:
            if isinstance(k, Recorded) and k.value is not None and k.dtype != bool:
                in_range(k, self.shape[axis])
            axis += self.ndim - taken if k is Ellipsis else _axes(k)

    def __setitem__(self, key: Any, new: Any) -> None:
        key = _without_lists(key)
        if isinstance(new, Recorded) and new._is_at(self, key):
            return  # as in x[key] += 1, which has changed the view already
        self._check_writeable()
        if key is Ellipsis or (isinstance(key, slice) and key == slice(None)):
            self.write(new)
        elif isinstance(key, Recorded) and key.dtype == bool:
            if np.ndim(concrete(new)):
                raise refusal(
                    "x[mask] = array has a shape that depends on the data",
                    "use np.copyto(x, array, where=mask)",
                )
            self.write(new, key.reshape(*key.shape, *[1] * (self.ndim - key.ndim)))
        elif not is_constant((self, key, new)):
            self._choose(key)
            self._at(self.c[concrete(key)], key).write(new)
        self.c[concrete(key)] = concrete(new)

    def _is_at(self, base: Recorded, key: Any) -> bool:
        """Return whether this is the view base[key]."""
        if not is_constant(key) and self._get != (operations.index, _key_values(key)):
            return False
        if self._root is not base._root or not isinstance(self.c, np.ndarray):
            return False
        there = base.c[concrete(key)]
        mine = self.c.__array_interface__
        return isinstance(there, np.ndarray) and mine == there.__array_interface__

    @property
    def _root(self) -> Recorded:
        """The array of which this is a view, or of which its base is one."""
        return self if self._base is None else self._base._root

    def reshape(self, *shape: Any, order: Any = "C", copy: bool | None = None) -> Any:
        if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
            shape = tuple(shape[0])
        c = self.c.reshape(shape, order=order)
        function = operations.reshape
        return self._view(c, (function, c.shape, order), (operations.reshaped, self.shape, order))

    def transpose(self, *axes: Any) -> Any:
        if len(axes) == 1 and not isinstance(axes[0], int):
            axes = tuple(axes[0]) if axes[0] is not None else ()
        axes = tuple(a % self.ndim for a in axes) or tuple(reversed(range(self.ndim)))
        back = tuple(map(int, np.argsort(axes)))
        c = self.c.transpose(axes)
        function = operations.transpose
        return self._view(c, (function, axes), (operations.transposed, back))

    @property
    def T(self) -> Any:  # noqa: N802
        return self.transpose()

    @property
    def transpose_of(self) -> Recorded | None:
        """The matrix of which this one is the transpose."""
        return self._base if self._get[:2] == (operations.transpose, (1, 0)) else None

    def swapaxes(self, one: int, two: int) -> Any:
        axes = list(range(self.ndim))
        axes[one], axes[two] = axes[two], axes[one]
        return self.transpose(axes)

    def ravel(self, order: Any = "C") -> Any:
        if order == "C":
            return self.reshape(-1)
        axes = tuple(reversed(range(self.ndim)))
        if order in "KA" and not self.flags.fnc:  # in the order of memory
            axes = tuple(map(int, np.argsort([-n for n in self.strides], kind="stable")))
        return self.transpose(axes).reshape(-1)

    def flatten(self, order: Any = "C") -> Any:
        return self.ravel(order).copy()

    def squeeze(self, axis: Any = None) -> Any:
        return self.reshape(self.c.squeeze(axis).shape)

    def view(self, dtype: Any = None) -> Any:
        """Return the same bytes, as numbers of another type of the same size."""
        if dtype is None:
            return self[...]
        c = self.c.view(dtype)
        if c.dtype.itemsize != self.itemsize:
            raise refusal("a view of another item size can't be compiled", "use astype")
        function = operations.bitcast
        return self._view(c, (function, c.dtype.name), (function, self.dtype.name))

    def astype(
        self, dtype: Any, order: Any = "K", casting: Any = "unsafe", subok: bool = True,
        copy: bool = True,
    ) -> Any:  # fmt: skip
        c = np.dtype(dtype).type(self.c) if np.isscalar(self.c) else None
        if c is None:
            c = self.c.astype(dtype, order=order, casting=casting, copy=copy)
        self._check_cast(c.dtype)
        return self if c is self.c else record(c, operations.converted, self, c.dtype.name)

    def _check_cast(self, dtype: np.dtype[Any]) -> None:
        """Leave steps to NumPy whose numbers an integer type can't hold: JAX gives others."""
        if dtype.kind in "iu" and self.dtype.kind in "fc" and self.value is not None:
            least, most = float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
            np.logical_and(self > least - 1, self < most + 1).all().__bool__()

    def copy(self, order: Any = "C") -> Any:
        return record(self.c.copy(order), operations.copied, self)

    def fill(self, new: Any) -> None:
        self[...] = new

    def sort(self, axis: int = -1) -> None:
        self[...] = np.sort(self, axis)

    def conj(self) -> Any:
        return np.conjugate(self)

    conjugate = conj

    def compress(self, condition: Any, axis: int | None = None) -> Any:
        return np.compress(condition, self, axis)

    @property
    def real(self) -> Any:
        return np.real(self)

    @property
    def imag(self) -> Any:
        return np.imag(self)

    @property
    def flat(self) -> Any:
        """The elements one after another; only where they lie so."""
        if not self.flags.c_contiguous:
            raise refusal("x.flat of an array that isn't contiguous", "use x.reshape(-1)")
        return self.reshape(-1)

    @flat.setter
    def flat(self, new: Any) -> None:
        self[...] = np.resize(new, self.shape) if is_constant(new) else np.reshape(new, self.shape)


def _method(name: str) -> Callable[..., Any]:
    def method(self: Recorded, *args: Any, **kwargs: Any) -> Any:
        return getattr(np, name)(self, *args, **kwargs)

    return method


for _name in [
    "sum",
    "mean",
    "prod",
    "max",
    "min",
    "argmax",
    "argmin",
    "all",
    "any",
    "var",
    "std",
    "cumsum",
    "cumprod",
    "clip",
    "round",
    "dot",
    "repeat",
    "take",
    "argsort",
    "diagonal",
    "trace",
    "searchsorted",
    "nonzero",
    "choose",
    "put",
    "partition",
    "argpartition",
    "resize",
]:
    setattr(Recorded, _name, _method(_name))


def record(c: Any, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return NumPy's result `c` with the value of an instruction; without a recorded input, alone.

    An array that comes of constants is a constant.
    """
    if is_constant((arguments, options)):
        created = active.program is not None and isinstance(c, np.ndarray)
        return Recorded(c) if created else c
    if isinstance(c, (tuple, list)):
        whole = emit(function, arguments, options)
        items = [record(item, operations.item, whole, i) for i, item in enumerate(c)]
        return type(c)(*items) if hasattr(c, "_fields") else type(c)(items)
    return Recorded(c, emit(function, arguments, options, np.shape(c), np.result_type(c)))


def emit(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    shape: tuple[int, ...] | None = None,
    dtype: np.dtype[Any] | None = None,
) -> Value:
    """Append an instruction to the program; recorded arguments become their values."""
    taken = values(arguments), values(options)
    return parts.append(recording(), function, *taken, (shape, dtype))


def is_constant(tree: Any) -> bool:
    """Return whether nothing among some arguments depends on the inputs."""
    if isinstance(tree, (tuple, list)):
        return all(is_constant(item) for item in tree)
    if isinstance(tree, dict):
        return all(is_constant(item) for item in tree.values())
    return not isinstance(tree, Value) and not (
        isinstance(tree, Recorded) and tree.value is not None
    )


def concrete(tree: Any) -> Any:
    """Return arguments with NumPy's arrays in place of recorded ones."""
    return mapped(Recorded, lambda array: array.c, tree)


def values(tree: Any) -> Any:
    """Return arguments with values in place of recorded arrays, and copies of other arrays."""

    def value_of(array: Any) -> Any:
        if isinstance(array, Recorded) and array.value is not None:
            return array.value
        c = concrete(array)
        return recording().constant(c) if isinstance(c, np.ndarray) else c

    return mapped((Recorded, np.ndarray), value_of, tree)


def _key_values(key: Any) -> Any:
    """Return an index in the form of instructions: plain numbers where it is constant."""

    def value_of(k: Any) -> Any:
        if isinstance(k, Recorded) and k.value is not None:
            return k.value
        c = concrete(k)
        if isinstance(c, np.ndarray) and c.dtype == bool and c.ndim == 1:
            return np.flatnonzero(c)  # JAX takes no mask whose number of elements it must know
        return c.copy() if isinstance(c, np.ndarray) else int(c)

    return mapped((Recorded, np.ndarray, np.integer), value_of, key)


def in_range(indices: Any, length: int) -> None:
    """Leave steps with an index out of range to NumPy."""
    if not is_constant(indices):
        np.logical_and(indices >= -length, indices < length).all().__bool__()


def _axes(k: Any) -> int:
    """Return how many axes a part of an index stands for."""
    if k is None or k is Ellipsis:
        return 0
    return np.ndim(k) if getattr(k, "dtype", None) == np.dtype(bool) else 1


def plain(tree: Any, what: str) -> Any:
    """Return arguments that must be the same in every step, such as a shape."""
    return mapped(Recorded, lambda array: array._leaving(what, "use a constant"), tree)


def _without_lists(key: Any) -> Any:
    """Return an index with arrays in place of lists, which JAX doesn't take."""
    if isinstance(key, list):
        return np.stack(key) if not is_constant(key) else np.array(concrete(key))
    return tuple(map(_without_lists, key)) if isinstance(key, tuple) else key


def _keys(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)
