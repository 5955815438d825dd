"""NumPy's functions on recorded arrays: NumPy's own result, and the instruction for JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from minigrad.jit import operations
from minigrad.jit.program import mapped, refusal
from minigrad.jit.recorded import (
    Recorded,
    concrete,
    in_range,
    is_constant,
    plain,
    record,
)

_DROPPED = ("order", "casting", "subok", "like", "out")
"""Options that decide where or how NumPy stores a result."""


def _array_ufunc(
    self: Recorded, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (), **options: Any
) -> Any:
    """Return what a ufunc gives, or one of its methods."""
    if not {"raise", "call"}.isdisjoint(np.geterr().values()):
        raise refusal("np.errstate(...='raise')", "use np.where to keep numbers in range")
    if method == "at":
        return _at(ufunc, *inputs)
    call = getattr(ufunc, method)
    target = out[0] if out else None
    if target is None or not isinstance(concrete(target), np.ndarray):  # a number can't change
        c = call(*concrete(inputs), **concrete(options))
        if method == "__call__" and all(isinstance(x, (int, float)) for x in concrete(inputs)):
            c = c.item()  # Python's numbers stay such, and adapt to any dtype
        return _of_ufunc(c, ufunc, method, inputs, options)
    if not isinstance(target, Recorded):
        if is_constant((inputs, options)):
            return call(*concrete(inputs), out=target, **concrete(options))
        raise _written(f"np.{ufunc.__name__}")
    mask = options.pop("where", True) if method == "__call__" else True
    c = call(*concrete(inputs), **concrete(options))
    target.write(_of_ufunc(c, ufunc, method, inputs, options), mask)
    masked = {} if mask is True else {"where": concrete(mask)}
    call(*concrete(inputs), out=target.c, **masked, **concrete(options))
    return target


def _of_ufunc(
    c: Any, ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Record a call of a ufunc that gave c."""
    name = ufunc.__name__
    known = {key: value for key, value in options.items() if key not in (*_DROPPED, "dtype")}
    if method == "reduce":
        known = {"axis": 0, **known}
        if known.get("initial", 0) is None:
            del known["initial"]
        return record(c, operations.reduce, name, np.result_type(c).name, *inputs, **known)
    if method != "__call__":
        return record(c, operations.ufunc_method, name, method, *inputs, **known)
    mask = known.pop("where", True)
    if mask is not True:
        raise refusal(f"np.{name}(where=...) without out leaves numbers open", "use np.where")
    dtypes = _dtypes(ufunc, inputs)
    if name in _DIVISIONS and np.dtype(dtypes[1]).kind in "iu" and not is_constant(inputs[1]):
        np.not_equal(inputs[1], 0).all().__bool__()  # by zero: NumPy makes the step
    return record(c, operations.apply, name, dtypes, *inputs)


_DIVISIONS = {"floor_divide", "remainder", "fmod", "divmod"}


