"""PyTorch: models as modules of `torch.nn`, and back, with what an optimizer remembers."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from minigrad.core.graph import Graph
from minigrad.core.layer import Layer, build_once
from minigrad.data.arrays import Array, Shape
from minigrad.data.by_name import each
from minigrad.interop.models import check_built
from minigrad.interop.state_dict import Weight, array_of, weights_of
from minigrad.layers.windows import make_windows, per_axis
from minigrad.util.optional import optional

torch = optional("torch", "minigrad.interop.torch", extra="torch", least="2.4")
nn: Any = torch.nn
Base: Any = nn.Module

Tensor: TypeAlias = Any
Module: TypeAlias = Any


# Modules for what torch.nn has no module for.


class ChannelsFirst(Base):  # type: ignore[misc]
    """Runs a module that wants the channels first on rows that have them last."""

    def __init__(self, inner: Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.movedim(-1, 1)).movedim(1, -1)


class RecurrentRows(Base):  # type: ignore[misc]
    """The outputs of an `nn.RNN`, `nn.GRU` or `nn.LSTM`, of all steps or of the last."""

    def __init__(
        self, inner: Module, *, sequences: bool, backwards: bool, restores_order: bool
    ) -> None:
        super().__init__()
        self.inner = inner
        self.sequences, self.backwards, self.restores_order = sequences, backwards, restores_order

    def forward(self, x: Tensor) -> Tensor:
        h = self.inner(x.flip(1) if self.backwards else x)[0]
        if not self.sequences:
            return h[:, -1]
        return h.flip(1) if self.restores_order else h


class Attention(Base):  # type: ignore[misc]
    """The output of an `nn.MultiheadAttention` for query, value and a mask of 1 and 0.

    PyTorch's result is NaN for a query that attends to nothing.
    """

    def __init__(self, inner: Module, *, causal: bool) -> None:
        super().__init__()
        self.inner, self.causal = inner, causal

    def forward(self, query: Tensor, value: Tensor = None, mask: Tensor = None) -> Tensor:
        value = query if value is None else value
        queries, keys = query.shape[1], value.shape[1]
        blocked = None
        if self.causal:
            blocked = ~torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril()
        if mask is not None:
            away = mask == 0
            away = away[:, None] if away.ndim == 2 else away
            away = away | blocked if blocked is not None else away.expand(-1, queries, -1)
            blocked = away.repeat_interleave(self.inner.num_heads, dim=0)
        return self.inner(query, value, value, attn_mask=blocked, need_weights=False)[0]


class Positions(Base):  # type: ignore[misc]
    """Adds a row of `weight` at each position."""

    def __init__(self, positions: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(positions, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight


class Sinusoids(Base):  # type: ignore[misc]
    """Adds sines and cosines of each position; see `minigrad.SinusoidalPositions`."""

    def forward(self, x: Tensor) -> Tensor:
        layer = mg.SinusoidalPositions()
        layer.input_shape = tuple(x.shape[1:])
        p = layer.forward(np.zeros((1, *x.shape[1:])), training=False)
        return x + torch.as_tensor(p, dtype=x.dtype, device=x.device)


class Merge(Base):  # type: ignore[misc]
    """The sum, the mean, the product or the concatenation of values."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, *values: Tensor) -> Tensor:
        if self.how == "concat":
            return torch.cat(values, dim=-1)
        if self.how == "multiply":
            return reduce(operator.mul, values)
        h = reduce(operator.add, values)
        return h / len(values) if self.how == "mean" else h


class Branches(Base):  # type: ignore[misc]
    """Merges the outputs of modules for one input."""

    def __init__(self, branches: Mapping[str, Module], how: str) -> None:
        super().__init__()
        self.branches, self.merge = nn.ModuleDict(_keyed(branches)), Merge(how)

    def forward(self, x: Tensor) -> Tensor:
        return self.merge(*(branch(x) for branch in self.branches.values()))


class GraphModule(Base):  # type: ignore[misc]
    """Modules in any order without a cycle; takes the inputs in order, or a dict of them."""

    def __init__(self, layers: Mapping[str, Module], graph: Graph) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(_keyed(layers))
        self.inputs, self.sources, self.outputs = graph.inputs, graph.sources, graph.outputs

    def forward(self, *inputs: Tensor) -> Any:
        values = dict(zip(self.inputs, inputs, strict=len(inputs) > 1))
        if isinstance(inputs[0], dict):
            values = dict(inputs[0])
        for (name, sources), module in zip(self.sources.items(), self.layers.values(), strict=True):
            values[name] = module(*(values[source] for source in sources))
        return each(values.__getitem__, self.outputs)


def _keyed(modules: Mapping[str, Module]) -> dict[str, Module]:
    """Return the modules with an underscore after a name that a module's attribute has."""
    return {f"{n}_" if hasattr(nn.ModuleDict, n) else n: m for n, m in modules.items()}


# To PyTorch.


def to_torch(model: mg.Model) -> Module:
    """Return the model as a module of `torch.nn` layers, with the same weights and dtype.

    The module takes and returns tensors of the same shapes as the model: images stay
    channels-last, and a `ChannelsFirst` module around a layer turns them for it. Its submodules
    have the names of the layers. A graph takes its inputs in order or in a dict.

    Dropout draws other numbers than here. Of the two biases of recurrent modules, the second one is
    zero and isn't trained, except for a GRU's candidate; in every step the module and the model
    then change alike.

    Raises:
        RuntimeError: the model isn't built.
        TypeError: `model` isn't a model, or a layer has no counterpart, such as one of your own.
        ValueError: an option of a layer that PyTorch lacks.

    >>> to_torch(mg.Sequential([mg.Dense(3, "relu"), mg.Dense(1)], input_shape=(2,), rng=0))
    Sequential(
      (dense_1): Linear(in_features=2, out_features=3, bias=True)
      (dense_1_relu): ReLU()
      (dense_2): Linear(in_features=3, out_features=1, bias=True)
    )
    """
    check_built(model, "to_torch")
    return _Writer(model).module


