"""Random graphs of all layers: exact gradients by differences, and by PyTorch's autograd."""

import copy
import math
from collections.abc import Callable
from functools import reduce
from operator import eq
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose

import minigrad
from minigrad import (
    GRU,
    Add,
    BatchNorm,
    BCEWithLogitsLoss,
    Bidirectional,
    Chain,
    Concatenate,
    CrossEntropyLoss,
    Dense,
    Dot,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    Graph,
    GroupNorm,
    HuberLoss,
    Input,
    Lambda,
    Layer,
    LayerNorm,
    LeakyReLU,
    Loss,
    Mask,
    Model,
    MSELoss,
    MultiHeadAttention,
    Parallel,
    Parameter,
    Permute,
    PositionEmbedding,
    PReLU,
    RepeatVector,
    Rescaling,
    Reshape,
    Residual,
    RMSNorm,
    Sequential,
    SinusoidalPositions,
    Slice,
    SpatialDropout1D,
    SpatialDropout2D,
    Subtract,
    Tanh,
    UpSampling1D,
    UpSampling2D,
    check_gradients,
)
from minigrad.core.layer import build_once
from minigrad.data.by_name import each, of
from minigrad.util.config import registered

pytestmark = pytest.mark.filterwarnings("ignore:.* over 1 unit:UserWarning")  # of random widths

ROWS = 5
SHAPES = [(3,), (4, 3), (3, 3, 2)]
"""The shapes of inputs: features, sequences, and images."""


class Op(NamedTuple):
    """A layer in random graphs.

    `make` creates it for the shape of its first input; a shape that it refuses isn't used. `torch`
    computes the same from a `Torch`, the layer, and tensors. Of several inputs, each is `alike` the
    first: such a function of two shapes.
    """

    make: Callable[[np.random.Generator, Any], Layer]
    torch: Callable[..., Any]
    counts: tuple[int, ...] = (1,)
    alike: Callable[[Any, Any], bool] = eq


def activation(name: str, torch: Callable[..., Any]) -> Op:
    return Op(lambda rng, shape: getattr(minigrad, name)(), lambda t, layer, x: torch(t.f, x))


def merging(name: str, torch: Callable[..., Any]) -> Op:
    return Op(lambda *_: getattr(minigrad, name)(), lambda t, layer, *xs: torch(*xs), (2, 3))


def units(rng: np.random.Generator) -> int:
    return int(rng.integers(1, 5))


def activated(t: Any, layer: Any, z: Any) -> Any:
    """Add the bias, and apply the activation."""
    if layer.bias is not None:
        z = z + t[layer.bias]
    return t(layer.activation, z) if layer.activation else z


def convolution(name: str, rank: int) -> Op:
    def make(rng: np.random.Generator, shape: Any) -> Layer:
        padding = ["valid", "same", 1][rng.integers(3)]
        strides = 1 if padding == "same" else int(rng.integers(1, 3))
        options = {"padding": padding, "strides": strides, "dilation_rate": int(rng.integers(1, 3))}
        made = getattr(minigrad, name)(
            units(rng), [1, 3, 2][rng.integers(3 - (padding == "same"))], **options
        )
        assert isinstance(made, Layer)
        return made

    def torch(t: Any, layer: Any, x: Any) -> Any:
        weight = t[layer.weight].movedim((-1, -2), (0, 1)).contiguous()
        apply = getattr(t.f, f"conv{rank}d")
        options = layer.strides, layer.padding, layer.dilation_rate
        return activated(t, layer, apply(x.movedim(-1, 1), weight, None, *options).movedim(1, -1))

    return Op(make, torch)


def transposed(name: str) -> Op:
    def make(rng: np.random.Generator, shape: Any) -> Layer:
        options = {"strides": int(rng.integers(1, 3)), "padding": int(rng.integers(2))}
        made = getattr(minigrad, name)(units(rng), 2, **options)
        assert isinstance(made, Layer)
        return made

    def torch(t: Any, layer: Any, x: Any) -> Any:
        weight = t[layer.weight].movedim((-1, -2), (0, 1)).contiguous()
        apply = getattr(t.f, f"conv_transpose{layer.axes}d")
        z = apply(x.movedim(-1, 1), weight, None, layer.strides, layer.padding)
        return activated(t, layer, z.movedim(1, -1))

    return Op(make, torch)


