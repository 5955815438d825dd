"""Keras: models as Keras models of `keras.layers`, and back."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from functools import partial
from importlib.util import find_spec
from operator import attrgetter
from typing import Any, TypeAlias

import numpy as np

import minigrad as mg
from minigrad.core.graph import Graph
from minigrad.core.layer import Layer, walk
from minigrad.data.arrays import Array
from minigrad.data.by_name import each, of
from minigrad.interop.models import check_built
from minigrad.interop.state_dict import Weight, array_of
from minigrad.layers.windows import per_axis
from minigrad.util.optional import optional

try:
    keras = optional("keras", "minigrad.interop.keras", extra="keras", least="3.9")
except ImportError as missing:
    if find_spec("keras") is None or "expects" in str(missing):
        raise
    raise ImportError(
        f"minigrad.interop.keras needs a backend of Keras ({missing.__cause__}): set the "
        "environment variable KERAS_BACKEND to jax, torch or tensorflow, and install it"
    ) from missing

Tensor: TypeAlias = Any


# The weights of layers: Keras's variables, and the functions that make one of the other.


def _kept(ours: str, theirs: str) -> Weight:
    return Weight(ours, (theirs,), lambda a: a, lambda a: (a,))


def _affine(layer: Layer) -> list[Weight]:
    return [_kept("weight", "kernel"), _kept("bias", "bias")]


def _recurrent(layer: Any) -> list[Weight]:
    if not isinstance(layer, mg.GRU):
        return [
            _kept("weight", "cell.kernel"),
            _kept("recurrent_weight", "cell.recurrent_kernel"),
            _kept("bias", "cell.bias"),
        ]
    units = layer.units

    def swapped(a: Array) -> Array:
        """Exchange the blocks of the reset and the update gate."""
        r, u, n = np.split(a, 3, axis=-1)
        return np.concatenate([u, r, n], axis=-1)

    def bias(both: Array) -> Array:  # the second row of the gates adds up with the first
        return swapped(both[0]) + np.where(np.arange(3 * units) < 2 * units, swapped(both[1]), 0)

    def padded(d: Array) -> tuple[Array]:
        row = np.concatenate([np.zeros(2 * units, d.dtype), d])
        return (np.stack([np.zeros_like(row), row]),)

    return [
        Weight("weight", ("cell.kernel",), swapped, lambda a: (swapped(a),)),
        Weight("recurrent_weight", ("cell.recurrent_kernel",), swapped, lambda a: (swapped(a),)),
        Weight(
            "bias",
            ("cell.bias",),
            bias,
            lambda b: (np.stack([swapped(b), np.zeros_like(b)]),),
        ),
        Weight("recurrent_bias", ("cell.bias",), lambda both: both[1][2 * units :], padded),
    ]


def _attention(layer: Any) -> list[Weight]:
    heads, size = layer.num_heads, len(layer.weight.value)
    parts = "_query_dense", "_key_dense", "_value_dense"

    def join(*parts: Array) -> Array:
        flat = [a.reshape(*a.shape[:-2], size) for a in parts]
        return np.concatenate(flat, axis=-1)

    def split(a: Array) -> tuple[Array, ...]:
        blocks = np.split(a, 3, axis=-1)
        return tuple(b.reshape(*b.shape[:-1], heads, size // heads) for b in blocks)

    return [
        Weight("weight", tuple(f"{part}.kernel" for part in parts), join, split),
        Weight("bias", tuple(f"{part}.bias" for part in parts), join, split),
        Weight(
            "output_weight",
            ("_output_dense.kernel",),
            lambda a: a.reshape(size, size),
            lambda a: (a.reshape(heads, size // heads, size),),
        ),
        _kept("output_bias", "_output_dense.bias"),
    ]


def _norm(layer: Layer) -> list[Weight]:
    return [_kept("gamma", "gamma"), _kept("beta", "beta")]


def _batch_norm(layer: Layer) -> list[Weight]:
    running = _kept("running_mean", "moving_mean"), _kept("running_variance", "moving_variance")
    return [*_norm(layer), *running]


_WEIGHTS: dict[type[Layer], Callable[[Any], list[Weight]]] = {
    **dict.fromkeys([mg.Dense, mg.Conv1D, mg.Conv2D, mg.Conv2DTranspose], _affine),
    **dict.fromkeys([mg.SimpleRNN, mg.GRU, mg.LSTM], _recurrent),
    **dict.fromkeys([mg.LayerNorm, mg.GroupNorm], _norm),
    mg.RMSNorm: lambda layer: [_kept("gamma", "scale")],
    mg.BatchNorm: _batch_norm,
    mg.MultiHeadAttention: _attention,
    mg.Embedding: lambda layer: [_kept("weight", "embeddings")],
}


def _weights(layer: Layer, there: Any) -> Iterable[tuple[Layer, Weight, list[Any]]]:
    """Yield each array of a layer, with the variables of its counterpart."""
    if isinstance(layer, mg.Bidirectional):
        yield from _weights(layer.layers[0], there.forward_layer)
        yield from _weights(layer.layers[1], there.backward_layer)
        return
    for weight in _WEIGHTS.get(type(layer), lambda layer: [])(layer):
        if getattr(layer, weight.attribute) is not None:
            yield layer, weight, [attrgetter(name)(there) for name in weight.names]


# To Keras.


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
    ours: Any = model.optimizer
    if ours is None:
        raise RuntimeError("to_keras_training expects a compiled model: call compile first")
    plain = type(ours) is mg.SGD and isinstance(ours.learning_rate, float)
    if not plain or ours.weight_decay or ours.clip_norm or ours.clip_value:
        raise ValueError(
            f"to_keras_training expects SGD without a schedule, weight decay and clipping, got "
            f"{ours!r}: compile what to_keras returns with an optimizer of Keras"
        )
    for path, p in model.named_parameters():
        if p.regularizer is not None:
            raise ValueError(
                f"to_keras_training expects no regularizers, got {p.regularizer!r} of '{path}'"
            )
    optimizer = keras.optimizers.SGD(
        ours.learning_rate, momentum=ours.momentum, nesterov=ours.nesterov
    )
    optimizer.build(there.trainable_variables)
    optimizer.iterations.assign(ours.steps)
    if "velocity" in ours.state:
        velocity = model.parameters.split(ours.state["velocity"])
        for variable, momentum in zip(there.trainable_variables, optimizer.momentums, strict=True):
            parts = [split(velocity[p.source])[i] for p, split, i in writer.parts[id(variable)]]
            momentum.assign(-ours.learning_rate * sum(parts))
    return there, optimizer


def _converted(model: mg.Model, function: str) -> tuple[Any, _Writer]:
    input_shape = check_built(model, function)
    network: Any = model.network
    shapes = network.inputs if isinstance(network, Graph) else {"input": input_shape}
    rows = {n: np.zeros((1, *(m or 1 for m in shape))) for n, shape in shapes.items()}
    cast: Any = model.cast(rows if len(rows) > 1 else next(iter(rows.values())), model.dtype)
    inputs = {
        name: keras.Input(
            shape,
            name=name,
            dtype="int64" if of(cast, name).dtype.kind == "i" else model.dtype.name,
        )
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
        self.parts: dict[int, list[Any]] = {}
        """For each variable the parameters it is made of, how they are split, and into which."""

    def options(self, layer: Layer, suffix: str = "") -> dict[str, Any]:
        return {"name": f"{self._names[id(layer)]}{suffix}", "dtype": self._dtype}

    def write(self, layer: Any, *inputs: Tensor) -> Any:
        """Return the output of a layer, or those of a graph by name."""
        kind = type(layer)
        if isinstance(layer, mg.Model) and kind.forward is mg.Model.forward:
            return self.write(layer.network, *inputs)
        if kind is mg.Chain:
            (x,) = inputs
            for inner in layer.layers:
                x = self.write(inner, x)
            return x
        if kind is mg.Graph:
            values = dict(zip(layer.inputs, inputs, strict=True))
            for node, inner in layer.layers.items():
                values[node] = self.write(inner, *(values[s] for s in layer.sources[node]))
            return each(values.__getitem__, layer.outputs)
        if kind is mg.Residual:
            return keras.layers.Add(**self.options(layer))(
                [*inputs, self.write(layer.layer, *inputs)]
            )
        if kind is mg.Parallel:
            branches = [self.write(inner, *inputs) for inner in layer.layers]
            merge = {"add": keras.layers.Add, "mean": keras.layers.Average}.get(layer.merge)
            merge = merge or partial(keras.layers.Concatenate, axis=-1)
            options = self.options(layer)
            return merge(**options)(branches) if len(branches) > 1 else branches[0]
        if kind not in _TO:
            raise TypeError(f"to_keras expects layers that Keras has, got {layer.label}")
        return _TO[kind](self, layer, *inputs)

    def call(
        self, layer: Any, kind: Any, /, *inputs: Tensor, how: Any = None, **options: Any
    ) -> Tensor:
        """Return the output of a Keras layer with the weights of a layer, and its activation."""
        shared = tuple(id(p.source) for _, p in layer.named_parameters())
        key = (kind, *shared) if shared else layer
        there = self._made.get(key)
        if there is None:
            there = self._made[key] = kind(**self.options(layer), **options)
        merges = isinstance(layer, (mg.Add, mg.Average, mg.Multiply, mg.Concatenate))
        output = there(*([[*inputs]] if merges else inputs), **(how or {}))
        arrays: dict[int, Array] = {}
        for owner, weight, variables in _weights(layer, there):
            own = getattr(owner, weight.attribute)
            parts = weight.split(array_of(owner, weight.attribute))
            for i, (variable, part) in enumerate(zip(variables, parts, strict=True)):
                place = id(variable)
                arrays[place] = arrays[place] + part if place in arrays else part
                variable.assign(arrays[place])
                if isinstance(own, mg.Parameter):
                    self.parts.setdefault(place, []).append((own, weight.split, i))
        there.trainable = layer.trainable
        if getattr(layer, "activation", None) is not None:
            output = self.write(layer.activation, output)
        return output


def _plain(name: str, **options: Callable[[Any], Any]) -> Callable[..., Tensor]:
    """Return a function that calls a Keras layer whose options are functions of ours."""

    def write(to: _Writer, layer: Any, *inputs: Tensor) -> Tensor:
        given = {option: value(layer) for option, value in options.items()}
        return to.call(layer, getattr(keras.layers, name), *inputs, **given)

    return write


def _activation(function: str) -> Callable[..., Tensor]:
    return _plain("Activation", activation=lambda layer: function)


def _gelu(to: _Writer, layer: mg.GELU, x: Tensor) -> Tensor:
    if layer.approximate != "none":
        raise ValueError(f"{layer.label} expects approximate='none' in Keras, got 'tanh'")
    return to.call(layer, keras.layers.Activation, x, activation="gelu")


def _convolution(to: _Writer, layer: Any, x: Tensor) -> Tensor:
    axes, padding = layer.axes, layer.padding
    strides, dilation = per_axis(layer.strides, axes), per_axis(layer.dilation_rate, axes)
    if max(strides) > 1 and max(dilation) > 1:
        raise ValueError(
            f"{layer.label} expects strides or a dilation_rate of 1 in Keras, got {strides} and "
            f"{dilation}"
        )
    if not isinstance(padding, str):
        pads = [(p, p) for p in per_axis(padding, axes)]
        kind = keras.layers.ZeroPadding1D if axes == 1 else keras.layers.ZeroPadding2D
        x = kind(pads[0] if axes == 1 else pads, **to.options(layer, "_padding"))(x)
        padding = "valid"
    kind = keras.layers.Conv1D if axes == 1 else keras.layers.Conv2D
    return to.call(layer, kind, x, **_kernel(layer, strides, dilation, padding))


def _kernel(layer: Any, strides: Any, dilation: Any, padding: str) -> dict[str, Any]:
    return {
        "filters": layer.filters,
        "kernel_size": per_axis(layer.kernel_size, layer.axes),
        "strides": strides,
        "dilation_rate": dilation,
        "padding": padding,
        "use_bias": layer.use_bias,
    }


def _transposed(to: _Writer, layer: mg.Conv2DTranspose, x: Tensor) -> Tensor:
    size = per_axis(layer.kernel_size, 2)
    strides, dilation = per_axis(layer.strides, 2), per_axis(layer.dilation_rate, 2)
    if layer.padding != "same" and (
        layer.padding not in ("valid", 0) or any(s > k for s, k in zip(strides, size, strict=True))
    ):
        raise ValueError(
            f"{layer.label} expects padding='same', or 'valid' with strides up to the kernel_size, "
            f"in Keras, got {layer.padding!r} and strides {strides}"
        )
    if max(dilation) > 1:
        raise ValueError(f"{layer.label} expects dilation_rate=1 in Keras, got {dilation}")
    padding = "same" if layer.padding == "same" else "valid"
    options = _kernel(layer, strides, dilation, padding)
    return to.call(layer, keras.layers.Conv2DTranspose, x, **options)


def _pooling(to: _Writer, layer: Any, x: Tensor) -> Tensor:
    if layer.padding not in ("valid", "same", 0):
        raise ValueError(
            f"{layer.label} expects padding='valid' or 'same' in Keras, got {layer.padding!r}"
        )
    kind = getattr(keras.layers, type(layer).__name__)
    size = per_axis(layer.pool_size, layer.axes)
    return to.call(
        layer,
        kind,
        x,
        pool_size=size,
        strides=size if layer.strides is None else per_axis(layer.strides, layer.axes),
        padding=layer.padding or "valid",
    )


def _cell(layer: Any) -> dict[str, Any]:
    options = {
        "units": layer.units,
        "return_sequences": layer.return_sequences,
        "use_bias": layer.use_bias,
    }
    return options | ({"reset_after": True} if isinstance(layer, mg.GRU) else {})


def _steps(to: _Writer, layer: Any, x: Tensor) -> Tensor:
    kind = getattr(keras.layers, type(layer).__name__)
    return to.call(layer, kind, x, go_backwards=layer.go_backwards, **_cell(layer))


def _bidirectional(to: _Writer, layer: Any, x: Tensor) -> Tensor:
    one = layer.layers[0]
    cell = getattr(keras.layers, type(one).__name__)(**to.options(one), **_cell(one))
    merge = {"add": "sum", "mean": "ave", "concat": "concat"}[layer.merge]
    return to.call(layer, keras.layers.Bidirectional, x, layer=cell, merge_mode=merge)


def _attend(
    to: _Writer, layer: Any, query: Tensor, value: Tensor = None, mask: Tensor = None
) -> Any:
    value = query if value is None else value
    how: dict[str, Any] = {"use_causal_mask": True} if layer.causal else {}
    if mask is not None:
        if len(mask.shape) == 2:
            mask = keras.layers.Reshape((1, -1), **to.options(layer, "_mask"))(mask)
        how["attention_mask"] = mask
    options = {"num_heads": layer.num_heads, "use_bias": layer.use_bias}
    width = len(layer.weight.value) // layer.num_heads
    kind = keras.layers.MultiHeadAttention
    return to.call(layer, kind, query, value, how=how, key_dim=width, **options)


_TO: dict[type[Layer], Callable[..., Tensor]] = {
    mg.Identity: _activation("linear"),
    mg.Sigmoid: _activation("sigmoid"),
    mg.Tanh: _activation("tanh"),
    mg.ReLU: _activation("relu"),
    mg.SELU: _activation("selu"),
    mg.Hardtanh: _activation("hard_tanh"),
    mg.Hardsigmoid: _activation("hard_sigmoid"),
    mg.GELU: _gelu,
    mg.SiLU: _activation("silu"),
    mg.Softplus: _activation("softplus"),
    mg.Mish: _activation("mish"),
    mg.Softsign: _activation("softsign"),
    mg.Softmax: _activation("softmax"),
    mg.LogSoftmax: _activation("log_softmax"),
    mg.LeakyReLU: _plain("LeakyReLU", negative_slope=lambda layer: layer.slope),
    mg.ELU: _plain("ELU", alpha=lambda layer: layer.alpha),
    mg.Dropout: _plain("Dropout", rate=lambda layer: layer.rate),
    mg.Dense: _plain(
        "Dense", units=lambda layer: layer.units, use_bias=lambda layer: layer.use_bias
    ),
    mg.Conv1D: _convolution,
    mg.Conv2D: _convolution,
    mg.Conv2DTranspose: _transposed,
    **dict.fromkeys(
        [mg.MaxPooling1D, mg.MaxPooling2D, mg.AveragePooling1D, mg.AveragePooling2D], _pooling
    ),
    mg.GlobalMaxPooling1D: _plain("GlobalMaxPooling1D"),
    mg.GlobalMaxPooling2D: _plain("GlobalMaxPooling2D"),
    mg.GlobalAveragePooling1D: _plain("GlobalAveragePooling1D"),
    mg.GlobalAveragePooling2D: _plain("GlobalAveragePooling2D"),
    mg.UpSampling2D: _plain(
        "UpSampling2D",
        size=lambda layer: per_axis(layer.size, 2),
        interpolation=lambda layer: layer.interpolation,
    ),
    mg.BatchNorm: _plain(
        "BatchNormalization",
        momentum=lambda layer: 1 - layer.momentum,
        epsilon=lambda layer: layer.epsilon,
    ),
    mg.LayerNorm: _plain("LayerNormalization", epsilon=lambda layer: layer.epsilon),
    mg.RMSNorm: _plain(
        "RMSNormalization",
        epsilon=lambda layer: layer.epsilon or float(np.finfo(layer.gamma.value.dtype).eps),
    ),
    mg.GroupNorm: _plain(
        "GroupNormalization",
        groups=lambda layer: layer.groups,
        epsilon=lambda layer: layer.epsilon,
    ),
    mg.Flatten: _plain("Flatten"),
    mg.Reshape: _plain("Reshape", target_shape=lambda layer: layer.output_shape),
    mg.Embedding: _plain(
        "Embedding",
        input_dim=lambda layer: layer.input_dim,
        output_dim=lambda layer: layer.output_dim,
    ),
    **dict.fromkeys([mg.SimpleRNN, mg.GRU, mg.LSTM], _steps),
    mg.Bidirectional: _bidirectional,
    mg.MultiHeadAttention: _attend,
    mg.Add: _plain("Add"),
    mg.Average: _plain("Average"),
    mg.Multiply: _plain("Multiply"),
    mg.Concatenate: _plain("Concatenate", axis=lambda layer: -1),
}
"""For each layer a function of (writer, layer, *tensors) that calls its counterpart."""


# From Keras.


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
    shapes, dtype = graph.row_shapes, dtypes.pop()
    steps = [*graph.layers.items()]
    before = [*graph.inputs, *graph.layers]
    chain = len(graph.inputs) == 1 and graph.outputs == before[-1]
    chain = chain and all(
        (s,) == graph.sources[n] for (n, _), s in zip(steps, before, strict=False)
    )
    if chain:
        layers = [n for _, made in steps for n in (made if type(made) is mg.Chain else [made])]
        made: mg.Model = mg.Sequential(layers, input_shape=shapes, rng=rng, dtype=dtype)
    else:
        made = mg.Model(graph, input_shape=shapes, rng=rng, dtype=dtype)
    for layer, there in reader.pairs:
        layer.trainable = there.trainable
        for owner, weight, variables in _weights(layer, there):
            values = weight.join(*map(_array, variables))
            array_of(owner, weight.attribute)[...] = values
    if loss is not None:
        made.compile(optimizer=_sgd(model.optimizer), loss=loss)
        reader.fill_state(made, model.optimizer, model)
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


class _Reader:
    """Makes layers of Keras layers, and remembers which is made of which."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Layer, Any]] = []
        self._pads: dict[str, tuple[str, tuple[int, ...]]] = {}

    def graph(self, model: Any) -> Graph:
        """Return the graph of a Sequential or functional model."""
        inputs, calls, outputs = _calls(model)
        layers: dict[str, tuple[Any, ...]] = {}
        made: dict[str, str] = {}
        for name, (there, sources, how) in calls.items():
            if isinstance(there, (keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D)):
                self._pads[name] = sources[0], _equal_pads(there)
                continue
            if there.name in made:  # another call of a layer
                layers[name] = made[there.name], *sources
                continue
            pads = None
            convolves = isinstance(there, (keras.layers.Conv1D, keras.layers.Conv2D))
            if convolves and sources[0] in self._pads:
                source, pads = self._pads[sources[0]]
                sources = [source]
            if any(source in self._pads for source in sources):
                raise ValueError(f"'{there.name}' comes after zero padding, expected a convolution")
            found = self.layers(there, how, pads)
            layers[name] = (found[0] if len(found) == 1 else mg.Chain(found)), *sources
            made[there.name] = name
        return Graph(inputs, layers, outputs)

    def layers(self, there: Any, how: dict[str, Any], pads: Any = None) -> list[Layer]:
        """Return the layers that do what a Keras layer does."""
        if isinstance(there, keras.Sequential):
            return [layer for inner in there.layers for layer in self.layers(inner, {})]
        kind = type(there).__name__
        if kind not in _FROM or not type(there).__module__.startswith("keras."):
            raise TypeError(
                f"from_keras expects layers that minigrad has, got {kind} '{there.name}'"
            )
        config = {**there.get_config(), **how, "pads": pads}
        layer = _FROM[kind](there, config)
        self.pairs.append((layer, there))
        activation = config.get("activation", "linear")
        if activation == "linear" or kind in (*_CELLS, "Activation"):
            return [layer]
        return [layer, _function(there, activation)]

    def fill_state(self, model: mg.Model, there: Any, theirs: Any) -> None:
        ours: Any = model.optimizer
        ours.steps = int(there.iterations)
        if not ours.momentum or not there.built:
            return
        ours.state["velocity"] = np.zeros(model.parameters.size, model.dtype)
        views = model.parameters.split(ours.state["velocity"])
        momentums = {
            id(v): _array(m) / -ours.learning_rate
            for v, m in zip(theirs.trainable_variables, there.momentums, strict=True)
        }
        for layer, there_layer in self.pairs:
            for owner, weight, variables in _weights(layer, there_layer):
                own = getattr(owner, weight.attribute)
                if isinstance(own, mg.Parameter) and all(id(v) in momentums for v in variables):
                    views[own.source][...] = weight.join(*(momentums[id(v)] for v in variables))


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


