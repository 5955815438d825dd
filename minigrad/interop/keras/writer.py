"""A model as a Keras model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Any

import keras

import minigrad as mg
from minigrad.core.layer import Layer, walk
from minigrad.interop.keras.layers import LAYERS, Tensor, cells_of
from minigrad.interop.layouts import KERAS, Part, split_arrays, split_state, weights_of
from minigrad.interop.models import (
    CONTAINERS,
    MERGES,
    check_built,
    check_trainable,
    integer_inputs,
    kind_of_layer,
)


def to_keras(model: mg.Model) -> Any:
    """Return the model as a functional Keras model with the same weights and dtype.

    Layers have the names of their paths here, with underscores. Dropout draws other numbers than
    here. Keras's BatchNormalization has a biased running variance, and its GRU trains two biases
    for one of ours, so that training goes on a little differently there.

    Raises:
        RuntimeError: the model isn't built.
        TypeError: `model` isn't a model, or Keras has no layer for one of its layers.
        ValueError: an option of a layer that Keras lacks.

    >>> model = mg.Sequential([mg.Dense(3, "relu"), mg.Dense(1)], input_shape=(2,), rng=0)
    >>> [layer.name for layer in to_keras(model).layers]
    ['input', 'dense_1', 'dense_1_relu', 'dense_2']
    """
    return _converted(model, "to_keras")[0]


def to_keras_training(model: mg.Model) -> tuple[Any, Any]:
    """Return the Keras model of a compiled model, and its optimizer with its state.

    Both make the same next steps, but for rounding. Only SGD is defined alike; Keras adds epsilon
    at another place in the adaptive optimizers, and multiplies weights by the decay itself.

    Raises:
        RuntimeError: the model isn't compiled.
        ValueError: another optimizer, weight decay, clipping, a regularizer or a schedule.
        TypeError and others: see `to_keras`.
    """
    there, writer = _converted(model, "to_keras_training")
    ours = check_trainable(model, "to_keras_training")
    plain = type(ours) is mg.SGD and isinstance(ours.learning_rate, float)
    if not plain or ours.weight_decay or ours.clip_norm or ours.clip_value:
        raise ValueError(
            f"to_keras_training expects SGD without a schedule, weight decay and clipping, got "
            f"{ours!r}: compile what to_keras returns with an optimizer of Keras"
        )
    optimizer = keras.optimizers.SGD(
        ours.learning_rate, momentum=ours.momentum, nesterov=ours.nesterov
    )
    optimizer.build(there.trainable_variables)
    optimizer.iterations.assign(ours.steps)
    if "velocity" in ours.state:
        for variable, momentum in zip(there.trainable_variables, optimizer.momentums, strict=True):
            velocity = split_state(model, ours.state["velocity"], writer.parts[id(variable)])
            momentum.assign(-ours.learning_rate * velocity)
    return there, optimizer


def _converted(model: mg.Model, function: str) -> tuple[Any, _Writer]:
    shapes = check_built(model, function)
    integers = integer_inputs(model, shapes)
    inputs = {
        name: keras.Input(shape, name=name, dtype="int64" if name in integers else model.dtype.name)
        for name, shape in shapes.items()
    }
    writer = _Writer(model)
    outputs = writer.write(model, *inputs.values())
    given = inputs if len(inputs) > 1 else next(iter(inputs.values()))
    return keras.Model(given, outputs, name=model.name or None), writer


class _Writer:
    """Calls a Keras layer for each layer of a model."""

    def __init__(self, model: mg.Model) -> None:
        self._dtype = model.dtype.name
        self._names = {id(n): path.replace(".", "_") for path, n in walk(model)}
        self._made: dict[Any, Any] = {}
        self.parts: dict[int, list[Part]] = {}
        """The parts of each variable, by its id."""

    def options(self, layer: Layer, suffix: str = "") -> dict[str, Any]:
        return {"name": f"{self._names[id(layer)]}{suffix}", "dtype": self._dtype}

    def write(self, layer: Any, *inputs: Tensor) -> Any:
        """Return the output of a layer, or those of a graph by name."""
        kind = kind_of_layer(layer)
        if kind in _AROUND:
            return _AROUND[kind](self, layer, *inputs)
        if kind not in LAYERS:
            raise TypeError(f"to_keras expects layers that Keras has, got {layer.label}")
        row = LAYERS[kind]
        call = partial(self._call, layer, row.kind, **row.theirs(layer))
        return row.to(self, layer, call, *inputs) if row.to else call(*inputs)

    def _call(
        self, layer: Any, kind: Any, /, *inputs: Tensor, how: Any = None, **options: Any
    ) -> Tensor:
        """Return the output of a Keras layer with the weights of a layer, and its activation."""
        shared = tuple(id(p.source) for _, p in layer.named_parameters())
        key = (kind, *shared) if shared else layer
        there = self._made.get(key)
        if there is None:
            there = self._made[key] = kind(**self.options(layer), **options)
        output = there(*([[*inputs]] if type(layer) in MERGES else inputs), **(how or {}))
        for owner, cell in cells_of(layer, there):
            for name, (array, parts) in split_arrays(owner, weights_of(owner, KERAS)).items():
                variable = attrgetter(name)(cell)
                variable.assign(array)
                self.parts[id(variable)] = parts
        there.trainable = layer.trainable
        if getattr(layer, "activation", None) is not None:
            output = self.write(layer.activation, output)
        return output

    def merge(self, layer: Layer, how: str, values: list[Tensor]) -> Tensor:
        """Return the merged outputs of a layer's branches."""
        kinds = {word: LAYERS[kind].kind for kind, word in MERGES.items()}
        return kinds[how](**self.options(layer))(values) if len(values) > 1 else values[0]


def _residual(to: _Writer, layer: mg.Residual, x: Tensor) -> Tensor:
    return to.merge(layer, "add", [x, to.write(layer.layer, x)])


def _parallel(to: _Writer, layer: mg.Parallel, x: Tensor) -> Tensor:
    return to.merge(layer, layer.merge, [to.write(inner, x) for inner in layer.layers])


_AROUND: dict[type[Layer], Callable[..., Any]] = {
    **CONTAINERS,
    mg.Residual: _residual,
    mg.Parallel: _parallel,
}
"""For layers around others a function of (writer, layer, *tensors)."""