def to_torch_training(model: mg.Model) -> tuple[Module, Any]:
    """Return the module of a compiled model and its optimizer of `torch.optim`, with its state.

    The next steps of both are those that the model would make, but for rounding.

    Raises:
        RuntimeError: the model isn't compiled.
        ValueError: what `torch.optim` lacks: clipping, a regularizer, or a schedule.
        TypeError and others: see `to_torch`.
    """
    check_built(model, "to_torch_training")
    optimizer: Any = model.optimizer
    if optimizer is None:
        raise RuntimeError("to_torch_training expects a compiled model: call compile first")
    if type(optimizer) not in _OPTIMIZERS:
        raise TypeError(
            f"to_torch_training expects an optimizer of minigrad, got {type(optimizer).__name__}"
        )
    for option in ("clip_norm", "clip_value"):
        if getattr(optimizer, option) is not None:
            raise ValueError(
                f"torch.optim has no {option}: set optimizer.{option} = None, and call "
                "torch.nn.utils.clip_grad_norm_ or clip_grad_value_ before each step"
            )
    if not isinstance(optimizer.learning_rate, float):
        raise ValueError(
            f"torch.optim expects a number as learning_rate, got {optimizer.learning_rate!r}: "
            "assign optimizer.learning_rate = optimizer.rate, and use a torch.optim.lr_scheduler"
        )
    for path, p in model.named_parameters():
        if p.regularizer is not None:
            raise ValueError(
                f"torch.optim has no regularizers, got {p.regularizer!r} of '{path}': set it to "
                "None, and add its term to the loss in PyTorch"
            )
    writer = _Writer(model)
    kind, options, slots = _OPTIMIZERS[type(optimizer)]
    there: Any = getattr(torch.optim, kind)(
        writer.module.parameters(),
        lr=optimizer.rate,
        weight_decay=optimizer.weight_decay,
        **{theirs: getattr(optimizer, ours) for ours, theirs in options.items()},
        **({"betas": (optimizer.beta_1, optimizer.beta_2)} if kind.startswith("Adam") else {}),
    )
    if optimizer.steps:
        views = {slot: model.parameters.split(optimizer.state[slot]) for slot in optimizer.slots}
        for tensor in filter(lambda t: t.requires_grad, writer.module.parameters()):
            state = {"step": torch.tensor(float(optimizer.steps))} if kind != "SGD" else {}
            for slot in optimizer.slots:
                arrays = [
                    split(views[slot][p.source])[i] for p, split, i in writer.parts[id(tensor)]
                ]
                state[slots[slot]] = _tensor(reduce(np.add, arrays))
            there.state[tensor].update(state)
    return writer.module, there


_OPTIMIZERS: dict[type, tuple[str, dict[str, str], dict[str, str]]] = {
    mg.SGD: (
        "SGD",
        {"momentum": "momentum", "nesterov": "nesterov"},
        {"velocity": "momentum_buffer"},
    ),
    mg.RMSprop: (
        "RMSprop",
        {"rho": "alpha", "momentum": "momentum", "epsilon": "eps"},
        {"square": "square_avg", "velocity": "momentum_buffer"},
    ),
    mg.Adagrad: ("Adagrad", {"epsilon": "eps"}, {"sum": "sum"}),
    mg.Adam: ("Adam", {"epsilon": "eps"}, {"mean": "exp_avg", "square": "exp_avg_sq"}),
    mg.AdamW: ("AdamW", {"epsilon": "eps"}, {"mean": "exp_avg", "square": "exp_avg_sq"}),
}
"""The class in torch.optim, and the names there of our options and slots."""


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.array(array, order="C"))


_Part: TypeAlias = tuple[mg.Parameter, Callable[[Array], tuple[Array, ...]], int]
"""A parameter, the function that splits it into tensors, and the index of one of them."""


class _Writer:
    """Makes the module of a model, and remembers which parameters each of its tensors is of."""

    def __init__(self, model: mg.Model) -> None:
        self.parts: dict[int, list[_Part]] = {}
        self._shared: dict[tuple[tuple[int, int], ...], Tensor] = {}
        with torch.device("meta"):  # all weights are assigned, so none is drawn
            self.module = self.write(model)

    def write(self, layer: Layer) -> Module:
        """Return the module of a layer with its activation."""
        steps = dict(self._steps(layer))
        return _sequential(steps) if len(steps) > 1 else steps[layer.name]

    def _steps(self, layer: Layer) -> Iterator[tuple[str, Module]]:
        yield layer.name, self._module(layer)
        activation = getattr(layer, "activation", None)
        if activation is not None:
            yield f"{layer.name}_{activation.name}", self.write(activation)

    def _module(self, layer: Any) -> Module:
        kind = type(layer)
        if isinstance(layer, mg.Model) and kind.forward is mg.Model.forward:
            return self._module(layer.network)
        if kind is mg.Chain:
            steps = [step for inner in layer.layers for step in self._steps(inner)]
            return _sequential(dict(steps))
        if kind is mg.Graph:
            return GraphModule({n: self.write(inner) for n, inner in layer.layers.items()}, layer)
        if kind is mg.Residual:
            inner = self.write(layer.layer)
            return Branches({"shortcut": nn.Identity(), layer.layer.name: inner}, "add")
        if kind in (mg.Parallel, mg.Bidirectional):
            return Branches({n.name: self.write(n) for n in layer.layers}, layer.merge)
        if kind not in _MODULES:
            raise TypeError(
                f"to_torch expects layers of minigrad, got {layer.label}: write a torch.nn.Module "
                "for it"
            )
        inner, module = _MODULES[kind](layer)
        self._fill(layer, inner)
        return module

    def _fill(self, layer: Layer, module: Module) -> None:
        """Assign the arrays of a layer to the tensors of a module."""
        arrays: dict[str, Array] = {}
        origins: dict[str, list[_Part]] = {}
        trained: set[str] = set()
        for weight in weights_of(layer):
            own = getattr(layer, weight.attribute)
            for i, name in enumerate(weight.names):
                part = weight.split(array_of(layer, weight.attribute))[i]
                arrays[name] = arrays[name] + part if name in arrays else part
                if isinstance(own, mg.Parameter):
                    origins.setdefault(name, []).append((own, weight.split, i))
                    if own.trainable and i == 0:  # the second bias of a sum isn't trained
                        trained.add(name)
        for name, array in arrays.items():
            path, _, last = name.rpartition(".")
            tensor = _tensor(array)
            if name in origins:
                tensor = self._shared_tensor(layer, origins[name], tensor)
                tensor.requires_grad_(name in trained)
            setattr(module.get_submodule(path), last, tensor)
        if isinstance(layer, mg.GRU) and layer.bias is not None:
            candidate = torch.arange(3 * layer.units, device="cpu") >= 2 * layer.units
            module.bias_hh_l0.register_hook(lambda gradient: gradient * candidate.to(gradient))
        if isinstance(layer, mg.BatchNorm):
            module.num_batches_tracked = torch.tensor(0, device="cpu")

    def _shared_tensor(self, layer: Layer, origin: list[_Part], tensor: Tensor) -> Tensor:
        """Return the tensor of another layer that has the same parameters, or a new one."""
        key = tuple((id(p.source), i) for p, _, i in origin)
        shared = self._shared.setdefault(key, nn.Parameter(tensor))
        if shared.shape != tensor.shape or not bool((shared == tensor).all()):
            raise ValueError(
                f"{layer.label} shares its {origin[0][0].name} with a layer that has it in another "
                "layout in torch.nn: give each its own"
            )
        self.parts[id(shared)] = origin
        return shared


