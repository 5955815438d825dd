"""A function and its derivative as a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.data.arrays import Array, Shape
from minigrad.util.config import register
from minigrad.util.fields import option, options
from minigrad.util.names import kind_of
from minigrad.util.random import RNG

Function: TypeAlias = Callable[..., Any]
_LENGTHS = 5, 6
"""Two lengths in place of one that varies, with which `build` tries the function."""


def check_function(value: Any, name: str, owner: object) -> Function:
    """Return a function."""
    if not callable(value):
        raise TypeError(
            f"{type(owner).__name__} expects a function as {name}, got {kind_of(value)}"
        )
    return value  # type: ignore[no-any-return]


@register
@options
class Lambda(Layer):
    """h = forward(x), and dJ/dx = backward(delta, x), for functions without parameters.

    With several inputs these are forward(a, b) and backward(delta, a, b), which returns a tuple.
    The functions work on a batch, return new arrays, and don't write to those they get. `build`
    finds the output shape by calling `forward` on ones. `check_layer` tests the derivative.

    A file can't hold code. Of a function with a name it holds the name, for
    `minigrad.load(path, custom_objects={"name": function})`; a lambda can't be saved. A registered
    `Layer` with these methods has no such limits.

    Raises:
        TypeError: `forward` or `backward` isn't a function, or there is no `backward`.

    >>> square = Lambda(lambda x: x**2, lambda delta, x: 2 * x * delta)
    >>> square.build((2,), np.random.default_rng(0))
    (2,)
    >>> square.forward(np.array([[3.0, 4.0]])), square.backward(np.array([[1.0, 10.0]]))
    (array([[ 9., 16.]]), array([[ 6., 80.]]))
    """

    function: Function = option(check_function, kw_only=False)
    """The function of a batch, or of several inputs."""
    derivative: Function | None = option(check_function, default=None, kw_only=False)
    """The function of (delta, x) that returns dJ/dx: minigrad has no automatic differentiation."""

    @override
    def __post_init__(self) -> None:
        if self.derivative is None:
            raise TypeError(
                f"{self.label} expects a second function, backward(delta, x), which returns dJ/dx, "
                "got none: minigrad has no automatic differentiation"
            )

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        several = bool(input_shape) and isinstance(input_shape[0], tuple)
        shapes = input_shape if several else (input_shape,)
        made = []
        for length in _LENGTHS:
            rows = [np.ones((2, *(n or length for n in shape))) for shape in shapes]
            with np.errstate(all="ignore"):
                made.append(np.shape(self.function(*rows)))
        if made[0][:1] != (2,) or len(made[0]) != len(made[1]):
            raise ValueError(
                f"{self.label} expects a function that keeps the rows of a batch, got an output of "
                f"shape {made[0]} for 2 rows of shape {input_shape}"
            )
        pairs = zip(made[0][1:], made[1][1:], strict=True)
        return tuple(n if n == other else None for n, other in pairs)

    @override
    def forward(self, *inputs: Array, training: bool = True) -> Array:
        h: Array = self.function(*inputs)
        if training:
            self.cache = inputs, h.shape
        return h

    @override
    def backward(self, delta: Array) -> Any:
        inputs, shape = self.cache
        self.check_delta(delta, shape)
        assert self.derivative is not None
        return self.derivative(delta, *inputs)

    @override
    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if any(getattr(f, "__name__", "<lambda>") == "<lambda>" for f in self._functions):
            raise TypeError(
                f"{self.label} can't be saved, since a file holds no code: write a Layer with "
                "@minigrad.register, or functions with names, and pass these to "
                "load(custom_objects=...); save_weights works"
            )
        return config

    @override
    def repr_arguments(self) -> list[tuple[str, Any]]:
        functions = [("", _Name(getattr(f, "__name__", "<function>"))) for f in self._functions]
        return [*functions, *([("name=", self.name)] if self.name else [])]

    @property
    def _functions(self) -> tuple[Function | None, ...]:
        return self.function, self.derivative


class _Name(str):
    """A name that a repr shows without quotes."""

    __slots__ = ()

    @override
    def __repr__(self) -> str:
        return str(self)
