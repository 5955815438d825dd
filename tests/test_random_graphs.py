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
    Add,
    BatchNorm,
    BCEWithLogitsLoss,
    Chain,
    Concatenate,
    CrossEntropyLoss,
    Dense,
    Dropout,
    Flatten,
    Graph,
    HuberLoss,
    Input,
    Layer,
    LayerNorm,
    LeakyReLU,
    Loss,
    Model,
    MSELoss,
    Parallel,
    Parameter,
    Reshape,
    Residual,
    Sequential,
    Tanh,
    check_gradients,
)
from minigrad.core.layer import build_once
from minigrad.data.by_name import each, of
from minigrad.util.config import registered

ROWS = 5
SHAPES = [(3,), (4,), (2, 3)]
"""The shapes of inputs; a layer that needs another one brings it along."""


class Op(NamedTuple):
    """A layer in random graphs.

    `make` creates it for the shape of its first input; a shape that it refuses isn't used. `torch`
    computes the same from a `Torch`, the layer, and tensors. Of several `inputs`, each is `alike`
    the first: such a function of two shapes.
    """

    make: Callable[[np.random.Generator, Any], Layer]
    torch: Callable[..., Any]
    inputs: int = 1
    alike: Callable[[Any, Any], bool] = eq


def activation(name: str, torch: Callable[..., Any]) -> Op:
    return Op(lambda rng, shape: getattr(minigrad, name)(), lambda t, layer, x: torch(t.f, x))


def merging(name: str, torch: Callable[..., Any], inputs: int, alike: Any = eq) -> Op:
    return Op(lambda *_: getattr(minigrad, name)(), lambda t, layer, *xs: torch(*xs), inputs, alike)


def units(rng: np.random.Generator) -> int:
    return int(rng.integers(1, 5))


def dense(t: Any, layer: Any, x: Any) -> Any:
    z = x @ t[layer.weight]
    if layer.bias is not None:
        z = z + t[layer.bias]
    return t(layer.activation, z) if layer.activation else z


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
        dense,
    ),
    "BatchNorm": Op(lambda rng, shape: BatchNorm(epsilon=0.1), batch_norm),
    "LayerNorm": Op(lambda rng, shape: LayerNorm(epsilon=0.1), layer_norm),
    "Dropout": Op(lambda rng, shape: Dropout(0), lambda t, layer, x: x),
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
    "Graph": Op(lambda rng, shape: graph(shape), lambda t, layer, *xs: t.graph(layer, xs), 2),
    "Model": Op(
        lambda rng, shape: Model(graph(shape)), lambda t, layer, *xs: t(layer.network, *xs), 2
    ),
    "Add": merging("Add", lambda *xs: sum(xs), 3),
    "Average": merging("Average", lambda *xs: sum(xs) / len(xs), 2),
    "Multiply": merging("Multiply", lambda *xs: math.prod(xs), 2),
    "Concatenate": Op(
        lambda rng, shape: Concatenate(),
        lambda t, layer, *xs: t.torch.cat(xs, dim=-1),
        2,
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
    for _ in range(rng.integers(4, 16)):
        name = pick([*OPS])
        op = OPS[name]
        sources = [pick([*shapes][-6:])]
        like = [s for s in shapes if op.alike(shapes[s], shapes[sources[0]])]
        sources += [pick(like) for _ in range(op.inputs - 1)]
        given = [shapes[source] for source in sources]
        layer = op.make(rng, given[0])
        if again := [one for one, other, _ in made if other == given and type(one) is type(layer)]:
            layer = pick(again)
        try:
            twin = copy.deepcopy(layer)
            shape = build_once(twin, tuple(given) if op.inputs > 1 else given[0], rng)
        except ValueError:  # it doesn't take this shape
            continue
        shapes[layer(*sources)] = shape
        made.append((layer, given, name))
    taken = {source for symbol in shapes for source in symbol.sources}
    outputs = [symbol for symbol in shapes if symbol.layer and symbol not in taken]
    outputs += [s for s in shapes if s.layer and s in taken and rng.random() < 0.1]
    if not outputs:
        outputs = [Dense(2)(inputs[0])]
        taken = {inputs[0]}
    inputs = [symbol for symbol in inputs if symbol in taken]
    ends: Any = {f"y{i}": end for i, end in enumerate(outputs)}
    model = Model(inputs=inputs, outputs=ends if len(ends) > 1 else outputs[0], rng=seed)
    for p in model.parameters:  # gamma isn't 1, and beta isn't 0
        p.value += 0.3 * rng.normal(size=p.shape)
    x: Any = {s.name: rng.normal(size=(ROWS, *s.shape)) for s in inputs}
    losses = each(lambda shape: random_loss(rng, shape), model.output_shape)
    y = each(lambda loss, shape: target(rng, loss, shape), losses, model.output_shape)
    weight = rng.uniform(size=ROWS) if rng.integers(2) else None
    x = x if len(x) > 1 else x[inputs[0].name]
    return Case(model, x, y, losses, weight, {name for _, _, name in made})


def random_loss(rng: np.random.Generator, shape: Any) -> Loss:
    kinds: list[Any] = [MSELoss, HuberLoss, BCEWithLogitsLoss]
    if len(shape) == 1 and shape[0] > 1:
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
        if delta is None:
            assert leaf.grad is None
        else:
            close(delta, leaf.grad)


def test_every_layer_is_drawn() -> None:
    names = {n for n, c in registered(Layer).items() if c.__module__.startswith("minigrad.")}
    assert names == OPS.keys()
    drawn = set[str]().union(*(random_case(seed).ops for seed in range(100)))
    assert drawn == OPS.keys()


@pytest.mark.parametrize("seed", range(20))
def test_gradients_equal_differences(seed: int) -> None:
    case = random_case(seed)
    report = check_gradients(case.model, case.x, case.y, case.loss, sample_weight=case.weight)
    assert report, report


@pytest.mark.parametrize("seed", range(20))
def test_gradients_equal_those_of_pytorch(seed: int) -> None:
    compare(random_case(seed))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 500, 50))
def test_gradients_of_many_graphs_equal_those_of_pytorch(first: int) -> None:
    for seed in range(first, first + 50):
        compare(random_case(seed))