def _sequential(modules: Mapping[str, Module]) -> Module:
    return nn.Sequential(OrderedDict(_keyed(modules)))


def _alone(make: Callable[[Any], Module]) -> Callable[[Any], tuple[Module, Module]]:
    """Return a function that gives the module that has the weights, and the one that runs."""

    def both(layer: Any) -> tuple[Module, Module]:
        module = make(layer)
        return module, module

    return both


def _padding(layer: Any, size: Any) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the padding that both ends of each axis have, and what is left over."""
    lengths = layer.row_shape[:-1]
    if isinstance(layer, mg.Conv2DTranspose):
        lengths = tuple(n or 64 for n in lengths)
    strides = per_axis(size if layer.strides is None else layer.strides, layer.axes)
    if layer.padding == "same" and None in lengths:
        if max(strides) > 1:
            raise ValueError(
                f"{layer.label} expects known lengths for padding='same' with strides in torch.nn, "
                f"got {lengths}"
            )
        lengths = tuple(n or 2**16 for n in lengths)
    pads = layer.windows(lengths).pads
    both = [min(pad) for pad in pads]
    return both, [(first - n, last - n) for (first, last), n in zip(pads, both, strict=True)]


def _extra(rest: list[tuple[int, int]], value: float) -> list[Module]:
    """Return a module that pads what is left over, if anything is."""
    if not any(map(any, rest)):
        return []
    sides = [n for pair in reversed(rest) for n in pair]
    return [(nn.ConstantPad1d if len(rest) == 1 else nn.ConstantPad2d)(tuple(sides), value)]


def _channels_first(*modules: Module) -> Module:
    return ChannelsFirst(modules[0] if len(modules) == 1 else nn.Sequential(*modules))


def _convolution(layer: Any) -> tuple[Module, Module]:
    axes = layer.axes
    both, rest = _padding(layer, layer.kernel_size)
    channels = layer.row_shape[-1]
    options: dict[str, Any] = {
        "stride": per_axis(layer.strides, axes),
        "dilation": per_axis(layer.dilation_rate, axes),
        "bias": layer.use_bias,
    }
    size = per_axis(layer.kernel_size, axes)
    if isinstance(layer, mg.Conv2DTranspose):
        reach = [(k - 1) * d + 1 for k, d in zip(size, options["dilation"], strict=True)]
        gaps = [max(s - r, 0) for s, r in zip(options["stride"], reach, strict=True)]
        if layer.padding == "same":
            options["output_padding"] = tuple(gaps)
        inner = nn.ConvTranspose2d(channels, layer.filters, size, padding=tuple(both), **options)
        cut = [(-first, -last) for first, last in rest]
        return inner, _channels_first(inner, *_extra(cut, 0.0))
    kind = nn.Conv1d if axes == 1 else nn.Conv2d
    inner = kind(channels, layer.filters, size, padding=tuple(both), **options)
    return inner, _channels_first(*_extra(rest, 0.0), inner)


def _max_pooling(layer: Any) -> Module:
    both, rest = _padding(layer, layer.pool_size)
    kind = nn.MaxPool1d if layer.axes == 1 else nn.MaxPool2d
    strides = layer.pool_size if layer.strides is None else layer.strides
    pool = kind(layer.pool_size, strides, padding=tuple(both))
    return _channels_first(*_extra(rest, -np.inf), pool)


def _average_pooling(layer: Any) -> Module:
    both, rest = _padding(layer, layer.pool_size)
    strides = layer.pool_size if layer.strides is None else layer.strides
    more = any(map(any, rest))  # a last window may then reach beyond the padding
    if more and 1 in per_axis(strides, layer.axes):
        raise ValueError(
            f"{layer.label} expects padding of equal ends in torch.nn, got {layer.padding!r}, "
            "which pads one end more: use an odd pool_size, or strides above 1"
        )
    kind = nn.AvgPool1d if layer.axes == 1 else nn.AvgPool2d
    options = {"padding": tuple(both), "ceil_mode": more, "count_include_pad": False}
    return _channels_first(kind(layer.pool_size, strides, **options))


def _batch_norm(layer: Any) -> tuple[Module, Module]:
    axes = len(layer.input_shape) - 1
    if axes > 2:
        raise ValueError(f"{layer.label} expects rows of up to 3 axes, got {layer.input_shape}")
    kind = nn.BatchNorm2d if axes == 2 else nn.BatchNorm1d
    inner = kind(layer.input_shape[-1], eps=layer.epsilon, momentum=layer.momentum)
    return inner, ChannelsFirst(inner) if axes else inner


def _group_norm(layer: Any) -> tuple[Module, Module]:
    inner = nn.GroupNorm(layer.groups, layer.input_shape[-1], eps=layer.epsilon)
    return inner, ChannelsFirst(inner) if len(layer.input_shape) > 1 else inner


def _recurrent(layer: Any) -> tuple[Module, Module]:
    kind = {mg.SimpleRNN: nn.RNN, mg.GRU: nn.GRU, mg.LSTM: nn.LSTM}[type(layer)]
    width = len(layer.weight.value)
    inner = kind(width, layer.units, bias=layer.use_bias, batch_first=True)
    return inner, RecurrentRows(
        inner,
        sequences=layer.return_sequences,
        backwards=layer.go_backwards,
        restores_order=layer.restores_order,
    )


def _attention(layer: Any) -> tuple[Module, Module]:
    inner = nn.MultiheadAttention(
        len(layer.weight.value), layer.num_heads, bias=layer.use_bias, batch_first=True
    )
    return inner, Attention(inner, causal=layer.causal)


def _global(kind: Module) -> Callable[[Any], tuple[Module, Module]]:
    return _alone(lambda layer: _channels_first(kind(1), nn.Flatten()))


_MODULES: dict[type[Layer], Callable[[Any], tuple[Module, Module]]] = {
    mg.Identity: _alone(lambda layer: nn.Identity()),
    mg.Sigmoid: _alone(lambda layer: nn.Sigmoid()),
    mg.Tanh: _alone(lambda layer: nn.Tanh()),
    mg.ReLU: _alone(lambda layer: nn.ReLU()),
    mg.LeakyReLU: _alone(lambda layer: nn.LeakyReLU(layer.slope)),
    mg.ELU: _alone(lambda layer: nn.ELU(layer.alpha)),
    mg.SELU: _alone(lambda layer: nn.SELU()),
    mg.Hardtanh: _alone(lambda layer: nn.Hardtanh()),
    mg.Hardsigmoid: _alone(lambda layer: nn.Hardsigmoid()),
    mg.GELU: _alone(lambda layer: nn.GELU(approximate=layer.approximate)),
    mg.SiLU: _alone(lambda layer: nn.SiLU()),
    mg.Softplus: _alone(lambda layer: nn.Softplus()),
    mg.Mish: _alone(lambda layer: nn.Mish()),
    mg.Softsign: _alone(lambda layer: nn.Softsign()),
    mg.Softmax: _alone(lambda layer: nn.Softmax(dim=-1)),
    mg.LogSoftmax: _alone(lambda layer: nn.LogSoftmax(dim=-1)),
    mg.Dropout: _alone(lambda layer: nn.Dropout(layer.rate)),
    mg.Dense: _alone(
        lambda layer: nn.Linear(layer.input_shape[-1], layer.units, bias=layer.use_bias)
    ),
    **dict.fromkeys([mg.Conv1D, mg.Conv2D, mg.Conv2DTranspose], _convolution),
    **dict.fromkeys([mg.MaxPooling1D, mg.MaxPooling2D], _alone(_max_pooling)),
    **dict.fromkeys([mg.AveragePooling1D, mg.AveragePooling2D], _alone(_average_pooling)),
    mg.GlobalMaxPooling1D: _global(nn.AdaptiveMaxPool1d),
    mg.GlobalMaxPooling2D: _global(nn.AdaptiveMaxPool2d),
    mg.GlobalAveragePooling1D: _global(nn.AdaptiveAvgPool1d),
    mg.GlobalAveragePooling2D: _global(nn.AdaptiveAvgPool2d),
    mg.UpSampling2D: _alone(
        lambda layer: ChannelsFirst(
            nn.Upsample(
                scale_factor=tuple(map(float, per_axis(layer.size, 2))), mode=layer.interpolation
            )
        )
    ),
    mg.BatchNorm: _batch_norm,
    mg.LayerNorm: _alone(lambda layer: nn.LayerNorm(layer.input_shape[-1], eps=layer.epsilon)),
    mg.RMSNorm: _alone(lambda layer: nn.RMSNorm(layer.input_shape[-1], eps=layer.epsilon)),
    mg.GroupNorm: _group_norm,
    mg.Flatten: _alone(lambda layer: nn.Flatten()),
    mg.Reshape: _alone(
        lambda layer: nn.Sequential(nn.Flatten(), nn.Unflatten(1, layer.output_shape))
    ),
    mg.Embedding: _alone(lambda layer: nn.Embedding(layer.input_dim, layer.output_dim)),
    mg.PositionEmbedding: _alone(lambda layer: Positions(*layer.weight.shape)),
    mg.SinusoidalPositions: _alone(lambda layer: Sinusoids()),
    mg.MultiHeadAttention: _attention,
    **dict.fromkeys([mg.SimpleRNN, mg.GRU, mg.LSTM], _recurrent),
    mg.Add: _alone(lambda layer: Merge("add")),
    mg.Average: _alone(lambda layer: Merge("mean")),
    mg.Multiply: _alone(lambda layer: Merge("multiply")),
    mg.Concatenate: _alone(lambda layer: Merge("concat")),
}
"""For each layer a function that makes the module with its weights, and the module that runs."""


# From PyTorch.


def from_torch(
    module: Module,
    input_shape: Shape,
    *,
    optimizer: Any = None,
    loss: Any = None,
    rng: Any = None,
) -> mg.Model:
    """Return a model with the layers, the weights and the dtype of a PyTorch module.

    The module is an `nn.Sequential` of layers that minigrad has, or what `to_torch` returns. The
    model takes images and sequences channels-last, also where the module takes them
    channels-first; the weights after an `nn.Flatten` are reordered for it. What doesn't require a
    gradient is frozen.

    Args:
        module: it isn't changed, and shares no memory with the model.
        input_shape: the shape of a row for minigrad, channels-last, such as (28, 28, 1). For what
            `to_torch` made of a graph it is ignored.
        optimizer: of `torch.optim`, over the module's parameters; the model is compiled with its
            counterpart, with its state.
        loss: for `compile`, together with an optimizer.
        rng: of the model; see `Model`.

    Raises:
        TypeError: a module or an optimizer without a counterpart.
        ValueError: an option that minigrad lacks, a dtype other than float32 and float64, or layers
            that work along different axes, as an `nn.Linear` along the width of an image.

    >>> module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> from_torch(module, (2,))
    Sequential([Dense(3), ReLU(), Dense(1)], input_shape=(2,), dtype='float32')
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"from_torch expects a torch.nn.Module, got {type(module).__name__}")
    dtypes = {p.dtype for p in module.parameters()} or {torch.float32}
    if len(dtypes) > 1 or not dtypes <= {torch.float32, torch.float64}:
        found = ", ".join(sorted(map(str, dtypes)))
        raise ValueError(
            f"from_torch expects parameters of float32 or of float64, got {found}: call "
            "module.float() first"
        )
    dtype = str(dtypes.pop()).removeprefix("torch.")
    reader = _Reader(module)
    if isinstance(module, GraphModule):
        graph = reader.graph(module)
        model = mg.Model(graph, input_shape=graph.row_shapes, rng=rng, dtype=dtype)
    else:
        layers, _ = reader.read(module, tuple(input_shape))
        model = mg.Sequential(layers, input_shape=tuple(input_shape), rng=rng, dtype=dtype)
    if optimizer is not None:
        if loss is None:
            raise TypeError("from_torch expects a loss with the optimizer, such as loss='mse'")
        model.compile(optimizer=_optimizer(optimizer), loss=loss)
        reader.fill_state(model, optimizer)
    return model