def depthwise(t: Any, layer: Any, x: Any) -> Any:
    """Return each channel with its own kernels, before the bias."""
    height, width, channels, _ = layer.weight.shape
    weight = t[layer.weight].permute(2, 3, 0, 1).reshape(-1, 1, height, width)
    options = layer.strides, layer.padding, layer.dilation_rate, channels
    return t.f.conv2d(x.movedim(-1, 1), weight, None, *options).movedim(1, -1)


def windowed(name: str, *given: int) -> Callable[..., Layer]:
    def make(rng: np.random.Generator, shape: Any) -> Layer:
        options = {"strides": int(rng.integers(1, 3)), "padding": int(rng.integers(2))}
        made = getattr(minigrad, name)(
            *given, 2, depth_multiplier=int(rng.integers(1, 3)), **options
        )
        assert isinstance(made, Layer)
        return made

    return make


def ended(name: str, *ends: Any) -> Op:
    """Pad or crop the axes before the channels."""
    pads = [n for pair in reversed(ends) for n in pair]
    sign = -1 if "Cropping" in name else 1

    def make(rng: np.random.Generator, shape: Any) -> Layer:
        made = getattr(minigrad, name)(ends if len(ends) > 1 else ends[0])
        assert isinstance(made, Layer)
        return made

    return Op(make, lambda t, layer, x: t.f.pad(x, [0, 0, *(sign * n for n in pads)]))


def pooling(name: str, torch: str) -> Op:
    def make(rng: np.random.Generator, shape: Any) -> Layer:
        made = getattr(minigrad, name)(2, strides=int(rng.integers(1, 3)))
        assert isinstance(made, Layer)
        return made

    def pool(t: Any, layer: Any, x: Any) -> Any:
        return getattr(t.f, torch)(x.movedim(-1, 1), 2, layer.strides).movedim(1, -1)

    return Op(make, pool)


def global_pooling(name: str, torch: str) -> Op:
    return activation(name, lambda f, x: getattr(f, torch)(x.movedim(-1, 1), 1).flatten(1))


def recurrent(name: str, step: Callable[..., Any]) -> Op:
    def make(rng: np.random.Generator, shape: Any) -> Layer:
        options = {name: bool(rng.integers(2)) for name in ("return_sequences", "go_backwards")}
        made = getattr(minigrad, name)(units(rng), **options)
        assert isinstance(made, Layer)
        return made

    def torch(t: Any, layer: Any, x: Any) -> Any:
        x = x.flip(1) if layer.go_backwards else x
        state = x.new_zeros(len(x), layer.units), x.new_zeros(len(x), layer.units)
        outputs = []
        for x_t in x.unbind(1):
            state = step(t, layer, x_t @ t[layer.weight] + t[layer.bias], *state)
            outputs.append(state[0])
        outputs = outputs[::-1] if layer.restores_order else outputs
        return t.torch.stack(outputs, 1) if layer.return_sequences else state[0]

    return Op(make, torch)


def rnn_step(t: Any, layer: Any, z: Any, h: Any, c: Any) -> Any:
    return (z + h @ t[layer.recurrent_weight]).tanh(), c


