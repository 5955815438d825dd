"""What the exchange of models needs, whatever the other library is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, TypeAlias

import numpy as np

import minigrad as mg
from minigrad.core.layer import Layer
from minigrad.data.arrays import Shape
from minigrad.data.by_name import each, of
from minigrad.layers.convolution import ConvolutionTranspose
from minigrad.layers.masks import shapes_of
from minigrad.layers.pooling import GlobalPooling
from minigrad.layers.recurrent import Recurrent
from minigrad.layers.windows import per_axis

MERGES: dict[type[Layer], str] = {
    mg.Add: "add",
    mg.Subtract: "subtract",
    mg.Average: "mean",
    mg.Multiply: "multiply",
    mg.Maximum: "maximum",
    mg.Minimum: "minimum",
    mg.Concatenate: "concat",
}
"""The layers that merge their inputs, and the word for it of `Parallel` and others."""

_POOLINGS = mg.MaxPooling1D, mg.MaxPooling2D, mg.AveragePooling1D, mg.AveragePooling2D

_Function: TypeAlias = Callable[..., Any] | None


class Counterpart:
    """A class of the other library for one of ours, and how one is made of the other.

    Args:
        kind: the class there.
        same: the options that both have under one name.
        to, back: functions for what these options don't say. Among their arguments is a function
            that makes theirs, or ours, with these options.
        renamed: options that both have, as ours="theirs".
    """

    def __init__(
        self, kind: Any, *same: str, to: _Function = None, back: _Function = None, **renamed: str
    ) -> None:
        self.kind, self.to, self.back = kind, to, back
        self.options = {**dict(zip(same, same, strict=True)), **renamed}
        """The names there of the options that both have, by ours."""

    def theirs(self, ours: Any) -> dict[str, Any]:
        """Return the options of our object by their names."""
        return {theirs: getattr(ours, own) for own, theirs in self.options.items()}

    def ours(self, value_of: Callable[[str], Any]) -> dict[str, Any]:
        """Return the options by our names, from a function of their names."""
        return {own: value_of(theirs) for own, theirs in self.options.items()}


def check_options(label: str, value_of: Callable[[str, Any], Any], **expected: Any) -> None:
    """Refuse a layer there whose options aren't these; `value_of(option, default)` gives one."""
    for option, value in expected.items():
        if (given := value_of(option, value)) != value:
            raise ValueError(f"{label} expects {option}={value!r} for minigrad, got {given!r}")


def check_built(model: object, function: str) -> dict[str, Shape]:
    """Return the shapes of a built model's inputs by name; refuse another object.

    The single input of a model that isn't a graph is "input".
    """
    if not isinstance(model, mg.Model):
        raise TypeError(
            f"{function} expects a Model, got {type(model).__name__}: put it in Sequential"
        )
    if model.input_shape is None:
        raise RuntimeError(
            f"{function} expects a built model, got {model.label}: pass it input_shape=, or call "
            "fit"
        )
    network = model.network
    return network.inputs if isinstance(network, mg.Graph) else {"input": model.input_shape}


def check_masks(layer: Any, function: str) -> None:
    """Refuse a mask that the conversion has no counterpart for."""
    second = shapes_of(layer.input_shape)[1:]
    takes = isinstance(layer, (Recurrent, GlobalPooling, mg.Bidirectional)) and bool(second)
    beside_query = isinstance(layer, mg.MultiHeadAttention) and layer.masked_query
    if takes or beside_query or isinstance(layer, mg.Mask):
        raise ValueError(f"{function} expects layers without a mask, got {layer.label}")


def check_inner_dropout(layer: Any, function: str) -> None:
    """Refuse dropout inside a layer."""
    for name in ("dropout", "recurrent_dropout"):
        if rate := getattr(layer, name, 0.0):
            raise ValueError(
                f"{function} expects {layer.label} with {name}=0, got {rate}: put Dropout before it"
            )


def check_states(layer: Any, function: str) -> None:
    """Refuse a recurrent layer whose state comes from another layer, or goes to one."""
    for name in ("initial_state", "return_state"):
        if getattr(layer, name, False):
            raise ValueError(f"{function} expects {layer.label} with {name}=False, got True")


