"""A layer: maps a batch forward, and the gradient of the loss (delta) backward."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Sequence
from inspect import signature
from numbers import Integral
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.core.cached import Cached
from minigrad.core.parameters import Parameter, Parameters
from minigrad.data.arrays import Array, Shape, describe, fits, size_of
from minigrad.util.fields import option, options
from minigrad.util.names import check_name, join
from minigrad.util.options import check_bool, check_positive
from minigrad.util.random import RNG

if TYPE_CHECKING:
    from minigrad.graphs.symbol import Symbol

L = TypeVar("L", bound="Layer")
T = TypeVar("T")


@options
class Layer(Cached):
    """Base of all layers; a custom one defines `forward`, `backward`, and `build` if it needs one.

    Shapes exclude the batch axis. `forward` and `backward` return new arrays and never write to
    the arrays they are given.

    Parameters and sublayers stored as attributes, or in a list, tuple or dict that is one, are
    registered automatically: 'weight', 'factors_0', 'factors_gain'. For what lies deeper, override
    `own_parameters` or `children`. A custom container builds its layers with `build_once`, and runs
    each of them once a pass. Layers may hold the same `Parameter`.

    Args:
        name: the name in messages and in `model["name"]`; by default the type and a number.

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

    name: str = option(check_name, default="")
    input_shape: Shape | None = option(init=False, default=None)
    output_shape: Shape | None = option(init=False, default=None)
    batch_dependent = False
    """Whether a row's output depends on the other rows; such a model runs whole batches."""
    stochastic = False
    """Whether `forward` draws random numbers; such a model runs its row blocks in order."""
    transparent = False
    """Whether a model lists the children of this layer directly, without its name in the path."""
    stepwise = False
    """Whether the positions of a row are computed in sequence; such a model needs large blocks."""
    gives_probabilities = False
    """Whether outputs are probabilities, so that a loss that takes logits must not follow."""
    gives_mask = False
    """Whether the output is a mask, which only a graph can pass to a layer beside its input."""
    chooses_dtype = True
    """Whether the layer decides the dtype of its input; else another one that takes it does."""
    min_batch_size = 1
    """The fewest rows a batch may have in training."""
    buffers: tuple[str, ...] = option(init=False, default=())
    """Names of attributes that are arrays, saved with the model but not trained."""
    _frozen = False
    _factor = 1.0

    @override
    def _missing_hint(self) -> str:
        if self.output_shape is not None or self.own_parameters():
            return ""
        return (
            " before it is built: put it in Sequential([...], input_shape=...), or call "
            "build(input_shape, rng)"
        )

    def __call__(self, *inputs: Symbol | Sequence[Symbol], **unknown: object) -> Symbol:
        """Return the symbol of this layer's output for symbols, an `Input` or another layer's."""
        from minigrad.graphs.symbol import call

        return call(self, inputs, unknown)

    @property
    def output(self) -> Symbol:
        """The symbol of this layer's output in its model, of which a graph can be made."""
        from minigrad.graphs.symbol import output_of

        return output_of(self)

    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        """Create the parameters for this input shape, and return the output shape.

        A layer with several inputs gets a tuple of shapes, and `forward` several arrays.
        """
        return input_shape

    def forward(self, *inputs: Any, **options: Any) -> Array:
        """Return the output for a batch; with `training`, cache what `backward` needs.

        A subclass defines `forward(x, *, training=True)`, or `forward(a, b, *, training=True)` for
        several inputs. Type checkers accept both in place of this signature.
        """
        raise NotImplementedError(f"{self.label} must define forward(x, *, training=True)")

    def backward(self, delta: Array) -> Any:
        """Take dJ/doutput, assign each parameter's gradient, and return dJ/dinput.

        A layer with several inputs returns a tuple, with None for an input without a slope.
        """
        raise NotImplementedError(f"{self.label} must define backward(delta)")

    def backward_parameters(self, delta: Array) -> None:
        """Assign each parameter's gradient only; the first layer's dJ/dinput isn't needed."""
        self.backward(delta)

    def cast(self, x: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return a batch of numbers in the dtype that `forward` takes: the model's."""
        return x.astype(dtype, copy=False)

    def check_input(self, x: Array, input_shape: Shape | None = None) -> None:
        """Refuse a batch whose rows don't have this shape, by default the layer's `input_shape`."""
        if input_shape is None:
            input_shape = self.input_shape
            if input_shape is None:
                raise AttributeError(f"{self.label} has no input_shape{self._missing_hint()}")
        if (x.shape[1:] != input_shape and not fits(x.shape[1:], input_shape)) or not x.ndim:
            raise ValueError(
                f"{self.label} expects input of shape {describe(input_shape)}, got {x.shape}"
                + _reshape_hint(x.shape, input_shape)
            )

    def check_rows(self, x: Any, input_shape: Shape | None) -> Shape:
        """Return the input shape for data, and refuse another than the given one, if any."""
        if input_shape is not None:
            self.check_input(x, input_shape)
        shape: Shape = x.shape[1:]
        return shape

    def check_output(self, output: Array, rows: int) -> None:
        """Refuse an output that doesn't have the shape that `build` declared."""
        assert self.output_shape is not None
        expected = (rows, *self.output_shape)
        if output.shape != expected and not fits(output.shape, expected):
            raise ValueError(
                f"build of {self.label} declares output of shape {describe(self.output_shape)}, "
                f"but forward returned {output.shape} for {rows} rows: make the two agree"
            )

    def check_delta(self, delta: Array, shape: Shape) -> None:
        """Refuse a delta that doesn't have the shape of the output."""
        if (given := getattr(delta, "shape", type(delta).__name__)) != shape:
            raise ValueError(f"{self.label} expects delta of shape {shape}, got {given}")

    @property
    def label(self) -> str:
        """The type and name, for messages."""
        kind = type(self).__name__
        return f"{kind} '{self.name}'" if self.name else kind

    @property
    def trainable(self) -> bool:
        """Whether an optimizer may change the parameters; assign False to freeze the layer.

        Applies to sublayers too. A frozen layer still computes its gradients and passes delta on.
        """
        return not self._frozen

    @trainable.setter
    def trainable(self, value: bool) -> None:
        check_bool(value, "trainable", self.label)
        for _, layer in walk(self):
            layer._frozen = not value
            for _, parameter in layer.own_parameters():
                parameter.trainable = value

    @property
    def learning_rate_factor(self) -> float:
        """What an optimizer multiplies its learning rate by for the parameters; above 0.

        Applies to sublayers too. Pretrained layers often have a factor such as 0.1.
        """
        return self._factor

    @learning_rate_factor.setter
    def learning_rate_factor(self, value: float) -> None:
        value = check_positive(value, "learning_rate_factor", self.label)
        for _, layer in walk(self):
            layer._factor = value
            for _, parameter in layer.own_parameters():
                parameter.learning_rate_factor = value

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of several inputs; none for a single one."""
        return ()

    @property
    def stored(self) -> int:
        """How many numbers a training pass keeps for each row; blocks of rows are cut by it."""
        return size_of(self.output_shape or ())

    @property
    def children(self) -> list[Layer]:
        """The sublayers, each once."""
        return list({id(layer): layer for _, layer in find(self, Layer)}.values())

    def named_children(self) -> list[tuple[str, Layer]]:
        """Return (name, layer) for each of `children`; one without a name has its attribute's."""
        children = self.children
        if all([child.name for child in children]):
            return [(child.name, child) for child in children]
        attributes = {id(layer): name for name, layer in reversed([*find(self, Layer)])}
        return [
            (child.name or attributes.get(id(child), f"children_{i}"), child)
            for i, child in enumerate(children)
        ]

    @property
    def parameters(self) -> Parameters:
        """All parameters, those of sublayers included; RuntimeError before the layer is built."""
        self.check_built()
        holders: dict[Parameter, Layer] = {}
        for _, layer in walk(self):
            for _, p in layer.own_parameters():
                if holders.setdefault(p, layer) is not layer:
                    raise ValueError(
                        f"{layer.label} and {holders[p].label} share a parameter, and only a model "
                        f"adds up its gradients: put {self.label} in a Sequential or a Model"
                    )
        return Parameters(holders)

    def check_built(self) -> None:
        """Raise RuntimeError if the layer has no parameters yet."""
        if self.output_shape is None and not any(p for _, p in self.named_parameters()):
            raise RuntimeError(
                f"{self.label} isn't built yet, so it has no parameters: pass input_shape= to the "
                "model, or call build(input_shape, rng)"
            )

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield (path, parameter), such as ('dense_1.weight', ...); a layer's own come first."""
        for path, layer in walk(self):
            for attribute, parameter in layer.own_parameters():
                yield join(path, attribute), parameter

    def own_parameters(self) -> list[tuple[str, Parameter]]:
        """Return (attribute, parameter) for the parameters of this layer without its sublayers."""
        return list(find(self, Parameter))

    @override
    def __repr__(self) -> str:
        from minigrad.util.repr import pretty

        return pretty(self)


def walk(layer: Layer, path: str = "") -> Iterator[tuple[str, Layer]]:
    """Yield (path, layer) for a layer and all layers inside it, each once.

    `path` is the path of `layer` itself; a path is the names on the way, joined by dots.
    """
    waiting, seen = [(path, layer)], set[int]()
    while waiting:
        path, layer = waiting.pop()
        if id(layer) not in seen:
            seen.add(id(layer))
            yield path, layer
            below = [(join(path, name), child) for name, child in layer.named_children()]
            waiting.extend(reversed(below))


def find(layer: object, kind: type[T]) -> Iterator[tuple[str, T]]:
    """Yield (name, object) for the attributes of a kind, those in lists, tuples, dicts included."""
    for name, value in vars(layer).items():
        if isinstance(value, kind):
            yield name, value
        elif isinstance(value, (list, tuple, dict)):
            for key, item in _items(value):
                if isinstance(item, kind):
                    yield f"{name}_{key}", item


def contents(layer: object) -> Iterator[tuple[Any, Any, object]]:
    """Yield (container, key, object) for all parameters and sublayers, and for what holds them."""
    for name, value in vars(layer).items():
        if isinstance(value, (Layer, Parameter)):
            yield vars(layer), name, value
        elif isinstance(value, (list, tuple, dict)):
            inside = [(value, key, item) for key, item in _items(value)]
            found = [place for place in inside if isinstance(place[2], (Layer, Parameter))]
            yield from [(vars(layer), name, value), *found] if found else ()


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value)


