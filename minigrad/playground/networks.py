"""The network, the optimizer and the loss that settings ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from minigrad.core.layer import Layer, walk
from minigrad.core.loss import Loss, as_loss
from minigrad.core.optimizer import Optimizer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array
from minigrad.initializers import Constant, Normal
from minigrad.layers import BatchNorm, Dense, Dropout, Residual
from minigrad.layers.affine import as_activation
from minigrad.models.sequential import Sequential
from minigrad.optimizers import SGD, Adagrad, Adam, RMSprop
from minigrad.playground.settings import Problem, Settings
from minigrad.regularizers import L1, L2, Regularizer
from minigrad.util.spelling import snake_case

_OPTIMIZERS: Final[dict[str, type[Optimizer]]] = {
    "SGD": SGD, "Momentum": SGD, "Adam": Adam, "RMSprop": RMSprop, "Adagrad": Adagrad
}  # fmt: skip


@dataclass
class Block:
    """A hidden layer or the last one, as the page draws it: units in a column.

    Attributes:
        path: the path of the `Dense` in it, such as "dense_1".
        dense: the layer with the weights.
        end: the number of the model's layers up to its end.
    """

    path: str
    dense: Dense
    end: int


def make_model(settings: Settings, problem: Problem) -> Sequential:
    """Return a new model, compiled."""
    layers, width = list[Layer](), problem.inputs
    for units in settings.hidden:
        layers += _hidden(settings, width, units)
        width = units
    layers.append(_dense(settings, problem.outputs, settings.output, 0.0))
    model = Sequential(layers, input_shape=(problem.inputs,), rng=settings.seed)
    compile_model(model, settings, problem)
    return model


def _hidden(s: Settings, width: int, units: int) -> Iterator[Layer]:
    """Yield the layers of a hidden layer."""
    activation = "linear" if s.batch_norm else s.activation
    inner: list[Layer] = [_dense(s, units, activation, s.initial_bias)]
    if s.batch_norm:
        inner.append(BatchNorm())
        if s.activation != "linear":
            after = as_activation(s.activation, "activation", s)
            after.name = ""
            inner.append(after)
    if s.residual and width == units:
        yield Residual(inner if len(inner) > 1 else inner[0])
    else:
        yield from inner
    if s.dropout:
        yield Dropout(s.dropout)


def _dense(s: Settings, units: int, activation: str, bias: float) -> Dense:
    options: dict[str, Any] = {"weight_initializer": s.initializer}
    if s.initializer in ("large", "equal"):
        options["weight_initializer"] = Normal(2.0) if s.initializer == "large" else Constant(0.5)
    if bias:
        options["bias_initializer"] = Constant(bias)
    options["weight_regularizer"] = make_regularizer(s)
    return Dense(units, None if activation == "linear" else activation, **options)


def make_regularizer(s: Settings) -> Regularizer | None:
    """Return the regularizer of the weights, if there is one."""
    return {"none": None, "L1": L1(s.strength), "L2": L2(s.strength)}[s.regularizer]


def make_optimizer(s: Settings) -> Optimizer:
    """Return a new optimizer."""
    more = {"momentum": 0.9} if s.optimizer == "Momentum" else {}
    return _OPTIMIZERS[s.optimizer](learning_rate=s.learning_rate, **more)


def make_loss(s: Settings) -> Loss:
    """Return the loss."""
    return as_loss(snake_case(s.loss))


def metrics_of(problem: Problem) -> list[str]:
    """Return the metrics, by name."""
    return [] if problem.kind == "regression" else ["accuracy"]


def compile_model(model: Sequential, s: Settings, problem: Problem) -> None:
    """Give a model a new optimizer and the loss."""
    metrics = metrics_of(problem)
    model.compile(optimizer=make_optimizer(s), loss=make_loss(s), metrics=metrics)


def blocks_of(model: Sequential) -> list[Block]:
    """Return the columns of units after the inputs."""
    blocks = list[Block]()
    for place, layer in enumerate(model.layers, 1):
        inside = [one for _, one in walk(layer) if isinstance(one, Dense)]
        if inside:
            path = next(path for path, one in walk(model) if one is inside[0])
            blocks.append(Block(path, inside[0], place))
        else:
            blocks[-1].end = place
    return blocks


def matrices(model: Sequential) -> list[Parameter]:
    """Return the weights that have a regularizer, if there is one."""
    return [block.dense.weight for block in blocks_of(model)]


def outputs_of(model: Sequential, blocks: list[Block], x: Array) -> list[Array]:
    """Return what each block of units outputs in inference."""
    found, start = list[Array](), 0
    for block in blocks:
        for layer in model.layers[start : block.end]:
            x = layer.forward(x, training=False)
        start = block.end
        found.append(x)
    return found