def _optimizer(there: Any) -> Any:
    """Return minigrad's counterpart of an optimizer, without its state."""
    kinds = {getattr(torch.optim, name): kind for kind, (name, *_) in _OPTIMIZERS.items()}
    if type(there) not in kinds:
        raise TypeError(
            f"from_torch expects an optimizer of {', '.join(k.__name__ for k in kinds)}, got "
            f"{type(there).__name__}"
        )
    kind = kinds[type(there)]
    if len(there.param_groups) > 1:
        raise ValueError(
            f"from_torch expects an optimizer with one group of parameters, got "
            f"{len(there.param_groups)}"
        )
    group = there.param_groups[0]
    for option in ("amsgrad", "maximize", "dampening", "centered", "lr_decay"):
        if group.get(option):
            raise ValueError(
                f"{kind.__name__} of minigrad has no {option}, got {option}={group[option]}"
            )
    _, options, _ = _OPTIMIZERS[kind]
    given = {ours: group[theirs] for ours, theirs in options.items()}
    if "betas" in group:
        given["beta_1"], given["beta_2"] = group["betas"]
    return kind(learning_rate=float(group["lr"]), weight_decay=group["weight_decay"], **given)


_FIRST = (
    nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d,
    nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.Upsample,
    nn.ConstantPad1d, nn.ConstantPad2d, nn.ZeroPad1d, nn.ZeroPad2d,
)  # fmt: skip
"""Modules that want the channels first."""