def lstm_step(t: Any, layer: Any, z: Any, h: Any, c: Any) -> Any:
    i, f, g, o = (z + h @ t[layer.recurrent_weight]).chunk(4, dim=-1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru_step(t: Any, layer: Any, z: Any, h: Any, c: Any) -> Any:
    z_r, z_u, z_n = z.chunk(3, dim=-1)
    h_r, h_u, h_n = (h @ t[layer.recurrent_weight]).chunk(3, dim=-1)
    r, u = (z_r + h_r).sigmoid(), (z_u + h_u).sigmoid()
    n = (z_n + r * (h_n + t[layer.recurrent_bias])).tanh()
    return u * h + (1 - u) * n, c


def attention(t: Any, layer: Any, query: Any, value: Any = None) -> Any:
    value = query if value is None else value
    weights, biases = t[layer.weight].chunk(3, dim=-1), t[layer.bias].chunk(3)

    def heads(x: Any, i: int) -> Any:
        return (x @ weights[i] + biases[i]).unflatten(-1, (layer.num_heads, -1)).transpose(1, 2)

    q, k, v = heads(query, 0), heads(value, 1), heads(value, 2)
    h = t.f.scaled_dot_product_attention(q, k, v, is_causal=layer.causal)
    return h.transpose(1, 2).flatten(2) @ t[layer.output_weight] + t[layer.output_bias]


def torch_mask(x: Any) -> Any:
    real = x != 0
    return (real if real.ndim == 2 else real.any(dim=2)).to(x.dtype)


def group_norm(t: Any, layer: Any, x: Any) -> Any:
    gamma, beta = t[layer.gamma], t[layer.beta]
    h = t.f.group_norm(x.movedim(-1, 1), layer.groups, gamma, beta, layer.epsilon)
    return h.movedim(1, -1)


def positions(t: Any, layer: Any, x: Any) -> Any:
    return x + t.torch.tensor(layer.forward(np.zeros((1, *x.shape[1:])), training=False))


def batch_norm(t: Any, layer: Any, x: Any) -> Any:
    rows = x.reshape(-1, x.shape[-1])
    gamma, beta = t[layer.gamma], t[layer.beta]
    h = t.f.batch_norm(rows, None, None, gamma, beta, training=True, eps=layer.epsilon)
    return h.reshape(x.shape)


def layer_norm(t: Any, layer: Any, x: Any) -> Any:
    return t.f.layer_norm(x, x.shape[-1:], t[layer.gamma], t[layer.beta], layer.epsilon)


def parallel(t: Any, layer: Any, x: Any) -> Any:
    outputs = [t(branch, x) for branch in layer.layers]
    if layer.merge == "concat":
        return t.torch.cat(outputs, dim=-1)
    return sum(outputs) / (len(outputs) if layer.merge == "mean" else 1)


def dot(t: Any, layer: Any, a: Any, b: Any) -> Any:
    if layer.normalize:
        a, b = t.f.normalize(a, dim=-1), t.f.normalize(b, dim=-1)
    one, two = "d" if a.ndim == 2 else "td", "d" if b.ndim == 2 else "sd"
    kept = (one + two).replace("d", "")
    h = t.torch.einsum(f"n{one},n{two}->n{kept}", a, b)
    return h if kept else h[:, None]


def tied(n: int) -> Layer:
    weight = Parameter(np.random.default_rng(n).normal(size=(n, n)))
    return Chain([Dense(n, weight=weight), Tanh(), Dense(n, weight=weight)])


def graph(shape: Any) -> Graph:
    table = {"h": (Chain([LayerNorm(), Tanh()]), "x"), "sum": (Add(), "h", "y", "h")}
    return Graph({"x": shape, "y": shape}, table, "sum")


OPS = {
    "Identity": activation("Identity", lambda f, x: x),
    "Sigmoid": activation("Sigmoid", lambda f, x: x.sigmoid()),
    "Tanh": activation("Tanh", lambda f, x: x.tanh()),
    "ReLU": activation("ReLU", lambda f, x: f.relu(x)),
    "LeakyReLU": Op(
        lambda rng, shape: LeakyReLU(float(rng.uniform(0.1, 0.5))),
        lambda t, layer, x: t.f.leaky_relu(x, layer.slope),
    ),
    "ELU": activation("ELU", lambda f, x: f.elu(x)),
    "SELU": activation("SELU", lambda f, x: f.selu(x)),
    "Hardtanh": activation("Hardtanh", lambda f, x: f.hardtanh(x)),
    "Hardsigmoid": activation("Hardsigmoid", lambda f, x: f.relu6(x + 3) / 6),
    "GELU": activation("GELU", lambda f, x: f.gelu(x)),
    "SiLU": activation("SiLU", lambda f, x: f.silu(x)),
    "Softplus": activation("Softplus", lambda f, x: x.logaddexp(0 * x)),
    "Mish": activation("Mish", lambda f, x: f.mish(x)),
    "Softsign": activation("Softsign", lambda f, x: f.softsign(x)),
    "Softmax": activation("Softmax", lambda f, x: x.softmax(-1)),
    "LogSoftmax": activation("LogSoftmax", lambda f, x: x.log_softmax(-1)),
    "Dense": Op(
        lambda rng, shape: Dense(
            units(rng),
            [None, "tanh", "gelu", "softmax"][rng.integers(4)],
            use_bias=bool(rng.integers(4)),
            bias_initializer="normal",
        ),
        lambda t, layer, x: activated(t, layer, x @ t[layer.weight]),
    ),
    "Conv1D": convolution("Conv1D", 1),
    "Conv2D": convolution("Conv2D", 2),
    "Conv1DTranspose": transposed("Conv1DTranspose"),
    "Conv2DTranspose": transposed("Conv2DTranspose"),
    "DepthwiseConv2D": Op(
        windowed("DepthwiseConv2D"), lambda t, layer, x: activated(t, layer, depthwise(t, layer, x))
    ),
    "SeparableConv2D": Op(
        windowed("SeparableConv2D", 3),
        lambda t, layer, x: activated(t, layer, depthwise(t, layer, x) @ t[layer.pointwise_weight]),
    ),
    "ZeroPadding1D": ended("ZeroPadding1D", (1, 2)),
    "ZeroPadding2D": ended("ZeroPadding2D", (0, 1), (2, 0)),
    "Cropping1D": ended("Cropping1D", (1, 0)),
    "Cropping2D": ended("Cropping2D", (0, 1), (1, 0)),
    "MaxPooling1D": pooling("MaxPooling1D", "max_pool1d"),
    "MaxPooling2D": pooling("MaxPooling2D", "max_pool2d"),
    "AveragePooling1D": pooling("AveragePooling1D", "avg_pool1d"),
    "AveragePooling2D": pooling("AveragePooling2D", "avg_pool2d"),
    "GlobalMaxPooling1D": global_pooling("GlobalMaxPooling1D", "adaptive_max_pool1d"),
    "GlobalMaxPooling2D": global_pooling("GlobalMaxPooling2D", "adaptive_max_pool2d"),
    "GlobalAveragePooling1D": global_pooling("GlobalAveragePooling1D", "adaptive_avg_pool1d"),
    "GlobalAveragePooling2D": global_pooling("GlobalAveragePooling2D", "adaptive_avg_pool2d"),
    "UpSampling2D": Op(
        lambda rng, shape: UpSampling2D((1, 2)), lambda t, layer, x: x.repeat_interleave(2, 2)
    ),
    "UpSampling1D": Op(
        lambda rng, shape: UpSampling1D(2), lambda t, layer, x: x.repeat_interleave(2, 1)
    ),
    "SimpleRNN": recurrent("SimpleRNN", rnn_step),
    "LSTM": recurrent("LSTM", lstm_step),
    "GRU": recurrent("GRU", gru_step),
    "Bidirectional": Op(
        lambda rng, shape: Bidirectional(GRU(units(rng), return_sequences=bool(rng.integers(2)))),
        parallel,
    ),
    "MultiHeadAttention": Op(
        lambda rng, shape: MultiHeadAttention(
            int(rng.choice([1, shape[-1]])), causal=bool(rng.integers(2))
        ),
        attention,
        (1, 2),
        lambda query, value: len(value) == 2 and query[-1] == value[-1],
    ),
    "Embedding": Op(lambda rng, shape: Embedding(7, 3), lambda t, layer, ids: t[layer.weight][ids]),
    "Mask": Op(lambda rng, shape: Mask(), lambda t, layer, x: torch_mask(x)),
    "PositionEmbedding": Op(
        lambda rng, shape: PositionEmbedding(), lambda t, layer, x: x + t[layer.weight]
    ),
    "SinusoidalPositions": Op(lambda rng, shape: SinusoidalPositions(), positions),
    "RMSNorm": Op(
        lambda rng, shape: RMSNorm(epsilon=0.1),
        lambda t, layer, x: t.f.rms_norm(x, x.shape[-1:], t[layer.gamma], layer.epsilon),
    ),
    "GroupNorm": Op(lambda rng, shape: GroupNorm(int(shape[-1]), epsilon=0.1), group_norm),
    "BatchNorm": Op(lambda rng, shape: BatchNorm(epsilon=0.1), batch_norm),
    "LayerNorm": Op(lambda rng, shape: LayerNorm(epsilon=0.1), layer_norm),
    "Dropout": Op(lambda rng, shape: Dropout(0), lambda t, layer, x: x),
    "SpatialDropout1D": Op(lambda rng, shape: SpatialDropout1D(0), lambda t, layer, x: x),
    "SpatialDropout2D": Op(lambda rng, shape: SpatialDropout2D(0), lambda t, layer, x: x),
    "GaussianNoise": Op(lambda rng, shape: GaussianNoise(0), lambda t, layer, x: x),
    "PReLU": Op(
        lambda rng, shape: PReLU(),
        lambda t, layer, x: x.clamp(min=0) + t[layer.slope] * x.clamp(max=0),
    ),
    "Rescaling": Op(
        lambda rng, shape: Rescaling(rng.uniform(0.5, 2), offset=rng.normal()),
        lambda t, layer, x: layer.scale * x + layer.offset,
    ),
    "Lambda": Op(
        lambda rng, shape: Lambda(np.sin, lambda delta, x: delta * np.cos(x)),
        lambda t, layer, x: x.sin(),
    ),
    "Permute": Op(
        lambda rng, shape: Permute(1 + rng.permutation(len(shape))),
        lambda t, layer, x: x.permute(0, *layer.dims),
    ),
    "RepeatVector": Op(
        lambda rng, shape: RepeatVector(4), lambda t, layer, x: x[:, None].repeat(1, 4, 1)
    ),
    "Slice": Op(lambda rng, shape: Slice("..., :2"), lambda t, layer, x: x[..., :2]),
    "Flatten": Op(lambda rng, shape: Flatten(), lambda t, layer, x: x.flatten(1)),
    "Reshape": Op(
        lambda rng, shape: Reshape((-1, *shape[:-1])),
        lambda t, layer, x: x.reshape(len(x), *layer.output_shape),
    ),
    "Chain": Op(
        lambda rng, shape: tied(shape[-1]),
        lambda t, layer, x: reduce(lambda x, inner: t(inner, x), layer.layers, x),
    ),
    "Residual": Op(
        lambda rng, shape: Residual([LayerNorm(), Tanh()]),
        lambda t, layer, x: x + t(layer.layer, x),
    ),
    "Parallel": Op(
        lambda rng, shape: Parallel(
            [Tanh(), Residual(LayerNorm())], merge=("add", "mean", "concat")[rng.integers(3)]
        ),
        parallel,
    ),
    "Sequential": Op(
        lambda rng, shape: Sequential([Dense(units(rng), "tanh"), Dense(shape[-1])]),
        lambda t, layer, x: t(layer.network, x),
    ),
    "Graph": Op(lambda rng, shape: graph(shape), lambda t, layer, *xs: t.graph(layer, xs), (2,)),
    "Model": Op(
        lambda rng, shape: Model(graph(shape)), lambda t, layer, *xs: t(layer.network, *xs), (2,)
    ),
    "Add": merging("Add", lambda *xs: sum(xs)),
    "Average": merging("Average", lambda *xs: sum(xs) / len(xs)),
    "Multiply": merging("Multiply", lambda *xs: math.prod(xs)),
    "Subtract": Op(lambda *_: Subtract(), lambda t, layer, a, b: a - b, (2,)),
    "Maximum": merging("Maximum", lambda *xs: reduce(lambda a, b: a.where(a >= b, b), xs)),
    "Minimum": merging("Minimum", lambda *xs: reduce(lambda a, b: a.where(a <= b, b), xs)),
    "Dot": Op(
        lambda rng, shape: Dot(-1, normalize=bool(rng.integers(2))),
        dot,
        (2,),
        lambda one, two: len(one) < 3 > len(two) and one[-1] == two[-1],
    ),
    "Concatenate": Op(
        lambda rng, shape: Concatenate(),
        lambda t, layer, *xs: t.torch.cat(xs, dim=-1),
        (2, 3),
        lambda one, two: one[:-1] == two[:-1],
    ),
}


class Case(NamedTuple):
    model: Model
    x: Any
    y: Any
    loss: Any
    weight: Any
    ops: set[str]


def random_case(seed: int) -> Case:
    """Draw a graph: values and layers may be used several times, inputs and outputs be several."""
    rng = np.random.default_rng(seed)

    def pick(items: Any) -> Any:
        return items[rng.integers(len(items))]

    inputs = [Input(pick(SHAPES), name=f"x{i}") for i in range(rng.integers(1, 4))]
    shapes: dict[Any, Any] = {symbol: symbol.shape for symbol in inputs}
    made: list[tuple[Layer, list[Any], str]] = []
    if rng.integers(2):  # ids, which only an embedding takes
        inputs.append(Input((4,), name="ids"))
        embedding = OPS["Embedding"].make(rng, (4,))
        shapes[embedding(inputs[-1])] = (4, 3)
        made.append((embedding, [], "Embedding"))
    size = rng.integers(2, 10)
    while len(made) < size:
        name = pick([op for op in OPS if op != "Embedding"])
        op = OPS[name]
        sources = [pick([*shapes][-4:])]
        like = [s for s in shapes if op.alike(shapes[s], shapes[sources[0]])]
        sources += [pick(like or sources) for _ in range(pick(op.counts) - 1)]
        given = [shapes[source] for source in sources]
        layer = op.make(rng, given[0])
        again = [one for one, other, _ in made if other == given and type(one) is type(layer)]
        if again and rng.integers(2):
            layer = pick(again)
        try:
            twin = copy.deepcopy(layer)
            shape = build_once(twin, tuple(given) if len(given) > 1 else given[0], rng)
        except (TypeError, ValueError):  # it doesn't take this shape
            continue
        shapes[layer(*sources)] = shape
        made.append((layer, given, name))
    taken = {source for symbol in shapes for source in symbol.sources}
    outputs = [symbol for symbol in shapes if symbol.layer and symbol not in taken]
    outputs += [s for s in shapes if s.layer and s in taken and rng.random() < 0.1]
    inputs = [symbol for symbol in inputs if symbol in taken]
    ends: Any = {f"y{i}": end for i, end in enumerate(outputs)}
    model = Model(inputs=inputs, outputs=ends if len(ends) > 1 else outputs[0], rng=seed)
    for p in model.parameters:  # gamma isn't 1, and beta isn't 0
        p.value += 0.3 * rng.normal(size=p.shape)
    x: Any = {s.name: rng.normal(size=(ROWS, *s.shape)) for s in inputs}
    if "ids" in x:
        x["ids"] = rng.integers(0, 7, size=(ROWS, 4))
    losses = each(lambda shape: random_loss(rng, shape), model.output_shape)
    y = each(lambda loss, shape: target(rng, loss, shape), losses, model.output_shape)
    weight = rng.uniform(size=ROWS) if rng.integers(2) else None
    x = x if len(x) > 1 else x[inputs[0].name]
    return Case(model, x, y, losses, weight, {name for _, _, name in made})


def random_loss(rng: np.random.Generator, shape: Any) -> Loss:
    kinds: list[Any] = [MSELoss, HuberLoss, BCEWithLogitsLoss]
    if shape[-1] > 1:
        kinds.append(CrossEntropyLoss)
    kind = kinds[rng.integers(len(kinds))]
    loss: Loss = kind(reduction=("mean", "sum")[rng.integers(2)], scale=rng.uniform(0.5, 2))
    return loss


def target(rng: np.random.Generator, loss: Loss, shape: Any) -> Any:
    if isinstance(loss, CrossEntropyLoss):
        return rng.integers(0, shape[-1], size=(ROWS, *shape[:-1]))
    return rng.uniform(size=(ROWS, *shape))


class Torch:
    """The same network in PyTorch: `t(layer, *inputs)`, with `t[parameter]` a leaf."""

    def __init__(self, model: Model) -> None:
        self.torch = pytest.importorskip("torch")
        self.f = self.torch.nn.functional
        self.leaves = {p: self.leaf(p.value) for p in model.parameters}

    def leaf(self, array: Any) -> Any:
        return self.torch.tensor(array, requires_grad=array.dtype.kind == "f")

    def __getitem__(self, parameter: Parameter) -> Any:
        return self.leaves[parameter.source]

    def __call__(self, layer: Any, *inputs: Any) -> Any:
        return OPS[type(layer).__name__].torch(self, layer, *inputs)

    def graph(self, graph: Graph, inputs: Any) -> Any:
        values = dict(zip(graph.inputs, inputs, strict=True))
        for node, layer in graph.layers.items():
            values[node] = self(layer, *(values[source] for source in graph.sources[node]))
        return each(values.__getitem__, graph.outputs)

    def loss(self, loss: Loss, prediction: Any, target: Any, weight: Any) -> Any:
        f, y = self.f, self.torch.tensor(target)
        functions = {
            "MSELoss": f.mse_loss,
            "HuberLoss": f.huber_loss,
            "BCEWithLogitsLoss": f.binary_cross_entropy_with_logits,
        }
        if isinstance(loss, CrossEntropyLoss):
            terms = f.cross_entropy(prediction.movedim(-1, 1), y, reduction="none")
        else:
            terms = functions[type(loss).__name__](prediction, y, reduction="none")
        rows = terms.reshape(ROWS, -1)
        weight = self.torch.ones(ROWS).double() if weight is None else self.torch.tensor(weight)
        total = (weight[:, None] * rows).sum()
        if loss.reduction == "mean":
            total = total / (weight.sum() * rows.shape[1])
        return loss.scale * total


def compare(case: Case) -> None:
    """Compare outputs, J, and the gradients of all parameters and inputs."""

    def close(ours: Any, theirs: Any) -> None:
        theirs = theirs.detach().numpy()
        assert_allclose(ours, theirs, rtol=0, atol=1e-10 * max(1.0, np.abs(theirs).max()))

    model, t = case.model, Torch(case.model)
    leaves = each(t.leaf, case.x)
    inputs = list(leaves.values()) if isinstance(leaves, dict) else [leaves]
    predictions = t(model, *inputs)
    losses = case.loss if isinstance(case.loss, dict) else {"": case.loss}
    parts = [
        t.loss(loss, of(predictions, name), of(case.y, name), case.weight)
        for name, loss in losses.items()
    ]
    j = sum(parts)
    if j.requires_grad:  # else a mask stands on each way to J
        j.backward()

    objective = model.objective(case.x, case.y, loss=case.loss, sample_weight=case.weight)
    close(objective(model.parameters.value.copy())[0], j)
    for p in model.parameters:
        close(p.grad, t[p].grad if t[p].grad is not None else 0 * t[p])
    output = model.forward(case.x)
    each(close, output, predictions)
    loss = model._as_loss(case.loss)
    loss.forward(output, case.y, sample_weight=case.weight)
    deltas = model.backward(loss.backward())
    for leaf, delta in zip(inputs, deltas if isinstance(deltas, tuple) else (deltas,), strict=True):
        if not leaf.requires_grad:
            assert not delta.any()
        else:
            close(delta, 0 * leaf if leaf.grad is None else leaf.grad)


def test_every_layer_has_a_line() -> None:
    names = {n for n, c in registered(Layer).items() if c.__module__.startswith("minigrad.")}
    assert names == OPS.keys()


@pytest.mark.slow
def test_every_layer_is_drawn() -> None:
    drawn = set[str]().union(*(random_case(seed).ops for seed in range(500)))
    assert drawn == OPS.keys()


@pytest.mark.parametrize("seed", range(10))
def test_gradients_equal_differences(seed: int) -> None:
    case = random_case(seed)
    report = check_gradients(case.model, case.x, case.y, case.loss, sample_weight=case.weight)
    assert report, report


@pytest.mark.parametrize("seed", range(10))
def test_gradients_equal_those_of_pytorch(seed: int) -> None:
    compare(random_case(seed))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 500, 50))
def test_gradients_of_many_graphs_equal_those_of_pytorch(first: int) -> None:
    for seed in range(first, first + 50):
        compare(random_case(seed))
