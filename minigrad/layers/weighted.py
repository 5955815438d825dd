"""The parameters of a layer: created when it is built, or shared with another layer."""

from __future__ import annotations

from types import NoneType, SimpleNamespace
from typing import Any

from typing_extensions import override

from minigrad.core.layer import Layer
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Shape
from minigrad.initializers.base import InitializerLike, initialize
from minigrad.regularizers import Regularizer
from minigrad.util.fields import arguments
from minigrad.util.names import kind_of
from minigrad.util.random import RNG


def new_parameter(
    layer: Layer,
    name: str,
    shape: Shape,
    rng: RNG,
    initializer: InitializerLike,
    regularizer: Regularizer | None = None,
) -> Parameter:
    """Create a parameter of a layer."""
    value = initialize(initializer, shape, rng, f"the {name} of {layer.label}")
    return Parameter(value, regularizer=regularizer)


def check_shared(value: Any, name: str, owner: object) -> Parameter | None:
    """Return a parameter of another layer, or None."""
    if not isinstance(value, (Parameter, NoneType)):
        without = ", for none use_bias" if name == "bias" else ""
        raise TypeError(
            f"{type(owner).__name__} expects a Parameter of another layer as {name}, got "
            f"{kind_of(value)}: for numbers use {name}_initializer{without}"
        )
    return value


class Sharing(Layer):
    """The base of layers that share a weight and a bias with another layer, if these are given."""

    @override
    def __post_init__(self) -> None:
        # Not a dict, where parameters would be found: `build` makes them attributes.
        own = vars(self)
        self._shared = SimpleNamespace(weight=own.pop("weight"), bias=own.pop("bias", None))

    def parameter(
        self, name: str, shape: Shape, rng: RNG, *, default: InitializerLike = "zeros"
    ) -> Parameter:
        """Return the shared parameter, or create one from the options that begin with its name.

        The default takes the place of an initializer that is None.
        """
        shared: Parameter | None = getattr(self._shared, name)
        check_shared(vars(self).get(name), name, self)  # assigned since the construction
        regularizer = getattr(self, f"{name}_regularizer")
        if shared is None:
            initializer = getattr(self, f"{name}_initializer")
            initializer = default if initializer is None else initializer
            return new_parameter(self, name, shape, rng, initializer, regularizer)
        if regularizer is not None:
            raise ValueError(
                f"{self.label} shares its {name} and has a {name}_regularizer: pass it to the "
                "layer that the parameter is from"
            )
        if shared.shape != shape:
            raise ValueError(
                f"{self.label} expects a shared {name} of shape {shape}, got {shared!r}"
            )
        return shared

    @override
    def get_config(self) -> dict[str, Any]:
        names = arguments(type(self))
        return {name: getattr(self, name) for name in names if name not in ("weight", "bias")}