def replica(layer: L) -> L:
    """Return a copy that shares the layer's values, and has gradients and caches of its own."""
    parameters = layer.parameters
    return copy.deepcopy(layer, dict(zip(map(id, parameters), parameters.replicas(), strict=True)))


def build_once(layer: Layer, input_shape: Shape, rng: RNG) -> Shape:
    """Build a layer for its input shape, unless it is built, and return its output shape."""
    if not isinstance(layer, Layer):
        raise TypeError(f"a layer holds {layer!r} in place of a layer: assign an object")
    if layer.output_shape is not None:
        if layer.input_shape != input_shape:
            raise ValueError(
                f"{layer.label} was built for input of shape {layer.input_shape} and gets "
                f"{input_shape} here: make a new layer"
            )
        return layer.output_shape
    if len(signature(layer.build).parameters) < 2:
        raise TypeError(f"{layer.label} expects build(self, input_shape, rng): add the rng")
    taken = signature(layer.forward)
    options = [p for p in taken.parameters.values() if p.kind is p.VAR_KEYWORD]
    if not options and "training" not in taken.parameters:
        raise TypeError(
            f"{layer.label} expects forward(self, x, *, training=True), got forward{taken}: add "
            "training"
        )
    output_shape: Any = layer.build(input_shape, rng)
    if not isinstance(output_shape, dict):  # of a graph with several outputs
        output_shape = _as_shape(output_shape, layer.label)
    layer.input_shape, layer.output_shape = input_shape, output_shape
    for _, parameter in layer.own_parameters():
        if layer._frozen:
            parameter.trainable = False
        if layer._factor != 1:
            parameter.learning_rate_factor = layer._factor
    return output_shape  # type: ignore[no-any-return]


def _as_shape(shape: Any, owner: str) -> Shape:
    if not isinstance(shape, tuple) or not all(isinstance(n, (Integral, NoneType)) for n in shape):
        raise TypeError(
            f"build of {owner} must return its output shape, a tuple of int without the batch "
            f"axis, got {shape!r}"
        )
    return tuple(n if n is None else int(n) for n in shape)


def _reshape_hint(shape: Shape, input_shape: Shape) -> str:
    if shape == input_shape:
        way = ": a single row needs a batch axis, x[np.newaxis]"
        if len(shape) > 1:
            way += f"; if {shape[0]} is the batch size, pass input_shape={shape[1:]}"
        return way
    if len(shape) == 1 and input_shape == (1,):
        return ": give each row its one feature, x.reshape(-1, 1)"
    if input_shape[:1] == (None,) != input_shape and shape[1:] == input_shape[1:]:
        return f": leave the batch axis out of input_shape, {input_shape[1:]}"
    if len(shape) > 2 and input_shape == (math.prod(shape[1:]),):
        return ": put Flatten() first, or pass x.reshape(len(x), -1)"
    return ""