def _need(there: Any, config: dict[str, Any], **expected: Any) -> None:
    """Refuse a layer whose options aren't these."""
    for option, value in expected.items():
        if (given := config.get(option, value)) != value:
            raise ValueError(
                f"{type(there).__name__} '{there.name}' expects {option}={value!r} for minigrad, "
                f"got {given!r}"
            )


def _equal_pads(there: Any) -> tuple[int, ...]:
    pads = there.padding if isinstance(there.padding[0], tuple) else (there.padding,)
    if any(first != last for first, last in pads):
        raise ValueError(f"'{there.name}' expects equal padding of both ends, got {pads}")
    return tuple(first for first, _ in pads)


_FUNCTIONS: dict[str, Callable[[], Layer]] = {
    "linear": mg.Identity,
    "relu": mg.ReLU,
    "leaky_relu": partial(mg.LeakyReLU, 0.2),
    "elu": mg.ELU,
    "selu": mg.SELU,
    "gelu": mg.GELU,
    "silu": mg.SiLU,
    "sigmoid": mg.Sigmoid,
    "tanh": mg.Tanh,
    "hard_sigmoid": mg.Hardsigmoid,
    "hard_tanh": mg.Hardtanh,
    "softplus": mg.Softplus,
    "softsign": mg.Softsign,
    "mish": mg.Mish,
    "softmax": mg.Softmax,
    "log_softmax": mg.LogSoftmax,
}


