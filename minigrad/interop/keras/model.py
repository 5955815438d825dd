"""A model as a Keras model, and back."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from operator import attrgetter
from typing import Any

import keras
import numpy as np

import minigrad as mg
from minigrad.core.layer import Layer, walk
from minigrad.data.arrays import Array
from minigrad.graphs.graph import Graph
from minigrad.interop.keras.layers import ACTIVATIONS, LAYERS, Tensor, cells_of, layer_of
from minigrad.interop.layouts import (
    KERAS,
    Part,
    array_of,
    join_state,
    split_arrays,
    split_state,
    weights_of,
)
from minigrad.interop.models import (
    CONTAINERS,
    MERGES,
    check_built,
    check_inner_dropout,
    check_masks,
    check_states,
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


LISTED = {*MERGES, mg.Dot}
"""Layers whose inputs Keras takes in a list."""


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
        if kind in CONTAINERS:
            return CONTAINERS[kind](self, layer, *inputs)
        for one in (layer, *layer.children):
            for check in (check_states, check_masks, check_inner_dropout):
                check(one, "to_keras")
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
        output = there(*([[*inputs]] if type(layer) in LISTED else inputs), **(how or {}))
        for owner, cell in cells_of(layer, there):
            for name, (array, parts) in split_arrays(owner, KERAS).items():
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


def from_keras(model: Any, *, loss: Any = None, rng: Any = None) -> mg.Model:
    """Return a model with the layers, the weights and the dtype of a Keras model.

    Args:
        model: a built `keras.Sequential` or functional model. It isn't changed.
        loss: compiles the model with it and with the SGD of the Keras model, with its state.
        rng: of the model; see `Model`.

    Raises:
        TypeError: another object, a layer without a counterpart, or a model that isn't built.
        ValueError: an option that minigrad lacks, or another optimizer than SGD.

    >>> from_keras(keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, "relu")]))
    Sequential([Dense(3), ReLU()], input_shape=(2,), dtype='float32')
    """
    if not isinstance(model, keras.Model) or not model.built or not model.inputs:
        raise TypeError(
            f"from_keras expects a built Sequential or functional model of Keras, got "
            f"{type(model).__name__}"
        )
    dtypes = {w.dtype for w in model.weights if "seed" not in w.path} or {"float32"}
    if len(dtypes) > 1 or not dtypes <= {"float32", "float64"}:
        raise ValueError(
            f"from_keras expects weights of float32 or of float64, got {sorted(dtypes)}"
        )
    reader = _Reader()
    graph = reader.graph(model)
    dtype, names = dtypes.pop(), [*graph.inputs, *graph.layers]
    network: Any = graph
    if graph.outputs == names[-1] and [*graph.sources.values()] == [(n,) for n in names[:-1]]:
        network = [
            step for n in graph.layers.values() for step in (n if type(n) is mg.Chain else [n])
        ]
    kind: Any = mg.Sequential if isinstance(network, list) else mg.Model
    made: mg.Model = kind(network, input_shape=graph.input_shapes, rng=rng, dtype=dtype)
    pairs = [
        (owner, weight, [attrgetter(name)(cell) for name in weight.names])
        for layer, there in reader.made
        for owner, cell in cells_of(layer, there)
        for weight in weights_of(owner, KERAS)
    ]
    for layer, there in reader.made:
        layer.trainable = there.trainable
    for owner, weight, variables in pairs:
        array_of(owner, weight.attribute)[...] = weight.join(*map(_array, variables))
    if loss is not None:
        ours: Any = _sgd(model.optimizer)
        made.compile(optimizer=ours, loss=loss)
        ours.steps = int(model.optimizer.iterations)
        if ours.momentum and model.optimizer.built:
            trained = zip(model.trainable_variables, model.optimizer.momentums, strict=True)
            velocities = {id(v): _array(m) / -ours.learning_rate for v, m in trained}
            join_state(made, "velocity", pairs, lambda v: velocities.get(id(v), np.zeros(v.shape)))
    return made


def _array(variable: Any) -> Array:
    with warnings.catch_warnings():  # of PyTorch's tensors about NumPy's copy keyword
        warnings.simplefilter("ignore", DeprecationWarning)
        return np.asarray(keras.ops.convert_to_numpy(variable))


def _sgd(there: Any) -> mg.SGD:
    """Return the SGD of an SGD of Keras."""
    if not isinstance(there, keras.optimizers.SGD):
        raise ValueError(
            f"from_keras expects a model compiled with SGD, got {type(there).__name__}"
        )
    config = there.get_config()
    for option in ("weight_decay", "clipnorm", "global_clipnorm", "clipvalue"):
        if config[option]:
            raise ValueError(f"from_keras expects SGD without {option}, got {config[option]}")
    if not isinstance(config["learning_rate"], (float, np.floating)):
        raise ValueError("from_keras expects SGD with a number as learning_rate")
    return mg.SGD(
        learning_rate=float(config["learning_rate"]),
        momentum=config["momentum"],
        nesterov=config["nesterov"] and config["momentum"] > 0,
    )


_FUNCTIONS: dict[str, Callable[[], Layer]] = {
    **{name: kind for kind, name in ACTIVATIONS.items()},
    "leaky_relu": partial(mg.LeakyReLU, 0.2),
    "elu": mg.ELU,
}


class _Reader:
    """Makes layers of Keras layers, and remembers which is made of which."""

    def __init__(self) -> None:
        self.made: list[tuple[Layer, Any]] = []

    def graph(self, model: Any) -> Graph:
        """Return the graph of a Sequential or functional model."""
        inputs, calls, outputs = _calls(model)
        layers: dict[str, tuple[Any, ...]] = {}
        first: dict[str, str] = {}
        paddings: dict[str, tuple[str, tuple[int, ...]]] = {}
        taken = Counter(source for _, sources, _ in calls.values() for source in sources)
        takers = {sources[0]: call for call, sources, _ in calls.values()}
        for name, (there, sources, how) in calls.items():
            pads, taker = _equal_pads(there), takers.get(name)
            if pads and taken[name] == 1 and _pads_nothing(taker):
                paddings[name] = sources[0], pads
                continue
            if there.name in first:  # another call of a layer
                layers[name] = first[there.name], *sources
                continue
            if sources[0] in paddings:
                source, how["pads"] = paddings[sources[0]]
                sources = [source]
            found = self._layers(there, how)
            layers[name] = (found[0] if len(found) == 1 else mg.Chain(found)), *sources
            first[there.name] = name
        return Graph(inputs, layers, outputs)

    def _layers(self, there: Any, how: dict[str, Any]) -> list[Layer]:
        """Return the layers that do what a Keras layer does."""
        if isinstance(there, keras.Sequential):
            return [layer for inner in there.layers for layer in self._layers(inner, {})]
        config = {**there.get_config(), **how}
        if type(there) is keras.layers.Activation:
            return [_function(there, config["activation"])]
        layer = layer_of(there, config)
        self.made.append((layer, there))
        activation = config.get("activation", "linear")
        return [layer] if activation == "linear" else [layer, _function(there, activation)]


def _calls(model: Any) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Return the shapes of the inputs, the calls (layer, sources, options), and the outputs."""
    if isinstance(model, keras.Sequential):
        names = ["input", *(layer.name for layer in model.layers)]
        chain = zip(model.layers, names, strict=False)
        steps: dict[str, Any] = {n.name: (n, [before], {}) for n, before in chain}
        return {"input": tuple(model.input_shape[1:])}, steps, names[-1]
    config = model.get_config()
    by_name = {layer.name: layer for layer in model.layers}
    shapes, waiting = {}, {}
    for entry in config["layers"]:
        name = entry["name"]
        if entry["class_name"] == "InputLayer":
            shapes[name] = tuple(entry["config"]["batch_shape"][1:])
        elif name not in by_name:
            raise TypeError(f"from_keras expects layers, got the operation '{name}'")
        for number, node in enumerate(entry["inbound_nodes"]):
            how = {"causal": bool(node["kwargs"].get("use_causal_mask"))}
            call = by_name[name], [_place(*h) for h in _histories(node)], how
            waiting[_place(name, number)] = call
    inputs = {end[0]: shapes[end[0]] for end in _ends(config["input_layers"]).values()}
    calls: dict[str, Any] = {}
    while waiting:  # a layer that is called again can come before what it is called on
        ready = [n for n, (_, s, _) in waiting.items() if not any(x in waiting for x in s)]
        calls.update({name: waiting.pop(name) for name in ready})
    outputs = {name: _place(*end[:2]) for name, end in _ends(config["output_layers"]).items()}
    single = len(outputs) == 1 and not isinstance(config["output_layers"], dict)
    return inputs, calls, next(iter(outputs.values())) if single else outputs


