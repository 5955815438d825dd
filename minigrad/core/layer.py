"""A layer: maps a batch forward, and the loss's gradient (delta) back."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from numbers import Integral
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from typing_extensions import override

from minigrad.core.cached import Cached
from minigrad.core.held import held
from minigrad.core.parameters import Parameter, Parameters
from minigrad.data.arrays import Array, Shape, describe
from minigrad.util.config import Configurable
from minigrad.util.names import join
from minigrad.util.random import RNG
from minigrad.util.repr import pretty

L = TypeVar("L", bound="Layer")


class Layer(Cached):
    """Base of all layers; a custom one defines `forward`, `backward`, and `build` if it must.

    Shapes exclude the batch axis. What `forward` and `backward` return is new, and what they were
    given is not written to.

    Parameters and layers are found by themselves where they are attributes, or in a list, tuple or
    dict that is one: each parameter goes by its attribute, with its place or key in 'factors_0'
    and 'factors_gain', and so does a layer that has no name. What lies deeper, as in a list of
    lists, is found only if `own_parameters` or `children` is overridden to return it.

    A container of one's own builds the layers in it by `minigrad.core.layer.connect`, and runs
    each once a pass. Where they share a `Parameter`, it adds up the gradients that they assign, as
    `Chain` and `Parallel` do: otherwise the last one's stays, which `check_gradients` shows.

    Args:
        name: what messages and `model["name"]` call it; by default its type and a number.

    A layer that multiplies each feature by a factor it learns:

    >>> import numpy as np
    >>> class Scale(Layer):
    ...     def build(self, input_shape, rng):
    ...         self.factor = Parameter(np.ones(input_shape))
    ...         return input_shape
    ...     def forward(self, x, *, training=True):
    ...         if training:
    ...             self.cache = x
    ...         return x * self.factor.value
    ...     def backward(self, delta):
    ...         self.factor.grad = (delta * self.cache).sum(axis=0)
    ...         return delta * self.factor.value
    >>> scale = Scale()
    >>> scale.build((2,), np.random.default_rng(0))
    (2,)
    >>> scale.forward(np.array([[1.0, 2.0]]))
    array([[1., 2.]])
    """

    name: str = ""
    input_shape: Shape | None = None
    output_shape: Shape | None = None
    batch_dependent: bool = False
    """True where a row's output depends on other rows; such a model runs whole batches."""
    stochastic: bool = False
    """True where `forward` draws random numbers; such a model runs its row blocks in order."""
    min_batch_size: int = 1
    """The fewest rows that a batch must have in training."""
    buffers: tuple[str, ...] = ()
    """Names of attributes that are arrays, not trained, and saved with the model."""
    _frozen: bool = False

    def __init__(self, *, name: str = "") -> None:
        self.name = name

    @override
    def _way_to(self, name: str) -> str:
        if self.output_shape is not None or self.own_parameters():
            return ""
        return (
            " before it is built: put it in Sequential([...], input_shape=...), or call "
            "build(input_shape, rng)"
        )

    if not TYPE_CHECKING:  # a type checker says itself that a layer can't be called

        def __call__(self, *args: Any, **options: Any) -> NoReturn:
            """Say what to call in its place."""
            way = "model.predict(x), or " if hasattr(self, "predict") else ""
            raise TypeError(f"{self.label} is no function: call {way}forward(x) to go on by hand")

    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        """Make the parameters for this input shape, and return the output shape."""
        return input_shape

    def forward(self, x: Array, *, training: bool = True) -> Array:
        """Return the output for a batch; with `training`, remember what `backward` needs."""
        raise NotImplementedError(f"{self.label} must define forward(x, *, training=True)")

    def backward(self, delta: Array) -> Array:
        """Take dJ/doutput, assign each parameter's gradient, and return dJ/dinput."""
        raise NotImplementedError(f"{self.label} must define backward(delta)")

    def backward_parameters(self, delta: Array) -> None:
        """Assign each parameter's gradient; nobody needs dJ/dinput."""
        self.backward(delta)

    def check_input(self, x: Array, row_shape: Shape) -> None:
        """Refuse a batch whose rows don't have this shape.

        >>> import numpy as np
        >>> Layer(name="first").check_input(np.zeros((32, 63)), (64,))
        Traceback (most recent call last):
        ...
        ValueError: Layer 'first' expects input of shape (batch, 64), got (32, 63)
        """
        if x.shape[1:] != row_shape or not x.ndim:
            raise ValueError(
                f"{self.label} expects input of shape {describe(row_shape)}, got {x.shape}"
                + _way_out(x.shape, row_shape)
            )

    def check_delta(self, delta: Array, shape: Shape) -> None:
        """Refuse a delta that doesn't have the shape of the output.

        >>> import numpy as np
        >>> Layer(name="first").check_delta(np.zeros((8, 1)), (8, 3))
        Traceback (most recent call last):
        ...
        ValueError: Layer 'first' expects delta of shape (8, 3), got (8, 1)
        """
        if delta.shape != shape:
            raise ValueError(f"{self.label} expects delta of shape {shape}, got {delta.shape}")

    @property
    def label(self) -> str:
        """Its type and name, as messages give them."""
        kind = type(self).__name__
        return f"{kind} '{self.name}'" if self.name else kind

    @property
    def trainable(self) -> bool:
        """Whether an optimizer may change its parameters; to assign False freezes them.

        It holds for the layers inside as well, and for those of a layer that isn't built yet. A
        frozen layer still computes its gradients, and passes delta on.
        """
        return not self._frozen

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for _, layer in walk(self):
            layer._frozen = not value
            for _, parameter in layer.own_parameters():
                parameter.trainable = value

    @property
    def children(self) -> list[Layer]:
        """The layers that are attributes of this one, or in a list, tuple or dict; each once."""
        return list({id(layer): layer for _, layer in held(self, Layer)}.values())

    @property
    def parameters(self) -> Parameters:
        """All parameters, its children's too, in one flat vector.

        Raises:
            RuntimeError: it isn't built yet.
        """
        self.check_built()
        return Parameters(p for _, p in self.named_parameters())

    def check_built(self) -> None:
        """Refuse to go on without parameters."""
        if self.output_shape is None and not any(p for _, p in self.named_parameters()):
            raise RuntimeError(
                f"{self.label} isn't built yet, so it has no parameters: pass input_shape= to the "
                "model, or call build(input_shape, rng)"
            )

    def tie(self) -> None:
        """Find out which parameters its children share; a container adds up their gradients."""

    @override
    def __repr__(self) -> str:
        return pretty(self)

    def named_children(self) -> list[tuple[str, Layer]]:
        """Return (name, layer) for each of `children`; one without a name goes by its attribute."""
        children = self.children
        if all([child.name for child in children]):
            return [(child.name, child) for child in children]
        places = {id(layer): name for name, layer in reversed([*held(self, Layer)])}
        return [
            (child.name or places.get(id(child), f"children_{i}"), child)
            for i, child in enumerate(children)
        ]

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield (path, parameter), such as ('dense_1.weight', ...), in order.

        A layer's own come before its children's; a shared one comes once for each place.
        """
        for path, layer in walk(self):
            for attribute, parameter in layer.own_parameters():
                yield join(path, attribute), parameter

    def own_parameters(self) -> list[tuple[str, Parameter]]:
        """Return (attribute, parameter) for this layer's own parameters, not its children's.

        Those in a list, tuple or dict are named by place or key, as in 'factors_0'.
        """
        return list(held(self, Parameter))


def walk(layer: Layer, path: str = "") -> Iterator[tuple[str, Layer]]:
    """Yield (path, layer) for a layer and all below it, each once; its own path is `path`.

    Paths are of names; a layer that has none goes by the attribute that holds it.
    """
    waiting, seen = [(path, layer)], set[int]()
    while waiting:
        path, layer = waiting.pop()
        if id(layer) not in seen:
            seen.add(id(layer))
            yield path, layer
            below = [(join(path, name), child) for name, child in layer.named_children()]
            waiting.extend(reversed(below))


def replica(layer: L) -> L:
    """Return a copy that shares the layer's values, and has gradients and caches of its own.

    A model's replica shares its optimizer, loss and history too.
    """
    parameters = layer.parameters
    memo: dict[int, Any] = dict(zip(map(id, parameters), parameters.twins(), strict=True))
    for value in vars(layer).values():
        inside = value.values() if isinstance(value, dict) else [value]
        if isinstance(value, (Configurable, dict)) and not any(
            isinstance(item, (Layer, Parameter)) for item in inside
        ):
            memo[id(value)] = value
    return copy.deepcopy(layer, memo)


def features(layer: Layer, input_shape: Shape) -> int:
    """Return the length of a row's last axis, for a layer that works along it.

    Raises:
        ValueError: the rows are single numbers.
    """
    if not input_shape:
        raise ValueError(
            f"{layer.label} works along the last axis of each row, and its rows are single "
            "numbers: reshape x to (batch, 1)"
        )
    return input_shape[-1]


def connect(layer: Layer, input_shape: Shape, rng: RNG) -> Shape:
    """Build a layer for its place in a network, once, and return its output shape.

    Raises:
        ValueError: it was built for another input shape.
        TypeError: its `build` returns no shape.
    """
    if layer.output_shape is not None:
        if layer.input_shape != input_shape:
            raise ValueError(
                f"{layer.label} was built for input of shape {layer.input_shape} and is given "
                f"{input_shape} here: make a new layer"
            )
        return layer.output_shape
    output_shape = layer.build(input_shape, rng)
    whole = isinstance(output_shape, tuple) and all(isinstance(n, Integral) for n in output_shape)
    if not whole:
        raise TypeError(
            f"build of {layer.label} must return its output shape, a tuple of int without the "
            f"batch axis; got {output_shape!r}"
        )
    output_shape = tuple(map(int, output_shape))
    layer.input_shape, layer.output_shape = input_shape, output_shape
    if layer._frozen:
        for _, parameter in layer.own_parameters():
            parameter.trainable = False
    return output_shape


def _way_out(shape: Shape, row_shape: Shape) -> str:
    if shape == row_shape:
        return ": one row is a batch too, x[np.newaxis]"
    if len(shape) == 1 and row_shape == (1,):
        return ": give each row its one feature, x.reshape(-1, 1)"
    return ""
