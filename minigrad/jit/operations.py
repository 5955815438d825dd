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
    """Return x with new numbers at a key."""
    return x.at[key].set(new)


class Start(int):
    """Where a part begins; it may be computed, as in a loop."""


def part(x: Any, starts: Any, lengths: Any, steps: Any, shape: tuple[int, ...]) -> Any:
    """Return x[start : start + length * step : step, ...] in a shape.

    >>> part(jnp.arange(5.0), [3], (2,), (-2,), (2,)).tolist()
    [3.0, 1.0]
    """
    lows, spans, strides, reversed_axes = _span(starts, lengths, steps)
    found = jax.lax.dynamic_slice(x, lows, spans)
    if max(strides, default=1) > 1:
        found = jax.lax.slice(found, [0] * x.ndim, spans, strides)
    return jax.lax.rev(found, reversed_axes).reshape(shape)


def put_part(x: Any, starts: Any, lengths: Any, steps: Any, new: Any) -> Any:
    """Return x with new numbers in a part; slices are faster than a scatter.

    >>> put_part(jnp.zeros(4), [0], (2,), (2,), jnp.ones(2)).tolist()
    [1.0, 0.0, 1.0, 0.0]
    """
    lows, spans, strides, reversed_axes = _span(starts, lengths, steps)
    new = jax.lax.rev(new.reshape(lengths), reversed_axes)
    if new.shape == x.shape or 0 in lengths:
        return x if 0 in lengths else new
    if max(strides, default=1) > 1:
        new = jax.lax.pad(new, jnp.zeros((), x.dtype), [(0, 0, stride - 1) for stride in strides])
        hit = np.zeros(spans, bool)
        hit[tuple(slice(None, None, stride) for stride in strides)] = True
        new = jnp.where(hit, new, jax.lax.dynamic_slice(x, lows, spans))
    return jax.lax.dynamic_update_slice(x, new, lows)


def _span(starts: Any, lengths: Any, steps: Any) -> tuple[Any, list[int], list[int], list[int]]:
    """Return the lowest index, the span and the stride on each axis, and the reversed axes."""
    axes = [*zip(starts, lengths, steps, strict=True)]
    lows = [start + min(0, (length - 1) * step) for start, length, step in axes]
    spans = [(length - 1) * abs(step) + 1 if length else 0 for _, length, step in axes]
    strides = [abs(step) if length > 1 else 1 for _, length, step in axes]
    return lows, spans, strides, [i for i, (_, _, step) in enumerate(axes) if step < 0]


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
