"""The model of a chain: what most people use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from minigrad.core.chain import Chain, as_list, name_layers
from minigrad.core.layer import Layer
from minigrad.data.arrays import DType, Shape, as_input_shape
from minigrad.models.model import Model
from minigrad.util.config import register
from minigrad.util.random import RNGLike

if TYPE_CHECKING:
    from minigrad.graphs.graph import Input


@register
class Sequential(Model):
    """The model of a chain: layers one after another.

    `model[0]` and `model["dense_1"]` are layers; `model[:2]` is a model of the first two, the same
    objects with the same weights.

    Args:
        layers: the layers, in order; those without a name get one, such as 'dense_1'. An `Input`
            before them gives the input shape. Without layers, `add` adds them.
        input_shape, rng, dtype, name: see `Model`.

    >>> import numpy as np
    >>> from minigrad import SGD, Dense, MSELoss, Sigmoid
    >>> model = Sequential([Dense(3), Sigmoid(), Dense(1), Sigmoid()], input_shape=(2,), rng=4)
    >>> model.compile(optimizer=SGD(learning_rate=2.0), loss=MSELoss())
    >>> x = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    >>> history = model.fit(x, [0, 1, 1, 1], epochs=2000, batch_size=None, verbose=0)
    >>> model.predict(x).round().ravel()
    array([0., 1., 1., 1.])
    """

    network: Chain

    def __init__(
        self,
        layers: Iterable[Layer | Input] | None = None,
        *,
        input_shape: Shape | None = None,
        rng: RNGLike = None,
        dtype: DType = "float64",
        name: str = "",
    ) -> None:
        if layers is None:  # a chain needs a layer until it is made
            super().__init__(Chain([Layer()]), rng=rng, dtype=dtype, name=name)
            self.layers.clear()
            if input_shape is not None:
                self.input_shape = as_input_shape(input_shape, self.label)
            return
        layers = as_list(layers, type(self).__name__)
        if layers and not isinstance(layers[0], Layer):
            from minigrad.graphs.graph import without_input

            input_shape = without_input(layers, input_shape)
        name_layers(layers, type(self).__name__)
        super().__init__(Chain(layers), input_shape=input_shape, rng=rng, dtype=dtype, name=name)

    def add(self, layer: Layer | Input) -> None:
        """Add a layer at the end; an `Input` before the first one gives the input shape.

        Raises:
            TypeError, ValueError: a layer that doesn't fit, or a model that is built: the first
                use of its parameters builds it.

        >>> from minigrad import Dense, Input
        >>> model = Sequential()
        >>> model.add(Input((2,)))
        >>> model.add(Dense(3))
        >>> model.parameters.size
        9
        """
        layers: list[Any] = [*self.layers, layer]
        if not isinstance(layers[0], Layer):
            from minigrad.graphs.graph import without_input

            self.input_shape = without_input(layers, self.input_shape)
        if layers:
            name_layers(layers, self.label)
            self.layers.append(layers[-1])

    @property
    def layers(self) -> list[Layer]:
        """The layers; the list may be changed until the model is built."""
        return self.network.layers

    @layers.setter
    def layers(self, layers: list[Layer]) -> None:
        self.network.layers[:] = layers

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @override
    def __getitem__(self, key: int | str | slice) -> Any:
        """Return the layer at an index or a path, or a model of a slice's layers."""
        if not isinstance(key, slice):
            return super().__getitem__(key)
        layers = self.layers[key]
        input_shape = layers[0].input_shape if layers else None
        return Sequential(layers, input_shape=input_shape, rng=self.rng, dtype=self.dtype)

    @override
    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["network"]
        return {"layers": self.layers, **config}

    @override
    def repr_arguments(self) -> list[tuple[str, Any]]:
        shown = super().repr_arguments()
        return [("" if prefix == "layers=" else prefix, value) for prefix, value in shown]