_LAST = (
    nn.Linear, nn.LayerNorm, nn.RMSNorm, nn.Softmax, nn.LogSoftmax, RecurrentRows, Attention,
    Positions, Sinusoids, Merge, Branches, GraphModule, nn.Embedding, nn.Unflatten,
)  # fmt: skip
"""Modules that work along the last axis, or that depend on the order of the axes."""


class _Reader:
    """Makes layers of modules, in order, and keeps track of the axes of what they pass on."""

    def __init__(self, module: Module) -> None:
        self._names = {id(inner): name for name, inner in module.named_modules()}
        self._first: bool | None = None
        """Whether the module has the channels first; None if it isn't known yet."""
        self._order: NDArray[Any] | None = None
        """The place in the module's flat rows of each number of ours."""
        self._pads: list[tuple[int, int]] = []
        """The padding before the next module, by axis."""
        self._cut = False
        """Whether the next module cuts off what a transposed convolution has at its end."""
        self.following: Module = None
        self._known: dict[tuple[Any, ...], mg.Parameter] = {}
        self._read: list[tuple[Layer, Weight, list[Tensor]]] = []

    def label(self, module: Module) -> str:
        name = self._names.get(id(module), "")
        return f"{type(module).__name__} '{name}'" if name else type(module).__name__

    def read(self, module: Module, shape: Shape) -> tuple[list[Layer], Shape]:
        """Return the layers that do what a module does, and the shape of their output."""
        layers: list[Layer] = []
        modules = _flat(module)
        for inner, self.following in zip(modules, [*modules[1:], None], strict=True):
            if isinstance(inner, ChannelsFirst):
                if self._first and len(shape) > 1:
                    raise self._clash(inner)
                self._first = True
                made, shape = self.read(inner.inner, shape)
                self._first = False
                layers += made
                continue
            self._check_axes(inner, shape)
            for layer in self._layers(inner, shape):
                shape = build_once(layer, shape, np.random.default_rng(0))
                self._fill(layer, inner)
                layers.append(layer)
            if len(shape) < 2:
                self._first = None
        if self._order is not None or self._pads:
            raise ValueError(
                f"from_torch expects a layer after the Flatten of channels-first rows or after "
                f"padding, and {self.label(module)} ends there"
            )
        return layers or [mg.Identity()], shape

    def single(self, module: Module, shape: Shape) -> tuple[Layer, Shape]:
        layers, shape = self.read(module, shape)
        return (layers[0] if len(layers) == 1 else mg.Chain(layers)), shape

    def graph(self, module: Any) -> Graph:
        shapes = dict(module.inputs)
        layers: dict[str, tuple[Any, ...]] = {}
        for (name, sources), inner in zip(
            module.sources.items(), module.layers.values(), strict=True
        ):
            given = tuple(shapes[source] for source in sources)
            self._first = None
            layer, shapes[name] = self.single(inner, given if len(given) > 1 else given[0])
            layers[name] = layer, *sources
        return Graph(module.inputs, layers, module.outputs)

    def fill_state(self, model: mg.Model, there: Any) -> None:
        """Give the optimizer of the model the state of another one."""
        ours: Any = model.optimizer
        slots = _OPTIMIZERS[type(ours)][2]
        states = {id(t): state for t, state in there.state.items() if state and t.requires_grad}
        if not states:
            return
        steps = {int(state["step"]) for state in states.values() if "step" in state}
        if len(steps) > 1:
            raise ValueError(f"from_torch expects as many steps of all parameters, got {steps}")
        ours.steps = max(steps, default=1)
        for slot in ours.slots:
            ours.state[slot] = np.zeros(model.parameters.size, model.dtype)
            views = model.parameters.split(ours.state[slot])
            for layer, weight, tensors in self._read:
                own = getattr(layer, weight.attribute)
                if not isinstance(own, mg.Parameter):
                    continue
                arrays = [
                    _array(states[id(t)][slots[slot]]) if id(t) in states else np.zeros(t.shape)
                    for t in tensors
                ]
                if len(arrays) > 1 and weight.join(np.zeros_like(arrays[0]), arrays[1]).any():
                    raise ValueError(
                        f"{layer.label} has one {weight.attribute} for two that the optimizer "
                        "trains in PyTorch: call from_torch without the optimizer"
                    )
                views[own.source][...] = weight.join(*arrays)

    def _fill(self, layer: Layer, module: Module) -> None:
        """Assign the arrays of a module to a layer."""
        holder = module.inner if isinstance(module, (RecurrentRows, Attention)) else module
        for weight in weights_of(layer):
            if weight.attribute == "weight" and isinstance(layer, mg.Dense):
                weight = self._reordered(weight)
            tensors = [_tensor_at(holder, name) for name in weight.names]
            own = getattr(layer, weight.attribute)
            array, target = weight.join(*map(_array, tensors)), array_of(layer, weight.attribute)
            if array.shape != target.shape:
                raise ValueError(
                    f"{self.label(module)} has a {weight.attribute} of shape {array.shape}, and "
                    f"for rows of shape {layer.input_shape} minigrad's has {target.shape}: pass "
                    "the input_shape of the module, channels-last"
                )
            target[...] = array
            if isinstance(own, mg.Parameter):
                own.trainable = tensors[0].requires_grad
                key = (weight.attribute, *map(id, tensors))
                setattr(layer, weight.attribute, self._known.setdefault(key, own))
            self._read.append((layer, weight, tensors))

    def _reordered(self, weight: Weight) -> Weight:
        """Return the weight after a Flatten, whose numbers are in another order than ours."""
        order, self._order = self._order, None
        if order is None:
            return weight
        return weight._replace(join=lambda a: a.T[order] if len(order) == a.shape[1] else a.T)

    def _check_axes(self, module: Module, shape: Shape) -> None:
        """Refuse a module that works along another axis than its layer would."""
        if self._order is not None and type(module) not in (nn.Linear, *_ELEMENTWISE):
            raise ValueError(
                f"from_torch expects an nn.Linear after the Flatten of channels-first rows, got "
                f"{self.label(module)}"
            )
        first = isinstance(module, _FIRST)
        if not (first or isinstance(module, _LAST)) or len(shape) < 2:
            return
        if self._first is not None and self._first != first:
            raise self._clash(module)
        self._first = first

    def _clash(self, module: Module) -> ValueError:
        place = "first" if self._first else "last"
        return ValueError(
            f"{self.label(module)} gets rows with the channels {place}, and its layer in minigrad "
            "would work along another axis: put nn.Flatten or a pooling over all positions between"
        )

    def _layers(self, module: Module, shape: Shape) -> list[Layer]:
        """Return the layers for one module, not built."""
        kind = type(module)
        if kind in (nn.ConstantPad1d, nn.ConstantPad2d, nn.ZeroPad1d, nn.ZeroPad2d):
            ends = [*module.padding]
            pairs = [*zip(ends[::2], ends[1::2], strict=True)][::-1]
            self._pads = [] if self._cut else pairs
            self._cut = False
            return []
        if isinstance(module, Branches):
            how: Any = module.merge.how
            first = self._first
            made = []
            for branch in module.branches.values():
                self._first = first
                made.append(self.single(branch, shape)[0])
            return [mg.Parallel(made, merge=how)]
        if isinstance(module, GraphModule):
            return [self.graph(module)]
        if kind not in _LAYERS:
            raise TypeError(
                f"from_torch expects modules that minigrad has a layer for, in nn.Sequential, got "
                f"{self.label(module)}"
            )
        made = _LAYERS[kind](self, module, shape)
        return made if isinstance(made, list) else [made]

    def cut(self) -> None:
        """Skip the next module, which cuts off an end."""
        self._cut = True

    def collapse(self, shape: Shape) -> None:
        """Remember the order of the module's flat rows."""
        if self._first and len(shape) > 1:
            numbers = np.arange(int(np.prod(shape))).reshape(shape[-1], *shape[:-1])
            self._order = np.moveaxis(numbers, 0, -1).ravel()

    def need(self, module: Module, **expected: Any) -> None:
        """Refuse a module whose options aren't these."""
        for option, value in expected.items():
            if (given := getattr(module, option)) != value:
                raise ValueError(
                    f"{self.label(module)} expects {option}={value!r} for minigrad, got {given!r}"
                )

    def padding(self, module: Module, shape: Shape, words: Sequence[str], **options: Any) -> Any:
        """Return the padding of a module, and what is padded before it, as our layers name it."""
        axes = len(shape) - 1
        pads = self._pads or [(0, 0)] * axes
        self._pads = []
        if module.padding == "same":
            return "same"
        own = (0,) * axes if module.padding == "valid" else per_axis(module.padding, axes)
        pads = [(a + p, b + p) for (a, b), p in zip(pads, own, strict=True)]
        equal = all(a == b for a, b in pads)
        both = tuple(a for a, _ in pads) if axes > 1 else pads[0][0]
        up = getattr(module, "ceil_mode", False)
        if equal and not up:
            return both
        dilations = per_axis(options.get("dilation", 1), axes)
        lengths = tuple(n or 2**16 for n in shape[:-1])
        sizes = per_axis(options["kernel"], axes), dilations, per_axis(options["strides"], axes)
        outputs = tuple(
            (n + a + b - (k - 1) * d - 1 + up * (s - 1)) // s + 1
            for n, (a, b), k, d, s in zip(lengths, pads, *sizes, strict=True)
        )
        for padding in ([both] if equal else []) + [*words]:
            windows = make_windows(
                "", lengths, sizes[0], strides=sizes[2], dilation=dilations, padding=padding
            )
            starts = [first for first, _ in windows.pads]
            if starts == [first for first, _ in pads] and windows.outputs == outputs:
                return padding
        raise ValueError(
            f"{self.label(module)} expects equal padding of both ends without ceil_mode, or that "
            f"of {' or '.join(words)}, got {pads}"
        )


