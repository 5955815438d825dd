"""A network: a chain of layers with one dtype, one source of randomness, and one vector."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Self, override

from minigrad.core import gradient as engine
from minigrad.core.containers import Chain
from minigrad.core.layer import Layer, walk
from minigrad.core.parameters import Parameters
from minigrad.data.arrays import Array, Shape, as_data, check_finite, describe
from minigrad.summary import summary
from minigrad.util.config import Configurable
from minigrad.util.options import check_int
from minigrad.util.random import RNGLike, as_rng


class Network(Chain):
    """What a `Sequential` is without targets: it predicts, and shows itself.

    Its arguments are those of `Sequential`. The outermost network builds all layers, and gathers
    their parameters in its vector.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        input_shape: Shape | None = None,
        rng: RNGLike = None,
        dtype: str | type[np.floating[Any]] | np.dtype[np.floating[Any]] = "float64",
        name: str = "",
    ) -> None:
        super().__init__(layers, name=name)
        self.dtype: np.dtype[np.floating[Any]] = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise ValueError(f"dtype must be 'float64' or 'float32', got {dtype!r}")
        self.rng, self.entropy = as_rng(rng)
        self._shares = False  # whether a parameter had several places when they were gathered last
        if isinstance(input_shape, int):
            raise TypeError(
                f"{self.label} expects input_shape as a tuple, got {input_shape}: "
                f"pass input_shape=({input_shape},)"
            )
        if input_shape is not None:
            if input_shape and input_shape[0] is None:
                raise ValueError(
                    f"{self.label} expects input_shape as the shape of one row, got {input_shape}: "
                    f"leave the batch axis out, input_shape={tuple(input_shape[1:])}"
                )
            self.build_for(tuple(check_int(n, "input_shape", self) for n in input_shape))

    def build_for(self, input_shape: Shape) -> None:
        """Build all layers as the outermost model, and gather their parameters in one vector.

        Models inside take this one's dtype, as long as they aren't built.

        Raises:
            ValueError: rows of this shape don't fit, or a layer was built in another dtype.
        """
        if self.output_shape is None:
            output_shape = self.build(input_shape, self.rng)
            self._refuse_other_dtypes()
            self._refuse_equal_paths()
            self.input_shape, self.output_shape = input_shape, output_shape
        for _, layer in walk(self):
            if isinstance(layer, Network):
                layer.dtype = self.dtype
            for name in layer.buffers:
                setattr(layer, name, getattr(layer, name).astype(self.dtype))
        for path, parameter in self.named_parameters():
            parameter.name = path
        self._gathered()

    @property
    @override
    def parameters(self) -> Parameters:
        self.check_built()
        return self._gathered()

    def _gathered(self) -> Parameters:
        """Gather what is found now: a parameter may have been shared since."""
        found = [p for _, p in self.named_parameters()]
        shares = len(set(found)) < len(found)
        if shares or self._shares:
            for _, layer in walk(self):
                layer.tie()
        self._shares = shares
        return Parameters(found, dtype=self.dtype, alone=True)

    def _refuse_equal_paths(self) -> None:
        """Refuse two layers that messages and files couldn't tell apart."""
        paths = Counter(path for path, _ in walk(self))
        twice = [path for path, count in paths.items() if count > 1]
        if twice:
            raise ValueError(
                f"two layers of {self.label} go by '{twice[0]}': give each its own name="
            )

    def _refuse_other_dtypes(self) -> None:
        """Refuse parameters that another model holds, and computes with in another dtype."""
        for _, layer in walk(self):
            for name, parameter in layer.own_parameters():
                dtype = parameter.value.dtype
                if parameter.held and dtype != self.dtype:
                    raise ValueError(
                        f"the {name} of {layer.label} was built in {dtype} by another model, and "
                        f"{self.label} has dtype {self.dtype}: give both the same dtype=, or make "
                        "a new layer, and set its parameters' values from that one's"
                    )

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        """Return the prediction for a batch; with `training`, each layer keeps what it needs.

        What it keeps may be the prediction itself: write `prediction - y`, and change it in place
        (`prediction -= y`) only after `backward`.

        Raises:
            TypeError: x isn't floating.
            ValueError: x is empty, or its rows don't have the input shape.
        """
        output = super().forward(self._accept(x), training=training)
        if output.shape[1:] != self.output_shape:
            raise ValueError(
                f"{self.label} gave an output of shape {output.shape}, and its layers declare "
                f"{describe(self.output_shape or ())}: return from forward what build declares"
            )
        return output

    def _accept(self, x: ArrayLike) -> Array:
        """Return x as rows of the input shape in the model's dtype."""
        if not (type(x) is np.ndarray and x.dtype == self.dtype and x.size):
            x = as_data(x, "x").astype(self.dtype, copy=False)
        self.check_input_shape(x)
        return x

    def check_input_shape(self, x: Array) -> None:
        """Build the model for these rows if it isn't built, or refuse rows of another shape."""
        if self.output_shape is None:
            self.build_for(x.shape[1:])
        if x.shape[1:] != self.input_shape:
            assert self.input_shape is not None
            self.layers[0].check_input(x, self.input_shape)

    def predict(self, x: ArrayLike, *, threads: int | None = None) -> Array:
        """Return the outputs for all rows; safe from many threads at once.

        `threads` is as in `fit`.

        Raises:
            TypeError: x isn't floating.
            ValueError: x is empty, has NaN or infinity, or rows of another shape.
        """
        data = as_data(x, "x")
        check_finite(data, "x")
        self.check_input_shape(data)
        return engine.predict(self, data, threads=threads)

    def activations(self, x: ArrayLike) -> dict[str, Array]:
        """Return what each layer gives for these rows in inference, by its path, in order.

        Raises:
            TypeError, ValueError: as `predict`.

        >>> from minigrad import Dense, Sequential, Sigmoid
        >>> model = Sequential([Dense(3), Sigmoid()], input_shape=(2,), rng=4)
        >>> {path: output.shape for path, output in model.activations(np.ones((5, 2))).items()}
        {'dense_1': (5, 3), 'sigmoid_1': (5, 3)}
        """
        from minigrad.core.trace import trace

        data = as_data(x, "x")
        check_finite(data, "x")
        recorded = trace(self, self._accept(data), training=False)
        return {step.path: step.output for step in recorded.steps if step.path}

    def summary(self) -> None:
        """Print a table of the layers: their shapes, parameters, and whether they are trained.

        `minigrad.summary.summary(model)` returns the same text.
        """
        print(summary(self))

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write the parameters and buffers alone, by path, into a safetensors file.

        Raises:
            OSError: the file can't be written.
        """
        from minigrad.saving import weights

        weights.save_weights(self, path)

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Take the parameters and buffers from a file of `save_weights`, `save` or another tool.

        Names and shapes must be this model's; another dtype is converted.

        Raises:
            FileFormatError: not such a file; the model is then left as it was.
            OSError: the file can't be read.
            RuntimeError: the model isn't built yet.
        """
        from minigrad.saving import weights

        weights.load_weights(self, path)

    @override
    def _part(self, layers: list[Layer]) -> Self:
        input_shape = layers[0].input_shape if layers else None
        cls = self._made_as(Network)
        return cls(layers, input_shape=input_shape, rng=self.rng, dtype=self.dtype)

    @override
    def get_config(self) -> dict[str, Any]:
        return {
            "layers": self.layers,
            "input_shape": self.input_shape,
            "rng": None,
            "dtype": self.dtype.name,
            "name": self.name,
        }

    @override
    def repr_arguments(self) -> list[tuple[str, Any]]:
        """Return those of a subclass's own too, which are the attributes of their names.

        Raises:
            TypeError: it doesn't keep one.
        """
        shown, known = super().repr_arguments(), self.get_config().keys()
        if own := [name for name in signature(type(self)).parameters if name not in known]:
            held = Configurable.get_config(self)
            shown += [(f"{name}=", held[name]) for name in own]
        return shown

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Gather the parameters of a copy in one vector of its own."""
        vars(self).update(state)
        if self.output_shape is not None:
            self.build_for(self.input_shape or ())