def _ends(places: Any) -> dict[str, Any]:
    """Return the places (layer, call, tensor) of inputs or outputs by name."""
    if isinstance(places, dict):
        return places
    places = [places] if isinstance(places[0], str) else places
    return {place[0]: place for place in places}


def _place(name: str, call: int) -> str:
    return name if call == 0 else f"{name}_call_{call}"


def _histories(node: Any) -> Iterable[tuple[str, int]]:
    """Yield (layer, call) for each tensor in the arguments of a call, in order."""
    if isinstance(node, dict) and "keras_history" in node:
        yield tuple(node["keras_history"][:2])
    elif isinstance(node, (dict, list, tuple)):
        for inner in node.values() if isinstance(node, dict) else node:
            yield from _histories(inner)


def _equal_pads(there: Any) -> tuple[int, ...]:
    """Return the zeros at the ends of each axis, if it's a padding with equal ends."""
    if not isinstance(there, (keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D)):
        return ()
    pads = there.padding if isinstance(there.padding[0], tuple) else (there.padding,)
    equal = all(first == last for first, last in pads)
    return tuple(first for first, _ in pads) if equal else ()


def _pads_nothing(there: Any) -> bool:
    """Whether it is a convolution that can take over the padding before it."""
    kinds = keras.layers.Conv1D, keras.layers.Conv2D
    return type(there) in kinds and there.padding == "valid"


def _function(there: Any, name: Any) -> Layer:
    """Return the layer of an activation function by its name in Keras."""
    if not isinstance(name, str) or name not in _FUNCTIONS:
        raise ValueError(f"the activation of '{there.name}' has no layer in minigrad, got {name!r}")
    return _FUNCTIONS[name]()