def _function(there: Any, name: Any) -> Layer:
    """Return the layer of an activation function by its name in Keras."""
    if not isinstance(name, str) or name not in _FUNCTIONS:
        raise ValueError(f"the activation of '{there.name}' has no layer in minigrad, got {name!r}")
    return _FUNCTIONS[name]()


def _read_convolution(there: Any, c: dict[str, Any]) -> Any:
    _need(there, c, data_format="channels_last", groups=1)
    kind: Any = getattr(mg, type(there).__name__)
    padding = c["padding"]
    if c["pads"] is not None:
        _need(there, c, padding="valid")
        padding = c["pads"] if len(c["pads"]) > 1 else c["pads"][0]
    axes = kind.axes
    return kind(
        c["filters"],
        _sized(c["kernel_size"], axes),
        strides=_sized(c["strides"], axes),
        padding=padding,
        dilation_rate=_sized(c["dilation_rate"], axes),
        use_bias=c["use_bias"],
    )


def _sized(size: Any, axes: int) -> Any:
    sizes = per_axis(size, axes)
    return sizes if axes > 1 else sizes[0]


def _read_transposed(there: Any, c: dict[str, Any]) -> Any:
    _need(there, c, output_padding=None)
    layer: Any = _read_convolution(there, c)
    longer = any(s > k for s, k in zip(c["strides"], c["kernel_size"], strict=True))
    if c["padding"] == "valid" and longer:
        raise ValueError(
            f"'{there.name}' expects strides up to the kernel_size, got {c['strides']}"
        )
    return layer


