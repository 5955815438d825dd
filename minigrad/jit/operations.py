"""What the instructions of a program do with JAX's arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.special
import numpy as np


def given(number: int) -> Any:
    """Mark an input; the program takes it from its arguments."""
    raise NotImplementedError


def leaves(tree: Any) -> list[Any]:
    """Return the arrays of a tuple, list or dict, which may be nested."""
    return jax.tree.leaves(tree)  # type: ignore[no-any-return]


def same(ok: Any, guard: Any, outcome: bool) -> Any:
    """Return whether a branch, and those before it, are the recorded ones."""
    return ok & (jnp.reshape(guard, ()).astype(bool) == outcome)


def fitted(result: Any, shape: tuple[int, ...], dtype: np.dtype[Any] | None) -> Any:
    """Return a result with the shape and dtype that NumPy's has."""
    result = jnp.asarray(result)
    if dtype is not None and result.dtype != dtype:
        result = result.astype(dtype)
    return result if result.shape == shape else result.reshape(shape)


def constant(c: np.ndarray[Any, Any]) -> Any:
    """Return an array of numbers that don't change."""
    return jnp.asarray(c)


def full(shape: tuple[int, ...], number: Any) -> Any:
    """Return an array of one number."""
    return jnp.full(shape, number)


def copied(x: Any) -> Any:
    """Return the same: arrays of JAX don't change."""
    return x


def converted(x: Any, dtype: str) -> Any:
    """Return x in another dtype."""
    return jnp.asarray(x).astype(dtype)


def item(results: Any, number: int) -> Any:
    """Return one of several results."""
    return results[number]


def apply(name: str, dtypes: tuple[str, ...], *inputs: Any) -> Any:
    """Return what a ufunc gives for inputs in these dtypes, those in which NumPy computes."""
    values = [jnp.asarray(x).astype(dtype) for x, dtype in zip(inputs, dtypes, strict=True)]
    return ufunc(name)(*values)


def ufunc(name: str) -> Callable[..., Any]:
    """Return JAX's function for the name of a ufunc, of NumPy or of SciPy."""
    found: Callable[..., Any] | None = getattr(jnp, name, None)
    return found or getattr(jax.scipy.special, name, None) or _none(name)


def _none(name: str) -> Any:
    raise NotImplementedError(f"there is no JAX function '{name}'")


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "add": jnp.sum,
    "multiply": jnp.prod,
    "maximum": jnp.max,
    "minimum": jnp.min,
    "logical_and": jnp.all,
    "logical_or": jnp.any,
    "bitwise_and": jnp.all,
    "bitwise_or": jnp.any,
}


def reduce(name: str, dtype: str, x: Any, **options: Any) -> Any:
    """Return a ufunc's reduction of x over axes, computed in a dtype."""
    return _REDUCTIONS[name](jnp.asarray(x).astype(dtype), **options)


def ufunc_method(name: str, method: str, *inputs: Any, **options: Any) -> Any:
    """Return what another method of a ufunc gives: accumulate, outer, reduceat."""
    return getattr(ufunc(name), method)(*inputs, **options)


def assigned(
    new: Any, shape: tuple[int, ...], dtype: np.dtype[Any], old: Any = None, mask: Any = None
) -> Any:
    """Return an array after a write of new numbers to all elements, or to those of a mask."""
    new = jnp.broadcast_to(jnp.asarray(new).astype(dtype), shape)
    return new if mask is None else jnp.where(mask, new, old)


def index(x: Any, key: Any) -> Any:
    """Return x[key]."""
    return x[key]