def check_trainable(model: mg.Model, function: str) -> Any:
    """Return the optimizer of a compiled model; refuse what no optimizer there has.

    That are regularizers, and a learning rate factor of a parameter.
    """
    if model.optimizer is None:
        raise RuntimeError(f"{function} expects a compiled model: call compile first")
    for path, p in model.named_parameters():
        if p.regularizer is not None:
            raise ValueError(
                f"{function} expects no regularizers, got {p.regularizer!r} of '{path}': set it to "
                "None, and add its term to the loss there"
            )
        if p.learning_rate_factor != 1:
            raise ValueError(
                f"{function} expects one learning rate, got learning_rate_factor="
                f"{p.learning_rate_factor} of '{path}': set it to 1, and use groups there"
            )
    return model.optimizer


def integer_inputs(model: mg.Model, shapes: Mapping[str, Shape]) -> set[str]:
    """Return the names of the inputs that the model takes as integers, such as ids."""
    rows = {name: np.zeros((1, *(n or 1 for n in shape))) for name, shape in shapes.items()}
    cast: Any = model.cast(rows if len(rows) > 1 else next(iter(rows.values())), model.dtype)
    return {name for name in shapes if of(cast, name).dtype.kind == "i"}


def windows_of(layer: Any) -> tuple[tuple[int, ...], ...]:
    """Return the kernel, the strides and the dilation of a convolution or pooling, by axis."""
    size = layer.pool_size if isinstance(layer, _POOLINGS) else layer.kernel_size
    strides = size if layer.strides is None else layer.strides
    sizes = size, strides, getattr(layer, "dilation_rate", 1)
    return tuple(per_axis(n, layer.axes) for n in sizes)


def pads_of(layer: Any) -> list[tuple[int, int]] | None:
    """Return the padding of both ends of each axis; None if it depends on an unknown length."""
    lengths = layer.input_shape[:-1]
    if isinstance(layer, ConvolutionTranspose):  # its padding is the same for any length
        lengths = tuple(n or 64 for n in lengths)
    if layer.padding == "same" and None in lengths:
        return None
    return list(layer.windows(lengths).pads)


def gaps_of(*windows: tuple[int, ...]) -> tuple[int, ...]:
    """Return by how much the strides of a transposed convolution exceed the reach of its kernel.

    With padding="same", zeros fill up an output whose kernels leave such gaps.
    """
    return tuple(max(s - (k - 1) * d - 1, 0) for k, s, d in zip(*windows, strict=True))


def one_size(size: Any) -> Any:
    """Return a size of the other library as a layer takes it: a number for a single axis."""
    sizes = tuple(size) if isinstance(size, (tuple, list)) else (size,)
    return sizes if len(sizes) > 1 else sizes[0]


def _graph(to: Any, graph: mg.Graph, *inputs: Any) -> Any:
    values = dict(zip(graph.inputs, inputs, strict=True))
    for name, layer in graph.layers.items():
        values[name] = to.write(layer, *(values[source] for source in graph.sources[name]))
    return each(values.__getitem__, graph.outputs)


def _parallel(to: Any, layer: Any, x: Any) -> Any:
    return to.merge(layer, layer.merge, [to.write(branch, x) for branch in layer.layers])


CONTAINERS: dict[type[Layer], Callable[..., Any]] = {
    mg.Model: lambda to, model, *inputs: to.write(model.network, *inputs),
    mg.Chain: lambda to, chain, x: reduce(lambda h, layer: to.write(layer, h), chain.layers, x),
    mg.Graph: _graph,
    mg.Residual: lambda to, layer, x: to.merge(layer, "add", [x, to.write(layer.layer, x)]),
    mg.Parallel: _parallel,
}
"""A function of (writer, layer, *inputs) that returns the output.

`writer.write(layer, *inputs)` writes a layer, and `writer.merge(layer, how, values)` merges the
outputs of its branches.
"""


def kind_of_layer(layer: Layer) -> type[Layer]:
    """Return the class of a layer; of a `Sequential` or another such subclass, it is `Model`."""
    return mg.Model if type(layer).forward is mg.Model.forward else type(layer)