def _dtypes(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> tuple[str, ...]:
    """Return the dtypes to which NumPy converts the inputs."""
    kinds: list[Any] = []
    for x in concrete(inputs):
        python = isinstance(x, (int, float)) and not isinstance(x, (bool, np.generic))
        kinds.append(type(x) if python else np.result_type(x))
    if all(isinstance(kind, type) for kind in kinds):
        kinds = [np.dtype(kind) for kind in kinds]
    loop = ufunc.resolve_dtypes((*kinds, *[None] * ufunc.nout))
    return tuple(dtype.name for dtype in loop[: len(inputs)])


def _at(ufunc: np.ufunc, target: Any, key: Any, *new: Any) -> None:
    """Record `ufunc.at(target, key, new)`."""
    if not isinstance(target, Recorded):
        raise _written(f"np.{ufunc.__name__}.at")
    change = {"maximum": "max", "minimum": "min"}.get(ufunc.__name__, ufunc.__name__)
    if not is_constant((target, key, new)):
        target._choose(key)
        target.write(record(target.c, operations.put_at, target, key, change, *new))
    ufunc.at(*concrete((target, key, *new)))


def _array_function(self: Recorded, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """Return what one of NumPy's functions gives."""
    if handler := _HANDLERS.get(function):
        return handler(*args, **kwargs)
    name = function.__name__
    if instead := _REFUSED.get(name):
        raise refusal(f"np.{name}", instead)
    if function in _OF_FORM:
        return function(*concrete(args), **concrete(kwargs))
    if function in _LIKE:
        fill = kwargs.pop("fill_value", args[1] if function is np.full_like else 0)
        filled = Recorded(np.full_like(concrete(args[0]), 0, **kwargs))
        filled[...] = 1 if function is np.ones_like else fill
        return filled
    if function in _METHODS:
        return getattr(args[0], name)(*args[1:], **kwargs)
    out = kwargs.pop("out", None)
    module = {"numpy.linalg": jnp.linalg, "numpy.fft": jnp.fft}.get(function.__module__, jnp)
    peer = getattr(module, name, None)
    if out is not None and not isinstance(out, Recorded):
        raise _written(f"np.{name}")
    if function in _OF_LISTS:
        args = mapped(list, np.array, args)
    c = function(*concrete(args), **concrete(kwargs))
    known = {key: value for key, value in kwargs.items() if key not in _DROPPED}
    known |= _OPTIONS.get(function, {})
    if (views := _views(c, function, args, kwargs)) is not None:
        return views
    if peer is None:
        raise refusal(f"np.{name} has no counterpart in JAX", "use other functions of NumPy")
    result = record(c, peer, *args, **known)
    if out is None:
        return result
    out[...] = result
    return out


def _views(c: Any, function: Any, args: Any, kwargs: Any) -> Any:
    """Return what a function gives as views of an argument, if it shares memory; else None.

    Which elements a view has tells the function itself, of their numbers in the argument.
    """
    if isinstance(c, (list, tuple)):
        views = [_views(item, lambda *a, i=i, **k: function(*a, **k)[i], args, kwargs)
                 for i, item in enumerate(c)]  # fmt: skip
        return None if any(view is None for view in views) else type(c)(views)
    if not isinstance(c, np.ndarray):
        return None
    for i, base in enumerate(args):
        if isinstance(base, Recorded) and np.shares_memory(c, base.c):
            numbers = np.empty_like(base.c, dtype=np.intp)
            numbers[...] = np.arange(base.size).reshape(base.shape)
            found = function(*concrete((*args[:i], numbers, *args[i + 1 :])), **concrete(kwargs))
            get, put = operations.elements, operations.put_elements
            return Recorded(c, base=base, get=(get, found), put=(put, found))
    return None


def _written(what: str) -> Exception:
    return refusal(
        f"{what} writes into an array that was made before, or by another name than np.zeros",
        "make it in this method by np.zeros(...) or np.empty(...)",
    )


def _dot(a: Any, b: Any, out: Any = None) -> Any:
    base = b.transpose_of if isinstance(b, Recorded) and b.ndim == 2 == np.ndim(a) else None
    c = np.dot(concrete(a), concrete(b))
    if base is not None:
        result = record(c, operations.flipped_dot, a, base)
    else:
        result = record(c, jnp.dot, a, b)
    if out is None:
        return result
    if not isinstance(out, Recorded):
        raise _written("np.dot")
    out[...] = result
    return out


def _copyto(target: Any, source: Any, casting: str = "same_kind", where: Any = True) -> None:
    if not isinstance(target, Recorded):
        raise _written("np.copyto")
    target.write(source, where)
    np.copyto(target.c, concrete(source), where=concrete(where))


def _put_along_axis(target: Any, indices: Any, values: Any, axis: int | None) -> None:
    if not isinstance(target, Recorded):
        raise _written("np.put_along_axis")
    if not is_constant((target, indices, values)):
        in_range(indices, target.size if axis is None else target.shape[axis])
        arguments = target, indices, values, axis
        target.write(record(target.c, operations.put_along_axis, *arguments))
    np.put_along_axis(target.c, concrete(indices), concrete(values), axis)


def _in_place(function: Callable[..., Any]) -> Callable[..., None]:
    """Return what stands for a function that changes its first argument."""

    def change(target: Any, *args: Any, **options: Any) -> None:
        if not isinstance(target, Recorded):
            raise _written(f"np.{function.__name__}")
        args, c = mapped(list, np.array, args), target.c.copy()
        function(c, *concrete(args), **concrete(options))
        peer = getattr(jnp, function.__name__)
        target[...] = record(c, peer, target, *args, **options, inplace=False)

    return change


def _argsort(
    x: Any, axis: int | None = -1, kind: Any = None, order: None = None, stable: bool | None = None
) -> Any:  # fmt: skip
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axis)
    if not (stable or kind in ("stable", "mergesort")) and not is_constant(x):
        # NumPy makes a step with equal numbers: it leaves their order open, JAX doesn't.
        (np.diff(np.sort(x, axis), axis=axis) != 0).all().__bool__()
    c = np.argsort(concrete(x), axis, kind=kind, stable=stable)
    return record(c, jnp.argsort, x, axis=axis)


def _bincount(x: Any, weights: Any = None, minlength: int = 0) -> Any:
    c = np.bincount(*concrete((x, weights, minlength)))
    in_range(x, len(c))
    if not is_constant(x):  # with other numbers the result has another length
        (np.logical_and(x.min() >= 0, np.maximum(x.max() + 1, minlength) == len(c))).__bool__()
    return record(c, jnp.bincount, x, weights, length=len(c))


def _broadcast_to(x: Any, shape: Any, subok: bool = False) -> Any:
    c = np.broadcast_to(concrete(x), plain(shape, "a shape"))
    return x._view(c, (jnp.broadcast_to, c.shape), (operations.put_elements, None))  # read-only


def _take(x: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "") -> Any:
    if out is not None or mode not in ("", "raise"):
        raise refusal("np.take with out or a mode", "use x[indices]")
    in_range(indices, np.size(x) if axis is None else np.shape(x)[axis])
    c = np.take(concrete(x), concrete(indices), axis=axis)
    return record(c, operations.take, x, indices, axis=axis)


def _take_along_axis(x: Any, indices: Any, axis: int | None = -1) -> Any:
    in_range(indices, np.size(x) if axis is None else np.shape(x)[axis])
    c = np.take_along_axis(concrete(x), concrete(indices), axis)
    return record(c, jnp.take_along_axis, x, indices, axis=axis)


def _split(x: Any, cuts: Any, axis: int = 0) -> list[Any]:
    """Return views, as NumPy does."""
    axis %= x.ndim
    parts = np.array_split(range(x.shape[axis]), plain(cuts, "a place of np.split"))
    if isinstance(cuts, int) and x.shape[axis] % cuts:
        raise ValueError("array split does not result in an equal division")
    ends = [(int(part[0]), int(part[-1]) + 1) if len(part) else (0, 0) for part in parts]
    return [x[(*[slice(None)] * axis, slice(*end))] for end in ends]


def _moveaxis(x: Any, source: Any, destination: Any) -> Any:
    places = np.moveaxis(np.broadcast_to(0, range(2, 2 + x.ndim)), source, destination).shape
    return x.transpose([n - 2 for n in places])


def _expand_dims(x: Any, axis: Any) -> Any:
    return x.reshape(np.expand_dims(concrete(x), axis).shape)


def _flip(x: Any, axis: int | None = None) -> Any:
    axes = range(x.ndim) if axis is None else [axis % x.ndim]
    return x[tuple(slice(None, None, -1 if a in axes else 1) for a in range(x.ndim))]


_HANDLERS: dict[Any, Callable[..., Any]] = {
    np.dot: _dot,
    np.copyto: _copyto,
    np.put_along_axis: _put_along_axis,
    **{function: _in_place(function) for function in (np.put, np.place, np.fill_diagonal)},
    np.argsort: _argsort,
    np.bincount: _bincount,
    np.broadcast_to: _broadcast_to,
    np.take: _take,
    np.take_along_axis: _take_along_axis,
    np.split: _split,
    np.moveaxis: _moveaxis,
    np.expand_dims: _expand_dims,
    np.flip: _flip,
}
_OF_LISTS = {np.isin, np.convolve, np.correlate, np.interp, np.searchsorted, np.digitize}
"""What takes lists of numbers, which JAX's functions don't."""
_REFUSED = {
    **dict.fromkeys(
        ("unique", "unique_all", "unique_counts", "unique_inverse", "unique_values", "nonzero",
         "flatnonzero", "argwhere", "extract", "union1d", "intersect1d", "setdiff1d", "trim_zeros"),
        "its shape depends on the data: use masks and np.where, or np.bincount(x, minlength=n)",
    ),
    **dict.fromkeys(("partition", "argpartition"), "NumPy leaves an order open: use np.sort"),
    "putmask": "use np.copyto(x, array, where=mask)",
    "resize": "use np.tile, or x.reshape",
    "geomspace": "JAX gives NaN between signs: use np.exp(np.linspace(...))",
}  # fmt: skip
_OPTIONS = {f: {"symmetrize_input": False} for f in (np.linalg.eigh, np.linalg.eigvalsh)}
"""Options with which JAX's function is NumPy's."""
_METHODS = {np.transpose, np.ravel, np.reshape, np.swapaxes, np.squeeze, np.copy}
_LIKE = {np.zeros_like, np.ones_like, np.empty_like, np.full_like}
_OF_FORM = {
    np.shape, np.ndim, np.size, np.result_type, np.may_share_memory, np.shares_memory,
    np.iscomplexobj, np.isrealobj, np.can_cast,
}  # fmt: skip
"""What depends on shapes and dtypes only."""


def define() -> None:
    """Let recorded arrays answer NumPy's functions with those above."""
    Recorded.__array_ufunc__ = _array_ufunc
    Recorded.__array_function__ = _array_function