def put(x: Any, key: Any, new: Any) -> Any:
    """Return x with new numbers at a key: by slices where it can, which is faster than a scatter.

    >>> put(jnp.zeros(4), slice(0, 4, 2), jnp.ones(2)).tolist()
    [1.0, 0.0, 1.0, 0.0]
    """
    keys = key if isinstance(key, tuple) else (key,)
    if not all(k is None or k is Ellipsis or isinstance(k, (int, slice)) for k in keys):
        return x.at[key].set(new)
    missing = x.ndim - sum(k is not None and k is not Ellipsis for k in keys)
    if Ellipsis not in keys:
        keys = (*keys, Ellipsis)
    at = keys.index(Ellipsis)
    keys = (*keys[:at], *[slice(None)] * missing, *keys[at + 1 :])
    starts, shape, reversed_axes, steps = (list[int]() for _ in range(4))
    for length, k in zip(x.shape, (k for k in keys if k is not None), strict=True):
        numbers = range(length)[k] if isinstance(k, slice) else range(k % length, k % length + 1)
        if numbers.step < 0:
            reversed_axes.append(len(starts))
            numbers = numbers[::-1]
        starts.append(numbers.start)
        shape.append(len(numbers))
        steps.append(numbers.step)
    new = jax.lax.rev(new.reshape(shape), reversed_axes)
    if new.shape == x.shape:
        return new
    if set(steps) <= {1}:
        return jax.lax.dynamic_update_slice(x, new, starts)
    padding, mask = [], np.ones([1] * x.ndim, bool)
    for axis, (start, count, step, length) in enumerate(
        zip(starts, shape, steps, x.shape, strict=True)
    ):
        step = step if count > 1 else 1
        padding.append((start, length - start - (count - 1) * step - 1, step - 1))
        hit = np.zeros(length, bool)
        hit[start : start + (count - 1) * step + 1 : step] = True
        mask = mask & hit.reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    return jnp.where(mask, jax.lax.pad(new, jnp.zeros((), x.dtype), padding), x)


def elements(x: Any, numbers: Any) -> Any:
    """Return the elements of some numbers, counted through x."""
    return jnp.reshape(x, -1)[numbers]


def put_elements(x: Any, numbers: Any, new: Any) -> Any:
    """Return x with new elements at some numbers."""
    return jnp.reshape(x, -1).at[numbers].set(new).reshape(x.shape)


def put_at(x: Any, key: Any, change: str, *new: Any) -> Any:
    """Return x after a ufunc's `at`: "add", "multiply", "max" or "min" at each index in turn."""
    if change == "subtract":
        change, new = "add", (-new[0],)
    return getattr(x.at[key], change)(*new)


def reshape(x: Any, shape: tuple[int, ...], order: str) -> Any:
    """Return x in another shape."""
    return jnp.reshape(x, shape, order=order)


def reshaped(_: Any, shape: tuple[int, ...], order: str, new: Any) -> Any:
    """Return an array after a write through a view of another shape."""
    return jnp.reshape(new, shape, order=order)


def transpose(x: Any, axes: tuple[int, ...]) -> Any:
    """Return x with its axes in another order."""
    return jnp.transpose(x, axes)


def transposed(_: Any, axes: tuple[int, ...], new: Any) -> Any:
    """Return an array after a write through its transpose."""
    return jnp.transpose(new, axes)


def bitcast(x: Any, dtype: str, new: Any = None) -> Any:
    """Return the same bytes in another dtype."""
    return jax.lax.bitcast_convert_type(x if new is None else new, np.dtype(dtype))


_WIDE = 128
"""From so many rows and columns on, a product is as fast either way, but not what reads it."""


def flipped_dot(a: Any, b_transposed: Any) -> Any:
    """Return a b, for a b that is given transposed.

    A product with few rows or columns is computed as (b^T a^T)^T: XLA is faster with rows first.
    The barrier keeps XLA from undoing it.
    """
    if min(len(a), len(b_transposed)) >= _WIDE:
        return jnp.dot(a, b_transposed.T)
    return jax.lax.optimization_barrier(jnp.dot(b_transposed, a.T)).T


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Return rows of x; negative indices count from the end."""
    return jnp.take(x, indices, axis=axis, mode="wrap")


def put_along_axis(x: Any, indices: Any, new: Any, axis: int) -> Any:
    """Return x after NumPy's function of this name."""
    return jnp.put_along_axis(x, indices, new, axis, inplace=False)
