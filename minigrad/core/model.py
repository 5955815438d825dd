"""A model: a network with a dtype, a random generator and one flat vector of parameters."""

from __future__ import annotations

import copy
from threading import RLock
from typing import Any

import numpy as np
from typing_extensions import Self, override

from minigrad.core.chain import layer_at, name_layers
from minigrad.core.layer import Layer, build_once, contents, walk
from minigrad.core.parameters import Parameters
from minigrad.data.arrays import DType, Shape, as_data, as_dtype, as_input_shape
from minigrad.data.by_name import Data, row_count
from minigrad.util.random import RNG, RNGLike, as_rng


class BaseModel(Layer):
    """A layer whose parameters lie in one flat vector; `Model` adds graphs, training and tools.

    A model is itself a layer, so models nest; the parameters of an inner model live in the vector
    of the outermost one.
    """

    def __init__(
        self,
        network: Layer,
        *,
        input_shape: Shape | None = None,
        rng: RNGLike = None,
        dtype: DType = "float64",
        name: str = "",
    ) -> None:
        super().__init__(name=name)
        self.network = network
        name_layers(self.children, self.label)
        self.dtype = as_dtype(dtype)
        self.rng, self.seed = as_rng(rng)
        self._parameters: Parameters | None = None
        self._places: list[tuple[Any, Any, object]] = []
        self._sizes: list[tuple[dict[str, Any], int]] = []
        self._building = RLock()
        if input_shape is not None:
            self.build_for(as_input_shape(input_shape, self.label))

    @override
    def _missing_hint(self) -> str:
        made = "network" in vars(self)
        return super()._missing_hint() if made else ": call super().__init__(network) first"

    @property
    @override
    def children(self) -> list[Layer]:
        """The layers of the network if it is `transparent`, else the network itself."""
        return self.network.children if self.network.transparent else [self.network]

    def __getitem__(self, key: Any) -> Any:
        """Return the layer at an index or a path, such as "dense_1"."""
        return layer_at(self, key)

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        return build_once(self.network, input_shape, rng)

    def build_for(self, input_shape: Shape) -> None:
        """Build all layers for rows of this shape, and gather the parameters in one vector."""
        with self._building:
            output_shape = self.output_shape
            if output_shape is None:
                output_shape = self.build(input_shape, self.rng)
                self._check_layers()
            self._gather()
            for path, p in reversed([*self.named_parameters()]):  # a source gets its first path
                p.name = p.source.name = path
            self.input_shape, self.output_shape = input_shape, output_shape

    def _gather(self) -> None:
        """Give all parameters one vector, those of inner models included."""
        layers = [layer for _, layer in walk(self)]
        for layer in layers:
            for name in layer.buffers:
                setattr(layer, name, getattr(layer, name).astype(self.dtype, copy=False))
        self._parameters = Parameters((p for _, p in self.named_parameters()), dtype=self.dtype)
        for inner in layers[1:]:
            if isinstance(inner, BaseModel):
                inner.dtype, inner._places, inner._sizes = self.dtype, [], []
                inner._parameters = Parameters(p for _, p in inner.named_parameters())
        self._places = [place for layer in layers for place in contents(layer)]
        self._sizes = [(own, len(own) + ("cache" not in own)) for own in map(vars, layers)]

    @property
    @override
    def parameters(self) -> Parameters:
        """All parameters, in the model's flat vectors; RuntimeError before it is built."""
        self.check_built()
        try:
            changed = any([container[key] is not item for container, key, item in self._places])
            changed = changed or any([len(own) > size for own, size in self._sizes])
        except LookupError:
            changed = True
        if self._parameters is None or changed:
            with self._building:
                self._gather()
        assert self._parameters is not None
        return self._parameters

    def _check_layers(self) -> None:
        """Refuse two layers of one path, and parameters in another dtype."""
        seen: set[str] = set()
        for path, _ in walk(self):
            if path in seen:
                raise ValueError(
                    f"two layers of {self.label} have the path '{path}': give each its own name="
                )
            seen.add(path)
        for path, p in self.named_parameters():
            if p.source.vectors is not None and p.value.dtype != self.dtype:
                raise ValueError(
                    f"'{path}' was built in {p.value.dtype} by another model, and {self.label} has "
                    f"dtype {self.dtype}: give both the same dtype=, or make a new layer and "
                    "assign its parameters' values"
                )

    @override
    def forward(self, *inputs: Data, training: bool = True) -> Data:
        """Return the prediction for a batch; with `training`, each layer caches what it needs.

        A layer may cache the prediction itself: change it in place only after `backward`.
        """
        x = inputs[0] if len(inputs) == 1 else self.as_input(*inputs)
        if not (type(x) is np.ndarray and x.dtype == self.dtype and x.size):
            x = self.cast(self.as_input(x), self.dtype)
        self._build_if_needed(x)
        self.check_rows(x, self.input_shape)
        _ = self.parameters  # gathers again if an attribute was replaced or added since
        output: Data = self.network.forward(x, training=training)
        self.network.check_output(output, row_count(x))
        if training:
            self.cache = None if isinstance(output, dict) else output.shape
        return output

    def as_input(self, *inputs: Data) -> Data:
        """Return the input as the network takes it: an array of numbers."""
        if len(inputs) != 1:
            raise TypeError(f"{self.label} expects 1 inputs, got {len(inputs)}")
        return as_data(inputs[0], "x")

    @override
    def backward(self, delta: Data) -> Any:
        """Return dJ/dx; for several inputs, a tuple in their order."""
        self.check_delta(delta, self.cache)
        input_delta = self.network.backward(delta)
        self.parameters.add_up_shared()
        return input_delta

    @override
    def backward_parameters(self, delta: Data) -> None:
        if type(self).backward is not BaseModel.backward:
            self.backward(delta)
            return
        self.check_delta(delta, self.cache)
        self.network.backward_parameters(delta)
        self.parameters.add_up_shared()

    @override
    def check_delta(self, delta: Data, shape: Shape | None) -> None:
        if shape is not None:  # else the graph checks its outputs
            super().check_delta(delta, shape)

    @override
    def check_output(self, output: Data, rows: int) -> None:
        self.network.check_output(output, rows)

    @override
    def cast(self, x: Data, dtype: np.dtype[Any]) -> Data:
        return self.network.cast(x, dtype)

    @property
    def _computed(self) -> Layer:
        """What training and prediction run: the network, unless a subclass overrides its passes."""
        cls = type(self)
        plain = cls.forward is BaseModel.forward and cls.backward is BaseModel.backward
        return self.network if plain else self

    def _build_if_needed(self, x: Data) -> None:
        """Build an unbuilt model for these rows."""
        if self.output_shape is None:
            self.build_for(self.check_rows(x, None))

    @property
    @override
    def input_names(self) -> tuple[str, ...]:
        return self.network.input_names

    @property
    def output_layers(self) -> Any:
        """The network that gives the output; of several outputs a dict of layers by name."""
        network: Any = self.network
        return network.output_layers if hasattr(type(network), "output_layers") else network

    @override
    def check_rows(self, x: Data, input_shape: Shape | None) -> Shape:
        return self.network.check_rows(x, input_shape)

    def astype(self, dtype: DType) -> Self:
        """Return a copy of the model in another dtype."""
        twin = copy.deepcopy(self)
        twin.dtype = as_dtype(dtype)
        if twin.output_shape is not None:
            twin._gather()
        return twin

    @override
    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        del state["_building"]
        return {**state, "_parameters": None, "_places": [], "_sizes": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Gather the parameters of a copy in one vector of its own."""
        vars(self).update(state)
        self._building = RLock()
        if any(p.source.vectors is None for _, p in self.named_parameters()):
            self._gather()
        elif self.output_shape is not None:  # a replica, whose values are another model's
            self._parameters = Parameters(p for _, p in self.named_parameters())