def _flat(module: Module) -> list[Module]:
    """Return the modules in nested `nn.Sequential`s, in order."""
    if type(module) is not nn.Sequential:
        return [module]
    return [inner for child in module for inner in _flat(child)]


def _array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().numpy()  # type: ignore[no-any-return]


def _tensor_at(module: Module, name: str) -> Tensor:
    path, _, last = name.rpartition(".")
    return getattr(module.get_submodule(path), last)


def _one(size: Any) -> Any:
    """Return a size for all axes as minigrad takes it."""
    return (
        tuple(size) if isinstance(size, (tuple, list)) and len(size) > 1 else per_axis(size, 1)[0]
    )


def _read_linear(reader: _Reader, module: Any, shape: Shape) -> Any:
    return mg.Dense(module.out_features, use_bias=module.bias is not None)


def _read_convolution(reader: _Reader, module: Any, shape: Shape) -> Any:
    reader.need(module, groups=1, padding_mode="zeros")
    kind = mg.Conv1D if isinstance(module, nn.Conv1d) else mg.Conv2D
    size, strides, dilation = map(_one, (module.kernel_size, module.stride, module.dilation))
    words = ["same", "causal"] if kind is mg.Conv1D else ["same"]
    options = {"kernel": size, "strides": strides, "dilation": dilation}
    return kind(
        module.out_channels,
        size,
        strides=strides,
        padding=reader.padding(module, shape, words, **options),
        dilation_rate=dilation,
        use_bias=module.bias is not None,
    )


