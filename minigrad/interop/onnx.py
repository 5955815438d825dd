"""ONNX: write a model to a file that onnxruntime and many other programs run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from itertools import count
from math import pi, sqrt
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from minigrad.core.layer import Layer, walk
from minigrad.data.arrays import Array, DType, Shape, as_dtype
from minigrad.data.by_name import of
from minigrad.interop.models import (
    CONTAINERS,
    MERGES,
    check_built,
    check_states,
    gaps_of,
    integer_inputs,
    kind_of_layer,
    pads_of,
    windows_of,
)
from minigrad.layers.convolution import ConvolutionTranspose
from minigrad.layers.padding import ZeroPadding
from minigrad.layers.rectifiers import SELU_ALPHA, SELU_SCALE
from minigrad.layers.windows import per_axis
from minigrad.util.atomic import StrPath, atomic_write
from minigrad.util.optional import optional

onnx = optional("onnx", "minigrad.interop.onnx", packages="onnx onnxruntime", least="1.17")

OPSET = 17
IR_VERSION = 8

_FLOAT32_ONLY = {"AveragePool", "Conv", "ConvTranspose", "Erf", "GRU", "LSTM", "RNN", "Resize"}
"""The operators of this module that onnxruntime has for float32 and not for float64."""

Value: TypeAlias = Any
"""The name of a value in the graph; as an input of an operator also an array, a number or a
`Parameter`, which become constants of the file."""


def export(model: mg.Model, path: StrPath, *, dtype: DType = "float32") -> None:
    """Write the forward pass of inference as an ONNX file (opset 17, IR 8).

    The inputs and outputs have the names of the graph's inputs and outputs; the single ones of
    another model are "input" and "output". The batch axis is named "batch", and the time axis of
    varying length "time". Ids of an `Embedding` are int64. Images stay channels-last, as here; the
    file holds transposes where ONNX's operators want the channels first.

    Args:
        model: a built model of minigrad's layers. Dropout is left out, and BatchNorm uses its
            running statistics.
        path: of the file, which is written atomically.
        dtype: of the file's numbers, whatever that of the model is. For "float64", onnxruntime has
            neither convolution, nor average pooling, recurrent layers, upsampling and exact GELU.

    Raises:
        RuntimeError: the model isn't built.
        TypeError: `model` isn't a model, or a layer has no equal in ONNX, such as one of your own.
        ValueError: another dtype, a layer whose operator onnxruntime lacks in float64, or an output
            with the name of an input.

    Source: the operators, https://onnx.ai/onnx/operators/.

    >>> import tempfile
    >>> model = mg.Sequential([mg.Dense(3, "relu"), mg.Dense(1)], input_shape=(2,), rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export(model, f"{folder}/net.onnx")
    ...     [node.op_type for node in onnx.load(f"{folder}/net.onnx").graph.node]
    ['MatMul', 'Add', 'Relu', 'MatMul', 'Add', 'Identity']
    """
    inputs = check_built(model, "export")
    writer = _Writer(as_dtype(dtype), model)
    found = writer.write(model, *inputs)
    if not isinstance(found, dict):
        network: Any = model.network
        found = {network.outputs if isinstance(network, mg.Graph) else "output": found}
    if taken := sorted(found.keys() & inputs.keys()):
        raise ValueError(f"export expects outputs with other names than the inputs, got {taken}")
    atomic_write(path, [writer.file(inputs, found)])


class _Writer:
    """The operators and the constants of a file, as the writers of layers add them."""

    def __init__(self, dtype: np.dtype[Any], model: mg.Model) -> None:
        self.dtype = dtype
        self._model = model
        self._paths = {id(layer): path for path, layer in walk(model)}
        self._layer: Layer = model
        self._nodes: list[Any] = []
        self._constants: dict[str, NDArray[Any]] = {}
        self._channels_first: dict[str, tuple[str, int]] = {}
        self._numbers = count(1)

    def write(self, layer: Layer, *inputs: Value) -> Any:
        """Add a layer, and return its output, or those of a graph by name."""
        kind = kind_of_layer(layer)
        if kind not in WRITERS:
            raise TypeError(
                f"export expects layers of minigrad, got {layer.label}: add a function of (writer, "
                f"layer, *inputs) as minigrad.interop.onnx.WRITERS[{kind.__name__}]"
            )
        outer, self._layer = self._layer, layer
        output = WRITERS[kind](self, layer, *inputs)
        self._layer = outer
        return output

    def merge(self, layer: Layer, how: str, values: Sequence[str]) -> str:
        """Return the sum, the mean, the product or the concatenation of values."""
        if how == "concat":
            return self.op("Concat", *values, axis=-1)
        kind = _MERGES[how]

        def merged(*values: str) -> str:
            h = reduce(lambda a, b: self.op(kind, a, b), values)
            return self.op("Div", h, float(len(values))) if how == "mean" else h

        return self.elementwise(merged, *values)

    def op(self, kind: str, *inputs: Value, output: int = 0, **attributes: Any) -> str:
        """Add an operator, and return one of its outputs, by default the first."""
        if self.dtype == np.float64 and kind in _FLOAT32_ONLY:
            raise ValueError(
                f"{self._layer.label} expects dtype='float32', got 'float64': onnxruntime has no "
                f"{kind} for float64"
            )
        name = f"{self._path}/{kind}_{next(self._numbers)}".lstrip("/")
        given = [x if isinstance(x, str) else self.constant(x) for x in inputs]
        outputs = [""] * output + [name]
        self._nodes.append(onnx.helper.make_node(kind, given, outputs, name, **attributes))
        return name

    def constant(self, value: Any, *, exact: bool = False) -> str:
        """Add an array, in the dtype of the file unless `exact`, and return its name."""
        if isinstance(value, mg.Parameter):
            name, array = value.source.name, np.asarray(value.value)
        else:
            name = f"{self._path}/constant_{next(self._numbers)}".lstrip("/")
            array = np.asarray(value)
        if array.dtype.kind == "f" and not exact:
            array = array.astype(self.dtype)
        self._constants[name] = array
        return name

    @property
    def _path(self) -> str:
        return self._paths[id(self._layer)].replace(".", "/")

    def channels_first(self, x: str, rank: int) -> str:
        """Return x of shape (batch, ..., channels) as (batch, channels, ...)."""
        if x not in self._channels_first:
            turned = self.op("Transpose", x, perm=[0, rank - 1, *range(1, rank - 1)])
            self._channels_first[x] = turned, rank
        return self._channels_first[x][0]

    def channels_last(self, turned: str, rank: int) -> str:
        """Return (batch, channels, ...) as (batch, ..., channels).

        The next layer that wants the channels first gets `turned` itself. The transpose stays in
        the file only if something else takes its output.
        """
        x = self.op("Transpose", turned, perm=[0, *range(2, rank), 1])
        self._channels_first[x] = turned, rank
        return x

    def elementwise(self, function: Callable[..., str], *inputs: str) -> str:
        """Apply a function to each element, with the channels first if they are so already."""
        if not all(x in self._channels_first for x in inputs):
            return function(*inputs)
        turned, ranks = zip(*(self._channels_first[x] for x in inputs), strict=True)
        return self.channels_last(function(*turned), ranks[0])

    def file(self, inputs: Mapping[str, Shape], outputs: Mapping[str, str]) -> bytes:
        """Return the bytes of the file: inputs by name with their shapes, outputs by name."""
        helper, kinds = onnx.helper, onnx.TensorProto
        number = helper.np_dtype_to_tensor_dtype(self.dtype)
        integers = integer_inputs(self._model, inputs)

        def info(name: str, shape: Shape) -> Any:
            prefix = f"{name}_" if len(inputs) > 1 or name in outputs else ""
            axes = [
                f"{prefix}{'time' if len(shape) == 2 else f'axis_{axis}'}" if n is None else n
                for axis, n in enumerate(shape, start=1)
            ]
            kind = kinds.INT64 if name in integers else number
            return helper.make_tensor_value_info(name, kind, ["batch", *axes])

        ends = [helper.make_node("Identity", [value], [name]) for name, value in outputs.items()]
        nodes = _needed([*self._nodes, *ends], {*outputs})
        used = {name for node in nodes for name in node.input}
        shapes: Any = self._model.output_shape
        graph = helper.make_graph(
            nodes,
            self._model.name or "minigrad",
            [info(name, shape) for name, shape in inputs.items()],
            [info(name, of(shapes, name)) for name in outputs],
            [
                onnx.numpy_helper.from_array(array, name)
                for name, array in self._constants.items()
                if name in used
            ],
        )
        made = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="minigrad",
            producer_version=mg.__version__,
        )
        return bytes(made.SerializeToString())


_MERGES = {
    "add": "Add", "subtract": "Sub", "mean": "Add", "multiply": "Mul", "maximum": "Max",
    "minimum": "Min",
}  # fmt: skip
"""The operators that merge two values."""


def _needed(nodes: Sequence[Any], outputs: set[str]) -> list[Any]:
    """Return the nodes that the outputs depend on, in order."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    return kept[::-1]


# Activations: a function of z for each element.


def _elu(to: _Writer, z: str, scale: float, alpha: float) -> str:
    below = to.op("Sub", to.op("Exp", to.op("Min", z, 0.0)), 1.0)
    return to.op(
        "Where",
        to.op("Greater", z, 0.0),
        to.op("Mul", z, scale),
        to.op("Mul", below, scale * alpha),
    )


def _clip(to: _Writer, z: str, low: float, high: float) -> str:
    return to.op("Clip", z, low, high)


def _softplus(to: _Writer, z: str) -> str:
    """Return max(z, 0) + log(1 + exp(-|z|)), which doesn't overflow."""
    below = to.op("Exp", to.op("Neg", to.op("Abs", z)))
    return to.op("Add", to.op("Max", z, 0.0), to.op("Log", to.op("Add", below, 1.0)))


def _gelu(to: _Writer, layer: Any, z: str) -> str:
    if layer.approximate == "none":
        rise = to.op("Erf", to.op("Mul", z, sqrt(0.5)))
    else:
        near = _clip(to, z, -40.0, 40.0)
        cube = to.op("Mul", to.op("Mul", near, near), to.op("Mul", near, 0.044715))
        rise = to.op("Tanh", to.op("Mul", to.op("Add", near, cube), sqrt(2 / pi)))
    return to.op("Mul", z, to.op("Mul", to.op("Add", rise, 1.0), 0.5))


_ACTIVATIONS: dict[type[Layer], Callable[[_Writer, Any, str], str]] = {
    mg.Identity: lambda to, layer, z: z,
    mg.Dropout: lambda to, layer, z: z,
    mg.SpatialDropout1D: lambda to, layer, z: z,
    mg.SpatialDropout2D: lambda to, layer, z: z,
    mg.GaussianNoise: lambda to, layer, z: z,
    mg.Rescaling: lambda to, layer, z: to.op("Add", to.op("Mul", z, layer.scale), layer.offset),
    mg.Sigmoid: lambda to, layer, z: to.op("Sigmoid", z),
    mg.Tanh: lambda to, layer, z: to.op("Tanh", z),
    mg.ReLU: lambda to, layer, z: to.op("Relu", z),
    mg.LeakyReLU: lambda to, layer, z: to.op(
        "Where", to.op("Greater", z, 0.0), z, to.op("Mul", z, layer.slope)
    ),
    mg.ELU: lambda to, layer, z: _elu(to, z, 1.0, layer.alpha),
    mg.SELU: lambda to, layer, z: _elu(to, z, SELU_SCALE, SELU_ALPHA),
    mg.Hardtanh: lambda to, layer, z: _clip(to, z, -1.0, 1.0),
    mg.Hardsigmoid: lambda to, layer, z: _clip(
        to, to.op("Add", to.op("Div", z, 6.0), 0.5), 0.0, 1.0
    ),
    mg.GELU: _gelu,
    mg.SiLU: lambda to, layer, z: to.op("Mul", z, to.op("Sigmoid", z)),
    mg.Softplus: lambda to, layer, z: _softplus(to, z),
    mg.Mish: lambda to, layer, z: to.op("Mul", z, to.op("Tanh", _softplus(to, z))),
    mg.Softsign: lambda to, layer, z: to.op("Div", z, to.op("Add", to.op("Abs", z), 1.0)),
}


def _activation(to: _Writer, layer: Layer, z: str) -> str:
    return to.elementwise(lambda x: _ACTIVATIONS[type(layer)](to, layer, x), z)


def _softmax(to: _Writer, layer: Layer, z: str) -> str:
    return to.op(type(layer).__name__, z, axis=-1)


# Layers with a weight, and windows.


def _activated(to: _Writer, layer: Any, z: str) -> str:
    return to.write(layer.activation, z) if layer.activation is not None else z


def _dense(to: _Writer, layer: mg.Dense, x: str) -> str:
    return _activated(to, layer, _affine(to, x, layer.weight, layer.bias))


def _affine(to: _Writer, x: str, weight: Value, bias: Value | None) -> str:
    z = to.op("MatMul", x, weight)
    return z if bias is None else to.op("Add", z, bias)


def _windowed(kind: str, to: _Writer, layer: Any, x: str, *weights: Value, **more: Any) -> str:
    """Add an operator with the windows and the padding of a layer."""
    (size, strides, _), pads, rank = windows_of(layer), pads_of(layer), layer.axes + 2
    if pads is None:
        more["auto_pad"] = "SAME_UPPER"
    else:
        more["pads"] = [before for before, _ in pads] + [after for _, after in pads]
    x = to.channels_first(x, rank)
    z = to.op(kind, x, *weights, kernel_shape=size, strides=strides, **more)
    return to.channels_last(z, rank)


def _convolution(to: _Writer, layer: Any, x: str) -> str:
    windows, transposed = windows_of(layer), isinstance(layer, ConvolutionTranspose)
    more: dict[str, Any] = {"dilations": windows[2]}
    if transposed and layer.padding == "same":
        more["output_padding"] = gaps_of(*windows)
    weights = [layer.weight.value.transpose(layer.axes + 1, layer.axes, *range(layer.axes))]
    if layer.bias is not None:
        weights.append(layer.bias)
    kind = "ConvTranspose" if transposed else "Conv"
    return _activated(to, layer, _windowed(kind, to, layer, x, *weights, **more))


def _depthwise(to: _Writer, layer: Any, x: str) -> str:
    height, width, channels, _ = layer.weight.shape
    weights = [layer.weight.value.transpose(2, 3, 0, 1).reshape(-1, 1, height, width)]
    if isinstance(layer, mg.DepthwiseConv2D) and layer.bias is not None:
        weights.append(layer.bias)
    more = {"dilations": windows_of(layer)[2], "group": channels}
    z = _windowed("Conv", to, layer, x, *weights, **more)
    if isinstance(layer, mg.SeparableConv2D):
        z = _affine(to, z, layer.pointwise_weight, layer.bias)
    return _activated(to, layer, z)


def _ended(to: _Writer, layer: Any, x: str) -> str:
    """Pad or crop the axes between the batch and the channels."""
    if isinstance(layer, ZeroPadding):
        ends = [(0, 0), *layer.ends, (0, 0)]
        pads = [first for first, _ in ends] + [last for _, last in ends]
        return to.op("Pad", x, np.array(pads, np.int64), 0.0)
    starts, stops = zip(*layer.ends, strict=True)
    far = np.iinfo(np.int64).max
    axes = range(1, layer.axes + 1)
    return to.op("Slice", x, [-n for n in starts], [n or far for n in stops], [*axes])


def _slice(to: _Writer, layer: mg.Slice, x: str) -> str:
    rank, far = len(layer.input_shape or ()), np.iinfo(np.int64).max
    items = [*layer.places[1:]]
    if Ellipsis in items:
        place = items.index(Ellipsis)
        items[place : place + 1] = [slice(None)] * (rank + 1 - len(items))
    starts, stops, axes, steps, dropped = [], [], [], [], []
    for axis, item in enumerate(items, start=1):
        if isinstance(item, int):
            dropped.append(axis)
            item = slice(item, item + 1 or None)
        assert isinstance(item, slice)
        step = 1 if item.step is None else item.step
        first, last = (0, far) if step > 0 else (far, -far)
        starts.append(first if item.start is None else item.start)
        stops.append(last if item.stop is None else item.stop)
        axes.append(axis)
        steps.append(step)
    h = to.op("Slice", x, starts, stops, axes, steps)
    return to.op("Squeeze", h, dropped) if dropped else h


def _prelu(to: _Writer, layer: mg.PReLU, z: str) -> str:
    return to.op("Where", to.op("Greater", z, 0.0), z, to.op("Mul", z, layer.slope))


def _dot(to: _Writer, layer: mg.Dot, a: str, b: str) -> str:
    def vectors(x: str, place: int) -> str:
        shape = (layer.input_shape or ())[place]
        if len(shape) == 1:
            x = to.op("Unsqueeze", x, [1])
        elif layer.both_axes[place] in (1, -2):
            x = to.op("Transpose", x, perm=[0, 2, 1])
        if layer.normalize:
            total = to.op("ReduceSum", to.op("Mul", x, x), [-1])
            length = to.op("Sqrt", total)
            x = to.op("Div", x, to.op("Where", to.op("Greater", length, 0.0), length, 1.0))
        return x

    h = to.op("MatMul", vectors(a, 0), to.op("Transpose", vectors(b, 1), perm=[0, 2, 1]))
    ranks = [len(shape) for shape in layer.input_shape or ()]
    dropped = [axis for axis, rank in enumerate(ranks, start=1) if rank == 1]
    return to.op("Squeeze", h, dropped[:1]) if dropped else h


def _global_pooling(kind: str, to: _Writer, layer: Any, x: str, mask: str = "") -> str:
    rank = layer.axes + 2
    if mask:
        real = to.op("Unsqueeze", to.op("Cast", mask, to=onnx.TensorProto.BOOL), [2])
        number = onnx.helper.np_dtype_to_tensor_dtype(to.dtype)
        count = to.op("ReduceSum", to.op("Cast", real, to=number), [1], keepdims=0)
        if kind == "ReduceMean":
            total = to.op("ReduceSum", to.op("Where", real, x, 0.0), [1], keepdims=0)
            return to.op("Div", total, to.op("Max", count, 1.0))
        lowest = float(np.finfo(to.dtype).min)
        largest = to.op("ReduceMax", to.op("Where", real, x, lowest), axes=[1], keepdims=0)
        return to.op("Where", to.op("Greater", count, 0.0), largest, 0.0)
    return to.op(kind, to.channels_first(x, rank), axes=list(range(2, rank)), keepdims=0)


def _upsampling(to: _Writer, layer: Any, x: str) -> str:
    sizes, rank = per_axis(layer.size, layer.axes), layer.axes + 2
    scales = to.constant(np.array([1, 1, *sizes], np.float32), exact=True)
    smooth = isinstance(layer, mg.UpSampling2D) and layer.interpolation == "bilinear"
    options: dict[str, Any] = {
        "mode": "linear" if smooth else "nearest",
        "nearest_mode": "floor",
        "coordinate_transformation_mode": "half_pixel" if smooth else "asymmetric",
    }
    h = to.op("Resize", to.channels_first(x, rank), "", scales, **options)
    return to.channels_last(h, rank)


# Normalization: for each feature, or along some axes.


def _batch_norm(to: _Writer, layer: Any, x: str) -> str:
    scale = layer.gamma.value / np.sqrt(layer.running_variance + layer.epsilon)
    shift = layer.beta.value - layer.running_mean * scale

    def normalized(value: str) -> str:
        shape = (-1, *[1] * (0 if value == x else len(layer.input_shape) - 1))
        return to.op("Add", to.op("Mul", value, scale.reshape(shape)), shift.reshape(shape))

    return to.elementwise(normalized, x)


def _standardized(to: _Writer, x: str, axes: list[int], epsilon: float, *, center: bool) -> str:
    """Return (x - mean) / sqrt(variance + epsilon) along some axes."""
    if center:
        x = to.op("Sub", x, to.op("ReduceMean", x, axes=axes))
    variance = to.op("ReduceMean", to.op("Mul", x, x), axes=axes)
    return to.op("Div", x, to.op("Sqrt", to.op("Add", variance, epsilon)))


def _layer_norm(to: _Writer, layer: Any, x: str) -> str:
    # Without an epsilon it is that of the model's dtype, as in our predictions.
    epsilon = layer.epsilon or float(np.finfo(layer.gamma.value.dtype).eps)
    n = to.op("Mul", _standardized(to, x, [-1], epsilon, center=layer.centered), layer.gamma)
    return n if layer.beta is None else to.op("Add", n, layer.beta)


def _group_norm(to: _Writer, layer: mg.GroupNorm, x: str) -> str:
    groups, size = layer.feature_shape
    assert layer.epsilon is not None
    assert layer.beta is not None
    arranged = to.op("Reshape", x, [0, -1, groups, size])
    n = _standardized(to, arranged, [1, 3], layer.epsilon, center=True)
    n = to.op("Reshape", n, to.op("Shape", x))
    return to.op("Add", to.op("Mul", n, layer.gamma), layer.beta)


# Sequences.


def _embedding(to: _Writer, layer: mg.Embedding, ids: str) -> str:
    return to.op("Gather", layer.weight, to.op("Cast", ids, to=onnx.TensorProto.INT64))


def _positions(to: _Writer, x: str) -> str:
    """Return 0, 1, ... for the positions of x, whose shape is (batch, positions, features)."""
    return to.op("Range", np.int64(0), to.op("Gather", to.op("Shape", x), np.int64(1)), np.int64(1))


def _sinusoidal_positions(to: _Writer, layer: Any, x: str) -> str:
    width = layer.input_shape[1]
    columns = np.arange(width)
    rate = 10000.0 ** (-(columns - columns % 2) / width)
    phase = columns % 2 * (pi / 2)  # cos(t) = sin(t + pi / 2)
    double = onnx.TensorProto.DOUBLE  # in float32, large positions would lose digits
    t = to.op("Cast", to.op("Unsqueeze", _positions(to, x), [1]), to=double)
    angle = to.op("Mul", t, to.constant(rate, exact=True))
    p = to.op("Sin", to.op("Add", angle, to.constant(phase, exact=True)))
    number = onnx.helper.np_dtype_to_tensor_dtype(to.dtype)
    return to.op("Add", x, to.op("Cast", p, to=number))


def _attention(
    to: _Writer, layer: mg.MultiHeadAttention, query: str, value: str = "", mask: str = ""
) -> str:
    heads, width = layer.num_heads, layer.width
    size = heads * width
    if layer.masked_query:
        value, mask = query, value
    value = value or query

    def projected(x: str, part: int, axes: list[int]) -> str:
        columns = slice(part * size, (part + 1) * size)
        bias = None if layer.bias is None else layer.bias.value[columns]
        z = _affine(to, x, layer.weight.value[:, columns], bias)
        split = to.op("Reshape", z, [0, 0, heads, width])
        return to.op("Transpose", split, perm=axes)

    q = to.op("Mul", projected(query, 0, [0, 2, 1, 3]), width**-0.5)
    scores = to.op("MatMul", q, projected(value, 1, [0, 2, 3, 1]))
    attends = _attends(to, layer, query, value, mask)
    if attends:
        scores = to.op("Where", attends, scores, float(np.finfo(to.dtype).min))
    a = to.op("Softmax", scores, axis=-1)
    if attends:  # a query may attend to nothing
        a = to.op("Where", attends, a, 0.0)
    mixed = to.op("MatMul", a, projected(value, 2, [0, 2, 1, 3]))
    m = to.op("Reshape", to.op("Transpose", mixed, perm=[0, 2, 1, 3]), [0, 0, size])
    return _affine(to, m, layer.output_weight, layer.output_bias)


def _attends(to: _Writer, layer: Any, query: str, value: str, mask: str) -> str:
    """Return where a query attends to a key, by batch, head, query and key; "" for everywhere."""
    attends = ""
    if layer.causal:
        keys, queries = _positions(to, value), to.op("Unsqueeze", _positions(to, query), [1])
        attends = to.op("LessOrEqual", keys, queries)
    if mask:
        axes = [1, 2] if len(layer.input_shape[-1]) == 1 else [1]
        seen = to.op("Cast", mask, to=onnx.TensorProto.BOOL)
        seen = to.op("Unsqueeze", seen, axes)
        attends = to.op("And", attends, seen) if attends else seen
    return attends


_GATES = {mg.SimpleRNN: ("RNN", [0]), mg.GRU: ("GRU", [1, 0, 2]), mg.LSTM: ("LSTM", [0, 3, 1, 2])}
"""The operator of a recurrent layer, and ONNX's order of our blocks."""


def _mask(to: _Writer, layer: mg.Mask, x: str) -> str:
    value = to.op("Cast", x, to=onnx.helper.np_dtype_to_tensor_dtype(to.dtype))
    real = to.op(
        "Cast", to.op("Not", to.op("Equal", value, layer.mask_value)), to=onnx.TensorProto.FLOAT
    )
    if len(layer.input_shape or ()) == 2:
        real = to.op("ReduceMax", real, axes=[2], keepdims=0)
    return to.op("Cast", real, to=onnx.helper.np_dtype_to_tensor_dtype(to.dtype))


def _count(to: _Writer, mask: str, *, backwards: bool) -> tuple[str, str]:
    """Return which steps are real, and the number of real steps up to each, as (time, batch)."""
    real = to.op("Cast", mask, to=onnx.TensorProto.INT64)
    if backwards:
        real = to.op("Slice", real, [-1], [np.iinfo(np.int64).min + 1], [1], [-1])
    real = to.op("Transpose", real, perm=[1, 0])
    return real, to.op("CumSum", real, np.int64(0))


def _moved(to: _Writer, steps: str, real: str, count: str) -> str:
    """Return (time, batch, features) with the real steps at the front, then zeros."""
    shape = to.op("Shape", steps)
    place = to.op("Expand", to.op("Unsqueeze", to.op("Mul", real, count), [2]), shape)
    first = to.op("Mul", to.op("Slice", steps, [0], [1], [0]), 0.0)
    zeros = to.op("Concat", first, to.op("Mul", steps, 0.0), axis=0)
    moved = to.op("ScatterElements", zeros, place, steps, axis=0)
    return to.op("Slice", moved, [1], [np.iinfo(np.int64).max], [0])


def _held(to: _Writer, h: str, count: str) -> str:
    """Return the state after each step, (time, batch, units), of those after the real ones."""
    first = to.op("Mul", to.op("Slice", h, [0], [1], [0]), 0.0)
    states = to.op("Concat", first, h, axis=0)
    place = to.op("Expand", to.op("Unsqueeze", count, [2]), to.op("Shape", h))
    return to.op("GatherElements", states, place, axis=0)


def _recurrent(to: _Writer, layer: Any, x: str, *masks: str) -> str:
    check_states(layer, "export")
    kind, order = _GATES[type(layer)]

    def arranged(parameter: Any) -> Array:
        """Return the blocks of gates in ONNX's order, transposed, for one direction."""
        blocks = np.split(parameter.value, len(order), axis=-1)
        return np.concatenate([blocks[i] for i in order], axis=-1).T[np.newaxis]

    bias: list[Array] = []
    if layer.bias is not None:
        recurrent = np.zeros((1, layer.bias.size))
        if isinstance(layer, mg.GRU) and layer.recurrent_bias is not None:
            recurrent[0, 2 * layer.units :] = layer.recurrent_bias.value
        bias = [np.concatenate([arranged(layer.bias), recurrent], axis=1)]
    steps = to.op("Transpose", _flipped(to, x) if layer.go_backwards else x, perm=[1, 0, 2])
    if masks:
        real, count = _count(to, *masks, backwards=layer.go_backwards)
        steps = _moved(to, steps, real, count)
    h = to.op(
        kind,
        steps,
        arranged(layer.weight),
        arranged(layer.recurrent_weight),
        *bias,
        hidden_size=layer.units,
        output=0 if layer.return_sequences or masks else 1,
        **({"linear_before_reset": 1} if kind == "GRU" else {}),
    )
    if masks:
        h = _held(to, to.op("Squeeze", h, [1]), count)
        if not layer.return_sequences:
            return to.op("Gather", h, np.int64(-1))
    elif not layer.return_sequences:
        return to.op("Squeeze", h, [0])
    else:
        h = to.op("Squeeze", h, [1])
    rows = to.op("Transpose", h, perm=[1, 0, 2])
    return _flipped(to, rows) if layer.restores_order else rows


def _bidirectional(to: _Writer, layer: Any, *inputs: str) -> str:
    return to.merge(layer, layer.merge, [to.write(one, *inputs) for one in layer.layers])


def _flipped(to: _Writer, x: str) -> str:
    """Return x with the time axis reversed."""
    return to.op("Slice", x, [-1], [np.iinfo(np.int64).min + 1], [1], [-1])


WRITERS: dict[type[Layer], Callable[..., Any]] = {
    **dict.fromkeys(_ACTIVATIONS, _activation),
    mg.Softmax: _softmax,
    mg.LogSoftmax: _softmax,
    mg.Dense: _dense,
    mg.Conv1D: _convolution,
    mg.Conv2D: _convolution,
    mg.Conv1DTranspose: _convolution,
    mg.Conv2DTranspose: _convolution,
    mg.DepthwiseConv2D: _depthwise,
    mg.SeparableConv2D: _depthwise,
    **dict.fromkeys([mg.ZeroPadding1D, mg.ZeroPadding2D, mg.Cropping1D, mg.Cropping2D], _ended),
    mg.PReLU: _prelu,
    mg.Dot: _dot,
    mg.Slice: _slice,
    mg.Permute: lambda to, layer, x: to.op("Transpose", x, perm=[0, *layer.dims]),
    mg.RepeatVector: lambda to, layer, x: to.op(
        "Tile", to.op("Unsqueeze", x, [1]), np.array([1, layer.n, 1], np.int64)
    ),
    mg.MaxPooling1D: partial(_windowed, "MaxPool"),
    mg.MaxPooling2D: partial(_windowed, "MaxPool"),
    mg.AveragePooling1D: partial(_windowed, "AveragePool"),
    mg.AveragePooling2D: partial(_windowed, "AveragePool"),
    mg.GlobalMaxPooling1D: partial(_global_pooling, "ReduceMax"),
    mg.GlobalMaxPooling2D: partial(_global_pooling, "ReduceMax"),
    mg.GlobalAveragePooling1D: partial(_global_pooling, "ReduceMean"),
    mg.GlobalAveragePooling2D: partial(_global_pooling, "ReduceMean"),
    mg.UpSampling1D: _upsampling,
    mg.UpSampling2D: _upsampling,
    mg.BatchNorm: _batch_norm,
    mg.LayerNorm: _layer_norm,
    mg.RMSNorm: _layer_norm,
    mg.GroupNorm: _group_norm,
    mg.Flatten: lambda to, layer, x: to.op("Reshape", x, [0, *layer.output_shape]),
    mg.Reshape: lambda to, layer, x: to.op("Reshape", x, [0, *layer.output_shape]),
    mg.Embedding: _embedding,
    mg.PositionEmbedding: lambda to, layer, x: to.op("Add", x, layer.weight),
    mg.SinusoidalPositions: _sinusoidal_positions,
    mg.Mask: _mask,
    mg.MultiHeadAttention: _attention,
    **dict.fromkeys(_GATES, _recurrent),
    **dict.fromkeys(MERGES, lambda to, layer, *xs: to.merge(layer, MERGES[type(layer)], xs)),
    **CONTAINERS,
    mg.Bidirectional: _bidirectional,
}
"""The function of (writer, layer, *inputs) that adds a layer; yours can be added."""