def _read_pooling(there: Any, c: dict[str, Any]) -> Any:
    _need(there, c, data_format="channels_last")
    kind: Any = getattr(mg, type(there).__name__)
    size, strides = _sized(c["pool_size"], kind.axes), _sized(c["strides"], kind.axes)
    return kind(size, strides=strides, padding=c["padding"])


def _read_same(there: Any, c: dict[str, Any]) -> Any:
    _need(there, c, data_format="channels_last", keepdims=False)
    return getattr(mg, type(there).__name__)()


def _read_upsampling(there: Any, c: dict[str, Any]) -> Any:
    _need(there, c, data_format="channels_last")
    if c["interpolation"] != "bilinear":
        _need(there, c, interpolation="nearest")
    return mg.UpSampling2D(tuple(c["size"]), interpolation=c["interpolation"])


def _read_norm(there: Any, c: dict[str, Any]) -> Any:
    axes = c.get("axis", -1)
    axis = axes[0] if isinstance(axes, (list, tuple)) and len(axes) == 1 else axes
    last = axis in (-1, len(there.input.shape) - 1)
    _need(there, {**c, "axis": -1 if last else axis}, axis=-1, center=True, scale=True)
    kind, epsilon = type(there).__name__, c["epsilon"]
    if kind == "BatchNormalization":
        return mg.BatchNorm(momentum=1 - c["momentum"], epsilon=epsilon)
    if kind == "GroupNormalization":
        return mg.GroupNorm(c["groups"], epsilon=epsilon)
    return (mg.LayerNorm if kind == "LayerNormalization" else mg.RMSNorm)(epsilon=epsilon)