def _read_transposed(reader: _Reader, module: Any, shape: Shape) -> Any:
    reader.need(module, groups=1)
    size, strides, dilation = module.kernel_size, module.stride, module.dilation
    sizes = [*zip(size, strides, dilation, strict=True)]
    totals = [max((k - 1) * d + 1 - s, 0) for k, s, d in sizes]
    gaps = tuple(max(s - (k - 1) * d - 1, 0) for k, s, d in sizes)
    same = all(n // 2 == p for n, p in zip(totals, module.padding, strict=True))
    following = reader.following
    odd = [-(n % 2) for n in totals]
    if isinstance(following, nn.ConstantPad2d) and any(odd):
        same = same and list(following.padding) == [0, odd[1], 0, odd[0]]
        reader.cut()
    elif any(odd):
        same = False
    if same and tuple(module.output_padding) == gaps:
        padding: Any = "same"
    else:
        reader.need(module, output_padding=(0, 0))
        padding = tuple(module.padding)
    return mg.Conv2DTranspose(
        module.out_channels,
        size,
        strides=strides,
        padding=padding,
        dilation_rate=dilation,
        use_bias=module.bias is not None,
    )


def _read_pooling(kind: Any, axes: int) -> Callable[[_Reader, Any, Shape], Any]:
    def read(reader: _Reader, module: Any, shape: Shape) -> Any:
        size, strides = _one(module.kernel_size), _one(module.stride)
        padding = reader.padding(module, shape, ["same"], kernel=size, strides=strides)
        if hasattr(module, "dilation"):
            reader.need(module, dilation=1, return_indices=False)
        elif padding != 0 and padding != (0, 0):
            reader.need(module, count_include_pad=False)
        return kind(size, strides=strides, padding=padding)

    return read


def _read_global(kind: Any) -> Callable[[_Reader, Any, Shape], Any]:
    def read(reader: _Reader, module: Any, shape: Shape) -> Any:
        if set(per_axis(module.output_size, 1)) != {1}:
            raise ValueError(
                f"{reader.label(module)} expects output_size=1, got {module.output_size}"
            )
        if not isinstance(reader.following, nn.Flatten):
            raise ValueError(f"{reader.label(module)} expects an nn.Flatten after it")
        return kind()

    return read


def _read_batch_norm(reader: _Reader, module: Any, shape: Shape) -> Any:
    reader.need(module, affine=True, track_running_stats=True)
    return mg.BatchNorm(momentum=module.momentum, epsilon=module.eps)


def _read_norm(reader: _Reader, module: Any, shape: Shape) -> Any:
    reader.need(module, elementwise_affine=True, normalized_shape=shape[-1:])
    kind = mg.LayerNorm if isinstance(module, nn.LayerNorm) else mg.RMSNorm
    return kind(epsilon=module.eps)


def _read_softmax(reader: _Reader, module: Any, shape: Shape) -> Any:
    if module.dim not in (-1, len(shape)):
        raise ValueError(f"{reader.label(module)} expects dim=-1, got {module.dim}")
    return mg.Softmax() if isinstance(module, nn.Softmax) else mg.LogSoftmax()


def _read_recurrent(reader: _Reader, module: Any, shape: Shape) -> Any:
    rows = isinstance(module, RecurrentRows)
    inner = module.inner if rows else module
    reader.need(inner, num_layers=1, batch_first=True, bidirectional=False, proj_size=0)
    if isinstance(inner, nn.RNN):
        reader.need(inner, nonlinearity="tanh")
    kinds = {nn.RNN: mg.SimpleRNN, nn.GRU: mg.GRU, nn.LSTM: mg.LSTM}
    layer = kinds[type(inner)](
        inner.hidden_size,
        return_sequences=module.sequences if rows else True,
        go_backwards=rows and module.backwards,
        use_bias=inner.bias,
    )
    layer.restores_order = rows and module.restores_order
    return layer


def _read_attention(reader: _Reader, module: Any, shape: Shape) -> Any:
    inner = module.inner
    reader.need(inner, batch_first=True, bias_k=None, add_zero_attn=False, dropout=0.0)
    return mg.MultiHeadAttention(
        inner.num_heads, causal=module.causal, use_bias=inner.in_proj_bias is not None
    )


def _read_embedding(reader: _Reader, module: Any, shape: Shape) -> Any:
    reader.need(module, padding_idx=None, max_norm=None, scale_grad_by_freq=False)
    return mg.Embedding(module.num_embeddings, module.embedding_dim)


def _read_flatten(reader: _Reader, module: Any, shape: Shape) -> Any:
    reader.need(module, start_dim=1, end_dim=-1)
    reader.collapse(shape)
    return mg.Flatten()


def _read_unflatten(reader: _Reader, module: Any, shape: Shape) -> Any:
    if len(shape) != 1:
        raise ValueError(f"{reader.label(module)} expects an nn.Flatten before it")
    return mg.Reshape(tuple(module.unflattened_size))


def _read_upsample(reader: _Reader, module: Any, shape: Shape) -> Any:
    if module.mode != "bilinear":
        reader.need(module, mode="nearest")
    reader.need(module, size=None)
    if module.align_corners:
        reader.need(module, align_corners=False)
    given = module.scale_factor
    factors = given if isinstance(given, tuple) else (given, given)
    if any(factor != int(factor) for factor in factors):
        raise ValueError(f"{reader.label(module)} expects whole numbers to scale by, got {given}")
    return mg.UpSampling2D(tuple(map(int, factors)), interpolation=module.mode)


def _read_hardtanh(reader: _Reader, module: Any, shape: Shape) -> Any:
    reader.need(module, min_val=-1.0, max_val=1.0)
    return mg.Hardtanh()


def _read_merge(reader: _Reader, module: Any, shape: Shape) -> Any:
    kinds = {"add": mg.Add, "mean": mg.Average, "multiply": mg.Multiply, "concat": mg.Concatenate}
    return kinds[module.how]()


_ELEMENTWISE: dict[Any, Callable[[_Reader, Any, Shape], Any]] = {
    nn.Identity: lambda reader, module, shape: mg.Identity(),
    nn.Sigmoid: lambda reader, module, shape: mg.Sigmoid(),
    nn.Tanh: lambda reader, module, shape: mg.Tanh(),
    nn.ReLU: lambda reader, module, shape: mg.ReLU(),
    nn.LeakyReLU: lambda reader, module, shape: mg.LeakyReLU(module.negative_slope),
    nn.ELU: lambda reader, module, shape: mg.ELU(module.alpha),
    nn.SELU: lambda reader, module, shape: mg.SELU(),
    nn.Hardtanh: _read_hardtanh,
    nn.Hardsigmoid: lambda reader, module, shape: mg.Hardsigmoid(),
    nn.GELU: lambda reader, module, shape: mg.GELU(approximate=module.approximate),
    nn.SiLU: lambda reader, module, shape: mg.SiLU(),
    nn.Softplus: lambda reader, module, shape: mg.Softplus(),
    nn.Mish: lambda reader, module, shape: mg.Mish(),
    nn.Softsign: lambda reader, module, shape: mg.Softsign(),
    nn.Dropout: lambda reader, module, shape: mg.Dropout(module.p),
}
"""For modules that treat each number alike, so that the order of axes doesn't matter."""

_LAYERS: dict[Any, Callable[[_Reader, Any, Shape], Any]] = {
    **_ELEMENTWISE,
    nn.Linear: _read_linear,
    nn.Conv1d: _read_convolution,
    nn.Conv2d: _read_convolution,
    nn.ConvTranspose2d: _read_transposed,
    nn.MaxPool1d: _read_pooling(mg.MaxPooling1D, 1),
    nn.MaxPool2d: _read_pooling(mg.MaxPooling2D, 2),
    nn.AvgPool1d: _read_pooling(mg.AveragePooling1D, 1),
    nn.AvgPool2d: _read_pooling(mg.AveragePooling2D, 2),
    nn.AdaptiveMaxPool1d: _read_global(mg.GlobalMaxPooling1D),
    nn.AdaptiveMaxPool2d: _read_global(mg.GlobalMaxPooling2D),
    nn.AdaptiveAvgPool1d: _read_global(mg.GlobalAveragePooling1D),
    nn.AdaptiveAvgPool2d: _read_global(mg.GlobalAveragePooling2D),
    nn.Upsample: _read_upsample,
    nn.BatchNorm1d: _read_batch_norm,
    nn.BatchNorm2d: _read_batch_norm,
    nn.LayerNorm: _read_norm,
    nn.RMSNorm: _read_norm,
    nn.GroupNorm: lambda reader, module, shape: mg.GroupNorm(module.num_groups, epsilon=module.eps),
    nn.Softmax: _read_softmax,
    nn.LogSoftmax: _read_softmax,
    nn.Embedding: _read_embedding,
    nn.Flatten: _read_flatten,
    nn.Unflatten: _read_unflatten,
    **dict.fromkeys([nn.RNN, nn.GRU, nn.LSTM, RecurrentRows], _read_recurrent),
    Attention: _read_attention,
    Positions: lambda reader, module, shape: mg.PositionEmbedding(),
    Sinusoids: lambda reader, module, shape: mg.SinusoidalPositions(),
    Merge: _read_merge,
}
"""For each module a function of (reader, module, shape of a row) that makes its layer."""