def _read_cell(there: Any, c: dict[str, Any]) -> Any:
    _need(there, c, activation="tanh", recurrent_activation="sigmoid", reset_after=True)
    _need(there, c, return_state=False, stateful=False, dropout=0.0, recurrent_dropout=0.0)
    return getattr(mg, type(there).__name__)(
        c["units"],
        return_sequences=c["return_sequences"],
        go_backwards=c["go_backwards"],
        use_bias=c["use_bias"],
    )


def _read_bidirectional(there: Any, c: dict[str, Any]) -> Any:
    inner = there.forward_layer
    merges: Any = {"concat": "concat", "sum": "add", "ave": "mean"}
    if c["merge_mode"] not in merges or type(inner).__name__ not in _CELLS:
        raise ValueError(
            f"'{there.name}' expects merge_mode 'concat', 'sum' or 'ave' and a recurrent layer, "
            f"got {c['merge_mode']!r} and {type(inner).__name__}"
        )
    return mg.Bidirectional(_read_cell(inner, inner.get_config()), merge=merges[c["merge_mode"]])


def _read_attention(there: Any, c: dict[str, Any]) -> Any:
    width = c["key_dim"]
    _need(there, c, value_dim=width, dropout=0.0, output_shape=None, use_gate=False)
    return mg.MultiHeadAttention(c["num_heads"], causal=c["causal"], use_bias=c["use_bias"])


def _read_leaky(there: Any, c: dict[str, Any]) -> Any:
    return mg.LeakyReLU(float(c["negative_slope"]))


def _read_relu(there: Any, c: dict[str, Any]) -> Any:
    _need(there, c, max_value=None, negative_slope=0.0, threshold=0.0)
    return mg.ReLU()


def _read_concatenate(there: Any, c: dict[str, Any]) -> Any:
    _need(there, c, axis=-1)
    return mg.Concatenate()


def _read_softmax(there: Any, c: dict[str, Any]) -> Any:
    _need(there, c, axis=-1)
    return mg.Softmax()


_CELLS = "SimpleRNN", "GRU", "LSTM"

_FROM: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "Activation": lambda there, c: _function(there, c["activation"]),
    "ReLU": _read_relu,
    "LeakyReLU": _read_leaky,
    "ELU": lambda there, c: mg.ELU(c["alpha"]),
    "Softmax": _read_softmax,
    "Identity": lambda there, c: mg.Identity(),
    "Dropout": lambda there, c: mg.Dropout(c["rate"]),
    "Dense": lambda there, c: mg.Dense(c["units"], use_bias=c["use_bias"]),
    "Embedding": lambda there, c: mg.Embedding(c["input_dim"], c["output_dim"]),
    "Conv1D": _read_convolution,
    "Conv2D": _read_convolution,
    "Conv2DTranspose": _read_transposed,
    **dict.fromkeys(
        ["MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D"], _read_pooling
    ),
    **dict.fromkeys(
        [
            "GlobalMaxPooling1D",
            "GlobalMaxPooling2D",
            "GlobalAveragePooling1D",
            "GlobalAveragePooling2D",
            "Flatten",
            "Add",
            "Average",
            "Multiply",
        ],
        _read_same,
    ),
    "UpSampling2D": _read_upsampling,
    **dict.fromkeys(
        [
            "BatchNormalization",
            "LayerNormalization",
            "RMSNormalization",
            "GroupNormalization",
        ],
        _read_norm,
    ),
    "Reshape": lambda there, c: mg.Reshape(c["target_shape"]),
    **dict.fromkeys(_CELLS, _read_cell),
    "Bidirectional": _read_bidirectional,
    "MultiHeadAttention": _read_attention,
    "Concatenate": _read_concatenate,
}
"""For each Keras layer a function of (layer, config) that makes ours without the activation."""
